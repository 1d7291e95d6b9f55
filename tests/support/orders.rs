//! A seeded stream of orders and stock commands with everything in it that goes wrong on a peak day: retries, changed
//! retries, attempts raised, cancels early and late, holds left to expire, commands and records that nobody can read.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sluice::wire::proto::{self, Input, command, stock_command};

use super::model::calendar::{DAY_MS, written};

/// A record to be published.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) input: Input,
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
    /// Places in it that are no copies.
    pub(crate) orders: u64,
}

/// What the stream is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) pools: usize,
    /// SKUs of each pool; the first is hot: one order in 20 wants it, and it sells out.
    pub(crate) skus: u32,
    /// Commands in most records; the others hold one.
    pub(crate) per_record: usize,
    pub(crate) reply_partitions: u32,
}

/// Orders of a pool that later commands may refer to.
const REMEMBERED: usize = 2_000;

/// One record in this many of `orders` cannot be read.
const POISON_ONE_IN: u32 = 500;

/// One record in this many is followed by a record in `stock`.
const STOCK_ONE_IN: u32 = 5;

/// See the module.
#[derive(Debug)]
pub(crate) struct Orders {
    plan: Plan,
    rng: SmallRng,
    pools: Vec<Pool>,
    next_id: u64,
}

#[derive(Debug)]
struct Pool {
    name: String,
    /// Commands sent before, newest last: what a retry repeats, and what a Confirm refers to.
    places: VecDeque<proto::Place>,
    /// Orders that were cancelled before they were placed.
    cancelled_early: Vec<String>,
    confirmed: VecDeque<(String, u32)>,
    stock: VecDeque<proto::StockCommand>,
}

impl Orders {
    pub(crate) fn new(plan: Plan) -> Self {
        let pool = |i| Pool {
            name: format!("pool-{i}"),
            places: VecDeque::new(),
            cancelled_early: Vec::new(),
            confirmed: VecDeque::new(),
            stock: VecDeque::new(),
        };
        let pools = (0..plan.pools).map(pool).collect();
        Self { plan, rng: SmallRng::seed_from_u64(plan.seed), pools, next_id: 0 }
    }

    /// The stock that the day begins with: the hot SKU has 1,000 units, the others enough for most.
    pub(crate) fn opening_stock(&mut self) -> Vec<Sent> {
        let mut records = Vec::new();
        for pool in 0..self.plan.pools {
            let receive = |sku| {
                let quantity = if sku == 0 { 1_000 } else { 5_000 };
                let of_none = proto::Receive { sku: sku_name(sku), quantity, ..Default::default() };
                let receipts = if sku == IN_LOTS { receipts_of_lots().to_vec() } else { vec![of_none] };
                receipts.into_iter().map(stock_command::Kind::Receive)
            };
            // Rules first: without one everything is sold.
            let kinds = selling_rules().into_iter().chain((0..self.plan.skus).flat_map(receive));
            let commands: Vec<_> = kinds.map(|kind| self.stock_command(pool, kind)).collect();
            for commands in commands.chunks(100) {
                records.push(self.stock_record(pool, commands.to_vec()));
            }
        }
        records
    }

    /// The next record of `orders`, and now and then one of `stock` behind it.
    pub(crate) fn next(&mut self) -> Vec<Sent> {
        let pool = self.rng.random_range(0..self.plan.pools);
        let mut records = vec![self.orders_record(pool)];
        if self.one_in(STOCK_ONE_IN) {
            let commands = (0..self.rng.random_range(1..4)).map(|_| self.some_stock_command(pool)).collect();
            records.push(self.stock_record(pool, commands));
        }
        records
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    fn orders_record(&mut self, pool: usize) -> Sent {
        let key = self.pools[pool].name.clone();
        if self.one_in(POISON_ONE_IN) {
            return Sent { input: Input::Orders, key, value: self.poison(), orders: 0 };
        }
        let count = if self.one_in(4) { 1 } else { self.plan.per_record };
        let mut value = Vec::new();
        let mut orders = 0;
        if self.one_in(100) {
            // Confluent's framing: magic byte, schema id, message index 0.
            value.extend_from_slice(&[0, 0, 0, 0, 7, 0]);
        }
        for _ in 0..count {
            let (mut command, new) = self.some_command(pool);
            orders += u64::from(new);
            if self.plan.reply_partitions > 0 && self.one_in(10) {
                // Now and then one that does not exist, which must cost its asker the answer and nobody anything else.
                let exists = !self.one_in(200);
                let partition = self.rng.random_range(0..self.plan.reply_partitions);
                command.reply_partition = Some(if exists { partition } else { partition + 10_000 });
            }
            let mut bytes = command.encode_to_vec();
            match self.rng.random_range(0..2_000) {
                // A rule of tomorrow: field 77 must be understood, field 777 need not be.
                0 => prost::encoding::uint64::encode(77, &1, &mut bytes),
                1 => prost::encoding::uint64::encode(777, &1, &mut bytes),
                // Something within is broken: a Place in front whose pool is not UTF-8, and an end that is cut off.
                2 => drop(bytes.splice(..0, *b"\x0a\x03\x0a\x01\xff")),
                3 => bytes.truncate(bytes.len() - 1),
                _ => {}
            }
            append(&mut value, &bytes);
        }
        Sent { input: Input::Orders, key, value: Some(value), orders }
    }

    fn poison(&mut self) -> Option<Vec<u8>> {
        match self.rng.random_range(0..5) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(b"{\"order\": \"this is JSON\"}".to_vec()),
            3 => Some(vec![0, 0, 0]),
            _ => {
                let (command, _) = self.some_command(0);
                let mut value = Vec::new();
                append(&mut value, &command.encode_to_vec());
                value.truncate(value.len() - 1);
                Some(value)
            }
        }
    }

    /// A command for an order of `pool`, and whether it is a Place that nobody sent before.
    fn some_command(&mut self, pool: usize) -> (proto::Command, bool) {
        let dice = self.rng.random_range(0..10_000);
        let place = |place| command::Kind::Place(place);
        let (kind, new) = match dice {
            0..200 => (self.earlier(pool).map(place), false),
            200..210 => {
                (self.earlier(pool).map(|p| place(proto::Place { customer: format!("{}-x", p.customer), ..p })), false)
            }
            210..270 => (self.earlier(pool).map(|p| place(self.again(p))), true),
            270..1_300 => (self.earlier(pool).map(|p| self.confirm(pool, &p)), false),
            1_300..1_400 => (self.earlier(pool).map(|p| self.extend(p)), false),
            1_400..1_800 => (self.earlier(pool).map(cancel), false),
            1_800..1_840 => (Some(self.cancel_early(pool)), false),
            1_840..1_870 => (self.pools[pool].cancelled_early.pop().map(|id| place(self.place(pool, id))), true),
            // Meant for another pool, which may live in another partition.
            1_870..1_890 => {
                let other = (pool + 1) % self.plan.pools;
                let id = self.fresh_id();
                (Some(place(self.place(other, id))), false)
            }
            1_890..1_930 => (Some(place(self.refused(pool))), false),
            _ => (None, false),
        };
        if let Some(kind) = kind {
            return (proto::Command { kind: Some(kind), reply_partition: None }, new);
        }
        let id = self.fresh_id();
        let new = self.place(pool, id);
        let known = &mut self.pools[pool].places;
        known.push_back(new.clone());
        if known.len() > REMEMBERED {
            known.pop_front();
        }
        (proto::Command { kind: Some(place(new)), reply_partition: None }, true)
    }

    fn fresh_id(&mut self) -> String {
        self.next_id += 1;
        format!("o-{}-{}", self.plan.seed, self.next_id)
    }

    fn earlier(&mut self, pool: usize) -> Option<proto::Place> {
        let known = &self.pools[pool].places;
        if known.is_empty() {
            return None;
        }
        let i = self.rng.random_range(0..known.len());
        Some(known[i].clone())
    }

    fn place(&mut self, pool: usize, order_id: String) -> proto::Place {
        let lines = self.rng.random_range(1..4);
        let mut line = || {
            let sku = if self.one_in(20) { 0 } else { self.rng.random_range(0..self.plan.skus + 1) };
            proto::OrderLine { sku: sku_name(sku), quantity: self.rng.random_range(1..4) }
        };
        let lines = (0..lines).map(|_| line()).collect();
        // Some holds are left to expire while the stream still flows.
        let hold_ms = if self.one_in(4) { self.rng.random_range(200..3_000) } else { 0 };
        proto::Place {
            pool: self.pools[pool].name.clone(),
            order_id,
            attempt: 0,
            customer: format!("c-{}", self.rng.random_range(0..100_000)),
            channel: if self.one_in(2) { "web".to_owned() } else { String::new() },
            placed_at_ms: now_ms(),
            lines,
            hold_ms,
            answer_by_ms: 0,
            segments: if self.one_in(2) { vec![MEMBER.to_owned()] } else { Vec::new() },
            keys: if self.one_in(10) { Vec::new() } else { vec![self.household()] },
            ..Default::default()
        }
    }

    fn household(&mut self) -> proto::PlaceKey {
        let value = format!("h-{}", self.rng.random_range(0..HOUSEHOLDS));
        proto::PlaceKey { name: HOUSEHOLD.to_owned(), value }
    }

    /// The customer tries again; allowed only if the attempt before has ended, which nobody looks at here.
    fn again(&mut self, place: proto::Place) -> proto::Place {
        let attempt = if self.one_in(10) { 7 } else { place.attempt + 1 };
        proto::Place { attempt, placed_at_ms: now_ms(), ..place }
    }

    fn confirm(&mut self, pool: usize, place: &proto::Place) -> command::Kind {
        let confirmed = &mut self.pools[pool].confirmed;
        confirmed.push_back((place.order_id.clone(), place.attempt));
        if confirmed.len() > REMEMBERED {
            confirmed.pop_front();
        }
        command::Kind::Confirm(proto::Confirm {
            pool: place.pool.clone(),
            order_id: place.order_id.clone(),
            attempt: place.attempt,
            placed_at_ms: place.placed_at_ms,
        })
    }

    fn extend(&mut self, place: proto::Place) -> command::Kind {
        let expires_at_ms = now_ms() + self.rng.random_range(-1_000..2_000_000);
        command::Kind::Extend(proto::Extend {
            pool: place.pool,
            order_id: place.order_id,
            attempt: place.attempt,
            expires_at_ms,
            placed_at_ms: 0,
        })
    }

    fn cancel_early(&mut self, pool: usize) -> command::Kind {
        let order_id = self.fresh_id();
        self.pools[pool].cancelled_early.push(order_id.clone());
        let pool = self.pools[pool].name.clone();
        command::Kind::Cancel(proto::Cancel { pool, order_id, attempt: 0, placed_at_ms: now_ms() })
    }

    /// A Place that must be refused without being remembered.
    fn refused(&mut self, pool: usize) -> proto::Place {
        let id = self.fresh_id();
        let place = self.place(pool, id);
        match self.rng.random_range(0..7) {
            0 => proto::Place { lines: Vec::new(), ..place },
            1 => proto::Place { order_id: String::new(), ..place },
            2 => proto::Place { customer: "c".repeat(129), ..place },
            3 => proto::Place { placed_at_ms: place.placed_at_ms - 30 * DAY_MS, ..place },
            4 => proto::Place { placed_at_ms: place.placed_at_ms + DAY_MS, ..place },
            5 => proto::Place { answer_by_ms: place.placed_at_ms - DAY_MS, ..place },
            _ => proto::Place { hold_ms: u64::MAX, ..place },
        }
    }

    fn stock_record(&mut self, pool: usize, commands: Vec<proto::StockCommand>) -> Sent {
        let key = self.pools[pool].name.clone();
        let mut value = proto::StockCommands { commands }.encode_to_vec();
        if self.one_in(POISON_ONE_IN) {
            value.push(0xff);
        }
        Sent { input: Input::Stock, key, value: Some(value), orders: 0 }
    }

    fn stock_command(&mut self, pool: usize, kind: stock_command::Kind) -> proto::StockCommand {
        let id = self.fresh_id();
        let pool = self.pools[pool].name.clone();
        proto::StockCommand { pool, id, issued_at_ms: now_ms(), kind: Some(kind), reply_partition: None }
    }

    fn some_stock_command(&mut self, pool: usize) -> proto::StockCommand {
        let sku = sku_name(self.rng.random_range(0..self.plan.skus + 1));
        let reason = "stocktaking".to_owned();
        let kind = match self.rng.random_range(0..100) {
            0..55 => match self.pools[pool].confirmed.pop_front() {
                Some((order_id, attempt)) => {
                    stock_command::Kind::Ship(proto::Ship { order_id, attempt, ..Default::default() })
                }
                None => stock_command::Kind::Receive(proto::Receive { sku, quantity: 10, ..Default::default() }),
            },
            55..75 => {
                let quantity = self.rng.random_range(0..200);
                stock_command::Kind::Receive(proto::Receive { sku, quantity, ..Default::default() })
            }
            75..82 => {
                let change = self.rng.random_range(-50..50);
                stock_command::Kind::Adjust(proto::Adjust { sku, change, reason, ..Default::default() })
            }
            82..88 => {
                let on_hand_seen = self.rng.random_range(900..1_000);
                stock_command::Kind::Count(proto::Count { sku, counted: 950, on_hand_seen, ..Default::default() })
            }
            88..91 => {
                let quantity = self.rng.random_range(0..20);
                stock_command::Kind::SetSafetyStock(proto::SetSafetyStock { sku, quantity })
            }
            91 => stock_command::Kind::Halt(proto::Halt { sku, ..Default::default() }),
            92..95 => stock_command::Kind::Resume(proto::Resume { sku, ..Default::default() }),
            _ => {
                let known = &self.pools[pool].stock;
                if let Some(earlier) = known.front() {
                    let mut copy = earlier.clone();
                    if self.one_in(5) {
                        copy.issued_at_ms += 1;
                    }
                    return copy;
                }
                stock_command::Kind::Resume(proto::Resume::default())
            }
        };
        let command = self.stock_command(pool, kind);
        let known = &mut self.pools[pool].stock;
        known.push_back(command.clone());
        if known.len() > REMEMBERED / 10 {
            known.pop_front();
        }
        command
    }
}

/// The number of the SKU that is in lots.
const IN_LOTS: u32 = 4;

/// What of it there is: lots that expire tomorrow and on the days after that, the first of them with little.
fn receipts_of_lots() -> [proto::Receive; 3] {
    [(1, 50), (2, 500), (3, 4_500)].map(|(ahead, quantity)| {
        let expiry = written(now_ms().div_euclid(DAY_MS) + ahead).expect("a day of the calendar");
        proto::Receive { sku: sku_name(IN_LOTS), quantity, lot: format!("lot-{ahead}"), expiry }
    })
}

/// A segment that customers may be of, and a key that most orders bring.
const MEMBER: &str = "member";
const HOUSEHOLD: &str = "household";
const HOUSEHOLDS: u32 = 2_000;

/// The selling rules of every pool: the second SKU for members only, and so few of the third and fourth together for each
/// household that some come to the end of them.
fn selling_rules() -> [stock_command::Kind; 2] {
    let sale = proto::SetSale { sku: sku_name(1), only: vec![MEMBER.to_owned()], ..proto::SetSale::default() };
    let limit = proto::SetLimit {
        name: "a few".to_owned(),
        units: 5,
        units_an_order: 4,
        skus: vec![sku_name(2), sku_name(3)],
        key: HOUSEHOLD.to_owned(),
        ..proto::SetLimit::default()
    };
    [stock_command::Kind::SetSale(sale), stock_command::Kind::SetLimit(limit)]
}

/// A length-delimited field 1: a further command.
pub(crate) fn append(value: &mut Vec<u8>, command: &[u8]) {
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, value);
    prost::encoding::encode_varint(command.len() as u64, value);
    value.extend_from_slice(command);
}

fn cancel(place: proto::Place) -> command::Kind {
    let proto::Place { pool, order_id, attempt, placed_at_ms, .. } = place;
    command::Kind::Cancel(proto::Cancel { pool, order_id, attempt, placed_at_ms })
}

fn sku_name(sku: u32) -> String {
    format!("sku-{sku:05}")
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("the clock is before the year 292 million")
}
