//! Decisions to record bytes: written field by field to the end of a buffer, defaults left out. Nothing is allocated
//! while the buffer has room.

use super::command::Kind;
use super::decision::{Decision, DecisionLine, DecisionLines, LineResult, Source};
use super::fields::{FIXED64, LENGTH, VARINT, key};
use super::proto::{Asked, Reason};
use super::put;

/// `decisions` of Replies.
const REPLIES_DECISIONS: u32 = key(1, LENGTH);

/// Appends a `Decision` message: the value of the topic with one record a decision.
pub fn decision(out: &mut Vec<u8>, decision: &Decision<'_>, source: &Source) {
    put::number(out, key(1, VARINT), decision.sequence);
    put::number(out, key(2, VARINT), decision.asked as u64);
    put::text(out, key(3, LENGTH), decision.pool.as_bytes());
    put::text(out, key(4, LENGTH), decision.order_id.as_bytes());
    put::number(out, key(5, VARINT), u64::from(decision.attempt));
    put::text(out, key(6, LENGTH), decision.id.as_bytes());
    put::number(out, key(7, VARINT), decision.outcome as u64);
    put::number(out, key(8, VARINT), decision.reason as u64);
    put::number(out, key(9, VARINT), decision.state as u64);
    lines(out, &decision.lines);
    if let Some(level) = &decision.stock {
        put::message(out, key(11, LENGTH), |out| {
            put::text(out, key(1, LENGTH), level.sku.as_bytes());
            put::zigzag(out, key(2, VARINT), level.change);
            put::zigzag(out, key(3, VARINT), level.on_hand);
            put::number(out, key(4, VARINT), level.reserved);
            put::number(out, key(5, VARINT), level.committed);
            put::number(out, key(6, VARINT), level.safety_stock);
            put::number(out, key(7, VARINT), u64::from(level.halted));
            put::number(out, key(8, VARINT), level.shortfall);
        });
    }
    put::number(out, key(12, VARINT), decision.expires_at_ms as u64);
    put::number(out, key(13, VARINT), decision.decided_at_ms as u64);
    if decision.content != 0 {
        put::varint(out, u64::from(key(14, FIXED64)));
        out.extend_from_slice(&decision.content.to_le_bytes());
    }
    if let Some(original) = &decision.original {
        put::message(out, key(15, LENGTH), |out| {
            put::number(out, key(1, VARINT), original.sequence);
            put::number(out, key(2, VARINT), original.outcome as u64);
            put::number(out, key(3, VARINT), original.reason as u64);
        });
    }
    put::number(out, key(16, VARINT), u64::from(decision.field));
    put::number(out, key(17, VARINT), source.input as u64);
    put::number(out, key(18, VARINT), source.offset as u64);
    put::number(out, key(19, VARINT), u64::from(source.index));
    if let Some(partition) = source.reply_partition {
        put::varint(out, u64::from(key(20, VARINT)));
        put::varint(out, u64::from(partition));
    }
}

/// Appends a decision to a `Replies` value; an empty buffer is one without decisions.
pub fn reply(out: &mut Vec<u8>, made: &Decision<'_>, source: &Source) {
    put::message(out, REPLIES_DECISIONS, |out| decision(out, made, source));
}

/// What a command asks, as decisions name it; unspecified for a kind that is not known.
pub fn asked_of(kind: &Kind<'_>) -> Asked {
    match kind {
        Kind::Place { .. } => Asked::Place,
        Kind::Confirm { .. } => Asked::Confirm,
        Kind::Extend { .. } => Asked::Extend,
        Kind::Cancel { .. } => Asked::Cancel,
        Kind::Ship { .. } => Asked::Ship,
        Kind::Stock { change, .. } => change.asked(),
        Kind::Tick { .. } => Asked::Tick,
        Kind::Unknown => Asked::Unspecified,
    }
}

fn lines(out: &mut Vec<u8>, lines: &DecisionLines<'_>) {
    match *lines {
        DecisionLines::None => {}
        DecisionLines::Asked(asked, results) => {
            let mut results = results.iter();
            for asked in asked.raw() {
                line(out, asked.sku, asked.quantity, &result_or_all(results.next(), asked.quantity));
            }
        }
        DecisionLines::Held { lines: held, names, results } => {
            let mut results = results.iter();
            for held in held {
                let result = result_or_all(results.next(), held.quantity);
                line(out, names.sku(held.row).as_bytes(), held.quantity, &result);
            }
        }
        DecisionLines::Logged(_) => {
            for DecisionLine { sku, quantity, allocated, available, reason, shortfall } in lines.iter() {
                line(out, sku.as_bytes(), quantity, &LineResult { allocated, available, reason, shortfall });
            }
        }
    }
}

/// The result of a line; without one, all of it was allocated.
#[inline]
pub(super) fn result_or_all(result: Option<&LineResult>, quantity: u32) -> LineResult {
    result.copied().unwrap_or(LineResult {
        allocated: quantity,
        available: None,
        reason: Reason::Unspecified,
        shortfall: 0,
    })
}

#[inline]
fn line(out: &mut Vec<u8>, sku: &[u8], quantity: u32, result: &LineResult) {
    put::message(out, key(10, LENGTH), |out| {
        put::text(out, key(1, LENGTH), sku);
        put::number(out, key(2, VARINT), u64::from(quantity));
        put::number(out, key(3, VARINT), u64::from(result.allocated));
        if let Some(available) = result.available {
            put::varint(out, u64::from(key(4, VARINT)));
            put::varint(out, put::zigzagged(available));
        }
        put::number(out, key(5, VARINT), result.reason as u64);
        put::number(out, key(6, VARINT), result.shortfall);
    });
}

#[cfg(test)]
pub(super) mod tests;
