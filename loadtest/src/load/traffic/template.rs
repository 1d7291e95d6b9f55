//! Prepared bytes of commands. A command is a copy of them in which id, customer, instants, SKUs and quantities are
//! overwritten in place: their fields have the same length in every order.

use prost::encoding::encode_varint as put_varint;

use super::Origin;
use super::buyers::{blank_name, stamp_customer};
use super::days::Asked;
use super::id::{ID_BYTES, OrderId, RunId, SKU_BYTES, stamp_sku};
use super::plan::Line;

/// Longest quantity that takes one byte as a varint, less the unit that a changed copy has more.
pub(crate) const MAX_QUANTITY: u32 = 126;

/// An instant in milliseconds since 1970 takes this many bytes as a varint, from 1971 to 2109.
const INSTANT_BYTES: usize = 6;
/// From where on it does.
pub(super) const FIRST_INSTANT_MS: i64 = 1 << 35;

/// Tags: field number and wire type.
const TEXT: u8 = 2;
const NUMBER: u8 = 0;

/// Length of an `OrderLine` with tag and length, and where in it SKU and quantity stand.
const LINE_BYTES: usize = LINE_QUANTITY + 1;
const LINE_SKU: usize = 4;
const LINE_QUANTITY: usize = LINE_SKU + SKU_BYTES + 1;

/// A `Commands` value with one Place in it.
#[derive(Debug)]
pub(super) struct PlaceTemplate {
    bytes: Box<[u8]>,
    id: usize,
    customer: usize,
    placed_at: usize,
    lines: usize,
    answer_by: Option<usize>,
}

/// What all orders of one template share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared<'a> {
    pub(super) run: RunId,
    pub(super) pool: &'a str,
    pub(super) channel: &'a str,
    pub(super) lines: u32,
    pub(super) hold_ms: u64,
    pub(super) attempt: u8,
    pub(super) deadline: bool,
    /// What the checkout vouches for; none: nothing.
    pub(super) segment: Option<&'a str>,
    /// What it asks of its delivery; none: nothing.
    pub(super) asked: Option<&'a Asked>,
}

/// What an order has for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) id: OrderId,
    pub(super) customer: u32,
    pub(super) placed_at_ms: i64,
    /// Ignored where the template has no deadline.
    pub(super) answer_by_ms: i64,
    /// Units that the first line has more than planned.
    pub(super) more: u32,
}

impl PlaceTemplate {
    pub(super) fn new(shared: &Shared<'_>) -> Self {
        let mut place = Vec::new();
        text(&mut place, 1, shared.pool.as_bytes());
        let id = text(&mut place, 2, &blank_id(shared.run));
        if shared.attempt > 0 {
            place.extend([tag(3, NUMBER), shared.attempt]);
        }
        let customer = text(&mut place, 4, &blank_name());
        text(&mut place, 5, shared.channel.as_bytes());
        let placed_at = instant(&mut place, 6);
        let lines = place.len();
        for _ in 0..shared.lines {
            let mut line = Vec::new();
            let mut sku = [b'-'; SKU_BYTES];
            sku[..shared.run.as_bytes().len()].copy_from_slice(shared.run.as_bytes());
            text(&mut line, 1, &sku);
            line.extend([tag(2, NUMBER), 1]);
            text(&mut place, 7, &line);
        }
        if shared.hold_ms > 0 {
            place.push(tag(8, NUMBER));
            put_varint(shared.hold_ms, &mut place);
        }
        let answer_by = shared.deadline.then(|| instant(&mut place, 9));
        if let Some(segment) = shared.segment {
            text(&mut place, 10, segment.as_bytes());
        }
        if let Some(asked) = shared.asked {
            if !asked.service.is_empty() {
                text(&mut place, 12, asked.service.as_bytes());
            }
            for (field, value) in [(13, asked.day), (14, asked.late as u32)].into_iter().filter(|(_, value)| *value > 0)
            {
                place.push(tag(field, NUMBER));
                put_varint(u64::from(value), &mut place);
            }
        }
        let (bytes, inner) = command(1, &place);
        Self {
            bytes,
            id: inner + id,
            customer: inner + customer,
            placed_at: inner + placed_at,
            lines: inner + lines,
            answer_by: answer_by.map(|at| inner + at),
        }
    }

    /// Appends an order.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>, own: &Own, lines: impl Iterator<Item = Line>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let order = &mut out[start..];
        own.id.stamp(part(order, self.id));
        stamp_customer(part(order, self.customer), own.customer);
        stamp_instant(part(order, self.placed_at), own.placed_at_ms);
        if let Some(at) = self.answer_by {
            stamp_instant(part(order, at), own.answer_by_ms);
        }
        let mut more = own.more;
        for (line, bytes) in lines.zip(order[self.lines..].chunks_exact_mut(LINE_BYTES)) {
            stamp_sku(part(bytes, LINE_SKU), line.sku);
            bytes[LINE_QUANTITY] = (line.quantity + more) as u8;
            more = 0;
        }
    }
}

/// A `Commands` value with one Confirm or Cancel in it, or a `StockCommands` value with one Ship.
#[derive(Debug)]
pub(super) struct ShortTemplate {
    bytes: Box<[u8]>,
    id: usize,
    /// None of a shipment.
    placed_at: Option<usize>,
}

impl ShortTemplate {
    pub(super) fn confirm(run: RunId, pool: &str) -> Self {
        Self::new(2, run, pool)
    }

    pub(super) fn cancel(run: RunId, pool: &str) -> Self {
        Self::new(4, run, pool)
    }

    pub(super) fn ship(run: RunId, pool: &str) -> Self {
        let (mut body, mut stock) = (Vec::new(), Vec::new());
        let id = text(&mut body, 1, &blank_id(run));
        text(&mut stock, 1, pool.as_bytes());
        let body_at = text(&mut stock, 10, &body);
        let mut value = Vec::new();
        let stock_at = text(&mut value, 1, &stock);
        Self { bytes: value.into(), id: stock_at + body_at + id, placed_at: None }
    }

    fn new(field: u8, run: RunId, pool: &str) -> Self {
        let mut body = Vec::new();
        text(&mut body, 1, pool.as_bytes());
        let id = text(&mut body, 2, &blank_id(run));
        let placed_at = instant(&mut body, 4);
        let (bytes, inner) = command(field, &body);
        Self { bytes, id: inner + id, placed_at: Some(inner + placed_at) }
    }

    /// Appends a command.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>, id: OrderId, placed_at_ms: i64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let command = &mut out[start..];
        id.stamp(part(command, self.id));
        if let Some(at) = self.placed_at {
            stamp_instant(part(command, at), placed_at_ms);
        }
    }
}

/// Appends bytes that no protobuf reader takes (field 0 does not exist), nor looks like schema-registry framing.
pub(super) fn append_poison(out: &mut Vec<u8>, origin: &Origin, record: u64) {
    out.extend_from_slice(POISON);
    out.extend_from_slice(origin.run.as_bytes());
    out.extend_from_slice(&poison_number(origin.generator, record).to_le_bytes());
}

/// Whether a generator of a run sent this, as what cannot be read.
pub fn is_poison(run: RunId, generator: u32, value: &[u8]) -> bool {
    let number = value.strip_prefix(POISON).and_then(|rest| rest.strip_prefix(run.as_bytes()));
    let number = number.and_then(|number| number.try_into().ok()).map(u64::from_le_bytes);
    number.is_some_and(|number| number >> POISON_RECORD_BITS == u64::from(generator))
}

/// How what cannot be read begins.
const POISON: &[u8] = b"\x07poison ";

/// Bits that tell the record behind which it was sent; those above tell the generator.
const POISON_RECORD_BITS: u32 = 48;

fn poison_number(generator: u32, record: u64) -> u64 {
    u64::from(generator) << POISON_RECORD_BITS | record
}

/// `N` bytes from `at` on.
#[inline]
fn part<const N: usize>(bytes: &mut [u8], at: usize) -> &mut [u8; N] {
    (&mut bytes[at..at + N]).try_into().expect("a slice of N bytes")
}

#[inline]
fn stamp_instant(to: &mut [u8; INSTANT_BYTES], ms: i64) {
    for (i, byte) in to.iter_mut().enumerate() {
        let more = if i + 1 < INSTANT_BYTES { 0x80 } else { 0 };
        *byte = (ms >> (7 * i)) as u8 & 0x7f | more;
    }
}

fn blank_id(run: RunId) -> [u8; ID_BYTES] {
    let mut id = [b'0'; ID_BYTES];
    id[..run.as_bytes().len()].copy_from_slice(run.as_bytes());
    id
}

fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

/// Appends a field of text or of a message; says where its content begins.
fn text(out: &mut Vec<u8>, field: u8, content: &[u8]) -> usize {
    out.push(tag(field, TEXT));
    put_varint(content.len() as u64, out);
    out.extend_from_slice(content);
    out.len() - content.len()
}

/// Appends an instant to be overwritten; says where it stands.
fn instant(out: &mut Vec<u8>, field: u8) -> usize {
    out.push(tag(field, NUMBER));
    put_varint(FIRST_INSTANT_MS as u64, out);
    out.len() - INSTANT_BYTES
}

/// A value with one command of the kind with this field number, and where in it the kind's own fields begin.
fn command(field: u8, body: &[u8]) -> (Box<[u8]>, usize) {
    let (mut kind, mut value) = (Vec::new(), Vec::new());
    let body_at = text(&mut kind, field, body);
    let kind_at = text(&mut value, 1, &kind);
    (value.into(), kind_at + body_at)
}
