//! Decisions counted by outcome and reason: a lookup and an increment for each, no label, no lock.

use crate::wire::proto::{Outcome, Reason};

/// Outcomes, in the order in which [`Tally`] keeps them.
const OUTCOMES: [Outcome; 21] = [
    Outcome::Unspecified,
    Outcome::Reserved,
    Outcome::Rejected,
    Outcome::Confirmed,
    Outcome::Extended,
    Outcome::Cancelled,
    Outcome::Expired,
    Outcome::Shipped,
    Outcome::Applied,
    Outcome::Noted,
    Outcome::Duplicate,
    Outcome::Conflict,
    Outcome::Unchanged,
    Outcome::NotAllowed,
    Outcome::Misrouted,
    Outcome::Invalid,
    Outcome::TooOld,
    Outcome::Deadline,
    Outcome::Unsupported,
    Outcome::Busy,
    Outcome::NotOpen,
];

/// Reasons, in the order in which [`Tally`] keeps them.
const REASONS: [Reason; 38] = [
    Reason::Unspecified,
    Reason::OutOfStock,
    Reason::UnknownSku,
    Reason::Halted,
    Reason::Cancelled,
    Reason::Closed,
    Reason::NotEligible,
    Reason::Limit,
    Reason::Quota,
    Reason::Scattered,
    Reason::Late,
    Reason::DeliveryFull,
    Reason::BeforePlace,
    Reason::UnknownOrder,
    Reason::Stale,
    Reason::MissingId,
    Reason::IdTooLong,
    Reason::NoLines,
    Reason::TooManyLines,
    Reason::Quantity,
    Reason::PlacedAt,
    Reason::AttemptUnknown,
    Reason::AttemptOpen,
    Reason::HoldTooLong,
    Reason::NoSuchSku,
    Reason::WrongShard,
    Reason::NoKind,
    Reason::Malformed,
    Reason::UnknownLevel,
    Reason::Times,
    Reason::Doubled,
    Reason::TooMany,
    Reason::Scope,
    Reason::Lot,
    Reason::NoSuchLot,
    Reason::Expiry,
    Reason::TimeZone,
    Reason::NoSuchService,
];

/// Pairs of an outcome and a reason.
pub(super) const CELLS: usize = OUTCOMES.len() * REASONS.len();

/// Position of each outcome in [`OUTCOMES`], by its number: a lookup, not a search, for every decision.
const OUTCOME_PLACE: [u8; 64] = {
    let mut place = [0; 64];
    let mut i = 0;
    while i < OUTCOMES.len() {
        place[OUTCOMES[i] as usize] = i as u8;
        i += 1;
    }
    place
};

/// Position of each reason in [`REASONS`], by its number.
const REASON_PLACE: [u8; 128] = {
    let mut place = [0; 128];
    let mut i = 0;
    while i < REASONS.len() {
        place[REASONS[i] as usize] = i as u8;
        i += 1;
    }
    place
};

/// Decisions of one batch, counted by outcome and reason.
#[derive(Clone, Debug)]
pub struct Tally {
    cells: Box<[u32; CELLS]>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { cells: Box::new([0; CELLS]) }
    }
}

impl Tally {
    /// Counts one decision.
    pub fn count(&mut self, outcome: Outcome, reason: Reason) {
        let outcome = usize::from(OUTCOME_PLACE[outcome as usize]);
        let reason = usize::from(REASON_PLACE[reason as usize]);
        self.cells[outcome * REASONS.len() + reason] += 1;
    }

    /// The counts, in the order in which [`pair`] names them.
    pub(super) fn cells(&self) -> impl Iterator<Item = u32> + '_ {
        self.cells.iter().copied()
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.cells.fill(0);
    }
}

/// What cell `i` counts.
pub(super) fn pair(i: usize) -> (Outcome, Reason) {
    (OUTCOMES[i / REASONS.len()], REASONS[i % REASONS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_reason_has_a_cell_of_its_own() {
        let outcomes = (0..64).filter_map(|number| Outcome::try_from(number).ok());
        let pairs = outcomes.flat_map(|o| (0..128).filter_map(move |n| Some((o, Reason::try_from(n).ok()?))));
        let pairs: Vec<_> = pairs.collect();
        assert_eq!(pairs.len(), CELLS);
        for &(outcome, reason) in &pairs {
            let mut tally = Tally::default();
            tally.count(outcome, reason);
            let counted: Vec<_> = tally.cells().enumerate().filter(|&(_, n)| n > 0).map(|(i, _)| pair(i)).collect();
            assert_eq!(counted, [(outcome, reason)]);
        }
    }
}
