//! The core as one would first write it: `prost` messages, `HashMap`s of owned strings, `BTreeMap` for the holds. It
//! takes the same records and makes the same decisions (the benchmarks hold the two against each other), for the
//! commands that they use: stock receipts and places. It is spared what the engine does besides: two passes over a
//! record, keyed fingerprints, a digest, forgetting within the time that is measured.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use sluice::wire::proto::{
    Asked, Command, Commands, Decision, Input, LineDecision, Link, LinkHeader, LogRecord, OrderState, Original,
    Outcome, Place, Reason, StockCommands, command, log_record, stock_command,
};

use super::content::content;
use super::orders::{HOLD_MS, POOL, order_id, stock};

/// Decisions to a link: about as many as the engine's have.
const LINK_DECISIONS: usize = 3_000;

/// What makes two orders copies of one another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct OrderKey {
    pub(crate) pool: String,
    pub(crate) order_id: String,
    pub(crate) attempt: u32,
}

/// What is known of an order.
pub(crate) struct Order {
    pub(crate) content: u64,
    pub(crate) sequence: u64,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    pub(crate) state: OrderState,
    pub(crate) lines: Vec<(String, u32)>,
    pub(crate) expires_at_ms: i64,
}

/// Stock of one SKU of a pool.
#[derive(Default)]
pub(crate) struct Row {
    on_hand: i64,
    pub(crate) reserved: i64,
    committed: i64,
    safety_stock: i64,
}

impl Row {
    fn available(&self) -> i64 {
        self.on_hand - self.reserved - self.committed - self.safety_stock
    }
}

/// Record bytes to decision bytes.
#[derive(Default)]
pub(crate) struct Naive {
    pub(crate) orders: HashMap<OrderKey, Order>,
    pub(crate) stock: HashMap<String, HashMap<String, Row>>,
    /// By when they end and their sequence.
    pub(crate) holds: BTreeMap<(i64, u64), OrderKey>,
    pub(crate) sequence: u64,
    window_ms: i64,
    offset: i64,
    decisions: Vec<Decision>,
    /// Where the links go, if somebody wants them.
    kept: Option<Vec<Vec<u8>>>,
}

impl Naive {
    /// With stock, which came at `now_ms`.
    pub(crate) fn new(window_ms: u64, now_ms: i64) -> Self {
        let mut naive = Self { window_ms: window_ms as i64, ..Self::default() };
        for command in stock(now_ms) {
            naive.receive(&StockCommands { commands: vec![command] }.encode_to_vec());
        }
        naive
    }

    /// Keeps the links from now on.
    pub(crate) fn keep_links(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// The links kept so far, each a record of the log.
    pub(crate) fn take_links(&mut self) -> Vec<Vec<u8>> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn receive(&mut self, record: &[u8]) {
        let commands = StockCommands::decode(record).expect("the benchmark's records are sound");
        for command in commands.commands {
            let Some(stock_command::Kind::Receive(receive)) = command.kind else { continue };
            let rows = self.stock.entry(command.pool).or_default();
            rows.entry(receive.sku).or_default().on_hand += receive.quantity as i64;
            self.sequence += 1;
        }
    }

    /// Decides records and returns the bytes of their decisions.
    pub(crate) fn decide(&mut self, records: &[Vec<u8>], now_ms: i64) -> u64 {
        let mut bytes = 0;
        for record in records {
            let commands = Commands::decode(&record[..]).expect("the benchmark's records are sound");
            for (index, command) in (0..).zip(commands.commands) {
                let decision = self.decide_one(command, index, now_ms);
                self.decisions.push(decision);
            }
            self.offset += 1;
            if self.decisions.len() >= LINK_DECISIONS {
                bytes += self.close_link(now_ms);
            }
        }
        bytes + self.close_link(now_ms)
    }

    fn decide_one(&mut self, command: Command, index: u32, now_ms: i64) -> Decision {
        let Some(command::Kind::Place(place)) = command.kind else { unreachable!("the benchmark only places") };
        let place = self.place(place, now_ms);
        Decision {
            input: Input::Orders as i32,
            offset: self.offset,
            index,
            reply_partition: command.reply_partition,
            ..place
        }
    }

    /// Decides a Place, without its provenance.
    pub(crate) fn place(&mut self, place: Place, now_ms: i64) -> Decision {
        self.sequence += 1;
        let mut decision = Decision {
            sequence: self.sequence,
            asked: Asked::Place as i32,
            pool: place.pool.clone(),
            order_id: place.order_id.clone(),
            attempt: place.attempt,
            decided_at_ms: now_ms,
            ..Decision::default()
        };
        let refuse = |decision: Decision, outcome: Outcome, reason: Reason| Decision {
            outcome: outcome as i32,
            reason: reason as i32,
            ..decision
        };
        if place.pool.is_empty() || place.order_id.is_empty() || place.customer.is_empty() {
            return refuse(decision, Outcome::Invalid, Reason::MissingId);
        }
        if place.lines.is_empty() {
            return refuse(decision, Outcome::Invalid, Reason::NoLines);
        }
        if place.lines.iter().any(|line| line.sku.is_empty() || !(1..=1_000_000).contains(&line.quantity)) {
            return refuse(decision, Outcome::Invalid, Reason::Quantity);
        }
        if place.placed_at_ms < now_ms - self.window_ms {
            return refuse(decision, Outcome::TooOld, Reason::Unspecified);
        }
        let content = content(&place);
        let key = OrderKey { pool: place.pool, order_id: place.order_id, attempt: place.attempt };
        if let Some(order) = self.orders.get(&key) {
            let outcome = if order.content == content { Outcome::Duplicate } else { Outcome::Conflict };
            decision.outcome = outcome as i32;
            decision.state = order.state as i32;
            decision.original =
                Some(Original { sequence: order.sequence, outcome: order.outcome as i32, reason: order.reason as i32 });
            if outcome == Outcome::Duplicate && order.state == OrderState::Held {
                let line = |(sku, quantity): &(String, u32)| LineDecision {
                    sku: sku.clone(),
                    quantity: *quantity,
                    allocated: *quantity,
                    ..Default::default()
                };
                decision.lines = order.lines.iter().map(line).collect();
                decision.expires_at_ms = order.expires_at_ms;
            }
            return decision;
        }
        let (reason, results) = reserve(self.stock.get_mut(&key.pool), &place.lines);
        decision.content = content;
        decision.reason = reason as i32;
        decision.lines = results;
        let mut order = Order {
            content,
            sequence: self.sequence,
            outcome: Outcome::Rejected,
            reason,
            state: OrderState::Rejected,
            lines: Vec::new(),
            expires_at_ms: 0,
        };
        if reason == Reason::Unspecified {
            (order.outcome, order.state) = (Outcome::Reserved, OrderState::Held);
            order.lines = place.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
            let hold_ms = if place.hold_ms == 0 { HOLD_MS } else { place.hold_ms };
            decision.expires_at_ms = now_ms + hold_ms as i64;
            order.expires_at_ms = decision.expires_at_ms;
            self.holds.insert((decision.expires_at_ms, self.sequence), key.clone());
        }
        decision.outcome = order.outcome as i32;
        decision.state = order.state as i32;
        self.orders.insert(key, order);
        decision
    }

    /// Ends every hold that is due.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        while let Some(hold) = self.holds.first_entry()
            && hold.key().0 <= now_ms
        {
            let key = hold.remove();
            let order = self.orders.get_mut(&key).expect("a held order is known");
            order.state = OrderState::Expired;
            let rows = self.stock.get_mut(&key.pool).expect("an order was held in it");
            for (sku, quantity) in std::mem::take(&mut order.lines) {
                rows.get_mut(&sku).expect("it was reserved").reserved -= i64::from(quantity);
            }
            self.sequence += 1;
        }
    }

    /// Forgets these orders.
    pub(crate) fn forget(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.orders.remove(&OrderKey { pool: POOL.into(), order_id: order_id(number), attempt: 0 });
        }
    }

    fn close_link(&mut self, now_ms: i64) -> u64 {
        let header = LinkHeader {
            first_sequence: self.decisions.first().map_or(0, |first| first.sequence),
            count: self.decisions.len() as u32,
            engine_time_ms: now_ms,
            shard_time_ms: now_ms,
            ..LinkHeader::default()
        };
        let link = Link { header: Some(header), decisions: std::mem::take(&mut self.decisions) };
        let value = LogRecord { kind: Some(log_record::Kind::Link(link)) }.encode_to_vec();
        let bytes = value.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.push(value);
        }
        bytes
    }
}

/// All lines or none; and what became of each.
fn reserve(
    rows: Option<&mut HashMap<String, Row>>,
    lines: &[sluice::wire::proto::OrderLine],
) -> (Reason, Vec<LineDecision>) {
    let mut empty = HashMap::new();
    let rows = rows.unwrap_or(&mut empty);
    let mut results: Vec<_> = lines
        .iter()
        .map(|line| LineDecision { sku: line.sku.clone(), quantity: line.quantity, ..LineDecision::default() })
        .collect();
    let mut unknown = false;
    for result in &mut results {
        if !rows.contains_key(&result.sku) {
            result.reason = Reason::UnknownSku as i32;
            unknown = true;
        }
    }
    if unknown {
        return (Reason::UnknownSku, results);
    }
    let mut short = false;
    for result in &mut results {
        let row = rows.get_mut(&result.sku).expect("it was just looked up");
        if row.available() >= i64::from(result.quantity) {
            row.reserved += i64::from(result.quantity);
            result.allocated = result.quantity;
        } else {
            result.available = Some(row.available());
            result.reason = Reason::OutOfStock as i32;
            short = true;
        }
    }
    if !short {
        return (Reason::Unspecified, results);
    }
    for result in &mut results {
        rows.get_mut(&result.sku).expect("it was just looked up").reserved -= i64::from(result.allocated);
        result.allocated = 0;
    }
    (Reason::OutOfStock, results)
}
