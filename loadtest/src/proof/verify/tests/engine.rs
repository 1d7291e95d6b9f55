//! A small engine that decides what the tester sends as the contract has it: plainly, and written for nothing else.

use std::collections::HashMap;

use sluice::wire::proto::{
    self, Asked, Decision, Input, LineDecision, OrderLine, OrderState, Original, Outcome, Place, Reason, StockLevel,
    command, stock_command,
};

use super::seller::{Barred, Flaw, Seller};
use crate::load::scenario::Topics;

/// As the contract has it, for what the tester sends.
#[derive(Default)]
pub(super) struct Engine {
    /// Units that it sells beyond what there is of each SKU.
    spare: i64,
    /// What it decided.
    pub(super) log: Vec<Decision>,
    record_began: usize,
    /// on_hand and taken.
    rows: HashMap<String, (i64, i64)>,
    /// When each row was changed last.
    changed_ms: HashMap<String, i64>,
    /// How long a generation is, and for how many more a row is known that nothing is in; none: for ever.
    generations: Option<(i64, i64)>,
    seller: Seller,
    /// The newest `placed_at_ms` so far.
    time_ms: i64,
    orders: HashMap<(String, u32), Order>,
}

struct Order {
    state: OrderState,
    content: Vec<(String, u32)>,
    customer: String,
    original: Original,
}

impl Engine {
    /// One that is right if `spare` is 0 and it has no flaw.
    pub(super) fn new(spare: i64, flaw: Option<Flaw>, topics: Topics) -> Self {
        let length_ms = (topics.window + topics.skew).as_millis().div_ceil(4) as i64;
        let known_for = if let Some(Flaw::Remembers(more)) = flaw { 5 + more } else { 5 };
        let generations = (length_ms > 0).then_some((length_ms, known_for));
        Self { spare, seller: Seller::new(flaw), generations, ..Self::default() }
    }

    /// Nothing has been in its row, and nothing said of its sale, for so long that it is no longer known.
    fn forgets(&self, sku: &str) -> bool {
        let Some((length_ms, known_for)) = self.generations else { return false };
        let Some(kept_until_ms) = self.seller.kept_until_ms(sku, self.time_ms) else { return false };
        let since_ms = kept_until_ms.max(self.changed_ms[sku]);
        self.rows[sku] == (0, 0) && self.time_ms / length_ms - since_ms / length_ms > known_for
    }

    fn touch(&mut self, lines: &[LineDecision]) {
        self.changed_ms.extend(lines.iter().map(|line| (line.sku.clone(), self.time_ms)));
    }

    /// Gives the decisions since the record before their source.
    pub(super) fn sealed(&mut self, input: Input, offset: i64) {
        for (index, decision) in self.log[self.record_began..].iter_mut().enumerate() {
            decision.input = input.into();
            decision.offset = offset;
            decision.index = index as u32;
        }
        self.record_began = self.log.len();
    }

    pub(super) fn stock(&mut self, command: proto::StockCommand) {
        let told = (Outcome::Applied, Reason::Unspecified);
        let sequence = self.log.len() as u64 + 1;
        let receive = match command.kind.expect("a kind") {
            stock_command::Kind::Receive(receive) => receive,
            stock_command::Kind::Ship(ship) => return self.ship(&command.pool, ship),
            stock_command::Kind::SetSale(sale) => {
                self.changed_ms.insert(sale.sku.clone(), self.time_ms);
                self.seller.set_sale(sale.clone(), sequence);
                self.decide(Asked::SetSale, &command.pool, "", 0, told).sale = Some(sale);
                return;
            }
            stock_command::Kind::SetLimit(limit) => {
                self.seller.set_limit(limit.clone(), sequence);
                self.decide(Asked::SetLimit, &command.pool, "", 0, told).limit = Some(limit);
                return;
            }
            _ => panic!("stock is received, rules are set, and orders leave"),
        };
        let (change, sku) = (receive.quantity as i64, receive.sku);
        let on_hand = self.rows.entry(sku.clone()).or_default();
        on_hand.0 += change;
        self.changed_ms.insert(sku.clone(), self.time_ms);
        let level = StockLevel { sku, change, on_hand: on_hand.0, ..Default::default() };
        let decision = self.decide(Asked::Receive, &command.pool, "", 0, told);
        decision.stock = Some(level);
    }

    fn ship(&mut self, pool: &str, ship: proto::Ship) {
        let id = (ship.order_id, ship.attempt);
        let told = match self.orders.get(&id).map(|order| order.state) {
            Some(OrderState::Committed) => (Outcome::Shipped, Reason::Unspecified),
            Some(OrderState::Shipped) => (Outcome::Unchanged, Reason::Unspecified),
            Some(_) => (Outcome::NotAllowed, Reason::Unspecified),
            None => (Outcome::NotAllowed, Reason::UnknownOrder),
        };
        let mut lines = self.held(&id, told.0 == Outcome::Shipped);
        for line in &lines {
            let row = self.rows.get_mut(&line.sku).expect("it was reserved");
            row.0 -= i64::from(line.quantity);
            row.1 -= i64::from(line.quantity);
        }
        self.touch(&lines);
        for line in &mut lines {
            let row = self.rows[&line.sku];
            line.shortfall = (row.1 - row.0).max(0) as u64;
        }
        self.decide(Asked::Ship, pool, &id.0, id.1, told).lines = lines;
        if let Some(order) = self.orders.get_mut(&id).filter(|order| order.state == OrderState::Committed) {
            order.state = OrderState::Shipped;
        }
    }

    pub(super) fn order(&mut self, command: proto::Command) {
        match command.kind.expect("a kind") {
            command::Kind::Place(place) => self.place(place),
            command::Kind::Confirm(confirm) => {
                let id = (confirm.order_id.clone(), confirm.attempt);
                let told = match self.orders.get(&id).map(|order| order.state) {
                    Some(OrderState::Held) => (Outcome::Confirmed, Reason::Unspecified),
                    Some(OrderState::Committed | OrderState::Shipped) => (Outcome::Unchanged, Reason::Unspecified),
                    Some(_) => (Outcome::NotAllowed, Reason::Unspecified),
                    None => (Outcome::NotAllowed, Reason::UnknownOrder),
                };
                let lines = self.held(&id, told.0 == Outcome::Confirmed);
                self.touch(&lines);
                self.decide(Asked::Confirm, &confirm.pool, &confirm.order_id, confirm.attempt, told).lines = lines;
                if let Some(order) = self.orders.get_mut(&id).filter(|order| order.state == OrderState::Held) {
                    order.state = OrderState::Committed;
                }
            }
            command::Kind::Cancel(cancel) => self.cancel(&cancel),
            command::Kind::Extend(_) => panic!("none is extended"),
        }
    }

    fn cancel(&mut self, cancel: &proto::Cancel) {
        let id = (cancel.order_id.clone(), cancel.attempt);
        let state = self.orders.get(&id).map(|order| order.state);
        let told = match state {
            Some(OrderState::Held | OrderState::Committed) => (Outcome::Cancelled, Reason::Unspecified),
            Some(OrderState::Shipped) => (Outcome::NotAllowed, Reason::Unspecified),
            Some(_) => (Outcome::Unchanged, Reason::Unspecified),
            None => (Outcome::Noted, Reason::BeforePlace),
        };
        let lines = self.held(&id, told == (Outcome::Cancelled, Reason::Unspecified));
        for line in &lines {
            self.rows.get_mut(&line.sku).expect("it was reserved").1 -= i64::from(line.quantity);
        }
        self.touch(&lines);
        if let Some(order) = self.orders.get(&id) {
            self.seller.release(&order.customer, &lines);
        }
        let decision = self.decide(Asked::Cancel, &cancel.pool, &cancel.order_id, cancel.attempt, told);
        decision.lines = lines;
        let original = Original::default();
        let order = Order { state: OrderState::Cancelled, content: Vec::new(), customer: String::new(), original };
        self.orders.entry(id).or_insert(order).state = OrderState::Cancelled;
    }

    fn place(&mut self, place: Place) {
        let id = (place.order_id.clone(), place.attempt);
        let content: Vec<_> = place.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
        let sequence = self.log.len() as u64 + 1;
        self.time_ms = self.time_ms.max(place.placed_at_ms);
        let mut opens_at_ms = 0;
        let (told, lines, original) = match self.orders.get(&id) {
            Some(order) if order.original.sequence > 0 => {
                let outcome = if order.content == content { Outcome::Duplicate } else { Outcome::Conflict };
                ((outcome, Reason::Unspecified), Vec::new(), Some(order.original))
            }
            Some(_) => ((Outcome::Rejected, Reason::Cancelled), Vec::new(), None),
            None if let Some(fault) = self.attempt_fault(&place) => ((Outcome::Invalid, fault), Vec::new(), None),
            None if let Some(lines) = self.unknown(&place) => ((Outcome::Rejected, Reason::UnknownSku), lines, None),
            None => match self.seller.bar(&place, self.time_ms) {
                Some(Barred { told, lines, opens_at_ms: opens }) => {
                    opens_at_ms = opens;
                    (told, lines, None)
                }
                None => {
                    let (told, lines) = self.reserve(&place);
                    (told, lines, None)
                }
            },
        };
        let reserved = told.0 == Outcome::Reserved;
        if reserved {
            self.touch(&lines);
        }
        let segments = if reserved { self.seller.segments_used(&place) } else { Vec::new() };
        let counted = if reserved { self.seller.count(&place.customer, &lines) } else { Vec::new() };
        let decision = self.decide(Asked::Place, &place.pool, &place.order_id, place.attempt, told);
        decision.lines = lines;
        decision.original = original;
        decision.opens_at_ms = opens_at_ms;
        decision.customer = if counted.is_empty() { String::new() } else { place.customer.clone() };
        decision.counted = counted;
        decision.segments = segments;
        if original.is_none() && matches!(told.0, Outcome::Reserved | Outcome::Rejected) {
            let state = if reserved { OrderState::Held } else { OrderState::Rejected };
            let original = Original { sequence, outcome: told.0.into(), reason: told.1.into() };
            self.orders.insert(id, Order { state, content, customer: place.customer, original });
        }
    }

    /// The lines of an order of which some are not known.
    fn unknown(&self, place: &Place) -> Option<Vec<LineDecision>> {
        let line = |line: &OrderLine| {
            let reason = if self.forgets(&line.sku) { Reason::UnknownSku } else { Reason::Unspecified };
            let reason = reason.into();
            LineDecision { sku: line.sku.clone(), quantity: line.quantity, reason, ..LineDecision::default() }
        };
        let lines: Vec<_> = place.lines.iter().map(line).collect();
        lines.iter().any(|line| line.reason() == Reason::UnknownSku).then_some(lines)
    }

    fn attempt_fault(&self, place: &Place) -> Option<Reason> {
        let before = place.attempt.checked_sub(1)?;
        match self.orders.get(&(place.order_id.clone(), before)) {
            Some(order) if order.original.sequence > 0 => {
                let is_open = [OrderState::Held, OrderState::Committed, OrderState::Shipped].contains(&order.state);
                is_open.then_some(Reason::AttemptOpen)
            }
            _ => Some(Reason::AttemptUnknown),
        }
    }

    fn reserve(&mut self, place: &Place) -> ((Outcome, Reason), Vec<LineDecision>) {
        let before = self.rows.clone();
        let mut lines = Vec::new();
        let mut short = false;
        for line in &place.lines {
            let row = self.rows.get_mut(&line.sku).expect("it was stocked");
            let available = row.0 + self.spare - row.1;
            let mut told = LineDecision { sku: line.sku.clone(), quantity: line.quantity, ..Default::default() };
            if available < i64::from(line.quantity) {
                told.available = Some(available);
                told.reason = Reason::OutOfStock.into();
                short = true;
            } else {
                row.1 += i64::from(line.quantity);
                told.allocated = line.quantity;
            }
            lines.push(told);
        }
        if !short {
            return ((Outcome::Reserved, Reason::Unspecified), lines);
        }
        self.rows = before;
        lines.iter_mut().for_each(|line| line.allocated = 0);
        ((Outcome::Rejected, Reason::OutOfStock), lines)
    }

    fn held(&self, id: &(String, u32), some: bool) -> Vec<LineDecision> {
        let Some(order) = self.orders.get(id).filter(|_| some) else { return Vec::new() };
        let line = |(sku, quantity): &(String, u32)| LineDecision {
            sku: sku.clone(),
            quantity: *quantity,
            allocated: *quantity,
            ..Default::default()
        };
        order.content.iter().map(line).collect()
    }

    fn decide(
        &mut self,
        asked: Asked,
        pool: &str,
        order_id: &str,
        attempt: u32,
        (outcome, reason): (Outcome, Reason),
    ) -> &mut Decision {
        self.log.push(Decision {
            sequence: self.log.len() as u64 + 1,
            asked: asked.into(),
            pool: pool.to_owned(),
            order_id: order_id.to_owned(),
            attempt,
            outcome: outcome.into(),
            reason: reason.into(),
            decided_at_ms: self.time_ms,
            ..Default::default()
        });
        self.log.last_mut().expect("just pushed")
    }
}
