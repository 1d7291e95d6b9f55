//! The second pass: a command that was walked before, as a view of its bytes.

use super::super::command::{Command, Kind, OrderLines, Place, StockChange};
use super::super::fields::{Fields, LENGTH, Malformed, VARINT, signed};
use super::super::keys::{
    self, adjust, cancel, command, confirm, count, extend, raise_rules_level, receive, ship, stock_command,
};
use super::super::lots::{Freshness, NamedLot, ShippedLots};
use super::super::proto::Input;
use super::super::selling::{Channels, Delivery, Limit, Sale, Vouched};
use super::super::text::Text;
use super::Validated;
use super::walk::{Note, PlaceNote};

/// The command that `note` was made of.
#[inline]
pub(super) fn command<'a>(note: &Note, record: &Validated<'a>, unsupported: Option<u32>) -> Command<'a> {
    match note {
        Note::Place(note) => place(note, record, unsupported),
        Note::Other(body) => other(body.bytes(record.body), record.input, unsupported),
        Note::Malformed { reply_partition } => {
            let (pool, reply_partition, kind) = (Text::EMPTY, *reply_partition, Kind::Malformed);
            Command { pool, reply_partition, unsupported, kind }
        }
    }
}

#[inline(never)]
fn other(body: &[u8], input: Input, unsupported: Option<u32>) -> Command<'_> {
    let command = match input {
        Input::Stock => stock_command(body),
        Input::Orders | Input::Unspecified => order_command(body),
    };
    Command { unsupported, ..command.expect("validated before: it can be read") }
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
        vouched: Vouched::of(note.vouched.bytes(body)),
    });
    Command { pool: note.pool.text(body), reply_partition: note.reply_partition, unsupported, kind }
}

/// The body of a Command without a Place.
fn order_command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    let mut made = Command { pool: Text::EMPTY, reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        match key {
            command::CONFIRM_MESSAGE => {
                let flat = Flat::read(fields.bytes()?)?;
                made.pool = flat.text(confirm::POOL_STRING);
                made.kind = Kind::Confirm {
                    order_id: flat.text(confirm::ORDER_ID_STRING),
                    attempt: flat.varint(confirm::ATTEMPT_UINT32) as u32,
                    placed_at_ms: flat.varint(confirm::PLACED_AT_MS_INT64) as i64,
                };
            }
            command::EXTEND_MESSAGE => {
                let flat = Flat::read(fields.bytes()?)?;
                made.pool = flat.text(extend::POOL_STRING);
                made.kind = Kind::Extend {
                    order_id: flat.text(extend::ORDER_ID_STRING),
                    attempt: flat.varint(extend::ATTEMPT_UINT32) as u32,
                    expires_at_ms: flat.varint(extend::EXPIRES_AT_MS_INT64) as i64,
                    placed_at_ms: flat.varint(extend::PLACED_AT_MS_INT64) as i64,
                };
            }
            command::CANCEL_MESSAGE => {
                let flat = Flat::read(fields.bytes()?)?;
                made.pool = flat.text(cancel::POOL_STRING);
                made.kind = Kind::Cancel {
                    order_id: flat.text(cancel::ORDER_ID_STRING),
                    attempt: flat.varint(cancel::ATTEMPT_UINT32) as u32,
                    placed_at_ms: flat.varint(cancel::PLACED_AT_MS_INT64) as i64,
                };
            }
            command::REPLY_PARTITION_UINT32 => made.reply_partition = Some(fields.varint()? as u32),
            _ => {
                fields.skip_unknown(key, command::LAST, 1)?;
            }
        }
    }
    Ok(made)
}

/// The body of a StockCommand.
pub(super) fn stock_command(body: &[u8]) -> Result<Command<'_>, Malformed> {
    let mut made = Command { pool: Text::EMPTY, reply_partition: None, unsupported: None, kind: Kind::Unknown };
    let (mut id, mut issued_at_ms, mut kind, mut rule) = (Text::EMPTY, 0, None, None);
    let mut lots = ShippedLots::default();
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        match key {
            stock_command::POOL_STRING => made.pool = fields.text()?,
            stock_command::ID_STRING => id = fields.text()?,
            stock_command::ISSUED_AT_MS_INT64 => issued_at_ms = fields.varint()? as i64,
            stock_command::RECEIVE_MESSAGE
            | stock_command::ADJUST_MESSAGE
            | stock_command::COUNT_MESSAGE
            | stock_command::SET_SAFETY_STOCK_MESSAGE
            | stock_command::HALT_MESSAGE
            | stock_command::RESUME_MESSAGE
            | stock_command::TICK_MESSAGE
            | stock_command::RAISE_RULES_LEVEL_MESSAGE => kind = Some((key, Flat::read(fields.bytes()?)?)),
            stock_command::SHIP_MESSAGE => {
                let body = fields.bytes()?;
                let flat = Flat::read(body)?;
                // Few name lots: those that do not are not walked again.
                if flat.has(ship::LOTS_MESSAGE) {
                    lots = ShippedLots::of(body);
                }
                kind = Some((key, flat));
            }
            stock_command::SET_SALE_MESSAGE => rule = Some(StockChange::SetSale(Sale::read(fields.bytes()?)?)),
            stock_command::SET_LIMIT_MESSAGE => rule = Some(StockChange::SetLimit(Limit::read(fields.bytes()?)?)),
            stock_command::SET_CHANNELS_MESSAGE => {
                rule = Some(StockChange::SetChannels(Channels::read(fields.bytes()?)?));
            }
            stock_command::SET_FRESHNESS_MESSAGE => {
                rule = Some(StockChange::SetFreshness(Freshness::read(fields.bytes()?)?));
            }
            stock_command::SET_DELIVERY_MESSAGE => {
                rule = Some(StockChange::SetDelivery(Delivery::read(fields.bytes()?)));
            }
            stock_command::REPLY_PARTITION_UINT32 => made.reply_partition = Some(fields.varint()? as u32),
            _ => {
                fields.skip_unknown(key, stock_command::LAST, 1)?;
            }
        }
    }
    if let Some(change) = rule {
        made.kind = Kind::Stock { id, issued_at_ms, change };
    }
    let Some((kind, flat)) = kind else { return Ok(made) };
    let change = match kind {
        stock_command::RECEIVE_MESSAGE => StockChange::Receive {
            sku: flat.text(receive::SKU_STRING),
            quantity: flat.varint(receive::QUANTITY_UINT64),
            lot: flat.lot(receive::LOT_STRING, receive::EXPIRY_UINT32),
        },
        stock_command::ADJUST_MESSAGE => StockChange::Adjust {
            sku: flat.text(adjust::SKU_STRING),
            change: signed(flat.varint(adjust::CHANGE_SINT64)),
            reason: flat.text(adjust::REASON_STRING),
            lot: flat.lot(adjust::LOT_STRING, adjust::EXPIRY_UINT32),
        },
        stock_command::COUNT_MESSAGE => StockChange::Count {
            sku: flat.text(count::SKU_STRING),
            counted: flat.varint(count::COUNTED_UINT64),
            on_hand_seen: signed(flat.varint(count::ON_HAND_SEEN_SINT64)),
            lot: flat.lot(count::LOT_STRING, count::EXPIRY_UINT32),
        },
        stock_command::SET_SAFETY_STOCK_MESSAGE => StockChange::SetSafetyStock {
            sku: flat.text(keys::set_safety_stock::SKU_STRING),
            quantity: flat.varint(keys::set_safety_stock::QUANTITY_UINT64),
        },
        stock_command::HALT_MESSAGE => {
            StockChange::Halt { sku: flat.text(keys::halt::SKU_STRING), lot: flat.text(keys::halt::LOT_STRING) }
        }
        stock_command::RESUME_MESSAGE => {
            StockChange::Resume { sku: flat.text(keys::resume::SKU_STRING), lot: flat.text(keys::resume::LOT_STRING) }
        }
        stock_command::SHIP_MESSAGE => {
            made.kind = Kind::Ship {
                order_id: flat.text(ship::ORDER_ID_STRING),
                attempt: flat.varint(ship::ATTEMPT_UINT32) as u32,
                lots,
            };
            return Ok(made);
        }
        stock_command::TICK_MESSAGE => {
            made.kind = Kind::Tick { shard: flat.varint(keys::tick::SHARD_UINT32) as u32 };
            return Ok(made);
        }
        _ => {
            made.kind = Kind::RaiseRulesLevel {
                shard: flat.varint(raise_rules_level::SHARD_UINT32) as u32,
                level: flat.varint(raise_rules_level::LEVEL_UINT32) as u32,
            };
            return Ok(made);
        }
    };
    made.kind = Kind::Stock { id, issued_at_ms, change };
    Ok(made)
}

const fn largest(numbers: &[u32]) -> u32 {
    match numbers {
        [] => 0,
        [first, rest @ ..] => {
            let most = largest(rest);
            if *first > most { *first } else { most }
        }
    }
}

/// A message that has strings and varints only, by field number; the last one of a number wins.
struct Flat<'a> {
    texts: [&'a [u8]; Flat::NUMBERS],
    varints: [u64; Flat::NUMBERS],
    /// A bit for each number that has bytes.
    seen: u32,
}

impl<'a> Flat<'a> {
    /// One more than the largest number of the messages that are read by it.
    const NUMBERS: usize = 1 + largest(&[
        confirm::LAST,
        extend::LAST,
        cancel::LAST,
        receive::LAST,
        adjust::LAST,
        count::LAST,
        keys::set_safety_stock::LAST,
        keys::halt::LAST,
        keys::resume::LAST,
        ship::LAST,
        keys::tick::LAST,
        raise_rules_level::LAST,
    ]) as usize;

    fn read(body: &'a [u8]) -> Result<Flat<'a>, Malformed> {
        let mut flat = Flat { texts: [&[]; Flat::NUMBERS], varints: [0; Flat::NUMBERS], seen: 0 };
        let mut fields = Fields::new(body);
        while let Some(key) = fields.next_key()? {
            let number = (key >> 3) as usize;
            match key & 7 {
                LENGTH if number < Flat::NUMBERS => {
                    flat.texts[number] = fields.bytes()?;
                    flat.seen |= 1 << number;
                }
                VARINT if number < Flat::NUMBERS => flat.varints[number] = fields.varint()?,
                _ => {
                    fields.skip_unknown(key, 0, 2)?;
                }
            }
        }
        Ok(flat)
    }

    /// The string with this key.
    fn text(&self, key: u32) -> Text<'a> {
        Text::seen(self.texts[(key >> 3) as usize])
    }

    /// Whether there are bytes with this key.
    fn has(&self, key: u32) -> bool {
        self.seen >> (key >> 3) & 1 == 1
    }

    /// The lot that these two keys name.
    fn lot(&self, lot: u32, expiry: u32) -> NamedLot<'a> {
        NamedLot { lot: self.text(lot), expiry: self.varint(expiry) as u32 }
    }

    /// The varint with this key.
    fn varint(&self, key: u32) -> u64 {
        self.varints[(key >> 3) as usize]
    }
}
