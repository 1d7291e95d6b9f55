//! What the apply half hands to the commit half: one batch of decided input, as drafts of links and the records that
//! go with them in one transaction, their companions. Buffers keep their capacity when a batch is emptied and go back
//! to apply.
//!
//! A batch's companions stand beside its links, not with one of them. After a fault the log tells which links are
//! there, but not which companions: those live in other partitions, and a transaction that was ended early by a stray
//! EndTxn holds what each partition's leader had got by then. So whenever a batch has met a fault, **all** of its
//! companions are sent again, with the links that are missing; links never twice, companions rather twice than never.
//! A reader tells a repeated one by its sequence (replies, one record per decision) or its source offset (dead letters).
//!
//! Dead letters go before the links, and the rest behind them once they are acknowledged: whoever dies in between leaves
//! no poison that is nowhere, and no reply that no log knows.

use crate::broker::Header;
use crate::wire::link::LinkDraft;

/// One batch, decided and not yet committed.
#[derive(Debug, Default)]
pub struct Batch {
    /// Its links, in order; at least one. The commit half seals each with the hash of the one before.
    pub links: Vec<LinkDraft>,
    /// Values for partitions of `replies`, at most one a partition and link, so that each is bounded as a link is.
    pub replies: Vec<Reply>,
    /// Records that could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Values of the optional one-record-per-decision topic, back to back, and where each ends.
    pub per_decision: PerDecision,
}

/// Decisions for one partition of `replies`: an encoded `Replies` message.
#[derive(Debug, Default)]
pub struct Reply {
    /// The partition.
    pub partition: u32,
    /// The value.
    pub value: Vec<u8>,
}

/// An input record that could not be read, whole.
#[derive(Debug, Default)]
pub struct DeadLetter {
    /// Whose input: the partition of `dead-letters`.
    pub shard: u32,
    /// Its key, untouched.
    pub key: Option<Vec<u8>>,
    /// Its value, untouched.
    pub value: Option<Vec<u8>>,
    /// Its own headers, and those that say where it came from and what is wrong with it.
    pub headers: Vec<Header>,
}

/// Encoded `Decision` messages, keyed by order id, without an allocation for each.
#[derive(Debug, Default)]
pub struct PerDecision {
    /// Keys and values, back to back.
    pub bytes: Vec<u8>,
    /// For each record: where its key ends (it begins where the record before ends), and where its value ends.
    pub ends: Vec<(u32, u32)>,
}
