//! Delivery: by which service an order is delivered, on which day, and until when that day can be had.

use std::collections::BTreeMap;

use sluice::wire::proto::{Decision, DeliveryService, Late, Place, Reason, SetDelivery};

use super::calendar::{DAY_MS, Zone, day_of, weekday, written};
use super::place::Bar;
use super::{LONGEST_ID, MOST_STOCK, Model, Stamp, doubled, id_fault};

const MOST_SERVICES: usize = 8;
const MOST_CLOSED: usize = 100;
const LONGEST_LEAD: u32 = 14;
const LONGEST_HORIZON: u32 = 62;
const LONGEST_GRACE_MS: u64 = 86_400_000;
const DAY_S: u32 = 86_400;

/// What was last said about the delivery of a pool: the rule that stands, or none once it was removed.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) stamp: Stamp,
    pub(super) rule: Option<SetDelivery>,
}

/// All deliveries, by pool.
pub(super) type Deliveries = BTreeMap<String, Delivery>;

/// Orders by pool, service and day; also where there are none any more.
pub(super) type DayCounts = BTreeMap<(String, String, u32), u64>;

/// What an order that was reserved was told of its delivery.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) service: String,
    pub(super) day: u32,
    pub(super) cutoff: i64,
    pub(super) hold_until: i64,
}

impl Promise {
    pub(super) fn tell(&self, decision: &mut Decision) {
        decision.service.clone_from(&self.service);
        decision.day = self.day;
        decision.cutoff_ms = self.cutoff;
        decision.hold_until_ms = self.hold_until;
    }
}

/// A delivery day that is still to be had.
#[derive(Clone, Copy, Debug)]
struct Offer {
    day: u32,
    cutoff: i64,
}

/// What a Place comes to by the delivery of its pool.
struct Choice<'a> {
    rule: u64,
    service: &'a DeliveryService,
    taken: Result<Offer, Reason>,
    next: Option<Offer>,
}

fn asks(it: &Place) -> bool {
    !it.service.is_empty() || it.day != 0 || it.late != 0
}

fn is_late(late: i32) -> bool {
    [Late::Unspecified, Late::Roll, Late::Reject].map(i32::from).contains(&late)
}

/// The cutoff of a day on which a service dispatches, in seconds of that day.
fn cutoff_s(service: &DeliveryService, day: i64) -> Option<u32> {
    let written = written(day)?;
    let is_closed = service.closed.iter().any(|closed| closed.day == written);
    let found = service.days.iter().find(|it| it.weekday == weekday(day)).filter(|_| !is_closed);
    found.map(|it| it.cutoff_s)
}

/// Days that can still be had at `now`, earliest first.
fn offers(service: &DeliveryService, now: i64) -> Vec<Offer> {
    let zone = Zone::named(&service.time_zone).expect("looked at before");
    let today = zone.day(now);
    // No day before today has a cutoff that is still to come; those are looked at all the same.
    let days = (today - 2)..=today + i64::from(service.horizon);
    let days: Vec<_> = days.filter_map(|day| Some((day, cutoff_s(service, day)?))).collect();
    let delivered = days.iter().skip(service.lead as usize);
    let offers = days.iter().zip(delivered).map(|((day, cutoff_s), (delivered, _))| Offer {
        day: written(*delivered).expect("it is one of the calendar"),
        cutoff: zone.reaches(day * DAY_MS + i64::from(*cutoff_s) * 1_000),
    });
    offers.filter(|offer| now < offer.cutoff).collect()
}

impl Model {
    fn standing_delivery(&self, pool: &str) -> Option<(u64, &SetDelivery)> {
        let delivery = self.deliveries.get(pool)?;
        Some((delivery.stamp.sequence, delivery.rule.as_ref()?))
    }

    fn service_for(&self, it: &Place) -> Option<(u64, &DeliveryService)> {
        let (rule, delivery) = self.standing_delivery(&it.pool)?;
        let mut services = delivery.services.iter();
        let service = if it.service.is_empty() { services.next() } else { services.find(|of| of.name == it.service) };
        Some((rule, service?))
    }

    /// What is kept day by day of deliveries that stand counts for so many remembered ids.
    pub(super) fn ids_of_horizons(&self) -> usize {
        let standing = self.deliveries.values().filter_map(|delivery| delivery.rule.as_ref());
        standing.flat_map(|rule| &rule.services).map(|service| service.horizon.div_ceil(2) as usize).sum()
    }

    /// Whether a Place asks its pool for what it does not have, or for what this table cannot tell.
    pub(super) fn no_such_service(&self, it: &Place) -> Option<Reason> {
        match self.service_for(it) {
            Some((_, service)) => Zone::named(&service.time_zone).is_none().then_some(Reason::TimeZone),
            None => (self.standing_delivery(&it.pool).is_some() || asks(it)).then_some(Reason::NoSuchService),
        }
    }

    fn has_room(&self, pool: &str, service: &DeliveryService, offer: &Offer) -> bool {
        let taken = self.day_counts.get(&(pool.to_owned(), service.name.clone(), offer.day)).copied().unwrap_or(0);
        service.orders_a_day == 0 || service.orders_a_day > taken
    }

    fn choose(&self, it: &Place) -> Option<Choice<'_>> {
        let (rule, service) = self.service_for(it)?;
        let late = [it.late, service.late].into_iter().find(|late| *late != Late::Unspecified as i32);
        let rejects = late == Some(Late::Reject as i32);
        let looked_at: Vec<_> = offers(service, self.now).into_iter().filter(|offer| offer.day >= it.day).collect();
        let has_room = |offer: &&Offer| self.has_room(&it.pool, service, offer);
        let next = looked_at.iter().find(has_room).copied();
        let taken = match looked_at.first() {
            None => Err(Reason::Late),
            Some(first) if rejects && it.day != 0 && first.day != it.day => Err(Reason::Late),
            Some(first) if rejects => Some(*first).filter(|first| has_room(&first)).ok_or(Reason::DeliveryFull),
            Some(_) => next.ok_or(Reason::DeliveryFull),
        };
        Some(Choice { rule, service, taken, next })
    }

    pub(super) fn undelivered(&self, it: &Place) -> Option<Bar> {
        let choice = self.choose(it)?;
        let reason = choice.taken.err()?;
        Some(Bar { rule: choice.rule, ..Bar::of(reason) })
    }

    /// Tells an order that no day takes which one it could have.
    pub(super) fn tell_next_day(&self, it: &Place, decision: &mut Decision) {
        let choice = self.choose(it).expect("it was barred by it");
        decision.service.clone_from(&choice.service.name);
        (decision.day, decision.cutoff_ms) = choice.next.map_or((0, 0), |next| (next.day, next.cutoff));
    }

    /// The day on which an order will be delivered that nothing else bars, in days since the epoch.
    pub(super) fn delivery_day(&self, it: &Place) -> Option<i64> {
        day_of(self.choose(it)?.taken.ok()?.day)
    }

    /// Gives an order that is reserved its day, by which its hold ends, and says so in its decision.
    pub(super) fn promise(&mut self, it: &Place, decision: &mut Decision) -> Option<Promise> {
        let Choice { service, taken, .. } = self.choose(it)?;
        let Offer { day, cutoff } = taken.expect("nothing bars it");
        let hold_until = cutoff + service.grace_ms as i64;
        let promise = Promise { service: service.name.clone(), day, cutoff, hold_until };
        *self.day_counts.entry((it.pool.clone(), promise.service.clone(), day)).or_default() += 1;
        promise.tell(decision);
        decision.expires_at_ms = decision.expires_at_ms.min(hold_until);
        Some(promise)
    }

    /// An order is released: its place on the day is another's, if that can still be had.
    pub(super) fn give_back_day(&mut self, pool: &str, promise: &Promise) {
        if self.now < promise.cutoff {
            let day = (pool.to_owned(), promise.service.clone(), promise.day);
            *self.day_counts.get_mut(&day).expect("it stands longer than the cutoff is away") -= 1;
        }
    }

    /// Sets the delivery of a pool, or removes it; `stamp` is that of the decision.
    pub(super) fn set_delivery(&mut self, pool: &str, it: &SetDelivery, stamp: Stamp) {
        let rule = (!it.services.is_empty()).then(|| it.clone());
        self.deliveries.insert(pool.to_owned(), Delivery { stamp, rule });
    }

    /// Forgets the counts of days that are over everywhere.
    pub(super) fn drop_past_days(&mut self) {
        let now = self.now;
        let end = |day: u32| (day_of(day).expect("an order has it") + 2) * DAY_MS;
        self.day_counts.retain(|(_, _, day), _| now < end(*day));
    }

    /// Pools that are known by their delivery, or by what was counted for it.
    pub(super) fn delivering_pools(&self) -> impl Iterator<Item = &String> {
        self.deliveries.keys().chain(self.day_counts.keys().map(|(pool, ..)| pool))
    }
}

/// What is wrong with what a Place asks of its delivery.
pub(super) fn asked_fault(it: &Place) -> Option<Reason> {
    if it.service.len() > LONGEST_ID {
        return Some(Reason::IdTooLong);
    }
    let is_day = it.day == 0 || day_of(it.day).is_some();
    (!is_day || !is_late(it.late)).then_some(Reason::Times)
}

/// What is wrong with the command itself.
pub(super) fn delivery_fault(it: &SetDelivery) -> Option<Reason> {
    let texts = it.services.iter().flat_map(|service| [&service.name, &service.time_zone]);
    if let Some(reason) = texts.into_iter().find_map(|text| id_fault(text)) {
        return Some(reason);
    }
    if it.services.len() > MOST_SERVICES || it.services.iter().any(|service| service.closed.len() > MOST_CLOSED) {
        return Some(Reason::TooMany);
    }
    let names: Vec<&str> = it.services.iter().map(|service| service.name.as_str()).collect();
    if doubled(&names) {
        return Some(Reason::Doubled);
    }
    let never = || it.services.iter().any(never_delivers).then_some(Reason::Times);
    it.services.iter().find_map(service_fault).or_else(never)
}

/// Whatever day of the week it is, there are not more dispatch days than its lead up to its horizon.
fn never_delivers(it: &DeliveryService) -> bool {
    let is_dispatched = |weekday: u32| it.days.iter().any(|day| day.weekday == weekday);
    (1..=7).all(|today| {
        let ahead = (0..=it.horizon).map(|ahead| (today - 1 + ahead) % 7 + 1);
        ahead.filter(|weekday| is_dispatched(*weekday)).count() <= it.lead as usize
    })
}

fn service_fault(it: &DeliveryService) -> Option<Reason> {
    if Zone::named(&it.time_zone).is_none() {
        return Some(Reason::TimeZone);
    }
    if it.days.is_empty() {
        return Some(Reason::Times);
    }
    for (at, day) in it.days.iter().enumerate() {
        if !(1..=7).contains(&day.weekday) || !(1..=DAY_S).contains(&day.cutoff_s) {
            return Some(Reason::Times);
        }
        if it.days[..at].iter().any(|before| before.weekday == day.weekday) {
            return Some(Reason::Doubled);
        }
    }
    if it.lead > LONGEST_LEAD {
        return Some(Reason::Times);
    }
    for (at, closed) in it.closed.iter().enumerate() {
        if day_of(closed.day).is_none() {
            return Some(Reason::Times);
        }
        if it.closed[..at].contains(closed) {
            return Some(Reason::Doubled);
        }
    }
    if it.orders_a_day > MOST_STOCK {
        return Some(Reason::Quantity);
    }
    let wrong = !(1..=LONGEST_HORIZON).contains(&it.horizon) || !is_late(it.late) || it.grace_ms > LONGEST_GRACE_MS;
    wrong.then_some(Reason::Times)
}
