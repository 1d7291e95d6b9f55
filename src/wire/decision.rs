//! One decision as the ledger makes and replays it: borrowed, so that nothing is allocated between the ledger and the
//! link that it is written into.

use super::command::{Lines, OrderLines};
use super::encode::result_or_all;
use super::proto::{Asked, Input, OrderState, Outcome, Reason};
use super::view::LoggedLines;

/// A decision, without its provenance ([`Source`]). Fields as in `proto/sluice/v1/decisions.proto`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Decision<'a> {
    pub sequence: u64,
    pub asked: Asked,
    pub pool: &'a str,
    pub order_id: &'a str,
    pub attempt: u32,
    pub id: &'a str,
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
    pub sku: &'a str,
    pub change: i64,
    pub on_hand: i64,
    pub reserved: u64,
    pub committed: u64,
    pub safety_stock: u64,
    pub halted: bool,
    pub shortfall: u64,
}

/// What became of one line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct DecisionLine<'a> {
    pub sku: &'a str,
    pub quantity: u32,
    pub allocated: u32,
    pub available: Option<i64>,
    pub reason: Reason,
    pub shortfall: u64,
}

/// What the ledger found out about one line; SKU and quantity stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct LineResult {
    pub allocated: u32,
    pub available: Option<i64>,
    pub reason: Reason,
    pub shortfall: u64,
}

/// One line of an open order, as the ledger keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLine {
    /// The ledger's number for the stock row (pool and SKU).
    pub row: u32,
    /// Units reserved or committed.
    pub quantity: u32,
}

/// Tells the SKU of a stock row.
pub trait SkuNames: std::fmt::Debug {
    /// The SKU of row `row`, which exists.
    fn sku(&self, row: u32) -> &str;
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
        lines: &'a [HeldLine],
        /// Where their SKUs stand.
        names: &'a dyn SkuNames,
        /// A result for each line, where there is more to say than that it was allocated.
        results: &'a [LineResult],
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
        DecisionLineIter(match *self {
            DecisionLines::None => Inner::None,
            DecisionLines::Asked(lines, results) => Inner::Asked(lines.iter(), results.iter()),
            DecisionLines::Held { lines, names, results } => Inner::Held(lines.iter(), names, results.iter()),
            DecisionLines::Logged(decision) => Inner::Logged(LoggedLines::new(decision)),
        })
    }
}

/// Iterator of [`Decision::lines`].
#[derive(Clone, Debug)]
pub struct DecisionLineIter<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    None,
    Asked(Lines<'a>, std::slice::Iter<'a, LineResult>),
    Held(std::slice::Iter<'a, HeldLine>, &'a dyn SkuNames, std::slice::Iter<'a, LineResult>),
    Logged(LoggedLines<'a>),
}

impl<'a> Iterator for DecisionLineIter<'a> {
    type Item = DecisionLine<'a>;

    fn next(&mut self) -> Option<DecisionLine<'a>> {
        let (sku, quantity, results) = match &mut self.0 {
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
        let LineResult { allocated, available, reason, shortfall } = result_or_all(results.next(), quantity);
        Some(DecisionLine { sku, quantity, allocated, available, reason, shortfall })
    }
}
