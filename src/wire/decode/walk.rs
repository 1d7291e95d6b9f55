//! The first pass: every byte of a command is looked at. A Place, of which there are most, is noted field by field; of
//! any other kind, only where it stands.

use super::super::command::{LineAt, Span};
use super::super::fields::{Fields, LAST_BINDING_FIELD, LENGTH, Malformed, VARINT};
use super::super::keys::{self, Shape, cancel, command, confirm, extend, order_line, place, stock_command};
use super::super::limits::MAX_LINES;
use super::super::lots;
use super::super::proto::Input;
use super::super::selling;
use super::super::text::Text;

/// Messages that a field of Command and of StockCommand, of a kind within, and of a line within that stands in.
const IN_COMMAND: u32 = 1;
const IN_KIND: u32 = 2;
const IN_LINE: u32 = 3;

/// A command as the first pass leaves it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Place(PlaceNote),
    /// The body of the Command or StockCommand, to be read again.
    Other(Span),
    /// A command that cannot be read, and who waits for its answer all the same.
    Malformed {
        reply_partition: Option<u32>,
    },
}

/// A Command with a Place.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceNote {
    pub(super) pool: Span,
    pub(super) order_id: Span,
    pub(super) customer: Span,
    pub(super) channel: Span,
    pub(super) attempt: u32,
    pub(super) reply_partition: Option<u32>,
    pub(super) placed_at_ms: i64,
    pub(super) hold_ms: u64,
    pub(super) answer_by_ms: i64,
    /// Its lines among those that are noted of the record, and how many it has.
    pub(super) first_line: u32,
    pub(super) noted_lines: u32,
    pub(super) lines: u32,
    /// The Place itself, if it has segments or keys or asks for a delivery, so that they are found again; else nothing.
    pub(super) vouched: Span,
}

/// The walk through a value.
pub(super) struct Walk<'a, 'l> {
    pub(super) body: &'a [u8],
    /// Every Place's lines, up to [`MAX_LINES`] of each: one with more is refused, and a record full of empty lines
    /// takes no more memory than one of orders.
    pub(super) lines: &'l mut Vec<LineAt>,
    /// Some command has more than one kind: protobuf merges them, or lets the last one win.
    pub(super) merge: bool,
    /// The first field of the command at hand that must be understood and is not.
    pub(super) unsupported: Option<u32>,
}

impl<'a> Walk<'a, '_> {
    /// Walks the body of a Command or StockCommand. [`Walk::malformed`] follows an error.
    #[inline(always)]
    pub(super) fn command(&mut self, body: &'a [u8], input: Input) -> Result<Note, Malformed> {
        match input {
            Input::Stock => self.stock_command(body),
            Input::Orders | Input::Unspecified => self.order_command(body),
        }
    }

    /// Notes a command that cannot be read. Nothing that was found in it before counts.
    #[cold]
    #[inline(never)]
    pub(super) fn malformed(&mut self, body: &'a [u8], input: Input, first_line: usize) -> Note {
        self.lines.truncate(first_line);
        self.unsupported = None;
        let reply_partition = match input {
            Input::Stock => outer_number(body, &stock_command::SHAPE, stock_command::REPLY_PARTITION_UINT32),
            Input::Orders | Input::Unspecified => outer_number(body, &command::SHAPE, command::REPLY_PARTITION_UINT32),
        };
        Note::Malformed { reply_partition: reply_partition.unwrap_or_default() }
    }

    #[inline(always)]
    fn order_command(&mut self, body: &'a [u8]) -> Result<Note, Malformed> {
        let (mut place, mut reply_partition, mut kinds) = (None, None, 0);
        let mut fields = Fields::new(body);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            match key {
                command::PLACE_MESSAGE => {
                    kinds += 1;
                    place = Some(self.place(fields.take(number)?)?);
                }
                command::CONFIRM_MESSAGE => {
                    kinds += 1;
                    self.flat(fields.take(number)?, &confirm::SHAPE, IN_KIND)?;
                }
                command::EXTEND_MESSAGE => {
                    kinds += 1;
                    self.flat(fields.take(number)?, &extend::SHAPE, IN_KIND)?;
                }
                command::CANCEL_MESSAGE => {
                    kinds += 1;
                    self.flat(fields.take(number)?, &cancel::SHAPE, IN_KIND)?;
                }
                command::REPLY_PARTITION_UINT32 => reply_partition = Some(number as u32),
                _ => fields = self.unknown(field, command::LAST, IN_COMMAND)?,
            }
        }
        self.merge |= kinds > 1;
        Ok(match place {
            Some(place) => Note::Place(PlaceNote { reply_partition, ..place }),
            None => Note::Other(Span::of(self.body, body)),
        })
    }

    #[inline(always)]
    fn place(&mut self, body: &'a [u8]) -> Result<PlaceNote, Malformed> {
        let first_line = self.lines.len();
        let (mut pool, mut order_id, mut customer, mut channel) = Default::default();
        let (mut attempt, mut placed_at_ms, mut hold_ms, mut answer_by_ms, mut lines) = (0, 0, 0, 0, 0);
        let mut vouched = Span::default();
        let whole = self.body;
        let span = |text: Text<'a>| Span::of(whole, text.as_bytes());
        let mut fields = Fields::new(body);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            match key {
                place::POOL_STRING => pool = span(fields.take_text(number)?),
                place::ORDER_ID_STRING => order_id = span(fields.take_text(number)?),
                place::ATTEMPT_UINT32 => attempt = number as u32,
                place::CUSTOMER_STRING => customer = span(fields.take_text(number)?),
                place::CHANNEL_STRING => channel = span(fields.take_text(number)?),
                place::PLACED_AT_MS_INT64 => placed_at_ms = number as i64,
                place::LINES_MESSAGE => {
                    let line = self.line(fields.take(number)?)?;
                    if (lines as usize) < MAX_LINES {
                        self.lines.push(line);
                    }
                    lines += 1;
                }
                place::HOLD_MS_UINT64 => hold_ms = number,
                place::ANSWER_BY_MS_INT64 => answer_by_ms = number as i64,
                place::SEGMENTS_STRING | place::SERVICE_STRING => {
                    fields.take_text(number)?;
                    vouched = Span::of(whole, body);
                }
                place::DAY_UINT32 | place::LATE_ENUM => vouched = Span::of(whole, body),
                place::KEYS_MESSAGE => {
                    self.flat(fields.take(number)?, &keys::place_key::SHAPE, IN_LINE)?;
                    vouched = Span::of(whole, body);
                }
                _ => fields = self.unknown(field, place::LAST, IN_KIND)?,
            }
        }
        let noted_lines = (self.lines.len() - first_line) as u32;
        Ok(PlaceNote {
            pool,
            order_id,
            customer,
            channel,
            attempt,
            reply_partition: None,
            placed_at_ms,
            hold_ms,
            answer_by_ms,
            first_line: first_line as u32,
            noted_lines,
            lines,
            vouched,
        })
    }

    #[inline(always)]
    fn line(&mut self, body: &'a [u8]) -> Result<LineAt, Malformed> {
        const SKU: u8 = keys::one_byte(order_line::SKU_STRING);
        const QUANTITY: u8 = keys::one_byte(order_line::QUANTITY_UINT32);
        // As nearly all are: a short SKU, a small quantity, nothing else.
        if let [SKU, length, .., QUANTITY, quantity @ ..0x80] = *body
            && usize::from(length) == body.len() - 4
            && length < 0x80
        {
            let sku = Text::new(&body[2..body.len() - 2]).ok_or(Malformed::Text)?;
            return Ok(LineAt { sku: Span::of(self.body, sku.as_bytes()), quantity: quantity.into() });
        }
        let mut line = LineAt { sku: Span::default(), quantity: 0 };
        let mut fields = Fields::new(body);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            match key {
                order_line::SKU_STRING => line.sku = Span::of(self.body, fields.take_text(number)?.as_bytes()),
                order_line::QUANTITY_UINT32 => line.quantity = number as u32,
                _ => fields = self.unknown(field, order_line::LAST, IN_LINE)?,
            }
        }
        Ok(line)
    }

    #[inline(never)]
    fn stock_command(&mut self, body: &'a [u8]) -> Result<Note, Malformed> {
        let mut kinds = 0;
        let mut fields = Fields::new(body);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            let shape = match key {
                stock_command::POOL_STRING | stock_command::ID_STRING => {
                    fields.take_text(number)?;
                    continue;
                }
                stock_command::ISSUED_AT_MS_INT64 | stock_command::REPLY_PARTITION_UINT32 => continue,
                stock_command::RECEIVE_MESSAGE => &keys::receive::SHAPE,
                stock_command::ADJUST_MESSAGE => &keys::adjust::SHAPE,
                stock_command::COUNT_MESSAGE => &keys::count::SHAPE,
                stock_command::SET_SAFETY_STOCK_MESSAGE => &keys::set_safety_stock::SHAPE,
                stock_command::HALT_MESSAGE => &keys::halt::SHAPE,
                stock_command::RESUME_MESSAGE => &keys::resume::SHAPE,
                stock_command::TICK_MESSAGE => &keys::tick::SHAPE,
                stock_command::RAISE_RULES_LEVEL_MESSAGE => &keys::raise_rules_level::SHAPE,
                stock_command::SET_SALE_MESSAGE => {
                    kinds += 1;
                    selling::walk_sale(fields.take(number)?, IN_KIND, &mut |fields, last, depth| {
                        self.unknown(fields, last, depth)
                    })?;
                    continue;
                }
                stock_command::SET_FRESHNESS_MESSAGE => &keys::set_freshness::SHAPE,
                stock_command::SHIP_MESSAGE => {
                    kinds += 1;
                    lots::walk_ship(fields.take(number)?, IN_KIND, &mut |fields, last, depth| {
                        self.unknown(fields, last, depth)
                    })?;
                    continue;
                }
                stock_command::SET_LIMIT_MESSAGE => {
                    kinds += 1;
                    selling::walk_limit(fields.take(number)?, IN_KIND, &mut |fields, last, depth| {
                        self.unknown(fields, last, depth)
                    })?;
                    continue;
                }
                stock_command::SET_CHANNELS_MESSAGE => {
                    kinds += 1;
                    selling::walk_channels(fields.take(number)?, IN_KIND, &mut |fields, last, depth| {
                        self.unknown(fields, last, depth)
                    })?;
                    continue;
                }
                stock_command::SET_DELIVERY_MESSAGE => {
                    kinds += 1;
                    selling::walk_delivery(fields.take(number)?, IN_KIND, &mut |fields, last, depth| {
                        self.unknown(fields, last, depth)
                    })?;
                    continue;
                }
                _ => {
                    fields = self.unknown(field, stock_command::LAST, IN_COMMAND)?;
                    continue;
                }
            };
            kinds += 1;
            self.flat(fields.take(number)?, shape, IN_KIND)?;
        }
        self.merge |= kinds > 1;
        Ok(Note::Other(Span::of(self.body, body)))
    }

    /// A message that has strings and varints only.
    fn flat(&mut self, body: &'a [u8], shape: &Shape, depth: u32) -> Result<(), Malformed> {
        shape.walk(body, depth, &mut |fields, last, depth| self.unknown(fields, last, depth))
    }

    /// Passes over the field that comes next in `fields`, which is none of those numbered from 1 to `last_known`.
    #[cold]
    fn unknown(&mut self, mut fields: Fields<'a>, last_known: u32, depth: u32) -> Result<Fields<'a>, Malformed> {
        let key = fields.next_key()?.ok_or(Malformed::Truncated)?;
        let number = fields.skip_unknown(key, last_known, depth)?;
        if number <= LAST_BINDING_FIELD && self.unsupported.is_none() {
            self.unsupported = Some(number);
        }
        Ok(fields)
    }
}

/// What a command whose own fields all can be read has under the key `wanted`, the last one; kinds are not looked into.
fn outer_number(body: &[u8], shape: &Shape, wanted: u32) -> Result<Option<u32>, Malformed> {
    let mut found = None;
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key()? {
        let bit = shape.bit(key);
        match key & 7 {
            VARINT if key == wanted => found = Some(fields.varint()? as u32),
            VARINT if shape.varints & bit != 0 => _ = fields.varint()?,
            LENGTH if shape.messages & bit != 0 => _ = fields.bytes()?,
            LENGTH if shape.texts & bit != 0 => _ = fields.text()?,
            _ => _ = fields.skip_unknown(key, shape.last, IN_COMMAND)?,
        }
    }
    Ok(found)
}
