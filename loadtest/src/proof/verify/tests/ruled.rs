//! Logs of a run with selling rules: as they must be, and wrong in each way.

use super::seller::Flaw;
use super::*;

/// Four SKUs: two under one limit, two under another, one under both, one under none; all but that one sold from an
/// instant to another, and two of them to one segment each. Few customers, who come often.
const RULED: &str = r#"
name = "test"
description = "test"
arrival = "constant"
profile = { kind = "constant", rate = 1000.0, duration = "1s" }
[traffic]
pools = ["rehearsal-0"]
skus = 4
units = 60
lines = { least = 1, most = 3, quantity = 2 }
customers = 40
pairs = 0.3
segments = ["north", "south", "abroad"]
unsegmented = 0.1
duplicates = { exact = 0.3, after = "250ms" }
confirm = { share = 0.3, after = "20ms" }
ship = { share = 0.5, after = "5ms" }
cancel = { share = 0.3, after = "20ms" }
cancel_early = 0.05
raise_attempt = { share = 0.5, after = "5ms" }
[[rules.sale]]
skus = [0, 1]
opens = "300ms"
closes = "450ms"
only = ["north", "south"]
in_turn = true
[[rules.sale]]
skus = [2]
opens = "200ms"
[[rules.limit]]
name = "colours"
skus = [0, 1]
units = 3
[[rules.limit]]
name = "sizes"
skus = [1, 2]
units = 4
units_an_order = 3
"#;

fn ruled() -> Sent {
    sent_of(RULED)
}

#[track_caller]
fn check(log: &[Decision], check: Check, count: u64) {
    check_of(&ruled(), log, check, count);
}

fn limited(log: &[Decision]) -> usize {
    first(log, |decision| decision.reason() == Reason::Limit)
}

/// A line of a decision that tells of a rule.
fn barred(decision: &mut Decision) -> &mut proto::LineDecision {
    decision.lines.iter_mut().find(|line| line.rule > 0).expect("one was barred")
}

#[test]
fn a_log_as_it_must_be_is_passed() {
    let sent = ruled();
    let log = sent.decided(0);
    let (findings, counted, closed) = read(&sent, &log, usize::MAX);
    assert_eq!(findings.into_list(), []);
    assert_eq!((counted.len() as u64, closed.checked), (sent.commands, sent.commands));
    // Nothing was passed because it never came up.
    for reason in
        [Reason::OutOfStock, Reason::Limit, Reason::Closed, Reason::NotEligible, Reason::Cancelled, Reason::BeforePlace]
    {
        first(&log, |decision| decision.reason() == reason);
    }
    of(&log, Outcome::Cancelled);
    of(&log, Outcome::Confirmed);
    of(&log, Outcome::Duplicate);
    let too_early = of(&log, Outcome::NotOpen);
    let was_early = |id: &str| log[too_early..].iter().any(|it| it.order_id == id && it.outcome() == Outcome::NotOpen);
    first(&log, |decision| decision.outcome() == Outcome::Reserved && was_early(&decision.order_id));
    first(&log, |decision| decision.counted.len() == 2);
    for segment in ["north", "south"] {
        first(&log, |decision| decision.segments == [segment]);
    }
    first(&log, |decision| decision.outcome() == Outcome::Shipped && !decision.lines.is_empty());
    first(&log, |decision| decision.outcome() == Outcome::Reserved && decision.counted.is_empty());
    first(&log, |decision| decision.lines.len() > 1 && decision.lines.iter().any(|line| line.left == Some(1)));
}

#[test]
fn rules_are_stock_commands_of_the_run_and_whom_they_bar_is_counted() {
    let sent = ruled();
    let ours = sent.ours();
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, &sent.decided(0));
    let early = sent.decided(0).iter().filter(|it| it.outcome() == Outcome::NotOpen).count() as u64;
    let told_of = |reason| {
        let is = |it: &&Decision| it.outcome() == Outcome::Rejected && it.reason() == reason;
        sent.decided(0).iter().filter(is).count() as u64
    };
    let [late, not_eligible, over_limit] = [Reason::Closed, Reason::NotEligible, Reason::Limit].map(told_of);
    assert_eq!(shard.barred(), Barred { early, late, not_eligible, over_limit, over_quota: 0, forgotten: 0 });
    // Two limits and three sales, four receipts, and three sales again.
    assert_eq!(shard.stocked(), 2 + 3 + 4 + 3);
}

#[test]
fn whoever_verifies_the_stock_verifies_rules_for_every_generator() {
    let sent = ruled();
    let first_of_two = || Ours { generator: 0, ..sent.ours() };
    let findings = |log: &[Decision]| {
        let ours = first_of_two();
        let mut shard = Shard::new(&ours, 0, sent.memory());
        feed(&mut shard, &ours, log);
        shard.findings().clone()
    };
    assert_eq!(findings(&sent.decided(0)).into_list(), []);
    assert!(findings(&sent.decided_by(Flaw::Leaves(1))).count(Check::RuledOut) > 0);
}

#[test]
fn a_sale_before_its_instant_is_found() {
    check(&ruled().decided_by(Flaw::Opens(20)), Check::RuledOut, 0);
    check(&ruled().decided_by(Flaw::Opens(-20)), Check::Wrong, 0);
    let mut log = ruled().decided(0);
    let at = first(&log, |decision| decision.outcome() == Outcome::Reserved && !decision.counted.is_empty());
    log[at].decided_at_ms = 1_800_000_000_000;
    check(&log, Check::RuledOut, 1);
}

#[test]
fn a_sale_after_its_end_is_found() {
    check(&ruled().decided_by(Flaw::Closes(20)), Check::RuledOut, 0);
    check(&ruled().decided_by(Flaw::Closes(-20)), Check::Wrong, 0);
}

#[test]
fn a_sale_to_whom_it_is_not_for_is_found() {
    check(&ruled().decided_by(Flaw::Welcomes), Check::RuledOut, 0);
    check(&ruled().decided_by(Flaw::Snubs), Check::Wrong, 0);
}

#[test]
fn a_customer_who_has_more_than_the_limit_is_found() {
    check(&ruled().decided_by(Flaw::Leaves(1)), Check::RuledOut, 0);
}

#[test]
fn a_limit_without_reason_is_found() {
    check(&ruled().decided_by(Flaw::Leaves(-1)), Check::Wrong, 0);
    check(&ruled().decided_by(Flaw::Keeps), Check::Wrong, 0);
}

#[test]
fn a_wrong_word_about_a_rule_is_found() {
    let log = ruled().decided(0);
    let plant = |at: usize, change: &dyn Fn(&mut Decision)| {
        let mut log = log.clone();
        change(&mut log[at]);
        check(&log, Check::Wrong, 0);
    };
    let not_open = of(&log, Outcome::NotOpen);
    plant(not_open, &|decision| decision.opens_at_ms += 1);
    plant(not_open, &|decision| barred(decision).opens_at_ms += 1);
    plant(not_open, &|decision| barred(decision).rule += 1);
    plant(not_open, &|decision| decision.lines[0].quantity += 1);
    plant(not_open, &|decision| {
        (decision.outcome, decision.reason) = (Outcome::Rejected.into(), Reason::OutOfStock.into());
    });
    plant(limited(&log), &|decision| {
        let line = barred(decision);
        line.left = line.left.map(|left| left + 1);
    });
    plant(limited(&log), &|decision| barred(decision).rule += 1);
    plant(limited(&log), &|decision| decision.reason = Reason::OutOfStock.into());
    let not_eligible = first(&log, |decision| decision.reason() == Reason::NotEligible);
    plant(not_eligible, &|decision| barred(decision).rule += 1);
    plant(not_eligible, &|decision| decision.reason = Reason::OutOfStock.into());
    let passed = first(&log, |decision| !decision.segments.is_empty());
    plant(passed, &|decision| decision.segments.clear());
    plant(passed, &|decision| decision.segments.push("abroad".to_owned()));
    plant(passed, &|decision| decision.segments = vec!["abroad".to_owned()]);
    let free = first(&log, |it| it.outcome() == Outcome::Reserved && it.segments.is_empty());
    plant(free, &|decision| decision.segments.push("north".to_owned()));
    let counted = first(&log, |decision| !decision.counted.is_empty());
    plant(counted, &|decision| decision.counted[0].units += 1);
    plant(counted, &|decision| decision.counted.clear());
    plant(counted, &|decision| decision.customer = "c000000".to_owned());
}

#[test]
fn what_is_ruled_needs_a_run_with_rules() {
    let sent = ruled();
    let log = sent.decided(0);
    let ours = Ours { ruled: false, ..sent.ours() };
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, &log);
    let barred = log.iter().filter(|it| it.outcome() == Outcome::NotOpen || it.reason() == Reason::Limit).count();
    assert!(barred > 0 && shard.findings().count(Check::Wrong) >= barred as u64);
}
