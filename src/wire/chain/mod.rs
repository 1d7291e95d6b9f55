//! The chain of links: what makes a sequence of records one log. Pure and shared: recovery, audits and other programs
//! that read the log show it each record in order, and it says where the log stands or what breaks it.
//!
//! A log is that of a lane. Genesis, fences, epochs and hashes are the lane's; what its links say of sequences, segments
//! and time is each shard's own, and what breaks there leaves the lane's other shards as they are.

mod shard; // what makes the links of one shard follow from each other

use thiserror::Error;

use super::entry::{LinkView, LogEntry};
use super::hex::hex;
use super::layout::{Layout, VERSION_OF_LANES, VERSION_OF_ONE};
use super::link::{CONTENT_HASH, DIGEST_HASH, LINK_HASH, LinkHash, RULES_LEVEL};
use super::proto::{Fence, Genesis};
pub use shard::{ShardChain, ShardError};

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
    /// A link is of a shard that is not the lane's.
    #[error("a link of shard {found} stands in the log of lane {lane}, which has {}", shards(*lane, *layout))]
    Foreign {
        /// As the genesis says.
        lane: u32,
        /// As the genesis says.
        layout: Layout,
        /// As the link says.
        found: u32,
    },
    /// A link does not carry the hash of the one before.
    #[error("link {first_sequence} of shard {shard} follows a record with hash {stated}; the one before it has {last}")]
    Hash {
        /// Whose link.
        shard: u32,
        /// Sequence of the link's first decision.
        first_sequence: u64,
        /// The hash that it carries, in hexadecimal.
        stated: String,
        /// Hash of the link before it, or of the genesis.
        last: LinkHash,
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
    /// A link breaks the rules of its shard. The lane's chain goes on behind it.
    #[error("shard {shard}: {source}")]
    Shard {
        /// Which.
        shard: u32,
        /// What it breaks.
        source: ShardError,
    },
}

fn shards(lane: u32, layout: Layout) -> String {
    let shards: Vec<_> = layout.shards_of(lane).map(|shard| shard.to_string()).collect();
    format!("shards {}", shards.join(","))
}

/// Where a log stands, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct ChainCheck {
    genesis: Option<Genesis>,
    last_hash: LinkHash,
    epoch: u64,
    fences: u64,
    last_fence: Option<Box<Fence>>,
    shards: Vec<ShardChain>,
}

impl ChainCheck {
    /// Nothing read yet.
    pub fn new() -> ChainCheck {
        ChainCheck::default()
    }

    /// Takes the next record: its value, and what [`LogEntry::parse`] made of it. After an error the state is as before
    /// the record; except after [`ChainError::Shard`], when the lane's chain goes on and the shard stands where it stood.
    /// The decisions within are not walked; their own iterator checks them.
    pub fn take(&mut self, value: &[u8], entry: &LogEntry<'_>) -> Result<(), ChainError> {
        match (entry, &self.genesis) {
            (LogEntry::Genesis(genesis), None) => {
                check_genesis(genesis)?;
                self.shards = Layout::of(genesis).shards_of(genesis.shard).map(|_| ShardChain::default()).collect();
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
                let (lane, layout) = (genesis.shard, Layout::of(genesis));
                self.take_link(lane, layout, LinkHash::of(value), link)?;
            }
        }
        Ok(())
    }

    fn take_link(&mut self, lane: u32, layout: Layout, hash: LinkHash, link: &LinkView<'_>) -> Result<(), ChainError> {
        let header = &link.header;
        let shard = header.shard;
        let Some(index) = layout.index(lane, shard) else {
            return Err(ChainError::Foreign { lane, layout, found: shard });
        };
        if header.previous_hash != self.last_hash.0 {
            let (first_sequence, stated) = (header.first_sequence, hex(&header.previous_hash));
            return Err(ChainError::Hash { shard, first_sequence, stated, last: self.last_hash });
        }
        if header.epoch < self.epoch || header.epoch > self.fences {
            return Err(ChainError::Epoch { last: self.epoch, fences: self.fences, found: header.epoch });
        }
        self.epoch = header.epoch;
        self.last_hash = hash;
        self.shards[index].take(header).map_err(|source| ChainError::Shard { shard, source })
    }

    /// The genesis, once it was read.
    pub fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// How many shards and lanes there are, once the genesis was read.
    pub fn layout(&self) -> Option<Layout> {
        self.genesis().map(Layout::of)
    }

    /// Where the shards of the lane stand, in order; none before the genesis was read.
    pub fn shards(&self) -> &[ShardChain] {
        &self.shards
    }

    /// Where [`ChainCheck::shards`] has `shard`, if it is one of this log's.
    pub fn index(&self, shard: u32) -> Option<usize> {
        let genesis = self.genesis()?;
        Layout::of(genesis).index(genesis.shard, shard)
    }

    /// Where `shard` stands, if it is one of this log's.
    pub fn shard(&self, shard: u32) -> Option<&ShardChain> {
        self.shards.get(self.index(shard)?)
    }

    /// Hash of the last link, or of the genesis if there is none: what the next link must carry.
    pub fn last_hash(&self) -> LinkHash {
        self.last_hash
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
}

fn check_genesis(genesis: &Genesis) -> Result<(), ChainError> {
    if ![VERSION_OF_ONE, VERSION_OF_LANES].contains(&genesis.version) {
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
    let lanes_fit = match genesis.version {
        VERSION_OF_ONE => genesis.lanes == 0,
        _ => (1..genesis.partitions).contains(&genesis.lanes),
    };
    if !lanes_fit {
        return Err(ChainError::Genesis { what: "its number of lanes is not one that its version can have" });
    }
    if genesis.shard >= Layout::of(genesis).lanes {
        return Err(ChainError::Genesis { what: "it stands in a partition that the log does not have" });
    }
    for id in [&genesis.orders_topic_id, &genesis.stock_topic_id, &genesis.decisions_topic_id] {
        if id.len() != 16 {
            return Err(ChainError::Genesis { what: "a topic id does not have 16 bytes" });
        }
    }
    Ok(())
}
