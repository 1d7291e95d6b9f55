//! What selling rules cost: the same orders, beside a ledger without rules, where each SKU has a sale and the pool a limit
//! for each customer. All orders pass, so each is held against every guard and counted.

use prost::Message;
use sluice::broker::Input;
use sluice::wire::proto::{self, stock_command};

use super::median::median;
use super::support::orders::{POOL, Popularity, SKUS, sku_name};
use super::support::steady::{BEGIN_MS, Steady};
use super::{PER_RECORD, measured, timed};

/// Measures both in turn and prints them.
pub(crate) fn run(ids: u64, rounds: usize) {
    let (mut plain, mut ruled) = (Steady::new(false), Steady::new(false));
    ruled.engine.decide(Input::Stock, &rules(), BEGIN_MS);
    for steady in [&mut plain, &mut ruled] {
        steady.fill(ids);
    }
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>18}",
        "ids known", "per record", "plain ns", "ruled ns", "ruled over plain"
    );
    for per_record in PER_RECORD {
        let mut samples = Vec::new();
        for round in 0..=rounds {
            let mut took = [0.0; 2];
            for (steady, took) in [&mut plain, &mut ruled].into_iter().zip(&mut took) {
                let records = steady.round(Popularity::Uniform, per_record);
                let now_ms = steady.now_ms();
                *took = timed(|| measured(&mut steady.engine, &records, now_ms)).0;
                steady.end_round();
            }
            // The first round is for warming up.
            if round > 0 {
                samples.push(took);
            }
        }
        let of = |which: usize| median(samples.iter().map(|took| took[which]));
        let ratio = median(samples.iter().map(|[plain, ruled]| ruled / plain));
        println!("{ids:>12} {per_record:>10} {:>10.0} {:>10.0} {ratio:>18.2}", of(0), of(1));
    }
    println!();
}

/// A sale for each SKU that opened long ago and closes in a long time, and a limit for each customer over all of them.
fn rules() -> Vec<Vec<u8>> {
    let sale = |sku| {
        let (opens_at_ms, closes_at_ms) = (BEGIN_MS - 1, BEGIN_MS << 1);
        stock_command::Kind::SetSale(proto::SetSale {
            sku: sku_name(sku),
            opens_at_ms,
            closes_at_ms,
            ..Default::default()
        })
    };
    let limit = proto::SetLimit { name: "limit".into(), units: 1_000_000_000, whole_pool: true, ..Default::default() };
    let kinds = (0..SKUS).map(sale).chain([stock_command::Kind::SetLimit(limit)]);
    let record = |(number, kind)| {
        let (pool, id) = (POOL.into(), format!("rule-{number}"));
        let command = proto::StockCommand { pool, id, issued_at_ms: BEGIN_MS, kind: Some(kind), reply_partition: None };
        proto::StockCommands { commands: vec![command] }.encode_to_vec()
    };
    kinds.enumerate().map(record).collect()
}
