//! The running digest, summed anew over everything that the model knows (RULES.md, "Hashes"): the engine keeps its own
//! by adding and taking away, so one change that it misses shows here for good.

use sluice::wire::proto::{OrderState, Original, Outcome, Reason};
use xxhash_rust::xxh3::xxh3_128;

use super::hash::{define_channels, define_delivery, define_freshness, define_limit, define_sale, push_str};
use super::lots::Lot;
use super::{Model, Order, OrderKey, Row, Stamp};

/// What kind of identity is remembered.
const ORDER: u8 = 1;
const STOCK_COMMAND: u8 = 2;

impl Model {
    /// "xxh3-128-sum" of all that is known now.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let rows = self.rows.iter().map(|(key, row)| self.row_hash(key, row));
        let lots = self
            .rows
            .iter()
            .flat_map(|(key, row)| row.lots.iter().map(move |(number, lot)| lot_hash(key, *number, lot)));
        let halted = self.halted_pools.iter().map(|pool| {
            let mut bytes = vec![2];
            push_str(&mut bytes, pool);
            xxh3_128(&bytes)
        });
        let orders = self.orders.iter().map(|(key, order)| match order.state {
            OrderState::Held | OrderState::Committed => open_hash(key, order),
            _ => self.closed_hash(key, order),
        });
        let stock = self.stock_ids.iter().map(|((pool, id), (first, content, at))| {
            self.remembered_hash((STOCK_COMMAND, 0, pool, id), *content, *first, OrderState::Unspecified, *at)
        });
        let level = (self.rules_level > 0).then(|| {
            let mut bytes = vec![5];
            bytes.extend(self.rules_level.to_le_bytes());
            xxh3_128(&bytes)
        });
        let sum = |hashes: &mut dyn Iterator<Item = u128>| hashes.fold(0, u128::wrapping_add);
        let known = sum(&mut rows.chain(lots).chain(halted).chain(orders).chain(stock).chain(level));
        known.wrapping_add(self.rules_hash()).to_be_bytes()
    }

    /// Of selling rules, and of what limits and shares have counted.
    fn rules_hash(&self) -> u128 {
        let rules = self.canonical_rules().map(|bytes| xxh3_128(&bytes));
        let of_limits = self.counters.iter().map(|((count, period, key), units)| (*count, *period, key, *units));
        let of_shares = self.shares.iter().map(|((count, channel), units)| (*count, 0, channel, *units));
        let counters = of_limits.chain(of_shares).map(|(count, period, key, units)| {
            let mut bytes = vec![8];
            bytes.extend(count.to_le_bytes());
            bytes.extend(i64::to_le_bytes(period));
            bytes.extend(xxh3_128(key.as_bytes()).to_le_bytes());
            xxh3_128(&bytes).wrapping_mul(u128::from(units))
        });
        let days = self.day_counts.iter().map(|((pool, service, day), orders)| {
            let mut bytes = vec![14];
            push_str(&mut bytes, pool);
            push_str(&mut bytes, service);
            bytes.extend(day.to_le_bytes());
            xxh3_128(&bytes).wrapping_mul(u128::from(*orders))
        });
        rules.chain(counters).chain(days).fold(0, u128::wrapping_add)
    }

    /// The canonical bytes of each rule that stands or is remembered.
    pub(super) fn canonical_rules(&self) -> impl Iterator<Item = Vec<u8>> {
        let sales = self.sales.iter().map(|((pool, sku), sale)| {
            let mut bytes = vec![6];
            push_str(&mut bytes, pool);
            push_str(&mut bytes, sku);
            self.push_stamp(&mut bytes, &sale.stamp, sale.rule.is_some());
            if let Some(rule) = &sale.rule {
                define_sale(&mut bytes, rule);
            }
            bytes
        });
        let limits = self.limits.iter().map(|((pool, name), limit)| {
            let mut bytes = vec![7];
            push_str(&mut bytes, pool);
            self.push_stamp(&mut bytes, &limit.stamp, limit.rule.is_some());
            push_str(&mut bytes, name);
            if let Some(rule) = &limit.rule {
                bytes.extend(limit.count.to_le_bytes());
                define_limit(&mut bytes, rule);
            }
            bytes
        });
        let channels = self.channels.iter().map(|((pool, sku), channels)| {
            let mut bytes = vec![9];
            push_str(&mut bytes, pool);
            self.push_stamp(&mut bytes, &channels.stamp, channels.rule.is_some());
            push_str(&mut bytes, sku);
            if let Some(rule) = &channels.rule {
                channels.counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
                define_channels(&mut bytes, rule);
            }
            bytes
        });
        let freshness = self.freshness.iter().map(|((pool, sku), freshness)| {
            let mut bytes = vec![12];
            push_str(&mut bytes, pool);
            push_str(&mut bytes, sku);
            self.push_stamp(&mut bytes, &freshness.stamp, freshness.rule.is_some());
            if let Some(rule) = &freshness.rule {
                define_freshness(&mut bytes, rule);
            }
            bytes
        });
        let deliveries = self.deliveries.iter().map(|(pool, delivery)| {
            let mut bytes = vec![13];
            push_str(&mut bytes, pool);
            self.push_stamp(&mut bytes, &delivery.stamp, delivery.rule.is_some());
            if let Some(rule) = &delivery.rule {
                define_delivery(&mut bytes, rule);
            }
            bytes
        });
        sales.chain(limits).chain(channels).chain(freshness).chain(deliveries)
    }

    fn push_stamp(&self, bytes: &mut Vec<u8>, stamp: &Stamp, stands: bool) {
        bytes.extend(stamp.issued_at.to_le_bytes());
        bytes.extend(stamp.sequence.to_le_bytes());
        bytes.extend(self.generation(stamp.at).to_le_bytes());
        bytes.push(stands.into());
    }

    fn row_hash(&self, (pool, sku): &(String, String), row: &Row) -> u128 {
        let mut bytes = vec![1];
        push_str(&mut bytes, pool);
        push_str(&mut bytes, sku);
        for figure in [row.on_hand, row.reserved, row.committed, row.safety] {
            bytes.extend(figure.to_le_bytes());
        }
        bytes.push(row.halted.into());
        bytes.extend(self.generation(row.changed_at).to_le_bytes());
        xxh3_128(&bytes)
    }

    fn closed_hash(&self, (pool, order_id, attempt): &OrderKey, order: &Order) -> u128 {
        let (outcome, reason) = (Outcome::Cancelled.into(), Reason::BeforePlace.into());
        let first = order.original.unwrap_or(Original { sequence: 0, outcome, reason });
        self.remembered_hash((ORDER, *attempt, pool, order_id), order.content, first, order.state, order.changed_at)
    }

    fn remembered_hash(
        &self,
        (kind, attempt, pool, id): (u8, u32, &str, &str),
        content: u64,
        first: Original,
        state: OrderState,
        changed_at: i64,
    ) -> u128 {
        let mut bytes = vec![4, kind];
        bytes.extend(attempt.to_le_bytes());
        bytes.extend((pool.len() as u16).to_le_bytes());
        bytes.extend(pool.bytes().chain(id.bytes()));
        bytes.extend(content.to_le_bytes());
        bytes.extend(first.sequence.to_le_bytes());
        bytes.extend([first.outcome as u8, first.reason as u8, state as u8]);
        bytes.extend(self.generation(changed_at).to_le_bytes());
        xxh3_128(&bytes)
    }
}

fn open_hash((pool, order_id, attempt): &OrderKey, order: &Order) -> u128 {
    let sequence = order.original.expect("it was placed").sequence;
    let expires_at = if order.state == OrderState::Held { order.expires_at } else { 0 };
    let mut bytes = vec![3];
    push_str(&mut bytes, pool);
    push_str(&mut bytes, order_id);
    bytes.extend(attempt.to_le_bytes());
    bytes.extend(order.content.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.push(order.state as u8);
    bytes.extend(expires_at.to_le_bytes());
    for (sku, units) in &order.lines {
        push_str(&mut bytes, sku);
        bytes.extend(units.to_le_bytes());
    }
    for known in &order.counts {
        bytes.extend(known.count.to_le_bytes());
        bytes.extend(known.period.to_le_bytes());
        bytes.extend(xxh3_128(known.key.as_bytes()).to_le_bytes());
        bytes.extend(known.units.to_le_bytes());
    }
    if let Some(promise) = &order.delivery {
        push_str(&mut bytes, &promise.service);
        bytes.extend(promise.day.to_le_bytes());
        bytes.extend(promise.cutoff.to_le_bytes());
        bytes.extend(promise.hold_until.to_le_bytes());
    }
    for part in &order.parts {
        [part.line as u32, part.lot, part.units].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    }
    xxh3_128(&bytes)
}

fn lot_hash((pool, sku): &(String, String), number: u32, lot: &Lot) -> u128 {
    let mut bytes = vec![11];
    push_str(&mut bytes, pool);
    push_str(&mut bytes, sku);
    bytes.extend(number.to_le_bytes());
    push_str(&mut bytes, &lot.name);
    bytes.extend(lot.expiry.to_le_bytes());
    for figure in [lot.on_hand, lot.reserved, lot.committed] {
        bytes.extend(figure.to_le_bytes());
    }
    bytes.push(lot.halted.into());
    xxh3_128(&bytes)
}
