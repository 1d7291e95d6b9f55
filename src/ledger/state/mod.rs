//! What a shard knows, and nothing of what it decides by: every figure that a rule reads or changes stands here, with its
//! part of the digest.

pub(crate) mod calendar; // days, and the clocks of time zones
pub(crate) mod channels; // how SKUs are shared among channels, and what each has sold
pub(crate) mod counts; // what limits have counted
pub(crate) mod closed; // identities of what is closed, by generations
pub(crate) mod days; // how many orders each delivery day has
pub(crate) mod delivery; // services, and what can be had of them
mod digest; // canonical bytes, and their sum
pub(crate) mod expiry; // the order in which holds fall due
pub(crate) mod identity; // what makes two commands copies of one another
mod kept; // what an open order keeps beside its lines
pub(crate) mod known; // one index over all identities
pub(crate) mod lots; // lots of stock rows, and how long what is sold must last
pub(crate) mod orders; // open orders and what they hold
pub(crate) mod rows; // stock: pools, SKUs, figures
pub(crate) mod selling; // the selling rules that stand

use super::terms::{FingerprintKey, Pressure, Rules};
use closed::{MAX_RECORDS, Records};
use counts::Counts;
use days::Days;
use digest::Canonical;
use identity::Fingerprinter;
use orders::Orders;
use rows::Rows;
use selling::{NONE, Scope, Selling};

use super::store::index::Index;

/// Share of `Rules::max_ids`, in percent, from which somebody should hear of it.
const ALARM_PERCENT: usize = 80;
/// Remembered ids that an open order counts for: with two lines it takes some 140 bytes.
const IDS_OF_AN_OPEN_ORDER: usize = 4;
/// Remembered ids that a day count counts for: with the longest name it takes some 180 bytes.
const IDS_OF_A_DAY_COUNT: usize = 4;
/// Forgotten records taken out of the index whenever time moves: an idle shard gives its memory back by its Ticks.
const CLEARED_PER_ADVANCE: usize = 8;

/// For whom the last of the memory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// Orders leave 5% of it to the others.
    Orders,
    /// Stock commands leave 1% to what stops a sale.
    Stock,
    /// A Halt takes what is left.
    Halts,
}

impl Reserve {
    /// Share of the memory, in percent, from which it is answered BUSY.
    fn percent(self) -> usize {
        match self {
            Reserve::Orders => 95,
            Reserve::Stock => 99,
            Reserve::Halts => 100,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) rules: Rules,
    /// Sequence of the last decision; of the one at hand while a command is judged.
    pub(crate) sequence: u64,
    pub(crate) shard_time_ms: i64,
    /// The rules level of the log, by now.
    pub(crate) rules_level: u32,
    pub(crate) fingerprints: Fingerprinter,
    pub(crate) index: Index,
    pub(crate) records: Records,
    pub(crate) orders: Orders,
    pub(crate) rows: Rows,
    pub(crate) selling: Selling,
    pub(crate) counts: Counts,
    pub(crate) days: Days,
    pub(crate) canonical: Canonical,
}

impl State {
    /// Nothing known, as it is right after the genesis record.
    pub(crate) fn new(rules: Rules, key: FingerprintKey) -> State {
        let [low, high] = [0, 8].map(|at| std::array::from_fn(|i| key.0[at + i]));
        let seed = u64::from_le_bytes(low) ^ u64::from_le_bytes(high).rotate_left(1);
        State {
            rules,
            sequence: 0,
            shard_time_ms: 0,
            rules_level: rules.rules_level,
            fingerprints: Fingerprinter::new(key),
            index: Index::new(rules.expected_ids),
            records: Records::new(rules.window_ms, rules.skew_ms),
            orders: Orders::new(),
            rows: Rows::new(seed),
            selling: Selling::new(),
            counts: Counts::default(),
            days: Days::new(seed),
            canonical: Canonical::default(),
        }
    }

    /// Moves shard time on, never back, and forgets what is no longer known then. Constant time when nothing is due.
    #[inline]
    pub(crate) fn advance(&mut self, shard_time_ms: i64) {
        if shard_time_ms <= self.shard_time_ms {
            return;
        }
        self.shard_time_ms = shard_time_ms;
        if shard_time_ms >= self.days.next_over_ms {
            self.days.forget(shard_time_ms, |pool| self.rows.unpin_pool(pool));
        }
        if self.records.advance(shard_time_ms) {
            let records = &self.records;
            self.rows.begin_generation(|generation| records.knows(generation));
            self.forget_rules();
        }
        if shard_time_ms >= self.selling.next_period_ms {
            self.turn_periods();
        }
        self.counts.sweep();
        self.records.clear_out(&mut self.index, CLEARED_PER_ADVANCE);
    }

    /// The sum over all that is known.
    pub(crate) fn digest(&mut self) -> u128 {
        let sum = self.rows.digest().wrapping_add(self.orders.digest(&self.rows));
        let rules = self.selling.digest().wrapping_add(self.counts.digest()).wrapping_add(self.days.digest());
        let rules = rules.wrapping_add(self.canonical.rules_level(self.rules_level));
        let rules = rules.wrapping_add(self.selling.lots_digest(&self.rows, &mut self.canonical));
        sum.wrapping_add(self.records.digest()).wrapping_add(rules)
    }

    /// Rules that were removed, or are over, are forgotten as identities are, and with them the rows and pools that only
    /// they kept. Once a generation, over all rules.
    fn forget_rules(&mut self) {
        for slot in 0..self.selling.limits.slots() {
            let limit = &self.selling.limits[slot];
            if limit.is_used() && limit.terms.is_none() && !self.records.knows(limit.stamp.generation) {
                let pool = limit.pool;
                self.selling.forget_limit(slot);
                self.rows.unpin_pool(pool);
            }
        }
        for scope in 0..self.selling.scopes.slots() {
            let Scope { pool, delivery: Some(slot), .. } = &self.selling.scopes[scope] else { continue };
            if !slot.stands() && !self.records.knows(slot.stamp.generation) {
                let pool = *pool;
                self.selling.forget_delivery(scope);
                self.rows.unpin_pool(pool);
            }
        }
        // Rows first: a pool goes once it has none.
        for of_pools in [false, true] {
            for scope in 0..self.selling.scopes.slots() {
                if self.selling.scopes[scope].is_used() && (self.selling.scopes[scope].row == NONE) == of_pools {
                    self.forget_scope(scope);
                }
            }
        }
    }

    fn forget_scope(&mut self, number: u32) {
        let scope = &self.selling.scopes[number];
        let forgotten = |stands: bool, at: i64| !stands && !self.records.knows(at);
        let sale = scope.sale.as_ref().is_some_and(|it| forgotten(it.sale.is_some(), it.stamp.generation));
        let channels =
            scope.channels.as_ref().is_some_and(|it| forgotten(self.selling.has_channels(number), it.stamp.generation));
        let is_fresh = scope.lots.as_ref().is_some_and(|lots| lots.least_days() > 0);
        let freshness = scope.freshness_stamp().is_some_and(|stamp| forgotten(is_fresh, stamp.generation));
        if sale {
            self.selling.forget_sale(number);
        }
        if channels {
            self.selling.forget_channels(number);
        }
        if freshness {
            self.selling.forget_freshness(number);
        }
        let scope = &self.selling.scopes[number];
        if !scope.is_idle(self.shard_time_ms) || self.selling.has_channels(number) {
            return;
        }
        let (pool, row) = (scope.pool, scope.row);
        let closed_ms = scope.sale.as_ref().and_then(|slot| slot.sale.as_ref()).map(|sale| sale.closes_at_ms);
        let set = scope.sale.as_ref().map(|slot| slot.stamp.generation);
        let closed = closed_ms.map(|at_ms| self.records.generation_at(at_ms));
        let changed = if row == NONE { set } else { Some(self.rows.changed(row)) };
        let known = changed.max(closed).is_some_and(|generation| self.records.knows(generation));
        let bare = if row == NONE { self.rows.is_pool_bare(pool) } else { self.rows.is_bare(row) };
        if bare && !known {
            self.selling.forget_sale(number);
            self.selling.forget_channels(number);
            self.selling.forget_freshness(number);
        } else if bare || self.selling.scopes[number].remembers() {
            return;
        }
        self.selling.free_scope(number);
        if row == NONE {
            self.rows.set_pool_scope(pool, None);
        } else {
            self.rows.set_scope(row, None);
            if bare {
                self.rows.drop_row(row);
            }
        }
    }

    /// Whether so much of the memory is used that what would have to be remembered anew is refused.
    #[inline]
    pub(crate) fn is_busy(&self, whose: Reserve) -> bool {
        self.has_used(whose.percent())
    }

    fn has_used(&self, percent: usize) -> bool {
        let ids = self.records.known() + IDS_OF_AN_OPEN_ORDER * self.orders.len() + self.orders.counted();
        let ids = ids + self.counts.len() + IDS_OF_A_DAY_COUNT * self.days.len() + self.selling.ids();
        // Half of the records' positions: the other half covers forgotten ones that are still to be cleared out.
        let max_ids = self.rules.max_ids.min(MAX_RECORDS / 2);
        ids * 100 >= max_ids * percent
    }

    fn bytes(&self) -> usize {
        let known = self.index.bytes() + self.records.bytes() + self.orders.bytes() + self.rows.bytes();
        known + self.selling.bytes() + self.counts.bytes() + self.days.bytes()
    }

    /// How full it is.
    pub(crate) fn pressure(&self) -> Pressure {
        Pressure {
            remembered: self.records.known(),
            open: self.orders.len(),
            counters: self.counts.len(),
            rows: self.rows.len(),
            bytes: self.bytes(),
            alarm: self.has_used(ALARM_PERCENT),
            busy: self.is_busy(Reserve::Orders),
        }
    }
}
