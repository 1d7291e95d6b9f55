//! Logs of a run whose items are sold once, leave, and are forgotten: as they must be, and wrong in each way.

use super::seller::Flaw;
use super::*;

/// Thirty items of one unit each, some wanted by many and for a segment each. Most of them are sold and leave, and their
/// sale ends; six quarters of 80 ms later they are no longer known. Two are under a limit, which keeps them known.
const LEAVING: &str = r#"
name = "test"
description = "test"
arrival = "constant"
profile = { kind = "constant", rate = 1000.0, duration = "1s" }
[traffic]
pools = ["rehearsal-0"]
skus = 30
units = 1
popularity = { kind = "zipf", s = 1.2 }
lines = { least = 1, most = 2, quantity = 1 }
segments = ["north", "south"]
unsegmented = 0.1
confirm = { share = 0.9, after = "20ms" }
ship = { share = 0.8, after = "10ms" }
cancel = { share = 0.1, after = "15ms" }
[[rules.sale]]
closes = "400ms"
only = ["north", "south"]
in_turn = true
[[rules.limit]]
name = "kept"
skus = [1, 2]
units = 1
[topics]
window = "75ms"
skew = "5ms"
"#;

fn leaving() -> Sent {
    sent_of(LEAVING)
}

#[track_caller]
fn check(log: &[Decision], check: Check, count: u64) {
    check_of(&leaving(), log, check, count);
}

fn unknown(log: &[Decision]) -> usize {
    first(log, |decision| decision.reason() == Reason::UnknownSku)
}

#[test]
fn a_log_as_it_must_be_is_passed() {
    let sent = leaving();
    let log = sent.decided(0);
    let (findings, counted, closed) = read(&sent, &log, usize::MAX);
    assert_eq!(findings.into_list(), []);
    assert_eq!((counted.len() as u64, closed.checked), (sent.commands, sent.commands));
    // Nothing was passed because it never came up.
    let at = unknown(&log);
    of(&log, Outcome::Shipped);
    let later = &log[at..];
    first(later, |it| it.reason() == Reason::Closed && it.lines.iter().all(|line| line.reason() == Reason::Closed));
    first(later, |it| it.reason() == Reason::UnknownSku && it.lines.iter().any(|line| line.reason() != it.reason()));
    let kept = crate::load::traffic::sku_name(sent.origin.run, 1);
    first(later, |it| it.reason() == Reason::Closed && it.lines.iter().any(|line| line.sku == kept));
}

#[test]
fn each_item_that_somebody_may_have_is_sold_once() {
    let sent = leaving();
    let log = sent.decided(0);
    let ours = sent.ours();
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, &log);
    let told = |it: &&Decision| it.outcome() == Outcome::Reserved || it.reason() == Reason::OutOfStock;
    let mut wanted: Vec<_> = log.iter().filter(told).flat_map(|it| &it.lines).map(|line| &line.sku).collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert!(wanted.len() > 20, "{}", wanted.len());
    assert_eq!(shard.wanted(), wanted.len() as u64);
    let unknown = log.iter().filter(|it| it.reason() == Reason::UnknownSku).count();
    assert_eq!(shard.barred().forgotten, unknown as u64);
}

#[test]
fn an_item_sold_twice_is_found() {
    check(&leaving().decided(1), Check::Oversold, 0);
}

#[test]
fn what_is_remembered_for_too_long_or_forgotten_too_soon_is_found() {
    check(&leaving().decided_by(Flaw::Remembers(1)), Check::Wrong, 0);
    check(&leaving().decided_by(Flaw::Remembers(-1)), Check::Wrong, 0);
}

#[test]
fn a_wrong_word_about_what_is_not_known_is_found() {
    let log = leaving().decided(0);
    let plant = |at: usize, change: &dyn Fn(&mut Decision)| {
        let mut log = log.clone();
        change(&mut log[at]);
        check(&log, Check::Wrong, 0);
    };
    let mixed = first(&log, |it| it.reason() == Reason::UnknownSku && it.lines.len() == 2);
    plant(mixed, &|decision| {
        let told = decision.lines[0].reason() == Reason::UnknownSku;
        decision.lines[0].reason = if told { Reason::Unspecified } else { Reason::UnknownSku }.into();
    });
    plant(unknown(&log), &|decision| {
        decision.reason = Reason::Closed.into();
        decision.lines.iter_mut().for_each(|line| line.reason = Reason::Closed.into());
    });
    let closed = first(&log, |decision| decision.reason() == Reason::Closed);
    plant(closed, &|decision| decision.reason = Reason::UnknownSku.into());
}

#[test]
fn what_is_forgotten_needs_a_run_from_which_stock_leaves() {
    let mut sent = leaving();
    let log = sent.decided(0);
    sent.scenario.traffic.ship.share = 0.0;
    let (findings, ..) = read(&sent, &log, usize::MAX);
    assert!(findings.count(Check::Wrong) > 0, "nothing can have left");
}
