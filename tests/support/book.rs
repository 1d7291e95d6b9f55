//! I2, I3 and I6 from the decisions alone: what each order is, what stands on each shelf and by which rules it is sold, at
//! every sequence.

use std::collections::HashMap;

use sluice::wire::proto::{Asked, Decision, OrderState, Outcome, Reason, StockCommand, stock_command};

use super::report::{Breach, Report};
use super::selling::SellingBook;

type Key = (String, String);

#[derive(Clone, Debug)]
struct Attempt {
    state: OrderState,
    sequence: u64,
    outcome: Outcome,
    reason: Reason,
    expires_at_ms: i64,
    lines: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) on_hand: i64,
    pub(crate) reserved: u64,
    pub(crate) committed: u64,
    pub(crate) safety_stock: u64,
}

impl Row {
    fn taken(&self) -> i64 {
        i64::try_from(self.reserved + self.committed).expect("bounded by the contract")
    }

    fn available(&self) -> i64 {
        self.on_hand - self.taken() - i64::try_from(self.safety_stock).expect("bounded by the contract")
    }

    /// Units promised that are not there.
    fn shortfall(&self) -> u64 {
        u64::try_from(self.taken() - self.on_hand).unwrap_or(0)
    }
}

/// See the module. Fed every decision of a shard, in order.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Attempts by (pool, order id), then by number.
    orders: HashMap<Key, HashMap<u32, Attempt>>,
    /// First decision of each stock command, by (pool, id).
    ids: HashMap<Key, u64>,
    /// By (pool, SKU).
    pub(crate) rows: HashMap<Key, Row>,
    /// Selling rules, and what is counted by them.
    selling: SellingBook,
}

impl Book {
    /// Of a log whose ids are remembered for `window_ms`.
    pub(crate) fn new(window_ms: i64) -> Self {
        Self { selling: SellingBook::new(window_ms), ..Self::default() }
    }

    /// Takes the next decision, and the stock command that it answers.
    pub(crate) fn take(&mut self, decision: &Decision, stock: Option<&StockCommand>, report: &mut Report) {
        if let Err(what) = self.selling.take(decision) {
            report.breach(Breach::I6, what);
        }
        match (decision.asked(), decision.outcome()) {
            (Asked::Place, Outcome::Reserved | Outcome::Rejected) => self.place(decision, report),
            (Asked::Place, Outcome::Duplicate | Outcome::Conflict) => self.copy(decision, report),
            (Asked::Confirm, Outcome::Confirmed) => {
                self.moves(decision, &[OrderState::Held], OrderState::Committed, report);
            }
            (Asked::Extend, Outcome::Extended) => self.extend(decision, report),
            (Asked::Cancel, Outcome::Noted) => self.cancel_before_place(decision, report),
            (Asked::Cancel, Outcome::Cancelled) => {
                self.moves(decision, &[OrderState::Held, OrderState::Committed], OrderState::Cancelled, report);
            }
            (Asked::Expire, Outcome::Expired) => {
                let due = self.attempt(decision).is_some_and(|a| a.expires_at_ms <= decision.decided_at_ms);
                report.expect(due, Breach::I2, || format!("expired before it was due: {decision:?}"));
                self.moves(decision, &[OrderState::Held], OrderState::Expired, report);
            }
            (Asked::Ship, Outcome::Shipped) => {
                self.moves(decision, &[OrderState::Committed], OrderState::Shipped, report);
            }
            (_, Outcome::Applied) if decision.stock.is_some() => self.stock(decision, stock, report),
            (Asked::SetSale | Asked::SetLimit | Asked::SetChannels, Outcome::Applied) => {
                self.rule(decision, stock, report);
            }
            (Asked::SetFreshness | Asked::SetDelivery, Outcome::Applied) => self.rule(decision, stock, report),
            (asked, Outcome::Duplicate | Outcome::Conflict) if asked as i32 >= Asked::Receive as i32 => {
                let first = self.ids.get(&(decision.pool.clone(), decision.id.clone())).copied();
                let named = decision.original.as_ref().map(|original| original.sequence);
                report.expect(first.is_some() && first == named, Breach::I2, || {
                    format!("a copy of stock command {first:?} names {named:?}: {decision:?}")
                });
            }
            (asked, outcome) => report.expect(
                (outcome as i32) > Outcome::Applied as i32 || matches!(asked, Asked::Tick | Asked::RaiseRulesLevel),
                Breach::I2,
                || format!("no such outcome for this: {decision:?}"),
            ),
        }
    }

    fn attempt(&self, decision: &Decision) -> Option<&Attempt> {
        self.orders.get(&key(decision))?.get(&decision.attempt)
    }

    fn place(&mut self, decision: &Decision, report: &mut Report) {
        let attempts = self.orders.entry(key(decision)).or_default();
        let earlier = attempts.get(&decision.attempt).map(|a| (a.state, a.outcome));
        let after_cancel = earlier == Some((OrderState::Cancelled, Outcome::Noted));
        report.expect(earlier.is_none() || after_cancel && decision.reason() == Reason::Cancelled, Breach::I2, || {
            format!("decided twice, first {earlier:?}: {decision:?}")
        });
        let open = |a: &Attempt| matches!(a.state, OrderState::Held | OrderState::Committed | OrderState::Shipped);
        report.expect(!attempts.values().any(open), Breach::I2, || {
            format!("another attempt is open or fulfilled: {decision:?}")
        });
        let mut lines = Vec::new();
        let mut oversold = false;
        let reserved = decision.outcome() == Outcome::Reserved;
        for line in &decision.lines {
            let allocated = if reserved { line.quantity } else { 0 };
            report.expect(line.allocated == allocated, Breach::I3, || format!("allocated {line:?}: {decision:?}"));
            if reserved {
                let row = self.rows.entry((decision.pool.clone(), line.sku.clone())).or_default();
                row.reserved += u64::from(line.quantity);
                oversold |= row.available() < 0;
                lines.push((line.sku.clone(), u64::from(line.quantity)));
            }
        }
        report.expect(!oversold, Breach::I3, || format!("available fell below 0: {decision:?}"));
        report.expect(!reserved || !lines.is_empty(), Breach::I3, || format!("reserved nothing: {decision:?}"));
        let attempt = Attempt {
            state: if reserved { OrderState::Held } else { OrderState::Rejected },
            sequence: decision.sequence,
            outcome: decision.outcome(),
            reason: decision.reason(),
            expires_at_ms: decision.expires_at_ms,
            lines,
        };
        report.expect(decision.state() == attempt.state, Breach::I2, || format!("state: {decision:?}"));
        attempts.insert(decision.attempt, attempt);
    }

    fn copy(&self, decision: &Decision, report: &mut Report) {
        let told = decision.original.as_ref().map(|o| (o.sequence, o.outcome(), o.reason(), decision.state()));
        let known = self.attempt(decision).map(|a| (a.sequence, a.outcome, a.reason, a.state));
        report.expect(told.is_some() && told == known, Breach::I2, || {
            format!("a copy of {known:?} was told {told:?}: {decision:?}")
        });
        let open = |a: &&Attempt| matches!(a.state, OrderState::Held | OrderState::Committed);
        let held = self.attempt(decision).filter(open).filter(|_| decision.outcome() == Outcome::Duplicate);
        let held = held.map_or(&[][..], |attempt| &attempt.lines);
        let lines = decision.lines.iter().map(|line| (line.sku.as_str(), u64::from(line.quantity)));
        report.expect(lines.eq(held.iter().map(|(sku, n)| (sku.as_str(), *n))), Breach::I2, || {
            format!("a copy of what holds {held:?} was told other lines: {decision:?}")
        });
    }

    fn extend(&mut self, decision: &Decision, report: &mut Report) {
        let attempt = self.orders.get_mut(&key(decision)).and_then(|attempts| attempts.get_mut(&decision.attempt));
        let Some(attempt) = attempt.filter(|attempt| attempt.state == OrderState::Held) else {
            return report.breach(Breach::I2, format_args!("extended what is not held: {decision:?}"));
        };
        report
            .expect(decision.expires_at_ms > attempt.expires_at_ms, Breach::I2, || format!("not later: {decision:?}"));
        attempt.expires_at_ms = decision.expires_at_ms;
    }

    fn cancel_before_place(&mut self, decision: &Decision, report: &mut Report) {
        let attempts = self.orders.entry(key(decision)).or_default();
        let attempt = Attempt {
            state: OrderState::Cancelled,
            sequence: 0,
            outcome: Outcome::Noted,
            reason: Reason::BeforePlace,
            expires_at_ms: 0,
            lines: Vec::new(),
        };
        let earlier = attempts.insert(decision.attempt, attempt);
        report.expect(earlier.is_none(), Breach::I2, || format!("it was known as {earlier:?}: {decision:?}"));
    }

    /// An order leaves one of the states `from` for `to`, with the lines it holds.
    fn moves(&mut self, decision: &Decision, from: &[OrderState], to: OrderState, report: &mut Report) {
        let attempt = self.orders.get_mut(&key(decision)).and_then(|attempts| attempts.get_mut(&decision.attempt));
        let Some(attempt) = attempt.filter(|attempt| from.contains(&attempt.state)) else {
            return report.breach(Breach::I2, format_args!("the order is in none of {from:?}: {decision:?}"));
        };
        report.expect(decision.state() == to, Breach::I2, || format!("state: {decision:?}"));
        let lines = decision.lines.iter().map(|line| (&line.sku, u64::from(line.quantity)));
        report.expect(lines.eq(attempt.lines.iter().map(|(sku, n)| (sku, *n))), Breach::I3, || {
            format!("holds {:?}: {decision:?}", attempt.lines)
        });
        let was = std::mem::replace(&mut attempt.state, to);
        for (sku, quantity) in &attempt.lines {
            let row = self.rows.entry((decision.pool.clone(), sku.clone())).or_default();
            let held = if was == OrderState::Held { &mut row.reserved } else { &mut row.committed };
            let Some(left) = held.checked_sub(*quantity) else {
                return report.breach(Breach::I3, format_args!("{sku} falls below 0: {decision:?}"));
            };
            *held = left;
            match to {
                OrderState::Committed => row.committed += quantity,
                OrderState::Shipped => row.on_hand -= i64::try_from(*quantity).expect("bounded by the contract"),
                _ => {}
            }
        }
        if to == OrderState::Shipped {
            for line in &decision.lines {
                let row = self.rows[&(decision.pool.clone(), line.sku.clone())];
                report.expect(line.shortfall == row.shortfall(), Breach::I3, || format!("{row:?}, but {decision:?}"));
            }
        }
    }

    /// Notes the id of a stock command, which must not have been applied before.
    fn applied(&mut self, decision: &Decision, report: &mut Report) {
        let id = (decision.pool.clone(), decision.id.clone());
        let earlier = self.ids.insert(id, decision.sequence);
        report.expect(earlier.is_none(), Breach::I2, || format!("applied before as {earlier:?}: {decision:?}"));
    }

    /// A rule stands in the log as it was sent.
    fn rule(&mut self, decision: &Decision, command: Option<&StockCommand>, report: &mut Report) {
        self.applied(decision, report);
        let issued_at_ms = command.map_or(0, |command| command.issued_at_ms);
        let mut sent = Decision { issued_at_ms, ..Decision::default() };
        match command.and_then(|command| command.kind.clone()) {
            Some(stock_command::Kind::SetSale(it)) => sent.sale = Some(it),
            Some(stock_command::Kind::SetLimit(it)) => sent.limit = Some(it),
            Some(stock_command::Kind::SetChannels(it)) => sent.channels = Some(it),
            Some(stock_command::Kind::SetFreshness(it)) => sent.freshness = Some(it),
            Some(stock_command::Kind::SetDelivery(it)) => sent.delivery = Some(it),
            _ => {}
        }
        let told = Decision {
            issued_at_ms: decision.issued_at_ms,
            sale: decision.sale.clone(),
            limit: decision.limit.clone(),
            channels: decision.channels.clone(),
            freshness: decision.freshness.clone(),
            delivery: decision.delivery.clone(),
            ..Decision::default()
        };
        let as_sent = told == sent;
        report.expect(as_sent, Breach::I1, || format!("{sent:?} was meant: {decision:?}"));
    }

    fn stock(&mut self, decision: &Decision, command: Option<&StockCommand>, report: &mut Report) {
        let level = decision.stock.as_ref().expect("looked at by the caller");
        self.applied(decision, report);
        let Some(kind) = command.and_then(|command| command.kind.as_ref()) else {
            return report.breach(Breach::I1, format_args!("applied without a stock command: {decision:?}"));
        };
        let unsigned = |n: u64| i64::try_from(n).expect("bounded by the contract");
        let none = String::new();
        let (sku, change, safety_stock, (lot, expiry)) = match kind {
            stock_command::Kind::Receive(c) => (&c.sku, unsigned(c.quantity), None, (&c.lot, c.expiry)),
            stock_command::Kind::Adjust(c) => (&c.sku, c.change, None, (&c.lot, c.expiry)),
            stock_command::Kind::Count(c) => (&c.sku, unsigned(c.counted) - c.on_hand_seen, None, (&c.lot, c.expiry)),
            stock_command::Kind::SetSafetyStock(c) => (&c.sku, 0, Some(c.quantity), (&none, 0)),
            stock_command::Kind::Halt(c) => (&c.sku, 0, None, (&c.lot, 0)),
            stock_command::Kind::Resume(c) => (&c.sku, 0, None, (&c.lot, 0)),
            stock_command::Kind::Ship(_)
            | stock_command::Kind::Tick(_)
            | stock_command::Kind::RaiseRulesLevel(_)
            | stock_command::Kind::SetSale(_)
            | stock_command::Kind::SetLimit(_)
            | stock_command::Kind::SetChannels(_)
            | stock_command::Kind::SetFreshness(_)
            | stock_command::Kind::SetDelivery(_) => {
                return report.breach(Breach::I3, format_args!("has no stock level: {decision:?}"));
            }
        };
        let of_lot = level.lot.as_ref().map_or((&none, 0), |told| (&told.lot, told.expiry));
        let meant = level.sku == *sku && of_lot.0 == lot && [0, of_lot.1].contains(&expiry);
        report.expect(meant, Breach::I3, || format!("{sku} was meant, lot {lot:?}: {decision:?}"));
        if sku.is_empty() {
            return;
        }
        let row = self.rows.entry((decision.pool.clone(), sku.clone())).or_default();
        row.on_hand += change;
        row.safety_stock = safety_stock.unwrap_or(row.safety_stock);
        let shown = (
            Row {
                on_hand: level.on_hand,
                reserved: level.reserved,
                committed: level.committed,
                safety_stock: level.safety_stock,
            },
            level.change,
            level.shortfall,
        );
        report.expect(shown == (*row, change, row.shortfall()), Breach::I3, || {
            format!("{row:?} changed by {change}, but {decision:?}")
        });
    }
}

fn key(decision: &Decision) -> Key {
    (decision.pool.clone(), decision.order_id.clone())
}
