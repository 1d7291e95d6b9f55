//! Deliveries as a warehouse sets them, and what checkouts ask of them: cutoffs within the seconds that a run takes, in zones
//! of three different days and hours, so that days fill up, close and are given back while orders are on the way.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sluice::wire::proto::{ClosedDay, DeliveryService, DispatchDay, Place, SetDelivery};

use crate::model::calendar::{DAY_MS, Zone, weekday, written};

const SERVICES: [&str; 2] = ["dawn", "day"];
const ZONES: [&str; 3] = ["Asia/Seoul", "UTC", "America/New_York"];

/// What a clock of one of the zones shows.
fn shown(zone: &str, now_ms: i64) -> i64 {
    Zone::named(zone).expect("the table has it").shows(now_ms)
}

/// One service or two, or the end of them.
pub fn delivery(now_ms: i64, rng: &mut StdRng) -> SetDelivery {
    let mut names = if rng.random_bool(0.3) { Vec::new() } else { SERVICES.to_vec() };
    if rng.random() {
        names.reverse();
        names.truncate(1);
    }
    SetDelivery { services: names.into_iter().map(|name| service(name, now_ms, rng)).collect() }
}

fn service(name: &str, now_ms: i64, rng: &mut StdRng) -> DeliveryService {
    let time_zone = ZONES.choose(rng).copied().expect("there are some");
    let shown = shown(time_zone, now_ms);
    let (today, second) = (shown.div_euclid(DAY_MS), shown.rem_euclid(DAY_MS) / 1_000);
    let soon = (second + rng.random_range(0..6)) as u32;
    let later = if rng.random() { 86_400 } else { soon };
    let cutoff_s = |ahead| if ahead == 0 { soon } else { later };
    let ahead = (0..7).filter(|ahead| *ahead == 0 || rng.random_bool(0.9));
    let days = ahead.map(|ahead| DispatchDay { weekday: weekday(today + ahead), cutoff_s: cutoff_s(ahead) });
    let days = days.collect();
    let closed = (0..3).filter(|_| rng.random_bool(0.1)).filter_map(|ahead| written(today + ahead));
    let closed: Vec<_> = closed.map(|day| ClosedDay { day }).collect();
    DeliveryService {
        name: name.into(),
        time_zone: time_zone.into(),
        days,
        lead: rng.random_range(0..3),
        closed,
        orders_a_day: if rng.random_bool(0.4) { 0 } else { rng.random_range(1..5) },
        horizon: rng.random_range(1..5),
        late: rng.random_range(0..3),
        grace_ms: rng.random_range(0..1_500),
    }
}

/// What an order asks, if it asks for anything.
pub fn ask(it: &mut Place, now_ms: i64, rng: &mut StdRng) {
    if rng.random_bool(0.75) {
        return;
    }
    if rng.random() {
        it.service = SERVICES.choose(rng).copied().expect("there are some").into();
    }
    if rng.random_bool(0.6) {
        let today = shown(ZONES[0], now_ms).div_euclid(DAY_MS);
        it.day = written(today + rng.random_range(-1..4)).expect("it is one of the calendar");
    }
    it.late = rng.random_range(0..3);
}
