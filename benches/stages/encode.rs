//! Decisions to the bytes of a link, beside `prost`.

use criterion::{BatchSize, Criterion, Throughput};
use prost::Message;
use sluice::broker::Input;
use sluice::wire::decision::{DecisionLines, LineResult, Source};
use sluice::wire::link::{LinkDraft, LinkHash};
use sluice::wire::proto::{self, Asked, OrderState, Outcome, Reason, log_record};
use sluice::wire::{Decision, LinesBuf};

use super::support::steady::BEGIN_MS;

/// Decisions of a link: about as many as it takes to fill one.
const DECISIONS: u32 = 3_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let lines: LinesBuf = [("sku-00001", 2), ("sku-00002", 1)].into_iter().collect();
    let results = [2, 1].map(LineResult::allocated);
    let decision = |sequence: u64| Decision {
        sequence,
        asked: Asked::Place,
        pool: "pool".into(),
        order_id: "o-000000000123".into(),
        attempt: 0,
        id: "".into(),
        outcome: Outcome::Reserved,
        reason: Reason::Unspecified,
        state: OrderState::Held,
        lines: DecisionLines::Asked(lines.lines(), &results),
        stock: None,
        expires_at_ms: BEGIN_MS + 900_000,
        decided_at_ms: BEGIN_MS,
        content: 0x0123_4567_89ab_cdef,
        original: None,
        field: 0,
        rules_level: 0,
        selling: None,
    };
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(u64::from(DECISIONS)));
    let mut link = LinkDraft::default();
    group.bench_function("engine", |bencher| {
        bencher.iter(|| {
            fill(&mut link, &decision);
            link.value_bytes()
        });
    });
    group.bench_function("engine, and seal", |bencher| {
        bencher.iter(|| {
            fill(&mut link, &decision);
            link.seal(1, LinkHash::default())
        });
    });
    link.seal(1, LinkHash::default());
    let value = link.sealed().expect("it was just sealed").0;
    let Some(log_record::Kind::Link(owned)) = proto::LogRecord::decode(value).expect("a link").kind else {
        unreachable!("it is a link")
    };
    group.bench_function("naive", |bencher| {
        // The owned messages are made from the ledger's own strings, as a naive core has to.
        bencher.iter_batched(
            || (),
            |()| {
                let link = proto::Link { header: owned.header.clone(), decisions: owned.decisions.clone() };
                proto::LogRecord { kind: Some(log_record::Kind::Link(link)) }.encode_to_vec()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn fill<'a>(link: &mut LinkDraft, decision: &impl Fn(u64) -> Decision<'a>) {
    link.begin(0, 1, BEGIN_MS, BEGIN_MS);
    for sequence in 1..=u64::from(DECISIONS) {
        let source = Source { input: Input::Orders, offset: sequence as i64, index: 0, reply_partition: None };
        link.push(&decision(sequence), &source);
    }
}
