//! `loadtest peak`: trials of a scenario's traffic at constant rates, on one broker and one engine.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;

use super::remote::Remote;
use super::{Interrupt, Task, conduct};
use crate::cli::PeakArgs;
use crate::failure::Failure;
use crate::load::scenario::{self, ProfileSpec, Scenario};
use crate::load::traffic::RunId;
use crate::report::output;
use crate::report::peak::{Trial, search};
use crate::report::result::{Ended, Exit, Report, Threshold};
use crate::rig::faults::SharedRig;
use crate::rig::local;

/// What ends a search without a result.
enum Stopped {
    Failed(Failure),
    Interrupted,
}

/// `loadtest peak`
///
/// # Errors
/// What is needed is not there.
pub fn command(args: &PeakArgs) -> Result<Exit, Failure> {
    let objectives: Vec<Threshold> = args
        .slo
        .iter()
        .map(|written| Threshold::parse_objective(written).map_err(Failure::usage))
        .collect::<Result<_, _>>()?;
    let scenario = scenario::load(&args.scenario).map_err(Failure::usage)?;
    let interrupt = Interrupt::listen().map_err(Failure::environment)?;
    if args.remote {
        let rig: SharedRig = Arc::new(Mutex::new(Remote));
        let task = Task::new(scenario, &args.scenario, &args.cluster, args.output.plain)?;
        return find(args, &objectives, task, &rig, &interrupt);
    }
    let (rig, cluster) = local::start(&args.machine, scenario.topics, args.cluster.producer.clone())?;
    let task = Task::new(scenario, &args.scenario, &cluster, args.output.plain)?;
    let rig = Arc::new(Mutex::new(rig));
    let shared: SharedRig = rig.clone();
    let found = find(args, &objectives, task, &shared, &interrupt);
    rig.lock().unwrap_or_else(PoisonError::into_inner).stop().map_err(Failure::Environment)?;
    found
}

fn find(
    args: &PeakArgs,
    objectives: &[Threshold],
    task: Task,
    rig: &SharedRig,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let mut best: Option<(f64, Report)> = None;
    let trial = |rate: f64| {
        let task = Task { scenario: at(&task.scenario, rate, args), run: RunId::draw(), ..task.clone() };
        let report = conduct(&task, rig, interrupt).map_err(Stopped::Failed)?.ok_or(Stopped::Interrupted)?;
        if report.ended == Ended::Interrupted {
            return Err(Stopped::Interrupted);
        }
        let (report, trial) = judge(report, objectives)?;
        say(&format!("{rate:>12.0} orders/s: {trial:?}"));
        if trial == Trial::Held && best.as_ref().is_none_or(|(best, _)| *best < rate) {
            best = Some((rate, report));
        }
        Ok(trial)
    };
    let peak = match search(&args.search, trial) {
        Ok(peak) => peak,
        Err(Stopped::Interrupted) => return Ok(Exit::Interrupted),
        Err(Stopped::Failed(failure)) => return Err(failure),
    };
    if let Some((_, report)) = &best {
        output::write(report, &args.output)?;
    }
    // Nobody listens: the exit code still tells whether there is a peak.
    let _ = writeln!(io::stdout(), "{peak}");
    Ok(if peak.rate.is_some() { Exit::Ok } else { Exit::Failed })
}

/// The traffic of a scenario at one rate; nothing is broken or moved meanwhile, and what is sold is sold from
/// the start.
fn at(scenario: &Scenario, rate: f64, args: &PeakArgs) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.profile = ProfileSpec::Constant { rate, duration: args.search.trial };
    scenario.faults.clear();
    scenario.rules = scenario.rules.without_instants();
    scenario.traffic = scenario.traffic.without_instants();
    scenario.warehouse.clear();
    scenario.drain.engine_starts_at = std::time::Duration::ZERO;
    scenario.thresholds.clone_from(&args.slo);
    scenario
}

fn judge(mut report: Report, objectives: &[Threshold]) -> Result<(Report, Trial), Stopped> {
    report.judge(objectives);
    let missed = report.verdicts.iter().find(|verdict| !verdict.held);
    let trial = match &report.ended {
        Ended::Broken(why) => return Err(Stopped::Failed(Failure::environment(anyhow!(why.clone())))),
        _ if !report.is_verified() => Trial::Missed("the decisions are not as they must be".to_owned()),
        _ if report.saturation.generator_bound => Trial::GeneratorBound(report.saturation.explained.clone()),
        _ => missed.map_or(Trial::Held, |missed| Trial::Missed(format!("{}: {}", missed.threshold, missed.found))),
    };
    Ok((report, trial))
}

fn say(text: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
