//! What an input record asks, worked out apart from the engine: generated types, and a scan for unknown fields.

use prost::Message;
use sluice::wire::proto::{self, Asked, Decision, Input, command, stock_command};

use super::model::Model;

/// One command of a record.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Of `orders`.
    Order(proto::Command),
    /// Of `stock`.
    Stock(proto::StockCommand),
    /// Of either, and not to be read. Who waits for its answer may be known all the same.
    Malformed { reply_partition: Option<u32> },
}

/// A command, and the first field number from 1 to 99 in it that the contract does not name.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) command: Command,
    pub(crate) unknown_field: Option<u32>,
}

/// The commands of a record's value; none if they cannot be told apart (its record is a dead letter).
pub(crate) fn questions(input: Input, value: Option<&[u8]>) -> Option<Vec<Question>> {
    let body = unframed(value.filter(|value| !value.is_empty() && value.len() <= MAX_RECORD_BYTES)?)?;
    let mut questions = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let field = next_field(&mut rest)?;
        match (field.number, field.content) {
            (1, Some(bytes)) => questions.push(question(input, bytes)),
            (1, None) => return None,
            (2..=99, _) => return None,
            _ => {}
        }
    }
    (1..=MAX_COMMANDS).contains(&questions.len()).then_some(questions)
}

/// Limits of the contract on one record: value bytes, commands.
const MAX_RECORD_BYTES: usize = 1 << 20;
const MAX_COMMANDS: usize = 1_000;

fn question(input: Input, bytes: &[u8]) -> Question {
    let (command, schema) = if input == Input::Stock {
        (proto::StockCommand::decode(bytes).ok().map(Command::Stock), STOCK_COMMAND)
    } else {
        (proto::Command::decode(bytes).ok().map(Command::Order), COMMAND)
    };
    match (command, first_unknown(bytes, schema)) {
        (Some(command), Some(unknown_field)) => Question { command, unknown_field },
        _ => {
            let command = Command::Malformed { reply_partition: reply_partition(input, bytes) };
            Question { command, unknown_field: None }
        }
    }
}

/// The partition that a command names whose own fields all can be read, whatever is wrong within its kind.
fn reply_partition(input: Input, bytes: &[u8]) -> Option<u32> {
    let (texts, numbers, reply_partition, last): (&[u32], &[u32], u32, u32) =
        if input == Input::Stock { (&[1, 2], &[3, 12], 12, 18) } else { (&[], &[5], 5, 5) };
    let mut found = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let field = next_field(&mut rest)?;
        let is_number = numbers.contains(&field.number);
        match (field.content, field.varint) {
            _ if field.number > last => {}
            (_, Some(value)) if field.number == reply_partition => found = Some(value as u32),
            (_, Some(_)) if is_number => {}
            (Some(text), _) if texts.contains(&field.number) => _ = std::str::from_utf8(text).ok()?,
            (Some(_), _) if !is_number => {}
            _ => return None,
        }
    }
    found
}

impl Question {
    /// What the model says to it; which record it came from stays unset.
    pub(crate) fn put_to(&self, model: &mut Model, engine_time_ms: i64) -> Decision {
        let decision = match (&self.command, self.unknown_field) {
            (command, Some(field)) => {
                let (asked, pool, order_id, attempt, id) = command.subject();
                model.unsupported(asked, pool, order_id, attempt, id, field)
            }
            (Command::Order(command), None) => model.apply(command, engine_time_ms),
            (Command::Stock(command), None) => model.apply_stock(command),
            (Command::Malformed { .. }, None) => model.malformed(),
        };
        Decision { reply_partition: self.command.reply_partition(), ..decision }
    }
}

impl Command {
    pub(crate) fn reply_partition(&self) -> Option<u32> {
        match self {
            Command::Order(command) => command.reply_partition,
            Command::Stock(command) => command.reply_partition,
            Command::Malformed { reply_partition } => *reply_partition,
        }
    }

    /// What is asked, of which pool, order and attempt, under which id. Unspecified if it has no known kind, and
    /// then of a pool at the most; of nothing if it cannot be read.
    pub(crate) fn subject(&self) -> (Asked, &str, &str, u32, &str) {
        match self {
            Command::Order(command) => match &command.kind {
                Some(command::Kind::Place(c)) => (Asked::Place, &c.pool, &c.order_id, c.attempt, ""),
                Some(command::Kind::Confirm(c)) => (Asked::Confirm, &c.pool, &c.order_id, c.attempt, ""),
                Some(command::Kind::Extend(c)) => (Asked::Extend, &c.pool, &c.order_id, c.attempt, ""),
                Some(command::Kind::Cancel(c)) => (Asked::Cancel, &c.pool, &c.order_id, c.attempt, ""),
                None => (Asked::Unspecified, "", "", 0, ""),
            },
            Command::Stock(command) => {
                let asked = match &command.kind {
                    Some(stock_command::Kind::Receive(_)) => Asked::Receive,
                    Some(stock_command::Kind::Adjust(_)) => Asked::Adjust,
                    Some(stock_command::Kind::Count(_)) => Asked::Count,
                    Some(stock_command::Kind::SetSafetyStock(_)) => Asked::SetSafetyStock,
                    Some(stock_command::Kind::Halt(_)) => Asked::Halt,
                    Some(stock_command::Kind::Resume(_)) => Asked::Resume,
                    Some(stock_command::Kind::SetSale(_)) => Asked::SetSale,
                    Some(stock_command::Kind::SetLimit(_)) => Asked::SetLimit,
                    Some(stock_command::Kind::SetChannels(_)) => Asked::SetChannels,
                    Some(stock_command::Kind::SetFreshness(_)) => Asked::SetFreshness,
                    Some(stock_command::Kind::SetDelivery(_)) => Asked::SetDelivery,
                    Some(stock_command::Kind::Ship(ship)) => {
                        return (Asked::Ship, &command.pool, &ship.order_id, ship.attempt, "");
                    }
                    Some(stock_command::Kind::Tick(_)) => return (Asked::Tick, "", "", 0, ""),
                    Some(stock_command::Kind::RaiseRulesLevel(_)) => return (Asked::RaiseRulesLevel, "", "", 0, ""),
                    None => return (Asked::Unspecified, &command.pool, "", 0, ""),
                };
                (asked, &command.pool, "", 0, &command.id)
            }
            Command::Malformed { .. } => (Asked::Unspecified, "", "", 0, ""),
        }
    }
}

/// The value without schema-registry framing: 00 and 4 bytes, or 01 and 16, then a list of zigzag varints.
fn unframed(value: &[u8]) -> Option<&[u8]> {
    let mut rest = match value[0] {
        0 => value.get(5..)?,
        1 => value.get(17..)?,
        _ => return Some(value),
    };
    let mut index = || varint(&mut rest).filter(|zigzag| zigzag % 2 == 0 && *zigzag <= u64::from(u32::MAX));
    for _ in 0..index()? / 2 {
        index()?;
    }
    Some(rest)
}

/// A message of the contract: its field numbers, each with the message it holds, if any.
type Schema = &'static [(u32, Option<&'static Fields>)];
struct Fields(Schema);

const COMMAND: Schema =
    &[(1, Some(&Fields(PLACE))), (2, OF_AN_ORDER), (3, Some(&Fields(EXTEND))), (4, OF_AN_ORDER), (5, None)];
const PLACE: Schema = &[
    (1, None),
    (2, None),
    (3, None),
    (4, None),
    (5, None),
    (6, None),
    (7, PAIR),
    (8, None),
    (9, None),
    (10, None),
    (11, PAIR),
    (12, None),
    (13, None),
    (14, None),
];
const EXTEND: Schema = FIVE;
/// Messages with fields of their own alone, as many as it says.
const FIVE: Schema = &[(1, None), (2, None), (3, None), (4, None), (5, None)];
const STOCK_COMMAND: Schema = &[
    (1, None),
    (2, None),
    (3, None),
    (4, FOUR),
    (5, Some(&Fields(FIVE))),
    (6, Some(&Fields(FIVE))),
    (7, PAIR),
    (8, PAIR),
    (9, PAIR),
    (10, SHIP),
    (11, SINGLE),
    (12, None),
    (13, PAIR),
    (14, SET_SALE),
    (15, SET_LIMIT),
    (16, SET_CHANNELS),
    (17, PAIR),
    (18, SET_DELIVERY),
];
const SET_SALE: Option<&Fields> = Some(&Fields(&[(1, None), (2, None), (3, None), (4, PAIR), (5, None)]));
const SET_LIMIT: Option<&Fields> =
    Some(&Fields(&[(1, None), (2, None), (3, None), (4, None), (5, None), (6, None), (7, None), (8, None)]));
const SET_CHANNELS: Option<&Fields> = Some(&Fields(&[(1, None), (2, TRIPLE), (3, None)]));
const SET_DELIVERY: Option<&Fields> = Some(&Fields(&[(1, DELIVERY_SERVICE)]));
const DELIVERY_SERVICE: Option<&Fields> = Some(&Fields(&[
    (1, None),
    (2, None),
    (3, PAIR),
    (4, None),
    (5, SINGLE),
    (6, None),
    (7, None),
    (8, None),
    (9, None),
]));
const SHIP: Option<&Fields> = Some(&Fields(&[(1, None), (2, None), (3, TRIPLE)]));
/// Confirm and Cancel.
const OF_AN_ORDER: Option<&Fields> = FOUR;
const FOUR: Option<&Fields> = Some(&Fields(&[(1, None), (2, None), (3, None), (4, None)]));
/// Messages with the fields 1; 1 and 2; 1, 2 and 3.
const SINGLE: Option<&Fields> = Some(&Fields(&[(1, None)]));
const PAIR: Option<&Fields> = Some(&Fields(&[(1, None), (2, None)]));
const TRIPLE: Option<&Fields> = Some(&Fields(&[(1, None), (2, None), (3, None)]));

/// None outside if the bytes are no message.
#[allow(clippy::option_option, reason = "unreadable, nothing unknown, and unknown are three answers")]
fn first_unknown(bytes: &[u8], schema: Schema) -> Option<Option<u32>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let field = next_field(&mut rest)?;
        match schema.iter().find(|(number, _)| *number == field.number) {
            None if field.number <= 99 => return Some(Some(field.number)),
            Some((_, Some(nested))) => {
                let unknown = first_unknown(field.content?, nested.0)?;
                if unknown.is_some() {
                    return Some(unknown);
                }
            }
            _ => {}
        }
    }
    Some(None)
}

struct Field<'a> {
    number: u32,
    /// Of a length-delimited field.
    content: Option<&'a [u8]>,
    /// Of a number.
    varint: Option<u64>,
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let (mut content, mut number_in_it) = (None, None);
    match tag & 7 {
        0 => number_in_it = Some(varint(rest)?),
        1 => *rest = rest.get(8..)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            content = Some(rest.get(..length)?);
            *rest = &rest[length..];
        }
        3 => {
            while varint(&mut { *rest })? != u64::from(number) << 3 | 4 {
                next_field(rest)?;
            }
            varint(rest)?;
        }
        5 => *rest = rest.get(4..)?,
        _ => return None,
    }
    Some(Field { number, content, varint: number_in_it })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(order_id: &str) -> proto::Command {
        let place = proto::Place { pool: "north".into(), order_id: order_id.into(), ..Default::default() };
        proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None }
    }

    #[test]
    fn concatenated_values_hold_the_commands_of_both() {
        let one = proto::Commands { commands: vec![place("a")] }.encode_to_vec();
        let two = proto::Commands { commands: vec![place("b"), place("c")] }.encode_to_vec();
        let all = questions(Input::Orders, Some(&[one, two].concat())).unwrap();
        let ids: Vec<_> = all.iter().map(|q| q.command.subject().2.to_owned()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[test]
    fn unknown_fields_are_found_at_any_depth_below_100_only() {
        let unknown = |inner: &[u8]| {
            let mut body = place("a").encode_to_vec();
            body.extend_from_slice(inner);
            first_unknown(&body, COMMAND).unwrap()
        };
        assert_eq!(unknown(&[]), None);
        assert_eq!(unknown(&[0x48, 1]), Some(9));
        assert_eq!(unknown(&[0xa0, 0x06, 1]), None, "field 100");
        assert_eq!(unknown(&[0x0a, 2, 0x78, 1]), Some(15), "in a second part of the Place");
        assert_eq!(unknown(&[0x0a, 4, 0x3a, 2, 0x18, 1]), Some(3), "in a line");
        assert_eq!(unknown(&[0x4b, 0x08, 1, 0x4c]), Some(9), "a group");
    }

    #[test]
    fn a_command_that_cannot_be_read_still_may_name_its_asker() {
        let asker = |command: &[u8]| {
            let mut value = vec![0x0a, u8::try_from(command.len()).unwrap()];
            value.extend_from_slice(command);
            let all = questions(Input::Orders, Some(&value)).unwrap();
            assert!(matches!(all[0].command, Command::Malformed { .. }), "{command:02x?}");
            all[0].command.reply_partition()
        };
        assert_eq!(asker(b"\x28\x01\x0a\x03\x0a\x01\xff\x28\x02"), Some(2), "a Place with a pool that is no UTF-8");
        assert_eq!(asker(b"\x28\x02\x08\x01"), None, "a kind that is a number");
        assert_eq!(asker(b"\x28\x02\x0a\x05"), None, "a kind that is cut short");
    }

    #[test]
    fn what_cannot_be_read_is_no_question() {
        for value in [None, Some(&b""[..]), Some(b"\x0a\x05ab"), Some(b"\x00\x00\x00"), Some(b"\x08\x01")] {
            assert!(questions(Input::Orders, value).is_none(), "{value:?}");
        }
    }
}
