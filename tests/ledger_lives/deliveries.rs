//! Lives by delivery, to the millisecond.

use prost::Message;
use sluice::ledger::Moment;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::proto::{self, DeliveryService, Late, Outcome, Reason};

use crate::ledger_steps::delivery::{Depot, daily};
use crate::ledger_steps::{Event, RULES_OF_TODAY, ledger};
use crate::model::calendar::{DAY_MS, day_of};
use crate::{Trial, replay};

/// An instant of UTC.
fn utc(day: u32, hour: i64, minute: i64) -> i64 {
    day_of(day).expect("a day") * DAY_MS + (hour * 60 + minute) * 60_000
}

fn told(trial: &mut Trial, event: &Event) -> proto::Decision {
    trial.take(event).expect("all agree").pop().expect("an answer")
}

fn applied(trial: &mut Trial, event: &Event) {
    assert_eq!(told(trial, event).outcome(), Outcome::Applied, "{event:?}");
}

fn advance(trial: &mut Trial, depot: &mut Depot, to: i64) {
    depot.now = to;
    trial.take(&Event::Advance(to)).expect("all agree");
}

/// A trial that begins at this instant, with a pool that has enough and delivers by these.
fn delivering(now: i64, services: &[DeliveryService]) -> (Trial, Depot) {
    let mut trial = Trial::beginning(RULES_OF_TODAY, now);
    let mut depot = Depot::new(now);
    applied(&mut trial, &depot.receive(100));
    applied(&mut trial, &depot.deliver(services));
    (trial, depot)
}

#[test]
fn a_day_is_to_be_had_up_to_the_last_millisecond_before_its_cutoff() {
    // Zone, the day and the second at which it closes, and the instant.
    let cutoffs = [
        ("America/New_York", 20_261_101, 5_400, utc(20_261_101, 5, 30)),
        ("America/New_York", 20_260_308, 9_000, utc(20_260_308, 7, 0)),
        ("Africa/Cairo", 20_260_423, 86_400, utc(20_260_423, 22, 0)),
        ("America/St_Johns", 20_101_106, 86_400, utc(20_101_107, 2, 30)),
        ("America/Sao_Paulo", 20_180_217, 86_400, utc(20_180_218, 3, 0)),
        ("Australia/Lord_Howe", 20_260_405, 6_300, utc(20_260_404, 14, 45)),
        ("Asia/Seoul", 20_240_229, 1, utc(20_240_228, 15, 0) + 1_000),
        ("Pacific/Kiritimati", 20_240_229, 86_400, utc(20_240_229, 10, 0)),
        ("Africa/Monrovia", 19_720_107, 60, utc(19_720_107, 0, 44) + 30_000),
    ];
    for (zone, day, second, cutoff) in cutoffs {
        let (mut trial, mut depot) = delivering(cutoff - 1, &[daily("dawn", zone, second)]);
        let reserved = told(&mut trial, &depot.place("in time", |_| {}));
        assert_eq!((reserved.outcome(), reserved.day, reserved.cutoff_ms), (Outcome::Reserved, day, cutoff), "{zone}");
        assert_eq!((reserved.hold_until_ms, reserved.expires_at_ms), (cutoff, cutoff), "{zone}");
        advance(&mut trial, &mut depot, cutoff);
        let next = told(&mut trial, &depot.place("for the next", |_| {}));
        assert!(next.outcome() == Outcome::Reserved && next.day > day && next.cutoff_ms > cutoff, "{zone}: {next:?}");
        let late = told(&mut trial, &depot.place("late", |it| (it.day, it.late) = (day, Late::Reject.into())));
        assert_eq!((late.reason(), late.day, late.cutoff_ms), (Reason::Late, next.day, next.cutoff_ms), "{zone}");
        trial.end().expect("all agree");
    }
}

#[test]
fn a_place_on_a_day_is_given_back_before_its_cutoff_and_not_after() {
    let cutoff = utc(20_260_302, 12, 0);
    let service = DeliveryService { orders_a_day: 1, grace_ms: 500, ..daily("dawn", "UTC", 43_200) };
    let (mut trial, mut depot) = delivering(cutoff - 300, std::slice::from_ref(&service));
    let today = |it: &mut proto::Place| (it.day, it.late) = (20_260_302, Late::Reject.into());
    assert_eq!(told(&mut trial, &depot.place("a", today)).outcome(), Outcome::Reserved);
    assert_eq!(told(&mut trial, &depot.place("b", today)).reason(), Reason::DeliveryFull);
    // By its expiry, with another rule than that by which it was counted.
    applied(&mut trial, &depot.deliver(&[]));
    applied(&mut trial, &depot.deliver(&[DeliveryService { time_zone: "Africa/Abidjan".into(), ..service.clone() }]));
    assert_eq!(told(&mut trial, &depot.place("c", today)).reason(), Reason::DeliveryFull);
    advance(&mut trial, &mut depot, cutoff - 100);
    assert_eq!(told(&mut trial, &depot.place("d", today)).outcome(), Outcome::Reserved);
    assert_eq!(told(&mut trial, &depot.cancel("d")).outcome(), Outcome::Cancelled);
    assert_eq!(told(&mut trial, &depot.place("e", today)).outcome(), Outcome::Reserved);
    let extended = told(&mut trial, &depot.extend("e", cutoff + 1_000));
    assert_eq!((extended.outcome(), extended.expires_at_ms), (Outcome::Extended, cutoff + 500));
    assert_eq!(told(&mut trial, &depot.extend("e", i64::MAX)).outcome(), Outcome::Unchanged);
    // Two hours of a zone further west: the day is still to be had there, and full.
    advance(&mut trial, &mut depot, cutoff);
    applied(&mut trial, &depot.deliver(&[DeliveryService { time_zone: "Etc/GMT+2".into(), ..service }]));
    assert_eq!(told(&mut trial, &depot.cancel("e")).outcome(), Outcome::Cancelled);
    assert_eq!(told(&mut trial, &depot.place("f", today)).reason(), Reason::DeliveryFull);
    trial.end().expect("all agree");
}

#[test]
fn what_was_counted_for_a_day_is_forgotten_two_days_later() {
    let begins = utc(20_240_228, 22, 0);
    let (mut trial, mut depot) = delivering(begins, &[daily("dawn", "UTC", 86_400)]);
    assert_eq!(told(&mut trial, &depot.place("a", |_| {})).day, 20_240_228);
    let over = utc(20_240_301, 0, 0);
    for at in [begins + 60_000, over - 1, over] {
        advance(&mut trial, &mut depot, at);
        trial.agree().expect("all agree");
    }
    trial.end().expect("all agree");
}

#[test]
fn a_zone_that_this_table_does_not_have_is_replayed_and_not_sold_by() {
    let now = utc(20_260_302, 12, 0);
    let (mut trial, mut depot) = delivering(now, &[]);
    let rule = depot.deliver(&[daily("dawn", "Asia/Seoul", 86_400), daily("day", "UTC", 86_400)]);
    let mut decision = told(&mut trial, &rule);
    decision.delivery.as_mut().expect("it was set").services[0].time_zone = "Mars/Olympus".into();
    let mut ledger = ledger(RULES_OF_TODAY, 4);
    for bytes in &trial.log[..trial.log.len() - 1] {
        replay(&mut ledger, bytes).expect("it is replayed");
    }
    replay(&mut ledger, &decision.encode_to_vec()).expect("no zone is looked at");
    let mut asked = |service: &str| {
        let (value, input) = depot.place(service, |it| it.service = service.into()).record();
        let mut scratch = Scratch::default();
        let record = validate(Some(&value), input, &mut scratch).expect("a well-formed record");
        let command = record.commands().next().expect("there is one");
        let decision = ledger.apply(&command, Moment { shard_time_ms: now, engine_time_ms: now });
        (decision.outcome, decision.reason)
    };
    assert_eq!(asked("dawn"), (Outcome::Invalid, Reason::TimeZone));
    assert_eq!(asked("day"), (Outcome::Reserved, Reason::Unspecified));
}
