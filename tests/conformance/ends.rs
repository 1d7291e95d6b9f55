//! Asking where the inputs end, and Ticks.

use std::time::Duration;

use prost::Message;
use sluice::broker::{Broker, End, Ends, Input, Inputs, Position, ReadFrom, TimestampKind};
use sluice::wire::proto::{StockCommands, stock_command};

use super::{Upstream, World, collect, eventually, numbered, read_up_to};

/// Asks under this ticket until that is answered. It is asked once: an answer that needs asking again is a failure.
pub(crate) fn ask<W: World>(inputs: &mut impl Inputs, ticket: u64) -> Ends {
    ask_of::<W>(inputs, 0, ticket)
}

/// The same of a shard.
pub(crate) fn ask_of<W: World>(inputs: &mut impl Inputs, at: usize, ticket: u64) -> Ends {
    inputs.ask_ends(at, ticket);
    await_answers::<W>(inputs, &[(at, ticket)]).remove(0)
}

fn await_answer<W: World>(inputs: &mut impl Inputs, ticket: u64) -> Ends {
    await_answers::<W>(inputs, &[(0, ticket)]).remove(0)
}

const fn settled(end: i64) -> End {
    End { stable: end, high: end }
}

pub(crate) fn the_ends_of_empty_inputs_are_where_they_start<W: World>() {
    let world = W::fresh(1);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(ask::<W>(&mut inputs, 7), Ends { ticket: 7, orders: settled(0), stock: settled(0) });
    assert_eq!((inputs.position(0, Input::Orders), inputs.position(0, Input::Stock)), (0, 0));
}

pub(crate) fn ends_count_records_and_markers<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 3));
    let mut upstream = world.upstream();
    upstream.publish(Input::Stock, 0, &numbered("", 2));
    upstream.commit();
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    read_up_to::<W>(&mut inputs, Input::Stock, 3);
    assert_eq!(ask::<W>(&mut inputs, 1), Ends { ticket: 1, orders: settled(3), stock: settled(3) });
    // What is published before the ends are asked for is in the answer.
    world.publish(Input::Orders, 0, &numbered("", 1));
    assert_eq!(ask::<W>(&mut inputs, 2), Ends { ticket: 2, orders: settled(4), stock: settled(3) });
}

pub(crate) fn an_open_transaction_stands_between_stable_and_high<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 2));
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("", 2));
    world.publish(Input::Orders, 0, &numbered("", 1));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let ends = ask::<W>(&mut inputs, 1);
    assert_eq!(ends, Ends { ticket: 1, orders: End { stable: 2, high: 5 }, stock: settled(0) });
    upstream.abort();
    read_up_to::<W>(&mut inputs, Input::Orders, 6);
    assert_eq!(ask::<W>(&mut inputs, 2).orders, settled(6));
}

pub(crate) fn ends_are_answered_under_the_newest_ticket<W: World>() {
    let world = W::fresh(1);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    inputs.ask_ends(0, 1);
    world.publish(Input::Orders, 0, &numbered("", 1));
    inputs.ask_ends(0, 2);
    assert_eq!(await_answer::<W>(&mut inputs, 2).orders, settled(1));
}

pub(crate) fn an_answer_is_taken_once<W: World>() {
    let world = W::fresh(1);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(inputs.ends().map(|(_, ends)| ends), None, "nobody asked");
    ask::<W>(&mut inputs, 1);
    assert_eq!(inputs.ends().map(|(_, ends)| ends), None);
}

pub(crate) fn the_position_reaches_the_stable_end<W: World>() {
    let world = W::fresh(1);
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("", 2));
    upstream.commit();
    upstream.publish(Input::Orders, 0, &numbered("", 2));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let ends = eventually::<W, _>("the first transaction's marker", || {
        Some(ask::<W>(&mut inputs, 1)).filter(|ends| ends.orders.stable == 3)
    });
    assert_eq!(ends.orders, End { stable: 3, high: 5 });
    assert_eq!(read_up_to::<W>(&mut inputs, Input::Orders, 3).len(), 2);
}

/// The inputs of shards 0 and up, and what was published to each: so many orders, so many stock records.
fn open_all<W: World>(world: &W, published: &[(usize, usize)]) -> <W::Broker as Broker>::Inputs {
    let mut from = Vec::new();
    for (shard, (orders, stock)) in (0..).zip(published) {
        for (input, count) in [(Input::Orders, *orders), (Input::Stock, *stock)] {
            if count > 0 {
                world.publish(input, shard, &numbered("", count));
            }
        }
        from.push(ReadFrom::new(shard, Position::at(0), Position::at(0)));
    }
    world.broker().inputs(&from).expect("nothing is wrong")
}

/// Looks until each of these shards was answered, and returns the last answer of each. They were asked before.
fn await_answers<W: World>(inputs: &mut impl Inputs, tickets: &[(usize, u64)]) -> Vec<Ends> {
    let mut found = vec![None; tickets.len()];
    eventually::<W, _>("answers about the ends", || {
        let Some((at, ends)) = inputs.ends() else {
            inputs.wait(Duration::from_millis(50));
            return None;
        };
        let asked = tickets.iter().position(|(asked, ticket)| (*asked, *ticket) == (at, ends.ticket));
        if let Some(place) = asked {
            found[place] = Some(ends);
        }
        found.iter().all(Option::is_some).then_some(())
    });
    found.into_iter().flatten().collect()
}

pub(crate) fn the_ends_of_several_shards_are_each_their_own<W: World>() {
    let published = [(3, 1), (0, 2), (5, 0), (1, 4)];
    let world = W::fresh(4);
    let mut inputs = open_all(&world, &published);
    let tickets = [(2, 7), (0, 8), (3, 9)];
    for (at, ticket) in tickets {
        inputs.ask_ends(at, ticket);
    }
    let expected = |(at, ticket): (usize, u64)| {
        let (orders, stock) = published[at];
        Ends { ticket, orders: settled(orders as i64), stock: settled(stock as i64) }
    };
    assert_eq!(await_answers::<W>(&mut inputs, &tickets), tickets.map(expected));
    assert_eq!(inputs.ends(), None, "the others were not asked for");
    assert_eq!(ask_of::<W>(&mut inputs, 1, 10), expected((1, 10)));
}

pub(crate) fn a_later_question_of_a_shard_replaces_its_own_only<W: World>() {
    let world = W::fresh(3);
    let mut inputs = open_all(&world, &[(1, 0), (2, 0), (3, 0)]);
    for at in 0..3 {
        inputs.ask_ends(at, 1);
    }
    world.publish(Input::Orders, 1, &numbered("", 1));
    inputs.ask_ends(1, 2);
    let found = await_answers::<W>(&mut inputs, &[(0, 1), (1, 2), (2, 1)]);
    assert_eq!(found.iter().map(|ends| ends.orders).collect::<Vec<_>>(), [settled(1), settled(3), settled(3)]);
}

pub(crate) fn a_tick_comes_back_in_the_shards_own_partition_with_the_brokers_time<W: World>() {
    let world = W::fresh(2);
    let broker = world.broker();
    let mut others = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let mut inputs = broker.inputs(&[ReadFrom::new(1, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let earliest_ms = world.now_ms() - W::CLOCK_TOLERANCE_MS;
    inputs.tick(0).expect("nothing is wrong");
    let got = collect::<W>(&mut inputs, Input::Stock, 1).remove(0);
    assert_eq!(got.timestamp_kind, TimestampKind::LogAppend);
    let latest_ms = world.now_ms() + W::CLOCK_TOLERANCE_MS;
    assert!((earliest_ms..=latest_ms).contains(&got.timestamp_ms), "{earliest_ms}..={latest_ms}: {got:?}");
    let value = got.record.value.expect("a tick has a value");
    let commands = StockCommands::decode(value.as_slice()).expect("a tick is a StockCommands").commands;
    let [command] = commands.as_slice() else { panic!("one tick was asked for: {commands:?}") };
    let Some(stock_command::Kind::Tick(tick)) = &command.kind else { panic!("no tick: {command:?}") };
    assert_eq!(tick.shard, 1);
    assert_eq!(ask::<W>(&mut others, 1).stock, settled(0), "the tick of another shard");
}
