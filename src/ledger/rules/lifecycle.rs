//! What becomes of an order once it was placed: confirm, extend, cancel, expire, ship. RULES.md has the
//! table of what each does in each state.

use super::verdict::{LinesAtHand, ShownLines, Verdict};
use super::{id_fault, lots};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::closed::Ending;
use crate::ledger::state::identity::OrderRef;
use crate::ledger::state::known::Found;
use crate::ledger::state::orders::Kept;
use crate::ledger::state::{Reserve, State};
use crate::wire::ShippedLots;
use crate::wire::decision::LineResult;
use crate::wire::proto::{OrderState, Outcome, Reason};

impl State {
    pub(crate) fn confirm(&mut self, order: OrderRef<'_>, placed_at_ms: i64, foresight: &Foresight) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Open(slot), OrderState::Held) => {
                let lines = ShownLines::Held(self.commit(slot));
                Verdict { lines, ..Verdict::order(Outcome::Confirmed, OrderState::Committed) }
            }
            (Found::Unknown, _) => self.of_no_order(placed_at_ms),
            (_, OrderState::Committed | OrderState::Shipped) => Verdict::order(Outcome::Unchanged, state),
            _ => not_allowed(state),
        }
    }

    pub(crate) fn extend(
        &mut self,
        order: OrderRef<'_>,
        placed_at_ms: i64,
        foresight: &Foresight,
        expires_at_ms: i64,
    ) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Open(slot), OrderState::Held) => {
                let delivery = self.orders.delivery(self.orders.get(slot).kept);
                let expires_at_ms = delivery.map_or(expires_at_ms, |it| expires_at_ms.min(it.hold_until_ms));
                if expires_at_ms <= self.orders.get(slot).expires_at_ms {
                    return Verdict::order(Outcome::Unchanged, state);
                }
                if expires_at_ms > self.shard_time_ms.saturating_add_unsigned(self.rules.max_hold_ms) {
                    return Verdict::invalid(Reason::HoldTooLong);
                }
                self.orders.extend(slot, expires_at_ms);
                Verdict { expires_at_ms, ..Verdict::order(Outcome::Extended, state) }
            }
            (Found::Unknown, _) => self.of_no_order(placed_at_ms),
            (_, OrderState::Committed | OrderState::Shipped) => Verdict::order(Outcome::Unchanged, state),
            _ => not_allowed(state),
        }
    }

    pub(crate) fn cancel(&mut self, order: OrderRef<'_>, placed_at_ms: i64, foresight: &Foresight) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        match (found, state) {
            (Found::Unknown, _) if placed_at_ms == 0 || self.placed_at_fault(placed_at_ms).is_some() => {
                self.of_no_order(placed_at_ms)
            }
            (Found::Unknown, _) if self.is_busy(Reserve::Orders) => Verdict::of(Outcome::Busy),
            (Found::Unknown, _) => {
                let identity = order.identity();
                self.cancel_in_advance(identity, self.fingerprint(identity, foresight.fingerprint));
                let reason = Reason::BeforePlace;
                Verdict { reason, ..Verdict::order(Outcome::Noted, OrderState::Cancelled) }
            }
            (Found::Open(slot), _) => {
                let lines = ShownLines::Held(self.release(slot, Ending::Cancelled));
                Verdict { lines, ..Verdict::order(Outcome::Cancelled, OrderState::Cancelled) }
            }
            (_, OrderState::Shipped) => not_allowed(state),
            _ => Verdict::order(Outcome::Unchanged, state),
        }
    }

    pub(crate) fn ship(
        &mut self,
        order: OrderRef<'_>,
        named: &ShippedLots<'_>,
        foresight: &Foresight,
        lines: &mut LinesAtHand,
    ) -> Verdict {
        let (found, state) = match self.look_up(order, foresight) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        if let Some(reason) = lots::shipped_fault(named) {
            return Verdict::invalid(reason);
        }
        match (found, state) {
            (Found::Open(slot), OrderState::Committed) => {
                let kept = self.orders.get(slot).kept;
                if let Err(refusal) = self.find_shipped(kept, named, lines) {
                    return refusal;
                }
                let kept = self.hand_over(slot, &lines.shipped);
                self.tell_shortfalls(kept, lines);
                let lines = if kept.has_parts() {
                    self.show_shipped(kept, lines);
                    ShownLines::HeldOfLots(kept)
                } else {
                    ShownLines::HeldWithResults(kept)
                };
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
        let found = self.find(self.fingerprint(order.identity(), foresight.fingerprint));
        Ok((found, self.state(found)))
    }

    /// The answer about an order that is not known, to a command that may say when it was placed.
    fn of_no_order(&self, placed_at_ms: i64) -> Verdict {
        if placed_at_ms == 0 {
            return not_allowed(OrderState::Unspecified);
        }
        self.placed_at_fault(placed_at_ms).unwrap_or_else(|| not_allowed(OrderState::Unspecified))
    }

    /// The shortfall that each line's SKU is left with.
    fn tell_shortfalls(&self, kept: Kept, lines: &mut LinesAtHand) {
        lines.clear();
        lines.results.extend(self.orders.lines(kept).iter().map(|line| LineResult {
            shortfall: self.rows.figures(line.row).shortfall(),
            ..LineResult::allocated(line.quantity)
        }));
    }
}

fn not_allowed(state: OrderState) -> Verdict {
    let reason = match state {
        OrderState::Unspecified => Reason::UnknownOrder,
        _ => Reason::Unspecified,
    };
    Verdict { reason, ..Verdict::order(Outcome::NotAllowed, state) }
}
