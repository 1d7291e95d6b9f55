//! Asking where the inputs of a lane's shards end: two ListOffsets requests a question (the last stable offsets, the high
//! watermarks). What is asked when, and of whom, is decided by [`Questions`].
//!
//! librdkafka sends them to the leaders that it remembers, by the epochs that it remembers, for up to 15 minutes
//! (`metadata.max.age.ms`). It looks again by itself only where a broker says that it does not lead. Not after an epoch
//! that is too old: a leader that was away comes back with a higher one. Not after silence: it died, and another leads.
//! And not if a partition had no leader when it looked last: then the whole question waits for one. So a question that
//! failed, or waits too long, is followed by a look: one for all shards of the lane.

use std::time::{Duration, Instant};

use super::control::Control;
use super::fault::Problem;
use super::ffi::{Answer, Bell, Queue, TopicFound};
use super::questions::Questions;
use super::settings::TopicNames;
use crate::broker::Ends;

/// After this a question is given up and asked anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Asking {
    control: Control,
    queue: Queue,
    topics: [String; 2],
    /// The partition of each shard of the lane.
    shards: Vec<u32>,
    questions: Questions,
    /// The leaders were asked for once, before there was a doubt. Some brokers never tell.
    introduced: bool,
}

impl Asking {
    pub(super) fn new(control: Control, topics: &TopicNames, shards: Vec<u32>, bell: Bell) -> Self {
        let mut queue = Queue::new(control.owner());
        queue.wake(bell);
        let topics = [topics.orders.clone(), topics.stock.clone()];
        let questions = Questions::new(shards.len());
        Self { control, queue, topics, shards, questions, introduced: false }
    }

    /// Notes that somebody wants to know where the inputs of shard `at` end.
    pub(super) fn want(&mut self, at: usize, ticket: u64) {
        self.questions.want(at, ticket);
    }

    /// Whether an answer waits to be taken.
    pub(super) fn is_answered(&self) -> bool {
        self.questions.is_answered()
    }

    /// The newest answer of a shard that was not yet taken.
    pub(super) fn take(&mut self) -> Option<(usize, Ends)> {
        self.questions.take()
    }

    /// Handles what has arrived.
    pub(super) fn receive(&mut self, now: Instant) {
        while let Some(answer) = self.queue.answer(Duration::ZERO) {
            match answer {
                Answer::Ends(tag, offsets) => {
                    let offsets = offsets.ok().map(|offsets| offsets.into_iter().map(Result::ok).collect());
                    self.questions.receive(tag >> 1, tag & 1 == 1, offsets, now);
                }
                Answer::Topics(found) => self.learn(&found.unwrap_or_default(), now),
            }
        }
    }

    /// Asks what is wanted and can be asked now.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.questions.is_idle() {
            return;
        }
        let doubts = !self.introduced || self.questions.has_doubts(now);
        if doubts && self.control.claim_look(now) {
            self.introduced = true;
            self.look_for_leaders(now);
        }
        while let Some((number, places)) = self.questions.next(now) {
            self.control.serve();
            self.send(number, &places, now);
        }
    }

    fn send(&mut self, number: usize, places: &[usize], now: Instant) {
        let partition = |place: &usize| {
            let (at, input) = Questions::shard_and_input(*place);
            (self.topics[input].as_str(), self.shards[at])
        };
        let partitions: Vec<_> = places.iter().map(partition).collect();
        for stable in [true, false] {
            let tag = number << 1 | usize::from(stable);
            if self.queue.ask_ends(&partitions, stable, tag, ANSWER_TIMEOUT).is_err() {
                return self.questions.receive(number, stable, None, now);
            }
        }
    }

    /// Has librdkafka learn who leads the inputs. A metadata request would need a topic handle, which stays with the
    /// client for good; the administrator's question fills the same memory. It goes to the broker that librdkafka has
    /// for it, which may be the one that died, and to all that hold what is in doubt: whoever leads next is among them.
    fn look_for_leaders(&self, now: Instant) {
        let topics = self.topics.each_ref().map(String::as_str);
        let holders = self.questions.holders_in_doubt(now);
        for broker in std::iter::once(None).chain(holders.into_iter().map(Some)) {
            // One that cannot be asked is one that does not answer.
            let _ = self.queue.ask_topics(&topics, broker, ANSWER_TIMEOUT);
        }
    }

    fn learn(&mut self, found: &[Result<TopicFound, Problem>], now: Instant) {
        for (input, topic) in found.iter().enumerate() {
            let Ok(topic) = topic else { continue };
            for (at, shard) in self.shards.iter().enumerate() {
                let Some(partition) = topic.partitions.get(*shard as usize) else { continue };
                let leader = (partition.leader >= 0).then_some(partition.leader);
                self.questions.learn(Questions::place(at, input), leader, &partition.replicas, now);
            }
        }
    }
}
