//! What lasts until it is undone: a node cut off, a leader gone, a disk full, records lost.

use super::super::{Message, Topic};
use super::*;
use crate::broker::ReadFrom;
use crate::broker::{Input, Inputs, Records};

fn publish(cluster: &Cluster, topic: Topic, count: usize) {
    for i in 0..count {
        cluster.publish(topic, 0, Message::value(i.to_string())).unwrap();
    }
}

fn poll(inputs: &mut impl Inputs) -> Result<Vec<i64>, Fault> {
    let records = inputs.poll(0, Input::Orders, 100)?;
    Ok(records.map_or(Vec::new(), |records| (0..records.len()).map(|i| records.get(i).offset).collect()))
}

#[test]
fn a_node_cut_off_reaches_nothing_and_the_others_do() {
    let (cluster, here) = cluster();
    let there = cluster.node();
    publish(&cluster, Topic::Orders, 1);
    let (mut inputs, mut first) =
        (here.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap(), writer(&here));
    first.begin().unwrap();
    here.set_cut_off(true);

    assert!(is_transient(&here.topics(Duration::ZERO)));
    assert_eq!(poll(&mut inputs), Ok(vec![]));
    inputs.ask_ends(0, 1);
    assert_eq!(inputs.ends().map(|(_, ends)| ends), None);
    assert_eq!(inputs.tick(0), Ok(()));
    assert_eq!(cluster.end(Topic::Stock, 0).unwrap().high, 0);
    assert_eq!(send(&mut first, "never arrives"), Ok(()));
    assert!(is_transient(&commit(&mut first)));
    assert!(is_transient(&try_init(&mut here.writer(0).unwrap())));
    assert_eq!(transact(&mut writer(&there), &["there"]), CLEAN);
    assert_eq!(read(&mut here.reader(0, 0).unwrap()), Ok(vec![]));

    here.set_cut_off(false);
    assert_eq!(poll(&mut inputs), Ok(vec![0]));
    assert_eq!(read(&mut here.reader(0, 0).unwrap()), Ok(vec![0]));
    assert_eq!(log(&cluster), ["there"]);
}

#[test]
fn a_partition_without_leader_is_neither_read_nor_written() {
    let (cluster, node) = cluster();
    publish(&cluster, Topic::Orders, 1);
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
    cluster.set_leader(Topic::Orders, 0, false).unwrap();
    assert_eq!(poll(&mut inputs), Ok(vec![]));
    inputs.ask_ends(0, 1);
    assert_eq!(inputs.ends().map(|(_, ends)| ends), None, "the ends of both inputs, or of none");
    assert!(is_transient(&cluster.publish(Topic::Orders, 0, Message::value("b"))));
    cluster.set_leader(Topic::Orders, 0, true).unwrap();
    assert_eq!(poll(&mut inputs), Ok(vec![0]));
}

#[test]
fn a_commit_whose_markers_find_no_leader_stays_prepared_until_there_is_one() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    first.begin().unwrap();
    send(&mut first, "a link").unwrap();
    send_to(&mut first, Output::Replies(0), "a reply").unwrap();
    cluster.set_leader(Topic::Decisions, 0, false).unwrap();
    assert_eq!(commit(&mut first), CLEAN, "it is settled how it ends");
    assert_eq!(found(&cluster, Topic::Replies), ["a reply"], "outputs become readable one by one");
    assert!(is_transient(&try_init(&mut node.writer(0).unwrap())));
    cluster.set_leader(Topic::Decisions, 0, true).unwrap();
    assert_eq!(log(&cluster), [""; 0]);
    writer(&node);
    assert_eq!(log(&cluster), ["a link"]);
}

#[test]
fn a_full_disk_refuses_records_and_can_be_read() {
    let (cluster, node) = cluster();
    assert_eq!(transact(&mut writer(&node), &["a"]), CLEAN);
    cluster.set_disk_full(Topic::Decisions, true).unwrap();
    assert!(is_transient(&transact(&mut writer(&node), &["b"])));
    assert_eq!(log(&cluster), ["a"]);
    cluster.set_disk_full(Topic::Decisions, false).unwrap();
    assert_eq!(transact(&mut writer(&node), &["b"]), CLEAN);
    assert_eq!(log(&cluster), ["a", "b"]);
}

#[test]
fn stamps_follow_the_clusters_clock_even_back() {
    let (cluster, _) = cluster();
    publish(&cluster, Topic::Orders, 1);
    cluster.advance_ms(5);
    publish(&cluster, Topic::Orders, 1);
    cluster.set_now_ms(NOW_MS - 1000);
    publish(&cluster, Topic::Orders, 1);
    let found = cluster.read(Topic::Orders, 0, 0).unwrap();
    assert_eq!(
        found.iter().map(|stored| stored.timestamp_ms - NOW_MS).collect::<Vec<_>>(),
        [0, 5, -1000],
        "nobody smooths it on the way"
    );
}

#[test]
fn a_clean_election_loses_nothing_and_shows_in_the_leader_epoch() {
    let (cluster, node) = cluster();
    publish(&cluster, Topic::Orders, 2);
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
    assert_eq!(poll(&mut inputs), Ok(vec![0, 1]));
    cluster.elect(Topic::Orders, 0).unwrap();
    publish(&cluster, Topic::Orders, 1);
    let records = inputs.poll(0, Input::Orders, 100).unwrap().unwrap();
    assert_eq!((records.get(0).offset, records.get(0).leader_epoch), (2, 1));
}

#[test]
fn whoever_read_what_an_election_lost_is_out_of_range() {
    let (cluster, node) = cluster();
    publish(&cluster, Topic::Orders, 5);
    let [mut far, mut late, mut near] =
        [(); 3].map(|()| node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap());
    assert_eq!(poll(&mut far).map(|found| found.len()), Ok(5));
    assert_eq!(poll(&mut late).map(|found| found.len()), Ok(5));
    assert_eq!(near.poll(0, Input::Orders, 2).unwrap().unwrap().len(), 2);
    cluster.lose_tail(Topic::Orders, 0, 3).unwrap();
    assert!(matches!(poll(&mut far), Err(Fault::OutOfRange { asked: 5, begin: 0, end: 3, .. })));
    // Others take the place of what was lost; having read another record at that offset is no better.
    publish(&cluster, Topic::Orders, 4);
    assert!(matches!(poll(&mut late), Err(Fault::Overwritten { asked: 5, .. })));
    assert_eq!(poll(&mut near), Ok(vec![2, 3, 4, 5, 6]), "who had read nothing of it goes on");
    let resume = |offset, leader_epoch| {
        node.inputs(&[ReadFrom::new(0, Position { offset, leader_epoch }, Position::at(0))]).unwrap()
    };
    assert!(matches!(poll(&mut resume(5, 0)), Err(Fault::Overwritten { asked: 5, .. })));
    assert_eq!(poll(&mut resume(3, 0)), Ok(vec![3, 4, 5, 6]));
    assert_eq!(poll(&mut resume(5, 1)), Ok(vec![5, 6]));
}

#[test]
fn a_transaction_whose_marker_was_lost_is_open_until_its_producers_next_one() {
    let (cluster, node) = cluster();
    let mut writer = writer(&node);
    assert_eq!(transact(&mut writer, &["a"]), CLEAN);
    cluster.lose_tail(Topic::Decisions, 0, 1).unwrap();
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap(), crate::broker::End { stable: 0, high: 1 });
    assert_eq!(transact(&mut writer, &["b"]), CLEAN);
    assert_eq!(log(&cluster), ["a", "b"]);
}

#[test]
fn a_deleted_topic_is_a_fatal_fault_and_a_new_one_starts_empty() {
    let (cluster, node) = cluster();
    let before = node.topics(Duration::ZERO).unwrap();
    publish(&cluster, Topic::Orders, 2);
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(2), Position::at(0))]).unwrap();
    cluster.delete(Topic::Orders);
    assert!(matches!(poll(&mut inputs), Err(Fault::Fatal(_))));
    assert!(matches!(node.topics(Duration::ZERO), Err(Fault::Fatal(_))));
    cluster.create(Topic::Orders, 1);
    assert_ne!(node.topics(Duration::ZERO).unwrap().ids, before.ids);
    let mut anew = node.inputs(&[ReadFrom::new(0, Position::at(2), Position::at(0))]).unwrap();
    assert!(matches!(poll(&mut anew), Err(Fault::OutOfRange { asked: 2, begin: 0, end: 0, .. })));
}

#[test]
fn a_forgotten_producer_is_taken_anew() {
    let (cluster, node) = cluster();
    let mut idle = writer(&node);
    assert_eq!(transact(&mut idle, &["a"]), CLEAN);
    cluster.forget(0);
    assert!(is_transient(&transact(&mut idle, &["b"])));
    assert_eq!(transact(&mut writer(&node), &["b"]), CLEAN);
    assert_eq!(log(&cluster), ["a", "b"]);
}

#[test]
fn a_transaction_open_too_long_is_aborted_and_its_writer_fenced() {
    let (cluster, node) = cluster();
    let mut slow = writer(&node);
    slow.begin().unwrap();
    send(&mut slow, "a").unwrap();
    cluster.time_out(0);
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().stable, 2);
    assert!(is_fenced(&commit(&mut slow)));
    assert_eq!(log(&cluster), [""; 0]);
}

#[test]
fn a_writer_used_out_of_turn_says_so() {
    let (_, node) = cluster();
    let mut fresh = node.writer(0).unwrap();
    assert!(matches!(fresh.begin(), Err(Fault::Fatal(_))));
    let mut ready = writer(&node);
    assert!(matches!(send(&mut ready, "a"), Err(Fault::Fatal(_))));
    assert!(matches!(commit(&mut ready), Err(Fault::Fatal(_))));
    assert_eq!(transact(&mut ready, &["a"]), CLEAN);
}
