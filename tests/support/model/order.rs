//! What becomes of an order once it was placed.

use sluice::wire::proto::{Asked, Decision, LineDecision, OrderState, Outcome, Reason, Ship};

use super::lots::parts_of;
use super::{Model, Order, OrderKey};

impl Model {
    pub(super) fn confirm(&mut self, key: OrderKey) -> Decision {
        match self.state(&key) {
            OrderState::Held => {
                let order = self.orders.get_mut(&key).expect("it is held");
                order.state = OrderState::Committed;
                let first = order.original.expect("it was placed").sequence;
                let (expires_at, lines, parts) = (order.expires_at, order.lines.clone(), order.parts.clone());
                self.holds.remove(&(expires_at, first, key.clone()));
                for (at, (sku, units)) in lines.iter().enumerate() {
                    self.change(&key.0, sku, |row| row.move_units(*units, &parts_of(&parts, at), [0, -1, 1]));
                }
                let mut decision = self.about(Asked::Confirm, &key, Outcome::Confirmed, OrderState::Committed);
                decision.lines = as_held(&lines);
                decision
            }
            state @ (OrderState::Committed | OrderState::Shipped) => {
                self.about(Asked::Confirm, &key, Outcome::Unchanged, state)
            }
            state => self.not_allowed(Asked::Confirm, &key, state),
        }
    }

    pub(super) fn extend(&mut self, key: OrderKey, expires_at: i64, echo: Decision) -> Decision {
        match self.state(&key) {
            OrderState::Held => {
                let order = self.orders.get_mut(&key).expect("it is held");
                let before = order.expires_at;
                let latest = order.delivery.as_ref().map_or(i64::MAX, |promise| promise.hold_until);
                let expires_at = expires_at.min(latest);
                if expires_at <= before {
                    return self.about(Asked::Extend, &key, Outcome::Unchanged, OrderState::Held);
                }
                if expires_at > self.now + self.rules.max_hold_ms {
                    return self.invalid(echo, Reason::HoldTooLong);
                }
                order.expires_at = expires_at;
                let first = order.original.expect("it was placed").sequence;
                self.holds.remove(&(before, first, key.clone()));
                self.holds.insert((expires_at, first, key.clone()));
                let mut decision = self.about(Asked::Extend, &key, Outcome::Extended, OrderState::Held);
                decision.expires_at_ms = expires_at;
                decision
            }
            state @ (OrderState::Committed | OrderState::Shipped) => {
                self.about(Asked::Extend, &key, Outcome::Unchanged, state)
            }
            state => self.not_allowed(Asked::Extend, &key, state),
        }
    }

    pub(super) fn cancel(&mut self, key: OrderKey, placed_at_ms: i64, echo: Decision) -> Decision {
        match self.state(&key) {
            OrderState::Unspecified if placed_at_ms == 0 => {
                self.not_allowed(Asked::Cancel, &key, OrderState::Unspecified)
            }
            OrderState::Unspecified if self.busy(95) => self.finish(echo, Outcome::Busy, Reason::Unspecified),
            OrderState::Unspecified => {
                let order = Order {
                    state: OrderState::Cancelled,
                    changed_at: self.now,
                    original: None,
                    content: 0,
                    expires_at: 0,
                    lines: Vec::new(),
                    counts: Vec::new(),
                    parts: Vec::new(),
                    delivery: None,
                };
                self.orders.insert(key.clone(), order);
                let mut decision = self.about(Asked::Cancel, &key, Outcome::Noted, OrderState::Cancelled);
                decision.reason = Reason::BeforePlace.into();
                decision
            }
            OrderState::Held | OrderState::Committed => {
                let lines = self.close(&key, OrderState::Cancelled);
                let mut decision = self.about(Asked::Cancel, &key, Outcome::Cancelled, OrderState::Cancelled);
                decision.lines = lines;
                decision
            }
            OrderState::Shipped => self.not_allowed(Asked::Cancel, &key, OrderState::Shipped),
            state => self.about(Asked::Cancel, &key, Outcome::Unchanged, state),
        }
    }

    pub(super) fn ship(&mut self, it: &Ship, key: OrderKey, echo: Decision) -> Decision {
        match self.state(&key) {
            OrderState::Committed => {
                let shipped = match self.shipped_from(&key, &it.lots) {
                    Ok(shipped) => shipped,
                    Err(reason) => return self.invalid(echo, reason),
                };
                if self.is_from_halted(&key, &shipped) {
                    let decision = self.not_allowed(Asked::Ship, &key, OrderState::Committed);
                    return Decision { reason: Reason::Halted.into(), ..decision };
                }
                let order = self.orders.get_mut(&key).expect("it is committed");
                order.state = OrderState::Shipped;
                order.changed_at = self.now;
                let (lines, parts) = (order.lines.clone(), std::mem::take(&mut order.parts));
                self.open_counts -= order.counts.len();
                for (at, (sku, units)) in lines.iter().enumerate() {
                    self.change(&key.0, sku, |row| {
                        row.move_units(*units, &parts_of(&parts, at), [0, 0, -1]);
                        row.move_units(*units, &parts_of(&shipped, at), [-1, 0, 0]);
                    });
                }
                let mut shown = as_held(&lines);
                for (at, line) in shown.iter_mut().enumerate() {
                    line.shortfall = self.rows[&(key.0.clone(), line.sku.clone())].shortfall();
                    line.lots = self.in_fact(&key.0, &line.sku, &parts_of(&parts, at), &parts_of(&shipped, at));
                }
                let mut decision = self.about(Asked::Ship, &key, Outcome::Shipped, OrderState::Shipped);
                decision.lines = shown;
                decision
            }
            OrderState::Shipped => self.about(Asked::Ship, &key, Outcome::Unchanged, OrderState::Shipped),
            state => self.not_allowed(Asked::Ship, &key, state),
        }
    }

    /// Closes a held or committed order and gives back what it holds, and what it was counted as.
    pub(super) fn close(&mut self, key: &OrderKey, state: OrderState) -> Vec<LineDecision> {
        let order = self.orders.get_mut(key).expect("it is open");
        let before = std::mem::replace(&mut order.state, state);
        order.changed_at = self.now;
        let first = order.original.expect("it was placed").sequence;
        let (expires_at, lines, counts) = (order.expires_at, order.lines.clone(), order.counts.clone());
        let (parts, delivery) = (std::mem::take(&mut order.parts), order.delivery.clone());
        let by = if before == OrderState::Held { [0, -1, 0] } else { [0, 0, -1] };
        self.holds.remove(&(expires_at, first, key.clone()));
        self.open_counts -= counts.len();
        self.give_back(&counts);
        if let Some(promise) = &delivery {
            self.give_back_day(&key.0, promise);
        }
        for (at, (sku, units)) in lines.iter().enumerate() {
            self.change(&key.0, sku, |row| row.move_units(*units, &parts_of(&parts, at), by));
        }
        as_held(&lines)
    }
}

pub(super) fn as_held(lines: &[(String, u32)]) -> Vec<LineDecision> {
    let line = |(sku, units): &(String, u32)| LineDecision {
        sku: sku.clone(),
        quantity: *units,
        allocated: *units,
        ..LineDecision::default()
    };
    lines.iter().map(line).collect()
}
