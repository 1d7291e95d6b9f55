//! Delivery from the decisions alone: every order on a day that could still be had as it was decided, no day beyond what it
//! takes, no hold beyond the day's cutoff and grace. Days are counted back from that of delivery, and a cutoff is judged by
//! the latest that a clock has shown up to an instant, between one of its changes and the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil};
use sluice::wire::proto::{Decision, DeliveryService, Outcome, Reason, SetDelivery};

use super::{holds, order};

const DAY_MS: i64 = 86_400_000;

/// Clocks are put back by no more than a day; a change before these cannot have shown anything later.
const LONG_AGO_MS: i64 = 3 * DAY_MS;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Pool, service and day.
type Day = (String, String, u32);

/// What an order that is open was told.
#[derive(Debug, Clone)]
struct Told {
    service: String,
    day: u32,
    cutoff_ms: i64,
    hold_until_ms: i64,
}

/// All deliveries, and what they are held against.
#[derive(Debug, Default)]
pub(super) struct DeliveryBook {
    /// By pool, with the sequence at which each was set.
    rules: BTreeMap<String, (u64, SetDelivery)>,
    taken: HashMap<Day, u64>,
    orders: HashMap<(String, String, u32), Told>,
}

/// A service as its clock runs.
struct Clock<'a> {
    service: &'a DeliveryService,
    zone: TimeZone,
}

impl Clock<'_> {
    fn of(service: &DeliveryService) -> Result<Clock<'_>, &'static str> {
        let zone = ZONES.get(&service.time_zone).map_err(|_| "a zone that nobody has")?;
        Ok(Clock { service, zone })
    }

    /// What the clock shows: ms since 1970-01-01 00:00 of its own.
    fn shows(&self, at: Timestamp) -> i64 {
        at.as_millisecond() + i64::from(self.zone.to_offset(at).seconds()) * 1_000
    }

    /// The latest that it has shown up to this instant.
    fn has_shown(&self, at_ms: i64) -> i64 {
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::MAX);
        let step = Timestamp::from_millisecond(at_ms.saturating_add(1)).unwrap_or(Timestamp::MAX);
        let changes = self.zone.preceding(step).map(|change| change.timestamp().as_millisecond());
        let changes = changes.take_while(|change| at_ms - change < LONG_AGO_MS);
        let before = changes.filter_map(|change| Timestamp::from_millisecond(change - 1).ok());
        before.map(|before| self.shows(before)).fold(self.shows(at), i64::max)
    }

    /// The time of a dispatch day at which orders for it close, as the clock shows it.
    fn closes(&self, day: civil::Date) -> Option<i64> {
        let written = written(day)?;
        let weekday = i64::from(day.weekday().to_monday_one_offset());
        let found = self.service.days.iter().find(|it| i64::from(it.weekday) == weekday)?;
        let is_closed = self.service.closed.iter().any(|closed| closed.day == written);
        (!is_closed).then(|| number(day) * DAY_MS + i64::from(found.cutoff_s) * 1_000)
    }

    /// The time at which orders to be delivered on this day close.
    fn closes_for(&self, delivered: civil::Date) -> Option<i64> {
        let mut day = delivered;
        let mut closes = self.closes(day)?;
        for _ in 0..self.service.lead {
            closes = loop {
                day = day.yesterday().ok().filter(|day| written(*day).is_some())?;
                if let Some(closes) = self.closes(day) {
                    break closes;
                }
            };
        }
        Some(closes)
    }

    /// Every day that can still be had, and the time at which it closes.
    fn offers(&self, now_ms: i64) -> Vec<(u32, i64)> {
        let Ok(now) = Timestamp::from_millisecond(now_ms) else { return Vec::new() };
        let shown = self.has_shown(now_ms);
        let mut days = Vec::new();
        let mut day = Some(self.zone.to_datetime(now).date());
        for _ in 0..=self.service.horizon {
            let Some(delivered) = day else { break };
            let closes = self.closes_for(delivered).filter(|closes| shown < *closes);
            days.extend(closes.and_then(|closes| Some((written(delivered)?, closes))));
            day = delivered.tomorrow().ok();
        }
        days
    }

    /// Whether orders close at this instant and no earlier.
    fn is_cutoff(&self, cutoff_ms: i64, closes: i64) -> bool {
        self.has_shown(cutoff_ms - 1) < closes && closes <= self.has_shown(cutoff_ms)
    }
}

/// Days since 1970-01-01.
fn number(day: civil::Date) -> i64 {
    let since = day.duration_since(civil::date(1970, 1, 1));
    since.as_hours() / 24
}

/// yyyymmdd, of a day that may be delivered on.
fn written(day: civil::Date) -> Option<u32> {
    let (year, month, of_month) = (u32::try_from(day.year()).ok()?, day.month() as u32, day.day() as u32);
    (1970..=9998).contains(&year).then_some(year * 10_000 + month * 100 + of_month)
}

impl DeliveryBook {
    pub(super) fn set(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let rule = decision.delivery.clone().ok_or("the rule is missing")?;
        if rule.services.is_empty() {
            self.rules.remove(&decision.pool);
        } else {
            self.rules.insert(decision.pool.clone(), (decision.sequence, rule));
        }
        Ok(())
    }

    /// The service that a decision states, of the rule that stands.
    fn service(&self, decision: &Decision) -> Result<(u64, &DeliveryService), &'static str> {
        let (sequence, rule) = self.rules.get(&decision.pool).ok_or("delivered by no rule")?;
        let service = rule.services.iter().find(|service| service.name == decision.service);
        Ok((*sequence, service.ok_or("delivered by a service that there is not")?))
    }

    fn has_room(&self, pool: &str, service: &DeliveryService, day: u32) -> bool {
        let taken = self.taken.get(&(pool.to_owned(), service.name.clone(), day)).copied().unwrap_or(0);
        service.orders_a_day == 0 || taken < service.orders_a_day
    }

    pub(super) fn reserved(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let Decision { pool, service, day, cutoff_ms, hold_until_ms, decided_at_ms, .. } = decision;
        if !self.rules.contains_key(pool) {
            return says_nothing(decision);
        }
        let (_, by) = self.service(decision)?;
        let clock = Clock::of(by)?;
        let offers = clock.offers(*decided_at_ms);
        let (_, closes) = offers.iter().find(|(it, _)| it == day).ok_or("a day that could not be had any more")?;
        holds(clock.is_cutoff(*cutoff_ms, *closes) && decided_at_ms < cutoff_ms, "not the cutoff of its day")?;
        holds(*hold_until_ms == cutoff_ms + by.grace_ms as i64, "another grace than the service gives")?;
        let within = (decided_at_ms + 1..=*hold_until_ms).contains(&decision.expires_at_ms);
        holds(within, "held beyond its day")?;
        holds(self.has_room(pool, by, *day), "a day that takes no more orders")?;
        let told = Told { service: service.clone(), day: *day, cutoff_ms: *cutoff_ms, hold_until_ms: *hold_until_ms };
        *self.taken.entry((pool.clone(), service.clone(), *day)).or_default() += 1;
        self.orders.insert(order(decision), told);
        Ok(())
    }

    /// An order that no day takes is told of a rule that says so, and of the next day that is to be had.
    pub(super) fn barred(&self, decision: &Decision) -> Result<(), &'static str> {
        if !matches!(decision.reason(), Reason::Late | Reason::DeliveryFull) {
            return says_nothing(decision);
        }
        let (rule, by) = self.service(decision)?;
        holds(decision.rule == rule, "by another delivery than the one that stands")?;
        holds(decision.lines.is_empty() && decision.hold_until_ms == 0, "says more than the next day")?;
        let clock = Clock::of(by)?;
        let offers = clock.offers(decision.decided_at_ms);
        let next = offers.iter().position(|(day, _)| *day == decision.day);
        if let Some(at) = next {
            let (day, closes) = offers[at];
            holds(self.has_room(&decision.pool, by, day), "told of a day that takes no more orders")?;
            holds(clock.is_cutoff(decision.cutoff_ms, closes), "not the cutoff of the next day")?;
        } else {
            holds((decision.day, decision.cutoff_ms) == (0, 0), "told of a day that cannot be had")?;
        }
        // What was full is the last day before the next one, or the last of all.
        let full = offers[..next.unwrap_or(offers.len())].last();
        let is_full = full.is_some_and(|(day, _)| !self.has_room(&decision.pool, by, *day));
        holds(is_full || decision.reason() == Reason::Late, "there was room")
    }

    /// Whether there is a delivery of the pool.
    pub(super) fn delivers(&self, pool: &str) -> bool {
        self.rules.contains_key(pool)
    }

    /// Whether the delivery that was set with this sequence stands.
    pub(super) fn stands(&self, decision: &Decision, rule: u64) -> bool {
        self.rules.get(&decision.pool).is_some_and(|(sequence, _)| *sequence == rule)
    }

    /// A copy of an order that is open is told the same, and no other.
    pub(super) fn copied(&self, decision: &Decision) -> Result<(), &'static str> {
        let open = self.orders.get(&order(decision)).filter(|_| decision.outcome() == Outcome::Duplicate);
        let Some(told) = open else { return says_nothing(decision) };
        let Decision { service, day, cutoff_ms, hold_until_ms, expires_at_ms, .. } = decision;
        let same = (service, day, cutoff_ms, hold_until_ms)
            == (&told.service, &told.day, &told.cutoff_ms, &told.hold_until_ms);
        holds(same && *expires_at_ms <= told.hold_until_ms, "a copy is told of another delivery")
    }

    pub(super) fn extended(&self, decision: &Decision) -> Result<(), &'static str> {
        let latest = self.orders.get(&order(decision)).map_or(i64::MAX, |told| told.hold_until_ms);
        holds(decision.expires_at_ms <= latest, "extended beyond its day").and_then(|()| says_nothing(decision))
    }

    pub(super) fn released(&mut self, decision: &Decision) -> Result<(), &'static str> {
        if let Some(told) = self.orders.remove(&order(decision))
            && decision.decided_at_ms < told.cutoff_ms
        {
            let taken = self.taken.get_mut(&(decision.pool.clone(), told.service, told.day));
            *taken.ok_or("gives back a day that it did not have")? -= 1;
        }
        says_nothing(decision)
    }

    pub(super) fn shipped(&mut self, decision: &Decision) -> Result<(), &'static str> {
        self.orders.remove(&order(decision));
        says_nothing(decision)
    }
}

/// Only what gets a day, or is barred by one, speaks of days.
pub(super) fn says_nothing(decision: &Decision) -> Result<(), &'static str> {
    let Decision { service, day, cutoff_ms, hold_until_ms, .. } = decision;
    holds(service.is_empty() && (*day, *cutoff_ms, *hold_until_ms) == (0, 0, 0), "speaks of delivery")
}
