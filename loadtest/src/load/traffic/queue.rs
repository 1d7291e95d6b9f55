//! What follows a record of orders, until it is due.

use std::collections::VecDeque;

/// Follow-ups of one kind. They all come equally long after their orders, so the first in is the first due.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(VecDeque<Entry>);

/// A record of orders of which some have a follow-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When the orders were due, in nanoseconds since the start.
    pub(super) placed_ns: u64,
    /// Number of their record.
    pub(super) record: u64,
}

impl Queue {
    /// Adds what follows orders that are due not before those of the call before.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.0.back().is_none_or(|last| last.placed_ns <= entry.placed_ns));
        self.0.push_back(entry);
    }

    /// When the orders were due whose follow-up is next; none if there is none.
    #[inline]
    pub(super) fn next_placed_ns(&self) -> Option<u64> {
        self.0.front().map(|entry| entry.placed_ns)
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.0.pop_front()
    }
}
