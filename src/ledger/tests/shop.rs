//! A ledger with selling rules, one that follows its log, and one that takes over again and again: short words for what is
//! asked of it.

use prost::Message;

use super::{RULES, START};
use crate::ledger::{FingerprintKey, Ledger, Moment, Rules};
use crate::wire::decision::Source;
use crate::wire::decode::{Scratch, validate};
use crate::wire::link::RULES_LEVEL;
use crate::wire::proto::{self, Input, Outcome, Reason, command, stock_command};
use crate::wire::{Decision, encode, view};

/// 100 each of SKU "a", "b" and "c" in "pool", at the newest rules level.
pub(super) struct Shop {
    pub(super) ledger: Ledger,
    /// Has replayed every decision of the other.
    follower: Ledger,
    /// Has replayed each second decision, and made those between by itself: as whoever takes the shard over does.
    heir: Ledger,
    pub(super) now: i64,
    number: u32,
    /// Every decision, as it stands in the log.
    pub(super) log: Vec<Vec<u8>>,
}

impl Shop {
    pub(super) fn new() -> Shop {
        let mut shop = Shop::empty(RULES_LEVEL);
        for sku in ["a", "b", "c"] {
            shop.receive("pool", sku, 100);
        }
        shop
    }

    /// Without stock, at this rules level.
    pub(super) fn empty(rules_level: u32) -> Shop {
        let ledger = |key| Ledger::new(Rules { rules_level, max_ids: 10_000, ..RULES }, FingerprintKey([key; 16]));
        let [follower, heir] = [2, 3].map(ledger);
        Shop { ledger: ledger(1), follower, heir, now: START, number: 0, log: Vec::new() }
    }

    /// Ends what is due, then decides the one command of a record: its decision, and those about holds before it.
    pub(super) fn decide(&mut self, value: &[u8], input: Input) -> proto::Decision {
        self.expire();
        let at = Moment { shard_time_ms: self.now, engine_time_ms: self.now };
        let mut scratch = Scratch::default();
        let record = validate(Some(value), input, &mut scratch).expect("well-formed");
        let decide = |ledger: &mut Ledger| encoded(&ledger.apply(&record.command(0), at));
        let bytes = decide(&mut self.ledger);
        self.check(&bytes, decide)
    }

    /// Ends what is due, and tells how many holds that were.
    pub(super) fn expire(&mut self) -> usize {
        let at = Moment { shard_time_ms: self.now, engine_time_ms: self.now };
        let end_one = |ledger: &mut Ledger| ledger.expire_one(at).map(|decision| encoded(&decision));
        for ended in 0.. {
            let Some(bytes) = end_one(&mut self.ledger) else { return ended };
            self.check(&bytes, |heir| end_one(heir).expect("it is due"));
        }
        unreachable!("holds come to an end")
    }

    /// Replays a decision as it stands in the log: whoever does so must come to the same digest, and whoever makes it by
    /// himself to the same decision.
    fn check(&mut self, bytes: &[u8], made_by: impl FnOnce(&mut Ledger) -> Vec<u8>) -> proto::Decision {
        let (logged, _) = view::decision(bytes).expect("it was encoded");
        let decision = proto::Decision::decode(bytes).expect("it was encoded");
        self.follower.replay(&logged).expect("it follows");
        if decision.sequence % 2 == 0 {
            assert_eq!(made_by(&mut self.heir), bytes, "decided by another: {decision:?}");
        } else {
            self.heir.replay(&logged).expect("it follows");
        }
        self.log.push(bytes.to_vec());
        let digest = self.ledger.digest();
        assert_eq!([self.follower.digest(), self.heir.digest()], [digest; 2], "replayed: {decision:?}");
        decision
    }

    fn next(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{what}-{}", self.number)
    }

    pub(super) fn command(&mut self, kind: command::Kind) -> proto::Decision {
        let commands = vec![proto::Command { kind: Some(kind), reply_partition: None }];
        self.decide(&proto::Commands { commands }.encode_to_vec(), Input::Orders)
    }

    pub(super) fn stock_command(&mut self, command: proto::StockCommand) -> proto::Decision {
        self.decide(&proto::StockCommands { commands: vec![command] }.encode_to_vec(), Input::Stock)
    }

    /// A stock command under an id of its own.
    pub(super) fn stock(&mut self, pool: &str, issued_at_ms: i64, kind: stock_command::Kind) -> proto::Decision {
        let (pool, id) = (pool.to_owned(), self.next("stock"));
        self.stock_command(proto::StockCommand { pool, id, issued_at_ms, kind: Some(kind), reply_partition: None })
    }

    pub(super) fn receive(&mut self, pool: &str, sku: &str, quantity: u64) -> proto::Decision {
        self.stock(
            pool,
            self.now,
            stock_command::Kind::Receive(proto::Receive { sku: sku.to_owned(), quantity, ..Default::default() }),
        )
    }

    pub(super) fn sale(&mut self, sale: proto::SetSale) -> proto::Decision {
        self.sale_of(self.now, sale)
    }

    pub(super) fn sale_of(&mut self, issued_at_ms: i64, sale: proto::SetSale) -> proto::Decision {
        self.stock("pool", issued_at_ms, stock_command::Kind::SetSale(sale))
    }

    pub(super) fn limit(&mut self, limit: proto::SetLimit) -> proto::Decision {
        self.limit_of(self.now, limit)
    }

    pub(super) fn limit_of(&mut self, issued_at_ms: i64, limit: proto::SetLimit) -> proto::Decision {
        self.stock("pool", issued_at_ms, stock_command::Kind::SetLimit(limit))
    }

    /// An order as it is, but for what every order must have: an id, a pool, a time.
    pub(super) fn place(&mut self, order: proto::Place) -> proto::Decision {
        let order_id = if order.order_id.is_empty() { self.next("order") } else { order.order_id };
        let pool = if order.pool.is_empty() { "pool".to_owned() } else { order.pool };
        let placed_at_ms = if order.placed_at_ms == 0 { self.now } else { order.placed_at_ms };
        self.command(command::Kind::Place(proto::Place { order_id, pool, placed_at_ms, ..order }))
    }

    /// An order of a customer for some units of each SKU.
    pub(super) fn buy(&mut self, customer: &str, lines: &[(&str, u32)]) -> proto::Decision {
        self.place(order(customer, lines))
    }

    pub(super) fn cancel(&mut self, of: &proto::Decision) -> Outcome {
        let (pool, order_id) = (of.pool.clone(), of.order_id.clone());
        self.command(command::Kind::Cancel(proto::Cancel { pool, order_id, ..Default::default() })).outcome()
    }

    pub(super) fn confirm(&mut self, of: &proto::Decision) -> Outcome {
        let (pool, order_id) = (of.pool.clone(), of.order_id.clone());
        self.command(command::Kind::Confirm(proto::Confirm { pool, order_id, ..Default::default() })).outcome()
    }

    pub(super) fn ship(&mut self, of: &proto::Decision) -> Outcome {
        let ship = proto::Ship { order_id: of.order_id.clone(), attempt: of.attempt, ..Default::default() };
        self.stock(&of.pool, self.now, stock_command::Kind::Ship(ship)).outcome()
    }
}

fn encoded(decision: &Decision<'_>) -> Vec<u8> {
    let source = Source { input: Input::Orders, offset: 0, index: 0, reply_partition: None };
    let mut bytes = Vec::new();
    encode::decision(&mut bytes, decision, &source);
    bytes
}

/// What a customer orders.
pub(super) fn order(customer: &str, lines: &[(&str, u32)]) -> proto::Place {
    let line = |&(sku, quantity): &(&str, u32)| proto::OrderLine { sku: sku.to_owned(), quantity };
    proto::Place { customer: customer.to_owned(), lines: lines.iter().map(line).collect(), ..Default::default() }
}

/// One unit of "a", for a customer who has these segments.
pub(super) fn one_of_a(segments: &[&str]) -> proto::Place {
    proto::Place { segments: texts(segments), ..order("ann", &[("a", 1)]) }
}

pub(super) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(super) fn key(name: &str, value: &str) -> proto::PlaceKey {
    proto::PlaceKey { name: name.to_owned(), value: value.to_owned() }
}

/// Outcome and reason.
pub(super) fn said(decision: &proto::Decision) -> (Outcome, Reason) {
    (decision.outcome(), decision.reason())
}

pub(super) const RESERVED: (Outcome, Reason) = (Outcome::Reserved, Reason::Unspecified);
pub(super) const APPLIED: (Outcome, Reason) = (Outcome::Applied, Reason::Unspecified);
