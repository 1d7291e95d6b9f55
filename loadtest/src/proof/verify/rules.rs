//! The selling rules of a run, as far as its decisions tell: which were set, whom they are for, and what each customer has
//! of what they limit. So each order is told what must have been decided of it: whether a rule stood in its way, which, and what would
//! have been possible. It knows nothing of how the engine keeps its own.
//!
//! A run sets sales of its SKUs, and limits by the customer, without periods; it removes none. Guards hold in the order
//! of the contract: opening, closing, segments, limits, then stock, and then what [`channels`](super::channels) share.
//!
//! Memory: 72 bytes for each SKU and pool, and some 30 for each customer who has any of what is limited.

use std::collections::HashMap;

use sluice::wire::decision::Selling;
use sluice::wire::proto::{Outcome, Reason, ShareOf};
use sluice::wire::{Counted, Decision, DecisionLine, Rule, Text};

use super::Ours;
use super::channels::{Channels, Sharing};
use crate::load::traffic::rules::is_limit;
use crate::load::traffic::{RunId, customer_number, sku_number};

/// Limits that one SKU may stand under, by the contract.
const LIMITS_A_SKU: usize = 2;

/// The rules of one pool of a run.
#[derive(Debug)]
pub(super) struct Rules {
    run: RunId,
    /// Segments that customers belong to.
    segments: Vec<String>,
    /// By number of the SKU.
    rows: Vec<Row>,
    limits: Vec<Limit>,
    channels: Channels,
    barred: Barred,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    sale: Option<Sale>,
    /// Numbers in [`Rules::limits`], in the order in which they were set.
    limits: [Option<usize>; LIMITS_A_SKU],
    /// A freshness stands.
    is_kept_fresh: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sale {
    opens_at_ms: i64,
    closes_at_ms: i64,
    /// Whom it is for, if not for everybody: a bit for each of [`Rules::segments`].
    only: Option<u64>,
    /// Sequence of the decision that set it.
    rule: u64,
}

/// Who places an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buyer {
    /// His number.
    pub(super) customer: u32,
    /// Number of the segment that he belongs to, in the scenario's list.
    pub(super) segment: Option<u32>,
    /// Number of the channel through which he does.
    pub(super) channel: u32,
}

#[derive(Debug)]
struct Limit {
    name: String,
    units: u64,
    units_an_order: u64,
    /// Sequence of the decision that set it last, and of the one with which it began to count.
    rule: u64,
    count: u64,
    /// Units that customers hold or have paid for, by their number. Who has none is not in it.
    held: HashMap<u32, u64>,
    /// Units of the lines of the order that is looked at.
    in_order: u64,
}

/// Orders in whose way a rule stood, or a sale that is forgotten, by what their decisions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Barred {
    /// They came before the opening.
    pub early: u64,
    /// They came after the end.
    pub late: u64,
    /// Their customers had none of the segments that it was for.
    pub not_eligible: u64,
    /// They were over a limit.
    pub over_limit: u64,
    /// They asked for more than their channel might have.
    pub over_quota: u64,
    /// They came when it had been sold, had left and was forgotten.
    pub forgotten: u64,
}

impl std::ops::AddAssign for Barred {
    fn add_assign(&mut self, other: Self) {
        self.early += other.early;
        self.late += other.late;
        self.not_eligible += other.not_eligible;
        self.over_limit += other.over_limit;
        self.over_quota += other.over_quota;
        self.forgotten += other.forgotten;
    }
}

/// What a decision says that the rules do not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleFault {
    /// It was sold all the same.
    Sold(String),
    /// Something else.
    Wrong(String),
}

/// What may stand in the way of an order, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Opening,
    Closing,
    Segments,
    Limits,
}

impl Guard {
    const ALL: [Self; 4] = [Self::Opening, Self::Closing, Self::Segments, Self::Limits];
}

/// What stands in the way of a line, as its decision must tell. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) reason: Reason,
    pub(super) opens_at_ms: i64,
    pub(super) left: Option<u64>,
    pub(super) rule: u64,
}

impl Bar {
    /// As a line of a decision tells it.
    pub(super) fn told(line: &DecisionLine<'_>) -> Self {
        Self { reason: line.reason, opens_at_ms: line.opens_at_ms, left: line.left, rule: line.rule }
    }
}

impl Rules {
    /// A pool of a run, of which no rule was set yet.
    pub(super) fn new(ours: &Ours) -> Self {
        Self {
            run: ours.run,
            segments: ours.segments.clone(),
            rows: vec![Row::default(); ours.skus as usize],
            limits: Vec::new(),
            channels: Channels::new(ours),
            barred: Barred::default(),
        }
    }

    /// A rule was set by the decision of this sequence. False if it is none of the run's.
    pub(super) fn set(&mut self, rule: &Rule<'_>, sequence: u64) -> bool {
        match rule {
            Rule::Sale(sale) => {
                let Some(at) = self.row(sale.sku) else { return false };
                let (opens_at_ms, closes_at_ms) = (sale.opens_at_ms, sale.closes_at_ms);
                let bit = |segment: Text<'_>| {
                    let known = self.segments.iter().position(|known| segment == known.as_str());
                    known.map_or(0, |number| 1 << number)
                };
                let only = sale.only().map(bit).reduce(|sum: u64, bit| sum | bit);
                self.rows[at].sale = Some(Sale { opens_at_ms, closes_at_ms, only, rule: sequence });
            }
            Rule::Limit(limit) if is_limit(self.run, limit.name.as_bytes()) => {
                let known = self.limits.iter().position(|known| limit.name == known.name.as_str());
                let at = known.unwrap_or_else(|| {
                    self.limits.push(Limit::new(limit.name, sequence));
                    self.limits.len() - 1
                });
                let terms = &mut self.limits[at];
                (terms.units, terms.units_an_order, terms.rule) = (limit.units, limit.units_an_order, sequence);
                let places = self.rows.iter_mut().flat_map(|row| &mut row.limits);
                places.filter(|place| **place == Some(at)).for_each(|place| *place = None);
                for sku in limit.skus() {
                    let row = self.row(sku).map(|row| &mut self.rows[row].limits);
                    if let Some(free) = row.and_then(|limits| limits.iter_mut().find(|place| place.is_none())) {
                        *free = Some(at);
                    }
                }
            }
            Rule::Channels(channels) => {
                let Some(at) = self.row(channels.sku) else { return false };
                self.channels.set(at, channels, sequence);
            }
            Rule::Freshness(freshness) => {
                let Some(at) = self.row(freshness.sku) else { return false };
                self.rows[at].is_kept_fresh = !freshness.removes();
            }
            // The pool is the run's.
            Rule::Delivery(_) => {}
            Rule::Limit(_) => return false,
        }
        true
    }

    /// An order was placed by this customer, and decided. `available` tells what there was of a SKU before it.
    ///
    /// # Errors
    /// It is not what the rules make of it.
    pub(super) fn placed(
        &mut self,
        buyer: Buyer,
        decision: &Decision<'_>,
        available: &dyn Fn(usize) -> i64,
    ) -> Result<(), RuleFault> {
        let told = match (decision.outcome, decision.reason) {
            (Outcome::Reserved, _) | (Outcome::Rejected, Reason::OutOfStock | Reason::Quota) => None,
            (Outcome::NotOpen, _) => Some(Guard::Opening),
            (Outcome::Rejected, Reason::Closed) => Some(Guard::Closing),
            (Outcome::Rejected, Reason::NotEligible) => Some(Guard::Segments),
            (Outcome::Rejected, Reason::Limit) => Some(Guard::Limits),
            (Outcome::Rejected, Reason::UnknownSku) => {
                self.barred.forgotten += 1;
                return Ok(());
            }
            _ => return Ok(()),
        };
        match told {
            None => self.barred.over_quota += u64::from(decision.reason == Reason::Quota),
            Some(Guard::Opening) => self.barred.early += 1,
            Some(Guard::Closing) => self.barred.late += 1,
            Some(Guard::Segments) => self.barred.not_eligible += 1,
            Some(Guard::Limits) => self.barred.over_limit += 1,
        }
        let due = Guard::ALL.into_iter().find(|guard| self.bars(*guard, buyer, decision).any(|(_, bar)| bar.is_some()));
        let sold = decision.outcome == Outcome::Reserved;
        let found = match due {
            Some(guard) if due == told => self.check_bars(guard, buyer, decision),
            _ if due == told => Ok(()),
            Some(guard) if sold => Err(RuleFault::Sold(self.explained(guard, buyer, decision))),
            due => Err(RuleFault::Wrong(format!("barred by {told:?} at {}, due was {due:?}", decision.decided_at_ms))),
        };
        if !sold && decision.reason != Reason::Quota {
            return found;
        }
        let shared = self.channels.placed(buyer.channel, decision, available);
        if !sold {
            return found.and(shared);
        }
        let counted = self.count(buyer, decision);
        found.and(counted).and(shared).and(self.check_segments(buyer, decision))
    }

    /// An order of this customer gave back what it held.
    ///
    /// # Errors
    /// More than he had, or his channel.
    pub(super) fn released(&mut self, buyer: Buyer, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let Buyer { customer, channel, .. } = buyer;
        let mut found = self.channels.released(channel, decision);
        for line in decision.lines() {
            let Some(row) = self.row(line.sku) else { continue };
            for limit in self.rows[row].limits.into_iter().flatten() {
                let limit = &mut self.limits[limit];
                let held = limit.held.get(&customer).copied().unwrap_or(0);
                match held.checked_sub(u64::from(line.quantity)) {
                    Some(0) => drop(limit.held.remove(&customer)),
                    Some(left) => drop(limit.held.insert(customer, left)),
                    None => found = Err(RuleFault::Wrong(format!("{}: more was released than he had", limit.name))),
                }
            }
        }
        found
    }

    /// Until when at the least the rules of a SKU keep its row, seen at this instant; none as long as one stands.
    pub(super) fn kept_until_ms(&self, sku: Text<'_>, at_ms: i64) -> Option<i64> {
        let at = self.row(sku)?;
        let row = self.rows[at];
        match row.sale {
            _ if row.limits.iter().any(Option::is_some) || row.is_kept_fresh || self.channels.stand(at) => None,
            Some(sale) => sale.closing(at_ms).map(|_| sale.closes_at_ms),
            None => Some(i64::MIN),
        }
    }

    /// What sharing the stock came to, `available` telling what there is of a SKU now.
    pub(super) fn sharing(&self, available: impl Fn(usize) -> i64) -> Sharing {
        self.channels.sharing(available)
    }

    /// Orders in whose way a rule stood so far.
    pub(super) fn barred(&self) -> Barred {
        self.barred
    }

    /// Each line with what this guard has against it.
    fn bars<'a>(
        &mut self,
        guard: Guard,
        buyer: Buyer,
        decision: &Decision<'a>,
    ) -> impl Iterator<Item = (DecisionLine<'a>, Option<Bar>)> {
        self.limits.iter_mut().for_each(|limit| limit.in_order = 0);
        let at_ms = decision.decided_at_ms;
        decision.lines().map(move |line| {
            let bar = self.row(line.sku).and_then(|row| {
                let row = self.rows[row];
                match guard {
                    Guard::Opening => row.sale.and_then(|sale| sale.opening(at_ms)),
                    Guard::Closing => row.sale.and_then(|sale| sale.closing(at_ms)),
                    Guard::Segments => row.sale.and_then(|sale| sale.shutting_out(buyer)),
                    Guard::Limits => self.limited(&row, buyer.customer, u64::from(line.quantity)),
                }
            });
            (line, bar)
        })
    }

    /// What the limits of a row leave to a customer after the earlier lines of the order, if that is less than is asked.
    /// Of two that do, the one that leaves less.
    fn limited(&mut self, row: &Row, customer: u32, quantity: u64) -> Option<Bar> {
        let mut least: Option<Bar> = None;
        for limit in row.limits.into_iter().flatten() {
            let limit = &mut self.limits[limit];
            let held = limit.held.get(&customer).copied().unwrap_or(0);
            let left = limit.left(held);
            limit.in_order += quantity;
            if left < quantity && least.is_none_or(|least| Some(left) < least.left) {
                let rule = limit.rule;
                least = Some(Bar { reason: Reason::Limit, left: Some(left), rule, ..Bar::default() });
            }
        }
        least
    }

    /// The decision must tell of each line what stood in its way, and nothing of the others.
    fn check_bars(&mut self, guard: Guard, buyer: Buyer, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let mut opens_at_ms = 0;
        for (line, bar) in self.bars(guard, buyer, decision) {
            let bar = bar.unwrap_or_default();
            let told = Bar::told(&line);
            if (told, line.allocated) != (bar, 0) {
                return Err(RuleFault::Wrong(format!("{}: told {told:?}, due was {bar:?}", line.sku)));
            }
            opens_at_ms = opens_at_ms.max(bar.opens_at_ms);
        }
        let told = decision.selling.map_or(0, |selling| selling.opens_at_ms);
        if told == opens_at_ms {
            return Ok(());
        }
        Err(RuleFault::Wrong(format!("told that it opens at {told}, and it opens at {opens_at_ms}")))
    }

    /// Why an order that was reserved should not have been.
    fn explained(&mut self, guard: Guard, buyer: Buyer, decision: &Decision<'_>) -> String {
        let (at_ms, mut said) = (decision.decided_at_ms, String::new());
        for (line, bar) in self.bars(guard, buyer, decision) {
            if let Some(bar) = bar {
                said = format!("{}: sold at {at_ms} to {buyer:?}, against {guard:?}: {bar:?}", line.sku);
            }
        }
        said
    }

    /// An order was reserved: its units count, and the decision must say so.
    fn count(&mut self, buyer: Buyer, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let customer = buyer.customer;
        // Every line's, whether or not a limit has something against it.
        self.bars(Guard::Limits, buyer, decision).for_each(drop);
        let told = decision.selling.unwrap_or_default();
        let mut limits = 0;
        let mut as_due = true;
        for limit in self.limits.iter_mut().filter(|limit| limit.in_order > 0) {
            *limit.held.entry(customer).or_default() += limit.in_order;
            limits += 1;
            let due =
                |told: Counted| (told.count, told.period, u64::from(told.units)) == (limit.count, 0, limit.in_order);
            as_due &= told.counted.iter().any(due);
        }
        // What channels count stands behind it.
        let of_limits = told.counted.iter().take_while(|told| told.share == ShareOf::Unspecified);
        if as_due && of_limits.count() == limits && (limits == 0 || is_of(&told, customer)) {
            return Ok(());
        }
        let counted: Vec<_> = told.counted.iter().collect();
        Err(RuleFault::Wrong(format!("of customer {customer}: is counted as {counted:?} of {:?}", told.customer)))
    }

    /// The decision must name the segment by which the order passed a sale that is for some, and no other.
    fn check_segments(&self, buyer: Buyer, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let for_some = |line: DecisionLine<'_>| {
            self.row(line.sku).and_then(|row| self.rows[row].sale).is_some_and(|sale| sale.only.is_some())
        };
        let passed = buyer.segment.filter(|_| decision.lines().any(for_some));
        let due = passed.map(|number| self.segments[number as usize].as_str());
        let mut told = decision.selling.unwrap_or_default().segments.texts();
        let first = told.next();
        let as_due = match (first, due) {
            (Some(told), Some(due)) => told == due,
            (told, due) => told.is_none() && due.is_none(),
        };
        if as_due && told.next().is_none() {
            return Ok(());
        }
        Err(RuleFault::Wrong(format!("passed by segment {first:?}, due was {due:?}")))
    }

    /// None for one that is not the run's.
    fn row(&self, sku: Text<'_>) -> Option<usize> {
        let number = sku_number(self.run, sku.as_bytes())? as usize;
        (number < self.rows.len()).then_some(number)
    }
}

fn is_of(told: &Selling<'_>, customer: u32) -> bool {
    customer_number(told.customer.as_bytes()) == Some(customer)
}

impl Sale {
    fn opening(&self, at_ms: i64) -> Option<Bar> {
        let Self { opens_at_ms, rule, .. } = *self;
        (at_ms < opens_at_ms).then_some(Bar { opens_at_ms, rule, ..Bar::default() })
    }

    fn closing(&self, at_ms: i64) -> Option<Bar> {
        let is_over = self.closes_at_ms != 0 && at_ms >= self.closes_at_ms;
        is_over.then_some(Bar { reason: Reason::Closed, rule: self.rule, ..Bar::default() })
    }

    fn shutting_out(&self, buyer: Buyer) -> Option<Bar> {
        let has = |only: u64| buyer.segment.is_some_and(|number| only >> number & 1 == 1);
        let is_shut_out = self.only.is_some_and(|only| !has(only));
        is_shut_out.then_some(Bar { reason: Reason::NotEligible, rule: self.rule, ..Bar::default() })
    }
}

impl Limit {
    fn new(name: Text<'_>, sequence: u64) -> Self {
        let (name, held) = (name.to_string(), HashMap::new());
        Self { name, units: 0, units_an_order: 0, rule: sequence, count: sequence, held, in_order: 0 }
    }

    /// Units that it leaves to a customer who has `held`, after the earlier lines of the order. 0 is no bound.
    fn left(&self, held: u64) -> u64 {
        let of_all = if self.units == 0 { u64::MAX } else { self.units.saturating_sub(held + self.in_order) };
        let an_order = self.units_an_order;
        of_all.min(if an_order == 0 { u64::MAX } else { an_order.saturating_sub(self.in_order) })
    }
}
