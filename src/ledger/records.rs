//! Remembered identities: 28 bytes each, in chunks that belong to a generation of shard time.
//!
//! What is known follows from the generation alone (RULES.md, "Memory"), so a generation is forgotten at once by
//! one comparison; its entries leave the index a few at a time afterwards, and its chunks are used again. Entries that
//! are still in the index then are dead: a lookup passes them by.

use std::collections::VecDeque;

use super::identity::Fingerprint;
use super::index::Index;
use crate::wire::Original;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// Generations that window and skew are cut into.
const GENERATIONS: u64 = 4;
/// How many generations after its own an identity is still known: with one for each end cut short, always longer than
/// window and skew together.
const KNOWN_GENERATIONS: i64 = 5;
/// Records in a chunk (112 KiB): chunks are rare, and a generation of an idle shard stays small.
const CHUNK_RECORDS: usize = 4096;
/// Records that can be told apart by a place: the other half of the places are open orders.
pub(super) const MAX_RECORDS: usize = 1 << 31;

/// What became of a remembered identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    /// An order: a Cancel came, its Place has not.
    CancelledBeforePlace = 1,
    /// An order: it was reserved, then cancelled.
    Cancelled = 2,
    /// An order: it was reserved, then expired.
    Expired = 3,
    /// An order: it was reserved, confirmed and shipped.
    Shipped = 4,
    /// An order: rejected with this reason.
    OutOfStock = 5,
    /// As above.
    UnknownSku = 6,
    /// As above.
    Halted = 7,
    /// An order: rejected because a Cancel had come before.
    RejectedCancelled = 8,
    /// A stock command that was applied.
    Applied = 9,
}

impl Fate {
    /// The fate of an order that is rejected with `reason`.
    pub(super) fn rejected(reason: Reason) -> Option<Fate> {
        match reason {
            Reason::OutOfStock => Some(Fate::OutOfStock),
            Reason::UnknownSku => Some(Fate::UnknownSku),
            Reason::Halted => Some(Fate::Halted),
            Reason::Cancelled => Some(Fate::RejectedCancelled),
            _ => None,
        }
    }

    /// The order's state; unspecified for a stock command.
    pub(super) fn state(self) -> OrderState {
        match self {
            Fate::CancelledBeforePlace | Fate::Cancelled => OrderState::Cancelled,
            Fate::Expired => OrderState::Expired,
            Fate::Shipped => OrderState::Shipped,
            Fate::OutOfStock | Fate::UnknownSku | Fate::Halted | Fate::RejectedCancelled => OrderState::Rejected,
            Fate::Applied => OrderState::Unspecified,
        }
    }

    /// What the first decision said.
    pub(super) fn original(self, sequence: u64) -> Original {
        let (outcome, reason) = match self {
            Fate::CancelledBeforePlace => (Outcome::Cancelled, Reason::BeforePlace),
            Fate::Cancelled | Fate::Expired | Fate::Shipped => (Outcome::Reserved, Reason::Unspecified),
            Fate::OutOfStock => (Outcome::Rejected, Reason::OutOfStock),
            Fate::UnknownSku => (Outcome::Rejected, Reason::UnknownSku),
            Fate::Halted => (Outcome::Rejected, Reason::Halted),
            Fate::RejectedCancelled => (Outcome::Rejected, Reason::Cancelled),
            Fate::Applied => (Outcome::Applied, Reason::Unspecified),
        };
        Original { sequence, outcome, reason }
    }
}

/// What is remembered of an identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    /// Hash of the content that was decided; 0 before there was one.
    pub content: u64,
    /// Sequence of the first decision; 0 before there was one.
    pub sequence: u64,
    pub fate: Fate,
}

/// [`Remembered`] and its fingerprint, in words of 4 bytes: 48 bits of sequence last 8 years at a million a second.
#[derive(Clone, Copy, Debug)]
struct Record {
    fingerprint: Fingerprint,
    content: [u32; 2],
    sequence_low: u32,
    sequence_high: u16,
    fate: Fate,
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
pub(super) struct Records {
    length_ms: i64,
    now: i64,
    chunks: Vec<Chunk>,
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
    pub(super) fn new(window_ms: u64, skew_ms: u64) -> Records {
        let length = window_ms.saturating_add(skew_ms).div_ceil(GENERATIONS).max(1);
        Records {
            length_ms: i64::try_from(length).unwrap_or(i64::MAX),
            now: 0,
            chunks: Vec::new(),
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
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Whether what was last changed in `generation` is known.
    pub(super) fn knows(&self, generation: i64) -> bool {
        self.now - generation <= KNOWN_GENERATIONS
    }

    /// Identities known.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// Sum over what is known.
    pub(super) fn digest(&self) -> u128 {
        self.digest
    }

    /// Bytes set aside.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * (CHUNK_RECORDS * size_of::<Record>() + size_of::<Chunk>())
    }

    /// Moves to the generation of `shard_time_ms`, forgetting what is no longer known then. True if it is a new one.
    pub(super) fn advance(&mut self, shard_time_ms: i64) -> bool {
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
    pub(super) fn clear_out(&mut self, index: &mut Index, count: usize) {
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
            index.remove(chunk.records[self.left].fingerprint, place(first, self.left));
            self.left += 1;
        }
    }

    /// Remembers an identity as of now and tells its place. `digest` is what it adds to the sum.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint, what: Remembered, digest: u128) -> u32 {
        if self.generations.back().is_none_or(|newest| newest.number != self.now) {
            let mut fresh = self.spare.pop().unwrap_or_default();
            (fresh.number, fresh.known, fresh.digest) = (self.now, 0, 0);
            self.generations.push_back(fresh);
        }
        let generation = self.generations.back_mut().expect("one was just made sure of");
        let full = |chunk: &u32| self.chunks[*chunk as usize].records.len() == CHUNK_RECORDS;
        if generation.chunks.last().is_none_or(full) {
            let number = self.free.pop().unwrap_or_else(|| {
                self.chunks.push(Chunk { generation: 0, records: Vec::with_capacity(CHUNK_RECORDS) });
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
        records.push(Record {
            fingerprint,
            content: [what.content as u32, (what.content >> 32) as u32],
            sequence_low: what.sequence as u32,
            sequence_high: (what.sequence >> 32) as u16,
            fate: what.fate,
        });
        place(number, records.len() - 1)
    }

    /// The record at `place` is known no longer, because its identity is remembered anew. `digest` is what it had
    /// added to the sum.
    pub(super) fn supersede(&mut self, place: u32, digest: u128) {
        let number = self.generation(place);
        let generation = self.generations.iter_mut().find(|generation| generation.number == number);
        let generation = generation.expect("a record that is known stands in a generation that is");
        generation.known -= 1;
        generation.digest = generation.digest.wrapping_sub(digest);
        self.known -= 1;
        self.digest = self.digest.wrapping_sub(digest);
    }

    /// The generation in which the record at `place` was last changed.
    pub(super) fn generation(&self, place: u32) -> i64 {
        self.chunks[place as usize / CHUNK_RECORDS].generation
    }

    /// Whether the record at `place` is known and of this fingerprint.
    pub(super) fn is(&self, place: u32, fingerprint: Fingerprint) -> bool {
        self.fingerprint(place) == fingerprint && self.knows(self.generation(place))
    }

    pub(super) fn fingerprint(&self, place: u32) -> Fingerprint {
        self.record(place).fingerprint
    }

    pub(super) fn get(&self, place: u32) -> Remembered {
        let record = self.record(place);
        Remembered {
            content: u64::from(record.content[0]) | u64::from(record.content[1]) << 32,
            sequence: u64::from(record.sequence_low) | u64::from(record.sequence_high) << 32,
            fate: record.fate,
        }
    }

    fn record(&self, place: u32) -> &Record {
        &self.chunks[place as usize / CHUNK_RECORDS].records[place as usize % CHUNK_RECORDS]
    }
}

fn place(chunk: u32, record: usize) -> u32 {
    chunk * CHUNK_RECORDS as u32 + record as u32
}
