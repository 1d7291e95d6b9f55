//! Stock in lots, as a warehouse keeps it: few lots that expire today or on one of the next days, of two SKUs more than of
//! others; what leaves in fact; and a shelf of so many lots that a large order of it is scattered.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sluice::wire::proto::{Halt, OrderLine, Receive, SetFreshness, ShippedLot};

use crate::model::calendar::{DAY_MS, written};
use crate::traffic::sku;

/// A SKU in many lots, how many, and units of each; and an order whose lines end elsewhere than lots do.
const SHELF: &str = "shelf";
const SHELF_LOTS: u32 = 130;
const LOT_UNITS: u64 = 5;
const LINES: usize = 200;
const LINE_UNITS: u32 = 3;

/// One lot of a shipment more than there may be.
const MANY_LOTS: usize = 257;

/// Lots of a day, and how many days later they expire.
const LOTS: [(&str, i64); 3] = [("c", 0), ("a", 1), ("b", 2)];

fn day(now_ms: i64, ahead: i64) -> u32 {
    written(now_ms.div_euclid(DAY_MS) + ahead).expect("a day of the calendar")
}

/// One of three lots of today, and when it expires.
fn some(now_ms: i64, rng: &mut StdRng) -> (String, u32) {
    let (letter, ahead) = LOTS.choose(rng).copied().expect("there are some");
    (format!("{letter}-{}", now_ms.div_euclid(DAY_MS)), day(now_ms, ahead))
}

fn is_in_lots(sku: &str) -> bool {
    matches!(sku, "sku-3" | "sku-4")
}

/// The lot, and its expiry, that a command about this SKU names.
pub fn lot(sku: &str, now_ms: i64, rng: &mut StdRng) -> (String, u32) {
    if rng.random_bool(if is_in_lots(sku) { 0.05 } else { 0.98 }) {
        return (String::new(), 0);
    }
    let (lot, expiry) = some(now_ms, rng);
    match rng.random_range(0..20) {
        0 => (lot, day(now_ms, 7)),
        1..4 => (lot, 0),
        _ => (lot, expiry),
    }
}

/// What there is before anything is asked for: of each SKU, or of each of its lots.
pub fn opening_stock(now_ms: i64) -> impl Iterator<Item = Receive> {
    let today = now_ms.div_euclid(DAY_MS);
    let of_skus = (0..3).map(|n| Receive { sku: format!("sku-{n}"), quantity: 15, ..Receive::default() });
    let of_lots = ["sku-3", "sku-4"].into_iter().flat_map(move |sku| {
        LOTS.map(|(letter, ahead)| Receive {
            sku: sku.into(),
            quantity: 9,
            lot: format!("{letter}-{today}"),
            expiry: day(now_ms, ahead),
        })
    });
    of_skus.chain(of_lots)
}

/// A halt of one lot.
pub fn halt(now_ms: i64, rng: &mut StdRng) -> Halt {
    let sku = ["sku-3", "sku-4"].choose(rng).copied().expect("there are some").into();
    Halt { sku, lot: some(now_ms, rng).0 }
}

/// What must last, or no more.
pub fn freshness(rng: &mut StdRng) -> SetFreshness {
    let least_days = [0, 0, 0, 1, 1, 2].choose(rng).copied().expect("there are some");
    SetFreshness { sku: sku(rng), least_days }
}

/// What left in fact of an order with these lines, if it was not what was reserved.
pub fn shipped(lines: &[OrderLine], now_ms: i64, rng: &mut StdRng) -> Vec<ShippedLot> {
    let mut lots: Vec<ShippedLot> = Vec::new();
    if rng.random_bool(0.4) {
        return lots;
    }
    for sku in lines.iter().map(|line| &line.sku) {
        if lots.iter().any(|named| named.sku == *sku) || !is_in_lots(sku) && rng.random_bool(0.9) {
            continue;
        }
        let mut units: u32 = lines.iter().filter(|line| line.sku == *sku).map(|line| line.quantity).sum();
        let mut named = |units| ShippedLot { sku: sku.clone(), lot: some(now_ms, rng).0, units };
        if units > 1 && units.is_multiple_of(2) {
            lots.push(named(1));
            units -= 1;
        }
        lots.push(named(units));
    }
    match rng.random_range(0..16) {
        0 => lots.push(ShippedLot { sku: "never ordered".into(), lot: "lot".into(), units: 1 }),
        1 => lots.iter_mut().take(1).for_each(|named| named.lot = "none".into()),
        2 | 5 => lots.iter_mut().take(1).for_each(|named| named.units += 1),
        3 => lots.extend(lots.first().cloned()),
        4 => lots.extend((0..MANY_LOTS).map(|n| ShippedLot { sku: "sku-4".into(), lot: n.to_string(), units: 1 })),
        _ => {}
    }
    lots
}

/// A receipt of each lot of the shelf.
pub fn full_shelf(now_ms: i64) -> impl Iterator<Item = Receive> {
    let expiry = day(now_ms, 30);
    (0..SHELF_LOTS).map(move |lot| Receive {
        sku: SHELF.into(),
        quantity: LOT_UNITS,
        lot: format!("lot-{lot}"),
        expiry,
    })
}

/// The lines of an order that takes most of the shelf.
pub fn much_of_the_shelf() -> Vec<OrderLine> {
    vec![OrderLine { sku: SHELF.into(), quantity: LINE_UNITS }; LINES]
}
