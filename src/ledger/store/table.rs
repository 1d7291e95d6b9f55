//! From the hash of a pool and a SKU to the number of their row: a hash table in parts, each of which grows by itself,
//! so that nothing large is ever moved at once.
//!
//! Rows are few beside orders and looked up for every line, so there is room for speed: parts are at most half full,
//! and a lookup reads eight bytes before it looks at the row.

/// Parts of the table: with a million rows each has 4,096, and growing one takes some tens of microseconds.
const PARTS: usize = 256;
/// Slots of an empty part, a power of two.
const FIRST_SLOTS: usize = 8;
/// A slot without a row.
const FREE: u64 = 0;

/// A slot holds the upper half of the hash in its upper half, and the row's number plus one in its lower.
#[derive(Debug)]
struct Part {
    slots: Vec<u64>,
    used: usize,
}

/// The table. What a number stands for is the caller's business.
#[derive(Debug)]
pub(crate) struct Table {
    parts: Vec<Part>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { parts: (0..PARTS).map(|_| Part { slots: vec![FREE; FIRST_SLOTS], used: 0 }).collect() }
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.slots.capacity()).sum::<usize>() * size_of::<u64>()
    }

    /// The number with this hash for which `is_it` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let slots = &self.parts[hash as usize % PARTS].slots;
        let mut at = home(hash, slots);
        loop {
            let slot = slots[at];
            if slot == FREE {
                return None;
            }
            if (slot ^ hash) >> 32 == 0 && is_it(number(slot)) {
                return Some(number(slot));
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// Adds a number, which must not be there.
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        let part = &mut self.parts[hash as usize % PARTS];
        part.used += 1;
        if part.used * 2 > part.slots.len() {
            let larger = vec![FREE; part.slots.len() * 2];
            for slot in std::mem::replace(&mut part.slots, larger) {
                if slot != FREE {
                    put(&mut part.slots, slot);
                }
            }
        }
        put(&mut part.slots, (hash >> 32 << 32) | (u64::from(number) + 1));
    }

    /// Takes a number out. False if it is not there.
    pub(crate) fn remove(&mut self, hash: u64, gone: u32) -> bool {
        let part = &mut self.parts[hash as usize % PARTS];
        let slots = &mut part.slots;
        let mask = slots.len() - 1;
        let mut hole = home(hash, slots);
        while slots[hole] != FREE && number(slots[hole]) != gone {
            hole = (hole + 1) & mask;
        }
        if slots[hole] == FREE {
            return false;
        }
        part.used -= 1;
        // Whoever stands behind and could stand here moves up, so that no lookup ends too early.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if slots[at] == FREE {
                slots[hole] = FREE;
                return true;
            }
            let way = at.wrapping_sub(home(slots[at], slots)) & mask;
            if way >= at.wrapping_sub(hole) & mask {
                slots[hole] = slots[at];
                hole = at;
            }
        }
    }
}

/// Where the search for a hash, or for that of a slot, begins.
#[inline(always)]
fn home(hash: u64, slots: &[u64]) -> usize {
    (hash >> 32) as usize & (slots.len() - 1)
}

#[inline(always)]
fn number(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

fn put(slots: &mut [u64], slot: u64) {
    let mut at = home(slot, slots);
    while slots[at] != FREE {
        at = (at + 1) & (slots.len() - 1);
    }
    slots[at] = slot;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Few parts, few homes, and many of the same hash.
    fn crowded(n: u32) -> u64 {
        u64::from(n % 2) | u64::from(n % 7 * 3) << 32
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn finds_exactly_what_is_in_it(steps in prop::collection::vec((0u32..80, any::<bool>()), 1..400)) {
            let mut table = Table::new();
            let mut model = HashSet::new();
            for (n, insert) in steps {
                if insert && model.insert(n) {
                    table.insert(crowded(n), n);
                } else if !insert {
                    prop_assert_eq!(table.remove(crowded(n), n), model.remove(&n));
                }
                for m in 0..80 {
                    prop_assert_eq!(table.find(crowded(m), |n| n == m).is_some(), model.contains(&m));
                }
            }
        }
    }
}
