//! What the order of a number is: recomputed, never remembered.

use std::time::Duration;

use super::buyers::Buyers;
use super::channels::Channels;
use super::days::Asked;
use super::draw::{Share, below, mix};
use super::floods::Floods;
use super::popularity::Sampler;
use super::{Kind, Origin};
use crate::load::scenario::{Scenario, Traffic};

/// Tells the draws of one order from each other.
pub(super) const OF_CONTENT: u64 = 0x5143_d11a_6c3a_0b17;
const OF_POOL: u64 = 0x2f63_80e4_94b1_77c9;
const OF_POISON: u64 = 0x7d6e_02bd_44ac_6e53;
const OF_SET: u64 = 0x11c8_9f21_e6d7_5a3d;
const OF_ASKS: u64 = 0x39b1_40fe_8c25_d607;

/// What becomes of an order after it was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: its hold runs out.
    Abandoned,
    /// It is paid.
    Confirmed,
    /// It is cancelled.
    Cancelled,
    /// It is cancelled before it is placed, and then rejected.
    CancelledEarly,
}

/// Whether an order comes a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// No.
    None,
    /// As it was.
    Exact,
    /// With one unit more in its first line.
    Changed,
}

/// An order, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What becomes of it.
    pub fate: Fate,
    /// Whether it comes again.
    pub repeat: Repeat,
    /// Whether it is placed again as attempt 1, after it was cancelled.
    pub again: bool,
    /// Whether it leaves the warehouse, once it was paid.
    pub shipped: bool,
    /// Whether it must be answered within the scenario's deadline. Its exact copy has the same one.
    pub deadline: bool,
}

/// A line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number of the SKU; [`sku_name`](super::sku_name) has its name.
    pub sku: u32,
    /// Units.
    pub quantity: u32,
}

/// What one generator's orders are.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    per_record: u64,
    confirmed: Share,
    or_cancelled: Share,
    or_early: Share,
    exact: Share,
    or_changed: Share,
    again: Share,
    shipped: Share,
    deadline: Share,
    poison: Share,
    sampler: Sampler,
    lines_least: u32,
    lines_spread: u32,
    quantity: u32,
    generator: u32,
    buyers: Buyers,
    channels: Channels,
    asks: Asks,
    floods: Floods,
    delays_ns: [u64; Kind::ALL.len()],
}

impl Plan {
    /// The orders that `origin` sends of a scenario whose run has `pools` pools (at least 1).
    pub fn new(scenario: &Scenario, origin: &Origin, pools: u32) -> Self {
        let traffic = &scenario.traffic;
        let confirmed = Share::new(traffic.confirm.share);
        let exact = Share::new(traffic.duplicates.exact);
        let or_cancelled = confirmed.and(traffic.cancel.share);
        let delays_ns = Kind::ALL.map(|kind| delay(scenario, kind).as_nanos() as u64);
        Self {
            seed: seed_of(mix(origin.seed), origin.generator),
            per_record: u64::from(traffic.orders_per_record),
            confirmed,
            or_cancelled,
            or_early: or_cancelled.and(traffic.cancel_early),
            exact,
            or_changed: exact.and(traffic.duplicates.changed),
            again: Share::new(traffic.raise_attempt.share),
            shipped: Share::new(traffic.ship.share),
            deadline: Share::new(traffic.deadline.share),
            poison: Share::new(traffic.poison),
            // The set that is hot is the same one for all generators.
            sampler: Sampler::new(traffic.popularity, traffic.skus, mix(origin.seed ^ OF_SET)),
            lines_least: traffic.lines.least,
            lines_spread: traffic.lines.most - traffic.lines.least + 1,
            quantity: traffic.lines.quantity,
            generator: origin.generator,
            buyers: Buyers::new(traffic, mix(origin.seed)),
            channels: Channels::new(traffic, mix(origin.seed)),
            asks: Asks::new(traffic, origin),
            floods: Floods::new(traffic, pools),
            delays_ns,
        }
    }

    /// Order `number`.
    #[inline]
    pub fn order(&self, number: u64) -> Order {
        let (fate, repeat) = self.fate(number);
        let more = mix(self.hash(number));
        let cancelled = matches!(fate, Fate::Cancelled | Fate::CancelledEarly);
        Order {
            fate,
            repeat,
            again: cancelled && self.again.has((more >> 32) as u32),
            // The bits that tell of another attempt are those of orders that were cancelled.
            shipped: fate == Fate::Confirmed && self.shipped.has((more >> 32) as u32),
            deadline: self.deadline.has(more as u32),
        }
    }

    /// Number of the pool, in the run's [`PoolSet`](super::PoolSet), of order `number`, which is due at `due_us`.
    #[inline]
    pub fn pool(&self, number: u64, due_us: u64) -> u32 {
        self.pool_of(number / self.per_record, due_us)
    }

    /// The lines of order `number`, which is due at `due_us`.
    #[inline]
    pub fn lines(&self, number: u64, due_us: u64) -> impl Iterator<Item = Line> + '_ {
        let content = self.content(number);
        (1..=u64::from(self.line_count(content))).map(move |place| {
            let bits = mix(content ^ place);
            // Other bits than those that choose the SKU decide, so that hot ones are not wanted in odd quantities.
            let quantity = 1 + below((mix(bits) >> 32) as u32, self.quantity);
            Line { sku: self.sampler.sku(bits, due_us), quantity }
        })
    }

    /// Number of the customer who places order `number`.
    #[inline]
    pub fn customer(&self, number: u64) -> u32 {
        self.buyers.customer(self.generator, number)
    }

    /// The same of an order of another generator of the run.
    #[inline]
    pub fn customer_of(&self, generator: u32, number: u64) -> u32 {
        self.buyers.customer(generator, number)
    }

    /// Number of the segment, in the scenario's list, that a customer belongs to; none if to none.
    #[inline]
    pub fn segment(&self, customer: u32) -> Option<u32> {
        self.buyers.segment(customer)
    }

    /// Number, in [`Plan::channels`], of the channel of order `number` of a generator, which is due at `due_us`.
    #[inline]
    pub fn channel_of(&self, generator: u32, number: u64, due_us: u64) -> u32 {
        self.channels.channel(generator, number, due_us)
    }

    /// The same of an order of its own.
    #[inline]
    pub(super) fn channel(&self, number: u64, due_us: u64) -> u32 {
        self.channels.channel(self.generator, number, due_us)
    }

    /// What order `number` of a generator asks of its delivery.
    #[inline]
    pub fn asked_of(&self, generator: u32, number: u64) -> Option<&Asked> {
        self.asks.number(generator, number).map(|at| &self.asks.list[at].0)
    }

    /// The number, in [`Plan::asks`], of what an order of its own asks; none if nothing.
    #[inline]
    pub(super) fn ask(&self, number: u64) -> Option<usize> {
        self.asks.number(self.generator, number)
    }

    /// All that some order asks.
    pub(super) fn asks(&self) -> impl ExactSizeIterator<Item = &Asked> {
        self.asks.list.iter().map(|(asked, _)| asked)
    }

    /// Names of the channels of the run.
    pub fn channels(&self) -> &[String] {
        self.channels.names()
    }

    /// Which pools are flooded, and when.
    pub fn floods(&self) -> &Floods {
        &self.floods
    }

    /// How long after its order a command of this kind is due.
    #[inline]
    pub fn delay_ns(&self, kind: Kind) -> u64 {
        self.delays_ns[kind as usize]
    }

    /// Orders in a record.
    pub fn orders_per_record(&self) -> u64 {
        self.per_record
    }

    /// Whether a command of this kind is sent for an order.
    #[inline]
    pub fn sends(&self, kind: Kind, order: &Order) -> bool {
        match kind {
            Kind::Place => true,
            Kind::Duplicate => order.repeat == Repeat::Exact,
            Kind::Changed => order.repeat == Repeat::Changed,
            Kind::Confirm => order.fate == Fate::Confirmed,
            Kind::Cancel => order.fate == Fate::Cancelled,
            Kind::CancelEarly => order.fate == Fate::CancelledEarly,
            Kind::Again => order.again,
            Kind::Ship => order.shipped,
            Kind::Poison | Kind::Move => false,
        }
    }

    /// Whether any order leaves the warehouse.
    pub fn ships(&self) -> bool {
        !self.confirmed.is_none() && !self.shipped.is_none()
    }

    /// Whether any order has anything but its place.
    pub(super) fn is_plain(&self) -> bool {
        self.or_early.is_none() && self.or_changed.is_none() && self.deadline.is_none()
    }

    /// Whether a record of junk follows the record of orders with this number.
    #[inline]
    pub fn is_poisoned(&self, record: u64) -> bool {
        !self.poison.is_none() && self.poison.has((mix(self.seed ^ OF_POISON ^ record) >> 32) as u32)
    }

    /// Pool of all orders in a record.
    #[inline]
    pub(super) fn pool_of(&self, record: u64, due_us: u64) -> u32 {
        self.floods.pool(mix(self.seed ^ OF_POOL ^ record), due_us)
    }

    #[inline]
    pub(super) fn content(&self, number: u64) -> u64 {
        mix(self.seed ^ OF_CONTENT ^ number)
    }

    #[inline]
    pub(super) fn line_count(&self, content: u64) -> u32 {
        self.lines_least + below(content as u32, self.lines_spread)
    }

    #[inline]
    fn hash(&self, number: u64) -> u64 {
        mix(self.seed ^ number)
    }

    #[inline]
    fn fate(&self, number: u64) -> (Fate, Repeat) {
        let bits = self.hash(number);
        let (low, high) = (bits as u32, (bits >> 32) as u32);
        let fate = if !self.or_early.has(low) {
            Fate::Abandoned
        } else if self.confirmed.has(low) {
            Fate::Confirmed
        } else if self.or_cancelled.has(low) {
            Fate::Cancelled
        } else {
            Fate::CancelledEarly
        };
        let repeat = if !self.or_changed.has(high) {
            Repeat::None
        } else if self.exact.has(high) {
            Repeat::Exact
        } else {
            Repeat::Changed
        };
        (fate, repeat)
    }
}

/// What some orders ask of their delivery, each with where its share of all draws ends.
#[derive(Clone, Debug)]
struct Asks {
    run_seed: u64,
    list: Vec<(Asked, Share)>,
}

impl Asks {
    fn new(traffic: &Traffic, origin: &Origin) -> Self {
        let ends = traffic.asks.iter().scan(Share::default(), |end, ask| {
            *end = end.and(ask.share);
            Some((Asked::of(ask, origin.first_day), *end))
        });
        Self { run_seed: mix(origin.seed), list: ends.collect() }
    }

    #[inline]
    fn number(&self, generator: u32, number: u64) -> Option<usize> {
        if self.list.is_empty() {
            return None;
        }
        let bits = (mix(seed_of(self.run_seed, generator) ^ OF_ASKS ^ number) >> 32) as u32;
        self.list.iter().position(|(_, end)| end.has(bits))
    }
}

/// Seed of a generator's draws, from that of the run's.
#[inline]
pub(super) fn seed_of(run_seed: u64, generator: u32) -> u64 {
    mix(run_seed ^ u64::from(generator))
}

/// How long after its order a command of this kind is due. An order that was cancelled early has no cancel later, and
/// is placed again that long after itself.
pub(crate) fn delay(scenario: &Scenario, kind: Kind) -> Duration {
    let traffic = &scenario.traffic;
    match kind {
        Kind::CancelEarly | Kind::Place | Kind::Poison | Kind::Move => Duration::ZERO,
        Kind::Duplicate | Kind::Changed => traffic.duplicates.after,
        Kind::Confirm => traffic.confirm.after,
        Kind::Cancel => traffic.cancel.after,
        Kind::Again => traffic.cancel.after + traffic.raise_attempt.after,
        Kind::Ship => traffic.confirm.after + traffic.ship.after,
    }
}
