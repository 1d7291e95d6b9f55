//! Protobuf's wire format, written to the end of a buffer. Nothing is allocated while the buffer has room.

/// Room kept for the length of a message before its fields are written: enough for all but the long ones.
const LENGTH_BYTES: usize = 1;

#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number that is left out if it is 0.
#[inline]
pub(crate) fn number(out: &mut Vec<u8>, key: u32, value: u64) {
    if value != 0 {
        varint(out, u64::from(key));
        varint(out, value);
    }
}

/// A signed number, zigzag, that is left out if it is 0.
#[inline]
pub(crate) fn zigzag(out: &mut Vec<u8>, key: u32, value: i64) {
    number(out, key, zigzagged(value));
}

/// A signed number as a `sint64` has it.
#[inline]
pub(crate) fn zigzagged(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// A string or bytes, left out if empty.
#[inline]
pub(crate) fn text(out: &mut Vec<u8>, key: u32, value: &[u8]) {
    if !value.is_empty() {
        varint(out, u64::from(key));
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

/// A message, empty or not, whose fields `body` writes.
#[inline]
pub(crate) fn message(out: &mut Vec<u8>, key: u32, body: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(key));
    let start = out.len();
    out.push(0);
    body(out);
    let length = out.len() - start - LENGTH_BYTES;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        widen(out, start, length);
    }
}

/// Makes room for a length of more than one byte and writes it.
#[inline]
fn widen(out: &mut Vec<u8>, start: usize, length: usize) {
    let mut digits = [0; 10];
    let mut used = 0;
    let mut rest = length;
    while rest >= 0x80 {
        digits[used] = rest as u8 | 0x80;
        rest >>= 7;
        used += 1;
    }
    digits[used] = rest as u8;
    used += 1;
    let end = out.len();
    out.resize(end + used - LENGTH_BYTES, 0);
    out.copy_within(start + LENGTH_BYTES..end, start + used);
    out[start..start + used].copy_from_slice(&digits[..used]);
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

    use super::super::fields::{Fields, LENGTH, key, signed};
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value: u64, change: i64, length in 0_usize..70_000) {
            let mut out = Vec::new();
            varint(&mut out, value);
            zigzag(&mut out, 1, change);
            message(&mut out, key(3, LENGTH), |out| out.resize(out.len() + length, 7));
            let mut fields = Fields::new(&out);
            prop_assert_eq!(fields.varint(), Ok(value));
            if change != 0 {
                fields.varint().expect("the key");
                prop_assert_eq!(fields.varint().map(signed), Ok(change));
            }
            prop_assert_eq!(fields.next_key(), Ok(Some(key(3, LENGTH))));
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
