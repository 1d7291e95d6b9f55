//! What is known of every order of ours: 8 bytes each, found by its number. Readers of several partitions share it
//! without a lock, because all of an order's decisions come from one partition, so one reader.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::life::Life;

/// Orders in a piece of memory taken at once: 512 KiB.
const CHUNK: usize = 1 << 16;

/// Most orders of one generator that a run may have: five minutes at 500,000/s are 150 million, in 1.2 GB.
pub const MOST_ORDERS: u64 = 1 << 32;

type Chunk = Box<[AtomicU64]>;

/// See the module.
#[derive(Debug)]
pub struct Lives {
    chunks: Box<[OnceLock<Chunk>]>,
}

impl Default for Lives {
    fn default() -> Self {
        let chunks = (0..(MOST_ORDERS / CHUNK as u64)).map(|_| OnceLock::new()).collect();
        Self { chunks }
    }
}

impl Lives {
    /// What is known of an order. Nothing is known of one beyond [`MOST_ORDERS`].
    pub(super) fn get(&self, number: u64) -> Life {
        let chunk = self.chunks.get((number / CHUNK as u64) as usize).and_then(OnceLock::get);
        chunk.map_or_else(Life::default, |chunk| Life::unpack(chunk[number as usize % CHUNK].load(Ordering::Relaxed)))
    }

    /// Changes what is known of an order; only the reader of its partition may. False if its number is too high.
    pub(super) fn change<T>(&self, number: u64, change: impl FnOnce(&mut Life) -> T) -> Option<T> {
        let chunk = self.chunks.get((number / CHUNK as u64) as usize)?;
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        let slot = &chunk[number as usize % CHUNK];
        let mut life = Life::unpack(slot.load(Ordering::Relaxed));
        let result = change(&mut life);
        slot.store(life.pack(), Ordering::Relaxed);
        Some(result)
    }

    /// One more than the highest number of which anything may be known.
    pub(super) fn end(&self) -> u64 {
        let last = self.chunks.iter().rposition(|chunk| chunk.get().is_some());
        last.map_or(0, |last| (last as u64 + 1) * CHUNK as u64)
    }
}
