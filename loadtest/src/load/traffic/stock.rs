//! What is put on the shelves before the first order.

use prost::Message;
use sluice::wire::proto::{self, stock_command};

use super::days::written;
use super::id::{RunId, sku_name};
use super::pools::PoolSet;
use crate::load::scenario::{Popularity, Scenario};

/// Commands in a record: well within 1,000, and a fraction of the largest record.
const PER_RECORD: u32 = 500;

/// Units of a SKU on the shelf of each pool.
pub fn units(scenario: &Scenario, sku: u32) -> u64 {
    let traffic = &scenario.traffic;
    match traffic.popularity {
        Popularity::Hot { skus, .. } if sku < skus && traffic.hot_units > 0 => traffic.hot_units,
        _ => traffic.units,
    }
}

/// Identity of the command that puts a SKU on the shelf: published twice, it counts once.
pub fn command_id(run: RunId, sku: u32) -> String {
    format!("{run}-opening-{sku}")
}

/// A record for the stock topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRecord {
    /// Number of the pool: its name is the key.
    pub pool: u32,
    /// Where it goes.
    pub partition: u32,
    /// How many commands it has: each is answered by one decision.
    pub commands: u32,
    /// Its value.
    pub value: Vec<u8>,
}

/// Name of a lot, by its number in the list of a scenario.
pub(crate) fn lot_name(number: u32) -> String {
    format!("lot-{number}")
}

/// What is put on the shelf of a SKU: its lots, if it has any, each with its units and its last day of use.
fn receipts(
    scenario: &Scenario,
    run: RunId,
    sku: u32,
    first_day: i32,
) -> impl Iterator<Item = (String, proto::Receive)> {
    let (units, lots) = (units(scenario, sku), &scenario.traffic.lots);
    let count = if lots.has(sku) { lots.expires.len() as u64 } else { 0 };
    let lot = move |number: u64| {
        let quantity = units / count + u64::from(number < units % count);
        let expiry = written(first_day + lots.expires[number as usize] as i32);
        let receive = proto::Receive { sku: sku_name(run, sku), quantity, lot: lot_name(number as u32), expiry };
        (format!("{}-{number}", command_id(run, sku)), receive)
    };
    let whole = (count == 0).then(|| {
        let receive = proto::Receive { sku: sku_name(run, sku), quantity: units, ..Default::default() };
        (command_id(run, sku), receive)
    });
    // Few units do not make all lots.
    (0..count.min(units)).map(lot).chain(whole)
}

/// The records that fill all shelves of a run, one pool after the other. Days are counted from `first_day`.
pub fn records<'a>(
    scenario: &'a Scenario,
    run: RunId,
    pools: &'a PoolSet,
    issued_at_ms: i64,
    first_day: i32,
) -> impl Iterator<Item = StockRecord> + 'a {
    let receive = move |pool: &str, (id, receive): (String, proto::Receive)| proto::StockCommand {
        pool: pool.to_owned(),
        id,
        issued_at_ms,
        kind: Some(stock_command::Kind::Receive(receive)),
        reply_partition: None,
    };
    let skus = scenario.traffic.skus;
    // So that a record has no more commands with lots than without.
    let step = PER_RECORD / (scenario.traffic.lots.expires.len() as u32).max(1);
    pools.list().iter().enumerate().flat_map(move |(number, pool)| {
        (0..skus).step_by(step.max(1) as usize).map(move |first| {
            let last = skus.min(first + step.max(1));
            let receipts = (first..last).flat_map(|sku| receipts(scenario, run, sku, first_day));
            let commands: Vec<_> = receipts.map(|receipt| receive(&pool.name, receipt)).collect();
            let count = commands.len() as u32;
            let value = proto::StockCommands { commands }.encode_to_vec();
            StockRecord { pool: number as u32, partition: pool.partition, commands: count, value }
        })
    })
}
