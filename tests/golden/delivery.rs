//! A life of a pool that delivers, for a log in which each of its rules decides something.

use sluice::wire::proto::{DeliveryService, Late};

use crate::ledger_steps::Event;
use crate::ledger_steps::delivery::{Depot, daily};
use crate::model::calendar::{DAY_MS, Zone, written};

const ZONE: &str = "Asia/Seoul";
const GRACE_MS: i64 = 100;

/// Delivery: days that fill up, are given back and close, and what is said to it.
pub(crate) fn a_life_by_delivery(now: i64) -> Vec<Event> {
    // What was before is forgotten by then, or there would be no memory for orders.
    let now = now + 10_000;
    let shown = Zone::named(ZONE).expect("it is one of the table").shows(now);
    let day = |ahead: i64| written(shown.div_euclid(DAY_MS) + ahead).expect("it is one of the calendar");
    let cutoff_s = shown.rem_euclid(DAY_MS) / 1_000 + 1;
    let cutoff = now - shown.rem_euclid(DAY_MS) + cutoff_s * 1_000;
    let dawn = DeliveryService {
        lead: 1,
        orders_a_day: 2,
        late: Late::Reject.into(),
        grace_ms: GRACE_MS as u64,
        ..daily("dawn", ZONE, cutoff_s as u32)
    };
    let by_day = DeliveryService { orders_a_day: 1, horizon: 1, ..daily("day", "UTC", 86_400) };
    let mut depot = Depot::new(now);
    let mut events = vec![
        Event::Advance(now),
        depot.receive(30),
        depot.deliver(&[dawn.clone(), by_day.clone()]),
        depot.place("first", |_| {}),
        depot.place("second", |it| it.service = "dawn".into()),
        depot.place("one too many", |_| {}),
        depot.place("the day after", |it| it.day = day(2)),
        depot.place("today", |it| it.day = day(0)),
        depot.place("today, or later", |it| (it.day, it.late) = (day(0), Late::Roll.into())),
        depot.cancel("first"),
        depot.place("in its stead", |it| it.hold_ms = 300),
        depot.extend("in its stead", now + 1_400),
        depot.place("by noon", |it| it.service = "noon".into()),
        depot.place("no day", |it| it.day = 19_700_230),
        depot.deliver(&[daily("dawn", "Mars/Olympus", 1)]),
        depot.deliver(&[by_day.clone(), by_day.clone()]),
        depot.deliver(&[DeliveryService { horizon: 0, ..by_day.clone() }]),
        Event::Advance(cutoff - 1),
    ];
    depot.now = cutoff - 1;
    events.extend([
        depot.place("in time", |it| it.day = day(1)),
        depot.place("by day", |it| it.service = "day".into()),
        depot.place("by the next", |it| it.service = "day".into()),
        depot.place("by none", |it| it.service = "day".into()),
        Event::Advance(cutoff),
    ]);
    depot.now = cutoff;
    events.extend([
        depot.place("too late", |it| it.day = day(1)),
        depot.place("for the next", |_| {}),
        depot.cancel("in time"),
        Event::Advance(cutoff + GRACE_MS),
    ]);
    depot.now = cutoff + GRACE_MS;
    events.extend([
        depot.deliver(&[]),
        depot.place("free", |_| {}),
        depot.place("by whom", |it| it.late = Late::Roll.into()),
        // What was counted for its days is found again.
        depot.deliver(&[by_day]),
        depot.place("still full", |_| {}),
    ]);
    depot.now -= 1;
    events.push(depot.deliver(&[dawn]));
    // No zone has these days any more.
    depot.now = (shown.div_euclid(DAY_MS) + 5) * DAY_MS;
    events.extend([Event::Advance(depot.now), depot.deliver(&[])]);
    events
}
