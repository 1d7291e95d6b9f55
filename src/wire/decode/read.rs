//! The second pass: a command that was walked before, as a view of its bytes.

use super::super::command::{Command, Kind, OrderLines, Place, StockChange};
use super::super::fields::{Fields, LENGTH, Malformed, VARINT, key, signed};
use super::super::proto::Input;
use super::super::text::Text;
use super::Validated;
use super::walk::{Note, PlaceNote};

/// The command that `note` was made of.
#[inline]
pub(super) fn command<'a>(note: &Note, record: &Validated<'a>, unsupported: Option<u32>) -> Command<'a> {
    match note {
        Note::Place(note) => place(note, record, unsupported),
        Note::Other(body) => other(body.bytes(record.body), record.input, unsupported),
    }
}

#[inline(never)]
fn other(body: &[u8], input: Input, unsupported: Option<u32>) -> Command<'_> {
    let command = match input {
        Input::Stock => stock_command(body),
        Input::Orders | Input::Unspecified => order_command(body),
    };
    Command { unsupported, ..command.expect("validated before: every command can be read") }
}

#[inline]
fn place<'a>(note: &PlaceNote, record: &Validated<'a>, unsupported: Option<u32>) -> Command<'a> {
    let body = record.body;
    let lines = &record.lines[note.first_line as usize..][..note.noted_lines as usize];
    let kind = Kind::Place(Place {
        order_id: note.order_id.text(body),
        attempt: note.attempt,
        customer: note.customer.text(body),
        channel: note.channel.text(body),
        placed_at_ms: note.placed_at_ms,
        lines: OrderLines { body, lines, count: note.lines },
        hold_ms: note.hold_ms,
        answer_by_ms: note.answer_by_ms,
    });
    Command { pool: note.pool.text(body), reply_partition: note.reply_partition, unsupported, kind }
}

/// The body of a Command without a Place.
fn order_command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    const CONFIRM: u32 = key(2, LENGTH);
    const EXTEND: u32 = key(3, LENGTH);
    const CANCEL: u32 = key(4, LENGTH);
    const REPLY_PARTITION: u32 = key(5, VARINT);
    let mut command = Command { pool: Text::EMPTY, reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        match key {
            CONFIRM | CANCEL | EXTEND => {
                let flat = Flat::read(fields.bytes()?)?;
                let (order_id, attempt) = (flat.text(2), flat.varint(3) as u32);
                command.pool = flat.text(1);
                command.kind = match key {
                    CONFIRM => Kind::Confirm { order_id, attempt },
                    CANCEL => Kind::Cancel { order_id, attempt },
                    _ => Kind::Extend { order_id, attempt, expires_at_ms: flat.varint(4) as i64 },
                };
            }
            REPLY_PARTITION => command.reply_partition = Some(fields.varint()? as u32),
            _ => {
                fields.skip_unknown(key, 5, 1)?;
            }
        }
    }
    Ok(command)
}

/// The body of a StockCommand.
pub(super) fn stock_command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    let mut command = Command { pool: Text::EMPTY, reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let (mut id, mut issued_at_ms, mut kind) = (Text::EMPTY, 0, None);
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        match (key >> 3, key & 7) {
            (1, LENGTH) => command.pool = fields.text()?,
            (2, LENGTH) => id = fields.text()?,
            (3, VARINT) => issued_at_ms = fields.varint()? as i64,
            (number @ 4..=11, LENGTH) => kind = Some((number, Flat::read(fields.bytes()?)?)),
            (12, VARINT) => command.reply_partition = Some(fields.varint()? as u32),
            _ => {
                fields.skip_unknown(key, 12, 1)?;
            }
        }
    }
    let Some((number, flat)) = kind else { return Ok(command) };
    let change = match number {
        4 => StockChange::Receive { sku: flat.text(1), quantity: flat.varint(2) },
        5 => StockChange::Adjust { sku: flat.text(1), change: signed(flat.varint(2)), reason: flat.text(3) },
        6 => StockChange::Count { sku: flat.text(1), counted: flat.varint(2), on_hand_seen: signed(flat.varint(3)) },
        7 => StockChange::SetSafetyStock { sku: flat.text(1), quantity: flat.varint(2) },
        8 => StockChange::Halt { sku: flat.text(1) },
        9 => StockChange::Resume { sku: flat.text(1) },
        10 => {
            command.kind = Kind::Ship { order_id: flat.text(1), attempt: flat.varint(2) as u32 };
            return Ok(command);
        }
        _ => {
            command.kind = Kind::Tick { shard: flat.varint(1) as u32 };
            return Ok(command);
        }
    };
    command.kind = Kind::Stock { id, issued_at_ms, change };
    Ok(command)
}

/// A message that has strings and varints only, by field number; the last one of a number wins.
struct Flat<'a> {
    texts: [&'a [u8]; Flat::NUMBERS],
    varints: [u64; Flat::NUMBERS],
}

impl<'a> Flat<'a> {
    /// One more than the largest number known to such a message.
    const NUMBERS: usize = 5;

    fn read(body: &'a [u8]) -> Result<Flat<'a>, Malformed> {
        let mut flat = Flat { texts: [&[]; Flat::NUMBERS], varints: [0; Flat::NUMBERS] };
        let mut fields = Fields::new(body);
        while let Some(key) = fields.next_key()? {
            let number = (key >> 3) as usize;
            match key & 7 {
                LENGTH if number < Flat::NUMBERS => flat.texts[number] = fields.bytes()?,
                VARINT if number < Flat::NUMBERS => flat.varints[number] = fields.varint()?,
                _ => {
                    fields.skip_unknown(key, 0, 2)?;
                }
            }
        }
        Ok(flat)
    }

    fn text(&self, number: usize) -> Text<'a> {
        Text::seen(self.texts[number])
    }

    fn varint(&self, number: usize) -> u64 {
        self.varints[number]
    }
}
