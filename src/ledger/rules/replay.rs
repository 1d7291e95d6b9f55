//! Bringing a ledger to the state that a logged decision left.

use super::effects::StockEffect;
use super::stock::halt_of;
use super::verdict::LinesAtHand;
use super::{limit, sale};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::State;
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::{Identity, OrderRef};
use crate::ledger::state::known::Found;
use crate::ledger::state::orders::{NewOrder, Taken};
use crate::ledger::state::selling::MAX_LIMITS_A_SKU;
use crate::wire::decision::{HeldLine, Selling};
use crate::wire::limits::MAX_LINES;
use crate::wire::link::RULES_LEVEL;
use crate::wire::proto::{Asked, OrderState, Outcome, Reason};
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
                self.hand_over(slot);
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
            self.rows.hold(row, line.quantity);
            lines.held.push(HeldLine { row, quantity: line.quantity });
        }
        if decision.expires_at_ms < self.shard_time_ms {
            return Err("the hold ends before it begins");
        }
        if let Some(told) = &decision.selling {
            for counted in told.counted.iter() {
                if lines.taken.len() == MAX_LIMITS_A_SKU * lines.held.len() {
                    return Err("no order is in so many counts");
                }
                lines.taken.push(self.follow_counted(&counted, told)?);
            }
        }
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
        });
        Ok(())
    }

    /// What an order is counted as: the decision says it, and nothing of the rule is evaluated.
    fn follow_counted(&self, counted: &Counted, told: &Selling<'_>) -> Result<Taken, &'static str> {
        let Counted { count, period, units } = *counted;
        if units == 0 {
            return Err("nothing of the order is in the count");
        }
        let limit = self.selling.limit_counting(count).ok_or("no limit counts since then")?;
        if !self.selling.counts(limit, count, period) {
            return Err("the limit counts in another period");
        }
        let terms = self.selling.limits[limit].terms.as_ref().ok_or("the limit does not stand")?;
        let key = match &*terms.key {
            "" => Some(told.customer),
            name => told.keys.pairs().find(|(known, _)| *known == name).map(|(_, value)| value),
        };
        let key = key.filter(|key| !key.is_empty()).ok_or("nothing tells what the limit counts by")?;
        Ok(Taken { limit, count, period, units, key: self.count_key(count, period, key) })
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
        if let Asked::SetSale | Asked::SetLimit = asked {
            return self.follow_rule(decision);
        }
        let after = decision.stock.ok_or("a stock command shows no stock")?;
        let effect = match asked {
            Asked::Receive | Asked::Adjust | Asked::Count => StockEffect::OnHand(after.change),
            Asked::SetSafetyStock => StockEffect::SafetyStock(
                i64::try_from(after.safety_stock).map_err(|_| "the safety stock is out of range")?,
            ),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{FingerprintKey, Ledger, Moment, Rules};
    use crate::wire::command::LinesBuf;
    use crate::wire::decision::Source;
    use crate::wire::proto::Input;
    use crate::wire::{Command, Kind, Place, StockChange, Vouched, encode, view};

    const RULES: Rules = Rules {
        shard: 0,
        partitions: 1,
        window_ms: 1_000,
        skew_ms: 100,
        rules_level: 0,
        default_hold_ms: 500,
        max_hold_ms: 1_000,
        expected_ids: 0,
        max_ids: 100,
    };

    /// A receipt of 5, an order of 3 and its expiry, as logged.
    fn log() -> Vec<Vec<u8>> {
        let mut ledger = Ledger::new(RULES, FingerprintKey([1; 16]));
        let lines: LinesBuf = [("sku", 3)].into_iter().collect();
        let receive = StockChange::Receive { sku: "sku".into(), quantity: 5 };
        let place = Kind::Place(Place {
            order_id: "order".into(),
            attempt: 0,
            customer: "ann".into(),
            channel: "".into(),
            placed_at_ms: 1_000,
            lines: lines.lines(),
            hold_ms: 0,
            answer_by_ms: 0,
            vouched: Vouched::default(),
        });
        let mut log = Vec::new();
        let mut note = |decision: Decision<'_>| {
            let mut bytes = Vec::new();
            let source = Source { input: Input::Orders, offset: 0, index: 0, reply_partition: None };
            encode::decision(&mut bytes, &decision, &source);
            log.push(bytes);
        };
        let at = Moment { shard_time_ms: 1_000, engine_time_ms: 0 };
        for kind in [Kind::Stock { id: "in".into(), issued_at_ms: 1_000, change: receive }, place] {
            note(ledger.apply(&Command { pool: "pool".into(), reply_partition: None, unsupported: None, kind }, at));
        }
        note(ledger.expire_one(Moment { shard_time_ms: 1_500, ..at }).expect("the hold is due"));
        log
    }

    /// What the last of `log` is answered with, after `change` was made to it.
    fn check(log: &[Vec<u8>], change: impl FnOnce(&mut Decision<'_>)) -> Result<(), ReplayError> {
        let mut ledger = Ledger::new(RULES, FingerprintKey([2; 16]));
        let (last, before) = log.split_last().expect("a log of one or more");
        for bytes in before {
            ledger.replay(&view::decision(bytes).expect("it was encoded").0)?;
        }
        let mut decision = view::decision(last).expect("it was encoded").0;
        change(&mut decision);
        ledger.replay(&decision)
    }

    fn disagrees(outcome: Result<(), ReplayError>) -> bool {
        matches!(outcome, Err(ReplayError::Disagrees { .. }))
    }

    #[test]
    fn follows_a_log_as_it_was_written() {
        assert_eq!(check(&log(), |_| {}), Ok(()));
    }

    #[test]
    fn a_gap_or_a_repeat_is_found() {
        for found in [0, 2, 4] {
            let error = ReplayError::Sequence { expected: 3, found };
            assert_eq!(check(&log(), |decision| decision.sequence = found), Err(error));
        }
    }

    #[test]
    fn time_that_goes_back_is_found() {
        let outcome = check(&log(), |decision| decision.decided_at_ms = 999);
        assert_eq!(outcome, Err(ReplayError::Time { sequence: 3, found_ms: 999, shard_time_ms: 1_000 }));
    }

    #[test]
    fn a_rules_level_that_this_version_does_not_know_is_told() {
        let outcome = check(&log()[..1], |raise| {
            (raise.asked, raise.stock, raise.rules_level) = (Asked::RaiseRulesLevel, None, RULES_LEVEL + 1);
        });
        assert_eq!(outcome, Err(ReplayError::RulesLevel { sequence: 1, level: RULES_LEVEL + 1 }));
        assert!(outcome.unwrap_err().to_string().contains("a newer version is needed"));
    }

    #[test]
    fn a_decision_that_does_not_follow_is_found() {
        let log = log();
        assert!(disagrees(check(&log, |expiry| expiry.order_id = "other".into())), "an order that is not known");
        assert!(disagrees(check(&log, |expiry| expiry.decided_at_ms = 1_499)), "a hold that is not due");
        assert!(disagrees(check(&log, |expiry| expiry.asked = Asked::Ship)), "an outcome of something else");
        assert!(disagrees(check(&log, |expiry| expiry.lines = crate::wire::DecisionLines::None)), "lines not held");
        assert!(
            disagrees(check(&log, |tick| (tick.asked, tick.outcome) = (Asked::Tick, Outcome::Applied))),
            "a hold that is due and not ended"
        );
        assert!(disagrees(check(&log[..2], |place| place.pool = "other".into())), "a pool without stock");
        assert!(disagrees(check(&log[..1], |receipt| receipt.stock = None)), "a receipt of nothing");
        assert!(
            disagrees(check(&log[..1], |receipt| receipt.stock.as_mut().expect("a level").on_hand = 6)),
            "figures that do not add up"
        );
        assert!(disagrees(check(&log[..1], |receipt| receipt.id = "".into())), "a stock command without an id");
        assert!(
            disagrees(check(&log[..1], |raise| (raise.asked, raise.stock) = (Asked::RaiseRulesLevel, None))),
            "a rules level that does not rise"
        );
        assert!(
            disagrees(check(&log[..1], |raise| {
                (raise.asked, raise.outcome, raise.rules_level) = (Asked::RaiseRulesLevel, Outcome::Unchanged, 1);
            })),
            "a rules level that nobody raised"
        );
    }
}
