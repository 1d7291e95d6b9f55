//! Lots: stock with a last day of use. What is sold must outlast the day by some days, and what expires first goes first.

use std::collections::BTreeMap;

use sluice::wire::proto::{
    Asked, LineDecision, LotLevel, LotUnits, Place, Reason, SetFreshness, Ship, ShippedLot, stock_command,
};

use super::calendar::{DAY_MS, day_of};
use super::place::Bar;
use super::{LONGEST_ID, Model, OrderKey, Row, STOCK_RANGE, Stamp, id_fault};

const MOST_LOTS: usize = 256;
const MOST_PARTS: usize = 256;
const MOST_DAYS: u32 = 3_650;

/// A part of a row's stock.
#[derive(Clone, Debug, Default)]
pub(super) struct Lot {
    pub(super) name: String,
    /// Last day of use, yyyymmdd.
    pub(super) expiry: u32,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
    pub(super) committed: i64,
    pub(super) halted: bool,
}

impl Lot {
    fn free(&self) -> i64 {
        (self.on_hand - self.reserved - self.committed).max(0)
    }

    fn shortfall(&self) -> u64 {
        (self.reserved + self.committed - self.on_hand).max(0) as u64
    }

    fn is_bare(&self) -> bool {
        (self.on_hand, self.reserved, self.committed) == (0, 0, 0) && !self.halted
    }
}

/// What a line takes from one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which line of the order, from 0.
    pub(super) line: usize,
    /// Number of the lot within its row.
    pub(super) lot: u32,
    pub(super) units: u32,
}

/// What each unit changes: on_hand, reserved, committed.
pub(super) type Move = [i64; 3];

/// The parts of one line.
pub(super) fn parts_of(parts: &[Part], line: usize) -> Vec<Part> {
    parts.iter().copied().filter(|part| part.line == line).collect()
}

/// Lines as a decision shows them, with their parts.
pub(super) fn with_parts(lines: Vec<LineDecision>, parts: &[Part]) -> Vec<LineDecision> {
    let shown = |part: Part| LotUnits { lot: part.lot, units: part.units, shortfall: 0 };
    let lines = lines.into_iter().enumerate().map(|(at, line)| {
        let lots = parts_of(parts, at).into_iter().map(shown).collect();
        LineDecision { lots, ..line }
    });
    lines.collect()
}

impl Row {
    pub(super) fn is_lotted(&self) -> bool {
        !self.lots.is_empty()
    }

    /// The number of the lot of this name.
    pub(super) fn numbered(&self, lot: &str) -> Option<u32> {
        self.lots.iter().find(|(_, known)| known.name == lot).map(|(number, _)| *number)
    }

    /// Moves the units of a line: those of each part in its lot, or all in the row if it has no lots.
    pub(super) fn move_units(&mut self, units: u32, parts: &[Part], by: Move) {
        assert_eq!(parts.is_empty(), !self.is_lotted(), "stock is either in lots or without");
        let moved = |figures: [&mut i64; 3], units: u32| {
            figures.into_iter().zip(by).for_each(|(figure, by)| *figure += by * i64::from(units));
        };
        if parts.is_empty() {
            return moved([&mut self.on_hand, &mut self.reserved, &mut self.committed], units);
        }
        for part in parts {
            let lot = self.lots.get_mut(&part.lot).expect("its parts keep it");
            moved([&mut lot.on_hand, &mut lot.reserved, &mut lot.committed], part.units);
        }
        self.add_up();
    }

    /// Changes a lot, which is made if it is not there; its number.
    pub(super) fn change_lot(&mut self, lot: &str, expiry: u32, change: impl FnOnce(&mut Lot)) -> u32 {
        let free = (1..).find(|number| !self.lots.contains_key(number)).expect("numbers do not end");
        let number = self.numbered(lot).unwrap_or(free);
        let made = || Lot { name: lot.to_owned(), expiry, ..Lot::default() };
        change(self.lots.entry(number).or_insert_with(made));
        self.add_up();
        number
    }

    /// The figures of a row are the sums over its lots.
    fn add_up(&mut self) {
        let sum = |figure: fn(&Lot) -> i64| self.lots.values().map(figure).sum();
        self.on_hand = sum(|lot| lot.on_hand);
        self.reserved = sum(|lot| lot.reserved);
        self.committed = sum(|lot| lot.committed);
    }

    pub(super) fn lot_level(&self, number: u32) -> LotLevel {
        let lot = &self.lots[&number];
        LotLevel {
            number,
            lot: lot.name.clone(),
            expiry: lot.expiry,
            on_hand: lot.on_hand,
            reserved: lot.reserved as u64,
            committed: lot.committed as u64,
            halted: lot.halted,
            shortfall: lot.shortfall(),
        }
    }
}

/// What was last said about the freshness of a SKU: the rule that stands, or none once it was removed.
#[derive(Clone, Debug)]
pub(super) struct Freshness {
    pub(super) stamp: Stamp,
    pub(super) rule: Option<SetFreshness>,
}

/// Freshness by pool and SKU.
pub(super) type AllFreshness = BTreeMap<(String, String), Freshness>;

impl Model {
    /// The UTC day of shard time, in days since the epoch: what is sold must outlast it, where it is not delivered on another.
    pub(super) fn today(&self) -> i64 {
        self.now.div_euclid(DAY_MS)
    }

    /// Numbers of the lots that an order may take from, first expiring first, with their free units.
    fn eligible(&self, pool: &str, sku: &str, day: i64) -> Vec<(u32, i64)> {
        let key = (pool.to_owned(), sku.to_owned());
        let rule = self.freshness.get(&key).and_then(|freshness| freshness.rule.as_ref());
        let first = day + rule.map_or(0, |rule| i64::from(rule.least_days));
        let lots = self.rows[&key].lots.iter();
        let lasts = |lot: &Lot| day_number(lot.expiry).expect("looked at as it was made") >= first;
        let mut eligible: Vec<_> = lots.filter(|(_, lot)| !lot.halted && lasts(lot)).collect();
        eligible.sort_by_key(|(number, lot)| (lot.expiry, **number));
        eligible.into_iter().map(|(number, lot)| (*number, lot.free())).collect()
    }

    /// Units of a SKU that the first line of an order may have.
    pub(super) fn available(&self, pool: &str, sku: &str, day: i64) -> i64 {
        let row = &self.rows[&(pool.to_owned(), sku.to_owned())];
        if !row.is_lotted() {
            return row.available();
        }
        let free: i64 = self.eligible(pool, sku, day).into_iter().map(|(_, free)| free).sum();
        (free - row.safety).min(row.available()).max(0)
    }

    /// What an order is made of, of whose SKUs as much as it asks is available.
    pub(super) fn parts(&self, it: &Place, day: i64) -> Vec<Part> {
        let mut free: BTreeMap<&str, Vec<(u32, i64)>> = BTreeMap::new();
        let mut parts = Vec::new();
        for (line, asked) in it.lines.iter().enumerate() {
            let lots = free.entry(&asked.sku).or_insert_with(|| self.eligible(&it.pool, &asked.sku, day));
            let mut wanted = i64::from(asked.quantity);
            for (lot, free) in lots.iter_mut() {
                let units = wanted.min(*free);
                (wanted, *free) = (wanted - units, *free - units);
                if units > 0 {
                    parts.push(Part { line, lot: *lot, units: units as u32 });
                }
            }
        }
        parts
    }

    /// Of each line, whether the order is made of too many parts by then.
    pub(super) fn scattered(&self, it: &Place, day: i64) -> Vec<Option<Bar>> {
        let parts = self.parts(it, day);
        let is_lotted = |sku: &str| self.rows[&(it.pool.clone(), sku.to_owned())].is_lotted();
        let lines = it.lines.iter().enumerate().map(|(at, line)| {
            let so_far = parts.iter().filter(|part| part.line <= at).count();
            (so_far > MOST_PARTS && is_lotted(&line.sku)).then(|| Bar::of(Reason::Scattered))
        });
        lines.collect()
    }

    /// What an order that is committed would be shipped from.
    pub(super) fn shipped_from(&self, key: &OrderKey, named: &[ShippedLot]) -> Result<Vec<Part>, Reason> {
        if named.len() > MOST_LOTS {
            return Err(Reason::TooMany);
        }
        let order = &self.orders[key];
        let row = |sku: &str| &self.rows[&(key.0.clone(), sku.to_owned())];
        for (at, it) in named.iter().enumerate() {
            if !order.lines.iter().any(|(sku, _)| *sku == it.sku) {
                return Err(Reason::NoSuchSku);
            }
            if !row(&it.sku).is_lotted() {
                return Err(Reason::Lot);
            }
            if row(&it.sku).numbered(&it.lot).is_none() {
                return Err(Reason::NoSuchLot);
            }
            if named[..at].iter().any(|before| (&before.sku, &before.lot) == (&it.sku, &it.lot)) {
                return Err(Reason::Doubled);
            }
        }
        let of = |sku: &str| named.iter().filter(|it| it.sku == sku).map(|it| u64::from(it.units)).sum::<u64>();
        let lines = |of: &str| order.lines.iter().filter(|(sku, _)| sku == of).map(|(_, n)| u64::from(*n)).sum::<u64>();
        if named.iter().any(|it| it.units == 0 || of(&it.sku) != lines(&it.sku)) {
            return Err(Reason::Quantity);
        }
        let mut left: Vec<u32> = named.iter().map(|it| it.units).collect();
        let mut parts = Vec::new();
        for (line, (sku, units)) in order.lines.iter().enumerate() {
            if !named.iter().any(|it| it.sku == *sku) {
                parts.extend(parts_of(&order.parts, line));
                continue;
            }
            let mut wanted = *units;
            for (it, left) in named.iter().zip(&mut left).filter(|(it, _)| it.sku == *sku) {
                let units = wanted.min(*left);
                (wanted, *left) = (wanted - units, *left - units);
                if units > 0 {
                    let lot = row(sku).numbered(&it.lot).expect("looked up above");
                    parts.push(Part { line, lot, units });
                }
            }
        }
        if parts.len() > MOST_PARTS {
            return Err(Reason::TooMany);
        }
        let on_hand = |it: &ShippedLot| row(&it.sku).lots[&row(&it.sku).numbered(&it.lot).expect("as above")].on_hand;
        if named.iter().any(|it| (on_hand(it) - i64::from(it.units)).abs() > STOCK_RANGE) {
            return Err(Reason::Quantity);
        }
        Ok(parts)
    }

    /// Whether one of the lots that these parts are of is halted.
    pub(super) fn is_from_halted(&self, key: &OrderKey, parts: &[Part]) -> bool {
        let lines = &self.orders[key].lines;
        parts.iter().any(|part| self.rows[&(key.0.clone(), lines[part.line].0.clone())].lots[&part.lot].halted)
    }

    /// What a line of an order that left was shipped from, if it was not what it had.
    pub(super) fn in_fact(&self, pool: &str, sku: &str, had: &[Part], shipped: &[Part]) -> Vec<LotUnits> {
        if had == shipped {
            return Vec::new();
        }
        let lots = &self.rows[&(pool.to_owned(), sku.to_owned())].lots;
        let shown = |part: &Part| LotUnits { lot: part.lot, units: part.units, shortfall: lots[&part.lot].shortfall() };
        shipped.iter().map(shown).collect()
    }

    /// Why a command about stock cannot be about this lot, or about none.
    pub(super) fn lot_fault(&self, pool: &str, sku: &str, asked: Asked, lot: &str, expiry: u32) -> Option<Reason> {
        let none = Row::default();
        let row = self.rows.get(&(pool.to_owned(), sku.to_owned())).unwrap_or(&none);
        let halts = matches!(asked, Asked::Halt | Asked::Resume);
        let moves = matches!(asked, Asked::Receive | Asked::Adjust | Asked::Count);
        if lot.is_empty() {
            return (row.is_lotted() && moves).then_some(Reason::Lot);
        }
        if !row.is_lotted() && (row.on_hand, row.reserved, row.committed) != (0, 0, 0) {
            return Some(Reason::Lot);
        }
        match row.numbered(lot) {
            None if halts => Some(Reason::NoSuchLot),
            None if expiry == 0 => Some(Reason::Expiry),
            None => (row.lots.len() >= MOST_LOTS).then_some(Reason::TooMany),
            Some(number) => (expiry != 0 && expiry != row.lots[&number].expiry).then_some(Reason::Expiry),
        }
    }

    pub(super) fn lots_known(&self) -> usize {
        self.rows.values().map(|row| row.lots.len()).sum()
    }

    /// Lots of which nothing is left are gone once a command, or an expiry, has done all that it does.
    pub(super) fn drop_bare_lots(&mut self) {
        for row in self.rows.values_mut() {
            row.lots.retain(|_, lot| !lot.is_bare());
        }
    }

    /// Sets the freshness of a SKU, or removes it; `stamp` is that of the decision.
    pub(super) fn set_freshness(&mut self, pool: &str, it: &SetFreshness, stamp: Stamp) {
        self.change(pool, &it.sku, |_| {});
        let rule = (it.least_days > 0).then(|| it.clone());
        self.freshness.insert((pool.to_owned(), it.sku.clone()), Freshness { stamp, rule });
    }
}

/// What is wrong with the lots that a Ship names, whatever it is about.
pub(super) fn shipped_lots_fault(it: &Ship) -> Option<Reason> {
    it.lots.iter().find_map(|named| id_fault(&named.sku).or_else(|| id_fault(&named.lot)))
}

/// The lot and expiry that a command of stock names.
pub(super) fn named_lot(kind: &stock_command::Kind) -> (&str, u32) {
    use stock_command::Kind;
    match kind {
        Kind::Receive(it) => (&it.lot, it.expiry),
        Kind::Adjust(it) => (&it.lot, it.expiry),
        Kind::Count(it) => (&it.lot, it.expiry),
        Kind::Halt(it) => (&it.lot, 0),
        Kind::Resume(it) => (&it.lot, 0),
        _ => ("", 0),
    }
}

/// The field of a command of stock by which it speaks of lots.
pub(super) fn field_of_lots(kind: &stock_command::Kind) -> Option<u32> {
    use stock_command::Kind;
    let (lot, expiry) = named_lot(kind);
    let of_lot = match kind {
        Kind::Receive(_) => 3,
        Kind::Adjust(_) | Kind::Count(_) => 4,
        Kind::Halt(_) | Kind::Resume(_) => 2,
        Kind::Ship(it) => return (!it.lots.is_empty()).then_some(3),
        _ => return None,
    };
    if lot.is_empty() { (expiry != 0).then_some(of_lot + 1) } else { Some(of_lot) }
}

pub(super) fn is_too_long(lot: &str) -> Option<Reason> {
    (lot.len() > LONGEST_ID).then_some(Reason::IdTooLong)
}

/// Why no lot of this name can have this expiry.
pub(super) fn expiry_fault(lot: &str, expiry: u32) -> Option<Reason> {
    let wrong = expiry != 0 && (lot.is_empty() || day_number(expiry).is_none());
    wrong.then_some(Reason::Expiry)
}

pub(super) fn freshness_fault(it: &SetFreshness) -> Option<Reason> {
    (it.least_days > MOST_DAYS).then_some(Reason::Quantity)
}

/// How many days after 1970-01-01 the day lies that is written so, if the calendar has it. Lots may last a year longer than
/// anything is delivered; neither year has a day more than the other.
fn day_number(expiry: u32) -> Option<i64> {
    if expiry / 10_000 == 9_999 { Some(day_of(expiry - 10_000)? + 365) } else { day_of(expiry) }
}

#[cfg(test)]
mod tests {
    use super::day_number;

    #[test]
    fn a_lot_lasts_to_a_day_of_the_gregorian_calendar() {
        let days = [(19_700_101, 0), (20_000_229, 11_016), (20_231_114, 19_675), (99_981_231, 2_932_531)];
        for (written, day) in days.into_iter().chain([(99_990_101, 2_932_532), (99_991_231, 2_932_896)]) {
            assert_eq!(day_number(written), Some(day), "{written}");
        }
        for written in [0, 19_691_231, 20_230_229, 21_000_229, 99_990_229, 99_991_301, 100_000_101, u32::MAX] {
            assert_eq!(day_number(written), None, "{written}");
        }
    }
}
