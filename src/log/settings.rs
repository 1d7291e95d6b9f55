//! What the log protocol is told at its start, and its bounds.

use std::time::Duration;

/// How long init_transactions may take. librdkafka retries it in steps of 500 ms while it ends the predecessor's
/// transaction; a broker that fails over meanwhile takes seconds.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a commit may take, unless configured. Many times what a commit takes while a broker fails over, and below
/// the transaction time-out and `socket.timeout.ms` that are configured by default.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long to wait for the topics' facts.
pub const TOPICS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one read of the log waits for a first record. Short, because wake-ups can be lost and an unassignment is
/// noticed only between two actions.
pub const READ_TIMEOUT: Duration = Duration::from_millis(200);

/// How long the log may show nothing new before the reader is replaced, in ms. Our own fence was acknowledged: a
/// reader that doesn't come to it is stuck, or the log lost it.
pub const SILENCE_MOST_MS: u64 = 15_000;

/// Silences in a row after which a new fence is written instead of waiting for one that seems lost; before the first
/// fence, after which the log counts as empty.
pub const SILENCES_MOST: u32 = 2;

/// The first pause after a fault, in ms, before jitter.
pub const BACKOFF_FIRST_MS: u64 = 50;

/// The first pause after being fenced, in ms, before jitter. Longer than the first one after other faults: an engine that
/// froze and woke must hear from its group that the shard is another's before it takes it back.
pub const FENCED_FIRST_MS: u64 = 1_000;

/// The longest pause after a fault, in ms, before jitter: two owners that fence each other should not do it all day,
/// and a shard should not stay without its owner long after the trouble is over.
pub const BACKOFF_MOST_MS: u64 = 5_000;

/// After so long without a fault, in ms, the next one counts as the first again. Time and not a commit that succeeded,
/// because of two owners that fence each other each gets something committed in its turn.
pub const CALM_MS: u64 = 30_000;

/// Faults in a row that say "will not pass without a person" before a person is asked: librdkafka calls some faults
/// fatal that a fresh producer cures.
pub const FATAL_MOST: u32 = 3;

/// Who takes which lane, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The partition of `decisions`.
    pub lane: u32,
    /// Host, process id and client id, for people; stands in every fence.
    pub owner: String,
    /// How long a commit may take. Must be below librdkafka's `socket.timeout.ms`, so that a commit given up here is not
    /// one that librdkafka is still sending again: what it sends late strikes the next transaction.
    pub commit_timeout: Duration,
    /// `--accept-loss`, the operator's explicit way on; off by default. It permits two things: topics whose ids are not
    /// those of the genesis (restored, or deleted and made anew; their offsets are then taken for those of the old
    /// ones), and an input trimmed past what was decided ([`super::refusal::resume_after_loss`]). A log that is damaged,
    /// trimmed, of another lane or partition count is refused all the same: what came next would be a guess.
    pub accept_loss: bool,
}
