//! The ledger against a model that is too simple to be wrong, and against itself replayed.

#[path = "golden/mod.rs"]
mod golden;
#[path = "support/input.rs"]
mod input;
#[path = "ledger_lives/deliveries.rs"]
mod deliveries;
#[path = "ledger_lives/lots.rs"]
mod ledger_lots;
#[path = "ledger_steps/mod.rs"]
mod ledger_steps;
#[path = "support/model/mod.rs"]
mod model;
#[path = "support/reasons.rs"]
mod reasons;
#[path = "support/selling/mod.rs"]
mod selling;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use sluice::ledger::{Ledger, Moment, Rules};
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::proto::{self, Asked, Input, OrderState, Outcome};
use sluice::wire::{Decision, encode, view};

use ledger_steps::channels::Shelf;
use ledger_steps::{Event, RULES, RULES_OF_TODAY, Script, Step, ledger, model_rules, steps};
use model::Model;
use reasons::Met;
use selling::SellingBook;

/// Steps between two comparisons of digests in a long life, and in a short one.
const DIGEST_EVERY: usize = 97;
const DIGEST_EVERY_IN_SHORT: usize = 11;
const SHORT: usize = 400;

const NOWHERE: Source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };

/// A ledger at work, one that follows its log, and the model.
struct Trial {
    rules: Rules,
    live: Ledger,
    follower: Ledger,
    model: Model,
    invariants: Invariants,
    log: Vec<Vec<u8>>,
    now: i64,
}

impl Trial {
    fn new(rules: Rules) -> Trial {
        Trial::beginning(rules, 1_000_000)
    }

    fn beginning(rules: Rules, now: i64) -> Trial {
        let mut trial = Trial {
            rules,
            live: ledger(rules, 1),
            follower: ledger(rules, 2),
            model: Model::new(model_rules(&rules)),
            invariants: Invariants::new(rules.window_ms as i64),
            log: Vec::new(),
            now,
        };
        trial.live.advance(trial.now);
        trial.model.advance(trial.now);
        trial
    }

    /// Lets an event happen to all of them, who must agree on it; what was decided.
    fn take(&mut self, event: &Event) -> Result<Vec<proto::Decision>, TestCaseError> {
        let begins = self.log.len();
        let mut expected = Vec::new();
        if let Event::Advance(to) = *event {
            self.now = self.now.max(to);
            let at = Moment { shard_time_ms: to, engine_time_ms: self.now };
            self.live.advance(to);
            while let Some(decision) = self.live.expire_one(at) {
                self.log.push(encoded(&decision));
            }
            expected = self.model.advance(to);
        } else {
            let (value, input) = event.record();
            let questions = input::questions(input, Some(&value)).expect("a well-formed record");
            expected.extend(questions.iter().map(|question| question.put_to(&mut self.model, self.now)));
            let mut scratch = Scratch::default();
            let record = validate(Some(&value), input, &mut scratch).expect("a well-formed record");
            let at = Moment { shard_time_ms: self.now, engine_time_ms: self.now };
            for command in record.commands() {
                self.live.fetch(&mut [self.live.foresee(&command)]);
                self.log.push(encoded(&self.live.apply(&command, at)));
            }
        }
        let made = self.log[begins..].iter().map(|bytes| proto::Decision::decode(&bytes[..]).expect("it was encoded"));
        let made: Vec<proto::Decision> = made.collect();
        prop_assert_eq!(&made, &expected, "{:?}", event);
        for bytes in &self.log[begins..] {
            replay(&mut self.follower, bytes)?;
        }
        made.iter().try_for_each(|decision| self.invariants.hold(decision, &self.live))?;
        Ok(made)
    }

    /// All three know the same.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        self.follower.advance(self.live.shard_time_ms());
        prop_assert_eq!(self.live.digest(), self.follower.digest());
        prop_assert_eq!(self.live.digest(), self.model.digest(), "the model's");
        Ok(())
    }

    /// So does whoever replays the log from its beginning.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.agree()?;
        let (live, model) = (&mut self.live, &self.model);
        let mut from_genesis = ledger(self.rules, 3);
        self.log.iter().try_for_each(|bytes| replay(&mut from_genesis, bytes))?;
        from_genesis.advance(live.shard_time_ms());
        prop_assert_eq!(live.digest(), from_genesis.digest());
        prop_assert_eq!(live.sequence(), from_genesis.sequence());
        prop_assert_eq!(live.rules_level(), from_genesis.rules_level());
        prop_assert_eq!(rows(live), rows_of(model));
        prop_assert_eq!(rows(&from_genesis), rows_of(model));
        prop_assert_eq!(live.pressure().remembered, from_genesis.pressure().remembered);
        prop_assert_eq!(live.pressure().open, from_genesis.pressure().open);
        Ok(())
    }
}

fn check(rules: Rules, start: i64, steps: &[Step], met: &mut Met) -> Result<(), TestCaseError> {
    let mut trial = Trial::beginning(rules, start);
    let mut script = Script::default();
    for (n, step) in steps.iter().enumerate() {
        let event = script.next(step, trial.now, trial.live.next_due_ms());
        let of_step = |error| TestCaseError::fail(format!("step {n}, {event:?}: {error}"));
        trial.take(&event).map_err(of_step)?.iter().for_each(|decision| met.take(decision));
        let every = if steps.len() <= SHORT { DIGEST_EVERY_IN_SHORT } else { DIGEST_EVERY };
        if n % every == 0 {
            trial.agree().map_err(of_step)?;
        }
    }
    trial.end()
}

fn encoded(decision: &Decision<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::decision(&mut bytes, decision, &NOWHERE);
    bytes
}

fn replay(ledger: &mut Ledger, bytes: &[u8]) -> Result<(), TestCaseError> {
    let (decision, _) = view::decision(bytes).expect("it was encoded");
    ledger.replay(&decision).map_err(|error| TestCaseError::fail(format!("{error}: {decision:?}")))
}

type RowFigures = (String, String, i64, u64, u64, u64, bool);

fn rows(ledger: &Ledger) -> Vec<RowFigures> {
    let mut rows: Vec<RowFigures> = ledger
        .stock_rows()
        .map(|r| (r.pool.into(), r.sku.into(), r.on_hand, r.reserved, r.committed, r.safety_stock, r.halted))
        .collect();
    rows.sort();
    rows
}

fn rows_of(model: &Model) -> Vec<RowFigures> {
    let rows = model.stock().into_iter();
    rows.map(|r| (r.pool, r.sku, r.on_hand, r.reserved, r.committed, r.safety_stock, r.halted)).collect()
}

/// I2, I3 and I6 of the design, from the decisions and the stock alone.
#[derive(Default)]
struct Invariants {
    /// When an attempt was decided last, and whether it is open or fulfilled.
    decided: BTreeMap<(String, String, u32), (i64, bool)>,
    /// Rows that a decision has said to be short.
    short: BTreeSet<(String, String)>,
    selling: SellingBook,
    window_ms: i64,
}

impl Invariants {
    fn new(window_ms: i64) -> Invariants {
        Invariants { selling: SellingBook::new(window_ms), window_ms, ..Invariants::default() }
    }

    fn hold(&mut self, decision: &proto::Decision, ledger: &Ledger) -> Result<(), TestCaseError> {
        self.selling.take(decision).map_err(TestCaseError::fail)?;
        let key = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        if matches!(decision.outcome(), Outcome::Reserved | Outcome::Rejected) {
            let before = self.decided.get(&key);
            if let Some((at, _)) = before {
                let passed = decision.decided_at_ms - at;
                prop_assert!(passed > self.window_ms, "I2: decided twice, {passed} ms apart: {decision:?}");
            }
            // An attempt decided anew after the window is another order as far as anyone can tell.
            if decision.outcome() == Outcome::Reserved && before.is_none() {
                let others =
                    self.decided.range((key.0.clone(), key.1.clone(), 0)..=(key.0.clone(), key.1.clone(), u32::MAX));
                let open = others.filter(|(_, (_, open))| *open).count();
                prop_assert_eq!(open, 0, "I2: another attempt is open or fulfilled: {:?}", decision);
            }
            self.decided.insert(key, (decision.decided_at_ms, decision.state() == OrderState::Held));
        } else if matches!(decision.outcome(), Outcome::Cancelled | Outcome::Expired)
            && let Some((_, open)) = self.decided.get_mut(&key)
        {
            *open = false;
        }
        let level = decision.stock.iter().filter(|level| level.shortfall > 0).map(|level| &level.sku);
        let lines = decision.lines.iter().filter(|line| line.shortfall > 0).map(|line| &line.sku);
        self.short.extend(level.chain(lines).map(|sku| (decision.pool.clone(), sku.clone())));
        for row in ledger.stock_rows() {
            let promised = (row.reserved + row.committed) as i64;
            let name = (row.pool.to_owned(), row.sku.to_owned());
            if promised <= row.on_hand {
                self.short.remove(&name);
            } else {
                prop_assert!(self.short.contains(&name), "I3: short without a word: {row:?}");
            }
            let reserved_now = decision.outcome() == Outcome::Reserved && decision.pool == row.pool;
            if reserved_now && decision.lines.iter().any(|line| line.sku == row.sku) {
                let available = row.on_hand - promised - row.safety_stock as i64;
                prop_assert!(available >= 0, "I3: reserved below nothing: {row:?}");
            }
        }
        if decision.asked() == Asked::Expire {
            prop_assert_eq!(decision.outcome(), Outcome::Expired);
        }
        Ok(())
    }
}

fn run(rules: Rules, cases: u32, seed: u8, count: std::ops::Range<usize>) -> Met {
    run_steps(rules, cases, seed, steps(count))
}

fn run_steps(rules: Rules, cases: u32, seed: u8, steps: impl Strategy<Value = Vec<Step>>) -> Met {
    run_from(rules, cases, seed, steps.prop_map(|steps| (1_000_000, steps)))
}

/// Lives that begin at an instant of their own.
fn run_from(rules: Rules, cases: u32, seed: u8, lives: impl Strategy<Value = (i64, Vec<Step>)>) -> Met {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 10_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let all = RefCell::new(Met::default());
    let check = |(start, steps): (i64, Vec<Step>)| {
        let mut met = Met::default();
        check(rules, start, &steps, &mut met)?;
        all.borrow_mut().add(&met);
        Ok(())
    };
    let outcome = TestRunner::new_with_rng(config, rng).run(&lives, check);
    outcome.unwrap_or_else(|error| panic!("{error}"));
    all.into_inner()
}

#[test]
fn decides_as_the_model_does_in_short_lives() {
    run(RULES, 150, 1, 1..200);
    run(RULES_OF_TODAY, 400, 4, 1..200);
}

#[test]
fn decides_as_the_model_does_while_time_leaps_and_much_is_forgotten() {
    let leaping = steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::leaping).collect());
    run_steps(RULES_OF_TODAY, 150, 5, leaping);
}

#[test]
fn a_limit_counts_all_the_units_that_it_may_leave() {
    let mut trial = Trial::new(RULES_OF_TODAY);
    let mut decided = |event: &Event| trial.take(event).expect("all agree")[0].outcome();
    for event in ledger_steps::rules::a_huge_limit(1_000_000) {
        assert!(matches!(decided(&event), Outcome::Applied | Outcome::Reserved), "{event:?}");
    }
    trial.end().expect("all agree");
}

#[test]
fn who_knocks_early_is_told_when_the_last_of_his_lines_opens() {
    for opens_after in [[10, 20], [20, 10]] {
        let mut trial = Trial::new(RULES_OF_TODAY);
        let now = trial.now;
        let events = ledger_steps::rules::sales_of_a_bare_pool(now, opens_after, 100);
        let told = events.iter().flat_map(|event| trial.take(event).expect("all agree")).last().expect("an answer");
        assert_eq!((told.outcome(), told.opens_at_ms), (Outcome::NotOpen, now + 20));
        let lines = told.lines.iter().map(|line| line.opens_at_ms - now);
        assert!(lines.eq([opens_after[0], opens_after[1], opens_after[0]]), "{told:?}");
    }
}

/// What comes of an order: how it ends, and what each of its lines could have had, if that was too little.
fn told(trial: &mut Trial, event: &Event) -> (Outcome, Vec<Option<u64>>) {
    let decided = trial.take(event).expect("all agree").pop().expect("an answer");
    (decided.outcome(), decided.lines.iter().map(|line| line.left).collect())
}

fn applied(trial: &mut Trial, event: &Event) {
    assert_eq!(told(trial, event).0, Outcome::Applied, "{event:?}");
}

#[test]
fn what_is_covered_for_a_channel_is_sold_to_another_from_the_instant_on() {
    let mut trial = Trial::new(RULES_OF_TODAY);
    let until = trial.now + 50;
    let mut shelf = Shelf::new("sku-1", trial.now);
    applied(&mut trial, &shelf.share(&[("web", 3, None)], until));
    applied(&mut trial, &shelf.receive(5));
    assert_eq!(told(&mut trial, &shelf.place("a", "app", &[2])), (Outcome::Reserved, vec![None]));
    assert_eq!(told(&mut trial, &shelf.place("b", "app", &[1])), (Outcome::Rejected, vec![Some(0)]));
    applied(&mut trial, &shelf.lose(1));
    assert_eq!(told(&mut trial, &shelf.place("c", "", &[2])), (Outcome::Rejected, vec![Some(0)]));
    assert_eq!(told(&mut trial, &shelf.place("d", "web", &[1])), (Outcome::Reserved, vec![None]));
    trial.take(&Event::Advance(until - 1)).expect("all agree");
    assert_eq!(told(&mut trial, &shelf.place("e", "app", &[1])), (Outcome::Rejected, vec![Some(0)]));
    trial.take(&Event::Advance(until)).expect("all agree");
    assert_eq!(told(&mut trial, &shelf.place("f", "app", &[1])), (Outcome::Reserved, vec![None]));
    trial.end().expect("all agree");
}

#[test]
fn shares_count_by_themselves_from_the_sequence_at_which_they_come_into_the_list() {
    let mut trial = Trial::new(RULES_OF_TODAY);
    let mut shelf = Shelf::new("sku-1", trial.now);
    applied(&mut trial, &shelf.receive(40));
    applied(&mut trial, &shelf.share(&[("web", 0, Some(3)), ("app", 1, None)], 0));
    assert_eq!(told(&mut trial, &shelf.place("a", "web", &[2])), (Outcome::Reserved, vec![None]));
    // Another place in the list, and another figure: what was counted stays.
    applied(&mut trial, &shelf.share(&[("app", 0, None), ("web", 0, Some(4))], 0));
    assert_eq!(told(&mut trial, &shelf.place("b", "web", &[2, 1])), (Outcome::Rejected, vec![None, Some(0)]));
    // It leaves the list and comes back: of before nothing is known, and nothing is given back.
    applied(&mut trial, &shelf.share(&[("app", 0, None)], 0));
    applied(&mut trial, &shelf.share(&[("app", 0, None), ("web", 0, Some(3))], 0));
    assert_eq!(told(&mut trial, &shelf.place("c", "web", &[2])), (Outcome::Reserved, vec![None]));
    assert_eq!(told(&mut trial, &shelf.cancel("a")).0, Outcome::Cancelled);
    assert_eq!(told(&mut trial, &shelf.place("d", "web", &[2])), (Outcome::Rejected, vec![Some(1)]));
    // What expires is given back.
    trial.take(&Event::Advance(shelf.now + 200)).expect("all agree");
    assert_eq!(told(&mut trial, &shelf.place("e", "web", &[3])), (Outcome::Reserved, vec![None]));
    trial.end().expect("all agree");
}

#[test]
fn a_pool_whose_sales_are_over_goes_with_its_last_row() {
    let mut trial = Trial::new(RULES_OF_TODAY);
    let now = trial.now;
    let nothing = trial.live.digest();
    for event in ledger_steps::rules::sales_of_a_bare_pool(now, [10, 20], 100) {
        trial.take(&event).expect("all agree");
    }
    // Rows and pool are forgotten at once.
    trial.take(&Event::Advance(now + 100_000)).expect("all agree");
    trial.agree().expect("all agree");
    assert_eq!(trial.live.digest(), nothing, "something of them is left");
}

#[test]
fn what_may_be_ignored_in_a_rule_or_a_key_makes_no_decision_longer() {
    let mut ledger = ledger(RULES_OF_TODAY, 1);
    ledger.advance(1_000_000);
    let mut lengths = Vec::new();
    for (input, value) in ledger_steps::rules::with_fields_to_be_ignored(1_000_000, 100_000) {
        let mut scratch = Scratch::default();
        let record = validate(Some(&value), input, &mut scratch).expect("a well-formed record");
        let command = record.commands().next().expect("there is one");
        let decision = ledger.apply(&command, Moment { shard_time_ms: 1_000_000, engine_time_ms: 0 });
        assert!(matches!(decision.outcome, Outcome::Applied | Outcome::Reserved), "{decision:?}");
        lengths.push(encoded(&decision).len());
    }
    assert!(lengths.iter().all(|length| *length < 300), "{lengths:?}");
}

#[test]
fn decides_as_the_model_does_over_tens_of_thousands_of_commands() {
    let mut met = run(RULES, 4, 2, 20_000..30_000);
    met.add(&ledger_lots::met_by_lives());
    met.expect_every_case(|case| case.outcome != Outcome::Busy);
}

#[test]
fn decides_as_the_model_does_while_there_is_no_memory_left() {
    let mut met = Met::default();
    for max_ids in [10, 40, 100] {
        met.add(&run(Rules { max_ids, ..RULES_OF_TODAY }, 60, 3, 100..400));
    }
    met.expect_every_case(|case| case.outcome == Outcome::Busy);
}

#[test]
fn decides_as_the_model_does_where_rules_are_set_all_the_time() {
    let ruled = || steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::ruled).collect());
    run_steps(RULES_OF_TODAY, 40, 6, ruled());
    // Most is forgotten before it is asked for again.
    let forgetful = Rules { window_ms: 37, skew_ms: 3, default_hold_ms: 20, ..RULES_OF_TODAY };
    run_steps(forgetful, 40, 7, ruled());
    let shared = || steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::shared).collect::<Vec<_>>());
    run_steps(RULES_OF_TODAY, 60, 8, shared());
    run_steps(forgetful, 20, 9, shared());
    run_steps(Rules { max_ids: 60, ..RULES_OF_TODAY }, 20, 10, shared());
    let leaping = shared().prop_map(|steps: Vec<Step>| steps.into_iter().map(Step::leaping).collect());
    run_steps(RULES_OF_TODAY, 20, 11, leaping);
}

#[test]
fn decides_as_the_model_does_where_clocks_change_and_days_end() {
    let starts = || prop::sample::select(ledger_steps::delivery::starts());
    let delivered = || steps(1..SHORT).prop_map(|steps| steps.into_iter().map(Step::delivered).collect());
    run_from(RULES_OF_TODAY, 200, 12, (starts(), delivered()));
    // Holds that outlast the window, and little memory.
    let forgetful = Rules { window_ms: 37, skew_ms: 3, ..RULES_OF_TODAY };
    run_from(forgetful, 60, 13, (starts(), delivered()));
    run_from(Rules { max_ids: 90, ..RULES_OF_TODAY }, 60, 14, (starts(), delivered()));
}
