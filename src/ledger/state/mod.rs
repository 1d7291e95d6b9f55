//! What a shard knows, and nothing of what it decides by: every figure that a rule reads or changes stands here, with its
//! part of the digest.

pub(crate) mod closed; // identities of what is closed, by generations
mod digest; // canonical bytes, and their sum
pub(crate) mod expiry; // the order in which holds fall due
pub(crate) mod identity; // what makes two commands copies of one another
pub(crate) mod known; // one index over all identities
pub(crate) mod orders; // open orders and what they hold
pub(crate) mod rows; // stock: pools, SKUs, figures

use super::terms::{FingerprintKey, Pressure, Rules};
use closed::{MAX_RECORDS, Records};
use digest::Canonical;
use identity::Fingerprinter;
use orders::Orders;
use rows::Rows;

use super::store::index::Index;

/// Share of `Rules::max_ids`, in percent, from which somebody should hear of it.
const ALARM_PERCENT: usize = 80;
/// Remembered ids that an open order counts for: with two lines it takes some 140 bytes.
const IDS_OF_AN_OPEN_ORDER: usize = 4;
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
    canonical: Canonical,
}

impl State {
    /// Nothing known, as it is right after the genesis record.
    pub(crate) fn new(rules: Rules, key: FingerprintKey) -> State {
        let [low, high] = [0, 8].map(|at| std::array::from_fn(|i| key.0[at + i]));
        State {
            rules,
            sequence: 0,
            shard_time_ms: 0,
            rules_level: rules.rules_level,
            fingerprints: Fingerprinter::new(key),
            index: Index::new(rules.expected_ids),
            records: Records::new(rules.window_ms, rules.skew_ms),
            orders: Orders::new(),
            rows: Rows::new(u64::from_le_bytes(low) ^ u64::from_le_bytes(high).rotate_left(1)),
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
        if self.records.advance(shard_time_ms) {
            let records = &self.records;
            self.rows.begin_generation(|generation| records.knows(generation));
        }
        self.records.clear_out(&mut self.index, CLEARED_PER_ADVANCE);
    }

    /// The sum over all that is known.
    pub(crate) fn digest(&mut self) -> u128 {
        let sum = self.rows.digest().wrapping_add(self.orders.digest(&self.rows));
        let sum = sum.wrapping_add(self.records.digest());
        sum.wrapping_add(self.canonical.rules_level(self.rules_level))
    }

    /// Whether so much of the memory is used that what would have to be remembered anew is refused.
    #[inline]
    pub(crate) fn is_busy(&self, whose: Reserve) -> bool {
        self.has_used(whose.percent())
    }

    fn has_used(&self, percent: usize) -> bool {
        let ids = self.records.known() + IDS_OF_AN_OPEN_ORDER * self.orders.len();
        // Half of the records' positions: the other half covers forgotten ones that are still to be cleared out.
        let max_ids = self.rules.max_ids.min(MAX_RECORDS / 2);
        ids * 100 >= max_ids * percent
    }

    /// How full it is.
    pub(crate) fn pressure(&self) -> Pressure {
        Pressure {
            remembered: self.records.known(),
            open: self.orders.len(),
            rows: self.rows.len(),
            bytes: self.index.bytes() + self.records.bytes() + self.orders.bytes() + self.rows.bytes(),
            alarm: self.has_used(ALARM_PERCENT),
            busy: self.is_busy(Reserve::Orders),
        }
    }
}
