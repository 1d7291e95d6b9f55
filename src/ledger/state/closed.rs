//! Remembered identities: 28 bytes each, in chunks that belong to a generation of shard time.
//!
//! What is known follows from the generation alone (RULES.md, "Memory"), so a generation is forgotten at once by
//! one comparison; its entries leave the index a few at a time afterwards, and its chunks are used again. Entries that
//! are still in the index then are dead: a lookup passes them by.

use std::collections::VecDeque;

use crate::ledger::store::index::{Fingerprint, Index};
use crate::wire::Original;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// Generations that window and skew are cut into.
const GENERATIONS: u64 = 4;
/// How many generations after its own an identity is still known: with one for each end cut short, always longer than
/// window and skew together.
const KNOWN_GENERATIONS: i64 = 5;
/// Records in a chunk (112 KiB): chunks are rare.
const CHUNK_RECORDS: usize = 4096;
/// Records with which the first chunk of a generation begins, if none was used before: it doubles, so that a generation of
/// an idle shard stays small.
const FIRST_RECORDS: usize = 32;
/// Records that can be told apart by a position: the other half of the positions are open orders.
pub(crate) const MAX_RECORDS: usize = 1 << 31;

/// What became of a remembered identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An order: a Cancel came, its Place has not.
    CancelledBeforePlace,
    /// An order: it was reserved, then cancelled.
    Cancelled,
    /// An order: it was reserved, then expired.
    Expired,
    /// An order: it was reserved, confirmed and shipped.
    Shipped,
    /// An order: rejected, for the reason of this number.
    Rejected(u8),
    /// A stock command that was applied.
    Applied,
}

/// The contract keeps the reasons from 1 to this one for orders that are rejected.
const LAST_OF_REJECTIONS: i32 = 15;

impl Ending {
    /// The ending of an order that is rejected with `reason`; none if no order is rejected for it.
    pub(crate) fn rejected(reason: Reason) -> Option<Ending> {
        (1..=LAST_OF_REJECTIONS).contains(&(reason as i32)).then_some(Ending::Rejected(reason as u8))
    }

    /// The order's state; unspecified for a stock command.
    pub(crate) fn state(self) -> OrderState {
        match self {
            Ending::CancelledBeforePlace | Ending::Cancelled => OrderState::Cancelled,
            Ending::Expired => OrderState::Expired,
            Ending::Shipped => OrderState::Shipped,
            Ending::Rejected(_) => OrderState::Rejected,
            Ending::Applied => OrderState::Unspecified,
        }
    }

    /// What the first decision said.
    pub(crate) fn original(self, sequence: u64) -> Original {
        let (outcome, reason) = match self {
            Ending::CancelledBeforePlace => (Outcome::Cancelled, Reason::BeforePlace),
            Ending::Cancelled | Ending::Expired | Ending::Shipped => (Outcome::Reserved, Reason::Unspecified),
            Ending::Rejected(reason) => {
                (Outcome::Rejected, Reason::try_from(i32::from(reason)).expect("it was made from a reason"))
            }
            Ending::Applied => (Outcome::Applied, Reason::Unspecified),
        };
        Original { sequence, outcome, reason }
    }
}

/// What is remembered of an identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// Hash of the content that was decided; 0 before there was one.
    pub content: u64,
    /// Sequence of the first decision; 0 before there was one.
    pub sequence: u64,
    pub ending: Ending,
}

/// [`Remembered`] and its fingerprint, in words of 4 bytes: 48 bits of sequence last 8 years at a million a second.
#[derive(Clone, Copy, Debug)]
struct Record {
    fingerprint: Fingerprint,
    content: [u32; 2],
    sequence_low: u32,
    sequence_high: u16,
    ending: Ending,
}

const _: () = assert!(size_of::<Record>() == 28);

#[derive(Debug)]
struct Chunk {
    generation: i64,
    records: Vec<Record>,
}

#[derive(Debug, Default)]
struct Generation {
    number: i64,
    known: usize,
    digest: u128,
    chunks: Vec<u32>,
}

/// The remembered identities.
#[derive(Debug)]
pub(crate) struct Records {
    length_ms: i64,
    now: i64,
    chunks: Vec<Chunk>,
    /// Records that there is room for in all chunks.
    room: usize,
    free: Vec<u32>,
    /// The known ones, oldest first.
    generations: VecDeque<Generation>,
    /// Emptied ones, for their capacity.
    spare: Vec<Generation>,
    /// Chunks of forgotten generations, and how many records of the first have left the index.
    leaving: VecDeque<u32>,
    left: usize,
    known: usize,
    digest: u128,
}

impl Records {
    pub(crate) fn new(window_ms: u64, skew_ms: u64) -> Records {
        let length = window_ms.saturating_add(skew_ms).div_ceil(GENERATIONS).max(1);
        Records {
            length_ms: i64::try_from(length).unwrap_or(i64::MAX),
            now: 0,
            chunks: Vec::new(),
            room: 0,
            free: Vec::new(),
            generations: VecDeque::new(),
            spare: Vec::new(),
            leaving: VecDeque::new(),
            left: 0,
            known: 0,
            digest: 0,
        }
    }

    /// The present generation.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Whether what was last changed in `generation` is known.
    pub(crate) fn knows(&self, generation: i64) -> bool {
        self.now - generation <= KNOWN_GENERATIONS
    }

    /// The generation that an instant lies in.
    pub(crate) fn generation_at(&self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.length_ms)
    }

    /// Identities known.
    pub(crate) fn known(&self) -> usize {
        self.known
    }

    /// Sum over what is known.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.room * size_of::<Record>() + self.chunks.len() * size_of::<Chunk>()
    }

    /// Moves to the generation of `shard_time_ms`, forgetting what is no longer known then. True if it is a new one.
    pub(crate) fn advance(&mut self, shard_time_ms: i64) -> bool {
        let now = shard_time_ms.div_euclid(self.length_ms);
        if now <= self.now {
            return false;
        }
        self.now = now;
        while let Some(oldest) = self.generations.front() {
            if self.knows(oldest.number) {
                break;
            }
            let mut gone = self.generations.pop_front().expect("it was just looked at");
            self.known -= gone.known;
            self.digest = self.digest.wrapping_sub(gone.digest);
            self.leaving.extend(gone.chunks.drain(..));
            self.spare.push(gone);
        }
        true
    }

    /// Takes up to `count` forgotten records out of the index.
    pub(crate) fn clear_out(&mut self, index: &mut Index, count: usize) {
        for _ in 0..count {
            let Some(&first) = self.leaving.front() else { return };
            let chunk = &mut self.chunks[first as usize];
            if self.left == chunk.records.len() {
                chunk.records.clear();
                self.leaving.pop_front();
                self.free.push(first);
                self.left = 0;
                continue;
            }
            // One that was remembered anew has left the index already.
            index.remove(chunk.records[self.left].fingerprint, position(first, self.left));
            self.left += 1;
        }
    }

    /// Remembers an identity as of now and tells its position. `digest` is what it adds to the sum.
    pub(crate) fn remember(&mut self, fingerprint: Fingerprint, what: Remembered, digest: u128) -> u32 {
        if self.generations.back().is_none_or(|newest| newest.number != self.now) {
            let mut fresh = self.spare.pop().unwrap_or_default();
            (fresh.number, fresh.known, fresh.digest) = (self.now, 0, 0);
            self.generations.push_back(fresh);
        }
        let generation = self.generations.back_mut().expect("one was just made sure of");
        let full = |chunk: &u32| self.chunks[*chunk as usize].records.len() == CHUNK_RECORDS;
        if generation.chunks.last().is_none_or(full) {
            let number = self.free.pop().unwrap_or_else(|| {
                let room = if generation.chunks.is_empty() { FIRST_RECORDS } else { CHUNK_RECORDS };
                self.chunks.push(Chunk { generation: 0, records: Vec::with_capacity(room) });
                self.room += room;
                self.chunks.len() as u32 - 1
            });
            self.chunks[number as usize].generation = self.now;
            generation.chunks.push(number);
        }
        generation.known += 1;
        generation.digest = generation.digest.wrapping_add(digest);
        self.known += 1;
        self.digest = self.digest.wrapping_add(digest);
        let number = *generation.chunks.last().expect("one was just made sure of");
        let records = &mut self.chunks[number as usize].records;
        if records.len() == records.capacity() {
            self.room += records.len();
            records.reserve_exact(records.len());
        }
        records.push(Record {
            fingerprint,
            content: [what.content as u32, (what.content >> 32) as u32],
            sequence_low: what.sequence as u32,
            sequence_high: (what.sequence >> 32) as u16,
            ending: what.ending,
        });
        position(number, records.len() - 1)
    }

    /// The record at `position` is known no longer, because its identity is remembered anew. `digest` is what it had
    /// added to the sum.
    pub(crate) fn supersede(&mut self, position: u32, digest: u128) {
        let number = self.generation(position);
        let generation = self.generations.iter_mut().find(|generation| generation.number == number);
        let generation = generation.expect("a record that is known stands in a generation that is");
        generation.known -= 1;
        generation.digest = generation.digest.wrapping_sub(digest);
        self.known -= 1;
        self.digest = self.digest.wrapping_sub(digest);
    }

    /// The generation in which the record at `position` was last changed.
    pub(crate) fn generation(&self, position: u32) -> i64 {
        self.chunks[position as usize / CHUNK_RECORDS].generation
    }

    /// Whether the record at `position` is known and of this fingerprint.
    pub(crate) fn is(&self, position: u32, fingerprint: Fingerprint) -> bool {
        self.fingerprint(position) == fingerprint && self.knows(self.generation(position))
    }

    pub(crate) fn fingerprint(&self, position: u32) -> Fingerprint {
        self.record(position).fingerprint
    }

    pub(crate) fn get(&self, position: u32) -> Remembered {
        let record = self.record(position);
        Remembered {
            content: u64::from(record.content[0]) | u64::from(record.content[1]) << 32,
            sequence: u64::from(record.sequence_low) | u64::from(record.sequence_high) << 32,
            ending: record.ending,
        }
    }

    fn record(&self, position: u32) -> &Record {
        &self.chunks[position as usize / CHUNK_RECORDS].records[position as usize % CHUNK_RECORDS]
    }
}

fn position(chunk: u32, record: usize) -> u32 {
    chunk * CHUNK_RECORDS as u32 + record as u32
}
