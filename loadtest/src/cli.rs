//! The commands of `loadtest` and their flags, with their help.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};

use crate::load::profile::parse_rate;
use crate::load::scenario::MOST_PARTITIONS;

/// `loadtest`
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    version,
    about = "Rehearses a peak day against Sluice",
    long_about = "Sends orders when they are due, whatever the engine does meanwhile, measures from that instant to \
                  the moment the decision is readable, and proves from the decisions that every order was answered \
                  once and rightly.",
    after_help = "Exit codes: 0 done, every threshold held and every decision is right; 1 a threshold was missed or \
                  the verification found something; 2 wrong flag, scenario or file, nothing was sent; 3 Kafka or the \
                  engine out of reach; 130 stopped by Ctrl-C.\n\nExamples:\n  loadtest scenarios\n  loadtest local \
                  --scenario smoke\n  loadtest run --scenario festival-opening --rate 100k --bootstrap-servers \
                  kafka:9092 --html report.html\n  loadtest peak --slo p99=50ms --scenario steady-day",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a scenario against a cluster and an engine that are there.
    Run(RunArgs),
    /// Starts a Kafka and the engine on this machine, runs a scenario, stops them.
    Local(LocalArgs),
    /// Searches for the highest rate that holds an objective.
    Peak(PeakArgs),
    /// Sends the orders of a scenario and reads nothing back: shows what the generator itself costs and can do.
    Generate(GenerateArgs),
    /// Lists the scenarios, or explains one.
    Scenarios(ScenariosArgs),
    /// Puts two results side by side.
    Compare(CompareArgs),
    /// Shows a stored result again: table, HTML, Bencher metrics.
    Report(ReportArgs),
    /// Makes one result of those of several generators that shared a run.
    Merge(MergeArgs),
}

/// Which scenario, and what is changed in it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Scenario")]
pub struct ScenarioArgs {
    /// A scenario by name (see `loadtest scenarios`) or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE", default_value = "smoke")]
    pub scenario: String,
    /// Highest rate of the profile in orders a second, for example 50000 or 50k: the whole profile is scaled to it.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Length of the profile, for example 30s: it is stretched or compressed to it, and its faults with it; rates stay.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Seed of the traffic: the same seed is the same stream.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Sets one key of the scenario, for example --set traffic.orders_per_record=50; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Allow pools whose names do not begin with `rehearsal-`: real stock will be sold to orders that nobody placed.
    #[arg(long)]
    pub i_want_to_order_from_real_pools: bool,
}

/// Which cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Brokers to ask first.
    #[arg(long, value_name = "HOST:PORT,...", env = "LOADTEST_BOOTSTRAP_SERVERS", default_value = "localhost:9092")]
    pub bootstrap_servers: String,
    /// A librdkafka property for every client, for example --client security.protocol=SASL_SSL; may be repeated.
    #[arg(long = "client", value_name = "PROPERTY=VALUE")]
    pub client: Vec<String>,
    /// A librdkafka property for the generator's producer, for example --producer linger.ms=1; may be repeated.
    #[arg(long = "producer", value_name = "PROPERTY=VALUE")]
    pub producer: Vec<String>,
    /// Where orders are published.
    #[arg(long, value_name = "TOPIC", default_value = "orders")]
    pub orders_topic: String,
    /// Where stock commands are published.
    #[arg(long, value_name = "TOPIC", default_value = "stock")]
    pub stock_topic: String,
    /// Where decisions are read.
    #[arg(long, value_name = "TOPIC", default_value = "decisions")]
    pub decisions_topic: String,
    /// Where dead letters are read.
    #[arg(long, value_name = "TOPIC", default_value = "dead-letters")]
    pub dead_letters_topic: String,
}

/// Where the result goes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Result")]
pub struct OutputArgs {
    /// Store the result, histograms included, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one HTML file that opens offline.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Bencher metric format; - for standard output.
    #[arg(long, value_name = "FILE")]
    pub bencher: Option<PathBuf>,
    /// No live view: a line a second instead. So it is without a terminal, too.
    #[arg(long)]
    pub plain: bool,
}

/// How this process shares a run with others.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sharing a run")]
pub struct ShareArgs {
    /// Which generator this is, and of how many: each sends its share of the rate. The first one publishes the stock.
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = parse_share)]
    pub generator: Share,
    /// Name of the run, the same for all who share it; up to 6 letters or digits. Without it one is drawn.
    #[arg(long, value_name = "ID", value_parser = crate::load::traffic::RunId::parse)]
    pub run_id: Option<crate::load::traffic::RunId>,
    /// When the first order is due, the same for all who share the run (RFC 3339, for example 2026-11-11T00:00:00Z).
    /// Without it: as soon as everything is ready.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub start_at: Option<SystemTime>,
}

/// One of several generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one, from 0.
    pub index: u32,
    /// How many.
    pub of: u32,
}

/// `loadtest run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// See `ScenarioArgs`.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// See `ClusterArgs`.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// See `ShareArgs`.
    #[command(flatten)]
    pub share: ShareArgs,
    /// See `OutputArgs`.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is started on this machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "This machine")]
pub struct MachineArgs {
    /// Brokers: 1, or 3 with replication 3 and min.insync 2.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_brokers)]
    pub brokers: u16,
    /// Engine processes, which share the shards.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub engines: u16,
    /// Shards: partitions of orders and stock. Without it: as the scenario says, or two.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PARTITIONS)))]
    pub partitions: Option<u32>,
    /// Lanes: partitions of decisions, which the shards share. Without it: as the scenario says, or as the engine has it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PARTITIONS)))]
    pub lanes: Option<u32>,
    /// Java heap of each broker, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(256..))]
    pub heap_mib: u32,
    /// The engine's program. Without it: `sluice` beside this one.
    #[arg(long, value_name = "FILE")]
    pub sluice: Option<PathBuf>,
    /// Sets one key of the engine's configuration; may be repeated.
    #[arg(long = "engine-set", value_name = "SECTION.KEY=VALUE")]
    pub engine_set: Vec<String>,
}

/// `loadtest local`
#[derive(Clone, Debug, Args)]
pub struct LocalArgs {
    /// See `ScenarioArgs`.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// See `MachineArgs`.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// A librdkafka property for the generator's producer, for example --producer linger.ms=1; may be repeated.
    #[arg(long = "producer", value_name = "PROPERTY=VALUE")]
    pub producer: Vec<String>,
    /// See `OutputArgs`.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `loadtest peak`
#[derive(Clone, Debug, Args)]
pub struct PeakArgs {
    /// What must hold, for example p99=50ms; may be repeated. Lost or wrong answers never hold.
    #[arg(long, value_name = "METRIC=VALUE", required = true)]
    pub slo: Vec<String>,
    /// See `peak::SearchArgs`.
    #[command(flatten)]
    pub search: crate::report::peak::SearchArgs,
    /// Run against this cluster and the engine on it, instead of starting both on this machine.
    #[arg(long)]
    pub remote: bool,
    /// See `ScenarioArgs`.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// See `ClusterArgs`; used with --remote only.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// See `MachineArgs`; not used with --remote.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// See `OutputArgs`: of the best run that held.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `loadtest generate`
#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// See `ScenarioArgs`.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// See `ClusterArgs`.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// See `ShareArgs`.
    #[command(flatten)]
    pub share: ShareArgs,
    /// Make the records and send them nowhere: the cost of making them alone.
    #[arg(long, conflicts_with = "own_broker")]
    pub dry_run: bool,
    /// Start a broker on this machine and send to that.
    #[arg(long)]
    pub own_broker: bool,
    /// Send as fast as it goes instead of when it is due.
    #[arg(long)]
    pub flat_out: bool,
    /// Partitions, for --dry-run and --own-broker.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub partitions: u32,
}

/// `loadtest scenarios`
#[derive(Clone, Debug, Args)]
pub struct ScenariosArgs {
    /// Explain this one: what it is for, its profile, its traffic, its thresholds, its file.
    #[arg(value_name = "NAME|FILE")]
    pub name: Option<String>,
}

/// `loadtest compare`
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// The result that is compared with.
    #[arg(value_name = "A.json")]
    pub before: PathBuf,
    /// The result that is compared.
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
    /// Write the comparison as one HTML file, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `loadtest report`
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// A stored result.
    #[arg(value_name = "RESULT.json")]
    pub result: PathBuf,
    /// Write the report as one HTML file that opens offline.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Bencher metric format; - for standard output.
    #[arg(long, value_name = "FILE")]
    pub bencher: Option<PathBuf>,
}

/// `loadtest merge`
#[derive(Clone, Debug, Args)]
pub struct MergeArgs {
    /// The results of all generators of one run.
    #[arg(value_name = "RESULT.json", required = true, num_args = 1..)]
    pub results: Vec<PathBuf>,
    /// See `OutputArgs`.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `key=value`, as --client and --producer have it.
pub fn property(written: &str) -> Result<(String, String), crate::failure::Failure> {
    match written.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(crate::failure::Failure::usage(anyhow::anyhow!(
            "{written:?} must be property=value, for example linger.ms=1"
        ))),
    }
}

fn parse_share(text: &str) -> Result<Share, String> {
    let share = text.split_once('/').and_then(|(i, n)| Some((i.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
    match share {
        Some((i, of)) if (1..=of).contains(&i) && of <= crate::load::traffic::MAX_GENERATORS => {
            Ok(Share { index: i - 1, of })
        }
        _ => Err(format!(
            "which one of how many, for example 2/3; up to {} share a run",
            crate::load::traffic::MAX_GENERATORS
        )),
    }
}

fn parse_brokers(text: &str) -> Result<u16, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1, or 3 for replication 3 and min.insync 2".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_generator_is_one_of_those_that_share() {
        assert_eq!(parse_share("2/3"), Ok(Share { index: 1, of: 3 }));
        for wrong in ["0/1", "2/1", "1", "1/", "/2", "a/b", "1/100000"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }
}
