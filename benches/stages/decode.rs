//! Record bytes to commands: both passes and a walk over the lines, beside `prost`.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use prost::Message;
use sluice::broker::Input;
use sluice::wire::Kind;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::proto::{Commands, command};

use super::support::orders::{Orders, Popularity};
use super::support::steady::{BEGIN_MS, ROUND};

pub(crate) fn measure(criterion: &mut Criterion) {
    for per_record in [1, 50] {
        let records = Orders::new(3).records(Popularity::Uniform, ROUND, per_record, BEGIN_MS);
        let mut group = criterion.benchmark_group(format!("decode/{per_record} a record"));
        group.throughput(Throughput::Elements(ROUND as u64));
        group.bench_function("engine", |bencher| {
            let mut scratch = Scratch::default();
            bencher.iter(|| records.iter().map(|record| engine(record, &mut scratch)).sum::<u64>());
        });
        group.bench_function("naive", |bencher| bencher.iter(|| records.iter().map(|it| naive(it)).sum::<u64>()));
        group.finish();
    }
}

/// Units ordered, so that every line is read.
fn engine(record: &[u8], scratch: &mut Scratch) -> u64 {
    let validated = validate(Some(record), Input::Orders, scratch).expect("the benchmark's records are sound");
    let commands = (0..validated.count()).map(|index| match black_box(validated.command(index)).kind {
        Kind::Place(place) => place.lines.into_iter().map(|line| u64::from(line.quantity)).sum(),
        _ => 0,
    });
    commands.sum()
}

fn naive(record: &[u8]) -> u64 {
    let commands = Commands::decode(record).expect("the benchmark's records are sound").commands;
    let units = commands.into_iter().map(|command| match black_box(command).kind {
        Some(command::Kind::Place(place)) => place.lines.iter().map(|line| u64::from(line.quantity)).sum(),
        _ => 0u64,
    });
    units.sum()
}
