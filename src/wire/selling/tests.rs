//! Rules and what an order brings for them, as the generated types have them; and the bytes by which they are hashed.

use proptest::prelude::*;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

use super::super::command::{Kind, LinesBuf};
use super::super::content::{of_order, of_rule, of_stock};
use super::super::decode::{Scratch, validate};
use super::super::proto::{self, Asked, Input, command};
use super::super::{Place, StockChange};
use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,8}", "\\PC{1,20}"]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1_u64..300, any::<u64>()]
}

prop_compose! {
    pub(in super::super) fn any_key()(name in text(), value in text()) -> proto::PlaceKey {
        proto::PlaceKey { name, value }
    }
}

prop_compose! {
    fn any_early()(segment in text(), opens_at_ms in number()) -> proto::EarlySale {
        proto::EarlySale { segment, opens_at_ms: opens_at_ms as i64 }
    }
}

prop_compose! {
    pub(in super::super) fn any_sale()(
        sku in text(), opens_at_ms in number(), closes_at_ms in number(),
        early in prop::collection::vec(any_early(), 0..4), only in prop::collection::vec(text(), 0..4),
    ) -> proto::SetSale {
        let (opens_at_ms, closes_at_ms) = (opens_at_ms as i64, closes_at_ms as i64);
        proto::SetSale { sku, opens_at_ms, closes_at_ms, early, only }
    }
}

prop_compose! {
    pub(in super::super) fn any_limit()(
        name in text(), units in number(), units_an_order in number(),
        skus in prop::collection::vec(text(), 0..4), whole_pool: bool, key in text(), period_ms in number(),
        anchor_ms in number(),
    ) -> proto::SetLimit {
        let anchor_ms = anchor_ms as i64;
        proto::SetLimit { name, units, units_an_order, skus, whole_pool, key, period_ms, anchor_ms }
    }
}

pub(in super::super) fn texts<'a>(texts: impl Iterator<Item = Text<'a>>) -> Vec<String> {
    texts.map(|text| text.to_string()).collect()
}

pub(in super::super) fn keys(listed: Listed<'_>) -> Vec<proto::PlaceKey> {
    listed.pairs().map(|(name, value)| proto::PlaceKey { name: name.to_string(), value: value.to_string() }).collect()
}

/// A sale as the generated type.
pub(in super::super) fn sale(sale: &Sale<'_>) -> proto::SetSale {
    let early =
        |(segment, opens_at_ms): (Text<'_>, i64)| proto::EarlySale { segment: segment.to_string(), opens_at_ms };
    proto::SetSale {
        sku: sale.sku.to_string(),
        opens_at_ms: sale.opens_at_ms,
        closes_at_ms: sale.closes_at_ms,
        early: sale.early().map(early).collect(),
        only: texts(sale.only()),
    }
}

/// A limit as the generated type.
pub(in super::super) fn limit(limit: &Limit<'_>) -> proto::SetLimit {
    proto::SetLimit {
        name: limit.name.to_string(),
        units: limit.units,
        units_an_order: limit.units_an_order,
        skus: texts(limit.skus()),
        whole_pool: limit.whole_pool,
        key: limit.key.to_string(),
        period_ms: limit.period_ms,
        anchor_ms: limit.anchor_ms,
    }
}

/// What `place` brings, as the engine reads it.
pub(in super::super) fn with_place<T>(place: &proto::Place, then: impl FnOnce(&Vouched<'_>) -> T) -> T {
    let kind = Some(command::Kind::Place(place.clone()));
    let value = proto::Commands { commands: vec![proto::Command { kind, reply_partition: None }] }.encode_to_vec();
    let mut scratch = Scratch::default();
    let record = validate(Some(&value), Input::Orders, &mut scratch).expect("well-formed");
    let Kind::Place(Place { vouched, .. }) = record.command(0).kind else { panic!("a Place") };
    then(&vouched)
}

proptest! {
    #[test]
    fn rules_are_read_as_prost_reads_them(of_sale in any_sale(), of_limit in any_limit()) {
        let bytes = of_sale.encode_to_vec();
        let read = Sale::read(&bytes).expect("valid");
        prop_assert_eq!(&sale(&read), &of_sale);
        let empty = proto::SetSale { sku: of_sale.sku.clone(), ..Default::default() };
        prop_assert_eq!(read.removes(), of_sale == empty);
        let bytes = of_limit.encode_to_vec();
        let read = Limit::read(&bytes).expect("valid");
        prop_assert_eq!(&limit(&read), &of_limit);
        prop_assert_eq!(read.removes(), of_limit.units == 0 && of_limit.units_an_order == 0);
    }
}

/// Bytes by which things are defined, put one behind the other.
#[derive(Default)]
struct Defined(Vec<u8>);

impl Defined {
    fn text(mut self, text: &str) -> Defined {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Defined {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Defined {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u8(mut self, value: u8) -> Defined {
        self.0.push(value);
        self
    }
}

#[test]
fn a_command_that_sets_a_rule_hashes_by_its_definition() {
    let of_sale = proto::SetSale {
        sku: "shirt".into(),
        opens_at_ms: 7,
        closes_at_ms: 9,
        early: vec![proto::EarlySale { segment: "gold".into(), opens_at_ms: 3 }],
        only: vec!["busan".into(), "seoul".into()],
    };
    let bytes = of_sale.encode_to_vec();
    let read = Sale::read(&bytes).expect("valid");
    let defined = Defined::default().u8(Asked::SetSale as u8).text("p1").u64(5).text("shirt").u64(7).u64(9);
    let defined = defined.u32(1).text("gold").u64(3).u32(2).text("busan").text("seoul");
    assert_eq!(of_rule("p1".into(), 5, Asked::SetSale, &Rule::Sale(read)), xxh3_64(&defined.0));
    assert_eq!(of_stock("p1".into(), 5, &StockChange::SetSale(read)), xxh3_64(&defined.0));

    let of_limit = proto::SetLimit {
        name: "phones".into(),
        units: 1,
        units_an_order: 2,
        skus: vec!["red".into(), "blue".into()],
        whole_pool: true,
        key: "card".into(),
        period_ms: 3,
        anchor_ms: 4,
    };
    let bytes = of_limit.encode_to_vec();
    let read = Limit::read(&bytes).expect("valid");
    let defined = Defined::default().u8(Asked::SetLimit as u8).text("p1").u64(5).text("phones").u64(1).u64(2);
    let defined = defined.u32(2).text("red").text("blue").u8(1).text("card").u64(3).u64(4);
    assert_eq!(of_rule("p1".into(), 5, Asked::SetLimit, &Rule::Limit(read)), xxh3_64(&defined.0));
    assert_eq!(of_stock("p1".into(), 5, &StockChange::SetLimit(read)), xxh3_64(&defined.0));
}

/// Content of an order that brings these segments and keys.
fn content(segments: &[&str], keys: &[(&str, &str)]) -> u64 {
    let key = |(name, value): &(&str, &str)| proto::PlaceKey { name: name.to_string(), value: value.to_string() };
    let place = proto::Place {
        segments: segments.iter().map(ToString::to_string).collect(),
        keys: keys.iter().map(key).collect(),
        ..Default::default()
    };
    let lines: LinesBuf = [("shirt", 1)].into_iter().collect();
    with_place(&place, |vouched| of_order("p".into(), "c".into(), "web".into(), 5, lines.lines(), vouched))
}

#[test]
fn keys_are_part_of_an_order_and_segments_are_not() {
    let plain = content(&[], &[]);
    assert_eq!(content(&["gold", "seoul"], &[]), plain);
    let (card, device) = (("card", "c1"), ("device", "d1"));
    let both = content(&[], &[card, device]);
    assert_eq!(content(&["gold"], &[card, device]), both);
    let of_one =
        |before: u64, (name, value): (&str, &str)| xxh3_64(&Defined::default().u64(before).text(name).text(value).0);
    assert_eq!(content(&[], &[card]), of_one(plain, card));
    assert_eq!(both, of_one(of_one(plain, card), device));
    let others = [content(&[], &[device, card]), content(&[], &[("card", "c2"), device]), content(&[], &[("", "")])];
    assert!(others.iter().all(|other| *other != both && *other != plain), "order, values, and that there are any");
}
