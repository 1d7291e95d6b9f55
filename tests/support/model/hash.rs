//! The hashes that the wire contract names, the plain way.

use sluice::wire::proto::{Asked, Place, SetLimit, SetSale, StockCommand};
use xxhash_rust::xxh3::xxh3_64;

pub(super) fn push_str(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// `Decision.content` of a Place.
pub(crate) fn content_of_place(it: &Place) -> u64 {
    let lines = it.lines.iter().map(|line| {
        let mut bytes = Vec::new();
        push_str(&mut bytes, &line.sku);
        bytes.extend(line.quantity.to_le_bytes());
        xxh3_64(&bytes)
    });
    let sum = lines.fold(0u64, u64::wrapping_add);
    let mut bytes = Vec::new();
    push_str(&mut bytes, &it.pool);
    push_str(&mut bytes, &it.customer);
    push_str(&mut bytes, &it.channel);
    bytes.extend(it.placed_at_ms.to_le_bytes());
    bytes.extend(sum.to_le_bytes());
    it.keys.iter().fold(xxh3_64(&bytes), |hash, key| {
        let mut bytes = hash.to_le_bytes().to_vec();
        push_str(&mut bytes, &key.name);
        push_str(&mut bytes, &key.value);
        xxh3_64(&bytes)
    })
}

/// The partition that Java's default partitioner sends a key to: murmur2, made positive, modulo.
pub(crate) fn partition(key: &str, partitions: u32) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let data = key.as_bytes();
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) % partitions
}

/// `Decision.content` of a stock command.
pub(crate) fn content_of_stock(asked: Asked, it: &StockCommand, sku: &str, a: i64, b: i64, reason: &str) -> u64 {
    let mut bytes = vec![asked as i32 as u8];
    push_str(&mut bytes, &it.pool);
    bytes.extend(it.issued_at_ms.to_le_bytes());
    push_str(&mut bytes, sku);
    bytes.extend(a.to_le_bytes());
    bytes.extend(b.to_le_bytes());
    push_str(&mut bytes, reason);
    xxh3_64(&bytes)
}

/// `Decision.content` of a command that sets a rule, which `define` writes.
pub(crate) fn content_of_rule(asked: Asked, it: &StockCommand, define: impl FnOnce(&mut Vec<u8>)) -> u64 {
    let mut bytes = vec![asked as i32 as u8];
    push_str(&mut bytes, &it.pool);
    bytes.extend(it.issued_at_ms.to_le_bytes());
    define(&mut bytes);
    xxh3_64(&bytes)
}

fn push_list(bytes: &mut Vec<u8>, texts: &[String]) {
    bytes.extend((texts.len() as u32).to_le_bytes());
    texts.iter().for_each(|text| push_str(bytes, text));
}

/// What a sale says.
pub(super) fn define_sale(bytes: &mut Vec<u8>, it: &SetSale) {
    push_str(bytes, &it.sku);
    bytes.extend(it.opens_at_ms.to_le_bytes());
    bytes.extend(it.closes_at_ms.to_le_bytes());
    bytes.extend((it.early.len() as u32).to_le_bytes());
    for early in &it.early {
        push_str(bytes, &early.segment);
        bytes.extend(early.opens_at_ms.to_le_bytes());
    }
    push_list(bytes, &it.only);
}

/// What a limit says.
pub(super) fn define_limit(bytes: &mut Vec<u8>, it: &SetLimit) {
    push_str(bytes, &it.name);
    bytes.extend(it.units.to_le_bytes());
    bytes.extend(it.units_an_order.to_le_bytes());
    push_list(bytes, &it.skus);
    bytes.push(it.whole_pool.into());
    push_str(bytes, &it.key);
    bytes.extend(it.period_ms.to_le_bytes());
    bytes.extend(it.anchor_ms.to_le_bytes());
}
