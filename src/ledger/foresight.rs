//! Looking ahead: what a command will need of memory is fetched for many commands at once, before the first of them is
//! decided. What is foreseen are hints; whatever is applied in between, each is checked before it is believed.

use super::Ledger;
use super::state::identity::OrderRef;
use super::store::index::Fingerprint;
use crate::wire::proto::{Asked, Outcome};
use crate::wire::{Command, Decision, Kind, Place, Text};

/// Commands, or logged decisions, that are looked up ahead of the first of them, so that what the ledger needs for them
/// is fetched from memory in one go: enough that the last of them does not wait for the first.
pub const READ_AHEAD: usize = 32;

/// Lines of an order whose stock rows are looked up ahead; few orders have more.
const FORESEEN_LINES: usize = 4;

/// What a look ahead found out about a command: fingerprints, which follow from the command alone, and hints that save
/// work, never a part of the decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foresight {
    /// Fingerprint of the order that the command names.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Where the index says that this order is, or another one. Not asked for a Place of stock that is known.
    likely: Option<u32>,
    /// SKU hashes of the first `lines` lines of a Place.
    skus: [u64; FORESEEN_LINES],
    lines: usize,
    /// Stock rows of these lines, if there are any: to be looked at before they are believed.
    rows: [u32; FORESEEN_LINES],
    /// The pool of a Place, where rules may look at who asks.
    ruled: Option<u32>,
    /// Then fingerprints of its customer and its channel.
    customer: Fingerprint,
    channel: Fingerprint,
}

impl Foresight {
    /// The stock row foreseen for line `i`, to be looked at before it is believed.
    #[inline]
    pub(super) fn row(&self, i: usize) -> Option<u32> {
        self.rows[..self.lines].get(i).copied()
    }

    /// The fingerprint of the customer.
    #[inline]
    pub(super) fn customer(&self) -> Option<Fingerprint> {
        self.ruled.map(|_| self.customer)
    }

    /// The fingerprint of the channel.
    #[inline]
    pub(super) fn channel(&self) -> Option<Fingerprint> {
        self.ruled.map(|_| self.channel)
    }
}

impl Ledger {
    /// Hashes what [`Ledger::apply_foreseen`] will look up for `command`. For some commands of a batch, before the first
    /// of them is applied; [`Ledger::fetch`] follows. Whatever is applied in between, the decision is the same.
    #[inline]
    pub fn foresee(&self, command: &Command<'_>) -> Foresight {
        let pool = command.pool;
        match command.kind {
            Kind::Place(Place { order_id, attempt, lines, customer, channel, .. }) => {
                let foresight = self.foresee_order(OrderRef { pool, order_id, attempt });
                let foresight = self.foresee_lines(foresight, pool, lines.into_iter().map(|line| line.sku));
                if self.state.selling.looks_at_askers() {
                    self.foresee_asker(foresight, pool, customer, channel)
                } else {
                    foresight
                }
            }
            Kind::Confirm { order_id, attempt, .. }
            | Kind::Extend { order_id, attempt, .. }
            | Kind::Cancel { order_id, attempt, .. }
            | Kind::Ship { order_id, attempt, .. } => self.foresee_order(OrderRef { pool, order_id, attempt }),
            Kind::Stock { .. } | Kind::Tick { .. } | Kind::RaiseRulesLevel { .. } | Kind::Unknown | Kind::Malformed => {
                Foresight::default()
            }
        }
    }

    /// As [`Ledger::foresee`], of a logged decision that is to be replayed.
    #[inline]
    pub fn foresee_replay(&self, decision: &Decision<'_>) -> Foresight {
        let Decision { pool, order_id, attempt, .. } = *decision;
        let order = OrderRef { pool, order_id, attempt };
        match decision.asked {
            // Answers and refusals change nothing.
            _ if decision.outcome >= Outcome::Duplicate => Foresight::default(),
            Asked::Place if decision.outcome == Outcome::Reserved => {
                self.foresee_lines(self.foresee_order(order), pool, decision.lines().map(|line| line.sku))
            }
            Asked::Place | Asked::Confirm | Asked::Extend | Asked::Cancel | Asked::Expire | Asked::Ship => {
                self.foresee_order(order)
            }
            _ => Foresight::default(),
        }
    }

    #[inline]
    fn foresee_order(&self, order: OrderRef<'_>) -> Foresight {
        let fingerprint = order.identity().checked().map(|identity| self.state.fingerprints.of(identity));
        Foresight { fingerprint, ..Foresight::default() }
    }

    /// Adds the first lines to what was foreseen of their order.
    #[inline]
    fn foresee_lines<'a>(
        &self,
        mut foresight: Foresight,
        pool: Text<'_>,
        skus: impl Iterator<Item = Text<'a>>,
    ) -> Foresight {
        if let Some(pool) = self.state.rows.pool(pool) {
            for (hash, sku) in foresight.skus.iter_mut().zip(skus) {
                *hash = self.state.rows.hash(pool, sku);
                foresight.lines += 1;
            }
        }
        foresight
    }

    /// Adds who asks.
    #[inline(never)]
    fn foresee_asker(&self, foresight: Foresight, pool: Text<'_>, customer: Text<'_>, channel: Text<'_>) -> Foresight {
        let [customer, channel] = [customer, channel].map(|key| self.state.fingerprints.of_key(key));
        Foresight { ruled: self.state.rows.pool(pool), customer, channel, ..foresight }
    }

    /// Reads the memory that deciding these commands begins with, so that it is in the cache by then. In `apply` each
    /// read is waited for; here none waits for another, and a core has a dozen under way at once.
    #[inline]
    pub fn fetch(&self, ahead: &mut [Foresight]) {
        self.state.index.touch(ahead.iter().filter_map(|foresight| foresight.fingerprint));
        for foresight in ahead.iter_mut() {
            // What is placed is seldom known, and looking costs each of them more than it saves the few.
            if foresight.lines == 0 {
                foresight.likely = foresight.fingerprint.and_then(|fingerprint| self.state.index.likely(fingerprint));
            }
            for (row, hash) in foresight.rows.iter_mut().zip(&foresight.skus[..foresight.lines]) {
                *row = self.state.rows.likely_row(*hash);
            }
        }
        let rows = || ahead.iter().flat_map(|foresight| &foresight.rows[..foresight.lines]);
        if self.state.rows.touch(rows()) || self.state.selling.looks_at_askers() {
            self.fetch_rules(ahead);
        }
        self.state.touch(ahead.iter().filter_map(|foresight| foresight.likely));
    }
    /// The same of rules, and of what limits have counted.
    #[inline(never)]
    fn fetch_rules(&self, ahead: &[Foresight]) {
        let rows = &self.state.rows;
        let mut scopes = [(0, None); READ_AHEAD * FORESEEN_LINES];
        let mut count = 0;
        for foresight in ahead.iter().take(READ_AHEAD) {
            for row in &foresight.rows[..foresight.lines] {
                if let Some(scope) = rows.likely_scope(*row) {
                    scopes[count] = (scope, foresight.channel());
                    count += 1;
                }
            }
        }
        self.state.selling.touch(&scopes[..count]);
        let counted = ahead.iter().filter_map(|foresight| {
            let limit = self.state.likely_limit(foresight.ruled?, foresight.row(0)?)?;
            Some(self.state.counts.fingerprint(limit, foresight.customer))
        });
        self.state.counts.touch(counted);
    }
}
