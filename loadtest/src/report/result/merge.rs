//! Several generators that shared a run: their reports made one. Counts and histograms add; what all of them saw of the
//! same brokers and engine is taken once.

use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::report::{Ended, Finding, Report, Second, Usage, Verification};
use super::{OutcomeTotal, Side};

/// Why reports are not those of one run.
#[derive(Debug, Error, PartialEq)]
pub enum MergeError {
    /// No report was given.
    #[error("there is nothing to merge")]
    Nothing,
    /// They differ in what all generators of a run have in common.
    #[error("not one run: {what} is {first:?} in the first report and {other:?} in another")]
    NotOneRun {
        /// What differs.
        what: &'static str,
        /// In the first report.
        first: String,
        /// In the other.
        other: String,
    },
    /// The same generator twice: its orders would count twice.
    #[error("generator {} of the run is in two reports", .0 + 1)]
    Twice(u32),
    /// When a report's run began cannot be read.
    #[error("{0:?} is not a time of the form 2026-11-11T00:00:00Z")]
    Start(String),
}

/// Later than this after the first one, a generator's run was not the same run.
const LONGEST_START_GAP: Duration = Duration::from_secs(600);

impl Report {
    /// One report of all of a run's generators. Seconds are aligned by when each began. Thresholds are to be judged
    /// anew, and verdicts are empty; what limited the run is found anew.
    pub fn merge(reports: &[Self]) -> Result<Self, MergeError> {
        let first = reports.first().ok_or(MergeError::Nothing)?;
        let mut starts = Vec::new();
        for report in reports {
            same("the run", &first.meta.run_id, &report.meta.run_id)?;
            same("the scenario", &first.meta.scenario, &report.meta.scenario)?;
            same("the seed", &first.meta.seed.to_string(), &report.meta.seed.to_string())?;
            same("the scenario's text", &first.meta.scenario_toml, &report.meta.scenario_toml)?;
            let start = humantime::parse_rfc3339_weak(&report.meta.started_at);
            starts.push(start.map_err(|_| MergeError::Start(report.meta.started_at.clone()))?);
        }
        let began = starts.iter().copied().min().unwrap_or(SystemTime::UNIX_EPOCH);
        let delays: Vec<Duration> =
            starts.iter().map(|start| start.duration_since(began).unwrap_or_default()).collect();
        let earliest = delays.iter().position(Duration::is_zero).unwrap_or(0);
        for (report, delay) in reports.iter().zip(&delays) {
            if *delay > LONGEST_START_GAP {
                let started_at = |report: &Self| report.meta.started_at.clone();
                let (first, other) = (started_at(&reports[earliest]), started_at(report));
                return Err(MergeError::NotOneRun { what: "the start", first, other });
            }
        }

        let mut sum = reports[earliest].clone();
        sum.verdicts.clear();
        for (i, (report, delay)) in reports.iter().zip(&delays).enumerate() {
            if i != earliest {
                sum.add(report, delay.as_secs_f64())?;
            }
        }
        sum.meta.parts.sort_unstable();
        let missing = sum.meta.generators.saturating_sub(sum.meta.parts.len() as u32);
        if missing > 0 {
            let all = sum.meta.generators;
            sum.notes.push(format!("{missing} of the run's {all} generators are not in this report"));
        }
        sum.find_saturation();
        Ok(sum)
    }

    fn add(&mut self, other: &Self, delay_s: f64) -> Result<(), MergeError> {
        for part in &other.meta.parts {
            if self.meta.parts.contains(part) {
                return Err(MergeError::Twice(*part));
            }
            self.meta.parts.push(*part);
        }
        self.meta.host_cores = self.meta.host_cores.max(other.meta.host_cores);
        if self.ended == Ended::Completed {
            self.ended = other.ended.clone();
        }
        self.add_totals(other, delay_s);
        self.latency.add(&other.latency);
        self.generator_lag.add(&other.generator_lag);
        for (outcome, total) in &other.outcomes {
            let sum: &mut OutcomeTotal = self.outcomes.entry(outcome.clone()).or_default();
            sum.count += total.count;
            sum.latency.add(&total.latency);
        }
        let delay = delay_s.round() as usize;
        for (at, second) in (delay..).zip(&other.seconds) {
            while self.seconds.len() <= at {
                self.seconds.push(Second::new(self.seconds.len() as u32));
            }
            self.seconds[at].add(second);
        }
        for mark in &other.marks {
            let mut mark = mark.clone();
            mark.at_s += delay_s;
            if !self.marks.contains(&mark) {
                self.marks.push(mark);
            }
        }
        self.marks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        self.verification.add(&other.verification);
        if let Some(flood) = &other.flood {
            self.flood.get_or_insert_default().add(flood);
        }
        // All saw the same engines.
        self.known = self.known.or(other.known);
        for note in &other.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        Ok(())
    }

    fn add_totals(&mut self, other: &Self, delay_s: f64) {
        let (sum, more) = (&mut self.totals, &other.totals);
        let drained_s = (sum.load_s + sum.drain_s).max(delay_s + more.load_s + more.drain_s);
        sum.load_s = sum.load_s.max(delay_s + more.load_s);
        sum.drain_s = drained_s - sum.load_s;
        sum.asked += more.asked;
        sum.sent += more.sent;
        sum.acknowledged += more.acknowledged;
        sum.failed += more.failed;
        sum.unsent += more.unsent;
        sum.decided += more.decided;
        sum.poison += more.poison;
        sum.dead_letters += more.dead_letters;
        sum.records += more.records;
        sum.record_bytes += more.record_bytes;
        // Told by whoever follows the stock.
        sum.wanted_skus += more.wanted_skus;
        sum.quota += more.quota;
        sum.stranded += more.stranded;
        sum.kept += more.kept;
        sum.left_over += more.left_over;
        sum.rolled += more.rolled;
        sum.full += more.full;
        sum.too_late += more.too_late;
        sum.expired_sold += more.expired_sold;
    }
}

impl Second {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        self.decided += other.decided;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.latency.add(&other.latency);
        self.generator_lag_us = self.generator_lag_us.max(other.generator_lag_us);
        self.undecided += other.undecided;
        for (side, usage) in &other.usage {
            let sum = self.usage.entry(*side).or_default();
            *sum = match side {
                Side::Generator | Side::Reader => sum.plus(usage),
                Side::Broker | Side::Engine => sum.or(usage),
            };
        }
        // Of several hosts, the one that is nearest to its end.
        self.host_busy_cores = self.host_busy_cores.into_iter().chain(other.host_busy_cores).reduce(f64::max);
    }
}

impl Usage {
    /// Each generator has its own.
    fn plus(&self, other: &Self) -> Self {
        let rss_bytes = self.rss_bytes.into_iter().chain(other.rss_bytes).reduce(|a, b| a + b);
        Self { cores: self.cores + other.cores, rss_bytes }
    }

    /// All saw the same one.
    fn or(&self, other: &Self) -> Self {
        Self { cores: self.cores.max(other.cores), rss_bytes: self.rss_bytes.max(other.rss_bytes) }
    }
}

impl Verification {
    fn add(&mut self, other: &Self) {
        self.complete &= other.complete;
        self.checked += other.checked;
        for finding in &other.findings {
            match self.findings.iter_mut().find(|known| known.check == finding.check) {
                Some(known) => known.add(finding),
                None => self.findings.push(finding.clone()),
            }
        }
    }
}

impl Finding {
    fn add(&mut self, other: &Self) {
        // Whether stock was oversold or sold against a rule, each generator tells from everybody's decisions.
        self.count = if self.check.is_of_all() { self.count.max(other.count) } else { self.count + other.count };
        for example in &other.examples {
            if !self.examples.contains(example) {
                self.examples.push(example.clone());
            }
        }
    }
}

fn same(what: &'static str, first: &str, other: &str) -> Result<(), MergeError> {
    match first == other {
        true => Ok(()),
        false => Err(MergeError::NotOneRun { what, first: first.to_owned(), other: other.to_owned() }),
    }
}
