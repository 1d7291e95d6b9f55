//! Proves from the decisions alone that each command of ours was answered once, rightly and in time, and that nothing
//! was sold that was not there. Knows the wire contract, and nothing of the engine.
//!
//! - [`Lane`] takes the log of one partition of `decisions` in, and takes it apart by the shard that each link names;
//! - [`Shard`] takes the decisions of one partition of the inputs in, in the order of its links: [`stock`] keeps what they say of the
//!   stock, [`moves`] what they say of what the warehouse does, [`rules`] what they say of selling rules and of what each
//!   customer has, [`channels`] of what each channel has, [`dated`] of days
//!   and lots, [`life`] what they say of each order, and what an answer must be
//!   after those before it, and [`memory`] for how long a row is known that nothing is in;
//! - what an order was (lines, copies, deadline) is recomputed from its number, not remembered;
//! - [`close`] compares what was answered with what was sent, at the end.
//!
//! Memory: 8 bytes for each order ([`lives`]), some 50 for each SKU and pool. Five minutes at 500,000 orders a second
//! take 1.2 GB; the limit is 4.3 billion orders of one generator.

mod lane; // the log of one lane, and whose each of its links is
mod shard; // the decisions of one shard, in the order of its links
mod stock; // what they say of the shelves: nothing sold that was not there
mod rules; // what they say of selling rules: nothing sold that they rule out
mod channels; // what they say of how stock is shared: no channel has more than its share
mod dated; // what they say of days: nothing sold for a day that cannot be had
mod delivery; // on which day each order must be delivered
mod zone; // instants of a local clock
mod lots; // from which lots each order must be taken
mod held; // what is remembered of open orders for it
mod moves; // what the warehouse does meanwhile
mod memory; // for how long a shard remembers
mod life; // the life of one order: each answer as the contract has it
mod lives; // what is known of every order, 8 bytes each
mod close; // the end: what was answered against what was sent
mod findings; // what was found wrong
#[cfg(test)]
mod tests;

pub use channels::Sharing;
pub use close::{Closed, SentUpTo, close};
pub use dated::Days;
pub use findings::Findings;
pub use lane::Lane;
pub use lives::{Lives, MOST_ORDERS};
pub use memory::Memory;
pub use moves::Moves;
pub use rules::Barred;
pub use shard::{Counted, Shard};

use sluice::wire::proto::Genesis;

use crate::load::traffic::{OrderId, Plan, PoolSet, RunId};

/// Version of a log that is that of one shard.
const LOG_OF_ONE_SHARD: u32 = 1;

/// How many shards and lanes there are, as the first record of a log says.
pub fn layout(genesis: &Genesis) -> (u32, u32) {
    let lanes = if genesis.version == LOG_OF_ONE_SHARD { genesis.partitions } else { genesis.lanes };
    (genesis.partitions, lanes)
}

/// What makes an order one of ours, and what it then was.
#[derive(Debug)]
pub struct Ours {
    /// Name of the run.
    pub run: RunId,
    /// Which generator's orders are followed one by one. Stock is followed for those of all.
    pub generator: u32,
    /// What that generator's orders are.
    pub plan: Plan,
    /// The pools of the run.
    pub pools: PoolSet,
    /// SKUs that each pool sells.
    pub skus: u32,
    /// Segments that customers of the run belong to.
    pub segments: Vec<String>,
    /// Whether stock is followed: only who has read since before it was put on the shelves can.
    pub follows_stock: bool,
    /// Whether the run sets selling rules: they are followed where stock is.
    pub ruled: bool,
    /// Whether days matter: orders are delivered by the day, or stock is lotted. They are followed where stock is.
    pub dated: bool,
    /// How long orders ask to be held.
    pub hold_ms: i64,
    /// What is known of each order.
    pub lives: Lives,
    /// What the warehouse does, if this generator sends it.
    pub moves: Moves,
}

impl Ours {
    /// Whether such an order can have been sent.
    fn plan_has(&self, id: OrderId, pool: u32) -> bool {
        id.number < MOST_ORDERS && self.plan.pool(id.number, id.due_us) == pool
    }
}
