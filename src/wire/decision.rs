//! One decision as the ledger makes and replays it: borrowed, so that nothing is allocated between the ledger and the
//! link that it is written into.

use super::command::{Lines, OrderLines};
use super::lots::{LotLevel, LotPart, LotsOfLine};
use super::proto::{Asked, Input, OrderState, Outcome, Reason};
use super::selling::{Counted, Listed, Rule};
use super::text::Text;
use super::view::LoggedLines;

/// A decision, without its provenance ([`Source`]). Fields as in `proto/sluice/v1/decisions.proto`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Decision<'a> {
    pub sequence: u64,
    pub asked: Asked,
    pub pool: Text<'a>,
    pub order_id: Text<'a>,
    pub attempt: u32,
    pub id: Text<'a>,
    pub outcome: Outcome,
    pub reason: Reason,
    pub state: OrderState,
    pub lines: DecisionLines<'a>,
    pub stock: Option<StockLevel<'a>>,
    pub expires_at_ms: i64,
    pub decided_at_ms: i64,
    pub content: u64,
    pub original: Option<Original>,
    pub field: u32,
    pub rules_level: u32,
    /// What selling rules came to; none where none had a part in it.
    pub selling: Option<Selling<'a>>,
}

/// What selling rules came to in a decision. Fields as in `proto/sluice/v1/decisions.proto`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Selling<'a> {
    pub set: Option<Rule<'a>>,
    pub counted: CountedUnits<'a>,
    pub customer: Text<'a>,
    pub keys: Listed<'a>,
    pub segments: Listed<'a>,
    pub channel: Text<'a>,
    pub opens_at_ms: i64,
    pub rule: u64,
    pub issued_at_ms: i64,
    pub service: Text<'a>,
    pub day: u32,
    pub cutoff_ms: i64,
    pub hold_until_ms: i64,
}

/// The counts that an order is in, from wherever they already stand.
#[derive(Clone, Copy, Debug)]
pub enum CountedUnits<'a> {
    /// As the ledger made them.
    Made(&'a [Counted]),
    /// Read from a link: the bytes of its Decision message.
    Logged(Listed<'a>),
}

impl Default for CountedUnits<'_> {
    fn default() -> Self {
        CountedUnits::Made(&[])
    }
}

impl<'a> CountedUnits<'a> {
    /// The counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = Counted> + use<'a> {
        let (made, logged) = match *self {
            CountedUnits::Made(made) => (made, Listed::default()),
            CountedUnits::Logged(logged) => (&[][..], logged),
        };
        made.iter().copied().chain(logged.entries().filter_map(|message| super::view::counted(message).ok()))
    }
}

/// Which command a decision answers, and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The topic it came from; unspecified for an expiry.
    pub input: Input,
    /// Offset of its record; 0 for an expiry.
    pub offset: i64,
    /// Its place within the record.
    pub index: u32,
    /// The partition of `replies` that also gets the decision.
    pub reply_partition: Option<u32>,
}

/// The decision that a repeated command was first given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Original {
    pub sequence: u64,
    pub outcome: Outcome,
    pub reason: Reason,
}

/// A stock row after a stock command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct StockLevel<'a> {
    pub sku: Text<'a>,
    pub change: i64,
    pub on_hand: i64,
    pub reserved: u64,
    pub committed: u64,
    pub safety_stock: u64,
    pub halted: bool,
    pub shortfall: u64,
    pub lot: Option<LotLevel<'a>>,
}

/// What became of one line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct DecisionLine<'a> {
    pub sku: Text<'a>,
    pub quantity: u32,
    pub allocated: u32,
    pub available: Option<i64>,
    pub reason: Reason,
    pub shortfall: u64,
    pub opens_at_ms: i64,
    pub left: Option<u64>,
    pub rule: u64,
    pub lots: LotsOfLine<'a>,
}

impl<'a> DecisionLine<'a> {
    /// A line and what was found out about it.
    #[inline]
    pub(super) fn of(sku: Text<'a>, quantity: u32, result: &LineResult) -> DecisionLine<'a> {
        let LineResult { allocated, available, reason, shortfall, opens_at_ms, left, rule } = *result;
        let lots = LotsOfLine::default();
        DecisionLine { sku, quantity, allocated, available, reason, shortfall, opens_at_ms, left, rule, lots }
    }
}

/// What the ledger found out about one line; SKU and quantity stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct LineResult {
    pub allocated: u32,
    pub available: Option<i64>,
    pub reason: Reason,
    pub shortfall: u64,
    pub opens_at_ms: i64,
    pub left: Option<u64>,
    pub rule: u64,
}

impl LineResult {
    /// Of a line so much of which was allocated, and of which there is nothing else to say.
    #[inline]
    pub const fn allocated(units: u32) -> LineResult {
        LineResult {
            allocated: units,
            available: None,
            reason: Reason::Unspecified,
            shortfall: 0,
            opens_at_ms: 0,
            left: None,
            rule: 0,
        }
    }
}

/// One line of an open order, as the ledger keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLine {
    /// The ledger's number for the stock row (pool and SKU).
    pub row: u32,
    /// Units reserved or committed.
    pub quantity: u32,
}

impl HeldLine {
    /// As [`HeldLines`] holds it.
    #[inline]
    pub fn to_bytes(self) -> [u8; HeldLines::LINE_BYTES] {
        (u64::from(self.row) | u64::from(self.quantity) << 32).to_le_bytes()
    }

    #[inline]
    fn from_bytes(bytes: &[u8; HeldLines::LINE_BYTES]) -> HeldLine {
        let both = u64::from_le_bytes(*bytes);
        HeldLine { row: both as u32, quantity: (both >> 32) as u32 }
    }
}

/// The lines of an open order, as the ledger keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeldLines<'a>(&'a [[u8; HeldLines::LINE_BYTES]]);

impl<'a> HeldLines<'a> {
    /// Bytes of a line.
    pub const LINE_BYTES: usize = 8;

    /// Lines as [`HeldLine::to_bytes`] gave them, one behind the other.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> HeldLines<'a> {
        HeldLines(bytes.as_chunks().0)
    }

    /// The lines, in order.
    #[inline]
    pub fn iter(&self) -> HeldLineIter<'a> {
        HeldLineIter(self.0.iter())
    }

    /// Line `i`, counted from 0.
    ///
    /// # Panics
    /// If there are no more than `i`.
    #[inline]
    pub fn line(&self, i: usize) -> HeldLine {
        HeldLine::from_bytes(&self.0[i])
    }
}

impl<'a> IntoIterator for HeldLines<'a> {
    type Item = HeldLine;
    type IntoIter = HeldLineIter<'a>;

    #[inline]
    fn into_iter(self) -> HeldLineIter<'a> {
        self.iter()
    }
}

/// Iterator of [`HeldLines::iter`].
#[derive(Clone, Debug)]
pub struct HeldLineIter<'a>(std::slice::Iter<'a, [u8; HeldLines::LINE_BYTES]>);

impl Iterator for HeldLineIter<'_> {
    type Item = HeldLine;

    #[inline]
    fn next(&mut self) -> Option<HeldLine> {
        self.0.next().map(HeldLine::from_bytes)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for HeldLineIter<'_> {}

/// Tells the SKU of a stock row.
pub trait SkuNames: std::fmt::Debug {
    /// The SKU of row `row`, which exists.
    fn sku(&self, row: u32) -> Text<'_>;
}

/// The lines of a decision, from wherever they already stand.
#[derive(Clone, Copy, Debug)]
pub enum DecisionLines<'a> {
    /// No lines.
    None,
    /// The command's own lines, with a result for each, or none if all of each was allocated.
    Asked(OrderLines<'a>, &'a [LineResult]),
    /// Lines that the ledger holds for an open order, all allocated; `results` has one entry a line or none.
    Held {
        /// The order's lines.
        lines: HeldLines<'a>,
        /// Where their SKUs stand.
        names: &'a dyn SkuNames,
        /// A result for each line, where there is more to say than that it was allocated.
        results: &'a [LineResult],
    },
    /// As [`DecisionLines::Asked`], all allocated, with the lots that they take from.
    AskedOfLots(OrderLines<'a>, &'a [LotPart]),
    /// As [`DecisionLines::Held`], with lots to be shown of some lines.
    HeldOfLots {
        /// The order's lines.
        lines: HeldLines<'a>,
        /// Where their SKUs stand.
        names: &'a dyn SkuNames,
        /// As there.
        results: &'a [LineResult],
        /// In the order of lines, and within a line in which they were taken.
        parts: &'a [LotPart],
    },
    /// Lines read from a link: the bytes of its Decision message.
    Logged(&'a [u8]),
}

impl<'a> Decision<'a> {
    /// Its lines, in order, wherever they stand.
    pub fn lines(&self) -> DecisionLineIter<'a> {
        self.lines.iter()
    }
}

impl<'a> DecisionLines<'a> {
    /// The lines, in order.
    pub fn iter(&self) -> DecisionLineIter<'a> {
        let (inner, parts): (_, &[_]) = match *self {
            DecisionLines::None => (Inner::None, &[]),
            DecisionLines::Asked(lines, results) => (Inner::Asked(lines.iter(), results.iter()), &[]),
            DecisionLines::AskedOfLots(lines, parts) => (Inner::Asked(lines.iter(), [].iter()), parts),
            DecisionLines::Held { lines, names, results } => (Inner::Held(lines.iter(), names, results.iter()), &[]),
            DecisionLines::HeldOfLots { lines, names, results, parts } => {
                (Inner::Held(lines.iter(), names, results.iter()), parts)
            }
            DecisionLines::Logged(decision) => (Inner::Logged(LoggedLines::new(decision)), &[]),
        };
        DecisionLineIter { inner, parts, line: 0 }
    }
}

/// Iterator of [`Decision::lines`].
#[derive(Clone, Debug)]
pub struct DecisionLineIter<'a> {
    inner: Inner<'a>,
    /// Those of the lines from `line` on.
    parts: &'a [LotPart],
    line: u32,
}

impl<'a> DecisionLineIter<'a> {
    /// The parts of the line that is next.
    fn next_parts(&mut self) -> LotsOfLine<'a> {
        let count = self.parts.iter().take_while(|part| part.line == self.line).count();
        let (of_line, rest) = self.parts.split_at(count);
        (self.parts, self.line) = (rest, self.line + 1);
        LotsOfLine::Made(of_line)
    }
}

#[derive(Clone, Debug)]
enum Inner<'a> {
    None,
    Asked(Lines<'a>, std::slice::Iter<'a, LineResult>),
    Held(HeldLineIter<'a>, &'a dyn SkuNames, std::slice::Iter<'a, LineResult>),
    Logged(LoggedLines<'a>),
}

impl<'a> Iterator for DecisionLineIter<'a> {
    type Item = DecisionLine<'a>;

    fn next(&mut self) -> Option<DecisionLine<'a>> {
        let (sku, quantity, results) = match &mut self.inner {
            Inner::None => return None,
            Inner::Logged(lines) => return lines.next(),
            Inner::Asked(lines, results) => {
                let line = lines.next()?;
                (line.sku, line.quantity, results)
            }
            Inner::Held(lines, names, results) => {
                let line = lines.next()?;
                (names.sku(line.row), line.quantity, results)
            }
        };
        let line = DecisionLine::of(sku, quantity, results.next().unwrap_or(&LineResult::allocated(quantity)));
        Some(DecisionLine { lots: self.next_parts(), ..line })
    }
}
