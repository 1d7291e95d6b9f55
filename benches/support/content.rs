//! The contract's hash of an order's content, the plain way.

use sluice::wire::proto::Place;
use xxhash_rust::xxh3::xxh3_64;

/// `Decision.content` of a Place.
pub(crate) fn content(place: &Place) -> u64 {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut bytes = Vec::new();
    let mut sum = 0u64;
    for line in &place.lines {
        bytes.clear();
        text(&mut bytes, &line.sku);
        bytes.extend(line.quantity.to_le_bytes());
        sum = sum.wrapping_add(xxh3_64(&bytes));
    }
    bytes.clear();
    text(&mut bytes, &place.pool);
    text(&mut bytes, &place.customer);
    text(&mut bytes, &place.channel);
    bytes.extend(place.placed_at_ms.to_le_bytes());
    bytes.extend(sum.to_le_bytes());
    xxh3_64(&bytes)
}
