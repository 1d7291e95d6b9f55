//! What selling rules cost: the same orders, beside a ledger without rules, where each SKU has a sale and the pool a limit
//! for each customer, where SKUs are shared among channels too, where stock is in lots, and where a pool delivers. All
//! orders pass, so each is held against every guard, counted, and given back.

use prost::Message;
use sluice::broker::Input;
use sluice::wire::proto::{self, stock_command};

use super::median::median;
use super::support::engine::Engine;
use super::support::orders::{POOL, Popularity, SKUS, UNITS, sku_name};
use super::support::steady::{BEGIN_MS, Steady, WINDOW_MS};
use super::{PER_RECORD, measured, timed};

/// Commands that set rules and receive stock.
type Stock = fn() -> Vec<stock_command::Kind>;

/// What is measured.
const CASES: [(&str, Stock); 4] = [
    ("sale and limit", || [sales_and_limit(), receipts()].concat()),
    ("and channels", || [sales_and_limit(), channels(), receipts()].concat()),
    ("lots", || [freshness(), receipts_of_lots()].concat()),
    ("delivery", || [delivery(), receipts()].concat()),
];

/// Lots of each SKU, of which the first is the first to be sold, and seldom empty.
const LOTS: [u32; 3] = [20_990_101, 20_990_102, 20_990_103];

/// Measures each case in turn with the plain one, and prints them.
pub(crate) fn run(ids: u64, rounds: usize) {
    println!(
        "{:>12} {:>10} {:>16} {:>10} {:>10} {:>12}",
        "ids known", "per record", "orders of", "ns", "plain ns", "over plain"
    );
    for (name, stock) in CASES {
        let mut both = [receipts as Stock, stock].map(|stock| {
            let mut engine = Engine::empty(WINDOW_MS);
            engine.decide(Input::Stock, &records(stock()), BEGIN_MS);
            let mut steady = Steady::of(engine);
            steady.fill(ids);
            steady
        });
        for per_record in PER_RECORD {
            let mut samples = Vec::new();
            for round in 0..=rounds {
                let took = both.each_mut().map(|steady| {
                    let records = steady.round(Popularity::Uniform, per_record);
                    let now_ms = steady.now_ms();
                    let took = timed(|| measured(&mut steady.engine, &records, now_ms)).0;
                    steady.end_round();
                    took
                });
                // The first round is for warming up.
                if round > 0 {
                    samples.push(took);
                }
            }
            let of = |which: usize| median(samples.iter().map(|took| took[which]));
            let ratio = median(samples.iter().map(|[plain, ruled]| ruled / plain));
            println!("{ids:>12} {per_record:>10} {name:>16} {:>10.0} {:>10.0} {ratio:>12.2}", of(1), of(0));
        }
    }
    println!();
}

/// A record for each command.
fn records(kinds: Vec<stock_command::Kind>) -> Vec<Vec<u8>> {
    let record = |(number, kind)| {
        let (pool, id) = (POOL.into(), format!("stock-{number}"));
        let command = proto::StockCommand { pool, id, issued_at_ms: BEGIN_MS, kind: Some(kind), reply_partition: None };
        proto::StockCommands { commands: vec![command] }.encode_to_vec()
    };
    kinds.into_iter().enumerate().map(record).collect()
}

fn receipt(sku: usize, quantity: u64) -> proto::Receive {
    proto::Receive { sku: sku_name(sku), quantity, ..Default::default() }
}

fn receipts() -> Vec<stock_command::Kind> {
    (0..SKUS).map(|sku| stock_command::Kind::Receive(receipt(sku, UNITS))).collect()
}

fn receipts_of_lots() -> Vec<stock_command::Kind> {
    let of_lot = |(sku, expiry): (usize, u32)| {
        let lot = format!("lot-{expiry}");
        stock_command::Kind::Receive(proto::Receive { lot, expiry, ..receipt(sku, UNITS / LOTS.len() as u64) })
    };
    (0..SKUS).flat_map(|sku| LOTS.map(|expiry| (sku, expiry))).map(of_lot).collect()
}

/// For each SKU a sale that opened long ago and closes in a long time; a limit for each customer over all of them.
fn sales_and_limit() -> Vec<stock_command::Kind> {
    let (opens_at_ms, closes_at_ms) = (BEGIN_MS - 1, BEGIN_MS << 1);
    let sale = |sku| proto::SetSale { sku: sku_name(sku), opens_at_ms, closes_at_ms, ..Default::default() };
    let limit = proto::SetLimit { name: "limit".into(), units: 1_000_000_000, whole_pool: true, ..Default::default() };
    let sales = (0..SKUS).map(|sku| stock_command::Kind::SetSale(sale(sku)));
    sales.chain([stock_command::Kind::SetLimit(limit)]).collect()
}

/// For each SKU three channels and the others; that of the orders is the second.
fn channels() -> Vec<stock_command::Kind> {
    let share = |(channel, protected): (&str, u64)| proto::ChannelShare {
        channel: channel.into(),
        protected,
        at_most: Some(1_000_000_000),
    };
    let shares = [("app", 10), ("web", 20), ("store", 10), ("", 0)].map(share).to_vec();
    let of_sku = |sku| proto::SetChannels { sku: sku_name(sku), channels: shares.clone(), protected_until_ms: 0 };
    (0..SKUS).map(|sku| stock_command::Kind::SetChannels(of_sku(sku))).collect()
}

/// For each SKU two days that it must last.
fn freshness() -> Vec<stock_command::Kind> {
    let of_sku = |sku| proto::SetFreshness { sku: sku_name(sku), least_days: 2 };
    (0..SKUS).map(|sku| stock_command::Kind::SetFreshness(of_sku(sku))).collect()
}

/// A service that delivers the next day what was ordered before 23:00, as many orders as come.
fn delivery() -> Vec<stock_command::Kind> {
    let service = proto::DeliveryService {
        name: "dawn".into(),
        time_zone: "Asia/Seoul".into(),
        days: (1..=7).map(|weekday| proto::DispatchDay { weekday, cutoff_s: 82_800 }).collect(),
        lead: 1,
        orders_a_day: 1_000_000_000,
        horizon: 7,
        grace_ms: 60_000,
        ..Default::default()
    };
    vec![stock_command::Kind::SetDelivery(proto::SetDelivery { services: vec![service] })]
}
