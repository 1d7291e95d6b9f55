//! Through which channels is ordered, and which pools are stormed: what changes of the demand within a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice::wire::limits::MAX_ID_BYTES;

use super::check::Broken;
use super::{Pools, Traffic, time};

/// Most times as many orders as before that a flood may be.
const MOST_TIMES: f64 = 10_000.0;

/// A channel through which is ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name, as orders have it.
    pub name: String,
    /// How often it is ordered through, beside the other channels of the same time.
    #[serde(default = "one")]
    pub weight: f64,
    /// From when on, after the first order was due.
    #[serde(default, with = "time")]
    pub from: Duration,
    /// From when on it is quiet; 0: never.
    #[serde(default, with = "time")]
    pub until: Duration,
}

/// A pool that is wanted more than the others for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// Its name.
    pub pool: String,
    /// How many times as often as each of the others it is ordered from.
    pub times: f64,
    /// From when on, after the first order was due.
    #[serde(default, with = "time")]
    pub from: Duration,
    /// Until when; 0: to the end.
    #[serde(default, with = "time")]
    pub until: Duration,
}

fn one() -> f64 {
    1.0
}

/// Whether `at` lies between an instant and another one, which is none if it is 0.
pub(crate) fn is_within(at: Duration, from: Duration, until: Duration) -> bool {
    at >= from && (until.is_zero() || at < until)
}

impl Channel {
    /// Whether it is ordered through at an instant.
    pub(crate) fn is_open(&self, at: Duration) -> bool {
        is_within(at, self.from, self.until)
    }

    /// The instants at which some channel begins or ends, with that of the first order, in order.
    pub(crate) fn turns(channels: &[Self]) -> Vec<Duration> {
        let mut turns: Vec<_> = channels.iter().flat_map(|channel| [channel.from, channel.until]).collect();
        turns.push(Duration::ZERO);
        turns.sort_unstable();
        turns.dedup();
        turns
    }
}

impl Traffic {
    /// Multiplies the times at which the demand changes.
    pub(super) fn stretch(&mut self, factor: f64) {
        let channels = self.channels.iter_mut().flat_map(|channel| [&mut channel.from, &mut channel.until]);
        let floods = self.floods.iter_mut().flat_map(|flood| [&mut flood.from, &mut flood.until]);
        channels.chain(floods).for_each(|time| *time = time.mul_f64(factor));
    }

    /// Without instants: every channel is open, and no pool is wanted more than at another time.
    pub(crate) fn without_instants(mut self) -> Self {
        for channel in &mut self.channels {
            (channel.from, channel.until) = (Duration::ZERO, Duration::ZERO);
        }
        self.floods.retain(|flood| flood.from.is_zero() && flood.until.is_zero());
        self.asks.clear();
        self
    }

    /// Changes the stock with the demand.
    pub(super) fn follow(&mut self, factor: f64) {
        for units in [&mut self.units, &mut self.hot_units] {
            if *units > 0 {
                *units = ((*units as f64 * factor).round() as u64).max(1);
            }
        }
    }
}

/// What channels and floods must be, by themselves and to a profile of this length.
pub(super) fn check(traffic: &Traffic, length: Duration, broken: &mut Broken) {
    for (number, channel) in traffic.channels.iter().enumerate() {
        let key = format!("traffic.channels[{number}]");
        broken.unless((1..=MAX_ID_BYTES).contains(&channel.name.len()), || {
            format!("{key}.name = {:?}: must have 1 to {MAX_ID_BYTES} bytes", channel.name)
        });
        broken.unless(traffic.channels[..number].iter().all(|before| before.name != channel.name), || {
            format!("{key}.name = {:?}: another channel has that name", channel.name)
        });
        broken.unless(channel.weight > 0.0 && channel.weight.is_finite(), || {
            format!("{key}.weight = {}: must be above 0; one that is not ordered through is left out", channel.weight)
        });
        span(&key, channel.from, channel.until, broken);
    }
    let quiet = Channel::turns(&traffic.channels).into_iter().find(|turn| {
        let is_open = traffic.channels.iter().any(|channel| channel.is_open(*turn));
        *turn < length && !traffic.channels.is_empty() && !is_open
    });
    broken.unless(quiet.is_none(), || {
        format!(
            "traffic.channels: none is open from {} on, and orders still come: let one of them begin sooner or end later",
            humantime::format_duration(quiet.unwrap_or_default())
        )
    });
    for (number, flood) in traffic.floods.iter().enumerate() {
        let key = format!("traffic.floods[{number}]");
        let is_known = matches!(&traffic.pools, Pools::Named(names) if names.contains(&flood.pool));
        broken.unless(is_known, || format!("{key}.pool = {:?} is none of traffic.pools: name it there", flood.pool));
        broken.unless(flood.times > 1.0 && flood.times <= MOST_TIMES, || {
            format!("{key}.times = {}: must be above 1 and at most {MOST_TIMES}", flood.times)
        });
        span(&key, flood.from, flood.until, broken);
        broken.unless(flood.from < length, || {
            format!("{key}.from is after the end of the profile: nothing would be seen of it")
        });
    }
}

fn span(key: &str, from: Duration, until: Duration, broken: &mut Broken) {
    broken
        .unless(until.is_zero() || until > from, || format!("{key}.until must be after {key}.from, or 0s: to the end"));
}
