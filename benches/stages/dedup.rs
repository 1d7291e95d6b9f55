//! Telling a copy from what is new, through the ledger's public interface, beside a `HashMap` of owned keys.
//!
//! - **known**: a copy of a remembered order, answered DUPLICATE or CONFLICT; of any age, or mostly of recent ones.
//! - **new**: an id that is not known becomes remembered: a Cancel that overtook its Place.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sluice::ledger::Moment;
use sluice::wire::proto::{OrderState, Outcome, Reason};
use sluice::wire::{Command, Kind, LinesBuf, Place, Vouched};

use super::ahead::decide;
use super::support::naive::{Order, OrderKey};
use super::support::orders::{POOL, order_id};
use super::support::steady::{ROUND, Steady};

/// Of copies, how many in a hundred are of the youngest hundredth, where ages are skewed: retries come soon.
const RECENT_PERCENT: u32 = 90;

pub(crate) fn measure(criterion: &mut Criterion, steady: &mut Steady) {
    let ids = steady.ids;
    for (ages, recent_percent) in [("uniform", 0), ("skewed", RECENT_PERCENT)] {
        let mut group = criterion.benchmark_group(format!("dedup/{ids}/known, {ages}"));
        group.throughput(Throughput::Elements(ROUND as u64));
        let mut rng = SmallRng::seed_from_u64(4);
        for naive in [false, true] {
            group.bench_function(if naive { "naive" } else { "engine" }, |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let known = known(steady, &mut rng, recent_percent);
                        took += if naive { look_up_naive(steady, &known) } else { look_up(steady, &known) };
                    }
                    took
                });
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group(format!("dedup/{ids}/new"));
    group.throughput(Throughput::Elements(ROUND as u64));
    for naive in [false, true] {
        group.bench_function(if naive { "naive" } else { "engine" }, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| remember(steady, naive)).sum());
        });
    }
    group.finish();
}

/// Ids of remembered orders.
fn known(steady: &Steady, rng: &mut SmallRng, recent_percent: u32) -> Vec<String> {
    let next = steady.orders.next();
    // Nothing of the oldest generation, which may be gone by now.
    let all = steady.ids * 3 / 4;
    (0..ROUND)
        .map(|_| {
            let recent = rng.random_range(0..100) < recent_percent;
            let age = rng.random_range(1..=if recent { all / 100 } else { all });
            order_id(next - age)
        })
        .collect()
}

fn look_up(steady: &mut Steady, ids: &[String]) -> Duration {
    let now_ms = steady.now_ms();
    let at = Moment { shard_time_ms: now_ms, engine_time_ms: now_ms };
    let lines: LinesBuf = [("no-such-sku", 1)].into_iter().collect();
    let ledger = steady.engine.ledger();
    let commands: Vec<_> = ids.iter().map(|order_id| place(order_id, now_ms, &lines)).collect();
    let mut originals = 0;
    let began = Instant::now();
    decide(ledger, &commands, at, |decision| originals += usize::from(decision.original.is_some()));
    let took = began.elapsed();
    assert_eq!(originals, ids.len(), "they are known");
    took
}

fn look_up_naive(steady: &Steady, ids: &[String]) -> Duration {
    let naive = steady.naive.as_ref().expect("made with one");
    let began = Instant::now();
    let key = |order_id: &String| OrderKey { pool: POOL.to_owned(), order_id: order_id.clone(), attempt: 0 };
    let known = ids.iter().filter(|order_id| naive.orders.contains_key(&key(order_id))).count();
    let took = began.elapsed();
    assert_eq!(known, ids.len(), "they are known");
    took
}

fn remember(steady: &mut Steady, naive: bool) -> Duration {
    let ids: Vec<_> = (0..ROUND).map(|_| order_id(steady.orders.take_number())).collect();
    let now_ms = steady.now_ms();
    let at = Moment { shard_time_ms: now_ms, engine_time_ms: now_ms };
    let commands: Vec<_> = ids.iter().map(|order_id| cancel(order_id, now_ms)).collect();
    let began = Instant::now();
    decide(steady.engine.ledger(), &commands, at, |decision| _ = std::hint::black_box(decision.outcome));
    let engine = began.elapsed();
    let other = steady.naive.as_mut().expect("made with one");
    let began = Instant::now();
    for order_id in &ids {
        let key = OrderKey { pool: POOL.to_owned(), order_id: order_id.clone(), attempt: 0 };
        let (outcome, reason, state) = (Outcome::Cancelled, Reason::BeforePlace, OrderState::Cancelled);
        other.orders.insert(
            key,
            Order { content: 0, sequence: 0, outcome, reason, state, lines: Vec::new(), expires_at_ms: 0 },
        );
    }
    let took = if naive { began.elapsed() } else { engine };
    steady.pass(ROUND);
    took
}

fn cancel(order_id: &str, placed_at_ms: i64) -> Command<'_> {
    let kind = Kind::Cancel { order_id: order_id.into(), attempt: 0, placed_at_ms };
    Command { pool: POOL.into(), reply_partition: None, unsupported: None, kind }
}

fn place<'a>(order_id: &'a str, placed_at_ms: i64, lines: &'a LinesBuf) -> Command<'a> {
    let kind = Kind::Place(Place {
        order_id: order_id.into(),
        attempt: 0,
        customer: "customer".into(),
        channel: "web".into(),
        placed_at_ms,
        lines: lines.lines(),
        hold_ms: 0,
        answer_by_ms: 0,
        vouched: Vouched::default(),
    });
    Command { pool: POOL.into(), reply_partition: None, unsupported: None, kind }
}
