//! Every answer that RULES.md knows, question by question, and a count of those that a test met: a path that was never
//! taken proves nothing, and an answer that RULES.md does not know is a bug even where engine and model agree.

use std::collections::{BTreeMap, BTreeSet};

use sluice::wire::proto::{Asked, Decision, Outcome, Reason};

/// What a decision is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) asked: Asked,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    /// It is about a pool where another is about a SKU: halts and selling rules, and what is barred by them.
    pub(crate) whole_pool: bool,
}

impl Case {
    fn of(decision: &Decision) -> Case {
        let (asked, outcome, reason) = (decision.asked(), decision.outcome(), decision.reason());
        let halts_pool = decision.stock.as_ref().is_some_and(|level| level.sku.is_empty());
        let sells_pool = decision.sale.as_ref().is_some_and(|sale| sale.sku.is_empty());
        let limits_pool = decision.limit.as_ref().is_some_and(|limit| limit.whole_pool);
        let of_either = matches!(reason, Reason::Halted | Reason::Closed | Reason::NotEligible);
        let places = asked == Asked::Place && decision.lines.is_empty();
        let barred = places && (of_either || outcome == Outcome::NotOpen);
        let whole_pool = halts_pool || sells_pool || limits_pool || barred;
        Case { asked, outcome, reason, whole_pool }
    }
}

/// All that a client can ask, and what no engine of today understands.
const EVERY_COMMAND: &[Asked] = &[
    Asked::Unspecified,
    Asked::Place,
    Asked::Confirm,
    Asked::Extend,
    Asked::Cancel,
    Asked::Ship,
    Asked::Receive,
    Asked::Adjust,
    Asked::Count,
    Asked::SetSafetyStock,
    Asked::Halt,
    Asked::Resume,
    Asked::SetSale,
    Asked::SetLimit,
    Asked::SetChannels,
    Asked::SetFreshness,
    Asked::SetDelivery,
    Asked::Tick,
    Asked::RaiseRulesLevel,
];

/// Those of a pool.
const OF_A_POOL: &[Asked] = &[
    Asked::Place,
    Asked::Confirm,
    Asked::Extend,
    Asked::Cancel,
    Asked::Ship,
    Asked::Receive,
    Asked::Adjust,
    Asked::Count,
    Asked::SetSafetyStock,
    Asked::Halt,
    Asked::Resume,
    Asked::SetSale,
    Asked::SetLimit,
    Asked::SetChannels,
    Asked::SetFreshness,
    Asked::SetDelivery,
];

/// Those that are remembered by an identity of their own, and bounded in time by it.
const REMEMBERED: &[Asked] = &[
    Asked::Place,
    Asked::Receive,
    Asked::Adjust,
    Asked::Count,
    Asked::SetSafetyStock,
    Asked::Halt,
    Asked::Resume,
    Asked::SetSale,
    Asked::SetLimit,
    Asked::SetChannels,
    Asked::SetFreshness,
    Asked::SetDelivery,
];

/// Those about an order that may say when it was placed.
const OF_AN_ORDER: &[Asked] = &[Asked::Confirm, Asked::Extend, Asked::Cancel];

/// Those of stock that carry figures.
const FIGURES: &[Asked] = &[Asked::Receive, Asked::Adjust, Asked::Count, Asked::SetSafetyStock];

/// Those of them that may name a lot.
const OF_A_LOT: &[Asked] = &[Asked::Receive, Asked::Adjust, Asked::Count];

const HALTS: &[Asked] = &[Asked::Halt, Asked::Resume];

/// Those that set a selling rule.
const RULES: &[Asked] = &[Asked::SetSale, Asked::SetLimit, Asked::SetChannels, Asked::SetFreshness, Asked::SetDelivery];

/// Those of them that have lists and times.
const LISTS: &[Asked] = &[Asked::SetSale, Asked::SetLimit, Asked::SetChannels, Asked::SetDelivery];

/// The outcome says it all.
const NONE: &[Reason] = &[Reason::Unspecified];

/// What may be asked, what may come of it, and why.
const ANSWERS: &[(&[Asked], Outcome, &[Reason])] = &[
    (&[Asked::Unspecified], Outcome::Invalid, &[Reason::NoKind, Reason::Malformed]),
    (EVERY_COMMAND, Outcome::Unsupported, NONE),
    (OF_A_POOL, Outcome::Invalid, &[Reason::MissingId, Reason::IdTooLong]),
    (OF_A_POOL, Outcome::Misrouted, NONE),
    (REMEMBERED, Outcome::Invalid, &[Reason::PlacedAt]),
    (REMEMBERED, Outcome::TooOld, NONE),
    (REMEMBERED, Outcome::Duplicate, NONE),
    (REMEMBERED, Outcome::Conflict, NONE),
    (REMEMBERED, Outcome::Busy, NONE),
    (OF_AN_ORDER, Outcome::Invalid, &[Reason::PlacedAt]),
    (OF_AN_ORDER, Outcome::TooOld, NONE),
    (OF_AN_ORDER, Outcome::NotAllowed, &[Reason::UnknownOrder, Reason::Unspecified]),
    (&[Asked::Place], Outcome::Invalid, &[Reason::NoLines, Reason::TooManyLines, Reason::Quantity]),
    (&[Asked::Place], Outcome::Invalid, &[Reason::HoldTooLong, Reason::AttemptUnknown, Reason::AttemptOpen]),
    (&[Asked::Place], Outcome::Invalid, &[Reason::TooMany, Reason::Doubled]),
    (&[Asked::Place], Outcome::Invalid, &[Reason::Times, Reason::NoSuchService]),
    (&[Asked::Place], Outcome::Deadline, NONE),
    (&[Asked::Place], Outcome::NotOpen, NONE),
    (&[Asked::Place], Outcome::Rejected, &[Reason::Closed, Reason::NotEligible, Reason::Limit, Reason::Quota]),
    (&[Asked::Place], Outcome::Rejected, &[Reason::Late, Reason::DeliveryFull]),
    (&[Asked::Place], Outcome::Rejected, &[Reason::Cancelled, Reason::UnknownSku, Reason::Halted, Reason::OutOfStock]),
    (&[Asked::Place], Outcome::Rejected, &[Reason::Scattered]),
    (&[Asked::Place], Outcome::Reserved, NONE),
    (&[Asked::Confirm], Outcome::Unchanged, NONE),
    (&[Asked::Confirm], Outcome::Confirmed, NONE),
    (&[Asked::Extend], Outcome::Invalid, &[Reason::HoldTooLong]),
    (&[Asked::Extend], Outcome::Unchanged, NONE),
    (&[Asked::Extend], Outcome::Extended, NONE),
    (&[Asked::Cancel], Outcome::Unchanged, NONE),
    (&[Asked::Cancel], Outcome::Busy, NONE),
    (&[Asked::Cancel], Outcome::Noted, &[Reason::BeforePlace]),
    (&[Asked::Cancel], Outcome::Cancelled, NONE),
    (&[Asked::Expire], Outcome::Expired, NONE),
    (&[Asked::Ship], Outcome::NotAllowed, &[Reason::UnknownOrder, Reason::Unspecified]),
    (&[Asked::Ship], Outcome::NotAllowed, &[Reason::Halted]),
    (&[Asked::Ship], Outcome::Invalid, &[Reason::NoSuchSku, Reason::Lot, Reason::NoSuchLot]),
    (&[Asked::Ship], Outcome::Invalid, &[Reason::Doubled, Reason::TooMany, Reason::Quantity]),
    (&[Asked::Ship], Outcome::Unchanged, NONE),
    (&[Asked::Ship], Outcome::Shipped, NONE),
    (FIGURES, Outcome::Invalid, &[Reason::Quantity]),
    (FIGURES, Outcome::Applied, NONE),
    (OF_A_LOT, Outcome::Invalid, &[Reason::Lot, Reason::Expiry, Reason::TooMany]),
    (HALTS, Outcome::Invalid, &[Reason::NoSuchSku, Reason::Lot, Reason::NoSuchLot]),
    (HALTS, Outcome::Applied, NONE),
    (LISTS, Outcome::Invalid, &[Reason::TooMany, Reason::Doubled, Reason::Times]),
    (&[Asked::SetLimit], Outcome::Invalid, &[Reason::Scope, Reason::Quantity]),
    (&[Asked::SetChannels, Asked::SetFreshness], Outcome::Invalid, &[Reason::Quantity]),
    (&[Asked::SetDelivery], Outcome::Invalid, &[Reason::Quantity, Reason::TimeZone]),
    (RULES, Outcome::NotAllowed, &[Reason::Stale]),
    (RULES, Outcome::Applied, NONE),
    (&[Asked::Tick], Outcome::Invalid, &[Reason::WrongShard]),
    (&[Asked::Tick], Outcome::Applied, NONE),
    (&[Asked::RaiseRulesLevel], Outcome::Invalid, &[Reason::WrongShard, Reason::UnknownLevel]),
    (&[Asked::RaiseRulesLevel], Outcome::Unchanged, NONE),
    (&[Asked::RaiseRulesLevel], Outcome::Applied, NONE),
];

/// Those of [`ANSWERS`] that there are for a whole pool too.
const OF_WHOLE_POOLS: [(Asked, Outcome, Reason); 8] = [
    (Asked::Place, Outcome::Rejected, Reason::Halted),
    (Asked::Place, Outcome::NotOpen, Reason::Unspecified),
    (Asked::Place, Outcome::Rejected, Reason::Closed),
    (Asked::Place, Outcome::Rejected, Reason::NotEligible),
    (Asked::SetSale, Outcome::Applied, Reason::Unspecified),
    (Asked::SetLimit, Outcome::Applied, Reason::Unspecified),
    (Asked::Halt, Outcome::Applied, Reason::Unspecified),
    (Asked::Resume, Outcome::Applied, Reason::Unspecified),
];

/// Every case that there is.
fn every_case() -> BTreeSet<Case> {
    let mut cases = BTreeSet::new();
    for (questions, outcome, reasons) in ANSWERS {
        for asked in *questions {
            let each = |reason: &Reason| Case { asked: *asked, outcome: *outcome, reason: *reason, whole_pool: false };
            cases.extend(reasons.iter().map(each));
        }
    }
    cases.extend(OF_WHOLE_POOLS.map(|(asked, outcome, reason)| Case { asked, outcome, reason, whole_pool: true }));
    cases
}

/// How often each case was met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met(BTreeMap<Case, usize>);

impl Met {
    pub(crate) fn take(&mut self, decision: &Decision) {
        *self.0.entry(Case::of(decision)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Met) {
        for (case, count) in &other.0 {
            *self.0.entry(*case).or_default() += count;
        }
    }

    /// Every case that is `wanted` was met, and nothing that RULES.md does not know.
    pub(crate) fn expect_every_case(&self, wanted: impl Fn(&Case) -> bool) {
        let known = every_case();
        let strange: Vec<_> = self.0.keys().filter(|case| !known.contains(case)).collect();
        assert!(strange.is_empty(), "RULES.md knows no such answers: {strange:#?}");
        let missing: Vec<_> = known.iter().filter(|case| wanted(case) && !self.0.contains_key(case)).collect();
        assert!(missing.is_empty(), "never met: {missing:#?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All values of an enum of the contract, whose numbers are small.
    fn all<T: TryFrom<i32>>() -> impl Iterator<Item = T> {
        (0..10_000).filter_map(|number| T::try_from(number).ok())
    }

    #[test]
    fn whatever_the_contract_names_is_among_the_cases() {
        let cases = every_case();
        for asked in all::<Asked>() {
            assert!(cases.iter().any(|case| case.asked == asked), "no case of {asked:?}");
        }
        for reason in all::<Reason>() {
            assert!(cases.iter().any(|case| case.reason == reason), "no case of {reason:?}");
        }
        for outcome in all::<Outcome>().filter(|outcome| *outcome != Outcome::Unspecified) {
            assert!(cases.iter().any(|case| case.outcome == outcome), "no case of {outcome:?}");
        }
    }
}
