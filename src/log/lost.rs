//! A shard that was lost, and what showed it.

use thiserror::Error;

use super::batch::Batch;

/// Another owner was here, or the log is not as it was left.
#[derive(Debug)]
pub struct Lost {
    /// What was seen.
    pub why: Why,
    /// The batch that was under way; its decisions are void.
    pub batch: Option<Batch>,
}

/// What a look at the log showed that makes the ledger void.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Why {
    /// A fence that is not ours, written by this owner.
    #[error("{0} took it")]
    ForeignFence(String),
    /// A record that is neither a fence nor the next link of the batch, at this offset.
    #[error("somebody else wrote the record at offset {0} of the log")]
    ForeignRecord(i64),
    /// The log does not hold what had been committed before the batch, from where it was written on.
    #[error("the log does not hold what was committed last")]
    TailMissing,
}
