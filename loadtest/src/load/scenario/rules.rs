//! Selling rules that a run sets before anything is on the shelves, and what they must be.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice::wire::limits::{MAX_CHANNELS, MAX_LIMIT_SKUS, MAX_SEGMENTS, MAX_STOCK_QUANTITY};

use super::check::{Broken, MOST_SEGMENTS, segments};
use super::days::{DeliveryRule, FreshnessRule};
use super::{Traffic, time};
use crate::load::traffic::MAX_SKUS;

/// Longest name of a limit: the run's name, and what else its command's id says, come in front of it.
const MAX_LIMIT_NAME_BYTES: usize = 64;

/// Limits that one SKU may stand under, by the contract.
const MOST_LIMITS_A_SKU: usize = 2;

/// Selling rules. They name SKUs, never a whole pool: SKUs are named after the run, so that no rule outlives it in a
/// pool that others order from. A delivery is of a pool; so where there is one, pools are named after the run too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// When SKUs are sold, and to whom.
    pub sale: Vec<SaleRule>,
    /// How much of them each customer may have.
    pub limit: Vec<LimitRule>,
    /// How their stock is shared among channels.
    pub channels: Vec<ChannelsRule>,
    /// How long goods must keep.
    pub freshness: Vec<FreshnessRule>,
    /// The services by which each pool delivers, the one first that orders have which name none.
    pub delivery: Vec<DeliveryRule>,
}

/// When SKUs are sold, and to whom, in each pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaleRule {
    /// Numbers of the SKUs; none: all.
    pub skus: Vec<u32>,
    /// Not sold before, after the first order was due.
    #[serde(with = "time")]
    pub opens: Duration,
    /// Not sold from then on; 0: always.
    #[serde(with = "time")]
    pub closes: Duration,
    /// Segments of which a customer must have one; none: everybody may buy.
    pub only: Vec<String>,
    /// Each SKU is for one of them, in turn.
    pub in_turn: bool,
}

impl SaleRule {
    /// Whether it says anything of instants, which are known only with the start of a run.
    pub fn is_timed(&self) -> bool {
        !self.opens.is_zero() || !self.closes.is_zero()
    }

    /// The segments that a SKU of it is for.
    pub(crate) fn only_of(&self, sku: u32) -> &[String] {
        match (self.in_turn, self.only.len()) {
            (false, _) | (_, 0) => &self.only,
            (true, count) => std::slice::from_ref(&self.only[sku as usize % count]),
        }
    }
}

/// How much of some SKUs together each customer may have, in each pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// What it is called; the name of the run comes in front of it.
    pub name: String,
    /// Numbers of the SKUs; none: all.
    #[serde(default)]
    pub skus: Vec<u32>,
    /// Units that a customer may have; 0: any number.
    #[serde(default)]
    pub units: u64,
    /// Units of one order; 0: any number.
    #[serde(default)]
    pub units_an_order: u64,
}

/// How the stock of SKUs is shared among channels, in each pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelsRule {
    /// Numbers of the SKUs; none: all.
    #[serde(default)]
    pub skus: Vec<u32>,
    /// The shares, those that are covered first in front.
    pub shares: Vec<ShareRule>,
    /// From then on nothing is protected any more, after the first order was due; 0: always protected.
    #[serde(default, with = "time")]
    pub protected_until: Duration,
}

/// What a channel has of a SKU. Figures are shares of the units that were put on the shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareRule {
    /// Its name; empty: all that no share names.
    pub channel: String,
    /// What nobody else may take.
    #[serde(default)]
    pub protected: f64,
    /// What is sold through it at most; none: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

impl Rules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let Self { sale, limit, channels, freshness, delivery } = self;
        let goods = channels.is_empty() && freshness.is_empty() && delivery.is_empty();
        goods && sale.is_empty() && limit.is_empty()
    }

    /// Whether some rule speaks of instants.
    pub fn are_timed(&self) -> bool {
        self.first_timed().is_some()
    }

    /// The key of the first rule that speaks of instants.
    pub(super) fn first_timed(&self) -> Option<String> {
        let sale = self.sale.iter().position(SaleRule::is_timed).map(|number| format!("rules.sale[{number}]"));
        let channels = || self.channels.iter().position(|channels| !channels.protected_until.is_zero());
        let delivery = || (!self.delivery.is_empty()).then(|| "rules.delivery".to_owned());
        sale.or_else(|| channels().map(|number| format!("rules.channels[{number}]"))).or_else(delivery)
    }

    /// Without instants: what is sold is sold from the start, to the same customers, and nothing is delivered by the day.
    pub(crate) fn without_instants(mut self) -> Self {
        for sale in &mut self.sale {
            (sale.opens, sale.closes) = (Duration::ZERO, Duration::ZERO);
        }
        self.sale.retain(|sale| !sale.only.is_empty());
        for channels in &mut self.channels {
            channels.protected_until = Duration::ZERO;
        }
        self.delivery.clear();
        self
    }

    /// Multiplies every time.
    pub(super) fn stretch(&mut self, factor: f64) {
        let sales = self.sale.iter_mut().flat_map(|sale| [&mut sale.opens, &mut sale.closes]);
        let channels = self.channels.iter_mut().map(|channels| &mut channels.protected_until);
        let cutoffs = self.delivery.iter_mut().map(|service| &mut service.cutoff);
        sales.chain(channels).chain(cutoffs).for_each(|time| *time = time.mul_f64(factor));
    }

    /// Changes what a day takes, with the demand.
    pub(super) fn follow(&mut self, factor: f64) {
        for service in self.delivery.iter_mut().filter(|service| service.orders_a_day > 0) {
            service.orders_a_day = ((service.orders_a_day as f64 * factor).round() as u64).max(1);
        }
    }
}

/// The SKUs that a rule means, of a scenario that has `all`.
pub(crate) fn meant(skus: &[u32], all: u32) -> Vec<u32> {
    if skus.is_empty() { (0..all).collect() } else { skus.to_vec() }
}

/// What the rules of a scenario must be, by themselves and to its traffic.
pub(super) fn check(rules: &Rules, traffic: &Traffic, broken: &mut Broken) {
    if rules.is_empty() {
        return;
    }
    let all = traffic.skus.min(MAX_SKUS);
    let mut sales = vec![0_usize; all as usize];
    for (number, sale) in rules.sale.iter().enumerate() {
        let key = format!("rules.sale[{number}]");
        skus(&format!("{key}.skus"), &sale.skus, all, &mut sales, broken);
        broken.unless(sale.is_timed() || !sale.only.is_empty(), || {
            format!("{key} has neither opens nor closes nor only: it says nothing")
        });
        only(&key, sale, traffic, broken);
        broken.unless(sale.closes.is_zero() || sale.closes > sale.opens, || {
            format!("{key}.closes must be after {key}.opens")
        });
    }
    broken.unless(sales.iter().all(|sales| *sales <= 1), || {
        "rules.sale: two of them name the same SKU, and the later one would replace the other".to_owned()
    });
    let mut limits = vec![0_usize; all as usize];
    for (number, limit) in rules.limit.iter().enumerate() {
        let key = format!("rules.limit[{number}]");
        skus(&format!("{key}.skus"), &limit.skus, all, &mut limits, broken);
        let named = if limit.skus.is_empty() { all as usize } else { limit.skus.len() };
        broken.unless(named <= MAX_LIMIT_SKUS, || {
            format!("{key}.skus are {named}, and a limit counts at most {MAX_LIMIT_SKUS} together: name fewer")
        });
        broken.unless((1..=MAX_LIMIT_NAME_BYTES).contains(&limit.name.len()), || {
            format!("{key}.name = {:?}: must have 1 to {MAX_LIMIT_NAME_BYTES} bytes", limit.name)
        });
        broken.unless(rules.limit[..number].iter().all(|before| before.name != limit.name), || {
            format!("{key}.name = {:?}: another limit has that name, and would be replaced", limit.name)
        });
        broken.unless(limit.units > 0 || limit.units_an_order > 0, || {
            format!("{key} has neither units nor units_an_order: it limits nothing")
        });
        broken.unless(limit.units.max(limit.units_an_order) <= MAX_STOCK_QUANTITY, || {
            format!("{key}: units and units_an_order must be at most {MAX_STOCK_QUANTITY}")
        });
    }
    broken.unless(limits.iter().all(|limits| *limits <= MOST_LIMITS_A_SKU), || {
        format!("rules.limit: a SKU stands under more than {MOST_LIMITS_A_SKU} of them")
    });
    channels(&rules.channels, traffic, all, broken);
    let opens = rules.sale.iter().any(|sale| !sale.opens.is_zero());
    broken.unless(!opens || traffic.duplicates.changed == 0.0, || {
        format!(
            "traffic.duplicates.changed = {}: must be 0 where rules.sale opens later, because what was refused before \
             the opening is not remembered, and its changed copy is an order like any other",
            traffic.duplicates.changed
        )
    });
}

/// How stock is shared.
fn channels(rules: &[ChannelsRule], traffic: &Traffic, all: u32, broken: &mut Broken) {
    let mut named = vec![0_usize; all as usize];
    let most = (MAX_STOCK_QUANTITY / traffic.units.max(traffic.hot_units).max(1)) as f64;
    for (number, rule) in rules.iter().enumerate() {
        let key = format!("rules.channels[{number}]");
        skus(&format!("{key}.skus"), &rule.skus, all, &mut named, broken);
        broken.unless((1..=MAX_CHANNELS).contains(&rule.shares.len()), || {
            format!("{key}.shares are {}: must be 1 to {MAX_CHANNELS}", rule.shares.len())
        });
        for (at, share) in rule.shares.iter().enumerate() {
            let (key, name) = (format!("{key}.shares[{at}]"), &share.channel);
            let is_known = name.is_empty() || traffic.channels.iter().any(|channel| channel.name == *name);
            broken.unless(is_known, || {
                format!("{key}.channel = {name:?} is none of traffic.channels: nobody would order through it; name it in both")
            });
            broken.unless(rule.shares[..at].iter().all(|before| before.channel != *name), || {
                format!("{key}.channel = {name:?} has a share before")
            });
            let mut figures = [Some(share.protected), share.at_most].into_iter().flatten();
            broken.unless(figures.all(|figure| (0.0..=most).contains(&figure)), || {
                format!("{key}: protected and at_most are shares of the units on the shelf, from 0 to {most}")
            });
            broken.unless(share.at_most.is_none_or(|at_most| share.protected <= at_most), || {
                format!("{key}.protected = {}: must not be above its at_most", share.protected)
            });
        }
        let protects = rule.shares.iter().any(|share| share.protected > 0.0);
        broken.unless(protects || rule.protected_until.is_zero(), || {
            format!("{key}.protected_until: nothing is protected; give a share some, or leave it out")
        });
    }
    broken.unless(named.iter().all(|rules| *rules <= 1), || {
        "rules.channels: two of them name the same SKU, and the later one would replace the other".to_owned()
    });
}

/// Whom a sale is for.
fn only(key: &str, sale: &SaleRule, traffic: &Traffic, broken: &mut Broken) {
    let most = if sale.in_turn { MOST_SEGMENTS } else { MAX_SEGMENTS };
    segments(&format!("{key}.only"), &sale.only, most, broken);
    broken.unless(!sale.in_turn || !sale.only.is_empty(), || {
        format!("{key}.in_turn without {key}.only: name the segments that SKUs are for in turn")
    });
    broken.unless(sale.only.is_empty() || sale.only.iter().any(|name| traffic.segments.contains(name)), || {
        format!("{key}.only names none of traffic.segments: no customer could buy; name one of them in both")
    });
}

/// SKUs that a rule names, of `all`, counted in `named`.
pub(super) fn skus(key: &str, skus: &[u32], all: u32, named: &mut [usize], broken: &mut Broken) {
    for sku in skus {
        broken.unless(*sku < all, || format!("{key} names {sku}: {all} are sold (traffic.skus), numbered from 0"));
    }
    let mut sorted = skus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    broken.unless(sorted.len() == skus.len(), || format!("{key} names a SKU twice"));
    for sku in meant(&sorted, all) {
        if let Some(count) = named.get_mut(sku as usize) {
            *count += 1;
        }
    }
}
