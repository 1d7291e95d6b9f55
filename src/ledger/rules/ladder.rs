//! The ladder that an order's pool and lines climb once the order itself is in order. Its guards stand here once, in
//! RULES.md's order. Most orders meet none of them: they are reserved line by line in one go, and only where that fails
//! is each guard asked over all lines, so that the answer is that of the first one that holds.

use super::verdict::{Bar, LinesAtHand};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::State;
use crate::wire::decision::{HeldLine, LineResult};
use crate::wire::proto::Reason;
use crate::wire::{OrderLines, Text};

/// A line of an order that is not reserved, and that did not stand in its way.
const NOT_ALLOCATED: LineResult =
    LineResult { allocated: 0, available: None, reason: Reason::Unspecified, shortfall: 0 };

/// A guard of a row: why no order takes anything of it.
type RowGuard = fn(&State, u32) -> Option<Reason>;

/// The guards that look at a line's row alone, in RULES.md's order.
const ROW_GUARDS: [RowGuard; 1] = [halted];

fn halted(state: &State, row: u32) -> Option<Reason> {
    state.rows.figures(row).halted.then_some(Reason::Halted)
}

impl State {
    /// Takes the units of all lines, which then stand in `at_hand.held`; or none, for the bar given. What is known of
    /// each line stands in `at_hand.results` if the bar is one of lines.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        foresight: &Foresight,
        at_hand: &mut LinesAtHand,
    ) -> Result<(), Bar> {
        at_hand.clear();
        if let Some(reason) = pool.and_then(|pool| self.pool_bar(pool)) {
            return Err(Bar::of_pool(reason));
        }
        for (i, line) in lines.iter().enumerate() {
            match pool.and_then(|pool| self.row(pool, line.sku, foresight, i)) {
                Some(row) if self.rows.is_free(row, line.quantity) => {
                    self.rows.hold(row, line.quantity);
                    at_hand.held.push(HeldLine { row, quantity: line.quantity });
                }
                _ => {
                    self.put_back(at_hand);
                    return self.climb(pool, lines, at_hand);
                }
            }
        }
        debug_assert!(self.climbs_too(pool, lines, at_hand), "the ladder bars what was reserved in one go");
        Ok(())
    }

    /// The guards of a pool.
    fn pool_bar(&self, pool: u32) -> Option<Reason> {
        self.rows.pool_halted(pool).then_some(Reason::Halted)
    }

    /// The stock row of line `i`, which somebody may have foreseen.
    #[inline]
    pub(crate) fn row(&self, pool: u32, sku: Text<'_>, foresight: &Foresight, i: usize) -> Option<u32> {
        match foresight.row(i) {
            Some(row) if self.rows.is(row, pool, sku) => Some(row),
            _ => self.rows.row(pool, sku),
        }
    }

    /// Every guard of the lines, one after the other over all lines: a SKU that is unknown outweighs one that is halted,
    /// and that one that is short. Takes the units if none holds.
    fn climb(&mut self, pool: Option<u32>, lines: OrderLines<'_>, at_hand: &mut LinesAtHand) -> Result<(), Bar> {
        let LinesAtHand { held, results, .. } = at_hand;
        for line in lines {
            let row = pool.and_then(|pool| self.rows.row(pool, line.sku));
            held.extend(row.map(|row| HeldLine { row, quantity: line.quantity }));
            let reason = if row.is_none() { Reason::UnknownSku } else { Reason::Unspecified };
            results.push(LineResult { reason, ..NOT_ALLOCATED });
        }
        if held.len() < results.len() {
            return Err(Bar::of_lines(Reason::UnknownSku));
        }
        for guard in ROW_GUARDS {
            let mut bar = None;
            for (line, result) in held.iter().zip(&mut *results) {
                if let Some(reason) = guard(self, line.row) {
                    result.reason = reason;
                    bar = bar.or(Some(reason));
                }
            }
            if let Some(reason) = bar {
                return Err(Bar::of_lines(reason));
            }
        }
        self.take_or_explain(at_hand)
    }

    /// Takes the units of the rows in `at_hand.held`, or none of them and says which lines are short of what.
    fn take_or_explain(&mut self, at_hand: &mut LinesAtHand) -> Result<(), Bar> {
        let mut short = false;
        for (line, result) in at_hand.held.iter().zip(&mut at_hand.results) {
            let available = self.rows.figures(line.row).available();
            if available >= i64::from(line.quantity) {
                self.rows.hold(line.row, line.quantity);
                result.allocated = line.quantity;
            } else {
                short = true;
                *result = LineResult { available: Some(available), reason: Reason::OutOfStock, ..NOT_ALLOCATED };
            }
        }
        if !short {
            at_hand.results.clear();
            return Ok(());
        }
        for (line, result) in at_hand.held.iter().zip(&mut at_hand.results) {
            self.rows.put_back(line.row, result.allocated);
            result.allocated = 0;
        }
        Err(Bar::of_lines(Reason::OutOfStock))
    }

    /// Puts back what was taken for the order at hand, before anybody noted it.
    fn put_back(&mut self, at_hand: &mut LinesAtHand) {
        for line in at_hand.held.drain(..) {
            self.rows.put_back(line.row, line.quantity);
        }
    }

    /// Whether the ladder lets an order through that was reserved in one go. Leaves everything as it is.
    fn climbs_too(&mut self, pool: Option<u32>, lines: OrderLines<'_>, at_hand: &mut LinesAtHand) -> bool {
        at_hand.in_one_go.clone_from(&at_hand.held);
        self.put_back(at_hand);
        self.climb(pool, lines, at_hand).is_ok() && at_hand.held == at_hand.in_one_go
    }
}
