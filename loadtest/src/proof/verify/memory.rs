//! For how long a shard remembers, by the first record of its log. Written from the contract, not from the engine: what a
//! run shipped and sells no more is forgotten by it, and must not be before.

use sluice::wire::proto::Genesis;

/// Generations behind the present one that are still known.
const KNOWN_GENERATIONS: i64 = 5;

/// Parts into which window and skew together are cut.
const PARTS: u64 = 4;

/// Generations of shard time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    generation_ms: i64,
}

impl Default for Memory {
    /// Of a log that never forgets.
    fn default() -> Self {
        Self { generation_ms: i64::MAX }
    }
}

impl Memory {
    /// That of a log which begins so.
    pub fn of(genesis: &Genesis) -> Self {
        let length = genesis.window_ms.saturating_add(genesis.skew_ms).div_ceil(PARTS).max(1);
        Self { generation_ms: i64::try_from(length).unwrap_or(i64::MAX) }
    }

    /// Whether what was last changed at `changed_ms` is no longer known at `at_ms`.
    pub(super) fn forgets(self, changed_ms: i64, at_ms: i64) -> bool {
        let generation = |ms: i64| ms.div_euclid(self.generation_ms);
        generation(at_ms) - generation(changed_ms) > KNOWN_GENERATIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_known_for_five_generations_more() {
        let memory = Memory::of(&Genesis { window_ms: 90, skew_ms: 9, ..Genesis::default() });
        // A quarter of 99, rounded up.
        assert_eq!(memory, Memory { generation_ms: 25 });
        assert!(!memory.forgets(1_000, 1_149) && !memory.forgets(1_024, 1_149));
        assert!(memory.forgets(1_000, 1_150) && memory.forgets(1_024, 1_150));
        assert!(!memory.forgets(1_025, 1_150));
        assert!(!Memory::default().forgets(0, 4_000_000_000_000));
    }
}
