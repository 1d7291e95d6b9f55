//! The guards of Delivery and their edges.

use jiff::Timestamp;

use super::shop::{APPLIED, RESERVED, Shop, one_of_a, order, said, texts};
use crate::wire::proto::{self, Asked, Late, Outcome, Reason, command, stock_command};

const LATE: (Outcome, Reason) = (Outcome::Rejected, Reason::Late);
const FULL: (Outcome, Reason) = (Outcome::Rejected, Reason::DeliveryFull);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An instant, written as `2026-05-05T14:00:00Z`.
pub(super) fn at(written: &str) -> i64 {
    written.parse::<Timestamp>().expect("an instant").as_millisecond()
}

/// 23:00 of Tuesday, 2026-05-05, in Seoul.
pub(super) const CUTOFF: &str = "2026-05-05T14:00:00Z";

/// Every day until 23:00 in Seoul, delivered on the day after.
pub(super) fn dawn() -> proto::DeliveryService {
    proto::DeliveryService {
        name: "dawn".into(),
        time_zone: "Asia/Seoul".into(),
        days: (1..=7).map(|weekday| proto::DispatchDay { weekday, cutoff_s: 23 * 3_600 }).collect(),
        lead: 1,
        horizon: 3,
        ..Default::default()
    }
}

impl Shop {
    /// At rules level 2, at this instant, with 100 each of "a" and "b" and these services.
    pub(super) fn delivering(now: i64, services: &[proto::DeliveryService]) -> Shop {
        let mut shop = Shop::empty(2);
        shop.now = now;
        shop.receive("pool", "a", 100);
        shop.receive("pool", "b", 100);
        assert_eq!(said(&shop.delivery(services)), APPLIED);
        shop
    }

    pub(super) fn delivery(&mut self, services: &[proto::DeliveryService]) -> proto::Decision {
        let services = services.to_vec();
        self.stock("pool", self.now, stock_command::Kind::SetDelivery(proto::SetDelivery { services }))
    }

    /// One unit of "a", for this day, or for the next if it is 0.
    pub(super) fn for_day(&mut self, day: u32, late: Late) -> proto::Decision {
        self.place(proto::Place { day, late: late.into(), ..one_of_a(&[]) })
    }

    fn extend(&mut self, of: &proto::Decision, expires_at_ms: i64) -> proto::Decision {
        let (pool, order_id) = (of.pool.clone(), of.order_id.clone());
        self.command(command::Kind::Extend(proto::Extend { pool, order_id, expires_at_ms, ..Default::default() }))
    }
}

/// Outcome and reason, and the day that is told.
fn got(decision: &proto::Decision) -> ((Outcome, Reason), u32) {
    (said(decision), decision.day)
}

#[test]
fn an_order_gets_the_day_that_it_still_reaches_to_the_millisecond() {
    let cutoff_ms = at(CUTOFF);
    let mut shop = Shop::delivering(cutoff_ms - 1, &[proto::DeliveryService { grace_ms: 60_000, ..dawn() }]);
    let told = |it: &proto::Decision| (said(it), it.service.clone(), it.day, it.cutoff_ms, it.hold_until_ms);
    let in_time = shop.for_day(0, Late::Unspecified);
    let expected = (RESERVED, "dawn".to_owned(), 20260506, cutoff_ms, cutoff_ms + 60_000);
    assert_eq!(told(&in_time), expected);
    shop.now = cutoff_ms;
    let next = shop.for_day(0, Late::Unspecified);
    assert_eq!(told(&next), (RESERVED, "dawn".to_owned(), 20260507, cutoff_ms + DAY_MS, cutoff_ms + DAY_MS + 60_000));
    assert_eq!((in_time.rule, in_time.opens_at_ms), (0, 0), "nothing stood in its way");
}

#[test]
fn clocks_that_are_put_forward_or_back_close_a_day_when_they_show_its_time() {
    for (zone, cutoff_s, cutoff, day) in [
        ("America/New_York", 9_000, "2026-03-08T07:00:00Z", 20260308),
        ("America/New_York", 5_400, "2026-11-01T05:30:00Z", 20261101),
        ("Africa/Cairo", 86_400, "2026-04-23T22:00:00Z", 20260423),
        ("Pacific/Kiritimati", 86_400, "2028-02-29T10:00:00Z", 20280229),
    ] {
        let mut service = proto::DeliveryService { time_zone: zone.into(), lead: 0, ..dawn() };
        service.days.iter_mut().for_each(|day| day.cutoff_s = cutoff_s);
        let mut shop = Shop::delivering(at(cutoff) - 1, &[service]);
        let reached = shop.for_day(day, Late::Reject);
        assert_eq!((got(&reached), reached.cutoff_ms), ((RESERVED, day), at(cutoff)), "{zone}");
        shop.now += 1;
        assert_eq!(said(&shop.for_day(day, Late::Reject)), LATE, "{zone}");
    }
}

#[test]
fn a_midnight_that_comes_twice_brings_a_new_day_within_the_horizon_each_time() {
    // The clock is put back from 00:01 to 23:01.
    let midnight_ms = at("2009-11-01T02:30:00Z");
    let service = proto::DeliveryService { time_zone: "America/St_Johns".into(), ..dawn() };
    let mut shop = Shop::delivering(midnight_ms - 1, &[service]);
    for (after_ms, last, last_but_one) in [
        (-1, 20091103, 20091102),
        (0, 20091104, 20091103),
        (60_000, 20091103, 20091102),
        (3_600_000, 20091104, 20091103),
    ] {
        shop.now = midnight_ms + after_ms;
        assert_eq!(got(&shop.for_day(last_but_one, Late::Reject)), (RESERVED, last_but_one), "{after_ms}");
        assert_eq!(got(&shop.for_day(last, Late::Reject)), (RESERVED, last), "{after_ms}");
        assert_eq!(got(&shop.for_day(last + 1, Late::Reject)), (LATE, 0), "{after_ms}");
    }
}

#[test]
fn an_order_for_a_day_gets_it_or_rolls_or_is_late() {
    let now = at(CUTOFF);
    // The 8th, a Friday, is closed: delivered are the 7th and, within the horizon, no other but the 9th.
    let closed = vec![proto::ClosedDay { day: 20260508 }];
    let service = proto::DeliveryService { closed, horizon: 5, ..dawn() };
    let mut shop = Shop::delivering(now, &[service]);
    let rule = shop.ledger.sequence();
    for (day, late, expected) in [
        (20260507, Late::Reject, (RESERVED, 20260507)),
        (20260507, Late::Roll, (RESERVED, 20260507)),
        (20260510, Late::Reject, (RESERVED, 20260510)),
        // Its cutoff is over, long ago too; or nothing is delivered.
        (20260506, Late::Roll, (RESERVED, 20260507)),
        (20260506, Late::Unspecified, (RESERVED, 20260507)),
        (20260506, Late::Reject, (LATE, 20260507)),
        (20200101, Late::Reject, (LATE, 20260507)),
        (20260508, Late::Roll, (RESERVED, 20260509)),
        (20260508, Late::Reject, (LATE, 20260509)),
        // Beyond the horizon.
        (20260511, Late::Roll, (LATE, 0)),
        (20260511, Late::Reject, (LATE, 0)),
    ] {
        let made = shop.for_day(day, late);
        assert_eq!(got(&made), expected, "{day} {late:?}");
        assert_eq!(made.cutoff_ms != 0, expected.1 != 0, "{day} {late:?}");
        let rejected = made.outcome() == Outcome::Rejected;
        assert_eq!((made.rule, made.hold_until_ms == 0), (if rejected { rule } else { 0 }, rejected));
        assert_eq!((&*made.service, made.lines.len()), ("dawn", if rejected { 0 } else { 1 }));
    }
}

#[test]
fn full_days_roll_or_reject_as_the_order_says_or_else_the_service() {
    let now = at(CUTOFF);
    for late in [Late::Unspecified, Late::Roll, Late::Reject] {
        let service = proto::DeliveryService { orders_a_day: 1, late: late.into(), ..dawn() };
        let mut shop = Shop::delivering(now, &[service]);
        let rejects = late == Late::Reject;
        let first = shop.for_day(0, Late::Unspecified);
        assert_eq!((got(&first), shop.confirm(&first)), ((RESERVED, 20260507), Outcome::Confirmed));
        if rejects {
            assert_eq!(got(&shop.for_day(0, Late::Unspecified)), (FULL, 20260508));
            assert_eq!(got(&shop.for_day(20260507, Late::Unspecified)), (FULL, 20260508));
        }
        assert_eq!(got(&shop.for_day(20260507, Late::Reject)), (FULL, 20260508));
        let second = shop.for_day(0, Late::Roll);
        assert_eq!((got(&second), shop.confirm(&second)), ((RESERVED, 20260508), Outcome::Confirmed));
        assert_eq!(got(&shop.for_day(0, Late::Reject)), (FULL, 0), "the horizon ends here");
        assert_eq!(got(&shop.for_day(0, Late::Roll)), (FULL, 0));
        assert_eq!(got(&shop.for_day(20260508, Late::Roll)), (FULL, 0));
        shop.now += 60 * 60 * 1000;
        assert_eq!(got(&shop.for_day(0, Late::Roll)), (RESERVED, 20260509), "a new day comes within it");
    }
}

#[test]
fn without_a_day_that_can_be_had_every_order_is_late() {
    let closed: Vec<_> = (20260501..=20260531).map(|day| proto::ClosedDay { day }).collect();
    let mut shop = Shop::delivering(at(CUTOFF), &[proto::DeliveryService { closed, ..dawn() }]);
    for late in [Late::Unspecified, Late::Roll, Late::Reject] {
        assert_eq!(got(&shop.for_day(0, late)), (LATE, 0));
    }
    let none = shop.place(proto::Place { order_id: "again".into(), ..one_of_a(&[]) });
    let again = shop.place(proto::Place { order_id: "again".into(), ..one_of_a(&[]) });
    let original = again.original.map(|first| (first.sequence, first.reason()));
    assert_eq!((again.outcome(), original), (Outcome::Duplicate, Some((none.sequence, Reason::Late))));
    assert_eq!((&*again.service, again.day), ("", 0));
}

#[test]
fn the_service_is_the_one_named_or_the_first() {
    let noon = proto::DeliveryService { name: "noon".into(), lead: 0, ..dawn() };
    let mut shop = Shop::delivering(at(CUTOFF) - 1, &[dawn(), noon]);
    let mut order_by = |service: &str| {
        let made = shop.place(proto::Place { service: service.into(), ..one_of_a(&[]) });
        (said(&made), made.service, made.day)
    };
    let invalid = (Outcome::Invalid, Reason::NoSuchService);
    assert_eq!(order_by(""), (RESERVED, "dawn".to_owned(), 20260506));
    assert_eq!(order_by("dawn"), (RESERVED, "dawn".to_owned(), 20260506));
    assert_eq!(order_by("noon"), (RESERVED, "noon".to_owned(), 20260505));
    assert_eq!(order_by("night"), (invalid, String::new(), 0));
}

#[test]
fn who_asks_for_a_delivery_where_there_is_none_is_told_so() {
    let invalid = (Outcome::Invalid, Reason::NoSuchService);
    let mut shop = Shop::delivering(at(CUTOFF), &[dawn()]);
    let asked = |change: &dyn Fn(&mut proto::Place)| {
        let mut place = order("ann", &[("a", 1)]);
        change(&mut place);
        place
    };
    let all = [
        asked(&|place| place.service = "dawn".into()),
        asked(&|place| place.day = 20260507),
        asked(&|place| place.late = Late::Roll.into()),
    ];
    for place in &all {
        assert_eq!(said(&shop.place(place.clone())), RESERVED);
        assert_eq!(said(&shop.place(proto::Place { pool: "other".into(), ..place.clone() })), invalid);
    }
    shop.now += 1;
    assert_eq!(said(&shop.delivery(&[])), APPLIED);
    for place in &all {
        let refused = proto::Place { order_id: "again".into(), ..place.clone() };
        assert_eq!(said(&shop.place(refused)), invalid);
    }
    let plain = shop.place(proto::Place { order_id: "again".into(), ..order("ann", &[("a", 1)]) });
    assert_eq!((said(&plain), plain.day, &*plain.service), (RESERVED, 0, ""), "and the identity is free");
}

#[test]
fn what_is_wrong_with_what_an_order_asks_is_told_before_anything_is_looked_up() {
    let mut shop = Shop::delivering(at(CUTOFF), &[dawn()]);
    let mut ask = |service: &str, day: u32, late: i32| {
        said(&shop.place(proto::Place { service: service.into(), day, late, ..order("ann", &[("a", 1)]) }))
    };
    let long = "x".repeat(129);
    for (service, day, late, reason) in [
        (&*long, 1, 9, Reason::IdTooLong),
        ("", 20260229, 0, Reason::Times),
        ("", 1, 0, Reason::Times),
        ("none", 0, 3, Reason::Times),
        ("none", 0, -1, Reason::Times),
        ("none", 0, 0, Reason::NoSuchService),
    ] {
        assert_eq!(ask(service, day, late), (Outcome::Invalid, reason), "{day} {late}");
    }
}

#[test]
fn guards_stand_in_their_order() {
    let full = proto::DeliveryService { orders_a_day: 1, late: Late::Reject.into(), ..dawn() };
    let mut shop = Shop::delivering(at(CUTOFF), &[full]);
    shop.for_day(0, Late::Unspecified);
    let unknown = shop.buy("ann", &[("x", 1)]);
    assert_eq!(got(&unknown), (FULL, 20260508), "before its lines");
    let for_all = |only: &[&str]| proto::SetSale { only: texts(only), ..Default::default() };
    shop.sale(for_all(&["gold"]));
    let other = shop.buy("ann", &[("x", 1)]);
    assert_eq!((said(&other), other.day, &*other.service), ((Outcome::Rejected, Reason::NotEligible), 0, ""));
    shop.sale(for_all(&[]));
    // One that has a day, and is not sold all the same, is told nothing of it and takes nothing of it.
    let short = shop.place(proto::Place { day: 20260508, ..order("ann", &[("a", 1_000)]) });
    assert_eq!((said(&short), short.day, &*short.service), ((Outcome::Rejected, Reason::OutOfStock), 0, ""));
    assert_eq!(got(&shop.for_day(20260508, Late::Unspecified)), (RESERVED, 20260508));
    let pool = || "pool".to_owned();
    let placed_at_ms = shop.now;
    let cancel = proto::Cancel { pool: pool(), order_id: "gone".into(), attempt: 0, placed_at_ms };
    assert_eq!(shop.command(command::Kind::Cancel(cancel)).outcome(), Outcome::Noted);
    let gone = |service: &str| proto::Place { order_id: "gone".into(), service: service.into(), ..one_of_a(&[]) };
    assert_eq!(said(&shop.place(gone("none"))), (Outcome::Invalid, Reason::NoSuchService));
    assert_eq!(said(&shop.place(gone(""))), (Outcome::Rejected, Reason::Cancelled));
}

#[test]
fn a_copy_of_an_order_that_is_open_is_told_its_delivery_as_it_was() {
    let mut shop = Shop::delivering(at(CUTOFF) - 100, &[dawn()]);
    let place = proto::Place { order_id: "order".into(), placed_at_ms: shop.now, ..one_of_a(&[]) };
    let first = shop.place(place.clone());
    shop.now += 1;
    shop.delivery(&[proto::DeliveryService { name: "noon".into(), lead: 0, grace_ms: 5, ..dawn() }]);
    let told = |it: &proto::Decision| (it.service.clone(), it.day, it.cutoff_ms, it.hold_until_ms);
    let again = shop.place(place.clone());
    assert_eq!((again.outcome(), told(&again)), (Outcome::Duplicate, told(&first)));
    shop.confirm(&first);
    let again = shop.place(place.clone());
    assert_eq!((again.outcome(), told(&again)), (Outcome::Duplicate, told(&first)));
    let other = shop.place(proto::Place { day: 20260506, ..place.clone() });
    assert_eq!((other.outcome(), &*other.service), (Outcome::Conflict, ""));
    shop.cancel(&first);
    let closed = shop.place(place);
    assert_eq!((closed.outcome(), told(&closed)), (Outcome::Duplicate, (String::new(), 0, 0, 0)));
}

#[test]
fn a_hold_ends_with_the_grace_after_its_cutoff_at_the_latest() {
    let cutoff_ms = at(CUTOFF);
    let mut shop = Shop::delivering(cutoff_ms - 100, &[proto::DeliveryService { grace_ms: 50, ..dawn() }]);
    let short = shop.place(proto::Place { hold_ms: 149, ..one_of_a(&[]) });
    let long = shop.place(proto::Place { hold_ms: 900, ..one_of_a(&[]) });
    assert_eq!((short.expires_at_ms, long.expires_at_ms), (cutoff_ms + 49, cutoff_ms + 50));
    let unchanged = shop.extend(&long, cutoff_ms + 9_999_999);
    assert_eq!(said(&unchanged), (Outcome::Unchanged, Reason::Unspecified));
    let extended = shop.extend(&short, cutoff_ms + 9_999_999);
    assert_eq!((extended.outcome(), extended.expires_at_ms), (Outcome::Extended, cutoff_ms + 50));
    let paid = shop.for_day(0, Late::Unspecified);
    assert_eq!(shop.confirm(&paid), Outcome::Confirmed);
    // What can be clipped is clipped before it is found too long, and what can't is not.
    let far = shop.for_day(20260507, Late::Unspecified);
    let too_long = shop.extend(&far, shop.now + 9_999_999);
    assert_eq!(said(&too_long), (Outcome::Invalid, Reason::HoldTooLong));
    shop.now = cutoff_ms + 49;
    assert_eq!(shop.expire(), 0);
    shop.now += 1;
    assert_eq!(shop.expire(), 2);
    assert_eq!(shop.ship(&paid), Outcome::Shipped, "what is paid is not concerned");
}

#[test]
fn what_is_wrong_with_a_delivery_is_told_in_the_order_of_its_fields() {
    use proto::{ClosedDay, DeliveryService as Service, DispatchDay};

    let mut shop = Shop::empty(2);
    shop.now = at(CUTOFF);
    let mut set = |services: &[Service]| said(&shop.delivery(services));
    let day = |weekday, cutoff_s| DispatchDay { weekday, cutoff_s };
    let closed = |days: &[u32]| days.iter().map(|day| ClosedDay { day: *day }).collect::<Vec<_>>();
    let bad = Service { lead: 15, horizon: 0, grace_ms: u64::MAX, ..dawn() };
    let named = |name: &str| Service { name: name.into(), ..dawn() };
    let (long, many) = ("x".repeat(129), (1..=9).map(|n| named(&n.to_string())).collect::<Vec<_>>());
    let all_closed: Vec<u32> = (0..101).map(|n| 20270101 + n % 28 + n / 28 * 100).collect();
    for (services, reason) in [
        (vec![Service { time_zone: long.clone(), ..dawn() }, named("")], Reason::IdTooLong),
        (vec![Service { time_zone: String::new(), ..named(&long) }], Reason::IdTooLong),
        (vec![bad.clone(), named("")], Reason::MissingId),
        (vec![Service { time_zone: String::new(), ..bad.clone() }], Reason::MissingId),
        (many.clone(), Reason::TooMany),
        (vec![bad.clone(), Service { closed: closed(&all_closed), ..named("2") }], Reason::TooMany),
        (vec![bad.clone(), dawn()], Reason::Doubled),
        (vec![Service { time_zone: "asia/seoul".into(), days: Vec::new(), ..dawn() }], Reason::TimeZone),
        (vec![Service { days: Vec::new(), ..dawn() }], Reason::Times),
        (vec![Service { days: vec![day(1, 1), day(1, 0)], ..dawn() }], Reason::Times),
        (vec![Service { days: vec![day(1, 1), day(1, 1), day(0, 1)], ..dawn() }], Reason::Doubled),
        (vec![Service { days: vec![day(8, 1)], ..dawn() }], Reason::Times),
        (vec![Service { days: vec![day(1, 86_401)], ..dawn() }], Reason::Times),
        (vec![Service { closed: closed(&[20270101, 20270101, 5]), ..dawn() }], Reason::Doubled),
        (vec![Service { closed: closed(&[20270101, 5, 20270101]), ..dawn() }], Reason::Times),
        (vec![Service { lead: 15, closed: closed(&[20270101; 2]), ..dawn() }], Reason::Times),
        (vec![Service { orders_a_day: 1_000_000_000_001, horizon: 0, ..dawn() }], Reason::Quantity),
        (vec![Service { horizon: 0, ..dawn() }], Reason::Times),
        (vec![Service { horizon: 63, ..dawn() }], Reason::Times),
        (vec![Service { late: 3, ..dawn() }], Reason::Times),
        (vec![Service { late: -1, ..dawn() }], Reason::Times),
        (vec![Service { grace_ms: 86_400_001, ..dawn() }], Reason::Times),
        (vec![dawn(), Service { horizon: 0, ..named("2") }], Reason::Times),
        (vec![Service { lead: 4, ..dawn() }], Reason::Times),
        (vec![Service { days: vec![day(1, 1)], horizon: 6, ..dawn() }], Reason::Times),
        (vec![Service { lead: 4, ..dawn() }, Service { orders_a_day: u64::MAX, ..named("2") }], Reason::Quantity),
    ] {
        assert_eq!(set(&services), (Outcome::Invalid, reason), "{services:?}");
    }
    let most = Service {
        days: (1..=7).map(|weekday| day(weekday, 86_400)).collect(),
        lead: 14,
        closed: closed(&all_closed[..100]),
        orders_a_day: 1_000_000_000_000,
        horizon: 62,
        grace_ms: 86_400_000,
        ..dawn()
    };
    assert_eq!(set(&[&many[..7], &[most]].concat()), APPLIED);
}

#[test]
fn a_delivery_is_set_whole_and_an_earlier_one_is_stale() {
    let mut shop = Shop::delivering(at(CUTOFF), &[dawn()]);
    let services = vec![dawn(), proto::DeliveryService { name: "noon".into(), ..dawn() }];
    let rule = proto::SetDelivery { services: services.clone() };
    shop.now += 10;
    let set = shop.delivery(&services);
    assert_eq!((set.asked(), &set.delivery, set.issued_at_ms), (Asked::SetDelivery, &Some(rule.clone()), shop.now));
    let stale = shop.stock("pool", shop.now - 1, stock_command::Kind::SetDelivery(rule.clone()));
    assert_eq!((said(&stale), stale.rule), ((Outcome::NotAllowed, Reason::Stale), set.sequence));
    assert_eq!((stale.issued_at_ms, stale.delivery, &*stale.service), (shop.now, None, ""));
    let removed = shop.delivery(&[]);
    assert_eq!((said(&removed), &removed.delivery), (APPLIED, &Some(proto::SetDelivery::default())));
    let stale = shop.stock("pool", shop.now - 1, stock_command::Kind::SetDelivery(rule));
    assert_eq!((said(&stale), stale.rule), ((Outcome::NotAllowed, Reason::Stale), removed.sequence));
}

#[test]
fn below_its_rules_level_nothing_is_known_of_delivery() {
    let mut shop = Shop::empty(1);
    let unsupported = |it: &proto::Decision| (it.outcome(), it.field);
    assert_eq!(unsupported(&shop.delivery(&[dawn()])), (Outcome::Unsupported, 18));
    let set = shop.delivery(&[dawn()]);
    assert_eq!((set.asked(), &*set.pool, &*set.id), (Asked::Unspecified, "pool", ""));
    assert_eq!(unsupported(&shop.for_day(0, Late::Roll)), (Outcome::Unsupported, 14));
    let gold = proto::Place { day: 20260507, ..one_of_a(&["gold"]) };
    assert_eq!(unsupported(&shop.place(gold.clone())), (Outcome::Unsupported, 13));
    let mut shop = Shop::empty(0);
    assert_eq!(unsupported(&shop.place(gold)), (Outcome::Unsupported, 10), "the lowest of several");
}
