//! What `prost` makes of a value, command by command, and the engine's decoder held to it.

use prost::encoding::{DecodeContext, decode_key, decode_varint, skip_field};

use super::super::super::command::{Kind, OrderLines, Place, StockChange};
use super::super::super::lots::tests as lots;
use super::super::super::proto::{command, stock_command};
use super::super::super::selling::tests as rules;
use super::super::super::text::Text;
use super::values::{COMMAND, Field::Message as M, STOCK_COMMAND, Schema, put_bytes};
use super::*;

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

/// Whether a field that must be understood stands beside the commands.
fn binding(mut value: &[u8]) -> bool {
    while !value.is_empty() {
        let (number, wire_type) = decode_key(&mut value).expect("accepted by prost");
        if (2..=LAST_BINDING_FIELD).contains(&number) {
            return true;
        }
        skip_field(wire_type, number, &mut value, DecodeContext::default()).expect("accepted by prost");
    }
    false
}

fn lines(lines: OrderLines<'_>) -> Vec<proto::OrderLine> {
    assert_eq!(lines.len(), lines.iter().count());
    lines.iter().map(|line| proto::OrderLine { sku: line.sku.to_string(), quantity: line.quantity }).collect()
}

/// A command as `prost` would have it.
pub(super) fn order_command(made: Command<'_>) -> proto::Command {
    let pool = made.pool.to_string();
    let kind = match made.kind {
        Kind::Place(it) => {
            let Place { order_id, attempt, customer, channel, placed_at_ms, lines: l, hold_ms, answer_by_ms, vouched } =
                it;
            assert_eq!(vouched.segment_count(), vouched.segments().count());
            assert_eq!(vouched.key_count(), vouched.keys().count());
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
                segments: rules::texts(vouched.segments()),
                keys: rules::keys(vouched.some_keys(u16::MAX)),
                service: vouched.delivery().service.to_string(),
                day: vouched.delivery().day,
                late: vouched.delivery().late,
            }))
        }
        Kind::Confirm { order_id, attempt, placed_at_ms } => {
            let order_id = order_id.to_string();
            Some(command::Kind::Confirm(proto::Confirm { pool, order_id, attempt, placed_at_ms }))
        }
        Kind::Extend { order_id, attempt, expires_at_ms, placed_at_ms } => {
            let order_id = order_id.to_string();
            Some(command::Kind::Extend(proto::Extend { pool, order_id, attempt, expires_at_ms, placed_at_ms }))
        }
        Kind::Cancel { order_id, attempt, placed_at_ms } => {
            let order_id = order_id.to_string();
            Some(command::Kind::Cancel(proto::Cancel { pool, order_id, attempt, placed_at_ms }))
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
        Kind::Ship { order_id, attempt, lots: named } => {
            let (order_id, lots) = (order_id.to_string(), lots::shipped(&named));
            Some(stock_command::Kind::Ship(proto::Ship { order_id, attempt, lots }))
        }
        Kind::Tick { shard } => Some(stock_command::Kind::Tick(proto::Tick { shard })),
        Kind::RaiseRulesLevel { shard, level } => {
            Some(stock_command::Kind::RaiseRulesLevel(proto::RaiseRulesLevel { shard, level }))
        }
        Kind::Unknown => None,
        Kind::Stock { id: i, issued_at_ms: at, change } => {
            (id, issued_at_ms) = (i.to_string(), at);
            let (lot, expiry) = (change.lot().lot.to_string(), change.lot().expiry);
            Some(match change {
                StockChange::Receive { sku, quantity, .. } => {
                    stock_command::Kind::Receive(proto::Receive { sku: sku.to_string(), quantity, lot, expiry })
                }
                StockChange::Adjust { sku, change, reason, .. } => stock_command::Kind::Adjust(proto::Adjust {
                    sku: sku.to_string(),
                    change,
                    reason: reason.to_string(),
                    lot,
                    expiry,
                }),
                StockChange::Count { sku, counted, on_hand_seen, .. } => {
                    let sku = sku.to_string();
                    stock_command::Kind::Count(proto::Count { sku, counted, on_hand_seen, lot, expiry })
                }
                StockChange::SetSafetyStock { sku, quantity } => {
                    stock_command::Kind::SetSafetyStock(proto::SetSafetyStock { sku: sku.to_string(), quantity })
                }
                StockChange::Halt { sku, .. } => stock_command::Kind::Halt(proto::Halt { sku: sku.to_string(), lot }),
                StockChange::Resume { sku, .. } => {
                    stock_command::Kind::Resume(proto::Resume { sku: sku.to_string(), lot })
                }
                StockChange::SetSale(sale) => stock_command::Kind::SetSale(rules::sale(&sale)),
                StockChange::SetLimit(limit) => stock_command::Kind::SetLimit(rules::limit(&limit)),
                StockChange::SetChannels(channels) => stock_command::Kind::SetChannels(rules::channels(&channels)),
                StockChange::SetFreshness(it) => stock_command::Kind::SetFreshness(lots::freshness(&it)),
                StockChange::SetDelivery(it) => stock_command::Kind::SetDelivery(rules::delivery(&it)),
            })
        }
        other => panic!("{other:?} in stock"),
    };
    let pool = made.pool.to_string();
    proto::StockCommand { pool, id, issued_at_ms, kind, reply_partition: made.reply_partition }
}

/// All that a command says.
pub(super) fn shown(made: Command<'_>) -> String {
    match made.kind {
        Kind::Malformed => format!("{made:?}"),
        Kind::Unknown | Kind::Tick { .. } | Kind::RaiseRulesLevel { .. } | Kind::Ship { .. } | Kind::Stock { .. } => {
            format!("{:?}", warehouse_command(made))
        }
        _ => format!("{:?}", order_command(made)),
    }
}

/// What `prost` makes of a stock command, without what its kind doesn't need.
fn needed(mut command: proto::StockCommand) -> proto::StockCommand {
    use stock_command::Kind::{RaiseRulesLevel, Ship, Tick};
    if matches!(command.kind, None | Some(Ship(_) | Tick(_) | RaiseRulesLevel(_))) {
        command.id.clear();
        command.issued_at_ms = 0;
    }
    command
}

/// A value's framing as `prost` reads it: its commands are bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Framed {
    #[prost(bytes = "vec", repeated, tag = "1")]
    commands: Vec<Vec<u8>>,
}

/// Commands of `orders` whose kinds are not looked into.
#[derive(Clone, PartialEq, prost::Message)]
struct OuterCommands {
    #[prost(message, repeated, tag = "1")]
    commands: Vec<OuterCommand>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OuterCommand {
    #[prost(bytes = "vec", repeated, tag = "1")]
    place: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    confirm: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    extend: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    cancel: Vec<Vec<u8>>,
    #[prost(uint32, optional, tag = "5")]
    reply_partition: Option<u32>,
}

/// As [`OuterCommands`], of `stock`.
#[derive(Clone, PartialEq, prost::Message)]
struct OuterStockCommands {
    #[prost(message, repeated, tag = "1")]
    commands: Vec<OuterStockCommand>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OuterStockCommand {
    #[prost(string, tag = "1")]
    pool: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(int64, tag = "3")]
    issued_at_ms: i64,
    #[prost(bytes = "vec", repeated, tag = "4")]
    receive: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    adjust: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    count: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    set_safety_stock: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    halt: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    resume: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "10")]
    ship: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    tick: Vec<Vec<u8>>,
    #[prost(uint32, optional, tag = "12")]
    reply_partition: Option<u32>,
    #[prost(bytes = "vec", repeated, tag = "13")]
    raise_rules_level: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "14")]
    set_sale: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    set_limit: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "16")]
    set_channels: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "17")]
    set_freshness: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "18")]
    set_delivery: Vec<Vec<u8>>,
}

/// The partition that a command names whose own fields `prost` reads. It is read as it stands, in a value.
fn reply_partition(alone: &[u8], input: Input) -> Option<u32> {
    if input == Input::Stock {
        OuterStockCommands::decode(alone).ok().and_then(|value| value.commands[0].reply_partition)
    } else {
        OuterCommands::decode(alone).ok().and_then(|value| value.commands[0].reply_partition)
    }
}

/// Holds one command to what `prost` makes of a value with nothing else in it. Says whether it can be read.
fn check_command(made: Command<'_>, body: &[u8], input: Input) -> bool {
    let mut alone = Vec::new();
    put_bytes(&mut alone, 1, body);
    let (orders, stock) = (proto::Commands::decode(&alone[..]), proto::StockCommands::decode(&alone[..]));
    match (input, orders, stock) {
        (Input::Orders, Ok(mut orders), _) => {
            assert_eq!(made.unsupported, unsupported(body, COMMAND));
            assert_eq!(Some(order_command(made)), orders.commands.pop());
            true
        }
        (Input::Stock, _, Ok(mut stock)) => {
            assert_eq!(made.unsupported, unsupported(body, STOCK_COMMAND));
            assert_eq!(Some(warehouse_command(made)), stock.commands.pop().map(needed));
            true
        }
        _ => {
            assert!(matches!(made.kind, Kind::Malformed), "prost refuses it: {made:?}");
            assert_eq!((made.pool, made.unsupported), (Text::EMPTY, None));
            assert_eq!(made.reply_partition, reply_partition(&alone, input));
            false
        }
    }
}

/// Holds both decoders to the same answer on one value. Says which of its commands can be read; `None` if it is poison.
pub(super) fn check(value: &[u8], input: Input) -> Option<Vec<bool>> {
    let mut scratch = Scratch::default();
    let validated = validate(Some(value), input, &mut scratch);
    let framed = framing::payload(value).ok().and_then(|body| Some((body, Framed::decode(body).ok()?)));
    let Some((body, framed)) = framed else {
        assert!(
            matches!(
                validated,
                Err(Poison::Empty | Poison::Framing(_) | Poison::Malformed { .. } | Poison::UnknownField { .. })
            ),
            "{validated:?}"
        );
        return None;
    };
    let binding = binding(body);
    let validated = match validated {
        Ok(validated) => validated,
        Err(Poison::UnknownField { .. }) => {
            assert!(binding);
            return None;
        }
        Err(Poison::NoCommands | Poison::Empty) => {
            assert!(framed.commands.is_empty());
            return None;
        }
        Err(other) => panic!("prost accepts its framing; {other:?}"),
    };
    assert!(!binding && !framed.commands.is_empty());
    assert_eq!(validated.count() as usize, framed.commands.len());
    let both = validated.commands().zip(&framed.commands);
    Some(both.map(|(made, body)| check_command(made, body, input)).collect())
}

/// Whether `check` found a record of commands that all can be read.
pub(super) fn is_sound(checked: &Option<Vec<bool>>) -> bool {
    checked.as_ref().is_some_and(|commands| commands.iter().all(|readable| *readable))
}
