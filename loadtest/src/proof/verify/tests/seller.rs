//! Selling rules as the small engine keeps them: plainly, a list of everything.

use std::collections::HashMap;

use sluice::wire::proto::{self, Counted, LineDecision, OrderLine, Outcome, Place, Reason};

/// In which way an engine may be wrong about rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It opens this many ms early.
    Opens(i64),
    /// It closes this many ms late.
    Closes(i64),
    /// It leaves so many units more to each customer.
    Leaves(i64),
    /// It sells to whoever comes.
    Welcomes,
    /// It takes no segment for one that a sale is for.
    Snubs,
    /// It knows what is bare for so many generations more.
    Remembers(i64),
    /// It forgets to give back to the customer, or to his channel, what he cancelled.
    Keeps,
    /// It sells so many units more through each channel than it may have.
    Allows(i64),
    /// It protects nothing.
    Exposes,
    /// It protects for so many ms more.
    Protects(i64),
    /// It protects what is not there any more.
    Insists,
    /// Its days close so many ms late.
    Dawdles(i64),
    /// It puts so many orders more on each day.
    Packs(i64),
    /// It holds so many ms beyond what is due.
    Lingers(i64),
    /// It rolls on whoever is to be rejected.
    Yields,
    /// It gives no place of a day back.
    Pockets,
    /// It sells lots so many days too old.
    Stale(i32),
    /// It takes so many units more from each lot than it has.
    Crams(i64),
    /// It takes what expires last first.
    Backwards,
}

/// What was set, and what customers have.
#[derive(Debug, Default)]
pub(super) struct Seller {
    pub(super) flaw: Option<Flaw>,
    /// By SKU, with the sequence at which it was set.
    sales: HashMap<String, (proto::SetSale, u64)>,
    limits: Vec<(proto::SetLimit, u64)>,
    /// By SKU, with the sequence at which they were set first and last.
    pub(super) channels: HashMap<String, (proto::SetChannels, u64, u64)>,
    /// Units sold, by SKU and share.
    pub(super) sold: HashMap<(String, String), i64>,
    /// By limit and customer.
    held: HashMap<(usize, String), i64>,
}

/// What an order is told instead of being reserved.
pub(super) struct Barred {
    pub(super) told: (Outcome, Reason),
    pub(super) lines: Vec<LineDecision>,
    pub(super) opens_at_ms: i64,
}

impl Seller {
    /// One that is right if it has no flaw.
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, ..Self::default() }
    }

    pub(super) fn set_sale(&mut self, sale: proto::SetSale, sequence: u64) {
        self.sales.insert(sale.sku.clone(), (sale, sequence));
    }

    pub(super) fn set_limit(&mut self, limit: proto::SetLimit, sequence: u64) {
        self.limits.push((limit, sequence));
    }

    /// Until when the rules of a SKU keep its row; none: longer than this.
    pub(super) fn kept_until_ms(&self, sku: &str, at_ms: i64) -> Option<i64> {
        let is_limited = self.limits.iter().any(|(limit, _)| limit.skus.iter().any(|known| known == sku));
        if is_limited || self.channels.contains_key(sku) {
            return None;
        }
        let Some((sale, _)) = self.sales.get(sku) else { return Some(0) };
        (sale.closes_at_ms > 0 && at_ms >= sale.closes_at_ms).then_some(sale.closes_at_ms)
    }

    /// What stands in the way of an order at this instant.
    pub(super) fn bar(&self, place: &Place, at_ms: i64) -> Option<Barred> {
        let (customer, asked) = (&place.customer, &place.lines);
        let by = |flaw: fn(Flaw) -> Option<i64>| self.flaw.and_then(flaw).unwrap_or(0);
        let early = by(|flaw| if let Flaw::Opens(ms) = flaw { Some(ms) } else { None });
        let late = by(|flaw| if let Flaw::Closes(ms) = flaw { Some(ms) } else { None });
        let more = by(|flaw| if let Flaw::Leaves(units) = flaw { Some(units) } else { None });
        let blank = |line: &OrderLine| LineDecision {
            sku: line.sku.clone(),
            quantity: line.quantity,
            ..LineDecision::default()
        };
        let mut lines: Vec<_> = asked.iter().map(blank).collect();
        for line in &mut lines {
            let shut = self.sales.get(&line.sku).filter(|(sale, _)| at_ms + early < sale.opens_at_ms);
            (line.opens_at_ms, line.rule) = shut.map_or((0, 0), |(sale, rule)| (sale.opens_at_ms, *rule));
        }
        if let Some(opens_at_ms) = lines.iter().map(|line| line.opens_at_ms).max().filter(|opens| *opens > 0) {
            return Some(Barred { told: (Outcome::NotOpen, Reason::Unspecified), lines, opens_at_ms });
        }
        for line in &mut lines {
            let is_over = |sale: &proto::SetSale| sale.closes_at_ms > 0 && at_ms - late >= sale.closes_at_ms;
            if let Some((_, rule)) = self.sales.get(&line.sku).filter(|(sale, _)| is_over(sale)) {
                (line.reason, line.rule) = (Reason::Closed.into(), *rule);
            }
        }
        if lines.iter().any(|line| line.reason() == Reason::Closed) {
            return Some(Barred { told: (Outcome::Rejected, Reason::Closed), lines, opens_at_ms: 0 });
        }
        for line in &mut lines {
            let is_for_others = |sale: &proto::SetSale| match self.flaw {
                Some(Flaw::Welcomes) => false,
                Some(Flaw::Snubs) => !sale.only.is_empty(),
                _ => !sale.only.is_empty() && !place.segments.iter().any(|segment| sale.only.contains(segment)),
            };
            if let Some((_, rule)) = self.sales.get(&line.sku).filter(|(sale, _)| is_for_others(sale)) {
                (line.reason, line.rule) = (Reason::NotEligible.into(), *rule);
            }
        }
        if lines.iter().any(|line| line.reason() == Reason::NotEligible) {
            return Some(Barred { told: (Outcome::Rejected, Reason::NotEligible), lines, opens_at_ms: 0 });
        }
        for at in 0..lines.len() {
            let (before, rest) = lines.split_at_mut(at);
            let line = &mut rest[0];
            for (number, (limit, rule)) in self.limits.iter().enumerate() {
                if !limit.skus.contains(&line.sku) {
                    continue;
                }
                let earlier = before.iter().filter(|line| limit.skus.contains(&line.sku));
                let in_order: i64 = earlier.map(|line| i64::from(line.quantity)).sum();
                let held = self.held.get(&(number, customer.clone())).copied().unwrap_or(0);
                let of = |most: u64, used: i64| if most == 0 { i64::MAX } else { most as i64 + more - used };
                let left = of(limit.units, held + in_order).min(of(limit.units_an_order, in_order)).max(0) as u64;
                if left < u64::from(line.quantity) && line.left.is_none_or(|least| left < least) {
                    (line.reason, line.left, line.rule) = (Reason::Limit.into(), Some(left), *rule);
                }
            }
        }
        let limited = lines.iter().any(|line| line.reason() == Reason::Limit);
        limited.then_some(Barred { told: (Outcome::Rejected, Reason::Limit), lines, opens_at_ms: 0 })
    }

    /// The segments by which an order passed a sale that is for some.
    pub(super) fn segments_used(&self, place: &Place) -> Vec<String> {
        let is_asked_for = |segment: &&String| {
            let sales = place.lines.iter().filter_map(|line| self.sales.get(&line.sku));
            sales.into_iter().any(|(sale, _)| sale.only.contains(segment))
        };
        place.segments.iter().filter(is_asked_for).cloned().collect()
    }

    /// Counts an order that was reserved; what it then is counted as.
    pub(super) fn count(&mut self, customer: &str, lines: &[LineDecision]) -> Vec<Counted> {
        let mut counted = Vec::new();
        for (number, (limit, rule)) in self.limits.iter().enumerate() {
            let units: u32 = lines.iter().filter(|line| limit.skus.contains(&line.sku)).map(|line| line.quantity).sum();
            if units > 0 {
                *self.held.entry((number, customer.to_owned())).or_default() += i64::from(units);
                counted.push(Counted { count: *rule, units, ..Counted::default() });
            }
        }
        counted
    }

    /// Gives back what an order held.
    pub(super) fn release(&mut self, customer: &str, channel: &str, lines: &[LineDecision]) {
        if self.flaw == Some(Flaw::Keeps) {
            return;
        }
        self.release_shares(channel, lines);
        for (number, (limit, _)) in self.limits.iter().enumerate() {
            let units: u32 = lines.iter().filter(|line| limit.skus.contains(&line.sku)).map(|line| line.quantity).sum();
            *self.held.entry((number, customer.to_owned())).or_default() -= i64::from(units);
        }
    }
}
