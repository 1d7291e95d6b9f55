//! Days as the contract writes them, yyyymmdd, and as they are reckoned with: counted from 1970-01-01, by the Gregorian
//! calendar.

use jiff::civil::{Date, date};

/// From which days are counted.
const EPOCH: Date = date(1970, 1, 1);

/// The day that is written so; none if it is no day from 1970 to 9999.
pub(crate) fn date_of(yyyymmdd: u32) -> Option<Date> {
    let (year, month, day) = (yyyymmdd / 10_000, yyyymmdd / 100 % 100, yyyymmdd % 100);
    let date = Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?;
    (date >= EPOCH).then_some(date)
}

/// Days from 1970-01-01 to the day that is written so; none if it is no day from 1970 to 9999.
pub fn days_since_epoch(yyyymmdd: u32) -> Option<i32> {
    const DAY_HOURS: i64 = 24;
    let since = date_of(yyyymmdd)?.duration_since(EPOCH);
    i32::try_from(since.as_hours() / DAY_HOURS).ok()
}

/// Days from 1970-01-01 to the UTC day of an instant, which is ms since then.
pub fn utc_day(at_ms: i64) -> i32 {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    at_ms.div_euclid(DAY_MS).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before() {
        let of_year = |year: u32| (year * 10_000..(year + 1) * 10_000).filter_map(days_since_epoch);
        assert!((1_960..10_010).flat_map(of_year).eq(0..2_932_897));
        let leap = [1972, 2000, 2023, 2024, 2100, 2400].map(|year| of_year(year).count());
        assert_eq!(leap, [366, 366, 365, 366, 365, 366]);
    }

    #[test]
    fn days_are_where_other_calendars_have_them() {
        for (written, days) in [
            (19_700_101, Some(0)),
            (20_000_229, Some(11_016)),
            (20_240_301, Some(19_783)),
            (99_991_231, Some(2_932_896)),
            (20_230_229, None),
            (20_240_431, None),
            (20_240_000, None),
            (20_241_301, None),
            (19_691_231, None),
            (u32::MAX, None),
            (0, None),
        ] {
            assert_eq!(days_since_epoch(written), days, "{written}");
        }
        let noon_ms = 19_783 * 86_400_000 + 43_200_000;
        assert_eq!([noon_ms, 0, -1, i64::MAX].map(utc_day), [19_783, 0, -1, i32::MAX]);
    }
}
