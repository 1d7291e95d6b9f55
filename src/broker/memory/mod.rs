//! A Kafka-like cluster in memory, with the semantics of the real one and faults on demand.
//!
//! [`Cluster`] is the cluster and the hand of God: clock, topics, elections, retention, faults, producers of input and
//! readers of output. [`Cluster::node`] gives a [`MemoryBroker`], which is the cluster as one node of the engine sees
//! it, and which can be cut off. Both are handles on one state behind one mutex.
//!
//! What is as in Apache Kafka 3.6 and newer, with clients that lack KIP-890 (librdkafka):
//! - a partition is a row of entries, one offset each: records, and the markers that end transactions in it;
//! - records are stamped by the cluster's clock when they are appended, and the clock may be set back;
//! - a transaction is open from its first record until its markers are written; the last stable offset is that of the
//!   first open record, and nothing at or above it is readable; aborted records are skipped;
//! - the transaction coordinator keeps a producer id and an epoch for each transactional.id: init raises the epoch,
//!   which fences all earlier producers, aborts an open transaction and completes a prepared one;
//! - a commit succeeds once the coordinator has *prepared* it; the markers may follow later;
//! - a record is refused in a partition that the coordinator doesn't have in the ongoing transaction, so records after
//!   a stray EndTxn fail there; partitions that the transaction had not yet touched start another one;
//! - fetching below the start or beyond the end is out of range; so is going on after an election that lost what the
//!   fetcher had read.
//!
//! Nothing blocks: time-outs are ignored and a wait returns at once. Nothing is dropped: memory grows with what is
//! published, until [`Cluster::trim`]. A node that freezes needs no fault: its scheduler doesn't step it.
//!
//! ```
//! use sluice::broker::memory::{Cluster, Message, Partitions, Topic};
//! use sluice::broker::{Broker, Input, Inputs, Position, ReadFrom, Records};
//!
//! let cluster = Cluster::new(Partitions::new(1), 1_700_000_000_000);
//! cluster.publish(Topic::Orders, 0, Message::value("an order")).unwrap();
//!
//! let mut inputs = cluster.node().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).unwrap();
//! let records = inputs.poll(0, Input::Orders, 100).unwrap().unwrap();
//! assert_eq!(records.get(0).value, Some(&b"an order"[..]));
//! ```

mod cluster; // the cluster as its operator, its clients and its nodes see it
mod state; // what all handles share
mod partition; // one partition, and what of it may be read
mod transactions; // the transaction coordinator
mod upstream; // transactional producers from outside of the engine
mod inputs; // the inputs of a lane's shards
mod writer; // the transactional producer of a lane
mod reader; // the reader of a lane's log
mod faults; // what may go wrong, and when

#[cfg(test)]
mod tests;

pub use cluster::{Cluster, MemoryBroker, Partitions};
pub use faults::{Call, FaultPlan, Faults, LATEST_CALLS, LONGEST_STREAK_CALLS, Rates, Site, Trouble};
pub use inputs::{MemoryInputs, MemoryRecords};
pub use partition::{Message, Stored};
pub use reader::{MAX_READ_RECORDS, MemoryReader};
pub use state::Topic;
pub use upstream::Upstream;
pub use writer::MemoryWriter;
