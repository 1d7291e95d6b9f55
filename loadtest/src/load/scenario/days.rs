//! Days: on which orders are delivered, how long goods keep, and what orders ask of their delivery.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sluice::wire::limits::{
    MAX_CLOSED_DAYS, MAX_GRACE_MS, MAX_HORIZON_DAYS, MAX_ID_BYTES, MAX_LEAD, MAX_LEAST_DAYS, MAX_LOTS, MAX_PARTS,
    MAX_SERVICES, MAX_STOCK_QUANTITY,
};

use super::check::Broken;
use super::rules::{meant, skus};
use super::{REHEARSAL_PREFIX, Scenario, Traffic, time};
use crate::load::traffic::MAX_SKUS;
use crate::load::traffic::days::{MOST_DAYS_ON, RUN_MARK_BYTES};

/// A service by which each pool delivers. Days are counted from the day of the first cutoff of the first service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRule {
    /// Its name.
    pub name: String,
    /// Whose clock it goes by: a name of the IANA database.
    pub time_zone: String,
    /// When the dispatch of a day closes, after the first order was due, on the next whole second; and at that time of
    /// day on every day.
    #[serde(with = "time")]
    pub cutoff: Duration,
    /// An order dispatched on a day is delivered on the dispatch day that follows as the so-many-th.
    #[serde(default = "next_day")]
    pub lead: u32,
    /// How many days ahead may be delivered.
    #[serde(default = "a_few_days")]
    pub horizon: u32,
    /// Orders that are delivered on a day; 0: any number. Follows the rate where stock does.
    #[serde(default)]
    pub orders_a_day: u64,
    /// What becomes of who cannot have the first day.
    #[serde(default)]
    pub late: Lateness,
    /// How long after its cutoff an order may still be held.
    #[serde(default, with = "time")]
    pub grace: Duration,
    /// Days on which it does not dispatch.
    #[serde(default)]
    pub closed: Vec<u32>,
}

/// What becomes of an order that cannot have the first day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lateness {
    /// It goes on the next day that takes it.
    #[default]
    Roll,
    /// It is rejected.
    Reject,
}

/// By how many days lots must outlast the day of delivery, in each pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessRule {
    /// Numbers of the SKUs; none: all.
    #[serde(default)]
    pub skus: Vec<u32>,
    /// Days, of which each of these SKUs has one, in turn.
    pub least_days: Vec<u32>,
}

impl FreshnessRule {
    /// Each SKU of it with its days, those without any left out.
    pub(crate) fn days(&self, all: u32) -> impl Iterator<Item = (u32, u32)> {
        let of = |sku: u32| (sku, self.least_days[sku as usize % self.least_days.len()]);
        meant(&self.skus, all).into_iter().map(of).filter(|(_, days)| *days > 0)
    }
}

/// Lots of which the opening stock is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lots {
    /// Share of SKUs that are lotted.
    pub share: f64,
    /// Each of them has a lot for each of these, in this order, with the same units: the last day of use, in days from
    /// that of the first cutoff; without a delivery from the day of the start.
    pub expires: Vec<u32>,
}

impl Lots {
    /// Whether a SKU is lotted.
    pub(crate) fn has(&self, sku: u32) -> bool {
        let before = |sku: u32| (f64::from(sku) * self.share + 1e-9).floor();
        before(sku + 1) > before(sku)
    }
}

/// What a share of the orders asks of its delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Of how many orders.
    pub share: f64,
    /// The service; empty: none is named.
    #[serde(default)]
    pub service: String,
    /// The day, so many days after that of the first cutoff; none: none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_days: Option<u32>,
    /// What is to become of it; none: as the service has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Lateness>,
}

fn next_day() -> u32 {
    1
}

fn a_few_days() -> u32 {
    3
}

/// What days must be, by themselves and to the rest of a scenario.
pub(super) fn check(scenario: &Scenario, length: Duration, broken: &mut Broken) {
    services(scenario, length, broken);
    let (traffic, all) = (&scenario.traffic, scenario.traffic.skus.min(MAX_SKUS));
    let mut named = vec![0_usize; all as usize];
    for (number, rule) in scenario.rules.freshness.iter().enumerate() {
        let key = format!("rules.freshness[{number}]");
        skus(&format!("{key}.skus"), &rule.skus, all, &mut named, broken);
        broken.unless(rule.least_days.iter().any(|days| *days > 0), || {
            format!("{key}.least_days has no day above 0: it says nothing; leave it out")
        });
        broken.unless(rule.least_days.iter().all(|days| *days <= MAX_LEAST_DAYS), || {
            format!("{key}.least_days: at most {MAX_LEAST_DAYS}")
        });
    }
    broken.unless(named.iter().all(|rules| *rules <= 1), || {
        "rules.freshness: two of them name the same SKU, and the later one would replace the other".to_owned()
    });
    lots(scenario, broken);
    asks(traffic, scenario, broken);
}

fn services(scenario: &Scenario, length: Duration, broken: &mut Broken) {
    let services = &scenario.rules.delivery;
    broken.unless(services.len() <= MAX_SERVICES, || {
        format!("rules.delivery are {} services: at most {MAX_SERVICES}", services.len())
    });
    for (number, service) in services.iter().enumerate() {
        let key = format!("rules.delivery[{number}]");
        broken.unless((1..=MAX_ID_BYTES).contains(&service.name.len()), || {
            format!("{key}.name = {:?}: must have 1 to {MAX_ID_BYTES} bytes", service.name)
        });
        broken.unless(services[..number].iter().all(|before| before.name != service.name), || {
            format!("{key}.name = {:?}: another service has that name", service.name)
        });
        broken.unless(TimeZone::get(&service.time_zone).is_ok(), || {
            format!(
                "{key}.time_zone = {:?} is none of the IANA database, for example \"Asia/Seoul\"",
                service.time_zone
            )
        });
        broken.unless(service.cutoff <= length, || {
            format!("{key}.cutoff is after the end of the profile: nothing would be seen of it")
        });
        broken.unless(service.lead <= MAX_LEAD, || format!("{key}.lead = {}: at most {MAX_LEAD}", service.lead));
        broken.unless(service.lead <= service.horizon, || {
            format!(
                "{key}.lead = {}: above {key}.horizon = {}, so that no day can be had",
                service.lead, service.horizon
            )
        });
        broken.unless((1..=MAX_HORIZON_DAYS).contains(&service.horizon), || {
            format!("{key}.horizon = {}: must be from 1 to {MAX_HORIZON_DAYS}", service.horizon)
        });
        broken.unless(service.orders_a_day <= MAX_STOCK_QUANTITY, || {
            format!("{key}.orders_a_day = {}: at most {MAX_STOCK_QUANTITY}", service.orders_a_day)
        });
        broken.unless(service.grace.as_millis() <= u128::from(MAX_GRACE_MS), || {
            format!("{key}.grace: at most {} h", MAX_GRACE_MS / 3_600_000)
        });
        broken.unless(service.closed.len() <= MAX_CLOSED_DAYS, || {
            format!("{key}.closed are {} days: at most {MAX_CLOSED_DAYS}", service.closed.len())
        });
        broken.unless(service.closed.iter().all(|day| *day <= MOST_DAYS_ON), || {
            format!("{key}.closed: days after that of the first cutoff, at most {MOST_DAYS_ON}")
        });
        let mut closed = service.closed.clone();
        closed.sort_unstable();
        closed.dedup();
        broken.unless(closed.len() == service.closed.len(), || format!("{key}.closed names a day twice"));
    }
    if let (super::Pools::Named(names), false) = (&scenario.traffic.pools, services.is_empty()) {
        let most = MAX_ID_BYTES - RUN_MARK_BYTES;
        broken.unless(names.iter().all(|name| name.len() <= most), || {
            format!(
                "traffic.pools: with rules.delivery names have at most {most} bytes: the run's name is added to them"
            )
        });
    }
}

fn lots(scenario: &Scenario, broken: &mut Broken) {
    let (lots, traffic) = (&scenario.traffic.lots, &scenario.traffic);
    broken.unless((0.0..=1.0).contains(&lots.share), || {
        format!("traffic.lots.share = {}: must be from 0 to 1", lots.share)
    });
    broken.unless((lots.share > 0.0) != lots.expires.is_empty(), || {
        format!(
            "traffic.lots has share = {} and {} days in expires: name both, or neither",
            lots.share,
            lots.expires.len()
        )
    });
    broken.unless(lots.expires.len() <= MAX_LOTS && lots.expires.iter().all(|days| *days <= MOST_DAYS_ON), || {
        format!("traffic.lots.expires: at most {MAX_LOTS} lots, of at most {MOST_DAYS_ON} days")
    });
    let parts = lots.expires.len() * traffic.lines.most as usize;
    broken.unless(parts <= MAX_PARTS, || {
        format!(
            "traffic.lots.expires has {} lots, with traffic.lines.most = {}: an order of {parts} parts would be rejected, \
             and {MAX_PARTS} are allowed; lower one of them",
            lots.expires.len(),
            traffic.lines.most
        )
    });
    for (number, movement) in scenario.warehouse.iter().enumerate() {
        let key = format!("warehouse[{number}]");
        let of_other_kind = movement.meant(scenario).into_iter().find(|sku| lots.has(*sku) != movement.lot.is_some());
        broken.unless(of_other_kind.is_none(), || match (of_other_kind, movement.lot) {
            (Some(sku), None) => {
                format!("{key}.skus: SKU {sku} is lotted (traffic.lots.share), and no lot is named: name {key}.lot, or others")
            }
            (sku, _) => format!("{key}.skus: SKU {} has no lots: name others, or no lot", sku.unwrap_or_default()),
        });
        let count = lots.expires.len();
        broken.unless(movement.lot.is_none_or(|lot| (lot as usize) < count), || {
            format!("{key}.lot: traffic.lots.expires has {count} lots, numbered from 0")
        });
    }
}

fn asks(traffic: &Traffic, scenario: &Scenario, broken: &mut Broken) {
    let mut sum = 0.0;
    for (number, ask) in traffic.asks.iter().enumerate() {
        let key = format!("traffic.asks[{number}]");
        sum += ask.share;
        broken.unless(ask.share > 0.0, || format!("{key}.share = {}: must be above 0", ask.share));
        broken.unless(!ask.service.is_empty() || ask.in_days.is_some() || ask.late.is_some(), || {
            format!("{key} has neither service nor in_days nor late: it asks for nothing")
        });
        let is_known = ask.service.is_empty() || scenario.rules.delivery.iter().any(|it| it.name == ask.service);
        broken
            .unless(is_known, || format!("{key}.service = {:?} is none of rules.delivery: name it there", ask.service));
        broken.unless(ask.in_days.is_none_or(|days| days <= MOST_DAYS_ON), || {
            format!("{key}.in_days: at most {MOST_DAYS_ON}")
        });
    }
    broken.unless(sum <= 1.0 + 1e-9, || format!("traffic.asks: their shares are {sum} together: at most 1"));
    broken.unless(traffic.asks.is_empty() || !scenario.rules.delivery.is_empty(), || {
        format!(
            "traffic.asks without rules.delivery: pools {REHEARSAL_PREFIX}... deliver nothing; name a service there"
        )
    });
}
