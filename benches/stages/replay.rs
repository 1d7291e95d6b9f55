//! A log to the ledger that wrote it, as a recovery does it but without a broker: each link's hash and place in the
//! chain checked, its decisions replayed; beside `prost` and `HashMap`s, which check nothing.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use prost::Message;
use sluice::broker::Input;
use sluice::ledger::{FingerprintKey, Ledger};
use sluice::log::read::LogCheck;
use sluice::log::replay::replay_link;
use sluice::wire::Layout;
use sluice::wire::entry::LogEntry;
use sluice::wire::link::{LinkHash, RULES_LEVEL, genesis, genesis_value};
use sluice::wire::proto::{LogRecord, Outcome, log_record};

use super::support::engine::{Engine, rules};
use super::support::naive::{Naive, Order, OrderKey};
use super::support::orders::{Orders, Popularity};
use super::support::steady::{BEGIN_MS, WINDOW_MS};

/// Decisions of the log, all of orders that are still held: the dearest to replay.
const DECISIONS: usize = 500_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let genesis = genesis_value(genesis(0, Layout::one_each(1), [[1; 16]; 3], WINDOW_MS, 0, RULES_LEVEL));
    let mut writer = Engine::empty(WINDOW_MS);
    writer.keep_links(LinkHash::of(&genesis));
    writer.receive_stock(BEGIN_MS);
    let mut log = vec![genesis];
    log.extend(writer.take_links());
    let orders_from = log.len();
    writer.decide(Input::Orders, &Orders::new(5).records(Popularity::Uniform, DECISIONS, 50, BEGIN_MS), BEGIN_MS);
    log.extend(writer.take_links());
    let digest = writer.ledger().digest();

    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(DECISIONS as u64));
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|rounds| {
            let once = |_| {
                let (mut ledger, took) = engine(&log, orders_from);
                assert_eq!(ledger.digest(), digest, "it comes to where the log ends");
                took
            };
            (0..rounds).map(once).sum()
        });
    });
    group.bench_function("naive", |bencher| {
        bencher.iter_custom(|rounds| {
            let once = |_| {
                let mut ledger = Naive::new(WINDOW_MS, BEGIN_MS);
                let began = Instant::now();
                let decisions: u64 = log[orders_from..].iter().map(|link| follow(&mut ledger, link)).sum();
                let took = began.elapsed();
                assert_eq!(decisions, DECISIONS as u64);
                took
            };
            (0..rounds).map(once).sum()
        });
    });
    group.finish();
}

/// Replays the log; the time is that of the orders' part.
fn engine(log: &[Vec<u8>], orders_from: usize) -> (Ledger, Duration) {
    let mut ledger = Ledger::new(rules(WINDOW_MS), FingerprintKey([8; 16]));
    let mut check = LogCheck::new();
    let mut follow = |(offset, value): (usize, &Vec<u8>)| {
        if let LogEntry::Link(link) = check.next(offset as i64, value).expect("a sound log") {
            replay_link(&mut ledger, &link).expect("a sound log");
        }
    };
    log.iter().enumerate().take(orders_from).for_each(&mut follow);
    let began = Instant::now();
    log.iter().enumerate().skip(orders_from).for_each(&mut follow);
    (ledger, began.elapsed())
}

/// Brings a naive ledger to where a link of places left it.
fn follow(ledger: &mut Naive, link: &[u8]) -> u64 {
    let record = LogRecord::decode(link).expect("a sound log");
    let Some(log_record::Kind::Link(link)) = record.kind else { return 0 };
    let count = link.decisions.len() as u64;
    for decision in link.decisions {
        ledger.sequence = decision.sequence;
        let (outcome, reason, state) = (decision.outcome(), decision.reason(), decision.state());
        let key = OrderKey { pool: decision.pool, order_id: decision.order_id, attempt: decision.attempt };
        let lines: Vec<_> = decision.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
        if outcome == Outcome::Reserved {
            let rows = ledger.stock.get_mut(&key.pool).expect("stock was reserved in it");
            for (sku, quantity) in &lines {
                rows.get_mut(sku).expect("it was reserved").reserved += i64::from(*quantity);
            }
            ledger.holds.insert((decision.expires_at_ms, decision.sequence), key.clone());
        }
        let (content, sequence) = (decision.content, decision.sequence);
        ledger.orders.insert(key, Order { content, sequence, outcome, reason, state, lines, expires_at_ms: 0 });
    }
    count
}
