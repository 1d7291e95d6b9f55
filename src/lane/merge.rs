//! Which input's next record may be applied: the two inputs of a shard, merged by broker timestamp.
//!
//! Orders and stock at one instant: stock first. Within an input the order is that of offsets, so a record counts
//! with the highest timestamp up to it (a broker's clock may step back; offsets do not).
//!
//! | head of `orders` | head of `stock` | applied next |
//! |---|---|---|
//! | t | s ≤ t | stock |
//! | t | s > t | orders |
//! | t | none | orders, if `stock` was read to its last stable offset, asked for after the order was received |
//! | none | s | stock, if `orders` was read to its high watermark, asked for after the stock record was received |
//!
//! The ends differ on purpose. An upstream transaction left open on `stock` must not stop the sale; one left open on
//! `orders` may hold the Confirm that rescues a hold, so nothing that moves time on passes it.
//!
//! Records are kept as runs of equal time and equal ticket, because a broker stamps a whole producer batch alike: the
//! cost is a comparison a record and a queue entry a run.

use std::collections::VecDeque;

use thiserror::Error;

use crate::broker::{End, Ends, Input, Record, TimestampKind};

/// Why a batch of records was not taken. Both stop the shard: the first needs a person, the second a fresh start.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    /// The topic does not stamp its records itself, so its times are the clients'.
    #[error("record {offset} of {input:?} has no LogAppendTime; set message.timestamp.type=LogAppendTime on the topic")]
    NotLogAppendTime {
        /// Which input.
        input: Input,
        /// Offset of the record.
        offset: i64,
    },
    /// The consumer handed out an offset again, or one out of order: to apply it would be to decide it twice.
    #[error("record {offset} of {input:?} came after record {after}")]
    OutOfOrder {
        /// Which input.
        input: Input,
        /// Offset of the record.
        offset: i64,
        /// Offset of the record received before it.
        after: i64,
    },
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next `count` records of `input` may be applied, in order.
    Apply {
        /// Whose.
        input: Input,
        /// How many, at least 1.
        count: usize,
    },
    /// Hand in this ticket ([`crate::broker::Inputs::ask_ends`]), then ask again.
    AskEnds {
        /// Fresh, and higher than every one before.
        ticket: u64,
    },
    /// Nothing can be applied before a record, an answer or an advance of a position arrives.
    Wait,
}

/// Records that are alike to the merge.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The highest timestamp of the input up to these records.
    time_ms: i64,
    /// The last ticket handed in before they were received: an answer to a later one vouches for them.
    received_after: u64,
    /// How many of them are not applied yet.
    count: usize,
}

/// One input.
#[derive(Debug)]
struct Side {
    input: Input,
    runs: VecDeque<Run>,
    /// Highest timestamp received.
    time_ms: i64,
    /// Offset of the last record received, or the one before the first to be read.
    last_offset: i64,
    /// Every readable record below it has been received.
    position: i64,
    /// An answer to a ticket up to this one has been reached by `position`.
    reached: u64,
    /// The end to be reached next, and its ticket.
    end: Option<(u64, i64)>,
    /// The newest end beyond that one. Were it to replace the first, ends asked for faster than they are reached
    /// would hold a record back for ever.
    later: Option<(u64, i64)>,
}

impl Side {
    fn new(input: Input, from: i64) -> Self {
        Side {
            input,
            runs: VecDeque::new(),
            time_ms: i64::MIN,
            last_offset: from - 1,
            position: from,
            reached: 0,
            end: None,
            later: None,
        }
    }

    fn received<'a>(&mut self, ticket: u64, records: impl Iterator<Item = Record<'a>>) -> Result<(), MergeError> {
        let mut run = Run { time_ms: self.time_ms, received_after: ticket, count: 0 };
        for record in records {
            if record.timestamp_kind != TimestampKind::LogAppend {
                return Err(MergeError::NotLogAppendTime { input: self.input, offset: record.offset });
            }
            if record.offset <= self.last_offset {
                let (input, offset, after) = (self.input, record.offset, self.last_offset);
                return Err(MergeError::OutOfOrder { input, offset, after });
            }
            self.last_offset = record.offset;
            if record.timestamp_ms > run.time_ms {
                self.push(run);
                run.time_ms = record.timestamp_ms;
                run.count = 0;
            }
            run.count += 1;
        }
        self.push(run);
        Ok(())
    }

    fn push(&mut self, run: Run) {
        if run.count == 0 {
            return;
        }
        self.time_ms = run.time_ms;
        match self.runs.back_mut() {
            Some(last) if last.time_ms == run.time_ms && last.received_after == run.received_after => {
                last.count += run.count;
            }
            _ => self.runs.push_back(run),
        }
    }

    /// Latches the end once it is reached, so that a later answer, with a later end, takes nothing back.
    fn settle(&mut self) {
        while let Some((ticket, end)) = self.end
            && self.position >= end
        {
            self.reached = ticket;
            self.end = self.later.take();
        }
    }

    fn answered(&mut self, ticket: u64, end: i64) {
        let place = if self.end.is_none() { &mut self.end } else { &mut self.later };
        *place = Some((ticket, end));
        self.settle();
    }

    /// Number of records at the head for which `fits` holds.
    fn leading(&self, fits: impl Fn(&Run) -> bool) -> usize {
        self.runs.iter().take_while(|run| fits(run)).map(|run| run.count).sum()
    }

    fn applied(&mut self, mut count: usize) {
        while count > 0 {
            let head = self.runs.front_mut().expect("no more is applied than was received");
            if head.count > count {
                head.count -= count;
                return;
            }
            count -= head.count;
            self.runs.pop_front();
        }
    }
}

/// The merge of a shard's inputs. Holds times and counts; the records themselves stay with the caller.
#[derive(Debug)]
pub struct Merge {
    orders: Side,
    stock: Side,
    /// The last ticket handed in.
    ticket: u64,
    /// The newest ticket answered.
    answered: u64,
}

impl Merge {
    /// A merge that begins at these offsets.
    #[must_use]
    pub fn new(orders_from: i64, stock_from: i64) -> Self {
        Merge {
            orders: Side::new(Input::Orders, orders_from),
            stock: Side::new(Input::Stock, stock_from),
            ticket: 0,
            answered: 0,
        }
    }

    /// A merge that begins at these offsets, in the place of this one: answers to what this one asked tell it nothing.
    #[must_use]
    pub fn anew(&self, orders_from: i64, stock_from: i64) -> Self {
        Merge::after(self.ticket, orders_from, stock_from)
    }

    /// A merge that begins at these offsets, and whose tickets are all above `ticket`.
    #[must_use]
    pub fn after(ticket: u64, orders_from: i64, stock_from: i64) -> Self {
        Merge { ticket, answered: ticket, ..Merge::new(orders_from, stock_from) }
    }

    /// The last ticket handed in.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    fn side(&mut self, input: Input) -> &mut Side {
        match input {
            Input::Stock => &mut self.stock,
            Input::Orders | Input::Unspecified => &mut self.orders,
        }
    }

    /// These records were received, after all those before.
    pub fn received<'a>(&mut self, input: Input, records: impl Iterator<Item = Record<'a>>) -> Result<(), MergeError> {
        let ticket = self.ticket;
        self.side(input).received(ticket, records)
    }

    /// Every readable record of `input` below `position` has been received.
    pub fn position(&mut self, input: Input, position: i64) {
        let side = self.side(input);
        side.position = side.position.max(position);
        side.settle();
    }

    /// The brokers said where the inputs end. An answer to an older ticket than one answered before says nothing new.
    pub fn answered(&mut self, ends: Ends) {
        if ends.ticket <= self.answered || ends.ticket > self.ticket {
            return;
        }
        self.answered = ends.ticket;
        let (End { high, .. }, End { stable, .. }) = (ends.orders, ends.stock);
        self.orders.answered(ends.ticket, high);
        self.stock.answered(ends.ticket, stable);
    }

    /// Says what to do next. `Apply` repeats itself until [`Merge::applied`] is told of it. Without leave to ask, it is
    /// `Wait` where it would be `AskEnds`.
    pub fn what_next(&mut self, may_ask: bool) -> Next {
        let (orders, stock) = (self.orders.runs.front(), self.stock.runs.front());
        let (input, count, waiting) = match (orders, stock) {
            (None, None) => return Next::Wait,
            (Some(order), Some(stock)) if stock.time_ms <= order.time_ms => {
                let until = order.time_ms;
                (Input::Stock, self.stock.leading(|run| run.time_ms <= until), 0)
            }
            (Some(_), Some(stock)) => {
                let before = stock.time_ms;
                (Input::Orders, self.orders.leading(|run| run.time_ms < before), 0)
            }
            (Some(order), None) => {
                let reached = self.stock.reached;
                (Input::Orders, self.orders.leading(|run| run.received_after < reached), order.received_after)
            }
            (None, Some(stock)) => {
                let reached = self.orders.reached;
                (Input::Stock, self.stock.leading(|run| run.received_after < reached), stock.received_after)
            }
        };
        if count > 0 {
            return Next::Apply { input, count };
        }
        // A ticket is handed in only if no earlier one, answered or not, can vouch for the head. A fresh one each time
        // would move the end away as fast as the position follows it.
        if self.ticket > waiting || !may_ask {
            return Next::Wait;
        }
        Next::AskEnds { ticket: self.ask() }
    }

    /// A ticket to hand in while records of `input` may still be applied: nothing that was asked for vouches for the last
    /// of them, and nothing of the other input is here. Not before the last answer is, which it would replace.
    pub fn ask_ahead(&mut self, input: Input) -> Option<u64> {
        let (side, other) =
            if input == Input::Stock { (&self.stock, &self.orders) } else { (&self.orders, &self.stock) };
        let last = side.runs.back()?;
        let is_called_for = other.runs.is_empty() && last.received_after == self.ticket && self.unanswered().is_none();
        is_called_for.then(|| self.ask())
    }

    /// A fresh ticket to hand in.
    pub fn ask(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// The ticket that is not answered yet, to be handed in again when its answer is long in coming: an answer to the
    /// second asking vouches for what the first would have vouched for.
    #[must_use]
    pub fn unanswered(&self) -> Option<u64> {
        (self.ticket > self.answered).then_some(self.ticket)
    }

    /// The next `count` records of `input` were applied.
    pub fn applied(&mut self, input: Input, count: usize) {
        self.side(input).applied(count);
    }

    /// Highest timestamp received and not yet applied, if there is any.
    #[must_use]
    pub fn latest_pending_ms(&self) -> Option<i64> {
        let latest = |side: &Side| side.runs.back().map(|run| run.time_ms);
        latest(&self.orders).max(latest(&self.stock))
    }
}

#[cfg(test)]
mod tests;
