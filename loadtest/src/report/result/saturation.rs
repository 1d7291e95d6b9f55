//! What limited the run: a figure of the engine is worth nothing if the generator was at its end.

use std::collections::BTreeMap;

use super::format::{quantity, time_us};
use super::metric::Unit;
use super::report::{Mark, Report, Saturation, Second, Side, SideTotal};

/// Share of the commands that may go unsent before the generator counts as the bottleneck.
const UNSENT_TOLERATED: f64 = 0.001;

/// Generator lag (99th percentile) that is never held against it, in microseconds: less than a commit takes.
const LAG_TOLERATED_US: u64 = 5_000;

/// Above this share of the latency at the same percentile, the generator's lag is what was measured.
const LAG_SHARE: f64 = 0.5;

/// Above this share of it, the reader is told how much of the latency is the generator's own.
const LAG_TOLD_SHARE: f64 = 0.1;

/// The engine is behind when it owes more than what was sent in this time, in seconds.
const BACKLOG_S: f64 = 1.0;

/// A host is full when its processors are this busy in the busiest seconds.
const FULL: f64 = 0.95;

/// Above this share of the host's processors, what others use of a full host is to blame for what a side owes.
const CROWDED: f64 = 0.25;

/// A load that lasted less than this into a second, in seconds, did not last into it: the last record is never sent at
/// the very end, and the second after it is the drain's.
const INTO_A_SECOND_S: f64 = 0.1;

/// The busiest of how many seconds are looked at: one in this many, but three at least.
const BUSIEST_OF: usize = 10;

impl Report {
    /// The seconds in which there was load, the drain left out.
    pub fn load_seconds(&self) -> &[Second] {
        let load = ((self.totals.load_s - INTO_A_SECOND_S).ceil() as usize).min(self.seconds.len());
        &self.seconds[..load]
    }

    /// Fills [`Saturation`] from the seconds and totals.
    pub fn find_saturation(&mut self) {
        let load = self.load_seconds();
        let sides = sides(load);
        let cores = f64::from(self.meta.host_cores.max(1));
        let busy: Vec<f64> = load.iter().filter_map(|second| second.host_busy_cores).map(|busy| busy / cores).collect();
        let host_busy = (!busy.is_empty()).then(|| mean(&busy));
        let full = busiest(busy).is_some_and(|busy| busy >= FULL);

        let others_cores = others(load);
        let crowded = full && others_cores.is_some_and(|others| others > CROWDED * cores);

        let generator_bound = self.generator_was_behind();
        let broker = self.behind(|second| (second.sent, second.acknowledged + second.failed));
        let engine = self.behind(|second| (second.acknowledged, second.decided));
        let side = match () {
            () if generator_bound => Some(Side::Generator),
            () if crowded => None,
            () if broker.by_itself_s > BACKLOG_S => Some(Side::Broker),
            () if engine.by_itself_s > BACKLOG_S => Some(Side::Engine),
            () => None,
        };
        let lag = time_us(self.generator_lag.percentile_us(99.0) as f64);
        let mut explained = match side {
            Some(Side::Generator) if self.totals.unsent == 0 => format!(
                "The generator was the bottleneck: it sent every command, but {lag} late (p99), which is most of the \
                 latency. The figures say what the generator can do, not what the engine can."
            ),
            Some(Side::Generator) => format!(
                "The generator was the bottleneck: {} of the commands were not sent in time and its lag reached {lag} \
                 (p99). The figures say what the generator can do, not what the engine can.",
                quantity(share(self.totals.unsent, self.totals.asked) * 100.0, Unit::Percent),
            ),
            Some(Side::Broker) => {
                let behind = time_us(broker.by_itself_s * 1e6);
                format!("The broker was saturated: at worst it acknowledged {behind} after what was sent.")
            }
            Some(_) => {
                let behind = time_us(engine.by_itself_s * 1e6);
                format!("The engine was saturated: at worst it was {behind} of load behind.")
            }
            None if crowded => {
                let behind = time_us(engine.by_itself_s * 1e6);
                format!(
                    "The host was full of others' work, so the figures say what was left of it, not what the engine can: \
                     the engine was up to {behind} of load behind."
                )
            }
            None => {
                let behind = time_us(engine.by_itself_s * 1e6);
                let generator = match self.lag_share() {
                    Some(share) if share > LAG_TOLD_SHARE => {
                        let share = quantity(share * 100.0, Unit::Percent);
                        format!("the generator was late at times, by {share} of the latency (lag p99 {lag})")
                    }
                    _ => format!("the generator kept up (lag p99 {lag})"),
                };
                format!(
                    "Nothing was saturated: {generator}, and the engine was never more than {behind} of load behind."
                )
            }
        };
        if engine.by_fault_s > BACKLOG_S {
            let behind = time_us(engine.by_fault_s * 1e6);
            explained.push_str(&format!(" After a fault it was up to {behind} behind."));
        }
        if let Some(host_busy) = host_busy {
            let percent = quantity(host_busy * 100.0, Unit::Percent);
            let of = self.meta.host_cores;
            explained.push_str(&match full {
                true => format!(" The host's {of} processors were full at the peak ({percent} busy on average)."),
                false => format!(" The host's {of} processors were {percent} busy."),
            });
        }
        if let (true, Some(others)) = (crowded, others_cores) {
            explained.push_str(&format!(" Others than this run used {others:.2} of them."));
        }
        self.saturation = Saturation { side, generator_bound, host_busy, others_cores, crowded, sides, explained };
    }

    fn generator_was_behind(&self) -> bool {
        share(self.totals.unsent, self.totals.asked) > UNSENT_TOLERATED
            || self.lag_share().is_some_and(|share| share > LAG_SHARE)
    }

    /// The generator's lag as a share of the latency, both the 99th percentile; none where it is never held against it.
    fn lag_share(&self) -> Option<f64> {
        let (lag, latency) = (self.generator_lag.percentile_us(99.0), self.latency.percentile_us(99.0));
        (lag > LAG_TOLERATED_US).then(|| lag as f64 / latency.max(1) as f64)
    }

    /// How far the second of two counters was behind the first at worst within the load, as seconds of the load at
    /// that time, which counts as the mean at least: what a spike left over is little, not hours of the calm after it.
    /// What began with a fault counts apart until it has been made up for.
    fn behind(&self, counters: impl Fn(&Second) -> (u64, u64)) -> Behind {
        let load = self.load_seconds();
        let usual = load.iter().map(|second| counters(second).0).sum::<u64>() as f64 / load.len().max(1) as f64;
        let mut behind = Behind::default();
        let mut owed = 0_i64;
        let mut by_fault = false;
        for second in load {
            let (first, after) = counters(second);
            owed += first as i64 - after as i64;
            let owed_s = owed as f64 / (first as f64).max(usual).max(1.0);
            let at_s = f64::from(second.second);
            let faulty = |mark: &Mark| mark.at_s < at_s + 1.0 && at_s <= mark.at_s + mark.for_s.unwrap_or(0.0);
            by_fault = self.marks.iter().any(faulty) || (by_fault && owed_s > BACKLOG_S);
            let worst = if by_fault { &mut behind.by_fault_s } else { &mut behind.by_itself_s };
            *worst = worst.max(owed_s);
        }
        behind
    }
}

/// The most that a side owed, in seconds of load.
#[derive(Default)]
struct Behind {
    /// Without a fault being to blame.
    by_itself_s: f64,
    /// During a fault and until it had been made up for.
    by_fault_s: f64,
}

fn sides(load: &[Second]) -> BTreeMap<Side, SideTotal> {
    let decided: u64 = load.iter().map(|second| second.decided).sum();
    let mut sides = BTreeMap::new();
    for side in Side::ALL {
        let used: Vec<_> = load.iter().filter_map(|second| second.usage.get(&side)).collect();
        if used.is_empty() {
            continue;
        }
        let cores: Vec<f64> = used.iter().map(|usage| usage.cores).collect();
        sides.insert(
            side,
            SideTotal {
                mean_cores: mean(&cores),
                peak_cores: cores.iter().copied().fold(0.0, f64::max),
                cpu_us_per_command: if decided > 0 { cores.iter().sum::<f64>() * 1e6 / decided as f64 } else { 0.0 },
                peak_rss_bytes: used.iter().filter_map(|usage| usage.rss_bytes).max(),
            },
        );
    }
    sides
}

/// What the host was busy with beside the sides, over the load.
fn others(load: &[Second]) -> Option<f64> {
    let of_second = |second: &Second| {
        let ours: f64 = second.usage.values().map(|usage| usage.cores).sum();
        second.host_busy_cores.map(|busy| (busy - ours).max(0.0))
    };
    let others: Vec<f64> = load.iter().filter_map(of_second).collect();
    (!others.is_empty()).then(|| mean(&others))
}

fn busiest(mut busy: Vec<f64>) -> Option<f64> {
    busy.sort_by(|a, b| b.total_cmp(a));
    busy.truncate((busy.len() / BUSIEST_OF).max(3));
    (!busy.is_empty()).then(|| mean(&busy))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
