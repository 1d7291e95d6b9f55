//! Limit: at most so many units for each key.

use std::collections::BTreeMap;

use sluice::wire::proto::{Counted, Decision, Place, Reason, SetLimit};

use super::place::Bar;
use super::{LIMITS_A_SKU, MOST_LIMIT_SKUS, MOST_STOCK, Model, Stamp, doubled, id_fault};

/// Ten years, each of 366 days.
const LONGEST_PERIOD_MS: u64 = 10 * 366 * 86_400_000;

/// No anchor is later.
const LATEST_ANCHOR_MS: i64 = (1 << 47) - 1;

/// What was last said about a limit: the rule that stands, or none once it was removed.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) stamp: Stamp,
    pub(super) rule: Option<SetLimit>,
    /// Sequence with which it began to count.
    pub(super) count: u64,
    period: i64,
}

impl Limit {
    /// Whether it stands and names this SKU.
    pub(super) fn names(&self, sku: &str) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.skus.iter().any(|named| named == sku))
    }

    fn counts_whole_pool(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.whole_pool)
    }
}

/// Units by count, period and key; only what some limit still looks at, and only where there are some.
pub(super) type Counters = BTreeMap<(u64, i64, String), u64>;

/// All limits, by pool and name.
pub(super) type Limits = BTreeMap<(String, String), Limit>;

/// A count that an open order is in: a limit's, or that of a channel's share.
#[derive(Clone, Debug)]
pub(super) struct InCount {
    pub(super) count: u64,
    pub(super) period: i64,
    pub(super) key: String,
    pub(super) units: u32,
    pub(super) of_share: bool,
}

impl InCount {
    fn counter(&self) -> (u64, i64, String) {
        (self.count, self.period, self.key.clone())
    }
}

fn period_at(rule: &SetLimit, now: i64) -> i64 {
    if rule.period_ms == 0 { 0 } else { (now - rule.anchor_ms).div_euclid(rule.period_ms as i64) }
}

/// The key that an order counts under by this rule, if it brought it.
fn key_of<'a>(rule: &SetLimit, it: &'a Place) -> Option<&'a str> {
    if rule.key.is_empty() {
        return Some(&it.customer);
    }
    it.keys.iter().find(|key| key.name == rule.key).map(|key| key.value.as_str())
}

impl Model {
    /// The limits of a SKU and its pool, in the order in which they began to count.
    fn limits_of(&self, pool: &str, sku: &str) -> Vec<(&Limit, &SetLimit)> {
        let of_pool = self.limits.iter().filter(|((of, _), limit)| of == pool && limit.rule.is_some());
        let counting = of_pool.filter(|(_, limit)| limit.counts_whole_pool() || limit.names(sku));
        let mut limits: Vec<_> =
            counting.map(|(_, limit)| (limit, limit.rule.as_ref().expect("looked at above"))).collect();
        limits.sort_by_key(|(limit, _)| limit.count);
        limits
    }

    pub(super) fn lacks_key(&self, it: &Place, sku: &str) -> Option<Bar> {
        let limits = self.limits_of(&it.pool, sku);
        let (lacking, _) = limits.into_iter().find(|(_, rule)| key_of(rule, it).is_none())?;
        Some(Bar { rule: lacking.stamp.sequence, ..Bar::of(Reason::NotEligible) })
    }

    /// Of each line, whether more is asked than its limits leave.
    pub(super) fn over_limits(&self, it: &Place) -> Vec<Option<Bar>> {
        let mut earlier: BTreeMap<u64, u64> = BTreeMap::new();
        let mut bars = Vec::new();
        for line in &it.lines {
            let (asked, mut bar) = (u64::from(line.quantity), None::<(u64, Bar)>);
            for (limit, rule) in self.limits_of(&it.pool, &line.sku) {
                let key = key_of(rule, it).expect("it has every key");
                let counted = self.counters.get(&(limit.count, limit.period, key.to_owned())).copied().unwrap_or(0);
                let before = earlier.entry(limit.count).or_default();
                let mut left = u64::MAX;
                if rule.units > 0 {
                    left = left.min(rule.units.saturating_sub(counted + *before));
                }
                if rule.units_an_order > 0 {
                    left = left.min(rule.units_an_order.saturating_sub(*before));
                }
                *before += asked;
                if asked > left && bar.as_ref().is_none_or(|(least, _)| left < *least) {
                    let rule = limit.stamp.sequence;
                    bar = Some((left, Bar { rule, left: Some(left), ..Bar::of(Reason::Limit) }));
                }
            }
            bars.push(bar.map(|(_, bar)| bar));
        }
        bars
    }

    /// Counts an order that is reserved by its limits, and says in its decision what it is counted as.
    pub(super) fn count(&mut self, it: &Place, decision: &mut Decision) -> Vec<InCount> {
        let mut counts: Vec<InCount> = Vec::new();
        let mut names = Vec::new();
        for line in &it.lines {
            for (limit, rule) in self.limits_of(&it.pool, &line.sku) {
                names.push(rule.key.clone());
                match counts.iter_mut().find(|known| known.count == limit.count) {
                    Some(known) => known.units += line.quantity,
                    None => counts.push(InCount {
                        count: limit.count,
                        period: limit.period,
                        key: key_of(rule, it).expect("it has every key").to_owned(),
                        units: line.quantity,
                        of_share: false,
                    }),
                }
            }
        }
        for known in &counts {
            *self.counters.entry(known.counter()).or_default() += u64::from(known.units);
        }
        let shown = |it: &InCount| Counted { count: it.count, period: it.period, units: it.units, share: 0 };
        decision.counted = counts.iter().map(shown).collect();
        if names.iter().any(String::is_empty) {
            decision.customer.clone_from(&it.customer);
        }
        decision.keys = it.keys.iter().filter(|key| names.contains(&key.name)).cloned().collect();
        counts
    }

    /// Gives back what an order was counted as, where that is still looked at.
    pub(super) fn give_back(&mut self, counts: &[InCount]) {
        let (of_shares, of_limits): (Vec<_>, Vec<_>) = counts.iter().partition(|known| known.of_share);
        for known in of_shares {
            self.give_back_to_share(known);
        }
        for known in of_limits {
            if let Some(units) = self.counters.get_mut(&known.counter()) {
                *units -= u64::from(known.units);
            }
        }
        self.counters.retain(|_, units| *units > 0);
    }

    /// Whether some SKU would stand under too many limits.
    pub(super) fn one_too_many(&self, pool: &str, it: &SetLimit) -> bool {
        let others: Vec<&Limit> = self
            .limits
            .iter()
            .filter(|((of, name), limit)| of == pool && *name != it.name && limit.rule.is_some())
            .map(|(_, limit)| limit)
            .collect();
        let count = |sku: &str| others.iter().filter(|other| other.counts_whole_pool() || other.names(sku)).count();
        if it.whole_pool {
            // Any SKU that nobody names stands under those of the pool.
            let named = others.iter().flat_map(|other| &other.rule.as_ref().expect("it stands").skus);
            return named.map(|sku| count(sku)).chain([count("")]).any(|before| before >= LIMITS_A_SKU);
        }
        it.skus.iter().any(|sku| count(sku) >= LIMITS_A_SKU)
    }

    /// Sets a limit, or removes it; `stamp` is that of the decision.
    pub(super) fn set_limit(&mut self, pool: &str, it: &SetLimit, stamp: Stamp) {
        for sku in &it.skus {
            self.change(pool, sku, |_| {});
        }
        let key = (pool.to_owned(), it.name.clone());
        let rule = (it.units > 0 || it.units_an_order > 0).then(|| it.clone());
        let terms = |rule: &SetLimit| (rule.period_ms, rule.anchor_ms, rule.key.clone());
        let before = self.limits.get(&key).and_then(|before| Some((before.count, before.rule.as_ref()?)));
        let goes_on = before.filter(|(_, before)| rule.as_ref().is_some_and(|rule| terms(rule) == terms(before)));
        let count = goes_on.map_or(stamp.sequence, |(count, _)| count);
        let period = rule.as_ref().map_or(0, |rule| period_at(rule, self.now));
        self.limits.insert(key, Limit { stamp, rule, count, period });
        self.drop_void_counters();
    }

    /// Counts anew where a period is over.
    pub(super) fn turn_periods(&mut self) {
        let now = self.now;
        let mut turned = false;
        for limit in self.limits.values_mut() {
            let period = limit.rule.as_ref().map_or(0, |rule| period_at(rule, now));
            turned |= std::mem::replace(&mut limit.period, period) != period;
        }
        if turned {
            self.drop_void_counters();
        }
    }

    fn drop_void_counters(&mut self) {
        let standing = self.limits.values().filter(|limit| limit.rule.is_some());
        let present: Vec<_> = standing.map(|limit| (limit.count, limit.period)).collect();
        self.counters.retain(|(count, period, _), _| present.contains(&(*count, *period)));
    }
}

/// What is wrong with the command itself.
pub(super) fn limit_fault(it: &SetLimit) -> Option<Reason> {
    let skus: Vec<&str> = it.skus.iter().map(String::as_str).collect();
    let key = Some(it.key.as_str()).filter(|key| !key.is_empty());
    if let Some(reason) = [it.name.as_str()].into_iter().chain(skus.clone()).chain(key).find_map(id_fault) {
        return Some(reason);
    }
    if skus.len() > MOST_LIMIT_SKUS {
        return Some(Reason::TooMany);
    }
    if doubled(&skus) {
        return Some(Reason::Doubled);
    }
    if it.units == 0 && it.units_an_order == 0 {
        return (!skus.is_empty() || it.whole_pool).then_some(Reason::Scope);
    }
    if skus.is_empty() != it.whole_pool {
        return Some(Reason::Scope);
    }
    if it.units > MOST_STOCK || it.units_an_order > MOST_STOCK {
        return Some(Reason::Quantity);
    }
    let wrong = it.period_ms > LONGEST_PERIOD_MS
        || it.anchor_ms < 0
        || it.anchor_ms > LATEST_ANCHOR_MS
        || it.anchor_ms != 0 && it.period_ms == 0;
    wrong.then_some(Reason::Times)
}
