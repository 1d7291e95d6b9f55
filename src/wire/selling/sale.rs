//! `SetSale`: from when, until when and to whom something is sold.

use super::{Listed, put_text, put_texts};
use crate::wire::fields::{Fields, Malformed};
use crate::wire::keys::{Unknown, early_sale, set_sale};
use crate::wire::put;
use crate::wire::text::Text;

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
    pub(in crate::wire) fn read(message: &'a [u8]) -> Result<Sale<'a>, Malformed> {
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

    /// Bytes of the message, as in [`Rule::bytes`](super::Rule::bytes).
    pub(super) fn bytes(&self) -> usize {
        self.message.len()
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        let Sale { opens_at_ms, closes_at_ms, .. } = *self;
        opens_at_ms == 0 && closes_at_ms == 0 && self.early().next().is_none() && self.only().next().is_none()
    }

    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
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

    pub(super) fn define(&self, out: &mut Vec<u8>) {
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

/// Walks a `SetSale` and checks all of it.
pub(in crate::wire) fn walk_sale<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
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
