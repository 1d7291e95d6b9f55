//! Stock commands.

use sluice::wire::proto::{
    Asked, Decision, Original, Outcome, RaiseRulesLevel, Reason, StockCommand, StockLevel, stock_command,
};

use super::channels::channels_fault;
use super::delivery::delivery_fault;
use super::hash::{
    content_of_rule, content_of_stock, define_channels, define_delivery, define_freshness, define_limit, define_sale,
};
use super::limit::limit_fault;
use super::lots::{expiry_fault, field_of_lots, freshness_fault, is_too_long, named_lot, shipped_lots_fault};
use super::sale::sale_fault;
use super::{LONGEST_ID, MOST_STOCK, Model, NEWEST_LEVEL, STOCK_RANGE, Stamp, echo, id_fault};

impl Model {
    /// Decides a command of `stock`.
    pub(crate) fn apply_stock(&mut self, command: &StockCommand) -> Decision {
        let decision = self.decide_stock(command);
        self.drop_bare_lots();
        decision
    }

    fn decide_stock(&mut self, command: &StockCommand) -> Decision {
        use stock_command::Kind;
        let Some(kind) = &command.kind else {
            let echo = echo(Asked::Unspecified, &command.pool, "", 0, "");
            return self.invalid(echo, Reason::NoKind);
        };
        let (asked, sku, reason, a, b) = match kind {
            Kind::Tick(tick) => {
                let echo = echo(Asked::Tick, "", "", 0, "");
                if tick.shard != self.rules.shard {
                    return self.invalid(echo, Reason::WrongShard);
                }
                return self.finish(echo, Outcome::Applied, Reason::Unspecified);
            }
            Kind::RaiseRulesLevel(it) => return self.raise_rules_level(it),
            Kind::Ship(it) => {
                if let Some(field) = self.field_of_a_level_above(kind) {
                    return self.unsupported(Asked::Ship, &command.pool, &it.order_id, it.attempt, "", field);
                }
                let echo = echo(Asked::Ship, &command.pool, &it.order_id, it.attempt, "");
                if let Some(refusal) = self.pool_refusal(&echo, &command.pool) {
                    return refusal;
                }
                if let Some(reason) = id_fault(&it.order_id).or_else(|| shipped_lots_fault(it)) {
                    return self.invalid(echo, reason);
                }
                return self.ship(it, (command.pool.clone(), it.order_id.clone(), it.attempt), echo);
            }
            Kind::Receive(it) => (Asked::Receive, &it.sku, "", it.quantity as i64, 0),
            Kind::Adjust(it) => (Asked::Adjust, &it.sku, it.reason.as_str(), it.change, 0),
            Kind::Count(it) => (Asked::Count, &it.sku, "", it.counted as i64, it.on_hand_seen),
            Kind::SetSafetyStock(it) => (Asked::SetSafetyStock, &it.sku, "", it.quantity as i64, 0),
            Kind::Halt(it) => (Asked::Halt, &it.sku, "", 0, 0),
            Kind::Resume(it) => (Asked::Resume, &it.sku, "", 0, 0),
            Kind::SetSale(it) => (Asked::SetSale, &it.sku, "", 0, 0),
            Kind::SetLimit(_) => (Asked::SetLimit, &String::new(), "", 0, 0),
            Kind::SetChannels(it) => (Asked::SetChannels, &it.sku, "", 0, 0),
            Kind::SetFreshness(it) => (Asked::SetFreshness, &it.sku, "", 0, 0),
            Kind::SetDelivery(_) => (Asked::SetDelivery, &String::new(), "", 0, 0),
        };
        if let Some(field) = self.field_of_a_level_above(kind) {
            return self.unsupported(asked, &command.pool, "", 0, &command.id, field);
        }
        let echo = echo(asked, &command.pool, "", 0, &command.id);
        if let Some(refusal) = self.pool_refusal(&echo, &command.pool) {
            return refusal;
        }
        let (lot, expiry) = named_lot(kind);
        let may_name_none = [Asked::Halt, Asked::Resume, Asked::SetSale, Asked::SetLimit, Asked::SetDelivery];
        let whole_pool = may_name_none.contains(&asked) && sku.is_empty() && lot.is_empty();
        let in_range = match kind {
            Kind::Receive(it) => it.quantity >= 1 && it.quantity <= MOST_STOCK,
            Kind::Adjust(it) => it.change != 0 && it.change.unsigned_abs() <= MOST_STOCK,
            Kind::Count(it) => it.counted <= MOST_STOCK && it.on_hand_seen.unsigned_abs() <= STOCK_RANGE as u64,
            Kind::SetSafetyStock(it) => it.quantity <= MOST_STOCK,
            _ => true,
        };
        let fault = id_fault(&command.id)
            .or(if whole_pool { None } else { id_fault(sku) })
            .or(is_too_long(lot))
            .or((reason.len() > LONGEST_ID).then_some(Reason::IdTooLong))
            .or((!in_range).then_some(Reason::Quantity))
            .or(expiry_fault(lot, expiry))
            .or_else(|| match kind {
                Kind::SetSale(it) => sale_fault(it),
                Kind::SetLimit(it) => limit_fault(it),
                Kind::SetChannels(it) => channels_fault(it),
                Kind::SetFreshness(it) => freshness_fault(it),
                Kind::SetDelivery(it) => delivery_fault(it),
                _ => None,
            })
            .or_else(|| self.clock_fault(command.issued_at_ms));
        if let Some(reason) = fault {
            return self.invalid(echo, reason);
        }
        if command.issued_at_ms < self.now - self.rules.window_ms {
            return self.finish(echo, Outcome::TooOld, Reason::Unspecified);
        }
        let content = match kind {
            Kind::SetSale(it) => content_of_rule(asked, command, |bytes| define_sale(bytes, it)),
            Kind::SetLimit(it) => content_of_rule(asked, command, |bytes| define_limit(bytes, it)),
            Kind::SetChannels(it) => content_of_rule(asked, command, |bytes| define_channels(bytes, it)),
            Kind::SetFreshness(it) => content_of_rule(asked, command, |bytes| define_freshness(bytes, it)),
            Kind::SetDelivery(it) => content_of_rule(asked, command, |bytes| define_delivery(bytes, it)),
            _ => content_of_stock(asked, command, sku, [a, b], reason, (lot, expiry)),
        };
        let id = (command.pool.clone(), command.id.clone());
        if let Some((first, applied, _)) = self.stock_ids.get(&id) {
            let outcome = if *applied == content { Outcome::Duplicate } else { Outcome::Conflict };
            let decision = Decision { original: Some(*first), ..echo };
            return self.finish(decision, outcome, Reason::Unspecified);
        }
        let stops_or_frees = match kind {
            Kind::SetSale(it) => {
                (it.opens_at_ms, it.closes_at_ms) == (0, 0) && it.early.is_empty() && it.only.is_empty()
            }
            Kind::SetLimit(it) => (it.units, it.units_an_order) == (0, 0),
            Kind::SetChannels(it) => it.channels.is_empty(),
            Kind::SetFreshness(it) => it.least_days == 0,
            Kind::SetDelivery(it) => it.services.is_empty(),
            _ => asked == Asked::Halt,
        };
        if self.busy(if stops_or_frees { 100 } else { 99 }) {
            return self.finish(echo, Outcome::Busy, Reason::Unspecified);
        }
        let sets_rule = matches!(asked, Asked::SetSale | Asked::SetLimit | Asked::SetChannels)
            || matches!(asked, Asked::SetFreshness | Asked::SetDelivery);
        if sets_rule {
            return self.set_rule(command, kind, content, echo);
        }
        let level = if whole_pool {
            if asked == Asked::Halt {
                self.halted_pools.insert(command.pool.clone());
            } else {
                self.halted_pools.remove(&command.pool);
            }
            StockLevel { halted: asked == Asked::Halt, ..StockLevel::default() }
        } else {
            let row = self.rows.get(&(command.pool.clone(), sku.clone()));
            if row.is_none() && matches!(asked, Asked::Halt | Asked::Resume) {
                return self.invalid(echo, Reason::NoSuchSku);
            }
            if let Some(reason) = self.lot_fault(&command.pool, sku, asked, lot, expiry) {
                return self.invalid(echo, reason);
            }
            let change = match asked {
                Asked::Receive | Asked::Adjust => a,
                Asked::Count => a - b,
                _ => 0,
            };
            let of_lot = row.and_then(|row| Some(row.lots[&row.numbered(lot)?].on_hand));
            let figures = [row.map_or(0, |row| row.on_hand), of_lot.unwrap_or(0)];
            if figures.iter().any(|on_hand| (on_hand + change).abs() > STOCK_RANGE) {
                return self.invalid(echo, Reason::Quantity);
            }
            let mut number = None;
            self.change(&command.pool, sku, |row| match asked {
                Asked::SetSafetyStock => row.safety = a,
                _ if !lot.is_empty() => {
                    number = Some(row.change_lot(lot, expiry, |lot| {
                        lot.on_hand += change;
                        lot.halted = asked == Asked::Halt || lot.halted && asked != Asked::Resume;
                    }));
                }
                Asked::Halt => row.halted = true,
                Asked::Resume => row.halted = false,
                _ => row.on_hand += change,
            });
            let row = &self.rows[&(command.pool.clone(), sku.clone())];
            StockLevel {
                sku: sku.clone(),
                change,
                on_hand: row.on_hand,
                reserved: row.reserved as u64,
                committed: row.committed as u64,
                safety_stock: row.safety as u64,
                halted: row.halted,
                shortfall: row.shortfall(),
                lot: number.map(|number| row.lot_level(number)),
            }
        };
        let decision = Decision { stock: Some(level), content, ..echo };
        let decision = self.finish(decision, Outcome::Applied, Reason::Unspecified);
        let first = Original { sequence: self.sequence, outcome: Outcome::Applied.into(), reason: 0 };
        self.stock_ids.insert(id, (first, content, self.now));
        decision
    }

    /// The field of a command by which it needs a higher rules level than there is: that of its kind, or one in it.
    fn field_of_a_level_above(&self, kind: &stock_command::Kind) -> Option<u32> {
        use stock_command::Kind;
        let (level, field) = match kind {
            Kind::SetSale(_) => (1, 14),
            Kind::SetLimit(_) => (1, 15),
            Kind::SetChannels(_) => (2, 16),
            Kind::SetFreshness(_) => (2, 17),
            Kind::SetDelivery(_) => (2, 18),
            _ => (2, field_of_lots(kind)?),
        };
        (self.rules_level < level).then_some(field)
    }

    fn set_rule(
        &mut self,
        command: &StockCommand,
        kind: &stock_command::Kind,
        content: u64,
        echo: Decision,
    ) -> Decision {
        use stock_command::Kind;
        let (pool, issued_at) = (&command.pool, command.issued_at_ms);
        let before = match kind {
            Kind::SetLimit(it) if self.one_too_many(pool, it) => return self.invalid(echo, Reason::TooMany),
            Kind::SetLimit(it) => self.limits.get(&(pool.clone(), it.name.clone())).map(|limit| limit.stamp),
            Kind::SetSale(it) => self.sale(pool, &it.sku).map(|sale| sale.stamp),
            Kind::SetChannels(it) => self.channels.get(&(pool.clone(), it.sku.clone())).map(|channels| channels.stamp),
            Kind::SetFreshness(it) => self.freshness.get(&(pool.clone(), it.sku.clone())).map(|known| known.stamp),
            Kind::SetDelivery(_) => self.deliveries.get(pool).map(|delivery| delivery.stamp),
            _ => unreachable!("it sets no rule"),
        };
        if let Some(later) = before.filter(|before| issued_at < before.issued_at) {
            let stale = Decision { rule: later.sequence, issued_at_ms: later.issued_at, ..echo };
            return self.finish(stale, Outcome::NotAllowed, Reason::Stale);
        }
        let mut decision = Decision { content, issued_at_ms: issued_at, ..echo };
        match kind {
            Kind::SetSale(it) => decision.sale = Some(it.clone()),
            Kind::SetLimit(it) => decision.limit = Some(it.clone()),
            Kind::SetChannels(it) => decision.channels = Some(it.clone()),
            Kind::SetFreshness(it) => decision.freshness = Some(it.clone()),
            Kind::SetDelivery(it) => decision.delivery = Some(it.clone()),
            _ => {}
        }
        let decision = self.finish(decision, Outcome::Applied, Reason::Unspecified);
        let stamp = Stamp { issued_at, sequence: self.sequence, at: self.now };
        match kind {
            Kind::SetSale(it) => self.set_sale(pool, it, stamp),
            Kind::SetLimit(it) => self.set_limit(pool, it, stamp),
            Kind::SetChannels(it) => self.set_channels(pool, it, stamp),
            Kind::SetFreshness(it) => self.set_freshness(pool, it, stamp),
            Kind::SetDelivery(it) => self.set_delivery(pool, it, stamp),
            _ => {}
        }
        let first = Original { sequence: self.sequence, outcome: Outcome::Applied.into(), reason: 0 };
        self.stock_ids.insert((pool.clone(), command.id.clone()), (first, content, self.now));
        decision
    }

    fn raise_rules_level(&mut self, it: &RaiseRulesLevel) -> Decision {
        let echo = echo(Asked::RaiseRulesLevel, "", "", 0, "");
        if it.shard != self.rules.shard {
            return self.invalid(echo, Reason::WrongShard);
        }
        if it.level > NEWEST_LEVEL {
            return self.invalid(echo, Reason::UnknownLevel);
        }
        let outcome = if it.level > self.rules_level { Outcome::Applied } else { Outcome::Unchanged };
        self.rules_level = self.rules_level.max(it.level);
        self.finish(Decision { rules_level: self.rules_level, ..echo }, outcome, Reason::Unspecified)
    }
}
