//! Decisions that do not follow from what a ledger knows, of logs without rules.

use super::*;
use crate::ledger::tests::RULES;
use crate::ledger::{FingerprintKey, Ledger, Moment};
use crate::wire::command::LinesBuf;
use crate::wire::decision::Source;
use crate::wire::proto::Input;
use crate::wire::{Command, Kind, NamedLot, Place, StockChange, Vouched, encode, view};

/// A receipt of 5, an order of 3 and its expiry, as logged.
fn log() -> Vec<Vec<u8>> {
    let mut ledger = Ledger::new(RULES, FingerprintKey([1; 16]));
    let lines: LinesBuf = [("sku", 3)].into_iter().collect();
    let receive = StockChange::Receive { sku: "sku".into(), quantity: 5, lot: NamedLot::default() };
    let place = Kind::Place(Place {
        order_id: "order".into(),
        attempt: 0,
        customer: "ann".into(),
        channel: "".into(),
        placed_at_ms: 1_000,
        lines: lines.lines(),
        hold_ms: 0,
        answer_by_ms: 0,
        vouched: Vouched::default(),
    });
    let mut log = Vec::new();
    let mut note = |decision: Decision<'_>| {
        let mut bytes = Vec::new();
        let source = Source { input: Input::Orders, offset: 0, index: 0, reply_partition: None };
        encode::decision(&mut bytes, &decision, &source);
        log.push(bytes);
    };
    let at = Moment { shard_time_ms: 1_000, engine_time_ms: 0 };
    for kind in [Kind::Stock { id: "in".into(), issued_at_ms: 1_000, change: receive }, place] {
        note(ledger.apply(&Command { pool: "pool".into(), reply_partition: None, unsupported: None, kind }, at));
    }
    note(ledger.expire_one(Moment { shard_time_ms: 1_500, ..at }).expect("the hold is due"));
    log
}

/// What the last of `log` is answered with, after `change` was made to it.
fn check(log: &[Vec<u8>], change: impl FnOnce(&mut Decision<'_>)) -> Result<(), ReplayError> {
    let mut ledger = Ledger::new(RULES, FingerprintKey([2; 16]));
    let (last, before) = log.split_last().expect("a log of one or more");
    for bytes in before {
        ledger.replay(&view::decision(bytes).expect("it was encoded").0)?;
    }
    let mut decision = view::decision(last).expect("it was encoded").0;
    change(&mut decision);
    ledger.replay(&decision)
}

fn disagrees(outcome: Result<(), ReplayError>) -> bool {
    matches!(outcome, Err(ReplayError::Disagrees { .. }))
}

#[test]
fn follows_a_log_as_it_was_written() {
    assert_eq!(check(&log(), |_| {}), Ok(()));
}

#[test]
fn a_gap_or_a_repeat_is_found() {
    for found in [0, 2, 4] {
        let error = ReplayError::Sequence { expected: 3, found };
        assert_eq!(check(&log(), |decision| decision.sequence = found), Err(error));
    }
}

#[test]
fn time_that_goes_back_is_found() {
    let outcome = check(&log(), |decision| decision.decided_at_ms = 999);
    assert_eq!(outcome, Err(ReplayError::Time { sequence: 3, found_ms: 999, shard_time_ms: 1_000 }));
}

#[test]
fn a_rules_level_that_this_version_does_not_know_is_told() {
    let outcome = check(&log()[..1], |raise| {
        (raise.asked, raise.stock, raise.rules_level) = (Asked::RaiseRulesLevel, None, RULES_LEVEL + 1);
    });
    assert_eq!(outcome, Err(ReplayError::RulesLevel { sequence: 1, level: RULES_LEVEL + 1 }));
    assert!(outcome.unwrap_err().to_string().contains("a newer version is needed"));
}

#[test]
fn a_decision_that_does_not_follow_is_found() {
    let log = log();
    assert!(disagrees(check(&log, |expiry| expiry.order_id = "other".into())), "an order that is not known");
    assert!(disagrees(check(&log, |expiry| expiry.decided_at_ms = 1_499)), "a hold that is not due");
    assert!(disagrees(check(&log, |expiry| expiry.asked = Asked::Ship)), "an outcome of something else");
    assert!(disagrees(check(&log, |expiry| expiry.lines = crate::wire::DecisionLines::None)), "lines not held");
    assert!(
        disagrees(check(&log, |tick| (tick.asked, tick.outcome) = (Asked::Tick, Outcome::Applied))),
        "a hold that is due and not ended"
    );
    assert!(disagrees(check(&log[..2], |place| place.pool = "other".into())), "a pool without stock");
    assert!(disagrees(check(&log[..1], |receipt| receipt.stock = None)), "a receipt of nothing");
    assert!(
        disagrees(check(&log[..1], |receipt| receipt.stock.as_mut().expect("a level").on_hand = 6)),
        "figures that do not add up"
    );
    assert!(disagrees(check(&log[..1], |receipt| receipt.id = "".into())), "a stock command without an id");
    assert!(
        disagrees(check(&log[..1], |raise| (raise.asked, raise.stock) = (Asked::RaiseRulesLevel, None))),
        "a rules level that does not rise"
    );
    assert!(
        disagrees(check(&log[..1], |raise| {
            (raise.asked, raise.outcome, raise.rules_level) = (Asked::RaiseRulesLevel, Outcome::Unchanged, 1);
        })),
        "a rules level that nobody raised"
    );
}
