//! The lots of a pool of a run, as far as its decisions tell: what each is made of, until when it is fit for use, and how
//! much of it is promised. So each order is told from which lots it must have been taken: first expiring first, none that
//! is too old, no more than a lot has. It knows nothing of how the engine keeps its own.

use sluice::wire::{DecisionLine, Freshness, LotUnits, StockLevel, Text};

use super::held::Part;
use crate::load::traffic::days::day_of;
use crate::load::traffic::{RunId, sku_number};

/// The lots of one pool.
#[derive(Debug)]
pub(super) struct Lots {
    run: RunId,
    /// By number of the SKU.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// Days by which a lot must outlast the day of delivery.
    least_days: i32,
    lots: Vec<Lot>,
}

#[derive(Clone, Debug)]
struct Lot {
    number: u32,
    name: String,
    /// Its last day of use, since 1970-01-01.
    expiry: i32,
    on_hand: i64,
    reserved: i64,
    committed: i64,
    halted: bool,
}

/// What a decision says that the lots do not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LotFault {
    /// More is promised of a lot than it has.
    Oversold(String),
    /// Units were sold that expire too early.
    Expired(u64, String),
    /// Something else.
    Wrong(String),
}

impl Lot {
    fn free(&self) -> i64 {
        (self.on_hand - self.reserved - self.committed).max(0)
    }

    fn is_gone(&self) -> bool {
        (self.on_hand, self.reserved, self.committed, self.halted) == (0, 0, 0, false)
    }
}

impl Row {
    fn is_eligible(&self, lot: &Lot, day: i32) -> bool {
        !lot.halted && lot.expiry >= day + self.least_days
    }

    fn lot(&mut self, number: u32) -> Option<&mut Lot> {
        self.lots.iter_mut().find(|lot| lot.number == number)
    }

    /// The lots from which so many units must be taken for a delivery on `day`, each with its units.
    fn due(&self, day: i32, quantity: i64) -> Vec<(u32, i64)> {
        let mut eligible: Vec<_> = self.lots.iter().filter(|lot| self.is_eligible(lot, day)).collect();
        eligible.sort_by_key(|lot| (lot.expiry, lot.number));
        let mut left = quantity;
        let take = |lot: &Lot| {
            let units = lot.free().min(left);
            left -= units;
            (lot.number, units)
        };
        eligible.into_iter().map(take).filter(|(_, units)| *units > 0).collect()
    }
}

impl Lots {
    /// A pool that sells `skus` SKUs of a run, none of them lotted yet.
    pub(super) fn new(run: RunId, skus: u32) -> Self {
        Self { run, rows: vec![Row::default(); skus as usize] }
    }

    /// By how many days lots of a SKU must outlast the day was set.
    pub(super) fn set(&mut self, rule: &Freshness<'_>) {
        if let Some(row) = self.row(rule.sku) {
            self.rows[row].least_days = rule.least_days as i32;
        }
    }

    /// Free units of the lots of a SKU that may be delivered on `day`; none if it is not lotted.
    pub(super) fn eligible(&self, row: usize, day: i32) -> Option<i64> {
        let row = self.rows.get(row).filter(|row| !row.lots.is_empty())?;
        Some(row.lots.iter().filter(|lot| row.is_eligible(lot, day)).map(Lot::free).sum())
    }

    /// A stock command took effect: what it tells of row and lot.
    pub(super) fn applied(&mut self, level: &StockLevel<'_>) -> Result<(), LotFault> {
        let Some(row) = self.row(level.sku) else { return Ok(()) };
        let row = &mut self.rows[row];
        let told = level.lot.map(|told| row.told(level.change, &told)).unwrap_or(Ok(()));
        if row.lots.is_empty() {
            return told;
        }
        let sum = |figure: fn(&Lot) -> i64| row.lots.iter().map(figure).sum::<i64>();
        let due = (sum(|lot| lot.on_hand), sum(|lot| lot.reserved), sum(|lot| lot.committed));
        let of_row = (level.on_hand, level.reserved as i64, level.committed as i64);
        row.lots.retain(|lot| !lot.is_gone());
        told?;
        if due == of_row {
            return Ok(());
        }
        Err(LotFault::Wrong(format!("{}: its figures are {of_row:?}, its lots add up to {due:?}", level.sku)))
    }

    /// An order was reserved for a delivery on `day`: each line must have been taken from the right lots. The parts of which
    /// it is made, as told.
    pub(super) fn reserved<'a>(
        &mut self,
        lines: impl Iterator<Item = DecisionLine<'a>>,
        day: i32,
    ) -> (Vec<Part>, Result<(), LotFault>) {
        let (mut parts, mut found) = (Vec::new(), Ok(()));
        for (line, told) in (0..).zip(lines) {
            let Some(at) = self.row(told.sku) else { continue };
            let row = &mut self.rows[at];
            let due = row.due(day, i64::from(told.quantity));
            let lots: Vec<LotUnits> = told.lots.iter().collect();
            let mut fault = Ok(());
            for part in &lots {
                fault = fault.and(row.take(part, day, told.sku));
                parts.push(Part { row: at as u32, line, lot: part.lot, units: part.units });
            }
            let as_told: Vec<_> = lots.iter().map(|part| (part.lot, i64::from(part.units))).collect();
            let is_quiet = lots.iter().all(|part| part.shortfall == 0);
            if as_told != due || !is_quiet {
                let text = format!("{}: taken from (lot, units) {as_told:?} for day {day}, due was {due:?}", told.sku);
                fault = fault.and(Err(LotFault::Wrong(text)));
            }
            found = found.and(fault);
        }
        (parts, found)
    }

    /// What an order reserved is committed.
    pub(super) fn committed(&mut self, parts: &[Part]) {
        self.each(parts, |lot, units| {
            lot.reserved -= units;
            lot.committed += units;
        });
    }

    /// What an order had, committed or not, goes back to its lots.
    pub(super) fn released(&mut self, parts: &[Part], was_committed: bool) {
        self.each(parts, |lot, units| {
            let figure = if was_committed { &mut lot.committed } else { &mut lot.reserved };
            *figure -= units;
        });
    }

    /// What an order had leaves its lots.
    pub(super) fn shipped(&mut self, parts: &[Part]) {
        self.each(parts, |lot, units| {
            lot.committed -= units;
            lot.on_hand -= units;
        });
    }

    fn each(&mut self, parts: &[Part], change: impl Fn(&mut Lot, i64)) {
        for part in parts {
            let row = &mut self.rows[part.row as usize];
            if let Some(lot) = row.lot(part.lot) {
                change(lot, i64::from(part.units));
            }
        }
        // Gone are lots once all of it is done.
        for part in parts {
            self.rows[part.row as usize].lots.retain(|lot| !lot.is_gone());
        }
    }

    /// None for one that is not the run's.
    fn row(&self, sku: Text<'_>) -> Option<usize> {
        let number = sku_number(self.run, sku.as_bytes())? as usize;
        (number < self.rows.len()).then_some(number)
    }
}

impl Row {
    /// A command changed a lot by `change` units: it must be told as it then is.
    fn told(&mut self, change: i64, told: &sluice::wire::LotLevel<'_>) -> Result<(), LotFault> {
        let name = told.lot.as_str();
        let wrong = |what: String| Err(LotFault::Wrong(format!("lot {name:?}: {what}")));
        let known = self.lots.iter().position(|lot| lot.name == name);
        let at = known.unwrap_or_else(|| {
            let number = (1..).find(|number| self.lots.iter().all(|lot| lot.number != *number)).unwrap_or(0);
            let (name, expiry) = (name.to_owned(), day_of(told.expiry).unwrap_or(0));
            self.lots.push(Lot { number, name, expiry, on_hand: 0, reserved: 0, committed: 0, halted: false });
            self.lots.len() - 1
        });
        let lot = &mut self.lots[at];
        lot.on_hand += change;
        lot.halted = told.halted;
        let due = (lot.number, Some(lot.expiry), lot.on_hand, lot.reserved, lot.committed);
        let is = (told.number, day_of(told.expiry), told.on_hand, told.reserved as i64, told.committed as i64);
        let short = (lot.reserved + lot.committed - lot.on_hand).max(0) as u64;
        (lot.on_hand, lot.reserved, lot.committed) = (is.2, is.3, is.4);
        if is != due {
            return wrong(format!("told (number, expiry, on hand, reserved, committed) {is:?}, due was {due:?}"));
        }
        if short != told.shortfall {
            return wrong(format!("short by {short}, told {}", told.shortfall));
        }
        Ok(())
    }

    /// Takes a part as it was told, whether or not it could be.
    fn take(&mut self, part: &LotUnits, day: i32, sku: Text<'_>) -> Result<(), LotFault> {
        let least_days = self.least_days;
        let Some(lot) = self.lot(part.lot) else {
            return Err(LotFault::Wrong(format!("{sku}: has no lot {}", part.lot)));
        };
        let (units, free, name) = (i64::from(part.units), lot.free(), lot.name.clone());
        lot.reserved += units;
        if lot.expiry < day + least_days {
            let text = format!("{sku}: {units} of lot {name:?} for day {day}, it expires on {}", lot.expiry);
            return Err(LotFault::Expired(part.units.into(), text));
        }
        if lot.halted {
            return Err(LotFault::Wrong(format!("{sku}: {units} of lot {name:?}, which is halted")));
        }
        if units > free {
            return Err(LotFault::Oversold(format!("{sku}: {units} of lot {name:?}, of which {free} were free")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluice::wire::LotLevel;

    use super::*;
    use crate::load::traffic::sku_name;

    fn run() -> RunId {
        RunId::parse("run").expect("legal")
    }

    /// What is told once a lot of SKU 0 has so much, and the row so much in all.
    fn applied(
        lots: &mut Lots,
        number: u32,
        change: i64,
        on_hand: i64,
        row: i64,
        halted: bool,
    ) -> Result<(), LotFault> {
        let (sku, lot) = (sku_name(run(), 0), format!("lot of number {number}"));
        let (reserved, committed, shortfall, expiry) = (0, 0, 0, 20_270_100 + number);
        let lot =
            LotLevel { number, lot: lot.as_str().into(), expiry, on_hand, reserved, committed, halted, shortfall };
        lots.applied(&StockLevel {
            sku: sku.as_str().into(),
            change,
            on_hand: row,
            reserved,
            committed,
            safety_stock: 0,
            halted: false,
            shortfall,
            lot: Some(lot),
        })
    }

    #[test]
    fn the_lowest_free_number_is_given_to_a_new_lot() {
        let mut lots = Lots::new(run(), 1);
        for (number, row) in [(1, 5), (2, 10), (3, 15)] {
            assert_eq!(applied(&mut lots, number, 5, 5, row, false), Ok(()));
        }
        assert_eq!(applied(&mut lots, 2, -5, 0, 10, false), Ok(()));
        assert!(applied(&mut lots, 4, 5, 5, 15, false).is_err(), "2 was free");
        let mut lots = Lots::new(run(), 1);
        assert!(applied(&mut lots, 2, 5, 5, 5, false).is_err(), "1 was free");
    }

    #[test]
    fn a_halted_lot_is_not_sold_and_stays_though_it_is_empty() {
        let mut lots = Lots::new(run(), 1);
        let day = day_of(20_270_101).expect("a day");
        assert_eq!(lots.eligible(0, day), None);
        assert_eq!(applied(&mut lots, 1, 5, 5, 5, false), Ok(()));
        assert_eq!(lots.eligible(0, day), Some(5));
        assert_eq!(lots.eligible(0, day + 1), Some(0), "it expires before");
        assert_eq!(applied(&mut lots, 1, 0, 5, 5, true), Ok(()));
        assert_eq!(lots.eligible(0, day), Some(0));
        let part = LotUnits { lot: 1, units: 1, shortfall: 0 };
        assert!(matches!(lots.rows[0].take(&part, day, "sku".into()), Err(LotFault::Wrong(_))));
        lots.released(&[Part { row: 0, line: 0, lot: 1, units: 1 }], false);
        assert_eq!(applied(&mut lots, 1, -5, 0, 0, true), Ok(()));
        assert_eq!(lots.eligible(0, day), Some(0), "it is still there");
        assert_eq!(applied(&mut lots, 1, 0, 0, 0, false), Ok(()));
        assert_eq!(lots.eligible(0, day), None);
    }
}
