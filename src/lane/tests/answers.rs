//! A lane stepped by hand, with answers about the ends that take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::*;
use crate::broker::memory::{MemoryInputs, MemoryRecords};
use crate::broker::{Ends, Fault, Input, Inputs, TopicFacts, Wake};

/// Steps of the apply half until an answer arrives: in each it may apply a run of a thousand records.
const STEPS_TO_ANSWER: u32 = 6;

/// Several times what may be pending.
const ORDERS: u32 = 200_000;

struct Slow {
    node: MemoryBroker,
    looks_to_answer: u32,
    questions: Arc<AtomicU32>,
}

impl Slow {
    fn new(node: MemoryBroker, looks_to_answer: u32) -> Self {
        Slow { node, looks_to_answer, questions: Arc::default() }
    }
}

struct SlowInputs {
    inputs: MemoryInputs,
    looks_to_answer: u32,
    questions: Arc<AtomicU32>,
    /// The newest ticket handed in, and after how many more looks it is answered.
    asked: Option<(u64, u32)>,
}

impl Broker for Slow {
    type Inputs = SlowInputs;
    type Writer = <MemoryBroker as Broker>::Writer;
    type Reader = <MemoryBroker as Broker>::Reader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.node.topics(timeout)
    }

    fn inputs(&self, shard: u32, orders: Position, stock: Position) -> Result<SlowInputs, Fault> {
        let inputs = self.node.inputs(shard, orders, stock)?;
        let (looks_to_answer, questions) = (self.looks_to_answer, self.questions.clone());
        Ok(SlowInputs { inputs, looks_to_answer, questions, asked: None })
    }

    fn writer(&self, shard: u32) -> Result<Self::Writer, Fault> {
        self.node.writer(shard)
    }

    fn reader(&self, shard: u32, from_offset: i64) -> Result<Self::Reader, Fault> {
        self.node.reader(shard, from_offset)
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
        self.questions.fetch_add(1, Relaxed);
        self.asked = Some((ticket, self.looks_to_answer));
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
    let Halves { mut commit, mut apply, status, .. } = halves(Slow::new(cluster.node(), STEPS_TO_ANSWER));
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

#[test]
fn a_trickle_of_orders_costs_a_question_a_batch_and_each_order_the_next_batch() {
    /// A commit takes so long, and a lane rests as long again.
    const COMMIT_MS: u64 = 8;
    const ORDERS: u32 = 2_000;
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, u64::from(ORDERS))).unwrap();
    let broker = Slow::new(cluster.node(), 2);
    let questions = broker.questions.clone();
    let Halves { mut commit, mut apply, exchange, status } = halves(broker);
    let mut now = Now { steady_ms: 1_000, unix_ms: cluster.now_ms() };
    let (mut published, mut asked_before) = (0, 0);
    let (mut commits_until, mut longest_ms) = (None, 0);
    let mut decided = (0, now.steady_ms);
    while status.snapshot(now.steady_ms).sequence < u64::from(ORDERS) {
        now.steady_ms += 1;
        now.unix_ms += 1;
        cluster.advance_ms(1);
        assert!(now.steady_ms < 100_000, "the lane got no further than {:?}", status.snapshot(now.steady_ms));
        if status.phase() == Phase::Running && published < ORDERS {
            if published == 0 {
                (asked_before, decided) = (questions.load(Relaxed), (decided.0, now.steady_ms));
            }
            cluster.publish(Topic::Orders, 0, place(&cluster, published)).unwrap();
            published += 1;
        }
        while apply.step(now) == Step::Again {}
        if exchange.has_full() && commits_until.is_none() {
            commits_until = Some(now.steady_ms + COMMIT_MS);
        }
        if commits_until.is_none_or(|until| until <= now.steady_ms) {
            while commit.step(now) == Step::Again {}
            commits_until = None;
        }
        let sequence = status.snapshot(now.steady_ms).sequence;
        if sequence > decided.0 {
            longest_ms = longest_ms.max(now.steady_ms - decided.1);
            decided = (sequence, now.steady_ms);
        }
    }
    let batches = status.snapshot(now.steady_ms).batches;
    let asked = questions.load(Relaxed) - asked_before;
    println!("{asked} questions, {batches} batches, {longest_ms} ms apart");
    assert!(u64::from(asked) <= batches + batches / 4, "{asked} questions for {batches} batches");
    assert!(longest_ms <= 4 * COMMIT_MS, "batches came {longest_ms} ms apart");
}
