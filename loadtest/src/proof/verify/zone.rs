//! Instants of a local clock, found by looking at it. The engine computes them; here the clock of a zone is read second
//! after second until it shows what is asked for, so that both are hardly ever wrong alike.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds of a day.
const DAY_S: i64 = 24 * 60 * 60;

/// No clock is further ahead of UTC, in seconds.
const MOST_AHEAD_S: i64 = 16 * 60 * 60;

/// The clock of a time zone.
#[derive(Debug)]
pub(super) struct Zone {
    zone: TimeZone,
    /// What was found, by day and second of the day.
    found: HashMap<(i32, u32), i64>,
}

impl Zone {
    /// None if there is no zone of that name.
    pub(super) fn new(name: &str) -> Option<Self> {
        Some(Self { zone: TimeZone::get(name).ok()?, found: HashMap::new() })
    }

    /// The day, since 1970-01-01, that the clock shows at an instant.
    pub(super) fn day(&self, at_ms: i64) -> i32 {
        self.shown_s(at_ms.div_euclid(1_000)).div_euclid(DAY_S) as i32
    }

    /// The first instant, in ms, at which the clock shows this second of this day, or anything later.
    pub(super) fn first_ms(&mut self, day: i32, second: u32) -> i64 {
        if let Some(known) = self.found.get(&(day, second)) {
            return *known;
        }
        let asked_s = i64::from(day) * DAY_S + i64::from(second);
        let mut at_s = asked_s - MOST_AHEAD_S;
        while self.shown_s(at_s) < asked_s {
            at_s += 1;
        }
        self.found.insert((day, second), at_s * 1_000);
        at_s * 1_000
    }

    /// What the clock shows, as if it were UTC.
    fn shown_s(&self, at_s: i64) -> i64 {
        let offset = Timestamp::from_second(at_s).map(|at| self.zone.to_offset(at));
        at_s + offset.map_or(0, |offset| i64::from(offset.seconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_ms(zone: &str, day: i32, hours: u32, minutes: u32) -> i64 {
        Zone::new(zone).expect("there is one").first_ms(day, hours * 3_600 + minutes * 60)
    }

    /// Milliseconds since 1970 of a time of a day, UTC.
    fn utc(day: i32, hours: i64, minutes: i64) -> i64 {
        (i64::from(day) * DAY_S + hours * 3_600 + minutes * 60) * 1_000
    }

    #[test]
    fn seoul_is_nine_hours_ahead_all_the_year() {
        for day in [20_454, 20_500, 20_600, 20_787] {
            assert_eq!(first_ms("Asia/Seoul", day, 23, 0), utc(day, 14, 0));
            assert_eq!(first_ms("Asia/Seoul", day, 24, 0), utc(day, 15, 0));
        }
        let seoul = Zone::new("Asia/Seoul").expect("there is one");
        assert_eq!((seoul.day(utc(20_787, 15, 0) - 1), seoul.day(utc(20_787, 15, 0))), (20_787, 20_788));
    }

    #[test]
    fn the_examples_of_the_contract_hold() {
        // 2026-11-01: 01:30 comes twice. 2026-03-08: 02:30 is left out. 2026-04-23: 24:00 is.
        assert_eq!(first_ms("America/New_York", 20_758, 1, 30), utc(20_758, 5, 30));
        assert_eq!(first_ms("America/New_York", 20_520, 2, 30), utc(20_520, 7, 0));
        assert_eq!(first_ms("Africa/Cairo", 20_566, 24, 0), utc(20_566, 22, 0));
        assert!(Zone::new("Europe/Atlantis").is_none());
    }
}
