//! Thresholds: `p99 < 50ms`, `lost == 0`, `decided_rate >= 100k`. They decide what the process answers with.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::format::quantity;
use super::metric::{Metric, MetricError, Unit};
use super::{Ended, Exit, Report, Verdict};

/// A figure, a comparison and a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    written: String,
    metric: Metric,
    comparison: Comparison,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    Unequal,
}

/// Longer ones first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

#[derive(Clone, Debug, PartialEq)]
enum Limit {
    /// In the figure's own unit.
    Figure(f64),
    /// In percent of what the figure is a part of.
    Share(f64),
    /// Another figure of the run, in the same unit.
    Other(Metric),
}

/// Why a threshold cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum ThresholdError {
    /// There is nothing to compare by.
    #[error("threshold {0:?} has no comparison: write it as \"p99 < 50ms\"; known are < <= > >= == !=")]
    NoComparison(String),
    /// The figure on the left is not known.
    #[error("threshold {written:?}: {source}")]
    Metric {
        /// As written.
        written: String,
        /// What is wrong with it.
        source: MetricError,
    },
    /// The limit on the right cannot be read.
    #[error("threshold {written:?}: {limit:?} is no limit for {metric}; {expected}")]
    Limit {
        /// As written.
        written: String,
        /// The figure.
        metric: String,
        /// What stands on the right.
        limit: String,
        /// What could stand there.
        expected: &'static str,
    },
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let written = written.trim();
        let found = written.find(['<', '>', '=', '!']).and_then(|at| {
            let (left, rest) = written.split_at(at);
            let (sign, comparison) = COMPARISONS.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
            Some((left, comparison, &rest[sign.len()..]))
        });
        let (left, comparison, right) = found.ok_or_else(|| ThresholdError::NoComparison(written.to_owned()))?;
        Self::new(written, left, comparison, right)
    }
}

impl Threshold {
    /// Reads an objective as `--slo` has it: a threshold, or `p99=50ms`, where the limit is what is still good: at
    /// least that rate, at most that of anything else.
    pub fn parse_objective(written: &str) -> Result<Self, ThresholdError> {
        match written.split_once('=') {
            Some((left, right)) if !left.ends_with(['<', '>', '!']) && !right.starts_with('=') => {
                let rate = Metric::parse(left).is_ok_and(|metric| metric.unit() == Unit::Rate);
                let (sign, comparison) = if rate { (">=", Comparison::AtLeast) } else { ("<=", Comparison::AtMost) };
                Self::new(&format!("{} {sign} {}", left.trim(), right.trim()), left, comparison, right)
            }
            _ => written.parse(),
        }
    }

    fn new(written: &str, left: &str, comparison: Comparison, right: &str) -> Result<Self, ThresholdError> {
        let metric =
            Metric::parse(left).map_err(|source| ThresholdError::Metric { written: written.to_owned(), source })?;
        let other = Metric::parse(right).ok().filter(|other| other.unit() == metric.unit());
        let limit = match other {
            Some(other) => Limit::Other(other),
            None => Limit::parse(right.trim(), metric.unit()).map_err(|expected| ThresholdError::Limit {
                written: written.to_owned(),
                metric: metric.to_string(),
                limit: right.trim().to_owned(),
                expected,
            })?,
        };
        Ok(Self { written: written.to_owned(), metric, comparison, limit })
    }

    /// Whether the run kept to it. What was not measured does not hold.
    pub fn judge(&self, report: &Report) -> Verdict {
        let unit = self.metric.unit();
        let (value, limit, found) = match (self.metric.value(report), &self.limit) {
            (None, _) => (None, None, "not measured".to_owned()),
            (Some(value), Limit::Figure(limit)) => (Some(value), Some(*limit), quantity(value, unit)),
            (Some(value), Limit::Share(limit)) => {
                let whole = self.metric.whole(report);
                let share = if whole > 0.0 { value / whole * 100.0 } else { 0.0 };
                (Some(share), Some(*limit), quantity(share, Unit::Percent))
            }
            (Some(value), Limit::Other(other)) => {
                let limit = other.value(report);
                let told = limit.map_or("not measured".to_owned(), |limit| quantity(limit, unit));
                (Some(value), limit, format!("{}, and {other} is {told}", quantity(value, unit)))
            }
        };
        let held = value.zip(limit).is_some_and(|(value, limit)| self.comparison.holds(value, limit));
        Verdict { threshold: self.written.clone(), found, held }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
        }
    }
}

impl Limit {
    /// Says what could stand there if it cannot be read.
    fn parse(written: &str, unit: Unit) -> Result<Self, &'static str> {
        let split = written.find(|c: char| !c.is_ascii_digit() && !"._-+".contains(c)).unwrap_or(written.len());
        let (number, suffix) = written.split_at(split);
        let number = number.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
        let suffix = suffix.trim();
        let share = |number: Option<f64>| number.map(Self::Share);
        let figure = |number: Option<f64>, factor: Option<f64>| Some(Self::Figure(number? * factor?));
        match unit {
            Unit::Time => figure(number, time(suffix)).ok_or("a time has a unit: 800us, 50ms, 1.5s"),
            Unit::Bytes => figure(number, bytes(suffix)).ok_or("a size has a unit: 512MiB, 2GiB"),
            Unit::Count if suffix == "%" => share(number).ok_or("write a number: 1000, 20k, 1.5M, 0.1%"),
            Unit::Count => figure(number, thousands(suffix)).ok_or("write a number: 1000, 20k, 1.5M, 0.1%"),
            Unit::Rate => figure(number, thousands(suffix.strip_suffix("/s").unwrap_or(suffix)))
                .ok_or("write commands a second: 50000, 100k, 1.2M"),
            Unit::Cores => figure(number, suffix.is_empty().then_some(1.0)).ok_or("write processors: 1.5"),
            Unit::Percent => figure(number, ["", "%"].contains(&suffix).then_some(1.0)).ok_or("write percent: 80%"),
        }
    }
}

fn time(suffix: &str) -> Option<f64> {
    match suffix {
        "us" | "µs" => Some(1.0),
        "ms" => Some(1e3),
        "s" => Some(1e6),
        "m" | "min" => Some(60e6),
        _ => None,
    }
}

fn bytes(suffix: &str) -> Option<f64> {
    match suffix {
        "B" => Some(1.0),
        "KiB" => Some(1024.0),
        "MiB" => Some(1_048_576.0),
        "GiB" => Some(1_073_741_824.0),
        "kB" => Some(1e3),
        "MB" => Some(1e6),
        "GB" => Some(1e9),
        _ => None,
    }
}

fn thousands(suffix: &str) -> Option<f64> {
    match suffix {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "m" | "M" => Some(1e6),
        _ => None,
    }
}

impl Report {
    /// Judges the thresholds and keeps the verdicts.
    pub fn judge(&mut self, thresholds: &[Threshold]) {
        self.verdicts = thresholds.iter().map(|threshold| threshold.judge(self)).collect();
    }

    /// Whether every promise about the decisions was kept, and this is known.
    pub fn is_verified(&self) -> bool {
        self.verification.complete && self.verification.findings.iter().all(|finding| finding.count == 0)
    }

    /// What the process answers with.
    pub fn exit(&self) -> Exit {
        let wrong = self.verification.findings.iter().any(|finding| finding.count > 0);
        match self.ended {
            // Something wrong is wrong however the run ended.
            _ if wrong => Exit::Failed,
            Ended::Interrupted => Exit::Interrupted,
            Ended::Broken(_) => Exit::Environment,
            Ended::Completed if self.is_verified() && self.verdicts.iter().all(|verdict| verdict.held) => Exit::Ok,
            Ended::Completed => Exit::Failed,
        }
    }
}
