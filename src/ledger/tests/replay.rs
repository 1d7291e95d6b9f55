//! Decisions about selling rules that cannot have been made in the state that they are read in.

use prost::Message;

use super::RULES;
use super::shop::{RESERVED, Shop, key, order, said, texts};
use crate::ledger::{FingerprintKey, Ledger, ReplayError, Rules};
use crate::wire::proto;
use crate::wire::view;

/// What the last decision of a shop's log is answered with, after `change` was made to it.
fn check(shop: &Shop, change: impl FnOnce(&mut proto::Decision)) -> Result<(), ReplayError> {
    let mut ledger = Ledger::new(Rules { rules_level: 1, ..RULES }, FingerprintKey([3; 16]));
    let (last, before) = shop.log.split_last().expect("a log of one or more");
    for bytes in before {
        ledger.replay(&view::decision(bytes).expect("it was encoded").0)?;
    }
    let mut decision = proto::Decision::decode(&last[..]).expect("it was encoded");
    change(&mut decision);
    ledger.replay(&view::decision(&decision.encode_to_vec()).expect("it was encoded").0)
}

#[track_caller]
fn disagrees(shop: &Shop, change: impl FnOnce(&mut proto::Decision)) {
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
