//! The log protocol: who may write a shard's log, and what was written. ARCHITECTURE.md states its steps and why.
//!
//! [`take`] and [`commit`] are machines: they name an [`Action`](step::Action), are handed the
//! [`Event`](step::Event) that came of it, and own no thread, socket or clock. [`driver`] runs them against a
//! [`Broker`](crate::broker::Broker): in the service from the commit thread of a lane, under test from a scheduler that
//! lets many drivers do one action each in any order.

mod backoff;
pub mod batch;
pub mod commit;
pub mod driver;
mod genesis;
mod look;
mod owner;
pub mod read;
pub mod refusal;
pub mod replay;
pub mod settings;
pub mod step;
pub mod take;
mod taking;

#[cfg(test)]
mod tests;

pub use owner::Counts;
