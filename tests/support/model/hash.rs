//! The hashes that the wire contract names, the plain way.

use sluice::wire::proto::{Asked, Place, SetChannels, SetDelivery, SetFreshness, SetLimit, SetSale, StockCommand};
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
    let hash = it.keys.iter().fold(xxh3_64(&bytes), |hash, key| {
        let mut bytes = hash.to_le_bytes().to_vec();
        push_str(&mut bytes, &key.name);
        push_str(&mut bytes, &key.value);
        xxh3_64(&bytes)
    });
    if it.service.is_empty() && it.day == 0 && it.late == 0 {
        return hash;
    }
    let mut bytes = hash.to_le_bytes().to_vec();
    push_str(&mut bytes, &it.service);
    bytes.extend(it.day.to_le_bytes());
    bytes.push(it.late as u8);
    xxh3_64(&bytes)
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

/// `Decision.content` of a stock command, with the lot and expiry that it names.
pub(crate) fn content_of_stock(
    asked: Asked,
    it: &StockCommand,
    sku: &str,
    figures: [i64; 2],
    reason: &str,
    (lot, expiry): (&str, u32),
) -> u64 {
    let mut bytes = vec![asked as i32 as u8];
    push_str(&mut bytes, &it.pool);
    bytes.extend(it.issued_at_ms.to_le_bytes());
    push_str(&mut bytes, sku);
    figures.iter().for_each(|figure| bytes.extend(figure.to_le_bytes()));
    push_str(&mut bytes, reason);
    if !lot.is_empty() || expiry != 0 {
        push_str(&mut bytes, lot);
        bytes.extend(i64::from(expiry).to_le_bytes());
    }
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

/// What is said of the channels of a SKU.
pub(super) fn define_channels(bytes: &mut Vec<u8>, it: &SetChannels) {
    push_str(bytes, &it.sku);
    bytes.extend((it.channels.len() as u32).to_le_bytes());
    for share in &it.channels {
        push_str(bytes, &share.channel);
        bytes.extend(share.protected.to_le_bytes());
        bytes.push(share.at_most.is_some().into());
        bytes.extend(share.at_most.unwrap_or(0).to_le_bytes());
    }
    bytes.extend(it.protected_until_ms.to_le_bytes());
}

/// What is said of the freshness of a SKU.
pub(super) fn define_freshness(bytes: &mut Vec<u8>, it: &SetFreshness) {
    push_str(bytes, &it.sku);
    bytes.extend(it.least_days.to_le_bytes());
}

/// What is said of the delivery of a pool.
pub(super) fn define_delivery(bytes: &mut Vec<u8>, it: &SetDelivery) {
    let push_u32 = |bytes: &mut Vec<u8>, number: u32| bytes.extend(number.to_le_bytes());
    push_u32(bytes, it.services.len() as u32);
    for service in &it.services {
        push_str(bytes, &service.name);
        push_str(bytes, &service.time_zone);
        push_u32(bytes, service.days.len() as u32);
        service.days.iter().flat_map(|day| [day.weekday, day.cutoff_s]).for_each(|number| push_u32(bytes, number));
        push_u32(bytes, service.lead);
        push_u32(bytes, service.closed.len() as u32);
        service.closed.iter().for_each(|closed| push_u32(bytes, closed.day));
        bytes.extend(service.orders_a_day.to_le_bytes());
        push_u32(bytes, service.horizon);
        bytes.push(service.late as u8);
        bytes.extend(service.grace_ms.to_le_bytes());
    }
}
