//! What makes two commands copies of one another, and the secret fingerprint it is remembered by.

use std::fmt;

use siphasher::sip128::SipHasher13;

use super::rules::FingerprintKey;
use crate::wire::limits::MAX_ID_BYTES;

/// The identity of an order's attempt or of a stock command. The two never meet, whatever their ids.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identity<'a> {
    Order { pool: &'a str, order_id: &'a str, attempt: u32 },
    Stock { pool: &'a str, id: &'a str },
}

/// An identity in bytes: which kind, attempt, length of the pool, pool, id.
const MAX_IDENTITY_BYTES: usize = 1 + 4 + 2 + 2 * MAX_ID_BYTES;

/// An identity's bytes, on the stack.
pub(super) struct IdentityBytes {
    bytes: [u8; MAX_IDENTITY_BYTES],
    len: usize,
}

impl<'a> Identity<'a> {
    /// Itself, if its ids are within their limits: those read from a log are not to be trusted.
    pub(super) fn checked(self) -> Option<Identity<'a>> {
        let (Identity::Order { pool, order_id: id, .. } | Identity::Stock { pool, id }) = self;
        [pool, id].iter().all(|text| (1..=MAX_ID_BYTES).contains(&text.len())).then_some(self)
    }

    /// The bytes, different for different identities. The ids must be within their limits.
    pub(super) fn bytes(&self) -> IdentityBytes {
        let (kind, pool, id, attempt) = match *self {
            Identity::Order { pool, order_id, attempt } => (1, pool.as_bytes(), order_id.as_bytes(), attempt),
            Identity::Stock { pool, id } => (2, pool.as_bytes(), id.as_bytes(), 0),
        };
        let mut bytes = [0; MAX_IDENTITY_BYTES];
        bytes[0] = kind;
        bytes[1..5].copy_from_slice(&attempt.to_le_bytes());
        bytes[5..7].copy_from_slice(&(pool.len() as u16).to_le_bytes());
        let id_at = 7 + pool.len();
        bytes[7..id_at].copy_from_slice(pool);
        bytes[id_at..id_at + id.len()].copy_from_slice(id);
        IdentityBytes { bytes, len: id_at + id.len() }
    }
}

impl IdentityBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// 96 bits of a keyed hash of an identity. Two identities are taken for one with odds of n / 2^96 for each new one
/// among n remembered: with 100 million of them and a million million orders, once in a thousand million such lives.
/// The key is secret, so nobody can search for two that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u32; 3]);

/// Makes fingerprints: SipHash-1-3 with 128 bits, cut to 96.
#[derive(Clone)]
pub(super) struct Fingerprinter(SipHasher13);

impl Fingerprinter {
    pub(super) fn new(key: FingerprintKey) -> Fingerprinter {
        Fingerprinter(SipHasher13::new_with_key(&key.0))
    }

    pub(super) fn of(&self, identity: Identity<'_>) -> Fingerprint {
        let (low, high) = self.0.hash(identity.bytes().as_slice()).as_u64();
        Fingerprint([low as u32, (low >> 32) as u32, high as u32])
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(secret)")
    }
}
