//! Bringing a ledger to the state that a logged decision left.

mod parts; // lots, as decisions state them
#[cfg(test)]
mod tests;

use super::effects::StockEffect;
use super::stock::halt_of;
use super::verdict::LinesAtHand;
use super::{channels, delivery, id_fault, limit, lots, sale};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::State;
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::{Identity, OrderRef};
use crate::ledger::state::known::Found;
use crate::ledger::state::orders::{CountedBy, NewOrder, Taken};
use crate::ledger::state::selling::{Counting, MAX_LIMITS_A_SKU};
use crate::wire::decision::{HeldLine, Selling};
use crate::wire::limits::{MAX_LINES, MAX_STOCK_FIGURE, MAX_STOCK_QUANTITY};
use crate::wire::link::RULES_LEVEL;
use crate::wire::proto::{Asked, OrderState, Outcome, Reason, ShareOf};
use crate::wire::{Counted, Decision, Rule, StockLevel};

/// Why a logged decision cannot have been made by a ledger in this state: the log, or the ledger, is not what it is
/// taken for. The ledger must not be used any more.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplayError {
    /// A decision is missing or stands twice.
    #[error("decision {found} stands where {expected} was due")]
    Sequence {
        /// The next sequence of the ledger.
        expected: u64,
        /// The sequence of the decision.
        found: u64,
    },
    /// A decision was made before the one in front of it.
    #[error("decision {sequence} was decided at {found_ms} ms, before shard time {shard_time_ms} ms")]
    Time {
        /// The decision's.
        sequence: u64,
        /// Its `decided_at_ms`.
        found_ms: i64,
        /// The ledger's shard time.
        shard_time_ms: i64,
    },
    /// From the decision on, the log may use rules that this version does not have.
    #[error(
        "decision {sequence} raises the rules level to {level}, and this version knows levels up to {RULES_LEVEL}: a \
         newer version is needed"
    )]
    RulesLevel {
        /// The decision's.
        sequence: u64,
        /// The level from there on.
        level: u32,
    },
    /// The decision does not follow from what the ledger knows.
    #[error("decision {sequence} does not follow: {what}")]
    Disagrees {
        /// The decision's.
        sequence: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl State {
    /// See [`Ledger::replay`](crate::ledger::Ledger::replay).
    pub(crate) fn replay(
        &mut self,
        decision: &Decision<'_>,
        foresight: &Foresight,
        lines: &mut LinesAtHand,
    ) -> Result<(), ReplayError> {
        let sequence = decision.sequence;
        if sequence != self.sequence + 1 {
            return Err(ReplayError::Sequence { expected: self.sequence + 1, found: sequence });
        }
        if decision.decided_at_ms < self.shard_time_ms {
            let (found_ms, shard_time_ms) = (decision.decided_at_ms, self.shard_time_ms);
            return Err(ReplayError::Time { sequence, found_ms, shard_time_ms });
        }
        if decision.rules_level > RULES_LEVEL {
            return Err(ReplayError::RulesLevel { sequence, level: decision.rules_level });
        }
        self.advance(decision.decided_at_ms);
        self.sequence = sequence;
        self.follow(decision, foresight, lines).map_err(|what| ReplayError::Disagrees { sequence, what })
    }

    fn follow(
        &mut self,
        decision: &Decision<'_>,
        foresight: &Foresight,
        lines: &mut LinesAtHand,
    ) -> Result<(), &'static str> {
        let overdue = self.orders.due(self.shard_time_ms);
        if decision.asked != Asked::Expire && overdue.is_some() {
            return Err("a hold that is due has not been ended");
        }
        let order = OrderRef { pool: decision.pool, order_id: decision.order_id, attempt: decision.attempt };
        match (decision.asked, decision.outcome) {
            (Asked::Place, Outcome::Reserved) => self.follow_reserved(order, decision, foresight, lines),
            (Asked::Place, Outcome::Rejected) => self.follow_rejected(order, decision, foresight),
            (Asked::Confirm, Outcome::Confirmed) => {
                let slot = self.slot_in(order, OrderState::Held, foresight)?;
                self.agree_lines(slot, decision)?;
                self.commit(slot);
                Ok(())
            }
            (Asked::Extend, Outcome::Extended) => {
                let slot = self.slot_in(order, OrderState::Held, foresight)?;
                if decision.expires_at_ms <= self.orders.get(slot).expires_at_ms {
                    return Err("the hold does not end later");
                }
                let delivery = self.orders.delivery(self.orders.get(slot).kept);
                if delivery.is_some_and(|delivery| decision.expires_at_ms > delivery.hold_until_ms) {
                    return Err("the hold outlasts what its delivery allows");
                }
                self.orders.extend(slot, decision.expires_at_ms);
                Ok(())
            }
            // As NOTED was said in logs of before.
            (Asked::Cancel, Outcome::Cancelled) if decision.reason == Reason::BeforePlace => {
                self.follow_noted(order, foresight)
            }
            (Asked::Cancel, Outcome::Noted) => self.follow_noted(order, foresight),
            (Asked::Cancel, Outcome::Cancelled) => {
                let Found::Open(slot) = self.find(self.fingerprint(identity_of(order)?, foresight.fingerprint)) else {
                    return Err("the order is not in a state to be cancelled");
                };
                self.agree_lines(slot, decision)?;
                self.release(slot, Ending::Cancelled);
                Ok(())
            }
            (Asked::Expire, Outcome::Expired) => {
                let slot = self.slot_in(order, OrderState::Held, foresight)?;
                if overdue != Some(slot) {
                    return Err("it is not this hold that falls due next");
                }
                self.agree_lines(slot, decision)?;
                self.release(slot, Ending::Expired);
                Ok(())
            }
            (Asked::Ship, Outcome::Shipped) => {
                let slot = self.slot_in(order, OrderState::Committed, foresight)?;
                self.agree_lines(slot, decision)?;
                self.follow_shipped(slot, decision, &mut lines.shipped)?;
                self.hand_over(slot, &lines.shipped);
                Ok(())
            }
            (Asked::Tick, Outcome::Applied) => Ok(()),
            (Asked::RaiseRulesLevel, Outcome::Applied) => self.follow_raised(decision),
            (Asked::RaiseRulesLevel, Outcome::Unchanged) if decision.rules_level != self.rules_level => {
                Err("the rules level is another one")
            }
            (asked, Outcome::Applied) => self.follow_stock(asked, decision),
            (Asked::Expire, _) => Err("an expiry has no other outcome"),
            (_, outcome) if outcome >= Outcome::Duplicate => Ok(()),
            _ => Err("what was asked has no such outcome"),
        }
    }

    fn follow_noted(&mut self, order: OrderRef<'_>, foresight: &Foresight) -> Result<(), &'static str> {
        let identity = identity_of(order)?;
        let fingerprint = self.fingerprint(identity, foresight.fingerprint);
        if self.find(fingerprint) != Found::Unknown {
            return Err("what is known was noted as cancelled in advance");
        }
        self.cancel_in_advance(identity, fingerprint);
        Ok(())
    }

    fn follow_reserved(
        &mut self,
        order: OrderRef<'_>,
        decision: &Decision<'_>,
        foresight: &Foresight,
        lines: &mut LinesAtHand,
    ) -> Result<(), &'static str> {
        let fingerprint = self.fingerprint(identity_of(order)?, foresight.fingerprint);
        if self.find(fingerprint) != Found::Unknown {
            return Err("the order is known already");
        }
        let pool = self.rows.pool(order.pool).ok_or("the pool has no stock")?;
        lines.clear();
        for (i, line) in decision.lines().enumerate() {
            // An open order has room for no more.
            if i == MAX_LINES {
                return Err("no order has so many lines");
            }
            let row = self.row(pool, line.sku, foresight, i).ok_or("the pool has no such SKU")?;
            if self.rows.figures(row).available() < i64::from(line.quantity) {
                return Err("less is available than was reserved");
            }
            self.follow_parts(row, i as u32, &line, &mut lines.parts)?;
            self.rows.hold(row, line.quantity);
            lines.held.push(HeldLine { row, quantity: line.quantity });
        }
        if decision.expires_at_ms < self.shard_time_ms {
            return Err("the hold ends before it begins");
        }
        if let Some(told) = &decision.selling {
            let (mut limits, mut shares) = (MAX_LIMITS_A_SKU * lines.held.len(), lines.held.len());
            for counted in told.counted.iter() {
                let room = if counted.share == ShareOf::Unspecified { &mut limits } else { &mut shares };
                *room = room.checked_sub(1).ok_or("no order is in so many counts")?;
                lines.taken.push(self.follow_counted(&counted, told)?);
            }
        }
        lines.ruled = !lines.parts.is_empty() || !lines.taken.is_empty();
        let delivery = self.follow_delivery(pool, decision.expires_at_ms, decision.selling.as_ref())?;
        self.hold(&NewOrder {
            fingerprint,
            pool,
            order_id: order.order_id,
            attempt: order.attempt,
            content: decision.content,
            sequence: decision.sequence,
            expires_at_ms: decision.expires_at_ms,
            lines: &lines.held,
            taken: &lines.taken,
            parts: &lines.parts,
            delivery,
        });
        Ok(())
    }

    /// What an order is counted as: the decision says it, and nothing of the rule is evaluated.
    fn follow_counted(&self, counted: &Counted, told: &Selling<'_>) -> Result<Taken, &'static str> {
        let Counted { count, period, units, share } = *counted;
        if units == 0 {
            return Err("nothing of the order is in the count");
        }
        let limit = match self.selling.counting(count) {
            Some(Counting::Limit(limit)) if share == ShareOf::Unspecified => limit,
            Some(Counting::Channels(row)) if share != ShareOf::Unspecified => {
                return self.follow_share(row, counted, told);
            }
            _ => return Err("nothing counts since then"),
        };
        if !self.selling.counts(limit, count, period) {
            return Err("the limit counts in another period");
        }
        let terms = self.selling.limits[limit].terms.as_ref().ok_or("the limit does not stand")?;
        let key = match &*terms.key {
            "" => Some(told.customer),
            name => told.keys.pairs().find(|(known, _)| *known == name).map(|(_, value)| value),
        };
        let key = key.filter(|key| !key.is_empty()).ok_or("nothing tells what the limit counts by")?;
        let by = CountedBy::Limit { limit, period };
        Ok(Taken { by, count, units, key: self.count_key(limit, self.fingerprints.of_key(key), key) })
    }

    /// The same of a channel's share in the SKU of a row.
    fn follow_share(&self, row: u32, counted: &Counted, told: &Selling<'_>) -> Result<Taken, &'static str> {
        let shares = self.shares(row).ok_or("the channels do not stand")?;
        let own = match counted.share {
            ShareOf::Others => shares.terms.others(),
            _ if told.channel.is_empty() => return Err("nothing tells whose share it is"),
            _ => shares.of(self.channel_key(told.channel).fingerprint).filter(|at| Some(*at) != shares.terms.others()),
        };
        let own = own.filter(|at| shares.list[*at].count == counted.count && counted.period == 0);
        own.map(|own| shares.taken(own, row, counted.units)).ok_or("the share does not count since then")
    }

    fn follow_rejected(
        &mut self,
        order: OrderRef<'_>,
        decision: &Decision<'_>,
        foresight: &Foresight,
    ) -> Result<(), &'static str> {
        let identity = identity_of(order)?;
        let fingerprint = self.fingerprint(identity, foresight.fingerprint);
        let found = self.find(fingerprint);
        if self.original(found).is_some() {
            return Err("the order is known already");
        }
        let ending = Ending::rejected(decision.reason).ok_or("no order is rejected for this reason")?;
        if (found == Found::Unknown) == (decision.reason == Reason::Cancelled) {
            return Err("what was cancelled in advance is rejected for that, and nothing else is");
        }
        let what = Remembered { content: decision.content, sequence: decision.sequence, ending };
        self.remember(identity, fingerprint, found, what);
        Ok(())
    }

    fn follow_stock(&mut self, asked: Asked, decision: &Decision<'_>) -> Result<(), &'static str> {
        if let Asked::SetSale | Asked::SetLimit | Asked::SetChannels | Asked::SetFreshness | Asked::SetDelivery = asked
        {
            return self.follow_rule(decision);
        }
        let after = decision.stock.ok_or("a stock command shows no stock")?;
        let effect = match asked {
            Asked::Receive | Asked::Adjust | Asked::Count => StockEffect::OnHand(after.change),
            Asked::SetSafetyStock if after.safety_stock > MAX_STOCK_QUANTITY => {
                return Err("the safety stock is out of range");
            }
            Asked::SetSafetyStock => StockEffect::SafetyStock(after.safety_stock as i64),
            Asked::Halt => halt_of(after.sku, true),
            Asked::Resume => halt_of(after.sku, false),
            _ => return Err("what was asked has no such outcome"),
        };
        let change = if let StockEffect::OnHand(change) = effect { change } else { 0 };
        let before = self.rows.pool(decision.pool).and_then(|pool| self.rows.row(pool, after.sku));
        let on_hand = before.map_or(0, |row| self.rows.figures(row).on_hand);
        if on_hand.checked_add(change) != Some(after.on_hand) {
            return Err("the stock is not what it was");
        }
        // Sums of a few figures stay clear of `i64` only while each is in its range.
        let of_lot = after.lot.as_ref().map_or(0, |lot| lot.on_hand);
        if [after.on_hand, of_lot].iter().any(|on_hand| on_hand.unsigned_abs() > MAX_STOCK_FIGURE as u64) {
            return Err("the stock is out of range");
        }
        if let Some(told) = &after.lot {
            self.follow_lot(asked, decision.pool, &after, told, effect)?;
            return self.follow_applied(decision);
        }
        if before.is_some_and(|row| parts::moves_units(asked) && self.lots_of(row).is_some()) {
            return Err("no lot is named of a row that has lots");
        }
        if let Some(row) = self.move_stock(decision.pool, after.sku, effect) {
            let shown: StockLevel<'_> = self.rows.figures(row).level(after.sku, after.change);
            if shown != after {
                return Err("the stock is not what it was");
            }
        }
        self.follow_applied(decision)
    }

    fn follow_rule(&mut self, decision: &Decision<'_>) -> Result<(), &'static str> {
        let told = decision.selling.as_ref().ok_or("the rule that was set is missing")?;
        let rule = told.set.ok_or("the rule that was set is missing")?;
        // Whoever applies it relies on its figures, and on room for it at each SKU.
        let (fault, one_too_many) = match &rule {
            Rule::Sale(it) => (sale::fault(it), false),
            Rule::Limit(it) => (limit::fault(it), self.is_one_too_many(decision.pool, it)),
            Rule::Channels(it) => (id_fault(it.sku).or_else(|| channels::fault(it)), false),
            Rule::Freshness(it) => (lots::fault(it), false),
            Rule::Delivery(it) => (delivery::logged_fault(it), false),
        };
        if fault.is_some() || one_too_many {
            return Err("no such rule can be set");
        }
        self.set_rule(decision.pool, &rule, told.issued_at_ms);
        self.follow_applied(decision)
    }

    fn follow_applied(&mut self, decision: &Decision<'_>) -> Result<(), &'static str> {
        let identity = Identity::Stock { pool: decision.pool, id: decision.id };
        let identity = identity.checked().ok_or("an id is missing or over-long")?;
        let fingerprint = self.fingerprints.of(identity);
        if self.find(fingerprint) != Found::Unknown {
            return Err("the command is known already");
        }
        let what = Remembered { content: decision.content, sequence: decision.sequence, ending: Ending::Applied };
        self.remember(identity, fingerprint, Found::Unknown, what);
        Ok(())
    }

    /// The slot of an order that must be open in `state`.
    fn slot_in(&self, order: OrderRef<'_>, state: OrderState, foresight: &Foresight) -> Result<u32, &'static str> {
        match self.find(self.fingerprint(identity_of(order)?, foresight.fingerprint)) {
            Found::Open(slot) if self.orders.get(slot).state == state => Ok(slot),
            Found::Unknown => Err("the order is not known"),
            _ => Err("the order is in another state"),
        }
    }

    /// The lines of the decision must be those that the order holds.
    fn agree_lines(&self, slot: u32, decision: &Decision<'_>) -> Result<(), &'static str> {
        use crate::wire::decision::SkuNames;

        let held = self.orders.lines(self.orders.get(slot).kept).iter();
        let held = held.map(|line| (self.rows.sku(line.row), line.quantity));
        if held.eq(decision.lines().map(|line| (line.sku, line.quantity))) {
            Ok(())
        } else {
            Err("the lines are not those that the order holds")
        }
    }
}

fn identity_of(order: OrderRef<'_>) -> Result<Identity<'_>, &'static str> {
    order.identity().checked().ok_or("an id is missing or over-long")
}
