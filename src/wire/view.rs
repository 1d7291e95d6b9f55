//! Decisions read from the log or from `replies`, borrowed from the record's bytes.
//!
//! A field numbered up to 99 and an enum value that are not known are errors: whoever replays the log must not guess.
//! Later fields are passed over.

use super::decision::{
    CountedUnits, Decision, DecisionLine, DecisionLines, LineResult, Original, Selling, Source, StockLevel,
};
use super::fields::{Fields, Malformed, Within, signed};
use super::keys::{self, counted, decision, line_decision, original, place_key, replies, stock_level};
use super::lots::{Freshness, LotLevel, LotUnits, LotsOfLine};
use super::proto::{Asked, Input, OrderState, Outcome, Reason, ShareOf};
use super::selling::{self, Channels, Counted, Delivery, Limit, Listed, Rule, Sale};
use super::text::Text;

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
        rules_level: 0,
        selling: None,
    };
    let mut source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
    let mut fields = Fields::new(message);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            decision::SEQUENCE_UINT64 => decision.sequence = number,
            decision::ASKED_ENUM => decision.asked = enumeration(number)?,
            decision::POOL_STRING => decision.pool = fields.take_text(number)?,
            decision::ORDER_ID_STRING => decision.order_id = fields.take_text(number)?,
            decision::ATTEMPT_UINT32 => decision.attempt = number as u32,
            decision::ID_STRING => decision.id = fields.take_text(number)?,
            decision::OUTCOME_ENUM => decision.outcome = enumeration(number)?,
            decision::REASON_ENUM => decision.reason = enumeration(number)?,
            decision::STATE_ENUM => decision.state = enumeration(number)?,
            decision::LINES_MESSAGE => {
                line(fields.take(number)?)?;
                if matches!(decision.lines, DecisionLines::None) {
                    decision.lines = DecisionLines::Logged(field.rest());
                }
            }
            decision::STOCK_MESSAGE => once(&mut decision.stock, stock_level(fields.take(number)?)?)?,
            decision::EXPIRES_AT_MS_INT64 => decision.expires_at_ms = number as i64,
            decision::DECIDED_AT_MS_INT64 => decision.decided_at_ms = number as i64,
            decision::CONTENT_FIXED64 => decision.content = fields.fixed64()?,
            decision::ORIGINAL_MESSAGE => once(&mut decision.original, original(fields.take(number)?)?)?,
            decision::FIELD_UINT32 => decision.field = number as u32,
            decision::INPUT_ENUM => source.input = enumeration(number)?,
            decision::OFFSET_INT64 => source.offset = number as i64,
            decision::INDEX_UINT32 => source.index = number as u32,
            decision::REPLY_PARTITION_UINT32 => source.reply_partition = Some(number as u32),
            decision::RULES_LEVEL_UINT32 => decision.rules_level = number as u32,
            key if is_of_selling(key) => {
                fields = told(message, field, decision.selling.get_or_insert_default())?;
            }
            _ => fields = pass_unknown(field, decision::LAST, 1, Within::Decision)?,
        }
    }
    Ok((decision, source))
}

fn is_of_selling(key: u32) -> bool {
    matches!(
        key,
        decision::SALE_MESSAGE
            | decision::LIMIT_MESSAGE
            | decision::CHANNELS_MESSAGE
            | decision::CHANNEL_STRING
            | decision::COUNTED_MESSAGE
            | decision::CUSTOMER_STRING
            | decision::KEYS_MESSAGE
            | decision::SEGMENTS_STRING
            | decision::OPENS_AT_MS_INT64
            | decision::RULE_UINT64
            | decision::ISSUED_AT_MS_INT64
            | decision::FRESHNESS_MESSAGE
            | decision::DELIVERY_MESSAGE
            | decision::SERVICE_STRING
            | decision::DAY_UINT32
            | decision::CUTOFF_MS_INT64
            | decision::HOLD_UNTIL_MS_INT64
    )
}

/// Takes the field that comes next in `fields` of the Decision `message`, which tells what selling rules came to.
#[inline(never)]
fn told<'a>(message: &'a [u8], mut fields: Fields<'a>, told: &mut Selling<'a>) -> Result<Fields<'a>, Malformed> {
    const DEPTH: u32 = 2;
    let Some((key, number)) = fields.next_head()? else { return Ok(fields) };
    match key {
        decision::SALE_MESSAGE => {
            let sale = fields.take(number)?;
            selling::walk_sale(sale, DEPTH, &mut in_rule)?;
            once(&mut told.set, Rule::Sale(Sale::read(sale)?))?;
        }
        decision::LIMIT_MESSAGE => {
            let limit = fields.take(number)?;
            selling::walk_limit(limit, DEPTH, &mut in_rule)?;
            once(&mut told.set, Rule::Limit(Limit::read(limit)?))?;
        }
        decision::CHANNELS_MESSAGE => {
            let channels = fields.take(number)?;
            selling::walk_channels(channels, DEPTH, &mut in_rule)?;
            once(&mut told.set, Rule::Channels(Channels::read(channels)?))?;
        }
        decision::FRESHNESS_MESSAGE => {
            let freshness = fields.take(number)?;
            keys::set_freshness::SHAPE.walk(freshness, DEPTH, &mut in_rule)?;
            once(&mut told.set, Rule::Freshness(Freshness::read(freshness)?))?;
        }
        decision::DELIVERY_MESSAGE => {
            let delivery = fields.take(number)?;
            selling::walk_delivery(delivery, DEPTH, &mut in_rule)?;
            once(&mut told.set, Rule::Delivery(Delivery::read(delivery)))?;
        }
        decision::COUNTED_MESSAGE => {
            counted(fields.take(number)?)?;
            told.counted = CountedUnits::Logged(Listed::all(message, key));
        }
        decision::CUSTOMER_STRING => told.customer = fields.take_text(number)?,
        decision::KEYS_MESSAGE => {
            place_key::SHAPE.walk(fields.take(number)?, DEPTH, &mut in_rule)?;
            told.keys = Listed::all(message, key);
        }
        decision::SEGMENTS_STRING => {
            fields.take_text(number)?;
            told.segments = Listed::all(message, key);
        }
        decision::CHANNEL_STRING => told.channel = fields.take_text(number)?,
        decision::OPENS_AT_MS_INT64 => told.opens_at_ms = number as i64,
        decision::RULE_UINT64 => told.rule = number,
        decision::SERVICE_STRING => told.service = fields.take_text(number)?,
        decision::DAY_UINT32 => told.day = number as u32,
        decision::CUTOFF_MS_INT64 => told.cutoff_ms = number as i64,
        decision::HOLD_UNTIL_MS_INT64 => told.hold_until_ms = number as i64,
        _ => told.issued_at_ms = number as i64,
    }
    Ok(fields)
}

fn in_rule(fields: Fields<'_>, last_known: u32, depth: u32) -> Result<Fields<'_>, Malformed> {
    pass_unknown(fields, last_known, depth, Within::Rule)
}

/// A `Counted` message.
pub(super) fn counted(message: &[u8]) -> Result<Counted, Malformed> {
    let mut made = Counted { count: 0, period: 0, units: 0, share: ShareOf::Unspecified };
    let mut fields = Fields::new(message);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            counted::COUNT_UINT64 => made.count = number,
            counted::PERIOD_SINT64 => made.period = signed(number),
            counted::UNITS_UINT32 => made.units = number as u32,
            counted::SHARE_ENUM => made.share = enumeration(number)?,
            _ => fields = pass_unknown(field, counted::LAST, 2, Within::Counted)?,
        }
    }
    Ok(made)
}

/// Passes over the field that comes next in `fields`, which is none of those numbered from 1 to `last_known`.
#[cold]
pub(super) fn pass_unknown(
    mut fields: Fields<'_>,
    last_known: u32,
    depth: u32,
    within: Within,
) -> Result<Fields<'_>, Malformed> {
    let key = fields.next_key()?.ok_or(Malformed::Truncated)?;
    fields.skip_ignorable(key, last_known, depth, within)?;
    Ok(fields)
}

/// The decisions of a `Replies` value, in order of sequence.
pub fn replies(value: &[u8]) -> impl Iterator<Item = Result<(Decision<'_>, Source), Malformed>> {
    let mut fields = Fields::new(value);
    let mut next = move || -> Result<Option<(Decision<'_>, Source)>, Malformed> {
        while let Some(key) = fields.next_key()? {
            if key == replies::DECISIONS_MESSAGE {
                return decision(fields.bytes()?).map(Some);
            }
            fields.skip_unknown(key, replies::LAST, 0)?;
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
            if key == decision::LINES_MESSAGE {
                return line(self.fields.bytes().ok()?).ok();
            }
            self.fields.pass(key).ok()?;
        }
        None
    }
}

fn line(message: &[u8]) -> Result<DecisionLine<'_>, Malformed> {
    const SKU: u8 = keys::one_byte(line_decision::SKU_STRING);
    const QUANTITY: u8 = keys::one_byte(line_decision::QUANTITY_UINT32);
    const ALLOCATED: u8 = keys::one_byte(line_decision::ALLOCATED_UINT32);
    let mut line = DecisionLine::of(Text::EMPTY, 0, &LineResult::allocated(0));
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
        match key {
            line_decision::SKU_STRING => line.sku = fields.take_text(number)?,
            line_decision::QUANTITY_UINT32 => line.quantity = number as u32,
            line_decision::ALLOCATED_UINT32 => line.allocated = number as u32,
            line_decision::AVAILABLE_SINT64 => line.available = Some(signed(number)),
            line_decision::REASON_ENUM => line.reason = enumeration(number)?,
            line_decision::SHORTFALL_UINT64 => line.shortfall = number,
            line_decision::OPENS_AT_MS_INT64 => line.opens_at_ms = number as i64,
            line_decision::LEFT_UINT64 => line.left = Some(number),
            line_decision::RULE_UINT64 => line.rule = number,
            line_decision::LOTS_MESSAGE => {
                LotUnits::read(fields.take(number)?)?;
                line.lots = LotsOfLine::logged(message);
            }
            _ => fields = pass_unknown(field, line_decision::LAST, 2, Within::LineDecision)?,
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
        lot: None,
    };
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next_key()? {
        match key {
            stock_level::SKU_STRING => level.sku = fields.text()?,
            stock_level::CHANGE_SINT64 => level.change = signed(fields.varint()?),
            stock_level::ON_HAND_SINT64 => level.on_hand = signed(fields.varint()?),
            stock_level::RESERVED_UINT64 => level.reserved = fields.varint()?,
            stock_level::COMMITTED_UINT64 => level.committed = fields.varint()?,
            stock_level::SAFETY_STOCK_UINT64 => level.safety_stock = fields.varint()?,
            stock_level::HALTED_BOOL => level.halted = fields.varint()? != 0,
            stock_level::SHORTFALL_UINT64 => level.shortfall = fields.varint()?,
            stock_level::LOT_MESSAGE => once(&mut level.lot, LotLevel::read(fields.bytes()?)?)?,
            _ => fields.skip_ignorable(key, stock_level::LAST, 2, Within::StockLevel)?,
        }
    }
    Ok(level)
}

fn original(message: &[u8]) -> Result<Original, Malformed> {
    let mut original = Original { sequence: 0, outcome: Outcome::Unspecified, reason: Reason::Unspecified };
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next_key()? {
        match key {
            original::SEQUENCE_UINT64 => original.sequence = fields.varint()?,
            original::OUTCOME_ENUM => original.outcome = enumeration(fields.varint()?)?,
            original::REASON_ENUM => original.reason = enumeration(fields.varint()?)?,
            _ => fields.skip_ignorable(key, original::LAST, 2, Within::Original)?,
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
