//! Numbered slots that are recycled and never move, so that growing copies nothing.

use std::ops::{Index, IndexMut};

/// Slots in a chunk, a power of two: an allocation of some tens of KiB.
const CHUNK_SLOTS: usize = 1024;

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
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
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
        self.chunks.len() * CHUNK_SLOTS * size_of::<T>() + self.free.capacity() * size_of::<u32>()
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
