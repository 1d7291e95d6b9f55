//! Partitions whose leader dies, is away for a while, or is followed by one that lacks what it had.

use std::thread;
use std::time::{Duration, Instant};

use sluice::broker::{Broker, End, Ends, Fault, Input, Inputs, Position, ReadFrom, Records};

use super::ends::{ask, ask_of};
use super::moving::{Read, open};
use super::{Plain, World, collect, eventually, numbered, poll_once, texts};

/// Who holds the inputs beside their leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replicas {
    /// Nobody.
    LeaderAlone,
    /// Another broker, which follows it.
    Followed,
}

/// A world of several brokers, one of which leads the partitions of `orders` and `stock`. It has one shard, or several of
/// which it leads the first alone, and lets replicas lead that lack records.
pub(crate) trait Elections {
    type World: World;

    /// How long the ends may go unanswered once there is somebody to ask: not what it takes, but what a shard that waits
    /// for them can bear.
    const ANSWERED_WITHIN: Duration;

    fn fresh(replicas: Replicas) -> Self;
    /// That many shards, of which the leader that can be taken away leads the first.
    fn with_neighbours(shards: u32) -> Self;
    fn world(&self) -> &Self::World;
    /// The leader dies.
    fn take_leader_away(&mut self);
    /// Waits until the other brokers have noticed that, and the follower leads if there is one.
    fn await_absence(&mut self);
    /// It comes back with all that it had and leads, which brokers tell on return.
    fn bring_leader_back(&mut self);
    /// Appends records to `orders` of which the follower hears nothing.
    fn publish_to_leader_alone(&mut self, records: &[Plain]);
    /// The leader dies, and the follower takes over without what it has not heard of.
    fn elect_uncleanly(&mut self);
}

/// The ticket of every question here: a lane hands the same one in again when its answer is overdue.
const TICKET: u64 = 1;

/// Looks at what has come before a question that is not answered is asked once more.
const LOOKS: u32 = 20;

/// Asks and looks until there is an answer, as a lane does, while `change` happens. The answer and when it came, and when
/// the change was over.
fn ask_during<E: Elections>(inputs: &mut impl Inputs, change: impl FnOnce()) -> (Ends, Instant, Instant) {
    thread::scope(|scope| {
        let lane = scope.spawn(|| {
            let ends = eventually::<E::World, _>("an answer about the ends", || {
                inputs.ask_ends(0, TICKET);
                (0..LOOKS).find_map(|_| {
                    inputs.wait(Duration::from_millis(50));
                    inputs.ends().map(|(_, ends)| ends)
                })
            });
            (ends, Instant::now())
        });
        change();
        let over = Instant::now();
        let (ends, answered) = lane.join().expect("it is answered");
        (ends, answered, over)
    })
}

/// Inputs that know their leaders, and the ends that these tell.
fn inputs_that_have_asked<E: Elections>(elections: &E) -> (<<E::World as World>::Broker as Broker>::Inputs, Ends) {
    elections.world().publish(Input::Orders, 0, &numbered("", 3));
    elections.world().publish(Input::Stock, 0, &numbered("", 2));
    let broker = elections.world().broker();
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let settled = |end| End { stable: end, high: end };
    let ends = Ends { ticket: TICKET, orders: settled(3), stock: settled(2) };
    assert_eq!(ask::<E::World>(&mut inputs, TICKET), ends);
    (inputs, ends)
}

fn is_answered_after_an_absence<E: Elections>(is_missed: bool) {
    let mut elections = E::fresh(Replicas::LeaderAlone);
    let (mut inputs, expected) = inputs_that_have_asked(&elections);
    elections.take_leader_away();
    let mut returns = Instant::now();
    let (ends, answered, is_back) = ask_during::<E>(&mut inputs, || {
        if is_missed {
            elections.await_absence();
        }
        returns = Instant::now();
        elections.bring_leader_back();
    });
    assert!(answered >= returns, "ends that nobody could know");
    assert_eq!(ends, expected);
    let waited = answered.saturating_duration_since(is_back);
    assert!(waited <= E::ANSWERED_WITHIN, "{waited:?} after the leader came back");
}

pub(crate) fn ends_are_answered_again_once_a_lone_leader_is_back<E: Elections>() {
    is_answered_after_an_absence::<E>(true);
}

pub(crate) fn ends_are_answered_again_once_a_lone_leader_is_back_that_nobody_missed<E: Elections>() {
    is_answered_after_an_absence::<E>(false);
}

pub(crate) fn ends_are_answered_by_whoever_leads_next<E: Elections>() {
    let mut elections = E::fresh(Replicas::Followed);
    let (mut inputs, expected) = inputs_that_have_asked(&elections);
    elections.take_leader_away();
    let (ends, answered, is_elected) = ask_during::<E>(&mut inputs, || elections.await_absence());
    assert_eq!(ends, expected);
    let waited = answered.saturating_duration_since(is_elected);
    assert!(waited <= E::ANSWERED_WITHIN, "{waited:?} after another broker led");
}

pub(crate) fn a_shard_without_a_leader_does_not_hold_up_the_others<E: Elections>() {
    const ROUNDS: u64 = 5;
    let mut elections = E::with_neighbours(3);
    let start = Position::at(0);
    let from = [0, 1, 2].map(|shard| ReadFrom::new(shard, start, start));
    let mut inputs = elections.world().broker().inputs(&from).expect("nothing is wrong");
    for shard in 0..3 {
        elections.world().publish(Input::Orders, shard, &numbered("", 1 + shard as usize));
        assert_eq!(ask_of::<E::World>(&mut inputs, shard as usize, TICKET).orders.high, 1 + i64::from(shard));
    }
    elections.take_leader_away();
    elections.await_absence();
    for round in 1..=ROUNDS {
        let (began, mut answers) = (Instant::now(), [0; 3]);
        for at in 0..3 {
            inputs.ask_ends(at, TICKET + round);
        }
        eventually::<E::World, _>("the ends of those that have a leader", || {
            match inputs.ends() {
                Some((at, ends)) => answers[at] = ends.ticket,
                None => inputs.wait(Duration::from_millis(50)),
            }
            assert_eq!(answers[0], 0, "ends that nobody could know");
            answers[1..].iter().all(|ticket| *ticket == TICKET + round).then_some(())
        });
        assert!(began.elapsed() <= E::ANSWERED_WITHIN, "{:?} in round {round}", began.elapsed());
    }
    elections.bring_leader_back();
    assert_eq!(ask_of::<E::World>(&mut inputs, 0, TICKET).orders.high, 1);
}

pub(crate) fn what_was_read_and_is_overwritten_since_is_missed<E: Elections>() {
    let mut elections = E::fresh(Replicas::Followed);
    elections.world().publish(Input::Orders, 0, &numbered("kept", 5));
    elections.publish_to_leader_alone(&numbered("lost", 3));
    let broker = elections.world().broker();
    let open =
        |orders_from| broker.inputs(&[ReadFrom::new(0, orders_from, Position::at(0))]).expect("nothing is wrong");
    let mut inputs = open(Position::at(0));
    let mut epochs = Vec::new();
    eventually::<E::World, _>("what was published", || {
        let records = inputs.poll(0, Input::Orders, 100).expect("nothing is wrong");
        match records {
            Some(records) => epochs.extend((0..records.len()).map(|i| records.get(i).leader_epoch)),
            None => inputs.wait(Duration::from_millis(50)),
        }
        (epochs.len() == 8).then_some(())
    });
    assert!(epochs.iter().all(|&epoch| epoch >= 0), "{epochs:?}");
    // As long as nothing is lost, reading goes on where it ended, whoever leads.
    let behind = |offset: i64| Position { offset, leader_epoch: epochs[offset as usize - 1] };
    let found = collect::<E::World>(&mut open(behind(6)), Input::Orders, 2);
    assert_eq!(texts(found.iter().map(|got| &got.record)), ["lost1", "lost2"]);

    elections.elect_uncleanly();
    elections.world().publish(Input::Orders, 0, &numbered("other", 9));
    let mut inputs = open(behind(8));
    let fault = eventually::<E::World, _>("a fault", || match poll_once(&mut inputs, Input::Orders, 100) {
        Ok(found) => {
            assert_eq!(found, [], "others than those that follow on what was read");
            None
        }
        Err(Fault::Transient(_)) => {
            inputs.reopen(0, behind(8), Position::at(0)).expect("nothing is wrong");
            None
        }
        Err(fault) => Some(fault),
    });
    let Fault::Overwritten { asked: 8, .. } = fault else { panic!("{fault:?}") };
    inputs.reopen(0, behind(5), Position::at(0)).expect("nothing is wrong");
    let found = collect::<E::World>(&mut inputs, Input::Orders, 9);
    assert_eq!(found[0].offset, 5);
    assert_eq!(texts(found.iter().map(|got| &got.record))[0], "other0");
}

pub(crate) fn an_input_whose_leader_is_away_while_it_is_quiet_goes_on_afterwards<E: Elections>() {
    let mut elections = E::with_neighbours(5);
    let mut inputs = open(&elections.world().broker());
    let mut reads = [0, 1].map(|at| Read::new(at, Input::Orders));
    for (at, read) in (0..).zip(&mut reads) {
        elections.world().publish(Input::Orders, at, &numbered("", 3));
        read.up_to::<E::World>(&mut inputs, 3);
    }
    elections.take_leader_away();
    elections.await_absence();
    let [away, there] = &mut reads;
    away.rest::<E::World>(&mut inputs);
    elections.world().publish(Input::Orders, 1, &numbered("later", 200));
    there.up_to::<E::World>(&mut inputs, 203);
    elections.bring_leader_back();
    elections.world().publish(Input::Orders, 0, &numbered("later", 200));
    away.up_to::<E::World>(&mut inputs, 203);
    let expected: Vec<_> = numbered("", 3).into_iter().chain(numbered("later", 200)).collect();
    assert_eq!([&away.texts, &there.texts], [&texts(&expected); 2]);
}
