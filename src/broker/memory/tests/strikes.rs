//! Troubles that befall a single call.

use super::super::{Call, Site, Topic, Trouble};
use super::*;
use crate::broker::ReadFrom;
use crate::broker::{Input, Inputs};

#[test]
fn a_commit_refused_leaves_the_transaction_open_and_the_next_init_aborts_it() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    cluster.inject_next(Call::Commit, Trouble::Refuse);
    assert!(is_transient(&transact(&mut first, &["open"])));
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().stable, 0);
    assert_eq!(transact(&mut writer(&node), &["next"]), CLEAN);
    assert_eq!(log(&cluster), ["next"]);
}

#[test]
fn a_commit_whose_answer_is_lost_took_effect() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Commit, Trouble::LoseAnswer);
    assert!(is_transient(&transact(&mut writer(&node), &["committed"])));
    assert_eq!(log(&cluster), ["committed"]);
}

#[test]
fn a_prepared_commit_is_completed_by_the_next_init() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Commit, Trouble::Prepare);
    assert!(is_transient(&transact(&mut writer(&node), &["prepared"])));
    assert_eq!(log(&cluster), [""; 0]);
    writer(&node);
    assert_eq!(log(&cluster), ["prepared"]);
}

#[test]
fn a_prepared_commit_may_complete_by_itself() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Commit, Trouble::Prepare);
    assert!(is_transient(&transact(&mut writer(&node), &["prepared"])));
    cluster.complete();
    assert_eq!(log(&cluster), ["prepared"]);
}

#[test]
fn a_commit_with_slow_markers_is_read_only_when_they_are_there() {
    let (cluster, node) = cluster();
    let mut writer = writer(&node);
    cluster.inject_next(Call::Commit, Trouble::SlowMarkers);
    assert_eq!(transact(&mut writer, &["slow"]), CLEAN);
    assert_eq!(log(&cluster), [""; 0], "the commit returned, readers don't know yet");
    writer.begin().unwrap();
    send(&mut writer, "next").unwrap();
    assert_eq!(log(&cluster), ["slow"], "a producer's next transaction waits for the markers of the one before");
}

#[test]
fn a_late_commit_takes_effect_when_it_arrives() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Commit, Trouble::Late { calls: 3 });
    assert!(is_transient(&transact(&mut writer(&node), &["late"])));
    let mut reader = node.reader(0, 0).unwrap();
    assert_eq!(read(&mut reader), Ok(vec![]));
    assert_eq!(read(&mut reader), Ok(vec![]));
    assert_eq!(read(&mut reader), Ok(vec![0]), "the third call comes after it");
}

#[test]
fn a_late_commit_of_a_fenced_producer_does_nothing() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Commit, Trouble::Late { calls: 4 });
    assert!(is_transient(&transact(&mut writer(&node), &["late"])));
    let mut next = writer(&node);
    next.begin().unwrap();
    send(&mut next, "open").unwrap();
    assert_eq!(read(&mut node.reader(0, 0).unwrap()), Ok(vec![]), "it arrived here, and ended nothing");
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().stable, 2, "the late one was aborted, the next is open");
}

/// A writer whose first commit left a duplicate under way.
fn with_stray(cluster: &Cluster, node: &MemoryBroker, after_records: u32, commit: bool) -> MemoryWriter {
    let mut writer = writer(node);
    cluster.inject_next(Call::Commit, Trouble::Stray { after_records, commit });
    assert_eq!(transact(&mut writer, &["first"]), SUSPICIOUS);
    writer
}

#[test]
fn a_stray_commit_commits_part_of_the_next_transaction() {
    let (cluster, node) = cluster();
    let mut struck = with_stray(&cluster, &node, 2, true);
    struck.begin().unwrap();
    send(&mut struck, "a").unwrap();
    send(&mut struck, "b").unwrap();
    assert_eq!(log(&cluster), ["first", "a", "b"], "committed by nobody's will");
    assert!(is_transient(&send(&mut struck, "c")), "the partition is no longer in the transaction");
    assert_eq!(transact(&mut writer(&node), &["c"]), CLEAN);
    assert_eq!(log(&cluster), ["first", "a", "b", "c"]);
}

#[test]
fn a_stray_abort_before_the_next_output_leaves_half_a_transaction_that_commits() {
    let (cluster, node) = cluster();
    let mut struck = with_stray(&cluster, &node, 1, false);
    struck.begin().unwrap();
    send(&mut struck, "lost").unwrap();
    send_to(&mut struck, Output::Replies(0), "promised").unwrap();
    assert_eq!(commit(&mut struck), CLEAN, "nothing tells the producer");
    assert_eq!(log(&cluster), ["first"]);
    assert_eq!(found(&cluster, Topic::Replies), ["promised"]);
}

#[test]
fn a_stray_abort_of_everything_fails_the_commit() {
    let (cluster, node) = cluster();
    let mut struck = with_stray(&cluster, &node, 2, false);
    assert!(is_transient(&transact(&mut struck, &["a", "b"])));
    assert_eq!(log(&cluster), ["first"]);
}

#[test]
fn a_stray_commit_of_everything_is_the_commit() {
    let (cluster, node) = cluster();
    let mut struck = with_stray(&cluster, &node, 2, true);
    assert_eq!(transact(&mut struck, &["a", "b"]), CLEAN);
    assert_eq!(log(&cluster), ["first", "a", "b"]);
}

#[test]
fn a_stray_finds_nothing_once_the_writer_is_replaced() {
    let (cluster, node) = cluster();
    drop(with_stray(&cluster, &node, 1, false));
    let mut next = writer(&node);
    next.begin().unwrap();
    send(&mut next, "a").unwrap();
    send_to(&mut next, Output::Replies(0), "b").unwrap();
    assert_eq!(commit(&mut next), CLEAN);
    assert_eq!(log(&cluster), ["first", "a"]);
}

#[test]
fn a_suspicious_commit_without_duplicate_does_no_harm() {
    let (cluster, node) = cluster();
    let mut writer = writer(&node);
    cluster.inject_next(Call::Commit, Trouble::Suspect);
    assert_eq!(transact(&mut writer, &["a"]), SUSPICIOUS);
    assert_eq!(transact(&mut writer, &["b"]), CLEAN);
    assert_eq!(log(&cluster), ["a", "b"]);
}

#[test]
fn a_record_that_got_lost_fails_the_commit() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    first.begin().unwrap();
    send(&mut first, "a").unwrap();
    cluster.inject_next(Call::Send, Trouble::Lose);
    send(&mut first, "lost").unwrap();
    send(&mut first, "c").unwrap();
    assert!(is_transient(&commit(&mut first)));
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().high, 2);
    writer(&node);
    assert_eq!(log(&cluster), [""; 0]);
}

#[test]
fn a_record_that_was_written_and_not_acknowledged_fails_the_commit() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Send, Trouble::LoseAnswer);
    assert!(is_transient(&transact(&mut writer(&node), &["a"])));
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().high, 1);
    assert_eq!(log(&cluster), [""; 0]);
}

#[test]
fn a_refused_record_leaves_those_before_it_written_and_undecided() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    first.begin().unwrap();
    send(&mut first, "a").unwrap();
    cluster.inject_next(Call::Send, Trouble::Refuse);
    let fault = send(&mut first, "b").unwrap_err();
    assert_eq!(commit(&mut first), Err(fault), "a writer keeps its first fault");
    assert_eq!(cluster.end(Topic::Decisions, 0).unwrap().high, 1);
    writer(&node);
    assert_eq!(log(&cluster), [""; 0]);
}

#[test]
fn an_init_whose_answer_is_lost_fenced_and_ended_the_predecessor() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    first.begin().unwrap();
    send(&mut first, "open").unwrap();
    cluster.inject_next(Call::Init, Trouble::LoseAnswer);
    let mut second = node.writer(0).unwrap();
    assert!(is_transient(&try_init(&mut second)));
    assert!(is_fenced(&commit(&mut first)));
    assert!(is_transient(&second.begin()), "of no use to the caller either");
    let end = cluster.end(Topic::Decisions, 0).unwrap();
    assert_eq!((end.stable, end.high), (2, 2));
}

#[test]
fn an_init_refused_did_nothing() {
    let (cluster, node) = cluster();
    let mut first = writer(&node);
    cluster.inject_next(Call::Init, Trouble::Refuse);
    assert!(is_transient(&try_init(&mut node.writer(0).unwrap())));
    assert_eq!(transact(&mut first, &["still the newest"]), CLEAN);
}

#[test]
fn a_poll_that_loses_moves_nothing_and_one_that_refuses_is_the_last() {
    let (cluster, node) = cluster();
    cluster.publish(Topic::Orders, 0, super::super::Message::value("a")).unwrap();
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
    cluster.inject_next(Call::Poll, Trouble::Lose);
    cluster.inject_next(Call::Poll, Trouble::Refuse);
    assert!(inputs.poll(0, Input::Orders, 10).unwrap().is_none());
    assert!(inputs.poll(0, Input::Orders, 10).is_err());
    assert_eq!(inputs.position(0, Input::Orders), 0);
    assert!(inputs.poll(0, Input::Orders, 10).is_err(), "what failed fails ever after");
    assert!(
        node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))])
            .unwrap()
            .poll(0, Input::Orders, 10)
            .unwrap()
            .is_some()
    );
}

#[test]
fn ends_that_cannot_be_asked_replace_the_last_answer_by_none() {
    let (cluster, node) = cluster();
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
    inputs.ask_ends(0, 1);
    cluster.inject_next(Call::AskEnds, Trouble::Lose);
    inputs.ask_ends(0, 2);
    assert_eq!(inputs.ends().map(|(_, ends)| ends), None);
}

#[test]
fn a_lost_tick_is_reported_as_sent() {
    let (cluster, node) = cluster();
    let mut inputs = node.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
    cluster.inject_next(Call::Tick, Trouble::Lose);
    cluster.inject_next(Call::Tick, Trouble::Refuse);
    assert_eq!(inputs.tick(0), Ok(()));
    assert!(is_transient(&inputs.tick(0)));
    assert_eq!(cluster.end(Topic::Stock, 0).unwrap().high, 0);
}

#[test]
fn an_init_that_arrives_late_fences_whoever_is_there() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Init, Trouble::Late { calls: 3 });
    assert!(is_transient(&try_init(&mut node.writer(0).unwrap())));
    let mut owner = writer(&node);
    owner.begin().unwrap();
    let fenced = owner.send(Outgoing { output: Output::Decisions, key: None, value: Some(b"a"), headers: &[] });
    assert!(matches!(fenced, Err(Fault::Fenced(_))), "{fenced:?}");
    assert_eq!(transact(&mut writer(&node), &["b"]), CLEAN);
    assert_eq!(log(&cluster), ["b"]);
}

#[test]
fn an_injected_trouble_waits_for_its_own_call() {
    let cluster = Cluster::new(Partitions::new(2), NOW_MS);
    let (here, there) = (cluster.node(), cluster.node());
    let at = Site { node: there.node(), shard: Some(1), call: Call::Init };
    cluster.inject(move |site| site == at, Trouble::Refuse);
    assert_eq!(try_init(&mut here.writer(1).unwrap()), Ok(()));
    assert_eq!(try_init(&mut there.writer(0).unwrap()), Ok(()));
    assert_eq!(cluster.injected(), 1);
    assert!(is_transient(&try_init(&mut there.writer(1).unwrap())));
    assert_eq!(cluster.injected(), 0);
    assert_eq!(try_init(&mut there.writer(1).unwrap()), Ok(()));
}

#[test]
#[should_panic(expected = "cannot befall")]
fn a_trouble_that_a_call_cannot_meet_is_a_bug() {
    let (cluster, node) = cluster();
    cluster.inject_next(Call::Init, Trouble::Suspect);
    let _ = try_init(&mut node.writer(0).unwrap());
}
