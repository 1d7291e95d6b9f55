//! The lots of a stock row, and how long what is sold of it must last. They hang on the row's rules ([`Scope`]), so that a
//! row without lots pays nothing for them.
//!
//! What an order reads and changes of a lot stands in half a cache line, by expiry and number, which is the order in which
//! orders take from them; name and share of the digest stand beside it.
//!
//! [`Scope`]: super::selling::Scope

use super::digest::Canonical;
use super::rows::Rows;
use super::selling::{Selling, Stamp, ids_of};
use crate::ledger::terms::BYTES_PER_REMEMBERED_ID;
use crate::wire::limits::MAX_LOTS;
use crate::wire::{LotUnits, Text};

/// Remembered ids that a lot counts for: its 80 bytes, as many again while a list grows, and a name.
const IDS_OF_A_LOT: usize = 4;

const _: () = assert!(size_of::<Lot>() + size_of::<Past>() <= IDS_OF_A_LOT * BYTES_PER_REMEMBERED_ID / 2);

/// The figures of a lot, all in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) committed: i64,
    /// Its last day of use, in days since 1970-01-01.
    pub(crate) day: i32,
    pub(crate) number: u16,
    pub(crate) halted: bool,
    /// Changed since its share of the digest was settled.
    dirty: bool,
}

const _: () = assert!(size_of::<Lot>() == 32);

impl Lot {
    /// Units that nobody was promised; none if more is promised than there is.
    #[inline]
    pub(crate) fn free(&self) -> i64 {
        (self.on_hand - self.reserved - self.committed).max(0)
    }

    /// Units promised that are not there.
    pub(crate) fn shortfall(&self) -> u64 {
        (self.reserved + self.committed - self.on_hand).max(0) as u64
    }

    fn is_spent(&self) -> bool {
        (self.on_hand, self.reserved, self.committed, self.halted) == (0, 0, 0, false)
    }
}

/// The rest of a lot.
#[derive(Debug)]
struct Past {
    name: Box<str>,
    /// As its day is written.
    expiry: u32,
    /// What it adds to the digest as settled last.
    digest: u128,
}

/// The freshness of a SKU, or that it was removed.
#[derive(Debug)]
pub(crate) struct FreshnessSlot {
    pub(crate) stamp: Stamp,
    /// 0 once it was removed.
    pub(crate) least_days: u32,
    digest: u128,
    /// Remembered ids that it counts for.
    ids: usize,
}

/// The lots of one row, by expiry and number, and its freshness.
#[derive(Debug, Default)]
pub(crate) struct Lots {
    lots: Vec<Lot>,
    /// Of each lot, at the same position.
    past: Vec<Past>,
    pub(crate) freshness: Option<FreshnessSlot>,
    /// Stands in the list of those whose digest is to be settled.
    listed: bool,
}

impl Lots {
    pub(crate) fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lots.len() >= MAX_LOTS
    }

    /// Days that what is sold must last; 0 without a rule.
    #[inline]
    pub(crate) fn least_days(&self) -> u32 {
        self.freshness.as_ref().map_or(0, |slot| slot.least_days)
    }

    #[inline]
    fn position(&self, number: u16) -> Option<usize> {
        self.lots.iter().position(|lot| lot.number == number)
    }

    pub(crate) fn get(&self, number: u16) -> Option<&Lot> {
        self.position(number).map(|at| &self.lots[at])
    }

    /// The lot of this name.
    pub(crate) fn named(&self, name: Text<'_>) -> Option<&Lot> {
        self.past.iter().position(|past| name == &*past.name).map(|at| &self.lots[at])
    }

    /// The lowest number from 1 that no lot has.
    pub(crate) fn free_number(&self) -> u16 {
        let mut taken = [false; MAX_LOTS + 1];
        for lot in &self.lots {
            taken[usize::from(lot.number)] = true;
        }
        let free = (1..).find(|number| !taken.get(*number).copied().unwrap_or(false));
        free.expect("numbers go on") as u16
    }

    /// Reads the first lots, so that they are in the cache when they are looked at.
    pub(super) fn touch(&self) -> u32 {
        self.lots.first().map_or(0, |lot| lot.number.into())
    }

    /// A new lot, of a name and a number that no other has.
    fn make(&mut self, number: u16, name: Text<'_>, expiry: u32, day: i32) {
        let at = self.lots.partition_point(|lot| (lot.day, lot.number) < (day, number));
        let lot = Lot { on_hand: 0, reserved: 0, committed: 0, day, number, halted: false, dirty: true };
        self.lots.insert(at, lot);
        self.past.insert(at, Past { name: name.as_str().into(), expiry, digest: 0 });
    }

    /// Changes a lot that there is. Tells whether nothing is left of it.
    #[inline]
    fn change(&mut self, number: u16, change: impl FnOnce(&mut Lot)) -> bool {
        let at = self.position(number).expect("a lot of which somebody has a part is there");
        let lot = &mut self.lots[at];
        change(lot);
        lot.dirty = true;
        lot.is_spent()
    }

    /// Units of the lots that are not halted and last until `day`, from the earliest on; the rest is not looked at once
    /// there are `enough`.
    #[inline]
    pub(crate) fn eligible(&self, day: i32, enough: i64) -> i64 {
        let mut units = 0;
        for lot in &self.lots {
            if lot.day >= day && !lot.halted {
                units += lot.free();
                if units >= enough {
                    break;
                }
            }
        }
        units
    }

    /// Reserves units that there are by [`Lots::eligible`], and tells of each lot.
    #[inline]
    fn take(&mut self, day: i32, units: u32, mut tell: impl FnMut(LotUnits)) {
        let mut wanted = i64::from(units);
        for lot in &mut self.lots {
            let taken = lot.free().min(wanted);
            if taken > 0 && lot.day >= day && !lot.halted {
                lot.reserved += taken;
                lot.dirty = true;
                wanted -= taken;
                tell(LotUnits { lot: lot.number.into(), units: taken as u32, shortfall: 0 });
                if wanted == 0 {
                    return;
                }
            }
        }
        assert_eq!(wanted, 0, "as much is taken as was found to be there");
    }

    /// Puts back what [`Lots::take`] told of in one go, and nothing else was done since. It told of the lots as they stand, so
    /// all are found on one way through them: an order that is scattered too far may have taken from all lots of 200 rows.
    fn put_back(&mut self, taken: impl Iterator<Item = LotUnits>) {
        let mut lots = self.lots.iter_mut();
        for of in taken {
            let lot = lots.find(|lot| u32::from(lot.number) == of.lot).expect("a lot that was taken from is there");
            lot.reserved -= i64::from(of.units);
        }
    }

    /// Drops what has no figures and no halt; the sum of what that had added to the digest, and how many it were.
    fn drop_spent(&mut self) -> (u128, usize) {
        let (mut digest, mut count, mut at) = (0_u128, 0, 0);
        while at < self.lots.len() {
            if self.lots[at].is_spent() {
                self.lots.remove(at);
                digest = digest.wrapping_add(self.past.remove(at).digest);
                count += 1;
            } else {
                at += 1;
            }
        }
        (digest, count)
    }

    /// The expiry of a lot, as it is written.
    pub(crate) fn expiry(&self, number: u16) -> Option<u32> {
        self.position(number).map(|at| self.past[at].expiry)
    }
}

/// What all lots of a shard come to.
#[derive(Debug, Default)]
pub(crate) struct AllLots {
    /// Scopes with lots whose share of the digest is not up to date.
    dirty: Vec<u32>,
    count: usize,
    digest: u128,
}

impl AllLots {
    /// Remembered ids that they count for.
    pub(crate) fn ids(&self) -> usize {
        IDS_OF_A_LOT * self.count
    }

    /// Bytes set aside beside those of the lots.
    pub(crate) fn bytes(&self) -> usize {
        self.dirty.capacity() * size_of::<u32>()
    }

    /// Some lot of a scope was changed.
    #[inline]
    fn note(&mut self, scope: u32, lots: &mut Lots) {
        if !std::mem::replace(&mut lots.listed, true) {
            self.dirty.push(scope);
        }
    }
}

impl Selling {
    /// The lots of a row's scope, if it has any.
    #[inline]
    pub(crate) fn lots(&self, scope: u32) -> Option<&Lots> {
        self.scopes[scope].lots.as_deref().filter(|lots| !lots.is_empty())
    }

    /// A new lot of a row, of a name and a number that no other has.
    pub(crate) fn make_lot(&mut self, scope: u32, number: u16, name: Text<'_>, expiry: u32, day: i32) {
        let lots = self.scopes[scope].lots.get_or_insert_default();
        lots.make(number, name, expiry, day);
        self.all_lots.count += 1;
        self.all_lots.note(scope, lots);
    }

    /// Changes a lot. Tells whether nothing is left of it: once a command has done all that it does,
    /// [`Selling::drop_spent_lots`] must follow then.
    #[inline]
    pub(crate) fn change_lot(&mut self, scope: u32, number: u16, change: impl FnOnce(&mut Lot)) -> bool {
        let lots = self.scopes[scope].lots.as_deref_mut().expect("a row of which somebody has a part is lotted");
        self.all_lots.note(scope, lots);
        lots.change(number, change)
    }

    /// Reserves units that there are by [`Lots::eligible`], and tells of each lot. [`Selling::put_back_lots`] may undo it.
    #[inline]
    pub(crate) fn take_lots(&mut self, scope: u32, day: i32, units: u32, tell: impl FnMut(LotUnits)) {
        let lots = self.scopes[scope].lots.as_deref_mut().expect("they were looked at");
        lots.take(day, units, tell);
        self.all_lots.note(scope, lots);
    }

    /// Undoes [`Selling::take_lots`], of one call after the other, before anything else is done. They are noted already.
    pub(crate) fn put_back_lots(&mut self, scope: u32, taken: impl Iterator<Item = LotUnits>) {
        self.scopes[scope].lots.as_deref_mut().expect("they were taken from").put_back(taken);
    }

    /// Lots that have nothing more are gone.
    pub(crate) fn drop_spent_lots(&mut self, scope: u32) {
        if let Some(lots) = self.scopes[scope].lots.as_deref_mut() {
            let (digest, count) = lots.drop_spent();
            self.all_lots.digest = self.all_lots.digest.wrapping_sub(digest);
            self.all_lots.count -= count;
        }
    }

    /// The sum over all lots.
    pub(crate) fn lots_digest(&mut self, rows: &Rows, canonical: &mut Canonical) -> u128 {
        while let Some(scope) = self.all_lots.dirty.pop() {
            let scope = &mut self.scopes[scope];
            let Some(lots) = scope.lots.as_deref_mut().filter(|lots| lots.listed) else { continue };
            lots.listed = false;
            for (lot, past) in lots.lots.iter_mut().zip(&mut lots.past).filter(|(lot, _)| lot.dirty) {
                let row = rows.view(scope.row);
                canonical.begin(11).str(row.pool.as_bytes()).str(row.sku.as_bytes()).u32(lot.number.into());
                canonical.str(past.name.as_bytes()).u32(past.expiry).i64(lot.on_hand).i64(lot.reserved);
                let digest = canonical.i64(lot.committed).u8(lot.halted.into()).hash();
                let before = std::mem::replace(&mut past.digest, digest);
                self.all_lots.digest = self.all_lots.digest.wrapping_sub(before).wrapping_add(digest);
                lot.dirty = false;
            }
        }
        self.all_lots.digest
    }

    /// Puts a freshness, or its removal, into a scope. `canonical` are the canonical bytes of the whole slot.
    pub(crate) fn put_freshness(&mut self, scope: u32, stamp: Stamp, least_days: u32, canonical: &[u8]) {
        self.forget_freshness(scope);
        let (digest, ids) = (xxhash_rust::xxh3::xxh3_128(canonical), ids_of(canonical));
        self.digest = self.digest.wrapping_add(digest);
        self.ids += ids;
        let lots = self.scopes[scope].lots.get_or_insert_default();
        lots.freshness = Some(FreshnessSlot { stamp, least_days, digest, ids });
    }

    /// Nothing of a scope's freshness is remembered any more.
    pub(crate) fn forget_freshness(&mut self, scope: u32) {
        let slot = self.scopes[scope].lots.as_deref_mut().and_then(|lots| lots.freshness.take());
        if let Some(slot) = slot {
            self.digest = self.digest.wrapping_sub(slot.digest);
            self.ids -= slot.ids;
        }
    }
}

#[cfg(test)]
mod tests;
