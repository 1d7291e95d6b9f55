//! Logs that are not taken, and what a person is told.

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::super::driver::Step;
use super::super::refusal::Refusal;
use super::world::*;
use crate::broker::memory::{Cluster, Topic};
use crate::wire::Layout;
use crate::wire::link::{LinkHash, RULES_LEVEL, fence_value, genesis, genesis_value};
use crate::wire::proto::{Decision, Fence, Genesis, Link, LinkHeader, LogRecord, log_record};

/// Tries to take the shard; the refusal, whose text must say `advice`. Nothing may have been written to the log.
fn refused(cluster: &Cluster, advice: &str) -> Refusal {
    refused_by(Owner::new(cluster, "z", 9), cluster, advice)
}

fn refused_by(mut owner: Owner, cluster: &Cluster, advice: &str) -> Refusal {
    let before = cluster.end(Topic::Decisions, SHARD).expect("it is there").high;
    owner.driver.take(Orders::default());
    let Step::Refused(refusal) = owner.run() else { panic!("the shard was taken") };
    let text = refusal.to_string();
    assert!(text.contains(advice), "{text:?} doesn't say {advice:?}");
    assert_eq!(cluster.end(Topic::Decisions, SHARD).expect("it is there").high, before, "{text}");
    refusal
}

/// A cluster whose genesis is as `change` leaves it.
fn with_genesis(change: impl FnOnce(&mut Genesis)) -> Cluster {
    let cluster = bare_cluster();
    let facts = facts(&cluster);
    let mut genesis = genesis(SHARD, Layout::one_each(facts.partitions[0]), facts.ids, 86_400_000, 60_000, RULES_LEVEL);
    change(&mut genesis);
    write(&cluster, genesis_value(genesis));
    cluster
}

#[test]
fn an_empty_log_gets_no_fence() {
    assert_eq!(refused(&bare_cluster(), "sluice topics create"), Refusal::Empty { lane: SHARD });
}

#[test]
fn a_log_that_begins_otherwise_is_refused() {
    for value in [b"?".to_vec(), fence_value([1; 16], "somebody", 0)] {
        let cluster = bare_cluster();
        write(&cluster, value);
        assert_eq!(refused(&cluster, "no genesis"), Refusal::NoGenesis { lane: SHARD });
    }
}

#[test]
fn a_log_with_other_rules_is_refused() {
    let cluster = with_genesis(|genesis| genesis.version = 3);
    assert!(matches!(refused(&cluster, "newer one"), Refusal::Rules { .. }));
    let cluster = with_genesis(|genesis| genesis.rules_level = RULES_LEVEL + 1);
    let refusal = refused(&cluster, "newer one");
    assert!(matches!(refusal, Refusal::Rules { .. }));
    assert!(refusal.to_string().contains(&format!("rules level {}", RULES_LEVEL + 1)), "{refusal}");
    // Field 14, which no genesis has.
    let cluster = bare_cluster();
    let mut genesis =
        genesis(SHARD, Layout::one_each(1), facts(&cluster).ids, 86_400_000, 60_000, RULES_LEVEL).encode_to_vec();
    genesis.extend_from_slice(&[0x70, 0x01]);
    let mut value = Vec::new();
    put_message(&mut value, 1, &genesis);
    write(&cluster, value);
    let refusal = refused(&cluster, "newer one");
    assert!(matches!(refusal, Refusal::Rules { .. }) && refusal.to_string().contains("field 14"), "{refusal}");
    let cluster = with_genesis(|genesis| "crc".clone_into(&mut genesis.link_hash));
    assert!(matches!(refused(&cluster, "newer one"), Refusal::Rules { .. }));
}

#[test]
fn the_log_of_another_shard_is_refused() {
    let cluster = with_genesis(|genesis| (genesis.shard, genesis.partitions) = (1, 2));
    assert_eq!(refused(&cluster, "partition 1"), Refusal::Partition { lane: SHARD, found: 1 });
}

#[test]
fn the_log_of_topics_made_anew_is_refused_unless_the_loss_is_accepted() {
    for (topic, name) in [(Topic::Orders, "orders"), (Topic::Stock, "stock")] {
        let cluster = cluster();
        cluster.create(topic, 1);
        let refusal = refused(&cluster, "deleted and created again");
        assert!(matches!(refusal, Refusal::TopicId { topic, .. } if topic == name));
        Owner::accepting_loss(&cluster, "a", 1).take();
    }
    let copy = cluster();
    let genesis = values(&copy, Topic::Decisions).remove(0);
    copy.create(Topic::Decisions, 1);
    write(&copy, genesis);
    assert!(matches!(refused(&copy, "--accept-loss"), Refusal::TopicId { topic: "decisions", .. }));
}

#[test]
fn a_changed_partition_count_is_refused_even_if_loss_is_accepted() {
    let cluster = with_genesis(|genesis| genesis.partitions = 2);
    let expected = Refusal::Partitions { lane: SHARD, topic: "orders", expected: 2, found: 1 };
    assert_eq!(refused(&cluster, "there are 1"), expected);
    assert_eq!(refused_by(Owner::accepting_loss(&cluster, "a", 1), &cluster, "there are 1"), expected);
}

#[test]
fn a_trimmed_log_is_refused() {
    let cluster = cluster();
    let mut owner = Owner::new(&cluster, "a", 1);
    owner.take();
    owner.commit(3);
    cluster.trim(Topic::Decisions, SHARD, 4).expect("it is there");
    assert_eq!(refused(&cluster, "retention"), Refusal::Trimmed { lane: SHARD, begin: 4 });
}

#[test]
fn a_damaged_record_is_refused() {
    let cluster = cluster();
    Owner::new(&cluster, "a", 1).take();
    let offset = write(&cluster, vec![0xff; 9]);
    assert!(matches!(damaged(&cluster, "cannot be read"), Refusal::Unreadable { offset: at, .. } if at == offset));
}

#[test]
fn a_broken_chain_is_refused() {
    let cluster = cluster();
    let mut owner = Owner::new(&cluster, "a", 1);
    owner.take();
    owner.commit(2);
    let again = values(&cluster, Topic::Decisions).pop().expect("two links were committed");
    let offset = write(&cluster, again);
    assert!(matches!(damaged(&cluster, "does not continue"), Refusal::Broken { offset: at, .. } if at == offset));
}

#[test]
fn a_decision_of_a_newer_version_is_refused_by_the_field_and_that_version() {
    for (version, words) in [
        ("99.1.0", "It was written by sluice 99.1.0 (rules level 4); this is sluice "),
        ("", "It stands where node-b wrote, an older version of sluice"),
    ] {
        let cluster = cluster();
        let fence = Fence { version: version.to_owned(), rules_level: 4, owner: "node-b".to_owned(), ..nonce() };
        write(&cluster, LogRecord { kind: Some(log_record::Kind::Fence(fence)) }.encode_to_vec());
        let genesis = LinkHash::of(&values(&cluster, Topic::Decisions)[0]);
        let offset = write(&cluster, link_with_field_42(genesis));
        let refusal = damaged(&cluster, words);
        assert!(matches!(refusal, Refusal::Replay { offset: at, .. } if at == offset), "{refusal}");
        assert!(refusal.to_string().contains("decision field 42 is not known"), "{refusal}");
    }
}

fn nonce() -> Fence {
    Fence { nonce: vec![1; 16], ..Fence::default() }
}

/// A link with one decision that says something that nobody knows yet.
fn link_with_field_42(previous: LinkHash) -> Vec<u8> {
    let header = LinkHeader {
        shard: SHARD,
        epoch: 1,
        first_sequence: 1,
        count: 1,
        previous_hash: previous.0.to_vec(),
        ..LinkHeader::default()
    };
    let mut decision = Decision { sequence: 1, ..Decision::default() }.encode_to_vec();
    encode_key(42, WireType::Varint, &mut decision);
    decision.push(1);
    let mut link = Link { header: Some(header), decisions: Vec::new() }.encode_to_vec();
    put_message(&mut link, 2, &decision);
    let mut value = Vec::new();
    put_message(&mut value, 3, &link);
    value
}

fn put_message(out: &mut Vec<u8>, number: u32, message: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

/// As [`refused`], for damage that is found behind the genesis, by when a fence may have been written.
fn damaged(cluster: &Cluster, advice: &str) -> Refusal {
    let mut owner = Owner::new(cluster, "z", 9);
    owner.driver.take(Orders::default());
    let Step::Refused(refusal) = owner.run() else { panic!("the shard was taken") };
    assert!(refusal.to_string().contains(advice), "{refusal}");
    refusal
}
