//! Hashes of content: what tells a changed copy of a command from a true one. `ledger/RULES.md`, "Hashes", has the
//! definition; a client in another language may compute the same.
//!
//! `str` is a u32 length and the bytes, integers are little-endian, the hash is XXH3 with 64 bits and seed 0.

use xxhash_rust::xxh3::xxh3_64;

use super::command::{OrderLines, StockChange};
use super::limits::MAX_ID_BYTES;
use super::lots::NamedLot;
use super::proto::Asked;
use super::put::Pen;
use super::selling::{Rule, Vouched};
use super::text::Text;

/// Longest content that is gathered on the stack in one piece, in bytes: that of ordinary ids. Short, because the room
/// is cleared for each hash.
const SHORT_BYTES: usize = 96;

/// Longest content of one hash, in bytes: four texts within the limits, and the numbers beside them.
const LONG_BYTES: usize = 4 * (4 + MAX_ID_BYTES) + 1 + 4 * 8;

/// Content of an order.
#[inline]
pub fn of_order(
    pool: Text<'_>,
    customer: Text<'_>,
    channel: Text<'_>,
    placed_at_ms: i64,
    lines: OrderLines<'_>,
    vouched: &Vouched<'_>,
) -> u64 {
    let mut sum = 0_u64;
    for line in lines {
        sum = sum.wrapping_add(hash(4 + line.sku.len() + 4, |pen| {
            text(pen, line.sku);
            pen.bytes(line.quantity.to_le_bytes());
        }));
    }
    let plain = hash(3 * 4 + pool.len() + customer.len() + channel.len() + 2 * 8, |pen| {
        text(pen, pool);
        text(pen, customer);
        text(pen, channel);
        pen.bytes(placed_at_ms.to_le_bytes());
        pen.bytes(sum.to_le_bytes());
    });
    if vouched.is_empty() { plain } else { with_brought(plain, vouched) }
}

/// What an order brings beyond its lines joins the hash only where there is any.
#[inline(never)]
fn with_brought(plain: u64, vouched: &Vouched<'_>) -> u64 {
    let with_keys = vouched.keys().fold(plain, |before, (name, value)| {
        hash(8 + 2 * 4 + name.len() + value.len(), |pen| {
            pen.bytes(before.to_le_bytes());
            text(pen, name);
            text(pen, value);
        })
    });
    let asked = vouched.delivery();
    if asked.is_empty() {
        return with_keys;
    }
    hash(8 + 4 + asked.service.len() + 4 + 1, |pen| {
        pen.bytes(with_keys.to_le_bytes());
        text(pen, asked.service);
        pen.bytes(asked.day.to_le_bytes());
        pen.bytes([asked.late as u8]);
    })
}

/// Content of a command that sets a selling rule.
pub fn of_rule(pool: Text<'_>, issued_at_ms: i64, asked: Asked, rule: &Rule<'_>) -> u64 {
    let mut bytes = vec![asked as u8];
    bytes.extend_from_slice(&(pool.len() as u32).to_le_bytes());
    bytes.extend_from_slice(pool.as_bytes());
    bytes.extend_from_slice(&issued_at_ms.to_le_bytes());
    rule.define(&mut bytes);
    xxh3_64(&bytes)
}

/// Content of a stock command.
pub fn of_stock(pool: Text<'_>, issued_at_ms: i64, change: &StockChange<'_>) -> u64 {
    if let Some(rule) = change.rule() {
        return of_rule(pool, issued_at_ms, change.asked(), &rule);
    }
    let (sku, a, b, reason) = match *change {
        StockChange::Receive { sku, quantity, .. } | StockChange::SetSafetyStock { sku, quantity } => {
            (sku, quantity as i64, 0, Text::EMPTY)
        }
        StockChange::Adjust { sku, change, reason, .. } => (sku, change, 0, reason),
        StockChange::Count { sku, counted, on_hand_seen, .. } => (sku, counted as i64, on_hand_seen, Text::EMPTY),
        StockChange::Halt { sku, .. } | StockChange::Resume { sku, .. } => (sku, 0, 0, Text::EMPTY),
        StockChange::SetSale(_)
        | StockChange::SetLimit(_)
        | StockChange::SetChannels(_)
        | StockChange::SetFreshness(_)
        | StockChange::SetDelivery(_) => {
            unreachable!("hashed above")
        }
    };
    let named = change.lot();
    let of_lot = if named.is_none() { 0 } else { 4 + named.lot.len() + 8 };
    hash(1 + 3 * 4 + pool.len() + sku.len() + reason.len() + 3 * 8 + of_lot, |pen| {
        pen.bytes([change.asked() as u8]);
        text(pen, pool);
        pen.bytes(issued_at_ms.to_le_bytes());
        text(pen, sku);
        pen.bytes(a.to_le_bytes());
        pen.bytes(b.to_le_bytes());
        text(pen, reason);
        if !named.is_none() {
            let NamedLot { lot, expiry } = named;
            text(pen, lot);
            pen.bytes(i64::from(expiry).to_le_bytes());
        }
    })
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
            StockChange::SetSale(_) => Asked::SetSale,
            StockChange::SetLimit(_) => Asked::SetLimit,
            StockChange::SetChannels(_) => Asked::SetChannels,
            StockChange::SetFreshness(_) => Asked::SetFreshness,
            StockChange::SetDelivery(_) => Asked::SetDelivery,
        }
    }
}

#[inline(always)]
fn text(pen: &mut Pen<'_>, text: Text<'_>) {
    pen.bytes((text.len() as u32).to_le_bytes());
    pen.raw(text.as_bytes());
}

/// Hashes the `length` bytes that `write` gives, gathered on the stack: hashing once costs a tenth of setting up the
/// streaming state.
#[inline(always)]
fn hash(length: usize, write: impl FnOnce(&mut Pen<'_>)) -> u64 {
    if length <= SHORT_BYTES { gather(&mut [0; SHORT_BYTES], length, write) } else { hash_long(length, write) }
}

#[inline(always)]
fn gather(room: &mut [u8], length: usize, write: impl FnOnce(&mut Pen<'_>)) -> u64 {
    write(&mut Pen::new(room));
    xxh3_64(&room[..length])
}

/// Texts of a good length. Beyond the limits is what the ledger refuses before it asks for its content.
#[cold]
fn hash_long(length: usize, write: impl FnOnce(&mut Pen<'_>)) -> u64 {
    if length <= LONG_BYTES {
        gather(&mut [0; LONG_BYTES], length, write)
    } else {
        gather(&mut vec![0; length], length, write)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::LinesBuf;
    use super::*;

    fn order(pool: &str, customer: &str, channel: &str, placed_at_ms: i64, lines: &[(&str, u32)]) -> u64 {
        let lines: LinesBuf = lines.iter().copied().collect();
        of_order(pool.into(), customer.into(), channel.into(), placed_at_ms, lines.lines(), &Vouched::default())
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
        let change =
            StockChange::Adjust { sku: "shirt".into(), change: -3, reason: "moths".into(), lot: NamedLot::default() };
        let bytes = [
            &b"\x08\x02\0\0\0p1"[..],
            &9_i64.to_le_bytes(),
            b"\x05\0\0\0shirt",
            &(-3_i64).to_le_bytes(),
            &0_i64.to_le_bytes(),
            b"\x05\0\0\0moths",
        ]
        .concat();
        assert_eq!(of_stock("p1".into(), 9, &change), xxh3_64(&bytes));
        let lot = NamedLot { lot: "L7".into(), expiry: 20_240_301 };
        let change = StockChange::Adjust { sku: "shirt".into(), change: -3, reason: "moths".into(), lot };
        let bytes = [&bytes[..], b"\x02\0\0\0L7", &20_240_301_i64.to_le_bytes()].concat();
        assert_eq!(of_stock("p1".into(), 9, &change), xxh3_64(&bytes));
    }

    #[test]
    fn texts_of_any_length_hash_by_the_same_definition() {
        for length in (0..3 * SHORT_BYTES).chain([LONG_BYTES - 5, LONG_BYTES - 4, 10 * LONG_BYTES]) {
            let long = "x".repeat(length);
            let bytes = [&(long.len() as u32).to_le_bytes()[..], long.as_bytes(), &[7]].concat();
            let made = hash(4 + length + 1, |pen| {
                text(pen, (&*long).into());
                pen.bytes([7]);
            });
            assert_eq!(made, xxh3_64(&bytes));
        }
    }
}
