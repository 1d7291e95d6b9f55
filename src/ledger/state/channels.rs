//! How the stock of a SKU is shared among channels: what each may have, and the units sold through it.
//!
//! Shares of a SKU stand side by side, a cache line each. What an order must know of all of them (how many units are kept
//! for somebody, and which share is whose) stands with the rules of the SKU, so that it looks at its own share alone as
//! long as there is enough for everybody.

use super::counts::{CountKey, weight};
use super::orders::{CountedBy, Taken};
use super::selling::Stamp;
use crate::ledger::store::arena::{Arena, Run};
use crate::ledger::store::index::Fingerprint;
use crate::wire::limits::MAX_CHANNELS;
use crate::wire::proto::ShareOf;

/// Channels of a SKU as they stand, or were removed: what no order looks at.
#[derive(Debug)]
pub(crate) struct ChannelsSlot {
    pub(crate) stamp: Stamp,
    /// What the rule adds to the digest; what shares have counted comes on top.
    pub(super) digest: u128,
    /// Remembered ids that it counts for.
    pub(super) ids: usize,
}

/// What channels say, and what orders must know of all shares: a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Terms {
    /// From then on nothing is protected.
    pub(crate) protected_until_ms: i64,
    /// Units that are kept for channels which have not sold them yet, of all shares, whether they are there or not.
    protected_left: u64,
    /// Where the shares stand; of none if no channels stand.
    run: Run,
    /// Which of the shares is that of the others, plus one.
    others: u8,
    /// Some bits of each share's channel: where they differ, the share need not be looked at.
    tags: [u16; MAX_CHANNELS],
}

const _: () = assert!(size_of::<Terms>() == 64);

impl Terms {
    /// Whether there are channels.
    #[inline]
    pub(super) fn stands(&self) -> bool {
        self.run.len() > 0
    }

    /// Which of the shares is that of the others.
    #[inline]
    pub(crate) fn others(&self) -> Option<usize> {
        usize::from(self.others).checked_sub(1)
    }

    /// Reads them.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.protected_left
    }
}

#[inline]
fn tag_of(channel: Fingerprint) -> u16 {
    channel.0[0] as u16
}

/// What one channel has of a SKU: a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Share {
    /// Of the channel; of no text for the others.
    pub(crate) channel: CountKey,
    /// Sequence at which it began to count.
    pub(crate) count: u64,
    pub(crate) protected: u64,
    /// `u64::MAX` if there is no bound.
    pub(crate) at_most: u64,
    /// Units of orders that it counts.
    pub(crate) used: u64,
}

const _: () = assert!(size_of::<Share>() == 64);

/// No share.
const BLANK: Share = Share {
    channel: CountKey { fingerprint: Fingerprint([0; 3]), hash: 0 },
    count: 0,
    protected: 0,
    at_most: 0,
    used: 0,
};

/// The shares of all SKUs.
#[derive(Debug)]
pub(crate) struct ShareTable(Arena<Share>);

impl ShareTable {
    pub(super) fn new() -> ShareTable {
        ShareTable(Arena::new(1, MAX_CHANNELS, BLANK))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The shares of channels that stand.
    #[inline]
    pub(super) fn of<'a>(&'a self, terms: &'a Terms) -> Shares<'a> {
        Shares { terms, list: self.0.get(terms.run) }
    }

    /// Keeps shares, in the order in which they are covered.
    pub(super) fn keep(&mut self, protected_until_ms: i64, others: Option<usize>, list: &[Share]) -> Terms {
        let run = self.0.make(list.len());
        self.0.get_mut(run).copy_from_slice(list);
        let mut tags = [0; MAX_CHANNELS];
        for (to, share) in tags.iter_mut().zip(list) {
            *to = tag_of(share.channel.fingerprint);
        }
        let protected_left = list.iter().map(Share::protected_left).sum();
        Terms { protected_until_ms, protected_left, run, others: others.map_or(0, |at| at as u8 + 1), tags }
    }

    /// The shares of channels that stand no more.
    pub(super) fn forget(&mut self, terms: &Terms) {
        self.0.free(terms.run);
    }

    /// Changes the units sold through the share that has counted `taken`, if it still counts since then. `at` is its
    /// position in the list of then. Tells whether it counts.
    #[inline]
    pub(super) fn change(&mut self, terms: &mut Terms, at: u8, taken: &Taken, change: impl FnOnce(&mut u64)) -> bool {
        if !terms.stands() {
            return false;
        }
        let list = self.0.get_mut(terms.run);
        let at = match list.get(usize::from(at)) {
            Some(share) if share.counts(taken) => usize::from(at),
            _ => match list.iter().position(|share| share.counts(taken)) {
                Some(at) => at,
                None => return false,
            },
        };
        let share = &mut list[at];
        let left = terms.protected_left - share.protected_left();
        change(&mut share.used);
        terms.protected_left = left + share.protected_left();
        true
    }
}

impl Share {
    /// What its units add to the digest.
    pub(super) fn digest(&self) -> u128 {
        weight(self.count, 0, self.channel.hash).wrapping_mul(self.used.into())
    }

    #[inline]
    fn counts(&self, taken: &Taken) -> bool {
        self.count == taken.count && self.channel.fingerprint == taken.key.fingerprint
    }

    /// Units that are kept for its channel and not sold yet.
    #[inline]
    fn protected_left(&self) -> u64 {
        self.protected.saturating_sub(self.used)
    }
}

/// The shares of a SKU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares<'a> {
    pub(crate) terms: &'a Terms,
    /// In the order in which they are covered.
    pub(crate) list: &'a [Share],
}

impl Shares<'_> {
    /// The share that an order of this channel draws on.
    #[inline]
    pub(crate) fn of(&self, channel: Fingerprint) -> Option<usize> {
        let tag = tag_of(channel);
        let is_it = |(known, share): (&u16, &Share)| *known == tag && share.channel.fingerprint == channel;
        self.terms.tags.iter().zip(self.list).position(is_it).or(self.terms.others())
    }

    /// The units that an order has of share `at`, whose SKU has this row.
    #[inline]
    pub(crate) fn taken(&self, at: usize, row: u32, units: u32) -> Taken {
        let Share { count, channel, .. } = self.list[at];
        let of = if Some(at) == self.terms.others() { ShareOf::Others } else { ShareOf::Channel };
        Taken { by: CountedBy::Share { row, of, at: at as u8 }, count, units, key: channel }
    }

    /// Whether who draws on share `own`, or on none, may have `units` of those that are available, whatever is kept for
    /// others. False says nothing: [`Shares::left`] looks at all shares.
    #[inline]
    pub(crate) fn leave_plenty(
        &self,
        own: Option<usize>,
        (available, earlier): (i64, u64),
        units: u32,
        now_ms: i64,
    ) -> bool {
        let kept = if now_ms < self.terms.protected_until_ms { self.terms.protected_left } else { 0 };
        let most = own.map_or(u64::MAX, |at| self.list[at].at_most.saturating_sub(self.list[at].used + earlier));
        let units = u64::from(units);
        units <= most && kept.checked_add(units).is_some_and(|wanted| wanted <= available.max(0) as u64)
    }

    /// Units that who draws on share `own`, or on none, may have of those that are available, `earlier` being what the
    /// order at hand has of it by then.
    pub(crate) fn left(&self, own: Option<usize>, available: i64, earlier: u64, now_ms: i64) -> u64 {
        debug_assert_eq!(self.terms.protected_left, self.list.iter().map(Share::protected_left).sum::<u64>());
        let used = |at: usize, share: &Share| share.used + if Some(at) == own { earlier } else { 0 };
        let (mut uncovered, mut own_covered) = (available.max(0) as u64, 0);
        if now_ms < self.terms.protected_until_ms {
            for (at, share) in self.list.iter().enumerate() {
                let covered = share.protected.saturating_sub(used(at, share)).min(uncovered);
                uncovered -= covered;
                if Some(at) == own {
                    own_covered = covered;
                }
            }
        }
        let most = own.map_or(u64::MAX, |at| self.list[at].at_most.saturating_sub(used(at, &self.list[at])));
        most.min(uncovered + own_covered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: u32, protected: u64, at_most: u64, used: u64) -> Share {
        let channel = CountKey { fingerprint: Fingerprint([name; 3]), hash: name.into() };
        Share { channel, count: 1, protected, at_most, used }
    }

    fn table(list: &[Share]) -> (ShareTable, Terms) {
        let mut table = ShareTable::new();
        let terms = table.keep(100, list.iter().position(|share| share.channel.hash == 0), list);
        (table, terms)
    }

    #[test]
    fn nobody_takes_what_is_covered_for_another() {
        let (table, terms) = table(&[share(1, 5, 8, 2), share(2, 4, u64::MAX, 0), share(0, 0, u64::MAX, 0)]);
        let shares = table.of(&terms);
        let left = |name, available, now_ms| shares.left(shares.of(Fingerprint([name; 3])), available, 0, now_ms);
        // 3 are covered for the first, 4 for the second, and 3 are for whoever comes.
        assert_eq!([1, 2, 0, 9].map(|name| left(name, 10, 99)), [6, 7, 3, 3]);
        // Less than is protected is there: the first goes first, and the others have nothing.
        assert_eq!([1, 2, 0].map(|name| left(name, 4, 99)), [3, 1, 0]);
        assert_eq!([1, 2, 0].map(|name| left(name, -3, 99)), [0, 0, 0]);
        // Protection is over at the instant; at_most is not.
        assert_eq!([1, 2, 0].map(|name| left(name, 10, 100)), [6, 10, 10]);
    }

    #[test]
    fn earlier_units_of_the_order_count_as_sold() {
        let (table, terms) = table(&[share(1, 5, 8, 2), share(2, 4, u64::MAX, 0)]);
        let shares = table.of(&terms);
        let own = shares.of(Fingerprint([1; 3]));
        // Of 10, 3 were taken before by this order: it has all of its protected units.
        assert_eq!(shares.left(own, 7, 3, 99), 3);
        assert_eq!(shares.left(own, 7, 6, 99), 0);
        assert_eq!(shares.left(None, 10, 0, 99), 3);
    }
}
