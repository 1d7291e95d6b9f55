//! The canonical bytes that the running digest "xxh3-128-sum" sums the hashes of: RULES.md, "Hashes", has them field by
//! field. Nothing of the fingerprint key is in them, nor of the numbers that pools and rows have within one process.

use xxhash_rust::xxh3::xxh3_128;

use super::closed::Remembered;
use super::identity::{Identity, Parts};
use super::selling::Stamp;
use crate::wire::{Rule, Text};

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

    /// When a rule was set or removed.
    pub(crate) fn stamp(&mut self, stamp: &Stamp) -> &mut Canonical {
        self.i64(stamp.issued_at_ms).u64(stamp.sequence).i64(stamp.generation)
    }

    /// What a rule says.
    pub(crate) fn rule(&mut self, rule: &Rule<'_>) -> &mut Canonical {
        rule.define(&mut self.0);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
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

    /// What the rules level adds to the digest.
    pub(crate) fn rules_level(&mut self, level: u32) -> u128 {
        if level == 0 { 0 } else { self.begin(5).u32(level).hash() }
    }

    /// What the halt of a pool adds to the digest.
    pub(crate) fn halted_pool(&mut self, pool: Text<'_>) -> u128 {
        self.begin(2).str(pool.as_bytes()).hash()
    }
}
