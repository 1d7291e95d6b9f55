//! Days and lots as the small engine keeps them: plainly, in a place that is nine hours ahead of UTC.

use std::collections::HashMap;

use sluice::wire::proto::{self, Late, LineDecision, LotLevel, LotUnits, Place, Reason};

use super::seller::Flaw;
use crate::load::traffic::days::{day_of, written};

const DAY_MS: i64 = 86_400_000;
/// Asia/Seoul.
const AHEAD_MS: i64 = 9 * 3_600_000;

/// What was set and received, and what orders have of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Grocer {
    flaw: Option<Flaw>,
    lots: HashMap<String, Vec<LotLevel>>,
    least_days: HashMap<String, i32>,
    services: Vec<proto::DeliveryService>,
    rule: u64,
    counts: HashMap<(String, u32), u64>,
    orders: HashMap<(String, u32), Had>,
}

/// What an open order has.
#[derive(Clone, Debug, Default)]
pub(super) struct Had {
    pub(super) when: When,
    pub(super) expires_at_ms: i64,
    /// The lots of each line.
    pub(super) parts: Vec<(String, Vec<LotUnits>)>,
    committed: bool,
}

/// What an order is told of its delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct When {
    pub(super) service: String,
    pub(super) day: u32,
    pub(super) cutoff_ms: i64,
    pub(super) hold_until_ms: i64,
    /// Of a refusal.
    pub(super) rule: u64,
}

impl Grocer {
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, ..Self::default() }
    }

    pub(super) fn set_freshness(&mut self, rule: &proto::SetFreshness) {
        self.least_days.insert(rule.sku.clone(), rule.least_days as i32);
    }

    pub(super) fn set_delivery(&mut self, rule: &proto::SetDelivery, sequence: u64) {
        (self.services, self.rule) = (rule.services.clone(), sequence);
    }

    /// So many units come into a lot; what it then is.
    pub(super) fn moved(&mut self, sku: &str, lot: &str, expiry: u32, change: i64) -> Option<LotLevel> {
        if lot.is_empty() {
            return None;
        }
        let lots = self.lots.entry(sku.to_owned()).or_default();
        if lots.iter().all(|known| known.lot != lot) {
            let number = (1..).find(|number| lots.iter().all(|lot| lot.number != *number)).expect("there are many");
            lots.push(LotLevel { number, lot: lot.to_owned(), expiry, ..Default::default() });
        }
        let lot = lots.iter_mut().find(|known| known.lot == lot)?;
        lot.on_hand += change;
        let is = lot.clone();
        let shortfall = (is.reserved as i64 + is.committed as i64 - is.on_hand).max(0) as u64;
        lots.retain(|lot| !is_gone(lot));
        if lots.is_empty() {
            self.lots.remove(sku);
        }
        Some(LotLevel { shortfall, ..is })
    }

    /// Units reserved and committed of a SKU that has lots.
    pub(super) fn taken(&self, sku: &str) -> Option<(u64, u64)> {
        let lots = self.lots.get(sku)?.iter();
        Some(lots.fold((0, 0), |sum, lot| (sum.0 + lot.reserved, sum.1 + lot.committed)))
    }

    /// Day and cutoff that an order has, or why it has none.
    pub(super) fn when(&self, place: &Place, at_ms: i64) -> Result<When, (Reason, When)> {
        let named = |service: &&proto::DeliveryService| place.service.is_empty() || service.name == place.service;
        let Some(service) = self.services.iter().find(named) else { return Ok(When::default()) };
        let more = |of: fn(Flaw) -> Option<i64>| self.flaw.and_then(of).unwrap_or(0);
        let shift_ms = more(|flaw| if let Flaw::Dawdles(ms) = flaw { Some(ms) } else { None });
        let packs = more(|flaw| if let Flaw::Packs(orders) = flaw { Some(orders) } else { None });
        let grace_ms = more(|flaw| if let Flaw::Lingers(ms) = flaw { Some(ms) } else { None });
        let today = (at_ms + AHEAD_MS).div_euclid(DAY_MS) as i32;
        let closed: Vec<i32> = service.closed.iter().filter_map(|closed| day_of(closed.day)).collect();
        let days: Vec<i32> = (today..=today + service.horizon as i32).filter(|day| !closed.contains(day)).collect();
        let mut offers = Vec::new();
        for (at, day) in days.iter().enumerate() {
            let cutoff_ms =
                i64::from(*day) * DAY_MS + i64::from(service.days[0].cutoff_s) * 1_000 - AHEAD_MS + shift_ms;
            if let Some(delivered) = days.get(at + service.lead as usize).filter(|_| at_ms < cutoff_ms) {
                offers.push((written(*delivered), cutoff_ms - shift_ms));
            }
        }
        offers.retain(|(day, _)| *day >= place.day);
        let has_room = |(day, _): &&(u32, i64)| {
            let count = self.counts.get(&(service.name.clone(), *day)).copied().unwrap_or(0) as i64;
            service.orders_a_day == 0 || count < service.orders_a_day as i64 + packs
        };
        let late = if place.late() == Late::Unspecified { service.late() } else { place.late() };
        let rejects = late == Late::Reject && self.flaw != Some(Flaw::Yields);
        let with_room = offers.iter().find(has_room);
        let when = |(day, cutoff_ms): (u32, i64)| When { day, cutoff_ms, ..When::default() };
        let named = When { service: service.name.clone(), ..with_room.copied().map(when).unwrap_or_default() };
        let refused = |reason| Err((reason, When { rule: self.rule, ..named.clone() }));
        match (offers.first(), with_room) {
            (None, _) => refused(Reason::Late),
            (Some((day, _)), _) if rejects && place.day > 0 && *day != place.day => refused(Reason::Late),
            (first, Some(offer)) if !rejects || first == Some(offer) => {
                Ok(When { hold_until_ms: offer.1 + service.grace_ms as i64 + grace_ms, ..named })
            }
            _ => refused(Reason::DeliveryFull),
        }
    }

    /// The lots of which an order may have something, first expiring first, each with its free units. None: there are none.
    fn eligible(&self, sku: &str, day: i32) -> Option<Vec<(u32, i64)>> {
        let least_days = self.least_days.get(sku).copied().unwrap_or(0);
        let (mut days, mut spare) = (day + least_days, 0);
        match self.flaw {
            Some(Flaw::Stale(by)) => days -= by,
            Some(Flaw::Crams(units)) => spare = units,
            _ => {}
        }
        let mut order: Vec<&LotLevel> = self.lots.get(sku)?.iter().collect();
        order.retain(|lot| day_of(lot.expiry) >= Some(days));
        order.sort_by_key(|lot| (lot.expiry, lot.number));
        if self.flaw == Some(Flaw::Backwards) {
            order.reverse();
        }
        let free = |lot: &LotLevel| (lot.on_hand - lot.reserved as i64 - lot.committed as i64 + spare).max(0);
        Some(order.into_iter().map(|lot| (lot.number, free(lot))).collect())
    }

    /// Units that an order may have of lots; none: there are none.
    pub(super) fn free(&self, sku: &str, day: i32) -> Option<i64> {
        Some(self.eligible(sku, day)?.iter().map(|(_, free)| free).sum())
    }

    /// Takes the lots of a line, which has them.
    pub(super) fn take(&mut self, sku: &str, quantity: i64, day: i32) -> Vec<LotUnits> {
        let (mut parts, mut left) = (Vec::new(), quantity);
        for (number, free) in self.eligible(sku, day).unwrap_or_default() {
            let units = free.min(left);
            left -= units;
            parts.push(LotUnits { lot: number, units: units as u32, shortfall: 0 });
        }
        parts.retain(|part| part.units > 0);
        each(&mut self.lots, &[(sku.to_owned(), parts.clone())], |lot, units| lot.reserved += units as u64);
        parts
    }

    /// An order was reserved.
    pub(super) fn reserved(&mut self, id: (String, u32), when: When, lines: &[LineDecision], expires_at_ms: i64) {
        if !when.service.is_empty() {
            *self.counts.entry((when.service.clone(), when.day)).or_default() += 1;
        }
        let parts = lines.iter().map(|line| (line.sku.clone(), line.lots.clone())).collect();
        self.orders.insert(id, Had { when, expires_at_ms, parts, committed: false });
    }

    pub(super) fn had(&self, id: &(String, u32)) -> Option<&Had> {
        self.orders.get(id)
    }

    /// The next hold that has run out.
    pub(super) fn expired(&self, at_ms: i64) -> Option<(String, u32)> {
        let over = self.orders.iter().filter(|(_, had)| !had.committed && had.expires_at_ms <= at_ms);
        over.min_by_key(|(id, had)| (had.expires_at_ms, (*id).clone())).map(|(id, _)| id.clone())
    }

    pub(super) fn confirmed(&mut self, id: &(String, u32)) {
        let Some(had) = self.orders.get_mut(id) else { return };
        had.committed = true;
        each(&mut self.lots, &had.parts, |lot, units| {
            lot.reserved -= units as u64;
            lot.committed += units as u64;
        });
    }

    pub(super) fn released(&mut self, id: &(String, u32), at_ms: i64) {
        let Some(had) = self.orders.remove(id) else { return };
        each(&mut self.lots, &had.parts, |lot, units| {
            *(if had.committed { &mut lot.committed } else { &mut lot.reserved }) -= units as u64;
        });
        let gives_back = match self.flaw {
            Some(Flaw::Pockets) => false,
            _ => at_ms < had.when.cutoff_ms,
        };
        if gives_back && let Some(count) = self.counts.get_mut(&(had.when.service, had.when.day)) {
            *count -= 1;
        }
    }

    pub(super) fn shipped(&mut self, id: &(String, u32)) {
        let Some(had) = self.orders.remove(id) else { return };
        each(&mut self.lots, &had.parts, |lot, units| {
            lot.committed -= units as u64;
            lot.on_hand -= units;
        });
    }
}

fn is_gone(lot: &LotLevel) -> bool {
    (lot.on_hand, lot.reserved, lot.committed) == (0, 0, 0)
}

fn each(
    lots: &mut HashMap<String, Vec<LotLevel>>,
    parts: &[(String, Vec<LotUnits>)],
    change: impl Fn(&mut LotLevel, i64),
) {
    for (sku, parts) in parts {
        let Some(lots) = lots.get_mut(sku) else { continue };
        for part in parts {
            let lot = lots.iter_mut().find(|lot| lot.number == part.lot).expect("it was taken from");
            change(lot, i64::from(part.units));
        }
    }
    lots.values_mut().for_each(|lots| lots.retain(|lot| !is_gone(lot)));
    lots.retain(|_, lots| !lots.is_empty());
}
