//! On which days a pool of a run delivers, as far as its decisions tell: which services were set, and how many orders each
//! day has. So each order is told what must have been decided of it: which day, until when it could be had, or that none
//! could. It knows nothing of how the engine keeps its own.

use std::collections::BTreeMap;

use sluice::wire::Delivery as Rule;
use sluice::wire::proto::Late;

use super::zone::Zone;
use crate::load::traffic::days::{Asked, day_of};

/// A week, in days.
const WEEK: usize = 7;

/// The delivery of one pool of a run.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Sequence of the decision that set it.
    rule: u64,
    services: Vec<Service>,
    /// Orders of each day, by service. They are the pool's: no rule takes them away.
    counts: BTreeMap<String, BTreeMap<i32, u64>>,
}

#[derive(Debug)]
struct Service {
    name: String,
    zone: Zone,
    /// Seconds of the day, by weekday from Monday on; none: no dispatch.
    cutoffs_s: [Option<u32>; WEEK],
    lead: usize,
    closed: Vec<i32>,
    orders_a_day: u64,
    horizon: i32,
    rejects: bool,
    grace_ms: i64,
    /// Those of the instant that was looked at last, and until when they stay the same.
    offers: Vec<Offer>,
    seen_on: Option<i32>,
    until_ms: i64,
}

/// A day on which may be delivered what is ordered before an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Days since 1970-01-01.
    pub(super) day: i32,
    pub(super) cutoff_ms: i64,
}

/// What must be decided of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing is said of a day.
    Free,
    /// It is delivered so.
    On {
        service: String,
        offer: Offer,
        hold_until_ms: i64,
        /// An earlier day that it might have had was full.
        rolled: bool,
    },
    /// No day that it may have is still to be had; the next one that has room.
    Late { service: String, next: Option<Offer> },
    /// All orders that the day takes, or those that it may roll on to; the same.
    Full { service: String, next: Option<Offer> },
    /// It asks for a service that there is not.
    Nonsense,
}

impl Delivery {
    /// Services were set by the decision of this sequence.
    pub(super) fn set(&mut self, rule: &Rule<'_>, sequence: u64) {
        self.rule = sequence;
        let service = |told: sluice::wire::DeliveryService<'_>| {
            let mut cutoffs_s = [None; WEEK];
            for (weekday, cutoff_s) in told.days() {
                if let Some(cutoff) = (weekday as usize).checked_sub(1).and_then(|at| cutoffs_s.get_mut(at)) {
                    *cutoff = Some(cutoff_s);
                }
            }
            Some(Service {
                name: told.name.to_string(),
                zone: Zone::new(told.time_zone.as_str())?,
                cutoffs_s,
                lead: told.lead as usize,
                closed: told.closed().filter_map(day_of).collect(),
                orders_a_day: told.orders_a_day,
                horizon: told.horizon as i32,
                rejects: told.late == Late::Reject as i32,
                grace_ms: told.grace_ms as i64,
                offers: Vec::new(),
                seen_on: None,
                until_ms: 0,
            })
        };
        self.services = rule.services().filter_map(service).collect();
    }

    /// Sequence of the decision that set it last; 0: none did.
    pub(super) fn rule(&self) -> u64 {
        self.rule
    }

    /// What must be decided of an order that comes at an instant and asks for this.
    pub(super) fn due(&mut self, at_ms: i64, asked: &Asked) -> Due {
        let named = |service: &&mut Service| asked.service.is_empty() || service.name == asked.service;
        let is_set = !self.services.is_empty();
        let Some(service) = self.services.iter_mut().find(named) else {
            return if is_set || *asked != Asked::default() { Due::Nonsense } else { Due::Free };
        };
        service.look(at_ms);
        let name = service.name.clone();
        let count = |day: i32| self.counts.get(&service.name).and_then(|days| days.get(&day)).copied().unwrap_or(0);
        let has_room = |offer: &&Offer| service.orders_a_day == 0 || count(offer.day) < service.orders_a_day;
        let named = day_of(asked.day);
        let looked_at = || service.offers.iter().filter(|offer| named.is_none_or(|day| offer.day >= day));
        let next = looked_at().find(has_room).copied();
        let rejects = match asked.late {
            Late::Unspecified => service.rejects,
            late => late == Late::Reject,
        };
        let Some(first) = looked_at().next() else { return Due::Late { service: name, next } };
        if rejects && named.is_some_and(|day| first.day != day) {
            return Due::Late { service: name, next };
        }
        match next {
            Some(offer) if !rejects || offer == *first => {
                let hold_until_ms = offer.cutoff_ms + service.grace_ms;
                Due::On { service: name, offer, hold_until_ms, rolled: offer != *first }
            }
            _ => Due::Full { service: name, next },
        }
    }

    /// An order was reserved for a day.
    pub(super) fn took(&mut self, service: &str, day: i32) {
        *self.counts.entry(service.to_owned()).or_default().entry(day).or_default() += 1;
    }

    /// One gave its place back. False if there was none.
    pub(super) fn gave_back(&mut self, service: &str, day: i32) -> bool {
        let count = self.counts.get_mut(service).and_then(|days| days.get_mut(&day)).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    }
}

impl Service {
    /// Makes the offers those of an instant.
    fn look(&mut self, at_ms: i64) {
        let today = self.zone.day(at_ms);
        if self.seen_on == Some(today) && at_ms < self.until_ms {
            return;
        }
        // A clock that was put back over midnight shows a day again whose dispatch has closed; none goes back by two days.
        let last = today + self.horizon;
        let days: Vec<i32> = (today - 2..=last).filter(|day| self.dispatches(*day)).collect();
        let mut offers = Vec::new();
        for (at, day) in days.iter().enumerate() {
            let Some(delivered) = days.get(at + self.lead) else { break };
            let cutoff_s = self.cutoff_s(*day).unwrap_or(0);
            let cutoff_ms = self.zone.first_ms(*day, cutoff_s);
            if at_ms < cutoff_ms {
                offers.push(Offer { day: *delivered, cutoff_ms });
            }
        }
        self.until_ms = offers.first().map_or(i64::MAX, |offer| offer.cutoff_ms);
        self.seen_on = Some(today);
        self.offers = offers;
    }

    fn dispatches(&self, day: i32) -> bool {
        self.cutoff_s(day).is_some() && !self.closed.contains(&day)
    }

    /// 1970-01-01 was a Thursday, the fourth day of its week.
    fn cutoff_s(&self, day: i32) -> Option<u32> {
        self.cutoffs_s[(day + 3).rem_euclid(WEEK as i32) as usize]
    }
}
