//! Deliveries drawn at random: few services, cutoffs close to the time at which they are drawn, in zones whose clock is
//! about to change, small figures, and some that are wrong in each way; what orders ask of them; and instants at which
//! something about them ends.

mod depot;
mod wrong;

use std::collections::BTreeMap;

use sluice::wire::proto::{ClosedDay, DeliveryService, DispatchDay, Late, Place, SetDelivery};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{LAST_ADVANCE, Step};
use crate::model::calendar::{DAY_MS, Zone, day_of, weekday, written};

pub(crate) use depot::{Depot, daily};

/// Where lives begin, a few seconds before a clock changes, a day begins, or days end: the day and the second of it, UTC,
/// and in which zone.
const STARTS: [(u32, i64, &str); 15] = [
    // An hour that is left out, and one that comes twice.
    (20_260_308, 7 * 3_600 - 2, "America/New_York"),
    (20_261_101, 6 * 3_600 - 2, "America/New_York"),
    (20_261_101, 5 * 3_600 + 1_798, "America/New_York"),
    (20_261_025, 3_598, "Europe/Berlin"),
    // Half an hour that comes twice, and a midnight that is left out.
    (20_260_404, 15 * 3_600 - 2, "Australia/Lord_Howe"),
    (20_260_423, 22 * 3_600 - 2, "Africa/Cairo"),
    (20_181_104, 3 * 3_600 - 2, "America/Sao_Paulo"),
    // Back over midnight: to the day before, as it would begin, or just after it has.
    (20_180_218, 2 * 3_600 - 2, "America/Sao_Paulo"),
    (20_101_107, 2 * 3_600 + 1_858, "America/St_Johns"),
    (20_101_107, 2 * 3_600 + 1_798, "America/St_Johns"),
    // A day that is left out.
    (20_111_230, 10 * 3_600 - 2, "Pacific/Apia"),
    // A leap day begins.
    (20_240_228, 15 * 3_600 - 2, "Asia/Seoul"),
    (20_240_228, 10 * 3_600 - 2, "Pacific/Kiritimati"),
    // An offset of 44 minutes and a half goes.
    (19_720_107, 2_668, "Africa/Monrovia"),
    // The last days of the calendar.
    (99_981_230, 24 * 3_600 - 2, "UTC"),
];

/// When no calendar has days any more.
const AFTER_ALL_DAYS_MS: i64 = 300_000_000_000_000;

/// Zones of which the date, or the hour, is another one than in most.
const ZONES: [&str; 8] = [
    "Asia/Seoul",
    "Pacific/Kiritimati",
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "Etc/GMT+12",
    "Africa/Monrovia",
    "Europe/Berlin",
];

/// The pool that most of a life is about which is about one.
const ONE_POOL: u8 = 20;

const NAMES: [&str; 3] = ["dawn", "day", "evening"];

/// Deliveries that were drawn last, by pool, but for those that are wrong.
pub(super) type Drawn = BTreeMap<String, SetDelivery>;

/// Instants at which a life may begin.
pub(crate) fn starts() -> Vec<i64> {
    let known = STARTS.iter().map(|(day, second, _)| day_of(*day).expect("a day") * DAY_MS + second * 1_000);
    known.chain([1_000_000, AFTER_ALL_DAYS_MS]).collect()
}

/// The zone whose clock is about to change, or any.
fn zone_about(now: i64, draw: &mut Draw) -> &'static str {
    let near = starts().into_iter().zip(STARTS).find(|(start, _)| (now - start).abs() < DAY_MS);
    match near {
        Some((_, (.., zone))) if draw.below(4) > 0 => zone,
        _ => draw.of(&ZONES),
    }
}

/// More numbers that a step is made of.
pub(super) struct Draw {
    of: Vec<u8>,
    count: u64,
}

impl Draw {
    pub(super) fn new(step: &Step, about: &str) -> Draw {
        let Step { what, pool, id, attempt, time, skus, units, twist, rule } = *step;
        let mut of = vec![what, pool, id, attempt, time, twist];
        of.extend(skus.into_iter().chain(units).chain(rule));
        of.extend(about.as_bytes());
        Draw { of, count: 0 }
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.count += 1;
        (xxh3_64_with_seed(&self.of, self.count) % end as u64) as usize
    }

    pub(super) fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Whether a step that sets a rule sets a delivery, and one that moves time looks for what a delivery ends at.
pub(super) fn is_meant(step: &Step) -> bool {
    step.skus[1] == 15 || step.what > LAST_ADVANCE && step.skus[1] % 8 == 7
}

impl Step {
    /// A step about one of two SKUs of a pool that has enough of both, by rules of delivery more than by others.
    pub(crate) fn delivered(self) -> Step {
        let step = self.ruled();
        let sets_rule = (52..=67).contains(&step.what);
        let what = if sets_rule && step.what < 58 { 90 + step.what % 40 } else { step.what };
        let skus = step.skus.map(|n| if n < 4 { n } else { 8 + n % 2 });
        let is_about_days = sets_rule && step.skus[1] < 224 || step.what <= LAST_ADVANCE && step.skus[1] < 80;
        let last = if is_about_days { 15 } else { skus[1] };
        let pool = if step.pool < 12 { step.pool } else { ONE_POOL };
        let attempt = if (210..=244).contains(&what) && step.attempt < 205 { step.attempt % 100 } else { step.attempt };
        Step { what, pool, attempt, skus: [skus[0], last], ..step }
    }
}

/// A delivery, or the end of one; and whether it is as it should be.
pub(super) fn delivery(step: &Step, now: i64) -> (SetDelivery, bool) {
    let mut draw = Draw::new(step, "delivery");
    if draw.below(3) == 0 {
        return (SetDelivery::default(), true);
    }
    let mut names = NAMES.to_vec();
    names.rotate_left(draw.below(3));
    names.truncate(draw.of(&[1, 1, 2, 3]));
    let mut it = SetDelivery { services: names.into_iter().map(|name| service(name, now, &mut draw)).collect() };
    let is_wrong = draw.below(4) == 0;
    if is_wrong {
        wrong::spoil(&mut it, &mut draw);
    }
    (it, !is_wrong)
}

fn service(name: &str, now: i64, draw: &mut Draw) -> DeliveryService {
    let time_zone = zone_about(now, draw);
    let shown = Zone::named(time_zone).expect("the table has it").shows(now);
    let (today, second) = (shown.div_euclid(DAY_MS), shown.rem_euclid(DAY_MS) / 1_000);
    let soon = |draw: &mut Draw| (second + draw.of(&[0, 1, 1, 1, 2, 2, 3, 5, 60])).clamp(1, 86_400) as u32;
    let times = [86_400, 86_400, 9_000, 8_100, 5_400, 1_800, 43_200, 1, 60, 86_399];
    let (all, one) = (soon(draw), if draw.below(2) == 0 { soon(draw) } else { draw.of(&times) });
    let weekdays = match draw.below(4) {
        // Every day, or some of those that come next, or one.
        0 | 1 => (0..7).collect(),
        2 => (0..4).filter(|_| draw.below(3) > 0).collect(),
        _ => vec![draw.of(&[0, 1])],
    };
    let mut days: Vec<_> = weekdays
        .into_iter()
        .map(|ahead| DispatchDay { weekday: weekday(today + ahead), cutoff_s: if ahead % 2 == 0 { all } else { one } })
        .collect();
    if days.is_empty() {
        days.push(DispatchDay { weekday: weekday(today), cutoff_s: all });
    }
    let closed: Vec<_> = (-1..5).filter(|_| draw.below(6) == 0).filter_map(|ahead| written(today + ahead)).collect();
    DeliveryService {
        name: name.into(),
        time_zone: time_zone.into(),
        days,
        lead: draw.of(&[0, 0, 0, 0, 1, 1, 1, 2, 2, 14]),
        closed: closed.into_iter().map(|day| ClosedDay { day }).collect(),
        orders_a_day: draw.of(&[0, 0, 1, 1, 2, 3, 1_000_000_000_000]),
        horizon: draw.of(&[1, 1, 2, 2, 3, 3, 9, 62]),
        late: draw.of(&[0, 1, 2]),
        grace_ms: draw.of(&[0, 0, 1, 20, 200, 200, 900, 86_400_000]),
    }
}

/// Adds to a Place what it asks of its delivery: seldom anything where its pool has none, and to some what cannot be.
pub(super) fn ask(it: &mut Place, step: &Step, drawn: &Drawn, now: i64) {
    let mut draw = Draw::new(step, "ask");
    let services = drawn.get(&it.pool).map(|delivery| &delivery.services[..]).unwrap_or_default();
    // Where all is about one pool, its delivery is what is asked about.
    let often = if step.pool == ONE_POOL { 55 } else { 14 };
    if draw.below(100) >= if services.is_empty() { 3 } else { often } {
        return;
    }
    it.service = match draw.below(40) {
        0 => "s".repeat(129),
        1 => "never".into(),
        2..=14 => String::new(),
        15..=18 => draw.of(&NAMES).into(),
        n => services.get(n % services.len().max(1)).map_or(String::new(), |service| service.name.clone()),
    };
    let zone = services.first().map_or("UTC", |service| &service.time_zone);
    let today = Zone::named(zone).expect("it is one of the table").day(now);
    it.day = match draw.below(24) {
        0 => draw.of(&[20_260_230, 19_691_231, 99_990_101, 1, u32::MAX]),
        1..=9 => 0,
        _ => written(today + draw.of(&[-1, 0, 0, 0, 1, 1, 1, 2, 2, 3, 8, 70])).unwrap_or(0),
    };
    it.late = match draw.below(40) {
        0 => draw.of(&[3, -1, i32::MIN]),
        1..=16 => Late::Unspecified.into(),
        n => [Late::Reject, Late::Roll, Late::Reject][n % 3].into(),
    };
}

/// Changes what a copy of a Place asks, which is content.
pub(super) fn ask_otherwise(it: &mut Place, step: &Step) {
    match Draw::new(step, "ask otherwise").below(5) {
        0 => it.service = if it.service.is_empty() { "dawn".into() } else { String::new() },
        1 => it.day = if it.day == 0 { 20_260_308 } else { 0 },
        2 => it.late = if it.late == 0 { 1 } else { 0 },
        3 => (it.service, it.day, it.late) = (String::new(), 0, 0),
        _ => {}
    }
}

/// An instant at which a day can be had no more, or a hold for it must end, or a count of it is forgotten, or one beside it.
pub(super) fn instant(drawn: &Drawn, step: &Step, now: i64) -> Option<i64> {
    let mut draw = Draw::new(step, "instant");
    let services: Vec<_> = drawn.values().flat_map(|delivery| &delivery.services).collect();
    if services.is_empty() || !is_meant(step) && draw.below(40) > 0 {
        return None;
    }
    let service = services[draw.below(services.len())];
    let zone = Zone::named(&service.time_zone).expect("it is one of the table");
    let today = zone.day(now);
    let day = today + draw.of(&[0, 0, 0, 1, 2]);
    let cutoff_s = service.days.iter().find(|it| it.weekday == weekday(day)).map(|it| i64::from(it.cutoff_s))?;
    let beside = draw.of(&[-1, 0, 0, 1]);
    let grace_ms = service.grace_ms as i64;
    let at = beside + zone.reaches(day * DAY_MS + cutoff_s * 1_000) + draw.of(&[0, 0, 0, grace_ms]);
    let far = draw.below(100);
    if now <= at && at < now + 5_000 {
        Some(at)
    } else if far < 4 {
        // Far away: all else is forgotten by then.
        Some(at.max(now))
    } else if far < 7 {
        let over = (today + draw.of(&[1, 2, 3])) * DAY_MS;
        Some((over + beside).max(now))
    } else {
        None
    }
}
