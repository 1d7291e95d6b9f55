//! Decisions read from the log or from `replies`, borrowed from the record's bytes.
//!
//! Unknown fields are passed over, as the contract's additive changes need. An enum value that is not known is an error:
//! whoever replays the log must not guess.

use super::decision::{Decision, DecisionLine, DecisionLines, Original, Source, StockLevel};
use super::fields::{FIXED64, Fields, LENGTH, Malformed, VARINT, key, signed};
use super::proto::{Asked, Input, OrderState, Outcome, Reason};
use super::text::Text;

/// `lines` of a Decision.
const LINES: u32 = key(10, LENGTH);

/// Last number known in Decision, LineDecision, StockLevel and Original.
const LAST_OF_DECISION: u32 = 20;
const LAST_OF_LINE: u32 = 6;
const LAST_OF_LEVEL: u32 = 8;
const LAST_OF_ORIGINAL: u32 = 3;

/// Reads a `Decision` message and checks all of it, its lines included.
///
/// ```
/// use sluice::wire::{proto, view};
/// use prost::Message;
///
/// let value = proto::Decision { sequence: 7, pool: "north".into(), ..Default::default() }.encode_to_vec();
/// let (decision, _source) = view::decision(&value).expect("a decision");
/// assert_eq!((decision.sequence, decision.pool.as_str()), (7, "north"));
/// ```
pub fn decision(message: &[u8]) -> Result<(Decision<'_>, Source), Malformed> {
    let mut decision = Decision {
        sequence: 0,
        asked: Asked::Unspecified,
        pool: Text::EMPTY,
        order_id: Text::EMPTY,
        attempt: 0,
        id: Text::EMPTY,
        outcome: Outcome::Unspecified,
        reason: Reason::Unspecified,
        state: OrderState::Unspecified,
        lines: DecisionLines::None,
        stock: None,
        expires_at_ms: 0,
        decided_at_ms: 0,
        content: 0,
        original: None,
        field: 0,
    };
    let mut source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
    let mut fields = Fields::new(message);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match (key >> 3, key & 7) {
            (1, VARINT) => decision.sequence = number,
            (2, VARINT) => decision.asked = enumeration(number)?,
            (3, LENGTH) => decision.pool = fields.take_text(number)?,
            (4, LENGTH) => decision.order_id = fields.take_text(number)?,
            (5, VARINT) => decision.attempt = number as u32,
            (6, LENGTH) => decision.id = fields.take_text(number)?,
            (7, VARINT) => decision.outcome = enumeration(number)?,
            (8, VARINT) => decision.reason = enumeration(number)?,
            (9, VARINT) => decision.state = enumeration(number)?,
            (10, LENGTH) => {
                line(fields.take(number)?)?;
                if matches!(decision.lines, DecisionLines::None) {
                    decision.lines = DecisionLines::Logged(field.rest());
                }
            }
            (11, LENGTH) => once(&mut decision.stock, stock_level(fields.take(number)?)?)?,
            (12, VARINT) => decision.expires_at_ms = number as i64,
            (13, VARINT) => decision.decided_at_ms = number as i64,
            (14, FIXED64) => decision.content = fields.fixed64()?,
            (15, LENGTH) => once(&mut decision.original, original(fields.take(number)?)?)?,
            (16, VARINT) => decision.field = number as u32,
            (17, VARINT) => source.input = enumeration(number)?,
            (18, VARINT) => source.offset = number as i64,
            (19, VARINT) => source.index = number as u32,
            (20, VARINT) => source.reply_partition = Some(number as u32),
            _ => fields = pass_unknown(field, LAST_OF_DECISION, 1)?,
        }
    }
    Ok((decision, source))
}

/// Passes over the field that comes next in `fields`, which is none of those numbered from 1 to `last_known`.
#[cold]
fn pass_unknown(mut fields: Fields<'_>, last_known: u32, depth: u32) -> Result<Fields<'_>, Malformed> {
    let key = fields.next_key()?.ok_or(Malformed::Truncated)?;
    fields.skip_unknown(key, last_known, depth)?;
    Ok(fields)
}

/// The decisions of a `Replies` value, in order of sequence.
pub fn replies(value: &[u8]) -> impl Iterator<Item = Result<(Decision<'_>, Source), Malformed>> {
    const DECISIONS: u32 = key(1, LENGTH);
    let mut fields = Fields::new(value);
    let mut next = move || -> Result<Option<(Decision<'_>, Source)>, Malformed> {
        while let Some(key) = fields.next_key()? {
            if key == DECISIONS {
                return decision(fields.bytes()?).map(Some);
            }
            fields.skip_unknown(key, 1, 0)?;
        }
        Ok(None)
    };
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let item = next().transpose();
        failed = matches!(item, Some(Err(_)));
        item
    })
}

/// The lines of a Decision message, or of the part of one from its first line on.
#[derive(Clone, Debug)]
pub(super) struct LoggedLines<'a> {
    fields: Fields<'a>,
}

impl<'a> LoggedLines<'a> {
    pub(super) fn new(message: &'a [u8]) -> LoggedLines<'a> {
        LoggedLines { fields: Fields::new(message) }
    }
}

impl<'a> Iterator for LoggedLines<'a> {
    type Item = DecisionLine<'a>;

    /// Ends at what can't be read; bytes that [`decision`] accepted all can.
    fn next(&mut self) -> Option<DecisionLine<'a>> {
        while let Ok(Some(key)) = self.fields.next_key() {
            if key == LINES {
                return line(self.fields.bytes().ok()?).ok();
            }
            self.fields.pass(key).ok()?;
        }
        None
    }
}

fn line(message: &[u8]) -> Result<DecisionLine<'_>, Malformed> {
    const SKU: u8 = key(1, LENGTH) as u8;
    const QUANTITY: u8 = key(2, VARINT) as u8;
    const ALLOCATED: u8 = key(3, VARINT) as u8;
    let mut line = DecisionLine {
        sku: Text::EMPTY,
        quantity: 0,
        allocated: 0,
        available: None,
        reason: Reason::Unspecified,
        shortfall: 0,
    };
    // As nearly all are: a short SKU, a small quantity, what was allocated, nothing else.
    if let [SKU, length, .., QUANTITY, quantity @ ..0x80, ALLOCATED, allocated @ ..0x80] = *message
        && usize::from(length) == message.len() - 6
        && length < 0x80
    {
        line.sku = Text::new(&message[2..message.len() - 4]).ok_or(Malformed::Text)?;
        (line.quantity, line.allocated) = (quantity.into(), allocated.into());
        return Ok(line);
    }
    let mut fields = Fields::new(message);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match (key >> 3, key & 7) {
            (1, LENGTH) => line.sku = fields.take_text(number)?,
            (2, VARINT) => line.quantity = number as u32,
            (3, VARINT) => line.allocated = number as u32,
            (4, VARINT) => line.available = Some(signed(number)),
            (5, VARINT) => line.reason = enumeration(number)?,
            (6, VARINT) => line.shortfall = number,
            _ => fields = pass_unknown(field, LAST_OF_LINE, 2)?,
        }
    }
    Ok(line)
}

fn stock_level(message: &[u8]) -> Result<StockLevel<'_>, Malformed> {
    let mut level = StockLevel {
        sku: Text::EMPTY,
        change: 0,
        on_hand: 0,
        reserved: 0,
        committed: 0,
        safety_stock: 0,
        halted: false,
        shortfall: 0,
    };
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next_key()? {
        match (key >> 3, key & 7) {
            (1, LENGTH) => level.sku = fields.text()?,
            (2, VARINT) => level.change = signed(fields.varint()?),
            (3, VARINT) => level.on_hand = signed(fields.varint()?),
            (4, VARINT) => level.reserved = fields.varint()?,
            (5, VARINT) => level.committed = fields.varint()?,
            (6, VARINT) => level.safety_stock = fields.varint()?,
            (7, VARINT) => level.halted = fields.varint()? != 0,
            (8, VARINT) => level.shortfall = fields.varint()?,
            _ => {
                fields.skip_unknown(key, LAST_OF_LEVEL, 2)?;
            }
        }
    }
    Ok(level)
}

fn original(message: &[u8]) -> Result<Original, Malformed> {
    let mut original = Original { sequence: 0, outcome: Outcome::Unspecified, reason: Reason::Unspecified };
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next_key()? {
        match (key >> 3, key & 7) {
            (1, VARINT) => original.sequence = fields.varint()?,
            (2, VARINT) => original.outcome = enumeration(fields.varint()?)?,
            (3, VARINT) => original.reason = enumeration(fields.varint()?)?,
            _ => {
                fields.skip_unknown(key, LAST_OF_ORIGINAL, 2)?;
            }
        }
    }
    Ok(original)
}

#[inline]
fn enumeration<E: TryFrom<i32>>(number: u64) -> Result<E, Malformed> {
    E::try_from(number as i32).map_err(|_| Malformed::Enum)
}

/// Sets what may be set once. Protobuf would merge; the engine never writes it.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::Repeated),
    }
}
