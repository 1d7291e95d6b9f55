//! True logs: what an engine writes that decides as the model does.

use std::collections::HashMap;

use prost::Message;
use sluice::wire::proto::{self, Decision, Input, LogRecord, log_record};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::audit::{ShardTopics, Stored};
use crate::support::input;
use crate::support::lane::LaneTopics;
use crate::support::model::hash::partition;
use crate::support::model::{Model, ModelRules};
use crate::support::orders::{Orders, Plan, Sent};

/// How many shards and lanes there are, and which lane is looked at.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) shards: u32,
    pub(super) lanes: u32,
    pub(super) lane: u32,
}

/// One shard, alone in its lane.
pub(super) const ALONE: Place = Place { shards: 1, lanes: 1, lane: 0 };

/// The shards 1, 3 and 5 of six, which share the second of two lanes.
pub(super) const SHARED: Place = Place { shards: 6, lanes: 2, lane: 1 };

pub(super) fn rules(place: Place, shard: u32) -> ModelRules {
    ModelRules {
        shard,
        partitions: place.shards,
        window_ms: 3_600_000,
        skew_ms: 300_000,
        default_hold_ms: 900_000,
        max_hold_ms: 604_800_000,
        max_ids: 1_000_000,
        rules_level: 0,
    }
}

/// Every so many records, a multiple of those of a link, a link states the digest.
const STATES_DIGEST: i64 = 210;

/// Inputs of a small day, and the log that the model makes of them: a link for every few records.
pub(super) fn truth() -> LaneTopics {
    truth_at(ALONE)
}

pub(super) fn truth_at(place: Place) -> LaneTopics {
    let pools = if place.shards == 1 { 2 } else { 24 };
    let mut stream = Orders::new(Plan { seed: 11, pools, skus: 5, per_record: 5, reply_partitions: 2 });
    let mut sent = stream.opening_stock();
    while sent.len() < 2_000 {
        sent.extend(stream.next());
    }
    let start = crate::support::orders::now_ms();
    let mut log = Log::new(place);
    let numbers: Vec<u32> = (place.lane..place.shards).step_by(place.lanes as usize).collect();
    let mut shards: Vec<_> = numbers.iter().map(|shard| Shard::new(place, *shard)).collect();
    for (step, record) in (0..).zip(&sent) {
        let of = partition(&record.key, place.shards);
        if let Some(shard) = numbers.iter().position(|shard| *shard == of) {
            shards[shard].take(record, start + step * 5);
        }
        if step % 7 == 6 {
            // One after the other, so that links of the same shard seldom follow each other.
            let next = (step / 7) as usize % shards.len();
            shards[next].close(&mut log, step % STATES_DIGEST == STATES_DIGEST - 1);
        }
    }
    shards.iter_mut().for_each(|shard| shard.close(&mut log, false));
    let shards = shards.into_iter().map(|shard| shard.topics).collect();
    LaneTopics { lane: place.lane, log: log.records, shards }
}

/// A log, as an engine would write it.
struct Log {
    records: Vec<Stored>,
    last_hash: Vec<u8>,
}

impl Log {
    fn new(Place { shards, lanes, lane }: Place) -> Self {
        let version = if lanes == shards { 1 } else { 2 };
        let genesis = proto::Genesis {
            version,
            shard: lane,
            partitions: shards,
            lanes: if version == 1 { 0 } else { lanes },
            link_hash: "xxh3-128".into(),
            ..Default::default()
        };
        let fence = proto::Fence { nonce: vec![1; 16], ..Default::default() };
        let mut log = Self { records: Vec::new(), last_hash: Vec::new() };
        log.write(log_record::Kind::Genesis(genesis));
        let hash = log.last_hash.clone();
        log.write(log_record::Kind::Fence(fence));
        log.last_hash = hash;
        log
    }

    fn write(&mut self, kind: log_record::Kind) {
        let value = LogRecord { kind: Some(kind) }.encode_to_vec();
        let offset = i64::try_from(self.records.len()).expect("few");
        self.last_hash = xxh3_128(&value).to_be_bytes().to_vec();
        self.records.push(Stored { offset, value: Some(value), ..Default::default() });
    }
}

/// A shard at work.
struct Shard {
    topics: ShardTopics,
    model: Model,
    link: proto::Link,
    header: proto::LinkHeader,
    last_offsets: HashMap<i32, i64>,
}

impl Shard {
    fn new(place: Place, shard: u32) -> Self {
        Self {
            topics: ShardTopics { shard, ..Default::default() },
            model: Model::new(rules(place, shard)),
            link: proto::Link::default(),
            header: proto::LinkHeader { shard, first_sequence: 1, epoch: 1, ..Default::default() },
            last_offsets: HashMap::new(),
        }
    }

    /// Decides the next record of its inputs.
    fn take(&mut self, sent: &Sent, timestamp_ms: i64) {
        let input = sent.input;
        let records = if input == Input::Orders { &mut self.topics.orders } else { &mut self.topics.stock };
        let offset = i64::try_from(records.len()).expect("few");
        let key = Some(sent.key.clone().into_bytes());
        let record = Stored { offset, timestamp_ms, key, value: sent.value.clone(), headers: Vec::new() };
        records.push(record.clone());
        self.header.shard_time_ms = self.header.shard_time_ms.max(record.timestamp_ms);
        self.link.decisions.extend(self.model.advance(self.header.shard_time_ms));
        let last = self.last_offsets.entry(input as i32).or_insert(-1);
        let from_offset = std::mem::replace(last, record.offset);
        let to_offset = record.offset;
        self.header.segments.push(proto::Segment { input: input as i32, from_offset, to_offset, leader_epoch: 0 });
        let Some(questions) = input::questions(input, record.value.as_deref()) else {
            self.header.dead_letters.push(proto::DeadLetterRef { input: input as i32, offset: record.offset });
            self.topics.dead_letters.push(dead_letter(input, &record));
            return;
        };
        for (index, question) in (0..).zip(&questions) {
            let answer = question.put_to(&mut self.model, 0);
            self.link.decisions.push(Decision { input: input as i32, offset: record.offset, index, ..answer });
        }
    }

    /// Writes what was decided, if anything was, as a link.
    fn close(&mut self, log: &mut Log, states_digest: bool) {
        if self.header.segments.is_empty() {
            return;
        }
        if states_digest {
            self.header.digest = self.model.digest().to_vec();
        }
        let count = u32::try_from(self.link.decisions.len()).expect("few");
        let header = proto::LinkHeader { count, previous_hash: log.last_hash.clone(), ..self.header.clone() };
        let decisions = std::mem::take(&mut self.link.decisions);
        log.write(log_record::Kind::Link(proto::Link { header: Some(header), decisions }));
        self.header.first_sequence += u64::from(count);
        self.header.digest.clear();
        self.header.segments.clear();
        self.header.dead_letters.clear();
    }
}

pub(super) fn dead_letter(input: Input, record: &Stored) -> Stored {
    let topic = if input == Input::Orders { "orders" } else { "stock" };
    let header = |name: &str, value: String| (format!("__connect.errors.{name}"), Some(value.into_bytes()));
    let headers = vec![
        header("topic", topic.to_owned()),
        header("offset", record.offset.to_string()),
        header("stage", "value".to_owned()),
        header("exception.message", "unreadable".to_owned()),
    ];
    Stored { headers, ..record.clone() }
}
