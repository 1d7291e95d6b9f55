//! The decisions of one shard, in the order of its links.

mod follow; // stock, rules and days, whoever's order it is
mod input; // which records its links decide, and at which time

use sluice::wire::entry::{EntryError, LinkView};
use sluice::wire::proto::{Input, Outcome, Reason};
use sluice::wire::{Decision, DecisionLine, Source};

use super::channels::Sharing;
use super::dated::{Dated, Days};
use super::findings::Findings;
use super::life::{Answer, Leeway, Of};
use super::memory::Memory;
use super::rules::{Barred, Rules};
use super::stock::Stock;
use super::{Ours, moves};
use crate::load::traffic::{Fate, Kind, OrderId, Repeat, Shore, sku_number};
use crate::report::result::Check;
use input::Reached;

/// An answer to a command of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What it said.
    pub outcome: Outcome,
    /// When its command was due, nanoseconds since the start of the run; none for an expiry, which answers nobody.
    pub due_ns: Option<u64>,
    /// Where its order belongs in a run with floods.
    pub shore: Option<Shore>,
}

/// What the decisions of a shard must bear out.
#[derive(Debug)]
pub struct Shard {
    number: u32,
    memory: Memory,
    /// By number of the pool; none for pools of other shards.
    stock: Vec<Option<Stock>>,
    /// Likewise; none at all if the run sets no rules.
    rules: Vec<Option<Rules>>,
    /// Likewise, if days matter to the run.
    dated: Vec<Option<Dated>>,
    next_sequence: Option<u64>,
    reached: Reached,
    /// Offset and index of the last command that was decided, of orders and of stock.
    last: [Option<(i64, u32)>; 2],
    /// Stock commands of ours that took effect.
    stocked: u64,
    findings: Findings,
}

impl Shard {
    /// Nothing read yet of the shard with this number, that of its partition of the inputs, which remembers for so long.
    pub fn new(ours: &Ours, number: u32, memory: Memory) -> Self {
        let pools = || ours.pools.list().iter().map(|pool| pool.partition == number);
        let stock = pools().map(|mine| mine.then(|| Stock::new(ours.run, ours.skus))).collect();
        let rules = pools().map(|mine| (mine && ours.ruled).then(|| Rules::new(ours))).collect();
        let dated = pools().map(|mine| (mine && ours.dated).then(|| Dated::new(ours))).collect();
        let (reached, findings) = (Reached::default(), Findings::default());
        Self {
            number,
            memory,
            stock,
            rules,
            dated,
            next_sequence: None,
            reached,
            last: [None; 2],
            stocked: 0,
            findings,
        }
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
        let (first, shard) = (link.header.first_sequence, self.number);
        if let Some(due) = self.next_sequence.filter(|due| *due != first) {
            let check = if first > due { Check::Lost } else { Check::Doubled };
            self.findings.add(check, || format!("shard {shard}: sequence {first} where {due} was due"));
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
        let id = OrderId::parse(ours.run, decision.order_id.as_bytes());
        if ours.follows_stock && ours.dated {
            self.look_at_day(ours, pool, id, decision);
        }
        if ours.follows_stock {
            self.follow_stock(ours, pool, decision);
        }
        if ours.follows_stock && ours.dated {
            self.follow_days(pool, id, decision);
        }
        if ours.follows_stock && ours.ruled {
            self.follow_rules(ours, pool, id, decision);
        }
        if decision.order_id.is_empty() {
            return self.moved(ours, decision);
        }
        let id = id?;
        (id.generator == ours.generator).then(|| self.answer(ours, pool, id, decision))
    }

    /// An answer to a movement of ours.
    fn moved(&mut self, ours: &Ours, decision: &Decision<'_>) -> Option<Counted> {
        let moved = ours.moves.answered(ours.run, decision.id.as_bytes())?;
        if let Err(text) = moves::check(&moved, decision, ours.run, &ours.pools) {
            self.findings.add(Check::Wrong, || format!("{}: {text}", decision.id));
        }
        Some(Counted { outcome: decision.outcome, due_ns: Some(moved.due_ns), shore: None })
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
            let (shard, last) = (self.number, *last);
            self.findings.add(Check::Doubled, || {
                let id = if decision.order_id.is_empty() { decision.id } else { decision.order_id };
                format!("shard {shard}: {id} answers {place:?} (offset, index) after {last:?}")
            });
        }
        *last = place.max(*last);
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
        let (is_ruled, is_dated, may_be_forgotten) = (ours.ruled, ours.dated, ours.plan.ships());
        let leeway = Leeway { has_deadline, is_ruled, is_dated, may_be_forgotten };
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
            Of::Nobody => return Counted { outcome: decision.outcome, due_ns: None, shore: None },
            Of::Place => Kind::Place,
            Of::Repeat if order().repeat == Repeat::Changed => Kind::Changed,
            Of::Repeat => Kind::Duplicate,
            Of::Confirm => Kind::Confirm,
            Of::Cancel if order().fate == Fate::CancelledEarly => Kind::CancelEarly,
            Of::Cancel => Kind::Cancel,
            Of::Again => Kind::Again,
            Of::Ship => Kind::Ship,
        };
        let due_ns = id.due_us * 1_000 + ours.plan.delay_ns(kind);
        let shore = ours.plan.floods().shore(pool, due_ns / 1_000);
        Counted { outcome: decision.outcome, due_ns: Some(due_ns), shore }
    }

    /// What is told of an order's content must be what was sent.
    fn check_content(&self, ours: &Ours, pool: u32, id: OrderId, decision: &Decision<'_>) -> Result<(), String> {
        match (decision.outcome, decision.reason) {
            (Outcome::Reserved | Outcome::Confirmed | Outcome::Shipped | Outcome::Expired, _)
            | (Outcome::NotOpen, _)
            | (
                Outcome::Rejected,
                Reason::OutOfStock
                | Reason::UnknownSku
                | Reason::Closed
                | Reason::NotEligible
                | Reason::Limit
                | Reason::Quota,
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
                    None if ours.plan.pool(id.number, id.due_us) != pool => {
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

    /// What days came to, in all pools of this shard.
    pub fn days(&self) -> Days {
        let mut sum = Days::default();
        self.dated.iter().flatten().for_each(|dated| sum += dated.days());
        sum
    }

    /// What sharing stock among channels came to, in all pools of this shard.
    pub fn sharing(&self) -> Sharing {
        let mut sum = Sharing::default();
        for (rules, stock) in self.rules.iter().zip(&self.stock) {
            if let (Some(rules), Some(stock)) = (rules, stock) {
                sum += rules.sharing(|sku| stock.available(sku));
            }
        }
        sum
    }

    /// Everything found wrong so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}
