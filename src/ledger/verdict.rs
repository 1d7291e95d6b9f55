//! What was decided about one command, before it is given the strings and lines that it speaks of.

use super::orders::Kept;
use crate::wire::Original;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// Lines of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
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
pub(super) enum Shown {
    None,
    Row { row: u32, change: i64 },
    Pool { halted: bool },
}

/// A decision without what it echoes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub outcome: Outcome,
    pub reason: Reason,
    pub state: OrderState,
    pub lines: Lines,
    pub stock: Shown,
    pub expires_at_ms: i64,
    pub content: u64,
    pub original: Option<Original>,
    pub field: u32,
}

impl Verdict {
    /// An outcome that says it all.
    pub(super) fn of(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            reason: Reason::Unspecified,
            state: OrderState::Unspecified,
            lines: Lines::None,
            stock: Shown::None,
            expires_at_ms: 0,
            content: 0,
            original: None,
            field: 0,
        }
    }

    /// Refused: the command itself is wrong.
    pub(super) fn invalid(reason: Reason) -> Verdict {
        Verdict { reason, ..Verdict::of(Outcome::Invalid) }
    }

    /// The outcome leaves an order in, or found it in, `state`.
    pub(super) fn order(outcome: Outcome, state: OrderState) -> Verdict {
        Verdict { state, ..Verdict::of(outcome) }
    }
}
