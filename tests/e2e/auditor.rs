//! The auditor audited: a true log passes, and each way of falsifying it is caught.

use std::collections::HashMap;

use prost::Message;
use sluice::wire::proto::{self, Asked, Decision, Input, LogRecord, Outcome, Reason, log_record};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::audit::{ShardTopics, Stored, audit};
use crate::support::input;
use crate::support::model::{Model, ModelRules};
use crate::support::orders::{Orders, Plan};
use crate::support::report::Breach;

fn rules() -> ModelRules {
    ModelRules {
        shard: 0,
        partitions: 1,
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
fn truth() -> ShardTopics {
    let mut stream = Orders::new(Plan { seed: 11, pools: 2, skus: 5, per_record: 5, reply_partitions: 2 });
    let mut sent = stream.opening_stock();
    while sent.len() < 2_000 {
        sent.extend(stream.next());
    }
    let mut topics = ShardTopics::default();
    let start = crate::support::orders::now_ms();
    let mut log = Log::new();
    let mut model = Model::new(rules());
    for (step, record) in (0..).zip(&sent) {
        let records = if record.input == Input::Orders { &mut topics.orders } else { &mut topics.stock };
        let offset = i64::try_from(records.len()).expect("few");
        let timestamp_ms = start + step * 5;
        let key = Some(record.key.clone().into_bytes());
        records.push(Stored { offset, timestamp_ms, key, value: record.value.clone(), headers: Vec::new() });
        log.take(&mut model, record.input, records.last().expect("just pushed"), &mut topics.dead_letters);
        if step % 7 == 6 {
            if step % STATES_DIGEST == STATES_DIGEST - 1 {
                log.header.digest = model.digest().to_vec();
            }
            log.close();
        }
    }
    log.close();
    topics.log = log.records;
    topics
}

/// Writes links as an engine would.
struct Log {
    records: Vec<Stored>,
    link: proto::Link,
    header: proto::LinkHeader,
    last_offsets: HashMap<i32, i64>,
}

impl Log {
    fn new() -> Self {
        let genesis = proto::Genesis { version: 1, partitions: 1, link_hash: "xxh3-128".into(), ..Default::default() };
        let fence = proto::Fence { nonce: vec![1; 16], ..Default::default() };
        let mut log = Self {
            records: Vec::new(),
            link: proto::Link::default(),
            header: proto::LinkHeader { first_sequence: 1, epoch: 1, ..Default::default() },
            last_offsets: HashMap::new(),
        };
        log.write(log_record::Kind::Genesis(genesis));
        let hash = xxh3_128(log.records[0].value.as_deref().expect("just written"));
        log.header.previous_hash = hash.to_be_bytes().to_vec();
        log.write(log_record::Kind::Fence(fence));
        log
    }

    fn write(&mut self, kind: log_record::Kind) {
        let value = LogRecord { kind: Some(kind) }.encode_to_vec();
        let offset = i64::try_from(self.records.len()).expect("few");
        self.records.push(Stored { offset, value: Some(value), ..Default::default() });
    }

    fn take(&mut self, model: &mut Model, input: Input, record: &Stored, letters: &mut Vec<Stored>) {
        self.header.shard_time_ms = self.header.shard_time_ms.max(record.timestamp_ms);
        self.link.decisions.extend(model.advance(self.header.shard_time_ms));
        let last = self.last_offsets.entry(input as i32).or_insert(-1);
        let from_offset = std::mem::replace(last, record.offset);
        let to_offset = record.offset;
        self.header.segments.push(proto::Segment { input: input as i32, from_offset, to_offset, leader_epoch: 0 });
        let Some(questions) = input::questions(input, record.value.as_deref()) else {
            self.header.dead_letters.push(proto::DeadLetterRef { input: input as i32, offset: record.offset });
            letters.push(dead_letter(input, record));
            return;
        };
        for (index, question) in (0..).zip(&questions) {
            let decision = Decision { input: input as i32, offset: record.offset, index, ..question.put_to(model, 0) };
            self.link.decisions.push(decision);
        }
    }

    fn close(&mut self) {
        let count = u32::try_from(self.link.decisions.len()).expect("few");
        let header = proto::LinkHeader { count, ..self.header.clone() };
        let decisions = std::mem::take(&mut self.link.decisions);
        self.write(log_record::Kind::Link(proto::Link { header: Some(header), decisions }));
        let value = self.records.last().and_then(|record| record.value.as_deref()).expect("just written");
        self.header.previous_hash = xxh3_128(value).to_be_bytes().to_vec();
        self.header.first_sequence += u64::from(count);
        self.header.digest.clear();
        self.header.segments.clear();
        self.header.dead_letters.clear();
    }
}

fn dead_letter(input: Input, record: &Stored) -> Stored {
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

/// Changes the links of a log and makes chain and sequences right again, as a wrong engine would.
fn doctor(topics: &mut ShardTopics, mut change: impl FnMut(&mut proto::Link)) {
    let mut previous: Option<Vec<u8>> = None;
    let mut next_sequence = 1;
    for record in &mut topics.log {
        let mut entry = LogRecord::decode(record.value.as_deref().expect("a value")).expect("a log record");
        match &mut entry.kind {
            Some(log_record::Kind::Fence(_)) => continue,
            Some(log_record::Kind::Link(link)) => {
                change(link);
                let count = link.decisions.len();
                let header = link.header.as_mut().expect("a header");
                header.previous_hash = previous.take().expect("the genesis comes first");
                header.first_sequence = next_sequence;
                header.count = u32::try_from(count).expect("few");
                for (sequence, decision) in (next_sequence..).zip(&mut link.decisions) {
                    decision.sequence = sequence;
                }
                next_sequence += count as u64;
            }
            _ => {}
        }
        let value = entry.encode_to_vec();
        previous = Some(xxh3_128(&value).to_be_bytes().to_vec());
        record.value = Some(value);
    }
}

/// Applies `change` to the first decision for which it says that it did.
fn doctor_one(topics: &mut ShardTopics, mut change: impl FnMut(&mut Decision) -> bool) {
    let mut done = false;
    doctor(topics, |link| {
        for decision in &mut link.decisions {
            done = done || change(decision);
        }
    });
    assert!(done, "there was nothing to falsify");
}

#[track_caller]
fn assert_caught(topics: &ShardTopics, breach: Breach) {
    let report = audit(topics, None).report;
    assert!(report.breaches.contains_key(&breach), "{breach:?} was not caught:\n{report}");
}

#[test]
fn a_true_log_passes_with_every_kind_of_decision_in_it() {
    let topics = truth();
    let audited = audit(&topics, Some(Model::new(rules())));
    audited.report.assert_clean();
    assert!(audited.report.decisions > 5_000, "{}", audited.report);
    assert!(audited.report.dead_letters > 0, "{}", audited.report);
    for outcome in [Outcome::Reserved, Outcome::Duplicate, Outcome::Conflict, Outcome::Expired, Outcome::Shipped] {
        assert!(audited.report.count(outcome, Reason::Unspecified) > 0, "{}", audited.report);
    }
}

#[test]
fn a_lost_decision_is_caught() {
    let mut topics = truth();
    let mut links = 0;
    doctor(&mut topics, |link| {
        links += 1;
        if links == 5 {
            link.decisions.remove(3);
        }
    });
    assert_caught(&topics, Breach::I1);
}

#[test]
fn a_doubled_decision_is_caught() {
    let mut topics = truth();
    let mut links = 0;
    doctor(&mut topics, |link| {
        links += 1;
        if links == 5 {
            link.decisions.insert(3, link.decisions[3].clone());
        }
    });
    assert_caught(&topics, Breach::I1);
}

#[test]
fn an_order_decided_twice_is_caught() {
    let mut topics = truth();
    doctor_one(&mut topics, |decision| {
        let copy = decision.asked() == Asked::Place && decision.outcome() == Outcome::Duplicate;
        if copy {
            decision.set_outcome(Outcome::Rejected);
            decision.set_state(proto::OrderState::Rejected);
        }
        copy
    });
    assert_caught(&topics, Breach::I2);
}

#[test]
fn an_oversold_order_is_caught() {
    let mut topics = truth();
    doctor_one(&mut topics, |decision| {
        let short = decision.reason() == Reason::OutOfStock;
        if short {
            decision.set_outcome(Outcome::Reserved);
            decision.set_reason(Reason::Unspecified);
            decision.set_state(proto::OrderState::Held);
            decision.lines.iter_mut().for_each(|line| line.allocated = line.quantity);
        }
        short
    });
    assert_caught(&topics, Breach::I3);
}

#[test]
fn a_wrong_stock_figure_is_caught() {
    let mut topics = truth();
    doctor_one(&mut topics, |decision| decision.stock.as_mut().map(|level| level.on_hand += 1).is_some());
    assert_caught(&topics, Breach::I3);
}

#[test]
fn a_decision_that_only_the_model_can_tell_from_the_true_one_is_caught() {
    let mut topics = truth();
    doctor_one(&mut topics, |decision| {
        let held = decision.outcome() == Outcome::Reserved;
        decision.expires_at_ms += i64::from(held);
        held
    });
    audit(&topics, None).report.assert_clean();
    let report = audit(&topics, Some(Model::new(rules()))).report;
    assert!(report.breaches.contains_key(&Breach::Model), "{report}");
}

#[test]
fn a_digest_of_another_ledger_is_caught() {
    let mut topics = truth();
    doctor(&mut topics, |link| {
        link.header.iter_mut().flat_map(|header| &mut header.digest).for_each(|byte| *byte ^= 1);
    });
    audit(&topics, None).report.assert_clean();
    let report = audit(&topics, Some(Model::new(rules()))).report;
    assert!(report.breaches.contains_key(&Breach::Model), "{report}");
}

#[test]
fn input_left_out_or_taken_twice_is_caught() {
    let mut left_out = truth();
    left_out.log.pop();
    assert_caught(&left_out, Breach::I4);

    let mut again = truth();
    let copy = again.log.last().cloned().expect("a link");
    again.log.push(copy);
    doctor(&mut again, |_| {});
    assert_caught(&again, Breach::I4);
}

#[test]
fn a_link_that_does_not_follow_from_the_one_before_is_caught() {
    let mut topics = truth();
    topics.log.remove(4);
    assert_caught(&topics, Breach::Chain);

    let mut topics = truth();
    let last = topics.log.last_mut().and_then(|record| record.value.as_mut()).expect("a link");
    let mut entry = LogRecord::decode(&last[..]).expect("a log record");
    if let Some(log_record::Kind::Link(link)) = &mut entry.kind {
        link.header.as_mut().expect("a header").first_sequence += 1;
    }
    *last = entry.encode_to_vec();
    assert_caught(&topics, Breach::Sequence);
}

#[test]
fn a_dead_letter_that_is_missing_or_of_a_good_record_is_caught() {
    let mut missing = truth();
    missing.dead_letters.pop();
    assert_caught(&missing, Breach::DeadLetter);

    let mut extra = truth();
    let good = dead_letter(Input::Orders, &extra.orders[0]);
    extra.dead_letters.push(good);
    assert_caught(&extra, Breach::DeadLetter);
}
