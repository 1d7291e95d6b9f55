//! The open batch of a lane: decisions of its shards go into each shard's open link, its replies and its per-decision
//! values as they are made.

use std::sync::Arc;

use super::settings::{DECISION_COST_BYTES, DIGEST_EVERY_LINKS, LaneSettings};
use super::work::Work;
use crate::broker::{Header, Input, Record};
use crate::ledger::Ledger;
use crate::log::batch::DeadLetter;
use crate::wire::decode::Poison;
use crate::wire::limits::{MAX_DEAD_LETTER_BYTES, TARGET_LINK_BYTES};
use crate::wire::link::LinkDraft;
use crate::wire::{Decision, Source, encode};

/// No reply to this partition stands in the open link.
const NO_REPLY: u32 = u32::MAX;

/// Header of a dead letter whose record was too long to go along: how many bytes it has.
const OMITTED_BYTES: &str = "sluice.omitted.bytes";

/// The batch that is being filled.
#[derive(Debug)]
pub(super) struct Outbox {
    settings: Arc<LaneSettings>,
    work: Box<Work>,
    shards: Vec<Slot>,
    engine_time_ms: i64,
}

/// What the open batch has of one shard.
#[derive(Debug)]
struct Slot {
    shard: u32,
    /// The link that takes more decisions, in the batch's list.
    link: Option<usize>,
    /// Links closed so far: every so many states a digest.
    links: u64,
    /// By partition of `replies`: the reply of the open link, in the batch's list.
    reply_at: Vec<u32>,
    /// The partitions that have one.
    replied: Vec<u32>,
}

impl Outbox {
    /// `shards` are those of the lane, in order.
    pub(super) fn new(shards: impl Iterator<Item = u32>, settings: Arc<LaneSettings>, mut work: Box<Work>) -> Self {
        let reply_at = vec![NO_REPLY; settings.reply_partitions as usize];
        let slot = |shard| Slot { shard, link: None, links: 0, reply_at: reply_at.clone(), replied: Vec::new() };
        let shards: Vec<Slot> = shards.map(slot).collect();
        work.of_shards(shards.len());
        Outbox { settings, work, shards, engine_time_ms: 0 }
    }

    /// Before the first decision of a batch: the one reading of the clock that all of it is judged by.
    pub(super) fn set_engine_time(&mut self, engine_time_ms: i64) {
        if self.work.is_empty() {
            self.engine_time_ms = engine_time_ms;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.work.is_full(self.settings.batch)
    }

    pub(super) fn into_work(self) -> Box<Work> {
        self.work
    }

    /// Whether a shard has anything in it.
    pub(super) fn has(&self, at: usize) -> bool {
        self.work.shards[at].links > 0
    }

    /// The part of one shard.
    pub(super) fn of(&mut self, at: usize) -> Part<'_> {
        let Outbox { settings, work, shards, engine_time_ms } = self;
        Part { at, settings, work, slot: &mut shards[at], engine_time_ms: *engine_time_ms }
    }

    /// Takes out everything of a shard, whose decisions are void.
    pub(super) fn discard(&mut self, at: usize) {
        let shard = self.shards[at].shard;
        let rank = |kept: &mut dyn Iterator<Item = bool>| -> Vec<usize> {
            let rank = kept.scan(0, |rank, is_kept| Some(std::mem::replace(rank, *rank + usize::from(is_kept))));
            rank.collect()
        };
        let links = rank(&mut self.work.batch.links.iter().map(|link| link.shard != shard));
        let replies = rank(&mut self.work.batch.replies.iter().map(|reply| reply.shard != shard));
        self.work.discard(at, shard);
        for slot in &mut self.shards {
            if slot.shard == shard {
                slot.link = None;
                slot.forget_replies();
            }
            slot.link = slot.link.map(|link| links[link]);
            for partition in &slot.replied {
                let reply = &mut slot.reply_at[*partition as usize];
                *reply = replies[*reply as usize] as u32;
            }
        }
    }

    /// Closes the batch, whose links are closed, for the ownership `life`, and goes on with an empty one.
    pub(super) fn swap(&mut self, life: u64, mut empty: Box<Work>) -> Box<Work> {
        debug_assert!(self.shards.iter().all(|slot| slot.link.is_none()), "a batch is handed over closed");
        empty.of_shards(self.shards.len());
        self.work.life = life;
        std::mem::replace(&mut self.work, empty)
    }
}

impl Slot {
    fn forget_replies(&mut self) {
        for partition in self.replied.drain(..) {
            self.reply_at[partition as usize] = NO_REPLY;
        }
    }
}

/// What the open batch has of one shard, and the batch around it.
pub(super) struct Part<'a> {
    at: usize,
    settings: &'a LaneSettings,
    work: &'a mut Work,
    slot: &'a mut Slot,
    engine_time_ms: i64,
}

impl Part<'_> {
    /// The clock by which deadlines of this batch are judged.
    pub(super) fn engine_time_ms(&self) -> i64 {
        self.engine_time_ms
    }

    /// Whether the batch is, whoever filled it.
    pub(super) fn is_full(&self) -> bool {
        self.work.is_full(self.settings.batch)
    }

    /// What the batch has of this shard, as turns are reckoned.
    pub(super) fn cost(&self) -> u64 {
        let share = &self.work.shards[self.at];
        share.bytes as u64 + DECISION_COST_BYTES * u64::from(share.decisions)
    }

    /// Makes room before a record or an expiry: closes the link that has reached its size, and sees that one is open.
    pub(super) fn make_room(&mut self, ledger: &mut Ledger) {
        if self.slot.link.is_some() && self.link().value_bytes() >= TARGET_LINK_BYTES {
            self.close_link(ledger);
        }
        if self.slot.link.is_none() {
            let times_ms = [self.engine_time_ms, ledger.shard_time_ms()];
            self.slot.link = Some(self.work.open_link(self.at, self.slot.shard, ledger.sequence() + 1, times_ms));
        }
    }

    /// Closes the open link, if there is one, at the ledger's present state.
    pub(super) fn close_link(&mut self, ledger: &mut Ledger) {
        if self.slot.link.is_none() {
            return;
        }
        self.slot.links += 1;
        let digest = self.slot.links.is_multiple_of(DIGEST_EVERY_LINKS).then(|| ledger.digest());
        let shard_time_ms = ledger.shard_time_ms();
        let link = self.link();
        link.shard_time_ms = shard_time_ms;
        link.digest = digest;
        self.slot.link = None;
        self.slot.forget_replies();
        let share = &mut self.work.shards[self.at];
        share.shard_time_ms = shard_time_ms;
        share.sequence = ledger.sequence();
    }

    /// Closes the shard's part of the batch; `next` are the first offsets that are not decided, of `orders` and of
    /// `stock`.
    pub(super) fn close(&mut self, ledger: &mut Ledger, next: [i64; 2]) {
        self.close_link(ledger);
        self.work.shards[self.at].next = next;
    }

    pub(super) fn push(&mut self, decision: &Decision<'_>, source: &Source) {
        let link = self.link();
        let before = link.value_bytes();
        link.push(decision, source);
        let bytes = self.link().value_bytes() - before;
        self.add_bytes(bytes);
        self.work.decisions += 1;
        let share = &mut self.work.shards[self.at];
        share.decisions += 1;
        share.tally.count(decision.outcome, decision.reason);
        if let Some(partition) = source.reply_partition {
            self.reply(partition, decision, source);
        }
        if self.settings.per_decision {
            self.push_alone(decision, source);
        }
    }

    fn add_bytes(&mut self, bytes: usize) {
        self.work.bytes += bytes;
        self.work.shards[self.at].bytes += bytes;
    }

    fn reply(&mut self, partition: u32, decision: &Decision<'_>, source: &Source) {
        let Some(at) = self.slot.reply_at.get_mut(partition as usize) else {
            self.work.shards[self.at].lost_replies += 1;
            return;
        };
        if *at == NO_REPLY {
            let opened = self.work.open_reply(self.slot.shard, partition);
            *at = u32::try_from(opened).expect("a batch has fewer replies than decisions");
            self.slot.replied.push(partition);
        }
        let value = &mut self.work.batch.replies[*at as usize].value;
        let before = value.len();
        encode::reply(value, decision, source);
        let bytes = value.len() - before;
        self.add_bytes(bytes);
    }

    fn push_alone(&mut self, decision: &Decision<'_>, source: &Source) {
        let records = &mut self.work.batch.per_decision;
        let before = records.bytes.len();
        let key = if decision.order_id.is_empty() { decision.id } else { decision.order_id };
        records.bytes.extend_from_slice(key.as_bytes());
        let key_end = records.bytes.len();
        encode::decision(&mut records.bytes, decision, source);
        let end = |at: usize| u32::try_from(at).expect("a batch is cut long before 4 GiB");
        records.ends.push((end(key_end), end(records.bytes.len())));
        records.shards.push(self.slot.shard);
        let bytes = records.bytes.len() - before;
        self.add_bytes(bytes);
    }

    /// The record was decided, or is a dead letter. `previous` is the offset of the one decided before it.
    pub(super) fn cover(&mut self, input: Input, previous: i64, record: &Record<'_>) {
        self.link().cover(input, previous, record.offset, record.leader_epoch);
    }

    /// The record cannot be read: it goes whole to `dead-letters`, its own headers first, then those that Kafka Connect
    /// writes, so that tools made for Connect's dead letters understand ours. One so long that nobody would take it, and
    /// that would so stop the shard for ever, is named by them alone.
    pub(super) fn bury(&mut self, input: Input, record: &Record<'_>, headers: Vec<Header>, poison: &Poison) {
        let topic = match input {
            Input::Stock => self.settings.stock_topic.as_str(),
            Input::Orders | Input::Unspecified => self.settings.orders_topic.as_str(),
        };
        let shard = self.slot.shard;
        let (partition, offset, stage) = (shard, record.offset, poison.stage());
        tracing::warn!(topic, partition, offset, stage, error = %poison, "a record could not be read");
        let named = [
            ("__connect.errors.topic", topic.to_owned()),
            ("__connect.errors.partition", shard.to_string()),
            ("__connect.errors.offset", record.offset.to_string()),
            ("__connect.errors.stage", poison.stage().to_owned()),
            ("__connect.errors.class.name", "sluice".to_owned()),
            ("__connect.errors.exception.message", poison.to_string()),
        ];
        let ours = named.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into_bytes())));
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let of_headers: usize = headers.iter().map(|(name, value)| name.len() + length(value.as_deref())).sum();
        let bytes = length(record.key) + length(record.value) + of_headers;
        self.add_bytes(bytes);
        self.work.shards[self.at].dead_letters += 1;
        let letter = if bytes <= MAX_DEAD_LETTER_BYTES {
            let headers = headers.into_iter().chain(ours).collect();
            DeadLetter { shard, key: record.key.map(Vec::from), value: record.value.map(Vec::from), headers }
        } else {
            let omitted = (OMITTED_BYTES.to_owned(), Some(bytes.to_string().into_bytes()));
            DeadLetter { shard, key: None, value: None, headers: ours.chain([omitted]).collect() }
        };
        self.work.batch.dead_letters.push(letter);
        self.link().dead_letter(input, record.offset);
    }

    fn link(&mut self) -> &mut LinkDraft {
        let link = self.slot.link.expect("make_room was called before");
        &mut self.work.batch.links[link]
    }
}
