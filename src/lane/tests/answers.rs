//! A lane stepped by hand, with answers about the ends that take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::*;
use crate::broker::memory::{MemoryInputs, MemoryRecords};
use crate::broker::{Ends, Fault, Input, Inputs, Position, ReadFrom, TopicFacts, Wake};

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
    /// The newest ticket handed in, of which shard, and after how many more looks it is answered.
    asked: Option<(usize, u64, u32)>,
}

impl Broker for Slow {
    type Inputs = SlowInputs;
    type Writer = <MemoryBroker as Broker>::Writer;
    type Reader = <MemoryBroker as Broker>::Reader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.node.topics(timeout)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<SlowInputs, Fault> {
        let inputs = self.node.inputs(from)?;
        let (looks_to_answer, questions) = (self.looks_to_answer, self.questions.clone());
        Ok(SlowInputs { inputs, looks_to_answer, questions, asked: None })
    }

    fn writer(&self, lane: u32) -> Result<Self::Writer, Fault> {
        self.node.writer(lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<Self::Reader, Fault> {
        self.node.reader(lane, from_offset)
    }
}

impl Inputs for SlowInputs {
    type Records = MemoryRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<MemoryRecords>, Fault> {
        self.inputs.poll(at, input, most)
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        self.inputs.position(at, input)
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        self.inputs.reopen(at, orders, stock)
    }

    fn wait(&mut self, timeout: Duration) {
        self.inputs.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inputs.waker()
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.questions.fetch_add(1, Relaxed);
        self.asked = Some((at, ticket, self.looks_to_answer));
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        let (at, ticket, looks) = self.asked.as_mut()?;
        *looks -= 1;
        if *looks > 0 {
            return None;
        }
        self.inputs.ask_ends(*at, *ticket);
        self.asked = None;
        self.inputs.ends()
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        self.inputs.tick(at)
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
    while status.snapshot(now.steady_ms).shards[0].sequence < u64::from(ORDERS) {
        now.steady_ms += 1;
        assert!(now.steady_ms < 1_000_000, "the lane got no further than {:?}", status.snapshot(now.steady_ms));
        commit.step(now);
        let waits = matches!(apply.step(now), Step::Wait(_));
        let begun = status.phase() == Phase::CatchingUp;
        stood_still += u32::from(waits && begun);
    }
    assert!(stood_still <= 2 * STEPS_TO_ANSWER, "it stood still for {stood_still} steps");
}

/// A lane whose steps are taken when something woke it, or when it said that it wants one.
struct Woken {
    lane: Halves<Slow>,
    questions: Arc<AtomicU32>,
    now: Now,
    /// When it wants its next step.
    step_ms: u64,
    /// A commit under way lasts until then.
    commits_until: Option<u64>,
    /// Batches that were handed over.
    handed: u32,
}

impl Woken {
    fn new(cluster: &Cluster) -> Self {
        let broker = Slow::new(cluster.node(), 2);
        let questions = broker.questions.clone();
        let now = Now { steady_ms: 1_000, unix_ms: cluster.now_ms() };
        Woken { lane: halves(broker), questions, now, step_ms: 0, commits_until: None, handed: 0 }
    }

    /// A millisecond passes. Commits last `commit_ms`, answers come in the millisecond after the question.
    fn tick(&mut self, cluster: &Cluster, commit_ms: u64, arrived: bool) {
        self.now.steady_ms += 1;
        self.now.unix_ms += 1;
        cluster.advance_ms(1);
        let mut woken = arrived;
        if self.commits_until.is_none_or(|until| until <= self.now.steady_ms) {
            while self.lane.commit.step(self.now) == Step::Again {}
            woken |= self.commits_until.take().is_some();
        }
        if woken || self.now.steady_ms >= self.step_ms || self.lane.status.phase() == Phase::CatchingUp {
            let asked = self.questions.load(Relaxed);
            let wait = loop {
                if let Step::Wait(wait) = self.lane.apply.step(self.now) {
                    break wait;
                }
            };
            let answered_soon = self.questions.load(Relaxed) > asked;
            let wait_ms = if answered_soon { 1 } else { wait.as_millis() as u64 };
            self.step_ms = self.now.steady_ms + wait_ms;
        }
        if self.commits_until.is_none() && self.lane.exchange.has_full() {
            self.commits_until = Some(self.now.steady_ms + commit_ms);
            self.handed += 1;
        }
    }

    fn until_running(&mut self, cluster: &Cluster, commit_ms: u64) {
        while self.lane.status.phase() != Phase::Running {
            self.tick(cluster, commit_ms, false);
        }
    }

    fn snapshot(&self) -> crate::lane::LaneSnapshot {
        self.lane.status.snapshot(self.now.steady_ms)
    }
}

#[test]
fn a_trickle_of_orders_costs_a_question_a_batch_and_each_order_the_next_batch() {
    /// A commit takes so long, and a lane rests as long again.
    const COMMIT_MS: u64 = 8;
    const ORDERS: u32 = 2_000;
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, u64::from(ORDERS))).unwrap();
    let mut lane = Woken::new(&cluster);
    lane.until_running(&cluster, COMMIT_MS);
    let asked_before = lane.questions.load(Relaxed);
    let (mut published, mut longest_ms) = (0, 0);
    let mut decided = (lane.snapshot().shards[0].sequence, lane.now.steady_ms);
    while decided.0 < u64::from(ORDERS) {
        assert!(lane.now.steady_ms < 100_000, "the lane got no further than {:?}", lane.snapshot());
        if published < ORDERS {
            cluster.publish(Topic::Orders, 0, place(&cluster, published)).unwrap();
            published += 1;
        }
        lane.tick(&cluster, COMMIT_MS, true);
        let sequence = lane.snapshot().shards[0].sequence;
        if sequence > decided.0 {
            longest_ms = longest_ms.max(lane.now.steady_ms - decided.1);
            decided = (sequence, lane.now.steady_ms);
        }
    }
    let batches = lane.snapshot().batches;
    let asked = lane.questions.load(Relaxed) - asked_before;
    println!("{asked} questions, {batches} batches, {longest_ms} ms apart");
    assert!(u64::from(asked) <= batches + batches / 4, "{asked} questions for {batches} batches");
    assert!(longest_ms <= 4 * COMMIT_MS, "batches came {longest_ms} ms apart");
}

#[test]
fn an_order_behind_a_commit_that_was_faster_than_the_one_before_is_not_slept_over() {
    let cluster = cluster();
    let mut lane = Woken::new(&cluster);
    lane.until_running(&cluster, 2);
    // Each order comes while the one before is being committed: slowly the first, fast the second.
    let mut slept = 0;
    for (number, commit_ms) in [(0, 30), (1, 2), (2, 2)] {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
        let from_ms = lane.now.steady_ms;
        lane.tick(&cluster, commit_ms, true);
        while lane.handed <= number {
            lane.tick(&cluster, commit_ms, false);
        }
        slept = lane.now.steady_ms - from_ms;
        println!("handed over after {slept} ms");
    }
    assert!(slept <= 10, "it was handed over after {slept} ms");
}

#[test]
fn a_lane_has_caught_up_when_what_was_there_is_decided_though_more_is_always_pending() {
    let cluster = cluster();
    cluster.publish(Topic::Orders, 0, places(&cluster, 0..100)).unwrap();
    let mut lane = Woken::new(&cluster);
    for number in 100..400 {
        lane.tick(&cluster, 8, true);
        if lane.lane.status.phase() == Phase::Running {
            return;
        }
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    panic!("an order a millisecond kept it from {:?}", lane.snapshot());
}
