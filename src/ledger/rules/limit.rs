//! Limit: at most so many units for each customer, or for each of another key, over all SKUs that it names.

use xxhash_rust::xxh3::xxh3_128;

use super::id_fault;
use super::ladder::Asker;
use super::sale::has_doubled;
use super::verdict::{LineBar, LinesAtHand, Tallied};
use crate::ledger::state::State;
use crate::ledger::state::counts::CountKey;
use crate::ledger::state::orders::{CountedBy, Taken};
use crate::ledger::state::selling::{LimitTerms, MAX_LIMITS_A_SKU, NONE, Stamp};
use crate::ledger::store::index::Fingerprint;
use crate::wire::limits::{MAX_ANCHOR_MS, MAX_LIMIT_SKUS, MAX_PERIOD_MS, MAX_STOCK_QUANTITY};
use crate::wire::proto::Reason;
use crate::wire::{Limit, Rule, Text};

impl State {
    /// The limits that count a row, its own and those of its pool, in the order in which they began to count.
    pub(super) fn limits_of(&self, pool: u32, row: u32) -> impl Iterator<Item = u32> + Clone + use<> {
        let mut found = [NONE; MAX_LIMITS_A_SKU];
        let scopes = [self.rows.scope(row), self.rows.pool_scope(pool)].into_iter().flatten();
        for (to, limit) in found.iter_mut().zip(scopes.flat_map(|scope| self.selling.scopes[scope].limits())) {
            *to = limit;
        }
        if let [first, second] = &mut found
            && *second != NONE
            && self.selling.limits[*second].count < self.selling.limits[*first].count
        {
            std::mem::swap(first, second);
        }
        found.into_iter().filter(|limit| *limit != NONE)
    }

    /// A limit that an order which begins with a row, or another one, is likely to be counted by.
    pub(crate) fn likely_limit(&self, pool: u32, row: u32) -> Option<u32> {
        let scopes = [self.rows.likely_scope(row), self.rows.pool_scope(pool)].into_iter().flatten();
        scopes.filter_map(|scope| self.selling.scopes.get(scope)).flat_map(|scope| scope.limits()).next()
    }

    /// An order without a key that one of its row's limits counts by.
    pub(super) fn lacks_key(&self, asker: &Asker<'_, '_>, mut limits: impl Iterator<Item = u32>) -> Option<LineBar> {
        let lacking = limits.find(|limit| self.key_of(*limit, asker).is_none())?;
        let rule = self.selling.limits[lacking].stamp.sequence;
        Some(LineBar { rule, ..LineBar::new(Reason::NotEligible) })
    }

    /// The key that an order counts under, if it has brought it.
    fn key_of<'a>(&self, limit: u32, asker: &Asker<'_, 'a>) -> Option<Text<'a>> {
        let terms = self.selling.limits[limit].terms.as_ref().expect("a limit that counts stands");
        if terms.key.is_empty() {
            return Some(asker.customer);
        }
        asker.keys().find(|(name, _)| *name == &*terms.key).map(|(_, value)| value)
    }

    /// Whether the limits of a row leave so many units to this customer, after the earlier lines of the order as they
    /// were asked. Adds the line to the tally.
    pub(super) fn over_limit(
        &self,
        asker: &Asker<'_, '_>,
        limits: impl Iterator<Item = u32>,
        units: u32,
        tally: &mut Vec<Tallied>,
    ) -> Option<LineBar> {
        let mut bar: Option<LineBar> = None;
        for number in limits {
            let limit = &self.selling.limits[number];
            let terms = limit.terms.as_ref().expect("a limit that counts stands");
            let at = tally.iter().position(|it| it.limit == number).unwrap_or_else(|| {
                let key = self.key_of(number, asker).expect("it was asked for before");
                let ahead = if terms.key.is_empty() { asker.ahead.customer() } else { None };
                let key = self.count_key(number, ahead.unwrap_or_else(|| self.fingerprints.of_key(key)), key);
                tally.push(Tallied { limit: number, key, before: self.counts.units(&key), units: 0 });
                tally.len() - 1
            });
            let it = &mut tally[at];
            let of_all = bound(terms.units).map(|most| most.saturating_sub(it.before + it.units));
            let of_order = bound(terms.units_an_order).map(|most| most.saturating_sub(it.units));
            it.units += u64::from(units);
            let left = of_all.into_iter().chain(of_order).min().unwrap_or(u64::MAX);
            if left < u64::from(units) && bar.is_none_or(|bar| bar.left.is_none_or(|least| left < least)) {
                bar = Some(LineBar { left: Some(left), rule: limit.stamp.sequence, ..LineBar::new(Reason::Limit) });
            }
        }
        bar
    }

    /// What the order at hand is counted as, by its tally.
    pub(super) fn note_taken(&self, at_hand: &mut LinesAtHand) {
        let LinesAtHand { tally, taken, shares, .. } = at_hand;
        taken.extend(tally.iter().map(|it| {
            let limit = &self.selling.limits[it.limit];
            let units = u32::try_from(it.units).expect("200 lines of a million units");
            let by = CountedBy::Limit { limit: it.limit, period: limit.period };
            Taken { by, count: limit.count, units, key: it.key }
        }));
        // Behind the counts of limits.
        taken.extend(shares.shared.iter().filter_map(|it| Some(Taken { units: it.units, ..it.taken? })));
    }

    /// Bits of the keys that the counts of the order at hand go by, and whether one goes by the customer.
    pub(super) fn keys_used(&self, asker: &Asker<'_, '_>, at_hand: &LinesAtHand) -> (u16, bool) {
        let (mut mask, mut customer) = (0, false);
        for taken in &at_hand.taken {
            let CountedBy::Limit { limit, .. } = taken.by else { continue };
            let terms = self.selling.limits[limit].terms.as_ref().expect("it counts");
            match asker.keys().position(|(name, _)| name == &*terms.key) {
                _ if terms.key.is_empty() => customer = true,
                Some(at) => mask |= 1 << at,
                None => unreachable!("an order without the key is not counted"),
            }
        }
        (mask, customer)
    }

    /// The key that the present count of a limit goes by, of which `fingerprint` is that of the text.
    pub(super) fn count_key(&self, limit: u32, fingerprint: Fingerprint, key: Text<'_>) -> CountKey {
        CountKey { fingerprint: self.counts.fingerprint(limit, fingerprint), hash: xxh3_128(key.as_bytes()) }
    }

    /// Sets a limit, or removes it. Its SKUs are made known.
    pub(crate) fn set_limit(&mut self, pool_name: Text<'_>, limit: &Limit<'_>, issued_at_ms: i64) {
        let stamp = Stamp { issued_at_ms, sequence: self.sequence, generation: self.records.now() };
        let pool = self.rows.make_pool(pool_name);
        let slot = match self.selling.limit_named(pool, limit.name.as_str()) {
            Some(slot) => slot,
            None => {
                self.rows.pin_pool(pool);
                self.selling.make_limit(pool, limit.name.as_str(), stamp)
            }
        };
        self.unhook_limit(slot);
        let stands = !limit.removes();
        let terms = stands.then(|| LimitTerms::of(limit));
        let goes_on = match (&self.selling.limits[slot].terms, &terms) {
            (Some(before), Some(now)) => {
                (before.period_ms, before.anchor_ms, &before.key) == (now.period_ms, now.anchor_ms, &now.key)
            }
            _ => false,
        };
        if !goes_on {
            let period = terms.as_ref().map_or(0, |terms| terms.period_at(self.shard_time_ms));
            self.selling.begin_count(slot, if stands { self.sequence } else { 0 }, period);
            self.counts.begin(slot);
        }
        if stands {
            self.hook_limit(slot, pool_name, limit);
        }
        let count = self.selling.limits[slot].count;
        self.canonical.begin(7).str(pool_name.as_bytes()).stamp(&stamp).u8(stands.into()).str(limit.name.as_bytes());
        if stands {
            self.canonical.u64(count).rule(&Rule::Limit(*limit));
        }
        self.selling.put_limit(slot, stamp, terms, self.canonical.bytes());
        self.selling.find_next_period(self.shard_time_ms);
    }

    /// Rows, or the pool, no longer point to a limit.
    fn unhook_limit(&mut self, slot: u32) {
        let limit = &mut self.selling.limits[slot];
        let (pool, rows) = (limit.pool, std::mem::take(&mut limit.rows));
        let scopes = rows.iter().map(|row| self.rows.scope(*row)).chain([self.rows.pool_scope(pool)]);
        for scope in scopes.flatten() {
            let scope = &mut self.selling.scopes[scope];
            scope.limits.iter_mut().filter(|limit| **limit == slot).for_each(|limit| *limit = NONE);
        }
    }

    fn hook_limit(&mut self, slot: u32, pool: Text<'_>, limit: &Limit<'_>) {
        let whole = limit.whole_pool.then_some(Text::EMPTY);
        for sku in limit.skus().chain(whole) {
            let scope = self.make_scope(pool, sku);
            let scope = &mut self.selling.scopes[scope];
            let free = scope.limits.iter_mut().find(|limit| **limit == NONE);
            *free.expect("a SKU under too many limits was refused") = slot;
            let row = scope.row;
            if row != NONE {
                self.selling.limits[slot].rows.push(row);
            }
        }
    }

    /// When the limit of that name that stands was set, or the one that is remembered removed.
    pub(super) fn limit_stamp(&self, pool: Text<'_>, name: Text<'_>) -> Option<Stamp> {
        let pool = self.rows.pool(pool);
        let limit = pool.and_then(|pool| self.selling.limit_named(pool, name.as_str()));
        limit.map(|limit| self.selling.limits[limit].stamp)
    }

    /// Whether some SKU would stand under more limits than it may, this one in place of the one of its name.
    pub(super) fn is_one_too_many(&self, pool: Text<'_>, limit: &Limit<'_>) -> bool {
        let Some(pool) = self.rows.pool(pool) else { return false };
        let same = self.selling.limit_named(pool, limit.name.as_str());
        let others = |scope: Option<u32>| {
            let limits = scope.into_iter().flat_map(|scope| self.selling.scopes[scope].limits());
            limits.filter(|limit| Some(*limit) != same).count()
        };
        let of_pool = others(self.rows.pool_scope(pool));
        if limit.whole_pool {
            // Whatever SKU of the pool has most limits of its own.
            let of_rows = self.selling.all_limits().filter(|number| self.selling.limits[*number].pool == pool);
            let rows = of_rows.flat_map(|number| self.selling.limits[number].rows.iter().copied());
            return of_pool + rows.map(|row| others(self.rows.scope(row))).max().unwrap_or(0) >= MAX_LIMITS_A_SKU;
        }
        let own = |sku| self.rows.row(pool, sku).map_or(0, |row| others(self.rows.scope(row)));
        limit.skus().any(|sku| of_pool + own(sku) >= MAX_LIMITS_A_SKU)
    }

    /// Periods that are over by now: counting begins anew.
    pub(crate) fn turn_periods(&mut self) {
        for slot in 0..self.selling.limits.slots() {
            let limit = &self.selling.limits[slot];
            let Some(period) = limit.terms.as_ref().map(|terms| terms.period_at(self.shard_time_ms)) else { continue };
            if period != limit.period {
                let count = limit.count;
                self.selling.begin_count(slot, count, period);
                self.counts.begin(slot);
            }
        }
        self.selling.find_next_period(self.shard_time_ms);
    }
}

/// What is wrong with the command itself.
pub(super) fn fault(limit: &Limit<'_>) -> Option<Reason> {
    let key = (!limit.key.is_empty()).then_some(limit.key);
    if let Some(reason) = [limit.name].into_iter().chain(limit.skus()).chain(key).find_map(id_fault) {
        return Some(reason);
    }
    if limit.skus().count() > MAX_LIMIT_SKUS {
        return Some(Reason::TooMany);
    }
    if has_doubled::<MAX_LIMIT_SKUS>(limit.skus()) {
        return Some(Reason::Doubled);
    }
    let names_some = limit.skus().next().is_some();
    if limit.removes() {
        // Nothing else is said of a limit that is removed.
        return (names_some || limit.whole_pool).then_some(Reason::Scope);
    }
    if names_some == limit.whole_pool {
        return Some(Reason::Scope);
    }
    if limit.units.max(limit.units_an_order) > MAX_STOCK_QUANTITY {
        return Some(Reason::Quantity);
    }
    let adrift = limit.period_ms == 0 && limit.anchor_ms != 0;
    let out_of_range = limit.period_ms > MAX_PERIOD_MS || !(0..=MAX_ANCHOR_MS).contains(&limit.anchor_ms);
    (out_of_range || adrift).then_some(Reason::Times)
}

/// 0 says that there is no bound.
fn bound(units: u64) -> Option<u64> {
    (units != 0).then_some(units)
}
