//! What makes two commands copies of one another, and the secret fingerprint it is remembered by.

use std::fmt;

use crate::ledger::store::index::Fingerprint;
use crate::ledger::terms::FingerprintKey;
use crate::wire::Text;
use crate::wire::limits::MAX_ID_BYTES;

/// The identity of an order's attempt or of a stock command. The two never meet, whatever their ids.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity<'a> {
    Order { pool: Text<'a>, order_id: Text<'a>, attempt: u32 },
    Stock { pool: Text<'a>, id: Text<'a> },
}

const _: () = assert!(MAX_ID_BYTES <= u8::MAX as usize, "the length of an id fits into a byte of the fingerprint");

impl<'a> Identity<'a> {
    /// Itself, if its ids are within their limits: those read from a log are not to be trusted.
    #[inline]
    pub(crate) fn checked(self) -> Option<Identity<'a>> {
        let Parts { pool, id, .. } = self.parts();
        [pool, id].iter().all(|text| (1..=MAX_ID_BYTES).contains(&text.len())).then_some(self)
    }

    #[inline]
    pub(crate) fn parts(self) -> Parts<'a> {
        match self {
            Identity::Order { pool, order_id, attempt } => Parts { kind: 1, attempt, pool, id: order_id },
            Identity::Stock { pool, id } => Parts { kind: 2, attempt: 0, pool, id },
        }
    }
}

/// The order that a command names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderRef<'a> {
    pub(crate) pool: Text<'a>,
    pub(crate) order_id: Text<'a>,
    pub(crate) attempt: u32,
}

impl<'a> OrderRef<'a> {
    pub(crate) fn identity(&self) -> Identity<'a> {
        Identity::Order { pool: self.pool, order_id: self.order_id, attempt: self.attempt }
    }
}

/// What an identity consists of: different for different ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: u8,
    pub(crate) attempt: u32,
    pub(crate) pool: Text<'a>,
    pub(crate) id: Text<'a>,
}

/// Makes fingerprints: 96 bits of a keyed hash of an identity. Two identities are taken for one with odds of n / 2^96 for
/// each new one among n remembered: with 100 million of them and a million million orders, once in a thousand million
/// such lives. The key is secret, so nobody can search for two that meet.
///
/// The hash is SipHash-1-3 with 128 bits, cut to 96. Hashed are pool and id, each filled up with zeros to whole
/// words, then attempt (u32), length of the pool, length of the id and kind (u8 each); the lengths tell what is filling.
#[derive(Clone)]
pub(crate) struct Fingerprinter(SipState);

impl Fingerprinter {
    pub(crate) fn new(FingerprintKey(key): FingerprintKey) -> Fingerprinter {
        let [low, high] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| key[at + i])));
        Fingerprinter(SipState([
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ]))
    }

    /// Of an identity whose ids are within their limits.
    #[inline]
    pub(crate) fn of(&self, identity: Identity<'_>) -> Fingerprint {
        let Parts { kind, attempt, pool, id } = identity.parts();
        let mut state = self.0.clone();
        let words = state.text(pool.as_bytes()) + state.text(id.as_bytes());
        let length = (words * 8 + 7) as u8;
        let [a, b, c, d] = attempt.to_le_bytes();
        state.word(u64::from_le_bytes([a, b, c, d, pool.len() as u8, id.len() as u8, kind, length]));
        let (low, high) = state.finish();
        Fingerprint([low as u32, (low >> 32) as u32, high as u32])
    }
}

impl Fingerprinter {
    /// Of a text that something counts by, a customer or a channel: as an identity, from the text, and at last its length,
    /// kind 3.
    #[inline]
    pub(crate) fn of_key(&self, key: Text<'_>) -> Fingerprint {
        let mut state = self.0.clone();
        let words = state.text(key.as_bytes());
        state.word(u64::from_le_bytes([0, 0, 0, 0, key.len() as u8, 0, 3, (words * 8 + 7) as u8]));
        let (low, high) = state.finish();
        Fingerprint([low as u32, (low >> 32) as u32, high as u32])
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(secret)")
    }
}

/// SipHash-1-3 with 128 bits of outcome, fed in whole words, so that nothing is gathered or buffered.
#[derive(Clone)]
struct SipState([u64; 4]);

impl SipState {
    /// Takes a text in, filled up with zeros, and tells how many words that were.
    #[inline(always)]
    fn text(&mut self, text: &[u8]) -> usize {
        let (words, rest) = text.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if rest.is_empty() {
            return words.len();
        }
        let word = match (text.last_chunk::<8>(), rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
            (Some(last), _, _) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            // The bytes that both have are the same.
            (_, Some(first), Some(last)) => {
                let high = u64::from(u32::from_le_bytes(*last)) << (8 * rest.len() - 32);
                u64::from(u32::from_le_bytes(*first)) | high
            }
            _ => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.word(word);
        words.len() + 1
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> (u64, u64) {
        self.0[2] ^= 0xee;
        let low = self.three_rounds();
        self.0[1] ^= 0xdd;
        (low, self.three_rounds())
    }

    #[inline(always)]
    fn three_rounds(&mut self) -> u64 {
        (0..3).for_each(|_| self.round());
        self.0.iter().fold(0, |all, part| all ^ part)
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        d = d.rotate_left(21) ^ a;
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip128::SipHasher13;

    use super::*;

    proptest! {
        #[test]
        fn a_fingerprint_is_the_siphash_that_it_is_said_to_be(
            key: [u8; 16], pool in "[a-z]{1,40}", id in "[a-z0-9-]{1,128}", attempt: u32,
        ) {
            let mut bytes = Vec::new();
            for text in [&pool, &id] {
                bytes.extend_from_slice(text.as_bytes());
                bytes.resize(bytes.len().next_multiple_of(8), 0);
            }
            bytes.extend_from_slice(&attempt.to_le_bytes());
            bytes.extend_from_slice(&[pool.len() as u8, id.len() as u8, 1]);
            let (low, high) = SipHasher13::new_with_key(&key).hash(&bytes).as_u64();
            let identity = Identity::Order { pool: (&*pool).into(), order_id: (&*id).into(), attempt };
            let made = Fingerprinter::new(FingerprintKey(key)).of(identity);
            prop_assert_eq!(made, Fingerprint([low as u32, (low >> 32) as u32, high as u32]));
        }
    }
}
