//! What decisions say of stock, rules and days: followed for the orders of all generators of a run.

use sluice::wire::proto::{Asked, Outcome, Reason};
use sluice::wire::{Decision, DecisionLine, Rule, Text};

use super::Shard;
use crate::load::traffic::{OrderId, sku_number};
use crate::proof::verify::Ours;
use crate::proof::verify::dated::DayFault;
use crate::proof::verify::rules::{Buyer, RuleFault};
use crate::proof::verify::stock::StockFault;
use crate::report::result::Check;

impl Shard {
    /// What has left the shelf and is sold no more is forgotten after a time, and not before it.
    pub(super) fn check_known(&mut self, pool: u32, decision: &Decision<'_>) {
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
    pub(super) fn follow_changes(&mut self, pool: u32, decision: &Decision<'_>) {
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
    pub(super) fn follow_stock(&mut self, ours: &Ours, pool: u32, decision: &Decision<'_>) {
        let Some(stock) = &mut self.stock[pool as usize] else {
            let (shard, pool) = (self.number, decision.pool);
            self.findings.add(Check::Wrong, || format!("pool {pool} was decided by shard {shard}, not its own"));
            return;
        };
        let dated = &self.dated[pool as usize];
        let of_lots = |sku: usize| dated.as_ref().and_then(|dated| dated.eligible(sku));
        let told = match (decision.outcome, decision.reason) {
            (Outcome::Reserved, _) => stock.reserved(decision.lines()),
            (Outcome::Rejected, Reason::OutOfStock) => stock.rejected(decision.lines(), of_lots),
            (Outcome::Rejected, Reason::Quota) => stock.refused(decision.lines(), of_lots),
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

    /// What must be decided of an order that is placed, by its day.
    pub(super) fn look_at_day(&mut self, ours: &Ours, pool: u32, id: Option<OrderId>, decision: &Decision<'_>) {
        let (Some(dated), Some(id), Asked::Place) = (&mut self.dated[pool as usize], id, decision.asked) else {
            return;
        };
        let asked = ours.plan.asked_of(id.generator, id.number).cloned().unwrap_or_default();
        dated.look(&asked, decision.decided_at_ms);
    }

    /// Keeps days and lots of our pools, whoever's order it is.
    pub(super) fn follow_days(&mut self, pool: u32, id: Option<OrderId>, decision: &Decision<'_>) {
        let Some(dated) = &mut self.dated[pool as usize] else { return };
        let told = match (decision.outcome, id) {
            (Outcome::Applied, _) => {
                if let Some(rule) = decision.selling.and_then(|selling| selling.set) {
                    dated.set(&rule, decision.sequence);
                }
                decision.stock.as_ref().map_or(Ok(()), |level| dated.applied(level))
            }
            (_, Some(id)) => dated.decided(id, decision),
            (_, None) => Ok(()),
        };
        let (check, text) = match told {
            Ok(()) => return,
            Err(DayFault::Oversold(text)) => (Check::Oversold, text),
            Err(DayFault::Sold(text)) => (Check::RuledOut, text),
            Err(DayFault::Wrong(text)) => (Check::Wrong, text),
        };
        let who = if decision.order_id.is_empty() { decision.id } else { decision.order_id };
        self.findings.add(check, || format!("{} {who}: {text}", decision.pool));
    }

    /// Keeps the rules of our pools and what customers have by them, whoever's order it is.
    pub(super) fn follow_rules(&mut self, ours: &Ours, pool: u32, id: Option<OrderId>, decision: &Decision<'_>) {
        let Some(rules) = &mut self.rules[pool as usize] else { return };
        if let (Outcome::Applied, Some(rule)) = (decision.outcome, decision.selling.and_then(|selling| selling.set)) {
            self.stocked += u64::from(rules.set(&rule, decision.sequence));
        }
        let Some(id) = id else { return };
        let buyer = || {
            let customer = ours.plan.customer_of(id.generator, id.number);
            let channel = ours.plan.channel_of(id.generator, id.number, id.due_us);
            Buyer { customer, segment: ours.plan.segment(customer), channel }
        };
        // The stock is that after the decision by now.
        let available = |sku: usize| {
            let is_of_sku = |line: &DecisionLine<'_>| sku_number(ours.run, line.sku.as_bytes()) == Some(sku as u32);
            let taken: i64 = decision.lines().filter(is_of_sku).map(|line| i64::from(line.allocated)).sum();
            self.stock[pool as usize].as_ref().map_or(0, |stock| stock.available(sku)) + taken
        };
        let told = match (decision.asked, decision.outcome, decision.reason) {
            (Asked::Place, ..) => rules.placed(buyer(), decision, &available),
            (_, Outcome::Cancelled | Outcome::Expired, Reason::Unspecified) => rules.released(buyer(), decision),
            _ => Ok(()),
        };
        let (check, text) = match told {
            Ok(()) => return,
            Err(RuleFault::Sold(text)) => (Check::RuledOut, text),
            Err(RuleFault::Wrong(text)) => (Check::Wrong, text),
        };
        self.findings.add(check, || format!("{} {}: {text}", decision.pool, decision.order_id));
    }
}
