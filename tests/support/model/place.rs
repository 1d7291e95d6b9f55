//! Place: all lines or none.

use std::collections::BTreeMap;

use sluice::wire::proto::{Asked, Decision, LineDecision, OrderState, Original, Outcome, Place, Reason};

use super::hash::content_of_place;
use super::order::as_held;
use super::{LONGEST_ID, MOST_LINES, MOST_UNITS, Model, Order, OrderKey, id_fault};

impl Model {
    pub(super) fn place(&mut self, it: &Place, key: OrderKey, echo: Decision, engine_time_ms: i64) -> Decision {
        if let Some(reason) = self.place_fault(it) {
            return self.invalid(echo, reason);
        }
        if it.placed_at_ms < self.now - self.rules.window_ms {
            return self.finish(echo, Outcome::TooOld, Reason::Unspecified);
        }
        let content = content_of_place(it);
        if let Some((first, placed, state)) =
            self.orders.get(&key).and_then(|order| Some((order.original?, order.content, order.state)))
        {
            let outcome = if placed == content { Outcome::Duplicate } else { Outcome::Conflict };
            let mut decision = Decision { original: Some(first), state: state.into(), ..echo };
            let order = &self.orders[&key];
            if outcome == Outcome::Duplicate && order.is_open() {
                decision.lines = as_held(&order.lines);
                decision.expires_at_ms = if state == OrderState::Held { order.expires_at } else { 0 };
            }
            return self.finish(decision, outcome, Reason::Unspecified);
        }
        if self.busy(95) {
            return self.finish(echo, Outcome::Busy, Reason::Unspecified);
        }
        if it.answer_by_ms != 0 && engine_time_ms > it.answer_by_ms {
            return self.finish(echo, Outcome::Deadline, Reason::Unspecified);
        }
        if it.attempt > 0 {
            let before = self.orders.get(&(it.pool.clone(), it.order_id.clone(), it.attempt - 1));
            match before.filter(|order| order.original.is_some()).map(|order| order.state) {
                None => return self.invalid(echo, Reason::AttemptUnknown),
                Some(OrderState::Held | OrderState::Committed | OrderState::Shipped) => {
                    return self.invalid(echo, Reason::AttemptOpen);
                }
                Some(_) => {}
            }
        }
        let (reason, lines) = self.reserve(it, self.orders.contains_key(&key));
        let state = if reason.is_none() { OrderState::Held } else { OrderState::Rejected };
        let outcome = if reason.is_none() { Outcome::Reserved } else { Outcome::Rejected };
        let reason = reason.unwrap_or_default();
        let hold = if it.hold_ms == 0 { self.rules.default_hold_ms } else { it.hold_ms as i64 };
        let expires_at = if outcome == Outcome::Reserved { self.now + hold } else { 0 };
        let mut decision = self.about(Asked::Place, &key, outcome, state);
        decision.reason = reason.into();
        decision.lines = lines;
        decision.content = content;
        decision.expires_at_ms = expires_at;
        let first = Original { sequence: self.sequence, outcome: outcome.into(), reason: reason.into() };
        if outcome == Outcome::Reserved {
            self.holds.insert((expires_at, self.sequence, key.clone()));
        }
        self.orders.insert(
            key,
            Order {
                state,
                changed_at: self.now,
                original: Some(first),
                content,
                expires_at,
                lines: it.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
            },
        );
        decision
    }

    fn place_fault(&self, it: &Place) -> Option<Reason> {
        if let Some(reason) = id_fault(&it.customer) {
            return Some(reason);
        }
        if it.channel.len() > LONGEST_ID {
            return Some(Reason::IdTooLong);
        }
        if it.lines.is_empty() {
            return Some(Reason::NoLines);
        }
        if it.lines.len() > MOST_LINES {
            return Some(Reason::TooManyLines);
        }
        for line in &it.lines {
            if let Some(reason) = id_fault(&line.sku) {
                return Some(reason);
            }
            if line.quantity < 1 || line.quantity > MOST_UNITS {
                return Some(Reason::Quantity);
            }
        }
        if it.hold_ms > self.rules.max_hold_ms as u64 {
            return Some(Reason::HoldTooLong);
        }
        self.clock_fault(it.placed_at_ms)
    }

    fn reserve(&mut self, it: &Place, cancelled: bool) -> (Option<Reason>, Vec<LineDecision>) {
        if cancelled {
            return (Some(Reason::Cancelled), Vec::new());
        }
        if self.halted_pools.contains(&it.pool) {
            return (Some(Reason::Halted), Vec::new());
        }
        let line = |sku: &str, quantity: u32, reason: Reason| LineDecision {
            sku: sku.into(),
            quantity,
            reason: reason.into(),
            ..LineDecision::default()
        };
        let row = |sku: &str| self.rows.get(&(it.pool.clone(), sku.to_owned()));
        if it.lines.iter().any(|l| row(&l.sku).is_none()) {
            let flag = |sku: &str| if row(sku).is_none() { Reason::UnknownSku } else { Reason::Unspecified };
            let lines = it.lines.iter().map(|l| line(&l.sku, l.quantity, flag(&l.sku))).collect();
            return (Some(Reason::UnknownSku), lines);
        }
        let row = |sku: &str| row(sku).expect("all are known");
        if it.lines.iter().any(|l| row(&l.sku).halted) {
            let flag = |sku: &str| if row(sku).halted { Reason::Halted } else { Reason::Unspecified };
            let lines = it.lines.iter().map(|l| line(&l.sku, l.quantity, flag(&l.sku))).collect();
            return (Some(Reason::Halted), lines);
        }
        let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
        let mut lines = Vec::new();
        for l in &it.lines {
            let taken = taken.entry(&l.sku).or_default();
            let available = row(&l.sku).available() - *taken;
            if i64::from(l.quantity) <= available {
                *taken += i64::from(l.quantity);
                lines.push(line(&l.sku, l.quantity, Reason::Unspecified));
            } else {
                let short = line(&l.sku, l.quantity, Reason::OutOfStock);
                lines.push(LineDecision { available: Some(available), ..short });
            }
        }
        if lines.iter().any(|l| l.available.is_some()) {
            return (Some(Reason::OutOfStock), lines);
        }
        for line in &mut lines {
            line.allocated = line.quantity;
            self.change(&it.pool, &line.sku, |row| row.reserved += i64::from(line.quantity));
        }
        (None, lines)
    }
}
