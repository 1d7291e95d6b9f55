//! Inputs that are read one way while little arrives and another way while much does: nothing of it shows. So many shards
//! are on one consumer that this is worth the while.

use std::time::Instant;

use sluice::broker::{Broker, Fault, Input, Inputs, Position, ReadFrom, Records};

use super::{Upstream, Watched, World, eventually, numbered, poll_of, texts};

/// Shards of a lane.
const SHARDS: u32 = 5;

/// What was read of one input, of which everything must come once, in order.
pub(crate) struct Read {
    at: usize,
    input: Input,
    position: i64,
    pub(crate) texts: Vec<String>,
}

impl Read {
    pub(crate) const fn new(at: usize, input: Input) -> Self {
        Self { at, input, position: 0, texts: Vec::new() }
    }

    /// One poll. What may pass is answered by a new beginning where reading stands, as a lane does.
    pub(crate) fn poll(&mut self, inputs: &mut impl Inputs) {
        let Self { at, input, .. } = *self;
        match poll_of(inputs, at, input, 7) {
            Ok(found) => {
                for got in &found {
                    assert!(got.offset >= self.position, "{} after {}", got.offset, self.position);
                    self.position = got.offset + 1;
                }
                self.texts.extend(texts(found.iter().map(|got| &got.record)));
            }
            Err(Fault::Transient(_)) => {
                let place = |of| Position::at(if of == input { self.position } else { inputs.position(at, of) });
                let (orders, stock) = (place(Input::Orders), place(Input::Stock));
                inputs.reopen(at, orders, stock).expect("nothing is wrong");
            }
            Err(fault) => panic!("{fault}"),
        }
        let position = inputs.position(at, input);
        assert!(position >= self.position, "position {position} after {}", self.position);
        self.position = position;
    }

    /// Polls until that much was read in all.
    pub(crate) fn up_to<W: World>(&mut self, inputs: &mut impl Inputs, position: i64) {
        eventually::<W, _>(&format!("position {position}"), || {
            self.poll(inputs);
            (self.position >= position).then_some(())
        });
        assert_eq!(self.position, position);
    }

    /// Goes on polling while nothing is expected.
    pub(crate) fn rest<W: World>(&mut self, inputs: &mut impl Inputs) {
        let (start, read) = (Instant::now(), self.texts.len());
        while start.elapsed() < W::REST {
            self.poll(inputs);
        }
        assert_eq!(self.texts.len(), read, "records that nobody published");
    }
}

pub(crate) fn open<B: Broker>(broker: &B) -> B::Inputs {
    let start = Position::at(0);
    let from: Vec<_> = (0..SHARDS).map(|shard| ReadFrom::new(shard, start, start)).collect();
    broker.inputs(&from).expect("nothing is wrong")
}

pub(crate) fn an_input_that_is_quiet_and_busy_in_turns_hands_out_each_record_once<W: World>() {
    const EACH: usize = 30;
    let world = W::fresh(SHARDS);
    let mut inputs = open(&world.broker());
    let mut read = Read::new(1, Input::Orders);
    let mut expected = Vec::new();
    for round in 0..2 {
        for i in 0..EACH {
            // One after the other, then as a backlog.
            let records = numbered(&format!("{round} {i} "), if i == EACH - 1 { 500 } else { 1 });
            world.publish(Input::Orders, 1, &records);
            expected.extend(texts(&records));
            if i % 2 == 0 {
                read.up_to::<W>(&mut inputs, expected.len() as i64);
            }
        }
        read.up_to::<W>(&mut inputs, expected.len() as i64);
        read.rest::<W>(&mut inputs);
    }
    assert!(read.texts == expected, "{:?}", read.texts);
}

pub(crate) fn markers_and_aborted_records_are_passed_once<W: World>() {
    let world = W::fresh(SHARDS);
    let mut inputs = open(&world.broker());
    let mut upstream = world.upstream();
    let mut read = Read::new(3, Input::Stock);
    let (mut end, mut expected) = (0, Vec::new());
    for round in 0..2 {
        for i in 0..6 {
            let records = numbered(&format!("{round} {i} "), 3);
            upstream.publish(Input::Stock, 3, &records);
            if i % 3 == 1 {
                upstream.commit();
                expected.extend(texts(&records));
            } else {
                upstream.abort();
            }
            end += 4;
            read.up_to::<W>(&mut inputs, end);
        }
        // What was read last was aborted; while the input rests, a transaction is open.
        upstream.publish(Input::Stock, 3, &numbered("open", 2));
        read.rest::<W>(&mut inputs);
        upstream.commit();
        expected.extend(texts(&numbered("open", 2)));
        end += 3;
        read.up_to::<W>(&mut inputs, end);
    }
    assert_eq!(read.texts, expected);
}

pub(crate) fn an_input_goes_on_where_everything_before_it_was_deleted<W: World>() {
    let world = W::fresh(SHARDS);
    let mut inputs = open(&world.broker());
    let mut read = Read::new(0, Input::Orders);
    world.publish(Input::Orders, 0, &numbered("", 5));
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("dropped", 2));
    upstream.abort();
    // Five records, two that were aborted, a marker; a record that was handed out is not the last one.
    read.up_to::<W>(&mut inputs, 8);
    world.trim(Watched::Orders, 0, 8);
    read.rest::<W>(&mut inputs);
    assert_eq!(inputs.position(0, Input::Orders), 8);
    world.publish(Input::Orders, 0, &numbered("later", 200));
    read.up_to::<W>(&mut inputs, 208);
    let expected: Vec<_> = numbered("", 5).into_iter().chain(numbered("later", 200)).collect();
    assert_eq!(read.texts, texts(&expected));
}

pub(crate) fn an_input_that_failed_fails_until_it_begins_anew_however_long_that_takes<W: World>() {
    let world = W::fresh(SHARDS);
    world.publish(Input::Orders, 2, &numbered("", 5));
    let mut inputs = open(&world.broker());
    let mut neighbour = Read::new(0, Input::Orders);
    neighbour.rest::<W>(&mut inputs);
    inputs.reopen(2, Position::at(9), Position::at(0)).expect("nothing is wrong");
    let fault = super::fault_of::<W>(&mut inputs, 2, Input::Orders, Position::at(9));
    assert!(matches!(fault, Fault::OutOfRange { asked: 9, begin: 0, end: 5, .. }), "{fault:?}");
    neighbour.rest::<W>(&mut inputs);
    assert_eq!(inputs.poll(2, Input::Orders, 10).map(|records| records.map(|records| records.len())), Err(fault));
    inputs.reopen(2, Position::at(3), Position::at(0)).expect("nothing is wrong");
    let mut read = Read { position: 3, ..Read::new(2, Input::Orders) };
    read.up_to::<W>(&mut inputs, 5);
    assert_eq!(read.texts, ["3", "4"]);
}
