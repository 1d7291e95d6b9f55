//! A whole rehearsal on this machine: a real Apache Kafka, the engine, a run, and an orderly end.

pub mod engine; // the `sluice` binary at work
pub mod machine; // broker and engines, watched and broken

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use anyhow::anyhow;
use sluice::devbroker::{Cluster, DevBrokerError, Options};

use crate::cli::{ClusterArgs, LocalArgs, MachineArgs};
use crate::failure::Failure;
use crate::load::scenario::{self, Topics};
use crate::report::output;
use crate::report::result::Exit;
use crate::rig::faults::SharedRig;
use crate::rig::run::{Interrupt, Task, conduct};
use engine::{EngineError, Engines, Layout, TopicPlan, find_sluice};
use machine::LocalRig;

/// Shards where neither flags nor scenario say how many.
const SHARDS: u32 = 2;

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound { .. } => Self::usage(error),
            _ => Self::environment(error),
        }
    }
}

impl From<DevBrokerError> for Failure {
    fn from(error: DevBrokerError) -> Self {
        Self::environment(error)
    }
}

/// `loadtest local`
///
/// # Errors
/// Something could not be started.
pub fn command(args: &LocalArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario).map_err(Failure::usage)?;
    let thresholds = output::thresholds(&scenario.thresholds)?;
    let interrupt = Interrupt::listen().map_err(Failure::environment)?;
    let (rig, cluster) = start(&args.machine, scenario.topics, args.producer.clone())?;
    let task = Task::new(scenario, &args.scenario, &cluster, args.output.plain)?;
    let rig = Arc::new(Mutex::new(rig));
    let shared: SharedRig = rig.clone();
    let report = conduct(&task, &shared, &interrupt)?;
    say("stopping the engine and the broker");
    rig.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stop().map_err(Failure::Environment)?;
    match report {
        Some(report) => output::finish(report, &thresholds, &args.output),
        None => Ok(Exit::Interrupted),
    }
}

/// Starts what the flags ask for, with topics as the scenario asks for. Returns it, and how it is reached.
///
/// # Errors
/// Something is missing or does not start.
pub fn start(args: &MachineArgs, topics: Topics, producer: Vec<String>) -> Result<(LocalRig, ClusterArgs), Failure> {
    let sluice = find_sluice(args.sluice.as_deref())?;
    let settings = settings(&args.engine_set)?;
    say("starting an Apache Kafka (the first time it is fetched through Maven)");
    let cluster = Cluster::start(&Options { brokers: args.brokers, heap_mib: args.heap_mib, ..Options::default() })?;
    let bootstrap = cluster.bootstrap();
    let plan = TopicPlan { layout: layout(args, topics)?, replicated: args.brokers >= 3, memory: topics };
    let mut engines = Engines::prepare(sluice, &bootstrap, plan, &settings)?;
    say("starting the engine");
    (0..args.engines).try_for_each(|_| engines.add())?;
    engines.wait_ready()?;
    let reached = ClusterArgs {
        bootstrap_servers: bootstrap,
        client: Vec::new(),
        producer,
        orders_topic: "orders".to_owned(),
        stock_topic: "stock".to_owned(),
        decisions_topic: "decisions".to_owned(),
        dead_letters_topic: "dead-letters".to_owned(),
    };
    Ok((LocalRig::new(engines, cluster), reached))
}

/// Shards and lanes: as the flags say, else as the scenario says.
fn layout(args: &MachineArgs, topics: Topics) -> Result<Layout, Failure> {
    let of_scenario = |count: u32| Some(count).filter(|count| *count > 0);
    let shards = args.partitions.or(of_scenario(topics.partitions)).unwrap_or(SHARDS);
    // Those of a scenario suit its own shards, and fewer shards have no more lanes than there are of them.
    let lanes = args.lanes.or(of_scenario(topics.lanes).map(|lanes| lanes.min(shards)));
    match lanes.filter(|lanes| *lanes > shards) {
        Some(lanes) => Err(Failure::usage(anyhow!(
            "--lanes {lanes} is above the {shards} shards (--partitions): each lane is the log of one shard or more"
        ))),
        None => Ok(Layout { shards, lanes }),
    }
}

/// `section.key=value` as lines of TOML: a value that is none is a text.
fn settings(written: &[String]) -> Result<String, Failure> {
    let mut lines = String::new();
    for written in written {
        let (key, value) = crate::cli::property(written)?;
        let line = format!("{key} = {value}");
        let line = if line.parse::<toml::Table>().is_ok() { line } else { format!("{key} = {value:?}") };
        lines.push_str(&line);
        lines.push('\n');
    }
    Ok(lines)
}

fn say(text: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn flags_count_more_than_the_scenario_and_no_lane_is_without_a_shard() {
        let layout = |flags: &[&str], (partitions, lanes): (u32, u32)| {
            let flags = ["loadtest", "local"].iter().chain(flags);
            let Command::Local(args) = Cli::parse_from(flags).command else { panic!("it is local") };
            let layout = layout(&args.machine, Topics { partitions, lanes, ..Topics::default() }).ok()?;
            Some((layout.shards, layout.lanes))
        };
        assert_eq!(layout(&[], (0, 0)), Some((2, None)));
        assert_eq!(layout(&[], (48, 2)), Some((48, Some(2))));
        assert_eq!(layout(&["--partitions=1"], (48, 2)), Some((1, Some(1))));
        assert_eq!(layout(&["--partitions=12", "--lanes=3"], (48, 2)), Some((12, Some(3))));
        assert_eq!(layout(&["--lanes=3"], (0, 0)), None);
    }

    #[test]
    fn settings_of_the_engine_need_no_quotes() {
        let written = ["batch.max_bytes=2097152", "log.level=debug", "kafka.client_id=\"x\""].map(str::to_owned);
        let lines = settings(&written).expect("settings");
        assert_eq!(lines, "batch.max_bytes = 2097152\nlog.level = \"debug\"\nkafka.client_id = \"x\"\n");
        assert!(settings(&["batch".to_owned()]).is_err());
    }
}
