//! Commands that are wrong, each in one way: what upstream sends when it has a bug, or is newer than the engine.

use rand::Rng;
use rand::rngs::StdRng;
use sluice::wire::proto::{
    ChannelShare, ClosedDay, Command, DeliveryService, DispatchDay, EarlySale, OrderLine, SetChannels, SetDelivery,
    SetLimit, SetSale, ShippedLot, StockCommand, Tick, command, stock_command,
};

use crate::rules::{SKEW_MS, WINDOW_MS};

/// Field 50 with the value 1, which no engine of today knows.
pub const UNKNOWN_FIELD: [u8; 3] = [0x90, 0x03, 0x01];

/// Commands of `orders` that cannot be read: a Place whose pool is not UTF-8, one of which the partition is cut off, and
/// a kind that is a number. The first and the last say who waits for the answer; only of the first is it believed.
pub const MALFORMED: [&[u8]; 3] = [b"\x0a\x03\x0a\x01\xff\x28\x01", b"\x0a\x00\x28", b"\x28\x01\x10\x01"];

/// As [`MALFORMED`], of `stock`: a Receive whose SKU is not UTF-8, and a pool that is not.
pub const MALFORMED_STOCK: [&[u8]; 2] = [b"\x22\x03\x0a\x01\xff\x60\x01", b"\x0a\x01\xff\x60\x01"];

/// One more than there may be: bytes of an id, lines of an order, units of a line, of stock.
const LONG_BYTES: usize = 129;
const MANY_LINES: usize = 201;
const MANY_UNITS: u32 = 1_000_001;
const MUCH_STOCK: u64 = 1_000_000_000_001;
const MANY_SEGMENTS: usize = 17;
const MANY_LOTS: usize = 257;
/// None that the calendar has.
const NO_DAY: u32 = 20_230_229;

/// Texts that are all different.
fn some(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// An id that is empty or too long.
fn bad_id(rng: &mut StdRng) -> String {
    if rng.random() { String::new() } else { "x".repeat(LONG_BYTES) }
}

/// A client's time too far ahead, missing, or too old.
pub fn bad_time(now_ms: i64, rng: &mut StdRng) -> i64 {
    match rng.random_range(0..5) {
        0 | 1 => now_ms + SKEW_MS + rng.random_range(0..1_000),
        2 => 0,
        _ => now_ms - WINDOW_MS - rng.random_range(0..1_000),
    }
}

/// Makes a command of `orders` wrong.
pub fn order(command: &mut Command, rng: &mut StdRng) {
    use command::Kind;
    let (pool, order_id) = match &mut command.kind {
        None => return,
        Some(Kind::Place(it)) => match rng.random_range(0..13) {
            0 => return it.customer = bad_id(rng),
            1 => return it.channel = "x".repeat(LONG_BYTES),
            2 => return it.lines = vec![OrderLine { sku: "sku-0".into(), quantity: 1 }; MANY_LINES],
            3 => return it.lines.push(OrderLine { sku: bad_id(rng), quantity: 1 }),
            4 => return it.lines.push(OrderLine { sku: "sku-0".into(), quantity: MANY_UNITS }),
            5 => return it.hold_ms = u64::MAX,
            6 => return it.segments = vec!["segment".into(); 2],
            7 => return it.segments = some(MANY_SEGMENTS),
            8 => return it.service = "x".repeat(LONG_BYTES),
            9 => return it.day = 20_230_229,
            10 => return it.late = 3,
            _ => (&mut it.pool, &mut it.order_id),
        },
        Some(Kind::Confirm(it)) => (&mut it.pool, &mut it.order_id),
        Some(Kind::Extend(it)) => (&mut it.pool, &mut it.order_id),
        Some(Kind::Cancel(it)) => (&mut it.pool, &mut it.order_id),
    };
    match rng.random_range(0..5) {
        0 => command.kind = None,
        1 | 2 => *pool = bad_id(rng),
        _ => *order_id = bad_id(rng),
    }
}

/// Makes a command of `stock` wrong, or a Tick.
pub fn stock(command: &mut StockCommand, now_ms: i64, rng: &mut StdRng) {
    use stock_command::Kind;
    match rng.random_range(0..12) {
        0 => return command.pool = bad_id(rng),
        1 => return command.id = bad_id(rng),
        2 | 3 => return command.issued_at_ms = bad_time(now_ms, rng),
        4 => return command.kind = None,
        // Of another shard, if it does not happen to come to this one.
        5 | 6 => return command.kind = Some(Kind::Tick(Tick { shard: rng.random_range(0..4) })),
        _ => {}
    }
    match &mut command.kind {
        Some(Kind::Receive(it)) => match rng.random_range(0..4) {
            0 => it.lot = "x".repeat(LONG_BYTES),
            1 => it.expiry = NO_DAY,
            _ => it.quantity = MUCH_STOCK,
        },
        Some(Kind::Adjust(it)) if rng.random() => it.reason = "x".repeat(LONG_BYTES),
        Some(Kind::Adjust(it)) => it.change = 0,
        Some(Kind::Count(it)) => it.counted = MUCH_STOCK,
        Some(Kind::SetSafetyStock(it)) => it.quantity = MUCH_STOCK,
        Some(Kind::Halt(it)) => it.sku = "never received".into(),
        Some(Kind::Resume(it)) => it.sku = "never received".into(),
        Some(Kind::Ship(it)) => match rng.random_range(0..6) {
            0 => it.lots.push(ShippedLot { sku: bad_id(rng), lot: "lot".into(), units: 1 }),
            1 => it.lots.push(ShippedLot { sku: "sku-4".into(), lot: bad_id(rng), units: 1 }),
            2 | 3 => {
                it.lots.extend(some(MANY_LOTS).into_iter().map(|lot| ShippedLot { sku: "sku-4".into(), lot, units: 1 }))
            }
            _ => it.order_id = bad_id(rng),
        },
        Some(Kind::SetSale(it)) => sale(it, rng),
        Some(Kind::SetLimit(it)) => limit(it, rng),
        Some(Kind::SetChannels(it)) => channels(it, rng),
        Some(Kind::SetFreshness(it)) if rng.random() => it.sku = bad_id(rng),
        Some(Kind::SetFreshness(it)) => it.least_days = u32::MAX,
        Some(Kind::SetDelivery(it)) => delivery(it, rng),
        Some(Kind::Tick(_) | Kind::RaiseRulesLevel(_)) | None => {}
    }
}

fn sale(it: &mut SetSale, rng: &mut StdRng) {
    match rng.random_range(0..4) {
        0 => it.only = some(MANY_SEGMENTS),
        1 => it.only = vec!["segment".into(); 2],
        2 => it.closes_at_ms = -1,
        _ => it.early.push(EarlySale { segment: bad_id(rng), opens_at_ms: 0 }),
    }
}

fn limit(it: &mut SetLimit, rng: &mut StdRng) {
    match rng.random_range(0..6) {
        0 => it.skus = some(MANY_LINES),
        1 => it.skus = vec!["sku-0".into(); 2],
        2 => (it.units, it.period_ms, it.anchor_ms) = (1, 1, -1),
        3 => (it.units, it.units_an_order, it.whole_pool) = (0, 0, true),
        4 => it.units = MUCH_STOCK,
        _ => it.name = bad_id(rng),
    }
}

fn channels(it: &mut SetChannels, rng: &mut StdRng) {
    let share = |channel: String, protected| ChannelShare { channel, protected, at_most: Some(1) };
    match rng.random_range(0..6) {
        0 => it.sku = bad_id(rng),
        1 => it.channels = some(MANY_SEGMENTS).into_iter().map(|name| share(name, 0)).collect(),
        2 => it.channels = vec![share(String::new(), 0); 2],
        3 => it.channels = vec![share("channel".into(), 2)],
        4 => it.channels = vec![share("x".repeat(LONG_BYTES), 0)],
        _ => (it.channels, it.protected_until_ms) = (vec![share("channel".into(), 0)], 1),
    }
}

fn delivery(it: &mut SetDelivery, rng: &mut StdRng) {
    let days = vec![DispatchDay { weekday: 1, cutoff_s: 1 }];
    let sound = |name: String| DeliveryService {
        name,
        time_zone: "UTC".into(),
        days: days.clone(),
        horizon: 1,
        ..DeliveryService::default()
    };
    let mut service = sound("service".into());
    match rng.random_range(0..12) {
        0 => service.name = bad_id(rng),
        1 => service.time_zone = bad_id(rng),
        2 | 10 | 11 => service.time_zone = "Mars/Olympus".into(),
        3 => service.days.extend(days),
        4 => service.days.clear(),
        5 => service.closed = vec![ClosedDay { day: 20_230_229 }],
        6 => service.orders_a_day = MUCH_STOCK,
        7 => service.horizon = 63,
        8 => return it.services = vec![service; 2],
        _ => return it.services = some(MANY_SEGMENTS).into_iter().map(sound).collect(),
    }
    it.services.push(service);
}
