//! Text out of a record: checked once to be UTF-8, then carried as bytes. A `&str` would have to be checked again
//! wherever it is cut out of a record anew, which for ids of a dozen characters costs more than all else done to them.

use std::fmt;

use super::put;

/// UTF-8 that was checked when it was made.
#[derive(Clone, Copy, Default, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// No characters.
    pub const EMPTY: Text<'static> = Text(&[]);

    /// The text in `bytes`, if it is UTF-8.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Text<'a>> {
        (is_short_ascii(bytes) || std::str::from_utf8(bytes).is_ok()).then_some(Text(bytes))
    }

    /// The text in bytes that [`Text::new`] accepted before.
    #[inline]
    pub(crate) fn seen(bytes: &'a [u8]) -> Text<'a> {
        debug_assert!(std::str::from_utf8(bytes).is_ok(), "checked before");
        Text(bytes)
    }

    /// Its UTF-8.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Copies it to `to`, which has its length.
    #[inline(always)]
    pub(crate) fn copy_to(self, to: &mut [u8]) {
        put::copy(to, self.0);
    }

    /// As a `str`, which checks it once more: for people, not for the way of an order.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).expect("checked when it was made")
    }

    /// Bytes of it.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    #[inline]
    fn from(text: &'a str) -> Text<'a> {
        Text(text.as_bytes())
    }
}

impl PartialEq for Text<'_> {
    /// Of ids of ordinary length, two words of each, the first and the last, are compared: a call of `memcmp` costs more.
    #[inline(always)]
    fn eq(&self, other: &Text<'_>) -> bool {
        let (a, b) = (self.0, other.0);
        if a.len() != b.len() {
            return false;
        }
        match (a.first_chunk::<8>(), a.last_chunk::<8>(), b.first_chunk::<8>(), b.last_chunk::<8>()) {
            (Some(a_first), Some(a_last), Some(b_first), Some(b_last)) if a.len() <= 16 => {
                let first = u64::from_ne_bytes(*a_first) ^ u64::from_ne_bytes(*b_first);
                let last = u64::from_ne_bytes(*a_last) ^ u64::from_ne_bytes(*b_last);
                first | last == 0
            }
            _ => a == b,
        }
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// Whether an id of ordinary length is ASCII, which most are. A handful of instructions where `is_ascii` takes dozens.
#[inline(always)]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // Two words, the first and the last, together cover all of it.
    let words = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => u64::from_le_bytes(*first) | u64::from_le_bytes(*last),
        (Some(_), _) => return bytes.is_ascii(),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first) | u32::from_le_bytes(*last)),
            _ => bytes.iter().fold(0, |all, byte| all | u64::from(*byte)),
        },
    };
    words & HIGH_BITS == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_text_what_is_utf_8(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,20}") {
            prop_assert_eq!(Text::new(&bytes).map(Text::as_str), std::str::from_utf8(&bytes).ok());
            prop_assert_eq!(Text::new(text.as_bytes()).map(Text::as_str), Some(&text[..]));
        }

        #[test]
        fn is_equal_what_has_the_same_bytes(a in "[ab]{0,20}", at: prop::sample::Index, same: bool) {
            let mut b = a.clone().into_bytes();
            if !same && !b.is_empty() {
                let at = at.index(b.len());
                b[at] ^= 1;
            }
            prop_assert_eq!(Text::from(&*a) == Text::seen(&b), a.as_bytes() == b);
            let longer = a.clone() + "a";
            prop_assert!(Text::from(&*a) != Text::from(&*longer));
        }

        #[test]
        fn one_byte_beyond_ascii_is_seen_wherever_it_stands(length in 1_usize..40, at: prop::sample::Index) {
            let mut bytes = vec![b'a'; length];
            bytes[at.index(length)] = 0xff;
            prop_assert_eq!(Text::new(&bytes), None);
        }
    }
}
