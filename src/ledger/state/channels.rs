//! How the stock of a SKU is shared among channels: what each may have, and the units sold through it.
//!
//! Shares of a SKU stand side by side, and an open order keeps where its own stands: to give units back, one cache line is
//! looked at.

use super::counts::{CountKey, weight};
use super::orders::{CountedBy, Taken};
use super::selling::Stamp;
use crate::ledger::store::arena::{Arena, Run};
use crate::ledger::store::index::Fingerprint;
use crate::wire::limits::MAX_CHANNELS;
use crate::wire::proto::ShareOf;

/// Channels of a SKU as they stand, or were removed.
#[derive(Debug)]
pub(crate) struct ChannelsSlot {
    pub(crate) stamp: Stamp,
    /// None once they were removed.
    pub(super) terms: Option<Terms>,
    /// What the rule adds to the digest; what shares have counted comes on top.
    pub(super) digest: u128,
    /// Remembered ids that it counts for.
    pub(super) ids: usize,
}

impl ChannelsSlot {
    /// Whether they stand: else they were removed.
    pub(super) fn stands(&self) -> bool {
        self.terms.is_some()
    }
}

/// What channels say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// From then on nothing is protected.
    pub(crate) protected_until_ms: i64,
    /// Which of the shares is that of the others.
    pub(crate) others: Option<usize>,
    /// Where the shares stand.
    run: Run,
}

/// What one channel has of a SKU: a cache line, because each line of an order looks at all of them.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Share {
    /// Of the channel; of no text for the others.
    pub(crate) channel: CountKey,
    /// Sequence at which it began to count; 0 for one that no longer does.
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

/// Where a share stands, until its rule is set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) run: Run,
    pub(crate) at: u8,
}

impl Place {
    /// As an open order keeps it.
    pub(super) fn to_bytes(self) -> [u8; Run::BYTES + 1] {
        let [a, b, c, d, e, f, g] = self.run.to_bytes();
        [a, b, c, d, e, f, g, self.at]
    }

    pub(super) fn from_bytes([a, b, c, d, e, f, g, at]: [u8; Run::BYTES + 1]) -> Place {
        Place { run: Run::from_bytes([a, b, c, d, e, f, g]), at }
    }
}

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
    pub(super) fn of(&self, terms: Terms) -> Shares<'_> {
        Shares { terms, list: self.0.get(terms.run) }
    }

    /// Keeps shares, in the order in which they are covered.
    pub(super) fn keep(&mut self, protected_until_ms: i64, others: Option<usize>, list: &[Share]) -> Terms {
        let run = self.0.make(list.len());
        self.0.get_mut(run).copy_from_slice(list);
        Terms { protected_until_ms, others, run }
    }

    /// The shares of channels that stand no more: whoever looks where one stood finds none.
    pub(super) fn forget(&mut self, terms: Terms) {
        self.0.get_mut(terms.run).fill(BLANK);
        self.0.free(terms.run);
    }

    /// The share that has counted these units, if it still counts since then and stands where it stood.
    #[inline]
    pub(super) fn at(&mut self, place: Place, taken: &Taken) -> Option<&mut Share> {
        let share = self.0.get_mut(place.run).get_mut(usize::from(place.at))?;
        share.counts(taken).then_some(share)
    }

    /// The same, wherever it stands among the shares of these channels.
    pub(super) fn among(&mut self, terms: Terms, taken: &Taken) -> Option<&mut Share> {
        self.0.get_mut(terms.run).iter_mut().find(|share| share.counts(taken))
    }
}

impl Share {
    /// What its units add to the digest.
    pub(super) fn digest(&self) -> u128 {
        weight(self.count, 0, self.channel.hash).wrapping_mul(self.used.into())
    }

    fn counts(&self, taken: &Taken) -> bool {
        self.count == taken.count && self.channel.fingerprint == taken.key.fingerprint
    }
}

/// The shares of a SKU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares<'a> {
    pub(crate) terms: Terms,
    /// In the order in which they are covered.
    pub(crate) list: &'a [Share],
}

impl Shares<'_> {
    /// The share that an order of this channel draws on.
    pub(crate) fn of(&self, channel: Fingerprint) -> Option<usize> {
        self.list.iter().position(|share| share.channel.fingerprint == channel).or(self.terms.others)
    }

    /// The units that an order has of share `at`, whose SKU has this row.
    pub(crate) fn taken(&self, at: usize, row: u32, units: u32) -> Taken {
        let Share { count, channel, .. } = self.list[at];
        let of = if Some(at) == self.terms.others { ShareOf::Others } else { ShareOf::Channel };
        let place = Place { run: self.terms.run, at: at as u8 };
        Taken { by: CountedBy::Share { row, of, place }, count, units, key: channel }
    }

    /// Reads all shares.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.list.iter().fold(0, |all, share| all | share.used)
    }

    /// Units that who draws on share `own`, or on none, may have of those that are available, `earlier` being what the
    /// order at hand has of it by then.
    pub(crate) fn left(&self, own: Option<usize>, available: i64, earlier: u64, now_ms: i64) -> u64 {
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
        let shares = table.of(terms);
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
        let shares = table.of(terms);
        let own = shares.of(Fingerprint([1; 3]));
        // Of 10, 3 were taken before by this order: it has all of its protected units.
        assert_eq!(shares.left(own, 7, 3, 99), 3);
        assert_eq!(shares.left(own, 7, 6, 99), 0);
        assert_eq!(shares.left(None, 10, 0, 99), 3);
    }
}
