//! Asking where a shard's inputs end: two ListOffsets requests a question (the last stable offsets, the high
//! watermarks), at most one question under way, the newest ticket waiting behind it.
//!
//! librdkafka sends them to the leaders that it remembers, by the epochs that it remembers, for up to 15 minutes
//! (`metadata.max.age.ms`). It looks again by itself only where a broker says that it does not lead. Not after an epoch
//! that is too old: a leader that was away comes back with a higher one. Not after silence: it died, and another leads.
//! And not if neither partition had a leader when it looked last. So a question that failed, or waits too long, is
//! followed by a look.

use std::time::{Duration, Instant};

use crossbeam::sync::Unparker;

use super::control::Control;
use super::fault::Problem;
use super::ffi::{Answer, Queue, TopicFound};
use super::settings::TopicNames;
use crate::broker::{End, Ends};

/// After this a question is given up and asked anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before a question that failed is asked anew; it doubles from one failure to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Longest such pause: adds to an outage, and spares the brokers the questions of all shards.
const LONGEST_RETRY_PAUSE: Duration = Duration::from_millis(800);

/// After this without an answer the leaders are looked for. A look too many costs little, so it does not wait until the
/// question is given up: by then the next one's way is known.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// The question under way.
struct Question {
    ticket: u64,
    /// Tells its answers from those of questions given up.
    number: usize,
    stable: Option<[i64; 2]>,
    high: Option<[i64; 2]>,
}

pub(super) struct Asking {
    control: Control,
    queue: Queue,
    topics: [String; 2],
    shard: u32,
    numbers: usize,
    under_way: Option<Question>,
    /// To be asked.
    next: Option<u64>,
    /// Nothing is asked before it.
    rests_until: Option<Instant>,
    /// How long to rest after the next failure.
    pause: Duration,
    /// From then on what librdkafka remembers of the leaders is not trusted.
    doubts_from: Option<Instant>,
    /// Brokers that hold the shard's inputs, as far as known: any of them may lead next.
    holders: Vec<i32>,
    /// They were asked for once, before there was a doubt. Some brokers never tell.
    introduced: bool,
    answer: Option<Ends>,
}

impl Asking {
    pub(super) fn new(control: Control, topics: &TopicNames, shard: u32, waker: Unparker) -> Self {
        let mut queue = Queue::new(control.owner());
        queue.wake(waker);
        let topics = [topics.orders.clone(), topics.stock.clone()];
        Self {
            control,
            queue,
            topics,
            shard,
            numbers: 0,
            under_way: None,
            next: None,
            rests_until: None,
            pause: RETRY_PAUSE,
            doubts_from: None,
            holders: Vec::new(),
            introduced: false,
            answer: None,
        }
    }

    /// Asks, now or when the question under way is answered.
    pub(super) fn ask(&mut self, ticket: u64, now: Instant) {
        self.answer = None;
        self.next = Some(ticket);
        self.advance(now);
    }

    /// Whether something waits to be taken or handled.
    pub(super) fn answered(&self) -> bool {
        self.answer.is_some() || !self.queue.is_empty()
    }

    /// The newest answer not yet taken.
    pub(super) fn take(&mut self, now: Instant) -> Option<Ends> {
        self.advance(now);
        self.answer.take()
    }

    fn advance(&mut self, now: Instant) {
        while let Some(answer) = self.queue.answer(Duration::ZERO) {
            match answer {
                Answer::Ends(tag, offsets) => {
                    self.receive(tag, offsets.ok().and_then(|found| found.try_into().ok()), now);
                }
                Answer::Topics(found) => self.remember_holders(found.unwrap_or_default()),
            }
        }
        if self.under_way.is_none() && self.next.is_none() {
            return;
        }
        let doubts = !self.introduced || self.doubts_from.is_some_and(|from| from <= now);
        if doubts && self.control.claim_look(now) {
            self.introduced = true;
            self.look_for_leaders();
        }
        if self.under_way.is_none()
            && self.rests_until.is_none_or(|until| until <= now)
            && let Some(ticket) = self.next.take()
        {
            self.send(ticket, now);
        }
    }

    fn receive(&mut self, tag: usize, offsets: Option<[i64; 2]>, now: Instant) {
        let Some(question) = self.under_way.as_mut().filter(|question| question.number == tag >> 1) else { return };
        let Some(offsets) = offsets else {
            let ticket = question.ticket;
            self.fail(ticket, now);
            return;
        };
        let answered = if tag & 1 == 1 { &mut question.stable } else { &mut question.high };
        *answered = Some(offsets);
        if let (Some(stable), Some(high)) = (question.stable, question.high) {
            let end = |i: usize| End { stable: stable[i], high: high[i].max(stable[i]) };
            self.answer = Some(Ends { ticket: question.ticket, orders: end(0), stock: end(1) });
            self.under_way = None;
            self.pause = RETRY_PAUSE;
            self.doubts_from = None;
        }
    }

    fn send(&mut self, ticket: u64, now: Instant) {
        self.numbers += 1;
        self.doubts_from.get_or_insert(now + DOUBT_AFTER);
        let partitions = [(self.topics[0].as_str(), self.shard), (self.topics[1].as_str(), self.shard)];
        for stable in [true, false] {
            let tag = self.numbers << 1 | usize::from(stable);
            if self.queue.ask_ends(&partitions, stable, tag, ANSWER_TIMEOUT).is_err() {
                return self.fail(ticket, now);
            }
        }
        self.under_way = Some(Question { ticket, number: self.numbers, stable: None, high: None });
    }

    /// Asks anew after a pause, or the newer question if there is one.
    fn fail(&mut self, ticket: u64, now: Instant) {
        self.under_way = None;
        self.control.serve();
        self.next.get_or_insert(ticket);
        self.rests_until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_RETRY_PAUSE);
        self.doubts_from = Some(now);
    }

    /// Has librdkafka learn who leads the inputs. A metadata request would need a topic handle, which stays with the
    /// client for good; the administrator's question fills the same memory. It goes to the broker that librdkafka has
    /// for it, which may be the one that died, and to all that hold the partitions: whoever leads next is among them.
    fn look_for_leaders(&self) {
        let topics = self.topics.each_ref().map(String::as_str);
        for broker in std::iter::once(None).chain(self.holders.iter().copied().map(Some)) {
            // One that cannot be asked is one that does not answer.
            let _ = self.queue.ask_topics(&topics, broker, ANSWER_TIMEOUT);
        }
    }

    fn remember_holders(&mut self, found: Vec<Result<TopicFound, Problem>>) {
        let partitions = found.iter().flatten().filter_map(|topic| topic.partitions.get(self.shard as usize));
        let mut holders: Vec<i32> = partitions.flat_map(|partition| partition.replicas.iter().copied()).collect();
        holders.sort_unstable();
        holders.dedup();
        if !holders.is_empty() {
            self.holders = holders;
        }
    }
}
