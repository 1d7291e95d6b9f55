//! A lane that is far behind, stepped by hand, with answers about the ends that take their time.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::broker::memory::{MemoryInputs, MemoryRecords};
use crate::broker::{Ends, Fault, Input, Inputs, TopicFacts, Wake};

/// Steps of the apply half until an answer arrives: in each it may apply a run of a thousand records.
const STEPS_TO_ANSWER: u32 = 6;

/// Several times what may be pending.
const ORDERS: u32 = 200_000;

struct Slow(MemoryBroker);

struct SlowInputs {
    inputs: MemoryInputs,
    /// The newest ticket handed in, and after how many more looks it is answered.
    asked: Option<(u64, u32)>,
}

impl Broker for Slow {
    type Inputs = SlowInputs;
    type Writer = <MemoryBroker as Broker>::Writer;
    type Reader = <MemoryBroker as Broker>::Reader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.0.topics(timeout)
    }

    fn inputs(&self, shard: u32, orders: Position, stock: Position) -> Result<SlowInputs, Fault> {
        Ok(SlowInputs { inputs: self.0.inputs(shard, orders, stock)?, asked: None })
    }

    fn writer(&self, shard: u32) -> Result<Self::Writer, Fault> {
        self.0.writer(shard)
    }

    fn reader(&self, shard: u32, from_offset: i64) -> Result<Self::Reader, Fault> {
        self.0.reader(shard, from_offset)
    }
}

impl Inputs for SlowInputs {
    type Records = MemoryRecords;

    fn poll(&mut self, input: Input, most: usize) -> Result<Option<MemoryRecords>, Fault> {
        self.inputs.poll(input, most)
    }

    fn position(&self, input: Input) -> i64 {
        self.inputs.position(input)
    }

    fn wait(&mut self, timeout: Duration) {
        self.inputs.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inputs.waker()
    }

    fn ask_ends(&mut self, ticket: u64) {
        self.asked = Some((ticket, STEPS_TO_ANSWER));
    }

    fn ends(&mut self) -> Option<Ends> {
        let (ticket, looks) = self.asked.as_mut()?;
        *looks -= 1;
        if *looks > 0 {
            return None;
        }
        self.inputs.ask_ends(*ticket);
        self.asked = None;
        self.inputs.ends()
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.inputs.tick()
    }
}

#[test]
fn a_lane_that_is_behind_stands_still_for_one_answer_and_not_for_each() {
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, 1)).unwrap();
    cluster.advance_ms(1);
    for number in 0..ORDERS {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    let (mut commit, mut apply, status) = halves(Slow(cluster.node()));
    let mut now = Now { steady_ms: 1_000, unix_ms: cluster.now_ms() };
    let mut stood_still = 0;
    while status.snapshot(now.steady_ms).sequence < u64::from(ORDERS) {
        now.steady_ms += 1;
        assert!(now.steady_ms < 1_000_000, "the lane got no further than {:?}", status.snapshot(now.steady_ms));
        commit.step(now);
        let waits = matches!(apply.step(now), Step::Wait(_));
        let begun = status.phase() == Phase::CatchingUp;
        stood_still += u32::from(waits && begun);
    }
    assert!(stood_still <= 2 * STEPS_TO_ANSWER, "it stood still for {stood_still} steps");
}
