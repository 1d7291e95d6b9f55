//! Logs of a run that delivers by the day and sells from lots: as they must be, and wrong in each way.

use sluice::wire::proto::{LineDecision, LotLevel, LotUnits};

use super::seller::Flaw;
use super::*;

/// Two services whose days fill, close and give places back; lots that keep for one to three days, some of which must last
/// a day longer; every third SKU is not lotted.
const DAYS: &str = r#"
name = "test"
description = "test"
arrival = "constant"
profile = { kind = "constant", rate = 700.0, duration = "3s" }
[traffic]
pools = ["rehearsal-0"]
skus = 30
units = 80
lines = { least = 1, most = 3, quantity = 3 }
hold = "700ms"
duplicates = { exact = 0.2, after = "100ms" }
confirm = { share = 0.4, after = "200ms" }
ship = { share = 0.4, after = "100ms" }
cancel = { share = 0.3, after = "150ms" }
cancel_early = 0.02
raise_attempt = { share = 0.3, after = "50ms" }
lots = { share = 0.667, expires = [2, 3, 1] }
asks = [
    { share = 0.2, service = "day" },
    { share = 0.1, in_days = 1, late = "reject" },
    { share = 0.05, service = "day", in_days = 3, late = "roll" },
    { share = 0.1, late = "reject" },
]
[[rules.delivery]]
name = "dawn"
time_zone = "Asia/Seoul"
cutoff = "2s"
orders_a_day = 220
grace = "300ms"
[[rules.delivery]]
name = "day"
time_zone = "Asia/Seoul"
cutoff = "1s"
orders_a_day = 40
horizon = 5
late = "reject"
closed = [2]
[[rules.freshness]]
least_days = [0, 0, 0, 1]
[[warehouse]]
what = "receive"
at = "100ms"
every = "10ms"
lot = 0
in_turn = true
share = 0.1
[[warehouse]]
what = "adjust"
at = "105ms"
every = "20ms"
lot = 1
in_turn = true
share = -0.3
[[warehouse]]
what = "count"
at = "1500ms"
lot = 2
share = -0.2
"#;

fn dated() -> Sent {
    sent_by(DAYS, 0)
}

#[track_caller]
fn check(log: &[Decision], check: Check, count: u64) {
    check_of(&dated(), log, check, count);
}

#[track_caller]
fn check_flaw(flaw: Flaw, found: Check) {
    check(&dated().decided_by(flaw), found, 0);
}

/// Changes a decision, and expects that to be found wrong.
#[track_caller]
fn plant(log: &[Decision], at: usize, change: impl Fn(&mut Decision)) {
    plant_as(log, at, Check::Wrong, change);
}

#[track_caller]
fn plant_as(log: &[Decision], at: usize, found: Check, change: impl Fn(&mut Decision)) {
    let mut log = log.to_vec();
    change(&mut log[at]);
    check(&log, found, 0);
}

fn refused(log: &[Decision], reason: Reason) -> usize {
    first(log, |decision| decision.reason() == reason && decision.day > 0)
}

/// Where an order takes from two lots.
fn split(log: &[Decision]) -> usize {
    let two = |line: &LineDecision| line.lots.len() == 2;
    first(log, |decision| decision.outcome() == Outcome::Reserved && decision.lines.iter().any(two))
}

fn lots_of(decision: &mut Decision) -> &mut Vec<LotUnits> {
    &mut decision.lines.iter_mut().find(|line| !line.lots.is_empty()).expect("one is lotted").lots
}

#[test]
fn a_log_as_it_must_be_is_passed() {
    let sent = dated();
    let log = sent.decided(0);
    let (findings, counted, closed) = read(&sent, &log, usize::MAX);
    assert_eq!(findings.into_list(), []);
    let expired = log.iter().filter(|it| it.outcome() == Outcome::Expired).count() as u64;
    assert_eq!((counted.len() as u64 - expired, closed.checked), (sent.commands, sent.commands));
    // Nothing was passed because it never came up.
    split(&log);
    first(&log, |it| it.stock.as_ref().and_then(|level| level.lot.as_ref()).is_some_and(|lot| lot.shortfall > 0));
    refused(&log, Reason::DeliveryFull);
    refused(&log, Reason::Late);
    first(&log, |it| it.reason() == Reason::DeliveryFull && it.service == "day" && it.day > 0);
    first(&log, |it| it.outcome() == Outcome::Duplicate && it.lines.iter().any(|line| !line.lots.is_empty()));
    first(&log, |it| it.outcome() == Outcome::Shipped);
    first(&log, |it| it.outcome() == Outcome::Reserved && it.expires_at_ms == it.hold_until_ms);
    first(&log, |it| it.outcome() == Outcome::Reserved && it.lines.iter().any(|line| line.lots.is_empty()));
    let days: std::collections::BTreeSet<_> =
        log.iter().filter(|it| it.outcome() == Outcome::Reserved).map(|it| (&it.service, it.day)).collect();
    assert!(days.len() > 3, "{days:?}");
}

#[test]
fn what_days_came_to_is_told() {
    let sent = dated();
    let log = sent.decided(0);
    let ours = sent.ours();
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, &log);
    let days = shard.days();
    let count = |reason: Reason| log.iter().filter(|it| it.reason() == reason).count() as u64;
    assert_eq!((days.full, days.too_late), (count(Reason::DeliveryFull), count(Reason::Late)));
    assert!(days.rolled > 0 && days.expired_sold == 0, "{days:?}");
    let log = sent.decided_by(Flaw::Stale(1));
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, &log);
    assert!(shard.days().expired_sold > 0);
}

#[test]
fn a_day_that_closes_at_another_instant_is_found() {
    check_flaw(Flaw::Dawdles(20), Check::Wrong);
    check_flaw(Flaw::Dawdles(-20), Check::Wrong);
}

#[test]
fn a_day_with_too_many_or_too_few_orders_is_found() {
    check_flaw(Flaw::Packs(1), Check::Wrong);
    check_flaw(Flaw::Packs(-1), Check::Wrong);
    // A place that is given back before the cutoff can be had again.
    check_flaw(Flaw::Pockets, Check::Wrong);
}

#[test]
fn what_is_delivered_on_the_day_of_its_dispatch_is_passed() {
    let same_day = DAYS.replace("cutoff = \"1s\"", "cutoff = \"1s\"\nlead = 0").replace("closed = [2]", "closed = []");
    let sent = sent_by(&same_day, 0);
    let log = sent.decided(0);
    first(&log, |it| it.service == "day" && it.day == 20_270_115);
    assert_eq!(read(&sent, &log, usize::MAX).0.into_list(), []);
}

#[test]
fn who_is_rolled_on_against_his_will_is_found() {
    check_flaw(Flaw::Yields, Check::RuledOut);
}

#[test]
fn a_hold_that_ends_at_another_time_is_found() {
    check_flaw(Flaw::Lingers(1), Check::Wrong);
    let log = dated().decided(0);
    plant(&log, of(&log, Outcome::Reserved), |it| it.expires_at_ms += 1);
    plant(&log, of(&log, Outcome::Expired), |it| it.decided_at_ms -= 1_000);
}

#[test]
fn a_wrong_word_about_a_day_is_found() {
    let log = dated().decided(0);
    for at in [of(&log, Outcome::Reserved), first(&log, |it| it.outcome() == Outcome::Duplicate && it.day > 0)] {
        plant(&log, at, |it| it.service = "noon".to_owned());
        plant(&log, at, |it| it.day += 1);
        plant(&log, at, |it| it.cutoff_ms += 1);
        plant(&log, at, |it| it.hold_until_ms -= 1);
        plant(&log, at, |it| (it.service, it.day, it.cutoff_ms, it.hold_until_ms) = Default::default());
    }
    for reason in [Reason::DeliveryFull, Reason::Late] {
        let at = refused(&log, reason);
        let other = if reason == Reason::Late { Reason::DeliveryFull } else { Reason::Late };
        plant(&log, at, |it| it.service = String::new());
        plant(&log, at, |it| it.day += 1);
        plant(&log, at, |it| (it.day, it.cutoff_ms) = (0, 0));
        plant(&log, at, |it| it.cutoff_ms += 1);
        plant(&log, at, |it| it.hold_until_ms = 1);
        plant(&log, at, |it| it.rule += 1);
        plant(&log, at, |it| it.reason = other.into());
        plant(&log, at, |it| it.reason = Reason::OutOfStock.into());
    }
    let short = first(&log, |it| it.reason() == Reason::OutOfStock);
    plant(&log, short, |it| it.day = 20_270_116);
    plant(&log, short, |it| it.reason = Reason::DeliveryFull.into());
    let paid = of(&log, Outcome::Confirmed);
    plant(&log, paid, |it| it.service = "dawn".to_owned());
}

#[test]
fn what_expires_too_early_and_what_no_lot_has_is_found() {
    check_flaw(Flaw::Stale(1), Check::RuledOut);
    check_flaw(Flaw::Stale(-1), Check::Wrong);
    check_flaw(Flaw::Crams(1), Check::Oversold);
    check_flaw(Flaw::Crams(-1), Check::Wrong);
}

#[test]
fn a_later_lot_before_an_earlier_one_is_found() {
    check_flaw(Flaw::Backwards, Check::Wrong);
    let log = dated().decided(0);
    plant(&log, split(&log), |it| {
        it.lines.iter_mut().filter(|line| line.lots.len() == 2).for_each(|line| line.lots.swap(0, 1));
    });
}

#[test]
fn a_wrong_word_about_parts_is_found() {
    let log = dated().decided(0);
    let lotted = |it: &Decision| it.lines.iter().any(|line| !line.lots.is_empty());
    let reserved = first(&log, |it| it.outcome() == Outcome::Reserved && lotted(it));
    plant(&log, reserved, |it| lots_of(it)[0].units += 1);
    plant(&log, reserved, |it| lots_of(it)[0].lot = 17);
    plant(&log, reserved, |it| lots_of(it)[0].shortfall = 1);
    plant(&log, reserved, |it| lots_of(it).clear());
    plant(&log, split(&log), |it| {
        it.lines.iter_mut().filter(|line| line.lots.len() == 2).for_each(|line| _ = line.lots.pop());
    });
    let copy = first(&log, |it| it.outcome() == Outcome::Duplicate && lotted(it));
    plant(&log, copy, |it| lots_of(it)[0].units += 1);
    plant(&log, copy, |it| lots_of(it).clear());
    let part = LotUnits { lot: 1, units: 1, shortfall: 0 };
    for outcome in [Outcome::Confirmed, Outcome::Shipped, Outcome::Cancelled, Outcome::Expired] {
        let at = first(&log, |it| it.outcome() == outcome && !it.lines.is_empty());
        plant(&log, at, |it| it.lines[0].lots.push(part));
    }
    let plain = first(&log, |it| it.outcome() == Outcome::Reserved && it.lines[0].lots.is_empty());
    plant(&log, plain, |it| it.lines[0].lots.push(part));
}

#[test]
fn a_wrong_word_about_what_is_short_is_found() {
    let log = dated().decided(0);
    let lotted: Vec<String> =
        log.iter().filter_map(|it| it.stock.as_ref()).filter(|it| it.lot.is_some()).map(|it| it.sku.clone()).collect();
    let short = |line: &LineDecision| line.available.is_some() && lotted.contains(&line.sku);
    let at = first(&log, |it| it.lines.iter().any(short));
    for by in [1, -1] {
        plant(&log, at, |it| {
            it.lines.iter_mut().filter(|line| short(line)).for_each(|line| {
                line.available = line.available.map(|available| available + by);
            });
        });
    }
}

#[test]
fn a_receipt_that_tells_another_lot_is_found() {
    let log = dated().decided(0);
    let at = first(&log, |it| it.stock.as_ref().is_some_and(|level| level.lot.is_some()));
    let lot = |change: fn(&mut LotLevel)| {
        plant(&log, at, move |it| change(it.stock.as_mut().and_then(|level| level.lot.as_mut()).expect("a lot")));
    };
    lot(|lot| lot.number += 1);
    lot(|lot| lot.on_hand += 1);
    lot(|lot| lot.reserved += 1);
    lot(|lot| lot.committed += 1);
    lot(|lot| lot.shortfall += 1);
    // The second receipt of a SKU: its lots must add up to the row.
    plant(&log, at + 1, |it| it.stock.as_mut().expect("a level").lot = None);
    let row = |it: &mut Decision| it.stock.as_mut().expect("a level").on_hand += 1;
    plant(&log, at + 1, row);
    // A name that is known is told with its own expiry.
    plant(&log, at + 1, |it| {
        let lot = it.stock.as_mut().and_then(|level| level.lot.as_mut()).expect("a lot");
        lot.lot = "lot-0".to_owned();
    });
}

#[test]
fn a_figure_of_a_lot_that_orders_do_not_add_up_to_is_found() {
    let log = dated().decided(0);
    let lot = |it: &Decision| it.stock.as_ref().and_then(|level| level.lot.clone()).unwrap_or_default();
    let late = first(&log, |it| it.id.contains("-moved-") && lot(it).committed > 0 && lot(it).reserved > 0);
    let change = |change: fn(&mut LotLevel)| {
        plant(&log, late, move |it| change(it.stock.as_mut().and_then(|level| level.lot.as_mut()).expect("a lot")));
    };
    change(|lot| lot.committed -= 1);
    change(|lot| lot.reserved -= 1);
    change(|lot| (lot.reserved, lot.committed) = (lot.reserved + 1, lot.committed - 1));
    change(|lot| lot.lot = "lot-7".to_owned());
    // A shipment that never came.
    let shipped = first(&log, |it| it.outcome() == Outcome::Shipped);
    plant(&log, shipped, |it| it.outcome = Outcome::Unchanged.into());
}
