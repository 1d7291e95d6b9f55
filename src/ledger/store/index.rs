//! From an identity's fingerprint to where it is remembered: a hash table that never moves more than a few thousand
//! entries at once, and from which an entry leaves without trace.
//!
//! The table is cut into [`SUBTABLES`] parts, each of which begins with one bucket and grows by itself. Were the parts
//! of one size, all would reach their limit at nearly the same moment; so they are given shares of the fingerprints that
//! range over one factor of two, and their growth is spread evenly over each doubling of the whole. That also keeps the
//! bytes for each entry nearly constant at any count. The entries that a table is told to expect take no memory before
//! they come: they say which sizes the parts pass through, so that the last of these is the one that is needed.
//!
//! A part is a list of buckets of one cache line each: 12 one-byte tags, a count of the entries that found no room
//! here, and 12 positions. A lookup reads one line where that count is 0; entries that moved on are in the lines that
//! follow. Removing an entry lowers the counts along its way, so nothing like a tombstone piles up.

/// 96 bits of a keyed hash; how it is made and what its odds are: `state::identity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u32; 3]);

/// Parts of the table: at 10 million entries each holds about 5,000, and growing one takes well below a millisecond.
const SUBTABLES: usize = 2048;
/// Entries in a bucket: what fits in a cache line of 64 bytes at 5 bytes each, with room for the count.
const BUCKET_ENTRIES: usize = 12;
/// Entries for each hundred positions beyond which a part grows. Above it lookups begin to walk.
const MAX_LOAD_PERCENT: usize = 85;
/// By how much a part grows that has all that was expected of it, in quarters: half as much again wastes less than
/// doubling. On the way there it doubles, because it is known where that ends.
const GROWTH_QUARTERS: usize = 6;
/// Buckets whose entries are moved in one go when a part grows.
const GROWN_BUCKETS: usize = 8;

/// 12 tags, 2 unused bytes, and how many entries passed this bucket because it was full (u16); then the positions.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; BUCKET_ENTRIES],
    spare: u16,
    passed: u16,
    positions: [u32; BUCKET_ENTRIES],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// A tag that no entry has: the position is free.
const FREE: u8 = 0;

impl Bucket {
    #[inline(always)]
    fn free(&self) -> Option<usize> {
        let free = self.matches(FREE);
        (free != 0).then(|| free.trailing_zeros() as usize)
    }

    /// Bit i is set where tag i is `tag`.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        let (low, high) = self.tags.split_first_chunk::<8>().expect("12 tags");
        let high = high.first_chunk::<4>().expect("12 tags");
        let low = equal_bytes(u64::from_le_bytes(*low), tag);
        let high = equal_bytes(u64::from(u32::from_le_bytes(*high)) | (u64::from(!tag) * 0x0101_0101_0000_0000), tag);
        low | high << 8
    }
}

/// Bit i is set where byte i of `word` is `byte`.
#[inline(always)]
fn equal_bytes(word: u64, byte: u8) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let apart = word ^ (u64::from(byte) * ONES);
    // The highest bit of a byte that is not 0 is set here, and no byte carries over into the next.
    let not_equal = (apart & (0x7f * ONES)).wrapping_add(0x7f * ONES) | apart;
    let equal = !not_equal & (0x80 * ONES);
    // Gathers the lowest bit of each byte in the highest byte.
    ((equal >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// A part: 24 bytes, because each lookup begins with one of them.
#[derive(Debug, Default)]
struct Subtable {
    buckets: Box<[Bucket]>,
    entries: u32,
    /// Entries beyond which it grows.
    limit: u32,
}

/// The table. What a position (u32) stands for is the caller's business.
#[derive(Debug)]
pub(crate) struct Index {
    parts: Vec<Subtable>,
    /// Entries to be ready for.
    expected: usize,
}

impl Index {
    /// An empty table that is to grow to `expected` entries without waste, and beyond if need be.
    pub(crate) fn new(expected: usize) -> Index {
        Index { parts: (0..SUBTABLES).map(|_| Subtable::new(1)).collect(), expected }
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        let buckets: usize = self.parts.iter().map(|part| part.buckets.len()).sum();
        buckets * size_of::<Bucket>() + self.parts.capacity() * size_of::<Subtable>()
    }

    /// The position of the entry with this fingerprint for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, fingerprint: Fingerprint, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let part = &self.parts[part_of(fingerprint)];
        let (mut at, tag) = part.home(fingerprint);
        for _ in 0..part.buckets.len() {
            let bucket = &part.buckets[at];
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                let position = bucket.positions[matches.trailing_zeros() as usize];
                if is_it(position) {
                    return Some(position);
                }
                matches &= matches - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            at = part.after(at);
        }
        None
    }

    /// Reads the buckets where these lookups begin, so that they are in the cache by then. No read waits for another:
    /// of a dozen, a core has all under way at once.
    #[inline]
    pub(crate) fn touch(&self, fingerprints: impl Iterator<Item = Fingerprint>) {
        let passed = fingerprints.map(|fingerprint| {
            let part = &self.parts[part_of(fingerprint)];
            part.buckets[part.home(fingerprint).0].passed
        });
        std::hint::black_box(passed.fold(0, |all, passed| all | passed));
    }

    /// The position that a lookup tries first, if there is one in the bucket where it begins.
    #[inline]
    pub(crate) fn likely(&self, fingerprint: Fingerprint) -> Option<u32> {
        let part = &self.parts[part_of(fingerprint)];
        let (at, tag) = part.home(fingerprint);
        let bucket = &part.buckets[at];
        let matches = bucket.matches(tag);
        (matches != 0).then(|| bucket.positions[matches.trailing_zeros() as usize])
    }

    /// Adds an entry, which must not be there. `fingerprint_of` tells the fingerprint of any entry, for growing.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        fingerprint: Fingerprint,
        position: u32,
        fingerprint_of: impl Fn(u32) -> Fingerprint,
    ) {
        let number = part_of(fingerprint);
        let part = &mut self.parts[number];
        if part.entries >= part.limit {
            part.grow(part.next_size(buckets_for(self.expected, number)), fingerprint_of);
        }
        part.position(fingerprint, position);
    }

    /// Lets the entry of `fingerprint` at `from` stand for `to` from here on. False if there is no such entry.
    pub(crate) fn replace(&mut self, fingerprint: Fingerprint, from: u32, to: u32) -> bool {
        let part = &mut self.parts[part_of(fingerprint)];
        match part.locate(fingerprint, from) {
            Some((bucket, entry)) => {
                part.buckets[bucket].positions[entry] = to;
                true
            }
            None => false,
        }
    }

    /// Removes the entry of `fingerprint` at `position`. False if there is no such entry.
    pub(crate) fn remove(&mut self, fingerprint: Fingerprint, position: u32) -> bool {
        let part = &mut self.parts[part_of(fingerprint)];
        let Some((bucket, entry)) = part.locate(fingerprint, position) else { return false };
        part.buckets[bucket].tags[entry] = FREE;
        part.entries -= 1;
        let (mut at, _) = part.home(fingerprint);
        while at != bucket {
            part.buckets[at].passed -= 1;
            at = part.after(at);
        }
        true
    }
}

impl Subtable {
    /// So many empty buckets.
    fn new(buckets: usize) -> Subtable {
        // Nothing passes the only bucket of a part, so it may be full.
        let percent = if buckets == 1 { 100 } else { MAX_LOAD_PERCENT };
        let limit = (buckets * BUCKET_ENTRIES * percent / 100) as u32;
        Subtable { buckets: vec![Bucket::default(); buckets].into(), entries: 0, limit }
    }

    /// The bucket where the search for a fingerprint begins, and its tag.
    #[inline(always)]
    fn home(&self, fingerprint: Fingerprint) -> (usize, u8) {
        let spread = fingerprint.0[0];
        let bucket = (u64::from(spread) * self.buckets.len() as u64) >> 32;
        (bucket as usize, ((fingerprint.0[1] & 0xff) as u8).max(1))
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }

    fn locate(&self, fingerprint: Fingerprint, position: u32) -> Option<(usize, usize)> {
        let (mut at, tag) = self.home(fingerprint);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                let entry = matches.trailing_zeros() as usize;
                if bucket.positions[entry] == position {
                    return Some((at, entry));
                }
                matches &= matches - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    #[inline]
    fn position(&mut self, fingerprint: Fingerprint, position: u32) {
        let (mut at, tag) = self.home(fingerprint);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(entry) = bucket.free() {
                bucket.tags[entry] = tag;
                bucket.positions[entry] = position;
                self.entries += 1;
                return;
            }
            // A part of 65,536 entries that all pass one bucket would need tens of billions of ids.
            bucket.passed = bucket.passed.checked_add(1).expect("fewer than 65,536 entries pass a bucket");
            at = self.after(at);
        }
    }

    /// To how many buckets it grows next: `expected` of them, or a half, a quarter and so on of these.
    fn next_size(&self, expected: usize) -> usize {
        let size = self.buckets.len();
        if size >= expected {
            return (size * GROWTH_QUARTERS).div_ceil(4);
        }
        let mut next = expected;
        while next.div_ceil(2) > size {
            next = next.div_ceil(2);
        }
        next
    }

    /// Each entry's fingerprint stands somewhere else in memory, so those of a few buckets are read in one go, in which
    /// no read waits for another, before the entries are placed.
    #[cold]
    fn grow(&mut self, buckets: usize, fingerprint_of: impl Fn(u32) -> Fingerprint) {
        let old = std::mem::replace(self, Subtable::new(buckets)).buckets;
        let mut positions = Vec::with_capacity(GROWN_BUCKETS * BUCKET_ENTRIES);
        let mut fingerprints = Vec::with_capacity(positions.capacity());
        for buckets in old.chunks(GROWN_BUCKETS) {
            positions.clear();
            for bucket in buckets {
                let used = bucket.tags.iter().zip(bucket.positions).filter(|(tag, _)| **tag != FREE);
                positions.extend(used.map(|(_, position)| position));
            }
            fingerprints.clear();
            fingerprints.extend(positions.iter().map(|position| fingerprint_of(*position)));
            for (fingerprint, position) in fingerprints.iter().zip(&positions) {
                self.position(*fingerprint, *position);
            }
        }
    }
}

/// Buckets that a part has when the table has as many entries as expected.
#[cold]
fn buckets_for(expected: usize, part: usize) -> usize {
    // The share of a part is that of fingerprints between the two inverses; a margin of a tenth makes up for the
    // approximation and for chance.
    let [from, to] = [part, part + 1].map(|at| 2f64.powf(at as f64 / SUBTABLES as f64));
    let entries = (expected as f64 * (to - from) * 1.1) as usize;
    (entries * 100).div_ceil(MAX_LOAD_PERCENT * BUCKET_ENTRIES).max(1)
}

/// The part that a fingerprint belongs to: an approximation of `SUBTABLES * log2(1 + u)` for u in 0..1, in integers, so
/// that shares grow from the first part to the last by a factor of two.
#[inline(always)]
fn part_of(fingerprint: Fingerprint) -> usize {
    /// 0.3433 of 65,536: makes u + 0.3433 u (1 - u) follow log2(1 + u) to within 1%.
    const BEND: u64 = 22_500;
    let u = u64::from(fingerprint.0[2] >> 16);
    let bent = u * (65_536 + ((BEND * (65_536 - u)) >> 16));
    ((bent * SUBTABLES as u64) >> 32) as usize
}

#[cfg(test)]
mod tests;
