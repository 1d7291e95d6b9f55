//! Decisions about selling rules that cannot have been made in the state that they are read in.

use prost::Message;

use super::shop::{RESERVED, Shop, key, order, said, texts};
use super::{RULES, START};
use crate::ledger::{FingerprintKey, Ledger, ReplayError, Rules};
use crate::wire::proto::{self, ShareOf, stock_command};
use crate::wire::view;

/// What the last decision of a shop's log is answered with, after `change` was made to it.
pub(super) fn check(shop: &Shop, change: impl FnOnce(&mut proto::Decision)) -> Result<(), ReplayError> {
    let rules_level = shop.ledger.rules_level();
    let mut ledger = Ledger::new(Rules { rules_level, ..RULES }, FingerprintKey([3; 16]));
    let (last, before) = shop.log.split_last().expect("a log of one or more");
    for bytes in before {
        ledger.replay(&view::decision(bytes).expect("it was encoded").0)?;
    }
    let mut decision = proto::Decision::decode(&last[..]).expect("it was encoded");
    change(&mut decision);
    ledger.replay(&view::decision(&decision.encode_to_vec()).expect("it was encoded").0)
}

#[track_caller]
pub(super) fn disagrees(shop: &Shop, change: impl FnOnce(&mut proto::Decision)) {
    assert!(matches!(check(shop, change), Err(ReplayError::Disagrees { .. })));
}

fn limit(name: &str) -> proto::SetLimit {
    proto::SetLimit { name: name.into(), units: 5, skus: texts(&["a"]), ..Default::default() }
}

#[test]
fn a_count_that_no_limit_keeps_is_found() {
    let mut shop = Shop::new();
    shop.limit(limit("l"));
    shop.limit(proto::SetLimit { key: "card".into(), ..limit("cards") });
    let keys = vec![key("card", "c1")];
    assert_eq!(said(&shop.place(proto::Place { keys, ..order("ann", &[("a", 2)]) })), RESERVED);
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |order| order.counted[0].count += 100);
    disagrees(&shop, |order| order.counted[0].count = 0);
    disagrees(&shop, |order| order.counted[0].period = 1);
    disagrees(&shop, |order| order.counted[0].units = 0);
    disagrees(&shop, |order| order.counted.push(order.counted[0]));
    disagrees(&shop, |order| order.customer.clear());
    disagrees(&shop, |order| order.keys.clear());
    disagrees(&shop, |order| order.keys[0].name = "home".into());
    disagrees(&shop, |order| order.keys[0].value.clear());
}

#[test]
fn a_share_that_does_not_count_is_found() {
    let mut shop = Shop::new();
    let share = |channel: &str| proto::ChannelShare { channel: channel.into(), ..Default::default() };
    let channels =
        proto::SetChannels { sku: "a".into(), channels: vec![share("web"), share("")], ..Default::default() };
    shop.stock("pool", START, stock_command::Kind::SetChannels(channels));
    let by_web = proto::Place { channel: "web".into(), ..order("ann", &[("a", 2), ("b", 1)]) };
    assert_eq!(said(&shop.place(by_web)), RESERVED);
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |order| order.counted[0].count += 100);
    disagrees(&shop, |order| order.counted[0].period = 1);
    disagrees(&shop, |order| order.counted[0].units = 0);
    disagrees(&shop, |order| order.counted[0].share = 0);
    disagrees(&shop, |order| order.channel = "app".into());
    disagrees(&shop, |order| order.channel.clear());
    disagrees(&shop, |order| order.counted = vec![order.counted[0]; 3]);
    let others = check(&shop, |order| order.counted[0].share = ShareOf::Others as i32);
    assert_eq!(others, Ok(()), "another share, which counts");
    let removal = proto::SetChannels { sku: "a".into(), ..Default::default() };
    shop.stock("pool", START, stock_command::Kind::SetChannels(removal));
    disagrees(&shop, |set| set.channels = Some(proto::SetChannels { protected_until_ms: 1, ..Default::default() }));
}

#[test]
fn a_rule_that_cannot_be_set_is_found() {
    let mut shop = Shop::new();
    shop.limit(limit("1"));
    shop.limit(limit("2"));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |set| set.limit = None);
    disagrees(&shop, |set| set.limit = Some(limit("")));
    disagrees(&shop, |set| set.limit = Some(proto::SetLimit { period_ms: u64::MAX, ..limit("2") }));
    disagrees(&shop, |set| set.id.clear());
    shop.limit(proto::SetLimit { skus: texts(&["b"]), ..limit("3") });
    disagrees(&shop, |set| set.limit = Some(limit("3")));
    shop.sale(proto::SetSale { sku: "a".into(), opens_at_ms: 5, ..Default::default() });
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |set| set.sale.as_mut().expect("a sale").closes_at_ms = 5);
}

#[test]
fn an_order_of_more_lines_than_there_may_be_is_found() {
    let mut shop = Shop::new();
    shop.receive("pool", "a", 200);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED);
    let with = |lines: usize| check(&shop, |order| order.lines = vec![order.lines[0].clone(); lines]);
    assert_eq!(with(200), Ok(()));
    assert!(matches!(with(201), Err(ReplayError::Disagrees { .. })));
}

/// A receipt of "milk".
fn receipt(lot: &str, quantity: u64, expiry: u32) -> stock_command::Kind {
    stock_command::Kind::Receive(proto::Receive { sku: "milk".into(), quantity, lot: lot.into(), expiry })
}

/// A shop with 5 of a lot of "milk", 3 of one that expires before it, and an order of 4.
fn dairy() -> (Shop, proto::Decision) {
    let mut shop = Shop::empty(2);
    for (lot, quantity, expiry) in [("later", 5, 19_700_103), ("sooner", 3, 19_700_102)] {
        shop.stock("pool", shop.now, receipt(lot, quantity, expiry));
    }
    let order = shop.buy("ann", &[("milk", 4)]);
    assert_eq!(said(&order), RESERVED);
    (shop, order)
}

#[test]
fn lots_that_an_order_cannot_have_taken_are_found() {
    let (shop, _) = dairy();
    let lots = |lots: &[(u32, u32)]| {
        let units = |&(lot, units): &(u32, u32)| proto::LotUnits { lot, units, shortfall: 0 };
        let lots: Vec<_> = lots.iter().map(units).collect();
        move |order: &mut proto::Decision| order.lines[0].lots = lots
    };
    assert_eq!(check(&shop, |_| {}), Ok(()));
    // Which of them is no matter of replay.
    assert_eq!(check(&shop, lots(&[(1, 4)])), Ok(()));
    disagrees(&shop, lots(&[]));
    disagrees(&shop, lots(&[(2, 3)]));
    disagrees(&shop, lots(&[(2, 3), (1, 2)]));
    disagrees(&shop, lots(&[(2, 4)]));
    disagrees(&shop, lots(&[(2, 3), (1, 1), (1, 0)]));
    disagrees(&shop, lots(&[(2, 3), (3, 1)]));
    disagrees(&shop, lots(&[(0, 4)]));
    disagrees(&shop, lots(&[(65_536 + 2, 3), (1, 1)]));
    let (mut shop, _) = dairy();
    shop.receive("pool", "plain", 1);
    assert_eq!(said(&shop.buy("ann", &[("plain", 1)])), RESERVED);
    disagrees(&shop, lots(&[(1, 1)]));
}

#[test]
fn lots_that_cannot_have_been_shipped_are_found() {
    let (mut shop, order) = dairy();
    shop.confirm(&order);
    let shipped = |lot: &str, units| proto::ShippedLot { sku: "milk".into(), lot: lot.into(), units };
    let lots = vec![shipped("later", 4)];
    let ship = proto::Ship { order_id: order.order_id, attempt: 0, lots };
    shop.stock("pool", shop.now, stock_command::Kind::Ship(ship));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |shipped| shipped.lines[0].lots[0].units = 3);
    disagrees(&shop, |shipped| shipped.lines[0].lots[0].lot = 3);
    disagrees(&shop, |shipped| shipped.lines[0].lots = vec![shipped.lines[0].lots[0]; 2]);
}

#[test]
fn a_lot_that_is_not_what_it_was_is_found() {
    let (mut shop, _) = dairy();
    let lot = |change: fn(&mut proto::LotLevel)| {
        move |received: &mut proto::Decision| {
            change(received.stock.as_mut().and_then(|stock| stock.lot.as_mut()).expect("it shows a lot"));
        }
    };
    shop.stock("pool", shop.now, receipt("sooner", 1, 0));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |received| received.stock.as_mut().expect("it shows stock").lot = None);
    disagrees(&shop, |received| received.stock.as_mut().expect("it shows stock").on_hand = 8);
    disagrees(&shop, lot(|lot| lot.number = 1));
    disagrees(&shop, lot(|lot| lot.number = 3));
    disagrees(&shop, lot(|lot| lot.expiry += 1));
    disagrees(&shop, lot(|lot| lot.on_hand += 1));
    disagrees(&shop, lot(|lot| lot.reserved += 1));
    disagrees(&shop, lot(|lot| lot.halted = true));
    disagrees(&shop, lot(|lot| lot.shortfall = 1));
    shop.stock("pool", shop.now, receipt("next", 1, 19_700_104));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    // A number that is free is as good as any: which was given is told.
    assert_eq!(check(&shop, lot(|lot| lot.number = 9)), Ok(()));
    disagrees(&shop, lot(|lot| lot.number = 2));
    disagrees(&shop, lot(|lot| lot.number = 257));
    disagrees(&shop, lot(|lot| lot.lot.clear()));
    disagrees(&shop, lot(|lot| lot.expiry = 19_700_229));
    let halt = proto::Halt { sku: "milk".into(), lot: "next".into() };
    shop.stock("pool", shop.now, stock_command::Kind::Halt(halt));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, lot(|lot| lot.lot = "other".into()));
    disagrees(&shop, lot(|lot| lot.halted = false));
    let keep = proto::SetSafetyStock { sku: "milk".into(), quantity: 1 };
    shop.stock("pool", shop.now, stock_command::Kind::SetSafetyStock(keep));
    disagrees(&shop, |set| {
        let lot = proto::LotLevel { number: 3, lot: "next".into(), expiry: 19_700_104, ..Default::default() };
        set.stock.as_mut().expect("it shows stock").lot = Some(lot);
    });
    shop.receive("pool", "plain", 1);
    disagrees(&shop, |received| {
        let lot = proto::LotLevel { number: 1, lot: "a".into(), expiry: 19_700_104, on_hand: 1, ..Default::default() };
        let stock = received.stock.as_mut().expect("it shows stock");
        (stock.sku, stock.on_hand, stock.lot) = ("milk".into(), 10, Some(lot));
    });
    let rule = proto::SetFreshness { sku: "milk".into(), least_days: 3_650 };
    shop.stock("pool", shop.now, stock_command::Kind::SetFreshness(rule));
    assert_eq!(check(&shop, |_| {}), Ok(()));
    disagrees(&shop, |set| set.freshness.as_mut().expect("a freshness").least_days += 1);
    disagrees(&shop, |set| set.freshness = None);
}

#[test]
fn stock_that_no_command_could_have_left_is_found() {
    const MOST: i64 = 1_000_000_000_000_000;
    let moved = |units: i64| {
        move |moved: &mut proto::Decision| {
            let stock = moved.stock.as_mut().expect("it shows stock");
            (stock.change, stock.on_hand, stock.shortfall) = (units, units, 0.max(-units) as u64);
            if let Some(lot) = &mut stock.lot {
                (lot.on_hand, lot.shortfall) = (units, 0.max(-units) as u64);
            }
        }
    };
    for lot in ["", "first"] {
        let mut shop = Shop::empty(2);
        shop.stock("pool", shop.now, receipt(lot, 1, if lot.is_empty() { 0 } else { 19_700_102 }));
        assert_eq!([MOST, -MOST].map(|units| check(&shop, moved(units))), [Ok(()), Ok(())]);
        for units in [MOST + 1, -MOST - 1, i64::MAX, -i64::MAX] {
            disagrees(&shop, moved(units));
        }
        disagrees(&shop, |received| {
            moved(-i64::MAX)(received);
            let stock = received.stock.as_mut().expect("it shows stock");
            let shortfall = 1 << 63;
            (stock.change, stock.on_hand, stock.shortfall) = (i64::MIN, i64::MIN, shortfall);
            if let Some(lot) = &mut stock.lot {
                (lot.on_hand, lot.shortfall) = (i64::MIN, shortfall);
            }
        });
    }
    let mut shop = Shop::new();
    let keep = proto::SetSafetyStock { sku: "a".into(), quantity: 1 };
    shop.stock("pool", shop.now, stock_command::Kind::SetSafetyStock(keep));
    let kept = |units| check(&shop, |set| set.stock.as_mut().expect("it shows stock").safety_stock = units);
    assert_eq!(kept(1_000_000_000_000), Ok(()));
    for units in [1_000_000_000_001, i64::MAX as u64, u64::MAX] {
        assert!(matches!(kept(units), Err(ReplayError::Disagrees { .. })), "{units}");
    }
}
