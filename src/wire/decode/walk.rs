//! The first pass: every byte of a command is looked at, nothing is kept.

use super::super::fields::{Fields, LENGTH, Malformed, VARINT, key};
use super::super::proto::Input;
use super::LAST_BINDING_FIELD;

/// Messages that a field of Command and of StockCommand, of a kind within, and of a line within that stands in.
const IN_COMMAND: u32 = 1;
const IN_KIND: u32 = 2;
const IN_LINE: u32 = 3;

/// What a command is like, beyond being well-formed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The first field in it that must be understood and is not.
    pub(super) unsupported: Option<u32>,
    /// It has more than one kind: protobuf merges them, or lets the last one win.
    pub(super) merge: bool,
    kinds: u32,
}

impl Found {
    fn kind(&mut self) {
        self.merge = self.kinds > 0;
        self.kinds += 1;
    }

    #[cold]
    fn unknown(&mut self, fields: &mut Fields<'_>, key: u32, last_known: u32, depth: u32) -> Result<(), Malformed> {
        let number = fields.skip_unknown(key, last_known, depth)?;
        if number <= LAST_BINDING_FIELD && self.unsupported.is_none() {
            self.unsupported = Some(number);
        }
        Ok(())
    }
}

/// The fields of a message that has strings and varints only: a bit for each number.
struct Shape {
    texts: u32,
    varints: u32,
    last: u32,
}

/// Numbers from 1: `t` a string, `v` a varint.
const fn shape(fields: &[u8]) -> Shape {
    let mut shape = Shape { texts: 0, varints: 0, last: fields.len() as u32 };
    let mut i = 0;
    while i < fields.len() {
        match fields[i] {
            b't' => shape.texts |= 2 << i,
            b'v' => shape.varints |= 2 << i,
            _ => panic!("t or v"),
        }
        i += 1;
    }
    shape
}

/// Confirm and Cancel: pool, order_id, attempt.
const ORDER: Shape = shape(b"ttv");
/// Extend: pool, order_id, attempt, expires_at_ms.
const EXTEND: Shape = shape(b"ttvv");
/// Receive and SetSafetyStock: sku, quantity.
const UNITS: Shape = shape(b"tv");
/// Adjust: sku, change, reason.
const ADJUST: Shape = shape(b"tvt");
/// Count: sku, counted, on_hand_seen.
const COUNT: Shape = shape(b"tvv");
/// Halt and Resume: sku.
const SCOPE: Shape = shape(b"t");
/// Ship: order_id, attempt.
const SHIP: Shape = shape(b"tv");
/// Tick: shard.
const TICK: Shape = shape(b"v");

/// Walks the body of a Command or StockCommand.
#[inline]
pub(super) fn walk_command(body: &[u8], input: Input) -> Result<Found, Malformed> {
    let mut found = Found::default();
    match input {
        Input::Stock => stock_command(Fields::new(body), &mut found)?,
        Input::Orders | Input::Unspecified => command(Fields::new(body), &mut found)?,
    }
    Ok(found)
}

#[inline]
fn command(mut fields: Fields<'_>, found: &mut Found) -> Result<(), Malformed> {
    const PLACE: u32 = key(1, LENGTH);
    const CONFIRM: u32 = key(2, LENGTH);
    const EXTENSION: u32 = key(3, LENGTH);
    const CANCEL: u32 = key(4, LENGTH);
    const REPLY_PARTITION: u32 = key(5, VARINT);
    while let Some(key) = fields.next_key()? {
        match key {
            PLACE => {
                found.kind();
                place(Fields::new(fields.bytes()?), found)?;
            }
            CONFIRM | CANCEL => flat(&mut fields, &ORDER, found)?,
            EXTENSION => flat(&mut fields, &EXTEND, found)?,
            REPLY_PARTITION => {
                fields.varint()?;
            }
            _ => found.unknown(&mut fields, key, 5, IN_COMMAND)?,
        }
    }
    Ok(())
}

#[inline]
fn place(mut fields: Fields<'_>, found: &mut Found) -> Result<(), Malformed> {
    const POOL: u32 = key(1, LENGTH);
    const ORDER_ID: u32 = key(2, LENGTH);
    const ATTEMPT: u32 = key(3, VARINT);
    const CUSTOMER: u32 = key(4, LENGTH);
    const CHANNEL: u32 = key(5, LENGTH);
    const PLACED_AT: u32 = key(6, VARINT);
    const LINES: u32 = key(7, LENGTH);
    const HOLD: u32 = key(8, VARINT);
    const ANSWER_BY: u32 = key(9, VARINT);
    while let Some(key) = fields.next_key()? {
        match key {
            POOL | ORDER_ID | CUSTOMER | CHANNEL => {
                fields.text_bytes()?;
            }
            ATTEMPT | PLACED_AT | HOLD | ANSWER_BY => {
                fields.varint()?;
            }
            LINES => line(Fields::new(fields.bytes()?), found)?,
            _ => found.unknown(&mut fields, key, 9, IN_KIND)?,
        }
    }
    Ok(())
}

#[inline]
fn line(mut fields: Fields<'_>, found: &mut Found) -> Result<(), Malformed> {
    const SKU: u32 = key(1, LENGTH);
    const QUANTITY: u32 = key(2, VARINT);
    while let Some(key) = fields.next_key()? {
        match key {
            SKU => {
                fields.text_bytes()?;
            }
            QUANTITY => {
                fields.varint()?;
            }
            _ => found.unknown(&mut fields, key, 2, IN_LINE)?,
        }
    }
    Ok(())
}

fn stock_command(mut fields: Fields<'_>, found: &mut Found) -> Result<(), Malformed> {
    while let Some(key) = fields.next_key()? {
        match (key >> 3, key & 7) {
            (1 | 2, LENGTH) => {
                fields.text_bytes()?;
            }
            (3 | 12, VARINT) => {
                fields.varint()?;
            }
            (4 | 7, LENGTH) => flat(&mut fields, &UNITS, found)?,
            (5, LENGTH) => flat(&mut fields, &ADJUST, found)?,
            (6, LENGTH) => flat(&mut fields, &COUNT, found)?,
            (8 | 9, LENGTH) => flat(&mut fields, &SCOPE, found)?,
            (10, LENGTH) => flat(&mut fields, &SHIP, found)?,
            (11, LENGTH) => flat(&mut fields, &TICK, found)?,
            _ => found.unknown(&mut fields, key, 12, IN_COMMAND)?,
        }
    }
    Ok(())
}

/// A kind without messages of its own.
fn flat(outer: &mut Fields<'_>, shape: &Shape, found: &mut Found) -> Result<(), Malformed> {
    found.kind();
    let mut fields = Fields::new(outer.bytes()?);
    while let Some(key) = fields.next_key()? {
        let number = key >> 3;
        let bit = if number <= shape.last { 1 << number } else { 0 };
        match key & 7 {
            LENGTH if shape.texts & bit != 0 => {
                fields.text_bytes()?;
            }
            VARINT if shape.varints & bit != 0 => {
                fields.varint()?;
            }
            _ => found.unknown(&mut fields, key, shape.last, IN_KIND)?,
        }
    }
    Ok(())
}
