//! The core of the way of an order, from record bytes to decision bytes, without a broker: decode, deduplicate, reserve,
//! encode. One thread, so the figure is CPU time an order.
//!
//! `cargo bench --bench core [-- --orders N --remembered N]`

use std::time::Instant;

use clap::Parser;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice::ledger::{FingerprintKey, Foresight, Ledger, Moment, Rules};
use sluice::wire::command::Command;
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::limits::TARGET_LINK_BYTES;
use sluice::wire::link::LinkDraft;
use sluice::wire::proto::{self, Input, command, stock_command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// SKUs of the one pool.
const SKUS: usize = 10_000;
/// Commands read ahead, as the lane does.
const READ_AHEAD: usize = 8;
/// The time of everything; nothing expires.
const NOW_MS: i64 = 1_800_000_000_000;

#[derive(Parser)]
struct Args {
    /// Orders measured.
    #[arg(long, default_value_t = 1_000_000)]
    orders: u64,
    /// Orders decided before.
    #[arg(long, default_value_t = 1_000_000)]
    remembered: u64,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    for per_record in [1, 50] {
        let mut core = Core::new((args.orders + args.remembered) as usize);
        core.decide(&records(0, args.remembered, per_record));
        let measured = records(args.remembered, args.orders, per_record);
        let began = Instant::now();
        let bytes = core.decide(&measured);
        let ns = began.elapsed().as_nanos() as f64 / args.orders as f64;
        println!(
            "{per_record:>3} a record, {} ids known: {ns:.0} ns an order, {} bytes a decision",
            args.remembered,
            bytes / args.orders
        );
    }
}

struct Core {
    ledger: Ledger,
    link: LinkDraft,
    scratch: Scratch,
    offset: i64,
}

impl Core {
    fn new(expected_ids: usize) -> Self {
        let rules = Rules {
            shard: 0,
            partitions: 1,
            window_ms: 3_600_000,
            skew_ms: 300_000,
            default_hold_ms: 900_000,
            max_hold_ms: 900_000,
            expected_ids,
            max_ids: 1 << 30,
        };
        let ledger = Ledger::new(rules, FingerprintKey([7; 16]));
        let mut core = Self { ledger, link: LinkDraft::default(), scratch: Scratch::default(), offset: 0 };
        let commands = (0..SKUS).map(|sku| proto::StockCommand {
            pool: "pool".into(),
            id: format!("opening-{sku}"),
            issued_at_ms: NOW_MS,
            kind: Some(stock_command::Kind::Receive(proto::Receive { sku: name(sku), quantity: 1_000_000_000 })),
            reply_partition: None,
        });
        for command in commands {
            core.record(Input::Stock, &proto::StockCommands { commands: vec![command] }.encode_to_vec());
        }
        core
    }

    fn decide(&mut self, records: &[Vec<u8>]) -> u64 {
        let mut bytes = 0;
        self.link.begin(self.ledger.sequence() + 1, NOW_MS, NOW_MS);
        for record in records {
            self.record(Input::Orders, record);
            if self.link.value_bytes() > TARGET_LINK_BYTES {
                bytes += self.link.value_bytes() as u64;
                self.link.clear();
                self.link.begin(self.ledger.sequence() + 1, NOW_MS, NOW_MS);
            }
        }
        bytes + self.link.value_bytes() as u64
    }

    fn record(&mut self, input: Input, value: &[u8]) {
        let Self { ledger, link, scratch, offset } = self;
        let at = Moment { shard_time_ms: NOW_MS, engine_time_ms: NOW_MS };
        let validated = validate(Some(value), input, scratch).expect("the benchmark's records are sound");
        let mut commands = (0..).zip(validated.commands());
        loop {
            let mut ahead: [Option<(u32, Command<'_>, Foresight)>; READ_AHEAD] = [None; READ_AHEAD];
            for (slot, (index, command)) in ahead.iter_mut().zip(commands.by_ref()) {
                *slot = Some((index, command, ledger.foresee(&command)));
            }
            if ahead[0].is_none() {
                break;
            }
            for (index, command, foresight) in ahead.iter().flatten() {
                let source = Source { input, offset: *offset, index: *index, reply_partition: None };
                link.push(&ledger.apply_foreseen(command, foresight, at), &source);
            }
        }
        *offset += 1;
    }
}

fn records(first: u64, orders: u64, per_record: u64) -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(first);
    let place = |rng: &mut StdRng, number: u64| proto::Command {
        kind: Some(command::Kind::Place(proto::Place {
            pool: "pool".into(),
            order_id: format!("o-{number:012}"),
            customer: format!("c{:07}", rng.random_range(0..10_000_000)),
            channel: "web".into(),
            placed_at_ms: NOW_MS,
            lines: (0..rng.random_range(1..=3))
                .map(|_| proto::OrderLine { sku: name(rng.random_range(0..SKUS)), quantity: rng.random_range(1..=3) })
                .collect(),
            ..Default::default()
        })),
        reply_partition: None,
    };
    (0..orders / per_record)
        .map(|record| {
            let numbers = first + record * per_record..first + (record + 1) * per_record;
            let commands = numbers.map(|number| place(&mut rng, number)).collect();
            proto::Commands { commands }.encode_to_vec()
        })
        .collect()
}

fn name(sku: usize) -> String {
    format!("sku-{sku:05}")
}
