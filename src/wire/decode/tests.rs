//! The engine's decoder against `prost`, on valid values, on values put together from right and wrong fields, and on
//! damaged ones.

mod oracle; // what prost makes of the same bytes
mod values; // values put together at random

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::encoding::{WireType, encode_key, encode_varint};

use self::oracle::{check, is_sound, order_command, shown};
use self::values::{put_bytes, value, value_of_rules};
use super::super::command::{Kind, Place, StockChange};
use super::super::proto::command;
use super::*;

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![3 => Just(Input::Orders), 2 => Just(Input::Stock)]
}

fn dice() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn both_decoders_agree_on_right_wrong_and_damaged_fields(input in inputs(), dice in dice()) {
        check(&value(input, &dice), input);
    }

    #[test]
    fn both_decoders_agree_on_rules_and_what_orders_bring_for_them(input in inputs(), dice in dice()) {
        check(&value_of_rules(input, &dice), input);
    }

    #[test]
    fn both_decoders_agree_on_any_bytes(input in inputs(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        check(&bytes, input);
    }

    #[test]
    fn two_values_in_a_row_hold_the_commands_of_both(input in inputs(), a in dice(), b in dice()) {
        let (a, b) = (value(input, &a), value(input, &b));
        let framed = |value: &[u8]| matches!(value.first(), Some(0 | 1));
        if framed(&b) {
            return Ok(());
        }
        if let (Some(of_a), Some(of_b)) = (check(&a, input), check(&b, input)) {
            let both = [&a[..], &b].concat();
            prop_assert_eq!(check(&both, input), Some([of_a, of_b].concat()));
            let all = |value: &[u8]| -> Vec<String> {
                let mut scratch = Scratch::default();
                let validated = validate(Some(value), input, &mut scratch).expect("checked");
                validated.commands().map(shown).collect()
            };
            prop_assert_eq!(all(&both), [all(&a), all(&b)].concat());
        }
    }
}

#[test]
fn the_generator_makes_values_of_every_sort() {
    // Guards the tests above: a generator that makes nothing but rubbish would agree on everything.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut sound, mut merged, mut poison, mut binding, mut mixed, mut mixed_and_merged) = (0, 0, 0, 0, 0, 0);
    for _ in 0..2_000 {
        let dice = dice().new_tree(&mut runner).expect("no filter").current();
        let value = value(Input::Orders, &dice);
        let mut scratch = Scratch::default();
        match validate(Some(&value), Input::Orders, &mut scratch) {
            Ok(validated) => {
                let malformed = validated.commands().filter(|command| matches!(command.kind, Kind::Malformed)).count();
                let mixes = malformed > 0 && malformed < validated.count() as usize;
                sound += usize::from(malformed == 0);
                binding += usize::from(validated.commands().any(|command| command.unsupported.is_some()));
                let merges = !scratch.merged.is_empty();
                merged += usize::from(merges);
                mixed += usize::from(mixes);
                mixed_and_merged += usize::from(mixes && merges);
            }
            Err(_) => poison += 1,
        }
    }
    let counts = [sound, merged, poison, binding, mixed, mixed_and_merged];
    assert!(counts.iter().zip([400, 100, 100, 50, 100, 50]).all(|(count, least)| *count > least), "{counts:?}");
}

#[test]
fn the_generator_of_rules_makes_lists_of_every_sort() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut keys, mut segments, mut early, mut only, mut skus, mut shares, mut merged) = (0, 0, 0, 0, 0, 0, 0);
    let (mut lots, mut fresh) = (0, 0);
    let (mut malformed, mut binding) = (0, 0);
    let (mut asked, mut services, mut days, mut closed) = (0, 0, 0, 0);
    for _ in 0..3_000 {
        let dice = dice().new_tree(&mut runner).expect("no filter").current();
        for input in [Input::Orders, Input::Stock] {
            let value = value_of_rules(input, &dice);
            let mut scratch = Scratch::default();
            let record = validate(Some(&value), input, &mut scratch).expect("its framing is sound");
            for command in record.commands() {
                binding += usize::from(command.unsupported.is_some());
                match command.kind {
                    Kind::Place(Place { vouched, .. }) => {
                        keys += usize::from(vouched.key_count() > 1);
                        segments += usize::from(vouched.segment_count() > 1);
                        let it = vouched.delivery();
                        asked += usize::from(!it.service.is_empty() && it.day != 0 && it.late != 0);
                    }
                    Kind::Stock { change: StockChange::SetSale(sale), .. } => {
                        early += usize::from(sale.early().count() > 1);
                        only += usize::from(sale.only().count() > 1);
                    }
                    Kind::Stock { change: StockChange::SetLimit(limit), .. } => {
                        skus += usize::from(limit.skus().count() > 1);
                    }
                    Kind::Stock { change: StockChange::SetChannels(channels), .. } => {
                        shares += usize::from(channels.shares().count() > 1);
                    }
                    Kind::Stock { change: StockChange::SetFreshness(it), .. } => {
                        fresh += usize::from(it.least_days > 0)
                    }
                    Kind::Ship { lots: named, .. } => lots += usize::from(named.iter().count() > 1),
                    Kind::Stock { change: StockChange::SetDelivery(it), .. } => {
                        services += usize::from(it.services().count() > 1);
                        days += usize::from(it.services().any(|service| service.days().count() > 1));
                        closed += usize::from(it.services().any(|service| service.closed().count() > 1));
                    }
                    _ => malformed += 1,
                }
            }
            merged += usize::from(!scratch.merged.is_empty());
        }
    }
    let lists = [keys, segments, early, only, skus, shares, lots, services, days, closed];
    let counts = [&lists[..], &[fresh, merged, malformed, binding, asked]].concat();
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

/// A value with one command that is `body` within fields of these numbers, innermost first.
fn nested(numbers: &[u32], body: &[u8]) -> Vec<u8> {
    let mut value = body.to_vec();
    for number in numbers.iter().chain([&1]) {
        let inner = std::mem::take(&mut value);
        put_bytes(&mut value, *number, &inner);
    }
    value
}

/// Messages of selling rules, by the fields that they stand in, innermost first.
const RULES: [(Input, &[u32]); 12] = [
    (Input::Stock, &[14]),
    (Input::Stock, &[4, 14]),
    (Input::Stock, &[15]),
    (Input::Orders, &[1]),
    (Input::Orders, &[11, 1]),
    (Input::Stock, &[17]),
    (Input::Stock, &[10]),
    (Input::Stock, &[3, 10]),
    (Input::Stock, &[18]),
    (Input::Stock, &[1, 18]),
    (Input::Stock, &[3, 1, 18]),
    (Input::Stock, &[5, 1, 18]),
];

#[test]
fn a_field_of_a_rule_that_is_not_known_is_unsupported_by_its_number() {
    for (input, numbers) in RULES {
        for number in [15, 42, 99, 100] {
            let mut body = Vec::new();
            encode_key(number, WireType::Varint, &mut body);
            body.push(1);
            let value = nested(numbers, &body);
            assert!(is_sound(&check(&value, input)));
            let mut scratch = Scratch::default();
            let record = validate(Some(&value), input, &mut scratch).expect("its framing is sound");
            let unsupported = (number < 100).then_some(number);
            assert_eq!(record.command(0).unsupported, unsupported, "{input:?} {numbers:?}");
        }
    }
}

#[test]
fn a_broken_field_of_a_rule_makes_its_command_malformed() {
    // A text that is no UTF-8, in the field after the first text where that is a list; a wrong wire type; a field that is
    // cut short.
    let of_text = |number: u8| vec![number << 3 | 2, 1, 0xff];
    let of_type = |number: u8| vec![number << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let cut = |number: u8| vec![number << 3 | 2, 5, b'a'];
    let texts: [&[u8]; 12] =
        [&[1, 5], &[1], &[1, 4, 6], &[10, 12], &[1, 2], &[1], &[1], &[1, 2], &[], &[1, 2], &[], &[]];
    let all: [&[u8]; 12] = [
        &[1, 2, 3, 4, 5],
        &[1, 2],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[10, 11, 12, 13, 14],
        &[1, 2],
        &[1, 2],
        &[1, 2, 3],
        &[1, 2, 3],
        &[1],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[1, 2],
        &[1],
    ];
    for (((input, numbers), texts), all) in RULES.into_iter().zip(texts).zip(all) {
        let broken_texts = texts.iter().flat_map(|number| [of_text(*number), cut(*number)]);
        for body in broken_texts.chain(all.iter().map(|number| of_type(*number))) {
            assert_eq!(check(&nested(numbers, &body), input), Some(vec![false]), "{input:?} {numbers:?} {body:?}");
        }
    }
}

#[test]
fn a_rule_that_stands_twice_is_merged_as_protobuf_says() {
    let sale = |opens_at_ms, only: &str| {
        let sale = proto::SetSale { sku: "shirt".into(), opens_at_ms, only: vec![only.into()], ..Default::default() };
        let kind = Some(proto::stock_command::Kind::SetSale(sale));
        proto::StockCommand { kind, ..Default::default() }.encode_to_vec()
    };
    let mut value = Vec::new();
    put_bytes(&mut value, 1, &[sale(3, "gold"), sale(5, "seoul")].concat());
    assert!(is_sound(&check(&value, Input::Stock)));
    let mut scratch = Scratch::default();
    let merged = validate(Some(&value), Input::Stock, &mut scratch).expect("valid").command(0);
    let Kind::Stock { change: StockChange::SetSale(sale), .. } = merged.kind else { panic!("{merged:?}") };
    assert_eq!(sale.opens_at_ms, 5);
    assert!(sale.only().map(|segment| segment.as_str()).eq(["gold", "seoul"]));
}

#[test]
fn both_decoders_draw_the_line_at_the_same_depth() {
    const LINE: (Input, &[u32]) = (Input::Orders, &[7, 1]);
    for (input, numbers) in RULES.into_iter().chain([LINE]) {
        let accepts = |depth: &u32| {
            let mut groups = Vec::new();
            (0..*depth).for_each(|_| encode_key(200, WireType::StartGroup, &mut groups));
            (0..*depth).for_each(|_| encode_key(200, WireType::EndGroup, &mut groups));
            is_sound(&check(&nested(numbers, &groups), input))
        };
        // The value's own field and those of `numbers` count too.
        let deepest = 99 - numbers.len() as u32;
        let accepted: Vec<_> = (90..110).filter(accepts).collect();
        assert_eq!(accepted, (90..=deepest).collect::<Vec<_>>(), "{numbers:?}");
    }
}

#[test]
fn a_kind_that_stands_twice_is_merged_as_protobuf_says() {
    let place = |place: proto::Place| proto::Command { reply_partition: None, kind: Some(command::Kind::Place(place)) };
    let first = place(proto::Place { pool: "north".into(), order_id: "1".into(), ..Default::default() });
    let second = place(proto::Place { order_id: "2".into(), hold_ms: 5, ..Default::default() });
    let mut value = Vec::new();
    let mut command = [first.encode_to_vec(), second.encode_to_vec()].concat();
    encode_key(42, WireType::Varint, &mut command);
    encode_varint(1, &mut command);
    put_bytes(&mut value, 1, &command);
    assert!(is_sound(&check(&value, Input::Orders)));
    let mut scratch = Scratch::default();
    let merged = validate(Some(&value), Input::Orders, &mut scratch).expect("valid").commands().next().expect("one");
    assert_eq!((merged.pool.as_str(), merged.unsupported), ("north", Some(42)));
    assert!(matches!(merged.kind, Kind::Place(Place { order_id, hold_ms: 5, .. }) if order_id == "2"));
}

#[test]
fn what_is_no_record_of_commands_is_poison_with_its_stage() {
    let many = |n: usize| [0x0a, 0x00].repeat(n);
    let mut scratch = Scratch::default();
    for (value, poison, stage) in [
        (None, Poison::Empty, "value"),
        (Some(vec![]), Poison::Empty, "value"),
        (Some(vec![0; MAX_RECORD_BYTES + 1]), Poison::TooLong { bytes: MAX_RECORD_BYTES + 1 }, "limits"),
        (Some(many(MAX_COMMANDS + 1)), Poison::TooManyCommands, "limits"),
        (Some(vec![0]), Poison::Framing(FramingError::Truncated), "framing"),
        (Some(vec![0, 0, 0, 0, 1, 0]), Poison::NoCommands, "commands"),
        (Some(vec![0xc8, 0x06, 0x01]), Poison::NoCommands, "commands"),
        (Some(vec![0x0a, 0x00, 0x10, 0x01]), Poison::UnknownField { number: 2 }, "commands"),
        (Some(vec![0x0a, 0x00, 0x0a, 0x05]), Poison::Malformed { commands: 1, what: Malformed::Truncated }, "protobuf"),
        (Some(b"{\"order\": 1}".to_vec()), Poison::Malformed { commands: 0, what: Malformed::Truncated }, "protobuf"),
    ] {
        let found = validate(value.as_deref(), Input::Orders, &mut scratch).expect_err("poison");
        assert_eq!((found, found.stage()), (poison, stage));
    }
    assert!(validate(Some(&many(MAX_COMMANDS)), Input::Orders, &mut scratch).is_ok());
}

/// A Place of two lines, in a command that names a partition of `replies`.
fn sound_command(order_id: &str) -> proto::Command {
    let lines = ["a", "b"].map(|sku| proto::OrderLine { sku: sku.into(), quantity: 1 }).into();
    let place = proto::Place { pool: "north".into(), order_id: order_id.into(), lines, ..Default::default() };
    proto::Command { reply_partition: Some(7), kind: Some(command::Kind::Place(place)) }
}

#[test]
fn a_malformed_command_leaves_its_neighbours_as_they_are() {
    // After a line that can be read, so that what was noted of it must be forgotten: an SKU that is no UTF-8, a line
    // that is a number, one that is cut short; and a command that is none.
    for (broken, names_its_asker) in [
        (&b"\x0a\x0b\x3a\x03\x0a\x01a\x3a\x04\x0a\x02\xff\xfe\x28\x07"[..], true),
        (b"\x0a\x07\x3a\x03\x0a\x01a\x38\x01\x28\x07", true),
        (b"\x0a\x07\x3a\x03\x0a\x01a\x3a\x05\x28\x07", true),
        (b"\x0a\x05\x3a\x03\x0a\x01a\x28\x07\x08\x01", false),
        (b"\x28\x07\xf3\x02", false),
        (b"\x28", false),
    ] {
        let mut value = Vec::new();
        for body in [&sound_command("1").encode_to_vec()[..], broken, &sound_command("2").encode_to_vec()] {
            put_bytes(&mut value, 1, body);
        }
        assert_eq!(check(&value, Input::Orders), Some(vec![true, false, true]), "{broken:02x?}");
        let mut scratch = Scratch::default();
        let validated = validate(Some(&value), Input::Orders, &mut scratch).expect("its framing is sound");
        assert_eq!(validated.command(1).reply_partition, names_its_asker.then_some(7), "{broken:02x?}");
        assert_eq!(order_command(validated.command(2)), sound_command("2"));
        assert_eq!(scratch.lines.len(), 4, "lines of what is malformed are not kept");
    }
}

#[test]
fn what_must_be_merged_is_merged_beside_a_malformed_command() {
    let mut value = Vec::new();
    let twice = [sound_command("1").encode_to_vec(), sound_command("2").encode_to_vec()].concat();
    for body in [b"\x0a\x02\x0a\x05\x28\x07", &twice[..], b"\x0a"] {
        put_bytes(&mut value, 1, body);
    }
    assert_eq!(check(&value, Input::Orders), Some(vec![false, true, false]));
}

#[test]
fn a_record_of_nothing_but_malformed_commands_is_a_record() {
    let value = [0x0a, 0x01, 0x0a].repeat(MAX_COMMANDS);
    assert_eq!(check(&value, Input::Orders), Some(vec![false; MAX_COMMANDS]));
    assert_eq!(check(&value, Input::Stock), Some(vec![false; MAX_COMMANDS]));
}

#[test]
fn of_an_order_beyond_the_limit_of_lines_only_the_first_are_noted() {
    use super::super::limits::MAX_LINES;

    let line = |n: usize| proto::OrderLine { sku: format!("sku-{n}"), quantity: n as u32 };
    for count in [MAX_LINES, MAX_LINES + 1] {
        let place = proto::Place { lines: (0..count).map(line).collect(), ..Default::default() };
        let commands = vec![proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None }];
        let value = proto::Commands { commands }.encode_to_vec();
        let mut scratch = Scratch::default();
        let made = validate(Some(&value), Input::Orders, &mut scratch).expect("valid").commands().next().expect("one");
        let Kind::Place(Place { lines, .. }) = made.kind else { panic!("{made:?}") };
        assert_eq!((lines.len(), lines.iter().count()), (count, MAX_LINES));
    }
}
