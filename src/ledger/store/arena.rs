//! Runs of small values in recycled memory: ids and lines of open orders come and go without the allocator.
//!
//! A run lives in a cell of its size class: a multiple of the smallest up to eight of them, from there on a power of
//! two. Cells stand in chunks that are never moved or freed, so growing copies nothing; but for the first chunk of a class,
//! which is small as long as there are few.

/// Smallest sizes that a chunk has room for, a power of two: large enough that chunks are rare, small enough that one can be
/// copied. A class may have 2^32 of them: 32 GiB of ids and lines.
const CHUNK_UNITS: u32 = 8192;
/// Cells with which the first chunk of a class begins; it doubles up to the size of the others.
const FIRST_CELLS: u32 = 16;

/// Classes that are one smallest size apart.
const NEAR_CLASSES: usize = 8;

/// Most values of a run: its length has two bytes.
pub(crate) const MAX_RUN: usize = u16::MAX as usize;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where its cell begins among those of its class, in smallest sizes.
    at: u32,
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
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    /// Where the next cell begins that was never used, and where the room for them ends, in smallest sizes.
    next: u32,
    end: u32,
}

impl<T: Copy> Class<T> {
    fn new() -> Class<T> {
        Class { chunks: Vec::new(), free: Vec::new(), next: 0, end: 0 }
    }

    /// Makes room for more cells of so many units, which have `smallest` values each. Tells for how many values more.
    #[cold]
    fn grow(&mut self, units: u32, smallest: usize, blank: T) -> usize {
        if self.end < CHUNK_UNITS {
            let before = self.end;
            self.end = (2 * before).max(FIRST_CELLS * units).min(CHUNK_UNITS);
            let mut first = Vec::with_capacity(self.end as usize * smallest);
            first.extend(self.chunks.pop().unwrap_or_default());
            first.resize(first.capacity(), blank);
            self.chunks.push(first);
            return (self.end - before) as usize * smallest;
        }
        let values = CHUNK_UNITS as usize * smallest;
        self.next = self.end;
        self.end = self.end.checked_add(CHUNK_UNITS).expect("open orders take less than 32 GiB for each class");
        self.chunks.push(vec![blank; values]);
        values
    }
}

/// Runs of `T`, each of up to [`MAX_RUN`] values.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    classes: Vec<Class<T>>,
    smallest: usize,
    blank: T,
    /// Values in all chunks.
    values: usize,
}

impl<T: Copy> Arena<T> {
    /// An arena whose smallest class holds `smallest` values, a power of two, and the largest `largest` or more.
    /// `blank` fills what was never used.
    pub(crate) fn new(smallest: usize, largest: usize, blank: T) -> Arena<T> {
        let classes = class_of(largest.div_ceil(smallest)) + 1;
        assert!(units_of(classes - 1) <= CHUNK_UNITS as usize, "a cell fits into a chunk");
        Arena { classes: (0..classes).map(|_| Class::new()).collect(), smallest, blank, values: 0 }
    }

    /// A run of `len` values, whatever they are, until [`Arena::free`].
    #[inline]
    pub(crate) fn make(&mut self, len: usize) -> Run {
        let class = class_of(len.div_ceil(self.smallest));
        let store = &mut self.classes[class];
        let at = store.free.pop().unwrap_or_else(|| {
            let units = units_of(class) as u32;
            if store.end - store.next < units {
                self.values += store.grow(units, self.smallest, self.blank);
            }
            store.next += units;
            store.next - units
        });
        Run { at, len: len as u16, class: class as u8 }
    }

    /// The values of a run, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, run: Run) -> &mut [T] {
        let start = (run.at % CHUNK_UNITS) as usize * self.smallest;
        let chunk = &mut self.classes[usize::from(run.class)].chunks[(run.at / CHUNK_UNITS) as usize];
        &mut chunk[start..start + usize::from(run.len)]
    }

    /// The values of a run. After [`Arena::free`] they stand until the next [`Arena::make`].
    #[inline]
    pub(crate) fn get(&self, run: Run) -> &[T] {
        let start = (run.at % CHUNK_UNITS) as usize * self.smallest;
        let chunk = &self.classes[usize::from(run.class)].chunks[(run.at / CHUNK_UNITS) as usize];
        &chunk[start..start + usize::from(run.len)]
    }

    /// Gives the cell of a run back.
    pub(crate) fn free(&mut self, run: Run) {
        self.classes[usize::from(run.class)].free.push(run.at);
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        let free = self.classes.iter().map(|class| class.free.capacity()).sum::<usize>();
        self.values * size_of::<T>() + free * size_of::<u32>()
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
    fn few_runs_take_little_and_many_as_much_as_they_are() {
        for len in [1_usize, 3, 8, 100, 3_000, 65_535] {
            let mut arena: Arena<u8> = Arena::new(8, MAX_RUN, 0);
            let cell = 8 * units_of(class_of(len.div_ceil(8)));
            let runs: Vec<Run> = (0..5_000_000 / cell as u32 + 2)
                .map(|n| {
                    let run = keep(&mut arena, &vec![n as u8; len]);
                    let taken = (n as usize + 1) * cell;
                    let room = arena.bytes() - taken;
                    assert!(room <= taken.max(16 * cell).min(10 * 8 * CHUNK_UNITS as usize), "{room} beside {taken}");
                    run
                })
                .collect();
            assert!(runs.iter().zip(0u32..).all(|(run, n)| arena.get(*run) == vec![n as u8; len]));
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
