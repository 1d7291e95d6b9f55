//! A ledger takes memory for what it knows, not for what it is ready for: what it allocates, and what of that is resident,
//! by the allocator that the engine has.
#![allow(unsafe_code, reason = "counting bytes takes an allocator")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::Mutex;

use mimalloc::MiMalloc;
use prost::Message;
use sluice::ledger::{FingerprintKey, Ledger, Moment, Rules};
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::proto::{self, Input, Outcome, command, stock_command};

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the engine's allocator unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as i64);
        unsafe { MiMalloc.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as i64);
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as i64);
        unsafe { MiMalloc.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.set(BYTES.get() + size as i64 - layout.size() as i64);
        unsafe { MiMalloc.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is resident is so for all tests of the process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const NOW: i64 = 1_800_000_000_000;
/// As the configuration has it by default.
const EXPECTED_IDS: usize = 1_000_000;

fn ledger() -> Ledger {
    let rules = Rules {
        shard: 0,
        partitions: 1,
        window_ms: 24 * 60 * 60 * 1_000,
        skew_ms: 60_000,
        rules_level: 0,
        default_hold_ms: 600_000,
        max_hold_ms: 3_600_000,
        expected_ids: EXPECTED_IDS,
        max_ids: 50_000_000,
    };
    Ledger::new(rules, FingerprintKey([7; 16]))
}

/// Stock of five SKUs in each of two pools, and ten orders for each of the pools.
fn decide_a_handful(ledger: &mut Ledger) {
    let (pool, sku) = (|n: usize| format!("pool-{}", n % 2), |n: usize| format!("sku-{}", n % 5));
    let receipt = |n| proto::StockCommand {
        pool: pool(n),
        id: format!("receipt-{n}"),
        issued_at_ms: NOW,
        kind: Some(stock_command::Kind::Receive(proto::Receive { sku: sku(n), quantity: 100, ..Default::default() })),
        reply_partition: None,
    };
    let order = |n| proto::Place {
        pool: pool(n),
        order_id: format!("order-{n}"),
        customer: format!("customer-{n}"),
        placed_at_ms: NOW,
        lines: [n, n + 3].map(|n| proto::OrderLine { sku: sku(n), quantity: 1 }).into(),
        ..Default::default()
    };
    let command = |n| proto::Command { kind: Some(command::Kind::Place(order(n))), reply_partition: None };
    let stock = proto::StockCommands { commands: (0..10).map(receipt).collect() }.encode_to_vec();
    let orders = proto::Commands { commands: (0..20).map(command).collect() }.encode_to_vec();
    let (mut scratch, mut outcomes) = (Scratch::default(), Vec::new());
    for (value, input) in [(stock, Input::Stock), (orders, Input::Orders)] {
        let record = validate(Some(&value), input, &mut scratch).expect("well-formed");
        for command in record.commands() {
            let at = Moment { shard_time_ms: NOW, engine_time_ms: NOW };
            outcomes.push(ledger.apply(&command, at).outcome);
        }
    }
    ledger.digest();
    assert_eq!(outcomes[..10], [Outcome::Applied; 10]);
    assert_eq!(outcomes[10..], [Outcome::Reserved; 20]);
}

/// What `make` made, and the bytes that it left allocated.
fn counted<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let before = BYTES.get();
    let made = make();
    (made, BYTES.get() - before)
}

/// Bytes of the process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells what a process takes");
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok());
    // The smallest pages that there are: where they are larger, the figure is too low.
    pages.expect("a number of pages") * 4 * KIB
}

#[test]
fn a_ledger_that_has_decided_little_has_allocated_little() {
    let _alone = ALONE.lock();
    let (mut ledger, idle) = counted(ledger);
    let ((), orders) = counted(|| decide_a_handful(&mut ledger));
    println!("{idle} bytes when idle, {orders} more for a handful of orders");
    assert!(idle < 256 * KIB, "{idle} bytes when idle");
    assert!(orders < 64 * KIB, "{orders} bytes for a handful of orders");
    let told = ledger.pressure().bytes as i64;
    assert!((idle + orders - told).abs() < 16 * KIB, "{told} bytes by its own count, {} in fact", idle + orders);
}

#[cfg(target_os = "linux")]
#[test]
fn what_ledgers_are_ready_for_is_not_resident() {
    const LEDGERS: usize = 200;
    let _alone = ALONE.lock();
    let before = resident();
    let mut ledgers: Vec<Ledger> = (0..LEDGERS).map(|_| ledger()).collect();
    let idle = (resident() - before) / LEDGERS as i64;
    ledgers.iter_mut().for_each(decide_a_handful);
    let orders = (resident() - before) / LEDGERS as i64;
    println!("{} KiB resident for each when idle, {} after a handful of orders", idle / KIB, orders / KIB);
    assert!(idle < MIB / 2, "{idle} bytes resident for each of {LEDGERS} idle ledgers");
    assert!(orders < MIB, "{orders} bytes resident for each after a handful of orders");
}
