//! The auditor audited: a true log passes, and each way of falsifying it is caught.

mod truth; // logs that are as they must be

use std::collections::HashMap;

use prost::Message;
use sluice::wire::proto::{self, Asked, Decision, Input, LogRecord, Outcome, Reason, log_record};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::lane::{LaneTopics, audit};
use crate::support::model::Model;
use crate::support::report::Breach;
use truth::{ALONE, SHARED, dead_letter, rules, truth, truth_at};

/// Changes the links of a log and makes chain and sequences right again, as a wrong engine would.
fn doctor(topics: &mut LaneTopics, mut change: impl FnMut(&mut proto::Link)) {
    let mut previous: Option<Vec<u8>> = None;
    let mut next_sequences: HashMap<u32, u64> = HashMap::new();
    for record in &mut topics.log {
        let mut entry = LogRecord::decode(record.value.as_deref().expect("a value")).expect("a log record");
        match &mut entry.kind {
            Some(log_record::Kind::Fence(_)) => continue,
            Some(log_record::Kind::Link(link)) => {
                change(link);
                let count = link.decisions.len();
                let header = link.header.as_mut().expect("a header");
                let next_sequence = next_sequences.entry(header.shard).or_insert(1);
                header.previous_hash = previous.take().expect("the genesis comes first");
                header.first_sequence = *next_sequence;
                header.count = u32::try_from(count).expect("few");
                for (sequence, decision) in (*next_sequence..).zip(&mut link.decisions) {
                    decision.sequence = sequence;
                }
                *next_sequence += count as u64;
            }
            _ => {}
        }
        let value = entry.encode_to_vec();
        previous = Some(xxh3_128(&value).to_be_bytes().to_vec());
        record.value = Some(value);
    }
}

/// Changes the header of the link that is so many links behind the first.
fn doctor_header(topics: &mut LaneTopics, number: usize, change: impl Fn(&mut proto::LinkHeader)) {
    let mut links = 0..;
    doctor(topics, |link| {
        if links.next() == Some(number) {
            change(link.header.as_mut().expect("a header"));
        }
    });
}

/// Applies `change` to the first decision for which it says that it did.
fn doctor_one(topics: &mut LaneTopics, mut change: impl FnMut(&mut Decision) -> bool) {
    let mut done = false;
    doctor(topics, |link| {
        for decision in &mut link.decisions {
            done = done || change(decision);
        }
    });
    assert!(done, "there was nothing to falsify");
}

#[track_caller]
fn assert_caught(topics: &LaneTopics, breach: Breach) {
    let report = audit(topics, |_| None).report;
    assert!(report.breaches.contains_key(&breach), "{breach:?} was not caught:\n{report}");
}

#[test]
fn a_true_log_passes_with_every_kind_of_decision_in_it() {
    let topics = truth();
    let audited = audit(&topics, |shard| Some(Model::new(rules(ALONE, shard))));
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
    audit(&topics, |_| None).report.assert_clean();
    let report = audit(&topics, |shard| Some(Model::new(rules(ALONE, shard)))).report;
    assert!(report.breaches.contains_key(&Breach::Model), "{report}");
}

#[test]
fn a_digest_of_another_ledger_is_caught() {
    let mut topics = truth();
    doctor(&mut topics, |link| {
        link.header.iter_mut().flat_map(|header| &mut header.digest).for_each(|byte| *byte ^= 1);
    });
    audit(&topics, |_| None).report.assert_clean();
    let report = audit(&topics, |shard| Some(Model::new(rules(ALONE, shard)))).report;
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
    missing.shards[0].dead_letters.pop();
    assert_caught(&missing, Breach::DeadLetter);

    let mut extra = truth();
    let good = dead_letter(Input::Orders, &extra.shards[0].orders[0]);
    extra.shards[0].dead_letters.push(good);
    assert_caught(&extra, Breach::DeadLetter);
}

#[test]
fn shards_that_share_a_lane_are_told_apart() {
    let topics = truth_at(SHARED);
    let audited = audit(&topics, |shard| Some(Model::new(rules(SHARED, shard))));
    audited.report.assert_clean();
    assert_eq!(audited.shards.len(), 3);
    for shard in &audited.shards {
        assert!(shard.report.decisions > 500 && shard.report.links > 20, "{}", shard.report);
    }
    assert!(audited.report.dead_letters > 0, "{}", audited.report);
}

#[test]
fn a_link_of_another_lanes_shard_or_of_none_is_caught() {
    for stranger in [0, 2, 7] {
        let mut topics = truth_at(SHARED);
        doctor_header(&mut topics, 20, |header| header.shard = stranger);
        assert_caught(&topics, Breach::Chain);
    }
}

#[test]
fn a_link_under_the_name_of_another_shard_of_its_lane_is_caught() {
    let mut topics = truth_at(SHARED);
    doctor_header(&mut topics, 20, |header| header.shard = if header.shard == 1 { 3 } else { 1 });
    assert_caught(&topics, Breach::I4);
}

#[test]
fn a_segment_that_goes_on_from_another_shards_end_is_caught() {
    let mut topics = truth_at(SHARED);
    // What a reader would take for right that keeps one end for all shards of a log.
    let mut last = HashMap::new();
    let mut links = 0..;
    doctor(&mut topics, |link| {
        let header = link.header.as_mut().expect("a header");
        let is_meant = links.next() == Some(30);
        for segment in &mut header.segments {
            if is_meant {
                segment.from_offset = last.get(&segment.input).copied().unwrap_or(-1);
            }
            last.insert(segment.input, segment.to_offset);
        }
    });
    assert_caught(&topics, Breach::I4);
}

#[test]
fn a_second_genesis_is_caught() {
    for place in [ALONE, SHARED] {
        let mut topics = truth_at(place);
        let again = topics.log[0].clone();
        topics.log.push(again);
        assert_caught(&topics, Breach::Chain);
    }
}

#[test]
fn a_log_of_another_lane_or_of_another_number_of_lanes_is_caught() {
    let mut topics = truth_at(SHARED);
    topics.lane = 0;
    assert_caught(&topics, Breach::Chain);

    let mut topics = truth_at(SHARED);
    let genesis = proto::Genesis {
        version: 2,
        shard: 1,
        partitions: 6,
        lanes: 3,
        link_hash: "xxh3-128".into(),
        ..Default::default()
    };
    topics.log[0].value = Some(LogRecord { kind: Some(log_record::Kind::Genesis(genesis)) }.encode_to_vec());
    doctor(&mut topics, |_| {});
    assert_caught(&topics, Breach::Chain);
}

#[test]
fn what_is_wrong_with_one_shard_leaves_the_others_of_its_lane_as_they_are() {
    let mut topics = truth_at(SHARED);
    doctor_header(&mut topics, 20, |header| header.segments[0].to_offset += 1_000);
    let audited = audit(&topics, |_| None);
    let wrong = audited.shards.iter().filter(|shard| !shard.report.breaches.is_empty()).count();
    assert_eq!(wrong, 1, "{}", audited.report);
}
