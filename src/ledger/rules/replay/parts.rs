//! Lots, as decisions state them: which exist, which an order takes, which left. No day and no rule is looked at.

use super::super::effects::StockEffect;
use super::super::lots::{MeantLot, number_of};
use crate::ledger::rules::id_fault;
use crate::ledger::state::State;
use crate::wire::day::days_since_epoch;
use crate::wire::decision::DecisionLine;
use crate::wire::limits::MAX_PARTS;
use crate::wire::proto::Asked;
use crate::wire::{Decision, LotLevel, LotPart, StockLevel, Text};

/// Whether what was asked moves units, and so must name a lot of a row that has some.
pub(super) fn moves_units(asked: Asked) -> bool {
    matches!(asked, Asked::Receive | Asked::Adjust | Asked::Count)
}

impl State {
    /// Takes the units of a line from the lots that its decision names.
    #[inline]
    pub(super) fn follow_parts(
        &mut self,
        row: u32,
        at: u32,
        line: &DecisionLine<'_>,
        parts: &mut Vec<LotPart>,
    ) -> Result<(), &'static str> {
        // Most rows have no rules and no lots, and most lines name none.
        if self.rows.is_free(row) && line.lots.iter().next().is_none() {
            return Ok(());
        }
        self.follow_each_part(row, at, line, parts)
    }

    #[inline(never)]
    fn follow_each_part(
        &mut self,
        row: u32,
        at: u32,
        line: &DecisionLine<'_>,
        parts: &mut Vec<LotPart>,
    ) -> Result<(), &'static str> {
        let mut units = 0;
        for of in line.lots.iter() {
            let (scope, lots) = self.lots_of(row).ok_or("the row has no lots")?;
            let number = number_of(of.lot).ok_or("a lot has no such number")?;
            let lot = lots.get(number).ok_or("the row has no such lot")?;
            if of.units == 0 || lot.free() < i64::from(of.units) {
                return Err("less is free of the lot than was taken");
            }
            if parts.len() == MAX_PARTS {
                return Err("no order has so many parts");
            }
            units += u64::from(of.units);
            parts.push(LotPart { line: at, of });
            self.selling.change_lot(scope, number, |lot| lot.reserved += i64::from(of.units));
        }
        let wanted = if self.lots_of(row).is_some() { u64::from(line.quantity) } else { 0 };
        if units == wanted { Ok(()) } else { Err("the lots of a line do not add up to it") }
    }

    /// Which parts of the order in `slot` left, by the decision that says so: where it names none of a line, its own.
    pub(super) fn follow_shipped(
        &self,
        slot: u32,
        decision: &Decision<'_>,
        shipped: &mut Vec<LotPart>,
    ) -> Result<(), &'static str> {
        let kept = self.orders.get(slot).kept;
        shipped.clear();
        for ((at, line), held) in (0..).zip(decision.lines()).zip(self.orders.lines(kept)) {
            let first = shipped.len();
            for of in line.lots.iter() {
                let (_, lots) = self.lots_of(held.row).ok_or("the row has no lots")?;
                if number_of(of.lot).and_then(|number| lots.get(number)).is_none() {
                    return Err("the row has no such lot");
                }
                shipped.push(LotPart { line: at, of });
                if shipped.len() > MAX_PARTS {
                    return Err("no order has so many parts");
                }
            }
            if shipped.len() == first {
                shipped.extend(self.orders.parts(kept).filter(|part| part.line == at));
            } else if units_of(&shipped[first..]) != u64::from(line.quantity) {
                return Err("the lots of a line do not add up to it");
            }
        }
        Ok(())
    }

    /// What a stock command did to a lot of a row.
    pub(super) fn follow_lot(
        &mut self,
        asked: Asked,
        pool: Text<'_>,
        after: &StockLevel<'_>,
        told: &LotLevel<'_>,
        effect: StockEffect,
    ) -> Result<(), &'static str> {
        let halts = matches!(asked, Asked::Halt | Asked::Resume);
        if after.sku.is_empty() || !moves_units(asked) && !halts {
            return Err("what was asked is about no lot");
        }
        let row = self.rows.pool(pool).and_then(|pool| self.rows.row(pool, after.sku));
        let lots = row.and_then(|row| self.lots_of(row)).map(|(_, lots)| lots);
        let (name, expiry) = (told.lot, told.expiry);
        let number = number_of(told.number).ok_or("a lot has no such number")?;
        let on_hand = match lots.and_then(|lots| lots.named(name)) {
            Some(lot) if lot.number == number && lots.and_then(|lots| lots.expiry(number)) == Some(expiry) => {
                lot.on_hand
            }
            Some(_) => return Err("the lot has another number, or another expiry"),
            None if halts => return Err("the row has no such lot"),
            None if lots.is_some_and(|lots| lots.get(number).is_some()) => return Err("the number is another lot's"),
            None if lots.is_none() && row.is_some_and(|row| self.rows.figures(row).has_units()) => {
                return Err("the row has stock without lots");
            }
            None => 0,
        };
        if on_hand.checked_add(after.change) != Some(told.on_hand) {
            return Err("the lot is not what it was");
        }
        let day = day_of_lot(name, expiry).ok_or("no lot has such a name, or such an expiry")?;
        let row = self.move_lot(pool, after.sku, &MeantLot { name, number, expiry, day, on_hand }, effect);
        let lot = Some(self.lot_level(row, name, number, expiry));
        let shown = StockLevel { lot, ..self.rows.figures(row).level(after.sku, after.change) };
        if shown == *after { Ok(()) } else { Err("the lot is not what it was") }
    }
}

fn units_of(parts: &[LotPart]) -> u64 {
    parts.iter().map(|part| u64::from(part.of.units)).sum()
}

/// The last day of a lot that may be; none if its name or its expiry is none.
fn day_of_lot(name: Text<'_>, expiry: u32) -> Option<i32> {
    if id_fault(name).is_none() { days_since_epoch(expiry) } else { None }
}
