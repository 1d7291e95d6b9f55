//! `SetLimit`: how much each customer may have.

use super::{Listed, put_text, put_texts};
use crate::wire::fields::{Fields, Malformed};
use crate::wire::keys::{Unknown, set_limit};
use crate::wire::put;
use crate::wire::text::Text;

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
    pub(in crate::wire) fn read(message: &'a [u8]) -> Result<Limit<'a>, Malformed> {
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

    /// Bytes of the message, as in [`Rule::bytes`](super::Rule::bytes).
    pub(super) fn bytes(&self) -> usize {
        self.message.len()
    }

    /// Whether it removes the limit that stands.
    pub fn removes(&self) -> bool {
        self.units == 0 && self.units_an_order == 0
    }

    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(set_limit::NAME_STRING, self.name.as_bytes());
        fields.number(set_limit::UNITS_UINT64, self.units);
        fields.number(set_limit::UNITS_AN_ORDER_UINT64, self.units_an_order);
        self.skus().for_each(|sku| fields.any_text(set_limit::SKUS_STRING, sku.as_bytes()));
        fields.number(set_limit::WHOLE_POOL_BOOL, self.whole_pool.into());
        fields.text(set_limit::KEY_STRING, self.key.as_bytes());
        fields.number(set_limit::PERIOD_MS_UINT64, self.period_ms);
        fields.number(set_limit::ANCHOR_MS_INT64, self.anchor_ms as u64);
    }

    pub(super) fn define(&self, out: &mut Vec<u8>) {
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

/// Walks a `SetLimit` and checks all of it.
pub(in crate::wire) fn walk_limit<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
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
