//! One command as the engine sees it: borrowed from the bytes of its record, nothing copied.

use super::fields::{Fields, LENGTH, VARINT, key};
use super::put;

/// A decoded command. Its strings borrow from the record's value; nothing in it has been checked for meaning (empty
/// ids, ranges): that is the ledger's business, and its answer a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The routing key; empty for a tick, and where the kind was not understood.
    pub pool: &'a str,
    /// The partition of `replies` to which the decision is also written.
    pub reply_partition: Option<u32>,
    /// The first field number from 1 to 99 that this engine does not know, anywhere in the command.
    pub unsupported: Option<u32>,
    /// What is asked.
    pub kind: Kind<'a>,
}

/// What a command asks. Fields are those of the messages in `proto/sluice/v1/commands.proto`, with their units.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub enum Kind<'a> {
    /// Reserve stock for an order.
    Place {
        order_id: &'a str,
        attempt: u32,
        customer: &'a str,
        channel: &'a str,
        placed_at_ms: i64,
        lines: OrderLines<'a>,
        hold_ms: u64,
        answer_by_ms: i64,
    },
    /// Reserved becomes committed.
    Confirm { order_id: &'a str, attempt: u32 },
    /// The hold ends later.
    Extend { order_id: &'a str, attempt: u32, expires_at_ms: i64 },
    /// Give the stock back.
    Cancel { order_id: &'a str, attempt: u32 },
    /// An order left the warehouse.
    Ship { order_id: &'a str, attempt: u32 },
    /// A movement of stock or a rule about it, with an identity of its own.
    Stock { id: &'a str, issued_at_ms: i64, change: StockChange<'a> },
    /// The broker's time, for this shard.
    Tick { shard: u32 },
    /// No kind that this engine knows.
    Unknown,
}

/// A movement of stock, or a rule about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub enum StockChange<'a> {
    Receive { sku: &'a str, quantity: u64 },
    Adjust { sku: &'a str, change: i64, reason: &'a str },
    Count { sku: &'a str, counted: u64, on_hand_seen: i64 },
    SetSafetyStock { sku: &'a str, quantity: u64 },
    Halt { sku: &'a str },
    Resume { sku: &'a str },
}

/// One line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderLine<'a> {
    /// What is ordered.
    pub sku: &'a str,
    /// Units.
    pub quantity: u32,
}

/// The lines of an order, read from the record's bytes as they are walked. Walk them as often as need be: it costs a
/// few nanoseconds a line. Empty by default; [`LinesBuf`] makes some without a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderLines<'a> {
    /// The Place message from its first line on, or any part of it that holds all lines; validated before.
    pub(crate) body: &'a [u8],
    /// How many lines it holds.
    pub(crate) count: u32,
}

impl<'a> OrderLines<'a> {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The lines, in order.
    #[inline]
    pub fn iter(&self) -> Lines<'a> {
        Lines { raw: self.raw() }
    }

    /// The lines, in order, with the SKU as the bytes of its text: for looking up and copying, where checking that it
    /// is UTF-8 once more would be for nothing.
    #[inline]
    pub fn raw(&self) -> RawLines<'a> {
        RawLines { fields: Fields::new(self.body), left: self.count }
    }
}

impl<'a> IntoIterator for OrderLines<'a> {
    type Item = OrderLine<'a>;
    type IntoIter = Lines<'a>;

    #[inline]
    fn into_iter(self) -> Lines<'a> {
        self.iter()
    }
}

/// One line of an order, its SKU as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// What is ordered, UTF-8.
    pub sku: &'a [u8],
    /// Units.
    pub quantity: u32,
}

/// Iterator of [`OrderLines::raw`].
#[derive(Clone, Debug)]
pub struct RawLines<'a> {
    fields: Fields<'a>,
    left: u32,
}

/// `lines` of a Place; `sku` and `quantity` of an OrderLine.
const LINES: u32 = key(7, LENGTH);
const SKU: u32 = key(1, LENGTH);
const QUANTITY: u32 = key(2, VARINT);

impl<'a> Iterator for RawLines<'a> {
    type Item = RawLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawLine<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        while let Some(key) = self.fields.next_key().expect("validated before") {
            if key == LINES {
                return Some(raw_line(self.fields.bytes().expect("validated before")));
            }
            self.fields.pass(key).expect("validated before");
        }
        unreachable!("as many lines as were counted")
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for RawLines<'_> {}

#[inline]
fn raw_line(body: &[u8]) -> RawLine<'_> {
    let mut line = RawLine { sku: &[], quantity: 0 };
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key().expect("validated before") {
        match key {
            SKU => line.sku = fields.bytes().expect("validated before"),
            QUANTITY => line.quantity = fields.varint().expect("validated before") as u32,
            _ => fields.pass(key).expect("validated before"),
        }
    }
    line
}

/// Iterator of [`OrderLines::iter`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    raw: RawLines<'a>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = OrderLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<OrderLine<'a>> {
        let line = self.raw.next()?;
        let sku = std::str::from_utf8(line.sku).expect("validated before");
        Some(OrderLine { sku, quantity: line.quantity })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raw.size_hint()
    }
}

impl ExactSizeIterator for Lines<'_> {}

/// Order lines that do not come from a record: for callers of the ledger that make their own commands.
#[derive(Clone, Debug, Default)]
pub struct LinesBuf {
    body: Vec<u8>,
    count: u32,
}

impl LinesBuf {
    /// No lines.
    pub fn new() -> LinesBuf {
        LinesBuf::default()
    }

    /// Appends a line.
    pub fn push(&mut self, sku: &str, quantity: u32) {
        put::message(&mut self.body, LINES, |out| {
            put::text(out, SKU, sku.as_bytes());
            put::number(out, QUANTITY, u64::from(quantity));
        });
        self.count += 1;
    }

    /// Takes the lines out; the capacity stays.
    pub fn clear(&mut self) {
        self.body.clear();
        self.count = 0;
    }

    /// The lines, as an order has them.
    pub fn lines(&self) -> OrderLines<'_> {
        OrderLines { body: &self.body, count: self.count }
    }
}

impl<'a> FromIterator<(&'a str, u32)> for LinesBuf {
    fn from_iter<I: IntoIterator<Item = (&'a str, u32)>>(lines: I) -> LinesBuf {
        let mut buf = LinesBuf::new();
        lines.into_iter().for_each(|(sku, quantity)| buf.push(sku, quantity));
        buf
    }
}
