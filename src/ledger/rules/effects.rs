//! What is done to the state, each thing by one function: live work calls it once it has decided, replay once it has read
//! the decision. Nothing here judges.

use super::lots::MeantLot;
use crate::ledger::state::State;
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::Identity;
use crate::ledger::state::known::Found;
use crate::ledger::state::lots::Lot;
use crate::ledger::state::orders::{CountedBy, Kept, NewDelivery, NewOrder, OpenOrder};
use crate::ledger::state::rows::Rows;
use crate::ledger::state::selling::Selling;
use crate::ledger::store::index::Fingerprint;
use crate::wire::decision::HeldLines;
use crate::wire::proto::OrderState;
use crate::wire::{LotPart, Rule, Text};

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
            match taken.by {
                CountedBy::Limit { limit, period } => {
                    self.counts.add(limit, (taken.count, period), &taken.key, taken.units);
                }
                CountedBy::Share { row, at, .. } => {
                    self.selling.add_to_share(self.rows.scope(row), at, taken);
                }
            }
        }
        let slot = match order.delivery {
            None => self.orders.open(order),
            Some(delivery) => {
                let delivery = Some(self.count_order(order.pool, delivery));
                self.orders.open(&NewOrder { delivery, ..*order })
            }
        };
        self.enter_open(order.fingerprint, slot);
    }

    /// Sets a selling rule, or removes the one that stands.
    pub(crate) fn set_rule(&mut self, pool: Text<'_>, rule: &Rule<'_>, issued_at_ms: i64) {
        match rule {
            Rule::Sale(sale) => self.set_sale(pool, sale, issued_at_ms),
            Rule::Limit(limit) => self.set_limit(pool, limit, issued_at_ms),
            Rule::Channels(channels) => self.set_channels(pool, channels, issued_at_ms),
            Rule::Freshness(freshness) => self.set_freshness(pool, freshness, issued_at_ms),
            Rule::Delivery(delivery) => self.set_delivery(pool, delivery, issued_at_ms),
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
        self.change_parts(kept, |lot, units| {
            lot.reserved -= units;
            lot.committed += units;
        });
        self.orders.confirm(slot);
        kept
    }

    /// Gives back what a held or committed order holds, and closes it.
    pub(crate) fn release(&mut self, slot: u32, ending: Ending) -> Kept {
        let OpenOrder { kept, state, pool, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| match state {
                OrderState::Committed => figures.committed -= i64::from(line.quantity),
                _ => figures.reserved -= i64::from(line.quantity),
            });
        }
        self.change_parts(kept, |lot, units| match state {
            OrderState::Committed => lot.committed -= units,
            _ => lot.reserved -= units,
        });
        for taken in self.orders.taken(kept) {
            // A limit or a share that counts anew since, or another period, has nothing of this order.
            match taken.by {
                CountedBy::Limit { limit, period } if self.selling.counts(limit, taken.count, period) => {
                    self.counts.take_back(limit, (taken.count, period), &taken.key, taken.units);
                }
                CountedBy::Limit { .. } => {}
                CountedBy::Share { row, at, .. } => {
                    self.selling.take_back_from_share(self.rows.scope(row), at, &taken);
                }
            }
        }
        if let Some(NewDelivery { service, day, cutoff_ms, count, .. }) = self.orders.delivery(kept) {
            // From the cutoff on nobody could have the place any more.
            if self.shard_time_ms < cutoff_ms && self.days.is(count, pool, service, day) {
                self.days.take_back(count);
            }
        }
        self.close(slot, ending);
        kept
    }

    /// What a committed order holds leaves the warehouse, `shipped` of it from lots, and the order is closed.
    pub(crate) fn hand_over(&mut self, slot: u32, shipped: &[LotPart]) -> Kept {
        let OpenOrder { kept, .. } = *self.orders.get(slot);
        for line in self.orders.lines(kept) {
            self.rows.change(line.row, self.records.now(), |figures| {
                figures.committed -= i64::from(line.quantity);
                figures.on_hand -= i64::from(line.quantity);
            });
        }
        // What is shipped from a lot may be gone with what was promised of it: until both is done, nothing is dropped.
        if kept.has_parts() {
            let lines = self.orders.lines(kept);
            let shipped = shipped.iter().copied();
            let mut spent =
                change_each(&self.rows, &mut self.selling, lines, shipped, |lot, units| lot.on_hand -= units);
            spent |= self.change_each_part(kept, |lot, units| lot.committed -= units);
            if spent {
                self.drop_spent_lots(kept);
            }
        }
        self.close(slot, Ending::Shipped);
        kept
    }

    /// Changes the lots of which an order has parts, each by its units, and drops those of which nothing is left.
    #[inline]
    fn change_parts(&mut self, kept: Kept, change: impl Fn(&mut Lot, i64)) {
        if kept.has_parts() && self.change_each_part(kept, change) {
            self.drop_spent_lots(kept);
        }
    }

    /// Tells whether nothing is left of some lot.
    #[inline(never)]
    fn change_each_part(&mut self, kept: Kept, change: impl Fn(&mut Lot, i64)) -> bool {
        let (orders, rows, selling) = (&self.orders, &self.rows, &mut self.selling);
        change_each(rows, selling, orders.lines(kept), orders.parts(kept), change)
    }

    fn drop_spent_lots(&mut self, kept: Kept) {
        for line in self.orders.lines(kept) {
            if let Some(scope) = self.rows.scope(line.row) {
                self.selling.drop_spent_lots(scope);
            }
        }
    }

    /// Changes a lot of a row, and the row with it, both made known if they were not, and tells the row.
    pub(crate) fn move_lot(&mut self, pool: Text<'_>, sku: Text<'_>, meant: &MeantLot<'_>, effect: StockEffect) -> u32 {
        let scope = self.make_scope(pool, sku);
        let row = self.selling.scopes[scope].row;
        let known = self.selling.lots(scope).is_some_and(|lots| lots.get(meant.number).is_some());
        if !known {
            self.selling.make_lot(scope, meant.number, meant.name, meant.expiry, meant.day);
        }
        if let StockEffect::OnHand(change) = effect {
            self.rows.change(row, self.records.now(), |figures| figures.on_hand += change);
        }
        let spent = self.selling.change_lot(scope, meant.number, |lot| match effect {
            StockEffect::OnHand(change) => lot.on_hand += change,
            StockEffect::Halted(halted) => lot.halted = halted,
            StockEffect::SafetyStock(_) | StockEffect::PoolHalted(_) => unreachable!("no lot is meant"),
        });
        if spent {
            self.selling.drop_spent_lots(scope);
        }
        row
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

/// Changes the lot of each part by its units. Tells whether nothing is left of some lot.
#[inline]
fn change_each(
    rows: &Rows,
    selling: &mut Selling,
    lines: HeldLines<'_>,
    parts: impl Iterator<Item = LotPart>,
    change: impl Fn(&mut Lot, i64),
) -> bool {
    let mut spent = false;
    for LotPart { line, of } in parts {
        let scope = rows.scope(lines.line(line as usize).row).expect("a row that has lots has a scope");
        spent |= selling.change_lot(scope, of.lot as u16, |lot| change(lot, of.units.into()));
    }
    spent
}
