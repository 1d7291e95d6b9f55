//! Numbered slots that are recycled. They stand in chunks that never move, so that growing copies nothing; but for the
//! first chunk, which is small as long as there are few.

use std::ops::{Index, IndexMut};

/// Slots in a chunk, a power of two: an allocation of some tens of KiB.
const CHUNK_SLOTS: usize = 1024;
/// Slots with which the first chunk begins; it doubles up to the size of the others.
const FIRST_SLOTS: usize = 16;

const _: () = assert!(CHUNK_SLOTS.is_power_of_two() && FIRST_SLOTS.is_power_of_two());

/// Slots of `T`. A freed slot keeps its value until it is used again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    slots: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), slots: 0 }
    }

    /// Slots there are, freed ones too: their numbers are those below.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Puts `value` into a slot and tells which.
    pub(crate) fn put(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self[slot] = value;
            return slot;
        }
        let slot = self.slots;
        if slot as usize == self.chunks.len() * CHUNK_SLOTS {
            let slots = if self.chunks.is_empty() { FIRST_SLOTS } else { CHUNK_SLOTS };
            self.chunks.push(Vec::with_capacity(slots));
        }
        self.chunks[slot as usize / CHUNK_SLOTS].push(value);
        self.slots += 1;
        slot
    }

    /// The slot that the next [`Slab::put`] uses, if it is one that was used before.
    pub(crate) fn next(&self) -> Option<&T> {
        self.free.last().map(|slot| &self[*slot])
    }

    /// A slot's value, if there ever was one.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.chunks.get(slot as usize / CHUNK_SLOTS)?.get(slot as usize % CHUNK_SLOTS)
    }

    /// Gives a slot back.
    pub(crate) fn free(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Slots in use.
    pub(crate) fn len(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    /// Every slot's value, freed ones too.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        let slots = self.chunks.split_first().map_or(0, |(first, rest)| first.capacity() + rest.len() * CHUNK_SLOTS);
        slots * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK_SLOTS][slot as usize % CHUNK_SLOTS]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize / CHUNK_SLOTS][slot as usize % CHUNK_SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_slots_take_little_and_many_as_much_as_they_are() {
        let mut slab: Slab<u64> = Slab::new();
        assert_eq!(slab.bytes(), 0);
        for n in 0..5 * CHUNK_SLOTS {
            assert_eq!(slab.put(n as u64), n as u32);
            let slots = slab.bytes() / size_of::<u64>();
            assert!(slots <= (2 * (n + 1)).max(FIRST_SLOTS) && slots <= n + CHUNK_SLOTS, "{slots} slots for {n}");
        }
        assert!((0..5 * CHUNK_SLOTS as u32).all(|slot| slab[slot] == u64::from(slot)));
    }
}
