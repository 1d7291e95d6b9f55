//! What the values of a scenario must be, by themselves and to each other.

use sluice::wire::limits::{MAX_COMMANDS, MAX_ID_BYTES, MAX_LINES, MAX_RECORD_BYTES, MAX_STOCK_QUANTITY};

use super::{Pools, Popularity, REHEARSAL_PREFIX, Scenario, Topics, Traffic, days, demand, rules, warehouse};
use crate::load::profile::Profile;
use crate::load::traffic::{Kind, MAX_CUSTOMERS, MAX_QUANTITY, MAX_SKUS, delay};
use crate::report::result::Threshold;

/// Longest delay of what follows an order: what is due waits in memory.
const LONGEST_DELAY_S: u64 = 3_600;

/// Most partitions of topics that are created for a run: each costs a broker files.
pub(crate) const MOST_PARTITIONS: u32 = 1_000;

/// Most segments that customers may belong to: the verifier keeps a bit for each.
pub(super) const MOST_SEGMENTS: usize = 64;

/// Most pools, times the different numbers of lines, times the segments, times the channels, times what is asked of the
/// delivery: for each there are prepared bytes.
const MOST_TEMPLATES: usize = 20_000;

/// Bytes of an order that all its lines come on top of, at the most, its pool, segment, channel and service among them; bytes of a
/// line.
const ORDER_BYTES: usize = 128 + 4 * MAX_ID_BYTES;
const LINE_BYTES: usize = 18;

/// Every rule that is broken, as key, value and what is allowed.
pub(super) fn check(scenario: &Scenario, real_pools: bool) -> Result<(), Vec<String>> {
    let mut broken = Broken(Vec::new());
    pools(&scenario.traffic.pools, real_pools, &mut broken);
    traffic(&scenario.traffic, &mut broken);
    rules::check(&scenario.rules, &scenario.traffic, &mut broken);
    remembered(scenario, &mut broken);
    layout(scenario.topics, &mut broken);
    broken.unless(!scenario.name.is_empty() && !scenario.description.trim().is_empty(), || {
        "name and description must not be empty: reports show them".to_owned()
    });
    for written in &scenario.thresholds {
        if let Err(error) = written.parse::<Threshold>() {
            broken.0.push(error.to_string());
        }
    }
    match Profile::new(&scenario.profile) {
        Err(error) => broken.0.push(error.to_string()),
        Ok(profile) => {
            for (number, fault) in scenario.faults.iter().enumerate() {
                broken.unless(fault.at <= profile.duration(), || {
                    format!("faults[{number}].at is after the end of the profile: nothing would be seen of it")
                });
            }
            demand::check(&scenario.traffic, profile.duration(), &mut broken);
            warehouse::check(scenario, profile.duration(), &mut broken);
            days::check(scenario, profile.duration(), &mut broken);
            let timed = scenario.rules.first_timed().filter(|_| !scenario.drain.engine_starts_at.is_zero());
            broken.unless(timed.is_none(), || {
                let key = timed.unwrap_or_default();
                format!("{key} with drain.engine_starts_at: no engine is there to be told the instants")
            });
            for (number, sale) in scenario.rules.sale.iter().enumerate() {
                broken.unless(sale.opens <= profile.duration(), || {
                    format!("rules.sale[{number}].opens is after the end of the profile: nothing would be sold")
                });
            }
            broken.unless(scenario.drain.engine_starts_at <= profile.duration(), || {
                "drain.engine_starts_at is after the end of the profile".to_owned()
            });
        }
    }
    if broken.0.is_empty() { Ok(()) } else { Err(broken.0) }
}

pub(super) struct Broken(Vec<String>);

impl Broken {
    pub(super) fn unless(&mut self, kept: bool, rule: impl FnOnce() -> String) {
        if !kept {
            self.0.push(rule());
        }
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, from: T, to: T) {
        let kept = value >= from && value <= to;
        self.unless(kept, || format!("traffic.{key} = {value}: must be from {from} to {to}"));
    }

    fn share(&mut self, key: &str, share: f64) {
        self.range(key, share, 0.0, 1.0);
    }
}

/// A lane is the log of one shard or more.
fn layout(topics: Topics, broken: &mut Broken) {
    let Topics { partitions, lanes, .. } = topics;
    broken.unless(partitions <= MOST_PARTITIONS, || {
        format!("topics.partitions = {partitions}: must be from 0 (two) to {MOST_PARTITIONS}")
    });
    broken.unless(lanes == 0 || lanes <= partitions, || {
        format!("topics.lanes = {lanes}: must be 0 (as the engine has it), or at most topics.partitions, {partitions}")
    });
}

/// What follows an order finds it known only within the window.
fn remembered(scenario: &Scenario, broken: &mut Broken) {
    let window = scenario.topics.window;
    let longest = Kind::ALL.into_iter().map(|kind| (delay(scenario, kind), kind)).max_by_key(|(delay, _)| *delay);
    let Some((longest, kind)) = longest.filter(|(delay, _)| !window.is_zero() && *delay >= window) else { return };
    broken.0.push(format!(
        "topics.window = {}: {kind:?} comes {} after its order, which is no longer known then: raise topics.window",
        humantime::format_duration(window),
        humantime::format_duration(longest)
    ));
}

fn pools(pools: &Pools, real_pools: bool, broken: &mut Broken) {
    let Pools::Named(names) = pools else { return };
    broken.unless(!names.is_empty(), || "traffic.pools must not be empty".to_owned());
    for name in names {
        broken.unless(!name.is_empty() && name.len() <= MAX_ID_BYTES, || {
            format!("traffic.pools: {name:?} must have 1 to {MAX_ID_BYTES} bytes")
        });
        broken.unless(real_pools || name.starts_with(REHEARSAL_PREFIX), || {
            format!(
                "traffic.pools: {name:?} does not begin with {REHEARSAL_PREFIX:?}, so its stock may be real. Rename \
                 it, or say --i-want-to-order-from-real-pools if real stock is to be sold to orders that nobody placed"
            )
        });
    }
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    broken.unless(sorted.len() == names.len(), || "traffic.pools names a pool twice".to_owned());
}

fn traffic(traffic: &Traffic, broken: &mut Broken) {
    broken.range("skus", traffic.skus, 1, MAX_SKUS);
    broken.range("units", traffic.units, 1, MAX_STOCK_QUANTITY);
    broken.range("hot_units", traffic.hot_units, 0, MAX_STOCK_QUANTITY);
    broken.range("orders_per_record", traffic.orders_per_record, 1, MAX_COMMANDS as u32);
    broken.range("customers", traffic.customers, 1, MAX_CUSTOMERS);
    broken.share("pairs", traffic.pairs);
    segments("traffic.segments", &traffic.segments, MOST_SEGMENTS, broken);
    broken.share("unsegmented", traffic.unsegmented);
    let lines = traffic.lines;
    broken.range("lines.least", lines.least, 1, MAX_LINES as u32);
    broken.range("lines.most", lines.most, lines.least, MAX_LINES as u32);
    broken.range("lines.quantity", lines.quantity, 1, MAX_QUANTITY);
    let record = traffic.orders_per_record as usize * (ORDER_BYTES + lines.most as usize * LINE_BYTES);
    broken.unless(record <= MAX_RECORD_BYTES, || {
        format!(
            "traffic.orders_per_record = {} with traffic.lines.most = {}: records of up to {record} bytes, and \
             {MAX_RECORD_BYTES} are allowed; lower one of them",
            traffic.orders_per_record, lines.most
        )
    });
    if let Pools::Named(names) = &traffic.pools {
        let templates = names.len().saturating_mul((lines.most.saturating_sub(lines.least) + 1) as usize);
        let templates = templates.saturating_mul(traffic.segments.len() + 1);
        let templates = templates.saturating_mul(traffic.channels.len().max(1));
        let templates = templates.saturating_mul(traffic.asks.len() + 1);
        broken.unless(templates <= MOST_TEMPLATES, || {
            format!(
                "traffic.pools has {} names: too many for orders of up to {} lines from {} segments by {} channels, which \
                 ask for {} things",
                names.len(),
                lines.most,
                traffic.segments.len(),
                traffic.channels.len().max(1),
                traffic.asks.len()
            )
        });
    }
    popularity(traffic, broken);
    broken.share("duplicates.exact", traffic.duplicates.exact);
    broken.share("duplicates.changed", traffic.duplicates.changed);
    broken.share("duplicates.exact + duplicates.changed", traffic.duplicates.exact + traffic.duplicates.changed);
    broken.share("confirm.share", traffic.confirm.share);
    broken.share("ship.share", traffic.ship.share);
    broken.share("cancel.share", traffic.cancel.share);
    broken.share("cancel_early", traffic.cancel_early);
    broken.share(
        "confirm.share + cancel.share + cancel_early",
        traffic.confirm.share + traffic.cancel.share + traffic.cancel_early,
    );
    broken.share("raise_attempt.share", traffic.raise_attempt.share);
    broken.share("deadline.share", traffic.deadline.share);
    broken.share("poison", traffic.poison);
    for (key, after) in [
        ("duplicates.after", traffic.duplicates.after),
        ("confirm.after", traffic.confirm.after),
        ("ship.after", traffic.ship.after),
        ("cancel.after", traffic.cancel.after),
        ("raise_attempt.after", traffic.raise_attempt.after),
        ("deadline.within", traffic.deadline.within),
    ] {
        broken.range(&format!("{key} (in seconds)"), after.as_secs(), 0, LONGEST_DELAY_S);
    }
}

/// A list of segments under `key`, of up to `most`.
pub(super) fn segments(key: &str, segments: &[String], most: usize, broken: &mut Broken) {
    broken.unless(segments.len() <= most, || format!("{key} has {} names: at most {most}", segments.len()));
    for name in segments {
        broken.unless((1..=MAX_ID_BYTES).contains(&name.len()), || {
            format!("{key}: {name:?} must have 1 to {MAX_ID_BYTES} bytes")
        });
    }
    let mut sorted = segments.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    broken.unless(sorted.len() == segments.len(), || format!("{key} names a segment twice"));
}

fn popularity(traffic: &Traffic, broken: &mut Broken) {
    match traffic.popularity {
        Popularity::Uniform => {}
        Popularity::Zipf { s } => broken.range("popularity.s", s, 0.0, 5.0),
        Popularity::Hot { share, skus } | Popularity::MovingHotSet { share, skus, .. } => {
            broken.share("popularity.share", share);
            broken.range("popularity.skus", skus, 1, traffic.skus);
            broken.unless(skus < traffic.skus || share == 1.0, || {
                format!(
                    "traffic.popularity.skus = {skus}: all are hot, so popularity.share must be 1.0, or traffic.skus \
                     more than {skus}"
                )
            });
        }
    }
    broken.unless(traffic.hot_units == 0 || matches!(traffic.popularity, Popularity::Hot { .. }), || {
        "traffic.hot_units is for traffic.popularity.kind = \"hot\" only".to_owned()
    });
}
