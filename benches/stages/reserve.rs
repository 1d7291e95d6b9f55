//! A decoded Place to its decision, the stock reserved and the order remembered; beside a naive ledger.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use prost::Message;
use sluice::broker::Input;
use sluice::ledger::Moment;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::proto::{Commands, command};

use super::ahead::decide;
use super::support::orders::Popularity;
use super::support::steady::{ROUND, Steady};

/// Orders to a record; decoding is not measured.
const PER_RECORD: usize = 100;

pub(crate) fn measure(criterion: &mut Criterion, steady: &mut Steady) {
    for popularity in Popularity::ALL {
        let mut group = criterion.benchmark_group(format!("reserve/{}/{}", steady.ids, popularity.name()));
        group.throughput(Throughput::Elements(ROUND as u64));
        for naive in [false, true] {
            group.bench_function(if naive { "naive" } else { "engine" }, |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let records = steady.round(popularity, PER_RECORD);
                        let both = [engine(steady, &records), by_the_naive(steady, &records)];
                        took += both[usize::from(naive)];
                        steady.end_round();
                    }
                    took
                });
            });
        }
        group.finish();
    }
}

fn engine(steady: &mut Steady, records: &[Vec<u8>]) -> Duration {
    let now_ms = steady.now_ms();
    let at = Moment { shard_time_ms: now_ms, engine_time_ms: now_ms };
    let mut took = Duration::ZERO;
    for record in records {
        let mut scratch = Scratch::default();
        let validated = validate(Some(record), Input::Orders, &mut scratch).expect("the benchmark's records are sound");
        let commands: Vec<_> = validated.commands().collect();
        let ledger = steady.engine.ledger();
        let began = Instant::now();
        decide(ledger, &commands, at, |decision| _ = std::hint::black_box(decision.outcome));
        took += began.elapsed();
    }
    took
}

fn by_the_naive(steady: &mut Steady, records: &[Vec<u8>]) -> Duration {
    let now_ms = steady.now_ms();
    let naive = steady.naive.as_mut().expect("made with one");
    let mut took = Duration::ZERO;
    for record in records {
        let commands = Commands::decode(&record[..]).expect("the benchmark's records are sound").commands;
        let places = commands.into_iter().filter_map(|command| match command.kind {
            Some(command::Kind::Place(place)) => Some(place),
            _ => None,
        });
        let places: Vec<_> = places.collect();
        let began = Instant::now();
        for place in places {
            std::hint::black_box(naive.place(place, now_ms));
        }
        took += began.elapsed();
    }
    took
}
