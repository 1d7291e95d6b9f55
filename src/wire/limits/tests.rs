//! The longest decisions that selling rules make, against the limits that are derived for them.

use prost::Message;

use super::super::link::LinkDraft;
use super::super::proto::{self, Asked, Input, OrderState, Outcome};
use super::super::view;
use super::*;

/// 48 bits of sequence, which last longer than anybody asks.
const LATE_SEQUENCE: u64 = (1 << 48) - 1;
/// A period whose zigzag has as many bits.
const LATE_PERIOD: i64 = -(1 << 47);

fn text() -> String {
    "x".repeat(MAX_ID_BYTES)
}

/// Every field of a decision but those that its outcome has to fill.
fn decision(asked: Asked, outcome: Outcome) -> proto::Decision {
    proto::Decision {
        sequence: u64::MAX >> 1,
        asked: asked as i32,
        pool: text(),
        order_id: text(),
        attempt: u32::MAX,
        id: text(),
        outcome: outcome as i32,
        state: OrderState::Held as i32,
        expires_at_ms: i64::MAX,
        decided_at_ms: i64::MAX,
        content: u64::MAX,
        input: Input::Orders as i32,
        offset: i64::MAX,
        index: u32::MAX,
        reply_partition: Some(u32::MAX),
        issued_at_ms: i64::MAX,
        rule: u64::MAX,
        opens_at_ms: i64::MAX,
        service: text(),
        day: 99981231,
        cutoff_ms: i64::MAX,
        hold_until_ms: i64::MAX,
        ..Default::default()
    }
}

/// An order of that many lines with SKUs of that many bytes, each under two limits of its own and in a share.
fn reserved(lines: usize, sku_bytes: usize) -> proto::Decision {
    let (quantity, allocated, sku) = (MAX_QUANTITY, MAX_QUANTITY, "x".repeat(sku_bytes));
    let line = proto::LineDecision { sku, quantity, allocated, ..Default::default() };
    let units = MAX_LINES as u32 * MAX_QUANTITY;
    proto::Decision {
        lines: vec![line; lines],
        counted: counts_of(lines, units),
        ..decision(Asked::Place, Outcome::Reserved)
    }
}

/// The longest counts of so many lines.
fn counts_of(lines: usize, units: u32) -> Vec<proto::Counted> {
    let of_limit = proto::Counted { count: LATE_SEQUENCE, period: LATE_PERIOD, units, ..Default::default() };
    let of_share = proto::Counted { period: 0, share: proto::ShareOf::Others as i32, ..of_limit };
    [vec![of_limit; 2 * lines], vec![of_share; lines]].concat()
}

/// Lines of one lot each, until the order has as many parts as it may; the last has what is over.
fn of_lots(decision: proto::Decision, shortfall: u64) -> proto::Decision {
    let part = proto::LotUnits { lot: MAX_LOTS as u32, units: MAX_QUANTITY, shortfall };
    let mut lines = decision.lines;
    let over = MAX_PARTS - lines.len();
    lines.iter_mut().for_each(|line| line.lots = vec![part]);
    lines.last_mut().expect("an order has lines").lots.extend(vec![part; over]);
    proto::Decision { lines, ..decision }
}

fn with_texts(decision: proto::Decision) -> proto::Decision {
    let keys = vec![proto::PlaceKey { name: text(), value: text() }; MAX_KEYS];
    proto::Decision { customer: text(), channel: text(), keys, segments: vec![text(); MAX_SEGMENTS], ..decision }
}

/// Bytes of a decision as the engine writes it.
fn written(decision: &proto::Decision) -> usize {
    let bytes = decision.encode_to_vec();
    let (read, source) = view::decision(&bytes).expect("valid");
    let mut out = Vec::new();
    super::super::encode::decision(&mut out, &read, &source);
    assert_eq!(out, bytes);
    out.len()
}

#[test]
fn the_longest_decisions_about_rules_are_within_the_limit() {
    let order = written(&of_lots(with_texts(reserved(MAX_LINES, MAX_ID_BYTES)), 0));
    assert!(order <= MAX_DECISION_BYTES, "{order} of {MAX_DECISION_BYTES}");
    // And the limit is not much more than that: the numbers, the stock level and the original that it does not have, and
    // what lots lack once they are shipped.
    assert!(order + 1_000 + MAX_PARTS * 10 > MAX_DECISION_BYTES, "{order} of {MAX_DECISION_BYTES}");

    let limit = proto::SetLimit {
        name: text(),
        units: MAX_STOCK_QUANTITY,
        units_an_order: MAX_STOCK_QUANTITY,
        skus: vec![text(); MAX_LIMIT_SKUS],
        whole_pool: false,
        key: text(),
        period_ms: MAX_PERIOD_MS,
        anchor_ms: i64::MAX,
    };
    let limit = proto::Decision { limit: Some(limit), ..decision(Asked::SetLimit, Outcome::Applied) };
    assert!(written(&limit) <= SHORT_DECISION_BYTES, "a command as long as that is answered as one about an order");

    let early = proto::EarlySale { segment: text(), opens_at_ms: i64::MAX };
    let sale = proto::SetSale {
        sku: text(),
        opens_at_ms: i64::MAX,
        closes_at_ms: i64::MAX,
        early: vec![early; MAX_SEGMENTS],
        only: vec![text(); MAX_SEGMENTS],
    };
    let sale = proto::Decision { sale: Some(sale), ..decision(Asked::SetSale, Outcome::Applied) };
    assert!(written(&sale) <= SHORT_DECISION_BYTES);

    let at_most = Some(MAX_STOCK_QUANTITY);
    let share = proto::ChannelShare { channel: text(), protected: MAX_STOCK_QUANTITY, at_most };
    let channels =
        proto::SetChannels { sku: text(), channels: vec![share; MAX_CHANNELS], protected_until_ms: i64::MAX };
    let channels = proto::Decision { channels: Some(channels), ..decision(Asked::SetChannels, Outcome::Applied) };
    assert!(written(&channels) <= SHORT_DECISION_BYTES);

    let day = |weekday| proto::DispatchDay { weekday, cutoff_s: 86_400 };
    let service = proto::DeliveryService {
        name: text(),
        time_zone: text(),
        days: (1..=7).map(day).collect(),
        lead: MAX_LEAD,
        closed: vec![proto::ClosedDay { day: 99981231 }; MAX_CLOSED_DAYS],
        orders_a_day: MAX_STOCK_QUANTITY,
        horizon: MAX_HORIZON_DAYS,
        late: proto::Late::Reject as i32,
        grace_ms: MAX_GRACE_MS,
    };
    let delivery = proto::SetDelivery { services: vec![service; MAX_SERVICES] };
    let delivery = proto::Decision { delivery: Some(delivery), ..decision(Asked::SetDelivery, Outcome::Applied) };
    assert!(written(&delivery) <= SHORT_DECISION_BYTES);

    let shipped = proto::LineDecision {
        sku: text(),
        quantity: MAX_QUANTITY,
        allocated: MAX_QUANTITY,
        shortfall: 8 * MAX_STOCK_FIGURE as u64,
        ..Default::default()
    };
    let shipped = proto::Decision {
        state: OrderState::Shipped as i32,
        lines: vec![shipped; MAX_LINES],
        ..decision(Asked::Ship, Outcome::Shipped)
    };
    let shipped = written(&of_lots(shipped, 8 * MAX_STOCK_FIGURE as u64));
    assert!(shipped <= SHORT_DECISION_BYTES, "{shipped} of {SHORT_DECISION_BYTES}");

    let lot = proto::LotLevel {
        number: MAX_LOTS as u32,
        lot: text(),
        expiry: 99_991_231,
        on_hand: i64::MIN,
        reserved: u64::MAX,
        committed: u64::MAX,
        halted: true,
        shortfall: u64::MAX,
    };
    let stock = proto::StockLevel { sku: text(), lot: Some(lot), ..Default::default() };
    let received = proto::Decision { stock: Some(stock), ..decision(Asked::Receive, Outcome::Applied) };
    assert!(written(&received) <= SHORT_DECISION_BYTES);
}

#[test]
fn a_line_that_a_rule_stands_in_the_way_of_is_shorter_than_one_that_is_counted_twice() {
    let counted = written(&reserved(MAX_LINES, MAX_ID_BYTES));
    let (opens_at_ms, rule, left) = (i64::MAX, LATE_SEQUENCE, Some(MAX_STOCK_QUANTITY));
    let barred = proto::LineDecision { sku: text(), quantity: MAX_QUANTITY, rule, ..Default::default() };
    for line in [
        proto::LineDecision { opens_at_ms, ..barred.clone() },
        proto::LineDecision { left, reason: proto::Reason::Limit as i32, ..barred.clone() },
    ] {
        let barred = proto::Decision { lines: vec![line; MAX_LINES], ..decision(Asked::Place, Outcome::Rejected) };
        assert!(written(&barred) <= counted);
    }
}

/// A link just short of its target, and then a record that is answered with all of `decisions`.
fn link_bytes<'a>(decisions: impl Iterator<Item = &'a proto::Decision>) -> usize {
    let short = view::decision(&[]).expect("all defaults");
    let mut draft = LinkDraft::default();
    draft.begin(0, 1, i64::MIN, i64::MIN);
    while draft.value_bytes() < TARGET_LINK_BYTES - 100 {
        let (mut decision, source) = short;
        decision.sequence = draft.next_sequence();
        draft.push(&decision, &source);
    }
    for decision in decisions {
        let bytes = decision.encode_to_vec();
        let (mut decision, source) = view::decision(&bytes).expect("valid");
        decision.sequence = draft.next_sequence();
        draft.push(&decision, &source);
    }
    draft.value_bytes()
}

/// The Place that such a decision is about, with all that is repeated of it.
fn place_bytes(reserved: &proto::Decision) -> usize {
    let line = |line: &proto::LineDecision| proto::OrderLine { sku: line.sku.clone(), quantity: line.quantity };
    let place = proto::Place {
        // A pool of one byte: what the decision repeats in full is in the fixed part of the bound.
        pool: "p".into(),
        order_id: "o".into(),
        customer: reserved.customer.clone(),
        channel: reserved.channel.clone(),
        lines: reserved.lines.iter().map(line).collect(),
        keys: reserved.keys.clone(),
        segments: reserved.segments.clone(),
        ..Default::default()
    };
    let kind = Some(proto::command::Kind::Place(place));
    let commands = vec![proto::Command { kind, reply_partition: None }];
    proto::Commands { commands }.encoded_len()
}

#[test]
fn a_record_of_the_orders_that_take_most_for_their_bytes_fits_into_a_link() {
    // Orders of the shortest lines get most for each byte, those of long texts most for each command; whatever of the
    // record is left is short commands about orders of the longest lines.
    let short = proto::Decision { pool: "p".into(), order_id: "o".into(), ..decision(Asked::Place, Outcome::Reserved) };
    let line = proto::LineDecision { sku: "x".into(), quantity: 1, allocated: 1, ..Default::default() };
    let shortest = proto::Decision { lines: vec![line; MAX_LINES], counted: counts_of(MAX_LINES, 1), ..short.clone() };
    let longest = with_texts(reserved(MAX_LINES, MAX_ID_BYTES));
    let about = of_lots(proto::Decision { counted: Vec::new(), ..reserved(MAX_LINES, MAX_ID_BYTES) }, 1 << 50);
    let texts = with_texts(proto::Decision { lines: shortest.lines[..1].to_vec(), ..short });
    for order in [&shortest, &longest, &texts] {
        let placed = MAX_COMMANDS.min(MAX_RECORD_BYTES / place_bytes(order));
        let others = std::iter::repeat_n(&about, MAX_COMMANDS - placed);
        let bytes = link_bytes(std::iter::repeat_n(order, placed).chain(others));
        assert!(bytes <= MAX_LINK_BYTES, "{placed} orders: {bytes} of {MAX_LINK_BYTES}");
    }
}
