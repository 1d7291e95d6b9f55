//! The apply half of a lane does not allocate once it is warm: polled records in, batches out, buffers going round.

mod counting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sluice::broker::memory::{Cluster, MemoryBroker, MemoryReader, MemoryWriter, Message, Partitions as Topics, Topic};
use sluice::broker::{
    Broker, End, Ends, Fault, Header, Input, Inputs, Position, ReadFrom, Record, Records, TimestampKind, TopicFacts,
    Wake,
};
use sluice::lane::apply::ApplyHalf;
use sluice::lane::commit::CommitHalf;
use sluice::lane::exchange::Exchange;
use sluice::lane::{BatchLimits, LaneSettings, LaneSite, LedgerSettings, Load, Step};
use sluice::ledger::FingerprintKey;
use sluice::log::step::Now;
use sluice::wire::Layout;
use sluice::wire::link::{RULES_LEVEL, genesis, genesis_value};
use sluice::wire::proto::{
    Cancel, Command, Commands, OrderLine, Place, Receive, StockCommand, StockCommands, command, stock_command,
};

const START_MS: i64 = 1_700_000_000_000;
const ROUNDS: usize = 60;
/// Records of `orders` in a round: as many places and half as many cancels; what is left expires.
const ROUND_RECORDS: usize = 450;
/// Half a generation: after 30 rounds, what was forgotten is used again.
const ROUND_MS: i64 = 100;

fn values() -> Vec<Vec<u8>> {
    let order =
        |kind| Commands { commands: vec![Command { kind: Some(kind), reply_partition: Some(0) }] }.encode_to_vec();
    let mut values = Vec::new();
    for round in 0..ROUNDS as i64 {
        for i in 0..300 {
            let (pool, order_id) = ("pool".to_owned(), format!("order-{round}-{i}"));
            let lines = [i % 100, (i + 7) % 100].map(|sku| OrderLine { sku: format!("sku-{sku}"), quantity: 1 });
            let place = Place {
                pool: pool.clone(),
                order_id: order_id.clone(),
                customer: "customer".into(),
                placed_at_ms: START_MS + round * ROUND_MS,
                lines: lines.into(),
                ..Place::default()
            };
            values.push(order(command::Kind::Place(place)));
            if i % 2 == 0 {
                values.push(order(command::Kind::Cancel(Cancel { pool, order_id, ..Default::default() })));
            }
        }
    }
    values
}

/// Records that are there already, so that the counting sees the lane and not the broker.
struct Ready {
    orders: Vec<Vec<u8>>,
    stock: Vec<u8>,
    /// Records of `orders` that have been published.
    visible: AtomicUsize,
}

struct ReadyRecords {
    ready: Arc<Ready>,
    input: Input,
    from: usize,
    to: usize,
}

impl Records for ReadyRecords {
    fn len(&self) -> usize {
        self.to - self.from
    }

    fn get(&self, i: usize) -> Record<'_> {
        let at = self.from + i;
        let (value, time_ms) = match self.input {
            Input::Stock => (&self.ready.stock, START_MS - 1),
            _ => (&self.ready.orders[at], START_MS + (at / ROUND_RECORDS) as i64 * ROUND_MS),
        };
        let (timestamp_kind, key) = (TimestampKind::LogAppend, Some(&b"pool"[..]));
        Record { offset: at as i64, timestamp_ms: time_ms, timestamp_kind, leader_epoch: 0, key, value: Some(value) }
    }

    fn headers(&self, _: usize) -> Vec<Header> {
        Vec::new()
    }
}

struct ReadyInputs {
    ready: Arc<Ready>,
    positions: [usize; 2],
    ticket: Option<u64>,
}

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

impl Inputs for ReadyInputs {
    type Records = ReadyRecords;

    fn poll(&mut self, _: usize, input: Input, most: usize) -> Result<Option<ReadyRecords>, Fault> {
        let end = if input == Input::Stock { 1 } else { self.ready.visible.load(Ordering::Relaxed) };
        let position = &mut self.positions[usize::from(input == Input::Stock)];
        let (from, to) = (*position, end.min(*position + most));
        *position = to;
        Ok((from < to).then(|| ReadyRecords { ready: self.ready.clone(), input, from, to }))
    }

    fn position(&self, _: usize, input: Input) -> i64 {
        self.positions[usize::from(input == Input::Stock)] as i64
    }

    fn reopen(&mut self, _: usize, _: Position, _: Position) -> Result<(), Fault> {
        unreachable!("nothing fails")
    }

    fn wait(&mut self, _: Duration) {}

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Nobody)
    }

    fn ask_ends(&mut self, _: usize, ticket: u64) {
        self.ticket = Some(ticket);
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        let [orders, stock] =
            [self.ready.visible.load(Ordering::Relaxed), 1].map(|end| End { stable: end as i64, high: end as i64 });
        self.ticket.take().map(|ticket| (0, Ends { ticket, orders, stock }))
    }

    fn tick(&mut self, _: usize) -> Result<(), Fault> {
        Ok(())
    }
}

struct ReadyBroker {
    inner: MemoryBroker,
    ready: Arc<Ready>,
}

impl Broker for ReadyBroker {
    type Inputs = ReadyInputs;
    type Writer = MemoryWriter;
    type Reader = MemoryReader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.inner.topics(timeout)
    }

    fn inputs(&self, _: &[ReadFrom]) -> Result<ReadyInputs, Fault> {
        Ok(ReadyInputs { ready: self.ready.clone(), positions: [0, 0], ticket: None })
    }

    fn writer(&self, lane: u32) -> Result<MemoryWriter, Fault> {
        self.inner.writer(lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<MemoryReader, Fault> {
        self.inner.reader(lane, from_offset)
    }
}

fn broker() -> ReadyBroker {
    let cluster = Cluster::new(Topics::new(1), START_MS);
    let inner = cluster.node();
    let ids = inner.topics(Duration::ZERO).expect("the topics were just made").ids;
    let genesis = Message::value(genesis_value(genesis(0, Layout::one_each(1), ids, 800, 0, RULES_LEVEL)));
    cluster.publish(Topic::Decisions, 0, genesis).expect("nothing is in its way");
    let receive = |sku| StockCommand {
        pool: "pool".into(),
        id: format!("receive-{sku}"),
        issued_at_ms: START_MS - 1,
        kind: Some(stock_command::Kind::Receive(Receive {
            sku: format!("sku-{sku}"),
            quantity: 1_000_000,
            ..Receive::default()
        })),
        reply_partition: None,
    };
    let stock = StockCommands { commands: (0..100).map(receive).collect() }.encode_to_vec();
    ReadyBroker { inner, ready: Arc::new(Ready { orders: values(), stock, visible: AtomicUsize::new(0) }) }
}

fn settings() -> LaneSettings {
    LaneSettings {
        orders_topic: "orders".into(),
        stock_topic: "stock".into(),
        reply_partitions: 1,
        per_decision: true,
        batch: BatchLimits { min_interval_ms: 0, ..BatchLimits::default() },
        ledger: LedgerSettings {
            default_hold_ms: 50,
            max_hold_ms: 1_000,
            expected_ids: 60_000,
            max_ids: 1_000_000,
            key: FingerprintKey([7; 16]),
        },
        owner: "test".into(),
        accept_loss: false,
        parked_retry_ms: 30_000,
        commit_timeout: sluice::log::settings::COMMIT_TIMEOUT,
    }
}

#[test]
fn the_apply_half_allocates_nothing_once_it_is_warm() {
    let broker = Arc::new(broker());
    let (events, _told) = crossbeam::channel::unbounded();
    let (settings, load) = (Arc::new(settings()), Load::alone());
    let site = LaneSite { broker: broker.clone(), lane: 0, layout: Layout::one_each(1), settings, load, events };
    let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
    let mut apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
    let rng = StdRng::seed_from_u64(1);
    let mut commit = CommitHalf::new(site, exchange, status.clone(), rng);
    let mut steady_ms = 0;
    for round in 0..ROUNDS {
        broker.ready.visible.store((round + 1) * ROUND_RECORDS, Ordering::Relaxed);
        let mut allocations = 0;
        while status.snapshot(0).shards[0].orders.position < ((round + 1) * ROUND_RECORDS) as i64 {
            steady_ms += 1;
            let now = Now { steady_ms, unix_ms: START_MS };
            while commit.step(now) == Step::Again {}
            let before = counting::allocations();
            while apply.step(now) == Step::Again {}
            allocations += counting::allocations() - before;
        }
        assert!(round > 0 || allocations > 0, "the first round allocates, or nothing is counted");
        assert!(round < ROUNDS / 2 || allocations == 0, "{allocations} allocations in round {round}");
    }
    assert!(
        status.snapshot(0).shards[0].sequence > (ROUNDS * ROUND_RECORDS) as u64,
        "everything was decided, and holds expired"
    );
}
