//! Lots drawn at random: few of them, of two SKUs more than of others, that expire on one of the next days, and some that are
//! wrong in each way; what is shipped in fact; and lives about nothing else, in which midnights come.

mod cellar;

use sluice::wire::proto::{OrderLine, SetFreshness, ShippedLot};

use super::delivery::Draw;
use super::{LAST_ADVANCE, NEVER, SELDOM, Step, sku};
use crate::model::calendar::{DAY_MS, written};

pub(crate) use cellar::{Cellar, a_life_of_lots, a_row_of_many_lots, figures_out_of_range, many_parts};

/// From this number on what a step says of rules is a freshness.
pub(super) const FRESHNESS: u8 = 244;

/// One lot of a shipment more than there may be.
const MANY_LOTS: u32 = 257;

/// Days that no calendar has, or too many.
const NO_DAYS: [u32; 5] = [7, 19_691_231, 20_230_229, 20_241_301, 100_000_101];

/// The next midnight, UTC.
pub(crate) fn midnight(now: i64) -> i64 {
    (now.div_euclid(DAY_MS) + 1) * DAY_MS
}

/// Where lives begin, half a second before a midnight: a leap day's, a year's, and the last one that a lot may last to.
pub(crate) fn starts() -> Vec<i64> {
    [1, 11_016, 19_723, 2_932_896].map(|day| day * DAY_MS - 500).to_vec()
}

impl Step {
    /// A step about lots: of one of two SKUs of a pool, which is more often restocked than elsewhere, and what was placed
    /// last more often paid and shipped.
    pub(crate) fn lotted(self) -> Step {
        let what = match self.what {
            0..=34 => self.what,
            35..=42 => 52 + self.what % 16,
            43..=52 => 68 + self.what % 18,
            53..=119 => 86 + self.what % 44,
            120..=129 => 130 + self.what % 20,
            130..=164 => 150 + self.what % 40,
            165..=194 => 190 + self.what % 20,
            195..=250 => 210 + self.what % 35,
            _ => self.what,
        };
        let pool = if self.pool < 12 { self.pool } else { 20 };
        let skus = self.skus.map(|n| if n < 8 { n } else { 10 + n % 2 });
        let of_rule = if what < 68 && self.rule[1] < 200 { FRESHNESS } else { self.rule[0] };
        let (is_of_order, is_of_stock) = ((150..=209).contains(&what), (210..=244).contains(&what));
        let units = if is_of_order { [self.units[0] % 5, self.units[1] % 180] } else { self.units };
        let twist = if is_of_order && what < 190 { self.twist % 130 } else { self.twist };
        // Pools are halted less often, and mostly resumed; most else is received.
        let attempt = match self.attempt {
            235..=240 if is_of_stock => 236,
            241.. if is_of_stock => self.attempt - 241,
            attempt => attempt,
        };
        let rule = [of_rule, self.rule[1], self.rule[2]];
        Step { what, pool, skus, units, twist, attempt, rule, ..self }
    }

    /// A step about lots of a pool that delivers: what is sold must outlast a day that is still to come.
    pub(crate) fn delivered_from_lots(self) -> Step {
        let step = self.delivered();
        let sku = |n: u8| if n < 8 || n == 15 { n } else { 10 + n % 2 };
        Step { skus: step.skus.map(sku), ..step }
    }

    /// A step with time that often goes on to a midnight.
    pub(crate) fn over_midnights(self) -> Step {
        let leaps = self.what <= LAST_ADVANCE && self.twist < 50;
        Step { time: if leaps { 253 + self.time % 2 } else { self.time }, ..self }
    }
}

/// The lot, and its expiry, of which a command about this SKU speaks; nearly always one of some SKUs, and seldom of others.
pub(super) fn lot(step: &Step, sku: &str, now: i64) -> (String, u32) {
    let mut draw = Draw::new(step, "lot");
    let lotted = match sku {
        "sku-2" | "sku-3" => 240,
        SELDOM => 80,
        _ => 4,
    };
    if draw.below(256) >= lotted {
        return (String::new(), if draw.below(50) == 0 { 20_240_229 } else { 0 });
    }
    let (name, expires_on) = name_of(draw.below(4), now);
    let expiry = match draw.below(40) {
        0 => draw.of(&NO_DAYS),
        1 => written(expires_on + 1).unwrap_or(99_991_231),
        2..=9 => 0,
        _ => written(expires_on).unwrap_or(99_991_231),
    };
    let name = if draw.below(60) == 0 { "l".repeat(129) } else { name };
    (name, expiry)
}

/// One of four lots of these days, and when it expires: two on the same day, and names do not tell which is first.
fn name_of(n: usize, now: i64) -> (String, i64) {
    let days = now.div_euclid(DAY_MS) / 3;
    let (letter, after) = [("d", 0), ("b", 1), ("c", 3), ("a", 1)][n];
    (format!("{letter}{}", days % 3), days * 3 + after)
}

/// A freshness, or the end of one.
pub(super) fn freshness(step: &Step) -> SetFreshness {
    let mut draw = Draw::new(step, "freshness");
    SetFreshness { sku: sku(step, 0), least_days: draw.of(&[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3_650, 3_651]) }
}

/// What left in fact of an order with these lines: mostly what was reserved.
pub(super) fn shipped(step: &Step, lines: &[OrderLine], now: i64) -> Vec<ShippedLot> {
    let mut draw = Draw::new(step, "shipped");
    if draw.below(5) < 2 {
        return Vec::new();
    }
    let mut units: Vec<(&str, u32)> = Vec::new();
    for line in lines {
        match units.iter_mut().find(|(sku, _)| *sku == line.sku) {
            Some((_, units)) => *units = units.saturating_add(line.quantity),
            None => units.push((&line.sku, line.quantity)),
        }
    }
    let is_lotted = |sku: &str| matches!(sku, "sku-2" | "sku-3");
    let named = |sku: &str, lot: String, units| ShippedLot { sku: sku.into(), lot, units };
    let mut lots = Vec::new();
    for (sku, units) in &units {
        if !is_lotted(sku) && draw.below(12) > 0 {
            continue;
        }
        let (first, second) = (draw.below(4), draw.below(4));
        let of_first =
            if first == second || draw.below(2) == 0 { *units } else { draw.below((*units).max(1) as usize) as u32 };
        let both = [(first, of_first), (second, units - of_first)];
        let both = both.into_iter().filter(|(_, units)| *units > 0);
        lots.extend(both.map(|(n, units)| named(sku, name_of(n, now).0, units)));
    }
    match draw.below(36) {
        0 => lots.push(named(NEVER, "a0".into(), 1)),
        1 => lots.extend((0..MANY_LOTS).map(|n| named("sku-2", n.to_string(), 1))),
        2 | 3 => lots.extend(lots.first().cloned()),
        4 => lots.push(named("sku-3", "z".into(), 1)),
        5 => lots.push(named("", "a0".into(), 1)),
        6 => lots.push(named("sku-2", String::new(), 1)),
        7 => lots.push(named("sku-2", "l".repeat(129), 1)),
        8..=10 => lots.iter_mut().take(1).for_each(|lot| lot.units = 0),
        11 => lots.iter_mut().take(1).for_each(|lot| lot.units = u32::MAX),
        12 | 13 => lots.iter_mut().take(1).for_each(|lot| lot.units = lot.units.saturating_add(1)),
        14..=16 => lots.reverse(),
        _ => {}
    }
    lots
}
