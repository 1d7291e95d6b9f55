//! The stream of records that a generator sends. Everything in it follows from the scenario, the seed and the
//! generator's number: the same seed is the same stream, to the byte (given the same run id, start and pools).
//!
//! What an order is follows from its number by a hash and not from a generator's state, so the verifier asks
//! [`Plan::order`] what order 4,711 was instead of remembering it, and its id says when it was due:
//!
//! - [`Stream`] appends record after record to a buffer, in the order in which they are due;
//! - [`OrderId`] is what an order id says: which run, generator, number, and when it was due;
//! - [`Plan`] says what the order of a number is: pool, channel, lines, fate;
//! - [`Movements`] are what the warehouse does meanwhile;
//! - [`stock`](mod@stock) has the records that set the rules and fill the shelves before the first order.

mod stream; // the records, in the order in which they are due
mod plan; // what the order of a number is
mod buyers; // who places it
mod channels; // through which channel
pub mod days; // days as rules, lots and orders are told them
mod floods; // from which pool, and which of them is stormed
mod popularity; // which SKU a line wants
mod pools; // names of pools, and their partitions
mod id; // order ids
mod queue; // what follows an order, when it is due
mod template; // prepared bytes, patched for each order
pub mod stock; // what is put on the shelves before
pub mod rules; // the selling rules that are set before that
mod movements; // what the warehouse does meanwhile
pub(crate) mod draw; // hashes, shares

#[cfg(test)]
mod tests;

pub(crate) use buyers::MAX_CUSTOMERS;
pub use buyers::customer_number;
pub use floods::{Floods, Shore};
pub use id::{ID_BYTES, MAX_GENERATORS, MAX_SKUS, OrderId, RunId, sku_name, sku_number};
pub use movements::{Moved, Movements, movement_number};
pub(crate) use plan::delay;
pub use plan::{Fate, Line, Order, Plan, Repeat};
pub use pools::{Pool, PoolSet};
pub use stream::{Record, Stream};
pub(crate) use template::MAX_QUANTITY;
pub use template::is_poison;

/// Who sends: what, beside the scenario, decides the bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the run.
    pub run: RunId,
    /// Seed of the traffic.
    pub seed: u64,
    /// Which generator, from 0.
    pub generator: u32,
    /// How many share the run.
    pub generators: u32,
    /// When the run starts, in milliseconds since the Unix epoch: `placed_at` counts from it.
    pub start_unix_ms: i64,
    /// The day that the days of the scenario are counted from: [`days::first_day`].
    pub first_day: i32,
}

/// What the commands of a record are. All of a record are alike. In the order in which records that are due at the same
/// time are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Cancels that are sent right before the record with their orders, due at the same time.
    CancelEarly,
    /// First copies of orders, attempt 0. Due at the order's own time.
    Place,
    /// No commands: bytes that cannot be read. Due right after a record of orders.
    Poison,
    /// Exact copies: due `duplicates.after` later.
    Duplicate,
    /// Copies with another quantity: due `duplicates.after` later.
    Changed,
    /// Confirms: due `confirm.after` later.
    Confirm,
    /// Cancels: due `cancel.after` later.
    Cancel,
    /// Orders of attempt 1: due `cancel.after` and `raise_attempt.after` later.
    Again,
    /// Shipments, which go to `stock`: due `confirm.after` and `ship.after` later.
    Ship,
    /// Movements of stock, which go there too and follow no order: [`Movements`].
    Move,
}

impl Kind {
    /// All of them, each at its own number: what is kept for each kind is indexed by `kind as usize`.
    pub const ALL: [Self; 10] = [
        Self::CancelEarly,
        Self::Place,
        Self::Poison,
        Self::Duplicate,
        Self::Changed,
        Self::Confirm,
        Self::Cancel,
        Self::Again,
        Self::Ship,
        Self::Move,
    ];

    /// Whether its commands are stock commands, and its records for that topic.
    #[inline]
    pub fn is_of_stock(self) -> bool {
        matches!(self, Self::Ship | Self::Move)
    }
}

const _: () = {
    let mut number = 0;
    while number < Kind::ALL.len() {
        assert!(Kind::ALL[number] as usize == number);
        number += 1;
    }
};
