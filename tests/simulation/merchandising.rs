//! Selling rules as merchandising sets them, and what checkouts vouch for: few of everything, and short times, so that
//! rules open, close, turn their periods and replace each other while orders for their SKUs are on the way.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sluice::wire::proto::{ChannelShare, EarlySale, PlaceKey, SetChannels, SetLimit, SetSale};

use crate::traffic::sku;

const SEGMENTS: [&str; 3] = ["member", "adult", "north"];
const HOUSEHOLDS: u32 = 3;
const CHANNELS: [&str; 3] = ["web", "app", "market"];

fn segment(rng: &mut StdRng) -> String {
    SEGMENTS.choose(rng).copied().expect("there are some").into()
}

/// Segments and keys of an order.
pub fn vouched(rng: &mut StdRng) -> (Vec<String>, Vec<PlaceKey>) {
    let segments = SEGMENTS.iter().filter(|_| rng.random_bool(0.6)).map(|&segment| segment.into()).collect();
    let household =
        PlaceKey { name: "household".into(), value: format!("household-{}", rng.random_range(0..HOUSEHOLDS)) };
    let card = PlaceKey { name: "card".into(), value: "a card".into() };
    let keys = match rng.random_range(0..4) {
        0 => Vec::new(),
        1 | 2 => vec![household],
        _ => vec![card, household],
    };
    (segments, keys)
}

/// A sale that opens, or closes, about now; or the end of one.
pub fn sale(now_ms: i64, rng: &mut StdRng) -> SetSale {
    let of_pool = rng.random_bool(0.15);
    let sku = if of_pool { String::new() } else { sku(rng) };
    if rng.random_bool(if of_pool { 0.6 } else { 0.3 }) {
        return SetSale { sku, ..SetSale::default() };
    }
    let opens_at_ms = if rng.random_bool(0.3) { 0 } else { now_ms + rng.random_range(-300..400) };
    let closes_at_ms = if rng.random_bool(0.8) { 0 } else { opens_at_ms.max(now_ms) + rng.random_range(1..900) };
    let mut early = Vec::new();
    if opens_at_ms > 0 && rng.random() {
        early.push(EarlySale { segment: segment(rng), opens_at_ms: opens_at_ms - rng.random_range(1..300) });
    }
    let only = if rng.random_bool(0.2) { vec![segment(rng)] } else { Vec::new() };
    SetSale { sku, opens_at_ms, closes_at_ms, early, only }
}

/// A limit over one SKU, two of them or the whole pool; or the end of one.
pub fn limit(now_ms: i64, rng: &mut StdRng) -> SetLimit {
    let name = ["a", "b", "c"].choose(rng).copied().expect("there are some").into();
    if rng.random_bool(0.3) {
        return SetLimit { name, ..SetLimit::default() };
    }
    let whole_pool = rng.random_bool(0.15);
    let mut skus = if whole_pool { Vec::new() } else { vec![sku(rng), sku(rng)] };
    skus.dedup();
    let period_ms = if rng.random() { 0 } else { rng.random_range(50..2_000) };
    SetLimit {
        name,
        units: rng.random_range(1..12),
        units_an_order: if rng.random_bool(0.8) { 0 } else { rng.random_range(1..5) },
        skus,
        whole_pool,
        key: if rng.random_bool(0.3) { "household".into() } else { String::new() },
        period_ms,
        anchor_ms: if period_ms > 0 { now_ms / 1_000 * 1_000 } else { 0 },
    }
}

/// Through which channel an order comes.
pub fn channel(rng: &mut StdRng) -> String {
    CHANNELS.choose(rng).copied().expect("there are some").into()
}

/// Shares of some channels, of the others too or not, protected for a while or as long as they stand; or the end of them.
pub fn channels(now_ms: i64, rng: &mut StdRng) -> SetChannels {
    let sku = sku(rng);
    if rng.random_bool(0.2) {
        return SetChannels { sku, ..SetChannels::default() };
    }
    let mut channels = Vec::new();
    for channel in CHANNELS.into_iter().chain([""]).filter(|_| rng.random_bool(0.6)).collect::<Vec<_>>() {
        let protected = if rng.random() { 0 } else { rng.random_range(1..20) };
        let at_most = rng.random_bool(0.6).then(|| protected + rng.random_range(0..4));
        channels
            .insert(rng.random_range(0..=channels.len()), ChannelShare { channel: channel.into(), protected, at_most });
    }
    let ends = rng.random() && channels.iter().any(|share| share.protected > 0);
    let protected_until_ms = if ends { now_ms + rng.random_range(-100..900) } else { 0 };
    SetChannels { sku, channels, protected_until_ms }
}
