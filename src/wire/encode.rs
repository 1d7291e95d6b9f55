//! Decisions to record bytes: written field by field to the end of a buffer, defaults left out. Nothing is allocated
//! while the buffer has room.

use super::command::Kind;
use super::decision::{Decision, DecisionLine, DecisionLines, LineResult, Original, Selling, Source, StockLevel};
use super::keys::{self, counted, decision, line_decision, original, place_key, replies, stock_level};
use super::lots::LotPart;
use super::proto::Asked;
use super::put::{self, Fields as _, Pen};
use super::selling::{Counted, Rule};
use super::text::Text;

/// Room for a decision without its texts and lines: every number with its key, the messages' keys and lengths.
const FIXED_BYTES: usize = 550 + Pen::SLACK_BYTES;
/// Room for one line without its SKU: keys, lengths and numbers at their longest.
const LINE_BYTES: usize = 96;
/// Room for a count: key, length and numbers at their longest.
const COUNTED_BYTES: usize = 3 + 11 + 11 + 6 + 2;
/// Room for a part of one lot: key, length and numbers at their longest.
const PART_BYTES: usize = 2 + 6 + 6 + 11;
/// Room for the key and the length of a rule.
const RULE_FRONT_BYTES: usize = 2 + 5;
/// What a decision without its texts and lines most often has, and a line without its SKU: a guess that saves moving.
const LIKELY_FIXED_BYTES: usize = 42;
const LIKELY_LINE_BYTES: usize = 8;

/// Appends a `Decision` message: the value of the topic with one record a decision.
pub fn decision(out: &mut Vec<u8>, decision: &Decision<'_>, source: &Source) {
    let (start, extent) = (out.len(), Extent::of(decision));
    out.resize(start + extent.room, 0);
    let end = start + write(&mut out[start..], decision, source);
    out.truncate(end);
}

/// Appends a decision to a `Replies` value; an empty buffer is one without decisions.
pub fn reply(out: &mut Vec<u8>, made: &Decision<'_>, source: &Source) {
    let (start, extent) = (out.len(), Extent::of(made));
    out.resize(start + extent.room, 0);
    let end = write_field(out, start, replies::DECISIONS_MESSAGE, extent, made, source);
    out.truncate(end);
}

/// How much a decision takes.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// Bytes that are enough to write it, as a field of another message too.
    pub(super) room: usize,
    /// Bytes that it most likely has.
    likely: usize,
}

impl Extent {
    #[inline(always)]
    pub(super) fn of(decision: &Decision<'_>) -> Extent {
        let (lines, skus) = match decision.lines {
            DecisionLines::None => (0, 0),
            DecisionLines::Asked(lines, _) => (lines.iter().len(), lines.sku_bytes()),
            DecisionLines::Held { lines, names, .. } => {
                (lines.iter().len(), lines.iter().map(|line| names.sku(line.row).len()).sum())
            }
            DecisionLines::AskedOfLots(lines, parts) => (lines.iter().len(), lines.sku_bytes() + bytes_of(parts)),
            DecisionLines::HeldOfLots { lines, names, parts, .. } => {
                let skus: usize = lines.iter().map(|line| names.sku(line.row).len()).sum();
                (lines.iter().len(), skus + bytes_of(parts))
            }
            // They are written as they stand there, or shorter.
            DecisionLines::Logged(message) => (0, message.len()),
        };
        let selling = decision.selling.as_ref().map_or(0, selling_bytes);
        let stock = decision.stock.map_or(0, |level| level.sku.len() + level.lot.map_or(0, |lot| lot.lot.len()));
        let texts = decision.pool.len() + decision.order_id.len() + decision.id.len() + skus + stock + selling;
        Extent {
            room: FIXED_BYTES + texts + lines * LINE_BYTES,
            likely: LIKELY_FIXED_BYTES + texts + lines * LIKELY_LINE_BYTES,
        }
    }
}

/// Writes a decision at `start` as a field of another message, whose key has one byte; there is room of its extent for
/// it. Tells where it ends.
#[inline(always)]
pub(super) fn write_field(
    to: &mut [u8],
    start: usize,
    key: u32,
    extent: Extent,
    decision: &Decision<'_>,
    source: &Source,
) -> usize {
    let kept = if extent.likely < 0x80 { 1 } else { 2 };
    to[start] = keys::one_byte(key);
    let start = start + 1 + kept;
    let end = start + write(&mut to[start..], decision, source);
    put::set_length(to, kept, start, end)
}

/// Writes the fields of a decision, and tells how many bytes they have.
#[inline(always)]
fn write(to: &mut [u8], decision: &Decision<'_>, source: &Source) -> usize {
    let room = to.len();
    let mut pen = Pen::new(to);
    pen.number(decision::SEQUENCE_UINT64, decision.sequence);
    pen.number(decision::ASKED_ENUM, decision.asked as u64);
    pen.text(decision::POOL_STRING, decision.pool.as_bytes());
    pen.text(decision::ORDER_ID_STRING, decision.order_id.as_bytes());
    pen.number(decision::ATTEMPT_UINT32, u64::from(decision.attempt));
    pen.text(decision::ID_STRING, decision.id.as_bytes());
    pen.number(decision::OUTCOME_ENUM, decision.outcome as u64);
    pen.number(decision::REASON_ENUM, decision.reason as u64);
    pen.number(decision::STATE_ENUM, decision.state as u64);
    pen = lines(pen, &decision.lines);
    if let Some(level) = &decision.stock {
        pen = stock(pen, level);
    }
    pen.number(decision::EXPIRES_AT_MS_INT64, decision.expires_at_ms as u64);
    pen.number(decision::DECIDED_AT_MS_INT64, decision.decided_at_ms as u64);
    if decision.content != 0 {
        pen.fixed64(decision::CONTENT_FIXED64, decision.content);
    }
    if let Some(first) = &decision.original {
        pen = original(pen, first);
    }
    pen.number(decision::FIELD_UINT32, u64::from(decision.field));
    pen.number(decision::INPUT_ENUM, source.input as u64);
    pen.number(decision::OFFSET_INT64, source.offset as u64);
    pen.number(decision::INDEX_UINT32, u64::from(source.index));
    if let Some(partition) = source.reply_partition {
        pen.any_number(decision::REPLY_PARTITION_UINT32, u64::from(partition));
    }
    pen.number(decision::RULES_LEVEL_UINT32, u64::from(decision.rules_level));
    if let Some(told) = &decision.selling {
        pen = selling(pen, told);
    }
    room - pen.left()
}

fn bytes_of(parts: &[LotPart]) -> usize {
    parts.len() * PART_BYTES
}

/// Room for what selling rules came to, its numbers apart.
#[inline(never)]
fn selling_bytes(told: &Selling<'_>) -> usize {
    let set = told.set.map_or(0, |rule| rule.bytes() + RULE_FRONT_BYTES);
    let counted = told.counted.iter().count() * COUNTED_BYTES;
    let texts = told.customer.len() + told.channel.len() + told.service.len();
    set + counted + texts + told.keys.bytes() + told.segments.bytes()
}

#[inline(never)]
fn selling<'a>(mut pen: Pen<'a>, told: &Selling<'_>) -> Pen<'a> {
    match &told.set {
        Some(rule @ Rule::Sale(_)) => pen.message(decision::SALE_MESSAGE, |fields| rule.put(fields)),
        Some(rule @ Rule::Limit(_)) => pen.message(decision::LIMIT_MESSAGE, |fields| rule.put(fields)),
        Some(Rule::Channels(_) | Rule::Freshness(_) | Rule::Delivery(_)) | None => {}
    }
    for Counted { count, period, units, share } in told.counted.iter() {
        pen.message(decision::COUNTED_MESSAGE, |fields| {
            fields.number(counted::COUNT_UINT64, count);
            fields.zigzag(counted::PERIOD_SINT64, period);
            fields.number(counted::UNITS_UINT32, u64::from(units));
            fields.number(counted::SHARE_ENUM, share as u64);
        });
    }
    pen.text(decision::CUSTOMER_STRING, told.customer.as_bytes());
    for (name, value) in told.keys.pairs() {
        pen.message(decision::KEYS_MESSAGE, |fields| {
            fields.text(place_key::NAME_STRING, name.as_bytes());
            fields.text(place_key::VALUE_STRING, value.as_bytes());
        });
    }
    told.segments.entries().for_each(|segment| pen.any_text(decision::SEGMENTS_STRING, segment));
    pen.number(decision::OPENS_AT_MS_INT64, told.opens_at_ms as u64);
    pen.number(decision::RULE_UINT64, told.rule);
    pen.number(decision::ISSUED_AT_MS_INT64, told.issued_at_ms as u64);
    // Fields stand in the order of their numbers.
    if let Some(rule @ Rule::Channels(_)) = &told.set {
        pen.message(decision::CHANNELS_MESSAGE, |fields| rule.put(fields));
    }
    pen.text(decision::CHANNEL_STRING, told.channel.as_bytes());
    if let Some(rule @ Rule::Freshness(_)) = &told.set {
        pen.message(decision::FRESHNESS_MESSAGE, |fields| rule.put(fields));
    }
    if let Some(rule @ Rule::Delivery(_)) = &told.set {
        pen.message(decision::DELIVERY_MESSAGE, |fields| rule.put(fields));
    }
    pen.text(decision::SERVICE_STRING, told.service.as_bytes());
    pen.number(decision::DAY_UINT32, u64::from(told.day));
    pen.number(decision::CUTOFF_MS_INT64, told.cutoff_ms as u64);
    pen.number(decision::HOLD_UNTIL_MS_INT64, told.hold_until_ms as u64);
    pen
}

/// Few decisions show stock or an original: out of the way of those that do not. The pen goes through by value, so that
/// it stays in registers.
#[inline(never)]
fn stock<'a>(mut pen: Pen<'a>, level: &StockLevel<'_>) -> Pen<'a> {
    pen.message(decision::STOCK_MESSAGE, |fields| {
        fields.text(stock_level::SKU_STRING, level.sku.as_bytes());
        fields.zigzag(stock_level::CHANGE_SINT64, level.change);
        fields.zigzag(stock_level::ON_HAND_SINT64, level.on_hand);
        fields.number(stock_level::RESERVED_UINT64, level.reserved);
        fields.number(stock_level::COMMITTED_UINT64, level.committed);
        fields.number(stock_level::SAFETY_STOCK_UINT64, level.safety_stock);
        fields.number(stock_level::HALTED_BOOL, u64::from(level.halted));
        fields.number(stock_level::SHORTFALL_UINT64, level.shortfall);
        if let Some(lot) = &level.lot {
            put::message_within(fields, stock_level::LOT_MESSAGE, |fields| lot.put(fields));
        }
    });
    pen
}

#[inline(never)]
fn original<'a>(mut pen: Pen<'a>, original: &Original) -> Pen<'a> {
    pen.message(decision::ORIGINAL_MESSAGE, |fields| {
        fields.number(original::SEQUENCE_UINT64, original.sequence);
        fields.number(original::OUTCOME_ENUM, original.outcome as u64);
        fields.number(original::REASON_ENUM, original.reason as u64);
    });
    pen
}

/// What a command asks, as decisions name it; unspecified for a kind that is not known or cannot be read.
pub fn asked_of(kind: &Kind<'_>) -> Asked {
    match kind {
        Kind::Place(_) => Asked::Place,
        Kind::Confirm { .. } => Asked::Confirm,
        Kind::Extend { .. } => Asked::Extend,
        Kind::Cancel { .. } => Asked::Cancel,
        Kind::Ship { .. } => Asked::Ship,
        Kind::Stock { change, .. } => change.asked(),
        Kind::Tick { .. } => Asked::Tick,
        Kind::RaiseRulesLevel { .. } => Asked::RaiseRulesLevel,
        Kind::Unknown | Kind::Malformed => Asked::Unspecified,
    }
}

#[inline(always)]
fn lines<'a>(mut pen: Pen<'a>, lines: &DecisionLines<'_>) -> Pen<'a> {
    match *lines {
        DecisionLines::None => {}
        DecisionLines::Asked(asked, &[]) => {
            for asked in asked {
                pen = allocated_line(pen, asked.sku.as_bytes(), asked.quantity);
            }
        }
        DecisionLines::Held { lines: held, names, results: &[] } => {
            for held in held {
                pen = allocated_line(pen, names.sku(held.row).as_bytes(), held.quantity);
            }
        }
        _ => {
            for each in lines.iter() {
                pen = line(pen, &each);
            }
        }
    }
    pen
}

/// A line all of which was allocated. Lengths of one byte are what nearly all have.
#[inline(always)]
fn allocated_line<'a>(mut pen: Pen<'a>, sku: &[u8], quantity: u32) -> Pen<'a> {
    const LINES: u8 = keys::one_byte(decision::LINES_MESSAGE);
    const SKU: u8 = keys::one_byte(line_decision::SKU_STRING);
    const QUANTITY: u8 = keys::one_byte(line_decision::QUANTITY_UINT32);
    const ALLOCATED: u8 = keys::one_byte(line_decision::ALLOCATED_UINT32);
    const ONE_BYTE: usize = 0x7f;
    const FIELDS_BYTES: usize = 2 + 2 + 2;
    if sku.is_empty() || sku.len() > ONE_BYTE - FIELDS_BYTES || !(1..=ONE_BYTE as u32).contains(&quantity) {
        return plain_line(pen, sku, quantity);
    }
    let length = sku.len() as u8;
    pen.bytes([LINES, length + FIELDS_BYTES as u8, SKU, length]);
    pen.raw(sku);
    pen.bytes([QUANTITY, quantity as u8, ALLOCATED, quantity as u8]);
    pen
}

#[inline(never)]
fn plain_line<'a>(pen: Pen<'a>, sku: &[u8], quantity: u32) -> Pen<'a> {
    line(pen, &DecisionLine::of(Text::seen(sku), quantity, &LineResult::allocated(quantity)))
}

#[inline(never)]
fn line<'a>(mut pen: Pen<'a>, line: &DecisionLine<'_>) -> Pen<'a> {
    pen.message(decision::LINES_MESSAGE, |fields| {
        fields.text(line_decision::SKU_STRING, line.sku.as_bytes());
        fields.number(line_decision::QUANTITY_UINT32, u64::from(line.quantity));
        fields.number(line_decision::ALLOCATED_UINT32, u64::from(line.allocated));
        if let Some(available) = line.available {
            fields.any_number(line_decision::AVAILABLE_SINT64, put::zigzagged(available));
        }
        fields.number(line_decision::REASON_ENUM, line.reason as u64);
        fields.number(line_decision::SHORTFALL_UINT64, line.shortfall);
        fields.number(line_decision::OPENS_AT_MS_INT64, line.opens_at_ms as u64);
        if let Some(left) = line.left {
            fields.any_number(line_decision::LEFT_UINT64, left);
        }
        fields.number(line_decision::RULE_UINT64, line.rule);
        for part in line.lots.iter() {
            put::message_within(fields, line_decision::LOTS_MESSAGE, |fields| part.put(fields));
        }
    });
    pen
}

#[cfg(test)]
pub(super) mod tests;
