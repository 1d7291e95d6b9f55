//! Selling rules and what an order brings for them, as they stand in the bytes of a command or of a decision: borrowed,
//! and walked again by whoever looks at a list. A decision carries what of them is known here, and nothing else that was
//! sent.

#[cfg(test)]
pub(super) mod tests;

use super::fields::{Fields, Malformed};
use super::keys::{Unknown, early_sale, place, place_key, set_limit, set_sale};
use super::put;
use super::text::Text;

/// A rule, as a command sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// When and to whom something is sold.
    Sale(Sale<'a>),
    /// How much each customer may have.
    Limit(Limit<'a>),
}

impl<'a> Rule<'a> {
    /// Bytes of the message that says all of it, and more: room to write it again.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Rule::Sale(sale) => sale.message.len(),
            Rule::Limit(limit) => limit.message.len(),
        }
    }

    /// Writes its fields. Fields that may be ignored stay out: however long they are, a decision has its bound.
    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        match self {
            Rule::Sale(sale) => sale.put(fields),
            Rule::Limit(limit) => limit.put(fields),
        }
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        match self {
            Rule::Sale(sale) => sale.removes(),
            Rule::Limit(limit) => limit.removes(),
        }
    }

    /// Appends what the rule says, for hashes: every text as a u32 length and the bytes, every list as a u32 length and
    /// its entries in the order given, integers little-endian, fields in the order of their numbers.
    pub fn define(&self, out: &mut Vec<u8>) {
        match self {
            Rule::Sale(sale) => sale.define(out),
            Rule::Limit(limit) => limit.define(out),
        }
    }
}

/// `SetSale`; its lists are read when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Sale<'a> {
    message: &'a [u8],
    pub sku: Text<'a>,
    pub opens_at_ms: i64,
    pub closes_at_ms: i64,
}

impl<'a> Sale<'a> {
    /// A message that was walked before: what is not known in it is passed over.
    pub(super) fn read(message: &'a [u8]) -> Result<Sale<'a>, Malformed> {
        let mut sale = Sale { message, sku: Text::EMPTY, opens_at_ms: 0, closes_at_ms: 0 };
        let mut fields = Fields::new(message);
        while let Some(key) = fields.next_key()? {
            match key {
                set_sale::SKU_STRING => sale.sku = fields.text()?,
                set_sale::OPENS_AT_MS_INT64 => sale.opens_at_ms = fields.varint()? as i64,
                set_sale::CLOSES_AT_MS_INT64 => sale.closes_at_ms = fields.varint()? as i64,
                _ => fields.pass(key)?,
            }
        }
        Ok(sale)
    }

    /// Segments that may buy earlier, and from when.
    pub fn early(&self) -> impl Iterator<Item = (Text<'a>, i64)> + Clone + use<'a> {
        Listed::all(self.message, set_sale::EARLY_MESSAGE).entries().map(|message| {
            let (mut segment, mut opens_at_ms) = (Text::EMPTY, 0);
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    early_sale::SEGMENT_STRING => segment = fields.text().unwrap_or(Text::EMPTY),
                    early_sale::OPENS_AT_MS_INT64 => opens_at_ms = fields.varint().unwrap_or(0) as i64,
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            (segment, opens_at_ms)
        })
    }

    /// Segments of which a customer must have one.
    pub fn only(&self) -> impl Iterator<Item = Text<'a>> + Clone + use<'a> {
        Listed::all(self.message, set_sale::ONLY_STRING).texts()
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        let Sale { opens_at_ms, closes_at_ms, .. } = *self;
        opens_at_ms == 0 && closes_at_ms == 0 && self.early().next().is_none() && self.only().next().is_none()
    }

    fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(set_sale::SKU_STRING, self.sku.as_bytes());
        fields.number(set_sale::OPENS_AT_MS_INT64, self.opens_at_ms as u64);
        fields.number(set_sale::CLOSES_AT_MS_INT64, self.closes_at_ms as u64);
        for (segment, opens_at_ms) in self.early() {
            put::message_within(fields, set_sale::EARLY_MESSAGE, |fields| {
                fields.text(early_sale::SEGMENT_STRING, segment.as_bytes());
                fields.number(early_sale::OPENS_AT_MS_INT64, opens_at_ms as u64);
            });
        }
        self.only().for_each(|segment| fields.any_text(set_sale::ONLY_STRING, segment.as_bytes()));
    }

    fn define(&self, out: &mut Vec<u8>) {
        put_text(out, self.sku);
        out.extend_from_slice(&self.opens_at_ms.to_le_bytes());
        out.extend_from_slice(&self.closes_at_ms.to_le_bytes());
        out.extend_from_slice(&(self.early().count() as u32).to_le_bytes());
        for (segment, opens_at_ms) in self.early() {
            put_text(out, segment);
            out.extend_from_slice(&opens_at_ms.to_le_bytes());
        }
        put_texts(out, self.only());
    }
}

/// `SetLimit`; its list is read when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Limit<'a> {
    message: &'a [u8],
    pub name: Text<'a>,
    pub units: u64,
    pub units_an_order: u64,
    pub whole_pool: bool,
    pub key: Text<'a>,
    pub period_ms: u64,
    pub anchor_ms: i64,
}

impl<'a> Limit<'a> {
    /// As [`Sale::read`].
    pub(super) fn read(message: &'a [u8]) -> Result<Limit<'a>, Malformed> {
        let mut limit = Limit {
            message,
            name: Text::EMPTY,
            units: 0,
            units_an_order: 0,
            whole_pool: false,
            key: Text::EMPTY,
            period_ms: 0,
            anchor_ms: 0,
        };
        let mut fields = Fields::new(message);
        while let Some(key) = fields.next_key()? {
            match key {
                set_limit::NAME_STRING => limit.name = fields.text()?,
                set_limit::UNITS_UINT64 => limit.units = fields.varint()?,
                set_limit::UNITS_AN_ORDER_UINT64 => limit.units_an_order = fields.varint()?,
                set_limit::WHOLE_POOL_BOOL => limit.whole_pool = fields.varint()? != 0,
                set_limit::KEY_STRING => limit.key = fields.text()?,
                set_limit::PERIOD_MS_UINT64 => limit.period_ms = fields.varint()?,
                set_limit::ANCHOR_MS_INT64 => limit.anchor_ms = fields.varint()? as i64,
                _ => fields.pass(key)?,
            }
        }
        Ok(limit)
    }

    /// SKUs that it counts together.
    pub fn skus(&self) -> impl Iterator<Item = Text<'a>> + Clone + use<'a> {
        Listed::all(self.message, set_limit::SKUS_STRING).texts()
    }

    /// Whether it removes the limit that stands.
    pub fn removes(&self) -> bool {
        self.units == 0 && self.units_an_order == 0
    }

    fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(set_limit::NAME_STRING, self.name.as_bytes());
        fields.number(set_limit::UNITS_UINT64, self.units);
        fields.number(set_limit::UNITS_AN_ORDER_UINT64, self.units_an_order);
        self.skus().for_each(|sku| fields.any_text(set_limit::SKUS_STRING, sku.as_bytes()));
        fields.number(set_limit::WHOLE_POOL_BOOL, self.whole_pool.into());
        fields.text(set_limit::KEY_STRING, self.key.as_bytes());
        fields.number(set_limit::PERIOD_MS_UINT64, self.period_ms);
        fields.number(set_limit::ANCHOR_MS_INT64, self.anchor_ms as u64);
    }

    fn define(&self, out: &mut Vec<u8>) {
        put_text(out, self.name);
        out.extend_from_slice(&self.units.to_le_bytes());
        out.extend_from_slice(&self.units_an_order.to_le_bytes());
        put_texts(out, self.skus());
        out.push(self.whole_pool.into());
        put_text(out, self.key);
        out.extend_from_slice(&self.period_ms.to_le_bytes());
        out.extend_from_slice(&self.anchor_ms.to_le_bytes());
    }
}

/// Walks a `SetSale` and checks all of it.
pub(super) fn walk_sale<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            set_sale::SKU_STRING | set_sale::ONLY_STRING => _ = fields.take_text(number)?,
            set_sale::OPENS_AT_MS_INT64 | set_sale::CLOSES_AT_MS_INT64 => {}
            set_sale::EARLY_MESSAGE => early_sale::SHAPE.walk(fields.take(number)?, depth + 1, unknown)?,
            _ => fields = unknown(field, set_sale::LAST, depth)?,
        }
    }
    Ok(())
}

/// Walks a `SetLimit` and checks all of it.
pub(super) fn walk_limit<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            set_limit::NAME_STRING | set_limit::SKUS_STRING | set_limit::KEY_STRING => _ = fields.take_text(number)?,
            set_limit::UNITS_UINT64
            | set_limit::UNITS_AN_ORDER_UINT64
            | set_limit::WHOLE_POOL_BOOL
            | set_limit::PERIOD_MS_UINT64
            | set_limit::ANCHOR_MS_INT64 => {}
            _ => fields = unknown(field, set_limit::LAST, depth)?,
        }
    }
    Ok(())
}

/// What the checkout vouches for of an order: segments and keys. Of an order made without a record there is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vouched<'a> {
    /// The Place, if it has any.
    message: &'a [u8],
}

impl<'a> Vouched<'a> {
    /// Of a Place that was walked before and has some; nothing of one that has none.
    #[inline]
    pub(super) fn of(message: &'a [u8]) -> Vouched<'a> {
        Vouched { message }
    }

    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// How many segments.
    pub fn segment_count(&self) -> usize {
        self.segments().count()
    }

    /// How many keys.
    pub fn key_count(&self) -> usize {
        self.keys().count()
    }

    /// The segments, in the order given.
    pub fn segments(&self) -> impl Iterator<Item = Text<'a>> + Clone + use<'a> {
        self.some_segments(u16::MAX).texts()
    }

    /// Names and values of the keys, in the order given.
    pub fn keys(&self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> + Clone + use<'a> {
        self.some_keys(u16::MAX).pairs()
    }

    /// The segments whose bit is set in `mask`, the first one's being the lowest.
    pub(crate) fn some_segments(&self, mask: u16) -> Listed<'a> {
        Listed { message: self.message, key: place::SEGMENTS_STRING, mask }
    }

    /// As [`Vouched::some_segments`], of the keys.
    pub(crate) fn some_keys(&self, mask: u16) -> Listed<'a> {
        Listed { message: self.message, key: place::KEYS_MESSAGE, mask }
    }
}

/// Entries of one repeated field of a message that was walked before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listed<'a> {
    message: &'a [u8],
    key: u32,
    /// Which of the first 16 entries are meant; of those that follow all or none, as of the 16th.
    mask: u16,
}

impl<'a> Listed<'a> {
    /// All entries of the field with this key.
    pub(super) fn all(message: &'a [u8], key: u32) -> Listed<'a> {
        Listed { message, key, mask: u16::MAX }
    }

    /// The entries' bytes. Ends at what can't be read.
    pub(super) fn entries(self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let (mut fields, mut at) = (Fields::new(self.message), 0_u32);
        std::iter::from_fn(move || {
            while let Some(key) = fields.next_key().ok()? {
                if key != self.key {
                    fields.pass(key).ok()?;
                    continue;
                }
                let entry = fields.bytes().ok()?;
                let bit = at.min(u16::BITS - 1);
                at += 1;
                if self.mask >> bit & 1 == 1 {
                    return Some(entry);
                }
            }
            None
        })
    }

    /// The entries as texts, which they were checked to be.
    pub fn texts(self) -> impl Iterator<Item = Text<'a>> + Clone + use<'a> {
        self.entries().map(Text::seen)
    }

    /// The entries as names and values of keys.
    pub fn pairs(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> + Clone + use<'a> {
        self.entries().map(|message| {
            let (mut name, mut value) = (Text::EMPTY, Text::EMPTY);
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    place_key::NAME_STRING => name = fields.text().unwrap_or(Text::EMPTY),
                    place_key::VALUE_STRING => value = fields.text().unwrap_or(Text::EMPTY),
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            (name, value)
        })
    }

    /// Bytes of all that is listed, and more: room to write it again.
    pub(super) fn bytes(self) -> usize {
        self.message.len()
    }
}

/// Units of an order that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Sequence of the decision with which the limit began to count.
    pub count: u64,
    /// Number of the period, from the limit's anchor; 0 if it has no periods.
    pub period: i64,
    /// Units of the order's lines that stand under the limit.
    pub units: u32,
}

fn put_text(out: &mut Vec<u8>, text: Text<'_>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = Text<'a>> + Clone) {
    out.extend_from_slice(&(texts.clone().count() as u32).to_le_bytes());
    texts.for_each(|text| put_text(out, text));
}
