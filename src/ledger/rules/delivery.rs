//! Delivery: on which day an order of a pool is delivered, and until when each day can be had.

use super::id_fault;
use super::ladder::Asker;
use super::sale::has_doubled;
use super::verdict::{LineBar, LinesAtHand, OnDay};
use crate::ledger::state::State;
use crate::ledger::state::calendar::{END_OF_DAY_S, Zone, is_day, is_over_at_ms};
use crate::ledger::state::delivery::{DeliverySlot, Service};
use crate::ledger::state::orders::NewDelivery;
use crate::ledger::state::selling::{NONE, Stamp};
use crate::wire::decision::Selling;
use crate::wire::limits::{
    MAX_CLOSED_DAYS, MAX_GRACE_MS, MAX_HORIZON_DAYS, MAX_ID_BYTES, MAX_LEAD, MAX_SERVICES, MAX_STOCK_QUANTITY,
};
use crate::wire::proto::{Late, Reason};
use crate::wire::{Delivery, DeliveryAsked, DeliveryService, Rule, Text};

impl State {
    /// What is wrong with what an order asks of the delivery of its pool. If nothing is, the service that it asks for
    /// knows what can be had now.
    #[inline]
    pub(super) fn service_fault(&mut self, pool: Option<u32>, asked: &DeliveryAsked<'_>) -> Option<Reason> {
        match pool.and_then(|pool| Some((pool, self.rows.pool_scope(pool)?))) {
            Some((pool, scope)) => self.turn_service(pool, scope, asked),
            None => (!asked.is_empty()).then_some(Reason::NoSuchService),
        }
    }

    #[inline(never)]
    fn turn_service(&mut self, pool: u32, scope: u32, asked: &DeliveryAsked<'_>) -> Option<Reason> {
        let delivery = self.selling.scopes[scope].delivery.as_deref_mut().filter(|slot| slot.stands());
        let Some(delivery) = delivery else { return (!asked.is_empty()).then_some(Reason::NoSuchService) };
        let Some(at) = delivery.place_of(asked.service) else { return Some(Reason::NoSuchService) };
        let is_known = delivery.services[at].turn(self.shard_time_ms, pool, &self.days);
        (!is_known).then_some(Reason::TimeZone)
    }

    /// An order whose delivery day can't be had. What can stands in `at_hand` then, and otherwise the order's day.
    pub(super) fn late_or_full(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> Option<LineBar> {
        let delivery = self.standing_delivery(pool)?;
        let asked = asker.delivery();
        let service = &delivery.services[delivery.place_of(asked.service).expect("it was asked for before")];
        let offers = &service.offers[service.offers.partition_point(|offer| offer.day < asked.day)..];
        let bound = if service.orders_a_day == 0 { u64::MAX } else { service.orders_a_day };
        let next = offers.iter().find(|offer| self.days.orders(offer.count) < bound);
        let rejects = match asked.late {
            0 => service.rejects,
            late => late == Late::Reject as i32,
        };
        let reason = match offers.first().map(|first| first.day) {
            None => Some(Reason::Late),
            Some(first) if rejects && asked.day != 0 && asked.day != first => Some(Reason::Late),
            Some(first) if rejects && next.is_none_or(|next| next.day != first) => Some(Reason::DeliveryFull),
            Some(_) => next.is_none().then_some(Reason::DeliveryFull),
        };
        at_hand.service.clear();
        at_hand.service.push_str(&service.name);
        let day = next.map(|offer| OnDay {
            day: offer.day,
            cutoff_ms: offer.cutoff_ms,
            hold_until_ms: if reason.is_none() { offer.cutoff_ms.saturating_add(service.grace_ms) } else { 0 },
            count: offer.count,
        });
        at_hand.delivery = Some(day.unwrap_or_default());
        reason.map(|reason| LineBar { rule: delivery.stamp.sequence, ..LineBar::new(reason) })
    }

    fn standing_delivery(&self, pool: u32) -> Option<&DeliverySlot> {
        let scope = &self.selling.scopes[self.rows.pool_scope(pool)?];
        scope.delivery.as_deref().filter(|slot| slot.stands())
    }

    /// One more order of a day, whose count is made if there is none.
    pub(super) fn count_order<'a>(&mut self, pool: u32, it: NewDelivery<'a>) -> NewDelivery<'a> {
        let NewDelivery { service, day, .. } = it;
        let mut count = it.count;
        if count == NONE {
            count = self.days.find(pool, service, day);
        }
        if count == NONE {
            let scope = self.rows.pool_scope(pool).expect("an order with a delivery is of a pool that has one");
            let services = self.selling.scopes[scope].delivery.iter_mut().flat_map(|slot| &mut slot.services);
            let known = services.into_iter().find(|known| service == &*known.name).expect("it is one of its services");
            count = self.days.make(pool, self.rows.pool_name(pool), known.name.clone(), day);
            known.note_count(day, count);
            self.rows.pin_pool(pool);
        }
        self.days.add(count);
        NewDelivery { count, ..it }
    }

    /// Sets a delivery, or removes it. The pool is made known.
    pub(crate) fn set_delivery(&mut self, pool_name: Text<'_>, delivery: &Delivery<'_>, issued_at_ms: i64) {
        let scope = self.make_scope(pool_name, Text::EMPTY);
        let stamp = Stamp { issued_at_ms, sequence: self.sequence, generation: self.records.now() };
        let stands = !delivery.removes();
        self.canonical.begin(13).str(pool_name.as_bytes()).stamp(&stamp).u8(stands.into());
        if stands {
            self.canonical.rule(&Rule::Delivery(*delivery));
        }
        let services = Service::all_of(delivery);
        if self.selling.scopes[scope].delivery.is_none() {
            self.rows.pin_pool(self.selling.scopes[scope].pool);
        }
        self.selling.put_delivery(scope, stamp, services, self.canonical.bytes());
    }

    /// When the delivery that stands was set, or the one that is remembered removed.
    pub(super) fn delivery_stamp(&self, pool: Text<'_>) -> Option<Stamp> {
        let scope = self.rows.pool(pool).and_then(|pool| self.rows.pool_scope(pool))?;
        self.selling.scopes[scope].delivery.as_ref().map(|slot| slot.stamp)
    }

    /// The delivery of an order that was reserved: the decision says it, and nothing of the rule is evaluated.
    pub(super) fn follow_delivery<'a>(
        &self,
        pool: u32,
        expires_at_ms: i64,
        told: Option<&Selling<'a>>,
    ) -> Result<Option<NewDelivery<'a>>, &'static str> {
        let delivery = self.standing_delivery(pool);
        let Some(told) = told.filter(|told| !told.service.is_empty()) else {
            let stray = told.is_some_and(|told| told.day != 0 || told.cutoff_ms != 0 || told.hold_until_ms != 0);
            return match delivery {
                None if !stray => Ok(None),
                _ => Err("nothing tells by which service the order is delivered"),
            };
        };
        let Selling { service, day, cutoff_ms, hold_until_ms, .. } = *told;
        if delivery.is_none_or(|delivery| delivery.place_of(service).is_none()) {
            return Err("the pool has no such service");
        }
        // Whoever takes the order out of its day relies on the count being there until the cutoff.
        let over_ms = is_over_at_ms(day).ok_or("the delivery day is none")?;
        if cutoff_ms <= self.shard_time_ms || cutoff_ms > over_ms {
            return Err("the cutoff is none of that day");
        }
        if hold_until_ms < cutoff_ms.max(expires_at_ms) {
            return Err("the hold outlasts what its delivery allows");
        }
        Ok(Some(NewDelivery { service, day, cutoff_ms, hold_until_ms, count: NONE }))
    }
}

/// What is wrong with what an order asks of a delivery.
pub(super) fn asked_fault(asked: &DeliveryAsked<'_>) -> Option<Reason> {
    if asked.service.len() > MAX_ID_BYTES {
        return Some(Reason::IdTooLong);
    }
    let is_known = (asked.day == 0 || is_day(asked.day)) && Late::try_from(asked.late).is_ok();
    (!is_known).then_some(Reason::Times)
}

/// What is wrong with the command itself.
pub(super) fn fault(delivery: &Delivery<'_>) -> Option<Reason> {
    fault_by(delivery, |zone| Zone::named(zone.as_str()).is_some()).or_else(|| {
        // Whoever meant that no day can ever be had would halt the pool.
        delivery.services().any(|service| !delivers(&service)).then_some(Reason::Times)
    })
}

/// Whether there is a day on which an order finds enough dispatch days within the horizon, closed days apart.
fn delivers(it: &DeliveryService<'_>) -> bool {
    let dispatches = it.days().fold(0_u8, |all, (weekday, _)| all | 1 << (weekday % 7));
    let found = |first: u32| (first..=first + it.horizon).filter(|day| dispatches >> (day % 7) & 1 == 1).count();
    (0..7).any(|first| found(first) > it.lead as usize)
}

/// The same of one that stands in a log, which may have been written by a table with more zones, or before it was asked
/// whether any day can be had.
pub(super) fn logged_fault(delivery: &Delivery<'_>) -> Option<Reason> {
    fault_by(delivery, |_| true)
}

fn fault_by(delivery: &Delivery<'_>, knows: impl Fn(Text<'_>) -> bool) -> Option<Reason> {
    let services = || delivery.services();
    if let Some(reason) = services().flat_map(|service| [service.name, service.time_zone]).find_map(id_fault) {
        return Some(reason);
    }
    if services().count() > MAX_SERVICES || services().any(|service| service.closed().count() > MAX_CLOSED_DAYS) {
        return Some(Reason::TooMany);
    }
    if has_doubled::<MAX_SERVICES>(services().map(|service| service.name)) {
        return Some(Reason::Doubled);
    }
    services().find_map(|service| service_fault(&service, &knows))
}

fn service_fault(it: &DeliveryService<'_>, knows: impl Fn(Text<'_>) -> bool) -> Option<Reason> {
    if !knows(it.time_zone) {
        return Some(Reason::TimeZone);
    }
    days_fault(it)
        .or((it.lead > MAX_LEAD).then_some(Reason::Times))
        .or_else(|| closed_fault(it))
        .or((it.orders_a_day > MAX_STOCK_QUANTITY).then_some(Reason::Quantity))
        .or_else(|| {
            let in_range = (1..=MAX_HORIZON_DAYS).contains(&it.horizon) && it.grace_ms <= MAX_GRACE_MS;
            (!in_range || Late::try_from(it.late).is_err()).then_some(Reason::Times)
        })
}

/// As in [`has_doubled`], the list is walked once.
fn closed_fault(it: &DeliveryService<'_>) -> Option<Reason> {
    let mut before = [0; MAX_CLOSED_DAYS];
    for (at, day) in it.closed().take(MAX_CLOSED_DAYS).enumerate() {
        if !is_day(day) {
            return Some(Reason::Times);
        }
        if before[..at].contains(&day) {
            return Some(Reason::Doubled);
        }
        before[at] = day;
    }
    None
}

fn days_fault(it: &DeliveryService<'_>) -> Option<Reason> {
    let mut seen = 0_u8;
    for (weekday, cutoff_s) in it.days() {
        if !(1..=7).contains(&weekday) || !(1..=END_OF_DAY_S).contains(&cutoff_s) {
            return Some(Reason::Times);
        }
        if seen >> weekday & 1 == 1 {
            return Some(Reason::Doubled);
        }
        seen |= 1 << weekday;
    }
    (seen == 0).then_some(Reason::Times)
}
