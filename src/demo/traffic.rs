//! The demo's stream of commands: the same seed gives the same stream, `placed_at` apart, which is the wall clock's.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::wire::proto::{self, command, stock_command};

/// How the ids of the demo's orders begin: others may order beside it.
pub(super) const ORDER_PREFIX: &str = "demo-order-";
/// Pools of the demo; each sells [`SKUS_PER_POOL`] SKUs.
pub(super) const POOLS: [&str; 4] = ["east-1", "east-2", "west-1", "west-2"];
/// SKUs a pool sells: 10,000 in all.
pub(super) const SKUS_PER_POOL: usize = 2_500;
/// Units of each ordinary SKU.
const ORDINARY_UNITS: u64 = 1_000;
/// Units of each pool's hot SKU, `sku-0000`: few enough to sell out within seconds.
const HOT_UNITS: u64 = 250;
/// Share of orders that want the hot SKU.
const HOT_SHARE: f64 = 0.05;
/// How long an order's stock is held: short, so that abandoned holds can be seen to expire.
pub(super) const HOLD_MS: u64 = 3_000;
/// Shares of what follows an order.
const CONFIRM_SHARE: f64 = 0.70;
const CANCEL_SHARE: f64 = 0.10;
const DUPLICATE_SHARE: f64 = 0.02;
const CHANGED_DUPLICATE_SHARE: f64 = 0.001;
/// A follow-up comes 1 to this many orders after its order, and no more than come in a second: well within its hold.
const LONGEST_DELAY: usize = 500;

/// The stream. See the module's documentation.
#[derive(Debug)]
pub(super) struct Traffic {
    rng: StdRng,
    placed: u64,
    /// Follow-ups by the number of orders still to be placed before they are due; front: due now.
    later: VecDeque<Vec<proto::Command>>,
}

impl Traffic {
    /// The stream of this seed, at so many orders a second.
    pub(super) fn new(seed: u64, rate: u64) -> Self {
        let longest = (rate as usize).clamp(1, LONGEST_DELAY);
        let later = (0..=longest).map(|_| Vec::new()).collect();
        Self { rng: StdRng::seed_from_u64(seed), placed: 0, later }
    }

    /// What fills the shelves before the first order.
    pub(super) fn opening_stock(issued_at_ms: i64) -> impl Iterator<Item = proto::StockCommand> {
        POOLS.iter().flat_map(move |pool| {
            (0..SKUS_PER_POOL).map(move |number| proto::StockCommand {
                pool: (*pool).to_string(),
                id: format!("demo-opening-{number}"),
                issued_at_ms,
                kind: Some(stock_command::Kind::Receive(proto::Receive {
                    sku: sku(number),
                    quantity: if number == 0 { HOT_UNITS } else { ORDINARY_UNITS },
                    ..Default::default()
                })),
                reply_partition: None,
            })
        })
    }

    /// Orders placed so far, repeats not counted.
    pub(super) fn placed(&self) -> u64 {
        self.placed
    }

    /// Appends the next order, and before it whatever of earlier orders is due, to `out`.
    pub(super) fn next(&mut self, now_ms: i64, out: &mut Vec<proto::Command>) {
        let mut due = self.later.pop_front().expect("as many slots as the longest delay, and one");
        out.append(&mut due);
        self.later.push_back(due);
        let place = self.place(now_ms);
        self.schedule(&place);
        out.push(command_of(command::Kind::Place(place)));
    }

    /// What is still to follow when no more orders are placed.
    pub(super) fn rest(&mut self, out: &mut Vec<proto::Command>) {
        self.later.iter_mut().for_each(|due| out.append(due));
    }

    fn place(&mut self, now_ms: i64) -> proto::Place {
        let number = self.placed;
        self.placed += 1;
        let lines = (0..self.rng.random_range(1..=3))
            .map(|_| proto::OrderLine { sku: self.pick(), quantity: self.rng.random_range(1..=2) })
            .collect();
        proto::Place {
            pool: POOLS[self.rng.random_range(0..POOLS.len())].to_string(),
            order_id: format!("{ORDER_PREFIX}{number}"),
            attempt: 0,
            customer: format!("customer-{}", self.rng.random_range(0..100_000)),
            channel: ["web", "app", "market"][self.rng.random_range(0..3)].to_string(),
            placed_at_ms: now_ms,
            lines,
            hold_ms: HOLD_MS,
            answer_by_ms: 0,
            ..Default::default()
        }
    }

    fn pick(&mut self) -> String {
        let hot = self.rng.random_bool(HOT_SHARE);
        sku(if hot { 0 } else { self.rng.random_range(1..SKUS_PER_POOL) })
    }

    fn schedule(&mut self, place: &proto::Place) {
        let proto::Place { attempt, placed_at_ms, .. } = *place;
        let (pool, order_id) = (place.pool.clone(), place.order_id.clone());
        let fate: f64 = self.rng.random();
        if fate < CONFIRM_SHARE {
            self.after(command::Kind::Confirm(proto::Confirm { pool, order_id, attempt, placed_at_ms }));
        } else if fate < CONFIRM_SHARE + CANCEL_SHARE {
            self.after(command::Kind::Cancel(proto::Cancel { pool, order_id, attempt, placed_at_ms }));
        }
        if self.rng.random_bool(DUPLICATE_SHARE) {
            self.after(command::Kind::Place(place.clone()));
        }
        if self.rng.random_bool(CHANGED_DUPLICATE_SHARE) {
            let mut changed = place.clone();
            changed.lines[0].quantity += 1;
            self.after(command::Kind::Place(changed));
        }
    }

    fn after(&mut self, kind: command::Kind) {
        let delay = self.rng.random_range(1..self.later.len());
        self.later[delay - 1].push(command_of(kind));
    }
}

fn sku(number: usize) -> String {
    format!("sku-{number:04}")
}

fn command_of(kind: command::Kind) -> proto::Command {
    proto::Command { kind: Some(kind), reply_partition: None }
}

/// The pool that a command names.
pub(super) fn pool_of(command: &proto::Command) -> &str {
    match command.kind.as_ref().expect("the demo sends no command without a kind") {
        command::Kind::Place(place) => &place.pool,
        command::Kind::Confirm(confirm) => &confirm.pool,
        command::Kind::Extend(extend) => &extend.pool,
        command::Kind::Cancel(cancel) => &cancel.pool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64, orders: usize) -> Vec<proto::Command> {
        stream_at(2_000, seed, orders)
    }

    fn stream_at(rate: u64, seed: u64, orders: usize) -> Vec<proto::Command> {
        let mut traffic = Traffic::new(seed, rate);
        let mut out = Vec::new();
        (0..orders).for_each(|_| traffic.next(1_000, &mut out));
        traffic.rest(&mut out);
        out
    }

    #[test]
    fn the_same_seed_is_the_same_stream_and_another_seed_another() {
        assert_eq!(stream(1, 2_000), stream(1, 2_000));
        assert_ne!(stream(1, 2_000), stream(2, 2_000));
    }

    #[test]
    fn a_slow_stream_follows_up_within_a_second() {
        let mut placed = std::collections::HashMap::new();
        for command in stream_at(20, 7, 2_000) {
            match command.kind.expect("a kind") {
                command::Kind::Place(place) => {
                    let number = placed.len();
                    placed.entry(place.order_id).or_insert(number);
                }
                command::Kind::Confirm(proto::Confirm { order_id, .. })
                | command::Kind::Cancel(proto::Cancel { order_id, .. }) => {
                    assert!(placed.len() - placed[&order_id] <= 21, "{order_id} is followed up too late");
                }
                command::Kind::Extend(_) => {}
            }
        }
    }

    #[test]
    fn every_follow_up_comes_after_its_order_and_none_is_left_out() {
        let mut seen = std::collections::HashSet::new();
        let (mut confirms, mut repeats) = (0, 0);
        for command in stream(3, 20_000) {
            match command.kind.expect("a kind") {
                command::Kind::Place(place) => repeats += u32::from(!seen.insert(place.order_id)),
                command::Kind::Confirm(confirm) => {
                    assert!(seen.contains(&confirm.order_id));
                    confirms += 1;
                }
                command::Kind::Cancel(cancel) => assert!(seen.contains(&cancel.order_id)),
                command::Kind::Extend(_) => {}
            }
        }
        assert_eq!(seen.len(), 20_000);
        assert!((13_000..15_000).contains(&confirms), "about 70%: {confirms}");
        assert!((300..550).contains(&repeats), "about 2.1%: {repeats}");
    }
}
