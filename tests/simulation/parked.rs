//! A lane alone, stepped by hand: shards that break down and come back, outages, and records that are large.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sluice::broker::Broker;
use sluice::broker::memory::{Cluster, Message, Partitions, Topic};
use sluice::lane::apply::ApplyHalf;
use sluice::lane::commit::CommitHalf;
use sluice::lane::exchange::Exchange;
use sluice::lane::{BatchLimits, LaneSettings, LaneSite, LaneSnapshot, LaneStatus, Load, Phase, Step};
use sluice::log::step::Now;
use sluice::wire::Layout;
use sluice::wire::link::{RULES_LEVEL, genesis, genesis_value};
use sluice::wire::proto::{Command, Commands, LinkHeader, LogRecord, OrderLine, Place, command, log_record};

use crate::planted::{Bug, Planted};
use crate::rules;

/// A lane of all shards of a cluster.
struct Bench {
    cluster: Cluster,
    broker: Planted,
    status: Arc<LaneStatus>,
    apply: ApplyHalf<Planted>,
    commit: CommitHalf<Planted>,
    now_ms: u64,
}

impl Bench {
    fn new(shards: u32) -> Bench {
        Self::with(shards, rules::settings("a").batch)
    }

    fn with(shards: u32, batch: BatchLimits) -> Bench {
        let layout = Layout { shards, lanes: 1 };
        let partitions = Partitions { lanes: 1, replies: rules::REPLY_PARTITIONS, ..Partitions::new(shards) };
        let cluster = Cluster::new(partitions, 1_700_000_000_000);
        let ids = cluster.node().topics(Duration::ZERO).unwrap().ids;
        let genesis = genesis(0, layout, ids, rules::WINDOW_MS as u64, rules::SKEW_MS as u64, RULES_LEVEL);
        cluster.publish(Topic::Decisions, 0, Message::value(genesis_value(genesis))).unwrap();
        let broker = Planted::new(cluster.node(), Bug::None);
        let settings = Arc::new(LaneSettings { batch, ..rules::settings("a") });
        let (events, _) = crossbeam::channel::unbounded();
        let site =
            LaneSite { broker: Arc::new(broker.clone()), lane: 0, layout, settings, load: Load::alone(), events };
        let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
        let apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
        let commit = CommitHalf::new(site, exchange, status.clone(), StdRng::seed_from_u64(1));
        Bench { cluster, broker, status, apply, commit, now_ms: 1_000 }
    }

    fn step(&mut self, by_ms: u64) {
        self.now_ms += by_ms;
        self.cluster.advance_ms(by_ms as i64);
        let now = Now { steady_ms: self.now_ms, unix_ms: self.cluster.now_ms() };
        self.apply.step(now);
        self.commit.step(now);
    }

    fn run(&mut self, for_ms: u64, by_ms: u64) {
        let until = self.now_ms + for_ms;
        while self.now_ms < until {
            self.step(by_ms);
        }
    }

    fn state(&self) -> LaneSnapshot {
        self.status.snapshot(self.now_ms)
    }

    fn sequences(&self) -> Vec<u64> {
        self.state().shards.iter().map(|shard| shard.sequence).collect()
    }

    fn place(&self, shard: u32, number: u32) {
        let pool = (0..).map(|n| format!("pool-{n}"));
        let shards = self.state().shards.len() as u32;
        let pool = pool.into_iter().find(|p| sluice::wire::route::partition_of(p.as_bytes(), shards) == shard).unwrap();
        let place = Place {
            pool: pool.clone(),
            order_id: format!("order-{number}"),
            customer: "c".into(),
            placed_at_ms: self.cluster.now_ms(),
            lines: vec![OrderLine { sku: "sku".into(), quantity: 1 }],
            ..Place::default()
        };
        let command = Command { kind: Some(command::Kind::Place(place)), reply_partition: None };
        let value = Commands { commands: vec![command] }.encode_to_vec();
        self.cluster.publish(Topic::Orders, shard, Message::keyed(pool, value)).unwrap();
    }

    fn poison(&self, shard: u32) {
        self.cluster.publish(Topic::Orders, shard, Message::value(b"\xff\xff\xff".to_vec())).unwrap();
    }

    /// The headers of all links.
    fn headers(&self) -> Vec<LinkHeader> {
        let log = self.cluster.read(Topic::Decisions, 0, 0).unwrap();
        let records = log.iter().map(|stored| LogRecord::decode(stored.message.value.as_deref().unwrap()).unwrap());
        let links = records.filter_map(|record| match record.kind {
            Some(log_record::Kind::Link(link)) => link.header,
            _ => None,
        });
        links.collect()
    }

    /// A shard breaks down as it decides.
    fn breaks(&mut self, shard: u32) {
        self.broker.breaks.store(true, Relaxed);
        self.poison(shard);
        self.run(100, 1);
        assert!(!self.broker.breaks.load(Relaxed), "it broke");
    }
}

#[test]
fn a_rebuild_longer_than_the_pause_does_not_bring_back_an_old_ledger() {
    let mut bench = Bench::new(2);
    bench.run(500, 1);
    (0..2).for_each(|shard| bench.place(shard, shard));
    bench.run(200, 1);
    bench.breaks(0);
    // Nothing is read of the log for many times the pause, and then for a moment.
    bench.broker.stalls.store(u64::MAX, Relaxed);
    bench.run(70_000, 10);
    bench.broker.stalls.store(0, Relaxed);
    bench.step(1);
    bench.broker.stalls.store(u64::MAX, Relaxed);
    bench.run(1_000, 1);
    bench.broker.stalls.store(0, Relaxed);
    for number in 10..15 {
        bench.place(0, number);
        bench.run(1_000, 1);
    }
    assert_eq!(bench.sequences()[0], 6, "it goes on where it was");
    bench.breaks(1);
    bench.run(3_000, 1);
    for number in 20..25 {
        bench.place(0, number);
        bench.run(100, 1);
    }
    let mut due = 1;
    for header in bench.headers().iter().filter(|header| header.shard == 0) {
        assert_eq!(header.first_sequence, due, "a sequence stands in the log twice");
        due += u64::from(header.count);
    }
    assert_eq!(due, 12);
}

#[test]
fn a_lane_whose_only_shard_breaks_down_fails_and_is_taken_anew() {
    let mut bench = Bench::new(1);
    bench.run(500, 1);
    bench.breaks(0);
    assert_eq!(bench.state().phase, Phase::Failed);
    bench.run(60_000, 10);
    assert_eq!((bench.state().phase, bench.state().epoch), (Phase::Running, 2));
}

#[test]
fn an_order_after_an_outage_does_not_wait_for_as_long_as_the_outage_took() {
    let mut bench = Bench::new(2);
    bench.run(500, 1);
    bench.place(0, 1);
    bench.run(200, 1);
    bench.cluster.set_leader(Topic::Decisions, 0, false).unwrap();
    bench.place(0, 2);
    bench.run(600_000, 10);
    bench.cluster.set_leader(Topic::Decisions, 0, true).unwrap();
    bench.run(10_000, 10);
    assert_eq!(bench.sequences(), [2, 0]);
    bench.place(1, 3);
    bench.run(5_000, 10);
    assert_eq!(bench.sequences(), [2, 1]);
}

/// For how long apply sleeps, in ms, while so many orders of one shard are decided and commits take no time.
fn sleeps_ms(records: u32, orders: u32) -> u64 {
    let mut bench = Bench::with(1, BatchLimits::default());
    bench.run(500, 1);
    for record in 0..records {
        let place = |number| Place {
            pool: "pool".into(),
            order_id: format!("order-{record}-{number}-0123456789abcdef"),
            customer: "customer-0123456789".into(),
            placed_at_ms: bench.cluster.now_ms(),
            lines: vec![OrderLine { sku: "sku-0123456789".into(), quantity: 1 }],
            ..Place::default()
        };
        let command = |number| Command { kind: Some(command::Kind::Place(place(number))), reply_partition: Some(0) };
        let value = Commands { commands: (0..orders).map(command).collect() }.encode_to_vec();
        bench.cluster.publish(Topic::Orders, 0, Message::keyed("pool", value)).unwrap();
    }
    let mut slept_ms = 0;
    while bench.sequences()[0] < u64::from(records * orders) {
        let now = Now { steady_ms: bench.now_ms, unix_ms: bench.cluster.now_ms() };
        let step = bench.apply.step(now);
        while let Step::Again = bench.commit.step(now) {}
        if let Step::Wait(most) = step {
            let ms = (most.as_millis() as u64).min(50);
            slept_ms += ms;
            bench.now_ms += ms;
            bench.cluster.advance_ms(ms.cast_signed());
        }
    }
    slept_ms
}

#[test]
fn a_shard_does_not_sleep_while_it_has_work_however_large_its_records_are() {
    for (records, orders) in [(400, 100), (80, 500), (40, 1_000)] {
        let slept_ms = sleeps_ms(records, orders);
        assert!(slept_ms <= 100, "{slept_ms} ms with {records} records of {orders}");
    }
}

#[test]
fn a_parked_shard_that_is_tried_in_vain_does_not_make_its_node_unready() {
    let mut bench = Bench::new(2);
    bench.run(500, 1);
    bench.place(1, 0);
    bench.run(200, 1);
    (1..4).for_each(|number| bench.place(1, number));
    bench.cluster.trim(Topic::Orders, 1, 3).unwrap();
    bench.run(200, 1);
    assert_eq!(bench.state().shards[1].phase, Phase::Parked);
    for _ in 0..5_000 {
        bench.step(1);
        assert_eq!(bench.state().phase, Phase::Running);
    }
}
