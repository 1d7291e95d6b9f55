//! What is put on the shelves before the first order.

use prost::Message;
use sluice::wire::proto::{self, stock_command};

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

/// The records that fill all shelves of a run, one pool after the other.
pub fn records<'a>(
    scenario: &'a Scenario,
    run: RunId,
    pools: &'a PoolSet,
    issued_at_ms: i64,
) -> impl Iterator<Item = StockRecord> + 'a {
    let receive = move |pool: &str, sku: u32| proto::StockCommand {
        pool: pool.to_owned(),
        id: command_id(run, sku),
        issued_at_ms,
        kind: Some(stock_command::Kind::Receive(proto::Receive {
            sku: sku_name(run, sku),
            quantity: units(scenario, sku),
            ..Default::default()
        })),
        reply_partition: None,
    };
    let skus = scenario.traffic.skus;
    pools.list().iter().enumerate().flat_map(move |(number, pool)| {
        (0..skus).step_by(PER_RECORD as usize).map(move |first| {
            let last = skus.min(first + PER_RECORD);
            let commands = (first..last).map(|sku| receive(&pool.name, sku)).collect();
            let value = proto::StockCommands { commands }.encode_to_vec();
            StockRecord { pool: number as u32, partition: pool.partition, commands: last - first, value }
        })
    })
}
