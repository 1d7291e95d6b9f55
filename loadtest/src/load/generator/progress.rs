//! How far a generator is, for everyone who wants to know while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counters that only the generator writes. Each is right by itself; together they may be a batch apart.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) asked: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) poison: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) record_bytes: AtomicU64,
    pub(super) behind_ns: AtomicU64,
    pub(super) worst_behind_ns: AtomicU64,
    pub(super) blocked_ns: AtomicU64,
    pub(super) done: AtomicBool,
}

/// The counters at one moment. Commands are what is answered one by one: places, copies, confirms, cancels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Commands that were due until now, sent or not. While the generator is behind, the part that it has not made yet
    /// is an estimate from the profile.
    pub asked: u64,
    /// Commands handed to the Kafka client.
    pub sent: u64,
    /// Commands that the broker acknowledged: an estimate from the records in flight until the generator is done.
    pub acknowledged: u64,
    /// Commands that the client gave up on or would not take.
    pub failed: u64,
    /// Records that cannot be read, on purpose; not among the commands.
    pub poison: u64,
    /// Records handed to the Kafka client.
    pub records: u64,
    /// Bytes of their values.
    pub record_bytes: u64,
    /// How long the next record is overdue, in nanoseconds: the generator's own lag. 0 if it waits for the next one.
    pub behind_ns: u64,
    /// The longest that a record was overdue when it was handed over, in nanoseconds, since the snapshot before.
    pub worst_behind_ns: u64,
    /// Time spent waiting because the client's queue was full, in nanoseconds: the brokers take less than is asked.
    pub blocked_ns: u64,
    /// Everything was sent and acknowledged, or given up.
    pub done: bool,
}

impl Progress {
    /// The counters now. Resets `worst_behind_ns`.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { worst_behind_ns: self.worst_behind_ns.swap(0, Relaxed), ..self.peek() }
    }

    /// The counters now, nothing reset.
    pub fn peek(&self) -> Snapshot {
        Snapshot {
            asked: self.asked.load(Relaxed),
            sent: self.sent.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            failed: self.failed.load(Relaxed),
            poison: self.poison.load(Relaxed),
            records: self.records.load(Relaxed),
            record_bytes: self.record_bytes.load(Relaxed),
            behind_ns: self.behind_ns.load(Relaxed),
            worst_behind_ns: self.worst_behind_ns.load(Relaxed),
            blocked_ns: self.blocked_ns.load(Relaxed),
            done: self.done.load(Relaxed),
        }
    }
}
