//! Sluice: order ingestion for shopping-festival peaks.
//!
//! Orders come in from Kafka, stock is reserved for them in memory, decisions go out in batched transactional commits,
//! exactly once. The modules, in the order in which an order flows, and after them what stands around its way:

#![warn(missing_docs)]

pub mod broker; // the seam to Kafka: what a shard needs of a broker, and one in memory for simulation
pub mod kafka; // the seam's real side, on librdkafka; the only place that names it, or uses unsafe
pub mod wire; // record bytes to commands and decisions to record bytes; the wire contract and its limits
pub mod ledger; // the pure core: apply(command, time) -> decision, replay(decision), dedup, expiry, digest
pub mod lane; // a shard at work: merging the inputs by time, batches, back-pressure, apply and commit threads
pub mod log; // the log protocol: taking a shard, links and their hashes, looking before sending again, recovery

pub mod node; // the control plane: membership, starting and stopping lanes, health, metrics, HTTP
pub mod config; // one TOML file, environment, flags
pub mod admin; // topics create and describe, and the checks that `check` and `run` make
pub mod demo; // `sluice demo`: all of it against an embedded broker
pub mod cli; // the commands of the `sluice` binary
pub mod devbroker; // a real Apache Kafka on loopback, for tests, benchmarks and the demo
