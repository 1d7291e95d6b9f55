//! Bugs of lots, planted into a log as those of other rules are.

use std::collections::HashMap;

use sluice::wire::proto::{Decision, LotLevel, LotUnits, Outcome};

use crate::doctored::{By, is_found};

/// Pool and SKU.
type Shelf = (String, String);

/// Units of one of its lots.
type Part = (Shelf, u32, u32);

#[test]
fn units_that_an_order_gives_back_to_another_lot_than_it_had_are_found_out() {
    let mut orders: HashMap<(String, String, u32), Vec<Part>> = HashMap::new();
    let mut kept: HashMap<(Shelf, u32), u64> = HashMap::new();
    let elsewhere = move |decision: &mut Decision| {
        let order = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        match decision.outcome() {
            Outcome::Reserved => {
                let parts = decision.lines.iter().flat_map(|line| line.lots.iter().map(move |part| (&line.sku, part)));
                let part =
                    |(sku, part): (&String, &LotUnits)| ((decision.pool.clone(), sku.clone()), part.lot, part.units);
                orders.insert(order, parts.map(part).collect());
            }
            Outcome::Confirmed | Outcome::Cancelled | Outcome::Expired => {
                let parts = orders.remove(&order).unwrap_or_default();
                let released = parts.into_iter().filter(|_| decision.outcome() != Outcome::Confirmed);
                released.for_each(|(shelf, lot, units)| *kept.entry((shelf, lot)).or_default() += u64::from(units));
            }
            _ => {}
        }
        let Some(level) = &mut decision.stock else { return false };
        let Some(lot) = &mut level.lot else { return false };
        // It still has what was given back to another one.
        let units = kept.get(&((decision.pool.clone(), level.sku.clone()), lot.number)).copied().unwrap_or(0);
        lot.reserved += units;
        lot.shortfall = (lot.reserved + lot.committed).saturating_add_signed(-lot.on_hand.max(0));
        units > 0
    };
    is_found(elsewhere, false, By::TheRules);
}

#[test]
fn a_lot_that_is_sold_while_an_earlier_one_has_free_units_is_found_out() {
    let mut lots: HashMap<Shelf, HashMap<u32, LotLevel>> = HashMap::new();
    let later = move |decision: &mut Decision| {
        if let Some((level, lot)) = decision.stock.as_ref().and_then(|level| Some((level, level.lot.clone()?))) {
            let shelf = (decision.pool.clone(), level.sku.clone());
            lots.entry(shelf).or_default().insert(lot.number, lot);
        }
        if decision.outcome() != Outcome::Reserved {
            return false;
        }
        let pool = &decision.pool;
        decision.lines.iter_mut().any(|line| {
            let Some(known) = lots.get(&(pool.clone(), line.sku.clone())) else { return false };
            let [first] = &mut line.lots[..] else { return false };
            let Some(expiry) = known.get(&first.lot).map(|lot| lot.expiry) else { return false };
            let enough = i64::from(first.units) + 3;
            let has_more =
                |lot: &&LotLevel| !lot.halted && lot.on_hand > (lot.reserved + lot.committed) as i64 + enough;
            let Some(lot) = known.values().filter(has_more).find(|lot| lot.expiry > expiry) else { return false };
            first.lot = lot.number;
            true
        })
    };
    is_found(later, false, By::Both);
}
