//! Where a result goes: standard output and files.

use std::io::{self, Write};

use anyhow::Context;

use crate::cli::OutputArgs;
use crate::failure::Failure;
use crate::report::bencher;
use crate::report::html;
use crate::report::result::{Exit, Report, Threshold};

/// Thresholds as a scenario has them.
///
/// # Errors
/// One cannot be read.
pub fn thresholds(written: &[String]) -> Result<Vec<Threshold>, Failure> {
    written.iter().map(|written| written.parse().map_err(Failure::usage)).collect()
}

/// Judges a result, prints it, writes its files; what the process answers with.
///
/// # Errors
/// A file cannot be written.
pub fn finish(mut report: Report, thresholds: &[Threshold], output: &OutputArgs) -> Result<Exit, Failure> {
    report.judge(thresholds);
    write(&report, output)?;
    Ok(report.exit())
}

/// Prints a result and writes its files.
///
/// # Errors
/// A file cannot be written.
pub fn write(report: &Report, output: &OutputArgs) -> Result<(), Failure> {
    // The files first: whoever reads standard output may have had enough of it.
    if let Some(path) = &output.json {
        report.save(path).map_err(Failure::environment)?;
    }
    if let Some(path) = &output.html {
        html::write(path, &html::report(report)).map_err(Failure::environment)?;
    }
    if let Some(path) = &output.bencher {
        let wrote = bencher::write(path, report).with_context(|| format!("cannot write {}", path.display()));
        wrote.map_err(Failure::Environment)?;
    }
    say(&report.table());
    Ok(())
}

fn say(text: &str) {
    // Nobody listens: the exit code still tells how it ended.
    let _ = writeln!(io::stdout(), "{text}");
}
