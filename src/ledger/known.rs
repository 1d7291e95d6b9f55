//! Who is known: one index over the identities of open orders and those that are remembered.

use super::identity::{Fingerprint, Identity};
use super::records::{Fate, Remembered};
use super::{Foresight, Ledger};
use crate::wire::Original;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// Marks a place in the index as the slot of an open order.
const OPEN: u32 = 1 << 31;
/// Forgotten records taken out of the index for each one that is remembered: more than one, so that it empties.
const CLEARED_PER_RECORD: usize = 3;

/// Where an identity was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Unknown,
    /// The slot of an open order.
    Open(u32),
    /// The place of a record.
    Closed(u32),
}

impl Ledger {
    /// An identity's fingerprint, which somebody may have foreseen.
    #[inline]
    pub(super) fn fingerprint(&self, identity: Identity<'_>, foresight: &Foresight) -> Fingerprint {
        let fingerprint = foresight.fingerprint.unwrap_or_else(|| self.fingerprints.of(identity));
        debug_assert_eq!(fingerprint, self.fingerprints.of(identity), "foresight of another command");
        fingerprint
    }

    pub(super) fn find(&self, fingerprint: Fingerprint) -> Found {
        let found = self.index.find(fingerprint, |place| {
            if place & OPEN != 0 {
                self.orders.get(place & !OPEN).fingerprint == fingerprint
            } else {
                self.records.is(place, fingerprint)
            }
        });
        match found {
            None => Found::Unknown,
            Some(place) if place & OPEN != 0 => Found::Open(place & !OPEN),
            Some(place) => Found::Closed(place),
        }
    }

    /// Reads what stands at these places, so that it is in the cache when it is looked at.
    #[inline]
    pub(super) fn touch(&self, places: impl Iterator<Item = u32> + Clone) {
        let known = places.clone().map(|place| {
            if place & OPEN != 0 { self.orders.get(place & !OPEN).fingerprint } else { self.records.fingerprint(place) }
        });
        std::hint::black_box(known.fold(0, |all, fingerprint| all | fingerprint.0[0]));
        // Lines and id stand behind what was just read.
        let open = places.filter(|place| place & OPEN != 0);
        std::hint::black_box(open.fold(0, |all, place| all | self.orders.touch(place & !OPEN)));
    }

    /// The state of an order's attempt.
    pub(super) fn state(&self, found: Found) -> OrderState {
        match found {
            Found::Unknown => OrderState::Unspecified,
            Found::Open(slot) => self.orders.get(slot).state,
            Found::Closed(place) => self.records.get(place).fate.state(),
        }
    }

    /// What was first decided and the hash of its content, unless nothing was or it only cancelled in advance.
    pub(super) fn original(&self, found: Found) -> Option<(Original, u64)> {
        match found {
            Found::Unknown => None,
            Found::Open(slot) => {
                let order = self.orders.get(slot);
                let (outcome, reason) = (Outcome::Reserved, Reason::Unspecified);
                Some((Original { sequence: order.sequence, outcome, reason }, order.content))
            }
            Found::Closed(place) => {
                let what = self.records.get(place);
                let placed = what.fate != Fate::CancelledBeforePlace;
                placed.then(|| (what.fate.original(what.sequence), what.content))
            }
        }
    }

    /// Enters a new open order into the index. One that cancelled it in advance must not be known.
    pub(super) fn enter_open(&mut self, fingerprint: Fingerprint, slot: u32) {
        let (orders, records) = (&self.orders, &self.records);
        self.index.insert(fingerprint, slot | OPEN, |place| {
            if place & OPEN != 0 { orders.get(place & !OPEN).fingerprint } else { records.fingerprint(place) }
        });
    }

    /// Remembers an identity that is not open as of now, in place of what was `found` of it.
    pub(super) fn remember(
        &mut self,
        identity: Identity<'_>,
        fingerprint: Fingerprint,
        found: Found,
        what: Remembered,
    ) {
        let digest = self.canonical.remembered(identity, what, self.records.now());
        let place = self.records.remember(fingerprint, what, digest);
        match found {
            Found::Closed(before) => {
                let generation = self.records.generation(before);
                let digest = self.canonical.remembered(identity, self.records.get(before), generation);
                self.records.supersede(before, digest);
                let replaced = self.index.replace(fingerprint, before, place);
                assert!(replaced, "a record that was found is in the index");
            }
            Found::Unknown => {
                let (orders, records) = (&self.orders, &self.records);
                self.index.insert(fingerprint, place, |place| {
                    if place & OPEN != 0 { orders.get(place & !OPEN).fingerprint } else { records.fingerprint(place) }
                });
            }
            Found::Open(_) => unreachable!("an open order is closed, not remembered anew"),
        }
        self.records.clear_out(&mut self.index, CLEARED_PER_RECORD);
    }

    /// Ends an open order: what it held must be given back by the caller. Its id and lines can be read until another
    /// order is opened.
    pub(super) fn close(&mut self, slot: u32, fate: Fate) {
        let order = *self.orders.get(slot);
        let pool = self.rows.pool_name(order.pool);
        let identity = Identity::Order { pool, order_id: self.orders.id(order.kept), attempt: order.attempt };
        let what = Remembered { content: order.content, sequence: order.sequence, fate };
        let digest = self.canonical.remembered(identity, what, self.records.now());
        let place = self.records.remember(order.fingerprint, what, digest);
        let replaced = self.index.replace(order.fingerprint, slot | OPEN, place);
        assert!(replaced, "an open order is in the index");
        self.orders.close(slot);
        self.records.clear_out(&mut self.index, CLEARED_PER_RECORD);
    }
}
