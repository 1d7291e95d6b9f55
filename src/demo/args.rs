//! The flags of `sluice demo`, with their help.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::parse_duration;

/// `sluice demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Stop after this long, for example 30s or 2m. Without it and --orders: until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Stop after this many orders.
    #[arg(long, value_name = "N")]
    pub orders: Option<u64>,
    /// Orders a second that arrive.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=200_000))]
    pub rate: u64,
    /// The same seed gives the same orders. Without it one is drawn and printed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The broker to run against.
    #[arg(long, value_enum, default_value_t = DemoBroker::Mock)]
    pub broker: DemoBroker,
}

/// What `sluice demo` runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoBroker {
    /// librdkafka's mock cluster, in this process; keeps nothing.
    Mock,
    /// An Apache Kafka, fetched through Maven and started on free ports of this machine; needs Java 17.
    Kafka,
}
