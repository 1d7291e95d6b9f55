//! What the warehouse does while orders come: goods arrive, things break, shelves are counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice::wire::limits::MAX_STOCK_QUANTITY;

use super::check::Broken;
use super::rules::{meant, skus};
use super::{Pools, Scenario, time};
use crate::load::traffic::MAX_SKUS;
use crate::load::traffic::stock::units;

/// Most commands of a warehouse in a run: the verifier keeps a byte for each.
const MOST_COMMANDS: u64 = 10_000_000;

/// Most times the units on the shelf by which a movement changes them.
const MOST_TIMES_STOCKED: f64 = 1_000.0;

/// Movements of stock, in each pool: once, or every so often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Movement {
    /// What happens.
    pub what: MovementKind,
    /// When first, after the first order was due.
    #[serde(default, with = "time")]
    pub at: Duration,
    /// How long after that again, and so on to the end of the profile; 0: never again.
    #[serde(default, with = "time")]
    pub every: Duration,
    /// Numbers of the SKUs; none: all, or with a lot all that have it.
    #[serde(default)]
    pub skus: Vec<u32>,
    /// Number of the lot that is moved, in the list of those of the opening stock; none: what has no lots is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<u32>,
    /// One of them each time, in turn; else all of them.
    #[serde(default)]
    pub in_turn: bool,
    /// By how much `on_hand` changes, as a share of the units that were put on the shelf.
    pub share: f64,
}

/// What happens to stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovementKind {
    /// Goods arrive.
    Receive,
    /// Something broke, was lost or was found.
    Adjust,
    /// The shelf was counted, and found to have more or less than the ledger showed.
    Count,
}

impl MovementKind {
    /// As scenarios name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Adjust => "adjust",
            Self::Count => "count",
        }
    }
}

impl Movement {
    /// The SKUs that it means.
    pub(crate) fn meant(&self, scenario: &Scenario) -> Vec<u32> {
        let lots = &scenario.traffic.lots;
        let mut meant = meant(&self.skus, scenario.traffic.skus.min(MAX_SKUS));
        meant.retain(|sku| !self.skus.is_empty() || self.lot.is_none() || lots.has(*sku));
        meant
    }

    /// How often it happens within a run of this length.
    pub(crate) fn times(&self, length: Duration) -> u64 {
        let Some(rest) = length.checked_sub(self.at).filter(|rest| !rest.is_zero()) else { return 0 };
        if self.every.is_zero() { 1 } else { rest.as_nanos().div_ceil(self.every.as_nanos()) as u64 }
    }

    /// Units by which `on_hand` of a SKU changes: one at the least, so that a run at a low rate has movements too.
    pub(crate) fn change(&self, scenario: &Scenario, sku: u32) -> i64 {
        let change = self.share * units(scenario, sku) as f64;
        if change.abs() < 1.0 { change.signum() as i64 } else { change.round() as i64 }
    }

    /// Multiplies its times.
    pub(super) fn stretch(&mut self, factor: f64) {
        for time in [&mut self.at, &mut self.every] {
            *time = time.mul_f64(factor);
        }
    }
}

/// What movements must be, by themselves and to a profile of this length.
pub(super) fn check(scenario: &Scenario, length: Duration, broken: &mut Broken) {
    let all = scenario.traffic.skus.min(MAX_SKUS);
    let pools = if let Pools::Named(names) = &scenario.traffic.pools { names.len() as u64 } else { 1 };
    let mut commands = 0_u64;
    for (number, movement) in scenario.warehouse.iter().enumerate() {
        let key = format!("warehouse[{number}]");
        skus(&format!("{key}.skus"), &movement.skus, all, &mut [], broken);
        broken.unless(movement.at < length, || {
            format!("{key}.at is after the end of the profile: nothing would be seen of it")
        });
        let least = match movement.what {
            MovementKind::Receive => 0.0,
            MovementKind::Adjust => -MOST_TIMES_STOCKED,
            // A shelf has no fewer than 0 units.
            MovementKind::Count => -1.0,
        };
        broken.unless((least..=MOST_TIMES_STOCKED).contains(&movement.share), || {
            format!("{key}.share = {}: must be from {least} to {MOST_TIMES_STOCKED}", movement.share)
        });
        let moved = movement.meant(scenario);
        broken.unless(!moved.is_empty(), || format!("{key}.lot: no SKU has lots; see traffic.lots"));
        let by = |sku: &u32| movement.change(scenario, *sku).unsigned_abs();
        broken.unless(movement.share != 0.0, || format!("{key}.share = 0: nothing would move"));
        broken.unless(moved.iter().all(|sku| by(sku) <= MAX_STOCK_QUANTITY), || {
            format!("{key}.share = {}: that is more than {MAX_STOCK_QUANTITY} units", movement.share)
        });
        let at_a_time = if movement.in_turn { 1 } else { moved.len() as u64 };
        commands = commands.saturating_add(movement.times(length).saturating_mul(at_a_time).saturating_mul(pools));
    }
    broken.unless(commands <= MOST_COMMANDS, || {
        format!(
            "warehouse: {commands} commands, and at most {MOST_COMMANDS} are verified: let it happen less often, to fewer \
             SKUs (skus), or to one at a time (in_turn = true)"
        )
    });
}
