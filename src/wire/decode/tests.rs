//! The engine's decoder against `prost`, on valid values, on values put together from right and wrong fields, and on
//! damaged ones.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

use super::super::command::{Kind, OrderLines, Place, StockChange};
use super::super::proto::{command, stock_command};
use super::*;

/// What the contract knows of a message: its fields, numbered from 1.
type Schema = &'static [Field];

#[derive(Clone, Copy)]
enum Field {
    Text,
    Number,
    Message(Schema),
}

use Field::{Message as M, Number as N, Text as T};

const ORDER_LINE: Schema = &[T, N];
const PLACE: Schema = &[T, T, N, T, T, N, M(ORDER_LINE), N, N];
const COMMAND: Schema = &[M(PLACE), M(&[T, T, N]), M(&[T, T, N, N]), M(&[T, T, N]), N];
const STOCK_COMMAND: Schema =
    &[T, T, N, M(&[T, N]), M(&[T, N, T]), M(&[T, N, N]), M(&[T, N]), M(&[T]), M(&[T]), M(&[T, N]), M(&[N]), N];

fn schema(input: Input) -> Schema {
    if input == Input::Stock { STOCK_COMMAND } else { COMMAND }
}

/// Random decisions of a generator, taken from bytes so that proptest can shrink them; zeros after the end.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) * sides / 256
    }

    fn number(&mut self) -> u64 {
        let bits = [7, 14, 32, 48, 64][self.roll(5)];
        let value = (0..8).fold(0, |value, _| value << 8 | self.roll(256) as u64);
        if bits == 64 { value } else { value & ((1 << bits) - 1) }
    }

    fn text(&mut self) -> &'static [u8] {
        match self.roll(64) {
            63 => [&b"\xff\xfe"[..], b"\xc3"][self.roll(2)],
            other => [&b""[..], b"p", b"north", "größe".as_bytes(), "🎁".as_bytes()][other % 5],
        }
    }
}

fn put_field(out: &mut Vec<u8>, number: u32, field: Field, dice: &mut Dice<'_>) {
    match field {
        T => put_bytes(out, number, dice.text()),
        N => {
            encode_key(number, WireType::Varint, out);
            encode_varint(dice.number(), out);
        }
        M(schema) => put_bytes(out, number, &soup(schema, dice)),
    }
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A message of fields that are mostly right, in any order, repeated or missing.
fn soup(schema: Schema, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..dice.roll(9) {
        let number = dice.roll(schema.len()) as u32 + 1;
        match dice.roll(128) {
            // A number that is not known, binding or not.
            127 => put_field(&mut out, schema.len() as u32 + 1 + dice.roll(5) as u32, [T, N][dice.roll(2)], dice),
            126 => put_field(&mut out, 90 + dice.roll(20) as u32, [T, N, M(ORDER_LINE)][dice.roll(3)], dice),
            // Any wire type for a known number.
            125 => put_field(&mut out, number, [T, N][dice.roll(2)], dice),
            // Groups, right and wrong.
            124 => {
                let number = 50 + dice.roll(2) as u32;
                encode_key(number, WireType::StartGroup, &mut out);
                put_field(&mut out, 3, N, dice);
                encode_key(50 + dice.roll(2) as u32, WireType::EndGroup, &mut out);
            }
            // Fixed widths, or too little of one.
            123 => {
                let (wire_type, bytes) = [(WireType::SixtyFourBit, 8), (WireType::ThirtyTwoBit, 4)][dice.roll(2)];
                encode_key(100, wire_type, &mut out);
                out.resize(out.len() + bytes - dice.roll(5) / 4, 0);
            }
            // A key and a value with more bytes than they need.
            122 => {
                let (wire_type, value) = if matches!(schema[number as usize - 1], N) { (0, 0xff) } else { (2, 0x80) };
                out.extend_from_slice(&[(number << 3 | wire_type) as u8 | 0x80, 0x80, 0x00, value, 0x80, 0x00]);
            }
            _ => put_field(&mut out, number, schema[number as usize - 1], dice),
        }
    }
    out
}

/// A value of commands, some of it damaged.
fn value(input: Input, dice: &[u8]) -> Vec<u8> {
    let mut dice = Dice(dice.iter());
    let mut out = Vec::new();
    for _ in 0..=dice.roll(4) {
        put_bytes(&mut out, 1, &soup(schema(input), &mut dice));
    }
    match dice.roll(20) {
        10 => put_field(&mut out, 2 + dice.roll(110) as u32, [T, N][dice.roll(2)], &mut dice),
        11 => out.truncate(dice.roll(out.len() + 1)),
        12 | 13 if !out.is_empty() => {
            let at = dice.roll(out.len());
            out[at] ^= 1 << dice.roll(8);
        }
        14 => {
            let at = dice.roll(out.len() + 1);
            let from = dice.roll(out.len() + 1);
            let piece = out[from..].to_vec();
            out.splice(at..at, piece);
        }
        15 => {
            out.splice(..0, *b"\x00\x00\x00\x00\x01\x00");
        }
        _ => {}
    }
    out
}

/// The first field of a command that must be understood, by `prost`'s own primitives.
fn unsupported(mut message: &[u8], schema: Schema) -> Option<u32> {
    while !message.is_empty() {
        let (number, wire_type) = decode_key(&mut message).expect("accepted by prost");
        let found = match schema.get(number as usize - 1) {
            Some(M(inner)) => {
                let length = decode_varint(&mut message).expect("accepted by prost") as usize;
                let (body, rest) = message.split_at(length);
                message = rest;
                unsupported(body, inner)
            }
            known => {
                skip_field(wire_type, number, &mut message, DecodeContext::default()).expect("accepted by prost");
                (known.is_none() && number <= 99).then_some(number)
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The bodies of all commands in a value, and whether a binding field stands beside them.
fn bodies(mut value: &[u8]) -> (Vec<&[u8]>, bool) {
    let (mut bodies, mut binding) = (Vec::new(), false);
    while !value.is_empty() {
        let (number, wire_type) = decode_key(&mut value).expect("accepted by prost");
        if number == 1 {
            let length = decode_varint(&mut value).expect("accepted by prost") as usize;
            let (body, rest) = value.split_at(length);
            bodies.push(body);
            value = rest;
        } else {
            binding |= number <= 99;
            skip_field(wire_type, number, &mut value, DecodeContext::default()).expect("accepted by prost");
        }
    }
    (bodies, binding)
}

fn lines(lines: OrderLines<'_>) -> Vec<proto::OrderLine> {
    assert_eq!(lines.len(), lines.iter().count());
    lines.iter().map(|line| proto::OrderLine { sku: line.sku.to_string(), quantity: line.quantity }).collect()
}

/// A command as `prost` would have it.
fn order_command(made: Command<'_>) -> proto::Command {
    let pool = made.pool.to_string();
    let kind = match made.kind {
        Kind::Place(Place { order_id, attempt, customer, channel, placed_at_ms, lines: l, hold_ms, answer_by_ms }) => {
            Some(command::Kind::Place(proto::Place {
                pool,
                order_id: order_id.to_string(),
                attempt,
                customer: customer.to_string(),
                channel: channel.to_string(),
                placed_at_ms,
                lines: lines(l),
                hold_ms,
                answer_by_ms,
            }))
        }
        Kind::Confirm { order_id, attempt } => {
            Some(command::Kind::Confirm(proto::Confirm { pool, order_id: order_id.to_string(), attempt }))
        }
        Kind::Extend { order_id, attempt, expires_at_ms } => {
            Some(command::Kind::Extend(proto::Extend { pool, order_id: order_id.to_string(), attempt, expires_at_ms }))
        }
        Kind::Cancel { order_id, attempt } => {
            Some(command::Kind::Cancel(proto::Cancel { pool, order_id: order_id.to_string(), attempt }))
        }
        Kind::Unknown => None,
        other => panic!("{other:?} in orders"),
    };
    proto::Command { reply_partition: made.reply_partition, kind }
}

/// A stock command as `prost` would have it. `id` and `issued_at_ms` are dropped by kinds that don't need them.
fn warehouse_command(made: Command<'_>) -> proto::StockCommand {
    let (mut id, mut issued_at_ms) = (String::new(), 0);
    let kind = match made.kind {
        Kind::Ship { order_id, attempt } => {
            Some(stock_command::Kind::Ship(proto::Ship { order_id: order_id.to_string(), attempt }))
        }
        Kind::Tick { shard } => Some(stock_command::Kind::Tick(proto::Tick { shard })),
        Kind::Unknown => None,
        Kind::Stock { id: i, issued_at_ms: at, change } => {
            (id, issued_at_ms) = (i.to_string(), at);
            Some(match change {
                StockChange::Receive { sku, quantity } => {
                    stock_command::Kind::Receive(proto::Receive { sku: sku.to_string(), quantity })
                }
                StockChange::Adjust { sku, change, reason } => stock_command::Kind::Adjust(proto::Adjust {
                    sku: sku.to_string(),
                    change,
                    reason: reason.to_string(),
                }),
                StockChange::Count { sku, counted, on_hand_seen } => {
                    stock_command::Kind::Count(proto::Count { sku: sku.to_string(), counted, on_hand_seen })
                }
                StockChange::SetSafetyStock { sku, quantity } => {
                    stock_command::Kind::SetSafetyStock(proto::SetSafetyStock { sku: sku.to_string(), quantity })
                }
                StockChange::Halt { sku } => stock_command::Kind::Halt(proto::Halt { sku: sku.to_string() }),
                StockChange::Resume { sku } => stock_command::Kind::Resume(proto::Resume { sku: sku.to_string() }),
            })
        }
        other => panic!("{other:?} in stock"),
    };
    let pool = made.pool.to_string();
    proto::StockCommand { pool, id, issued_at_ms, kind, reply_partition: made.reply_partition }
}

/// What `prost` makes of a stock command, without what its kind doesn't need.
fn needed(mut command: proto::StockCommand) -> proto::StockCommand {
    if matches!(command.kind, None | Some(stock_command::Kind::Ship(_) | stock_command::Kind::Tick(_))) {
        command.id.clear();
        command.issued_at_ms = 0;
    }
    command
}

/// Holds both decoders to the same answer on one value. Says whether they accepted it.
fn check(value: &[u8], input: Input) -> bool {
    let mut scratch = Scratch::default();
    let validated = validate(Some(value), input, &mut scratch);
    let decoded = framing::payload(value).ok().and_then(|body| {
        let orders = proto::Commands::decode(body).ok().filter(|_| input == Input::Orders);
        let stock = proto::StockCommands::decode(body).ok().filter(|_| input == Input::Stock);
        (orders.is_some() || stock.is_some()).then_some((body, orders, stock))
    });
    let Some((body, orders, stock)) = decoded else {
        assert!(
            matches!(
                validated,
                Err(Poison::Empty | Poison::Framing(_) | Poison::Malformed { .. } | Poison::UnknownField { .. })
            ),
            "{validated:?}"
        );
        return false;
    };
    let (bodies, binding) = bodies(body);
    let validated = match validated {
        Ok(validated) => validated,
        Err(Poison::UnknownField { .. }) => {
            assert!(binding);
            return false;
        }
        Err(Poison::NoCommands | Poison::Empty) => {
            assert!(bodies.is_empty());
            return false;
        }
        Err(other) => panic!("prost accepts it; {other:?}"),
    };
    assert!(!binding && !bodies.is_empty());
    assert_eq!(validated.count() as usize, bodies.len());
    let made: Vec<_> = validated.commands().collect();
    let expected: Vec<_> = bodies.iter().map(|body| unsupported(body, schema(input))).collect();
    assert_eq!(made.iter().map(|made| made.unsupported).collect::<Vec<_>>(), expected);
    if let Some(orders) = orders {
        assert_eq!(made.into_iter().map(order_command).collect::<Vec<_>>(), orders.commands);
    } else if let Some(stock) = stock {
        let expected: Vec<_> = stock.commands.into_iter().map(needed).collect();
        assert_eq!(made.into_iter().map(warehouse_command).collect::<Vec<_>>(), expected);
    }
    true
}

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
    fn both_decoders_agree_on_any_bytes(input in inputs(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        check(&bytes, input);
    }

    #[test]
    fn two_values_in_a_row_hold_the_commands_of_both(input in inputs(), a in dice(), b in dice()) {
        let (a, b) = (value(input, &a), value(input, &b));
        let framed = |value: &[u8]| matches!(value.first(), Some(0 | 1));
        if !framed(&b) && check(&a, input) && check(&b, input) {
            let both = [&a[..], &b].concat();
            assert!(check(&both, input));
            let all = |value: &[u8]| -> Vec<String> {
                let mut scratch = Scratch::default();
                let validated = validate(Some(value), input, &mut scratch).expect("checked");
                validated.commands().map(|command| match command.kind {
                    Kind::Unknown | Kind::Tick { .. } | Kind::Ship { .. } | Kind::Stock { .. } => format!("{:?}", warehouse_command(command)),
                    _ => format!("{:?}", order_command(command)),
                }).collect()
            };
            prop_assert_eq!(all(&both), [all(&a), all(&b)].concat());
        }
    }
}

#[test]
fn the_generator_makes_values_of_every_sort() {
    // Guards the tests above: a generator that makes nothing but rubbish would agree on everything.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut accepted, mut merged, mut refused, mut binding) = (0, 0, 0, 0);
    for _ in 0..2_000 {
        let dice = dice().new_tree(&mut runner).expect("no filter").current();
        let value = value(Input::Orders, &dice);
        let mut scratch = Scratch::default();
        match validate(Some(&value), Input::Orders, &mut scratch) {
            Ok(validated) => {
                accepted += 1;
                binding += usize::from(validated.commands().any(|command| command.unsupported.is_some()));
                merged += usize::from(!scratch.merged.is_empty());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 400 && merged > 100 && refused > 400 && binding > 50, "{accepted} {merged} {refused} {binding}");
}

#[test]
fn both_decoders_draw_the_line_at_the_same_depth() {
    let mut accepted = Vec::new();
    for depth in 90..110 {
        // Groups within groups, in a line of a Place.
        let mut groups = Vec::new();
        (0..depth).for_each(|_| encode_key(200, WireType::StartGroup, &mut groups));
        (0..depth).for_each(|_| encode_key(200, WireType::EndGroup, &mut groups));
        let mut value = groups;
        for number in [7, 1, 1] {
            let body = std::mem::take(&mut value);
            put_bytes(&mut value, number, &body);
        }
        if check(&value, Input::Orders) {
            accepted.push(depth);
        }
    }
    assert_eq!(accepted, (90..=97).collect::<Vec<_>>());
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
    assert!(check(&value, Input::Orders));
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
        (Some(vec![0x0a, 0x00, 0x0a, 0x05]), Poison::Malformed { command: 1, what: Malformed::Truncated }, "protobuf"),
        (Some(b"{\"order\": 1}".to_vec()), Poison::Malformed { command: 0, what: Malformed::Truncated }, "protobuf"),
    ] {
        let found = validate(value.as_deref(), Input::Orders, &mut scratch).expect_err("poison");
        assert_eq!((found, found.stage()), (poison, stage));
    }
    assert!(validate(Some(&many(MAX_COMMANDS)), Input::Orders, &mut scratch).is_ok());
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
