//! Each stage of the way of an order, and the whole core, at 1e5, 1e6 and 1e7 remembered ids, with a naive version
//! beside each: `cargo bench --bench stages [-- FILTER]`, for instance `-- core/1000000`. One thread, no broker. What
//! is measured is a batch of orders; figures are of one order (criterion's `thrpt`, elements a second).

#[path = "../support/mod.rs"]
mod support;

mod ahead;
mod core;
mod decode;
mod dedup;
mod encode;
mod replay;
mod reserve;

use std::time::Duration;

use criterion::Criterion;
use support::agree::agree;
use support::steady::Steady;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Remembered ids, ascending: one ledger grows from the first to the last, and all stages use it.
const REMEMBERED: [u64; 3] = [100_000, 1_000_000, 10_000_000];

fn main() {
    agree();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .configure_from_args();
    decode::measure(&mut criterion);
    encode::measure(&mut criterion);
    replay::measure(&mut criterion);
    let mut steady = Steady::new(true);
    for ids in REMEMBERED {
        if !wanted(ids) {
            continue;
        }
        steady.fill(ids);
        dedup::measure(&mut criterion, &mut steady);
        reserve::measure(&mut criterion, &mut steady);
        core::measure(&mut criterion, &mut steady);
    }
    criterion.final_summary();
}

/// Whether the filter leaves anything to measure with so many ids: filling takes longer than measuring.
fn wanted(ids: u64) -> bool {
    let all = ["decode", "encode", "replay", "dedup", "reserve", "core"];
    let is_filter = |argument: &String| all.iter().any(|stage| argument.starts_with(stage));
    let filters: Vec<String> = std::env::args().skip(1).filter(is_filter).collect();
    let groups = all[3..].iter().map(|stage| format!("{stage}/{ids}/"));
    let mut matches = groups.flat_map(|group| {
        filters.iter().map(move |filter| group.starts_with(filter.as_str()) || filter.starts_with(group.as_str()))
    });
    filters.is_empty() || matches.any(|is_so| is_so)
}
