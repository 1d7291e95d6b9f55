//! Cutoffs to the millisecond, in zones whose clocks jump, against a search for the first instant that shows the time.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// An instant, written as `2026-03-08T07:00:00Z`.
fn at(written: &str) -> i64 {
    written.parse::<Timestamp>().expect("an instant").as_millisecond()
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap_or_else(|| panic!("{name} is in the table"))
}

fn every_day(name: &str, cutoff_s: u32) -> Dispatch {
    Dispatch { zone: zone(name), cutoffs_s: [cutoff_s; WEEK], closed: Vec::new(), lead: 0, horizon: 1 }
}

fn days(dispatch: &Dispatch, now_ms: i64) -> Vec<(u32, i64)> {
    let mut days = Vec::new();
    let turns_ms = dispatch.delivery_days(now_ms, |it| days.push((it.day, it.cutoff_ms)));
    assert!(turns_ms > now_ms);
    days
}

#[test]
fn a_day_is_one_of_the_calendar() {
    for (written, is) in [
        (20260228, true),
        (20260229, false),
        (20280229, true),
        (21000229, false),
        (19700101, true),
        (19691231, false),
        (99981231, true),
        (99990101, false),
        (20260010, false),
        (20261310, false),
        (20261000, false),
        (20261032, false),
        (0, false),
        (u32::MAX, false),
    ] {
        assert_eq!(is_day(written), is, "{written}");
    }
    assert_eq!(is_over_at_ms(20280228), Some(at("2028-03-01T00:00:00Z")));
    assert_eq!(is_over_at_ms(99981231), Some(at("9999-01-02T00:00:00Z")));
    assert_eq!(is_over_at_ms(20260230), None);
}

#[test]
fn a_zone_is_spelled_as_in_the_table() {
    for name in ["UTC", "Asia/Seoul", "Asia/Calcutta", "Etc/GMT+12", "America/Argentina/Buenos_Aires"] {
        assert!(Zone::named(name).is_some(), "{name}");
    }
    for name in ["", "utc", "asia/seoul", "Asia/Atlantis", "Etc/Unknown", "+09:00", "KST-9"] {
        assert!(Zone::named(name).is_none(), "{name}");
    }
}

#[test]
fn a_cutoff_is_kept_to_the_millisecond() {
    let seoul = every_day("Asia/Seoul", 23 * 3600);
    let cutoff_ms = at("2026-05-05T14:00:00Z");
    assert_eq!(days(&seoul, cutoff_ms - 1), [(20260505, cutoff_ms), (20260506, cutoff_ms + 24 * HOUR_MS)]);
    assert_eq!(days(&seoul, cutoff_ms), [(20260506, cutoff_ms + 24 * HOUR_MS)]);
    // The next day comes within the horizon as the local date changes.
    let midnight_ms = cutoff_ms + HOUR_MS;
    assert_eq!(seoul.delivery_days(cutoff_ms, |_| {}), midnight_ms);
    assert_eq!(days(&seoul, midnight_ms).len(), 2);
    let kiritimati = every_day("Pacific/Kiritimati", 12 * 3600);
    assert_eq!(days(&kiritimati, at("2026-05-04T21:59:59.999Z"))[0], (20260505, at("2026-05-04T22:00:00Z")));
    assert_eq!(days(&kiritimati, at("2026-05-04T22:00:00Z"))[0].0, 20260506);
    let leap = every_day("Europe/Berlin", 86_400);
    assert_eq!(days(&leap, at("2028-02-28T23:00:00Z"))[0], (20280229, at("2028-02-29T23:00:00Z")));
}

#[test]
fn a_time_that_comes_twice_is_reached_the_first_time_and_one_left_out_at_the_jump() {
    for (name, day, second, reached) in [
        ("America/New_York", date(2026, 11, 1), 5_400, "2026-11-01T05:30:00Z"),
        ("America/New_York", date(2026, 11, 1), 7_200, "2026-11-01T07:00:00Z"),
        ("America/New_York", date(2026, 3, 8), 7_199, "2026-03-08T06:59:59Z"),
        ("America/New_York", date(2026, 3, 8), 7_200, "2026-03-08T07:00:00Z"),
        ("America/New_York", date(2026, 3, 8), 9_000, "2026-03-08T07:00:00Z"),
        ("America/New_York", date(2026, 3, 8), 10_800, "2026-03-08T07:00:00Z"),
        ("America/New_York", date(2026, 3, 8), 10_801, "2026-03-08T07:00:01Z"),
        ("Africa/Cairo", date(2026, 4, 23), 86_400, "2026-04-23T22:00:00Z"),
        ("Africa/Cairo", date(2026, 4, 24), 1_800, "2026-04-23T22:00:00Z"),
        ("Africa/Cairo", date(2026, 10, 29), 86_400, "2026-10-29T22:00:00Z"),
        // The date of which nothing was.
        ("Pacific/Apia", date(2011, 12, 30), 43_200, "2011-12-30T10:00:00Z"),
    ] {
        assert_eq!(zone(name).reaches_ms(day, second), Some(at(reached)), "{name} {day} {second}");
    }
}

#[test]
fn a_date_that_is_shown_again_is_the_local_date_again() {
    // The clock is put back from 00:01 to 23:01.
    let mut saint_johns = every_day("America/St_Johns", 43_200);
    saint_johns.horizon = 2;
    let jump_ms = at("2009-11-01T02:31:00Z");
    assert_eq!(days(&saint_johns, jump_ms - 1).last().expect("some").0, 20091103);
    assert_eq!(saint_johns.delivery_days(jump_ms - 1, |_| {}), jump_ms);
    assert_eq!(days(&saint_johns, jump_ms).last().expect("some").0, 20091102);
    // Until it is midnight again.
    let again_ms = jump_ms + 59 * 60_000;
    assert_eq!(saint_johns.delivery_days(jump_ms, |_| {}), again_ms);
    assert_eq!(days(&saint_johns, again_ms - 1).last().expect("some").0, 20091102);
    assert_eq!(days(&saint_johns, again_ms).last().expect("some").0, 20091103);
}

#[test]
fn lead_counts_dispatch_days() {
    let mut dispatch = every_day("Asia/Seoul", 0);
    // Monday, Wednesday, Friday at noon; the Wednesday after next is closed.
    for weekday in [0, 2, 4] {
        dispatch.cutoffs_s[weekday] = 43_200;
    }
    (dispatch.lead, dispatch.horizon, dispatch.closed) = (2, 14, vec![20260513]);
    let noon = |day: &str| at(&format!("2026-05-{day}T03:00:00Z"));
    // Of Tuesday, the 5th.
    let expected = [(20260511, noon("06")), (20260515, noon("08")), (20260518, noon("11"))];
    assert_eq!(days(&dispatch, at("2026-05-05T00:00:00Z")), expected);
    dispatch.horizon = 13;
    assert_eq!(days(&dispatch, at("2026-05-05T00:00:00Z")), expected);
    assert_eq!(days(&dispatch, noon("06")), expected[1..]);
    dispatch.horizon = 12;
    assert_eq!(days(&dispatch, at("2026-05-05T00:00:00Z")), expected[..2]);
    dispatch.closed = (20260501..=20260531).collect();
    assert_eq!(days(&dispatch, at("2026-05-05T00:00:00Z")), []);
}

#[test]
fn beyond_the_calendar_there_are_no_days() {
    let mut dispatch = every_day("Pacific/Kiritimati", 1);
    dispatch.horizon = MAX_HORIZON_DAYS as usize;
    for now_ms in [i64::MIN, at("9999-06-01T00:00:00Z"), at("9999-12-30T22:00:00Z"), i64::MAX] {
        assert!(dispatch.delivery_days(now_ms, |it| panic!("{it:?}")) >= now_ms);
    }
    let last = days(&dispatch, at("9998-12-29T00:00:00Z"));
    assert_eq!(last.last().expect("some").0, 99981231);
}

/// Zones of all kinds: half hours, changes of half an hour, at midnight, none, dates that were left out.
const ZONES: [&str; 12] = [
    "UTC",
    "Asia/Seoul",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "America/St_Johns",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_time_is_reached_when_the_clock_first_shows_it_or_a_later_one(
        name in prop::sample::select(&ZONES[..]), days in 0..30_000_i64, quarter in 0_u32..=96, second in 0_u32..900,
    ) {
        let zone = zone(name);
        let midnight = Timestamp::from_second(days * 86_400).expect("within the calendar");
        let date = TimeZone::UTC.to_datetime(midnight).date();
        let second = (quarter * 900 + second).min(END_OF_DAY_S);
        let shown = date.to_datetime(Time::midnight()).checked_add(std::time::Duration::from_secs(second.into()));
        let shown = shown.expect("within the calendar");
        let shows = |at_s: i64| zone.0.to_datetime(Timestamp::from_second(at_s).expect("within")) >= shown;
        // Clocks change at whole minutes; from five minutes to five minutes no two changes are passed over.
        let from_s = days * 86_400 - 26 * 3_600;
        let step = (0..).map(|step| from_s + step * 300).find(|at_s| shows(*at_s)).expect("it is reached");
        let first = (step - 300..=step).find(|at_s| shows(*at_s)).expect("it was reached");
        prop_assert_eq!(zone.reaches_ms(date, second), Some(first * 1_000));
    }

    #[test]
    fn between_turns_the_days_are_the_same(
        name in prop::sample::select(&ZONES[..]), start in 0..2_000_000_000_i64, cutoff_s in 1_u32..=86_400,
        lead in 0_usize..3, horizon in 1_usize..5, part in 0.0..1.0,
    ) {
        let dispatch = Dispatch { lead, horizon, ..every_day(name, cutoff_s) };
        let now_ms = start * 1_000;
        let now = days(&dispatch, now_ms);
        let turns_ms = dispatch.delivery_days(now_ms, |_| {});
        prop_assert!(turns_ms > now_ms && turns_ms <= now_ms + 26 * HOUR_MS);
        let between_ms = now_ms + ((turns_ms - 1 - now_ms) as f64 * part) as i64;
        prop_assert_eq!(&days(&dispatch, between_ms), &now);
        prop_assert_eq!(&days(&dispatch, turns_ms - 1), &now);
        let ascend = |pair: &[(u32, i64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        prop_assert!(now.windows(2).all(ascend));
        prop_assert!(now.iter().all(|(day, cutoff_ms)| *cutoff_ms <= is_over_at_ms(*day).expect("a day")));
    }
}
