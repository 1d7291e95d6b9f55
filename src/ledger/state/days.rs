//! How many orders each delivery day has, by pool and name of the service: whatever becomes of the rule, and until no zone
//! has that day any more.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::calendar::{is_over_at_ms, last_day_over};
use super::digest::Canonical;
use super::selling::NONE;
use crate::ledger::store::slab::Slab;
use crate::ledger::store::table::Table;
use crate::wire::Text;

/// Bytes of a count in its slab; the longest name takes 128 more, the index some 16.
const COUNT_BYTES: usize = 48;

/// Orders of one day.
#[derive(Debug)]
struct DayCount {
    /// What an order adds to the digest.
    weight: u128,
    orders: u64,
    pool: u32,
    day: u32,
    /// That of the rule, so that the first order of a day copies nothing; none for a slot that is free.
    service: Option<Arc<str>>,
}

const _: () = assert!(size_of::<DayCount>() == COUNT_BYTES);

/// The day counts of a shard.
#[derive(Debug)]
pub(crate) struct Days {
    counts: Slab<DayCount>,
    /// Of all names, as if none were shared.
    name_bytes: usize,
    /// Made with the first count: few shards have any.
    index: Option<Table>,
    seed: u64,
    /// When the first of them is over; never by default.
    pub(crate) next_over_ms: i64,
    digest: u128,
    canonical: Canonical,
}

impl Days {
    /// No counts. `seed` is any secret number: it keeps names from being chosen to meet in one bucket.
    pub(crate) fn new(seed: u64) -> Days {
        Days {
            counts: Slab::new(),
            name_bytes: 0,
            index: None,
            seed,
            next_over_ms: i64::MAX,
            digest: 0,
            canonical: Canonical::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.counts.bytes() + self.name_bytes + self.index.as_ref().map_or(0, Table::bytes)
    }

    /// The sum over all counts: orders times weight.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    fn hash(&self, pool: u32, service: Text<'_>, day: u32) -> u64 {
        xxh3_64_with_seed(service.as_bytes(), self.seed ^ (u64::from(pool) << 32 | u64::from(day)))
    }

    /// The count of a day; [`NONE`] if no order was counted yet.
    pub(crate) fn find(&self, pool: u32, service: Text<'_>, day: u32) -> u32 {
        let hash = self.hash(pool, service, day);
        let found = self.index.as_ref().and_then(|it| it.find(hash, |slot| self.is(slot, pool, service, day)));
        found.unwrap_or(NONE)
    }

    /// Whether a count that was found before is that of this day still.
    pub(crate) fn is(&self, slot: u32, pool: u32, service: Text<'_>, day: u32) -> bool {
        let is_same = |it: &DayCount| it.service.as_deref().is_some_and(|name| service == name);
        self.counts.get(slot).is_some_and(|it| it.pool == pool && it.day == day && is_same(it))
    }

    /// Orders counted; 0 of [`NONE`].
    #[inline]
    pub(crate) fn orders(&self, slot: u32) -> u64 {
        if slot == NONE { 0 } else { self.counts[slot].orders }
    }

    /// A count of nothing yet, for a day that has none.
    pub(crate) fn make(&mut self, pool: u32, pool_name: Text<'_>, service: Arc<str>, day: u32) -> u32 {
        self.canonical.begin(14).str(pool_name.as_bytes()).str(service.as_bytes()).u32(day);
        let (weight, hash) = (self.canonical.hash(), self.hash(pool, (&*service).into(), day));
        self.name_bytes += service.len();
        let slot = self.counts.put(DayCount { weight, orders: 0, pool, day, service: Some(service) });
        self.index.get_or_insert_with(Table::new).insert(hash, slot);
        self.next_over_ms = self.next_over_ms.min(is_over_at_ms(day).unwrap_or(i64::MAX));
        slot
    }

    /// One more order.
    pub(crate) fn add(&mut self, slot: u32) {
        let count = &mut self.counts[slot];
        count.orders += 1;
        self.digest = self.digest.wrapping_add(count.weight);
    }

    /// One order less than were added.
    pub(crate) fn take_back(&mut self, slot: u32) {
        let count = &mut self.counts[slot];
        count.orders -= 1;
        self.digest = self.digest.wrapping_sub(count.weight);
    }

    /// Forgets the counts that are over by now, and hands `gone` the pool of each. Once a day, over all counts.
    pub(crate) fn forget(&mut self, now_ms: i64, mut gone: impl FnMut(u32)) {
        let last_over = last_day_over(now_ms);
        let mut first_left = u32::MAX;
        for slot in 0..self.counts.slots() {
            let it = &mut self.counts[slot];
            let (pool, day) = (it.pool, it.day);
            if it.service.is_some() && day > last_over {
                first_left = first_left.min(day);
                continue;
            }
            let Some(service) = it.service.take() else { continue };
            self.digest = self.digest.wrapping_sub(it.weight.wrapping_mul(it.orders.into()));
            self.name_bytes -= service.len();
            let hash = self.hash(pool, (&*service).into(), day);
            let removed = self.index.as_mut().is_some_and(|index| index.remove(hash, slot));
            assert!(removed, "a count is in the index");
            self.counts.free(slot);
            gone(pool);
        }
        self.next_over_ms = is_over_at_ms(first_left).unwrap_or(i64::MAX);
    }
}
