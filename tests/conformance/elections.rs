//! Partitions whose next leader lacks what the last one had.

use std::time::Duration;

use sluice::broker::{Broker, Fault, Input, Inputs, Position, Records};

use super::{Plain, World, collect, eventually, numbered, poll_once, texts};

/// A world of several brokers, one of which leads `orders`, which another follows. It has one shard, and lets replicas
/// lead that lack records.
pub(crate) trait Elections {
    type World: World;

    fn fresh() -> Self;
    fn world(&self) -> &Self::World;
    /// Appends records to `orders` of which the follower hears nothing.
    fn publish_to_leader_alone(&mut self, records: &[Plain]);
    /// The leader dies, and the follower takes over without what it has not heard of.
    fn elect_uncleanly(&mut self);
}

pub(crate) fn what_was_read_and_is_overwritten_since_is_missed<E: Elections>() {
    let mut elections = E::fresh();
    elections.world().publish(Input::Orders, 0, &numbered("kept", 5));
    elections.publish_to_leader_alone(&numbered("lost", 3));
    let broker = elections.world().broker();
    let open = |orders_from| broker.inputs(0, orders_from, Position::at(0)).expect("nothing is wrong");
    let mut inputs = open(Position::at(0));
    let mut epochs = Vec::new();
    eventually::<E::World, _>("what was published", || {
        let records = inputs.poll(Input::Orders, 100).expect("nothing is wrong");
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
            inputs = open(behind(8));
            None
        }
        Err(fault) => Some(fault),
    });
    let Fault::Overwritten { asked: 8, .. } = fault else { panic!("{fault:?}") };
    let found = collect::<E::World>(&mut open(behind(5)), Input::Orders, 9);
    assert_eq!(found[0].offset, 5);
    assert_eq!(texts(found.iter().map(|got| &got.record))[0], "other0");
}
