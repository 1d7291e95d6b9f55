//! Who is known: one index over the identities of open orders and those that are remembered.

use super::State;
use super::closed::{Ending, Remembered};
use super::identity::Identity;
use crate::ledger::store::index::Fingerprint;
use crate::wire::Original;
use crate::wire::proto::{OrderState, Outcome, Reason};

/// Marks a position in the index as the slot of an open order.
const OPEN: u32 = 1 << 31;
/// Forgotten records taken out of the index for each one that is remembered: more than one, so that it empties.
const CLEARED_PER_RECORD: usize = 3;

/// Where an identity was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Unknown,
    /// The slot of an open order.
    Open(u32),
    /// The position of a record.
    Closed(u32),
}

impl State {
    /// An identity's fingerprint, which somebody may have foreseen.
    #[inline]
    pub(crate) fn fingerprint(&self, identity: Identity<'_>, foreseen: Option<Fingerprint>) -> Fingerprint {
        let fingerprint = foreseen.unwrap_or_else(|| self.fingerprints.of(identity));
        debug_assert_eq!(fingerprint, self.fingerprints.of(identity), "foresight of another command");
        fingerprint
    }

    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Found {
        let found = self.index.find(fingerprint, |position| {
            if position & OPEN != 0 {
                self.orders.get(position & !OPEN).fingerprint == fingerprint
            } else {
                self.records.is(position, fingerprint)
            }
        });
        match found {
            None => Found::Unknown,
            Some(position) if position & OPEN != 0 => Found::Open(position & !OPEN),
            Some(position) => Found::Closed(position),
        }
    }

    /// Reads what stands at these positions, so that it is in the cache when it is looked at.
    #[inline]
    pub(crate) fn touch(&self, positions: impl Iterator<Item = u32> + Clone) {
        let known = positions.clone().map(|position| {
            if position & OPEN != 0 {
                self.orders.get(position & !OPEN).fingerprint
            } else {
                self.records.fingerprint(position)
            }
        });
        std::hint::black_box(known.fold(0, |all, fingerprint| all | fingerprint.0[0]));
        // Lines and id stand behind what was just read.
        let open = positions.filter(|position| position & OPEN != 0);
        std::hint::black_box(open.fold(0, |all, position| all | self.orders.touch(position & !OPEN)));
    }

    /// The state of an order's attempt.
    pub(crate) fn state(&self, found: Found) -> OrderState {
        match found {
            Found::Unknown => OrderState::Unspecified,
            Found::Open(slot) => self.orders.get(slot).state,
            Found::Closed(position) => self.records.get(position).ending.state(),
        }
    }

    /// What was first decided and the hash of its content, unless nothing was or it only cancelled in advance.
    pub(crate) fn original(&self, found: Found) -> Option<(Original, u64)> {
        match found {
            Found::Unknown => None,
            Found::Open(slot) => {
                let order = self.orders.get(slot);
                let (outcome, reason) = (Outcome::Reserved, Reason::Unspecified);
                Some((Original { sequence: order.sequence, outcome, reason }, order.content))
            }
            Found::Closed(position) => {
                let what = self.records.get(position);
                let placed = what.ending != Ending::CancelledBeforePlace;
                placed.then(|| (what.ending.original(what.sequence), what.content))
            }
        }
    }

    /// Enters a new open order into the index. One that cancelled it in advance must not be known.
    pub(crate) fn enter_open(&mut self, fingerprint: Fingerprint, slot: u32) {
        let (orders, records) = (&self.orders, &self.records);
        self.index.insert(fingerprint, slot | OPEN, |position| {
            if position & OPEN != 0 { orders.get(position & !OPEN).fingerprint } else { records.fingerprint(position) }
        });
    }

    /// Remembers an identity that is not open as of now, in place of what was `found` of it.
    pub(crate) fn remember(
        &mut self,
        identity: Identity<'_>,
        fingerprint: Fingerprint,
        found: Found,
        what: Remembered,
    ) {
        let digest = self.canonical.remembered(identity, what, self.records.now());
        let position = self.records.remember(fingerprint, what, digest);
        match found {
            Found::Closed(before) => {
                let generation = self.records.generation(before);
                let digest = self.canonical.remembered(identity, self.records.get(before), generation);
                self.records.supersede(before, digest);
                let replaced = self.index.replace(fingerprint, before, position);
                assert!(replaced, "a record that was found is in the index");
            }
            Found::Unknown => {
                let (orders, records) = (&self.orders, &self.records);
                self.index.insert(fingerprint, position, |position| {
                    if position & OPEN != 0 {
                        orders.get(position & !OPEN).fingerprint
                    } else {
                        records.fingerprint(position)
                    }
                });
            }
            Found::Open(_) => unreachable!("an open order is closed, not remembered anew"),
        }
        self.records.clear_out(&mut self.index, CLEARED_PER_RECORD);
    }

    /// Ends an open order: what it held must be given back by the caller. Its id and lines can be read until another
    /// order is opened.
    pub(crate) fn close(&mut self, slot: u32, ending: Ending) {
        let order = *self.orders.get(slot);
        let pool = self.rows.pool_name(order.pool);
        let identity = Identity::Order { pool, order_id: self.orders.id(order.kept), attempt: order.attempt };
        let what = Remembered { content: order.content, sequence: order.sequence, ending };
        let digest = self.canonical.remembered(identity, what, self.records.now());
        let position = self.records.remember(order.fingerprint, what, digest);
        let replaced = self.index.replace(order.fingerprint, slot | OPEN, position);
        assert!(replaced, "an open order is in the index");
        self.orders.close(slot);
        self.records.clear_out(&mut self.index, CLEARED_PER_RECORD);
    }
}
