//! Deliveries of pools: services, with the days that can be had of each kept from one turn of its clock to the next.

use std::sync::Arc;

use super::calendar::{DeliveryDay, Dispatch, WEEK, Zone};
use super::days::Days;
use super::selling::{NONE, Stamp};
use crate::wire::proto::Late;
use crate::wire::{Delivery, DeliveryService, Text};

/// Remembered ids that so many days of a horizon count for one: a day is kept in 16 bytes.
const DAYS_PER_ID: usize = 2;

/// A delivery that stands, or was removed.
#[derive(Debug)]
pub(crate) struct DeliverySlot {
    pub(crate) stamp: Stamp,
    /// None once it was removed.
    pub(crate) services: Vec<Service>,
    /// What it adds to the digest.
    pub(super) digest: u128,
    /// Remembered ids that it counts for.
    pub(super) ids: usize,
}

impl DeliverySlot {
    pub(crate) fn stands(&self) -> bool {
        !self.services.is_empty()
    }

    /// Remembered ids that the days count for that are kept of it.
    pub(super) fn ids_of_days(&self) -> usize {
        self.services.iter().map(|service| service.horizon.div_ceil(DAYS_PER_ID)).sum()
    }

    /// Place of the service of that name; of the first if none is named.
    pub(crate) fn place_of(&self, name: Text<'_>) -> Option<usize> {
        let first = (name.is_empty() && self.stands()).then_some(0);
        first.or_else(|| self.services.iter().position(|service| name == &*service.name))
    }
}

/// A way in which orders are delivered.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    /// None where the table at hand does not have its zone.
    pub(crate) dispatch: Option<Dispatch>,
    /// 0: no bound.
    pub(crate) orders_a_day: u64,
    /// Whether an order is rejected whose day takes it no more.
    pub(crate) rejects: bool,
    pub(crate) grace_ms: i64,
    horizon: usize,
    /// The days that can be had until `turns_ms`, in ascending order.
    pub(crate) offers: Vec<Offer>,
    pub(crate) turns_ms: i64,
}

/// A delivery day that can be had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) day: u32,
    pub(crate) cutoff_ms: i64,
    /// The count of its orders; [`NONE`] before the first.
    pub(crate) count: u32,
}

impl Service {
    /// One whose figures were found to be in range.
    fn of(it: &DeliveryService<'_>) -> Service {
        let mut cutoffs_s = [0; WEEK];
        for (weekday, cutoff_s) in it.days() {
            cutoffs_s[weekday as usize - 1] = cutoff_s;
        }
        let mut closed: Vec<u32> = it.closed().collect();
        closed.sort_unstable();
        let (lead, horizon) = (it.lead as usize, it.horizon as usize);
        Service {
            name: it.name.as_str().into(),
            dispatch: Zone::named(it.time_zone.as_str()).map(|zone| Dispatch {
                zone,
                cutoffs_s,
                closed,
                lead,
                horizon,
            }),
            orders_a_day: it.orders_a_day,
            rejects: it.late == Late::Reject as i32,
            grace_ms: it.grace_ms as i64,
            horizon,
            // All that it can ever offer at once: a turn stands on the way of an order.
            offers: Vec::with_capacity(horizon + 1),
            turns_ms: i64::MIN,
        }
    }

    pub(crate) fn all_of(delivery: &Delivery<'_>) -> Vec<Service> {
        delivery.services().map(|service| Service::of(&service)).collect()
    }

    /// Finds out anew what can be had, if it may be something else by now. Tells whether anything ever can.
    pub(crate) fn turn(&mut self, now_ms: i64, pool: u32, days: &Days) -> bool {
        let Service { name, dispatch: Some(dispatch), offers, turns_ms, .. } = self else { return false };
        if now_ms >= *turns_ms {
            offers.clear();
            *turns_ms = dispatch.delivery_days(now_ms, |DeliveryDay { day, cutoff_ms }| {
                offers.push(Offer { day, cutoff_ms, count: days.find(pool, (&**name).into(), day) });
            });
        }
        true
    }

    /// The orders of a day are counted from now on.
    pub(crate) fn note_count(&mut self, day: u32, count: u32) {
        self.offers.iter_mut().filter(|offer| offer.day == day && offer.count == NONE).for_each(|it| it.count = count);
    }
}
