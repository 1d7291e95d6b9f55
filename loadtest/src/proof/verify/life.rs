//! The life of one order of ours, packed into 64 bits: what the contract says each answer must be, given the ones
//! before. Written from the tables of the contract, not from the engine.
//!
//! All commands of an order go to one partition, in the order in which they were sent; so its answers are told one by
//! one which command they belong to, and what it must be told. Its shipment comes through another topic and may overtake
//! its confirm: what it must be told follows from the answers before it, as of any.

use sluice::wire::Original;
use sluice::wire::proto::{Asked, Outcome, Reason};

/// Bits kept of a sequence: a trillion decisions of a shard, weeks at any rate.
const SEQUENCE_BITS: u32 = 40;

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing was decided for it.
    #[default]
    Unknown,
    /// Cancelled before it was placed.
    CancelledEarly,
    /// Reserved.
    Held,
    /// Confirmed.
    Committed,
    /// Not sold.
    Rejected,
    /// Given back.
    Cancelled,
    /// Its hold ran out.
    Expired,
    /// It left the warehouse.
    Shipped,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::CancelledEarly,
        Self::Held,
        Self::Committed,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::Shipped,
    ];
}

/// One answer about an order of ours.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub(super) struct Answer {
    pub(super) asked: Asked,
    pub(super) attempt: u32,
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) sequence: u64,
    pub(super) original: Option<Original>,
}

/// What an order may be told beside what its earlier answers leave, because of what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leeway {
    /// It may be refused for being late.
    pub(super) has_deadline: bool,
    /// Selling rules may stand in its way.
    pub(super) is_ruled: bool,
    /// Its day may not be to be had.
    pub(super) is_dated: bool,
    /// What it asks for may have left, and been forgotten.
    pub(super) may_be_forgotten: bool,
}

impl Leeway {
    fn allows(self, answer: &Answer) -> bool {
        match (answer.outcome, answer.reason) {
            (Outcome::Deadline, Reason::Unspecified) => self.has_deadline,
            (Outcome::NotOpen, Reason::Unspecified) => self.is_ruled,
            (Outcome::Rejected, Reason::Closed | Reason::NotEligible | Reason::Limit | Reason::Quota) => self.is_ruled,
            (Outcome::Rejected, Reason::Late | Reason::DeliveryFull) => self.is_dated,
            (Outcome::Rejected, Reason::UnknownSku) => self.may_be_forgotten,
            // How much memory a shard has left is not known here.
            (Outcome::Busy, Reason::Unspecified) => true,
            _ => false,
        }
    }
}

/// Which of an order's commands an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Its first copy.
    Place,
    /// Its second copy.
    Repeat,
    /// Its confirm.
    Confirm,
    /// Its cancel.
    Cancel,
    /// Its second attempt.
    Again,
    /// Its shipment.
    Ship,
    /// None: the engine let it expire.
    Nobody,
}

/// What is known of an order's answers. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// Sequence of the decision that settled its first attempt, its lowest [`SEQUENCE_BITS`]; 0: none did.
    sequence: u64,
    /// Attempt 0.
    phase: Phase,
    /// Attempt 1.
    again: Phase,
    /// The first attempt was settled by being rejected.
    rejected: bool,
    /// Answers to places of attempt 0, up to 3; likewise the others.
    places: u8,
    confirms: u8,
    cancels: u8,
    agains: u8,
    ships: u8,
    /// Times an attempt of it expired, up to 3.
    expiries: u8,
}

/// Most that a counter of two bits tells.
const MANY: u8 = 3;

impl Life {
    /// As it was packed.
    pub(super) fn unpack(bits: u64) -> Self {
        let field = |at: u32, width: u32| (bits >> at & ((1 << width) - 1)) as u8;
        Self {
            sequence: bits & ((1 << SEQUENCE_BITS) - 1),
            phase: Phase::ALL[field(40, 3) as usize],
            again: Phase::ALL[field(43, 3) as usize],
            rejected: field(46, 1) == 1,
            places: field(47, 2),
            confirms: field(49, 2),
            cancels: field(51, 2),
            agains: field(53, 2),
            expiries: field(55, 2),
            ships: field(57, 2),
        }
    }

    /// In 64 bits.
    pub(super) fn pack(self) -> u64 {
        self.sequence
            | u64::from(self.phase as u8) << 40
            | u64::from(self.again as u8) << 43
            | u64::from(self.rejected) << 46
            | u64::from(self.places) << 47
            | u64::from(self.confirms) << 49
            | u64::from(self.cancels) << 51
            | u64::from(self.agains) << 53
            | u64::from(self.expiries) << 55
            | u64::from(self.ships) << 57
    }

    /// Answers to its commands so far: to places of the first attempt, confirms, cancels, places of the second, shipments.
    /// Each counts up to 3.
    pub(super) fn answers(self) -> [u8; 5] {
        [self.places, self.confirms, self.cancels, self.agains, self.ships]
    }

    /// Takes the next answer in. Tells which command it is for, and what is wrong with it.
    pub(super) fn take(&mut self, answer: &Answer, leeway: Leeway) -> (Of, Result<(), String>) {
        let due = self.due(answer);
        let given = (answer.outcome, answer.reason);
        let fits = due.contains(&given) || leeway.allows(answer) && is_open(answer, due);
        let mut told = if fits { Ok(()) } else { Err(format!("{given:?} where {due:?} was due")) };
        if fits && answer.attempt == 0 && matches!(answer.outcome, Outcome::Duplicate | Outcome::Conflict) {
            told = self.check_original(answer);
        }
        let of = self.count(answer);
        // What was told is what the next answers must follow from, wrong or not: one fault is one finding.
        self.follow(answer);
        (of, told)
    }

    /// The outcomes that the contract allows, given what was answered before; [`Leeway`] apart. Whether there was stock,
    /// and whether a rule stood in the way, is looked at elsewhere.
    fn due(&self, answer: &Answer) -> &'static [(Outcome, Reason)] {
        use Outcome as O;
        use Reason as R;
        const NONE: Reason = Reason::Unspecified;
        let first = answer.attempt == 0;
        let phase = if first { self.phase } else { self.again };
        match (answer.asked, phase) {
            (Asked::Place, Phase::CancelledEarly) => &[(O::Rejected, R::Cancelled)],
            (Asked::Place, Phase::Unknown) => match self.phase {
                _ if first => &[(O::Reserved, NONE), (O::Rejected, R::OutOfStock)],
                Phase::Rejected | Phase::Cancelled | Phase::Expired => {
                    &[(O::Reserved, NONE), (O::Rejected, R::OutOfStock)]
                }
                Phase::Held | Phase::Committed | Phase::Shipped => &[(O::Invalid, R::AttemptOpen)],
                Phase::Unknown | Phase::CancelledEarly => &[(O::Invalid, R::AttemptUnknown)],
            },
            // A repeat: which of the two depends on its content, and is counted by whoever knows what was sent.
            (Asked::Place, _) => &[(O::Duplicate, NONE), (O::Conflict, NONE)],
            (Asked::Confirm, Phase::Held) => &[(O::Confirmed, NONE)],
            (Asked::Confirm, Phase::Committed | Phase::Shipped) => &[(O::Unchanged, NONE)],
            (Asked::Ship, Phase::Committed) => &[(O::Shipped, NONE)],
            (Asked::Ship, Phase::Shipped) => &[(O::Unchanged, NONE)],
            (Asked::Cancel, Phase::Shipped) => &[(O::NotAllowed, NONE)],
            (Asked::Confirm | Asked::Ship, Phase::Unknown) => &[(O::NotAllowed, R::UnknownOrder)],
            (Asked::Confirm | Asked::Ship, _) => &[(O::NotAllowed, NONE)],
            (Asked::Cancel, Phase::Unknown) => &[(O::Noted, R::BeforePlace)],
            (Asked::Cancel, Phase::Held | Phase::Committed) => &[(O::Cancelled, NONE)],
            (Asked::Cancel, _) => &[(O::Unchanged, NONE)],
            (Asked::Expire, Phase::Held) => &[(O::Expired, NONE)],
            _ => &[],
        }
    }

    fn check_original(&self, answer: &Answer) -> Result<(), String> {
        let outcome = if self.rejected { Outcome::Rejected } else { Outcome::Reserved };
        let told = answer.original.map(|told| (told.sequence & ((1 << SEQUENCE_BITS) - 1), told.outcome));
        if told == Some((self.sequence, outcome)) {
            return Ok(());
        }
        Err(format!("the original was {outcome:?} at {}, the repeat was told {:?}", self.sequence, answer.original))
    }

    fn count(&mut self, answer: &Answer) -> Of {
        let (counter, of) = match answer.asked {
            Asked::Place if answer.attempt > 0 => (&mut self.agains, Of::Again),
            Asked::Place if self.places == 0 => (&mut self.places, Of::Place),
            Asked::Place => (&mut self.places, Of::Repeat),
            Asked::Confirm => (&mut self.confirms, Of::Confirm),
            Asked::Cancel => (&mut self.cancels, Of::Cancel),
            Asked::Ship => (&mut self.ships, Of::Ship),
            _ => (&mut self.expiries, Of::Nobody),
        };
        *counter = (*counter + 1).min(MANY);
        of
    }

    fn follow(&mut self, answer: &Answer) {
        let first = answer.attempt == 0;
        if first && matches!(answer.outcome, Outcome::Reserved | Outcome::Rejected) {
            self.sequence = answer.sequence & ((1 << SEQUENCE_BITS) - 1);
            self.rejected = answer.outcome == Outcome::Rejected;
        }
        let phase = if first { &mut self.phase } else { &mut self.again };
        *phase = match (answer.outcome, answer.reason) {
            (Outcome::Reserved, _) => Phase::Held,
            (Outcome::Rejected, _) => Phase::Rejected,
            (Outcome::Confirmed, _) => Phase::Committed,
            (Outcome::Noted, _) => Phase::CancelledEarly,
            (Outcome::Cancelled, _) => Phase::Cancelled,
            (Outcome::Expired, _) => Phase::Expired,
            (Outcome::Shipped, _) => Phase::Shipped,
            _ => *phase,
        };
    }
}

/// Whether an answer may be another one than those that are due: an order may be refused for being late, or because there
/// is no memory for it, unless it was decided before, and a rule may stand in its way, or a SKU be forgotten,
/// wherever it may be reserved; a Cancel
/// may find no memory where it would have to be noted.
fn is_open(answer: &Answer, due: &[(Outcome, Reason)]) -> bool {
    let has = |outcome| due.iter().any(|(known, _)| *known == outcome);
    match (answer.asked, answer.outcome) {
        (Asked::Place, Outcome::Deadline | Outcome::Busy) => !has(Outcome::Duplicate),
        (Asked::Place, _) => has(Outcome::Reserved),
        (Asked::Cancel, Outcome::Busy) => has(Outcome::Noted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(asked: Asked, outcome: Outcome, reason: Reason) -> Answer {
        Answer { asked, attempt: 0, outcome, reason, sequence: 7, original: None }
    }

    /// Lives through answers of the first attempt; returns whether each was as it must be.
    #[track_caller]
    fn check(answers: &[(Asked, Outcome, Reason)], expected: &[bool]) -> Life {
        let mut life = Life::default();
        let found: Vec<_> = answers
            .iter()
            .map(|(asked, outcome, reason)| {
                let mut answer = answer(*asked, *outcome, *reason);
                if matches!(outcome, Outcome::Duplicate | Outcome::Conflict) {
                    let outcome = if life.rejected { Outcome::Rejected } else { Outcome::Reserved };
                    answer.original = Some(Original { sequence: 7, outcome, reason: Reason::Unspecified });
                }
                let mut unpacked = Life::unpack(life.pack());
                let (_, told) = unpacked.take(&answer, FREE);
                life = unpacked;
                told.is_ok()
            })
            .collect();
        assert_eq!(found, expected);
        life
    }

    const FREE: Leeway = Leeway { has_deadline: false, is_ruled: false, is_dated: false, may_be_forgotten: false };
    const DEADLINE: Leeway = Leeway { has_deadline: true, ..FREE };
    const RULED: Leeway = Leeway { is_ruled: true, ..FREE };
    const NONE: Reason = Reason::Unspecified;
    const RESERVED: (Asked, Outcome, Reason) = (Asked::Place, Outcome::Reserved, NONE);

    #[test]
    fn an_order_that_is_paid_stays_paid() {
        let confirmed = (Asked::Confirm, Outcome::Confirmed, NONE);
        let duplicate = (Asked::Place, Outcome::Duplicate, NONE);
        let life = check(&[RESERVED, duplicate, confirmed], &[true; 3]);
        assert_eq!(life.phase, Phase::Committed);
        assert_eq!(life.answers(), [2, 1, 0, 0, 0]);
        check(&[RESERVED, confirmed, confirmed], &[true, true, false]);
        check(&[RESERVED, confirmed, (Asked::Expire, Outcome::Expired, NONE)], &[true, true, false]);
    }

    #[test]
    fn only_what_was_paid_leaves_and_then_nothing_brings_it_back() {
        let confirmed = (Asked::Confirm, Outcome::Confirmed, NONE);
        let shipped = (Asked::Ship, Outcome::Shipped, NONE);
        let refused = |asked| (asked, Outcome::NotAllowed, NONE);
        let life = check(&[RESERVED, refused(Asked::Ship), confirmed, shipped], &[true; 4]);
        assert_eq!((life.phase, life.answers()), (Phase::Shipped, [1, 1, 0, 0, 2]));
        check(&[RESERVED, confirmed, shipped, refused(Asked::Cancel)], &[true; 4]);
        check(&[(Asked::Ship, Outcome::NotAllowed, Reason::UnknownOrder), RESERVED], &[true; 2]);
        check(&[RESERVED, shipped], &[true, false]);
        check(&[RESERVED, confirmed, shipped, shipped], &[true, true, true, false]);
        check(&[RESERVED, confirmed, shipped, (Asked::Cancel, Outcome::Cancelled, NONE)], &[true, true, true, false]);
        check(&[RESERVED, confirmed, (Asked::Ship, Outcome::Unchanged, NONE)], &[true, true, false]);
    }

    #[test]
    fn an_order_decided_twice_is_wrong() {
        check(&[RESERVED, RESERVED], &[true, false]);
        check(&[RESERVED, (Asked::Place, Outcome::Rejected, Reason::OutOfStock)], &[true, false]);
    }

    #[test]
    fn a_cancel_that_came_first_rejects_its_order() {
        let early = (Asked::Cancel, Outcome::Noted, Reason::BeforePlace);
        check(&[early, (Asked::Place, Outcome::Rejected, Reason::Cancelled)], &[true, true]);
        check(&[early, RESERVED], &[true, false]);
        check(&[RESERVED, early], &[true, false]);
        check(&[RESERVED, (Asked::Cancel, Outcome::Cancelled, NONE)], &[true, true]);
    }

    #[test]
    fn a_refused_order_is_not_known() {
        let mut life = Life::default();
        let late = answer(Asked::Place, Outcome::Deadline, NONE);
        assert!(life.take(&late, DEADLINE).1.is_ok());
        assert!(life.take(&answer(Asked::Confirm, Outcome::NotAllowed, Reason::UnknownOrder), DEADLINE).1.is_ok());
        assert!(life.take(&late, FREE).1.is_err(), "it has no deadline");
        let again = Answer { attempt: 1, ..answer(Asked::Place, Outcome::Reserved, NONE) };
        assert!(life.take(&again, FREE).1.is_err(), "the first attempt is not known");
    }

    #[test]
    fn only_what_would_be_remembered_anew_may_be_told_that_there_is_no_memory() {
        let busy = |asked| answer(asked, Outcome::Busy, NONE);
        let mut life = Life::default();
        assert_eq!(life.take(&busy(Asked::Place), FREE), (Of::Place, Ok(())));
        assert_eq!(life.take(&busy(Asked::Cancel), FREE), (Of::Cancel, Ok(())));
        assert_eq!(life.take(&answer(Asked::Place, Outcome::Reserved, NONE), FREE), (Of::Repeat, Ok(())));
        for asked in [Asked::Place, Asked::Confirm, Asked::Cancel] {
            assert!(life.take(&busy(asked), FREE).1.is_err(), "{asked:?} about an order that is known");
        }
    }

    #[test]
    fn what_came_too_early_may_come_again() {
        let too_early = answer(Asked::Place, Outcome::NotOpen, NONE);
        let reserved = answer(Asked::Place, Outcome::Reserved, NONE);
        let mut life = Life::default();
        assert_eq!(life.take(&too_early, RULED), (Of::Place, Ok(())));
        assert_eq!(life.take(&reserved, RULED), (Of::Repeat, Ok(())));
        assert!(life.take(&too_early, RULED).1.is_err(), "it was decided");
        assert!(Life::default().take(&too_early, FREE).1.is_err(), "nothing is ruled");
    }

    #[test]
    fn a_rule_stands_in_the_way_of_what_was_not_decided_yet() {
        for reason in [Reason::Limit, Reason::Closed, Reason::NotEligible, Reason::Quota] {
            let rejected = answer(Asked::Place, Outcome::Rejected, reason);
            let mut life = Life::default();
            assert!(life.take(&rejected, RULED).1.is_ok());
            assert!(life.take(&rejected, RULED).1.is_err(), "it was decided");
            assert!(Life::default().take(&rejected, FREE).1.is_err(), "nothing is ruled");
        }
        let mut early = check(&[(Asked::Cancel, Outcome::Noted, Reason::BeforePlace)], &[true]);
        assert!(early.take(&answer(Asked::Place, Outcome::NotOpen, NONE), RULED).1.is_err(), "it was cancelled");
    }

    #[test]
    fn only_what_is_delivered_by_the_day_may_come_too_late_for_it() {
        for reason in [Reason::Late, Reason::DeliveryFull] {
            let rejected = answer(Asked::Place, Outcome::Rejected, reason);
            assert!(Life::default().take(&rejected, RULED).1.is_err());
            assert!(Life::default().take(&rejected, Leeway { is_dated: true, ..FREE }).1.is_ok());
        }
    }

    #[test]
    fn only_what_may_have_left_may_be_unknown() {
        let unknown = answer(Asked::Place, Outcome::Rejected, Reason::UnknownSku);
        assert!(Life::default().take(&unknown, RULED).1.is_err());
        let mut life = Life::default();
        assert!(life.take(&unknown, Leeway { may_be_forgotten: true, ..FREE }).1.is_ok());
        assert!(life.take(&unknown, Leeway { may_be_forgotten: true, ..FREE }).1.is_err(), "it was decided");
    }

    #[test]
    fn a_second_attempt_needs_the_end_of_the_first() {
        let again = Answer { attempt: 1, ..answer(Asked::Place, Outcome::Reserved, NONE) };
        let mut life = check(&[RESERVED], &[true]);
        assert!(life.take(&again, FREE).1.is_err());
        let mut life = check(&[RESERVED, (Asked::Cancel, Outcome::Cancelled, NONE)], &[true, true]);
        assert_eq!(life.take(&again, FREE), (Of::Again, Ok(())));
    }

    #[test]
    fn a_repeat_is_told_its_own_original() {
        let mut life = check(&[RESERVED], &[true]);
        let original = |sequence, outcome| Some(Original { sequence, outcome, reason: NONE });
        let repeat = answer(Asked::Place, Outcome::Duplicate, NONE);
        for wrong in [None, original(8, Outcome::Reserved), original(7, Outcome::Rejected)] {
            let told = life.take(&Answer { original: wrong, ..repeat }, FREE);
            assert!(told.1.is_err(), "{wrong:?}");
        }
        let told = life.take(&Answer { original: original(7, Outcome::Reserved), ..repeat }, FREE);
        assert_eq!(told, (Of::Repeat, Ok(())));
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(
            sequence in 0_u64..1 << SEQUENCE_BITS, phase in 0_usize..8, again in 0_usize..8, rejected: bool,
            counters in prop::array::uniform6(0_u8..4),
        ) {
            let [places, confirms, cancels, agains, ships, expiries] = counters;
            let (phase, again) = (Phase::ALL[phase], Phase::ALL[again]);
            let life = Life { sequence, phase, again, rejected, places, confirms, cancels, agains, ships, expiries };
            prop_assert_eq!(Life::unpack(life.pack()), life);
        }
    }
}
