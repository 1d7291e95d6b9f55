//! Days as rules, lots and orders are told them. A run begins at any time of the day, so a scenario says when its first
//! cutoff is, and all its days are counted from the one on which that falls.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use sluice::wire::proto::{self, Late};

use super::id::RunId;
use crate::load::scenario::{Ask, DeliveryRule, Lateness, Scenario};

/// Most days after that of the first cutoff that a scenario may speak of: three years.
pub(crate) const MOST_DAYS_ON: u32 = 1_100;

/// What the names of pools are longer in a run with a delivery.
pub(crate) const RUN_MARK_BYTES: usize = 7;

const DAY_S: i64 = 24 * 60 * 60;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// A day, counted from 1970-01-01, as the contract writes it: yyyymmdd.
pub fn written(day: i32) -> u32 {
    let Ok(date) = EPOCH.checked_add(day.days()) else { return 0 };
    date.year().unsigned_abs() as u32 * 10_000 + date.month() as u32 * 100 + date.day() as u32
}

/// The day that is written so; none if it is none.
pub fn day_of(written: u32) -> Option<i32> {
    let (year, month, day) = (written / 10_000, written / 100 % 100, written % 100);
    let date = Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?;
    EPOCH.until(date).ok().map(|span| span.get_days())
}

/// The day from which a run that starts at this instant counts: that of the first cutoff of its first service, by that
/// one's clock. Without a delivery the day of the start, UTC.
pub fn first_day(scenario: &Scenario, start_unix_ms: i64) -> i32 {
    match scenario.rules.delivery.first() {
        Some(service) => cutoff(service, start_unix_ms).0,
        None => start_unix_ms.div_euclid(DAY_S * 1_000) as i32,
    }
}

/// Day and second of the day at which the first cutoff of a service falls, by its clock. Midnight is the end of the day
/// before.
fn cutoff(service: &DeliveryRule, start_unix_ms: i64) -> (i32, u32) {
    let after_ms = Duration::as_millis(&service.cutoff) as i64;
    let at_s = (start_unix_ms + after_ms + 999).div_euclid(1_000);
    let zone = TimeZone::get(&service.time_zone).unwrap_or(TimeZone::UTC);
    let offset_s = Timestamp::from_second(at_s).map_or(0, |at| zone.to_offset(at).seconds());
    let local_s = at_s + i64::from(offset_s);
    let (day, second) = (local_s.div_euclid(DAY_S) as i32, local_s.rem_euclid(DAY_S) as u32);
    if second == 0 { (day - 1, DAY_S as u32) } else { (day, second) }
}

/// The services of a run that starts at this instant and counts from `first_day`.
pub(super) fn services(scenario: &Scenario, start_unix_ms: i64, first_day: i32) -> Vec<proto::DeliveryService> {
    let service = |rule: &DeliveryRule| {
        let (_, cutoff_s) = cutoff(rule, start_unix_ms);
        let closed = rule.closed.iter().map(|days| proto::ClosedDay { day: written(first_day + *days as i32) });
        proto::DeliveryService {
            name: rule.name.clone(),
            time_zone: rule.time_zone.clone(),
            days: (1..=7).map(|weekday| proto::DispatchDay { weekday, cutoff_s }).collect(),
            lead: rule.lead,
            closed: closed.collect(),
            orders_a_day: rule.orders_a_day,
            horizon: rule.horizon,
            late: late(Some(rule.late)).into(),
            grace_ms: rule.grace.as_millis() as u64,
        }
    };
    scenario.rules.delivery.iter().map(service).collect()
}

fn late(asked: Option<Lateness>) -> Late {
    match asked {
        None => Late::Unspecified,
        Some(Lateness::Roll) => Late::Roll,
        Some(Lateness::Reject) => Late::Reject,
    }
}

/// What an order asks of its delivery. Of most orders nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The service; empty: none.
    pub service: String,
    /// The day, yyyymmdd; 0: none.
    pub day: u32,
    /// What is to become of it.
    pub late: Late,
}

impl Asked {
    pub(super) fn of(ask: &Ask, first_day: i32) -> Self {
        let day = ask.in_days.map_or(0, |days| written(first_day + days as i32));
        Self { service: ask.service.clone(), day, late: late(ask.late) }
    }
}

/// Name of a pool in a run with a delivery: rules of a pool, and what it has sold of each day, outlive a run, so each
/// run has pools of its own.
pub(super) fn pool_name(name: &str, run: RunId) -> String {
    format!("{name}-{run}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(time_zone: &str, cutoff_s: u64) -> DeliveryRule {
        let text = format!("name = \"dawn\"\ntime_zone = \"{time_zone}\"\ncutoff = \"{cutoff_s}s\"");
        toml::from_str(&text).expect("a service")
    }

    #[test]
    fn days_are_written_and_read() {
        for (day, text) in [(0, 19_700_101), (58, 19_700_228), (20_787, 20_261_130), (11_016, 20_000_229)] {
            assert_eq!((written(day), day_of(text)), (text, Some(day)));
        }
        assert_eq!((day_of(0), day_of(20_260_230), day_of(20_261_301)), (None, None, None));
    }

    #[test]
    fn a_cutoff_is_on_the_next_whole_second_of_the_local_day() {
        // 13:59:50.001 UTC is 22:59:50.001 in Seoul; ten seconds later are on the next second.
        let start_ms = (20_787 * DAY_S + 14 * 3_600 - 10) * 1_000 + 1;
        assert_eq!(cutoff(&service("Asia/Seoul", 10), start_ms), (20_787, 23 * 3_600 + 1));
        assert_eq!(cutoff(&service("Asia/Seoul", 9), start_ms), (20_787, 23 * 3_600));
        // Midnight is the end of a day, and after it the next one has begun.
        let midnight_ms = (20_787 * DAY_S + 15 * 3_600) * 1_000;
        assert_eq!(cutoff(&service("Asia/Seoul", 0), midnight_ms), (20_787, 86_400));
        assert_eq!(cutoff(&service("Asia/Seoul", 1), midnight_ms), (20_788, 1));
    }
}
