//! A line a second, for logs and whoever has no terminal.

use super::Snapshot;
use super::rates::Rates;
use crate::report::result::format::{count, quantity, time_us};
use crate::report::result::metric::Unit;

/// The state of the run in a line.
pub(super) fn line(snapshot: &Snapshot, rates: Rates) -> String {
    let rate = |rate: f64| quantity(rate, Unit::Rate);
    // Nothing was decided since the last look: there is no latency to tell, least of all a good one.
    let told = |us: u64| if snapshot.recent.count() == 0 { "-".to_owned() } else { time_us(us as f64) };
    let latency = |percent: f64| told(snapshot.recent.percentile_us(percent));
    let mut line = format!(
        "{:>5} of {}s {:<9} asked {} sent {} decided {} | p50 {} p99 {} p99.9 {} max {} | undecided {} generator lag {}",
        format!("{}s", snapshot.elapsed.as_secs()),
        snapshot.load.as_secs(),
        snapshot.phase.name(),
        rate(snapshot.asked_rate),
        rate(rates.sent),
        rate(rates.decided),
        latency(50.0),
        latency(99.0),
        latency(99.9),
        told(snapshot.recent.max_us()),
        count(snapshot.undecided()),
        time_us(snapshot.generator_lag_us as f64),
    );
    if !snapshot.outcomes.is_empty() {
        line.push_str(" |");
        snapshot.outcomes.iter().for_each(|(name, number)| line.push_str(&format!(" {name} {}", count(*number))));
    }
    if snapshot.failed > 0 {
        line.push_str(&format!(" | failed {}", count(snapshot.failed)));
    }
    line
}
