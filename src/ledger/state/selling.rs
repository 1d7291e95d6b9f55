//! The selling rules that stand: sales of SKUs and pools, limits by name, channels of SKUs, deliveries of pools; and lots.
//! Rows and pools that no rule is about point to
//! nothing here, and orders for them never come by.
//!
//! What was removed is remembered for the window, so that a rule issued earlier and arriving later does not undo it.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use super::channels::{ChannelsSlot, Share, ShareTable, Shares, Terms};
use super::counts::weight;
use super::delivery::{DeliverySlot, Service};
use super::lots::{AllLots, Lots};
use super::orders::Taken;
use crate::ledger::store::index::Fingerprint;
use crate::ledger::store::slab::Slab;
use crate::ledger::terms::BYTES_PER_REMEMBERED_ID;
use crate::wire::selling;

/// Limits that one SKU may stand under, those of its pool included.
pub(crate) const MAX_LIMITS_A_SKU: usize = 2;

/// From when, and until when, nobody is barred where there is no sale.
const FREE: (i64, i64) = (i64::MIN, i64::MAX);

/// In place of a number: nothing.
pub(crate) const NONE: u32 = u32::MAX;

pub(super) fn ids_of(canonical: &[u8]) -> usize {
    canonical.len().div_ceil(BYTES_PER_REMEMBERED_ID)
}

/// When a rule was set or removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// By the clock of whoever set it: an earlier one is stale.
    pub(crate) issued_at_ms: i64,
    /// Of the decision that did it.
    pub(crate) sequence: u64,
    pub(crate) generation: i64,
}

/// When and to whom something is sold.
#[derive(Debug)]
pub(crate) struct Sale {
    /// 0: no bound, here and below.
    pub(crate) opens_at_ms: i64,
    pub(crate) closes_at_ms: i64,
    pub(crate) early: Vec<(Box<str>, i64)>,
    pub(crate) only: Vec<Box<str>>,
}

impl Sale {
    pub(crate) fn of(sale: &selling::Sale<'_>) -> Sale {
        Sale {
            opens_at_ms: sale.opens_at_ms,
            closes_at_ms: sale.closes_at_ms,
            early: sale.early().map(|(segment, opens_at_ms)| (segment.as_str().into(), opens_at_ms)).collect(),
            only: sale.only().map(|segment| segment.as_str().into()).collect(),
        }
    }

    pub(crate) fn is_over(&self, now_ms: i64) -> bool {
        self.closes_at_ms != 0 && now_ms >= self.closes_at_ms
    }

    /// From when, and until when, it bars nobody.
    fn free(&self) -> (i64, i64) {
        let closes_at_ms = if self.closes_at_ms == 0 { i64::MAX } else { self.closes_at_ms };
        if self.only.is_empty() { (self.opens_at_ms, closes_at_ms) } else { (0, 0) }
    }
}

/// A sale that stands, or was removed.
#[derive(Debug)]
pub(crate) struct SaleSlot {
    pub(crate) stamp: Stamp,
    pub(crate) sale: Option<Sale>,
    /// What it adds to the digest.
    digest: u128,
    /// Remembered ids that it counts for.
    ids: usize,
}

/// What units of an order add to the digest through the share that counts them.
fn share_weight(taken: &Taken) -> u128 {
    weight(taken.count, 0, taken.key.hash).wrapping_mul(taken.units.into())
}

/// The rules that are about one row, or one pool: a cache line, because each line of an order looks at one.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Scope {
    /// The row; [`NONE`] for a whole pool.
    pub(crate) row: u32,
    /// The pool; [`NONE`] for a scope that is free.
    pub(crate) pool: u32,
    /// Limits that count it; [`NONE`] where there is none.
    pub(crate) limits: [u32; MAX_LIMITS_A_SKU],
    /// From when, and until when, the sale bars nobody.
    free_from_ms: i64,
    free_until_ms: i64,
    pub(crate) sale: Option<Box<SaleSlot>>,
    pub(crate) channels: Option<Box<ChannelsSlot>>,
    /// Its lots, and how long what is sold must last.
    pub(crate) lots: Option<Box<Lots>>,
    /// Of a pool only.
    pub(crate) delivery: Option<Box<DeliverySlot>>,
}

const _: () = assert!(size_of::<Scope>() == 64);

impl Scope {
    /// Of a row, or of a whole pool if `row` is [`NONE`].
    pub(crate) fn new(pool: u32, row: u32) -> Scope {
        let (free_from_ms, free_until_ms) = FREE;
        let limits = [NONE; MAX_LIMITS_A_SKU];
        let (sale, channels, lots, delivery) = (None, None, None, None);
        Scope { row, pool, limits, free_from_ms, free_until_ms, sale, channels, lots, delivery }
    }

    /// Whether nobody is barred by the sale at this time.
    #[inline]
    pub(crate) fn bars_nobody(&self, now_ms: i64) -> bool {
        self.free_from_ms <= now_ms && now_ms < self.free_until_ms
    }

    pub(crate) fn limits(&self) -> impl Iterator<Item = u32> + Clone + use<> {
        self.limits.into_iter().filter(|limit| *limit != NONE)
    }

    /// Whether there is no lot, no rule stands by `now_ms` and no delivery is remembered, channels apart: a sale that is over
    /// counts as none.
    pub(crate) fn is_idle(&self, now_ms: i64) -> bool {
        let sale = self.sale.as_ref().and_then(|slot| slot.sale.as_ref());
        let lots = self.lots.as_ref();
        self.limits().next().is_none()
            && sale.is_none_or(|sale| sale.is_over(now_ms))
            && self.delivery.is_none()
            && lots.is_none_or(|lots| lots.is_empty() && lots.least_days() == 0)
    }

    /// Whether a sale, channels or a freshness stand, or were removed and are remembered.
    pub(crate) fn remembers(&self) -> bool {
        self.sale.is_some() || self.channels.is_some() || self.freshness_stamp().is_some()
    }

    /// When the freshness that stands was set, or the one that is remembered removed.
    pub(crate) fn freshness_stamp(&self) -> Option<&Stamp> {
        self.lots.as_ref()?.freshness.as_ref().map(|slot| &slot.stamp)
    }

    pub(crate) fn is_used(&self) -> bool {
        self.pool != NONE
    }
}

/// At most so many units for each key.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) pool: u32,
    pub(crate) name: Box<str>,
    pub(crate) stamp: Stamp,
    /// What was set; none once it was removed.
    pub(crate) terms: Option<LimitTerms>,
    /// Sequence at which counting began.
    pub(crate) count: u64,
    /// The present period.
    pub(crate) period: i64,
    /// The rows that it counts, unless it is of the whole pool.
    pub(crate) rows: Vec<u32>,
    /// What the rule adds to the digest.
    digest: u128,
    /// Remembered ids that it counts for.
    ids: usize,
}

impl Limit {
    /// Whether anything of it is remembered: a slot that is free has no name.
    pub(crate) fn is_used(&self) -> bool {
        !self.name.is_empty()
    }
}

/// What a limit says.
#[derive(Debug)]
pub(crate) struct LimitTerms {
    /// 0: no bound, here and below.
    pub(crate) units: u64,
    pub(crate) units_an_order: u64,
    /// Name of the key that it counts by; empty: the customer.
    pub(crate) key: Box<str>,
    pub(crate) period_ms: i64,
    pub(crate) anchor_ms: i64,
}

impl LimitTerms {
    pub(crate) fn of(limit: &selling::Limit<'_>) -> LimitTerms {
        LimitTerms {
            units: limit.units,
            units_an_order: limit.units_an_order,
            key: limit.key.as_str().into(),
            period_ms: limit.period_ms as i64,
            anchor_ms: limit.anchor_ms,
        }
    }

    /// The period that an instant lies in.
    pub(crate) fn period_at(&self, now_ms: i64) -> i64 {
        if self.period_ms == 0 { 0 } else { now_ms.saturating_sub(self.anchor_ms).div_euclid(self.period_ms) }
    }

    /// When the period that an instant lies in is over.
    fn period_end_ms(&self, now_ms: i64) -> Option<i64> {
        let next = self.period_at(now_ms).saturating_add(1);
        (self.period_ms != 0).then(|| self.anchor_ms.saturating_add(next.saturating_mul(self.period_ms)))
    }
}

/// What began to count at a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    Limit(u32),
    /// Shares of the channels of a row.
    Channels(u32),
}

/// The rules that stand, and those removed not long ago.
#[derive(Debug)]
pub(crate) struct Selling {
    pub(crate) scopes: Slab<Scope>,
    /// Of each scope, in the same slots.
    terms: Slab<Terms>,
    shares: ShareTable,
    pub(crate) limits: Slab<Limit>,
    by_name: HashMap<(u32, Box<str>), u32>,
    by_count: HashMap<u64, Counting>,
    /// When the next period of some limit begins; never by default.
    pub(crate) next_period_ms: i64,
    pub(super) all_lots: AllLots,
    pub(super) digest: u128,
    /// Remembered ids that all rules count for.
    pub(super) ids: usize,
}

impl Selling {
    pub(crate) fn new() -> Selling {
        Selling {
            scopes: Slab::new(),
            terms: Slab::new(),
            shares: ShareTable::new(),
            limits: Slab::new(),
            by_name: HashMap::new(),
            by_count: HashMap::new(),
            next_period_ms: i64::MAX,
            all_lots: AllLots::default(),
            digest: 0,
            ids: 0,
        }
    }

    /// Bytes set aside; what rules and lots keep on the heap by the ids that they count for.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.shares.bytes() + self.all_lots.bytes();
        self.scopes.bytes() + self.terms.bytes() + self.limits.bytes() + lists + self.ids() * BYTES_PER_REMEMBERED_ID
    }

    /// Remembered ids that all rules count for, one for each 40 canonical bytes begun, and all lots.
    pub(crate) fn ids(&self) -> usize {
        self.ids + self.all_lots.ids()
    }

    /// The sum over all rules; lots apart.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    /// A scope of a row, or of a whole pool if `row` is [`NONE`].
    pub(crate) fn make_scope(&mut self, pool: u32, row: u32) -> u32 {
        let (scope, terms) = (self.scopes.put(Scope::new(pool, row)), self.terms.put(Terms::default()));
        debug_assert_eq!(scope, terms, "both come and go together");
        scope
    }

    /// Reads scopes and the shares that these channels draw on, so that they are in the cache when they are looked at. One
    /// may be free by now. Each walk is short: then many reads are on their way at once.
    #[inline]
    pub(crate) fn touch(&self, scopes: &[(u32, Option<Fingerprint>)]) {
        let known = || scopes.iter().filter_map(|(scope, _)| self.scopes.get(*scope));
        std::hint::black_box(known().fold(0, |all, scope| all | scope.pool));
        let lots = known().map(|scope| scope.lots.as_ref().map_or(0, |lots| lots.touch()));
        std::hint::black_box(lots.fold(0, |all, lot| all | lot));
        if self.shares.bytes() > 0 {
            let terms = || scopes.iter().filter_map(|(scope, channel)| Some((self.terms.get(*scope)?, (*channel)?)));
            std::hint::black_box(terms().fold(0, |all, (terms, _)| all | terms.touch()));
            let shares = terms().filter(|(terms, _)| terms.stands());
            let own = shares.filter_map(|(terms, channel)| self.shares.of(terms).of(channel));
            std::hint::black_box(own.fold(0, |all, at| all | at));
        }
    }

    /// Whether some rule looks, or looked, at customer or channel.
    #[inline]
    pub(crate) fn looks_at_askers(&self) -> bool {
        self.limits.slots() > 0 || self.shares.bytes() > 0
    }

    pub(crate) fn limit_named(&self, pool: u32, name: &str) -> Option<u32> {
        // A tuple with a borrowed half can't be looked up, and whoever sets a rule may allocate.
        self.by_name.get(&(pool, name.into())).copied()
    }

    /// Whether what was counted by that limit since `count` in `period` is still looked at.
    pub(crate) fn counts(&self, limit: u32, count: u64, period: i64) -> bool {
        let limit = &self.limits[limit];
        (limit.count, limit.period) == (count, period)
    }

    /// A scope that nothing points to any more.
    pub(crate) fn free_scope(&mut self, scope: u32) {
        self.scopes[scope].pool = NONE;
        self.scopes[scope].lots = None;
        self.scopes.free(scope);
        self.terms.free(scope);
    }

    /// What counts since this sequence.
    pub(crate) fn counting(&self, count: u64) -> Option<Counting> {
        self.by_count.get(&count).copied()
    }

    /// Whether channels stand in a scope: else none were set, or they were removed.
    pub(crate) fn has_channels(&self, scope: u32) -> bool {
        self.terms[scope].stands()
    }

    /// The shares of a scope's channels, if some stand.
    #[inline]
    pub(crate) fn shares(&self, scope: u32) -> Option<Shares<'_>> {
        self.scopes[scope].channels.as_ref()?;
        let terms = &self.terms[scope];
        terms.stands().then(|| self.shares.of(terms))
    }

    /// Keeps the shares of channels that are to be put into a scope.
    pub(crate) fn keep_shares(&mut self, protected_until_ms: i64, others: Option<usize>, list: &[Share]) -> Terms {
        self.shares.keep(protected_until_ms, others, list)
    }

    /// Puts channels, or their removal, into the scope of a row. `canonical` are the canonical bytes of the whole slot.
    pub(crate) fn put_channels(&mut self, scope: u32, stamp: Stamp, terms: Option<Terms>, canonical: &[u8]) {
        self.forget_channels(scope);
        let slot = ChannelsSlot { stamp, digest: xxh3_128(canonical), ids: ids_of(canonical) };
        self.ids += slot.ids;
        self.terms[scope] = terms.unwrap_or_default();
        let it = &mut self.scopes[scope];
        let row = it.row;
        it.channels = Some(Box::new(slot));
        for share in terms.iter().flat_map(|terms| self.shares.of(terms).list) {
            self.by_count.insert(share.count, Counting::Channels(row));
        }
        self.digest = self.digest.wrapping_add(self.channels_digest(scope));
    }

    /// Nothing of a scope's channels is remembered any more.
    pub(crate) fn forget_channels(&mut self, scope: u32) {
        self.digest = self.digest.wrapping_sub(self.channels_digest(scope));
        let terms = std::mem::take(&mut self.terms[scope]);
        self.ids -= self.scopes[scope].channels.take().map_or(0, |slot| slot.ids);
        if terms.stands() {
            self.shares.of(&terms).list.iter().for_each(|share| _ = self.by_count.remove(&share.count));
            self.shares.forget(&terms);
        }
    }

    /// What channels and all that their shares have counted add to the digest.
    fn channels_digest(&self, scope: u32) -> u128 {
        let rule = self.scopes[scope].channels.as_ref().map_or(0, |slot| slot.digest);
        let shares = self.shares(scope).map_or(&[][..], |shares| shares.list);
        shares.iter().map(Share::digest).fold(rule, u128::wrapping_add)
    }

    /// Units are sold through a channel; `scope` is that of their SKU, `at` which share it is.
    pub(crate) fn add_to_share(&mut self, scope: Option<u32>, at: u8, taken: &Taken) {
        let Some(terms) = scope.map(|scope| &mut self.terms[scope]) else { return };
        if self.shares.change(terms, at, taken, |used| *used += u64::from(taken.units)) {
            self.digest = self.digest.wrapping_add(share_weight(taken));
        }
    }

    /// Units that were sold through a channel come back, if its share still counts since then.
    pub(crate) fn take_back_from_share(&mut self, scope: Option<u32>, at: u8, taken: &Taken) {
        let Some(terms) = scope.map(|scope| &mut self.terms[scope]) else { return };
        if self.shares.change(terms, at, taken, |used| *used -= u64::from(taken.units)) {
            self.digest = self.digest.wrapping_sub(share_weight(taken));
        }
    }

    /// Puts a sale, or its removal, into a scope. `canonical` are the canonical bytes of the whole slot.
    pub(crate) fn put_sale(&mut self, scope: u32, stamp: Stamp, sale: Option<Sale>, canonical: &[u8]) {
        let (digest, ids) = (xxh3_128(canonical), ids_of(canonical));
        self.digest = self.digest.wrapping_add(digest);
        self.ids += ids;
        let scope = &mut self.scopes[scope];
        (scope.free_from_ms, scope.free_until_ms) = sale.as_ref().map_or(FREE, Sale::free);
        if let Some(before) = scope.sale.replace(Box::new(SaleSlot { stamp, sale, digest, ids })) {
            self.digest = self.digest.wrapping_sub(before.digest);
            self.ids -= before.ids;
        }
    }

    /// Nothing of a scope's sale is remembered any more.
    pub(crate) fn forget_sale(&mut self, scope: u32) {
        let scope = &mut self.scopes[scope];
        (scope.free_from_ms, scope.free_until_ms) = FREE;
        if let Some(slot) = scope.sale.take() {
            self.digest = self.digest.wrapping_sub(slot.digest);
            self.ids -= slot.ids;
        }
    }

    /// Puts a delivery, or its removal, into the scope of a pool. `canonical` are the canonical bytes of the whole slot.
    pub(crate) fn put_delivery(&mut self, scope: u32, stamp: Stamp, services: Vec<Service>, canonical: &[u8]) {
        let mut slot = DeliverySlot { stamp, services, digest: xxh3_128(canonical), ids: ids_of(canonical) };
        slot.ids += slot.ids_of_days();
        self.digest = self.digest.wrapping_add(slot.digest);
        self.ids += slot.ids;
        let before = self.scopes[scope].delivery.replace(Box::new(slot));
        self.without_delivery(before);
    }

    /// Nothing of a pool's delivery is remembered any more.
    pub(crate) fn forget_delivery(&mut self, scope: u32) {
        let before = self.scopes[scope].delivery.take();
        self.without_delivery(before);
    }

    fn without_delivery(&mut self, before: Option<Box<DeliverySlot>>) {
        if let Some(slot) = before {
            self.digest = self.digest.wrapping_sub(slot.digest);
            self.ids -= slot.ids;
        }
    }

    /// A limit of a name that is not known, which nothing is said about yet.
    pub(crate) fn make_limit(&mut self, pool: u32, name: &str, stamp: Stamp) -> u32 {
        let (name, rows): (Box<str>, _) = (name.into(), Vec::new());
        let limit =
            Limit { pool, name: name.clone(), stamp, terms: None, count: 0, period: 0, rows, digest: 0, ids: 0 };
        let slot = self.limits.put(limit);
        self.by_name.insert((pool, name), slot);
        slot
    }

    /// Says what a limit is, or that it was removed. `canonical` are the canonical bytes of all of it.
    pub(crate) fn put_limit(&mut self, slot: u32, stamp: Stamp, terms: Option<LimitTerms>, canonical: &[u8]) {
        let (digest, ids) = (xxh3_128(canonical), ids_of(canonical));
        let limit = &mut self.limits[slot];
        self.digest = self.digest.wrapping_sub(limit.digest).wrapping_add(digest);
        self.ids = self.ids - limit.ids + ids;
        (limit.stamp, limit.terms, limit.digest, limit.ids) = (stamp, terms, digest, ids);
    }

    /// From `count` on a limit counts anew.
    pub(crate) fn begin_count(&mut self, slot: u32, count: u64, period: i64) {
        let limit = &mut self.limits[slot];
        self.by_count.remove(&limit.count);
        (limit.count, limit.period) = (count, period);
        if count != 0 {
            self.by_count.insert(count, Counting::Limit(slot));
        }
    }

    /// Nothing of a limit is remembered any more.
    pub(crate) fn forget_limit(&mut self, slot: u32) {
        let limit = &mut self.limits[slot];
        self.digest = self.digest.wrapping_sub(limit.digest);
        self.ids -= std::mem::take(&mut limit.ids);
        let key = (limit.pool, std::mem::take(&mut limit.name));
        (limit.terms, limit.digest) = (None, 0);
        self.by_name.remove(&key);
        self.limits.free(slot);
    }

    /// Looks for the next end of a period behind `now_ms`.
    pub(crate) fn find_next_period(&mut self, now_ms: i64) {
        let terms = self.by_name.values().filter_map(|limit| self.limits[*limit].terms.as_ref());
        self.next_period_ms = terms.filter_map(|terms| terms.period_end_ms(now_ms)).min().unwrap_or(i64::MAX);
    }

    /// Numbers of all limits, also of those that were removed. Time moves on the way of an order: nothing is gathered.
    pub(crate) fn all_limits(&self) -> impl Iterator<Item = u32> + use<'_> {
        (0..self.limits.slots()).filter(|limit| self.limits[*limit].is_used())
    }
}
