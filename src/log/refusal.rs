//! Why a lane, or a shard of it, is not taken, and what to do about it.

use thiserror::Error;

use super::read::ReadError;
use super::replay::ReplayFault;
use super::writer::Writer;
use crate::broker::Fault;
use crate::wire::chain::ChainError;
use crate::wire::decode::{Malformed, Within};
use crate::wire::entry::EntryError;

/// Why a lane, or a shard of it, cannot be taken until a person has done something; each text says what.
#[derive(Debug, Error, PartialEq)]
pub enum Refusal {
    /// The log holds nothing, as far as can be seen.
    #[error(
        "decisions-{lane}: the log is empty; `sluice topics create` writes the genesis record that it must begin with"
    )]
    Empty {
        /// The partition.
        lane: u32,
    },
    /// The log no longer begins at its beginning.
    #[error(
        "decisions-{lane}: the log begins at offset {begin} and not with its genesis: records were deleted. Restore \
         the partition from a copy, set the topic's retention.ms and retention.bytes to -1, and start again"
    )]
    Trimmed {
        /// The partition.
        lane: u32,
        /// First offset there.
        begin: i64,
    },
    /// The log got shorter while it was read.
    #[error(
        "decisions-{lane}: the log ended at offset {end} after {read} had been read from it: acknowledged decisions \
         were lost, as by an unclean leader election. Bring back the replica that held them, then start again"
    )]
    Truncated {
        /// The partition.
        lane: u32,
        /// Next offset that had been read to.
        read: i64,
        /// Where it ends now.
        end: i64,
    },
    /// A record is not what a log may hold.
    #[error("decisions-{lane}: the record at offset {offset} cannot be read: {source}. {writer}")]
    Unreadable {
        /// The partition.
        lane: u32,
        /// Of the record.
        offset: i64,
        /// What is wrong with it.
        source: EntryError,
        /// Who wrote there.
        writer: Writer,
    },
    /// The records do not follow from each other.
    #[error(
        "decisions-{lane}: the record at offset {offset} does not continue the log: {source}. The log is damaged or \
         was written past sluice: restore the partition from a copy, and let nobody else write to the topic"
    )]
    Broken {
        /// The partition.
        lane: u32,
        /// Of the record.
        offset: i64,
        /// What is wrong with it.
        source: ChainError,
    },
    /// The decisions do not follow from each other.
    #[error("decisions-{lane}: the link of shard {shard} at offset {offset} cannot be replayed: {source}. {writer}")]
    Replay {
        /// The partition.
        lane: u32,
        /// Whose link.
        shard: u32,
        /// Of the record.
        offset: i64,
        /// What is wrong with it.
        source: ReplayFault,
        /// Who wrote it.
        writer: Writer,
    },
    /// The log begins with something else.
    #[error(
        "decisions-{lane}: the log begins with a record that is no genesis: it was not made by `sluice topics \
         create`. Nothing was written to it. If nothing depends on the topic, delete it and run that command; else name \
         another topic in the configuration"
    )]
    NoGenesis {
        /// The partition.
        lane: u32,
    },
    /// The log follows other rules.
    #[error("decisions-{lane}: {source}: start the version of sluice that began this log, or a newer one")]
    Rules {
        /// The partition.
        lane: u32,
        /// What is not known.
        source: ChainError,
    },
    /// The genesis is of another partition.
    #[error(
        "decisions-{lane}: the genesis record is that of partition {found}: the partition was copied or written by hand. \
         Restore the right one"
    )]
    Partition {
        /// The partition.
        lane: u32,
        /// What the genesis says.
        found: u32,
    },
    /// A topic was deleted and made anew.
    #[error(
        "decisions-{lane}: the log belongs to a {topic} topic with the id {expected}, and the one found has the id \
         {found}: it was deleted and created again. Name a new set of topics in the configuration and run \
         `sluice topics create`; or, if it was restored with all its records at their offsets, `sluice run --accept-loss`"
    )]
    TopicId {
        /// The partition.
        lane: u32,
        /// `orders`, `stock` or `decisions`.
        topic: &'static str,
        /// Of the genesis, in hex.
        expected: String,
        /// Of the topic, in hex.
        found: String,
    },
    /// A topic has another number of partitions than the log was begun with.
    #[error(
        "decisions-{lane}: the log was begun with {expected} partitions of {topic}, and there are {found}: pools would go \
         to other shards than those that hold their stock, or shards to other logs than those that hold their decisions. \
         Partitions can't be taken away again: name a new set of topics with the number wanted and run \
         `sluice topics create`"
    )]
    Partitions {
        /// The partition.
        lane: u32,
        /// `orders`, `stock` or `decisions`.
        topic: &'static str,
        /// Of the genesis.
        expected: u32,
        /// Of the topic.
        found: u32,
    },
    /// The input no longer holds what comes next.
    #[error(
        "{input}-{shard}: the next record to decide is at offset {asked}, and the partition begins at {begin}: {count} \
         offsets were deleted before they were decided. Restore them, or accept that they never will be: `sluice run \
         --accept-loss`. Raise the topic's retention in any case", count = begin - asked
    )]
    InputTrimmed {
        /// The partition.
        shard: u32,
        /// `orders` or `stock`.
        input: &'static str,
        /// The offset to resume from.
        asked: i64,
        /// First offset there.
        begin: i64,
    },
    /// The input ends before what was decided.
    #[error(
        "{input}-{shard}: the log has decided what stood in front of offset {asked}, and the partition ends at {end}: \
         acknowledged records were lost, as by an unclean leader election, and new ones would get their offsets. \
         Bring back the replica that held them, or name a new set of topics in the configuration"
    )]
    InputShort {
        /// The partition.
        shard: u32,
        /// `orders` or `stock`.
        input: &'static str,
        /// The offset to resume from.
        asked: i64,
        /// Offset after the last.
        end: i64,
    },
    /// The input, or the log, lost what had been read and goes on with other records in its place.
    #[error(
        "{topic}-{shard}: what stood in front of offset {asked} had been read, and was lost since to an unclean leader \
         election; other records may stand in its place. Bring back the replica that held it, or name a new set of \
         topics in the configuration; and forbid unclean elections"
    )]
    Overwritten {
        /// The partition.
        shard: u32,
        /// `orders`, `stock` or `decisions`.
        topic: &'static str,
        /// The offset to resume from.
        asked: i64,
    },
    /// The broker refuses for good.
    #[error("decisions-{lane}: {fault}. `sluice check` names what the engine needs of the cluster")]
    Broker {
        /// The partition.
        lane: u32,
        /// In the broker's words.
        fault: Fault,
    },
}

impl Refusal {
    /// What a record that doesn't belong where it stands means for a lane that is being taken; `writer` wrote there.
    pub(super) fn of_record(lane: u32, error: ReadError, writer: Writer) -> Self {
        match error {
            // Whatever a newer version says there, it is about all of the log.
            ReadError::Unreadable {
                offset: 0,
                source: EntryError::Malformed(Malformed::UnknownField { within: Within::Genesis, number }),
            } => Refusal::Rules { lane, source: ChainError::UnknownRules { what: format!("field {number}") } },
            ReadError::Unreadable { offset: 0, .. } | ReadError::Broken { source: ChainError::NoGenesis, .. } => {
                Refusal::NoGenesis { lane }
            }
            ReadError::Unreadable { offset, source } => Refusal::Unreadable { lane, offset, source, writer },
            ReadError::Broken { source: source @ ChainError::UnknownRules { .. }, .. } => {
                Refusal::Rules { lane, source }
            }
            ReadError::Broken { offset, source } => Refusal::Broken { lane, offset, source },
        }
    }

    /// What a fault of the log's reader, or of the broker for good, means for a lane that is being taken.
    pub(super) fn of_fault(lane: u32, fault: Fault) -> Self {
        match fault {
            Fault::OutOfRange { asked, begin, .. } if begin > asked => Refusal::Trimmed { lane, begin },
            Fault::OutOfRange { asked, end, .. } => Refusal::Truncated { lane, read: asked, end },
            Fault::Overwritten { asked, .. } => Refusal::Overwritten { shard: lane, topic: "decisions", asked },
            fault => Refusal::Broker { lane, fault },
        }
    }
}

/// Where to resume an input that doesn't hold the next record ([`Fault::OutOfRange`] with these figures).
///
/// With `accept_loss`, what retention or a deletion took from the front of an input is given up, and the next segment of
/// the log spans it. There is no way around an input that got shorter: its offsets would be used twice.
pub fn resume_after_loss(
    shard: u32,
    input: &'static str,
    asked: i64,
    begin: i64,
    end: i64,
    accept_loss: bool,
) -> Result<i64, Refusal> {
    if asked > end {
        Err(Refusal::InputShort { shard, input, asked, end })
    } else if asked >= begin || accept_loss {
        Ok(asked.max(begin))
    } else {
        Err(Refusal::InputTrimmed { shard, input, asked, begin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_loss_covers_what_was_trimmed_and_nothing_else() {
        let resume = |asked, accept| resume_after_loss(3, "orders", asked, 10, 20, accept);
        assert_eq!(resume(4, true), Ok(10));
        assert_eq!(resume(4, false), Err(Refusal::InputTrimmed { shard: 3, input: "orders", asked: 4, begin: 10 }));
        assert_eq!(resume(21, true), Err(Refusal::InputShort { shard: 3, input: "orders", asked: 21, end: 20 }));
        assert!(resume(4, false).unwrap_err().to_string().contains("--accept-loss"));
    }
}
