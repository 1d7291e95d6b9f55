//! What is done to the state, each thing by one function: live work calls it once it has decided, replay once it has read
//! the decision. Nothing here judges.

use crate::ledger::state::State;
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::Identity;
use crate::ledger::state::known::Found;
use crate::ledger::state::orders::{Kept, NewOrder, OpenOrder};
use crate::ledger::store::index::Fingerprint;
use crate::wire::proto::OrderState;
use crate::wire::{Rule, Text};

/// What a stock command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StockEffect {
    /// on_hand changes by so many units.
    OnHand(i64),
    SafetyStock(i64),
    /// The SKU is halted, or sold again.
    Halted(bool),
    /// The whole pool is halted, or sold again.
    PoolHalted(bool),
}

impl State {
    /// An order is held: each of its lines was taken by [`Rows::hold`](crate::ledger::state::rows::Rows::hold), and
    /// stays so.
    #[inline]
    pub(crate) fn hold(&mut self, order: &NewOrder<'_>) {
        for line in order.lines {
            self.rows.note(line.row, self.records.now());
        }
        for taken in order.taken {
            self.counts.add(taken.limit, (taken.count, taken.period), &taken.key, taken.units);
        }
        let slot = self.orders.open(order);
        self.enter_open(order.fingerprint, slot);
    }

    /// Sets a selling rule, or removes the one that stands.
    pub(crate) fn set_rule(&mut self, pool: Text<'_>, rule: &Rule<'_>, issued_at_ms: i64) {
        match rule {
            Rule::Sale(sale) => self.set_sale(pool, sale, issued_at_ms),
            Rule::Limit(limit) => self.set_limit(pool, limit, issued_at_ms),
        }
    }

    /// Reserved becomes committed.
    pub(crate) fn commit(&mut self, slot: u32) -> Kept {
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
    pub(crate) fn release(&mut self, slot: u32, ending: Ending) -> Kept {
        let OpenOrder { kept, state, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| match state {
                OrderState::Committed => figures.committed -= i64::from(line.quantity),
                _ => figures.reserved -= i64::from(line.quantity),
            });
        }
        for taken in self.orders.taken(kept) {
            // A limit that counts anew since, or another period, has nothing of this order.
            if self.selling.counts(taken.limit, taken.count, taken.period) {
                self.counts.take_back(taken.limit, (taken.count, taken.period), &taken.key, taken.units);
            }
        }
        self.close(slot, ending);
        kept
    }

    /// What a committed order holds leaves the warehouse, and the order is closed.
    pub(crate) fn hand_over(&mut self, slot: u32) -> Kept {
        let OpenOrder { kept, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| {
                figures.committed -= i64::from(line.quantity);
                figures.on_hand -= i64::from(line.quantity);
            });
        }
        self.close(slot, Ending::Shipped);
        kept
    }

    /// An order that is not known is cancelled: its Place will be rejected.
    pub(crate) fn cancel_in_advance(&mut self, identity: Identity<'_>, fingerprint: Fingerprint) {
        let what = Remembered { content: 0, sequence: 0, ending: Ending::CancelledBeforePlace };
        self.remember(identity, fingerprint, Found::Unknown, what);
    }

    /// Changes a row, made known if it was not, and tells which; none if the whole pool is meant.
    pub(crate) fn move_stock(&mut self, pool: Text<'_>, sku: Text<'_>, effect: StockEffect) -> Option<u32> {
        if let StockEffect::PoolHalted(halted) = effect {
            self.rows.halt_pool(pool, halted);
            return None;
        }
        let generation = self.records.now();
        let row = self.rows.make(pool, sku, generation);
        self.rows.change(row, generation, |figures| match effect {
            StockEffect::OnHand(change) => figures.on_hand += change,
            StockEffect::SafetyStock(units) => figures.safety_stock = units,
            StockEffect::Halted(halted) => figures.halted = halted,
            StockEffect::PoolHalted(_) => unreachable!("no row is meant"),
        });
        Some(row)
    }
}
