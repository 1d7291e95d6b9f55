//! A whole rehearsal on this machine: a real Apache Kafka, the engine, a run, and an orderly end.

pub mod engine; // the `sluice` binary at work
pub mod rig; // broker and engines, watched and broken

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluice::devbroker::{Cluster, DevBrokerError, Options};

use crate::cli::{ClusterArgs, LocalArgs, MachineArgs};
use crate::failure::Failure;
use crate::faults::SharedRig;
use crate::result::Exit;
use crate::run::{Interrupt, Task, conduct, output};
use crate::scenario;
use engine::{EngineError, Engines, TopicPlan, find_sluice};
use rig::LocalRig;

/// From then on a load is long enough for what the brokers' second compiler costs at first: with it 90 s of a steady day
/// have a p50 of 14 ms instead of 24, and 25 s a p99 of 103 ms instead of 84 (two cores, 40,000 orders/s).
const LONG_LOAD: Duration = Duration::from_secs(90);

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
    let lasts = scenario.profile().map_err(Failure::usage)?.duration();
    let (rig, cluster) = start(&args.machine, args.producer.clone(), lasts)?;
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

/// Starts what the flags ask for, for a load that lasts so long. Returns it, and how it is reached.
///
/// # Errors
/// Something is missing or does not start.
pub fn start(args: &MachineArgs, producer: Vec<String>, lasts: Duration) -> Result<(LocalRig, ClusterArgs), Failure> {
    let sluice = find_sluice(args.sluice.as_deref())?;
    let settings = settings(&args.engine_set)?;
    say("starting an Apache Kafka (the first time it is fetched through Maven)");
    let options = Options {
        brokers: args.brokers,
        heap_mib: args.heap_mib,
        second_compiler: lasts >= LONG_LOAD,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let bootstrap = cluster.bootstrap();
    let plan = TopicPlan { shards: args.partitions, replicated: args.brokers >= 3 };
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
    use super::*;

    #[test]
    fn settings_of_the_engine_need_no_quotes() {
        let written = ["batch.max_bytes=2097152", "log.level=debug", "kafka.client_id=\"x\""].map(str::to_owned);
        let lines = settings(&written).expect("settings");
        assert_eq!(lines, "batch.max_bytes = 2097152\nlog.level = \"debug\"\nkafka.client_id = \"x\"\n");
        assert!(settings(&["batch".to_owned()]).is_err());
    }
}
