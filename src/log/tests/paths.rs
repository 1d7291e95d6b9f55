//! Every path of an owner's life, taken once.

use super::super::Counts;
use super::super::driver::Step;
use super::super::lost::{Lost, Why};
use super::super::step::Now;
use super::world::*;
use crate::broker::memory::{Call, Cluster, Topic, Trouble};

/// How often each of a batch's records is found: replies, dead letters.
fn companions(cluster: &Cluster) -> (usize, usize) {
    (values(cluster, Topic::Replies).len(), values(cluster, Topic::DeadLetters).len())
}

/// An owner that has taken a fresh shard and committed one batch of two links.
fn settled(cluster: &Cluster) -> Owner {
    let mut owner = Owner::new(cluster, "a", 1);
    assert!(owner.take().is_empty());
    owner.commit(2);
    owner
}

/// Lets `trouble` befall the next `call` of an owner that is committing a batch of two links. It must end in the log,
/// once, after `retakes` takings and `resent` sendings again, and its companions as often as `companions` says.
fn survives(struck: Call, trouble: Trouble, retakes: u64, resent: u64, companions_each: usize) {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    cluster.inject(call(struck), trouble);
    let hashes = owner.commit(2);
    // A stray strikes the transaction after the one that left it behind.
    assert_eq!(cluster.injected(), 0, "{struck:?} was not met");
    assert_eq!(links(&cluster)[2..], hashes);
    assert_eq!(companions(&cluster), (companions_each + 1, companions_each + 1));
    let Counts { retakes: was_retaken, resent: was_resent, lost, .. } = owner.driver.counts();
    assert_eq!((was_retaken, was_resent, lost), (retakes, resent, 0));
    owner.commit(1);
}

#[test]
fn a_shard_is_taken_from_its_log_and_goes_on_where_it_ended() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    first.commit(1);
    let mut second = Owner::new(&cluster, "b", 2);
    assert_eq!(second.take(), ["a-1-0", "a-1-1", "a-2-0"]);
    let tail = second.tail.clone().expect("taken");
    assert_eq!((tail.epoch, tail.next_sequence, tail.orders_next, tail.stock_next), (2, 4, 3, 0));
    assert_eq!(Some(&tail.hash), links(&cluster).last());
    second.commit(1);
    assert_eq!(links(&cluster).len(), 4);
}

#[test]
fn a_transaction_that_the_predecessor_left_open_is_not_recovered() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    first.begin(2);
    // Both links are behind the genesis, two transactions of one and of two records, and their markers.
    while cluster.end(Topic::Decisions, SHARD).expect("it is there").high < 8 {
        first.step();
    }
    assert_eq!(Owner::new(&cluster, "b", 2).take(), ["a-1-0", "a-1-1"]);
}

#[test]
fn a_transaction_that_the_predecessor_had_prepared_is_recovered() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    cluster.inject_next(Call::Commit, Trouble::Prepare);
    first.begin(1);
    while cluster.injected() > 0 {
        first.step();
    }
    assert_eq!(Owner::new(&cluster, "b", 2).take(), ["a-1-0", "a-1-1", "a-2-0"]);
}

#[test]
fn a_commit_that_took_effect_is_not_made_again() {
    // Its companions are: the log does not tell whether they were in the same transaction.
    survives(Call::Commit, Trouble::LoseAnswer, 1, 1, 2);
}

#[test]
fn a_commit_that_was_prepared_is_completed_by_taking_the_shard() {
    survives(Call::Commit, Trouble::Prepare, 1, 1, 2);
}

#[test]
fn a_commit_that_did_not_take_effect_is_made_again() {
    survives(Call::Commit, Trouble::Refuse, 1, 1, 1);
}

#[test]
fn a_commit_that_comes_late_is_fenced() {
    survives(Call::Commit, Trouble::Late { calls: 40 }, 1, 1, 1);
}

#[test]
fn a_begin_that_fails_is_made_again() {
    survives(Call::Begin, Trouble::Refuse, 1, 1, 1);
}

#[test]
fn a_send_that_fails_is_made_again() {
    survives(Call::Send, Trouble::Refuse, 1, 1, 1);
}

#[test]
fn a_record_without_acknowledgement_is_not_committed() {
    survives(Call::Send, Trouble::Lose, 1, 1, 1);
    survives(Call::Send, Trouble::LoseAnswer, 1, 1, 1);
}

#[test]
fn the_writer_is_replaced_after_a_suspicious_commit_and_nothing_sent_again() {
    survives(Call::Commit, Trouble::Suspect, 1, 0, 1);
}

#[test]
fn a_stray_end_of_transaction_finds_its_producer_fenced() {
    survives(Call::Commit, Trouble::Stray { after_records: 1, commit: true }, 1, 0, 1);
}

#[test]
fn of_a_batch_cut_in_two_only_the_missing_links_are_sent_again() {
    let cluster = cluster();
    let mut owner = Owner::untold(&cluster, "a", 1);
    owner.take();
    // Of the next batch: dead letter, two of three links; then the coordinator commits.
    cluster.inject_next(Call::Commit, Trouble::Suspect);
    owner.commit(1);
    cluster.inject_next(Call::Commit, Trouble::Stray { after_records: 3, commit: true });
    owner.commit(1);
    let hashes = owner.commit(3);
    assert_eq!(links(&cluster)[2..], hashes);
    assert_eq!(companions(&cluster), (3, 4));
    assert_eq!((owner.driver.counts().retakes, owner.driver.counts().resent), (1, 1));
    owner.commit(1);
}

#[test]
fn whoever_dies_with_a_batch_cut_in_two_leaves_no_link_without_its_dead_letters_and_no_reply_without_its_links() {
    let (mut without_reply, mut with_reply) = (0, 0);
    // Of the batch: dead letter, two links, reply, single decision.
    for (after_records, steps) in (1..=5).flat_map(|records| (1..=9).map(move |steps| (records, steps))) {
        let cluster = cluster();
        let mut owner = Owner::untold(&cluster, "a", 1);
        owner.take();
        cluster.inject_next(Call::Commit, Trouble::Stray { after_records, commit: true });
        owner.commit(1);
        owner.begin(2);
        (0..steps).for_each(|_| _ = owner.step());
        drop(owner);
        let decided = Owner::new(&cluster, "b", 2).take();
        let links = decided.iter().filter(|order| order.starts_with("a-2")).count();
        let has = |topic, value: &str| values(&cluster, topic).iter().any(|found| found == value.as_bytes());
        let (letter, reply) = (has(Topic::DeadLetters, "letter a-2"), has(Topic::Replies, "reply a-2"));
        assert!(letter || links == 0, "{links} links without dead letter: {after_records} records, {steps} steps");
        assert!(links == 2 || !reply, "a reply and {links} links: {after_records} records, {steps} steps");
        without_reply += usize::from(links == 2 && !reply);
        with_reply += usize::from(reply);
    }
    assert!(without_reply > 0 && with_reply > 0, "{without_reply} and {with_reply}: it was not cut on both sides");
}

#[test]
fn a_writer_that_the_broker_forgot_or_timed_out_is_replaced() {
    for strike in [Cluster::forget, Cluster::time_out] {
        let cluster = cluster();
        let mut owner = settled(&cluster);
        owner.begin(2);
        owner.step();
        owner.step();
        strike(&cluster, SHARD);
        assert!(matches!(owner.run(), Step::Committed(_)));
        assert_eq!(links(&cluster).len(), 4);
    }
}

#[test]
fn an_owner_that_another_one_fenced_learns_it_and_recovers() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    let mut second = Owner::new(&cluster, "b", 2);
    second.take();
    first.begin(2);
    let paused = pauses_until_lost(&mut first, &Why::ForeignFence("b".to_owned()));
    assert!(paused, "two owners must not fence each other without a pause");
    // It only read: the other one has not been fenced in its turn.
    second.commit(1);
    assert_eq!(second.driver.counts().faults, 0);
    assert_eq!(first.take(), ["a-1-0", "a-1-1", "b-1-0"]);
    first.commit(1);
}

#[test]
fn an_owner_learns_that_another_one_wrote() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    let mut second = Owner::new(&cluster, "b", 2);
    second.take();
    second.commit(1);
    first.begin(2);
    pauses_until_lost(&mut first, &Why::ForeignFence("b".to_owned()));
    assert_eq!(first.take(), ["a-1-0", "a-1-1", "b-1-0"]);
}

#[test]
fn a_record_that_nobody_should_have_written_is_noticed() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    let offset = write(&cluster, b"?".to_vec());
    cluster.inject_next(Call::Commit, Trouble::Refuse);
    owner.begin(1);
    pauses_until_lost(&mut owner, &Why::ForeignRecord(offset));
}

#[test]
fn a_look_finds_what_was_committed_behind_where_it_was_expected() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    // As a marker does that a coordinator writes twice, this takes an offset that the owner cannot know of.
    write(&cluster, values(&cluster, Topic::Decisions).remove(1));
    owner.commit(1);
    cluster.inject_next(Call::Commit, Trouble::Refuse);
    owner.commit(2);
    assert_eq!(owner.driver.counts().retakes, 1);
    assert_eq!(links(&cluster).len(), 5);
}

#[test]
fn an_owner_whose_commits_the_log_lost_does_not_go_on() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    owner.commit(1);
    // The genesis, the fence and its marker, two links and theirs; then a link is gone.
    cluster.lose_tail(Topic::Decisions, SHARD, 6).expect("it is there");
    cluster.inject_next(Call::Commit, Trouble::Refuse);
    owner.begin(1);
    pauses_until_lost(&mut owner, &Why::TailMissing);
    assert_eq!(owner.take(), ["a-1-0", "a-1-1"]);
}

/// Steps until the shard is lost; whether there was a pause.
fn pauses_until_lost(owner: &mut Owner, expected: &Why) -> bool {
    let mut paused = false;
    loop {
        match owner.step() {
            Step::Pause { .. } => paused = true,
            Step::Again => {}
            Step::Lost(Lost { why, batch }) => {
                assert_eq!(&why, expected);
                assert!(batch.is_some());
                return paused;
            }
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn taking_a_shard_survives_any_single_trouble() {
    for (struck, trouble) in [
        (Call::Topics, Trouble::Refuse),
        (Call::Init, Trouble::Refuse),
        (Call::Init, Trouble::LoseAnswer),
        (Call::Begin, Trouble::Refuse),
        (Call::Send, Trouble::Refuse),
        (Call::Send, Trouble::Lose),
        (Call::Commit, Trouble::Refuse),
        (Call::Commit, Trouble::LoseAnswer),
        (Call::Commit, Trouble::Prepare),
        (Call::Commit, Trouble::SlowMarkers),
        (Call::Commit, Trouble::Suspect),
        (Call::Commit, Trouble::Late { calls: 30 }),
        (Call::Read, Trouble::Refuse),
        (Call::Read, Trouble::Lose),
    ] {
        let cluster = cluster();
        settled(&cluster);
        cluster.inject(call(struck), trouble);
        let mut owner = Owner::new(&cluster, "b", 2);
        assert_eq!(owner.take(), ["a-1-0", "a-1-1"], "{struck:?} {trouble:?}");
        assert_eq!(cluster.injected(), 0);
        owner.commit(2);
        assert_eq!(links(&cluster).len(), 4, "{struck:?} {trouble:?}");
    }
}

#[test]
fn looking_survives_any_single_trouble() {
    for (struck, trouble) in [
        (Call::Init, Trouble::Refuse),
        (Call::Begin, Trouble::Refuse),
        (Call::Send, Trouble::Refuse),
        (Call::Commit, Trouble::LoseAnswer),
        (Call::Commit, Trouble::Prepare),
        (Call::Commit, Trouble::SlowMarkers),
        (Call::Commit, Trouble::Suspect),
        (Call::Read, Trouble::Refuse),
        (Call::Read, Trouble::Lose),
    ] {
        let cluster = cluster();
        let mut owner = settled(&cluster);
        cluster.inject(call(Call::Commit), Trouble::LoseAnswer);
        owner.begin(2);
        while cluster.injected() > 0 {
            owner.step();
        }
        cluster.inject(call(struck), trouble);
        assert!(matches!(owner.run(), Step::Committed(_)), "{struck:?} {trouble:?}");
        assert_eq!(cluster.injected(), 0);
        assert_eq!(links(&cluster).len(), 4, "{struck:?} {trouble:?}");
    }
}

#[test]
fn letting_go_at_any_step_holds_nothing_and_harms_nothing() {
    for steps in 0..60 {
        for patience_ms in [0, 60_000] {
            let cluster = cluster();
            let mut owner = Owner::new(&cluster, "a", 1);
            owner.driver.take(Orders::default());
            // A commit that must be looked for lies on the way, so that every kind of state is met.
            cluster.inject(|site| site.call == Call::Commit, Trouble::LoseAnswer);
            let mut told = Vec::new();
            for _ in 0..steps {
                match owner.step() {
                    Step::Idle => {
                        cluster.inject_next(Call::Commit, Trouble::LoseAnswer);
                        let batch = owner.batch(2);
                        owner.driver.hand(batch);
                    }
                    Step::Committed(batch) => told.extend(hashes(&batch)),
                    _ => {}
                }
            }
            let Now { steady_ms, .. } = owner.now;
            owner.driver.unassign(steady_ms + patience_ms);
            loop {
                match owner.run() {
                    Step::Committed(batch) => told.extend(hashes(&batch)),
                    Step::Idle | Step::Stopped(_) => break,
                    step => panic!("after {steps} steps: {step:?}"),
                }
            }
            cluster.clear_faults();
            Owner::new(&cluster, "b", 2).take();
            assert!(told.iter().all(|hash| links(&cluster).contains(hash)));
        }
    }
}

#[test]
fn what_was_decided_is_committed_within_its_bound_when_the_shard_is_unassigned() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    owner.begin(2);
    owner.step();
    owner.driver.unassign(owner.now.steady_ms + 10_000);
    assert!(matches!(owner.run(), Step::Committed(_)));
    owner.commit(1);
    assert_eq!(links(&cluster).len(), 5);
    owner.now.steady_ms += 10_000;
    assert!(matches!(owner.run(), Step::Stopped(None)));
}

#[test]
fn nothing_is_tried_again_once_the_shard_is_unassigned() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    cluster.inject_next(Call::Commit, Trouble::Refuse);
    owner.begin(2);
    owner.step();
    owner.driver.unassign(owner.now.steady_ms + 10_000);
    assert!(matches!(owner.run(), Step::Stopped(Some(_))));
    assert_eq!(owner.driver.counts().retakes, 0);
}

#[test]
fn a_batch_that_an_output_refuses_for_good_is_put_before_a_person() {
    let cluster = cluster();
    let mut owner = settled(&cluster);
    assert!(matches!(owner.run(), Step::Idle));
    let mut batch = owner.batch(1);
    batch.dead_letters[0].value = Some(UNACCEPTABLE.to_vec());
    owner.driver.hand(batch);
    let Step::Refused(refusal) = owner.run() else { panic!("tried for ever") };
    assert!(refusal.to_string().contains("no such record"));
    assert_eq!(links(&cluster).len(), 2);
    Owner::new(&cluster, "b", 2).take();
}

#[test]
fn whoever_was_fenced_does_not_fence_back_because_a_fresh_reader_is_slow() {
    let cluster = cluster();
    let mut first = settled(&cluster);
    let mut second = Owner::new(&cluster, "b", 2);
    second.take();
    first.begin(1);
    // The reader that looks for the other one's fence finds nothing at first.
    for _ in 0..3 {
        cluster.inject_next(Call::Read, Trouble::Lose);
    }
    assert!(matches!(first.run(), Step::Lost(_)));
    second.commit(1);
    assert_eq!(second.driver.counts().retakes, 0, "the rightful owner was fenced in its turn");
}
