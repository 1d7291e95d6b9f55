//! What deliveries keep: counts of days, beyond the rule and until the day is over; and how a log tells all of it.

use prost::Message;

use super::RULES;
use super::delivery::{CUTOFF, at, dawn};
use super::replay::{check, disagrees};
use super::shop::{APPLIED, RESERVED, Shop, key, one_of_a, order, said, texts};
use crate::ledger::{FingerprintKey, Ledger, Moment, Rules};
use crate::wire::decision::Source;
use crate::wire::decode::{Scratch, validate};
use crate::wire::proto::{self, Input, Late, Outcome, Reason, stock_command};
use crate::wire::{encode, view};

const FULL: (Outcome, Reason) = (Outcome::Rejected, Reason::DeliveryFull);
const HOUR_MS: i64 = 60 * 60 * 1000;

/// One order a day, which is rejected if it can't be had.
fn one_a_day() -> proto::DeliveryService {
    proto::DeliveryService { orders_a_day: 1, late: Late::Reject.into(), ..dawn() }
}

impl Shop {
    fn pass(&mut self, now: i64) {
        self.now = now;
        let kind = stock_command::Kind::Tick(proto::Tick { shard: 0 });
        self.stock("", 0, kind);
    }

    fn first_day(&mut self) -> (Outcome, Reason) {
        said(&self.for_day(0, Late::Unspecified))
    }

    /// The digest of a ledger that never heard of anything.
    fn is_empty(&mut self) -> bool {
        let mut other = Shop::empty(2);
        other.now = self.now;
        self.ledger.digest() == other.ledger.digest()
    }
}

#[test]
fn what_is_released_before_its_cutoff_can_be_had_again_and_later_not() {
    let cutoff_ms = at(CUTOFF);
    let mut shop = Shop::delivering(cutoff_ms - 2_000, &[one_a_day()]);
    for _ in 0..3 {
        let held = shop.for_day(0, Late::Unspecified);
        assert_eq!((said(&held), held.day), (RESERVED, 20260506));
        assert_eq!(shop.first_day(), FULL);
        assert_eq!(shop.cancel(&held), Outcome::Cancelled);
    }
    // A hold that runs out, and an order that was paid.
    let held = shop.place(proto::Place { hold_ms: 10, ..one_of_a(&[]) });
    shop.now += 9;
    assert_eq!((said(&held), shop.first_day()), (RESERVED, FULL));
    shop.now += 1;
    let paid = shop.for_day(0, Late::Unspecified);
    assert_eq!((said(&paid), shop.confirm(&paid)), (RESERVED, Outcome::Confirmed));
    shop.now = cutoff_ms - 1;
    assert_eq!(shop.cancel(&paid), Outcome::Cancelled);
    let last = shop.for_day(0, Late::Unspecified);
    assert_eq!((said(&last), last.day), (RESERVED, 20260506));
    // From the cutoff on the day stays as it was: told by the digest, which the follower has, too.
    shop.confirm(&last);
    shop.now = cutoff_ms;
    let mut before = Shop::delivering(cutoff_ms - 2_000, &[one_a_day()]);
    before.now = cutoff_ms - 1;
    before.for_day(0, Late::Unspecified);
    assert_eq!(shop.cancel(&last), Outcome::Cancelled);
    let next = shop.for_day(0, Late::Unspecified);
    assert_eq!((said(&next), next.day), (RESERVED, 20260507));
}

#[test]
fn a_shipped_order_keeps_its_place() {
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[one_a_day()]);
    let paid = shop.for_day(0, Late::Unspecified);
    shop.confirm(&paid);
    assert_eq!((shop.ship(&paid), shop.first_day()), (Outcome::Shipped, FULL));
}

#[test]
fn counts_outlive_the_rule_by_the_name_of_the_service() {
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[one_a_day()]);
    let first = shop.for_day(0, Late::Unspecified);
    shop.now += 1;
    assert_eq!(said(&shop.delivery(&[])), APPLIED);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED, "no rule, no day");
    shop.now += 1;
    let named = |name: &str| proto::DeliveryService { name: name.into(), ..one_a_day() };
    shop.delivery(&[named("other"), one_a_day()]);
    let by = |service: &str| proto::Place { service: service.into(), ..one_of_a(&[]) };
    assert_eq!(said(&shop.place(by("dawn"))), FULL, "it is full still");
    assert_eq!(said(&shop.place(by("other"))), RESERVED, "and another service has another count");
    assert_eq!(said(&shop.place(by("other"))), FULL);
    assert_eq!(shop.cancel(&first), Outcome::Cancelled);
    let again = shop.place(by("dawn"));
    assert_eq!((said(&again), again.day), (RESERVED, first.day));
    // Counted while the rule said otherwise.
    shop.now += 1;
    shop.delivery(&[proto::DeliveryService { orders_a_day: 3, ..dawn() }]);
    assert_eq!([shop.first_day(), shop.first_day()], [RESERVED; 2]);
    shop.now += 1;
    shop.delivery(&[one_a_day()]);
    assert_eq!(shop.first_day(), FULL);
    shop.now += 1;
    shop.delivery(&[proto::DeliveryService { orders_a_day: 4, ..dawn() }]);
    assert_eq!(shop.first_day(), RESERVED);
}

#[test]
fn a_count_is_forgotten_when_no_zone_has_its_day_any_more() {
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[dawn()]);
    let held = shop.for_day(0, Late::Unspecified);
    assert_eq!(held.day, 20260506);
    shop.cancel(&held);
    shop.confirm(&held);
    let paid = shop.for_day(0, Late::Unspecified);
    shop.confirm(&paid);
    shop.ship(&paid);
    shop.now += 1;
    shop.delivery(&[]);
    let taken = [("a", 99), ("b", 100)];
    for (sku, units) in taken {
        let gone = proto::Adjust { sku: sku.into(), change: -units, ..Default::default() };
        assert_eq!(said(&shop.stock("pool", shop.now, stock_command::Kind::Adjust(gone))), APPLIED);
    }
    shop.pass(at("2026-05-07T23:59:59.999Z"));
    assert_eq!(shop.ledger.pressure().remembered, 0, "all else is forgotten");
    assert!(!shop.is_empty(), "the count stands");
    shop.pass(at("2026-05-08T00:00:00Z"));
    assert!(shop.is_empty(), "and is gone, with its pool");
    // A slot that is used again counts from nothing.
    shop.receive("pool", "a", 9);
    shop.delivery(&[one_a_day()]);
    assert_eq!([shop.first_day(), shop.first_day()], [RESERVED, FULL]);
}

#[test]
fn a_delivery_that_was_removed_is_known_as_long_as_other_rules() {
    let mut shop = Shop::empty(2);
    shop.now = at(CUTOFF);
    shop.delivery(&[dawn()]);
    let with_rule = shop.ledger.digest();
    shop.pass(shop.now + 30 * 24 * HOUR_MS);
    assert_ne!(shop.ledger.digest(), [0; 16]);
    assert!(!shop.is_empty(), "it stands without stock");
    let order = shop.buy("ann", &[("a", 1)]);
    assert_eq!(said(&order), (Outcome::Rejected, Reason::UnknownSku), "and knows its days: {with_rule:?}");
    let removed = shop.now;
    shop.delivery(&[]);
    // A generation is 275 ms long, and what was changed in one is known in the five that follow.
    let last_known = (removed / 275 + 6) * 275 - 1;
    shop.pass(last_known);
    assert!(!shop.is_empty());
    shop.pass(last_known + 1);
    assert!(shop.is_empty());
}

#[test]
fn a_pool_keeps_its_sale_as_long_as_a_day_is_counted() {
    let mut shop = Shop::empty(2);
    shop.now = at(CUTOFF) - 1_000;
    let closes_at_ms = shop.now + 100;
    shop.receive("pool", "a", 1);
    shop.sale(proto::SetSale { closes_at_ms, ..Default::default() });
    shop.delivery(&[dawn()]);
    let paid = shop.for_day(0, Late::Unspecified);
    shop.confirm(&paid);
    shop.ship(&paid);
    shop.delivery(&[]);
    shop.pass(at("2026-05-07T12:00:00Z"));
    assert_eq!(shop.ledger.pressure().rows, 0);
    shop.receive("pool", "a", 1);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), (Outcome::Rejected, Reason::Closed));
}

#[test]
fn days_and_deliveries_take_memory() {
    let ids = |shop: &Shop| {
        // 10,000 ids: orders are refused from 9,500 on.
        let pressure = shop.ledger.pressure();
        (pressure.remembered, pressure.busy)
    };
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[dawn()]);
    let named = |n: usize| proto::DeliveryService { name: format!("{n}"), horizon: 62, ..dawn() };
    // Seven services of 31 ids each for their days, and five for their bytes, in each pool.
    let services: Vec<_> = (0..7).map(named).collect();
    let mut pools = 0;
    while !ids(&shop).1 {
        pools += 1;
        let rule = proto::SetDelivery { services: services.clone() };
        let set = shop.stock(&format!("p{pools}"), shop.now, stock_command::Kind::SetDelivery(rule));
        assert_eq!(said(&set), APPLIED);
    }
    assert_eq!(pools, 9_500_usize.div_ceil(7 * 31 + bytes_in_ids(&services) + 1), "and a little for the first");
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), (Outcome::Busy, Reason::Unspecified));
}

/// Canonical bytes of a rule of these services in "p1", in ids.
fn bytes_in_ids(services: &[proto::DeliveryService]) -> usize {
    let fixed = 1 + (4 + 2) + 3 * 8 + 1 + 4;
    let bytes =
        |it: &proto::DeliveryService| 4 + it.name.len() + 4 + it.time_zone.len() + 4 + 7 * 8 + 4 + 4 + 8 + 4 + 1 + 8;
    (fixed + services.iter().map(bytes).sum::<usize>()).div_ceil(40)
}

#[test]
fn what_a_log_tells_of_a_delivery_must_hold_together() {
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[proto::DeliveryService { grace_ms: 100, ..dawn() }]);
    shop.limit(proto::SetLimit {
        name: "l".into(),
        units: 5,
        skus: texts(&["a"]),
        key: "card".into(),
        ..Default::default()
    });
    let keys = vec![key("card", "c1")];
    assert_eq!(said(&shop.place(proto::Place { keys, ..order("ann", &[("a", 2)]) })), RESERVED);
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |order| order.service.clear());
    disagrees(&shop, |order| order.service = "noon".into());
    disagrees(&shop, |order| order.day = 0);
    disagrees(&shop, |order| order.day = 20260229);
    disagrees(&shop, |order| order.day = 20260503);
    disagrees(&shop, |order| order.cutoff_ms = order.decided_at_ms);
    disagrees(&shop, |order| order.hold_until_ms = order.cutoff_ms - 1);
    disagrees(&shop, |order| order.expires_at_ms = order.hold_until_ms + 1);
    disagrees(&shop, |order| {
        order.service.clear();
        (order.day, order.cutoff_ms, order.hold_until_ms) = (0, 0, 0);
    });
    shop.delivery(&[proto::DeliveryService { name: "noon".into(), ..dawn() }]);
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |set| set.delivery.as_mut().expect("a delivery").services[0].horizon = 63);
    disagrees(&shop, |set| set.delivery = None);
    shop.now += 1;
    shop.delivery(&[]);
    assert_eq!(said(&shop.buy("ann", &[("b", 1)])), RESERVED);
    disagrees(&shop, |order| order.service = "dawn".into());
    disagrees(&shop, |order| order.day = 20260506);
}

#[test]
fn a_log_whose_zone_this_table_does_not_have_replays_and_its_orders_are_refused() {
    let mut shop = Shop::delivering(at(CUTOFF) - 1_000, &[one_a_day()]);
    let held = shop.for_day(0, Late::Unspecified);
    assert_eq!(said(&held), RESERVED);
    assert_eq!(shop.first_day(), FULL);
    let mut ledger = Ledger::new(Rules { rules_level: 2, max_ids: 10_000, ..RULES }, FingerprintKey([9; 16]));
    for bytes in &shop.log {
        let mut decision = proto::Decision::decode(&bytes[..]).expect("it was encoded");
        if let Some(rule) = &mut decision.delivery {
            rule.services[0].time_zone = "Asia/Atlantis".into();
        }
        ledger.replay(&view::decision(&decision.encode_to_vec()).expect("it was encoded").0).expect("it follows");
    }
    let kind = |kind| proto::Commands { commands: vec![proto::Command { kind: Some(kind), reply_partition: None }] };
    let mut decide = |asked: proto::command::Kind| {
        let value = kind(asked).encode_to_vec();
        let mut scratch = Scratch::default();
        let record = validate(Some(&value), Input::Orders, &mut scratch).expect("well-formed");
        let moment = Moment { shard_time_ms: shop.now, engine_time_ms: shop.now };
        let source = Source { input: Input::Orders, offset: 0, index: 0, reply_partition: None };
        let mut bytes = Vec::new();
        encode::decision(&mut bytes, &ledger.apply(&record.command(0), moment), &source);
        proto::Decision::decode(&bytes[..]).expect("it was encoded")
    };
    let place = proto::Place { order_id: "new".into(), pool: "pool".into(), placed_at_ms: shop.now, ..one_of_a(&[]) };
    assert_eq!(said(&decide(proto::command::Kind::Place(place))), (Outcome::Invalid, Reason::TimeZone));
    let (pool, order_id) = (held.pool.clone(), held.order_id.clone());
    let extend = proto::Extend { pool, order_id, expires_at_ms: at(CUTOFF) + 1, ..Default::default() };
    let extended = decide(proto::command::Kind::Extend(extend));
    assert_eq!(
        (extended.outcome(), extended.expires_at_ms),
        (Outcome::Extended, at(CUTOFF)),
        "it is clipped all the same"
    );
}
