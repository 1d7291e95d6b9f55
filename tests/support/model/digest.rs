//! The running digest, summed anew over everything that the model knows (RULES.md, "Hashes"): the engine keeps its own
//! by adding and taking away, so one change that it misses shows here for good.

use sluice::wire::proto::{OrderState, Original, Outcome, Reason};
use xxhash_rust::xxh3::xxh3_128;

use super::hash::{define_limit, define_sale, push_str};
use super::{Model, Order, OrderKey, Row, Stamp};

/// What kind of identity is remembered.
const ORDER: u8 = 1;
const STOCK_COMMAND: u8 = 2;

impl Model {
    /// "xxh3-128-sum" of all that is known now.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let rows = self.rows.iter().map(|(key, row)| self.row_hash(key, row));
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
        let known = sum(&mut rows.chain(halted).chain(orders).chain(stock).chain(level));
        known.wrapping_add(self.rules_hash()).to_be_bytes()
    }

    /// Of selling rules, and of what limits have counted.
    fn rules_hash(&self) -> u128 {
        let rules = self.canonical_rules().map(|bytes| xxh3_128(&bytes));
        let counters = self.counters.iter().map(|((count, period, key), units)| {
            let mut bytes = vec![8];
            bytes.extend(count.to_le_bytes());
            bytes.extend(period.to_le_bytes());
            bytes.extend(xxh3_128(key.as_bytes()).to_le_bytes());
            xxh3_128(&bytes).wrapping_mul(u128::from(*units))
        });
        rules.chain(counters).fold(0, u128::wrapping_add)
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
        sales.chain(limits)
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
    xxh3_128(&bytes)
}
