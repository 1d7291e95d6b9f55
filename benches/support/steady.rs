//! Both cores at a steady number of remembered ids: what is placed in a round is over by the next one, and as time
//! moves on, as many ids are forgotten as were placed.

use sluice::broker::Input;

use super::engine::Engine;
use super::naive::Naive;
use super::orders::{Orders, Popularity};

/// Orders of a round: small beside the number of ids, large beside the clock's resolution.
pub(crate) const ROUND: usize = 10_000;
/// Orders for a SKU that does not exist in one record, by which the ledgers are filled.
const HOPELESS: usize = 1_000;
/// How long ids are remembered, ms. Only its ratio to the time between rounds matters.
pub(crate) const WINDOW_MS: u64 = 4_000_000;
/// A ledger cuts the window into four generations and knows the last five and the present one.
const KNOWN_GENERATIONS: f64 = 5.5;
const GENERATION_MS: f64 = WINDOW_MS as f64 / 4.0;
/// The time at which everything begins: any but zero.
pub(crate) const BEGIN_MS: i64 = 1_800_000_000_000;

/// The engine's core, and a naive one if wanted, which remember the same orders.
pub(crate) struct Steady {
    pub(crate) engine: Engine,
    pub(crate) naive: Option<Naive>,
    pub(crate) orders: Orders,
    /// Ids that are remembered, within a generation.
    pub(crate) ids: u64,
    /// The time, in ms after [`BEGIN_MS`].
    elapsed_ms: f64,
    forgotten: u64,
}

impl Steady {
    /// Remembers nothing yet; [`Steady::fill`] comes next.
    pub(crate) fn new(with_naive: bool) -> Self {
        let naive = with_naive.then(|| Naive::new(WINDOW_MS, BEGIN_MS));
        Self { naive, ..Self::of(Engine::new(WINDOW_MS, BEGIN_MS)) }
    }

    /// The same of an engine that has its stock.
    pub(crate) fn of(engine: Engine) -> Self {
        Self { engine, naive: None, orders: Orders::new(1), ids: 0, elapsed_ms: 0.0, forgotten: 0 }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        BEGIN_MS + self.elapsed_ms as i64
    }

    /// Grows to `ids` remembered orders, all of them closed, evenly spread over the generations.
    pub(crate) fn fill(&mut self, ids: u64) {
        self.ids = ids;
        let begin = self.orders.next();
        while self.orders.next() < begin + ids {
            let now_ms = self.now_ms();
            let record = [self.orders.hopeless(HOPELESS, now_ms)];
            self.engine.decide(Input::Orders, &record, now_ms);
            if let Some(naive) = &mut self.naive {
                naive.decide(&record, now_ms);
            }
            self.pass(HOPELESS);
        }
    }

    /// The records of a round, to be decided by [`Steady::engine`] and [`Steady::naive`] at [`Steady::now_ms`].
    pub(crate) fn round(&mut self, popularity: Popularity, per_record: usize) -> Vec<Vec<u8>> {
        self.orders.records(popularity, ROUND, per_record, self.now_ms())
    }

    /// Ends a round: its orders expire and time moves on.
    pub(crate) fn end_round(&mut self) {
        self.pass(ROUND);
        let now_ms = self.now_ms();
        self.engine.expire(now_ms);
        if let Some(naive) = &mut self.naive {
            naive.expire(now_ms);
        }
    }

    /// Time passes as if `orders` of them had come.
    pub(crate) fn pass(&mut self, orders: usize) {
        // At least as long as a hold.
        self.elapsed_ms += (KNOWN_GENERATIONS * GENERATION_MS * orders as f64 / self.ids as f64).max(1.0);
        if let Some(naive) = &mut self.naive {
            let keep_from = self.orders.next().saturating_sub(self.ids);
            naive.forget(self.forgotten..keep_from);
            self.forgotten = self.forgotten.max(keep_from);
        }
    }
}
