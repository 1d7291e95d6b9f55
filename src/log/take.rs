//! Recovering a shard that is being taken: every record of its log is checked and replayed.

use super::genesis;
use super::read::LogCheck;
use super::refusal::Refusal;
use super::replay::Replay;
use super::settings::Settings;
use super::taking::Taking;
use super::writer::Writer;
use crate::broker::TopicFacts;
use crate::wire::entry::LogEntry;
use crate::wire::link::LinkHash;
use crate::wire::proto::{Genesis, Input};

/// Where the log of a shard just taken ended, and from where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Tail {
    /// What the log is a log of.
    pub genesis: Genesis,
    /// Hash that the next link carries.
    pub hash: LinkHash,
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
    /// Fences up to the one by which the shard was taken, that one included: the epoch of our links.
    pub epoch: u64,
    /// Offset of that fence.
    pub fence_offset: i64,
}

/// How far taking a shard has come.
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
pub(super) struct Recovery<R> {
    shard: u32,
    accept_loss: bool,
    facts: Option<TopicFacts>,
    check: LogCheck,
    sink: R,
    progress: Progress,
    refused: Option<Refusal>,
}

impl<R: Replay> Recovery<R> {
    /// A recovery that begins at the genesis. One that begins at a snapshot would start `check` at the snapshot's
    /// link and the reading behind it; nothing else is different.
    pub(super) fn new(settings: &Settings, sink: R) -> Self {
        Self {
            shard: settings.shard,
            accept_loss: settings.accept_loss,
            facts: None,
            check: LogCheck::new(),
            sink,
            progress: Progress::default(),
            refused: None,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    pub(super) fn topics(&mut self, facts: TopicFacts) {
        self.facts = Some(facts);
    }

    /// Why the shard can't be taken, once that is known.
    pub(super) fn refused(&mut self) -> Option<Refusal> {
        self.refused.take()
    }

    /// A record of the log.
    pub(super) fn record(&mut self, taking: &mut Taking, offset: i64, value: &[u8]) {
        if self.refused.is_some() || taking.reached() {
            return;
        }
        if let Err(refusal) = self.absorb(taking, offset, value) {
            self.refused = Some(refusal);
        }
    }

    fn absorb(&mut self, taking: &mut Taking, offset: i64, value: &[u8]) -> Result<(), Refusal> {
        let shard = self.shard;
        let read = self.check.next(offset, value);
        let writer = || Writer::of(self.check.chain().last_fence());
        let entry = read.map_err(|error| Refusal::of_record(shard, error, writer()))?;
        let mut fence = None;
        match &entry {
            LogEntry::Genesis(found) => {
                let facts = self.facts.as_ref().expect("the topics are asked for before the log is read");
                genesis::check(found, shard, facts, self.accept_loss)?;
                self.sink.genesis(found);
            }
            LogEntry::Fence(found) => fence = Some(found.nonce.as_slice()),
            LogEntry::Link(link) => {
                let decisions = self.sink.link(link);
                let refused = |source| Refusal::Replay { shard, offset, source, writer: writer() };
                let decisions = decisions.map_err(refused)?;
                self.progress.links += 1;
                self.progress.decisions += u64::from(decisions);
            }
        }
        taking.record(offset, fence);
        self.progress.bytes += value.len() as u64;
        self.progress.next_offset = offset + 1;
        Ok(())
    }

    /// The shard is ours; the log was read up to our fence at `fence_offset`.
    pub(super) fn finish(self, fence_offset: i64) -> (R, Tail) {
        let chain = self.check.chain();
        let genesis = chain.genesis().expect("the chain begins with a genesis").clone();
        let shard = &chain.shards()[0];
        let ids = self.facts.expect("the topics were asked for").ids;
        let is_same = [genesis.orders_topic_id == ids[0], genesis.stock_topic_id == ids[1]];
        let leader_epochs = [(Input::Orders, is_same[0]), (Input::Stock, is_same[1])]
            .map(|(input, is_same)| if is_same { shard.last_leader_epoch(input) } else { -1 });
        let tail = Tail {
            leader_epochs,
            genesis,
            hash: chain.last_hash(),
            next_sequence: shard.next_sequence(),
            orders_next: shard.resume_offset(Input::Orders),
            stock_next: shard.resume_offset(Input::Stock),
            shard_time_ms: shard.shard_time_ms(),
            epoch: chain.fences(),
            fence_offset,
        };
        (self.sink, tail)
    }
}
