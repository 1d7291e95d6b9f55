//! The log protocol: who may write a shard's log, and what was written. ARCHITECTURE.md states its steps and why.
//!
//! [`take`] and [`commit`] are machines: they name an [`Action`](step::Action), are handed the
//! [`Event`](step::Event) that came of it, and own no thread, socket or clock. [`driver`] runs them against a
//! [`Broker`](crate::broker::Broker): in the service from the commit thread of a lane, under test from a scheduler that
//! lets many drivers do one action each in any order.

pub mod step; // what machines ask for, what came of it, and what that came to
pub mod driver; // carries out what a machine asks for, against a broker
mod owner; // one shard's side of the protocol, whole
mod taking; // becoming the only writer, and learning where the log ends
mod genesis; // whether a log is the log of the topics found
pub mod take; // recovering a shard that is being taken
pub mod replay; // what becomes of the links that a recovery reads
pub mod batch; // one batch of decided input, as apply hands it over
mod writer; // with which version the last owner wrote
pub mod commit; // one batch after the other into the log, and what to do after a fault
mod look; // whether the log holds the batch of an owner that met a fault
pub mod lost; // a shard that was lost, and what showed it
mod backoff; // how long to stay away after a fault
pub mod refusal; // why a shard is not taken, and what to do about it
pub mod read; // reading a log and checking that each record continues it
pub mod settings; // what the protocol is told at its start, and its bounds

#[cfg(test)]
mod tests;

pub use owner::Counts;
pub use writer::Writer;
