//! Place: all lines or none.

use std::collections::BTreeMap;

use sluice::wire::proto::{Decision, LineDecision, OrderLine, OrderState, Original, Outcome, Place, Reason};

use super::delivery::asked_fault;
use super::hash::content_of_place;
use super::lots::{parts_of, with_parts};
use super::order::as_held;
use super::{LONGEST_ID, MOST_KEYS, MOST_LINES, MOST_SEGMENTS, MOST_UNITS, Model, Order, OrderKey, doubled, id_fault};

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
                decision.lines = with_parts(as_held(&order.lines), &order.parts);
                decision.expires_at_ms = if state == OrderState::Held { order.expires_at } else { 0 };
                if let Some(promise) = &order.delivery {
                    promise.tell(&mut decision);
                }
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
        if let Some(reason) = self.no_such_service(it) {
            return self.invalid(echo, reason);
        }
        let day = self.delivery_day(it).unwrap_or_else(|| self.today());
        let (bar, lines) = self.judge(it, self.orders.contains_key(&key), day);
        let (outcome, reason) =
            bar.as_ref().map_or((Outcome::Reserved, Reason::Unspecified), |bar| (bar.outcome, bar.reason));
        let (opens_at, rule) = bar.map_or((0, 0), |bar| (bar.opens_at, bar.rule));
        let channel = if reason == Reason::Quota { it.channel.clone() } else { String::new() };
        let barred = Decision { lines, opens_at_ms: opens_at, rule, channel, ..echo };
        if outcome == Outcome::NotOpen {
            return self.finish(barred, outcome, reason);
        }
        let state = if outcome == Outcome::Reserved { OrderState::Held } else { OrderState::Rejected };
        let decision = Decision { state: state.into(), content, ..barred };
        let mut decision = self.finish(decision, outcome, reason);
        let (mut counts, mut parts, mut delivery) = (Vec::new(), Vec::new(), None);
        if outcome == Outcome::Reserved {
            let hold = if it.hold_ms == 0 { self.rules.default_hold_ms } else { it.hold_ms as i64 };
            decision.expires_at_ms = self.now + hold;
            decision.segments = self.segments_used(it);
            delivery = self.promise(it, &mut decision);
            counts = self.count(it, &mut decision);
            counts.extend(self.count_shares(it, &mut decision));
            self.open_counts += counts.len();
            parts = self.parts(it, day);
            decision.lines = with_parts(decision.lines, &parts);
            for (at, line) in decision.lines.iter_mut().enumerate() {
                line.allocated = line.quantity;
                let parts = parts_of(&parts, at);
                self.change(&it.pool, &line.sku, |row| row.move_units(line.quantity, &parts, [0, 1, 0]));
            }
            self.holds.insert((decision.expires_at_ms, self.sequence, key.clone()));
        } else if matches!(reason, Reason::Late | Reason::DeliveryFull) {
            self.tell_next_day(it, &mut decision);
        }
        let first = Original { sequence: self.sequence, outcome: outcome.into(), reason: reason.into() };
        self.orders.insert(
            key,
            Order {
                state,
                changed_at: self.now,
                original: Some(first),
                content,
                expires_at: decision.expires_at_ms,
                lines: it.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
                counts,
                parts,
                delivery,
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
        if let Some(reason) = vouched_fault(it).or_else(|| asked_fault(it)) {
            return Some(reason);
        }
        self.clock_fault(it.placed_at_ms)
    }

    /// What bars an order that is in order itself, if anything does, and its lines as the decision shows them. What it
    /// takes from lots must outlast the day.
    fn judge(&self, it: &Place, cancelled: bool, day: i64) -> (Option<Bar>, Vec<LineDecision>) {
        if cancelled {
            return (Some(Bar::of(Reason::Cancelled)), Vec::new());
        }
        let halted = self.halted_pools.contains(&it.pool).then(|| Bar::of(Reason::Halted));
        let of_pool = halted
            .or_else(|| self.not_open(it, ""))
            .or_else(|| self.closed(it, ""))
            .or_else(|| self.not_eligible(it, ""))
            .or_else(|| self.undelivered(it));
        if of_pool.is_some() {
            return (of_pool, Vec::new());
        }
        let row = |sku: &str| self.rows.get(&(it.pool.clone(), sku.to_owned()));
        let over_lines = |guard: &dyn Fn(&str) -> Option<Bar>| it.lines.iter().map(|line| guard(&line.sku)).collect();
        let guards: [&dyn Fn() -> Vec<Option<Bar>>; 10] = [
            &|| over_lines(&|sku| row(sku).is_none().then(|| Bar::of(Reason::UnknownSku))),
            &|| over_lines(&|sku| row(sku).filter(|row| row.halted).map(|_| Bar::of(Reason::Halted))),
            &|| over_lines(&|sku| self.not_open(it, sku)),
            &|| over_lines(&|sku| self.closed(it, sku)),
            &|| over_lines(&|sku| self.not_eligible(it, sku)),
            &|| over_lines(&|sku| self.lacks_key(it, sku)),
            &|| self.over_limits(it),
            &|| self.short(it, day),
            &|| self.scattered(it, day),
            &|| self.over_shares(it),
        ];
        for guard in guards {
            let bars = guard();
            let Some(first) = bars.iter().flatten().next() else { continue };
            // The order as a whole may be placed once its last line may, and names no rule of its own.
            let opens_at = bars.iter().flatten().map(|bar| bar.opens_at).max().unwrap_or(0);
            let bar = Bar { opens_at, ..Bar::of(first.reason).with(first.outcome) };
            return (Some(bar), it.lines.iter().zip(bars).map(|(line, bar)| shown(line, bar)).collect());
        }
        (None, it.lines.iter().map(|line| shown(line, None)).collect())
    }

    /// Of each line, whether less is available than was asked.
    fn short(&self, it: &Place, day: i64) -> Vec<Option<Bar>> {
        let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
        let mut bars = Vec::new();
        for line in &it.lines {
            let taken = taken.entry(&line.sku).or_default();
            let available = self.available(&it.pool, &line.sku, day) - *taken;
            let fits = i64::from(line.quantity) <= available;
            if fits {
                *taken += i64::from(line.quantity);
            }
            bars.push((!fits).then(|| Bar { available: Some(available), ..Bar::of(Reason::OutOfStock) }));
        }
        bars
    }
}

/// What stands in the way of an order, or of one of its lines.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) opens_at: i64,
    pub(super) rule: u64,
    pub(super) left: Option<u64>,
    pub(super) available: Option<i64>,
}

impl Default for Bar {
    fn default() -> Bar {
        Bar::of(Reason::Unspecified)
    }
}

impl Bar {
    /// A reason to reject.
    pub(super) fn of(reason: Reason) -> Bar {
        Bar { outcome: Outcome::Rejected, reason, opens_at: 0, rule: 0, left: None, available: None }
    }

    fn with(self, outcome: Outcome) -> Bar {
        Bar { outcome, ..self }
    }
}

/// A line as it was asked, and what barred it.
fn shown(line: &OrderLine, bar: Option<Bar>) -> LineDecision {
    let Bar { reason, opens_at, rule, left, available, .. } = bar.unwrap_or_default();
    LineDecision {
        sku: line.sku.clone(),
        quantity: line.quantity,
        reason: reason.into(),
        opens_at_ms: opens_at,
        rule,
        left,
        available,
        ..LineDecision::default()
    }
}

/// What is wrong with what the checkout vouches for.
fn vouched_fault(it: &Place) -> Option<Reason> {
    let segments: Vec<&str> = it.segments.iter().map(String::as_str).collect();
    let names: Vec<&str> = it.keys.iter().map(|key| key.name.as_str()).collect();
    let values: Vec<&str> = it.keys.iter().map(|key| key.value.as_str()).collect();
    if let Some(reason) = segments.iter().chain(&names).chain(&values).find_map(|text| id_fault(text)) {
        return Some(reason);
    }
    if segments.len() > MOST_SEGMENTS || names.len() > MOST_KEYS {
        return Some(Reason::TooMany);
    }
    (doubled(&segments) || doubled(&names)).then_some(Reason::Doubled)
}
