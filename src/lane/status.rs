//! What a lane tells about itself: figures that its two threads keep with plain stores, once a batch, and that anybody
//! may read without making them wait.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::snapshot::{COMMIT_BUCKETS_MS, InputSnapshot, LaneSnapshot, Phase, RecoverySnapshot};
use super::tally::{CELLS, Tally, pair};
use crate::broker::{Ends, Input};
use crate::ledger::Pressure;
use crate::log::Counts;
use crate::log::take::{Progress, Tail};

/// The halves of a lane, as the watchdog tells them apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Apply,
    Commit,
}

/// One committed batch, as the commit half reports it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchFigures {
    /// Sequence of the last decision that is committed now.
    pub sequence: u64,
    /// Decisions in it.
    pub decisions: u64,
    /// Links it was cut into.
    pub links: u64,
    /// Bytes of all its records.
    pub bytes: u64,
    /// Dead letters in it.
    pub dead_letters: u64,
    /// Replies beyond the partitions of `replies`, which nobody can read.
    pub lost_replies: u64,
    /// From the hand-over to the end of the commit.
    pub commit_ms: u64,
    /// First offsets that are not decided and committed, of `orders` and of `stock`.
    pub next: [i64; 2],
    /// The shard's time after it.
    pub shard_time_ms: i64,
}

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

/// What goes with the phase.
#[derive(Debug, Default)]
struct Said {
    reason: Option<String>,
    /// The ownership during which the apply half has a say; none while the commit half is not done with taking.
    life: Option<u64>,
}

/// What a lane tells about itself. Shared; every figure on its own is true, two of them may be a batch apart.
#[derive(Debug)]
pub struct LaneStatus {
    phase: AtomicU8,
    said: Mutex<Said>,
    epoch: AtomicU64,
    sequence: AtomicU64,
    shard_time_ms: AtomicI64,
    inputs: [InputFigures; 2],
    /// Steady ms at which each half was last about to step; 0 once it has ended.
    stepped_ms: [AtomicU64; 2],
    recovery_decisions: AtomicU64,
    recovery_offset: AtomicI64,
    recovery_end: AtomicI64,
    batches: AtomicU64,
    last_decisions: AtomicU64,
    last_links: AtomicU64,
    last_bytes: AtomicU64,
    dead_letters: AtomicU64,
    lost_replies: AtomicU64,
    looks: AtomicU64,
    resends: AtomicU64,
    ticks: AtomicU64,
    commit_ms: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS_MS.len() + 1],
    cells: Box<[AtomicU64; CELLS]>,
    open_orders: AtomicU64,
    rules_level: AtomicU32,
    remembered: AtomicU64,
    rows: AtomicU64,
    ledger_bytes: AtomicU64,
}

impl Default for LaneStatus {
    fn default() -> Self {
        LaneStatus {
            phase: AtomicU8::new(0),
            said: Mutex::default(),
            epoch: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            shard_time_ms: AtomicI64::new(0),
            inputs: Default::default(),
            stepped_ms: Default::default(),
            recovery_decisions: AtomicU64::new(0),
            recovery_offset: AtomicI64::new(0),
            recovery_end: AtomicI64::new(-1),
            batches: AtomicU64::new(0),
            last_decisions: AtomicU64::new(0),
            last_links: AtomicU64::new(0),
            last_bytes: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            lost_replies: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            resends: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            commit_ms: AtomicU64::new(0),
            commit_buckets: Default::default(),
            cells: Box::new([const { AtomicU64::new(0) }; CELLS]),
            open_orders: AtomicU64::new(0),
            rules_level: AtomicU32::new(0),
            remembered: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            ledger_bytes: AtomicU64::new(0),
        }
    }
}

impl LaneStatus {
    /// Where the shard is in its life.
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed))]
    }

    /// The commit half's word. From now on the apply half has none.
    pub(super) fn set_phase(&self, phase: Phase, reason: Option<String>) {
        *self.said() = Said { reason, life: None };
        self.phase.store(phase as u8, Relaxed);
    }

    /// The shard is taken and recovered: the apply half tells what becomes of this ownership.
    pub(crate) fn begin_life(&self, life: u64) {
        *self.said() = Said { reason: None, life: Some(life) };
        self.phase.store(Phase::CatchingUp as u8, Relaxed);
    }

    /// The apply half's word. Nothing if this life is over: the shard may be lost, and apply not know it yet.
    pub(crate) fn set_phase_in(&self, life: u64, phase: Phase, reason: Option<String>) {
        let mut said = self.said();
        if said.life == Some(life) {
            said.reason = reason;
            self.phase.store(phase as u8, Relaxed);
        }
    }

    /// What keeps the apply half from its work at the moment, without changing the phase.
    pub(super) fn set_reason_in(&self, life: u64, reason: Option<String>) {
        let mut said = self.said();
        if said.life == Some(life) {
            said.reason = reason;
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both threads are ending; a bug that was told stays told.
    pub(super) fn end(&self) {
        if self.phase() != Phase::Failed {
            self.set_phase(Phase::Stopped, None);
        }
    }

    pub(super) fn stepped(&self, half: Half, now_ms: u64) {
        self.stepped_ms[half as usize].store(now_ms, Relaxed);
    }

    /// How long the slower of the two halves has been in its present step; `now_ms` as for [`LaneStatus::snapshot`].
    pub fn since_step(&self, now_ms: u64) -> Duration {
        let halves = self.stepped_ms.iter().map(|stepped| stepped.load(Relaxed)).filter(|&stepped_ms| stepped_ms > 0);
        halves.min().map_or(Duration::ZERO, |stepped_ms| Duration::from_millis(now_ms.saturating_sub(stepped_ms)))
    }

    pub(super) fn set_recovery_end(&self, end: Option<i64>) {
        self.recovery_end.store(end.unwrap_or(-1), Relaxed);
    }

    pub(super) fn set_recovery(&self, progress: Progress) {
        self.recovery_decisions.store(progress.decisions, Relaxed);
        self.recovery_offset.store(progress.next_offset, Relaxed);
    }

    pub(super) fn set_recovered(&self, tail: &Tail) {
        self.epoch.store(tail.epoch, Relaxed);
        self.set_decided(tail.next_sequence - 1, tail.shard_time_ms, [tail.orders_next, tail.stock_next]);
    }

    fn set_decided(&self, sequence: u64, shard_time_ms: i64, next: [i64; 2]) {
        self.sequence.store(sequence, Relaxed);
        self.shard_time_ms.store(shard_time_ms, Relaxed);
        for (figures, next) in self.inputs.iter().zip(next) {
            figures.position.store(next, Relaxed);
        }
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        self.looks.store(counts.retakes, Relaxed);
        self.resends.store(counts.resent, Relaxed);
    }

    pub(super) fn set_rules_level(&self, level: u32) {
        self.rules_level.store(level, Relaxed);
    }

    pub(super) fn set_pressure(&self, pressure: Pressure) {
        self.open_orders.store(pressure.open as u64, Relaxed);
        self.remembered.store(pressure.remembered as u64, Relaxed);
        self.rows.store(pressure.rows as u64, Relaxed);
        self.ledger_bytes.store(pressure.bytes as u64, Relaxed);
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

    pub(super) fn committed(&self, batch: &BatchFigures, tally: &Tally) {
        self.set_decided(batch.sequence, batch.shard_time_ms, batch.next);
        self.batches.fetch_add(1, Relaxed);
        self.last_decisions.store(batch.decisions, Relaxed);
        self.last_links.store(batch.links, Relaxed);
        self.last_bytes.store(batch.bytes, Relaxed);
        self.dead_letters.fetch_add(batch.dead_letters, Relaxed);
        self.lost_replies.fetch_add(batch.lost_replies, Relaxed);
        self.commit_ms.fetch_add(batch.commit_ms, Relaxed);
        let bucket = COMMIT_BUCKETS_MS.partition_point(|&bound| bound < batch.commit_ms);
        self.commit_buckets[bucket].fetch_add(1, Relaxed);
        for (total, count) in self.cells.iter().zip(tally.cells()) {
            if count > 0 {
                total.fetch_add(count.into(), Relaxed);
            }
        }
    }

    fn input(&self, input: Input) -> &InputFigures {
        &self.inputs[usize::from(input == Input::Stock)]
    }

    /// A copy of all figures. `now_ms` is the lane's own clock, [`super::clock::steady_ms`].
    #[must_use]
    pub fn snapshot(&self, now_ms: u64) -> LaneSnapshot {
        let input = |input| {
            let figures = self.input(input);
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
        LaneSnapshot {
            phase: self.phase(),
            reason: self.said().reason.clone(),
            epoch: self.epoch.load(Relaxed),
            sequence: self.sequence.load(Relaxed),
            shard_time_ms: self.shard_time_ms.load(Relaxed),
            orders: input(Input::Orders),
            stock: input(Input::Stock),
            recovery: RecoverySnapshot {
                decisions: self.recovery_decisions.load(Relaxed),
                offset: self.recovery_offset.load(Relaxed),
                end: self.recovery_end.load(Relaxed),
            },
            batches: self.batches.load(Relaxed),
            last_decisions: self.last_decisions.load(Relaxed),
            last_links: self.last_links.load(Relaxed),
            last_bytes: self.last_bytes.load(Relaxed),
            decisions: decisions.collect(),
            dead_letters: self.dead_letters.load(Relaxed),
            lost_replies: self.lost_replies.load(Relaxed),
            looks: self.looks.load(Relaxed),
            resends: self.resends.load(Relaxed),
            ticks: self.ticks.load(Relaxed),
            commit_ms: self.commit_ms.load(Relaxed),
            commit_buckets: std::array::from_fn(|i| self.commit_buckets[i].load(Relaxed)),
            open_orders: self.open_orders.load(Relaxed),
            rules_level: self.rules_level.load(Relaxed),
            remembered_ids: self.remembered.load(Relaxed),
            stock_rows: self.rows.load(Relaxed),
            ledger_bytes: self.ledger_bytes.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: &LaneStatus) -> (Phase, Option<String>) {
        let snapshot = status.snapshot(0);
        (snapshot.phase, snapshot.reason)
    }

    #[test]
    fn apply_has_no_say_in_a_life_that_is_over() {
        let status = LaneStatus::default();
        status.begin_life(1);
        status.set_phase_in(1, Phase::Running, None);
        status.set_reason_in(1, Some("slow".to_owned()));
        assert_eq!(told(&status), (Phase::Running, Some("slow".to_owned())));
        let lost = (Phase::BackingOff, Some("lost".to_owned()));
        status.set_phase(lost.0, lost.1.clone());
        status.set_phase_in(1, Phase::Running, None);
        status.set_reason_in(1, None);
        assert_eq!(told(&status), lost);
        status.begin_life(3);
        status.set_phase_in(1, Phase::Running, None);
        assert_eq!(told(&status), (Phase::CatchingUp, None));
    }
}
