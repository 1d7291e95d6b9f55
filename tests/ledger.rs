//! The ledger against a model that is too simple to be wrong, and against itself replayed.

#[path = "golden/mod.rs"]
mod golden;
#[path = "support/input.rs"]
mod input;
#[path = "ledger_steps/mod.rs"]
mod ledger_steps;
#[path = "support/model/mod.rs"]
mod model;
#[path = "support/reasons.rs"]
mod reasons;

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

use ledger_steps::{Event, RULES, Script, Step, ledger, model_rules, steps};
use model::Model;
use reasons::Met;

/// Steps between two comparisons of digests.
const DIGEST_EVERY: usize = 97;

const NOWHERE: Source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };

fn check(rules: Rules, steps: &[Step], met: &mut Met) -> Result<(), TestCaseError> {
    let (mut live, mut follower) = (ledger(rules, 1), ledger(rules, 2));
    let mut model = Model::new(model_rules(&rules));
    let mut script = Script::default();
    let mut invariants = Invariants::default();
    let mut log: Vec<Vec<u8>> = Vec::new();
    let mut now = 1_000_000;
    let engine_time_ms = |now: i64| now;
    live.advance(now);
    model.advance(now);
    for (n, step) in steps.iter().enumerate() {
        let event = script.next(step, now, live.next_due_ms());
        let begins = log.len();
        let mut expected = Vec::new();
        if let Event::Advance(to) = event {
            now = now.max(to);
            let at = Moment { shard_time_ms: to, engine_time_ms: engine_time_ms(now) };
            live.advance(to);
            while let Some(decision) = live.expire_one(at) {
                log.push(encoded(&decision));
            }
            expected = model.advance(to);
        } else {
            let (value, input) = event.record();
            let questions = input::questions(input, Some(&value)).expect("a well-formed record");
            expected.extend(questions.iter().map(|question| question.put_to(&mut model, engine_time_ms(now))));
            let mut scratch = Scratch::default();
            let record = validate(Some(&value), input, &mut scratch).expect("a well-formed record");
            let at = Moment { shard_time_ms: now, engine_time_ms: engine_time_ms(now) };
            for command in record.commands() {
                live.fetch(&mut [live.foresee(&command)]);
                log.push(encoded(&live.apply(&command, at)));
            }
        }
        let made: Vec<proto::Decision> =
            log[begins..].iter().map(|bytes| proto::Decision::decode(&bytes[..]).expect("it was encoded")).collect();
        prop_assert_eq!(&made, &expected, "step {}: {:?}", n, event);
        made.iter().for_each(|decision| met.take(decision));
        for bytes in &log[begins..] {
            replay(&mut follower, bytes)?;
        }
        made.iter().try_for_each(|decision| invariants.hold(decision, &live))?;
        if n % DIGEST_EVERY == 0 {
            follower.advance(live.shard_time_ms());
            prop_assert_eq!(live.digest(), follower.digest(), "step {}: {:?}", n, event);
            prop_assert_eq!(live.digest(), model.digest(), "the model's, step {}: {:?}", n, event);
        }
    }
    let mut from_genesis = ledger(rules, 3);
    log.iter().try_for_each(|bytes| replay(&mut from_genesis, bytes))?;
    from_genesis.advance(live.shard_time_ms());
    prop_assert_eq!(live.digest(), from_genesis.digest());
    prop_assert_eq!(live.digest(), model.digest(), "the model's");
    prop_assert_eq!(live.sequence(), from_genesis.sequence());
    prop_assert_eq!(live.rules_level(), from_genesis.rules_level());
    prop_assert_eq!(rows(&live), rows_of(&model));
    prop_assert_eq!(rows(&from_genesis), rows_of(&model));
    prop_assert_eq!(live.pressure().remembered, from_genesis.pressure().remembered);
    prop_assert_eq!(live.pressure().open, from_genesis.pressure().open);
    Ok(())
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

/// I2 and I3 of the design, from the decisions and the stock alone.
#[derive(Default)]
struct Invariants {
    /// When an attempt was decided last, and whether it is open or fulfilled.
    decided: BTreeMap<(String, String, u32), (i64, bool)>,
    /// Rows that a decision has said to be short.
    short: BTreeSet<(String, String)>,
}

impl Invariants {
    fn hold(&mut self, decision: &proto::Decision, ledger: &Ledger) -> Result<(), TestCaseError> {
        let key = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        if matches!(decision.outcome(), Outcome::Reserved | Outcome::Rejected) {
            let before = self.decided.get(&key);
            if let Some((at, _)) = before {
                let passed = decision.decided_at_ms - at;
                prop_assert!(passed > RULES.window_ms as i64, "I2: decided twice, {passed} ms apart: {decision:?}");
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
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 10_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let all = RefCell::new(Met::default());
    let check = |steps: Vec<Step>| {
        let mut met = Met::default();
        check(rules, &steps, &mut met)?;
        all.borrow_mut().add(&met);
        Ok(())
    };
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps(count), check);
    outcome.unwrap_or_else(|error| panic!("{error}"));
    all.into_inner()
}

#[test]
fn decides_as_the_model_does_in_short_lives() {
    run(RULES, 400, 1, 1..200);
}

#[test]
fn decides_as_the_model_does_over_tens_of_thousands_of_commands() {
    run(RULES, 4, 2, 20_000..30_000).expect_every_case(|case| case.outcome != Outcome::Busy);
}

#[test]
fn decides_as_the_model_does_while_there_is_no_memory_left() {
    let mut met = Met::default();
    for max_ids in [10, 40, 100] {
        met.add(&run(Rules { max_ids, ..RULES }, 60, 3, 100..400));
    }
    met.expect_every_case(|case| case.outcome == Outcome::Busy);
}
