//! Protobuf's wire format, written into room that was made before: nothing is allocated, moved or checked for growth
//! on the way of a field.

use super::keys;

/// Longest varint.
const MAX_VARINT_BYTES: usize = 10;

/// Takes the fields of a message one after the other, by their keys: to write them, or to see how long they are.
pub(crate) trait Fields {
    /// A number, 0 or not.
    fn any_number(&mut self, key: u32, value: u64);

    /// A string or bytes, empty or not.
    fn any_text(&mut self, key: u32, value: &[u8]);

    /// A string or bytes, left out if empty.
    #[inline(always)]
    fn text(&mut self, key: u32, value: &[u8]) {
        if !value.is_empty() {
            self.any_text(key, value);
        }
    }

    /// A number that is left out if it is 0.
    #[inline(always)]
    fn number(&mut self, key: u32, value: u64) {
        if value != 0 {
            self.any_number(key, value);
        }
    }

    /// A signed number, zigzag, that is left out if it is 0.
    #[inline(always)]
    fn zigzag(&mut self, key: u32, value: i64) {
        self.number(key, zigzagged(value));
    }
}

/// How many bytes fields take.
#[derive(Default)]
pub(crate) struct Measure(usize);

impl Fields for Measure {
    #[inline]
    fn any_number(&mut self, key: u32, value: u64) {
        self.0 += varint_bytes(u64::from(key)) + varint_bytes(value);
    }

    #[inline]
    fn any_text(&mut self, key: u32, value: &[u8]) {
        self.any_number(key, value.len() as u64);
        self.0 += value.len();
    }
}

#[inline]
fn varint_bytes(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// Writes into a buffer that has room for all that is to come and for [`Pen::SLACK_BYTES`] bytes more.
pub(crate) struct Pen<'a> {
    rest: &'a mut [u8],
}

impl<'a> Pen<'a> {
    /// Bytes beyond what is written that must be there: numbers are written as whole words.
    pub(crate) const SLACK_BYTES: usize = 8;

    #[inline(always)]
    pub(crate) fn new(room: &'a mut [u8]) -> Pen<'a> {
        Pen { rest: room }
    }

    /// Bytes of room that are left.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        let (to, rest) = std::mem::take(&mut self.rest).split_first_chunk_mut().expect("room was made");
        *to = bytes;
        self.rest = rest;
    }

    /// Bytes as they are, few of them.
    #[inline(always)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let (to, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        copy(to, bytes);
        self.rest = rest;
    }

    #[inline(always)]
    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.bytes([value as u8]);
        } else {
            let rest = std::mem::take(&mut self.rest);
            let used = long_varint(rest, value);
            self.rest = &mut rest[used..];
        }
    }

    #[inline(always)]
    fn keyed(&mut self, key: u32, value: u64) {
        // The contract has no number beyond 99.
        match (key < 0x80, value < 0x80) {
            (true, true) => self.bytes([key as u8, value as u8]),
            (true, false) => {
                self.bytes([key as u8]);
                self.varint(value);
            }
            _ => {
                self.bytes([key as u8 | 0x80, (key >> 7) as u8]);
                self.varint(value);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn fixed64(&mut self, key: u32, value: u64) {
        self.bytes([keys::one_byte(key)]);
        self.bytes(value.to_le_bytes());
    }

    /// A message whose fields `write` gives, to be measured and then to be written.
    #[inline(always)]
    pub(crate) fn message(&mut self, key: u32, write: impl Fn(&mut dyn Fields)) {
        let mut measure = Measure::default();
        write(&mut measure);
        self.keyed(key, measure.0 as u64);
        write(self);
    }
}

/// A message within another, whose fields `write` gives.
pub(crate) fn message_within(fields: &mut dyn Fields, key: u32, write: impl Fn(&mut dyn Fields)) {
    let mut measure = Measure::default();
    write(&mut measure);
    fields.any_number(key, measure.0 as u64);
    write(fields);
}

impl Fields for Pen<'_> {
    #[inline(always)]
    fn any_number(&mut self, key: u32, value: u64) {
        self.keyed(key, value);
    }

    #[inline(always)]
    fn any_text(&mut self, key: u32, value: &[u8]) {
        self.keyed(key, value.len() as u64);
        self.raw(value);
    }
}

/// Writes a varint of two bytes or more and tells how many. Those of up to eight, which times and offsets are, are
/// written at once.
#[inline(always)]
fn long_varint(to: &mut [u8], value: u64) -> usize {
    if value >> 56 != 0 {
        return longest_varint(to, value);
    }
    let fours = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let pairs = fours & 0x0000_3fff_0000_3fff | (fours & 0x0fff_c000_0fff_c000) << 2;
    let digits = pairs & 0x007f_007f_007f_007f | (pairs & 0x3f80_3f80_3f80_3f80) << 1;
    let last = digits.ilog2() & !7;
    let more = 0x8080_8080_8080_8080 & ((1_u64 << last) - 1);
    *to.first_chunk_mut().expect("room was made") = (digits | more).to_le_bytes();
    last as usize / 8 + 1
}

#[cold]
#[inline(never)]
fn longest_varint(to: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        to[at] = value as u8 | 0x80;
        at += 1;
        value >>= 7;
    }
    to[at] = value as u8;
    at + 1
}

/// Writes the length of a message that ends at `end`, in front of it, where `kept` bytes before `start` were kept for
/// that: 1 if it was likely to be less than 128, or 2. Moves it if another length of length is needed; tells where it
/// ends then.
#[inline(always)]
pub(crate) fn set_length(to: &mut [u8], kept: usize, start: usize, end: usize) -> usize {
    let length = end - start;
    match (kept, length) {
        (1, ..0x80) => to[start - 1] = length as u8,
        (2, 0x80..0x4000) => {
            to[start - 2..start].copy_from_slice(&[length as u8 | 0x80, (length >> 7) as u8]);
        }
        _ => return move_to_fit(to, kept, start, end),
    }
    end
}

#[cold]
#[inline(never)]
fn move_to_fit(to: &mut [u8], kept: usize, start: usize, end: usize) -> usize {
    let mut digits = [0; MAX_VARINT_BYTES];
    let used = longest_varint(&mut digits, (end - start) as u64);
    let from = start - kept;
    to.copy_within(start..end, from + used);
    to[from..from + used].copy_from_slice(&digits[..used]);
    from + used + (end - start)
}

/// Copies what is most often an id, of equal length on both sides: for a dozen bytes a call of `memcpy` costs more than
/// the copying. Two words, the first and the last, together cover all of it.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>())
        && from.len() <= 16
    {
        let length = to.len();
        to[..8].copy_from_slice(first);
        to[length - 8..].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>())
        && from.len() <= 8
    {
        let length = to.len();
        to[..4].copy_from_slice(first);
        to[length - 4..].copy_from_slice(last);
    } else {
        to.copy_from_slice(from);
    }
}

/// A signed number as a `sint64` has it.
#[inline]
pub(crate) fn zigzagged(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// A length of exactly `N` bytes, written over what stands at `at`: a varint may have more bytes than it needs.
///
/// # Panics
/// If `value` does not fit.
pub(crate) fn padded_varint<const N: usize>(out: &mut [u8], at: usize, value: u64) {
    assert!(value >> (7 * N) == 0, "{value} fits into a varint of {N} bytes");
    for (i, byte) in out[at..at + N].iter_mut().enumerate() {
        let more = if i + 1 < N { 0x80 } else { 0 };
        *byte = (value >> (7 * i)) as u8 & 0x7f | more;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fields::{Fields, LENGTH, VARINT, signed};
    use super::{Fields as _, *};

    const fn key(number: u32, wire_type: u32) -> u32 {
        number << 3 | wire_type
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            value: u64, bits in 0_u32..64, change: i64, length in 0_usize..70_000, kept in 1_usize..=2, text in "\\PC{1,40}",
        ) {
            let value = value >> bits;
            let mut out = vec![0xff; length + 300];
            let room = out.len();
            let mut pen = Pen::new(&mut out);
            pen.any_number(key(1, VARINT), value);
            pen.zigzag(key(2, VARINT), change);
            pen.text(key(4, LENGTH), text.as_bytes());
            pen.fixed64(9, value);
            pen.message(key(5, LENGTH), |inner| {
                inner.any_number(key(1, VARINT), value);
                inner.text(key(2, LENGTH), text.as_bytes());
            });
            let start = room - pen.left() + kept;
            out[start..start + length].fill(7);
            let end = set_length(&mut out, kept, start, start + length);
            let mut fields = Fields::new(&out[..end]);
            prop_assert_eq!(fields.next_head(), Ok(Some((key(1, VARINT), value))));
            if change != 0 {
                prop_assert_eq!(fields.next_key(), Ok(Some(key(2, VARINT))));
                prop_assert_eq!(fields.varint().map(signed), Ok(change));
            }
            prop_assert_eq!(fields.next_key(), Ok(Some(key(4, LENGTH))));
            prop_assert_eq!(fields.bytes(), Ok(text.as_bytes()));
            prop_assert_eq!(fields.next_key(), Ok(Some(9)));
            prop_assert_eq!(fields.fixed64(), Ok(value));
            prop_assert_eq!(fields.next_key(), Ok(Some(key(5, LENGTH))));
            let mut inner = Fields::new(fields.bytes().expect("a message"));
            prop_assert_eq!(inner.next_head(), Ok(Some((key(1, VARINT), value))));
            prop_assert_eq!(inner.next_key(), Ok(Some(key(2, LENGTH))));
            prop_assert_eq!(inner.bytes(), Ok(text.as_bytes()));
            prop_assert!(inner.rest().is_empty());
            prop_assert_eq!(fields.bytes(), Ok(&vec![7; length][..]));
            prop_assert!(fields.rest().is_empty());
        }

        #[test]
        fn a_padded_length_has_its_value_and_its_size(value in 0_u64..1 << 35) {
            let mut out = [0xff; 6];
            padded_varint::<5>(&mut out, 0, value);
            let mut fields = Fields::new(&out[..5]);
            prop_assert_eq!(fields.varint(), Ok(value));
            prop_assert!(fields.rest().is_empty());
        }
    }
}
