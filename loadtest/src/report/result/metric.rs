//! The figures of a run by name, as thresholds and objectives ask for them.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::{Check, Known, Latency, Report, Second, Side};

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Time,
    /// A number of commands or records.
    Count,
    /// Commands a second.
    Rate,
    /// Bytes.
    Bytes,
    /// Processors.
    Cores,
    /// Percent of a whole.
    Percent,
}

/// Seconds of the run that a figure is taken from; a negative start or end counts back from the end of the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    from_s: f64,
    to_s: Option<f64>,
}

/// A figure by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    name: String,
    what: What,
    window: Option<Window>,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Latency(Stat),
    OutcomeLatency(String, Stat),
    FloodLatency(&'static str, Stat),
    GeneratorLag(Stat),
    Total(&'static str),
    Found(Check),
    Outcome(String),
    Rate(&'static str),
    Backlog,
    Drain,
    Cpu(Side),
    CpuPerCommand(Side),
    Rss(Side),
    Known(&'static str),
    HostBusy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stat {
    Percentile(f64),
    Min,
    Mean,
    Max,
}

/// Why a figure's name cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum MetricError {
    /// No figure is called so.
    #[error("there is no figure {name:?}{}; known are {}", did_you_mean(.nearest), known().join(", "))]
    Unknown {
        /// As written.
        name: String,
        /// What was perhaps meant.
        nearest: Option<String>,
    },
    /// `p` without a number from above 0 to 100.
    #[error("{0:?} is not a percentile; p50, p99 and p99.9 are")]
    Percentile(String),
    /// What stands in brackets is not a window.
    #[error("{0:?} is not a window; [10s..20s], [30s..] and [-10s..] (the load's last ten seconds) are")]
    Window(String),
    /// The figure is known for the whole run only.
    #[error("{0:?} is known for the whole run only: latency, rates and backlog can have a window")]
    NoWindow(String),
}

/// Sums that are asked for by their name.
const TOTALS: [&str; 18] = [
    "asked",
    "sent",
    "acknowledged",
    "failed",
    "unsent",
    "decided",
    "records",
    "poison",
    "dead_letters",
    "wanted_skus",
    "quota",
    "stranded",
    "kept",
    "left_over",
    "rolled",
    "full",
    "too_late",
    "expired_sold",
];

/// Whose latency a flood tells apart: asked for in front of a percentile.
const SHORES: [&str; 3] = ["flooded", "others", "others_before"];

/// What the engines know at the end, and before the first order: asked for behind `engine.`.
const KNOWN: [&str; 6] = ["rows", "rows_before", "rows_gone", "ids", "ids_before", "open_orders"];

/// Rates, over the load or a window.
const RATES: [&str; 3] = ["asked_rate", "sent_rate", "decided_rate"];

/// Outcomes of the wire contract that a run can meet.
const OUTCOMES: [&str; 20] = [
    "RESERVED",
    "REJECTED",
    "CONFIRMED",
    "EXTENDED",
    "CANCELLED",
    "EXPIRED",
    "SHIPPED",
    "APPLIED",
    "NOTED",
    "DUPLICATE",
    "CONFLICT",
    "UNCHANGED",
    "NOT_ALLOWED",
    "MISROUTED",
    "INVALID",
    "TOO_OLD",
    "DEADLINE",
    "UNSUPPORTED",
    "BUSY",
    "NOT_OPEN",
];

/// Every name that [`Metric::parse`] knows, percentiles by example.
pub fn known() -> Vec<String> {
    let mut names: Vec<String> = ["p50", "p99", "p99.9", "min", "mean", "max", "backlog", "drain", "host_busy"]
        .into_iter()
        .chain(RATES)
        .chain(TOTALS)
        .chain(Check::ALL.map(Check::name))
        .map(str::to_owned)
        .collect();
    names.push("generator_lag.p99".to_owned());
    names.extend(OUTCOMES.map(str::to_lowercase));
    names.push("reserved.p99 (any outcome)".to_owned());
    names.extend(SHORES.map(|shore| format!("{shore}.p99")));
    for side in Side::ALL {
        names.extend(["cpu", "cpu_per_command", "rss"].map(|figure| format!("{}.{figure}", side.name())));
    }
    names.extend(KNOWN.map(|figure| format!("{}.{figure}", Side::Engine.name())));
    names
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

/// Less alike than this, a known name is not what was meant.
const ALIKE: f64 = 0.7;

fn nearest(name: &str) -> Option<String> {
    known()
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

impl Metric {
    /// Reads a name such as `p99`, `reserved.p99`, `engine.rss`, `decided_rate[-10s..]`.
    pub fn parse(written: &str) -> Result<Self, MetricError> {
        let written = written.trim();
        let (name, window) = match written.split_once('[') {
            Some((name, window)) => (name.trim(), Some(Window::parse(window)?)),
            None => (written, None),
        };
        let what = What::parse(&name.to_ascii_lowercase())?;
        if window.is_some() && !what.has_windows() {
            return Err(MetricError::NoWindow(name.to_owned()));
        }
        Ok(Self { name: written.to_owned(), what, window })
    }

    /// What the figure is measured in.
    pub fn unit(&self) -> Unit {
        match self.what {
            What::Latency(_) | What::OutcomeLatency(..) | What::FloodLatency(..) | What::GeneratorLag(_) => Unit::Time,
            What::Drain | What::CpuPerCommand(_) => Unit::Time,
            What::Total(_) | What::Found(_) | What::Outcome(_) | What::Backlog | What::Known(_) => Unit::Count,
            What::Rate(_) => Unit::Rate,
            What::Cpu(_) => Unit::Cores,
            What::Rss(_) => Unit::Bytes,
            What::HostBusy => Unit::Percent,
        }
    }

    /// The figure in its unit; none if the run did not measure it.
    pub fn value(&self, report: &Report) -> Option<f64> {
        let load = &self.seconds(report);
        let side = |side: &Side| report.saturation.sides.get(side);
        match &self.what {
            What::Latency(stat) if self.window.is_some() => {
                let mut sum = Latency::of_run();
                load.iter().for_each(|second| sum.add(&second.latency));
                stat.of(&sum)
            }
            What::Latency(stat) => stat.of(&report.latency),
            What::OutcomeLatency(outcome, stat) => stat.of(&report.outcomes.get(outcome)?.latency),
            What::FloodLatency(shore, stat) => {
                let parts = report.flood.as_ref()?.parts();
                parts.into_iter().find(|(name, _)| name == shore).and_then(|(_, latency)| stat.of(latency))
            }
            What::GeneratorLag(stat) => stat.of(&report.generator_lag),
            What::Total(name) => Some(total(report, name) as f64),
            What::Found(check) => report.verification.complete.then(|| report.verification.count(*check) as f64),
            What::Outcome(outcome) => Some(report.outcomes.get(outcome).map_or(0, |total| total.count) as f64),
            What::Rate(name) => {
                let sum: u64 = load.iter().map(|second| rate(second, name)).sum();
                (!load.is_empty()).then(|| sum as f64 / self.length_s(report, load.len()))
            }
            What::Backlog => load.iter().map(|second| second.undecided as f64).reduce(f64::max),
            What::Drain => Some(report.totals.drain_s * 1e6),
            What::Cpu(of) => side(of).map(|total| total.mean_cores),
            What::CpuPerCommand(of) => side(of).map(|total| total.cpu_us_per_command),
            What::Rss(of) => side(of).and_then(|total| total.peak_rss_bytes).map(|bytes| bytes as f64),
            What::Known(name) => report.known.as_ref().map(|figures| known_figure(figures, name)),
            What::HostBusy => report.saturation.host_busy.map(|busy| busy * 100.0),
        }
    }

    /// What a count is a share of, where `unsent < 0.1%` is asked for.
    pub fn whole(&self, report: &Report) -> f64 {
        match self.what {
            What::Outcome(_) => report.totals.decided as f64,
            _ => report.totals.asked as f64,
        }
    }

    fn seconds<'a>(&self, report: &'a Report) -> &'a [Second] {
        let load = report.load_seconds();
        let Some(window) = self.window else { return load };
        let end = report.totals.load_s;
        let at = |s: f64| (if s < 0.0 { end + s } else { s }).max(0.0) as usize;
        let to = window.to_s.map_or(load.len(), at).min(report.seconds.len());
        report.seconds.get(at(window.from_s)..to).unwrap_or_default()
    }

    /// The load's last second may be a part of one.
    fn length_s(&self, report: &Report, seconds: usize) -> f64 {
        if self.window.is_none() && report.totals.load_s > 0.0 { report.totals.load_s } else { seconds as f64 }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl What {
    fn parse(name: &str) -> Result<Self, MetricError> {
        let unknown = || MetricError::Unknown { name: name.to_owned(), nearest: nearest(name) };
        // A percentile has a dot of its own.
        if let Some(stat) = Stat::parse(name)? {
            return Ok(Self::Latency(stat));
        }
        if let Some((of, figure)) = name.split_once('.') {
            let outcome = OUTCOMES.into_iter().find(|outcome| outcome.eq_ignore_ascii_case(of));
            if of == "generator_lag" {
                return Stat::parse(figure)?.map(Self::GeneratorLag).ok_or_else(unknown);
            }
            if let Some(outcome) = outcome {
                let stat = Stat::parse(figure)?.ok_or_else(unknown)?;
                return Ok(Self::OutcomeLatency(outcome.to_owned(), stat));
            }
            if let Some(shore) = SHORES.into_iter().find(|shore| *shore == of) {
                return Stat::parse(figure)?.map(|stat| Self::FloodLatency(shore, stat)).ok_or_else(unknown);
            }
            let side = Side::ALL.into_iter().find(|side| side.name() == of).ok_or_else(unknown)?;
            if let Some(known) = KNOWN.into_iter().find(|known| side == Side::Engine && *known == figure) {
                return Ok(Self::Known(known));
            }
            return match figure {
                "cpu" => Ok(Self::Cpu(side)),
                "cpu_per_command" => Ok(Self::CpuPerCommand(side)),
                "rss" => Ok(Self::Rss(side)),
                _ => Err(unknown()),
            };
        }
        match name {
            "backlog" => return Ok(Self::Backlog),
            "drain" => return Ok(Self::Drain),
            "host_busy" => return Ok(Self::HostBusy),
            _ => {}
        }
        let total = TOTALS.into_iter().find(|known| *known == name).map(Self::Total);
        let rate = || RATES.into_iter().find(|known| *known == name).map(Self::Rate);
        let check = || Check::ALL.into_iter().find(|check| check.name() == name).map(Self::Found);
        let outcome = || {
            let found = OUTCOMES.into_iter().find(|outcome| outcome.eq_ignore_ascii_case(name));
            found.map(|outcome| Self::Outcome(outcome.to_owned()))
        };
        total.or_else(rate).or_else(check).or_else(outcome).ok_or_else(unknown)
    }

    fn has_windows(&self) -> bool {
        matches!(self, Self::Latency(_) | Self::Rate(_) | Self::Backlog)
    }
}

impl Stat {
    fn parse(name: &str) -> Result<Option<Self>, MetricError> {
        match name {
            "min" => return Ok(Some(Self::Min)),
            "mean" => return Ok(Some(Self::Mean)),
            "max" => return Ok(Some(Self::Max)),
            _ => {}
        }
        match name.strip_prefix('p') {
            Some(digits) if digits.starts_with(|first: char| first.is_ascii_digit()) => match digits.parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Some(Self::Percentile(percent))),
                _ => Err(MetricError::Percentile(name.to_owned())),
            },
            _ => Ok(None),
        }
    }

    fn of(self, latency: &Latency) -> Option<f64> {
        (!latency.is_empty()).then(|| match self {
            Self::Percentile(percent) => latency.percentile_us(percent) as f64,
            Self::Min => latency.min_us() as f64,
            Self::Mean => latency.mean_us(),
            Self::Max => latency.max_us() as f64,
        })
    }
}

impl Window {
    /// What stands behind `[`.
    fn parse(written: &str) -> Result<Self, MetricError> {
        let wrong = || MetricError::Window(format!("[{written}"));
        let (from, to) = written.trim().strip_suffix(']').and_then(|inner| inner.split_once("..")).ok_or_else(wrong)?;
        let time = |text: &str| -> Option<f64> {
            let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
            humantime::parse_duration(text).ok().map(|length: Duration| sign * length.as_secs_f64())
        };
        let from_s = if from.trim().is_empty() { Some(0.0) } else { time(from.trim()) };
        let to_s = if to.trim().is_empty() { Some(None) } else { time(to.trim()).map(Some) };
        match (from_s, to_s) {
            (Some(from_s), Some(to_s)) => Ok(Self { from_s, to_s }),
            _ => Err(wrong()),
        }
    }
}

fn total(report: &Report, name: &str) -> u64 {
    let totals = &report.totals;
    match name {
        "asked" => totals.asked,
        "sent" => totals.sent,
        "acknowledged" => totals.acknowledged,
        "failed" => totals.failed,
        "unsent" => totals.unsent,
        "decided" => totals.decided,
        "records" => totals.records,
        "poison" => totals.poison,
        "wanted_skus" => totals.wanted_skus,
        "quota" => totals.quota,
        "stranded" => totals.stranded,
        "kept" => totals.kept,
        "left_over" => totals.left_over,
        "rolled" => totals.rolled,
        "full" => totals.full,
        "too_late" => totals.too_late,
        "expired_sold" => totals.expired_sold,
        _ => totals.dead_letters,
    }
}

fn known_figure(known: &Known, name: &str) -> f64 {
    let Known { before, after } = known;
    match name {
        "rows" => after.rows as f64,
        "rows_before" => before.rows as f64,
        "rows_gone" => before.rows as f64 - after.rows as f64,
        "ids" => after.remembered_ids as f64,
        "ids_before" => before.remembered_ids as f64,
        _ => after.open_orders as f64,
    }
}

fn rate(second: &Second, name: &str) -> u64 {
    match name {
        "asked_rate" => second.asked,
        "sent_rate" => second.sent,
        _ => second.decided,
    }
}
