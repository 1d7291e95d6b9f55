//! Stored results: those of several generators made one, or one shown again.

use crate::cli::{MergeArgs, OutputArgs, ReportArgs};
use crate::failure::Failure;
use crate::load::scenario::Scenario;
use crate::report::output;
use crate::report::result::{Exit, Report};

/// `loadtest merge`
///
/// # Errors
/// A file is no result, or they are not those of one run.
pub fn command(args: &MergeArgs) -> Result<Exit, Failure> {
    let reports =
        args.results.iter().map(|path| Report::load(path)).collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
    let merged = Report::merge(&reports).map_err(Failure::usage)?;
    // The scenario stands in the results: nobody has to find the file that it was.
    let scenario: Scenario = toml::from_str(&merged.meta.scenario_toml).map_err(Failure::usage)?;
    let thresholds = output::thresholds(&scenario.thresholds)?;
    output::finish(merged, &thresholds, &args.output)
}

/// `loadtest report`
///
/// # Errors
/// The file is no result.
pub fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let report = Report::load(&args.result).map_err(Failure::usage)?;
    let (html, bencher) = (args.html.clone(), args.bencher.clone());
    output::write(&report, &OutputArgs { html, bencher, ..OutputArgs::default() })?;
    Ok(Exit::Ok)
}
