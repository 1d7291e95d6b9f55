//! Lots from the decisions alone: never reserved beyond what they hold, but for a shortfall that was told; none that expires
//! before its day; never a later one while an earlier one that would do had free units. What a line takes is not worked out
//! again: it is enough that nothing is left where it should have been taken first.

use std::collections::{BTreeMap, HashMap};

use jiff::ToSpan;
use jiff::civil::Date;
use sluice::wire::proto::{Asked, Decision, LineDecision, LotLevel, LotUnits, Outcome, Reason, StockLevel};

use super::{holds, order};

const DAY_MS: i64 = 86_400_000;
const MOST_PARTS: usize = 256;

/// Pool and SKU.
type Shelf = (String, String);

#[derive(Clone, Debug, Default)]
struct Lot {
    name: String,
    expiry: u32,
    on_hand: i64,
    reserved: i64,
    committed: i64,
    halted: bool,
}

impl Lot {
    fn lacks(&self) -> i64 {
        self.reserved + self.committed - self.on_hand
    }

    fn free(&self) -> i64 {
        (-self.lacks()).max(0)
    }
}

#[derive(Debug, Default)]
struct Lots {
    by_number: BTreeMap<u32, Lot>,
    safety_stock: i64,
    least_days: u32,
}

/// Units of a line that are of one lot: which line, of which lot.
type Part = (usize, u32, u32);

#[derive(Debug, Default)]
struct Open {
    parts: Vec<Part>,
    is_paid: bool,
}

/// All lots, and the parts of orders that are open.
#[derive(Debug, Default)]
pub(super) struct LotBook {
    rows: HashMap<Shelf, Lots>,
    orders: HashMap<(String, String, u32), Open>,
}

impl Lots {
    /// The first day to which a lot must last to be sold on this one, as it is written; none if no calendar has it.
    fn must_last_to(&self, day: Date) -> Option<u32> {
        let first = day.checked_add(i64::from(self.least_days).days()).ok()?;
        let (month, of_month) = (u32::try_from(first.month()).ok()?, u32::try_from(first.day()).ok()?);
        Some(u32::try_from(first.year()).ok()? * 10_000 + month * 100 + of_month)
    }

    fn eligible(&self, day: Option<Date>) -> impl Iterator<Item = (u32, &Lot)> {
        let first = day.and_then(|day| self.must_last_to(day));
        let lots = self.by_number.iter().map(|(number, lot)| (*number, lot));
        lots.filter(move |(_, lot)| !lot.halted && first.is_some_and(|first| lot.expiry >= first))
    }

    /// Units that an order may have.
    fn available(&self, day: Option<Date>) -> i64 {
        let of_row: i64 = self.by_number.values().map(|lot| -lot.lacks()).sum();
        let free: i64 = self.eligible(day).map(|(_, lot)| lot.free()).sum();
        (of_row.min(free) - self.safety_stock).max(0)
    }

    fn drop_bare(&mut self) {
        self.by_number.retain(|_, lot| lot.halted || (lot.on_hand, lot.reserved, lot.committed) != (0, 0, 0));
    }

    /// A stock command about one of the lots, or about all of the SKU.
    fn restocked(&mut self, asked: Asked, level: &StockLevel) -> Result<(), &'static str> {
        let was_lotted = !self.by_number.is_empty();
        let moves = matches!(asked, Asked::Receive | Asked::Adjust | Asked::Count);
        self.safety_stock = level.safety_stock as i64;
        let Some(told) = &level.lot else {
            holds(!was_lotted || !moves && level.change == 0, "stock without a lot where it is in lots")?;
            return if was_lotted { self.adds_up(level) } else { Ok(()) };
        };
        let LotLevel { number, lot: name, expiry, .. } = told;
        let free = (1..).find(|number| !self.by_number.contains_key(number));
        let named = self.by_number.iter().find(|(_, lot)| lot.name == *name).map(|(number, _)| *number);
        holds(named.or(free) == Some(*number), "another number than the lot has, or than is free")?;
        holds(named.is_some() || moves, "halts a lot that there is not")?;
        let made = || Lot { name: name.clone(), expiry: *expiry, ..Lot::default() };
        let lot = self.by_number.entry(*number).or_insert_with(made);
        lot.on_hand += level.change;
        lot.halted = asked == Asked::Halt || lot.halted && asked != Asked::Resume;
        let expected = LotLevel {
            number: *number,
            lot: lot.name.clone(),
            expiry: lot.expiry,
            on_hand: lot.on_hand,
            reserved: lot.reserved as u64,
            committed: lot.committed as u64,
            halted: lot.halted,
            shortfall: lot.lacks().max(0) as u64,
        };
        holds(*told == expected, "the lot is another one than decisions add up to")?;
        self.adds_up(level)?;
        self.drop_bare();
        Ok(())
    }

    /// The figures of the row are the sums over its lots.
    fn adds_up(&self, level: &StockLevel) -> Result<(), &'static str> {
        let sum = |figure: fn(&Lot) -> i64| self.by_number.values().map(figure).sum::<i64>();
        let sums = [sum(|lot| lot.on_hand), sum(|lot| lot.reserved), sum(|lot| lot.committed)];
        let told = [level.on_hand, level.reserved as i64, level.committed as i64];
        holds(sums == told, "the row is not the sum of its lots")
    }

    /// A line of an order that is reserved takes what it says.
    fn reserve(&mut self, line: &LineDecision, day: Option<Date>) -> Result<(), &'static str> {
        if self.by_number.is_empty() {
            return holds(line.lots.is_empty(), "takes from lots where there are none");
        }
        let units: u64 = line.lots.iter().map(|part| u64::from(part.units)).sum();
        holds(units == u64::from(line.quantity), "its parts are not the line")?;
        let first = day.and_then(|day| self.must_last_to(day));
        for part in &line.lots {
            holds(part.units > 0 && part.shortfall == 0, "a part of nothing, or one that says too much")?;
            let lot = self.by_number.get_mut(&part.lot).ok_or("takes from a lot that there is not")?;
            holds(!lot.halted, "takes from a lot that is halted")?;
            holds(first.is_some_and(|first| lot.expiry >= first), "takes from a lot that does not last")?;
            holds(lot.free() >= i64::from(part.units), "takes more than the lot has")?;
            lot.reserved += i64::from(part.units);
        }
        let rank = |number: u32| (self.by_number[&number].expiry, number);
        let taken: Vec<_> = line.lots.iter().map(|part| rank(part.lot)).collect();
        holds(taken.is_sorted_by(|a, b| a < b), "not in the order in which they expire")?;
        let last = taken.last().ok_or("takes nothing")?;
        let is_passed_over = |(number, lot): (u32, &Lot)| rank(number) < *last && lot.free() > 0;
        holds(!self.eligible(day).any(is_passed_over), "takes a later lot while an earlier one had free units")?;
        let free: i64 = self.eligible(day).map(|(_, lot)| lot.free()).sum();
        let of_row: i64 = self.by_number.values().map(|lot| -lot.lacks()).sum();
        holds(free.min(of_row) >= self.safety_stock, "takes what is kept back")
    }
}

impl LotBook {
    /// Takes the next decision. An order that is barred does not tell its day, where its pool `delivers`.
    pub(super) fn take(&mut self, decision: &Decision, delivers: bool) -> Result<(), &'static str> {
        let speaks_of = (decision.freshness.is_some(), decision.lines.iter().any(|line| !line.lots.is_empty()));
        let level = decision.stock.as_ref().filter(|level| !level.sku.is_empty());
        match (decision.asked(), decision.outcome()) {
            (Asked::SetFreshness, Outcome::Applied) => {
                let rule = decision.freshness.as_ref().ok_or("the rule is missing")?;
                self.row(decision, &rule.sku).least_days = rule.least_days;
                return holds(!speaks_of.1, "speaks of lots");
            }
            (Asked::Place, Outcome::Reserved) => self.reserved(decision)?,
            (Asked::Place, Outcome::Duplicate) => self.copied(decision)?,
            (Asked::Ship, Outcome::Shipped) => self.shipped(decision)?,
            (asked, outcome) => {
                holds(!speaks_of.1, "speaks of lots")?;
                match (asked, outcome) {
                    (Asked::Place, Outcome::Rejected) => self.barred(decision, delivers)?,
                    (Asked::Ship, Outcome::NotAllowed) => self.kept_here(decision)?,
                    (_, Outcome::Confirmed) => self.confirmed(decision)?,
                    (_, Outcome::Cancelled | Outcome::Expired) => self.released(decision)?,
                    _ => {}
                }
            }
        }
        holds(!speaks_of.0, "speaks of freshness")?;
        let Some(level) = level else { return Ok(()) };
        self.row(decision, &level.sku).restocked(decision.asked(), level)
    }

    fn row(&mut self, decision: &Decision, sku: &str) -> &mut Lots {
        self.rows.entry((decision.pool.clone(), sku.to_owned())).or_default()
    }

    fn reserved(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let day = day_of(decision);
        let mut parts = Vec::new();
        for (at, line) in decision.lines.iter().enumerate() {
            self.row(decision, &line.sku).reserve(line, day)?;
            parts.extend(line.lots.iter().map(|part| (at, part.lot, part.units)));
        }
        holds(parts.len() <= MOST_PARTS, "is made of too many parts")?;
        self.orders.insert(order(decision), Open { parts, is_paid: false });
        Ok(())
    }

    /// What stood in the way of an order of lots.
    fn barred(&self, decision: &Decision, delivers: bool) -> Result<(), &'static str> {
        let lots = |line: &LineDecision| self.rows.get(&(decision.pool.clone(), line.sku.clone()));
        let lotted = |line: &LineDecision| lots(line).filter(|lots| !lots.by_number.is_empty());
        match decision.reason() {
            Reason::OutOfStock if delivers => Ok(()),
            Reason::OutOfStock => {
                let day = day_of(decision);
                let mut taken: HashMap<&str, i64> = HashMap::new();
                for line in &decision.lines {
                    let taken = taken.entry(&line.sku).or_default();
                    let left = lotted(line).map(|lots| lots.available(day) - *taken);
                    let is_short = line.reason() == Reason::OutOfStock;
                    let told = line.available.filter(|_| is_short).or(left);
                    holds(left.is_none() || told == left, "another figure than the lots leave")?;
                    let fits = left.is_none_or(|left| left >= i64::from(line.quantity));
                    holds(left.is_none() || fits != is_short, "a line that the lots do not bar, or do")?;
                    *taken += if is_short { 0 } else { i64::from(line.quantity) };
                }
                Ok(())
            }
            Reason::Scattered => {
                let first = decision.lines.iter().position(|line| line.reason() == Reason::Scattered);
                let behind = &decision.lines[first.ok_or("no line is scattered")?..];
                let flagged = |line: &LineDecision| (line.reason() == Reason::Scattered) == lotted(line).is_some();
                holds(behind.iter().all(flagged), "not the lines that have too many parts")
            }
            _ => Ok(()),
        }
    }

    /// A copy of an order that is open is told its parts.
    fn copied(&self, decision: &Decision) -> Result<(), &'static str> {
        let told = told(decision).map(|(at, part)| (at, part.lot, part.units));
        let parts = self.orders.get(&order(decision)).map_or(&[][..], |open| &open.parts);
        holds(told.eq(parts.iter().copied()), "a copy is told of other parts")
    }

    /// An order that may not leave, because one of the lots that it would leave from is halted.
    fn kept_here(&self, decision: &Decision) -> Result<(), &'static str> {
        let mut rows = self.rows.iter().filter(|((pool, _), _)| *pool == decision.pool);
        let some = rows.any(|(_, lots)| lots.by_number.values().any(|lot| lot.halted));
        holds(decision.reason() != Reason::Halted || some, "no lot is halted")
    }

    /// Changes what the parts of an order are of.
    fn each_part(
        &mut self,
        decision: &Decision,
        parts: &[Part],
        mut change: impl FnMut(&mut Lot, i64),
    ) -> Result<(), &'static str> {
        for (at, number, units) in parts {
            let sku = &decision.lines.get(*at).ok_or("a line is missing")?.sku;
            let lots = &mut self.row(decision, sku).by_number;
            let lot = lots.get_mut(number).ok_or("a lot is gone that an order has a part of")?;
            change(lot, (*units).into());
            holds(lot.reserved >= 0 && lot.committed >= 0, "a figure of a lot falls below 0")?;
        }
        Ok(())
    }

    fn confirmed(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let Some(open) = self.orders.get_mut(&order(decision)) else { return Ok(()) };
        open.is_paid = true;
        let parts = open.parts.clone();
        self.each_part(decision, &parts, |lot, units| {
            lot.reserved -= units;
            lot.committed += units;
        })
    }

    fn released(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let Open { parts, is_paid } = self.orders.remove(&order(decision)).unwrap_or_default();
        self.each_part(decision, &parts, |lot, units| {
            *if is_paid { &mut lot.committed } else { &mut lot.reserved } -= units;
        })?;
        self.rows.values_mut().for_each(Lots::drop_bare);
        Ok(())
    }

    fn shipped(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let Open { parts, .. } = self.orders.remove(&order(decision)).unwrap_or_default();
        self.each_part(decision, &parts, |lot, units| lot.committed -= units)?;
        let mut left = Vec::new();
        for (at, line) in decision.lines.iter().enumerate() {
            let had: Vec<Part> = parts.iter().copied().filter(|(of, ..)| *of == at).collect();
            let in_fact: Vec<Part> = line.lots.iter().map(|part| (at, part.lot, part.units)).collect();
            holds(in_fact != had || had.is_empty(), "told what it had")?;
            let units = |parts: &[Part]| parts.iter().map(|(.., units)| u64::from(*units)).sum::<u64>();
            holds(in_fact.is_empty() || units(&in_fact) == units(&had), "other units left than it had")?;
            left.extend(if in_fact.is_empty() { had } else { in_fact });
        }
        holds(left.len() <= MOST_PARTS, "left in too many parts")?;
        let mut is_halted = false;
        self.each_part(decision, &left, |lot, units| {
            lot.on_hand -= units;
            is_halted |= lot.halted;
        })?;
        holds(!is_halted, "left from a lot that is halted")?;
        for (at, part) in told(decision) {
            let lot = &self.row(decision, &decision.lines[at].sku).by_number[&part.lot];
            holds(part.shortfall == lot.lacks().max(0) as u64, "another shortfall than the lot has")?;
        }
        self.rows.values_mut().for_each(Lots::drop_bare);
        Ok(())
    }
}

/// The parts that a decision tells, each with its line.
fn told(decision: &Decision) -> impl Iterator<Item = (usize, &LotUnits)> {
    decision.lines.iter().enumerate().flat_map(|(at, line)| line.lots.iter().map(move |part| (at, part)))
}

/// The day that what is sold must outlast: that of delivery, else the UTC day of the decision; none that no calendar has.
fn day_of(decision: &Decision) -> Option<Date> {
    let Decision { day, decided_at_ms, .. } = *decision;
    if day == 0 {
        return Date::constant(1970, 1, 1).checked_add(decided_at_ms.div_euclid(DAY_MS).days()).ok();
    }
    Date::new((day / 10_000).try_into().ok()?, (day / 100 % 100).try_into().ok()?, (day % 100).try_into().ok()?).ok()
}
