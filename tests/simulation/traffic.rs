//! What upstream publishes: orders and stock with all that is asked of them, copies, changed copies, poison, commands that
//! cannot be read beside some that can, records in the wrong partition, and transactions that are left open for a while.

use prost::Message as _;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use sluice::broker::memory::{Cluster, Message, Topic, Upstream};
use sluice::wire::link::RULES_LEVEL;
use sluice::wire::proto::{
    Adjust, Cancel, Command, Confirm, Count, Extend, Halt, OrderLine, Place, RaiseRulesLevel, Receive, Resume,
    SetSafetyStock, Ship, StockCommand, StockCommands, command, stock_command,
};
use sluice::wire::route::partition_of;

use crate::merchandising as selling;
use crate::odd::{self, MALFORMED, MALFORMED_STOCK, UNKNOWN_FIELD};
use crate::rules::{MAX_HOLD_MS, REPLY_PARTITIONS, SKEW_MS, WINDOW_MS};
use crate::{delivering, lots};

/// Values whose commands cannot be told apart.
const POISON: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"\xff\xff\xff"), Some(b"\x0a\x7f\x01")];

/// Ids in use at once: few, so that copies, cancels and confirms meet their orders.
const ORDERS: u32 = 60;
const BUSY_ORDERS: u32 = 4;
const SKUS: u32 = 5;
const POOLS: u32 = 6;

/// The share of commands that are wrong in a way of their own.
const ODD: f64 = 0.04;

pub struct Traffic {
    shards: u32,
    /// Records published before, to be published again as they are.
    sent: Vec<(Topic, u32, Message)>,
    latest: Latest,
    upstreams: Vec<Upstream>,
}

impl Traffic {
    pub fn new(cluster: &Cluster, shards: u32) -> Self {
        let upstreams = (0..2).map(|i| cluster.upstream(&i.to_string()).expect("nothing is in its way")).collect();
        for pool in (0..POOLS).map(|n| format!("pool-{n}")) {
            let kinds = lots::opening_stock(cluster.now_ms()).map(stock_command::Kind::Receive);
            let value = stock_record(&pool, "opening", cluster.now_ms(), kinds);
            let partition = partition_of(pool.as_bytes(), shards);
            cluster.publish(Topic::Stock, partition, Message::keyed(pool, value)).expect("nothing is in its way");
        }
        Traffic { shards, sent: Vec::new(), latest: Latest::default(), upstreams }
    }

    /// Publishes one record, or ends a transaction.
    pub fn step(&mut self, cluster: &Cluster, rng: &mut StdRng) {
        let (topic, partition, message) = match rng.random_range(0..100) {
            0..10 if !self.sent.is_empty() => self.sent.choose(rng).expect("there are some").clone(),
            0..70 => self.orders(cluster.now_ms(), rng),
            70..95 => self.stock(cluster.now_ms(), rng),
            95..97 => self.unreadable(rng),
            _ => {
                let upstream = self.upstreams.choose_mut(rng).expect("there are two");
                // A partition without a leader, a full disk: its client would try again, this one does not.
                let _ = if rng.random_bool(0.7) { upstream.commit() } else { upstream.abort() };
                return;
            }
        };
        self.sent.push((topic, partition, message.clone()));
        let _ = if rng.random_bool(0.1) {
            self.upstreams.choose_mut(rng).expect("there are two").publish(topic, partition, message)
        } else {
            cluster.publish(topic, partition, message)
        };
    }

    /// Ends what is open.
    pub fn finish(&mut self) {
        for upstream in &mut self.upstreams {
            upstream.commit().expect("nothing is in its way any more");
        }
    }

    /// A pool and, nearly always, its partition.
    fn route(&self, rng: &mut StdRng) -> (String, u32) {
        let pool = format!("pool-{}", rng.random_range(0..POOLS));
        let home = partition_of(pool.as_bytes(), self.shards);
        let astray = rng.random_range(0..self.shards);
        (pool, if rng.random_bool(0.97) { home } else { astray })
    }

    fn orders(&mut self, now_ms: i64, rng: &mut StdRng) -> (Topic, u32, Message) {
        let (pool, partition) = self.route(rng);
        let count = if rng.random_bool(0.7) { 1 } else { rng.random_range(2..6) };
        let commands = (0..count).map(|_| self.latest.order_command(&pool, now_ms, rng).encode_to_vec()).collect();
        let value = value(commands, &MALFORMED, rng);
        (Topic::Orders, partition, Message::keyed(pool, value))
    }

    fn stock(&self, now_ms: i64, rng: &mut StdRng) -> (Topic, u32, Message) {
        let (pool, partition) = self.route(rng);
        if rng.random_bool(0.02) {
            return (Topic::Stock, partition, raise_rules_level(partition, rng));
        }
        if rng.random_bool(0.01) {
            let kinds = lots::full_shelf(now_ms).map(stock_command::Kind::Receive);
            let value = stock_record(&pool, "shelf", now_ms, kinds);
            return (Topic::Stock, partition, Message::keyed(pool, value));
        }
        let count = if rng.random_bool(0.8) { 1 } else { 3 };
        let commands = (0..count).map(|_| self.latest.stock_command(&pool, now_ms, rng).encode_to_vec()).collect();
        let value = value(commands, &MALFORMED_STOCK, rng);
        (Topic::Stock, partition, Message::keyed(pool, value))
    }

    fn unreadable(&self, rng: &mut StdRng) -> (Topic, u32, Message) {
        let partition = rng.random_range(0..self.shards);
        if rng.random_bool(0.3) {
            // A command that holds nothing else.
            return (Topic::Orders, partition, Message::value([&[0x0a, 3][..], &UNKNOWN_FIELD].concat()));
        }
        let topic = if rng.random_bool(0.7) { Topic::Orders } else { Topic::Stock };
        let value = POISON.choose(rng).expect("there are some").map(bytes::Bytes::from_static);
        let headers = vec![("trace".to_owned(), Some(b"1".to_vec()))];
        (topic, partition, Message { key: Some("a key".into()), value, headers })
    }
}

pub fn sku(rng: &mut StdRng) -> String {
    format!("sku-{}", rng.random_range(0..SKUS))
}

/// Some of them are asked about often enough to be paid, shipped and asked about again, and some are new.
fn order_id(rng: &mut StdRng) -> String {
    match rng.random_range(0..10) {
        0..3 => busy_order_id(rng),
        3..6 => format!("new-{}", rng.random::<u32>()),
        _ => format!("order-{}", rng.random_range(0..ORDERS)),
    }
}

fn busy_order_id(rng: &mut StdRng) -> String {
    format!("order-{}", rng.random_range(0..BUSY_ORDERS))
}

/// Orders that were placed, and confirmed, last: most of what is confirmed, or shipped, is one of them.
#[derive(Default)]
struct Latest {
    placed: Vec<Place>,
    paid: Vec<Place>,
}

/// How far back the orders lie that are asked about most.
const LATEST: usize = 5;

/// One of the latest orders of a pool, if chance does not want any other.
fn latest<'a>(of: &'a [Place], pool: &str, rng: &mut StdRng) -> Option<&'a Place> {
    let of_pool: Vec<&Place> = of.iter().rev().filter(|it| it.pool == pool).take(LATEST).collect();
    of_pool.choose(rng).copied().filter(|_| rng.random_bool(0.7))
}

impl Latest {
    fn order_command(&mut self, pool: &str, now_ms: i64, rng: &mut StdRng) -> Command {
        let (order_id, attempt) = (order_id(rng), if rng.random_bool(0.9) { 0 } else { 1 });
        let placed_at_ms = if rng.random_bool(0.3) { 0 } else { client_time(now_ms, rng) };
        let pool = pool.to_owned();
        let kind = match rng.random_range(0..10) {
            0..5 => {
                let place = place(pool, order_id, attempt, now_ms, rng);
                self.placed.push(place.clone());
                command::Kind::Place(place)
            }
            5..7 => {
                let paid = latest(&self.placed, &pool, rng).cloned();
                let known = paid.as_ref().map(|it| (it.order_id.clone(), it.attempt));
                let (order_id, attempt) = known.unwrap_or((order_id, attempt));
                self.paid.extend(paid);
                command::Kind::Confirm(Confirm { pool, order_id, attempt, placed_at_ms })
            }
            7 => {
                let expires_at_ms = now_ms + rng.random_range(-100..2 * MAX_HOLD_MS);
                command::Kind::Extend(Extend { pool, order_id, attempt, expires_at_ms, placed_at_ms })
            }
            _ => command::Kind::Cancel(Cancel { pool, order_id, attempt, placed_at_ms }),
        };
        // One partition more than there is: a reply that nobody can read.
        let reply_partition = rng.random_bool(0.5).then(|| rng.random_range(0..=REPLY_PARTITIONS));
        let mut command = Command { kind: Some(kind), reply_partition };
        if rng.random_bool(ODD) {
            odd::order(&mut command, rng);
        }
        command
    }

    fn ship(&self, pool: &str, now_ms: i64, rng: &mut StdRng) -> Ship {
        let Some(paid) = latest(&self.paid, pool, rng) else {
            return Ship { order_id: busy_order_id(rng), ..Ship::default() };
        };
        Ship { order_id: paid.order_id.clone(), attempt: paid.attempt, lots: lots::shipped(&paid.lines, now_ms, rng) }
    }

    fn stock_command(&self, pool: &str, now_ms: i64, rng: &mut StdRng) -> StockCommand {
        let sku = sku(rng);
        let (lot, expiry) = lots::lot(&sku, now_ms, rng);
        let kind = match rng.random_range(0..38) {
            34..36 => stock_command::Kind::SetFreshness(lots::freshness(rng)),
            36 => stock_command::Kind::Halt(lots::halt(now_ms, rng)),
            31..34 => stock_command::Kind::SetDelivery(delivering::delivery(now_ms, rng)),
            20..23 => stock_command::Kind::SetSale(selling::sale(now_ms, rng)),
            23..26 => stock_command::Kind::SetLimit(selling::limit(now_ms, rng)),
            26..31 => stock_command::Kind::SetChannels(selling::channels(now_ms, rng)),
            0..9 => stock_command::Kind::Receive(Receive { sku, quantity: rng.random_range(0..20), lot, expiry }),
            9..12 => {
                let change = rng.random_range(-5..6);
                stock_command::Kind::Adjust(Adjust { sku, change, reason: "found".into(), lot, expiry })
            }
            12 => {
                let on_hand_seen = rng.random_range(0..30);
                stock_command::Kind::Count(Count { sku, counted: rng.random_range(0..30), on_hand_seen, lot, expiry })
            }
            13 => stock_command::Kind::SetSafetyStock(SetSafetyStock { sku, quantity: rng.random_range(0..4) }),
            14 => {
                let (sku, lot) = if rng.random_bool(0.2) { Default::default() } else { (sku, lot) };
                stock_command::Kind::Halt(Halt { sku, lot })
            }
            15 | 16 => {
                let (sku, lot) = if rng.random_bool(0.5) { Default::default() } else { (sku, lot) };
                stock_command::Kind::Resume(Resume { sku, lot })
            }
            _ => stock_command::Kind::Ship(self.ship(pool, now_ms, rng)),
        };
        let reply_partition = rng.random_bool(0.2).then(|| rng.random_range(0..REPLY_PARTITIONS));
        let id = format!("stock-{}", rng.random_range(0..1_000));
        // Some rules arrive late, behind others that were issued after them.
        let is_rule = matches!(
            kind,
            stock_command::Kind::SetSale(_)
                | stock_command::Kind::SetLimit(_)
                | stock_command::Kind::SetChannels(_)
                | stock_command::Kind::SetFreshness(_)
                | stock_command::Kind::SetDelivery(_)
        );
        let late_ms = if is_rule && rng.random_bool(0.1) { 2_000 } else { 0 };
        let (pool, issued_at_ms) = (pool.to_owned(), now_ms / 1_000 * 1_000 - late_ms);
        let mut command = StockCommand { pool, id, issued_at_ms, kind: Some(kind), reply_partition };
        if rng.random_bool(ODD) {
            odd::stock(&mut command, now_ms, rng);
        }
        command
    }
}

fn place(pool: String, order_id: String, attempt: u32, now_ms: i64, rng: &mut StdRng) -> Place {
    let count = if rng.random_bool(0.05) { 0 } else { rng.random_range(1..4) };
    let lines = (0..count).map(|_| OrderLine { sku: sku(rng), quantity: rng.random_range(1..4) }).collect();
    let placed_at_ms = client_time(now_ms, rng);
    let hold_ms = if rng.random_bool(0.5) { 0 } else { rng.random_range(1..MAX_HOLD_MS as u64 + 100) };
    let answer_by_ms = if rng.random_bool(0.9) { 0 } else { now_ms + rng.random_range(-50..200) };
    let customer = format!("customer-{}", rng.random_range(0..2));
    let lines = if rng.random_bool(0.01) { lots::much_of_the_shelf() } else { lines };
    let (segments, keys) = if rng.random_bool(0.5) { selling::vouched(rng) } else { Default::default() };
    let channel = selling::channel(rng);
    let mut place = Place {
        pool,
        order_id,
        attempt,
        customer,
        channel,
        placed_at_ms,
        lines,
        hold_ms,
        answer_by_ms,
        segments,
        keys,
        ..Place::default()
    };
    delivering::ask(&mut place, now_ms, rng);
    place
}

fn client_time(now_ms: i64, rng: &mut StdRng) -> i64 {
    match rng.random_range(0..20) {
        0 => now_ms - WINDOW_MS - rng.random_range(0..1_000),
        1 => now_ms + SKEW_MS + rng.random_range(0..1_000),
        // The whole second: copies made afresh have the same content, if they have the same lines.
        _ => now_ms / 1_000 * 1_000,
    }
}

/// Mostly for the shard that reads it, and of a level that there is.
fn raise_rules_level(partition: u32, rng: &mut StdRng) -> Message {
    let shard = if rng.random_bool(0.9) { partition } else { partition + 1 };
    let raise = RaiseRulesLevel { shard, level: rng.random_range(0..RULES_LEVEL + 2) };
    let kind = Some(stock_command::Kind::RaiseRulesLevel(raise));
    let command = StockCommand { kind, ..Default::default() };
    Message::value(value(vec![command.encode_to_vec()], &MALFORMED_STOCK, rng))
}

/// The value of a record of these commands, all of them as they should be.
fn stock_record(pool: &str, ids: &str, now_ms: i64, kinds: impl Iterator<Item = stock_command::Kind>) -> Vec<u8> {
    let commands = kinds.zip(0..).map(|(kind, n)| StockCommand {
        pool: pool.to_owned(),
        id: format!("{ids}-{n}-{now_ms}"),
        issued_at_ms: now_ms,
        kind: Some(kind),
        reply_partition: None,
    });
    StockCommands { commands: commands.collect() }.encode_to_vec()
}

/// The value of a record with these commands; now and then one of them has a field of tomorrow, or one that cannot be
/// read stands in its place.
fn value(commands: Vec<Vec<u8>>, malformed: &[&[u8]], rng: &mut StdRng) -> Vec<u8> {
    let mut value = Vec::new();
    for mut command in commands {
        if rng.random_bool(ODD / 2.0) {
            command.extend(UNKNOWN_FIELD);
        } else if rng.random_bool(ODD / 2.0) {
            command = malformed.choose(rng).expect("there are some").to_vec();
        }
        value.push(0x0a);
        prost::encoding::encode_varint(command.len() as u64, &mut value);
        value.extend(command);
    }
    value
}
