//! The table that a run ends with, and its ratios.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::available_parallelism;

use serde::Serialize;

use crate::SHARDS;
use crate::median::median;
use crate::rows::MANY;
use crate::task::{Batches, Figures};
use crate::usage::{Busiest, Busy};

/// The rows.
pub(crate) const GENERATOR: &str = "generator";
pub(crate) const BARE: &str = "bare consumer";
/// The consumer of the service that the engine is compared with.
pub(crate) const READER: &str = "ordinary consumer";
pub(crate) const EXACTLY: &str = "engine, exactly once";
/// The same orders over many shards of as many lanes.
pub(crate) const SPREAD: &str = "engine, 48 shards";
pub(crate) const RECOVERY: &str = "engine, recovery";
pub(crate) const AT_LEAST: &str = "engine, at least once";
/// The service that the engine is compared with.
pub(crate) const BASELINE: &str = "baseline, at least once";
pub(crate) const ALL_IN: &str = "all in, exactly once";
/// Share of the machine's, or of one core's, CPU time from which it counts as saturated.
const SATURATED: f64 = 0.9;
/// The baseline is to be beaten by this factor on orders alone in their records.
const BASELINE_GOAL: f64 = 6.0;

/// What the broker did meanwhile.
pub(crate) struct Broker {
    pub(crate) cpu_seconds: f64,
    pub(crate) busiest: Busiest,
}

/// One measured run.
pub(crate) struct Measured<'a> {
    /// What is measured, and a generator beside it if there was one.
    pub(crate) parts: &'a [Figures],
    pub(crate) broker: Broker,
    pub(crate) machine: Busy,
    /// From before the parts started to after they ended, which is what broker and machine were looked at for.
    pub(crate) seconds: f64,
}

/// One measured run, as it is printed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    per_record: usize,
    shards: u32,
    /// Mean length of a record's value, where it was generated.
    record_bytes: Option<f64>,
    orders: u64,
    seconds: f64,
    orders_per_second: f64,
    /// CPU of the part that is measured, microseconds an order.
    cpu_us: f64,
    /// CPU of the generator beside it.
    generator_us: Option<f64>,
    /// CPU of the broker, from before the part started to after it ended.
    broker_us: f64,
    /// What the engine committed in one go.
    batches: Option<Batches>,
    /// Share of the machine's CPU time that was used by anybody.
    utilisation: f64,
    /// What could not have gone faster: all CPUs, most of them used by this side; or a single thread.
    saturated: String,
}

impl Row {
    pub(crate) fn new(name: &'static str, per_record: usize, measured: &Measured<'_>) -> Self {
        let (part, generator) = (&measured.parts[0], measured.parts.get(1));
        let us = |seconds: f64| seconds * 1e6 / part.orders as f64;
        // Beside a generator the clock runs from its first order.
        let seconds = generator.map_or(part.seconds, |generator| part.ended - generator.began);
        let it = if name == GENERATOR { "generator" } else { "it" };
        let side = |name, part: &Figures| Side {
            name,
            share: part.cpu_seconds / part.seconds,
            thread: part.busiest.name.clone(),
            thread_share: part.busiest.cpu_seconds / part.seconds,
        };
        let broker = Side {
            name: "broker",
            share: measured.broker.cpu_seconds / measured.seconds,
            thread: measured.broker.busiest.name.clone(),
            thread_share: measured.broker.busiest.cpu_seconds / measured.seconds,
        };
        let sides = [Some(side(it, part)), Some(broker), generator.map(|part| side("generator", part))];
        Self {
            name,
            per_record,
            shards: if name == SPREAD { MANY.shards } else { SHARDS },
            record_bytes: generator.unwrap_or(part).record_bytes,
            orders: part.orders,
            seconds,
            orders_per_second: part.orders as f64 / seconds,
            cpu_us: us(part.cpu_seconds),
            generator_us: generator.map(|generator| us(generator.cpu_seconds)),
            broker_us: us(measured.broker.cpu_seconds),
            batches: part.batches,
            utilisation: measured.machine.share(),
            saturated: saturated(&sides.into_iter().flatten().collect::<Vec<_>>(), measured.machine.share()),
        }
    }
}

/// What one side used, in cores.
struct Side {
    name: &'static str,
    share: f64,
    /// Its busiest thread.
    thread: String,
    thread_share: f64,
}

fn saturated(sides: &[Side], utilisation: f64) -> String {
    let cores = available_parallelism().map_or(1, usize::from) as f64;
    let shares = sides.iter().map(|side| format!("{} {:.0}%", side.name, side.share / cores * 100.0));
    let shares = shares.collect::<Vec<_>>().join(", ");
    if utilisation >= SATURATED {
        return format!("CPU: {shares}");
    }
    match sides.iter().max_by(|a, b| a.thread_share.total_cmp(&b.thread_share)) {
        Some(side) if side.thread_share >= SATURATED => format!("a thread of {}: {}; {shares}", side.name, side.thread),
        _ => format!("none: {shares}"),
    }
}

/// All rows, repeated ones too.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Numbers of orders to a record, ascending.
    fn per_records(&self) -> BTreeSet<usize> {
        self.rows.iter().map(|row| row.per_record).collect()
    }

    fn of(&self, name: &str, per_record: usize) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.name == name && row.per_record == per_record).collect()
    }

    /// Prints the median of each row, and the ratios that the goals are stated in.
    pub(crate) fn print(&self) {
        println!(
            "\n{:<24} {:>10} {:>12} {:>12} {:>11} {:>10} {:>12} {:>8} {:>10} {:>10}  saturated",
            "",
            "per record",
            "record bytes",
            "orders/s",
            "its CPU us",
            "broker us",
            "generator us",
            "a batch",
            "commit ms",
            "CPU in use"
        );
        for per_record in self.per_records() {
            let bytes = self.of(GENERATOR, per_record).first().and_then(|row| row.record_bytes).unwrap_or_default();
            let mut seen = Vec::new();
            for row in self.rows.iter().filter(|row| row.per_record == per_record) {
                if seen.contains(&row.name) {
                    continue;
                }
                seen.push(row.name);
                let row = middle(self.of(row.name, per_record));
                println!(
                    "{:<24} {:>10} {:>12.0} {:>12.0} {:>11.2} {:>10.2} {:>12} {:>8} {:>10} {:>9.0}%  {}",
                    row.name,
                    row.per_record,
                    bytes,
                    row.orders_per_second,
                    row.cpu_us,
                    row.broker_us,
                    row.generator_us.map_or_else(String::new, |us| format!("{us:.2}")),
                    row.batches.map_or_else(String::new, |batches| format!("{:.0}", batches.decisions)),
                    row.batches.map_or_else(String::new, |batches| format!("{:.1}", batches.commit_ms)),
                    row.utilisation * 100.0,
                    row.saturated
                );
            }
        }
        println!("\n{SHARDS} shards where nothing else is said; \"it\" is the row's own side");
        for per_record in self.per_records() {
            let spread = self.ratio(EXACTLY, SPREAD, per_record, |row| row.orders_per_second);
            let cpu = self.ratio(SPREAD, EXACTLY, per_record, |row| row.cpu_us);
            if let (Some(slower), Some(cpu)) = (spread, cpu) {
                println!(
                    "{per_record:>3} a record: {SHARDS} shards / 48 on {SHARDS} lanes {slower:.2}; CPU of 48 / {SHARDS} {cpu:.2}"
                );
            }
            let ratios = [BARE, READER, AT_LEAST, BASELINE].map(|other| {
                let ratio = self.ratio(EXACTLY, other, per_record, |row| row.orders_per_second)?;
                let wanted = if other == BASELINE && per_record == 1 {
                    format!(" (at least {BASELINE_GOAL} wanted)")
                } else {
                    String::new()
                };
                Some(format!("{EXACTLY} / {other} {ratio:.2}{wanted}"))
            });
            for ratio in ratios.iter().flatten() {
                println!("{per_record:>3} a record: {ratio}");
            }
            if let Some(row) = self.of(RECOVERY, per_record).first() {
                let row = middle(self.of(row.name, per_record));
                println!(
                    "{per_record:>3} a record: recovery {:.2} million decisions/s, {:.2} million/s for each core used",
                    row.orders_per_second / 1e6,
                    1.0 / row.cpu_us
                );
            }
        }
        println!();
    }

    /// Of each repeat `a`'s figure over `b`'s; the median of that.
    fn ratio(&self, a: &str, b: &str, per_record: usize, figure: impl Fn(&Row) -> f64) -> Option<f64> {
        let (a, b) = (self.of(a, per_record), self.of(b, per_record));
        let ratios: Vec<_> = a.iter().zip(&b).map(|(a, b)| figure(a) / figure(b)).collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    /// The ratios that neighbours on the machine move least: CPU time an order. Larger is better.
    pub(crate) fn steady_ratios(&self) -> BTreeMap<String, f64> {
        let mut ratios = BTreeMap::new();
        for per_record in self.per_records() {
            for other in [BARE, BASELINE] {
                if let Some(ratio) = self.ratio(other, EXACTLY, per_record, |row| row.cpu_us) {
                    let name = format!("CPU an order, {other} over engine exactly once, {per_record} a record");
                    ratios.insert(name, ratio);
                }
            }
        }
        ratios
    }
}

/// The row whose rate is the median.
fn middle(mut rows: Vec<&Row>) -> &Row {
    rows.sort_by(|a, b| a.orders_per_second.total_cmp(&b.orders_per_second));
    rows[rows.len() / 2]
}
