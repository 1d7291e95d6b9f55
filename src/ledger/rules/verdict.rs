//! What was decided about one command, before it is given the strings and lines that it speaks of.

use crate::ledger::state::orders::Kept;
use crate::wire::Original;
use crate::wire::decision::{HeldLine, LineResult};
use crate::wire::proto::{OrderState, Outcome, Reason};

/// The lines of the order at hand, and what was found out about them. The caller's, and used again for each order.
#[derive(Debug, Default)]
pub(crate) struct LinesAtHand {
    /// The stock row of each line, and the units.
    pub(crate) held: Vec<HeldLine>,
    /// One for each line, or none where all of each was allocated.
    pub(crate) results: Vec<LineResult>,
    /// What was reserved in one go, while an assertion asks the ladder too.
    pub(crate) in_one_go: Vec<HeldLine>,
}

impl LinesAtHand {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.results.clear();
    }
}

/// Why an order is not reserved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) reason: Reason,
    /// The decision shows the order's lines, with what stood in the way of each.
    pub(crate) lines: ShownLines,
}

impl Bar {
    /// Something about the whole order stands in its way.
    pub(crate) fn of_pool(reason: Reason) -> Bar {
        Bar { reason, lines: ShownLines::None }
    }

    /// Some lines stand in its way; [`LinesAtHand::results`] says which.
    pub(crate) fn of_lines(reason: Reason) -> Bar {
        Bar { reason, lines: ShownLines::Asked }
    }
}

/// Lines that a decision shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ShownLines {
    None,
    /// The command's, with the ledger's results.
    Asked,
    /// An order's.
    Held(Kept),
    /// An order's, with the ledger's results.
    HeldWithResults(Kept),
}

/// The stock that a decision shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ShownStock {
    None,
    Row { row: u32, change: i64 },
    Pool { halted: bool },
}

/// A decision without what it echoes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub outcome: Outcome,
    pub reason: Reason,
    pub state: OrderState,
    pub lines: ShownLines,
    pub stock: ShownStock,
    pub expires_at_ms: i64,
    pub content: u64,
    pub original: Option<Original>,
    pub field: u32,
    pub rules_level: u32,
}

impl Verdict {
    /// An outcome that says it all.
    pub(crate) fn of(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            reason: Reason::Unspecified,
            state: OrderState::Unspecified,
            lines: ShownLines::None,
            stock: ShownStock::None,
            expires_at_ms: 0,
            content: 0,
            original: None,
            field: 0,
            rules_level: 0,
        }
    }

    /// Refused: the command itself is wrong.
    pub(crate) fn invalid(reason: Reason) -> Verdict {
        Verdict { reason, ..Verdict::of(Outcome::Invalid) }
    }

    /// The outcome leaves an order in, or found it in, `state`.
    pub(crate) fn order(outcome: Outcome, state: OrderState) -> Verdict {
        Verdict { state, ..Verdict::of(outcome) }
    }
}
