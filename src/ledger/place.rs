//! Place: all lines of an order or none.

use super::identity::Identity;
use super::known::Found;
use super::orders::NewOrder;
use super::records::{Fate, Remembered};
use super::verdict::{Lines, Verdict};
use super::{Foresight, Ledger};
use crate::wire::content;
use crate::wire::decision::{HeldLine, LineResult};
use crate::wire::limits::{MAX_ID_BYTES, MAX_LINES, MAX_QUANTITY};
use crate::wire::proto::{OrderState, Outcome, Reason};
use crate::wire::{OrderLines, Place, Text};

/// A line that did not stand in the way of an order that is rejected.
const NOT_ALLOCATED: LineResult =
    LineResult { allocated: 0, available: None, reason: Reason::Unspecified, shortfall: 0 };

impl Ledger {
    pub(super) fn place(
        &mut self,
        (pool, known_pool): (Text<'_>, Option<u32>),
        it: &Place<'_>,
        foresight: &Foresight,
        engine_time_ms: i64,
    ) -> Verdict {
        if let Some(reason) = self.fault_of(it) {
            return Verdict::invalid(reason);
        }
        if it.placed_at_ms < self.shard_time_ms.saturating_sub_unsigned(self.rules.window_ms) {
            return Verdict::of(Outcome::TooOld);
        }
        let identity = Identity::Order { pool, order_id: it.order_id, attempt: it.attempt };
        let fingerprint = self.fingerprint(identity, foresight);
        let found = self.find(fingerprint);
        let content = content::of_order(pool, it.customer, it.channel, it.placed_at_ms, it.lines);
        if let Some((original, placed)) = self.original(found) {
            let outcome = if placed == content { Outcome::Duplicate } else { Outcome::Conflict };
            return Verdict { original: Some(original), ..Verdict::order(outcome, self.state(found)) };
        }
        if it.answer_by_ms != 0 && engine_time_ms > it.answer_by_ms {
            return Verdict::of(Outcome::Deadline);
        }
        if let Some(reason) = self.attempt_fault(pool, it) {
            return Verdict::invalid(reason);
        }
        let (reason, lines) = self.reserve(known_pool, it.lines, foresight, found);
        let Some(reason) = reason else {
            let expires_at_ms = self.shard_time_ms.saturating_add_unsigned(match it.hold_ms {
                0 => self.rules.default_hold_ms,
                asked => asked,
            });
            let slot = self.orders.open(NewOrder {
                fingerprint,
                pool: known_pool.expect("stock was reserved in it"),
                order_id: it.order_id,
                attempt: it.attempt,
                content,
                sequence: self.sequence,
                expires_at_ms,
                lines: &self.held,
            });
            self.enter_open(fingerprint, slot);
            return Verdict { lines, expires_at_ms, content, ..Verdict::order(Outcome::Reserved, OrderState::Held) };
        };
        let fate = Fate::rejected(reason).expect("a reason that an order is rejected for");
        self.remember(identity, fingerprint, found, Remembered { content, sequence: self.sequence, fate });
        Verdict { reason, lines, content, ..Verdict::order(Outcome::Rejected, OrderState::Rejected) }
    }

    /// What is wrong with the command itself.
    fn fault_of(&self, it: &Place<'_>) -> Option<Reason> {
        if let Some(reason) = id_fault(it.order_id).or_else(|| id_fault(it.customer)) {
            return Some(reason);
        }
        if it.channel.len() > MAX_ID_BYTES {
            return Some(Reason::IdTooLong);
        }
        if it.lines.is_empty() {
            return Some(Reason::NoLines);
        }
        if it.lines.len() > MAX_LINES {
            return Some(Reason::TooManyLines);
        }
        for line in it.lines {
            if let Some(reason) = length_fault(line.sku.len()) {
                return Some(reason);
            }
            if !(1..=MAX_QUANTITY).contains(&line.quantity) {
                return Some(Reason::Quantity);
            }
        }
        if it.hold_ms > self.rules.max_hold_ms {
            return Some(Reason::HoldTooLong);
        }
        self.clock_fault(it.placed_at_ms)
    }

    /// A client's `placed_at` or `issued_at` that is missing or too far ahead.
    pub(super) fn clock_fault(&self, at_ms: i64) -> Option<Reason> {
        let latest_ms = self.shard_time_ms.saturating_add_unsigned(self.rules.skew_ms);
        (at_ms <= 0 || at_ms > latest_ms).then_some(Reason::PlacedAt)
    }

    /// A raised attempt, though the one before has not been placed and ended.
    fn attempt_fault(&self, pool: Text<'_>, it: &Place<'_>) -> Option<Reason> {
        let before = it.attempt.checked_sub(1)?;
        let found = self.find(self.fingerprints.of(Identity::Order { pool, order_id: it.order_id, attempt: before }));
        // Cancelled in advance is not ended: were it, two attempts could be open at once, this one and that on which
        // the one before would have had to wait.
        self.original(found).map_or(Some(Reason::AttemptUnknown), |_| match self.state(found) {
            OrderState::Held | OrderState::Committed | OrderState::Shipped => Some(Reason::AttemptOpen),
            _ => None,
        })
    }

    /// Reserves all lines, which then stand in `self.held`; or none, for the reason given. What is known of each line
    /// stands in `self.results` if the lines are to be shown and not all of them were allocated.
    #[inline]
    fn reserve(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        foresight: &Foresight,
        found: Found,
    ) -> (Option<Reason>, Lines) {
        self.results.clear();
        if found != Found::Unknown {
            return (Some(Reason::Cancelled), Lines::None);
        }
        if pool.is_some_and(|pool| self.rows.pool_halted(pool)) {
            return (Some(Reason::Halted), Lines::None);
        }
        self.held.clear();
        for (i, line) in lines.iter().enumerate() {
            match pool.and_then(|pool| self.row(pool, line.sku, foresight, i)) {
                Some(row) if self.rows.reserve(row, line.quantity) => {
                    self.held.push(HeldLine { row, quantity: line.quantity });
                }
                _ => return (Some(self.explain(pool, lines)), Lines::Asked),
            }
        }
        for line in &self.held {
            self.rows.note(line.row, self.records.now());
        }
        (None, Lines::Asked)
    }

    /// The stock row of line `i`, which somebody may have foreseen.
    #[inline]
    pub(super) fn row(&self, pool: u32, sku: Text<'_>, foresight: &Foresight, i: usize) -> Option<u32> {
        match foresight.rows[..foresight.lines].get(i) {
            Some(row) if self.rows.is(*row, pool, sku) => Some(*row),
            _ => self.rows.row(pool, sku),
        }
    }

    /// Why not all lines can be reserved, and in `self.results` which. Takes back what `reserve` did, and walks the
    /// ladder from its top: a SKU that is unknown outweighs one that is halted, and that one that is short.
    #[cold]
    fn explain(&mut self, pool: Option<u32>, lines: OrderLines<'_>) -> Reason {
        for line in self.held.drain(..) {
            self.rows.give_back(line.row, line.quantity);
        }
        for line in lines {
            let row = pool.and_then(|pool| self.rows.row(pool, line.sku));
            self.held.extend(row.map(|row| HeldLine { row, quantity: line.quantity }));
            let reason = if row.is_none() { Reason::UnknownSku } else { Reason::Unspecified };
            self.results.push(LineResult { reason, ..NOT_ALLOCATED });
        }
        if self.held.len() < self.results.len() {
            return Reason::UnknownSku;
        }
        let mut halted = false;
        for (line, result) in self.held.iter().zip(&mut self.results) {
            if self.rows.figures(line.row).halted {
                result.reason = Reason::Halted;
                halted = true;
            }
        }
        if halted {
            return Reason::Halted;
        }
        for (line, result) in self.held.iter().zip(&mut self.results) {
            if self.rows.reserve(line.row, line.quantity) {
                result.allocated = line.quantity;
            } else {
                let available = Some(self.rows.figures(line.row).available());
                *result = LineResult { available, reason: Reason::OutOfStock, ..NOT_ALLOCATED };
            }
        }
        for (line, result) in self.held.iter().zip(&mut self.results) {
            self.rows.give_back(line.row, result.allocated);
            result.allocated = 0;
        }
        Reason::OutOfStock
    }
}

/// An id that is missing or too long.
pub(super) fn id_fault(id: Text<'_>) -> Option<Reason> {
    length_fault(id.len())
}

fn length_fault(id_bytes: usize) -> Option<Reason> {
    match id_bytes {
        0 => Some(Reason::MissingId),
        1..=MAX_ID_BYTES => None,
        _ => Some(Reason::IdTooLong),
    }
}
