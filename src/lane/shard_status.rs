//! What a shard of a lane tells about itself.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::exchange::ShardStart;
use super::snapshot::{InputSnapshot, Phase, ShardSnapshot};
use super::tally::{CELLS, pair};
use super::work::Share;
use crate::broker::{Ends, Input};
use crate::ledger::Pressure;

/// Figures of one input.
#[derive(Debug)]
struct InputFigures {
    position: AtomicI64,
    stable: AtomicI64,
    high: AtomicI64,
    /// Local monotonic ms at which the stable offset last moved or had nothing above it.
    stable_moved_ms: AtomicU64,
    blocked: AtomicU8,
}

impl Default for InputFigures {
    fn default() -> Self {
        InputFigures {
            position: AtomicI64::new(0),
            stable: AtomicI64::new(-1),
            high: AtomicI64::new(-1),
            stable_moved_ms: AtomicU64::new(0),
            blocked: AtomicU8::new(0),
        }
    }
}

/// Figures of a shard, kept like those of its lane.
#[derive(Debug)]
pub struct ShardStatus {
    shard: u32,
    phase: AtomicU8,
    reason: Mutex<Option<String>>,
    sequence: AtomicU64,
    shard_time_ms: AtomicI64,
    inputs: [InputFigures; 2],
    dead_letters: AtomicU64,
    lost_replies: AtomicU64,
    ticks: AtomicU64,
    cells: Box<[AtomicU64; CELLS]>,
    open_orders: AtomicU64,
    rules_level: AtomicU32,
    remembered: AtomicU64,
    rows: AtomicU64,
    ledger_bytes: AtomicU64,
}

impl ShardStatus {
    pub(super) fn new(shard: u32) -> Self {
        ShardStatus {
            shard,
            phase: AtomicU8::new(Phase::CatchingUp as u8),
            reason: Mutex::default(),
            sequence: AtomicU64::new(0),
            shard_time_ms: AtomicI64::new(0),
            inputs: Default::default(),
            dead_letters: AtomicU64::new(0),
            lost_replies: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            cells: Box::new([const { AtomicU64::new(0) }; CELLS]),
            open_orders: AtomicU64::new(0),
            rules_level: AtomicU32::new(0),
            remembered: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            ledger_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed))]
    }

    pub(super) fn set_phase(&self, phase: Phase, reason: Option<String>) {
        self.set_reason(reason);
        self.phase.store(phase as u8, Relaxed);
    }

    pub(super) fn set_reason(&self, reason: Option<String>) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// It was rebuilt from the log.
    pub(super) fn set_decided_from(&self, start: &ShardStart) {
        if let Ok(ledger) = &start.ledger {
            let next = [start.orders.offset, start.stock.offset];
            self.set_decided(ledger.sequence(), ledger.shard_time_ms(), next);
        }
    }

    pub(super) fn set_decided(&self, sequence: u64, shard_time_ms: i64, next: [i64; 2]) {
        self.sequence.store(sequence, Relaxed);
        self.shard_time_ms.store(shard_time_ms, Relaxed);
        for (figures, next) in self.inputs.iter().zip(next) {
            figures.position.store(next, Relaxed);
        }
    }

    pub(super) fn set_rules_level(&self, level: u32) {
        self.rules_level.store(level, Relaxed);
    }

    /// Tells how full its ledger is, with every batch: what lasts is folded by the log, which also tells its end.
    pub(super) fn note_pressure(&self, pressure: Pressure, rules_level: u32) {
        self.open_orders.store(pressure.open as u64, Relaxed);
        self.remembered.store(pressure.remembered as u64, Relaxed);
        self.rows.store(pressure.rows as u64, Relaxed);
        self.ledger_bytes.store(pressure.bytes as u64, Relaxed);
        self.set_rules_level(rules_level);
        let (shard, remembered, open) = (self.shard, pressure.remembered, pressure.open);
        let counters = pressure.counters;
        if pressure.busy {
            tracing::warn!(shard, remembered, open, counters, "{BUSY}");
        } else if pressure.alarm {
            tracing::warn!(shard, remembered, open, counters, "{ALARM}");
        }
    }

    pub(super) fn add_tick(&self) {
        self.ticks.fetch_add(1, Relaxed);
    }

    /// The brokers answered; `now_ms` is [`crate::log::step::Now::steady_ms`].
    pub(super) fn set_ends(&self, ends: Ends, now_ms: u64) {
        for (figures, end) in self.inputs.iter().zip([ends.orders, ends.stock]) {
            let blocked = end.stable < end.high && figures.stable.load(Relaxed) == end.stable;
            if !blocked {
                figures.stable_moved_ms.store(now_ms, Relaxed);
            }
            figures.blocked.store(blocked.into(), Relaxed);
            figures.stable.store(end.stable, Relaxed);
            figures.high.store(end.high, Relaxed);
        }
    }

    pub(super) fn committed(&self, share: &Share) {
        self.set_decided(share.sequence, share.shard_time_ms, share.next);
        self.dead_letters.fetch_add(share.dead_letters.into(), Relaxed);
        self.lost_replies.fetch_add(share.lost_replies, Relaxed);
        for (total, count) in self.cells.iter().zip(share.tally.cells()) {
            if count > 0 {
                total.fetch_add(count.into(), Relaxed);
            }
        }
    }

    /// A copy of all figures; `now_ms` as for [`super::LaneStatus::snapshot`].
    pub(super) fn snapshot(&self, now_ms: u64) -> ShardSnapshot {
        let input = |input| {
            let figures = &self.inputs[usize::from(input == Input::Stock)];
            let blocked = figures.blocked.load(Relaxed) == 1;
            let age_ms = now_ms.saturating_sub(figures.stable_moved_ms.load(Relaxed));
            InputSnapshot {
                position: figures.position.load(Relaxed),
                stable: figures.stable.load(Relaxed),
                high: figures.high.load(Relaxed),
                stable_age_ms: if blocked { age_ms } else { 0 },
            }
        };
        let decisions = self.cells.iter().enumerate().filter_map(|(i, cell)| {
            let count = cell.load(Relaxed);
            (count > 0).then(|| (pair(i).0, pair(i).1, count))
        });
        ShardSnapshot {
            shard: self.shard,
            phase: self.phase(),
            reason: self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            sequence: self.sequence.load(Relaxed),
            shard_time_ms: self.shard_time_ms.load(Relaxed),
            orders: input(Input::Orders),
            stock: input(Input::Stock),
            decisions: decisions.collect(),
            dead_letters: self.dead_letters.load(Relaxed),
            lost_replies: self.lost_replies.load(Relaxed),
            ticks: self.ticks.load(Relaxed),
            open_orders: self.open_orders.load(Relaxed),
            rules_level: self.rules_level.load(Relaxed),
            remembered_ids: self.remembered.load(Relaxed),
            stock_rows: self.rows.load(Relaxed),
            ledger_bytes: self.ledger_bytes.load(Relaxed),
        }
    }
}

/// Said while a shard's ledger fills.
const ALARM: &str = "80% of ledger.max_remembered_bytes are used up: near the end of it new orders are answered BUSY. Raise \
                     it and start the node again";

/// Said while a shard's ledger is full.
const BUSY: &str = "ledger.max_remembered_bytes is nearly used up: new orders are answered BUSY until ids leave the \
                    window or orders are closed. Raise it and start the node again";
