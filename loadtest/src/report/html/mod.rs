//! Reports to look at: one self-contained file, which opens offline, in light and dark, on a screen and a phone.

mod page; // the frame that everything stands in
mod chart; // what a chart shows
mod report; // the page of one run
mod compare; // the page of two runs

#[cfg(test)]
mod browser; // a headless Chromium that opens a page
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::report::result::Report;

/// Why a page cannot be written.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// The page of one run.
pub fn report(report: &Report) -> String {
    report::page(report)
}

/// The page of two runs side by side.
pub fn compare(before: &Report, after: &Report) -> String {
    compare::page(before, after)
}

/// Writes a page.
pub fn write(path: &Path, page: &str) -> Result<(), WriteError> {
    fs::write(path, page).map_err(|source| WriteError { path: path.to_owned(), source })
}
