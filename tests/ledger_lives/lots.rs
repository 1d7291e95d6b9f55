//! Lots and freshness, life by life: what is sold first, what no longer, and what leaves in fact.

use proptest::prelude::*;
use sluice::ledger::Rules;
use sluice::wire::proto::{Decision, LotUnits, OrderState, Outcome, Reason};

use crate::ledger_steps::lots::{Cellar, a_life_of_lots, a_row_of_many_lots, figures_out_of_range, many_parts, starts};
use crate::ledger_steps::{Event, RULES_OF_TODAY, Step, delivery, steps};
use crate::reasons::Met;
use crate::{SHORT, Trial, run_from, run_steps};

/// Just before a midnight, UTC.
const EVENING: i64 = 19_675 * 86_400_000 - 50;

/// All that the lives of this file come to which chance does not.
pub(crate) fn met_by_lives() -> Met {
    let mut met = Met::default();
    for life in [many_parts, a_row_of_many_lots, figures_out_of_range, a_life_of_lots] {
        decided(&life(EVENING)).iter().for_each(|decision| met.take(decision));
    }
    met
}

/// What is decided of these events, all the same by engine, follower and model.
fn decided(events: &[Event]) -> Vec<Decision> {
    let mut trial = Trial::beginning(RULES_OF_TODAY, EVENING);
    let decided = events.iter().flat_map(|event| {
        let decided = trial.take(event).unwrap_or_else(|error| panic!("{event:?}: {error}"));
        trial.agree().unwrap_or_else(|error| panic!("{event:?}: {error}"));
        decided
    });
    let decided = decided.collect();
    trial.end().expect("all agree");
    decided
}

/// A life that is asked what comes of each event.
struct Life {
    trial: Trial,
    cellar: Cellar,
}

impl Life {
    fn new() -> Life {
        Life { trial: Trial::beginning(RULES_OF_TODAY, EVENING), cellar: Cellar::new("sku-1", EVENING) }
    }

    fn told(&mut self, ask: impl FnOnce(&mut Cellar) -> Event) -> Decision {
        let event = ask(&mut self.cellar);
        let decided = self.trial.take(&event).unwrap_or_else(|error| panic!("{event:?}: {error}"));
        self.trial.agree().unwrap_or_else(|error| panic!("{event:?}: {error}"));
        decided.into_iter().next_back().expect("an answer")
    }

    fn answer(&mut self, ask: impl FnOnce(&mut Cellar) -> Event) -> (Outcome, Reason) {
        let told = self.told(ask);
        (told.outcome(), told.reason())
    }

    fn applied(&mut self, ask: impl FnOnce(&mut Cellar) -> Event) {
        assert_eq!(self.answer(ask), (Outcome::Applied, Reason::Unspecified));
    }

    /// Number and units of each part of an order that is reserved, line by line; none if it is not.
    fn parts(&mut self, order_id: &str, lines: &[u32]) -> Option<Vec<Vec<(u32, u32)>>> {
        let told = self.told(|cellar| cellar.place(order_id, lines));
        (told.outcome() == Outcome::Reserved).then(|| parts(&told))
    }

    /// What the first line of an order could have.
    fn left(&mut self, order_id: &str, units: u32) -> Option<i64> {
        let told = self.told(|cellar| cellar.place(order_id, &[units]));
        assert_eq!((told.outcome(), told.reason()), (Outcome::Rejected, Reason::OutOfStock));
        told.lines[0].available
    }

    fn goes_on_to(&mut self, now: i64) {
        self.trial.take(&Event::Advance(now)).expect("all agree");
        self.cellar.shelf.now = now;
    }
}

fn parts(told: &Decision) -> Vec<Vec<(u32, u32)>> {
    told.lines.iter().map(|line| line.lots.iter().map(|part| (part.lot, part.units)).collect()).collect()
}

#[test]
fn what_expires_first_is_sold_first_and_given_back_to_its_lot() {
    let mut life = Life::new();
    life.applied(|cellar| cellar.receive("late", 9, 4));
    life.applied(|cellar| cellar.receive("early", 2, 3));
    life.applied(|cellar| cellar.receive("as early", 2, 2));
    assert_eq!(life.parts("a", &[2, 4]), Some(vec![vec![(2, 2)], vec![(2, 1), (3, 2), (1, 1)]]));
    assert_eq!(life.left("b", 4), Some(3));
    assert_eq!(life.parts("c", &[3]), Some(vec![vec![(1, 3)]]));
    // A copy is told the same; so it is once it was paid.
    let copy = life.told(|cellar| cellar.place("a", &[2, 4]));
    assert_eq!((copy.outcome(), parts(&copy)), (Outcome::Duplicate, vec![vec![(2, 2)], vec![(2, 1), (3, 2), (1, 1)]]));
    assert_eq!(life.told(|cellar| cellar.shelf.cancel("a")).outcome(), Outcome::Cancelled);
    assert_eq!(life.parts("d", &[6]), Some(vec![vec![(2, 3), (3, 2), (1, 1)]]));
    life.trial.end().expect("all agree");
}

#[test]
fn nothing_is_sold_that_does_not_outlast_the_day_or_is_halted() {
    let mut life = Life::new();
    life.applied(|cellar| cellar.receive("today", 0, 5));
    life.applied(|cellar| cellar.receive("tomorrow", 1, 7));
    assert_eq!(life.left("a", 20), Some(12));
    life.applied(|cellar| cellar.must_last(1));
    assert_eq!(life.left("b", 20), Some(7));
    life.applied(|cellar| cellar.halt("tomorrow"));
    assert_eq!(life.left("c", 1), Some(0));
    life.applied(|cellar| cellar.resume("tomorrow"));
    life.applied(|cellar| cellar.keep_back(6));
    assert_eq!(life.left("d", 20), Some(1));
    life.goes_on_to(EVENING + 49);
    assert_eq!(life.parts("e", &[1]), Some(vec![vec![(2, 1)]]));
    // Midnight.
    life.goes_on_to(EVENING + 50);
    assert_eq!(life.left("f", 1), Some(0));
    life.applied(|cellar| cellar.must_last(0));
    life.applied(|cellar| cellar.keep_back(0));
    assert_eq!(life.left("g", 20), Some(6));
    life.trial.end().expect("all agree");
}

#[test]
fn what_one_lot_lacks_is_no_debt_of_the_others_unless_the_row_lacks_it() {
    let mut life = Life::new();
    life.applied(|cellar| cellar.receive("a", 1, 5));
    life.applied(|cellar| cellar.receive("b", 2, 5));
    assert_eq!(life.parts("all of one", &[5]), Some(vec![vec![(1, 5)]]));
    // Three of them were never there.
    let told = life.told(|cellar| cellar.lose("a", 1, 3)).stock.expect("a stock level");
    assert_eq!((told.on_hand, told.shortfall, told.lot.expect("the lot").shortfall), (7, 0, 3));
    assert_eq!(life.left("b", 3), Some(2));
    life.applied(|cellar| cellar.adjust("b", 2, -4));
    assert_eq!(life.left("c", 1), Some(0));
    life.trial.end().expect("all agree");
}

#[test]
fn a_lot_of_which_nothing_is_left_is_gone_and_its_number_is_free() {
    let mut life = Life::new();
    life.applied(|cellar| cellar.receive("a", 1, 1));
    life.applied(|cellar| cellar.receive("b", 1, 1));
    life.applied(|cellar| cellar.adjust("a", 1, -1));
    let expired = life.told(|cellar| cellar.receive_as("a", 0));
    assert_eq!((expired.outcome(), expired.reason()), (Outcome::Invalid, Reason::Expiry));
    let told = life.told(|cellar| cellar.receive("c", 5, 1)).stock.expect("a stock level");
    assert_eq!(told.lot.expect("the lot").number, 1);
    // A halt keeps it.
    life.applied(|cellar| cellar.halt("b"));
    life.applied(|cellar| cellar.adjust("b", 1, -1));
    assert_eq!(life.answer(|cellar| cellar.receive_as("b", 20_300_101)), (Outcome::Invalid, Reason::Expiry));
    life.applied(|cellar| cellar.resume("b"));
    life.applied(|cellar| cellar.receive_as("b", 20_300_101));
    assert_eq!(life.answer(|cellar| cellar.receive_as("", 0)), (Outcome::Invalid, Reason::Lot));
    life.trial.end().expect("all agree");
}

#[test]
fn what_leaves_in_fact_falls_where_it_was_taken() {
    let mut life = Life::new();
    for lot in ["a", "b", "c"] {
        life.applied(|cellar| cellar.receive(lot, 1, 4));
    }
    assert_eq!(life.parts("order", &[3, 3]), Some(vec![vec![(1, 3)], vec![(1, 1), (2, 2)]]));
    life.told(|cellar| cellar.confirm("order"));
    for (lots, reason) in [
        (&[("a", 6), ("d", 1)][..], Reason::NoSuchLot),
        (&[("a", 3), ("b", 3), ("a", 1)], Reason::Doubled),
        (&[("a", 6), ("b", 0)], Reason::Quantity),
        (&[("a", 5)], Reason::Quantity),
        (&[("", 6)], Reason::MissingId),
    ] {
        assert_eq!(life.answer(|cellar| cellar.ship("order", lots)), (Outcome::Invalid, reason), "{lots:?}");
    }
    life.applied(|cellar| cellar.halt("c"));
    let halted = life.told(|cellar| cellar.ship("order", &[("c", 6)]));
    assert_eq!((halted.outcome(), halted.reason()), (Outcome::NotAllowed, Reason::Halted));
    assert_eq!(halted.state(), OrderState::Committed);
    life.applied(|cellar| cellar.resume("c"));
    let told = life.told(|cellar| cellar.ship("order", &[("c", 5), ("a", 1)]));
    assert_eq!(parts(&told), [vec![(3, 3)], vec![(3, 2), (1, 1)]]);
    let short = |part: &LotUnits| part.shortfall;
    let short: Vec<_> = told.lines.iter().map(|line| (line.shortfall, line.lots.iter().map(short).collect())).collect();
    assert_eq!(short, [(0, vec![1]), (0, vec![1, 0])], "after the whole shipment");
    assert_eq!(life.left("rest", 20), Some(6), "the one that is missing counts for the row");
    life.trial.end().expect("all agree");
}

#[test]
fn a_shipment_tells_what_it_leaves_short() {
    let mut life = Life::new();
    life.applied(|cellar| cellar.receive("a", 1, 4));
    life.applied(|cellar| cellar.receive("b", 2, 4));
    assert_eq!(life.parts("first", &[4]), Some(vec![vec![(1, 4)]]));
    assert_eq!(life.parts("second", &[2, 1]), Some(vec![vec![(2, 2)], vec![(2, 1)]]));
    life.told(|cellar| cellar.confirm("second"));
    let told = life.told(|cellar| cellar.ship("second", &[("a", 3)]));
    let short: Vec<_> = told.lines.iter().map(|line| (line.shortfall, line.lots[0].shortfall)).collect();
    assert_eq!(short, [(0, 3), (0, 3)]);
    life.trial.end().expect("all agree");
}

#[test]
fn an_order_of_too_many_parts_is_scattered_and_one_of_as_many_as_may_be_is_not() {
    let told = decided(&many_parts(EVENING));
    let [scattered, .., confirmed, beyond, shipped] = &told[58..] else { panic!("{told:?}") };
    assert_eq!((scattered.outcome(), scattered.reason()), (Outcome::Rejected, Reason::Scattered));
    let flagged = scattered.lines.iter().filter(|line| line.reason() == Reason::Scattered).count();
    assert_eq!((flagged, scattered.lines[199].reason()), (1, Reason::Scattered));
    let count = |decision: &Decision| decision.lines.iter().map(|line| line.lots.len()).sum::<usize>();
    assert_eq!(count(&told[60]), 256);
    assert_eq!(confirmed.outcome(), Outcome::Confirmed);
    assert_eq!((beyond.outcome(), beyond.reason()), (Outcome::Invalid, Reason::TooMany));
    // Two lines leave as they are.
    assert_eq!((shipped.outcome(), count(shipped)), (Outcome::Shipped, 256 - 2));
}

#[test]
fn a_row_has_as_many_lots_as_it_may() {
    let told = decided(&a_row_of_many_lots(EVENING));
    let (many, rest) = told.split_at(256);
    assert!(many.iter().all(|decision| decision.outcome() == Outcome::Applied));
    assert!(rest[..3].iter().all(|decision| decision.reason() == Reason::TooMany), "{rest:?}");
    let numbers = rest[3..].iter().map(|decision| decision.stock.as_ref().and_then(|level| level.lot.as_ref()));
    assert!(numbers.map(|lot| lot.expect("a lot").number).eq([18, 18, 19]), "{rest:?}");
}

#[test]
fn no_figure_of_a_lot_leaves_its_range() {
    let told = decided(&figures_out_of_range(EVENING));
    let invalid: Vec<_> = told.iter().map(|decision| decision.reason() == Reason::Quantity).collect();
    assert_eq!(invalid, [false, false, true, false, true, false, false, true, false]);
}

#[test]
fn decides_as_the_model_does_where_stock_is_in_lots() {
    let lotted = || steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::lotted).collect::<Vec<_>>());
    let over_midnights = || lotted().prop_map(|steps| steps.into_iter().map(Step::over_midnights).collect::<Vec<_>>());
    run_steps(RULES_OF_TODAY, 120, 20, lotted());
    run_from(RULES_OF_TODAY, 120, 21, (prop::sample::select(starts()), lotted()));
    run_from(RULES_OF_TODAY, 60, 22, (prop::sample::select(starts()), over_midnights()));
    let delivered = steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::delivered_from_lots).collect());
    run_from(RULES_OF_TODAY, 100, 25, (prop::sample::select(delivery::starts()), delivered));
    let forgetful = Rules { window_ms: 37, skew_ms: 3, default_hold_ms: 20, ..RULES_OF_TODAY };
    run_steps(forgetful, 30, 23, over_midnights());
    run_steps(Rules { max_ids: 60, ..RULES_OF_TODAY }, 30, 24, lotted());
}
