//! The open batch: decisions go into its open link, its replies and its per-decision values as they are made.

use std::sync::Arc;

use super::settings::{DIGEST_EVERY_LINKS, LaneSettings};
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
    shard: u32,
    settings: Arc<LaneSettings>,
    work: Box<Work>,
    /// The last link of the batch takes more decisions.
    open: bool,
    /// Links closed so far: every so many states a digest.
    links: u64,
    /// By partition of `replies`: the reply of the open link, in the batch's list.
    reply_at: Vec<u32>,
    /// Replies of links before the open one.
    earlier_replies: usize,
    engine_time_ms: i64,
}

impl Outbox {
    pub(super) fn new(shard: u32, settings: Arc<LaneSettings>, work: Box<Work>) -> Self {
        let reply_at = vec![NO_REPLY; settings.reply_partitions as usize];
        Outbox { shard, settings, work, open: false, links: 0, reply_at, earlier_replies: 0, engine_time_ms: 0 }
    }

    /// The clock by which deadlines of this batch are judged.
    pub(super) fn engine_time_ms(&self) -> i64 {
        self.engine_time_ms
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
        let limits = self.settings.batch;
        self.work.bytes >= limits.max_bytes || self.work.decisions >= limits.max_decisions
    }

    pub(super) fn into_work(self) -> Box<Work> {
        self.work
    }

    /// Takes the closed batch out and goes on with an empty one.
    pub(super) fn swap(&mut self, empty: Box<Work>) -> Box<Work> {
        debug_assert!(!self.open, "a batch is handed over closed");
        std::mem::replace(&mut self.work, empty)
    }

    /// Makes room before a record or an expiry: closes the link that has reached its size, and sees that one is open.
    pub(super) fn make_room(&mut self, ledger: &mut Ledger) {
        if self.open && self.link().value_bytes() >= TARGET_LINK_BYTES {
            self.close_link(ledger);
        }
        if !self.open {
            self.work.open_link(self.shard, ledger.sequence() + 1, self.engine_time_ms, ledger.shard_time_ms());
            self.open = true;
        }
    }

    /// Closes the open link, if there is one, at the ledger's present state.
    pub(super) fn close_link(&mut self, ledger: &mut Ledger) {
        if !self.open {
            return;
        }
        self.open = false;
        self.links += 1;
        let digest = self.links.is_multiple_of(DIGEST_EVERY_LINKS).then(|| ledger.digest());
        let shard_time_ms = ledger.shard_time_ms();
        let link = self.link();
        link.shard_time_ms = shard_time_ms;
        link.digest = digest;
        for reply in &self.work.batch.replies[self.earlier_replies..] {
            self.reply_at[reply.partition as usize] = NO_REPLY;
        }
        self.earlier_replies = self.work.batch.replies.len();
        self.work.shard_time_ms = shard_time_ms;
        self.work.sequence = ledger.sequence();
    }

    /// Closes the batch; `next` are the first offsets that are not decided, of `orders` and of `stock`.
    pub(super) fn close(&mut self, ledger: &mut Ledger, life: u64, next: [i64; 2]) {
        self.close_link(ledger);
        self.earlier_replies = 0;
        self.work.life = life;
        self.work.next = next;
    }

    pub(super) fn push(&mut self, decision: &Decision<'_>, source: &Source) {
        let link = self.link();
        let before = link.value_bytes();
        link.push(decision, source);
        self.work.bytes += self.link().value_bytes() - before;
        self.work.decisions += 1;
        self.work.tally.count(decision.outcome, decision.reason);
        if let Some(partition) = source.reply_partition {
            self.reply(partition, decision, source);
        }
        if self.settings.per_decision {
            self.push_alone(decision, source);
        }
    }

    fn reply(&mut self, partition: u32, decision: &Decision<'_>, source: &Source) {
        let Some(at) = self.reply_at.get_mut(partition as usize) else {
            self.work.lost_replies += 1;
            return;
        };
        if *at == NO_REPLY {
            *at = u32::try_from(self.work.open_reply(partition)).expect("a batch has fewer replies than decisions");
        }
        let value = &mut self.work.batch.replies[*at as usize].value;
        let before = value.len();
        encode::reply(value, decision, source);
        self.work.bytes += value.len() - before;
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
        self.work.bytes += records.bytes.len() - before;
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
        let (partition, offset, stage) = (self.shard, record.offset, poison.stage());
        tracing::warn!(topic, partition, offset, stage, error = %poison, "a record could not be read");
        let named = [
            ("__connect.errors.topic", topic.to_owned()),
            ("__connect.errors.partition", self.shard.to_string()),
            ("__connect.errors.offset", record.offset.to_string()),
            ("__connect.errors.stage", poison.stage().to_owned()),
            ("__connect.errors.class.name", "sluice".to_owned()),
            ("__connect.errors.exception.message", poison.to_string()),
        ];
        let ours = named.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into_bytes())));
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let of_headers: usize = headers.iter().map(|(name, value)| name.len() + length(value.as_deref())).sum();
        let bytes = length(record.key) + length(record.value) + of_headers;
        self.work.bytes += bytes;
        let letter = if bytes <= MAX_DEAD_LETTER_BYTES {
            let headers = headers.into_iter().chain(ours).collect();
            DeadLetter {
                shard: self.shard,
                key: record.key.map(Vec::from),
                value: record.value.map(Vec::from),
                headers,
            }
        } else {
            let omitted = (OMITTED_BYTES.to_owned(), Some(bytes.to_string().into_bytes()));
            DeadLetter { shard: self.shard, key: None, value: None, headers: ours.chain([omitted]).collect() }
        };
        self.work.batch.dead_letters.push(letter);
        self.link().dead_letter(input, record.offset);
    }

    fn link(&mut self) -> &mut LinkDraft {
        self.work.batch.links.last_mut().expect("make_room was called before")
    }
}
