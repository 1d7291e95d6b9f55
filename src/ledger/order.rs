//! What becomes of an order once it was placed: confirm, extend, cancel, expire, ship. RULES.md has the
//! table of what each does in each state.

use super::identity::Identity;
use super::known::Found;
use super::orders::{Kept, OpenOrder};
use super::place::id_fault;
use super::records::{Fate, Remembered};
use super::verdict::{Lines, Verdict};
use super::{Foresight, Ledger};
use crate::wire::Text;
use crate::wire::decision::LineResult;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// The order that a command speaks of.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderRef<'a> {
    pub pool: Text<'a>,
    pub order_id: Text<'a>,
    pub attempt: u32,
}

impl<'a> OrderRef<'a> {
    pub(super) fn identity(&self) -> Identity<'a> {
        Identity::Order { pool: self.pool, order_id: self.order_id, attempt: self.attempt }
    }
}

impl Ledger {
    pub(super) fn confirm(&mut self, order: OrderRef<'_>, foresight: &Foresight) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Open(slot), OrderState::Held) => {
                let lines = Lines::Held(self.commit(slot));
                Verdict { lines, ..Verdict::order(Outcome::Confirmed, OrderState::Committed) }
            }
            (_, OrderState::Committed | OrderState::Shipped) => Verdict::order(Outcome::Unchanged, state),
            _ => not_allowed(state),
        }
    }

    pub(super) fn extend(&mut self, order: OrderRef<'_>, foresight: &Foresight, expires_at_ms: i64) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Open(slot), OrderState::Held) => {
                if expires_at_ms <= self.orders.get(slot).expires_at_ms {
                    return Verdict::order(Outcome::Unchanged, state);
                }
                if expires_at_ms > self.shard_time_ms.saturating_add_unsigned(self.rules.max_hold_ms) {
                    return Verdict::invalid(Reason::HoldTooLong);
                }
                self.orders.extend(slot, expires_at_ms);
                Verdict { expires_at_ms, ..Verdict::order(Outcome::Extended, state) }
            }
            (_, OrderState::Committed | OrderState::Shipped) => Verdict::order(Outcome::Unchanged, state),
            _ => not_allowed(state),
        }
    }

    pub(super) fn cancel(&mut self, order: OrderRef<'_>, foresight: &Foresight) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Unknown, _) => {
                self.cancel_in_advance(order, foresight);
                let reason = Reason::BeforePlace;
                Verdict { reason, ..Verdict::order(Outcome::Cancelled, OrderState::Cancelled) }
            }
            (Found::Open(slot), _) => {
                let lines = Lines::Held(self.release(slot, Fate::Cancelled));
                Verdict { lines, ..Verdict::order(Outcome::Cancelled, OrderState::Cancelled) }
            }
            (_, OrderState::Shipped) => not_allowed(state),
            _ => Verdict::order(Outcome::Unchanged, state),
        }
    }

    pub(super) fn ship(&mut self, order: OrderRef<'_>, foresight: &Foresight) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Open(slot), OrderState::Committed) => {
                let lines = Lines::HeldWithResults(self.hand_over(slot));
                Verdict { lines, ..Verdict::order(Outcome::Shipped, OrderState::Shipped) }
            }
            (_, OrderState::Shipped) => Verdict::order(Outcome::Unchanged, state),
            _ => not_allowed(state),
        }
    }

    fn look_up(&self, order: OrderRef<'_>, foresight: &Foresight) -> Result<(Found, OrderState), Verdict> {
        if let Some(reason) = id_fault(order.order_id) {
            return Err(Verdict::invalid(reason));
        }
        let found = self.find(self.fingerprint(order.identity(), foresight));
        Ok((found, self.state(found)))
    }

    /// An order that is not known is cancelled.
    pub(super) fn cancel_in_advance(&mut self, order: OrderRef<'_>, foresight: &Foresight) {
        let identity = order.identity();
        let what = Remembered { content: 0, sequence: 0, fate: Fate::CancelledBeforePlace };
        self.remember(identity, self.fingerprint(identity, foresight), Found::Unknown, what);
    }

    /// Reserved becomes committed.
    pub(super) fn commit(&mut self, slot: u32) -> Kept {
        let OpenOrder { kept, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| {
                figures.reserved -= i64::from(line.quantity);
                figures.committed += i64::from(line.quantity);
            });
        }
        self.orders.confirm(slot);
        kept
    }

    /// Gives back what a held or committed order holds, and closes it.
    pub(super) fn release(&mut self, slot: u32, fate: Fate) -> Kept {
        let OpenOrder { kept, state, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| match state {
                OrderState::Committed => figures.committed -= i64::from(line.quantity),
                _ => figures.reserved -= i64::from(line.quantity),
            });
        }
        self.close(slot, fate);
        kept
    }

    /// What a committed order holds leaves the warehouse, and the order is closed. The shortfall that each line's SKU
    /// is left with stands in `self.results`.
    pub(super) fn hand_over(&mut self, slot: u32) -> Kept {
        let OpenOrder { kept, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| {
                figures.committed -= i64::from(line.quantity);
                figures.on_hand -= i64::from(line.quantity);
            });
        }
        self.results.clear();
        self.results.extend(self.orders.lines(kept).iter().map(|line| LineResult {
            allocated: line.quantity,
            available: None,
            reason: Reason::Unspecified,
            shortfall: self.rows.figures(line.row).shortfall(),
        }));
        self.close(slot, Fate::Shipped);
        kept
    }
}

fn not_allowed(state: OrderState) -> Verdict {
    let reason = match state {
        OrderState::Unspecified => Reason::UnknownOrder,
        _ => Reason::Unspecified,
    };
    Verdict { reason, ..Verdict::order(Outcome::NotAllowed, state) }
}
