//! Lots as the generated types have them, the level that they need, and the bytes by which freshness is hashed.

use proptest::prelude::*;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

use super::super::command::Kind;
use super::super::content::{of_rule, of_stock};
use super::super::decode::{Scratch, validate};
use super::super::proto::{self, Asked, Input, stock_command};
use super::super::selling::Rule;
use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,8}", "\\PC{1,20}"]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1_u64..300, any::<u64>()]
}

prop_compose! {
    pub(in super::super) fn any_freshness()(sku in text(), least_days in number()) -> proto::SetFreshness {
        proto::SetFreshness { sku, least_days: least_days as u32 }
    }
}

prop_compose! {
    pub(in super::super) fn any_units()(n in prop::array::uniform3(number())) -> proto::LotUnits {
        proto::LotUnits { lot: n[0] as u32, units: n[1] as u32, shortfall: n[2] }
    }
}

prop_compose! {
    pub(in super::super) fn any_level()(lot in text(), n in prop::array::uniform6(number()), halted: bool)
        -> proto::LotLevel {
        proto::LotLevel {
            number: n[0] as u32, lot, expiry: n[1] as u32, on_hand: n[2] as i64, reserved: n[3], committed: n[4], halted,
            shortfall: n[5],
        }
    }
}

prop_compose! {
    fn any_shipped()(sku in text(), lot in text(), units in number()) -> proto::ShippedLot {
        proto::ShippedLot { sku, lot, units: units as u32 }
    }
}

pub(in super::super) fn freshness(freshness: &Freshness<'_>) -> proto::SetFreshness {
    proto::SetFreshness { sku: freshness.sku.to_string(), least_days: freshness.least_days }
}

pub(in super::super) fn units(lots: LotsOfLine<'_>) -> Vec<proto::LotUnits> {
    lots.iter().map(|LotUnits { lot, units, shortfall }| proto::LotUnits { lot, units, shortfall }).collect()
}

pub(in super::super) fn level(level: LotLevel<'_>) -> proto::LotLevel {
    let LotLevel { number, lot, expiry, on_hand, reserved, committed, halted, shortfall } = level;
    proto::LotLevel { number, lot: lot.to_string(), expiry, on_hand, reserved, committed, halted, shortfall }
}

pub(in super::super) fn shipped(lots: &ShippedLots<'_>) -> Vec<proto::ShippedLot> {
    let shipped = |ShippedLot { sku, lot, units }: ShippedLot<'_>| proto::ShippedLot {
        sku: sku.to_string(),
        lot: lot.to_string(),
        units,
    };
    lots.iter().map(shipped).collect()
}

/// Hands the one command of a record of `stock` to `then`.
fn with_kind<T>(kind: stock_command::Kind, then: impl FnOnce(&Kind<'_>) -> T) -> T {
    let commands = vec![proto::StockCommand { kind: Some(kind), ..Default::default() }];
    let value = proto::StockCommands { commands }.encode_to_vec();
    let mut scratch = Scratch::default();
    let record = validate(Some(&value), Input::Stock, &mut scratch).expect("well-formed");
    then(&record.command(0).kind)
}

proptest! {
    #[test]
    fn what_is_said_of_lots_is_read_as_prost_reads_it(
        of_sku in any_freshness(), of_line in any_units(), of_lot in any_level(),
        lots in prop::collection::vec(any_shipped(), 0..5),
    ) {
        let bytes = of_sku.encode_to_vec();
        let read = Freshness::read(&bytes).expect("valid");
        prop_assert_eq!(&freshness(&read), &of_sku);
        prop_assert_eq!(read.removes(), of_sku.least_days == 0);
        let bytes = of_line.encode_to_vec();
        let LotUnits { lot, units, shortfall } = LotUnits::read(&bytes).expect("valid");
        prop_assert_eq!(proto::LotUnits { lot, units, shortfall }, of_line);
        let bytes = of_lot.encode_to_vec();
        prop_assert_eq!(level(LotLevel::read(&bytes).expect("valid")), of_lot);
        let ship = proto::Ship { order_id: "1".into(), attempt: 0, lots: lots.clone() };
        with_kind(stock_command::Kind::Ship(ship), |kind| {
            let Kind::Ship { lots: read, .. } = kind else { panic!("a Ship") };
            assert_eq!((shipped(read), read.is_empty()), (lots.clone(), lots.is_empty()));
        });
    }
}

#[test]
fn a_freshness_hashes_by_its_definition() {
    let of_sku = proto::SetFreshness { sku: "milk".into(), least_days: 3 };
    let bytes = of_sku.encode_to_vec();
    let read = Freshness::read(&bytes).expect("valid");
    let rule = [&b"\x04\0\0\0milk"[..], &3_u32.to_le_bytes()].concat();
    let defined = [&[Asked::SetFreshness as u8][..], b"\x02\0\0\0p1", &5_i64.to_le_bytes(), &rule].concat();
    assert_eq!(of_rule("p1".into(), 5, Asked::SetFreshness, &Rule::Freshness(read)), xxh3_64(&defined));
    assert_eq!(of_stock("p1".into(), 5, &StockChange::SetFreshness(read)), xxh3_64(&defined));
    let (mut defined, mut room) = (Vec::new(), put::Measure::default());
    Rule::Freshness(read).define(&mut defined);
    assert_eq!(defined, rule);
    Rule::Freshness(read).put(&mut room);
}

#[test]
fn each_kind_hashes_its_lot_and_nothing_where_it_names_none() {
    let lot = NamedLot { lot: "L".into(), expiry: 20_240_301 };
    let later = NamedLot { lot: "L".into(), expiry: 20_240_302 };
    let unnamed = NamedLot { lot: "".into(), expiry: 20_240_301 };
    let hash = |change: StockChange<'_>| of_stock("p".into(), 5, &change);
    let of = |lot: NamedLot<'static>| {
        let sku = Text::from("milk");
        [
            hash(StockChange::Receive { sku, quantity: 1, lot }),
            hash(StockChange::Adjust { sku, change: 1, reason: Text::EMPTY, lot }),
            hash(StockChange::Count { sku, counted: 1, on_hand_seen: 0, lot }),
            hash(StockChange::Halt { sku, lot: lot.lot }),
            hash(StockChange::Resume { sku, lot: lot.lot }),
        ]
    };
    let (none, named) = (of(NamedLot::default()), of(lot));
    assert!(none.iter().zip(&named).all(|(none, named)| none != named));
    assert!(named[..3].iter().zip(&of(later)).all(|(one, other)| one != other), "another day");
    assert!(none[..3].iter().zip(&of(unnamed)).all(|(one, other)| one != other), "a day without a lot");
    assert_eq!(named[3..], of(later)[3..], "a halt has no day");
}

#[test]
fn what_says_something_of_lots_needs_a_level_by_the_number_of_its_field() {
    use stock_command::Kind as K;

    let (lot, expiry) = ("L".to_owned(), 20_240_301);
    let (none, sku) = (String::new(), "milk".to_owned());
    let receive =
        |lot: &String, expiry| K::Receive(proto::Receive { sku: "milk".into(), quantity: 1, lot: lot.clone(), expiry });
    let adjust = |lot: &String, expiry| {
        K::Adjust(proto::Adjust { sku: "milk".into(), change: 1, reason: String::new(), lot: lot.clone(), expiry })
    };
    let count = |lot: &String, expiry| {
        K::Count(proto::Count { sku: "milk".into(), counted: 1, on_hand_seen: 0, lot: lot.clone(), expiry })
    };
    let shipped = proto::ShippedLot::default();
    let ship = |lots| K::Ship(proto::Ship { order_id: "1".into(), attempt: 0, lots });
    for (kind, field) in [
        (receive(&none, 0), None),
        (receive(&lot, expiry), Some(3)),
        (receive(&lot, 0), Some(3)),
        (receive(&none, expiry), Some(4)),
        (adjust(&none, 0), None),
        (adjust(&lot, expiry), Some(4)),
        (adjust(&none, expiry), Some(5)),
        (count(&none, 0), None),
        (count(&lot, expiry), Some(4)),
        (count(&none, expiry), Some(5)),
        (K::Halt(proto::Halt { sku: sku.clone(), lot: lot.clone() }), Some(2)),
        (K::Halt(proto::Halt { sku: sku.clone(), lot: none.clone() }), None),
        (K::Resume(proto::Resume { sku: sku.clone(), lot: lot.clone() }), Some(2)),
        (K::Resume(proto::Resume { sku: sku.clone(), lot: none.clone() }), None),
        (ship(vec![shipped]), Some(3)),
        (ship(Vec::new()), None),
        (K::SetSafetyStock(proto::SetSafetyStock { sku: sku.clone(), quantity: 1 }), None),
        (K::SetFreshness(proto::SetFreshness { sku, least_days: 0 }), Some(17)),
    ] {
        let needed = with_kind(kind.clone(), |kind| kind.needs_level(1));
        assert_eq!(needed, field.map(|field| (2, field)), "{kind:?}");
    }
}
