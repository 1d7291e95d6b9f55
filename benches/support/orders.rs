//! Records of orders, from a seed: one to three lines (mean two) over 10,000 SKUs of one pool.

use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sluice::wire::proto::{self, command, stock_command};

/// SKUs of the one pool.
pub(crate) const SKUS: usize = 10_000;
/// Units of each SKU: never sold out, so that every order does the whole work of a reservation.
pub(crate) const UNITS: u64 = 1_000_000_000;
/// The one pool.
pub(crate) const POOL: &str = "pool";
/// How long an order is held, ms: over when the next orders come.
pub(crate) const HOLD_MS: u64 = 1;

/// Which SKUs are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popularity {
    /// Each as often as any other.
    Uniform,
    /// Zipf with exponent 1: the first SKU is in every tenth line, a hundred of them in half of the lines.
    Skewed,
    /// One SKU, in every line.
    OneSku,
}

impl Popularity {
    pub(crate) const ALL: [Popularity; 3] = [Popularity::Uniform, Popularity::Skewed, Popularity::OneSku];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Popularity::Uniform => "uniform",
            Popularity::Skewed => "skewed",
            Popularity::OneSku => "one SKU",
        }
    }
}

/// Makes orders, numbered without gap.
pub(crate) struct Orders {
    rng: SmallRng,
    /// Sums of the SKUs' Zipf weights.
    zipf: Vec<f64>,
    next: u64,
}

impl Orders {
    pub(crate) fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let zipf = (1..=SKUS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { zipf: zipf.collect(), rng: SmallRng::seed_from_u64(seed), next: 0 }
    }

    /// The number of the next order.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Records of `count` orders, `per_record` to a record, that are placed at `now_ms`.
    pub(crate) fn records(
        &mut self,
        popularity: Popularity,
        count: usize,
        per_record: usize,
        now_ms: i64,
    ) -> Vec<Vec<u8>> {
        (0..count / per_record)
            .map(|_| {
                let commands = (0..per_record).map(|_| self.place(popularity, now_ms)).collect();
                proto::Commands { commands }.encode_to_vec()
            })
            .collect()
    }

    /// A record of `count` orders for a SKU that does not exist: each is rejected, and remembered as such.
    pub(crate) fn hopeless(&mut self, count: usize, now_ms: i64) -> Vec<u8> {
        let commands = (0..count).map(|_| {
            let number = self.take_number();
            order(number, now_ms, vec![proto::OrderLine { sku: "no-such-sku".into(), quantity: 1 }])
        });
        proto::Commands { commands: commands.collect() }.encode_to_vec()
    }

    fn place(&mut self, popularity: Popularity, now_ms: i64) -> proto::Command {
        let number = self.take_number();
        let lines = (0..self.rng.random_range(1..=3))
            .map(|_| {
                let sku = self.sku(popularity);
                proto::OrderLine { sku: sku_name(sku), quantity: self.rng.random_range(1..=3) }
            })
            .collect();
        order(number, now_ms, lines)
    }

    fn sku(&mut self, popularity: Popularity) -> usize {
        match popularity {
            Popularity::Uniform => self.rng.random_range(0..SKUS),
            Popularity::Skewed => {
                let drawn = self.rng.random_range(0.0..self.zipf[SKUS - 1]);
                // Rank by popularity is not rank by name: neighbours in a table are not both hot.
                self.zipf.partition_point(|sum| *sum <= drawn) * 7_919 % SKUS
            }
            Popularity::OneSku => 0,
        }
    }

    /// A number for an order, used once.
    pub(crate) fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

fn order(number: u64, now_ms: i64, lines: Vec<proto::OrderLine>) -> proto::Command {
    let place = proto::Place {
        pool: POOL.into(),
        order_id: order_id(number),
        customer: format!("c{:07}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000_000),
        channel: "web".into(),
        placed_at_ms: now_ms,
        lines,
        hold_ms: HOLD_MS,
        ..Default::default()
    };
    proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None }
}

/// The id of an order.
pub(crate) fn order_id(number: u64) -> String {
    format!("o-{number:012}")
}

/// The stock that all of them draw on, a record for each SKU.
pub(crate) fn stock(now_ms: i64) -> impl Iterator<Item = proto::StockCommand> {
    (0..SKUS).map(move |sku| proto::StockCommand {
        pool: POOL.into(),
        id: format!("opening-{sku}"),
        issued_at_ms: now_ms,
        kind: Some(stock_command::Kind::Receive(proto::Receive {
            sku: sku_name(sku),
            quantity: UNITS,
            ..Default::default()
        })),
        reply_partition: None,
    })
}

pub(crate) fn sku_name(sku: usize) -> String {
    format!("sku-{sku:05}")
}
