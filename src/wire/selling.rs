//! Selling rules and what an order brings for them, as they stand in the bytes of a command or of a decision: borrowed,
//! and walked again by whoever looks at a list. A decision carries what of them is known here, and nothing else that was
//! sent.

mod channels; // how the stock of a SKU is shared
mod delivery; // on which days orders are delivered
mod limit; // how much each customer may have
mod sale; // from when, until when and to whom
#[cfg(test)]
pub(super) mod tests;

pub use channels::{ChannelShare, Channels};
pub use delivery::{Delivery, DeliveryAsked, DeliveryService};
pub use limit::Limit;
pub use sale::Sale;
pub(super) use {channels::walk_channels, delivery::walk_delivery, limit::walk_limit, sale::walk_sale};

use super::fields::Fields;
use super::keys::{place, place_key};
use super::lots::Freshness;
use super::proto::ShareOf;
use super::put;
use super::text::Text;

/// A rule, as a command sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// When and to whom something is sold.
    Sale(Sale<'a>),
    /// How much each customer may have.
    Limit(Limit<'a>),
    /// How the stock of a SKU is shared among channels.
    Channels(Channels<'a>),
    /// How long what is sold must last.
    Freshness(Freshness<'a>),
    /// On which days orders are delivered.
    Delivery(Delivery<'a>),
}

impl<'a> Rule<'a> {
    /// Bytes of the message that says all of it, and more: room to write it again.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Rule::Sale(sale) => sale.bytes(),
            Rule::Limit(limit) => limit.bytes(),
            Rule::Channels(channels) => channels.bytes(),
            Rule::Freshness(it) => it.sku.len() + Freshness::FIXED_BYTES,
            Rule::Delivery(delivery) => delivery.bytes(),
        }
    }

    /// Writes its fields. Fields that may be ignored stay out: however long they are, a decision has its bound.
    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        match self {
            Rule::Sale(sale) => sale.put(fields),
            Rule::Limit(limit) => limit.put(fields),
            Rule::Channels(channels) => channels.put(fields),
            Rule::Freshness(it) => it.put(fields),
            Rule::Delivery(delivery) => delivery.put(fields),
        }
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        match self {
            Rule::Sale(sale) => sale.removes(),
            Rule::Limit(limit) => limit.removes(),
            Rule::Channels(channels) => channels.removes(),
            Rule::Freshness(it) => it.removes(),
            Rule::Delivery(delivery) => delivery.removes(),
        }
    }

    /// Appends what the rule says, for hashes: every text as a u32 length and the bytes, every list as a u32 length and
    /// its entries in the order given, integers little-endian, fields in the order of their numbers.
    pub fn define(&self, out: &mut Vec<u8>) {
        match self {
            Rule::Sale(sale) => sale.define(out),
            Rule::Limit(limit) => limit.define(out),
            Rule::Channels(channels) => channels.define(out),
            Rule::Freshness(it) => it.define(out),
            Rule::Delivery(delivery) => delivery.define(out),
        }
    }
}

/// What an order brings for rules: the segments and keys that the checkout vouches for, and what it asks of a delivery. Of
/// an order made without a record there is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vouched<'a> {
    /// The Place, if it has any of it.
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

    /// What it asks of the delivery of its pool.
    pub fn delivery(&self) -> DeliveryAsked<'a> {
        DeliveryAsked::of(self.message)
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

/// Units of an order that a limit counts, or a channel's share of a SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Sequence of the decision with which the limit, or the share, began to count.
    pub count: u64,
    /// Number of the period, from the limit's anchor; 0 if it has no periods, and for a share.
    pub period: i64,
    /// Units of the order's lines that stand under the limit, or are of the SKU.
    pub units: u32,
    /// Whose share counts; unspecified for a limit.
    pub share: ShareOf,
}

pub(super) fn put_text(out: &mut Vec<u8>, text: Text<'_>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = Text<'a>> + Clone) {
    out.extend_from_slice(&(texts.clone().count() as u32).to_le_bytes());
    texts.for_each(|text| put_text(out, text));
}
