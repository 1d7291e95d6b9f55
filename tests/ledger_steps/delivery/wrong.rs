//! Deliveries that are wrong, each in one way, and some that only nearly are.

use sluice::wire::proto::{ClosedDay, DeliveryService, DispatchDay, SetDelivery};

use super::{Draw, written};
use crate::ledger_steps::rules::many;

/// One more than there may be.
const MANY_SERVICES: usize = 9;
const MANY_CLOSED: i64 = 101;

/// The largest figures.
const MOST_ORDERS: u64 = 1_000_000_000_000;
const LONGEST_GRACE_MS: u64 = 86_400_000;

/// Makes a delivery wrong.
pub(super) fn spoil(it: &mut SetDelivery, draw: &mut Draw) {
    let at = draw.below(it.services.len());
    let one = it.services[at].clone();
    let service = &mut it.services[at];
    match draw.below(34) {
        0 => service.name = String::new(),
        1 => service.name = "n".repeat(129),
        2 => service.time_zone = String::new(),
        3 => service.time_zone = "z".repeat(129),
        4..=6 => service.time_zone = draw.of(&["Mars/Olympus", "asia/seoul", "+09:00", "Asia/Seoul "]).into(),
        7 => it.services = many(MANY_SERVICES).into_iter().map(|name| of(&one, name)).collect(),
        8 => it.services = many(MANY_SERVICES - 1).into_iter().map(|name| of(&one, name)).collect(),
        9 | 10 => it.services.push(one),
        11 => service.closed = (0..MANY_CLOSED).filter_map(written).map(|day| ClosedDay { day }).collect(),
        12 => service.closed = (1..MANY_CLOSED).filter_map(written).map(|day| ClosedDay { day }).collect(),
        13 => service.days.clear(),
        14 => service.days.push(DispatchDay { weekday: draw.of(&[0, 8]), cutoff_s: 1 }),
        15 => service.days[0].cutoff_s = draw.of(&[0, 86_401]),
        16 | 17 => service.days.push(DispatchDay { cutoff_s: 7, ..service.days[0] }),
        // What is wrong first is told: a doubled weekday, and one that is none.
        18 => service.days.extend([service.days[0], DispatchDay { weekday: 9, cutoff_s: 7 }]),
        19 => service.lead = 15,
        20 => service.lead = 14,
        21 => service.closed.push(ClosedDay { day: draw.of(&[0, 20_260_229, 19_691_231, 99_990_101, 20_261_301]) }),
        22 | 23 => service.closed.extend([ClosedDay { day: 20_240_229 }; 2]),
        24 => service.orders_a_day = MOST_ORDERS + 1,
        25 => service.horizon = draw.of(&[0, 63]),
        26 => service.late = draw.of(&[3, -1]),
        27 => service.grace_ms = LONGEST_GRACE_MS + 1,
        28 => (service.horizon, service.orders_a_day) = (0, u64::MAX),
        29 => (service.time_zone, service.lead) = ("Mars/Olympus".into(), 15),
        30 => (service.lead, service.late) = (15, 3),
        // The first of two that are wrong.
        31 => {
            service.horizon = 63;
            it.services.push(of(&one, "of nowhere".into()));
            it.services.last_mut().expect("it was just added").time_zone = "Mars/Olympus".into();
        }
        32 => it.services.insert(0, of(&one, "n".repeat(129))),
        _ => (service.horizon, service.grace_ms, service.orders_a_day) = (62, LONGEST_GRACE_MS, MOST_ORDERS),
    }
}

fn of(service: &DeliveryService, name: String) -> DeliveryService {
    DeliveryService { name, ..service.clone() }
}
