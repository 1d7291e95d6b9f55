//! I6 from the decisions alone: nothing is sold outside its sale, no key beyond a limit, no channel beyond its share or out
//! of another's, nothing for a day that is over or full, and nothing from a lot that does not last or is not the first, at any sequence.
//! It knows the rules as the decisions state them, and neither engine nor model.

mod delivery;
mod lots;
mod shares;

use std::collections::{BTreeMap, HashMap};

use sluice::wire::proto::{Asked, Counted, Decision, LineDecision, Outcome, Reason, SetLimit, SetSale, ShareOf};

use delivery::DeliveryBook;
use lots::LotBook;
use shares::ShareBook;

/// A rule that stands, by the sequence at which it was set.
#[derive(Clone, Debug)]
struct Standing<R> {
    sequence: u64,
    rule: R,
    /// Of a limit: the sequence with which it began to count.
    count: u64,
}

/// Count, period and key.
type Counter = (u64, i64, String);

type Named<T> = BTreeMap<(String, String), T>;

/// See the module. Fed every decision of a shard, in order.
#[derive(Debug, Default)]
pub(crate) struct SellingBook {
    window_ms: i64,
    /// By pool and SKU; no SKU is the whole pool.
    sales: Named<Standing<SetSale>>,
    /// By pool and name.
    limits: Named<Standing<SetLimit>>,
    units: HashMap<Counter, u64>,
    /// What each order is counted as, by pool, id and attempt.
    orders: HashMap<(String, String, u32), Vec<(Counter, u64)>>,
    shares: ShareBook,
    days: DeliveryBook,
    lots: LotBook,
}

impl SellingBook {
    /// Of a log whose ids are remembered for `window_ms`.
    pub(crate) fn new(window_ms: i64) -> SellingBook {
        SellingBook { window_ms, ..SellingBook::default() }
    }

    /// Takes the next decision; an error says what is wrong with it.
    pub(crate) fn take(&mut self, decision: &Decision) -> Result<(), String> {
        self.shares.restocked(decision);
        let judged = match (decision.asked(), decision.outcome()) {
            (Asked::SetSale, Outcome::Applied) => self.set_sale(decision),
            (Asked::SetLimit, Outcome::Applied) => self.set_limit(decision),
            (Asked::SetChannels, Outcome::Applied) => self.shares.set(decision),
            (Asked::SetDelivery, Outcome::Applied) => self.days.set(decision),
            // See below: what must last is what lots are about.
            (Asked::SetFreshness, Outcome::Applied) => delivery::says_nothing(decision),
            (Asked::Place, Outcome::Reserved) => self.reserved(decision).and_then(|()| self.days.reserved(decision)),
            (Asked::Place, Outcome::Rejected | Outcome::NotOpen) => {
                self.barred(decision).and_then(|()| self.days.barred(decision))
            }
            (Asked::Place, _) => self.days.copied(decision).and_then(|()| says_nothing(decision)),
            (_, Outcome::Extended) => self.days.extended(decision).and_then(|()| says_nothing(decision)),
            (_, Outcome::Shipped) => self.days.shipped(decision).and_then(|()| says_nothing(decision)),
            (_, Outcome::Cancelled | Outcome::Expired) => {
                for (counter, units) in self.orders.remove(&order(decision)).unwrap_or_default() {
                    *self.units.entry(counter).or_default() -= units;
                }
                let shares = self.shares.released(decision);
                shares.and_then(|()| self.days.released(decision)).and_then(|()| says_nothing(decision))
            }
            _ => delivery::says_nothing(decision).and_then(|()| says_nothing(decision)),
        };
        let lots = self.lots.take(decision, self.days.delivers(&decision.pool));
        judged.and(lots).map_err(|what| format!("{what}: {decision:?}"))
    }

    fn set_sale(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let sale = decision.sale.clone().ok_or("the rule is missing")?;
        let key = (decision.pool.clone(), sale.sku.clone());
        if sale == (SetSale { sku: sale.sku.clone(), ..SetSale::default() }) {
            self.sales.remove(&key);
        } else {
            self.sales.insert(key, Standing { sequence: decision.sequence, rule: sale, count: 0 });
        }
        Ok(())
    }

    fn set_limit(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let limit = decision.limit.clone().ok_or("the rule is missing")?;
        let key = (decision.pool.clone(), limit.name.clone());
        if limit.units == 0 && limit.units_an_order == 0 {
            self.limits.remove(&key);
            return Ok(());
        }
        let terms = |rule: &SetLimit| (rule.period_ms, rule.anchor_ms, rule.key.clone());
        let goes_on = self.limits.get(&key).filter(|before| terms(&before.rule) == terms(&limit));
        let count = goes_on.map_or(decision.sequence, |before| before.count);
        self.limits.insert(key, Standing { sequence: decision.sequence, rule: limit, count });
        Ok(())
    }

    fn reserved(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let now = decision.decided_at_ms;
        for sku in decision.lines.iter().map(|line| line.sku.as_str()).chain([""]) {
            let Some(Standing { rule, .. }) = self.sales.get(&(decision.pool.clone(), sku.to_owned())) else {
                continue;
            };
            let early = rule.early.iter().filter(|early| decision.segments.contains(&early.segment));
            let opens_at_ms = early.map(|early| early.opens_at_ms).min().unwrap_or(rule.opens_at_ms);
            holds(now >= opens_at_ms, "reserved before its sale opens")?;
            // What was over for longer may be forgotten with its row.
            let is_known = now - rule.closes_at_ms <= self.window_ms;
            holds(rule.closes_at_ms == 0 || now < rule.closes_at_ms || !is_known, "reserved after its sale")?;
            let is_eligible = rule.only.is_empty() || decision.segments.iter().any(|it| rule.only.contains(it));
            holds(
                is_eligible || !is_known && rule.closes_at_ms != 0,
                "reserved for somebody whom its sale is not for",
            )?;
        }
        let behind = decision.counted.iter().position(|told| told.share() != ShareOf::Unspecified);
        let (of_limits, of_shares) = decision.counted.split_at(behind.unwrap_or(decision.counted.len()));
        let limits = self.limits.iter().filter(|((pool, _), _)| *pool == decision.pool);
        let mut counts = Vec::new();
        for (_, Standing { rule, count, .. }) in limits {
            let lines = decision.lines.iter().filter(|line| rule.whole_pool || rule.skus.contains(&line.sku));
            let asked: u64 = lines.map(|line| u64::from(line.quantity)).sum();
            if asked == 0 {
                continue;
            }
            let period = if rule.period_ms == 0 { 0 } else { (now - rule.anchor_ms).div_euclid(rule.period_ms as i64) };
            let units = u32::try_from(asked).map_err(|_| "too many units")?;
            let told = Counted { count: *count, period, units, share: ShareOf::Unspecified.into() };
            holds(of_limits.contains(&told), "not counted by a limit that it stands under")?;
            let key = if rule.key.is_empty() { Some(&decision.customer) } else { key_named(decision, &rule.key) };
            let key = key.filter(|key| !key.is_empty()).ok_or("without the key that it is counted by")?;
            let counter = (*count, period, key.clone());
            let units = self.units.entry(counter.clone()).or_default();
            *units += asked;
            holds(rule.units == 0 || *units <= rule.units, "beyond a limit")?;
            holds(rule.units_an_order == 0 || asked <= rule.units_an_order, "an order beyond a limit")?;
            counts.push((counter, asked));
        }
        holds(of_limits.len() == counts.len(), "counted by a limit that it does not stand under")?;
        self.orders.insert(order(decision), counts);
        self.shares.reserved(decision, of_shares)
    }

    /// Whatever bars an order names a rule that says so.
    fn barred(&self, decision: &Decision) -> Result<(), &'static str> {
        let now = decision.decided_at_ms;
        let flagged = |line: &&LineDecision| line.rule != 0;
        let lines: Vec<&LineDecision> = decision.lines.iter().filter(flagged).collect();
        let rules = lines.iter().map(|line| line.rule).chain(Some(decision.rule).filter(|rule| *rule != 0));
        let sales = self.sales.values().map(|sale| (sale.sequence, &sale.rule));
        let limits = self.limits.values().map(|limit| (limit.sequence, &limit.rule));
        for rule in rules.clone() {
            let sale = sales.clone().find(|(sequence, _)| *sequence == rule).map(|(_, sale)| sale);
            let limit = limits.clone().find(|(sequence, _)| *sequence == rule).map(|(_, limit)| limit);
            let says_so = match (decision.outcome(), decision.reason(), sale, limit) {
                (Outcome::NotOpen, Reason::Unspecified, Some(sale), _) => now < sale.opens_at_ms,
                (_, Reason::Closed, Some(sale), _) => sale.closes_at_ms != 0 && now >= sale.closes_at_ms,
                (_, Reason::NotEligible, Some(sale), _) => !sale.only.is_empty(),
                (_, Reason::NotEligible, _, Some(limit)) => !limit.key.is_empty(),
                (_, Reason::Limit, _, Some(limit)) => limit.units.max(limit.units_an_order) > 0,
                (_, Reason::Quota, None, None) => self.shares.bars(decision, rule),
                (_, Reason::Late | Reason::DeliveryFull, None, None) => self.days.stands(decision, rule),
                _ => false,
            };
            holds(says_so, "barred by a rule that does not say so")?;
        }
        let of_lines =
            matches!(decision.reason(), Reason::Closed | Reason::NotEligible | Reason::Limit | Reason::Quota);
        let of_rules = of_lines || matches!(decision.reason(), Reason::Late | Reason::DeliveryFull);
        holds(rules.count() > 0 || !of_rules && decision.outcome() != Outcome::NotOpen, "barred by no rule")?;
        if matches!(decision.reason(), Reason::Limit | Reason::Quota) {
            let within = |line: &&LineDecision| line.left.is_some_and(|left| left < line.quantity.into());
            holds(lines.iter().all(within), "a limit or a share that left enough")?;
        }
        if decision.outcome() == Outcome::NotOpen {
            holds(decision.opens_at_ms > now, "open by now")?;
            let last = lines.iter().map(|line| line.opens_at_ms).max();
            holds(last.is_none_or(|last| last == decision.opens_at_ms), "not the instant of the last line")?;
        }
        Ok(())
    }
}

fn order(decision: &Decision) -> (String, String, u32) {
    (decision.pool.clone(), decision.order_id.clone(), decision.attempt)
}

fn key_named<'a>(decision: &'a Decision, name: &str) -> Option<&'a String> {
    decision.keys.iter().find(|key| key.name == name).map(|key| &key.value)
}

fn holds(it: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if it { Ok(()) } else { Err(otherwise) }
}

/// Only what sets a rule, passes one or is barred by one speaks of rules.
fn says_nothing(decision: &Decision) -> Result<(), &'static str> {
    let Decision { sale, limit, channels, counted, customer, keys, segments, .. } = decision;
    let Decision { channel, opens_at_ms, rule, issued_at_ms, delivery, .. } = decision;
    let lists = counted.is_empty() && keys.is_empty() && segments.is_empty();
    let texts = customer.is_empty() && channel.is_empty();
    let rules = sale.is_none() && limit.is_none() && channels.is_none() && delivery.is_none();
    // A stale rule is told of the one that stands.
    let stale = decision.reason() == Reason::Stale;
    let numbers = *opens_at_ms == 0 && (stale || (*rule, *issued_at_ms) == (0, 0));
    holds(rules && lists && texts && numbers, "speaks of selling rules")
}
