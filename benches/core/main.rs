//! The core of the way of an order, record bytes to decision bytes, without a broker, beside a naive one that takes
//! the same records to the same decisions: time and ratio at several numbers of remembered ids, memory for each.
//!
//! `cargo bench --bench core`; the figures are CPU time of one thread. With `-- --engine-only` there is no naive core
//! and what is measured is one function, for counting instructions:
//! `valgrind --tool=callgrind --toggle-collect='core::measured*' BINARY --engine-only --remembered 20000 --rounds 2`.
//! On a Linux 6.18 valgrind 3.19 ended in the set-up of the clock, before anything was counted.

#[path = "../support/baseline.rs"]
mod baseline;
#[path = "../support/median.rs"]
mod median;
mod ruled;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use sluice::broker::Input;

use baseline::{Baseline, FELL};
use median::median;
use support::agree::agree;
use support::engine::Engine;
use support::orders::Popularity;
use support::steady::{ROUND, Steady};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Name in the baseline.
const BENCHMARK: &str = "core";
/// Orders to a record.
const PER_RECORD: [usize; 2] = [1, 50];
/// Memory that a remembered id may take, bytes.
const GOAL_BYTES: f64 = 40.0;
/// How often a check that failed is made again: a slowdown fails each time, a neighbour on the machine does not.
const CHECKS: usize = 3;
/// How often a planted slowdown hashes each record: about a microsecond an order, alone in its record or one of many.
const PLANTED_ROUNDS: u32 = 100;

#[derive(Parser)]
struct Args {
    /// Remembered ids, one or more numbers in ascending order.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000, 10_000_000])]
    remembered: Vec<u64>,
    /// Rounds of 10,000 orders of which the median is taken.
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// As CI runs it: a million ids only.
    #[arg(long)]
    smoke: bool,
    /// No naive core beside it.
    #[arg(long)]
    engine_only: bool,
    /// Exit with code 3 if a ratio fell below what this file allows.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Write the ratios found into this file.
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Make the engine slower, to see that the check finds it.
    #[arg(long, hide = true)]
    plant_slowdown: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    agree();
    let mut ratios = run(&args);
    if let Some(path) = &args.update {
        Baseline::update(path, BENCHMARK, &ratios)?;
    }
    ruled::run(if args.smoke { 1_000_000 } else { args.remembered[0] }, args.rounds);
    let Some(path) = &args.check else { return Ok(ExitCode::SUCCESS) };
    let baseline = Baseline::read(path)?;
    for again in (0..CHECKS).rev() {
        let fallen = baseline.fallen(BENCHMARK, &ratios)?;
        if fallen.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if again > 0 {
            println!("\nonce more, because of: {}", fallen.join("; "));
            for (name, ratio) in run(&args) {
                let best = ratios.entry(name).or_insert(ratio);
                *best = best.max(ratio);
            }
        }
    }
    Ok(ExitCode::from(FELL))
}

/// What was measured in a round, ns an order.
#[derive(Clone, Copy)]
struct Sample {
    engine: f64,
    naive: Option<f64>,
}

/// SKUs' popularity and orders to a record.
type Cell = (&'static str, usize);

/// Measures everything once and prints it. Returns the ratios that are checked: those that only get worse if the
/// engine does. Others are printed with them: orders on few SKUs over uniform ones, many ids over few; they fall when
/// what is below the line gets faster.
fn run(args: &Args) -> BTreeMap<String, f64> {
    let remembered = if args.smoke { vec![1_000_000] } else { args.remembered.clone() };
    let mut steady = Steady::new(!args.engine_only);
    let empty = steady.engine.ledger().pressure();
    if args.plant_slowdown {
        steady.engine.planted_rounds = PLANTED_ROUNDS;
    }
    let (mut ratios, mut shown) = (BTreeMap::new(), BTreeMap::new());
    let mut first: Option<(u64, BTreeMap<Cell, Vec<Sample>>)> = None;
    println!(
        "\n{:>12} {:>9} {:>10} {:>10} {:>10} {:>7} {:>14}",
        "ids known", "SKUs", "per record", "engine ns", "naive ns", "ratio", "bytes out"
    );
    for ids in remembered {
        let before = resident_bytes();
        steady.fill(ids);
        let full = steady.engine.ledger().pressure();
        let bytes = (full.bytes - empty.bytes) as f64 / (full.remembered - empty.remembered) as f64;
        let grown = resident_bytes().saturating_sub(before);
        let (cells, out) = rounds(&mut steady, args.rounds);
        for (&(popularity, per_record), samples) in &cells {
            let engine = median(samples.iter().map(|sample| sample.engine));
            let name = |what: &str| format!("{what}, {per_record} a record, {ids} ids");
            let (mut naive, mut ratio) = (String::new(), String::new());
            if samples[0].naive.is_some() {
                let over = median(samples.iter().filter_map(|sample| Some(sample.naive? / sample.engine)));
                naive = format!("{:.0}", median(samples.iter().filter_map(|sample| sample.naive)));
                ratio = format!("{over:.2}");
                ratios.insert(name(&format!("engine over naive, {popularity}")), over);
            }
            println!(
                "{ids:>12} {popularity:>9} {per_record:>10} {engine:>10.0} {naive:>10} {ratio:>7} {:>14.0}",
                out[&(popularity, per_record)]
            );
            let uniform = cells[&("uniform", per_record)].iter().zip(samples).map(|(u, it)| u.engine / it.engine);
            if popularity != "uniform" {
                shown.insert(name(&format!("{popularity} over uniform")), median(uniform));
            }
        }
        println!(
            "{ids:>12} ids: {bytes:.1} bytes each by the ledger's count; the process grew by {} MiB{}",
            grown >> 20,
            if args.engine_only { format!(", {:.1} bytes each", grown as f64 / ids as f64) } else { String::new() }
        );
        ratios.insert(format!("{GOAL_BYTES} bytes over bytes an id, {ids} ids"), GOAL_BYTES / bytes);
        if let Some((few, before)) = &first {
            for (cell, samples) in &cells {
                let engine = |samples: &[Sample]| median(samples.iter().map(|sample| sample.engine));
                let name = format!("speed at {ids} ids over {few}, {}, {} a record", cell.0, cell.1);
                shown.insert(name, engine(&before[cell]) / engine(samples));
            }
        } else {
            first = Some((ids, cells));
        }
    }
    println!();
    for (name, ratio) in ratios.iter().chain(&shown) {
        println!("{ratio:>8.3}  {name}");
    }
    println!();
    ratios
}

/// Measures every cell once a round, so that what disturbs one disturbs its neighbours. Also the bytes out an order.
fn rounds(steady: &mut Steady, rounds: usize) -> (BTreeMap<Cell, Vec<Sample>>, BTreeMap<Cell, f64>) {
    let (mut cells, mut out) = (BTreeMap::<Cell, Vec<Sample>>::new(), BTreeMap::new());
    for round in 0..=rounds {
        for per_record in PER_RECORD {
            for popularity in Popularity::ALL {
                let records = steady.round(popularity, per_record);
                let now_ms = steady.now_ms();
                let (engine, bytes) = timed(|| measured(&mut steady.engine, &records, now_ms));
                let naive = steady.naive.as_mut().map(|naive| timed(|| naive.decide(&records, now_ms)).0);
                steady.end_round();
                let cell = (popularity.name(), per_record);
                out.insert(cell, bytes as f64 / ROUND as f64);
                // The first round is for warming up.
                if round > 0 {
                    cells.entry(cell).or_default().push(Sample { engine, naive });
                }
            }
        }
    }
    (cells, out)
}

/// What is measured, and nothing else: a name for callgrind.
#[inline(never)]
fn measured(engine: &mut Engine, records: &[Vec<u8>], now_ms: i64) -> u64 {
    // Not the last thing done, or a jump would take the place of the call and callgrind miss it.
    std::hint::black_box(engine.decide(Input::Orders, records, now_ms))
}

/// CPU time of this thread, ns an order of a round.
fn timed(work: impl FnOnce() -> u64) -> (f64, u64) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
    };
    let began = now();
    let bytes = std::hint::black_box(work());
    ((now() - began) / ROUND as f64, bytes)
}

/// What the process holds in memory, so that nothing that the ledger forgot to count stays unseen.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
