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

prop_compose! {
    fn any_share()(channel in text(), protected in number(), at_most in prop::option::of(number())) -> proto::ChannelShare {
        proto::ChannelShare { channel, protected, at_most }
    }
}

prop_compose! {
    fn any_service()(
        name in text(), time_zone in text(), days in prop::collection::vec((number(), number()), 0..4),
        n in prop::array::uniform4(number()), late in prop_oneof![0..3, any::<i32>()],
        closed in prop::collection::vec(number(), 0..4),
    ) -> proto::DeliveryService {
        let day = |(weekday, cutoff_s)| proto::DispatchDay { weekday: weekday as u32, cutoff_s: cutoff_s as u32 };
        proto::DeliveryService {
            name, time_zone, days: days.into_iter().map(day).collect(), lead: n[0] as u32,
            closed: closed.into_iter().map(|day| proto::ClosedDay { day: day as u32 }).collect(),
            orders_a_day: n[1], horizon: n[2] as u32, late, grace_ms: n[3],
        }
    }
}

prop_compose! {
    pub(in super::super) fn any_channels()(
        sku in text(), channels in prop::collection::vec(any_share(), 0..4), protected_until_ms in number(),
    ) -> proto::SetChannels {
        proto::SetChannels { sku, channels, protected_until_ms: protected_until_ms as i64 }
    }
}

prop_compose! {
    pub(in super::super) fn any_delivery()(services in prop::collection::vec(any_service(), 0..4)) -> proto::SetDelivery {
        proto::SetDelivery { services }
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

/// Channels as the generated type.
pub(in super::super) fn channels(channels: &Channels<'_>) -> proto::SetChannels {
    let share = |ChannelShare { channel, protected, at_most }: ChannelShare<'_>| proto::ChannelShare {
        channel: channel.to_string(),
        protected,
        at_most,
    };
    proto::SetChannels {
        sku: channels.sku.to_string(),
        channels: channels.shares().map(share).collect(),
        protected_until_ms: channels.protected_until_ms,
    }
}

/// A delivery as the generated type.
pub(in super::super) fn delivery(delivery: &Delivery<'_>) -> proto::SetDelivery {
    let service = |it: DeliveryService<'_>| proto::DeliveryService {
        name: it.name.to_string(),
        time_zone: it.time_zone.to_string(),
        days: it.days().map(|(weekday, cutoff_s)| proto::DispatchDay { weekday, cutoff_s }).collect(),
        lead: it.lead,
        closed: it.closed().map(|day| proto::ClosedDay { day }).collect(),
        orders_a_day: it.orders_a_day,
        horizon: it.horizon,
        late: it.late,
        grace_ms: it.grace_ms,
    };
    proto::SetDelivery { services: delivery.services().map(service).collect() }
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
    fn rules_are_read_as_prost_reads_them(
        of_sale in any_sale(), of_limit in any_limit(), of_channels in any_channels(), of_delivery in any_delivery(),
    ) {
        let bytes = of_sale.encode_to_vec();
        let read = Sale::read(&bytes).expect("valid");
        prop_assert_eq!(&sale(&read), &of_sale);
        let empty = proto::SetSale { sku: of_sale.sku.clone(), ..Default::default() };
        prop_assert_eq!(read.removes(), of_sale == empty);
        let bytes = of_limit.encode_to_vec();
        let read = Limit::read(&bytes).expect("valid");
        prop_assert_eq!(&limit(&read), &of_limit);
        prop_assert_eq!(read.removes(), of_limit.units == 0 && of_limit.units_an_order == 0);
        let bytes = of_channels.encode_to_vec();
        let read = Channels::read(&bytes).expect("valid");
        prop_assert_eq!(&channels(&read), &of_channels);
        prop_assert_eq!(read.removes(), of_channels.channels.is_empty());
        let bytes = of_delivery.encode_to_vec();
        let read = Delivery::read(&bytes);
        prop_assert_eq!(&delivery(&read), &of_delivery);
        prop_assert_eq!(read.removes(), of_delivery.services.is_empty());
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

    let share = |channel: &str, protected, at_most| proto::ChannelShare { channel: channel.into(), protected, at_most };
    let of_channels = proto::SetChannels {
        sku: "shirt".into(),
        channels: vec![share("web", 3, Some(4)), share("", 0, None)],
        protected_until_ms: 6,
    };
    let bytes = of_channels.encode_to_vec();
    let read = Channels::read(&bytes).expect("valid");
    let defined = Defined::default().u8(Asked::SetChannels as u8).text("p1").u64(5).text("shirt").u32(2);
    let defined = defined.text("web").u64(3).u8(1).u64(4).text("").u64(0).u8(0).u64(0).u64(6);
    assert_eq!(of_rule("p1".into(), 5, Asked::SetChannels, &Rule::Channels(read)), xxh3_64(&defined.0));
    assert_eq!(of_stock("p1".into(), 5, &StockChange::SetChannels(read)), xxh3_64(&defined.0));
    let of_delivery = proto::SetDelivery {
        services: vec![
            proto::DeliveryService {
                name: "dawn".into(),
                time_zone: "Asia/Seoul".into(),
                days: vec![proto::DispatchDay { weekday: 1, cutoff_s: 82_800 }],
                lead: 1,
                closed: vec![proto::ClosedDay { day: 20260101 }, proto::ClosedDay { day: 20260217 }],
                orders_a_day: 500,
                horizon: 7,
                late: proto::Late::Reject as i32,
                grace_ms: 60_000,
            },
            proto::DeliveryService { name: "day".into(), ..Default::default() },
        ],
    };
    let bytes = of_delivery.encode_to_vec();
    let read = Delivery::read(&bytes);
    let defined = Defined::default().u8(Asked::SetDelivery as u8).text("p1").u64(5).u32(2).text("dawn");
    let defined = defined.text("Asia/Seoul").u32(1).u32(1).u32(82_800).u32(1).u32(2).u32(20260101).u32(20260217);
    let defined = defined.u64(500).u32(7).u8(2).u64(60_000);
    let defined = defined.text("day").text("").u32(0).u32(0).u32(0).u64(0).u32(0).u8(0).u64(0);
    assert_eq!(of_rule("p1".into(), 5, Asked::SetDelivery, &Rule::Delivery(read)), xxh3_64(&defined.0));
    assert_eq!(of_stock("p1".into(), 5, &StockChange::SetDelivery(read)), xxh3_64(&defined.0));
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

#[test]
fn what_is_asked_of_a_delivery_is_part_of_an_order_where_it_is_asked() {
    let content = |service: &str, day: u32, late: i32, keys: Vec<proto::PlaceKey>| {
        let place = proto::Place { service: service.into(), day, late, keys, ..Default::default() };
        let lines: LinesBuf = [("shirt", 1)].into_iter().collect();
        with_place(&place, |vouched| of_order("p".into(), "c".into(), "web".into(), 5, lines.lines(), vouched))
    };
    let plain = content("", 0, 0, Vec::new());
    let card = || vec![proto::PlaceKey { name: "card".into(), value: "c1".into() }];
    let with_key = content("", 0, 0, card());
    let asked = |before: u64, service: &str, day: u32, late: u8| {
        xxh3_64(&Defined::default().u64(before).text(service).u32(day).u8(late).0)
    };
    assert_eq!(content("dawn", 20260505, 2, Vec::new()), asked(plain, "dawn", 20260505, 2));
    assert_eq!(content("", 20260505, 0, Vec::new()), asked(plain, "", 20260505, 0));
    assert_eq!(content("", 0, 1, card()), asked(with_key, "", 0, 1));
    assert_ne!(plain, with_key);
}

#[test]
fn an_order_needs_the_level_of_the_highest_of_what_it_brings() {
    let place = |change: &dyn Fn(&mut proto::Place)| {
        let mut place = proto::Place::default();
        change(&mut place);
        with_place(&place, |vouched| {
            let lines = LinesBuf::default();
            let it = Place {
                order_id: "o".into(),
                attempt: 0,
                customer: "c".into(),
                channel: "".into(),
                placed_at_ms: 1,
                lines: lines.lines(),
                hold_ms: 0,
                answer_by_ms: 0,
                vouched: *vouched,
            };
            [0, 1, 2].map(|level| Kind::Place(it).needs_level(level).filter(|(needed, _)| *needed > level))
        })
    };
    assert_eq!(place(&|_| {}), [None; 3]);
    assert_eq!(place(&|place| place.service = "dawn".into()), [Some((2, 12)), Some((2, 12)), None]);
    assert_eq!(place(&|place| place.late = 1), [Some((2, 14)), Some((2, 14)), None]);
    let both = place(&|place| (place.segments, place.day) = (vec!["gold".into()], 20260505));
    assert_eq!(both, [Some((1, 10)), Some((2, 13)), None]);
    assert_eq!(place(&|place| place.keys.push(proto::PlaceKey::default())), [Some((1, 11)), None, None]);
}
