//! The chain of links: what makes a sequence of records one log. Pure and shared: recovery, audits and other programs
//! that read the log show it each record in order, and it says where the log stands or what breaks it.

use thiserror::Error;

use super::entry::{LinkView, LogEntry};
use super::hex::hex;
use super::link::{CONTENT_HASH, DIGEST_HASH, LINK_HASH, LOG_VERSION, LinkHash, RULES_LEVEL};
use super::proto::{Fence, Genesis, Input, Segment};

/// How a log breaks its own rules. Nothing after such a record may be believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChainError {
    /// The first record is no genesis.
    #[error("the log does not begin with a genesis record")]
    NoGenesis,
    /// A genesis stands after the first record.
    #[error("the log has a second genesis record")]
    SecondGenesis,
    /// The genesis names rules that this version does not have.
    #[error("the genesis record asks for {what}, which this version does not know")]
    UnknownRules {
        /// Which of its fields, and the value.
        what: String,
    },
    /// The genesis has a field that no engine would write.
    #[error("the genesis record is not valid: {what}")]
    Genesis {
        /// Which field, and why.
        what: &'static str,
    },
    /// A link is of another shard than the genesis.
    #[error("a link of shard {found} stands in the log of shard {shard}")]
    Shard {
        /// As the genesis says.
        shard: u32,
        /// As the link says.
        found: u32,
    },
    /// A link does not carry the hash of the one before.
    #[error("link {first_sequence} follows a record with hash {stated}; the one before it has {last}")]
    Hash {
        /// Sequence of the link's first decision.
        first_sequence: u64,
        /// The hash that it carries, in hexadecimal.
        stated: String,
        /// Hash of the link before it, or of the genesis.
        last: LinkHash,
    },
    /// A link does not begin where the one before ended.
    #[error("a link begins with sequence {found} where {due} was due")]
    Sequence {
        /// The one after the last decision.
        due: u64,
        /// As the link says.
        found: u64,
    },
    /// A link's epoch is below the one before, or above the number of fences.
    #[error("a link has epoch {found}, after {last} and {fences} fences")]
    Epoch {
        /// Of the link before.
        last: u64,
        /// Fences so far.
        fences: u64,
        /// As the link says.
        found: u64,
    },
    /// A segment does not begin where the one before of that input ended, or is no run of records.
    #[error("a segment ({from_offset}, {to_offset}] of input {input} follows offset {last}")]
    Segment {
        /// Number of its input.
        input: i32,
        /// Last offset decided before.
        last: i64,
        /// As the segment says.
        from_offset: i64,
        /// As the segment says.
        to_offset: i64,
    },
    /// A dead letter is named that is no record of the link's segments.
    #[error("dead letter {offset} of input {input} is not in the link's segments")]
    DeadLetter {
        /// Number of its input.
        input: i32,
        /// Its offset.
        offset: i64,
    },
    /// A shard's time went back.
    #[error("the shard's time falls from {last_ms} to {found_ms}")]
    Time {
        /// After the link before, milliseconds since the Unix epoch.
        last_ms: i64,
        /// As the link says.
        found_ms: i64,
    },
}

/// Where a log stands, as far as it was read.
#[derive(Clone, Debug)]
pub struct ChainCheck {
    genesis: Option<Genesis>,
    last_hash: LinkHash,
    next_sequence: u64,
    last_orders: i64,
    last_stock: i64,
    /// Leader epochs of these, of `orders` and of `stock`; -1 where none is known.
    leader_epochs: [i32; 2],
    epoch: u64,
    fences: u64,
    last_fence: Option<Box<Fence>>,
    shard_time_ms: i64,
}

impl Default for ChainCheck {
    fn default() -> ChainCheck {
        ChainCheck::new()
    }
}

impl ChainCheck {
    /// Nothing read yet.
    pub fn new() -> ChainCheck {
        ChainCheck {
            genesis: None,
            last_hash: LinkHash::default(),
            next_sequence: 1,
            last_orders: -1,
            last_stock: -1,
            leader_epochs: [-1; 2],
            epoch: 0,
            fences: 0,
            last_fence: None,
            shard_time_ms: 0,
        }
    }

    /// Takes the next record: its value, and what [`LogEntry::parse`] made of it. After an error the state is as before
    /// the record. The decisions within are not walked; their own iterator checks them.
    pub fn take(&mut self, value: &[u8], entry: &LogEntry<'_>) -> Result<(), ChainError> {
        match (entry, &self.genesis) {
            (LogEntry::Genesis(genesis), None) => {
                check_genesis(genesis)?;
                self.genesis = Some(genesis.clone());
                self.last_hash = LinkHash::of(value);
            }
            (_, None) => return Err(ChainError::NoGenesis),
            (LogEntry::Genesis(_), Some(_)) => return Err(ChainError::SecondGenesis),
            (LogEntry::Fence(fence), Some(_)) => {
                self.fences += 1;
                self.last_fence = Some(Box::new(fence.clone()));
            }
            (LogEntry::Link(link), Some(genesis)) => {
                let shard = genesis.shard;
                self.take_link(shard, LinkHash::of(value), link)?;
            }
        }
        Ok(())
    }

    fn take_link(&mut self, shard: u32, hash: LinkHash, link: &LinkView<'_>) -> Result<(), ChainError> {
        let header = &link.header;
        if header.shard != shard {
            return Err(ChainError::Shard { shard, found: header.shard });
        }
        if header.previous_hash != self.last_hash.0 {
            let stated = hex(&header.previous_hash);
            return Err(ChainError::Hash { first_sequence: header.first_sequence, stated, last: self.last_hash });
        }
        if header.first_sequence != self.next_sequence {
            return Err(ChainError::Sequence { due: self.next_sequence, found: header.first_sequence });
        }
        if header.epoch < self.epoch || header.epoch > self.fences {
            return Err(ChainError::Epoch { last: self.epoch, fences: self.fences, found: header.epoch });
        }
        if header.shard_time_ms < self.shard_time_ms {
            return Err(ChainError::Time { last_ms: self.shard_time_ms, found_ms: header.shard_time_ms });
        }
        let (last_orders, last_stock) = self.after(&header.segments)?;
        for letter in &header.dead_letters {
            let within =
                |s: &Segment| s.input == letter.input && s.from_offset < letter.offset && letter.offset <= s.to_offset;
            if !header.segments.iter().any(within) {
                return Err(ChainError::DeadLetter { input: letter.input, offset: letter.offset });
            }
        }
        (self.last_orders, self.last_stock) = (last_orders, last_stock);
        for segment in &header.segments {
            self.leader_epochs[usize::from(segment.input == Input::Stock as i32)] = segment.leader_epoch;
        }
        self.next_sequence = self.next_sequence.saturating_add(u64::from(header.count));
        self.epoch = header.epoch;
        self.shard_time_ms = header.shard_time_ms;
        self.last_hash = hash;
        Ok(())
    }

    /// The last decided offsets of both inputs after these segments.
    fn after(&self, segments: &[Segment]) -> Result<(i64, i64), ChainError> {
        let (mut orders, mut stock) = (self.last_orders, self.last_stock);
        for &Segment { input, from_offset, to_offset, .. } in segments {
            let last = match Input::try_from(input) {
                Ok(Input::Orders) => &mut orders,
                Ok(Input::Stock) => &mut stock,
                _ => return Err(ChainError::Segment { input, last: -1, from_offset, to_offset }),
            };
            if from_offset != *last || to_offset <= from_offset {
                return Err(ChainError::Segment { input, last: *last, from_offset, to_offset });
            }
            *last = to_offset;
        }
        Ok((orders, stock))
    }

    /// The genesis, once it was read.
    pub fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// Hash of the last link, or of the genesis if there is none: what the next link must carry.
    pub fn last_hash(&self) -> LinkHash {
        self.last_hash
    }

    /// Sequence of the next decision.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Offset of `input`'s last record that is decided, -1 if none is.
    pub fn last_offset(&self, input: Input) -> i64 {
        if input == Input::Stock { self.last_stock } else { self.last_orders }
    }

    /// Leader epoch of that record, -1 if the broker gave none.
    pub fn last_leader_epoch(&self, input: Input) -> i32 {
        self.leader_epochs[usize::from(input == Input::Stock)]
    }

    /// Offset of `input` from which to read on.
    pub fn resume_offset(&self, input: Input) -> i64 {
        self.last_offset(input).saturating_add(1)
    }

    /// Epoch of the last link; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fences so far. Right after an engine has read its own, this is the epoch of its links.
    pub fn fences(&self) -> u64 {
        self.fences
    }

    /// The last fence: who writes from here on, with which version.
    pub fn last_fence(&self) -> Option<&Fence> {
        self.last_fence.as_deref()
    }

    /// The shard's time after the last link, milliseconds since the Unix epoch; 0 before the first.
    pub fn shard_time_ms(&self) -> i64 {
        self.shard_time_ms
    }
}

fn check_genesis(genesis: &Genesis) -> Result<(), ChainError> {
    if genesis.version != LOG_VERSION {
        return Err(ChainError::UnknownRules { what: format!("version {}", genesis.version) });
    }
    if genesis.rules_level > RULES_LEVEL {
        return Err(ChainError::UnknownRules { what: format!("rules level {}", genesis.rules_level) });
    }
    for (name, found, known) in [
        ("link_hash", &genesis.link_hash, LINK_HASH),
        ("digest_hash", &genesis.digest_hash, DIGEST_HASH),
        ("content_hash", &genesis.content_hash, CONTENT_HASH),
    ] {
        if found != known {
            return Err(ChainError::UnknownRules { what: format!("{name} {found:?}") });
        }
    }
    if genesis.shard >= genesis.partitions {
        return Err(ChainError::Genesis { what: "shard is not below partitions" });
    }
    for id in [&genesis.orders_topic_id, &genesis.stock_topic_id, &genesis.decisions_topic_id] {
        if id.len() != 16 {
            return Err(ChainError::Genesis { what: "a topic id does not have 16 bytes" });
        }
    }
    Ok(())
}
