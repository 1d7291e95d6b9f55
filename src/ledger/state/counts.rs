//! What limits have counted: units by key, each key a fingerprint of 96 bits.
//!
//! A counter stands as long as it counts something and its period lasts. The counters of a period that is over, or of a
//! limit that counts anew, are void at once, because nobody looks for their fingerprints any more; they are cleared out a
//! few at a time afterwards.

use xxhash_rust::xxh3::xxh3_128;

use crate::ledger::store::index::{Fingerprint, Index};
use crate::ledger::store::slab::Slab;

/// Void counters that are looked for with each one that is changed, in slots looked at.
const SWEPT_PER_CHANGE: u32 = 4;

/// Bytes of a counter in its slab; another ten are those of the index.
const COUNTER_BYTES: usize = 28;

/// Units of one key.
#[derive(Clone, Copy, Debug)]
struct Counter {
    fingerprint: Fingerprint,
    /// The low half and the high one, so that nothing is padded: a limit may leave more units than 32 bits hold. 0 for a
    /// slot that is free.
    units: [u32; 2],
    /// The limit that counts, and low bits of its era's number: enough to tell what is void from what is not.
    limit: u32,
    era: u32,
}

const _: () = assert!(size_of::<Counter>() == COUNTER_BYTES);

impl Counter {
    #[inline]
    fn units(&self) -> u64 {
        u64::from(self.units[0]) | u64::from(self.units[1]) << 32
    }

    fn set_units(&mut self, units: u64) {
        self.units = [units as u32, (units >> 32) as u32];
    }
}

/// What a limit's present count has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Era {
    /// Which of all counts of all limits: a limit of a millisecond's periods has more than 32 bits hold.
    number: u64,
    counters: usize,
    digest: u128,
}

/// The counters of a shard.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Made with the first counter: few shards have any.
    index: Option<Index>,
    counters: Slab<Counter>,
    /// By number of the limit.
    eras: Vec<Era>,
    last_era: u64,
    live: usize,
    void: usize,
    swept: u32,
    digest: u128,
}

/// The key that an order counts under, by a limit's present count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountKey {
    /// [`Counts::fingerprint`] of the key; secret. Of a channel, that of its text.
    pub(crate) fingerprint: Fingerprint,
    /// `xxh3_128` of the key, for the digest.
    pub(crate) hash: u128,
}

/// What a unit under this key adds to the digest.
pub(super) fn weight(count: u64, period: i64, hash: u128) -> u128 {
    let mut bytes = [8; 1 + 8 + 8 + 16];
    bytes[1..9].copy_from_slice(&count.to_le_bytes());
    bytes[9..17].copy_from_slice(&period.to_le_bytes());
    bytes[17..].copy_from_slice(&hash.to_le_bytes());
    xxh3_128(&bytes)
}

impl Counts {
    /// Counters that count something.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn bytes(&self) -> usize {
        self.counters.bytes() + self.index.as_ref().map_or(0, Index::bytes)
    }

    /// The sum over all counters: units times weight.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    /// From here on `limit` counts anew; what it counted is void.
    pub(crate) fn begin(&mut self, limit: u32) {
        if self.eras.len() <= limit as usize {
            self.eras.resize(limit as usize + 1, Era::default());
        }
        self.last_era += 1;
        let fresh = Era { number: self.last_era, ..Era::default() };
        let over = std::mem::replace(&mut self.eras[limit as usize], fresh);
        self.digest = self.digest.wrapping_sub(over.digest);
        self.live -= over.counters;
        self.void += over.counters;
    }

    /// Of a key in the present count of `limit`, from that of the key's text. Every count has its own: of two keys or
    /// counts, two meet as seldom as two fingerprints do.
    #[inline]
    pub(crate) fn fingerprint(&self, limit: u32, Fingerprint([a, b, c]): Fingerprint) -> Fingerprint {
        /// Odd constants that spread small numbers over 64 bits.
        const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
        let [first, second] = SPREAD.map(|spread| self.eras[limit as usize].number.wrapping_mul(spread));
        Fingerprint([a ^ first as u32, b ^ (first >> 32) as u32, c ^ (second >> 32) as u32])
    }

    /// Reads where these keys' counters are looked up, then the counters, so that they are in the cache by then.
    #[inline]
    pub(crate) fn touch(&self, keys: impl Iterator<Item = Fingerprint> + Clone) {
        let Some(index) = &self.index else { return };
        index.touch(keys.clone());
        let units =
            keys.map(|key| index.likely(key).and_then(|slot| self.counters.get(slot)).map_or(0, |it| it.units[0]));
        std::hint::black_box(units.fold(0, |all, units| all | units));
    }

    /// Units counted under a key.
    #[inline]
    pub(crate) fn units(&self, key: &CountKey) -> u64 {
        self.find(key).map_or(0, |slot| self.counters[slot].units())
    }

    fn find(&self, key: &CountKey) -> Option<u32> {
        let index = self.index.as_ref()?;
        index.find(key.fingerprint, |slot| {
            let counter = &self.counters[slot];
            counter.units() > 0 && counter.fingerprint == key.fingerprint
        })
    }

    /// Adds units under a key of `limit`, which counts since `count` in `period`.
    pub(crate) fn add(&mut self, limit: u32, (count, period): (u64, i64), key: &CountKey, units: u32) {
        self.weigh(limit, count, period, key, i128::from(units));
        match self.find(key) {
            Some(slot) => {
                let counter = &mut self.counters[slot];
                counter.set_units(counter.units() + u64::from(units));
            }
            None => {
                let era = self.eras[limit as usize].number as u32;
                let counter = Counter { fingerprint: key.fingerprint, units: [units, 0], limit, era };
                let slot = self.counters.put(counter);
                let index = self.index.get_or_insert_with(|| Index::new(0));
                index.insert(key.fingerprint, slot, |slot| self.counters[slot].fingerprint);
                self.eras[limit as usize].counters += 1;
                self.live += 1;
            }
        }
        self.sweep();
    }

    /// Takes back units that were added under a key of `limit`'s present count.
    pub(crate) fn take_back(&mut self, limit: u32, (count, period): (u64, i64), key: &CountKey, units: u32) {
        self.weigh(limit, count, period, key, -i128::from(units));
        let slot = self.find(key).expect("what is taken back was counted");
        let counter = &mut self.counters[slot];
        counter.set_units(counter.units() - u64::from(units));
        if counter.units() == 0 {
            self.remove(slot);
            self.eras[limit as usize].counters -= 1;
            self.live -= 1;
        }
        self.sweep();
    }

    fn weigh(&mut self, limit: u32, count: u64, period: i64, key: &CountKey, units: i128) {
        let change = weight(count, period, key.hash).wrapping_mul(units as u128);
        let era = &mut self.eras[limit as usize];
        era.digest = era.digest.wrapping_add(change);
        self.digest = self.digest.wrapping_add(change);
    }

    fn remove(&mut self, slot: u32) {
        let fingerprint = self.counters[slot].fingerprint;
        let removed = self.index.as_mut().is_some_and(|index| index.remove(fingerprint, slot));
        assert!(removed, "a counter is in the index");
        self.counters[slot].set_units(0);
        self.counters.free(slot);
    }

    /// Clears out void counters, a few slots at a time.
    #[inline]
    pub(crate) fn sweep(&mut self) {
        for _ in 0..if self.void == 0 { 0 } else { SWEPT_PER_CHANGE } {
            match self.counters.get(self.swept) {
                None => self.swept = 0,
                Some(counter) => {
                    let is_void = counter.units() > 0 && self.eras[counter.limit as usize].number as u32 != counter.era;
                    if is_void {
                        self.remove(self.swept);
                        self.void -= 1;
                    }
                    self.swept += 1;
                }
            }
        }
    }
}
