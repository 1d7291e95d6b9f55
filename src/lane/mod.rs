//! A lane at work: the shards that share a log. Two halves, each a machine that is stepped, each with a thread of its own in the service:
//!
//! - **apply** ([`apply`]) polls both inputs, merges them by time ([`merge`]), asks the broker for its time when a hold
//!   is due ([`tick`]), decides each command and fills a batch;
//! - **commit** ([`commit`]) takes the shard, recovers its ledger, hands it to apply, and commits one batch after the
//!   other through [`crate::log`].
//!
//! They meet in the [`exchange`]: full batches one way, empty ones back. A batch is what arrived while the previous
//! commit was under way, within [`settings::BatchLimits`]. When it is full and the commit half is still busy, apply
//! stops polling and the consumer's bounded queue fills: back-pressure, never growth.
//!
//! A **life** is one ownership of the shard. When the commit half loses the shard it begins a new life; all that apply
//! holds of the former one (ledger, inputs, open batch) is dropped, unseen by anybody.
//!
//! [`Lane`] runs both halves on threads; the simulation steps them itself.

mod threads; // a thread for each half
pub mod apply; // the apply half: poll, merge, decide, hand over
mod life; // what apply does during one ownership of the lane
mod shard; // one shard at work: merge, decide, tick
mod parked; // a shard that does not work while its lane does
mod pending; // records received and not yet applied
pub mod merge; // which input's next record may be applied
pub mod tick; // when to ask the broker for its time
mod decide; // one record after the other: advance time, expire, validate, apply, encode
mod outbox; // the open batch
pub mod load; // how many lanes of a node commit
mod pace; // when the open batch is due, and when to ask for the ends
pub mod work; // a batch, its counts, and its recycled buffers
pub mod exchange; // what passes between the halves
pub mod commit; // the commit half: take, recover, commit, look, retake
pub mod recover; // brings ledgers to where their log ends
mod rebuild; // the same for one parked shard, while the lane goes on
mod panic; // the words of a panic
pub mod site; // where a lane works, and what it is told
pub mod status; // the figures that both halves keep while they work
mod shard_status; // those of one shard
pub mod snapshot; // what a lane told about itself at one moment
pub mod tally; // decisions counted by outcome and reason
pub mod settings; // what a lane is told at its start, and the bounds of what it holds
pub mod clock; // the two clocks of this machine, read nowhere else

#[cfg(test)]
mod tests;

pub use load::Load;
pub use settings::{BatchLimits, LaneSettings, LedgerSettings};
pub use site::LaneSite;
pub use snapshot::{LaneSnapshot, Phase, ShardSnapshot};
pub use status::LaneStatus;
pub use threads::{Lane, LaneEvent};

/// What a half wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do at once.
    Again,
    /// Nothing to do until something arrives, or this much time has passed.
    Wait(std::time::Duration),
    /// The half has ended and must not be stepped again.
    Ended,
}

/// Where what is kept for each input has that of `input`: `orders` first, `stock` second.
fn place(input: crate::broker::Input) -> usize {
    usize::from(input == crate::broker::Input::Stock)
}
