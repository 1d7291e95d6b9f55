//! The second pass: a command that was walked before, as a view of its bytes.
//!
//! An error here means that the first pass let something through that it should not have: the caller asserts.

use super::super::command::{Command, Kind, OrderLines, StockChange};
use super::super::fields::{Fields, LENGTH, Malformed, VARINT, key, signed};

/// The body of a Command.
#[inline]
pub(super) fn command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    const PLACE: u32 = key(1, LENGTH);
    const CONFIRM: u32 = key(2, LENGTH);
    const EXTEND: u32 = key(3, LENGTH);
    const CANCEL: u32 = key(4, LENGTH);
    const REPLY_PARTITION: u32 = key(5, VARINT);
    let mut command = Command { pool: "", reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        match key {
            PLACE => place(fields.bytes()?, &mut command)?,
            CONFIRM | CANCEL | EXTEND => {
                let flat = Flat::read(fields.bytes()?)?;
                let (order_id, attempt) = (flat.text(2)?, flat.varint(3) as u32);
                command.pool = flat.text(1)?;
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

/// The body of a Place.
#[inline(always)]
fn place<'a>(body: &'a [u8], command: &mut Command<'a>) -> Result<(), Malformed> {
    const POOL: u32 = key(1, LENGTH);
    const ORDER_ID: u32 = key(2, LENGTH);
    const ATTEMPT: u32 = key(3, VARINT);
    const CUSTOMER: u32 = key(4, LENGTH);
    const CHANNEL: u32 = key(5, LENGTH);
    const PLACED_AT: u32 = key(6, VARINT);
    const LINES: u32 = key(7, LENGTH);
    const HOLD: u32 = key(8, VARINT);
    const ANSWER_BY: u32 = key(9, VARINT);
    let (mut pool, mut order_id, mut customer, mut channel) = ("", "", "", "");
    let (mut attempt, mut placed_at_ms, mut hold_ms, mut answer_by_ms) = (0, 0, 0, 0);
    let mut lines = OrderLines { body: &[], count: 0 };
    let mut fields = Fields::new(body);
    loop {
        let field = fields.rest();
        let Some(key) = fields.next_key()? else { break };
        match key {
            POOL => pool = fields.text()?,
            ORDER_ID => order_id = fields.text()?,
            ATTEMPT => attempt = fields.varint()? as u32,
            CUSTOMER => customer = fields.text()?,
            CHANNEL => channel = fields.text()?,
            PLACED_AT => placed_at_ms = fields.varint()? as i64,
            LINES => {
                if lines.count == 0 {
                    lines.body = field;
                }
                lines.count += 1;
                fields.bytes()?;
            }
            HOLD => hold_ms = fields.varint()?,
            ANSWER_BY => answer_by_ms = fields.varint()? as i64,
            _ => {
                fields.skip_unknown(key, 9, 2)?;
            }
        }
    }
    command.pool = pool;
    command.kind = Kind::Place { order_id, attempt, customer, channel, placed_at_ms, lines, hold_ms, answer_by_ms };
    Ok(())
}

/// The body of a StockCommand.
pub(super) fn stock_command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    let mut command = Command { pool: "", reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let (mut id, mut issued_at_ms, mut kind) = ("", 0, None);
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
        4 => StockChange::Receive { sku: flat.text(1)?, quantity: flat.varint(2) },
        5 => StockChange::Adjust { sku: flat.text(1)?, change: signed(flat.varint(2)), reason: flat.text(3)? },
        6 => StockChange::Count { sku: flat.text(1)?, counted: flat.varint(2), on_hand_seen: signed(flat.varint(3)) },
        7 => StockChange::SetSafetyStock { sku: flat.text(1)?, quantity: flat.varint(2) },
        8 => StockChange::Halt { sku: flat.text(1)? },
        9 => StockChange::Resume { sku: flat.text(1)? },
        10 => {
            command.kind = Kind::Ship { order_id: flat.text(1)?, attempt: flat.varint(2) as u32 };
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

    fn text(&self, number: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.texts[number]).map_err(|_| Malformed::Text)
    }

    fn varint(&self, number: usize) -> u64 {
        self.varints[number]
    }
}
