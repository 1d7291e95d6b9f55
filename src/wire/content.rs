//! Hashes of content: what tells a changed copy of a command from a true one. ARCHITECTURE.md, "Hashes", has the
//! definition; a client in another language may compute the same.
//!
//! `str` is a u32 length and the bytes, integers are little-endian, the hash is XXH3 with 64 bits and seed 0.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::command::{OrderLines, StockChange};
use super::limits::MAX_ID_BYTES;
use super::proto::Asked;

/// Longest content of one hash, in bytes: three texts within the limits, and the numbers beside them.
const CONTENT_BYTES: usize = 3 * (4 + MAX_ID_BYTES) + 1 + 3 * 8;

/// Content of an order.
pub fn of_order(pool: &str, customer: &str, channel: &str, placed_at_ms: i64, lines: OrderLines<'_>) -> u64 {
    let mut sum = 0_u64;
    for line in lines.raw() {
        sum = sum.wrapping_add(hash(&[Part::Text(line.sku), Part::Bytes(&line.quantity.to_le_bytes())]));
    }
    hash(&[
        Part::Text(pool.as_bytes()),
        Part::Text(customer.as_bytes()),
        Part::Text(channel.as_bytes()),
        Part::Bytes(&placed_at_ms.to_le_bytes()),
        Part::Bytes(&sum.to_le_bytes()),
    ])
}

/// Content of a stock command.
pub fn of_stock(pool: &str, issued_at_ms: i64, change: &StockChange<'_>) -> u64 {
    let (sku, a, b, reason) = match *change {
        StockChange::Receive { sku, quantity } | StockChange::SetSafetyStock { sku, quantity } => {
            (sku, quantity as i64, 0, "")
        }
        StockChange::Adjust { sku, change, reason } => (sku, change, 0, reason),
        StockChange::Count { sku, counted, on_hand_seen } => (sku, counted as i64, on_hand_seen, ""),
        StockChange::Halt { sku } | StockChange::Resume { sku } => (sku, 0, 0, ""),
    };
    hash(&[
        Part::Bytes(&[change.asked() as u8]),
        Part::Text(pool.as_bytes()),
        Part::Bytes(&issued_at_ms.to_le_bytes()),
        Part::Text(sku.as_bytes()),
        Part::Bytes(&a.to_le_bytes()),
        Part::Bytes(&b.to_le_bytes()),
        Part::Text(reason.as_bytes()),
    ])
}

impl StockChange<'_> {
    /// What it asks, as decisions name it.
    pub fn asked(&self) -> Asked {
        match self {
            StockChange::Receive { .. } => Asked::Receive,
            StockChange::Adjust { .. } => Asked::Adjust,
            StockChange::Count { .. } => Asked::Count,
            StockChange::SetSafetyStock { .. } => Asked::SetSafetyStock,
            StockChange::Halt { .. } => Asked::Halt,
            StockChange::Resume { .. } => Asked::Resume,
        }
    }
}

/// A piece of what is hashed.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// With its length in front.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Gathers the parts on the stack: hashing once costs a tenth of setting up the streaming state.
#[inline]
fn hash(parts: &[Part<'_>]) -> u64 {
    let mut gathered = [0; CONTENT_BYTES];
    let mut used = 0;
    for part in parts {
        let bytes = match part {
            Part::Bytes(bytes) => *bytes,
            Part::Text(text) => {
                let Some(to) = gathered.get_mut(used..used + 4) else { return hash_long(parts) };
                to.copy_from_slice(&(text.len() as u32).to_le_bytes());
                used += 4;
                text
            }
        };
        let Some(to) = gathered.get_mut(used..used + bytes.len()) else { return hash_long(parts) };
        to.copy_from_slice(bytes);
        used += bytes.len();
    }
    xxh3_64(&gathered[..used])
}

/// Texts beyond the limits; the ledger refuses them before it asks for their content.
#[cold]
fn hash_long(parts: &[Part<'_>]) -> u64 {
    let mut state = Xxh3::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) => state.update(bytes),
            Part::Text(text) => {
                state.update(&(text.len() as u32).to_le_bytes());
                state.update(text);
            }
        }
    }
    state.digest()
}

#[cfg(test)]
mod tests {
    use super::super::command::LinesBuf;
    use super::*;

    fn order(pool: &str, customer: &str, channel: &str, placed_at_ms: i64, lines: &[(&str, u32)]) -> u64 {
        let lines: LinesBuf = lines.iter().copied().collect();
        of_order(pool, customer, channel, placed_at_ms, lines.lines())
    }

    #[test]
    fn an_order_hashes_as_the_architecture_says() {
        let line = |sku: &str, quantity: u32| {
            xxh3_64(&[&(sku.len() as u32).to_le_bytes(), sku.as_bytes(), &quantity.to_le_bytes()].concat())
        };
        let sum = line("shirt", 2).wrapping_add(line("socks", 1));
        let bytes =
            [&b"\x02\0\0\0p1\x02\0\0\0c7\x03\0\0\0web"[..], &1_700_000_000_000_i64.to_le_bytes(), &sum.to_le_bytes()]
                .concat();
        assert_eq!(order("p1", "c7", "web", 1_700_000_000_000, &[("shirt", 2), ("socks", 1)]), xxh3_64(&bytes));
    }

    #[test]
    fn the_order_of_lines_does_not_matter_and_all_else_does() {
        let base = order("p", "c", "web", 5, &[("a", 1), ("b", 2)]);
        assert_eq!(base, order("p", "c", "web", 5, &[("b", 2), ("a", 1)]));
        for other in [
            order("q", "c", "web", 5, &[("a", 1), ("b", 2)]),
            order("p", "d", "web", 5, &[("a", 1), ("b", 2)]),
            order("p", "c", "app", 5, &[("a", 1), ("b", 2)]),
            order("p", "c", "web", 6, &[("a", 1), ("b", 2)]),
            order("p", "c", "web", 5, &[("a", 2), ("b", 1)]),
            order("p", "c", "web", 5, &[("a", 1)]),
            order("p", "cweb", "", 5, &[("a", 1), ("b", 2)]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_stock_command_hashes_as_the_architecture_says() {
        let change = StockChange::Adjust { sku: "shirt", change: -3, reason: "moths" };
        let bytes = [
            &b"\x08\x02\0\0\0p1"[..],
            &9_i64.to_le_bytes(),
            b"\x05\0\0\0shirt",
            &(-3_i64).to_le_bytes(),
            &0_i64.to_le_bytes(),
            b"\x05\0\0\0moths",
        ]
        .concat();
        assert_eq!(of_stock("p1", 9, &change), xxh3_64(&bytes));
    }

    #[test]
    fn texts_beyond_the_limits_hash_by_the_same_definition() {
        let long = "x".repeat(10 * CONTENT_BYTES);
        let bytes = [&(long.len() as u32).to_le_bytes()[..], long.as_bytes(), &[7]].concat();
        assert_eq!(hash(&[Part::Text(long.as_bytes()), Part::Bytes(&[7])]), xxh3_64(&bytes));
    }
}
