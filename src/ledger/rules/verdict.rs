//! What was decided about one command, before it is given the strings and lines that it speaks of.

use crate::ledger::state::counts::CountKey;
use crate::ledger::state::orders::{Kept, Taken};
use crate::ledger::store::index::Fingerprint;
use crate::wire::Counted;
use crate::wire::LotPart;
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
    /// Whether a guard about rules was asked, or anything of what follows is filled: else all of it is empty. Whoever fills
    /// it says so.
    pub(crate) ruled: bool,
    /// What was reserved in one go, while an assertion asks the ladder too.
    pub(crate) in_one_go: Vec<HeldLine>,
    /// The counts that it is in, likewise: what the ladder finds stands in their place by then.
    pub(crate) taken_in_one_go: Vec<Taken>,
    /// Units of the order by limit, while its lines climb.
    pub(crate) tally: Vec<Tallied>,
    pub(crate) shares: SharesAtHand,
    /// The counts that the order is in.
    pub(crate) taken: Vec<Taken>,
    /// The same, as the decision shows them.
    pub(crate) counted: Vec<Counted>,
    /// What the order takes of each lot, in the order of lines; or what its decision shows of that.
    pub(crate) parts: Vec<LotPart>,
    /// What was taken of lots in one go, while an assertion asks the ladder too.
    pub(crate) parts_in_one_go: Vec<LotPart>,
    /// What left of each lot in fact, in the order of lines.
    pub(crate) shipped: Vec<LotPart>,
    /// The lots that a Ship names.
    pub(crate) named: Vec<NamedUnits>,
    pub(crate) passed: Passed,
    pub(crate) barred: Barred,
    /// The day of the order, or the next one that it could have had.
    pub(crate) delivery: Option<OnDay>,
    /// The service that would deliver it on that day.
    pub(crate) service: String,
}

/// A delivery day, and what the order keeps of it. All 0: none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnDay {
    pub(crate) day: u32,
    pub(crate) cutoff_ms: i64,
    pub(crate) hold_until_ms: i64,
    /// The count of its orders.
    pub(crate) count: u32,
}

/// What an order asks of one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tallied {
    pub(crate) limit: u32,
    pub(crate) key: CountKey,
    /// Units counted before this order.
    pub(crate) before: u64,
    /// Units of the lines so far, as they were asked.
    pub(crate) units: u64,
}

/// What the order at hand has of channels' shares, while its lines climb.
#[derive(Debug, Default)]
pub(crate) struct SharesAtHand {
    /// Of its channel, once a line met a rule.
    pub(crate) channel: Option<Fingerprint>,
    pub(crate) shared: Vec<Shared>,
}

/// What an order asks of one SKU that is shared among channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) row: u32,
    /// The share that it draws on, if there is one for it.
    pub(crate) own: Option<usize>,
    /// Units of the lines so far, as they were asked.
    pub(crate) units: u32,
    /// How they are counted by that share; the units are filled in at last.
    pub(crate) taken: Option<Taken>,
}

/// Units that a Ship names of one lot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedUnits {
    pub(crate) row: u32,
    pub(crate) number: u16,
    pub(crate) units: u32,
    /// Those that no line has yet.
    pub(crate) left: u32,
}

impl LinesAtHand {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.results.clear();
        if self.ruled {
            self.clear_of_rules();
        }
    }

    #[inline(never)]
    fn clear_of_rules(&mut self) {
        self.ruled = false;
        self.tally.clear();
        self.shares.channel = None;
        self.shares.shared.clear();
        self.taken.clear();
        self.parts.clear();
        self.delivery = None;
    }
}

/// What stands in the way of a line, or of anything of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineBar {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    /// From when on it does not; 0 if that is not known.
    pub(crate) opens_at_ms: i64,
    /// Units that would have been possible.
    pub(crate) left: Option<u64>,
    /// The rule that stands there, by the sequence at which it was set.
    pub(crate) rule: u64,
}

impl LineBar {
    /// A reason to reject, of no rule.
    pub(crate) fn new(reason: Reason) -> LineBar {
        LineBar { outcome: Outcome::Rejected, reason, opens_at_ms: 0, left: None, rule: 0 }
    }
}

/// Why an order is not reserved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    /// The decision shows the order's lines, with what stood in the way of each.
    pub(crate) lines: ShownLines,
    pub(crate) opens_at_ms: i64,
    /// The pool's rule that stood in the way; of lines each names its own.
    pub(crate) rule: u64,
}

impl Bar {
    /// Something about the whole order stands in its way.
    pub(crate) fn of_pool(bar: LineBar) -> Bar {
        let LineBar { outcome, reason, opens_at_ms, rule, .. } = bar;
        Bar { outcome, reason, lines: ShownLines::None, opens_at_ms, rule }
    }

    /// Some lines stand in its way; [`LinesAtHand::results`] says which.
    pub(crate) fn of_lines(outcome: Outcome, reason: Reason) -> Bar {
        Bar { outcome, reason, lines: ShownLines::Asked, opens_at_ms: 0, rule: 0 }
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
    /// The command's, all allocated, with [`LinesAtHand::parts`].
    AskedOfLots,
    /// An order's, with the ledger's results and [`LinesAtHand::parts`].
    HeldOfLots(Kept),
}

/// The stock that a decision shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ShownStock {
    None,
    Row {
        row: u32,
        change: i64,
    },
    /// A row, and one lot of it that the command names.
    Lot {
        row: u32,
        change: i64,
        number: u16,
        expiry: u32,
    },
    Pool {
        halted: bool,
    },
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
    pub selling: ShownSelling,
}

/// What a decision tells of selling rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownSelling {
    None,
    /// The command's rule, which was set.
    Set,
    /// [`LinesAtHand::passed`], and the counts that the order is in.
    Passed,
    /// [`LinesAtHand::barred`].
    Barred,
    /// [`LinesAtHand::delivery`] alone.
    Delivery,
}

/// By which of what it brought an order passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    /// A bit for each of its segments, and of its keys.
    pub(crate) segments: u16,
    pub(crate) keys: u16,
    /// Whether a count goes by its customer, and by its channel.
    pub(crate) customer: bool,
    pub(crate) channel: bool,
}

/// What stood in the way of a whole order, or of a rule.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Barred {
    pub(crate) opens_at_ms: i64,
    pub(crate) rule: u64,
    /// Of the rule that a stale one would have replaced.
    pub(crate) issued_at_ms: i64,
    /// Whether it went by the order's channel.
    pub(crate) channel: bool,
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
            selling: ShownSelling::None,
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
