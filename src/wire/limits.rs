//! Limits of the wire contract, and why each is what it is.
//!
//! They imply each other: whatever is accepted as input has an output that the broker accepts. A record that could be
//! decided but whose link no broker takes would stop its shard for ever. The assertions below hold the figures to
//! that, and `topics create` sets each topic's `max.message.bytes` from the last four of them.

/// Longest id, pool, SKU, customer, channel or reason, in bytes. Room for a UUID beside a prefix; every decision repeats
/// them, so each byte here is one of every output limit.
pub const MAX_ID_BYTES: usize = 128;

/// Most lines of one order. A weekly grocery basket has 80.
pub const MAX_LINES: usize = 200;

/// Most segments that an order brings, that a sale opens early for, or that it is for only: a bit for each fits into 16.
pub const MAX_SEGMENTS: usize = 16;

/// Most keys that an order brings beside its customer: household, card, device, and one more.
pub const MAX_KEYS: usize = 4;

/// Most channels among which a SKU is shared, the others counting as one.
pub const MAX_CHANNELS: usize = 16;

/// Most SKUs of one limit: its decision repeats them, as one of an order repeats that many lines.
pub const MAX_LIMIT_SKUS: usize = MAX_LINES;

/// Longest period of a limit, in ms: ten years. Sums of a few of them stay clear of `i64`.
pub const MAX_PERIOD_MS: u64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// Latest anchor of a limit's periods, ms since the epoch: in the year 6429. With it the number of a period of 1 ms, from
/// whatever anchor, has 48 bits and a sign, which seven bytes hold.
pub const MAX_ANCHOR_MS: i64 = (1 << 47) - 1;

/// Most lots of one stock row: a year of daily deliveries, most of them sold.
pub const MAX_LOTS: usize = 256;

/// Most parts of one order, each of one line and one lot, and most lots that a shipment names. With them the answers about
/// an order stay near what its lines take.
pub const MAX_PARTS: usize = 256;

/// Longest life, in days, that a rule asks of what is sold: ten years.
pub const MAX_LEAST_DAYS: u32 = 3_650;

/// Most services of one delivery: dawn, morning, noon, evening, each of them twice.
pub const MAX_SERVICES: usize = 8;

/// Most days on which one service is closed: the holidays of some years.
pub const MAX_CLOSED_DAYS: usize = 100;

/// Most dispatch days by which delivery follows: two weeks of daily dispatch.
pub const MAX_LEAD: u32 = 14;

/// Farthest delivery day, in days from the local date: two months. What can be had is looked through day by day.
pub const MAX_HORIZON_DAYS: u32 = 62;

/// Longest time, in ms, by which a hold may outlast its cutoff: a day.
pub const MAX_GRACE_MS: u64 = 24 * 60 * 60 * 1000;

/// Most units of one order line. `MAX_LINES` of them are far from overflowing a stock figure.
pub const MAX_QUANTITY: u32 = 1_000_000;

/// Most units in one stock command.
pub const MAX_STOCK_QUANTITY: u64 = 1_000_000_000_000;

/// Bound on the size of every figure of a stock row, either side of zero: sums of a few of them stay clear of `i64`,
/// and a double (JavaScript) still holds each exactly.
pub const MAX_STOCK_FIGURE: i64 = 1_000_000_000_000_000;

/// Longest value of an input record in bytes, framing included. Kafka's own default for a message; about 8,000 orders.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Most commands in one input record. A record's decisions are never split over links, and a Confirm of a few bytes is
/// answered with all the lines of its order, so this bounds the longest link.
pub const MAX_COMMANDS: usize = 1_000;

/// Key and headers of an input record, and what Kafka puts around a record that is alone in its batch, in bytes.
pub const RECORD_OVERHEAD_BYTES: usize = 64 << 10;

/// Where a link is cut: the first record that takes it to this many bytes is its last. So large that a batch is a few
/// records: a broker handles one request of a connection after the other, and librdkafka waits for the
/// acknowledgement of five records by polling without a pause. Most fit into two MiB with what stands around them in a
/// request, because a broker's JVM takes whole regions of one or more MiB for each.
pub const TARGET_LINK_BYTES: usize = (2 << 20) - RECORD_OVERHEAD_BYTES;

/// Longest `Decision` message: an order of [`MAX_LINES`] lines whose every string has [`MAX_ID_BYTES`], that is RESERVED
/// under two limits and in a channel's share a line.
pub const MAX_DECISION_BYTES: usize =
    SHORT_DECISION_BYTES + MAX_LINES * LINE_OF_PLACE_BYTES + (2 + MAX_SEGMENTS + 2 * MAX_KEYS) * (2 + TEXT_FIELD_BYTES); // customer, channel, segments, names and values of keys

/// Longest `Decision` about an order that was placed before, which a command of a few bytes can ask for: one that is
/// SHIPPED.
const SHORT_DECISION_BYTES: usize = 4 * TEXT_FIELD_BYTES // pool, order_id, id, and the SKU of the stock level
    + 1 + TEXT_FIELD_BYTES // the service
    + MAX_LINES * MAX_LINE_BYTES
    + MAX_PARTS * MAX_PART_BYTES
    + 32 * (2 + MAX_VARINT_BYTES); // every number, and the tags and lengths of the nested messages

/// Longest header of a link, without its segments and dead letters: its numbers, two hashes, tags and lengths.
pub const LINK_HEADER_BYTES: usize = 256;

/// Longest encoded `Segment` or `DeadLetterRef` of a link's header, with tag and length.
pub const SEGMENT_BYTES: usize = 2 + 4 * (1 + MAX_VARINT_BYTES);

/// Longest value of a link: one that was just below [`TARGET_LINK_BYTES`] and then took the worst record there can be.
/// Also the longest value in `replies`, which repeats the decisions of one link.
pub const MAX_LINK_BYTES: usize = 40 << 20;

/// Longest value of the optional topic with one record a decision.
pub const MAX_PER_DECISION_BYTES: usize = MAX_DECISION_BYTES;

/// Bytes of the headers that a dead letter gets: names of topic (249 at most in Kafka), stage and error, and figures.
pub const DEAD_LETTER_HEADER_BYTES: usize = 4 << 10;

/// `max.message.bytes` of `orders` and `stock`. It bounds compressed batches; the value itself is checked again.
pub const INPUT_MESSAGE_BYTES: usize = MAX_RECORD_BYTES + RECORD_OVERHEAD_BYTES;

/// `max.message.bytes` of `decisions`, `replies` and the optional topic with one record a decision.
pub const LOG_MESSAGE_BYTES: usize = MAX_LINK_BYTES + RECORD_OVERHEAD_BYTES;

/// `max.message.bytes` of `dead-letters`. Room for the largest input record as it came, and for one that was compressed
/// up to thirtyfold on its way in.
pub const DEAD_LETTER_MESSAGE_BYTES: usize = LOG_MESSAGE_BYTES;

/// Longest key, value and headers, together, of an input record that goes to `dead-letters` whole. Only a compressed
/// batch can hold a longer one, and no broker or client would take it back as it is.
pub const MAX_DEAD_LETTER_BYTES: usize = MAX_LINK_BYTES;

/// Longest varint.
const MAX_VARINT_BYTES: usize = 10;
/// A string field: tag, a length of two bytes, and the text.
const TEXT_FIELD_BYTES: usize = 1 + 2 + MAX_ID_BYTES;
/// A `LineDecision` with its tag and a length of two bytes: the SKU, two figures up to [`MAX_QUANTITY`] (three bytes),
/// the reason, and either what was available or the shortfall: a few times [`MAX_STOCK_FIGURE`], zigzag (eight bytes).
const MAX_LINE_BYTES: usize = 3 + TEXT_FIELD_BYTES + 2 * (1 + 3) + 2 + (1 + 8);
/// A `LotUnits` with its tag and length: a number up to [`MAX_LOTS`] (two bytes), units up to [`MAX_QUANTITY`] and the lot's
/// shortfall. A line that has many has a longer length, by a byte.
const MAX_PART_BYTES: usize = 2 + (1 + 2) + (1 + 3) + (1 + 8) + 1;
/// What the answer to a Place may have for a line beyond that: the counts of two limits, with tag, length, count and period
/// (seven bytes each: 48 bits of sequence last eight years, and periods are counted in ms at the least) and units (four),
/// and that of a share, without a period; while it has neither reason nor shortfall. A line that was rejected by a rule
/// has less: an instant or a figure, and a sequence.
const LINE_OF_PLACE_BYTES: usize =
    2 * (2 + 1 + (1 + 7) + (1 + 7) + (1 + 4)) + (2 + 1 + (1 + 7) + (1 + 4) + 2) - (2 + (1 + 8));
/// The longest line of a Place, without its quantity: its tag and a length of two bytes, a SKU.
const PLACED_LINE_BYTES: usize = 3 + TEXT_FIELD_BYTES;
/// A decision inside a link: its tag and a length of three bytes.
const DECISION_FIELD_BYTES: usize = 4;
/// Kafka refuses requests above this (`socket.request.max.bytes`, its default).
const BROKER_REQUEST_BYTES: usize = 100 << 20;

const _: () = {
    // Every command may be a short one with a long answer; what Places add to that is bounded by their own bytes. Most of
    // them (customer, keys, segments) are only repeated, with a byte more to their keys. A line adds most for its bytes if
    // its SKU is the longest: each byte that it has less is one less of its answer too.
    assert!(LINE_OF_PLACE_BYTES < PLACED_LINE_BYTES);
    let added = MAX_RECORD_BYTES / PLACED_LINE_BYTES * LINE_OF_PLACE_BYTES + 2 * MAX_RECORD_BYTES;
    let worst_record = MAX_COMMANDS * (DECISION_FIELD_BYTES + SHORT_DECISION_BYTES) + added;
    assert!(TARGET_LINK_BYTES + worst_record + LINK_HEADER_BYTES + 2 * SEGMENT_BYTES <= MAX_LINK_BYTES);
    assert!(LOG_MESSAGE_BYTES < BROKER_REQUEST_BYTES);
    assert!(MAX_DEAD_LETTER_BYTES + 2 * DEAD_LETTER_HEADER_BYTES <= DEAD_LETTER_MESSAGE_BYTES);
    assert!(INPUT_MESSAGE_BYTES + DEAD_LETTER_HEADER_BYTES <= DEAD_LETTER_MESSAGE_BYTES);
    assert!(MAX_ID_BYTES < 1 << 14, "the length of a text takes two bytes at the most");
    assert!(MAX_DECISION_BYTES < 1 << 21, "the length of a decision takes three bytes at the most");
    assert!(MAX_LOTS < 1 << 14, "the number of a lot takes two bytes at the most");
    assert!(MAX_QUANTITY < 1 << 21, "a quantity takes three bytes at the most");
    assert!(2 * 4 * MAX_STOCK_FIGURE < 1 << 56, "four figures added up, zigzag, take eight bytes at the most");
    assert!(MAX_LINES as u64 * MAX_QUANTITY as u64 <= MAX_STOCK_QUANTITY);
    assert!(MAX_STOCK_QUANTITY <= MAX_STOCK_FIGURE as u64);
    assert!(MAX_STOCK_FIGURE < 1 << 53, "exact in a double");
};

#[cfg(test)]
mod tests;
