//! The order in which holds fall due.
//!
//! Holds of one length fall due in the order in which they were placed, and a shop asks for few lengths: they go to the
//! end of a run, one for each length, and never move. Only what fits no run goes through a heap, where an entry costs
//! a cache miss for every doubling.
//!
//! A hold that was confirmed, cancelled or extended leaves its entry behind. At the head such entries are dropped at
//! once; elsewhere they are swept out a chunk at a time when they are as many as those that count.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Runs there may be: lengths of hold that are in use at the same time. Each new hold looks at all of them.
const MAX_RUNS: usize = 8;
/// Most entries of a chunk (12 KiB): what a sweep looks at in one go.
const CHUNK_ENTRIES: usize = 512;
/// Entries of the first chunk. Each further one has room for as many as all that there are, up to the most.
const FIRST_ENTRIES: usize = 32;
/// Entries, beyond twice the holds there are, at which those that no longer count are swept out. Below it a sweep would
/// cost more than it frees.
const STALE_HOLDS: usize = 1024;

/// A hold's place in the queue: by its end, then by the sequence of its Place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub expires_at_ms: i64,
    pub sequence: u64,
    pub slot: u32,
}

/// Entries in ascending order.
#[derive(Debug, Default)]
struct Run {
    /// None of them empty.
    chunks: VecDeque<Vec<Due>>,
    /// Entries of the first chunk that were taken.
    taken: usize,
    /// End and sequence of the last entry that was added. It may be gone; the order of the others still holds.
    last_ms: i64,
    last_sequence: u64,
}

impl Run {
    fn first(&self) -> Option<Due> {
        self.chunks.front().map(|chunk| chunk[self.taken])
    }

    /// One that has emptied takes anything.
    fn open_if_empty(&mut self) {
        if self.chunks.is_empty() {
            self.last_ms = i64::MIN;
        }
    }

    /// Whether an entry may stand behind the last.
    #[inline(always)]
    fn takes(&self, due: &Due) -> bool {
        self.last_ms < due.expires_at_ms || (self.last_ms == due.expires_at_ms && self.last_sequence < due.sequence)
    }
}

/// Where the first entry of all stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Run(usize),
    Odd,
}

/// The queue of holds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    runs: Vec<Run>,
    /// What fits no run.
    odd: BinaryHeap<Reverse<Due>>,
    first: Option<(Due, Queue)>,
    entries: usize,
    /// Entries that there is room for in all chunks.
    room: usize,
    /// Emptied chunks, for their capacity.
    spare: Vec<Vec<Due>>,
    /// The chunk to be swept next, of this run.
    swept: (usize, usize),
}

impl Holds {
    pub(crate) fn bytes(&self) -> usize {
        (self.room + self.odd.capacity()) * size_of::<Due>()
    }

    /// The entry that comes first.
    #[inline]
    pub(crate) fn first(&self) -> Option<Due> {
        self.first.map(|(due, _)| due)
    }

    /// Adds an entry.
    #[inline]
    pub(crate) fn push(&mut self, due: Due) {
        self.entries += 1;
        let queue = self.run_for(&due);
        match queue {
            Queue::Run(run) => {
                let run = &mut self.runs[run];
                (run.last_ms, run.last_sequence) = (due.expires_at_ms, due.sequence);
                match run.chunks.back_mut() {
                    Some(chunk) if chunk.len() < chunk.capacity() => chunk.push(due),
                    _ => {
                        let mut chunk = self.spare.pop().unwrap_or_else(|| {
                            let room = self.room.clamp(FIRST_ENTRIES, CHUNK_ENTRIES);
                            self.room += room;
                            Vec::with_capacity(room)
                        });
                        chunk.push(due);
                        run.chunks.push_back(chunk);
                    }
                }
            }
            Queue::Odd => self.odd.push(Reverse(due)),
        }
        if self.first.is_none_or(|(first, _)| due < first) {
            self.first = Some((due, queue));
        }
    }

    /// The run whose end is nearest below `due`: were it any other, lengths would mix and spoil each other's runs.
    #[inline]
    fn run_for(&mut self, due: &Due) -> Queue {
        let (mut nearest, mut nearest_ms) = (None, i64::MIN);
        for (i, run) in self.runs.iter().enumerate() {
            if run.takes(due) && run.last_ms >= nearest_ms {
                (nearest, nearest_ms) = (Some(i), run.last_ms);
            }
        }
        match nearest {
            Some(run) => Queue::Run(run),
            None if self.runs.len() < MAX_RUNS => {
                self.runs.push(Run::default());
                Queue::Run(self.runs.len() - 1)
            }
            None => Queue::Odd,
        }
    }

    /// Drops entries at the head that do not count, and keeps the queue in proportion to the `held` entries that do.
    #[inline]
    pub(crate) fn tidy(&mut self, held: usize, counts: impl Fn(&Due) -> bool) {
        while let Some((due, queue)) = self.first
            && !counts(&due)
        {
            self.take(queue);
        }
        if self.entries > 2 * held + STALE_HOLDS {
            self.sweep(counts);
        }
    }

    /// Takes the first entry out.
    fn take(&mut self, queue: Queue) {
        self.entries -= 1;
        match queue {
            Queue::Run(run) => {
                let run = &mut self.runs[run];
                run.taken += 1;
                if run.chunks.front().is_some_and(|chunk| chunk.len() == run.taken) {
                    run.taken = 0;
                    self.spare.extend(run.chunks.pop_front().map(cleared));
                    run.open_if_empty();
                }
            }
            Queue::Odd => _ = self.odd.pop(),
        }
        let runs = self.runs.iter().enumerate();
        let firsts = runs.filter_map(|(i, run)| Some((run.first()?, Queue::Run(i))));
        let odd = self.odd.peek().map(|Reverse(due)| (*due, Queue::Odd));
        self.first = firsts.chain(odd).min_by_key(|(due, _)| *due);
    }

    /// Takes what does not count out of the next chunk.
    #[cold]
    fn sweep(&mut self, counts: impl Fn(&Due) -> bool) {
        let (run_at, chunk_at) = self.swept;
        let Some(run) = self.runs.get_mut(run_at) else {
            let before = self.odd.len();
            self.odd.retain(|Reverse(due)| counts(due));
            self.entries -= before - self.odd.len();
            self.swept = (0, 0);
            return;
        };
        let Some(chunk) = run.chunks.get_mut(chunk_at) else {
            self.swept = (run_at + 1, 0);
            return;
        };
        if chunk_at == 0 {
            chunk.drain(..std::mem::take(&mut run.taken));
        }
        let before = chunk.len();
        chunk.retain(&counts);
        self.entries -= before - chunk.len();
        let left = chunk.len();
        let joins = chunk_at > 0 && run.chunks[chunk_at - 1].len() + left <= run.chunks[chunk_at - 1].capacity();
        if left > 0 && !joins {
            self.swept.1 += 1;
            return;
        }
        let chunk = run.chunks.remove(chunk_at).expect("it was just swept");
        run.open_if_empty();
        if left > 0 {
            run.chunks[chunk_at - 1].extend_from_slice(&chunk);
        }
        self.spare.push(cleared(chunk));
    }
}

fn cleared(mut chunk: Vec<Due>) -> Vec<Due> {
    chunk.clear();
    chunk
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_first_of_those_that_count_is_the_first(
            steps in prop::collection::vec((0_i64..40, any::<u8>()), 1..4_000), lengths in 1_i64..40,
        ) {
            let mut holds = Holds::default();
            let mut model = BTreeSet::new();
            for (sequence, (length, dice)) in steps.into_iter().enumerate() {
                let due = Due { expires_at_ms: sequence as i64 / 7 + length % lengths * 50, sequence: sequence as u64, slot: 0 };
                holds.push(due);
                model.insert(due);
                // Most leave early, from anywhere; some at their time.
                for _ in 0..usize::from(dice % 3) {
                    let gone = match dice % 5 {
                        0 => model.first().copied(),
                        _ => model.range(Due { expires_at_ms: due.expires_at_ms - i64::from(dice), ..due }..).next().copied(),
                    };
                    gone.map(|gone| model.remove(&gone));
                    holds.tidy(model.len(), |due| model.contains(due));
                }
                prop_assert_eq!(holds.first(), model.first().copied());
                prop_assert!(holds.entries >= model.len());
            }
            while let Some(first) = model.pop_first() {
                prop_assert_eq!(holds.first(), Some(first));
                holds.tidy(model.len(), |due| model.contains(due));
            }
            prop_assert_eq!((holds.first(), holds.entries), (None, 0));
        }
    }

    #[test]
    fn what_no_longer_counts_takes_no_more_room_than_what_does() {
        let mut holds = Holds::default();
        for sequence in 0..200_000 {
            holds.push(Due { expires_at_ms: 1_000_000 + sequence as i64, sequence, slot: 0 });
            // One in a hundred stays.
            let live = sequence as usize / 100 + 1;
            holds.tidy(live, |due| due.sequence % 100 == 0);
            assert!(holds.entries <= 2 * live + STALE_HOLDS + 1);
        }
        assert!(holds.bytes() < 4 * (2 * 2_000 + STALE_HOLDS) * size_of::<Due>());
    }
}
