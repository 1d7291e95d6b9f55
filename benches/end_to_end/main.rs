//! The whole way of an order against a real Apache Kafka on this machine, in one run, so that the figures can be
//! compared with each other:
//!
//! - **bare**: the engine's own consumers, every record dropped;
//! - **ordinary consumer**: those of the baseline, every record dropped;
//! - **engine**: drains the same records, exactly once and at least once;
//! - **48 shards**: the same orders spread over 48 shards of two lanes, exactly once;
//! - **recovery**: the ledgers of the exactly-once run, from their logs;
//! - **baseline**: drains them with the service that an ordinary team would write (`team`);
//! - **all in**: generator, broker and engine at the same time.
//!
//! Each with one and with 50 orders a record, each several times over, of which the median counts. A pass that is not
//! measured goes before: a fresh broker's compilers would otherwise take their CPU time from the first rows. `cargo
//! bench --bench end_to_end`, or with `-- --smoke` a run of a few minutes. Each part runs as a process of its own, so that
//! its CPU time can be told apart.

#[path = "../support/baseline.rs"]
mod baseline;
#[path = "../support/content.rs"]
mod content;
mod generate;
#[path = "../support/median.rs"]
mod median;
mod parts;
mod planted;
mod report;
mod rows;
mod task;
mod team;
mod topics;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sluice::devbroker::{Cluster, Options};

use baseline::{Baseline, FELL};
use report::Report;
use rows::Bench;

/// As in the service, where it also serves librdkafka.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Name in the baseline.
const BENCHMARK: &str = "end_to_end";
/// Shards of every run.
const SHARDS: u32 = 2;
/// Orders to a record in the second half of the rows.
const BATCHED: usize = 50;
/// How many times as many orders there are in records of [`BATCHED`], which take less time each.
const BATCHED_FACTOR: u64 = 5;
/// Orders of a smoke run: enough that several batches are left when the clock begins.
const SMOKE_ORDERS: u64 = 500_000;
/// Name of the pass that is not measured.
const WARM_UP: &str = "warm";
/// How often a check that failed is made again: a slowdown fails each time, a neighbour on the machine does not.
const CHECKS: usize = 3;
/// Deleted topics leave the disk at once, ms: a run writes more than stays.
const DELETE_DELAY_MS: u32 = 1_000;

/// Measures the engine against a real Apache Kafka on this machine.
#[derive(Parser)]
struct Args {
    /// Orders in records of one, and five times as many in records of 50. The clock begins when a quarter of them is
    /// done.
    #[arg(long, default_value_t = 3_000_000)]
    orders: u64,
    /// How often each row is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// A short run of 500,000 orders.
    #[arg(long)]
    smoke: bool,
    /// Only the rows whose names contain one of these, and what they need: to look at one of them.
    #[arg(long, value_delimiter = ',', value_name = "NAME", conflicts_with_all = ["check", "update"])]
    rows: Vec<String>,
    /// Only records of so many orders.
    #[arg(long, value_name = "ORDERS", conflicts_with_all = ["check", "update"])]
    per_record: Option<usize>,
    /// Java heap of the broker, MiB.
    #[arg(long, default_value_t = 1_024)]
    heap_mib: u32,
    /// Also write the rows to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with code 3 if a ratio fell below what this file allows.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Write the ratios found into this file.
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Make the engine slower, to see that the check finds it.
    #[arg(long, hide = true)]
    plant_slowdown: bool,
    /// A part of the benchmark, started by it.
    #[arg(long, hide = true)]
    child: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(task) = &args.child {
        task::answer(task)?;
        return Ok(ExitCode::SUCCESS);
    }
    let orders = if args.smoke { SMOKE_ORDERS } else { args.orders };
    eprintln!("starting an Apache Kafka");
    let properties = vec![("log.segment.delete.delay.ms".to_owned(), DELETE_DELAY_MS.to_string())];
    let options = Options { heap_mib: args.heap_mib, properties, ..Options::default() };
    let cluster = Cluster::start(&options)?;
    let halves = match args.per_record {
        Some(per_record @ ..BATCHED) => vec![(per_record, orders)],
        Some(per_record) => vec![(per_record, orders * BATCHED_FACTOR)],
        None => vec![(1, orders), (BATCHED, orders * BATCHED_FACTOR)],
    };
    let bench = |per_record, orders, name: String| {
        let planted = args.plant_slowdown && name != WARM_UP;
        Bench { cluster: &cluster, per_record, orders, planted, only: &args.rows, name }
    };
    eprintln!("warming it up");
    for &(per_record, orders) in &halves {
        bench(per_record, orders / 2, WARM_UP.to_owned()).measure(1, &mut Report::default())?;
    }
    let measure = |again: usize| -> Result<Report> {
        let mut report = Report::default();
        for &(per_record, orders) in &halves {
            bench(per_record, orders, format!("run-{again}")).measure(args.repeats, &mut report)?;
        }
        report.print();
        Ok(report)
    };
    let report = measure(0)?;
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut ratios = report.steady_ratios();
    if let Some(path) = &args.update {
        Baseline::update(path, BENCHMARK, &ratios)?;
    }
    let Some(path) = &args.check else { return Ok(ExitCode::SUCCESS) };
    let baseline = Baseline::read(path)?;
    for again in 1..=CHECKS {
        let fallen = baseline.fallen(BENCHMARK, &ratios)?;
        if fallen.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if again < CHECKS {
            println!("\nonce more, because of: {}", fallen.join("; "));
            for (name, ratio) in measure(again)?.steady_ratios() {
                let best = ratios.entry(name).or_insert(ratio);
                *best = best.max(ratio);
            }
        }
    }
    Ok(ExitCode::from(FELL))
}
