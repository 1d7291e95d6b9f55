//! The flags, with their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::parse_duration;
use crate::demo::DemoArgs;
use crate::wire::link::RULES_LEVEL;

/// `sluice`
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    about = "Order ingestion for shopping-festival peaks",
    long_about = "Reads orders from Kafka, reserves stock for each one in memory, refuses duplicates, and writes the \
                  decisions back exactly once, in batched transactional commits.",
    after_help = "Exit codes: 0 done, 1 failed or a check found a fault, 2 wrong flag, configuration, certificate or \
                  password, 3 Kafka out of reach.\n\nExamples:\n  sluice demo --for 30s\n  sluice topics create --config sluice.toml \
                  --partitions 12\n  sluice check --config sluice.toml\n  sluice run --config sluice.toml",
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
    /// Shows all of it at work on this machine, against an embedded broker, and verifies what it decided.
    Demo(DemoArgs),
    /// Runs the service until it is told to stop (SIGTERM or Ctrl-C).
    Run(RunArgs),
    /// Makes the topics as they must be, shows how they are, or lets their logs use newer rules.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Verifies the configuration and everything that the engine relies on in the cluster; `run` does so first.
    Check(CheckArgs),
    /// Prints the configuration in force and where each setting comes from; secrets are not shown.
    Config(ConfigCommand),
}

/// Where the configuration comes from; the same for every command that has one.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArgs {
    /// TOML file with what differs from the defaults.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Sets one key, over file and environment; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Brokers to ask first (kafka.bootstrap_servers).
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap_servers: Option<String>,
    /// Consumer group (kafka.group_id).
    #[arg(long, value_name = "NAME")]
    pub group_id: Option<String>,
    /// Where to serve metrics and health (http.listen).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http_listen: Option<String>,
    /// text or json (log.format).
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged (log.level).
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// `sluice run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// See `ConfigArgs`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Accept a cluster without replication, for development: nothing survives the loss of a broker.
    #[arg(long)]
    pub dev: bool,
    /// Go on where the log and the topics contradict each other (topics recreated, input trimmed): what is missing
    /// is lost, and orders may be decided a second time.
    #[arg(long)]
    pub accept_loss: bool,
}

/// `sluice check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// See `ConfigArgs`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Accept a cluster without replication, for development.
    #[arg(long)]
    pub dev: bool,
}

/// `sluice config`
#[derive(Clone, Debug, Args)]
pub struct ConfigCommand {
    /// See `ConfigArgs`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the default configuration instead, with the description of every key.
    #[arg(long)]
    pub default: bool,
}

/// `sluice topics …`
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Creates what is missing and writes the first record of each log. Changes nothing that is there.
    Create(CreateArgs),
    /// Shows each topic and what differs from how it must be; exits with 1 if something does.
    Describe(CheckArgs),
    /// Lets every shard use newer rules, while engines run. Engines that are older than the level can no longer take
    /// these shards then, and there is no way back: first upgrade all nodes.
    RaiseRules(RaiseRulesArgs),
}

/// `sluice topics create`
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// See `ConfigArgs`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Partitions of orders, stock and dead-letters: one shard each. How far the deployment may grow; cannot be changed
    /// afterwards.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: u32,
    /// Lanes: partitions of decisions, each the log of the shards p with p modulo LANES the same. A few for each core of all
    /// nodes; each costs the brokers its commits, and a node without a lane is a spare. Cannot be changed afterwards.
    /// Without it: as many as decisions has, if it is there; else a lane a shard for up to 8 shards, and above that 3 to 8.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub lanes: Option<u32>,
    /// Partitions of replies: about one for each checkout instance that waits for answers.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub reply_partitions: u32,
    /// Copies of each partition.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15), conflicts_with = "dev")]
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=15), conflicts_with = "dev")]
    pub min_insync: u16,
    /// How long an order id is remembered, for example 1h: a retry later than this is refused, never decided twice.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub window: Duration,
    /// By how much a client's clock may be ahead of the broker's.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub skew: Duration,
    /// Rules level at which logs begin. Lower it (0: no selling rules) while engines of an older version still run on this
    /// cluster.
    /// `sluice topics raise-rules` raises it later.
    #[arg(long, value_name = "N", default_value_t = RULES_LEVEL, value_parser = clap::value_parser!(u32).range(0..=i64::from(RULES_LEVEL)))]
    pub rules_level: u32,
    /// For development on one broker: one copy of everything.
    #[arg(long)]
    pub dev: bool,
}

/// `sluice topics raise-rules`
#[derive(Clone, Debug, Args)]
pub struct RaiseRulesArgs {
    /// See `ConfigArgs`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The level from here on. One that is not above a shard's present level changes nothing there.
    #[arg(long, value_name = "N", default_value_t = RULES_LEVEL, value_parser = clap::value_parser!(u32).range(1..=i64::from(RULES_LEVEL)))]
    pub level: u32,
    /// How long the shards may take to answer, for example 30s or 5m: engines decide what came before first.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
