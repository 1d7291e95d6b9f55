//! The selling rules of a run, as stock commands. Each names the run: its SKUs, and a limit's name, so that nobody else's
//! sales are ruled by them.

use prost::Message;
use sluice::wire::proto::{self, stock_command};

use super::days::services;
use super::id::{RunId, sku_name};
use super::pools::PoolSet;
use super::stock::{StockRecord, units};
use crate::load::scenario::{ChannelsRule, Rules, SaleRule, Scenario, rules::meant};

/// Limits in a record: one may name 200 SKUs, and the record stays a fraction of the largest.
const LIMITS_PER_RECORD: usize = 100;

/// Sales in a record, each of one SKU: as many as of the commands that put them on the shelf.
const SALES_PER_RECORD: usize = 500;

/// Channels in a record, of one SKU each with up to 16 shares.
const CHANNELS_PER_RECORD: usize = 100;

/// Until the start of the run is known, what opens later opens this long after its rule was issued: not within the run.
const NOT_YET_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

/// Name of a limit of a run.
pub fn limit_name(run: RunId, name: &str) -> String {
    format!("{run}-{name}")
}

/// Whether a limit is one of this run.
pub fn is_limit(run: RunId, name: &[u8]) -> bool {
    name.strip_prefix(run.as_bytes()).is_some_and(|rest| rest.starts_with(b"-"))
}

/// The records that set every rule before stock is put on the shelves. A sale that speaks of instants is shut.
pub fn before_stock<'a>(
    scenario: &'a Scenario,
    run: RunId,
    pools: &'a PoolSet,
    issued_at_ms: i64,
) -> impl Iterator<Item = StockRecord> + 'a {
    let Rules { sale, limit, .. } = &scenario.rules;
    let limits = records(pools, LIMITS_PER_RECORD, move |pool| {
        let limits = limit.iter().map(|limit| {
            let name = limit_name(run, &limit.name);
            let skus = meant(&limit.skus, scenario.traffic.skus).into_iter().map(|sku| sku_name(run, sku)).collect();
            let id = format!("{run}-limit-{}", limit.name);
            let (units, units_an_order) = (limit.units, limit.units_an_order);
            let limit = proto::SetLimit { name, units, units_an_order, skus, ..Default::default() };
            command(pool, id, issued_at_ms, stock_command::Kind::SetLimit(limit))
        });
        limits.collect()
    });
    let sales = records(pools, SALES_PER_RECORD, move |pool| {
        let sales = sale.iter().flat_map(|rule| {
            let opens_at_ms = if rule.is_timed() { issued_at_ms + NOT_YET_MS } else { 0 };
            meant(&rule.skus, scenario.traffic.skus).into_iter().map(move |sku| {
                let sale = proto::SetSale { opens_at_ms, ..sale_of(run, rule, sku) };
                command(pool, format!("{run}-shut-{sku}"), issued_at_ms, stock_command::Kind::SetSale(sale))
            })
        });
        sales.collect()
    });
    let shared = channels(scenario, run, pools, issued_at_ms, None);
    let fresh = records(pools, SALES_PER_RECORD, move |pool| {
        let rules = scenario.rules.freshness.iter().flat_map(|rule| rule.days(scenario.traffic.skus));
        let commands = rules.map(|(sku, least_days)| {
            let freshness = proto::SetFreshness { sku: sku_name(run, sku), least_days };
            let id = format!("{run}-fresh-{sku}");
            command(pool, id, issued_at_ms, stock_command::Kind::SetFreshness(freshness))
        });
        commands.collect()
    });
    limits.chain(sales).chain(shared).chain(fresh)
}

/// The records that tell every rule that speaks of instants what they are, now that the start of the run is known. Days
/// are counted from `first_day`.
pub fn at_start<'a>(
    scenario: &'a Scenario,
    run: RunId,
    pools: &'a PoolSet,
    issued_at_ms: i64,
    start_unix_ms: i64,
    first_day: i32,
) -> impl Iterator<Item = StockRecord> + 'a {
    let sales = records(pools, SALES_PER_RECORD, move |pool| {
        let instant = |after: std::time::Duration| match after.as_millis() as i64 {
            0 => 0,
            after_ms => start_unix_ms + after_ms,
        };
        let sales = scenario.rules.sale.iter().filter(|rule| rule.is_timed()).flat_map(|rule| {
            let (opens_at_ms, closes_at_ms) = (instant(rule.opens), instant(rule.closes));
            meant(&rule.skus, scenario.traffic.skus).into_iter().map(move |sku| {
                let sale = proto::SetSale { opens_at_ms, closes_at_ms, ..sale_of(run, rule, sku) };
                command(pool, format!("{run}-sale-{sku}"), issued_at_ms, stock_command::Kind::SetSale(sale))
            })
        });
        sales.collect()
    });
    let delivery = records(pools, 1, move |pool| {
        let services = services(scenario, start_unix_ms, first_day);
        let kind = stock_command::Kind::SetDelivery(proto::SetDelivery { services });
        let is_set = !scenario.rules.delivery.is_empty();
        is_set.then(|| command(pool, format!("{run}-delivery"), issued_at_ms, kind)).into_iter().collect()
    });
    sales.chain(channels(scenario, run, pools, issued_at_ms, Some(start_unix_ms))).chain(delivery)
}

/// The records that set channels: those of all SKUs, protected for ever, or those whose protection ends, now that the start
/// of the run is known.
fn channels<'a>(
    scenario: &'a Scenario,
    run: RunId,
    pools: &'a PoolSet,
    issued_at_ms: i64,
    start_unix_ms: Option<i64>,
) -> impl Iterator<Item = StockRecord> + 'a {
    let mark = if start_unix_ms.is_some() { "until" } else { "shared" };
    let is_due = move |rule: &&ChannelsRule| start_unix_ms.is_none() || !rule.protected_until.is_zero();
    records(pools, CHANNELS_PER_RECORD, move |pool| {
        let commands = scenario.rules.channels.iter().filter(is_due).flat_map(|rule| {
            let after_ms = rule.protected_until.as_millis() as i64;
            let protected_until_ms = start_unix_ms.map_or(0, |start_ms| start_ms + after_ms);
            meant(&rule.skus, scenario.traffic.skus).into_iter().map(move |sku| {
                let shares = shares_of(rule, units(scenario, sku));
                let channels = proto::SetChannels { sku: sku_name(run, sku), channels: shares, protected_until_ms };
                command(pool, format!("{run}-{mark}-{sku}"), issued_at_ms, stock_command::Kind::SetChannels(channels))
            })
        });
        commands.collect()
    })
}

/// The shares of a SKU of which so many units are put on the shelf.
fn shares_of(rule: &ChannelsRule, units: u64) -> Vec<proto::ChannelShare> {
    let of = |share: f64| (share * units as f64).round() as u64;
    let share = |share: &crate::load::scenario::ShareRule| proto::ChannelShare {
        channel: share.channel.clone(),
        protected: of(share.protected),
        at_most: share.at_most.map(of),
    };
    rule.shares.iter().map(share).collect()
}

/// The sale of a SKU, without its instants.
fn sale_of(run: RunId, rule: &SaleRule, sku: u32) -> proto::SetSale {
    proto::SetSale { sku: sku_name(run, sku), only: rule.only_of(sku).to_vec(), ..Default::default() }
}

fn command(pool: &str, id: String, issued_at_ms: i64, kind: stock_command::Kind) -> proto::StockCommand {
    proto::StockCommand { pool: pool.to_owned(), id, issued_at_ms, kind: Some(kind), reply_partition: None }
}

/// Records of the commands that each pool has, up to `per_record` in each.
fn records<'a>(
    pools: &'a PoolSet,
    per_record: usize,
    commands_of: impl Fn(&str) -> Vec<proto::StockCommand> + 'a,
) -> impl Iterator<Item = StockRecord> + 'a {
    pools.list().iter().enumerate().flat_map(move |(number, pool)| {
        let commands = commands_of(&pool.name);
        let record = |commands: &[proto::StockCommand]| StockRecord {
            pool: number as u32,
            partition: pool.partition,
            commands: commands.len() as u32,
            value: proto::StockCommands { commands: commands.to_vec() }.encode_to_vec(),
        };
        commands.chunks(per_record).map(record).collect::<Vec<_>>()
    })
}
