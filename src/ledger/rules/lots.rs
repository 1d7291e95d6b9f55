//! Lots and freshness: which units of a stock row an order takes, and which left in fact.

use super::id_fault;
use super::verdict::{LinesAtHand, NamedUnits, OnDay, Verdict};
use crate::ledger::state::State;
use crate::ledger::state::lots::{Lot, Lots};
use crate::ledger::state::orders::Kept;
use crate::ledger::state::selling::Stamp;
use crate::wire::day::{days_since_epoch, utc_day};
use crate::wire::limits::{MAX_ID_BYTES, MAX_LEAST_DAYS, MAX_LOTS, MAX_PARTS, MAX_STOCK_FIGURE};
use crate::wire::proto::{OrderState, Outcome, Reason};
use crate::wire::{Freshness, LotLevel, LotPart, LotUnits, Rule, ShippedLots, StockChange, Text};

/// A lot that a stock command is about: one that is there, or one that it makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeantLot<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) number: u16,
    /// As it is written, and in days since 1970-01-01.
    pub(crate) expiry: u32,
    pub(crate) day: i32,
    /// Its on_hand before the command.
    pub(crate) on_hand: i64,
}

impl State {
    /// The lots of a row, and the scope that they hang on, if it is lotted.
    #[inline]
    pub(super) fn lots_of(&self, row: u32) -> Option<(u32, &Lots)> {
        let scope = self.rows.scope(row)?;
        self.selling.lots(scope).map(|lots| (scope, lots))
    }

    /// The day that what an order takes must outlast, in days since 1970-01-01: its delivery day, or today.
    fn day_to_outlast(&self, delivery: Option<&OnDay>) -> i32 {
        let delivered = delivery.and_then(|it| days_since_epoch(it.day));
        delivered.unwrap_or_else(|| utc_day(self.shard_time_ms))
    }

    /// Takes the units of a line from the lots of its row, if it is lotted; false, and nothing is taken, if they give less.
    /// The row's own figures are the caller's to look at and to change.
    #[inline(never)]
    pub(super) fn take_lots(
        &mut self,
        row: u32,
        (line, units): (u32, u32),
        delivery: Option<&OnDay>,
        parts: &mut Vec<LotPart>,
    ) -> bool {
        let Some((scope, lots)) = self.lots_of(row) else { return true };
        let day = self.day_to_outlast(delivery).saturating_add_unsigned(lots.least_days());
        let enough = i64::from(units) + self.rows.figures(row).safety_stock;
        if lots.eligible(day, enough) < enough {
            return false;
        }
        self.selling.take_lots(scope, day, units, |of| parts.push(LotPart { line, of }));
        true
    }

    /// What is available to a line of a row.
    pub(super) fn available_to(&self, row: u32, delivery: Option<&OnDay>) -> i64 {
        let figures = self.rows.figures(row);
        let Some((_, lots)) = self.lots_of(row) else { return figures.available() };
        let day = self.day_to_outlast(delivery).saturating_add_unsigned(lots.least_days());
        let eligible = lots.eligible(day, i64::MAX);
        (eligible - figures.safety_stock).min(figures.available()).max(0)
    }

    /// Puts the parts of the order at hand back, before anybody noted it.
    pub(super) fn put_back_parts(&mut self, at_hand: &LinesAtHand) {
        for of_line in at_hand.parts.chunk_by(|part, next| part.line == next.line) {
            let row = at_hand.held[of_line[0].line as usize].row;
            let scope = self.rows.scope(row).expect("a row that has lots has a scope");
            self.selling.put_back_lots(scope, of_line.iter().map(|part| part.of));
        }
    }

    /// The lot that a stock command means, if it names one; or why it can't be meant.
    pub(super) fn meant_lot<'a>(&self, row: Option<u32>, it: &StockChange<'a>) -> Result<Option<MeantLot<'a>>, Reason> {
        let named = it.lot();
        let lots = row.and_then(|row| self.lots_of(row)).map(|(_, lots)| lots);
        let moves = matches!(it, StockChange::Receive { .. } | StockChange::Adjust { .. } | StockChange::Count { .. });
        if named.lot.is_empty() {
            return if moves && lots.is_some() { Err(Reason::Lot) } else { Ok(None) };
        }
        if lots.is_none() && row.is_some_and(|row| self.rows.figures(row).has_units()) {
            return Err(Reason::Lot);
        }
        let (name, expiry) = (named.lot, named.expiry);
        match (lots, lots.and_then(|lots| lots.named(name))) {
            (Some(lots), Some(&Lot { number, day, on_hand, .. })) => {
                let own = lots.expiry(number).expect("it was just found");
                let meant = MeantLot { name, number, expiry: own, day, on_hand };
                if expiry == 0 || expiry == own { Ok(Some(meant)) } else { Err(Reason::Expiry) }
            }
            _ if !moves => Err(Reason::NoSuchLot),
            (lots, _) => {
                let day = days_since_epoch(expiry).ok_or(Reason::Expiry)?;
                if lots.is_some_and(Lots::is_full) {
                    return Err(Reason::TooMany);
                }
                let number = lots.map_or(1, Lots::free_number);
                Ok(Some(MeantLot { name, number, expiry, day, on_hand: 0 }))
            }
        }
    }

    /// A lot as the decision about it shows it, even where it is gone by now.
    pub(crate) fn lot_level<'a>(&self, row: u32, name: Text<'a>, number: u16, expiry: u32) -> LotLevel<'a> {
        let lot = self.lots_of(row).and_then(|(_, lots)| lots.get(number));
        let (on_hand, reserved, committed) = lot.map_or((0, 0, 0), |lot| (lot.on_hand, lot.reserved, lot.committed));
        LotLevel {
            number: number.into(),
            lot: name,
            expiry,
            on_hand,
            reserved: reserved as u64,
            committed: committed as u64,
            halted: lot.is_some_and(|lot| lot.halted),
            shortfall: lot.map_or(0, Lot::shortfall),
        }
    }

    /// The units that are shipped of each lot, as `at_hand.shipped`: those that a Ship names, and the order's parts where it
    /// names none.
    pub(super) fn find_shipped(
        &self,
        kept: Kept,
        named: &ShippedLots<'_>,
        at_hand: &mut LinesAtHand,
    ) -> Result<(), Verdict> {
        let LinesAtHand { shipped, named: left, .. } = at_hand;
        shipped.clear();
        if named.is_empty() {
            shipped.extend(self.orders.parts(kept));
        } else {
            self.read_named(kept, named, left).map_err(Verdict::invalid)?;
            self.hand_out(kept, left, shipped).map_err(Verdict::invalid)?;
            if left.iter().any(|named| self.is_out_of_range(named)) {
                return Err(Verdict::invalid(Reason::Quantity));
            }
        }
        let lines = self.orders.lines(kept);
        let lot = |part: &LotPart| {
            let (_, lots) = self.lots_of(lines.line(part.line as usize).row)?;
            lots.get(part.of.lot as u16)
        };
        if shipped.iter().filter_map(lot).any(|lot| lot.halted) {
            let reason = Reason::Halted;
            return Err(Verdict { reason, ..Verdict::order(Outcome::NotAllowed, OrderState::Committed) });
        }
        Ok(())
    }

    /// The lots that a Ship names, each found.
    fn read_named(&self, kept: Kept, named: &ShippedLots<'_>, found: &mut Vec<NamedUnits>) -> Result<(), Reason> {
        found.clear();
        if named.iter().nth(MAX_PARTS).is_some() {
            return Err(Reason::TooMany);
        }
        for it in named.iter() {
            let mut rows = self.orders.lines(kept).iter().map(|line| line.row);
            let row = rows.find(|row| self.rows.view(*row).sku == it.sku.as_str()).ok_or(Reason::NoSuchSku)?;
            let (_, lots) = self.lots_of(row).ok_or(Reason::Lot)?;
            let number = lots.named(it.lot).ok_or(Reason::NoSuchLot)?.number;
            if found.iter().any(|before| (before.row, before.number) == (row, number)) {
                return Err(Reason::Doubled);
            }
            found.push(NamedUnits { row, number, units: it.units, left: it.units });
        }
        let of_row = |row: u32| {
            let named = found.iter().filter(|it| it.row == row).map(|it| u64::from(it.units)).sum::<u64>();
            let lines = self.orders.lines(kept).iter().filter(|line| line.row == row);
            named == lines.map(|line| u64::from(line.quantity)).sum::<u64>()
        };
        let adds_up = found.iter().all(|it| it.units > 0 && of_row(it.row));
        if adds_up { Ok(()) } else { Err(Reason::Quantity) }
    }

    /// Hands the units that were named out to the order's lines, in order.
    fn hand_out(&self, kept: Kept, named: &mut [NamedUnits], shipped: &mut Vec<LotPart>) -> Result<(), Reason> {
        for (i, line) in (0..).zip(self.orders.lines(kept)) {
            let mut wanted = line.quantity;
            for it in named.iter_mut().filter(|it| it.row == line.row && it.left > 0) {
                let units = it.left.min(wanted);
                if units > 0 {
                    let of = LotUnits { lot: it.number.into(), units, shortfall: 0 };
                    shipped.push(LotPart { line: i, of });
                    (it.left, wanted) = (it.left - units, wanted - units);
                }
            }
            // Nothing of the row was named.
            if wanted == line.quantity {
                shipped.extend(self.orders.parts(kept).filter(|part| part.line == i));
            }
        }
        if shipped.len() > MAX_PARTS { Err(Reason::TooMany) } else { Ok(()) }
    }

    fn is_out_of_range(&self, named: &NamedUnits) -> bool {
        let lot = self.lots_of(named.row).and_then(|(_, lots)| lots.get(named.number));
        lot.is_some_and(|lot| lot.on_hand - i64::from(named.units) < -MAX_STOCK_FIGURE)
    }

    /// The parts that the decision about a shipment shows, as `at_hand.parts`: those of lines that were shipped from other
    /// lots than were reserved, with what these lack now.
    pub(super) fn show_shipped(&self, kept: Kept, at_hand: &mut LinesAtHand) {
        at_hand.ruled = true;
        let LinesAtHand { parts, shipped, .. } = at_hand;
        parts.clear();
        for (i, line) in (0..).zip(self.orders.lines(kept)) {
            let of_line = |part: &LotPart| part.line == i;
            let now = shipped.iter().copied().filter(of_line);
            if now.clone().eq(self.orders.parts(kept).filter(of_line)) {
                continue;
            }
            let lots = self.lots_of(line.row).map(|(_, lots)| lots);
            parts.extend(now.map(|part| {
                let lot = lots.and_then(|lots| lots.get(part.of.lot as u16));
                LotPart { of: LotUnits { shortfall: lot.map_or(0, Lot::shortfall), ..part.of }, ..part }
            }));
        }
    }

    /// Sets a freshness, or removes it. The SKU is made known.
    pub(crate) fn set_freshness(&mut self, pool: Text<'_>, freshness: &Freshness<'_>, issued_at_ms: i64) {
        let scope = self.make_scope(pool, freshness.sku);
        let stamp = Stamp { issued_at_ms, sequence: self.sequence, generation: self.records.now() };
        let stands = !freshness.removes();
        self.canonical.begin(12).str(pool.as_bytes()).str(freshness.sku.as_bytes());
        self.canonical.stamp(&stamp).u8(stands.into());
        if stands {
            self.canonical.rule(&Rule::Freshness(*freshness));
        }
        self.selling.put_freshness(scope, stamp, freshness.least_days, self.canonical.bytes());
    }

    /// When the freshness that stands was set, or the one that is remembered removed.
    pub(super) fn freshness_stamp(&self, pool: Text<'_>, sku: Text<'_>) -> Option<Stamp> {
        let row = self.rows.pool(pool).and_then(|pool| self.rows.row(pool, sku))?;
        self.selling.scopes[self.rows.scope(row)?].freshness_stamp().copied()
    }
}

/// What is wrong with a freshness itself.
pub(super) fn fault(freshness: &Freshness<'_>) -> Option<Reason> {
    id_fault(freshness.sku).or((freshness.least_days > MAX_LEAST_DAYS).then_some(Reason::Quantity))
}

/// What is wrong with the name of a lot, which may be empty.
pub(super) fn name_fault(lot: Text<'_>) -> Option<Reason> {
    (lot.len() > MAX_ID_BYTES).then_some(Reason::IdTooLong)
}

/// An expiry without a lot, or one that is no day.
pub(super) fn expiry_fault(it: &StockChange<'_>) -> Option<Reason> {
    let named = it.lot();
    let is_sound = named.expiry == 0 || !named.lot.is_empty() && days_since_epoch(named.expiry).is_some();
    (!is_sound).then_some(Reason::Expiry)
}

/// What is wrong with the lots that a Ship names, whatever its order.
pub(super) fn shipped_fault(lots: &ShippedLots<'_>) -> Option<Reason> {
    lots.iter().find_map(|it| id_fault(it.sku).or_else(|| id_fault(it.lot)))
}

/// A number that a lot may have.
pub(super) fn number_of(told: u32) -> Option<u16> {
    (1..=MAX_LOTS as u32).contains(&told).then_some(told as u16)
}
