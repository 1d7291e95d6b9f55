//! End to end: the real binary against a real Apache Kafka, which the harness fetches and starts.
//!
//! Every test has topics of its own and ends by reading all of them back. Those that disturb a broker start one of their
//! own; those that need the whole machine have it alone (`kafka::alone`).

#[path = "../support/mod.rs"]
mod support;

mod auditor;
mod brokers;
mod crash;
mod laned;
mod lanes;
mod loss;
mod operations;
mod outputs;
mod ownership;
mod python;
mod secure;
mod time;
mod volume;
