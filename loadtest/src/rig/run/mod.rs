//! A run: preparations, load, faults, drain, verification, report.

mod task; // what is to be run, and against what
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

pub use conduct::conduct;
pub use interrupt::Interrupt;
pub use peak::command as peak;
pub use task::Task;

use crate::cli::RunArgs;
use crate::failure::Failure;
use crate::load::scenario;
use crate::report::output;
use crate::report::result::Exit;
use crate::rig::faults::SharedRig;

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
