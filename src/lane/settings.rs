//! What a lane is told when it is started, and the bounds of what it holds.

use std::time::Duration;

use crate::ledger::FingerprintKey;

/// Bytes of links, replies and dead letters at which a batch counts as full. A transaction of this size commits in
/// tens of milliseconds on a broker that writes 100 MB/s three times; two batches a lane bound the memory.
pub const MAX_BATCH_BYTES: usize = 8 << 20;

/// Decisions at which a batch counts as full: what a look after a failure may have to read again.
pub const MAX_BATCH_DECISIONS: u32 = 100_000;

/// Shortest time between two hand-overs of a lane. A broker's work a transaction is constant, so an idle trickle of
/// orders would otherwise cost as much as a peak.
pub const MIN_COMMIT_INTERVAL_MS: u64 = 2;

/// A lane hands over no sooner than after so many times what a commit takes. Where more lanes of the node commit than
/// [`COMMITS_AT_A_TIME`] are worth, it waits longer, so that together they never have more of them under way on average,
/// however many they are and however slow the broker is. Lanes that commit one transaction after the other would take from the broker the CPU time that
/// their commits wait for; the slower it gets, the more they leave it.
pub const COMMITS_APART: u64 = 2;

/// Commits that the lanes of a node have under way at a time, on average. With one, orders wait longer than a broker needs to
/// be spared: each lane's turn comes after all others'.
pub const COMMITS_AT_A_TIME: u64 = 2;

/// Longest that a lane waits so, ms. Beyond it the brokers have little to do with even hundreds of lanes, and after an
/// outage that every commit met an order would wait for as long again as the outage took, for each lane.
pub const LONGEST_APART_MS: u64 = 500;

/// Shortest time between two hand-overs of a lane that has more to apply than it got to. Whoever is behind waits in the
/// inputs, not for the commit; and a transaction costs a broker 1 to 2 ms of CPU whatever stands in it, which commits
/// in a row of 6 ms take from the work that is left. Well below what a commit may take without being noticed.
pub const BACKLOG_COMMIT_INTERVAL_MS: u64 = 25;

/// Records taken from the consumer in one poll: enough that a poll's fixed cost vanishes, few enough that both inputs
/// take turns.
pub const MAX_POLL_RECORDS: usize = 2_000;

/// What a shard may cost in its turn, in bytes of what it writes: about half a millisecond of work, between two looks at
/// the clock, the inputs and the commit half. What it takes beyond that is taken off its next turn.
pub const TURN_COST_BYTES: u64 = 256 << 10;

/// What a decision counts for beside its bytes: the work that is the same for a short one.
pub const DECISION_COST_BYTES: u64 = 64;

/// Records received that are less than the work of a turn.
pub const FEW_RECORDS: usize = 1_000;

/// Bytes of values of as much work in records of many orders.
pub const FEW_BYTES: usize = 128 << 10;

/// Records of one input received and not yet applied at which it is no longer polled: what a blocked merge may hold.
pub const MAX_PENDING_RECORDS: usize = 20_000;

/// Bytes of the values of such records at which the input is no longer polled. One poll may go beyond it by what the
/// consumer's own queue holds, which is bounded too.
pub const MAX_PENDING_BYTES: usize = 16 << 20;

/// What every input of a lane may hold of these, whatever the others do: the one that a merge waits for can always be
/// read. Beyond that they share what four inputs may hold at the most.
pub const SURE_PENDING_RECORDS: usize = 1_000;

/// The same for the bytes.
pub const SURE_PENDING_BYTES: usize = 256 << 10;

/// Inputs of a lane whose most may be held at the same time.
pub const FULL_INPUTS: usize = 4;

/// For so long after its last hand-over a lane counts as one that commits, ms.
pub const COMMITS_FOR_MS: u64 = 1_000;

/// Pause before a shard that is parked is looked at again: what was wrong may have been put right.
pub const PARKED_RETRY_MS: u64 = 30_000;

/// How often the pause doubles, at the most, before a ledger is rebuilt from the log once more: each time costs a reading of
/// the whole log, and what is wrong with a log does not pass.
pub const REBUILD_DOUBLINGS: u32 = 5;

/// Every how many links one states the ledger's digest.
pub const DIGEST_EVERY_LINKS: u64 = 4;

/// How long an idle lane sleeps at the most. Wake-ups of a consumer's queue can be lost; this is what is lost then.
pub const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// How often the ends of the inputs are asked for when nothing waits for them: lag and the age of an open upstream
/// transaction are as old as this.
pub const ASK_ENDS_EVERY_MS: u64 = 1_000;

/// Shortest time between two questions for the ends on which records wait. What arrives meanwhile shares the next one;
/// a question costs a broker two requests.
pub const QUESTIONS_APART_MS: u64 = 4;

/// How long an answer may take before the same ticket is handed in again.
pub const ASK_AGAIN_AFTER_MS: u64 = 500;

/// Pause after a fetch or an opening of the inputs failed in a way that may pass.
pub const FETCH_RETRY_MS: u64 = 250;

/// First pause before a lane that was lost or failed is taken again; doubled each time, with jitter, so that two
/// engines that fence each other do not do so at the pace of the network.
pub const RETAKE_FIRST_MS: u64 = 250;

/// Longest pause before a lost lane is taken again.
pub const RETAKE_LONGEST_MS: u64 = 10_000;

/// Pause before a lane that needs a person is looked at again: what was wrong may have been put right.
pub const FAILED_RETRY_MS: u64 = 30_000;

/// How long a recovery may wait to learn where its log ends: only its progress is shown by it.
pub const LOG_END_TIMEOUT: Duration = Duration::from_secs(2);

/// Bounds of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of links, replies and dead letters at which a batch counts as full.
    pub max_bytes: usize,
    /// Decisions at which a batch counts as full.
    pub max_decisions: u32,
    /// Shortest time between two hand-overs, ms; a full batch does not wait for it.
    pub min_interval_ms: u64,
    /// The same while more is there to be applied, ms.
    pub backlog_interval_ms: u64,
}

impl Default for BatchLimits {
    fn default() -> Self {
        BatchLimits {
            max_bytes: MAX_BATCH_BYTES,
            max_decisions: MAX_BATCH_DECISIONS,
            min_interval_ms: MIN_COMMIT_INTERVAL_MS,
            backlog_interval_ms: BACKLOG_COMMIT_INTERVAL_MS,
        }
    }
}

/// The ledger's part of the settings; the rest of its rules stands in the genesis record.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSettings {
    /// The hold of a Place that asks for none, ms.
    pub default_hold_ms: u64,
    /// The longest hold that may be asked for, ms.
    pub max_hold_ms: u64,
    /// Identities to be ready for.
    pub expected_ids: usize,
    /// Remembered identities beyond which the shard pauses.
    pub max_ids: usize,
    /// Secret key of the identity fingerprints.
    pub key: FingerprintKey,
}

/// What a lane is told when it is started. The same for all lanes of a node.
#[derive(Clone, Debug)]
pub struct LaneSettings {
    /// Name of the topic of orders, for dead letters.
    pub orders_topic: String,
    /// Name of the topic of stock, for dead letters.
    pub stock_topic: String,
    /// Partitions of `replies`; a reply beyond them is counted and not written.
    pub reply_partitions: u32,
    /// Whether each decision is also written as a record of its own.
    pub per_decision: bool,
    /// Bounds of a batch.
    pub batch: BatchLimits,
    /// The ledger's part.
    pub ledger: LedgerSettings,
    /// Who takes the lane (host, process, client id), for people who read the log.
    pub owner: String,
    /// The operator's explicit way on after input was lost; see [`crate::log::refusal::resume_after_loss`].
    pub accept_loss: bool,
    /// Pause before a shard that is parked is looked at again, ms.
    pub parked_retry_ms: u64,
    /// How long a commit may take before its outcome is looked up in the log; below librdkafka's `socket.timeout.ms`.
    pub commit_timeout: Duration,
}
