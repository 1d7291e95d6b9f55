//! Values of records put together from right, wrong and damaged fields.

use prost::encoding::{WireType, encode_key, encode_varint};

use super::*;

/// What the contract knows of a message: its fields, numbered from 1.
pub(super) type Schema = &'static [Field];

#[derive(Clone, Copy)]
pub(super) enum Field {
    Text,
    Number,
    Message(Schema),
}

use Field::{Message as M, Number as N, Text as T};

const ORDER_LINE: Schema = &[T, N];
const PLACE_KEY: Schema = &[T, T];
const PLACE: Schema = &[T, T, N, T, T, N, M(ORDER_LINE), N, N, T, M(PLACE_KEY), T, N, N];
const EARLY_SALE: Schema = &[T, N];
const SET_SALE: Schema = &[T, N, N, M(EARLY_SALE), T];
const SET_LIMIT: Schema = &[T, N, N, T, N, T, N, N];
const CHANNEL_SHARE: Schema = &[T, N, N];
const SET_CHANNELS: Schema = &[T, M(CHANNEL_SHARE), N];
const SHIP: Schema = &[T, N, M(&[T, T, N])];
const SET_FRESHNESS: Schema = &[T, N];
const DELIVERY_SERVICE: Schema = &[T, T, M(&[N, N]), N, M(&[N]), N, N, N, N];
const SET_DELIVERY: Schema = &[M(DELIVERY_SERVICE)];
pub(super) const COMMAND: Schema = &[M(PLACE), M(&[T, T, N, N]), M(&[T, T, N, N, N]), M(&[T, T, N, N]), N];
pub(super) const STOCK_COMMAND: Schema = &[
    T,
    T,
    N,
    M(&[T, N, T, N]),
    M(&[T, N, T, T, N]),
    M(&[T, N, N, T, N]),
    M(&[T, N]),
    M(&[T, T]),
    M(&[T, T]),
    M(SHIP),
    M(&[N]),
    N,
    M(&[N, N]),
    M(SET_SALE),
    M(SET_LIMIT),
    M(SET_CHANNELS),
    M(SET_FRESHNESS),
    M(SET_DELIVERY),
];

fn schema(input: Input) -> Schema {
    if input == Input::Stock { STOCK_COMMAND } else { COMMAND }
}

/// Random decisions of a generator, taken from bytes so that proptest can shrink them; zeros after the end.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) * sides / 256
    }

    fn number(&mut self) -> u64 {
        let bits = [7, 14, 32, 48, 64][self.roll(5)];
        let value = (0..8).fold(0, |value, _| value << 8 | self.roll(256) as u64);
        if bits == 64 { value } else { value & ((1 << bits) - 1) }
    }

    fn text(&mut self) -> &'static [u8] {
        match self.roll(64) {
            63 => [&b"\xff\xfe"[..], b"\xc3"][self.roll(2)],
            other => [&b""[..], b"p", b"north", "größe".as_bytes(), "🎁".as_bytes()][other % 5],
        }
    }
}

fn put_field(out: &mut Vec<u8>, number: u32, field: Field, dice: &mut Dice<'_>) {
    match field {
        T => put_bytes(out, number, dice.text()),
        N => {
            encode_key(number, WireType::Varint, out);
            encode_varint(dice.number(), out);
        }
        M(schema) => put_bytes(out, number, &soup(schema, dice)),
    }
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A message of a few fields that are mostly right, in any order, repeated or missing.
fn soup(schema: Schema, dice: &mut Dice<'_>) -> Vec<u8> {
    soup_of(dice.roll(9), schema, dice)
}

fn soup_of(fields: usize, schema: Schema, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..fields {
        let number = dice.roll(schema.len()) as u32 + 1;
        match dice.roll(128) {
            // A number that is not known, binding or not.
            127 => put_field(&mut out, schema.len() as u32 + 1 + dice.roll(5) as u32, [T, N][dice.roll(2)], dice),
            126 => put_field(&mut out, 90 + dice.roll(20) as u32, [T, N, M(ORDER_LINE)][dice.roll(3)], dice),
            // Any wire type for a known number.
            125 => put_field(&mut out, number, [T, N][dice.roll(2)], dice),
            // Groups, right and wrong.
            124 => {
                let number = 50 + dice.roll(2) as u32;
                encode_key(number, WireType::StartGroup, &mut out);
                put_field(&mut out, 3, N, dice);
                encode_key(50 + dice.roll(2) as u32, WireType::EndGroup, &mut out);
            }
            // Fixed widths, or too little of one.
            123 => {
                let (wire_type, bytes) = [(WireType::SixtyFourBit, 8), (WireType::ThirtyTwoBit, 4)][dice.roll(2)];
                encode_key(100, wire_type, &mut out);
                out.resize(out.len() + bytes - dice.roll(5) / 4, 0);
            }
            // A key and a value with more bytes than they need.
            122 => {
                let (wire_type, value) = if matches!(schema[number as usize - 1], N) { (0, 0xff) } else { (2, 0x80) };
                out.extend_from_slice(&[(number << 3 | wire_type) as u8 | 0x80, 0x80, 0x00, value, 0x80, 0x00]);
            }
            _ => put_field(&mut out, number, schema[number as usize - 1], dice),
        }
    }
    out
}

/// A value of commands that bring or set what selling rules are about: each a Place, a rule or a Ship of many fields, or
/// two of them.
pub(super) fn value_of_rules(input: Input, dice: &[u8]) -> Vec<u8> {
    let mut dice = Dice(dice.iter());
    let mut out = Vec::new();
    for _ in 0..=dice.roll(3) {
        let mut body = Vec::new();
        for _ in 0..=dice.roll(4) / 3 {
            let (number, schema) = match input {
                Input::Stock => {
                    let kinds = [
                        (14, SET_SALE),
                        (15, SET_LIMIT),
                        (16, SET_CHANNELS),
                        (10, SHIP),
                        (17, SET_FRESHNESS),
                        (18, SET_DELIVERY),
                    ];
                    kinds[dice.roll(kinds.len())]
                }
                _ => (1, PLACE),
            };
            let fields = dice.roll(24);
            put_bytes(&mut body, number, &soup_of(fields, schema, &mut dice));
        }
        put_bytes(&mut out, 1, &body);
    }
    out
}

/// A value of commands, some of it damaged.
pub(super) fn value(input: Input, dice: &[u8]) -> Vec<u8> {
    let mut dice = Dice(dice.iter());
    let mut out = Vec::new();
    for _ in 0..=dice.roll(4) {
        put_bytes(&mut out, 1, &soup(schema(input), &mut dice));
    }
    match dice.roll(20) {
        10 => put_field(&mut out, 2 + dice.roll(110) as u32, [T, N][dice.roll(2)], &mut dice),
        11 => out.truncate(dice.roll(out.len() + 1)),
        12 | 13 if !out.is_empty() => {
            let at = dice.roll(out.len());
            out[at] ^= 1 << dice.roll(8);
        }
        14 => {
            let at = dice.roll(out.len() + 1);
            let from = dice.roll(out.len() + 1);
            let piece = out[from..].to_vec();
            out.splice(at..at, piece);
        }
        15 => {
            out.splice(..0, *b"\x00\x00\x00\x00\x01\x00");
        }
        _ => {}
    }
    out
}
