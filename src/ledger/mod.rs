//! The pure core: commands in, decisions out, time as an argument. It knows no Kafka, clock, disk or thread, so that
//! live work, recovery, audit, simulation and benchmarks all run the same ledger.
//!
//! - [`Ledger::apply`] climbs a flat ladder of guards, one file for each family of commands; a rejection is a value.
//! - [`Ledger::foresee`] does ahead what does not depend on the commands in between.
//! - [`Ledger::replay`] takes a decision from the log and comes to the state in which it left the ledger that made it.
//! - What is kept: `rows` (stock), `orders` (held and committed), `records` (identities of what is closed), and one
//!   `index` by fingerprint over the identities of both.
//!
//! Once warm, no command allocates but the stock commands that make a pool or SKU known. Nothing is moved or forgotten
//! in large steps: slots, records and holds stand in chunks that stay where they are, index and table of rows grow in
//! small parts, and what a generation leaves behind is cleared out a few entries at a time. The exceptions, both for
//! lists of numbers only: dropping the empty rows of a generation, and sweeping out what no longer counts of the few
//! holds that fit no run.
//!
#![doc = include_str!("RULES.md")]

mod arena;
mod digest;
mod holds;
mod identity;
mod index;
mod known;
mod names;
mod order;
mod orders;
mod place;
mod records;
mod replay;
mod rows;
mod rules;
mod slab;
mod stock;
mod table;
mod verdict;

#[cfg(test)]
mod tests;

pub use replay::ReplayError;
pub use rules::{BYTES_PER_REMEMBERED_ID, FingerprintKey, Moment, Pressure, Rules, StockRow};

use crate::wire::decision::{HeldLine, LineResult};
use crate::wire::encode::asked_of;
use crate::wire::limits::MAX_ID_BYTES;
use crate::wire::proto::{Asked, OrderState, Outcome, Reason};
use crate::wire::route::partition_of;
use crate::wire::{Command, Decision, DecisionLines, Kind, Place, StockLevel, Text};

use digest::Canonical;
use identity::{Fingerprint, Fingerprinter};
use index::Index;
use order::OrderRef;
use orders::Orders;
use place::id_fault;
use records::{Fate, MAX_RECORDS, Records};
use rows::{Figures, Rows};
use verdict::{Lines, Shown, Verdict};

/// Share of `Rules::max_ids`, in percent, from which somebody should hear of it.
const ALARM_PERCENT: usize = 80;
/// Forgotten records taken out of the index whenever time moves: an idle shard gives its memory back by its Ticks.
const CLEARED_PER_ADVANCE: usize = 8;

/// Commands, or logged decisions, that are looked up ahead of the first of them, so that what the ledger needs for them
/// is fetched from memory in one go: enough that the last of them does not wait for the first.
pub const READ_AHEAD: usize = 32;

/// Lines of an order whose stock rows are looked up ahead; few orders have more.
const FORESEEN_LINES: usize = 4;

/// What a look ahead found out about a command: hints that save work, never a part of the decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foresight {
    /// Of the identity of the order that it speaks of.
    fingerprint: Option<Fingerprint>,
    /// Where the index says that this order is, or another one. Not of a Place of stock that is known.
    likely: Option<u32>,
    /// Hashes of the SKUs of a Place's first lines, of which there are so many.
    skus: [u64; FORESEEN_LINES],
    lines: usize,
    /// Where these lines' stock stands, if anywhere: to be looked at before it is believed.
    rows: [u32; FORESEEN_LINES],
}

/// Everything that one shard knows: stock, open orders, remembered identities.
#[derive(Debug)]
pub struct Ledger {
    rules: Rules,
    sequence: u64,
    shard_time_ms: i64,
    fingerprints: Fingerprinter,
    index: Index,
    records: Records,
    orders: Orders,
    rows: Rows,
    canonical: Canonical,
    /// Lines of the order at hand, and what was found out about them.
    held: Vec<HeldLine>,
    results: Vec<LineResult>,
}

impl Ledger {
    /// An empty ledger, as it is right after the genesis record.
    pub fn new(rules: Rules, key: FingerprintKey) -> Ledger {
        let [low, high] = [0, 8].map(|at| std::array::from_fn(|i| key.0[at + i]));
        Ledger {
            rules,
            sequence: 0,
            shard_time_ms: 0,
            fingerprints: Fingerprinter::new(key),
            index: Index::new(rules.expected_ids),
            records: Records::new(rules.window_ms, rules.skew_ms),
            orders: Orders::new(),
            rows: Rows::new(u64::from_le_bytes(low) ^ u64::from_le_bytes(high).rotate_left(1)),
            canonical: Canonical::default(),
            held: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Moves shard time on, never back, and forgets what is no longer known then. Constant time when nothing is due.
    /// Holds that fall due are not ended here but by [`Ledger::expire_one`], which must be called until it returns
    /// `None` before the next command is applied.
    #[inline]
    pub fn advance(&mut self, shard_time_ms: i64) {
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

    /// The earliest end of a hold, in ms since the epoch.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.orders.next_due_ms()
    }

    /// Ends the next hold that is due by `at`, if one is.
    pub fn expire_one(&mut self, at: Moment) -> Option<Decision<'_>> {
        self.advance(at.shard_time_ms);
        let slot = self.orders.due(self.shard_time_ms)?;
        self.sequence += 1;
        let order = *self.orders.get(slot);
        let lines = Lines::Held(self.release(slot, Fate::Expired));
        let verdict = Verdict { lines, ..Verdict::order(Outcome::Expired, OrderState::Expired) };
        let (pool, order_id) = (self.rows.pool_name(order.pool), self.orders.id(order.kept));
        let echo = Echo { asked: Asked::Expire, pool, order_id, attempt: order.attempt, id: Text::EMPTY };
        Some(self.decision(echo, self.held_lines(lines), &verdict))
    }

    /// Decides one command. Holds that are due by `at` must have been ended.
    pub fn apply<'a>(&'a mut self, command: &Command<'a>, at: Moment) -> Decision<'a> {
        let foresight = self.foresee(command);
        self.apply_foreseen(command, &foresight, at)
    }

    /// As [`Ledger::apply`], with what [`Ledger::foresee`] said of the very same command.
    #[inline]
    pub fn apply_foreseen<'a>(&'a mut self, command: &Command<'a>, foresight: &Foresight, at: Moment) -> Decision<'a> {
        self.advance(at.shard_time_ms);
        assert!(self.orders.due(self.shard_time_ms).is_none(), "holds that are due are ended before a command");
        self.sequence += 1;
        let verdict = self.judge(command, foresight, at.engine_time_ms);
        self.answer(command, &verdict)
    }

    /// Hashes what [`Ledger::apply_foreseen`] will look up for `command`. For some commands of a batch, before the first
    /// of them is applied; [`Ledger::fetch`] follows. Whatever is applied in between, the decision is the same.
    #[inline]
    pub fn foresee(&self, command: &Command<'_>) -> Foresight {
        let pool = command.pool;
        match command.kind {
            Kind::Place(Place { order_id, attempt, lines, .. }) => {
                let foresight = self.foresee_order(OrderRef { pool, order_id, attempt });
                self.foresee_lines(foresight, pool, lines.into_iter().map(|line| line.sku))
            }
            Kind::Confirm { order_id, attempt }
            | Kind::Extend { order_id, attempt, .. }
            | Kind::Cancel { order_id, attempt }
            | Kind::Ship { order_id, attempt } => self.foresee_order(OrderRef { pool, order_id, attempt }),
            Kind::Stock { .. } | Kind::Tick { .. } | Kind::Unknown | Kind::Malformed => Foresight::default(),
        }
    }

    /// As [`Ledger::foresee`], of a logged decision that is to be replayed.
    #[inline]
    pub fn foresee_replay(&self, decision: &Decision<'_>) -> Foresight {
        let Decision { pool, order_id, attempt, .. } = *decision;
        let order = OrderRef { pool, order_id, attempt };
        match decision.asked {
            // Answers and refusals change nothing.
            _ if decision.outcome >= Outcome::Duplicate => Foresight::default(),
            Asked::Place if decision.outcome == Outcome::Reserved => {
                self.foresee_lines(self.foresee_order(order), pool, decision.lines().map(|line| line.sku))
            }
            Asked::Place | Asked::Confirm | Asked::Extend | Asked::Cancel | Asked::Expire | Asked::Ship => {
                self.foresee_order(order)
            }
            _ => Foresight::default(),
        }
    }

    #[inline]
    fn foresee_order(&self, order: OrderRef<'_>) -> Foresight {
        let fingerprint = order.identity().checked().map(|identity| self.fingerprints.of(identity));
        Foresight { fingerprint, ..Foresight::default() }
    }

    /// Adds the first lines to what was foreseen of their order.
    #[inline]
    fn foresee_lines<'a>(
        &self,
        mut foresight: Foresight,
        pool: Text<'_>,
        skus: impl Iterator<Item = Text<'a>>,
    ) -> Foresight {
        if let Some(pool) = self.rows.pool(pool) {
            for (hash, sku) in foresight.skus.iter_mut().zip(skus) {
                *hash = self.rows.hash(pool, sku);
                foresight.lines += 1;
            }
        }
        foresight
    }

    /// Reads the memory that deciding these commands begins with, so that it is in the cache by then. In `apply` each
    /// read is waited for; here none waits for another, and a core has a dozen under way at once.
    #[inline]
    pub fn fetch(&self, ahead: &mut [Foresight]) {
        self.index.touch(ahead.iter().filter_map(|foresight| foresight.fingerprint));
        for foresight in ahead.iter_mut() {
            // What is placed is seldom known, and looking costs each of them more than it saves the few.
            if foresight.lines == 0 {
                foresight.likely = foresight.fingerprint.and_then(|fingerprint| self.index.likely(fingerprint));
            }
            for (row, hash) in foresight.rows.iter_mut().zip(&foresight.skus[..foresight.lines]) {
                *row = self.rows.likely_row(*hash);
            }
        }
        self.rows.touch(ahead.iter().flat_map(|foresight| &foresight.rows[..foresight.lines]));
        self.touch(ahead.iter().filter_map(|foresight| foresight.likely));
    }

    /// "xxh3-128-sum": additive hash over all that the ledger knows, equal for equal knowledge, whatever the
    /// fingerprint key and whatever the way there. Costs one hash for each row and order changed since the last call.
    pub fn digest(&mut self) -> [u8; 16] {
        let sum = self.rows.digest().wrapping_add(self.orders.digest(&self.rows));
        sum.wrapping_add(self.records.digest()).to_be_bytes()
    }

    /// Sequence of the last decision; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The shard's time, in ms since the epoch; 0 before the first record.
    pub fn shard_time_ms(&self) -> i64 {
        self.shard_time_ms
    }

    /// How full the ledger is.
    pub fn pressure(&self) -> Pressure {
        let (remembered, open) = (self.records.known(), self.orders.len());
        // Half of the records' places: the other half covers forgotten ones that are still to be cleared out.
        let max_ids = self.rules.max_ids.min(MAX_RECORDS / 2);
        Pressure {
            remembered,
            open,
            rows: self.rows.len(),
            bytes: self.index.bytes() + self.records.bytes() + self.orders.bytes() + self.rows.bytes(),
            alarm: remembered + open >= max_ids * ALARM_PERCENT / 100,
            full: remembered + open >= max_ids,
        }
    }

    /// One stock row.
    pub fn stock(&self, pool: &str, sku: &str) -> Option<StockRow<'_>> {
        self.rows.row(self.rows.pool(pool.into())?, sku.into()).map(|row| self.rows.view(row))
    }

    /// Every stock row, in no order.
    pub fn stock_rows(&self) -> impl Iterator<Item = StockRow<'_>> {
        self.rows.all()
    }

    /// The guards that all commands share, then those of the command's family.
    #[inline]
    fn judge(&mut self, command: &Command<'_>, foresight: &Foresight, engine_time_ms: i64) -> Verdict {
        if let Some(field) = command.unsupported {
            return Verdict { field, ..Verdict::of(Outcome::Unsupported) };
        }
        match command.kind {
            Kind::Place(_) => {}
            // The guard before that of UNSUPPORTED: of what cannot be read no field is known to be unsupported.
            Kind::Malformed => return Verdict::invalid(Reason::Malformed),
            Kind::Unknown => return Verdict::invalid(Reason::NoKind),
            Kind::Tick { shard } if shard != self.rules.shard => return Verdict::invalid(Reason::WrongShard),
            Kind::Tick { .. } => return Verdict::of(Outcome::Applied),
            _ => {}
        }
        let pool = command.pool;
        if let Some(reason) = id_fault(pool) {
            return Verdict::invalid(reason);
        }
        // A pool that has rows was found to belong here when it got them.
        let ours = || partition_of(pool.as_bytes(), self.rules.partitions) == self.rules.shard;
        let known = self.rows.pool(pool);
        if known.is_none() && !ours() {
            return Verdict::of(Outcome::Misrouted);
        }
        match command.kind {
            Kind::Place(ref it) => self.place((pool, known), it, foresight, engine_time_ms),
            Kind::Confirm { order_id, attempt } => self.confirm(OrderRef { pool, order_id, attempt }, foresight),
            Kind::Extend { order_id, attempt, expires_at_ms } => {
                self.extend(OrderRef { pool, order_id, attempt }, foresight, expires_at_ms)
            }
            Kind::Cancel { order_id, attempt } => self.cancel(OrderRef { pool, order_id, attempt }, foresight),
            Kind::Ship { order_id, attempt } => self.ship(OrderRef { pool, order_id, attempt }, foresight),
            Kind::Stock { id, issued_at_ms, change } => self.stock_command(pool, id, issued_at_ms, &change),
            Kind::Tick { .. } | Kind::Unknown | Kind::Malformed => unreachable!("answered above"),
        }
    }

    /// A verdict, with what it echoes of the command and shows of the ledger.
    #[inline]
    fn answer<'a>(&'a self, command: &Command<'a>, verdict: &Verdict) -> Decision<'a> {
        let lines = match (verdict.lines, &command.kind) {
            (Lines::Asked, Kind::Place(it)) => DecisionLines::Asked(it.lines, &self.results),
            (held, _) => self.held_lines(held),
        };
        self.decision(Echo::of(command), lines, verdict)
    }

    #[inline(always)]
    fn decision<'a>(&'a self, echo: Echo<'a>, lines: DecisionLines<'a>, verdict: &Verdict) -> Decision<'a> {
        Decision {
            sequence: self.sequence,
            asked: echo.asked,
            pool: echo.pool,
            order_id: echo.order_id,
            attempt: echo.attempt,
            id: echo.id,
            outcome: verdict.outcome,
            reason: verdict.reason,
            state: verdict.state,
            lines,
            stock: self.shown(verdict.stock),
            expires_at_ms: verdict.expires_at_ms,
            decided_at_ms: self.shard_time_ms,
            content: verdict.content,
            original: verdict.original,
            field: verdict.field,
        }
    }

    #[inline]
    fn shown(&self, stock: Shown) -> Option<StockLevel<'_>> {
        match stock {
            Shown::None => None,
            Shown::Row { row, change } => Some(self.rows.figures(row).level(self.rows.view(row).sku.into(), change)),
            Shown::Pool { halted } => Some(StockLevel { halted, ..Figures::default().level(Text::EMPTY, 0) }),
        }
    }

    fn held_lines(&self, lines: Lines) -> DecisionLines<'_> {
        let (kept, results): (_, &[LineResult]) = match lines {
            Lines::Held(kept) => (kept, &[]),
            Lines::HeldWithResults(kept) => (kept, &self.results),
            Lines::None | Lines::Asked => return DecisionLines::None,
        };
        DecisionLines::Held { lines: self.orders.lines(kept), names: &self.rows, results }
    }
}

/// What a decision repeats of its command.
struct Echo<'a> {
    asked: Asked,
    pool: Text<'a>,
    order_id: Text<'a>,
    attempt: u32,
    id: Text<'a>,
}

impl<'a> Echo<'a> {
    #[inline]
    fn of(command: &Command<'a>) -> Echo<'a> {
        let none = Echo {
            asked: asked_of(&command.kind),
            pool: within_limit(command.pool),
            order_id: Text::EMPTY,
            attempt: 0,
            id: Text::EMPTY,
        };
        match command.kind {
            Kind::Place(Place { order_id, attempt, .. })
            | Kind::Confirm { order_id, attempt }
            | Kind::Extend { order_id, attempt, .. }
            | Kind::Cancel { order_id, attempt }
            | Kind::Ship { order_id, attempt } => Echo { order_id: within_limit(order_id), attempt, ..none },
            Kind::Stock { id, .. } => Echo { id: within_limit(id), ..none },
            Kind::Tick { .. } => Echo { pool: Text::EMPTY, ..none },
            Kind::Unknown | Kind::Malformed => none,
        }
    }
}

/// Nothing of a text that is over-long, or the largest input might have no output.
#[inline]
fn within_limit(id: Text<'_>) -> Text<'_> {
    if id.len() <= MAX_ID_BYTES { id } else { Text::EMPTY }
}
