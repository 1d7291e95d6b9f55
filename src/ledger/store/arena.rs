//! Runs of small values in recycled memory: ids and lines of open orders come and go without the allocator.
//!
//! A run lives in a cell of its size class: a multiple of the smallest up to eight of them, from there on a power of
//! two. Cells stand in chunks that are never moved or freed, so growing copies nothing.

/// Cells in a chunk: large enough that chunks are rare, small enough that an idle shard stays small.
const CHUNK_CELLS: usize = 1024;

/// Classes that are one smallest size apart.
const NEAR_CLASSES: usize = 8;

/// Most values of a run: its length has two bytes.
pub(crate) const MAX_RUN: usize = u16::MAX as usize;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    cell: u32,
    len: u16,
    class: u8,
}

impl Run {
    /// How many values it has.
    #[inline]
    pub(crate) fn len(self) -> usize {
        usize::from(self.len)
    }
}

#[derive(Debug)]
struct Class<T> {
    chunks: Vec<Box<[T]>>,
    free: Vec<u32>,
    used: u32,
}

/// Runs of `T`, each of up to [`MAX_RUN`] values.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    classes: Vec<Class<T>>,
    smallest: usize,
    blank: T,
    chunks: usize,
}

impl<T: Copy> Arena<T> {
    /// An arena whose smallest class holds `smallest` values, a power of two, and the largest `largest` or more.
    /// `blank` fills what was never used.
    pub(crate) fn new(smallest: usize, largest: usize, blank: T) -> Arena<T> {
        let classes = class_of(largest.div_ceil(smallest)) + 1;
        Arena {
            classes: (0..classes).map(|_| Class { chunks: Vec::new(), free: Vec::new(), used: 0 }).collect(),
            smallest,
            blank,
            chunks: 0,
        }
    }

    /// A run of `len` values, whatever they are, until [`Arena::free`].
    #[inline]
    pub(crate) fn make(&mut self, len: usize) -> Run {
        let class = class_of(len.div_ceil(self.smallest));
        let size = self.smallest * units_of(class);
        let store = &mut self.classes[class];
        let cell = store.free.pop().unwrap_or_else(|| {
            if store.used as usize == store.chunks.len() * CHUNK_CELLS {
                store.chunks.push(vec![self.blank; size * CHUNK_CELLS].into_boxed_slice());
                self.chunks += size * CHUNK_CELLS * size_of::<T>();
            }
            store.used += 1;
            store.used - 1
        });
        Run { cell, len: len as u16, class: class as u8 }
    }

    /// The values of a run, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, run: Run) -> &mut [T] {
        let size = self.smallest * units_of(usize::from(run.class));
        let start = (run.cell as usize % CHUNK_CELLS) * size;
        let chunk = &mut self.classes[run.class as usize].chunks[run.cell as usize / CHUNK_CELLS];
        &mut chunk[start..start + run.len as usize]
    }

    /// The values of a run. After [`Arena::free`] they stand until the next [`Arena::make`].
    #[inline]
    pub(crate) fn get(&self, run: Run) -> &[T] {
        let size = self.smallest * units_of(usize::from(run.class));
        let start = (run.cell as usize % CHUNK_CELLS) * size;
        let chunk = &self.classes[run.class as usize].chunks[run.cell as usize / CHUNK_CELLS];
        &chunk[start..start + run.len as usize]
    }

    /// Gives the cell of a run back.
    pub(crate) fn free(&mut self, run: Run) {
        self.classes[run.class as usize].free.push(run.cell);
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks + self.classes.iter().map(|class| class.free.capacity() * size_of::<u32>()).sum::<usize>()
    }
}

/// The class of a run of so many smallest sizes.
#[inline]
fn class_of(units: usize) -> usize {
    match units {
        0..=1 => 0,
        2..=NEAR_CLASSES => units - 1,
        _ => (units.next_power_of_two() / NEAR_CLASSES).trailing_zeros() as usize + NEAR_CLASSES - 1,
    }
}

/// How many smallest sizes a cell of a class has.
#[inline]
fn units_of(class: usize) -> usize {
    if class < NEAR_CLASSES { class + 1 } else { NEAR_CLASSES << (class - NEAR_CLASSES + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_fits_its_class_and_no_smaller_one() {
        for units in 1..5_000 {
            let class = class_of(units);
            assert!(units <= units_of(class));
            assert!(class == 0 || units > units_of(class - 1));
        }
    }

    fn keep<T: Copy>(arena: &mut Arena<T>, values: &[T]) -> Run {
        let run = arena.make(values.len());
        arena.get_mut(run).copy_from_slice(values);
        run
    }

    #[test]
    fn runs_keep_their_values_while_others_come_and_go() {
        let mut arena: Arena<u8> = Arena::new(16, 128, 0);
        let mut runs = Vec::new();
        for n in 0..5_000usize {
            let values = vec![n as u8; n % 129];
            runs.push((keep(&mut arena, &values), values));
            if n % 3 == 0 {
                let (run, values) = runs.swap_remove(n / 2 % runs.len());
                assert_eq!(arena.get(run), values);
                arena.free(run);
            }
        }
        for (run, values) in &runs {
            assert_eq!(arena.get(*run), values);
        }
    }

    #[test]
    fn freed_places_are_used_again() {
        let mut arena: Arena<u64> = Arena::new(1, 200, 0);
        let runs: Vec<Run> = (0..3_000).map(|n| keep(&mut arena, &vec![n; n as usize % 200])).collect();
        runs.iter().for_each(|run| arena.free(*run));
        let bytes = arena.bytes();
        (0..3_000u64).for_each(|n| _ = keep(&mut arena, &vec![n; n as usize % 200]));
        assert_eq!(arena.bytes(), bytes);
    }
}
