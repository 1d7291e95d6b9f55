//! Decisions written by the engine against the generated types.

use proptest::prelude::*;
use prost::Message;

use super::super::command::LinesBuf;
use super::super::decision::CountedUnits;
use super::super::decision::{HeldLine, HeldLines, SkuNames};
use super::super::lots::{LotUnits, tests as lots};
use super::super::proto::{self, Input, OrderState, Outcome, Reason, ShareOf};
use super::super::selling::{Sale, tests as rules};
use super::super::view;
use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9-]{1,20}", "\\PC{1,60}"]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1_u64..300, any::<u64>()]
}

fn enumeration<E: TryFrom<i32>>() -> impl Strategy<Value = i32> {
    let known: Vec<i32> = (0..100).filter(|n| E::try_from(*n).is_ok()).collect();
    prop::sample::select(known)
}

fn some_lots() -> impl Strategy<Value = Vec<proto::LotUnits>> {
    prop_oneof![Just(Vec::new()), prop::collection::vec(lots::any_units(), 0..4)]
}

prop_compose! {
    fn line()(
        sku in text(), quantity in number(), allocated in number(), reason in enumeration::<Reason>(),
        available in prop::option::of(any::<i64>()), shortfall in number(), opens_at_ms in number(),
        left in prop::option::of(any::<u64>()), rule in number(), lots in some_lots(),
    ) -> proto::LineDecision {
        let (quantity, allocated, opens_at_ms) = (quantity as u32, allocated as u32, opens_at_ms as i64);
        proto::LineDecision { sku, quantity, allocated, available, reason, shortfall, opens_at_ms, left, rule, lots }
    }
}

prop_compose! {
    fn level()(
        sku in text(), n in prop::array::uniform6(number()), halted: bool, lot in prop::option::of(lots::any_level()),
    ) -> proto::StockLevel {
        proto::StockLevel {
            sku, halted, lot, change: n[0] as i64, on_hand: n[1] as i64, reserved: n[2], committed: n[3],
            safety_stock: n[4], shortfall: n[5],
        }
    }
}

prop_compose! {
    fn original()(sequence in number(), outcome in enumeration::<Outcome>(), reason in enumeration::<Reason>())
        -> proto::Original {
        proto::Original { sequence, outcome, reason }
    }
}

prop_compose! {
    fn counted()(
        count in number(), period in any::<i64>(), units in number(), share in enumeration::<ShareOf>(),
    ) -> proto::Counted {
        proto::Counted { count, period, units: units as u32, share }
    }
}

prop_compose! {
    /// A decision that tells of selling rules alone, and of any but two rules at once.
    fn selling()(
        rule in 0..5, set_sale in rules::any_sale(), set_limit in rules::any_limit(),
        set_channels in rules::any_channels(), channel in text(), set_freshness in lots::any_freshness(),
        counted in prop::collection::vec(counted(), 0..4), customer in text(),
        keys in prop::collection::vec(rules::any_key(), 0..4), segments in prop::collection::vec(text(), 0..4),
        n in prop::array::uniform6(number()), delivery in prop::option::of(rules::any_delivery()), service in text(),
    ) -> proto::Decision {
        let (sale, limit) = ((rule == 1).then_some(set_sale), (rule == 2).then_some(set_limit));
        let (channels, freshness) = ((rule == 3).then_some(set_channels), (rule == 4).then_some(set_freshness));
        let delivery = delivery.filter(|_| rule == 5);
        proto::Decision {
            delivery, service, day: n[3] as u32, cutoff_ms: n[4] as i64, hold_until_ms: n[5] as i64,
            sale, limit, channels, freshness, channel, counted, customer, keys, segments,
            opens_at_ms: n[0] as i64, rule: n[1], issued_at_ms: n[2] as i64, ..Default::default()
        }
    }
}

prop_compose! {
    /// Any decision that the contract allows.
    pub(in super::super) fn any_decision()(
        texts in prop::array::uniform3(text()), n in prop::array::uniform9(number()),
        asked in enumeration::<Asked>(), outcome in enumeration::<Outcome>(), reason in enumeration::<Reason>(),
        state in enumeration::<OrderState>(), input in enumeration::<Input>(),
        lines in prop::collection::vec(line(), 0..6), stock in prop::option::of(level()),
        original in prop::option::of(original()), reply_partition in prop::option::of(any::<u32>()),
        selling in prop_oneof![Just(proto::Decision::default()), selling()],
    ) -> proto::Decision {
        let [pool, order_id, id] = texts;
        proto::Decision {
            sequence: n[0], asked, pool, order_id, attempt: n[1] as u32, id, outcome, reason, state, lines, stock,
            expires_at_ms: n[2] as i64, decided_at_ms: n[3] as i64, content: n[4], original,
            field: n[5] as u32, input, offset: n[6] as i64, index: n[7] as u32, reply_partition,
            rules_level: n[8] as u32, ..selling
        }
    }
}

/// The borrowed view as the generated type.
pub(in super::super) fn owned(decision: &Decision<'_>, source: &Source) -> proto::Decision {
    let line = |line: DecisionLine<'_>| proto::LineDecision {
        sku: line.sku.to_string(),
        quantity: line.quantity,
        allocated: line.allocated,
        available: line.available,
        reason: line.reason as i32,
        shortfall: line.shortfall,
        opens_at_ms: line.opens_at_ms,
        left: line.left,
        rule: line.rule,
        lots: lots::units(line.lots),
    };
    let level = |level: StockLevel<'_>| proto::StockLevel {
        sku: level.sku.to_string(),
        change: level.change,
        on_hand: level.on_hand,
        reserved: level.reserved,
        committed: level.committed,
        safety_stock: level.safety_stock,
        halted: level.halted,
        shortfall: level.shortfall,
        lot: level.lot.map(lots::level),
    };
    let original = |original: Original| proto::Original {
        sequence: original.sequence,
        outcome: original.outcome as i32,
        reason: original.reason as i32,
    };
    let told = decision.selling.unwrap_or_default();
    let (mut sale, mut limit, mut channels, mut freshness, mut delivery) = (None, None, None, None, None);
    match &told.set {
        Some(Rule::Sale(set)) => sale = Some(rules::sale(set)),
        Some(Rule::Limit(set)) => limit = Some(rules::limit(set)),
        Some(Rule::Channels(set)) => channels = Some(rules::channels(set)),
        Some(Rule::Freshness(set)) => freshness = Some(lots::freshness(set)),
        Some(Rule::Delivery(set)) => delivery = Some(rules::delivery(set)),
        None => {}
    }
    let counted =
        |Counted { count, period, units, share }| proto::Counted { count, period, units, share: share as i32 };
    proto::Decision {
        sequence: decision.sequence,
        asked: decision.asked as i32,
        pool: decision.pool.to_string(),
        order_id: decision.order_id.to_string(),
        attempt: decision.attempt,
        id: decision.id.to_string(),
        outcome: decision.outcome as i32,
        reason: decision.reason as i32,
        state: decision.state as i32,
        lines: decision.lines().map(line).collect(),
        stock: decision.stock.map(level),
        expires_at_ms: decision.expires_at_ms,
        decided_at_ms: decision.decided_at_ms,
        content: decision.content,
        original: decision.original.map(original),
        field: decision.field,
        input: source.input as i32,
        offset: source.offset,
        index: source.index,
        reply_partition: source.reply_partition,
        rules_level: decision.rules_level,
        sale,
        limit,
        counted: told.counted.iter().map(counted).collect(),
        customer: told.customer.to_string(),
        keys: rules::keys(told.keys),
        segments: rules::texts(told.segments.texts()),
        opens_at_ms: told.opens_at_ms,
        rule: told.rule,
        issued_at_ms: told.issued_at_ms,
        channels,
        channel: told.channel.to_string(),
        freshness,
        delivery,
        service: told.service.to_string(),
        day: told.day,
        cutoff_ms: told.cutoff_ms,
        hold_until_ms: told.hold_until_ms,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_decision_goes_through_prost_and_back_unchanged(expected in any_decision()) {
        let theirs = expected.encode_to_vec();
        let (read, source) = view::decision(&theirs).expect("valid");
        prop_assert_eq!(&owned(&read, &source), &expected);
        let mut ours = Vec::new();
        decision(&mut ours, &read, &source);
        prop_assert_eq!(&ours, &theirs);
    }

    #[test]
    fn a_damaged_decision_is_refused_or_reads_as_prost_reads_it(
        expected in any_decision(), at: prop::sample::Index, flip in 1_u8..=255,
    ) {
        let mut bytes = expected.encode_to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        // Refuses more than prost: unknown enum values, unknown fields that bind, and messages to be merged.
        if let Ok((read, source)) = view::decision(&bytes) {
            let theirs = proto::Decision::decode(&bytes[..]).expect("what the view accepts, prost accepts");
            prop_assert_eq!(owned(&read, &source), theirs);
        }
    }

    #[test]
    fn replies_are_read_as_they_were_appended(expected in prop::collection::vec(any_decision(), 0..5)) {
        let mut value = Vec::new();
        for one in &expected {
            let bytes = one.encode_to_vec();
            let (read, source) = view::decision(&bytes).expect("valid");
            reply(&mut value, &read, &source);
        }
        prop_assert_eq!(&proto::Replies::decode(&value[..]).expect("valid").decisions, &expected);
        let read: Vec<_> =
            view::replies(&value).map(|read| read.map(|(d, s)| owned(&d, &s)).expect("valid")).collect();
        prop_assert_eq!(read, expected);
    }
}

/// `message` with one more field, a varint.
fn with_field(message: impl Message, number: u32) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    prost::encoding::encode_key(number, prost::encoding::WireType::Varint, &mut bytes);
    bytes.push(1);
    bytes
}

/// A decision that holds `message` as the field `number`.
fn holding(number: u32, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    bytes.push(message.len() as u8);
    bytes.extend_from_slice(message);
    bytes
}

#[test]
fn a_field_that_binds_and_is_not_known_is_refused_by_its_number_and_a_later_one_is_passed_over() {
    use super::super::fields::{Malformed, Within};

    let made = |field: u32| {
        [
            (Within::Decision, with_field(proto::Decision::default(), field)),
            (Within::LineDecision, holding(10, &with_field(proto::LineDecision::default(), field))),
            (Within::StockLevel, holding(11, &with_field(proto::StockLevel::default(), field))),
            (Within::Original, holding(15, &with_field(proto::Original::default(), field))),
            (Within::Rule, holding(22, &with_field(proto::SetSale::default(), field))),
            (Within::Rule, holding(22, &holding(4, &with_field(proto::EarlySale::default(), field)))),
            (Within::Rule, holding(23, &with_field(proto::SetLimit::default(), field))),
            (Within::Rule, holding(31, &with_field(proto::SetChannels::default(), field))),
            (Within::Rule, holding(31, &holding(2, &with_field(proto::ChannelShare::default(), field)))),
            (Within::Counted, holding(24, &with_field(proto::Counted::default(), field))),
            (Within::Rule, holding(26, &with_field(proto::PlaceKey::default(), field))),
            (Within::Rule, holding(33, &with_field(proto::SetFreshness::default(), field))),
            (Within::Lot, holding(10, &holding(10, &with_field(proto::LotUnits::default(), field)))),
            (Within::Lot, holding(11, &holding(9, &with_field(proto::LotLevel::default(), field)))),
            (Within::Rule, holding(34, &with_field(proto::SetDelivery::default(), field))),
            (Within::Rule, holding(34, &holding(1, &with_field(proto::DeliveryService::default(), field)))),
            (Within::Rule, holding(34, &holding(1, &holding(3, &with_field(proto::DispatchDay::default(), field))))),
            (Within::Rule, holding(34, &holding(1, &holding(5, &with_field(proto::ClosedDay::default(), field))))),
        ]
    };
    for number in [42, 99] {
        for (within, bytes) in made(number) {
            let refused = view::decision(&bytes).expect_err("it must be understood");
            assert_eq!(refused, Malformed::UnknownField { within, number: number as u8 });
        }
    }
    for (within, bytes) in made(100) {
        assert!(view::decision(&bytes).is_ok(), "{within}");
    }
    let told = view::decision(&with_field(proto::Decision::default(), 42)).expect_err("refused").to_string();
    assert_eq!(told, "decision field 42 is not known");
    let told = [22, 24].map(|number| {
        let bytes = holding(number, &with_field(proto::Decision::default(), 42));
        view::decision(&bytes).expect_err("refused").to_string()
    });
    assert_eq!(told, ["rule field 42 is not known", "count field 42 is not known"]);
}

#[derive(Debug)]
struct Rows;

impl SkuNames for Rows {
    fn sku(&self, row: u32) -> Text<'_> {
        ["shirt", "socks"][row as usize].into()
    }
}

fn with_lines(lines: DecisionLines<'_>) -> Decision<'_> {
    Decision { lines, ..view::decision(&[]).expect("all defaults").0 }
}

#[test]
fn lines_are_the_same_wherever_they_stand() {
    let results = [
        LineResult {
            available: Some(-2),
            reason: Reason::OutOfStock,
            opens_at_ms: 4,
            left: Some(0),
            rule: 5,
            ..LineResult::allocated(0)
        },
        LineResult { shortfall: 3, ..LineResult::allocated(1) },
    ];
    let asked: LinesBuf = [("shirt", 2), ("socks", 1)].into_iter().collect();
    let held = [HeldLine { row: 0, quantity: 2 }, HeldLine { row: 1, quantity: 1 }].map(HeldLine::to_bytes).concat();
    for results in [&results[..], &[]] {
        let source = Source { input: Input::Orders, offset: 1, index: 0, reply_partition: None };
        let mut seen = Vec::new();
        for lines in [
            DecisionLines::Asked(asked.lines(), results),
            DecisionLines::Held { lines: HeldLines::new(&held), names: &Rows, results },
        ] {
            let made = with_lines(lines);
            let mut bytes = Vec::new();
            decision(&mut bytes, &made, &source);
            seen.push(made.lines().collect::<Vec<_>>());
            let logged: Vec<_> = DecisionLines::Logged(&bytes).iter().collect();
            assert_eq!(Some(&logged), seen.last());
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0][0].allocated, if results.is_empty() { 2 } else { 0 });
    }
}

#[test]
fn lots_of_lines_are_the_same_wherever_they_stand() {
    let asked: LinesBuf = [("shirt", 2), ("socks", 1), ("shirt", 3)].into_iter().collect();
    let held = [(0, 2), (1, 1), (0, 3)].map(|(row, quantity)| HeldLine { row, quantity }.to_bytes()).concat();
    let part = |line, lot, units, shortfall| LotPart { line, of: LotUnits { lot, units, shortfall } };
    let parts = [part(0, 2, 2, 0), part(2, 2, 1, 0), part(2, 256, 2, 7)];
    let results = [3, 0, 3].map(|shortfall| LineResult { shortfall, ..LineResult::allocated(1) });
    let source = Source { input: Input::Orders, offset: 1, index: 0, reply_partition: None };
    let held = |results| {
        let (lines, names) = (HeldLines::new(&held), &Rows);
        DecisionLines::HeldOfLots { lines, names, results, parts: &parts }
    };
    for lines in [DecisionLines::AskedOfLots(asked.lines(), &parts), held(&[]), held(&results)] {
        let made = with_lines(lines);
        let mut bytes = Vec::new();
        decision(&mut bytes, &made, &source);
        let seen: Vec<_> = made.lines().collect();
        let logged: Vec<_> = DecisionLines::Logged(&bytes).iter().collect();
        assert_eq!(logged, seen);
        let lots = |line: usize| seen[line].lots.iter().map(|of| (of.lot, of.units, of.shortfall)).collect::<Vec<_>>();
        assert_eq!([lots(0), lots(1), lots(2)], [vec![(2, 2, 0)], vec![], vec![(2, 1, 0), (256, 2, 7)]]);
        let (read, _) = view::decision(&bytes).expect("valid");
        let mut again = Vec::new();
        decision(&mut again, &read, &source);
        assert_eq!(again, bytes);
    }
}

/// What a decision becomes when it is written and `prost` reads it.
fn written(made: &Decision<'_>) -> proto::Decision {
    let mut bytes = Vec::new();
    decision(&mut bytes, made, &Source { input: Input::Orders, offset: 0, index: 0, reply_partition: None });
    proto::Decision::decode(&bytes[..]).expect("it is a Decision")
}

fn telling(selling: Selling<'_>) -> Decision<'_> {
    Decision { selling: Some(selling), ..with_lines(DecisionLines::None) }
}

proptest! {
    #[test]
    fn of_the_keys_and_segments_of_an_order_those_that_it_passed_by_are_written(
        keys in prop::collection::vec(rules::any_key(), 0..5), segments in prop::collection::vec(text(), 0..17),
        key_mask: u16, segment_mask: u16, counted in prop::collection::vec(counted(), 0..5),
    ) {
        let place = proto::Place { keys, segments, hold_ms: 9, ..Default::default() };
        let made: Vec<_> = counted.iter().map(|counted| {
            let &proto::Counted { count, period, units, .. } = counted;
            Counted { count, period, units, share: counted.share() }
        }).collect();
        rules::with_place(&place, |vouched| {
            let selling = Selling {
                counted: CountedUnits::Made(&made),
                customer: "ann".into(),
                keys: vouched.some_keys(key_mask),
                segments: vouched.some_segments(segment_mask),
                channel: "web".into(),
                ..Selling::default()
            };
            let told = written(&telling(selling));
            let in_mask = |mask: u16, at: usize| mask >> at & 1 == 1;
            let of_keys = place.keys.iter().enumerate().filter(|(at, _)| in_mask(key_mask, *at));
            assert_eq!(told.keys, of_keys.map(|(_, key)| key.clone()).collect::<Vec<_>>());
            let of_segments = place.segments.iter().enumerate().filter(|(at, _)| in_mask(segment_mask, *at));
            assert_eq!(told.segments, of_segments.map(|(_, segment)| segment.clone()).collect::<Vec<_>>());
            assert_eq!((&told.counted, &*told.customer, &*told.channel), (&counted, "ann", "web"));
        });
    }
}

#[test]
fn a_rule_that_says_nothing_is_written_all_the_same() {
    // It removes the sale of the whole pool: were it left out, replay would not know that anything was removed.
    let nothing = Sale::read(&[]).expect("all defaults");
    let told = written(&telling(Selling { set: Some(Rule::Sale(nothing)), ..Selling::default() }));
    assert_eq!((&told.sale, &told.limit), (&Some(proto::SetSale::default()), &None));
    let bytes = told.encode_to_vec();
    let read = view::decision(&bytes).expect("valid").0.selling.and_then(|told| told.set);
    assert!(matches!(read, Some(Rule::Sale(sale)) if sale.removes()), "{read:?}");
}

#[test]
fn a_decision_that_sets_two_rules_is_refused() {
    use super::super::fields::Malformed;

    let [sale, limit, channels, freshness, delivery] = [22, 23, 31, 33, 34].map(|number| holding(number, &[]));
    let rules = [&sale, &limit, &channels, &freshness, &delivery];
    for both in rules.into_iter().flat_map(|first| rules.map(|second| [first, second])) {
        let both = [&both[0][..], both[1]].concat();
        assert_eq!(view::decision(&both).expect_err("two rules"), Malformed::Repeated);
    }
}
