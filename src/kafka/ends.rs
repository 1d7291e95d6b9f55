//! Asking where a shard's inputs end: two ListOffsets requests a question (the last stable offsets, the high
//! watermarks), at most one question under way, the newest ticket waiting behind it.

use std::time::{Duration, Instant};

use crossbeam::sync::Unparker;

use super::control::Control;
use super::ffi::{Answer, Queue};
use super::settings::TopicNames;
use crate::broker::{End, Ends};

/// After this a question is given up and asked anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before a question that failed is asked anew.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

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
    /// To be asked, not before the instant.
    next: Option<(u64, Instant)>,
    answer: Option<Ends>,
}

impl Asking {
    pub(super) fn new(control: Control, topics: &TopicNames, shard: u32, waker: Unparker) -> Self {
        let mut queue = Queue::new(control.owner());
        queue.wake(waker);
        let topics = [topics.orders.clone(), topics.stock.clone()];
        Self { control, queue, topics, shard, numbers: 0, under_way: None, next: None, answer: None }
    }

    /// Asks, now or when the question under way is answered.
    pub(super) fn ask(&mut self, ticket: u64, now: Instant) {
        self.answer = None;
        self.next = Some((ticket, now));
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
            if let Answer::Ends(tag, offsets) = answer {
                self.receive(tag, offsets.ok().and_then(|found| found.try_into().ok()), now);
            }
        }
        if self.under_way.is_some() {
            return;
        }
        if let Some((ticket, _)) = self.next.take_if(|(_, from)| *from <= now) {
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
        }
    }

    fn send(&mut self, ticket: u64, now: Instant) {
        self.numbers += 1;
        let partitions = [(self.topics[0].as_str(), self.shard), (self.topics[1].as_str(), self.shard)];
        for stable in [true, false] {
            let tag = self.numbers << 1 | usize::from(stable);
            if self.queue.ask_ends(&partitions, stable, tag, ANSWER_TIMEOUT).is_err() {
                return self.fail(ticket, now);
            }
        }
        self.under_way = Some(Question { ticket, number: self.numbers, stable: None, high: None });
    }

    /// Asks anew after a pause, unless there is a newer question.
    fn fail(&mut self, ticket: u64, now: Instant) {
        self.under_way = None;
        self.control.serve();
        self.next.get_or_insert((ticket, now + RETRY_PAUSE));
    }
}
