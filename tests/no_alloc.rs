//! On the way of an order nothing allocates once the ledger is warm: record bytes in, decision bytes out.

mod counting;

use prost::Message;
use sluice::ledger::{FingerprintKey, Ledger, Moment, Rules};
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::encode;
use sluice::wire::proto::{self, Input, command, stock_command};

const RULES: Rules = Rules {
    shard: 0,
    partitions: 1,
    window_ms: 800,
    skew_ms: 0,
    rules_level: 0,
    default_hold_ms: 50,
    max_hold_ms: 1_000,
    expected_ids: 60_000,
    max_ids: 1_000_000,
};

/// A value with a command that cannot be read: a Place whose pool is not UTF-8.
const MALFORMED: &[u8] = b"\x0a\x05\x0a\x03\x0a\x01\xff";

/// Records of a round: places, a third of them beside a command that cannot be read, confirms of a third, cancels of a
/// third (the rest expires), and shipments.
fn round(n: i64) -> Vec<(Vec<u8>, Input)> {
    let now = 1_000_000 + n * 100;
    let order = |i: i64| format!("order-{n}-{i}");
    let orders = |kind| {
        let commands = vec![proto::Command { kind: Some(kind), reply_partition: None }];
        (proto::Commands { commands }.encode_to_vec(), Input::Orders)
    };
    let (mut records, pool) = (Vec::new(), || "pool".to_owned());
    for i in 0..300 {
        let line = |sku: i64| proto::OrderLine { sku: format!("sku-{}", sku % 100), quantity: 1 };
        let (mut value, input) = orders(command::Kind::Place(proto::Place {
            pool: pool(),
            order_id: order(i),
            customer: "customer".into(),
            placed_at_ms: now,
            lines: vec![line(i), line(i + 7)],
            ..Default::default()
        }));
        if i % 3 == 0 {
            value.extend_from_slice(MALFORMED);
        }
        records.push((value, input));
        let (order_id, attempt) = (order(i), 0);
        match i % 3 {
            0 => records.push(orders(command::Kind::Confirm(proto::Confirm {
                pool: pool(),
                order_id,
                attempt,
                placed_at_ms: 0,
            }))),
            1 => records.push(orders(command::Kind::Cancel(proto::Cancel {
                pool: pool(),
                order_id,
                attempt,
                placed_at_ms: 0,
            }))),
            _ => records.push(orders(command::Kind::Extend(proto::Extend {
                pool: pool(),
                order_id,
                attempt,
                expires_at_ms: now + 60,
                placed_at_ms: 0,
            }))),
        }
        if i % 3 == 0 {
            let kind = Some(stock_command::Kind::Ship(proto::Ship { order_id: order(i), attempt }));
            let commands = vec![proto::StockCommand { pool: pool(), kind, ..Default::default() }];
            records.push((proto::StockCommands { commands }.encode_to_vec(), Input::Stock));
        }
    }
    records
}

fn run(ledger: &mut Ledger, records: &[(Vec<u8>, Input)], now: i64, out: &mut Vec<u8>, scratch: &mut Scratch) -> u64 {
    let source = Source { input: Input::Orders, offset: 1, index: 0, reply_partition: Some(3) };
    let at = Moment { shard_time_ms: now, engine_time_ms: now };
    let before = counting::allocations();
    ledger.advance(now);
    while let Some(decision) = ledger.expire_one(at) {
        out.clear();
        encode::decision(out, &decision, &source);
    }
    for (value, input) in records {
        let record = validate(Some(value), *input, scratch).expect("well-formed");
        for command in record.commands() {
            ledger.fetch(&mut [ledger.foresee(&command)]);
            out.clear();
            encode::decision(out, &ledger.apply(&command, at), &source);
        }
    }
    ledger.digest();
    counting::allocations() - before
}

#[test]
fn no_order_allocates_once_the_ledger_is_warm() {
    let mut ledger = Ledger::new(RULES, FingerprintKey([7; 16]));
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    let stock = (0..100).map(|sku| proto::StockCommand {
        pool: "pool".into(),
        id: format!("receive-{sku}"),
        issued_at_ms: 1_000_000,
        kind: Some(stock_command::Kind::Receive(proto::Receive { sku: format!("sku-{sku}"), quantity: 1_000_000 })),
        reply_partition: None,
    });
    let stock = proto::StockCommands { commands: stock.collect() }.encode_to_vec();
    run(&mut ledger, &[(stock, Input::Stock)], 1_000_000, &mut out, &mut scratch);
    // A round is half a generation long: after 30, forgotten chunks are used again.
    for n in 0..30 {
        run(&mut ledger, &round(n), 1_000_000 + n * 100, &mut out, &mut scratch);
    }
    for n in 30..60 {
        let records = round(n);
        let allocations = run(&mut ledger, &records, 1_000_000 + n * 100, &mut out, &mut scratch);
        assert_eq!(allocations, 0, "in round {n} of {} records", records.len());
    }
}
