//! Several shards on one consumer: what is read of each is its own, and what fails or begins anew leaves the others alone.

use sluice::broker::{Broker, Fault, Input, Inputs, Position, ReadFrom};

use super::{Watched, World, collect_of, eventually, fault_of, numbered, poll_of, texts};

type InputsOf<W> = <<W as World>::Broker as Broker>::Inputs;

/// Both inputs of each of these shards, from their starts.
fn open<W: World>(world: &W, shards: &[u32]) -> InputsOf<W> {
    let start = Position::at(0);
    let from: Vec<_> = shards.iter().map(|&shard| ReadFrom::new(shard, start, start)).collect();
    world.broker().inputs(&from).expect("nothing is wrong")
}

/// The offsets of that many records of `orders`.
fn offsets<W: World>(inputs: &mut impl Inputs, at: usize, count: usize) -> Vec<i64> {
    collect_of::<W>(inputs, at, Input::Orders, count).iter().map(|got| got.offset).collect()
}

pub(crate) fn shards_on_one_consumer_are_read_apart_and_in_order<W: World>() {
    const EACH: usize = 300;
    let world = W::fresh(4);
    for shard in 0..4 {
        world.publish(Input::Orders, shard, &numbered(&format!("order of {shard}: "), EACH));
        world.publish(Input::Stock, shard, &numbered(&format!("stock of {shard}: "), 1 + shard as usize));
    }
    let shards = [3, 0, 2];
    let mut inputs = open(&world, &shards);
    let mut found = [const { Vec::new() }; 3];
    eventually::<W, _>("the orders of all shards", || {
        for (at, found) in found.iter_mut().enumerate() {
            found.extend(poll_of(&mut inputs, at, Input::Orders, 7).expect("nothing is wrong"));
            assert_eq!(inputs.position(at, Input::Orders), found.len() as i64);
        }
        found.iter().all(|found| found.len() >= EACH).then_some(())
    });
    for (at, (found, shard)) in found.iter().zip(shards).enumerate() {
        let records = found.iter().map(|got| &got.record);
        assert_eq!(texts(records), texts(&numbered(&format!("order of {shard}: "), EACH)));
        let stock = collect_of::<W>(&mut inputs, at, Input::Stock, 1 + shard as usize);
        let records = stock.iter().map(|got| &got.record);
        assert_eq!(texts(records), texts(&numbered(&format!("stock of {shard}: "), 1 + shard as usize)));
    }
    world.publish(Input::Orders, 0, &numbered("later ", 1));
    assert_eq!(offsets::<W>(&mut inputs, 1, 1), [EACH as i64]);
    assert_eq!([0, 1, 2].map(|at| inputs.position(at, Input::Orders)), [300, 301, 300]);
}

pub(crate) fn an_input_that_fails_leaves_its_neighbours_readable<W: World>() {
    let world = W::fresh(3);
    for shard in 0..3 {
        world.publish(Input::Orders, shard, &numbered("", 5));
        world.publish(Input::Stock, shard, &numbered("", 2));
    }
    world.trim(Watched::Orders, 1, 3);
    let start = Position::at(0);
    let from =
        [ReadFrom::new(0, start, start), ReadFrom::new(1, start, start), ReadFrom::new(2, Position::at(9), start)];
    let mut inputs = world.broker().inputs(&from).expect("nothing is wrong");
    let trimmed = fault_of::<W>(&mut inputs, 1, Input::Orders, start);
    assert!(matches!(trimmed, Fault::OutOfRange { asked: 0, begin: 3, end: 5, .. }), "{trimmed:?}");
    let beyond = fault_of::<W>(&mut inputs, 2, Input::Orders, Position::at(9));
    assert!(matches!(beyond, Fault::OutOfRange { asked: 9, begin: 0, end: 5, .. }), "{beyond:?}");
    assert_eq!(offsets::<W>(&mut inputs, 0, 5), [0, 1, 2, 3, 4]);
    for at in 0..3 {
        assert_eq!(collect_of::<W>(&mut inputs, at, Input::Stock, 2).len(), 2);
    }
    world.publish(Input::Orders, 0, &numbered("", 1));
    assert_eq!(offsets::<W>(&mut inputs, 0, 1), [5]);
    assert_eq!(poll_of(&mut inputs, 1, Input::Orders, 10), Err(trimmed), "it fails ever after");
}

pub(crate) fn an_input_begins_anew_at_another_place<W: World>() {
    let world = W::fresh(2);
    for shard in 0..2 {
        world.publish(Input::Orders, shard, &numbered("", 200));
        world.publish(Input::Stock, shard, &numbered("", 20));
    }
    let mut inputs = open(&world, &[0, 1]);
    offsets::<W>(&mut inputs, 0, 200);
    // Back, forward, and again before anything was taken.
    for orders in [120, 0, 199, 50, 51] {
        inputs.reopen(0, Position::at(orders), Position::at(19)).expect("nothing is wrong");
        assert_eq!((inputs.position(0, Input::Orders), inputs.position(0, Input::Stock)), (orders, 19));
    }
    assert_eq!(offsets::<W>(&mut inputs, 0, 149), (51..200).collect::<Vec<_>>());
    assert_eq!(collect_of::<W>(&mut inputs, 0, Input::Stock, 1)[0].offset, 19);
    for orders in [198, 3, 150] {
        inputs.reopen(0, Position::at(orders), Position::at(20)).expect("nothing is wrong");
        let found = eventually::<W, _>("a record", || {
            poll_of(&mut inputs, 0, Input::Orders, 2).expect("nothing is wrong").first().map(|got| got.offset)
        });
        assert_eq!(found, orders);
    }
    assert_eq!(inputs.position(0, Input::Stock), 20);
    world.publish(Input::Stock, 0, &numbered("", 1));
    assert_eq!(collect_of::<W>(&mut inputs, 0, Input::Stock, 1)[0].offset, 20);
    assert_eq!(offsets::<W>(&mut inputs, 1, 200), (0..200).collect::<Vec<_>>(), "the other shard");
}

pub(crate) fn an_input_may_begin_anew_before_anything_is_known_of_it<W: World>() {
    let world = W::fresh(2);
    world.publish(Input::Orders, 0, &numbered("", 5));
    world.publish(Input::Orders, 1, &numbered("", 5));
    let mut inputs = open(&world, &[0, 1]);
    inputs.reopen(1, Position::at(4), Position::at(0)).expect("nothing is wrong");
    inputs.reopen(1, Position::at(2), Position::at(0)).expect("nothing is wrong");
    assert_eq!(offsets::<W>(&mut inputs, 1, 3), [2, 3, 4]);
    assert_eq!(offsets::<W>(&mut inputs, 0, 5), [0, 1, 2, 3, 4]);
}

pub(crate) fn an_input_that_failed_is_read_again_once_it_begins_anew<W: World>() {
    let world = W::fresh(2);
    world.publish(Input::Orders, 0, &numbered("", 5));
    world.publish(Input::Orders, 1, &numbered("", 5));
    world.trim(Watched::Orders, 0, 2);
    let mut inputs = open(&world, &[0, 1]);
    for (asked, is_there) in [(0, false), (3, true), (1, false), (9, false), (2, true)] {
        inputs.reopen(0, Position::at(asked), Position::at(0)).expect("nothing is wrong");
        if is_there {
            let count = usize::try_from(5 - asked).expect("it is in range");
            assert_eq!(offsets::<W>(&mut inputs, 0, count), (asked..5).collect::<Vec<_>>());
            continue;
        }
        let fault = fault_of::<W>(&mut inputs, 0, Input::Orders, Position::at(asked));
        let Fault::OutOfRange { asked: told, begin: 2, end: 5, .. } = fault else { panic!("{fault:?}") };
        assert_eq!(told, asked);
    }
    assert_eq!(offsets::<W>(&mut inputs, 1, 5), [0, 1, 2, 3, 4]);
}

pub(crate) fn an_input_begins_anew_behind_a_record_that_is_known<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 5));
    let mut inputs = open(&world, &[0]);
    let epoch = eventually::<W, _>("a record", || {
        inputs.wait(std::time::Duration::from_millis(50));
        let records = inputs.poll(0, Input::Orders, 1).expect("nothing is wrong")?;
        Some(sluice::broker::Records::get(&records, 0).leader_epoch)
    });
    for offset in [4, 2, 3] {
        inputs.reopen(0, Position { offset, leader_epoch: epoch }, Position::at(0)).expect("nothing is wrong");
        assert_eq!(inputs.position(0, Input::Orders), offset);
    }
    assert_eq!(offsets::<W>(&mut inputs, 0, 2), [3, 4]);
    world.publish(Input::Orders, 0, &numbered("", 1));
    assert_eq!(offsets::<W>(&mut inputs, 0, 1), [5]);
}
