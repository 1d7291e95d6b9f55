//! Open orders of a run of which more must be remembered than what their answers were: the lots that they take from, and
//! the day that they have. Decisions that end an order do not repeat it.
//!
//! Memory: some 130 bytes for each open order, and 16 for each part.

use std::collections::HashMap;

use crate::load::traffic::OrderId;

/// What one line of an order takes from one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Number of the SKU.
    pub(super) row: u32,
    /// Place of the line, from 0.
    pub(super) line: u32,
    /// Number of the lot.
    pub(super) lot: u32,
    pub(super) units: u32,
}

/// What is told of the delivery of an order. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) service: String,
    /// yyyymmdd.
    pub(super) day: u32,
    pub(super) cutoff_ms: i64,
    pub(super) hold_until_ms: i64,
}

/// An open order.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) told: Told,
    /// When its hold ends.
    pub(super) expires_at_ms: i64,
    pub(super) is_committed: bool,
    pub(super) parts: Box<[Part]>,
}

/// Generator, number and attempt of an order.
type Key = (u32, u64, u32);

/// The open orders of one pool.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<Key, Open>);

fn key(id: OrderId, attempt: u32) -> Key {
    (id.generator, id.number, attempt)
}

impl Held {
    /// An order was reserved.
    pub(super) fn add(&mut self, id: OrderId, attempt: u32, open: Open) {
        self.0.insert(key(id, attempt), open);
    }

    /// An order that is open; none if it is not.
    pub(super) fn get(&mut self, id: OrderId, attempt: u32) -> Option<&mut Open> {
        self.0.get_mut(&key(id, attempt))
    }

    /// An order is open no more.
    pub(super) fn end(&mut self, id: OrderId, attempt: u32) -> Option<Open> {
        self.0.remove(&key(id, attempt))
    }
}
