//! Ratios of one run, held against those of an earlier one. Absolute figures say more about a machine and its
//! neighbours than about a change; two sides of one run share both.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Exit code of a benchmark that found a ratio below its bound.
pub(crate) const FELL: u8 = 3;

/// Ratios by benchmark and name; of each, larger is better.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// What the figures are, for people.
    about: String,
    /// By how much a ratio may fall, in percent.
    tolerance_percent: f64,
    ratios: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Baseline {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a baseline", path.display()))
    }

    /// Writes the ratios of `benchmark` in place of those that stand in the file.
    pub(crate) fn update(path: &Path, benchmark: &str, found: &BTreeMap<String, f64>) -> Result<()> {
        let mut baseline = Self::read(path)?;
        let rounded = found.iter().map(|(name, ratio)| (name.clone(), (ratio * 1_000.0).round() / 1_000.0));
        baseline.ratios.insert(benchmark.to_owned(), rounded.collect());
        std::fs::write(path, serde_json::to_string_pretty(&baseline)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Prints each ratio of `benchmark` beside its bound. Returns the names of those that fell below it; one that was
    /// not measured counts as fallen. A baseline without this benchmark would let everything pass: an error.
    pub(crate) fn fallen(&self, benchmark: &str, found: &BTreeMap<String, f64>) -> Result<Vec<String>> {
        let mut fallen = Vec::new();
        let ratios = self.ratios.get(benchmark);
        for (name, before) in ratios.with_context(|| format!("the baseline has no ratios of {benchmark}"))? {
            let bound = before * (1.0 - self.tolerance_percent / 100.0);
            let now = found.get(name).copied();
            let holds = now.is_some_and(|now| now >= bound);
            let now = now.map_or_else(|| "not measured".to_owned(), |now| format!("{now:.3}"));
            let verdict = if holds { "holds" } else { "FELL" };
            println!("{verdict:<6} {name}: {now}, at least {bound:.3} wanted, {before:.3} before");
            if !holds {
                fallen.push(name.clone());
            }
        }
        Ok(fallen)
    }
}
