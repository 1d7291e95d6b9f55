//! Recovering a lane that is being taken: every record of its log is checked and replayed.
//!
//! What is wrong with the log refuses the lane. What is wrong with the links of one shard refuses that shard; the lane is
//! taken with the others, if there are any.

use super::genesis;
use super::read::{LogCheck, ReadError};
use super::refusal::Refusal;
use super::replay::Replay;
use super::taking::Taking;
use super::writer::Writer;
use crate::broker::TopicFacts;
use crate::wire::Layout;
use crate::wire::chain::ChainError;
use crate::wire::entry::LogEntry;
use crate::wire::link::LinkHash;
use crate::wire::proto::{Fence, Genesis, Input};

/// Where the log of a lane just taken ended, and from where to go on.
#[derive(Debug, PartialEq)]
pub struct Tail {
    /// What the log is a log of.
    pub genesis: Genesis,
    /// Hash that the next link carries.
    pub hash: LinkHash,
    /// Fences up to the one by which the lane was taken, that one included: the epoch of our links.
    pub epoch: u64,
    /// Offset of that fence.
    pub fence_offset: i64,
    /// Decisions in the log, of all shards.
    pub decisions: u64,
    /// Where each of its shards stands, in order.
    pub shards: Vec<ShardTail>,
}

/// Where a shard of a lane just taken stands.
#[derive(Debug, PartialEq)]
pub struct ShardTail {
    /// Which.
    pub shard: u32,
    /// Sequence of the next decision.
    pub next_sequence: u64,
    /// First offset of `orders` that is not decided.
    pub orders_next: i64,
    /// First offset of `stock` that is not decided.
    pub stock_next: i64,
    /// Leader epochs of the last records decided, of `orders` and of `stock`; -1 where there is none that means
    /// anything, because nothing was decided or the topic is not the one that the genesis names.
    pub leader_epochs: [i32; 2],
    /// The shard's time after the last link, in ms since the epoch.
    pub shard_time_ms: i64,
    /// Why it cannot be worked on, though the lane can: its links could not be replayed whole. Positions are then those
    /// in front of the first one that could not.
    pub refusal: Option<Refusal>,
}

/// How far taking a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Links replayed.
    pub links: u64,
    /// Decisions replayed.
    pub decisions: u64,
    /// Bytes of log read.
    pub bytes: u64,
    /// The next offset to be read; beside the partition's end it tells how much is left.
    pub next_offset: i64,
}

/// A recovery under way.
#[derive(Debug)]
pub struct Recovery<R> {
    lane: u32,
    accept_loss: bool,
    facts: Option<TopicFacts>,
    check: LogCheck,
    sink: R,
    progress: Progress,
    refused: Option<Refusal>,
    /// Why shards of the lane are refused, in their order.
    shards: Vec<Option<Refusal>>,
}

impl<R: Replay> Recovery<R> {
    /// A recovery that begins at the genesis. One that begins at a snapshot would start `check` at the snapshot's
    /// link and the reading behind it; nothing else is different.
    pub fn new(lane: u32, accept_loss: bool, sink: R) -> Self {
        Self {
            lane,
            accept_loss,
            facts: None,
            check: LogCheck::new(),
            sink,
            progress: Progress::default(),
            refused: None,
            shards: Vec::new(),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// What the topics are now; before the first record.
    pub fn topics(&mut self, facts: TopicFacts) {
        self.facts = Some(facts);
    }

    /// Why the lane can't be taken, once that is known.
    pub(super) fn refused(&mut self) -> Option<Refusal> {
        self.refused.take()
    }

    /// A record of the log.
    pub(super) fn record(&mut self, taking: &mut Taking, offset: i64, value: &[u8]) {
        if self.refused.is_some() || taking.reached() {
            return;
        }
        match self.absorb(offset, value) {
            Ok(fence) => taking.record(offset, fence.as_ref().map(|fence| &*fence.nonce)),
            Err(refusal) => self.refused = Some(refusal),
        }
    }

    /// Checks and replays the next record of the log; returns it if it is a fence.
    ///
    /// # Errors
    /// The lane cannot be taken.
    pub fn absorb(&mut self, offset: i64, value: &[u8]) -> Result<Option<Fence>, Refusal> {
        let lane = self.lane;
        let read = self.check.next(offset, value);
        let writer = || Writer::of(self.check.chain().last_fence());
        let mut fence = None;
        match read {
            Ok(LogEntry::Genesis(found)) => {
                let facts = self.facts.as_ref().expect("the topics are asked for before the log is read");
                genesis::check(&found, lane, facts, self.accept_loss)?;
                self.shards = self.check.chain().shards().iter().map(|_| None).collect();
                self.sink.genesis(&found);
            }
            Ok(LogEntry::Fence(found)) => fence = Some(found),
            Ok(LogEntry::Link(link)) => {
                let shard = link.header.shard;
                let at = self.check.chain().index(shard).expect("the chain refuses links of other shards");
                if self.shards[at].is_none() {
                    match self.sink.link(at, &link) {
                        Ok(decisions) => self.progress.decisions += u64::from(decisions),
                        Err(source) => {
                            self.shards[at] = Some(Refusal::Replay { lane, shard, offset, source, writer: writer() });
                        }
                    }
                }
                self.progress.links += 1;
            }
            // The lane's chain goes on behind a link that breaks its shard's.
            Err(ReadError::Broken { offset, source: source @ ChainError::Shard { shard, .. } }) => {
                let at = self.check.chain().index(shard).expect("it is one of the lane's");
                self.shards[at].get_or_insert(Refusal::Broken { lane, offset, source });
            }
            Err(error) => return Err(Refusal::of_record(lane, error, writer())),
        }
        self.progress.bytes += value.len() as u64;
        self.progress.next_offset = offset + 1;
        // A lane of which nothing is left is refused like its last shard.
        if !self.shards.is_empty() && self.shards.iter().all(Option::is_some) {
            return Err(self.shards.pop().flatten().expect("all are refused"));
        }
        Ok(fence)
    }

    /// Hash of the last link, or of the genesis.
    pub fn last_hash(&self) -> LinkHash {
        self.check.chain().last_hash()
    }

    /// The log was read to where it is of use; if the lane is being taken, up to our fence at `fence_offset`.
    pub fn finish(self, fence_offset: i64) -> (R, Tail) {
        let chain = self.check.chain();
        let genesis = chain.genesis().expect("the chain begins with a genesis").clone();
        let ids = self.facts.expect("the topics were asked for").ids;
        let is_same = [genesis.orders_topic_id == ids[0], genesis.stock_topic_id == ids[1]];
        let numbers = Layout::of(&genesis).shards_of(genesis.shard);
        let shards = numbers.zip(chain.shards()).zip(self.shards).map(|((shard, stands), refusal)| ShardTail {
            shard,
            next_sequence: stands.next_sequence(),
            orders_next: stands.resume_offset(Input::Orders),
            stock_next: stands.resume_offset(Input::Stock),
            leader_epochs: [(Input::Orders, is_same[0]), (Input::Stock, is_same[1])]
                .map(|(input, is_same)| if is_same { stands.last_leader_epoch(input) } else { -1 }),
            shard_time_ms: stands.shard_time_ms(),
            refusal,
        });
        let tail = Tail {
            shards: shards.collect(),
            decisions: self.progress.decisions,
            hash: chain.last_hash(),
            epoch: chain.fences(),
            fence_offset,
            genesis,
        };
        (self.sink, tail)
    }
}
