//! Where the halves of a lane meet: bounded queues both ways, and a few flags. Neither half ever waits in here.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use crossbeam::queue::ArrayQueue;
use thiserror::Error;

use super::work::Work;
use crate::broker::{Fault, Position, ReadFrom, Wake};
use crate::ledger::Ledger;
use crate::log::refusal::Refusal;

/// Batches handed over and not yet taken: one, and only while the commit half is idle, so that a batch grows until
/// somebody has time for it.
const FULL_BATCHES: usize = 1;

/// Batches that go round: one is filled while the other is committed.
const BATCHES: usize = 2;

/// A lane that has been recovered.
#[derive(Debug)]
pub struct Start {
    /// The ownership that begins.
    pub life: u64,
    /// Its shards, in order.
    pub shards: Vec<ShardStart>,
}

/// A shard that has been recovered, and where to go on.
#[derive(Debug)]
pub struct ShardStart {
    /// Which.
    pub shard: u32,
    /// Its ledger, or why there is none.
    pub ledger: Result<Box<Ledger>, Refusal>,
    /// Behind the last record of `orders` that is decided.
    pub orders: Position,
    /// Behind the last record of `stock` that is decided.
    pub stock: Position,
}

impl ShardStart {
    /// From where to read on.
    pub(super) fn from(&self) -> ReadFrom {
        ReadFrom::new(self.shard, self.orders, self.stock)
    }
}

/// What came of rebuilding a shard from the log: the shard, nothing if the log could not be read now, or why the log does
/// not let it be rebuilt.
pub(super) type Rebuilt = Result<Option<ShardStart>, Refusal>;

/// Why a shard, or the whole apply half, cannot go on.
#[derive(Debug, Error)]
pub enum ApplyFault {
    /// The inputs cannot be read on, and waiting does not help.
    #[error("the inputs cannot be read: {0}")]
    Inputs(Fault),
    /// The record to be read next is gone.
    #[error(transparent)]
    Lost(Refusal),
    /// A shard's ledger broke down.
    #[error("{0}")]
    Bug(String),
    /// What was read cannot be merged.
    #[error(transparent)]
    Merge(#[from] super::merge::MergeError),
}

/// How a lane is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stop {
    /// It is not.
    No = 0,
    /// Take no more input, commit what is open, end.
    Graceful = 1,
    /// The shard is somebody else's: end, leave everything as it is.
    AtOnce = 2,
}

/// Ends a half's sleep from another thread.
#[derive(Default)]
pub(super) struct Bell {
    thread: Mutex<Option<Thread>>,
    wake: Mutex<Option<Arc<dyn Wake>>>,
}

impl Bell {
    /// The half sleeps by parking this thread.
    pub(super) fn answers(&self, thread: Thread) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// The half sleeps in its inputs, from now on.
    pub(super) fn wakes(&self, wake: Option<Arc<dyn Wake>>) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = wake;
    }

    /// Ends the present sleep, or the next.
    pub(super) fn ring(&self) {
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake.wake();
        }
    }
}

/// What passes between the halves of one lane.
pub struct Exchange {
    full: ArrayQueue<Box<Work>>,
    empty: ArrayQueue<Box<Work>>,
    start: ArrayQueue<Start>,
    fault: ArrayQueue<(u64, ApplyFault)>,
    /// A shard whose ledger is to be rebuilt from the log, and the ownership; a later wish waits until it is asked again.
    rebuild: ArrayQueue<(u64, usize)>,
    rebuilt: ArrayQueue<(u64, usize, Rebuilt)>,
    /// The present ownership; everything of an earlier one is to be dropped.
    life: AtomicU64,
    /// The commit half has nothing to do and waits for a batch.
    idle: AtomicBool,
    /// The apply half was stopped gracefully and has handed over all it had.
    drained: AtomicBool,
    stop: AtomicU8,
    /// Until when a lane that was asked to end may commit, ms of the lane's clock.
    finish_by_ms: AtomicU64,
    pub(super) apply_bell: Bell,
    pub(super) commit_bell: Bell,
}

impl Default for Exchange {
    fn default() -> Self {
        let empty = ArrayQueue::new(BATCHES);
        for _ in 0..BATCHES {
            let pushed = empty.push(Box::default());
            debug_assert!(pushed.is_ok());
        }
        Exchange {
            full: ArrayQueue::new(FULL_BATCHES),
            empty,
            start: ArrayQueue::new(1),
            fault: ArrayQueue::new(1),
            rebuild: ArrayQueue::new(1),
            rebuilt: ArrayQueue::new(1),
            life: AtomicU64::new(0),
            idle: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            stop: AtomicU8::new(Stop::No as u8),
            finish_by_ms: AtomicU64::new(u64::MAX),
            apply_bell: Bell::default(),
            commit_bell: Bell::default(),
        }
    }
}

impl Exchange {
    /// How the lane was asked to end, if it was.
    pub fn stopping(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Graceful,
            _ => Stop::AtOnce,
        }
    }

    /// Asks the lane to commit what it has decided until `by_ms` of its clock ([`Now::steady_ms`]), and to end.
    ///
    /// [`Now::steady_ms`]: crate::log::step::Now::steady_ms
    pub fn finish(&self, by_ms: u64) {
        self.finish_by_ms.store(by_ms, Ordering::Release);
        self.stop(Stop::Graceful);
    }

    /// Until when it may commit, once it was asked to end.
    pub(super) fn finish_by_ms(&self) -> u64 {
        self.finish_by_ms.load(Ordering::Acquire)
    }

    /// Asks the lane to end. A stronger wish stands.
    pub fn stop(&self, how: Stop) {
        self.stop.fetch_max(how as u8, Ordering::AcqRel);
        self.apply_bell.ring();
        self.commit_bell.ring();
    }

    pub(super) fn life(&self) -> u64 {
        self.life.load(Ordering::Acquire)
    }

    // Commit's side.

    /// Ends the present life; whatever is left of it is dropped here and by apply.
    pub(super) fn next_life(&self) -> u64 {
        self.set_idle(false);
        let life = self.life.fetch_add(1, Ordering::AcqRel) + 1;
        drop(self.start.pop());
        drop(self.fault.pop());
        _ = self.rebuild.pop();
        drop(self.rebuilt.pop());
        self.apply_bell.ring();
        life
    }

    pub(super) fn begin(&self, start: Start) {
        drop(self.start.force_push(start));
        self.apply_bell.ring();
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Release);
        if idle {
            self.apply_bell.ring();
        }
    }

    pub(super) fn take_full(&self) -> Option<Box<Work>> {
        self.full.pop()
    }

    pub(super) fn give_back(&self, mut work: Box<Work>) {
        work.recycle();
        drop(self.empty.push(work));
        self.apply_bell.ring();
    }

    pub(super) fn take_fault(&self) -> Option<ApplyFault> {
        let (life, fault) = self.fault.pop()?;
        (life == self.life()).then_some(fault)
    }

    /// The shard whose ledger is to be rebuilt.
    pub(super) fn take_rebuild(&self) -> Option<usize> {
        let (life, at) = self.rebuild.pop()?;
        (life == self.life()).then_some(at)
    }

    /// What came of rebuilding shard `at` of the present life.
    pub(super) fn give_rebuilt(&self, at: usize, start: Rebuilt) {
        let pushed = self.rebuilt.push((self.life(), at, start));
        debug_assert!(pushed.is_ok(), "no shard is rebuilt before the one before it is taken");
        self.apply_bell.ring();
    }

    /// The shard that was rebuilt last has not been taken yet.
    pub(super) fn has_rebuilt(&self) -> bool {
        !self.rebuilt.is_empty()
    }

    pub(super) fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    // Apply's side.

    pub(super) fn take_start(&self) -> Option<Start> {
        let start = self.start.pop()?;
        (start.life == self.life()).then_some(start)
    }

    /// Whether it is noted: only one is at a time.
    pub(super) fn ask_rebuild(&self, life: u64, at: usize) -> bool {
        let noted = self.rebuild.push((life, at)).is_ok();
        if noted {
            self.commit_bell.ring();
        }
        noted
    }

    pub(super) fn take_rebuilt(&self, life: u64) -> Option<(usize, Rebuilt)> {
        let (of, at, start) = self.rebuilt.pop()?;
        (of == life).then_some((at, start))
    }

    pub(super) fn take_empty(&self) -> Option<Box<Work>> {
        self.empty.pop()
    }

    /// Whether a batch would be taken at once.
    pub(super) fn wants_work(&self) -> bool {
        self.idle.load(Ordering::Acquire) && self.full.is_empty()
    }

    pub(super) fn hand_over(&self, work: Box<Work>) {
        self.idle.store(false, Ordering::Release);
        let pushed = self.full.push(work);
        debug_assert!(pushed.is_ok(), "apply hands over only when the commit half wants work");
        self.commit_bell.ring();
    }

    pub(super) fn report(&self, life: u64, fault: ApplyFault) {
        drop(self.fault.force_push((life, fault)));
        self.commit_bell.ring();
    }

    pub(super) fn set_drained(&self) {
        self.drained.store(true, Ordering::Release);
        self.commit_bell.ring();
    }
}
