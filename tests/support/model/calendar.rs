//! Days, and when a zone's clock shows a time. Instants are searched by what the clock shows at each; no library is asked
//! for the instant of a local time, nor for anything but the offset at an instant.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

pub(crate) const DAY_MS: i64 = 86_400_000;
/// No clock is further from UTC.
const WIDEST_MS: i64 = 26 * HOUR_MS;
/// No clock is put forward and back again within so long.
const HOUR_MS: i64 = 3_600_000;

const FIRST_YEAR: i64 = 1970;
const LAST_YEAR: i64 = 9998;

static TABLE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| TABLE.available().map(|name| name.to_string()).collect());

fn days_of_year(year: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if leaps { 366 } else { 365 }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => days_of_year(year) - 337,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of a year.
fn days_before(year: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    365 * (year - FIRST_YEAR) + leap_days(year - 1) - leap_days(FIRST_YEAR - 1)
}

/// Days from 1970-01-01 to a day that is written yyyymmdd, if it is one of the calendar.
pub(crate) fn day_of(written: u32) -> Option<i64> {
    let written = i64::from(written);
    let (year, month, day) = (written / 10_000, written / 100 % 100, written % 100);
    let is_one = (FIRST_YEAR..=LAST_YEAR).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day);
    let months = (1..month).map(|month| days_of_month(year, month)).sum::<i64>();
    is_one.then(|| days_before(year) + months + day - 1)
}

/// How such a day is written, if it is one of the calendar.
pub(crate) fn written(day: i64) -> Option<u32> {
    if !(0..days_before(LAST_YEAR + 1)).contains(&day) {
        return None;
    }
    let (mut year, mut month) = (FIRST_YEAR + day / 366, 1);
    let mut left = day - days_before(year);
    while left >= days_of_year(year) {
        (left, year) = (left - days_of_year(year), year + 1);
    }
    while left >= days_of_month(year, month) {
        (left, month) = (left - days_of_month(year, month), month + 1);
    }
    u32::try_from(year * 10_000 + month * 100 + left + 1).ok()
}

/// 1 Monday to 7 Sunday; 1970-01-01 was a Thursday.
pub(crate) fn weekday(day: i64) -> u32 {
    (day + 3).rem_euclid(7) as u32 + 1
}

/// A time zone of the table.
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The one that is spelled exactly so.
    pub(crate) fn named(name: &str) -> Option<Zone> {
        let zone = NAMES.contains(name).then(|| TABLE.get(name).expect("the table has it"));
        zone.map(Zone)
    }

    fn offset_ms(&self, at: i64) -> i64 {
        let second = at.div_euclid(1_000).clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let at = Timestamp::from_second(second).expect("it is within them");
        1_000 * i64::from(self.0.to_offset(at).seconds())
    }

    /// What the clock shows: ms since 1970-01-01 00:00 of its own.
    pub(crate) fn shows(&self, at: i64) -> i64 {
        at + self.offset_ms(at)
    }

    /// The day that it shows.
    pub(crate) fn day(&self, at: i64) -> i64 {
        self.shows(at).div_euclid(DAY_MS)
    }

    /// The first instant at which it shows this, or anything later.
    pub(crate) fn reaches(&self, shown: i64) -> i64 {
        let mut from = shown - WIDEST_MS;
        loop {
            let until = self.turn(from, from + HOUR_MS);
            let at = from.max(shown - self.offset_ms(from));
            if at < until {
                return at;
            }
            from = until;
        }
    }

    /// The first instant behind `from` at which the clock is another distance from UTC, `to` at the latest.
    fn turn(&self, from: i64, to: i64) -> i64 {
        let (before, mut same, mut other) = (self.offset_ms(from), from, to);
        if self.offset_ms(to) == before {
            return to;
        }
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.offset_ms(middle) == before { same = middle } else { other = middle }
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cutoff(zone: &str, day: u32, seconds: i64) -> i64 {
        let day = day_of(day).expect("a day");
        Zone::named(zone).expect("a zone").reaches(day * DAY_MS + seconds * 1_000)
    }

    /// An instant of UTC.
    fn utc(day: u32, hour: i64, minute: i64) -> i64 {
        day_of(day).expect("a day") * DAY_MS + (hour * 60 + minute) * 60_000
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!((day_of(19_700_101), written(0)), (Some(0), Some(19_700_101)));
        for day in (0..days_before(LAST_YEAR + 1)).step_by(17) {
            assert_eq!(written(day).and_then(day_of), Some(day));
        }
        assert_eq!(day_of(20_000_301).unwrap() - day_of(20_000_228).unwrap(), 2);
        assert_eq!(day_of(99_981_231), Some(days_before(LAST_YEAR + 1) - 1));
        for none in [0, 1, 19_691_231, 99_990_101, 20_230_229, 21_000_229, 20_240_230, 20_240_431, 20_241_301, u32::MAX]
        {
            assert_eq!(day_of(none), None, "{none}");
        }
        assert_eq!([19_700_101, 20_260_308, 20_240_229].map(|day| weekday(day_of(day).unwrap())), [4, 7, 4]);
    }

    #[test]
    fn a_cutoff_is_the_first_instant_of_its_time_or_the_leap_over_it() {
        assert_eq!(cutoff("America/New_York", 20_261_101, 90 * 60), utc(20_261_101, 5, 30), "comes twice");
        assert_eq!(cutoff("America/New_York", 20_260_308, 150 * 60), utc(20_260_308, 7, 0), "is left out");
        assert_eq!(cutoff("Africa/Cairo", 20_260_423, 86_400), utc(20_260_423, 22, 0), "a midnight that is left out");
        // It shows midnight at 02:30 UTC, and a minute later 23:01 of the day before.
        assert_eq!(cutoff("America/St_Johns", 20_101_106, 86_400), utc(20_101_107, 2, 30));
        // A day that is left out.
        assert_eq!(cutoff("Pacific/Apia", 20_111_230, 43_200), utc(20_111_230, 10, 0));
        assert_eq!(cutoff("Pacific/Kiritimati", 20_240_229, 86_400), utc(20_240_229, 10, 0));
    }

    #[test]
    fn a_zone_is_spelled_as_in_the_table() {
        assert!(["Asia/Seoul", "ROK", "UTC", "Etc/GMT+12"].iter().all(|name| Zone::named(name).is_some()));
        assert!(["asia/seoul", "Mars/Olympus", "", "+09:00"].iter().all(|name| Zone::named(name).is_none()));
    }
}
