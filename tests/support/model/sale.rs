//! Sale: from when, until when and to whom.

use std::collections::{BTreeMap, BTreeSet};

use sluice::wire::proto::{Outcome, Place, Reason, SetSale};

use super::place::Bar;
use super::{MOST_SEGMENTS, Model, Row, Stamp, doubled, id_fault};

/// What was last said about the sale of a SKU, or of a pool: the rule that stands, or none once it was removed.
#[derive(Clone, Debug)]
pub(super) struct Sale {
    pub(super) stamp: Stamp,
    pub(super) rule: Option<SetSale>,
}

impl Sale {
    /// The rule that stands, though its end may be over.
    fn standing(&self) -> Option<(u64, &SetSale)> {
        self.rule.as_ref().map(|rule| (self.stamp.sequence, rule))
    }

    /// When it was over, if it is by `now`.
    fn over_since(&self, now: i64) -> Option<i64> {
        let closes_at = self.rule.as_ref()?.closes_at_ms;
        (closes_at != 0 && now >= closes_at).then_some(closes_at)
    }
}

impl Model {
    pub(super) fn sale(&self, pool: &str, sku: &str) -> Option<&Sale> {
        self.sales.get(&(pool.to_owned(), sku.to_owned()))
    }

    fn standing_sale(&self, pool: &str, sku: &str) -> Option<(u64, &SetSale)> {
        self.sale(pool, sku)?.standing()
    }

    pub(super) fn not_open(&self, it: &Place, sku: &str) -> Option<Bar> {
        let (rule, sale) = self.standing_sale(&it.pool, sku)?;
        let early = sale.early.iter().filter(|early| it.segments.contains(&early.segment));
        let opens_at = early.map(|early| early.opens_at_ms).min().unwrap_or(sale.opens_at_ms);
        (self.now < opens_at).then_some(Bar { outcome: Outcome::NotOpen, rule, opens_at, ..Bar::default() })
    }

    pub(super) fn closed(&self, it: &Place, sku: &str) -> Option<Bar> {
        let sale = self.sale(&it.pool, sku)?;
        let rule = sale.stamp.sequence;
        sale.over_since(self.now).map(|_| Bar { rule, ..Bar::of(Reason::Closed) })
    }

    pub(super) fn not_eligible(&self, it: &Place, sku: &str) -> Option<Bar> {
        let (rule, sale) = self.standing_sale(&it.pool, sku)?;
        let has_one = it.segments.iter().any(|segment| sale.only.contains(segment));
        (!sale.only.is_empty() && !has_one).then_some(Bar { rule, ..Bar::of(Reason::NotEligible) })
    }

    /// The segments by which an order that is reserved passed the sales of its pool and of its lines.
    pub(super) fn segments_used(&self, it: &Place) -> Vec<String> {
        let mut used = BTreeSet::new();
        for sku in it.lines.iter().map(|line| line.sku.as_str()).chain([""]) {
            let Some((_, sale)) = self.standing_sale(&it.pool, sku) else { continue };
            used.extend(it.segments.iter().position(|segment| sale.only.contains(segment)));
            if self.now < sale.opens_at_ms {
                let opening = |segment: &String| sale.early.iter().find(|early| early.segment == *segment);
                let openings = it.segments.iter().enumerate();
                let openings = openings.filter_map(|(at, segment)| Some((opening(segment)?.opens_at_ms, at)));
                used.extend(openings.min().map(|(_, at)| at));
            }
        }
        used.into_iter().map(|at| it.segments[at].clone()).collect()
    }

    /// Sets a sale, or removes it; `stamp` is that of the decision.
    pub(super) fn set_sale(&mut self, pool: &str, it: &SetSale, stamp: Stamp) {
        if !it.sku.is_empty() {
            self.change(pool, &it.sku, |_| {});
        }
        let says_nothing = it.opens_at_ms == 0 && it.closes_at_ms == 0 && it.early.is_empty() && it.only.is_empty();
        let rule = (!says_nothing).then(|| it.clone());
        self.sales.insert((pool.to_owned(), it.sku.clone()), Sale { stamp, rule });
    }

    /// Forgets rows without anything, and sales that were removed, or that are over where nothing else is left.
    pub(super) fn forget_rows_and_sales(&mut self, knows: impl Fn(i64) -> bool) {
        let now = self.now;
        self.sales.retain(|_, sale| sale.rule.is_some() || knows(sale.stamp.at));
        let (sales, limits, channels, freshness) = (&self.sales, &self.limits, &self.channels, &self.freshness);
        let is_kept = |(pool, sku): &(String, String), row: &Row| {
            let sale = sales.get(&(pool.clone(), sku.clone())).filter(|sale| sale.rule.is_some());
            let over_since = sale.and_then(|sale| sale.over_since(now));
            let stands = sale.is_some() && over_since.is_none();
            let limited = limits.iter().any(|((of, _), limit)| of == pool && limit.names(sku));
            let shared = channels.get(&(pool.clone(), sku.clone())).is_some_and(|channels| channels.rule.is_some());
            let fresh = freshness.get(&(pool.clone(), sku.clone())).is_some_and(|freshness| freshness.rule.is_some());
            !row.empty()
                || stands
                || limited
                || shared
                || fresh
                || knows(row.changed_at.max(over_since.unwrap_or(i64::MIN)))
        };
        self.rows.retain(|key, row| is_kept(key, row));
        let (rows, halted) = (&self.rows, &self.halted_pools);
        let has_rows = |pool: &String| rows.keys().any(|(of, _)| of == pool);
        let has_limits = |pool: &String| limits.keys().any(|(of, _)| of == pool);
        let delivering: BTreeSet<String> = self.delivering_pools().cloned().collect();
        let delivers = |pool: &String| delivering.contains(pool);
        self.sales.retain(|(pool, sku), sale| {
            let Some(over_since) = sale.over_since(now) else { return true };
            if !sku.is_empty() {
                return rows.contains_key(&(pool.clone(), sku.clone()));
            }
            let is_kept = has_rows(pool) || halted.contains(pool) || has_limits(pool) || delivers(pool);
            is_kept || knows(sale.stamp.at.max(over_since))
        });
    }
}

/// What is wrong with the command itself, but for its SKU.
pub(super) fn sale_fault(it: &SetSale) -> Option<Reason> {
    let early: Vec<&str> = it.early.iter().map(|early| early.segment.as_str()).collect();
    let only: Vec<&str> = it.only.iter().map(String::as_str).collect();
    if let Some(reason) = early.iter().chain(&only).find_map(|segment| id_fault(segment)) {
        return Some(reason);
    }
    if early.len() > MOST_SEGMENTS || only.len() > MOST_SEGMENTS {
        return Some(Reason::TooMany);
    }
    if doubled(&early) || doubled(&only) {
        return Some(Reason::Doubled);
    }
    let before_time = it.early.iter().map(|early| early.opens_at_ms).chain([it.opens_at_ms, it.closes_at_ms]).min();
    let wrong = before_time < Some(0)
        || it.closes_at_ms != 0 && it.closes_at_ms <= it.opens_at_ms
        || it.early.iter().any(|early| early.opens_at_ms >= it.opens_at_ms);
    wrong.then_some(Reason::Times)
}

/// All sales, by pool and SKU; no SKU is the whole pool.
pub(super) type Sales = BTreeMap<(String, String), Sale>;
