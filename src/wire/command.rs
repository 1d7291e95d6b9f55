//! One command as the engine sees it: borrowed from the bytes of its record, no text copied.

use super::keys::{place, ship, stock_command};
use super::lots::{Freshness, NamedLot, ShippedLots};
use super::selling::{Channels, Delivery, Limit, Rule, Sale, Vouched};
use super::text::Text;

/// A decoded command. Its strings borrow from the record's value; nothing in it has been checked for meaning (empty
/// ids, ranges): that is the ledger's business, and its answer a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The routing key; empty for what speaks to a shard, and where the kind was not understood or could not be read.
    pub pool: Text<'a>,
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
    Place(Place<'a>),
    /// Reserved becomes committed.
    Confirm { order_id: Text<'a>, attempt: u32, placed_at_ms: i64 },
    /// The hold ends later.
    Extend { order_id: Text<'a>, attempt: u32, expires_at_ms: i64, placed_at_ms: i64 },
    /// Give the stock back.
    Cancel { order_id: Text<'a>, attempt: u32, placed_at_ms: i64 },
    /// An order left the warehouse.
    Ship { order_id: Text<'a>, attempt: u32, lots: ShippedLots<'a> },
    /// A movement of stock or a rule about it, with an identity of its own.
    Stock { id: Text<'a>, issued_at_ms: i64, change: StockChange<'a> },
    /// The broker's time, for this shard.
    Tick { shard: u32 },
    /// Newer rules may be used, by this shard.
    RaiseRulesLevel { shard: u32, level: u32 },
    /// No kind that this engine knows.
    Unknown,
    /// Nothing that can be read: something within the command is broken. Then pool and `unsupported` are empty, and
    /// `reply_partition` is there if the command's own fields can be read, so that only a kind of it is broken.
    Malformed,
}

impl Kind<'_> {
    /// The rules level that a log must have for this command, and the field that is answered UNSUPPORTED in a log of
    /// `level`, if that is below it; none if any will do.
    #[inline]
    pub fn needs_level(&self, level: u32) -> Option<(u32, u32)> {
        match self {
            Kind::Place(it) if !it.vouched.is_empty() => {
                let vouched = &it.vouched;
                if level < 1 && vouched.segment_count() > 0 {
                    return Some((1, place::SEGMENTS_STRING >> 3));
                }
                if level < 1 && vouched.key_count() > 0 {
                    return Some((1, place::KEYS_MESSAGE >> 3));
                }
                // The numbers of what needs the higher level are the higher ones.
                if level < 2 { vouched.delivery().first_field().map(|field| (2, field)) } else { None }
            }
            Kind::Stock { change: StockChange::SetDelivery(_), .. } => {
                Some((2, stock_command::SET_DELIVERY_MESSAGE >> 3))
            }
            Kind::Stock { change: StockChange::SetSale(_), .. } => Some((1, stock_command::SET_SALE_MESSAGE >> 3)),
            Kind::Stock { change: StockChange::SetLimit(_), .. } => Some((1, stock_command::SET_LIMIT_MESSAGE >> 3)),
            Kind::Stock { change: StockChange::SetChannels(_), .. } => {
                Some((2, stock_command::SET_CHANNELS_MESSAGE >> 3))
            }
            Kind::Stock { change: StockChange::SetFreshness(_), .. } => {
                Some((2, stock_command::SET_FRESHNESS_MESSAGE >> 3))
            }
            Kind::Stock { change, .. } => change.lot_field().map(|field| (2, field)),
            Kind::Ship { lots, .. } if !lots.is_empty() => Some((2, ship::LOTS_MESSAGE >> 3)),
            _ => None,
        }
    }
}

/// An order.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Place<'a> {
    pub order_id: Text<'a>,
    pub attempt: u32,
    pub customer: Text<'a>,
    pub channel: Text<'a>,
    pub placed_at_ms: i64,
    pub lines: OrderLines<'a>,
    pub hold_ms: u64,
    pub answer_by_ms: i64,
    pub vouched: Vouched<'a>,
}

/// A movement of stock, or a rule about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub enum StockChange<'a> {
    Receive { sku: Text<'a>, quantity: u64, lot: NamedLot<'a> },
    Adjust { sku: Text<'a>, change: i64, reason: Text<'a>, lot: NamedLot<'a> },
    Count { sku: Text<'a>, counted: u64, on_hand_seen: i64, lot: NamedLot<'a> },
    SetSafetyStock { sku: Text<'a>, quantity: u64 },
    Halt { sku: Text<'a>, lot: Text<'a> },
    Resume { sku: Text<'a>, lot: Text<'a> },
    SetSale(Sale<'a>),
    SetLimit(Limit<'a>),
    SetChannels(Channels<'a>),
    SetFreshness(Freshness<'a>),
    SetDelivery(Delivery<'a>),
}

impl<'a> StockChange<'a> {
    /// The selling rule that it sets or removes, if it is about one.
    pub fn rule(&self) -> Option<Rule<'a>> {
        match *self {
            StockChange::SetSale(sale) => Some(Rule::Sale(sale)),
            StockChange::SetLimit(limit) => Some(Rule::Limit(limit)),
            StockChange::SetChannels(channels) => Some(Rule::Channels(channels)),
            StockChange::SetFreshness(freshness) => Some(Rule::Freshness(freshness)),
            StockChange::SetDelivery(delivery) => Some(Rule::Delivery(delivery)),
            _ => None,
        }
    }
}

/// One line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderLine<'a> {
    /// What is ordered.
    pub sku: Text<'a>,
    /// Units.
    pub quantity: u32,
}

/// Where a line of an order stands in the bytes that it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineAt {
    pub(super) sku: Span,
    pub(super) quantity: u32,
}

/// Where a text stands in the bytes that it came in; a record has far less than 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// Of `part`, which is a part of `whole`.
    #[inline(always)]
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Span {
        let at = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Span { at: at as u32, len: part.len() as u32 }
    }

    #[inline(always)]
    pub(super) fn bytes(self, whole: &[u8]) -> &[u8] {
        &whole[self.at as usize..][..self.len as usize]
    }

    /// The text there, which was checked before.
    #[inline(always)]
    pub(super) fn text(self, whole: &[u8]) -> Text<'_> {
        Text::seen(self.bytes(whole))
    }
}

/// The lines of an order. Empty by default; [`LinesBuf`] makes some without a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderLines<'a> {
    /// What the lines' places refer to.
    pub(super) body: &'a [u8],
    /// Where the lines stand; of an order beyond [`MAX_LINES`](super::limits::MAX_LINES) only the first.
    pub(super) lines: &'a [LineAt],
    /// How many lines there are.
    pub(super) count: u32,
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

    /// Bytes of all their SKUs.
    #[inline]
    pub(super) fn sku_bytes(&self) -> usize {
        self.lines.iter().map(|line| line.sku.len as usize).sum()
    }

    /// The lines, in order. Of an order beyond [`MAX_LINES`](super::limits::MAX_LINES), which is refused for that, only
    /// the first so many.
    #[inline]
    pub fn iter(&self) -> Lines<'a> {
        Lines { body: self.body, lines: self.lines.iter() }
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

/// Iterator of [`OrderLines::iter`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    body: &'a [u8],
    lines: std::slice::Iter<'a, LineAt>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = OrderLine<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<OrderLine<'a>> {
        let line = self.lines.next()?;
        Some(OrderLine { sku: line.sku.text(self.body), quantity: line.quantity })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lines.size_hint()
    }
}

impl ExactSizeIterator for Lines<'_> {}

/// Order lines that do not come from a record: for callers of the ledger that make their own commands.
#[derive(Clone, Debug, Default)]
pub struct LinesBuf {
    body: Vec<u8>,
    lines: Vec<LineAt>,
}

impl LinesBuf {
    /// No lines.
    pub fn new() -> LinesBuf {
        LinesBuf::default()
    }

    /// Appends a line.
    pub fn push(&mut self, sku: &str, quantity: u32) {
        let span = Span { at: self.body.len() as u32, len: sku.len() as u32 };
        self.body.extend_from_slice(sku.as_bytes());
        self.lines.push(LineAt { sku: span, quantity });
    }

    /// Takes the lines out; the capacity stays.
    pub fn clear(&mut self) {
        self.body.clear();
        self.lines.clear();
    }

    /// The lines, as an order has them.
    pub fn lines(&self) -> OrderLines<'_> {
        OrderLines { body: &self.body, lines: &self.lines, count: self.lines.len() as u32 }
    }
}

impl<'a> FromIterator<(&'a str, u32)> for LinesBuf {
    fn from_iter<I: IntoIterator<Item = (&'a str, u32)>>(lines: I) -> LinesBuf {
        let mut buf = LinesBuf::new();
        lines.into_iter().for_each(|(sku, quantity)| buf.push(sku, quantity));
        buf
    }
}
