//! What a lane tells about itself: figures that its two threads keep with plain stores, once a batch, and that anybody
//! may read without making them wait.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::shard_status::ShardStatus;
use super::snapshot::{COMMIT_BUCKETS_MS, LaneSnapshot, Phase, RecoverySnapshot, ShardSnapshot};
use super::work::Work;
use crate::log::Counts;
use crate::log::take::{Progress, Tail};

/// The halves of a lane, as the watchdog tells them apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Apply,
    Commit,
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
    /// Steady ms at which each half was last about to step; 0 once it has ended.
    stepped_ms: [AtomicU64; 2],
    recovery_decisions: AtomicU64,
    recovery_offset: AtomicI64,
    recovery_end: AtomicI64,
    batches: AtomicU64,
    last_decisions: AtomicU64,
    last_links: AtomicU64,
    last_bytes: AtomicU64,
    looks: AtomicU64,
    resends: AtomicU64,
    commit_ms: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS_MS.len() + 1],
    /// Of its shards, in order.
    shards: Vec<ShardStatus>,
}

impl LaneStatus {
    /// All at their beginning, of a lane with these shards, in order.
    #[must_use]
    pub fn new(shards: impl Iterator<Item = u32>) -> Self {
        LaneStatus {
            phase: AtomicU8::new(0),
            said: Mutex::default(),
            epoch: AtomicU64::new(0),
            stepped_ms: Default::default(),
            recovery_decisions: AtomicU64::new(0),
            recovery_offset: AtomicI64::new(0),
            recovery_end: AtomicI64::new(-1),
            batches: AtomicU64::new(0),
            last_decisions: AtomicU64::new(0),
            last_links: AtomicU64::new(0),
            last_bytes: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            resends: AtomicU64::new(0),
            commit_ms: AtomicU64::new(0),
            commit_buckets: Default::default(),
            shards: shards.map(ShardStatus::new).collect(),
        }
    }

    /// Where the lane is in its life.
    pub fn phase(&self) -> Phase {
        match Phase::ALL[usize::from(self.phase.load(Relaxed))] {
            Phase::CatchingUp if !self.shards.iter().any(|shard| shard.phase() == Phase::CatchingUp) => Phase::Running,
            phase => phase,
        }
    }

    /// Figures of its shard `at`.
    pub fn shard(&self, at: usize) -> &ShardStatus {
        &self.shards[at]
    }

    /// The commit half's word. From now on the apply half has none.
    pub(super) fn set_phase(&self, phase: Phase, reason: Option<String>) {
        *self.said() = Said { reason, life: None };
        self.phase.store(phase as u8, Relaxed);
    }

    /// The lane is taken and recovered: the apply half tells what becomes of this ownership.
    pub(crate) fn begin_life(&self, life: u64) {
        let mut said = self.said();
        *said = Said { reason: None, life: Some(life) };
        self.shards.iter().for_each(|shard| shard.set_phase(Phase::CatchingUp, None));
        self.phase.store(Phase::CatchingUp as u8, Relaxed);
    }

    /// The apply half's word on a shard. Nothing if this life is over: the lane may be lost, and apply not know it yet.
    pub(crate) fn set_shard_phase(&self, life: u64, at: usize, phase: Phase, reason: Option<String>) {
        if self.said().life == Some(life) {
            self.shards[at].set_phase(phase, reason);
        }
    }

    /// What keeps a shard from its work at the moment, without changing its phase.
    pub(super) fn set_shard_reason(&self, life: u64, at: usize, reason: Option<String>) {
        if self.said().life == Some(life) {
            self.shards[at].set_reason(reason);
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
        for (status, tail) in self.shards.iter().zip(&tail.shards) {
            let next = [tail.orders_next, tail.stock_next];
            status.set_decided(tail.next_sequence - 1, tail.shard_time_ms, next);
        }
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        self.looks.store(counts.retakes, Relaxed);
        self.resends.store(counts.resent, Relaxed);
    }

    /// A batch was committed, which took `commit_ms` from its hand-over to the end of its commit.
    pub(super) fn committed(&self, batch: &Work, commit_ms: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.last_decisions.store(batch.decisions.into(), Relaxed);
        self.last_links.store(batch.batch.links.len() as u64, Relaxed);
        self.last_bytes.store(batch.bytes as u64, Relaxed);
        self.commit_ms.fetch_add(commit_ms, Relaxed);
        let bucket = COMMIT_BUCKETS_MS.partition_point(|&bound| bound < commit_ms);
        self.commit_buckets[bucket].fetch_add(1, Relaxed);
        for (status, share) in self.shards.iter().zip(&batch.shards).filter(|(_, share)| share.links > 0) {
            status.committed(share);
        }
    }

    /// A copy of all figures of the lane. `now_ms` is the lane's own clock, [`super::clock::steady_ms`].
    #[must_use]
    pub fn snapshot(&self, now_ms: u64) -> LaneSnapshot {
        let (phase, reason, epoch) = (self.phase(), self.said().reason.clone(), self.epoch.load(Relaxed));
        LaneSnapshot {
            shards: self.shards.iter().map(|shard| self.of_shard(shard.snapshot(now_ms))).collect(),
            phase,
            reason,
            epoch,
            recovery: RecoverySnapshot {
                decisions: self.recovery_decisions.load(Relaxed),
                offset: self.recovery_offset.load(Relaxed),
                end: self.recovery_end.load(Relaxed),
            },
            batches: self.batches.load(Relaxed),
            last_decisions: self.last_decisions.load(Relaxed),
            last_links: self.last_links.load(Relaxed),
            last_bytes: self.last_bytes.load(Relaxed),
            looks: self.looks.load(Relaxed),
            resends: self.resends.load(Relaxed),
            commit_ms: self.commit_ms.load(Relaxed),
            commit_buckets: std::array::from_fn(|i| self.commit_buckets[i].load(Relaxed)),
        }
    }

    /// A shard is in its own phase while its lane works, else in the lane's.
    fn of_shard(&self, mut shard: ShardSnapshot) -> ShardSnapshot {
        match Phase::ALL[usize::from(self.phase.load(Relaxed))] {
            Phase::CatchingUp => {
                if shard.reason.is_none() {
                    shard.reason = self.said().reason.clone();
                }
            }
            phase => (shard.phase, shard.reason) = (phase, self.said().reason.clone()),
        }
        shard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: &LaneStatus) -> (Phase, Option<String>) {
        let shard = &status.snapshot(0).shards[0];
        (shard.phase, shard.reason.clone())
    }

    #[test]
    fn apply_has_no_say_in_a_life_that_is_over() {
        let status = LaneStatus::new(0..1);
        status.begin_life(1);
        status.set_shard_phase(1, 0, Phase::Running, None);
        status.set_shard_reason(1, 0, Some("slow".to_owned()));
        assert_eq!(told(&status), (Phase::Running, Some("slow".to_owned())));
        let lost = (Phase::BackingOff, Some("lost".to_owned()));
        status.set_phase(lost.0, lost.1.clone());
        status.set_shard_phase(1, 0, Phase::Running, None);
        status.set_shard_reason(1, 0, None);
        assert_eq!(told(&status), lost);
        status.begin_life(3);
        status.set_shard_phase(1, 0, Phase::Running, None);
        assert_eq!(told(&status), (Phase::CatchingUp, None));
    }

    #[test]
    fn a_lane_runs_once_none_of_its_shards_catches_up() {
        let status = LaneStatus::new(0..3);
        status.begin_life(1);
        status.set_shard_phase(1, 0, Phase::Running, None);
        status.set_shard_phase(1, 1, Phase::Parked, Some("trimmed".to_owned()));
        assert_eq!(status.phase(), Phase::CatchingUp);
        status.set_shard_phase(1, 2, Phase::Running, None);
        assert_eq!(status.phase(), Phase::Running);
        assert_eq!(status.snapshot(0).shards[1].phase, Phase::Parked);
    }
}
