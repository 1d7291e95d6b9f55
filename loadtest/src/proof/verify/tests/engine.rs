//! A small engine that decides what the tester sends as the contract has it: plainly, and written for nothing else.

use std::collections::HashMap;

use sluice::wire::proto::{
    self, Asked, Decision, Input, LineDecision, OrderLine, OrderState, Original, Outcome, Place, Reason, ShareOf,
    StockLevel, command, stock_command,
};

use super::grocer::{Grocer, When};
use super::seller::{Barred, Flaw, Seller};
use crate::load::scenario::Topics;
use crate::load::traffic::days::day_of;

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
    grocer: Grocer,
    /// The newest `placed_at_ms` so far.
    time_ms: i64,
    orders: HashMap<(String, u32), Order>,
}

struct Order {
    state: OrderState,
    content: Vec<(String, u32)>,
    customer: String,
    channel: String,
    original: Original,
}

impl Engine {
    /// One that is right if `spare` is 0 and it has no flaw.
    pub(super) fn new(spare: i64, flaw: Option<Flaw>, topics: Topics) -> Self {
        let length_ms = (topics.window + topics.skew).as_millis().div_ceil(4) as i64;
        let known_for = if let Some(Flaw::Remembers(more)) = flaw { 5 + more } else { 5 };
        let generations = (length_ms > 0).then_some((length_ms, known_for));
        Self { spare, seller: Seller::new(flaw), grocer: Grocer::new(flaw), generations, ..Self::default() }
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
        let answers = self.log[self.record_began..].iter_mut().filter(|decision| decision.asked() != Asked::Expire);
        for (index, decision) in answers.enumerate() {
            decision.input = input.into();
            decision.offset = offset;
            decision.index = index as u32;
        }
        self.record_began = self.log.len();
    }

    pub(super) fn stock(&mut self, command: proto::StockCommand) {
        let told = (Outcome::Applied, Reason::Unspecified);
        let sequence = self.log.len() as u64 + 1;
        self.time_ms = self.time_ms.max(command.issued_at_ms);
        let (asked, sku, change, (lot, expiry)) = match command.kind.expect("a kind") {
            stock_command::Kind::Receive(it) => (Asked::Receive, it.sku, it.quantity as i64, (it.lot, it.expiry)),
            stock_command::Kind::Adjust(it) => (Asked::Adjust, it.sku, it.change, (it.lot, it.expiry)),
            stock_command::Kind::Count(it) => {
                (Asked::Count, it.sku, it.counted as i64 - it.on_hand_seen, (it.lot, it.expiry))
            }
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
            stock_command::Kind::SetChannels(channels) => {
                self.changed_ms.insert(channels.sku.clone(), self.time_ms);
                self.seller.set_channels(channels.clone(), sequence);
                self.decide(Asked::SetChannels, &command.pool, "", 0, told).channels = Some(channels);
                return;
            }
            stock_command::Kind::SetFreshness(freshness) => {
                self.changed_ms.insert(freshness.sku.clone(), self.time_ms);
                self.grocer.set_freshness(&freshness);
                self.decide(Asked::SetFreshness, &command.pool, "", 0, told).freshness = Some(freshness);
                return;
            }
            stock_command::Kind::SetDelivery(delivery) => {
                self.grocer.set_delivery(&delivery, sequence);
                self.decide(Asked::SetDelivery, &command.pool, "", 0, told).delivery = Some(delivery);
                return;
            }
            _ => panic!("stock moves, rules are set, and orders leave"),
        };
        let row = self.rows.entry(sku.clone()).or_default();
        row.0 += change;
        let (on_hand, taken) = *row;
        self.changed_ms.insert(sku.clone(), self.time_ms);
        let lot = self.grocer.moved(&sku, &lot, expiry, change);
        let (reserved, committed) = self.grocer.taken(&sku).unwrap_or((taken as u64, 0));
        let shortfall = (taken - on_hand).max(0) as u64;
        let level = StockLevel { sku, change, on_hand, reserved, committed, shortfall, lot, ..Default::default() };
        let decision = self.decide(asked, &command.pool, "", 0, told);
        decision.id = command.id;
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
        if told.0 == Outcome::Shipped {
            self.grocer.shipped(&id);
        }
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
                if told.0 == Outcome::Confirmed {
                    self.grocer.confirmed(&id);
                }
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
        let lines = self.released(&id, told == (Outcome::Cancelled, Reason::Unspecified));
        let decision = self.decide(Asked::Cancel, &cancel.pool, &cancel.order_id, cancel.attempt, told);
        decision.lines = lines;
        let original = Original::default();
        let (customer, channel) = Default::default();
        let order = Order { state: OrderState::Cancelled, content: Vec::new(), customer, channel, original };
        self.orders.entry(id).or_insert(order).state = OrderState::Cancelled;
    }

    /// Gives back what an order held, if it is to; its lines.
    fn released(&mut self, id: &(String, u32), is_due: bool) -> Vec<LineDecision> {
        let lines = self.held(id, is_due);
        for line in &lines {
            self.rows.get_mut(&line.sku).expect("it was reserved").1 -= i64::from(line.quantity);
        }
        self.touch(&lines);
        if let Some(order) = self.orders.get(id) {
            self.seller.release(&order.customer, &order.channel, &lines);
        }
        if is_due {
            self.grocer.released(id, self.time_ms);
        }
        lines
    }

    /// Every hold that has run out by now.
    fn expire(&mut self, pool: &str) {
        while let Some(id) = self.grocer.expired(self.time_ms) {
            let lines = self.released(&id, true);
            let told = (Outcome::Expired, Reason::Unspecified);
            self.decide(Asked::Expire, pool, &id.0, id.1, told).lines = lines;
            self.orders.get_mut(&id).expect("it was reserved").state = OrderState::Expired;
        }
    }

    fn place(&mut self, place: Place) {
        self.time_ms = self.time_ms.max(place.placed_at_ms);
        self.expire(&place.pool);
        let id = (place.order_id.clone(), place.attempt);
        let content: Vec<_> = place.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
        let sequence = self.log.len() as u64 + 1;
        let (mut opens_at_ms, mut when) = (0, When::default());
        let (told, lines, original) = match self.orders.get(&id) {
            Some(order) if order.original.sequence > 0 => {
                let outcome = if order.content == content { Outcome::Duplicate } else { Outcome::Conflict };
                let (original, mut lines) = (order.original, Vec::new());
                if let Some(had) = self.grocer.had(&id).filter(|_| outcome == Outcome::Duplicate) {
                    (when, lines) = (had.when.clone(), self.held(&id, true));
                    lines.iter_mut().zip(&had.parts).for_each(|(line, (_, lots))| line.lots.clone_from(lots));
                }
                ((outcome, Reason::Unspecified), lines, Some(original))
            }
            Some(_) => ((Outcome::Rejected, Reason::Cancelled), Vec::new(), None),
            None if let Some(fault) = self.attempt_fault(&place) => ((Outcome::Invalid, fault), Vec::new(), None),
            None if let Err((reason, next)) = self.grocer.when(&place, self.time_ms) => {
                when = next;
                ((Outcome::Rejected, reason), Vec::new(), None)
            }
            None if let Some(lines) = self.unknown(&place) => ((Outcome::Rejected, Reason::UnknownSku), lines, None),
            None => match self.seller.bar(&place, self.time_ms) {
                Some(Barred { told, lines, opens_at_ms: opens }) => {
                    opens_at_ms = opens;
                    (told, lines, None)
                }
                None => {
                    let due = self.grocer.when(&place, self.time_ms).unwrap_or_default();
                    let (told, lines) = self.reserve(&place, &due);
                    if told.0 == Outcome::Reserved {
                        when = due;
                    }
                    (told, lines, None)
                }
            },
        };
        let reserved = told.0 == Outcome::Reserved;
        let clip_ms = if when.service.is_empty() { i64::MAX } else { when.hold_until_ms };
        let expires_at_ms = if reserved { (self.time_ms + place.hold_ms as i64).min(clip_ms) } else { 0 };
        if reserved {
            self.touch(&lines);
            self.grocer.reserved(id.clone(), when.clone(), &lines, expires_at_ms);
        }
        let segments = if reserved { self.seller.segments_used(&place) } else { Vec::new() };
        let mut counted = if reserved { self.seller.count(&place.customer, &lines) } else { Vec::new() };
        let customer = if counted.is_empty() { String::new() } else { place.customer.clone() };
        counted.extend(if reserved { self.seller.count_shares(&place.channel, &lines) } else { Vec::new() });
        let is_shared = counted.iter().any(|counted| counted.share() != ShareOf::Unspecified);
        let by_channel = is_shared || told == (Outcome::Rejected, Reason::Quota);
        let decision = self.decide(Asked::Place, &place.pool, &place.order_id, place.attempt, told);
        decision.lines = lines;
        decision.original = original;
        decision.opens_at_ms = opens_at_ms;
        decision.customer = customer;
        decision.channel = if by_channel { place.channel.clone() } else { String::new() };
        decision.counted = counted;
        decision.segments = segments;
        decision.expires_at_ms = expires_at_ms;
        (decision.service, decision.day) = (when.service, when.day);
        (decision.cutoff_ms, decision.hold_until_ms, decision.rule) = (when.cutoff_ms, when.hold_until_ms, when.rule);
        if original.is_none() && matches!(told.0, Outcome::Reserved | Outcome::Rejected) {
            let state = if reserved { OrderState::Held } else { OrderState::Rejected };
            let original = Original { sequence, outcome: told.0.into(), reason: told.1.into() };
            self.orders
                .insert(id, Order { state, content, customer: place.customer, channel: place.channel, original });
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

    fn reserve(&mut self, place: &Place, when: &When) -> ((Outcome, Reason), Vec<LineDecision>) {
        let (before, lots_before) = (self.rows.clone(), self.grocer.clone());
        let day = day_of(when.day).unwrap_or(self.time_ms.div_euclid(86_400_000) as i32);
        let mut lines = Vec::new();
        let mut short = false;
        for line in &place.lines {
            let row = self.rows.get_mut(&line.sku).expect("it was stocked");
            let mut available = row.0 + self.spare - row.1;
            if let Some(free) = self.grocer.free(&line.sku, day) {
                available = available.min(free).max(0);
            }
            let mut told = LineDecision { sku: line.sku.clone(), quantity: line.quantity, ..Default::default() };
            if available < i64::from(line.quantity) {
                told.available = Some(available);
                told.reason = Reason::OutOfStock.into();
                short = true;
            } else {
                row.1 += i64::from(line.quantity);
                told.allocated = line.quantity;
                told.lots = self.grocer.take(&line.sku, i64::from(line.quantity), day);
            }
            lines.push(told);
        }
        let spare = self.spare;
        let available = |sku: &str| before.get(sku).map_or(0, |row| row.0 + spare - row.1);
        let over = if short { None } else { self.seller.over_quota(place, self.time_ms, available) };
        if !short && over.is_none() {
            return ((Outcome::Reserved, Reason::Unspecified), lines);
        }
        (self.rows, self.grocer) = (before, lots_before);
        if let Some(lines) = over {
            return ((Outcome::Rejected, Reason::Quota), lines);
        }
        lines.iter_mut().for_each(|line| (line.allocated, line.lots) = (0, Vec::new()));
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
