//! Record bytes to decision bytes.

use criterion::{Criterion, Throughput};
use sluice::broker::Input;
use std::time::{Duration, Instant};

use super::support::orders::Popularity;
use super::support::steady::{ROUND, Steady};

pub(crate) fn measure(criterion: &mut Criterion, steady: &mut Steady) {
    for popularity in Popularity::ALL {
        for per_record in [1, 50] {
            let name = format!("core/{}/{}/{per_record} a record", steady.ids, popularity.name());
            let mut group = criterion.benchmark_group(name);
            group.throughput(Throughput::Elements(ROUND as u64));
            for naive in [false, true] {
                group.bench_function(if naive { "naive" } else { "engine" }, |bencher| {
                    bencher.iter_custom(|rounds| (0..rounds).map(|_| one(steady, popularity, per_record, naive)).sum());
                });
            }
            group.finish();
        }
    }
}

/// The time that one of them takes for a round; the other one follows, so that both stay alike.
fn one(steady: &mut Steady, popularity: Popularity, per_record: usize, naive: bool) -> Duration {
    let records = steady.round(popularity, per_record);
    let now_ms = steady.now_ms();
    let began = Instant::now();
    steady.engine.decide(Input::Orders, &records, now_ms);
    let engine = began.elapsed();
    let other = steady.naive.as_mut().expect("made with one");
    let began = Instant::now();
    other.decide(&records, now_ms);
    let took = if naive { began.elapsed() } else { engine };
    steady.end_round();
    took
}
