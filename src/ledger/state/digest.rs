//! The running digest "xxh3-128-sum": the wrapping sum of `xxh3_128` over the canonical bytes of everything that the
//! ledger knows. It depends neither on the fingerprint key, nor on the order in which things became known, nor on the
//! numbers that pools and rows have within one process.
//!
//! Canonical bytes, all integers little-endian, `str` a u32 length and the bytes:
//!
//! ```text
//! stock row    u8 1, str pool, str sku, i64 on_hand, i64 reserved, i64 committed, i64 safety_stock, u8 halted,
//!              i64 generation of the last change
//! halted pool  u8 2, str pool
//! open order   u8 3, str pool, str order id, u32 attempt, u64 content, u64 sequence of the Place, u8 state,
//!              i64 expires_at (0 once committed), then for each line: str sku, u32 quantity
//! remembered   u8 4, identity (u8 1 order or 2 stock command, u32 attempt, u16 length of the pool, pool, id),
//!              u64 content, u64 sequence, u8 outcome, u8 reason, u8 state, i64 generation of the last change
//! ```

use xxhash_rust::xxh3::xxh3_128;

use super::closed::Remembered;
use super::identity::{Identity, Parts};
use crate::wire::Text;

/// Builds canonical bytes in a buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct Canonical(Vec<u8>);

impl Canonical {
    pub(crate) fn begin(&mut self, kind: u8) -> &mut Canonical {
        self.0.clear();
        self.0.push(kind);
        self
    }

    pub(crate) fn str(&mut self, text: &[u8]) -> &mut Canonical {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Canonical {
        self.0.push(value);
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Canonical {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Canonical {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Canonical {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn hash(&self) -> u128 {
        xxh3_128(&self.0)
    }

    /// What a remembered identity adds to the digest.
    pub(crate) fn remembered(&mut self, identity: Identity<'_>, what: Remembered, generation: i64) -> u128 {
        let original = what.ending.original(what.sequence);
        let Parts { kind, attempt, pool, id } = identity.parts();
        self.begin(4).u8(kind).u32(attempt).0.extend_from_slice(&(pool.len() as u16).to_le_bytes());
        self.0.extend_from_slice(pool.as_bytes());
        self.0.extend_from_slice(id.as_bytes());
        self.u64(what.content).u64(what.sequence);
        self.u8(original.outcome as u8).u8(original.reason as u8).u8(what.ending.state() as u8);
        self.i64(generation).hash()
    }

    /// What the halt of a pool adds to the digest.
    pub(crate) fn halted_pool(&mut self, pool: Text<'_>) -> u128 {
        self.begin(2).str(pool.as_bytes()).hash()
    }
}
