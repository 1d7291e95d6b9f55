//! A ledger too simple to be wrong: plain maps of owned strings, no interning, no fingerprints, no generations but the
//! one-line formula. Written from `src/ledger/RULES.md` and the comments of `proto/`; it shares nothing with the
//! engine but the generated types.

pub(crate) mod calendar;
mod channels;
mod delivery;
mod digest;
pub(crate) mod hash;
mod limit;
mod lots;
mod order;
mod place;
mod sale;
mod stock;

use std::collections::{BTreeMap, BTreeSet};

use sluice::wire::proto::{Asked, Command, Decision, OrderState, Original, Outcome, Reason, command};

use channels::{AllChannels, Shares};
use delivery::{DayCounts, Deliveries, Promise};
use hash::partition;
use limit::{Counters, InCount, Limits};
use lots::{AllFreshness, Lot, Part};
use sale::Sales;

const LONGEST_ID: usize = 128;
const MOST_LINES: usize = 200;
const MOST_UNITS: u32 = 1_000_000;
const MOST_STOCK: u64 = 1_000_000_000_000;
const MOST_SEGMENTS: usize = 16;
const MOST_KEYS: usize = 4;
const MOST_LIMIT_SKUS: usize = 200;
const LIMITS_A_SKU: usize = 2;
const MOST_SHARES: usize = 16;
const STOCK_RANGE: i64 = 1_000_000_000_000_000;
/// The newest rules level that there is.
const NEWEST_LEVEL: u32 = 2;

/// What the model decides by; fields as in `sluice::ledger::Rules`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelRules {
    pub(crate) shard: u32,
    pub(crate) partitions: u32,
    pub(crate) window_ms: i64,
    pub(crate) skew_ms: i64,
    pub(crate) default_hold_ms: i64,
    pub(crate) max_hold_ms: i64,
    pub(crate) max_ids: usize,
    /// At which the log begins.
    pub(crate) rules_level: u32,
}

/// A stock row: pool, SKU and figures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelRow {
    pub(crate) pool: String,
    pub(crate) sku: String,
    pub(crate) on_hand: i64,
    pub(crate) reserved: u64,
    pub(crate) committed: u64,
    pub(crate) safety_stock: u64,
    pub(crate) halted: bool,
}

type OrderKey = (String, String, u32);

#[derive(Clone, Debug)]
struct Order {
    state: OrderState,
    changed_at: i64,
    /// None: cancelled before its Place.
    original: Option<Original>,
    content: u64,
    expires_at: i64,
    lines: Vec<(String, u32)>,
    counts: Vec<InCount>,
    /// What it takes from lots, in the order of lines and then as it was taken.
    parts: Vec<Part>,
    delivery: Option<Promise>,
}

/// When a selling rule was set, or removed: by its sender's clock, by sequence, by shard time.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    issued_at: i64,
    sequence: u64,
    at: i64,
}

impl Order {
    fn is_open(&self) -> bool {
        matches!(self.state, OrderState::Held | OrderState::Committed)
    }
}

#[derive(Clone, Debug, Default)]
struct Row {
    on_hand: i64,
    reserved: i64,
    committed: i64,
    safety: i64,
    halted: bool,
    changed_at: i64,
    /// By number.
    lots: BTreeMap<u32, Lot>,
}

impl Row {
    fn available(&self) -> i64 {
        self.on_hand - self.reserved - self.committed - self.safety
    }

    fn shortfall(&self) -> u64 {
        (self.reserved + self.committed - self.on_hand).max(0) as u64
    }

    fn empty(&self) -> bool {
        self.on_hand == 0
            && self.reserved == 0
            && self.committed == 0
            && self.safety == 0
            && !self.halted
            && !self.is_lotted()
    }
}

/// The model of one shard's ledger.
pub(crate) struct Model {
    rules: ModelRules,
    sequence: u64,
    now: i64,
    rules_level: u32,
    orders: BTreeMap<OrderKey, Order>,
    /// End of the hold, sequence of the Place.
    holds: BTreeSet<(i64, u64, OrderKey)>,
    /// How many counts open orders are in, all together.
    open_counts: usize,
    stock_ids: BTreeMap<(String, String), (Original, u64, i64)>,
    rows: BTreeMap<(String, String), Row>,
    halted_pools: BTreeSet<String>,
    sales: Sales,
    limits: Limits,
    counters: Counters,
    channels: AllChannels,
    shares: Shares,
    freshness: AllFreshness,
    deliveries: Deliveries,
    day_counts: DayCounts,
}

impl Model {
    pub(crate) fn new(rules: ModelRules) -> Model {
        Model {
            rules,
            sequence: 0,
            now: 0,
            rules_level: rules.rules_level,
            orders: BTreeMap::new(),
            holds: BTreeSet::new(),
            open_counts: 0,
            stock_ids: BTreeMap::new(),
            rows: BTreeMap::new(),
            halted_pools: BTreeSet::new(),
            sales: Sales::new(),
            limits: Limits::new(),
            counters: Counters::new(),
            channels: AllChannels::new(),
            shares: Shares::new(),
            freshness: AllFreshness::new(),
            deliveries: Deliveries::new(),
            day_counts: DayCounts::new(),
        }
    }

    /// Moves shard time on and ends the holds that are due, one decision each. To be called before the commands of a
    /// record, with the record's shard time. Sources (input, offset, index, reply_partition) stay unset everywhere.
    pub(crate) fn advance(&mut self, shard_time_ms: i64) -> Vec<Decision> {
        self.advance_time(shard_time_ms);
        std::iter::from_fn(|| self.expire_one()).collect()
    }

    /// As [`Model::advance`], without ending any hold.
    pub(crate) fn advance_time(&mut self, shard_time_ms: i64) {
        let before = self.generation(self.now);
        self.now = self.now.max(shard_time_ms);
        self.drop_past_days();
        if self.generation(self.now) != before {
            self.forget();
        }
        self.turn_periods();
    }

    /// Ends the next hold that is due.
    pub(crate) fn expire_one(&mut self) -> Option<Decision> {
        let (_, _, key) = self.holds.first().filter(|(at, _, _)| *at <= self.now).cloned()?;
        let lines = self.close(&key, OrderState::Expired);
        let mut decision = self.about(Asked::Expire, &key, Outcome::Expired, OrderState::Expired);
        decision.lines = lines;
        self.drop_bare_lots();
        Some(decision)
    }

    /// Decides a command of `orders`.
    pub(crate) fn apply(&mut self, command: &Command, engine_time_ms: i64) -> Decision {
        let decision = self.decide(command, engine_time_ms);
        self.drop_bare_lots();
        decision
    }

    fn decide(&mut self, command: &Command, engine_time_ms: i64) -> Decision {
        use command::Kind;
        let (asked, pool, order_id, attempt) = match &command.kind {
            None => return self.invalid(Decision::default(), Reason::NoKind),
            Some(Kind::Place(it)) => (Asked::Place, &it.pool, &it.order_id, it.attempt),
            Some(Kind::Confirm(it)) => (Asked::Confirm, &it.pool, &it.order_id, it.attempt),
            Some(Kind::Extend(it)) => (Asked::Extend, &it.pool, &it.order_id, it.attempt),
            Some(Kind::Cancel(it)) => (Asked::Cancel, &it.pool, &it.order_id, it.attempt),
        };
        if let Some(field) = self.field_of_a_higher_level(command) {
            return self.unsupported(asked, pool, order_id, attempt, "", field);
        }
        let echo = echo(asked, pool, order_id, attempt, "");
        if let Some(refusal) = self.pool_refusal(&echo, pool) {
            return refusal;
        }
        if let Some(reason) = id_fault(order_id) {
            return self.invalid(echo, reason);
        }
        let key = (pool.clone(), order_id.clone(), attempt);
        match command.kind.as_ref().expect("matched above") {
            Kind::Place(place) => self.place(place, key, echo, engine_time_ms),
            Kind::Confirm(it) => self.unknown(it.placed_at_ms, &key, &echo).unwrap_or_else(|| self.confirm(key)),
            Kind::Extend(it) => {
                self.unknown(it.placed_at_ms, &key, &echo).unwrap_or_else(|| self.extend(key, it.expires_at_ms, echo))
            }
            Kind::Cancel(it) => {
                self.unknown(it.placed_at_ms, &key, &echo).unwrap_or_else(|| self.cancel(key, it.placed_at_ms, echo))
            }
        }
    }

    /// The field of a Place that needs a higher rules level than there is.
    fn field_of_a_higher_level(&self, command: &Command) -> Option<u32> {
        let Some(command::Kind::Place(it)) = &command.kind else { return None };
        let fields = [
            (10, 1, !it.segments.is_empty()),
            (11, 1, !it.keys.is_empty()),
            (12, 2, !it.service.is_empty()),
            (13, 2, it.day != 0),
            (14, 2, it.late != 0),
        ];
        let above = fields.into_iter().find(|(_, level, is_there)| *is_there && self.rules_level < *level);
        above.map(|(number, ..)| number)
    }

    /// A command that cannot be read.
    pub(crate) fn malformed(&mut self) -> Decision {
        self.invalid(Decision::default(), Reason::Malformed)
    }

    /// A command that could be read but for a field, or a kind, with this number.
    pub(crate) fn unsupported(
        &mut self,
        asked: Asked,
        pool: &str,
        order_id: &str,
        attempt: u32,
        id: &str,
        field: u32,
    ) -> Decision {
        // Who knows no more than the log's level would not know that name.
        let is_above = self.rules_level < level_of(asked);
        let (asked, id) = if is_above { (Asked::Unspecified, "") } else { (asked, id) };
        let decision = Decision { field, ..echo(asked, pool, order_id, attempt, id) };
        self.finish(decision, Outcome::Unsupported, Reason::Unspecified)
    }

    /// Every stock row, in order of (pool, SKU).
    pub(crate) fn stock(&self) -> Vec<ModelRow> {
        let rows = self.rows.iter().map(|((pool, sku), row)| ModelRow {
            pool: pool.clone(),
            sku: sku.clone(),
            on_hand: row.on_hand,
            reserved: row.reserved as u64,
            committed: row.committed as u64,
            safety_stock: row.safety as u64,
            halted: row.halted,
        });
        rows.collect()
    }

    fn change(&mut self, pool: &str, sku: &str, change: impl FnOnce(&mut Row)) {
        let row = self.rows.entry((pool.to_owned(), sku.to_owned())).or_default();
        change(row);
        row.changed_at = self.now;
    }

    fn state(&self, key: &OrderKey) -> OrderState {
        self.orders.get(key).map_or(OrderState::Unspecified, |order| order.state)
    }

    fn generation(&self, at: i64) -> i64 {
        at.div_euclid(self.generation_ms())
    }

    fn generation_ms(&self) -> i64 {
        ((self.rules.window_ms + self.rules.skew_ms + 3) / 4).max(1)
    }

    fn forget(&mut self) {
        let (now, length_ms) = (self.generation(self.now), self.generation_ms());
        let knows = |at: i64| now - at.div_euclid(length_ms) <= 5;
        self.orders.retain(|_, order| order.is_open() || knows(order.changed_at));
        self.stock_ids.retain(|_, (_, _, at)| knows(*at));
        self.limits.retain(|_, limit| limit.rule.is_some() || knows(limit.stamp.at));
        self.channels.retain(|_, channels| channels.rule.is_some() || knows(channels.stamp.at));
        self.freshness.retain(|_, freshness| freshness.rule.is_some() || knows(freshness.stamp.at));
        self.deliveries.retain(|_, delivery| delivery.rule.is_some() || knows(delivery.stamp.at));
        self.forget_rows_and_sales(knows);
    }

    fn clock_fault(&self, at: i64) -> Option<Reason> {
        (at <= 0 || at > self.now + self.rules.skew_ms).then_some(Reason::PlacedAt)
    }

    /// A command about an order that is not known, which tells a time at which nothing can have been placed.
    fn unknown(&mut self, placed_at_ms: i64, key: &OrderKey, echo: &Decision) -> Option<Decision> {
        if placed_at_ms == 0 || self.orders.contains_key(key) {
            return None;
        }
        if let Some(reason) = self.clock_fault(placed_at_ms) {
            return Some(self.invalid(echo.clone(), reason));
        }
        let too_old = placed_at_ms < self.now - self.rules.window_ms;
        too_old.then(|| self.finish(echo.clone(), Outcome::TooOld, Reason::Unspecified))
    }

    /// Whether so much is known that what would have to be remembered anew is refused from `percent` of the memory on. An
    /// open order counts for four, and for one with each count that it is in; a lot, and a day that is counted, for four.
    fn busy(&self, percent: usize) -> bool {
        let of_four = self.lots_known() + self.day_counts.len();
        let others = self.stock_ids.len() + self.counters.len() + self.open_counts + 4 * of_four;
        let full = |ids: usize| (ids + others) * 100 >= self.rules.max_ids * percent;
        let ids = |order: &Order| if order.is_open() { 4 } else { 1 };
        // Not counted as long as it can't matter: the longest rule has less than 40,000 bytes.
        let rules = self.sales.len() + self.limits.len() + self.channels.len() + self.freshness.len();
        let rules = rules + self.deliveries.len();
        if !full(4 * self.orders.len() + 1_000 * rules) {
            return false;
        }
        let rules: usize = self.canonical_rules().map(|bytes| bytes.len().div_ceil(40)).sum();
        full(rules + self.ids_of_horizons() + self.orders.values().map(ids).sum::<usize>())
    }

    fn pool_refusal(&mut self, echo: &Decision, pool: &str) -> Option<Decision> {
        if let Some(reason) = id_fault(pool) {
            return Some(self.invalid(echo.clone(), reason));
        }
        if partition(pool, self.rules.partitions) != self.rules.shard {
            return Some(self.finish(echo.clone(), Outcome::Misrouted, Reason::Unspecified));
        }
        None
    }

    fn about(&mut self, asked: Asked, key: &OrderKey, outcome: Outcome, state: OrderState) -> Decision {
        let decision = Decision { state: state.into(), ..echo(asked, &key.0, &key.1, key.2, "") };
        self.finish(decision, outcome, Reason::Unspecified)
    }

    fn not_allowed(&mut self, asked: Asked, key: &OrderKey, state: OrderState) -> Decision {
        let mut decision = self.about(asked, key, Outcome::NotAllowed, state);
        if state == OrderState::Unspecified {
            decision.reason = Reason::UnknownOrder.into();
        }
        decision
    }

    fn invalid(&mut self, decision: Decision, reason: Reason) -> Decision {
        self.finish(decision, Outcome::Invalid, reason)
    }

    fn finish(&mut self, decision: Decision, outcome: Outcome, reason: Reason) -> Decision {
        self.sequence += 1;
        Decision {
            sequence: self.sequence,
            outcome: outcome.into(),
            reason: reason.into(),
            decided_at_ms: self.now,
            ..decision
        }
    }
}

/// What a decision repeats of its command; nothing of what is over-long.
fn echo(asked: Asked, pool: &str, order_id: &str, attempt: u32, id: &str) -> Decision {
    let short = |text: &str| if text.len() > LONGEST_ID { String::new() } else { text.to_owned() };
    Decision {
        asked: asked.into(),
        pool: short(pool),
        order_id: short(order_id),
        attempt,
        id: short(id),
        ..Decision::default()
    }
}

/// The rules level that a command needs.
fn level_of(asked: Asked) -> u32 {
    match asked {
        Asked::SetSale | Asked::SetLimit => 1,
        Asked::SetChannels | Asked::SetFreshness | Asked::SetDelivery => 2,
        _ => 0,
    }
}

fn id_fault(id: &str) -> Option<Reason> {
    match id.len() {
        0 => Some(Reason::MissingId),
        n if n > LONGEST_ID => Some(Reason::IdTooLong),
        _ => None,
    }
}

/// Whether something stands twice in a list.
fn doubled(list: &[&str]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() < list.len()
}
