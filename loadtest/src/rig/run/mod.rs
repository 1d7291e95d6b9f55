//! A run: preparations, load, faults, drain, verification, report.

pub mod conduct; // one run, from the checks before it to the report after it
mod shelves; // the stock before the first order
mod interrupt; // Ctrl-C
mod watch; // what is looked at, second by second
pub mod usage; // CPU and memory of each side
mod facts; // what was found, as a report
mod remote; // engines and brokers that run elsewhere
mod peak; // `loadtest peak`

use std::sync::{Arc, Mutex};

use anyhow::anyhow;

pub use conduct::{Task, conduct};
pub use interrupt::Interrupt;
pub use peak::command as peak;

use crate::cli::{ClusterArgs, RunArgs, ScenarioArgs, Share};
use crate::failure::Failure;
use crate::load::generator::Target;
use crate::load::scenario::{self, Scenario};
use crate::load::traffic::RunId;
use crate::proof::reader::Topics;
use crate::proof::reader::consumer::Connection;
use crate::report::output;
use crate::report::result::Exit;
use crate::rig::faults::SharedRig;

impl Task {
    /// What the flags ask for, of one generator that is alone.
    ///
    /// # Errors
    /// A property is none.
    pub fn new(scenario: Scenario, args: &ScenarioArgs, cluster: &ClusterArgs, plain: bool) -> Result<Self, Failure> {
        let properties =
            cluster.client.iter().map(|written| crate::cli::property(written)).collect::<Result<_, _>>()?;
        Ok(Self {
            scenario,
            target: Target::new(cluster)?,
            connection: Connection { bootstrap: cluster.bootstrap_servers.clone(), properties },
            stock_topic: cluster.stock_topic.clone(),
            topics: Topics {
                decisions: cluster.decisions_topic.clone(),
                dead_letters: Some(cluster.dead_letters_topic.clone()),
            },
            share: Share { index: 0, of: 1 },
            run: RunId::draw(),
            start_at: None,
            real_pools: args.i_want_to_order_from_real_pools,
            plain,
        })
    }

    /// Whether the stock is verified here: by whoever has read since before it was there.
    pub fn follows_stock(&self) -> bool {
        self.share.index == 0
    }
}

/// `loadtest run`
///
/// # Errors
/// Nothing was sent, and why.
pub fn command(args: &RunArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario).map_err(Failure::usage)?;
    let thresholds = output::thresholds(&scenario.thresholds)?;
    remote::check(&scenario)?;
    let mut task = Task::new(scenario, &args.scenario, &args.cluster, args.output.plain)?;
    task.share = args.share.generator;
    task.start_at = args.share.start_at;
    if task.share.of > 1 && (args.share.run_id.is_none() || task.start_at.is_none()) {
        return Err(Failure::usage(anyhow!(
            "generators that share a run agree on its name and its start: give all of them the same --run-id and \
             --start-at"
        )));
    }
    task.run = args.share.run_id.unwrap_or(task.run);
    let rig: SharedRig = Arc::new(Mutex::new(remote::Remote));
    let interrupt = Interrupt::listen().map_err(Failure::environment)?;
    match conduct(&task, &rig, &interrupt)? {
        Some(report) => output::finish(report, &thresholds, &args.output),
        None => Ok(Exit::Interrupted),
    }
}
