//! On the way of an order nothing allocates once the ledger is warm: record bytes in, decision bytes out.

mod counting;

use prost::Message;
use sluice::ledger::{FingerprintKey, Ledger, Moment, Rules};
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::encode;
use sluice::wire::link::RULES_LEVEL;
use sluice::wire::proto::{self, Input, Late, Outcome, Reason, command, stock_command};

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

/// What the orders of a round bring beside their lines.
#[derive(Clone, Copy)]
enum Orders {
    Plain,
    /// A customer and a channel of some, a segment, and a key.
    Ruled,
    /// Of stock in lots; some shipments name those that were taken in fact.
    OfLots,
    /// By one of two services, or by none that is named; for a day, or for the next; with a deadline of their own.
    Delivered,
}

/// A unit of a lot that a shipment names.
fn of_one_lot(sku: i64, lot: &str) -> proto::ShippedLot {
    proto::ShippedLot { sku: format!("sku-{}", sku % 100), lot: lot.into(), units: 1 }
}

/// Records of a round: places, a third of them beside a command that cannot be read, confirms of a third, cancels of a
/// third (the rest expires), and shipments.
fn round(n: i64, sort: Orders) -> Vec<(Vec<u8>, Input)> {
    let now = 1_000_000 + n * 100;
    let order = |i: i64| format!("order-{n}-{i}");
    let orders = |kind| {
        let commands = vec![proto::Command { kind: Some(kind), reply_partition: None }];
        (proto::Commands { commands }.encode_to_vec(), Input::Orders)
    };
    let (mut records, pool) = (Vec::new(), || "pool".to_owned());
    for i in 0..300 {
        let line = |sku: i64| proto::OrderLine { sku: format!("sku-{}", sku % 100), quantity: 1 };
        let plain = proto::Place {
            pool: pool(),
            order_id: order(i),
            customer: "customer".into(),
            placed_at_ms: now,
            lines: vec![line(i), line(i + 7)],
            ..Default::default()
        };
        let (mut value, input) = orders(command::Kind::Place(match sort {
            Orders::Plain | Orders::OfLots => plain,
            Orders::Ruled => proto::Place {
                customer: format!("customer-{}", i % 50),
                channel: ["web", "app", "kiosk", ""][i as usize % 4].into(),
                segments: ["gold", "silver"][(i % 3 == 0).into()..].iter().map(ToString::to_string).collect(),
                keys: vec![proto::PlaceKey { name: "card".into(), value: format!("card-{}", i % 40) }],
                ..plain
            },
            Orders::Delivered => proto::Place {
                service: ["", "dawn", "a service of a longer name"][i as usize % 5 % 3].into(),
                day: if i % 7 == 0 { 19700103 } else { 0 },
                late: [Late::Unspecified, Late::Roll, Late::Reject][i as usize % 11 % 3].into(),
                ..plain
            },
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
            let lots = match sort {
                Orders::OfLots if i % 2 == 0 => [i, i + 7].map(|sku| of_one_lot(sku, "late")).into(),
                _ => Vec::new(),
            };
            let kind = Some(stock_command::Kind::Ship(proto::Ship { order_id: order(i), attempt, lots }));
            let commands = vec![proto::StockCommand { pool: pool(), kind, ..Default::default() }];
            records.push((proto::StockCommands { commands }.encode_to_vec(), Input::Stock));
        }
    }
    records
}

/// What was decided, by outcome and by reason.
type Seen = [[u64; 100]; 2];

fn run(
    ledger: &mut Ledger,
    records: &[(Vec<u8>, Input)],
    now: i64,
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    seen: &mut Seen,
) -> u64 {
    let source = Source { input: Input::Orders, offset: 1, index: 0, reply_partition: Some(3) };
    let at = Moment { shard_time_ms: now, engine_time_ms: now };
    let before = counting::allocations();
    ledger.advance(now);
    while let Some(decision) = ledger.expire_one(at) {
        seen[0][decision.outcome as usize] += 1;
        out.clear();
        encode::decision(out, &decision, &source);
    }
    for (value, input) in records {
        let record = validate(Some(value), *input, scratch).expect("well-formed");
        for command in record.commands() {
            ledger.fetch(&mut [ledger.foresee(&command)]);
            out.clear();
            let decision = ledger.apply(&command, at);
            seen[0][decision.outcome as usize] += 1;
            seen[1][decision.reason as usize] += 1;
            encode::decision(out, &decision, &source);
        }
    }
    ledger.digest();
    counting::allocations() - before
}

/// Enough of each SKU.
fn enough() -> Vec<stock_command::Kind> {
    let receipt = |sku| proto::Receive { sku: format!("sku-{sku}"), quantity: 1_000_000, ..Default::default() };
    (0..100).map(|sku| stock_command::Kind::Receive(receipt(sku))).collect()
}

/// Enough of each SKU, in two lots: orders soon begin to take from both.
fn lots() -> Vec<stock_command::Kind> {
    let receipt = |sku, lot: &str, quantity, expiry| {
        let sku = format!("sku-{sku}");
        stock_command::Kind::Receive(proto::Receive { sku, quantity, lot: lot.into(), expiry })
    };
    let lots = |sku| [receipt(sku, "late", 1_000_000, 20_000_102), receipt(sku, "early", 41, 20_000_101)];
    (0..100).flat_map(lots).collect()
}

/// A ledger that has these rules and this stock: rounds of `orders` do not allocate in it once it is warm.
fn check(rules_level: u32, rules: Vec<stock_command::Kind>, stock: Vec<stock_command::Kind>, orders: Orders) -> Seen {
    let mut ledger = Ledger::new(Rules { rules_level, ..RULES }, FingerprintKey([7; 16]));
    let (mut out, mut scratch, mut seen) = (Vec::new(), Scratch::default(), [[0; 100]; 2]);
    let kinds = rules.into_iter().chain(stock).enumerate();
    let stock = kinds.map(|(n, kind)| proto::StockCommand {
        pool: "pool".into(),
        id: format!("stock-{n}"),
        issued_at_ms: 1_000_000,
        kind: Some(kind),
        reply_partition: None,
    });
    let stock = proto::StockCommands { commands: stock.collect() }.encode_to_vec();
    run(&mut ledger, &[(stock, Input::Stock)], 1_000_000, &mut out, &mut scratch, &mut seen);
    // A round is half a generation long: after 30, forgotten chunks are used again.
    for n in 0..30 {
        run(&mut ledger, &round(n, orders), 1_000_000 + n * 100, &mut out, &mut scratch, &mut seen);
    }
    seen = [[0; 100]; 2];
    for n in 30..60 {
        let records = round(n, orders);
        let allocations = run(&mut ledger, &records, 1_000_000 + n * 100, &mut out, &mut scratch, &mut seen);
        assert_eq!(allocations, 0, "in round {n} of {} records", records.len());
    }
    seen
}

#[test]
fn no_order_allocates_once_the_ledger_is_warm() {
    check(0, Vec::new(), enough(), Orders::Plain);
}

#[test]
fn no_order_under_selling_rules_allocates_once_the_ledger_is_warm() {
    let early = vec![proto::EarlySale { segment: "gold".into(), opens_at_ms: 0 }];
    let sale = |sku: &str, opens_at_ms, only: &[&str]| {
        let (sku, only) = (sku.to_owned(), only.iter().map(ToString::to_string).collect());
        stock_command::Kind::SetSale(proto::SetSale { sku, opens_at_ms, only, early: early.clone(), closes_at_ms: 0 })
    };
    let limit = |limit: proto::SetLimit| stock_command::Kind::SetLimit(limit);
    const NEVER: i64 = 1 << 60;
    let rules = vec![
        // Open to some from the beginning and to all while the ledger warms up, so that as many orders are open then as
        // later. One SKU opens to all while it is measured, and one never.
        sale("", 1_001_500, &["gold", "silver"]),
        sale("sku-5", NEVER, &[]),
        sale("sku-7", 1_004_500, &["gold", "silver"]),
        sale("sku-6", 1, &["gold"]),
        // Some of a round's orders are within the first limit and some are not; its periods end between rounds.
        limit(proto::SetLimit {
            name: "customers".into(),
            units: 7,
            whole_pool: true,
            period_ms: 150,
            ..Default::default()
        }),
        limit(proto::SetLimit {
            name: "cards".into(),
            units: 1_000_000,
            units_an_order: 2,
            skus: (0..50).map(|sku| format!("sku-{sku}")).collect(),
            key: "card".into(),
            ..Default::default()
        }),
    ];
    // Shares are used up after some rounds, because shipments count; kiosks draw on that of the others.
    let share = |channel: &str, protected, at_most| proto::ChannelShare { channel: channel.into(), protected, at_most };
    let channels = |sku: usize| {
        let shares = [("web", 10, Some(400)), ("app", 20, None), ("", 0, Some(5))];
        let channels = shares.map(|(channel, protected, at_most)| share(channel, protected, at_most)).to_vec();
        stock_command::Kind::SetChannels(proto::SetChannels {
            sku: format!("sku-{sku}"),
            channels,
            protected_until_ms: 0,
        })
    };
    let rules = rules.into_iter().chain((10..40).map(channels)).collect();
    let [outcomes, reasons] = check(RULES_LEVEL, rules, enough(), Orders::Ruled);
    let outcomes = [Outcome::Reserved, Outcome::Expired, Outcome::Cancelled, Outcome::Shipped, Outcome::NotOpen]
        .map(|outcome| outcomes[outcome as usize]);
    let reasons = [Reason::NotEligible, Reason::Limit, Reason::Quota].map(|reason| reasons[reason as usize]);
    assert!(outcomes.iter().chain(&reasons).all(|count| *count > 0), "{outcomes:?} {reasons:?}");
}

#[test]
fn no_order_of_stock_in_lots_allocates_once_the_ledger_is_warm() {
    let fresh = |sku| proto::SetFreshness { sku: format!("sku-{sku}"), least_days: 2 };
    let rules = (0..50).map(|sku| stock_command::Kind::SetFreshness(fresh(sku))).collect();
    let [outcomes, _] = check(2, rules, lots(), Orders::OfLots);
    let outcomes = [Outcome::Reserved, Outcome::Confirmed, Outcome::Expired, Outcome::Cancelled, Outcome::Shipped]
        .map(|outcome| outcomes[outcome as usize]);
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn no_order_with_a_delivery_allocates_once_the_ledger_is_warm() {
    // The first day's cutoffs come while the rounds are measured, and its places are used up before.
    let service = |name: &str, cutoff_s, late: Late| proto::DeliveryService {
        name: name.to_owned(),
        time_zone: "Europe/London".into(),
        days: (1..=7).map(|weekday| proto::DispatchDay { weekday, cutoff_s }).collect(),
        closed: vec![proto::ClosedDay { day: 19700103 }],
        orders_a_day: 1_500,
        horizon: 7,
        late: late.into(),
        grace_ms: 10,
        ..Default::default()
    };
    // In London it was an hour later than in UTC.
    let services = vec![
        service("dawn", 3_600 + 1_004, Late::Roll),
        service("a service of a longer name", 3_600 + 1_005, Late::Reject),
    ];
    let rules = vec![stock_command::Kind::SetDelivery(proto::SetDelivery { services })];
    let [outcomes, reasons] = check(RULES_LEVEL, rules, enough(), Orders::Delivered);
    let outcomes = [Outcome::Reserved, Outcome::Expired, Outcome::Cancelled, Outcome::Shipped, Outcome::Extended]
        .map(|outcome| outcomes[outcome as usize]);
    let reasons = [Reason::Late, Reason::DeliveryFull].map(|reason| reasons[reason as usize]);
    assert!(outcomes.iter().chain(&reasons).all(|count| *count > 0), "{outcomes:?} {reasons:?}");
}
