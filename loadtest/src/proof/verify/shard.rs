//! The decisions of one shard, in the order of its log.

use sluice::wire::entry::{EntryError, LinkView};
use sluice::wire::proto::{Asked, Input, Outcome, Reason};
use sluice::wire::{Decision, DecisionLine, Rule, Source, Text};

use super::Ours;
use super::findings::Findings;
use super::life::{Answer, Leeway, Of};
use super::memory::Memory;
use super::rules::{Barred, Buyer, RuleFault, Rules};
use super::stock::{Stock, StockFault};
use crate::load::traffic::{Fate, Kind, OrderId, Repeat, sku_number};
use crate::report::result::Check;

/// An answer to a command of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What it said.
    pub outcome: Outcome,
    /// When its command was due, nanoseconds since the start of the run; none for an expiry, which answers nobody.
    pub due_ns: Option<u64>,
}

/// What the decisions of a shard must bear out.
#[derive(Debug)]
pub struct Shard {
    partition: u32,
    memory: Memory,
    /// By number of the pool; none for pools of other shards.
    stock: Vec<Option<Stock>>,
    /// Likewise; none at all if the run sets no rules.
    rules: Vec<Option<Rules>>,
    next_sequence: Option<u64>,
    /// Offset and index of the last command that was decided, of orders and of stock.
    last: [Option<(i64, u32)>; 2],
    /// Stock commands of ours that took effect.
    stocked: u64,
    findings: Findings,
}

impl Shard {
    /// Nothing read yet of a partition that remembers for so long.
    pub fn new(ours: &Ours, partition: u32, memory: Memory) -> Self {
        let pools = || ours.pools.list().iter().map(|pool| pool.partition == partition);
        let stock = pools().map(|mine| mine.then(|| Stock::new(ours.run, ours.skus))).collect();
        let rules = pools().map(|mine| (mine && ours.ruled).then(|| Rules::new(ours))).collect();
        let findings = Findings::default();
        Self { partition, memory, stock, rules, next_sequence: None, last: [None; 2], stocked: 0, findings }
    }

    /// Takes a link in. `late`: it became readable when nothing was waited for any more. `count` is told of each answer
    /// to a command of ours.
    ///
    /// # Errors
    /// The link cannot be read; what stood before the fault was taken in.
    pub fn link(
        &mut self,
        ours: &Ours,
        link: &LinkView<'_>,
        late: bool,
        mut count: impl FnMut(Counted),
    ) -> Result<(), EntryError> {
        let (first, partition) = (link.header.first_sequence, self.partition);
        if let Some(due) = self.next_sequence.filter(|due| *due != first) {
            let check = if first > due { Check::Lost } else { Check::Doubled };
            self.findings.add(check, || format!("decisions[{partition}]: sequence {first} where {due} was due"));
        }
        self.next_sequence = Some(first + u64::from(link.header.count));
        for decision in link.decisions() {
            let (decision, source) = decision?;
            if let Some(counted) = self.decision(ours, &decision, &source) {
                if late && counted.due_ns.is_some() {
                    self.findings.add(Check::Late, || decision.order_id.to_string());
                }
                count(counted);
            }
        }
        Ok(())
    }

    /// Takes a decision in; tells what of ours it answers.
    pub fn decision(&mut self, ours: &Ours, decision: &Decision<'_>, source: &Source) -> Option<Counted> {
        self.check_source(decision, source);
        let pool = ours.pools.number(decision.pool.as_bytes())?;
        if ours.follows_stock && ours.plan.ships() {
            self.check_known(pool, decision);
            self.follow_changes(pool, decision);
        }
        if ours.follows_stock {
            self.follow_stock(ours, pool, decision);
        }
        let id = OrderId::parse(ours.run, decision.order_id.as_bytes());
        if ours.follows_stock && ours.ruled {
            self.follow_rules(ours, pool, id, decision);
        }
        let id = id?;
        (id.generator == ours.generator).then(|| self.answer(ours, pool, id, decision))
    }

    /// A log lists the commands that it answers in their order, each once.
    fn check_source(&mut self, decision: &Decision<'_>, source: &Source) {
        let last = match source.input {
            Input::Orders => &mut self.last[0],
            Input::Stock => &mut self.last[1],
            Input::Unspecified => return,
        };
        let place = Some((source.offset, source.index));
        if *last >= place {
            let (partition, last) = (self.partition, *last);
            self.findings.add(Check::Doubled, || {
                let id = if decision.order_id.is_empty() { decision.id } else { decision.order_id };
                format!("decisions[{partition}]: {id} answers {place:?} (offset, index) after {last:?}")
            });
        }
        *last = place.max(*last);
    }

    /// What has left the shelf and is sold no more is forgotten after a time, and not before it.
    fn check_known(&mut self, pool: u32, decision: &Decision<'_>) {
        let is_unknown = match (decision.asked, decision.outcome, decision.reason) {
            (Asked::Place, Outcome::Rejected, Reason::UnknownSku) => true,
            (Asked::Place, Outcome::Reserved | Outcome::NotOpen, _) => false,
            (Asked::Place, Outcome::Rejected, reason) if reason != Reason::Cancelled => false,
            _ => return,
        };
        let (mut due_of_some, mut found) = (false, None);
        for line in decision.lines() {
            let due = self.is_forgotten(pool, line.sku, decision.decided_at_ms);
            due_of_some |= due;
            if due != (line.reason == Reason::UnknownSku) {
                let was = if due { "is forgotten" } else { "is known" };
                found = Some(format!("{} {was} at {}: {:?} told", line.sku, decision.decided_at_ms, line.reason));
            }
        }
        if found.is_none() && due_of_some != is_unknown {
            found = Some("rejected for a SKU that is not known, and all are".to_owned());
        }
        if let Some(text) = found {
            self.findings.add(Check::Wrong, || format!("{} {}: {text}", decision.pool, decision.order_id));
        }
    }

    /// Whether nothing has been in a row, and no rule has stood, for so long that the SKU is no longer known.
    fn is_forgotten(&mut self, pool: u32, sku: Text<'_>, at_ms: i64) -> bool {
        let bare_since_ms = self.stock[pool as usize].as_mut().and_then(|stock| stock.bare_since_ms(sku));
        let kept_until_ms = match &self.rules[pool as usize] {
            Some(rules) => rules.kept_until_ms(sku, at_ms),
            None => Some(i64::MIN),
        };
        let since_ms = bare_since_ms.zip(kept_until_ms).map(|(bare, kept)| bare.max(kept));
        since_ms.is_some_and(|since_ms| self.memory.forgets(since_ms, at_ms))
    }

    /// Keeps when each row was last changed.
    fn follow_changes(&mut self, pool: u32, decision: &Decision<'_>) {
        let Some(stock) = &mut self.stock[pool as usize] else { return };
        let at_ms = decision.decided_at_ms;
        match decision.outcome {
            Outcome::Reserved | Outcome::Confirmed | Outcome::Cancelled | Outcome::Expired | Outcome::Shipped => {
                decision.lines().for_each(|line| stock.changed(line.sku, at_ms));
            }
            Outcome::Applied => {
                decision.stock.iter().for_each(|level| stock.changed(level.sku, at_ms));
                match decision.selling.and_then(|selling| selling.set) {
                    Some(Rule::Sale(sale)) => stock.changed(sale.sku, at_ms),
                    Some(Rule::Limit(limit)) => limit.skus().for_each(|sku| stock.changed(sku, at_ms)),
                    Some(Rule::Channels(channels)) => stock.changed(channels.sku, at_ms),
                    Some(Rule::Freshness(freshness)) => stock.changed(freshness.sku, at_ms),
                    Some(Rule::Delivery(_)) | None => {}
                }
            }
            _ => {}
        }
    }

    /// Keeps the stock of our pools, whoever's order it is.
    fn follow_stock(&mut self, ours: &Ours, pool: u32, decision: &Decision<'_>) {
        let Some(stock) = &mut self.stock[pool as usize] else {
            let partition = self.partition;
            let pool = decision.pool;
            self.findings.add(Check::Wrong, || format!("pool {pool} was decided by shard {partition}, not its own"));
            return;
        };
        let told = match (decision.outcome, decision.reason) {
            (Outcome::Reserved, _) => stock.reserved(decision.lines()),
            (Outcome::Rejected, Reason::OutOfStock) => stock.rejected(decision.lines()),
            (Outcome::Cancelled | Outcome::Expired, Reason::Unspecified) => stock.released(decision.lines()),
            (Outcome::Shipped, _) => stock.shipped(decision.lines()),
            (Outcome::Applied, _) => match &decision.stock {
                Some(level) => {
                    self.stocked += u64::from(sku_number(ours.run, level.sku.as_bytes()).is_some());
                    stock.applied(level)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        };
        let who = || if decision.order_id.is_empty() { decision.id } else { decision.order_id };
        match told {
            Ok(()) => {}
            Err(StockFault::Oversold { sku, by }) => {
                self.findings.add(Check::Oversold, || format!("{} {}: {sku} by {by}", decision.pool, who()));
            }
            Err(StockFault::Wrong(text)) => {
                self.findings.add(Check::Wrong, || format!("{} {}: {text}", decision.pool, who()));
            }
        }
    }

    /// Keeps the rules of our pools and what customers have by them, whoever's order it is.
    fn follow_rules(&mut self, ours: &Ours, pool: u32, id: Option<OrderId>, decision: &Decision<'_>) {
        let Some(rules) = &mut self.rules[pool as usize] else { return };
        if let (Outcome::Applied, Some(rule)) = (decision.outcome, decision.selling.and_then(|selling| selling.set)) {
            self.stocked += u64::from(rules.set(&rule, decision.sequence));
        }
        let Some(id) = id else { return };
        let buyer = || {
            let customer = ours.plan.customer_of(id.generator, id.number);
            Buyer { customer, segment: ours.plan.segment(customer) }
        };
        let told = match (decision.asked, decision.outcome, decision.reason) {
            (Asked::Place, ..) => rules.placed(buyer(), decision),
            (_, Outcome::Cancelled | Outcome::Expired, Reason::Unspecified) => {
                rules.released(buyer().customer, decision)
            }
            _ => Ok(()),
        };
        let (check, text) = match told {
            Ok(()) => return,
            Err(RuleFault::Sold(text)) => (Check::RuledOut, text),
            Err(RuleFault::Wrong(text)) => (Check::Wrong, text),
        };
        self.findings.add(check, || format!("{} {}: {text}", decision.pool, decision.order_id));
    }

    /// An answer about an order of ours.
    fn answer(&mut self, ours: &Ours, pool: u32, id: OrderId, decision: &Decision<'_>) -> Counted {
        let answer = Answer {
            asked: decision.asked,
            attempt: decision.attempt,
            outcome: decision.outcome,
            reason: decision.reason,
            sequence: decision.sequence,
            original: decision.original,
        };
        // Recomputed only where something depends on it: most orders are placed once, and reserved.
        let order = || ours.plan.order(id.number);
        let has_deadline = decision.outcome == Outcome::Deadline && decision.attempt == 0 && order().deadline;
        let leeway = Leeway { has_deadline, is_ruled: ours.ruled, may_be_forgotten: ours.plan.ships() };
        let changed = ours.lives.change(id.number, |life| life.take(&answer, leeway));
        let (of, mut told) = changed.unwrap_or((Of::Nobody, Err("an order of this number was never sent".to_owned())));
        if told.is_ok() {
            told = self.check_content(ours, pool, id, decision);
        }
        if let Err(text) = told {
            let check = if ours.plan_has(id, pool) { Check::Wrong } else { Check::Unexpected };
            self.findings.add(check, || format!("{}: {:?}: {text}", decision.order_id, decision.asked));
        }
        let kind = match of {
            Of::Nobody => return Counted { outcome: decision.outcome, due_ns: None },
            Of::Place => Kind::Place,
            Of::Repeat if order().repeat == Repeat::Changed => Kind::Changed,
            Of::Repeat => Kind::Duplicate,
            Of::Confirm => Kind::Confirm,
            Of::Cancel if order().fate == Fate::CancelledEarly => Kind::CancelEarly,
            Of::Cancel => Kind::Cancel,
            Of::Again => Kind::Again,
            Of::Ship => Kind::Ship,
        };
        Counted { outcome: decision.outcome, due_ns: Some(id.due_us * 1_000 + ours.plan.delay_ns(kind)) }
    }

    /// What is told of an order's content must be what was sent.
    fn check_content(&self, ours: &Ours, pool: u32, id: OrderId, decision: &Decision<'_>) -> Result<(), String> {
        match (decision.outcome, decision.reason) {
            (Outcome::Reserved | Outcome::Confirmed | Outcome::Shipped | Outcome::Expired, _)
            | (Outcome::NotOpen, _)
            | (
                Outcome::Rejected,
                Reason::OutOfStock | Reason::UnknownSku | Reason::Closed | Reason::NotEligible | Reason::Limit,
            )
            | (Outcome::Cancelled, Reason::Unspecified) => {
                let mut told = decision.lines();
                for line in ours.plan.lines(id.number, id.due_us) {
                    let same = |told: &DecisionLine<'_>| {
                        told.quantity == line.quantity && sku_number(ours.run, told.sku.as_bytes()) == Some(line.sku)
                    };
                    match told.next() {
                        Some(told) if same(&told) => {}
                        told => return Err(format!("line {line:?} was sent, {told:?} was answered")),
                    }
                }
                match told.next() {
                    Some(more) => Err(format!("a line was answered that was not sent: {more:?}")),
                    None if ours.plan.order(id.number).pool != pool => {
                        Err(format!("was not sent to {}", decision.pool))
                    }
                    None => Ok(()),
                }
            }
            (Outcome::Duplicate, _) if ours.plan.order(id.number).repeat != Repeat::Exact => {
                Err("answered as a copy, but no copy like the original was sent".to_owned())
            }
            (Outcome::Conflict, _) if ours.plan.order(id.number).repeat != Repeat::Changed => {
                Err("answered as changed, but no changed copy was sent".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Stock commands of ours that took effect so far.
    pub fn stocked(&self) -> u64 {
        self.stocked
    }

    /// Units that orders hold now, in all pools of this shard.
    pub fn taken(&self) -> i64 {
        self.stock.iter().flatten().map(Stock::taken).sum()
    }

    /// SKUs that somebody asked for in whose way no rule stood, in all pools of this shard.
    pub fn wanted(&self) -> u64 {
        self.stock.iter().flatten().map(Stock::wanted).sum()
    }

    /// Orders in whose way a rule stood, in all pools of this shard.
    pub fn barred(&self) -> Barred {
        let mut sum = Barred::default();
        self.rules.iter().flatten().for_each(|rules| sum += rules.barred());
        sum
    }

    /// A fault found by whoever reads for it.
    pub fn found(&mut self, check: Check, example: impl FnOnce() -> String) {
        self.findings.add(check, example);
    }

    /// Everything found wrong so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}
