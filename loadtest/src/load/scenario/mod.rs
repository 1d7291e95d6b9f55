//! What a run asks for: a TOML file of `config/scenarios/`, overrides on top, checked as a whole before anything is
//! sent.

mod load; // file, flags, errors that name key and fix
mod check; // what values must be, and to each other
mod time; // durations as people write them
pub mod rules; // selling rules, set before the first order
pub mod demand; // through which channels is ordered, and which pools are stormed
pub mod warehouse; // what happens to stock meanwhile
mod days; // when orders are delivered, and how long goods keep
mod command; // `loadtest scenarios`
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use check::MOST_PARTITIONS;
pub use command::command;
pub use days::{Ask, DeliveryRule, FreshnessRule, Lateness, Lots};
pub use demand::{Channel, Flood};
pub use load::{ScenarioError, built_in, load};
pub use rules::{ChannelsRule, LimitRule, Rules, SaleRule, ShareRule};
pub use warehouse::{Movement, MovementKind};

use crate::load::profile::{Profile, ProfileError};

/// Pools that may be ordered from without further words begin with this.
pub const REHEARSAL_PREFIX: &str = "rehearsal-";

/// A scenario. `config/scenarios/README.md` is the reference of every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, that of its file.
    pub name: String,
    /// What it rehearses and how to read its result. The first sentence stands in lists.
    pub description: String,
    /// Seed of the traffic.
    #[serde(default = "Scenario::default_seed")]
    pub seed: u64,
    /// How orders arrive at the rate of the profile.
    #[serde(default)]
    pub arrival: Arrival,
    /// Objectives, such as `p99 < 50ms`; one that is missed fails the run.
    #[serde(default)]
    pub thresholds: Vec<String>,
    /// Orders a second, over time.
    pub profile: ProfileSpec,
    /// What is ordered, and what becomes of it.
    #[serde(default)]
    pub traffic: Traffic,
    /// Selling rules, set before anything is on the shelves.
    #[serde(default)]
    pub rules: Rules,
    /// What happens to stock meanwhile.
    #[serde(default)]
    pub warehouse: Vec<Movement>,
    /// What the topics are to be that a run on this machine creates.
    #[serde(default)]
    pub topics: Topics,
    /// The end of the run, and its beginning.
    #[serde(default)]
    pub drain: Drain,
    /// What is broken on purpose, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

impl Scenario {
    fn default_seed() -> u64 {
        1
    }

    /// Whether days matter: orders are delivered by the day, or goods keep for some only.
    pub(crate) fn is_dated(&self) -> bool {
        let Rules { freshness, delivery, .. } = &self.rules;
        !freshness.is_empty() || !delivery.is_empty() || !self.traffic.lots.expires.is_empty()
    }

    /// Its profile, for all generators together.
    ///
    /// # Errors
    /// If a trace cannot be read.
    pub fn profile(&self) -> Result<Profile, ProfileError> {
        Profile::new(&self.profile)
    }
}

/// How records arrive at the rate of the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Evenly.
    Constant,
    /// Independently of each other, as customers do: short crowds and gaps.
    #[default]
    Poisson,
}

/// Orders a second (first copies of places; what follows an order comes on top), over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProfileSpec {
    /// The same all the time.
    Constant {
        /// Orders a second.
        rate: f64,
        /// For how long.
        #[serde(with = "time")]
        duration: Duration,
    },
    /// From one rate to another, then that.
    Ramp {
        /// Orders a second at the start.
        from: f64,
        /// Orders a second at the end.
        to: f64,
        /// How long the rise takes.
        #[serde(with = "time")]
        over: Duration,
        /// How long the last rate is held.
        #[serde(default, with = "time")]
        hold: Duration,
    },
    /// One rate after the other.
    Steps {
        /// Orders a second of each.
        rates: Vec<f64>,
        /// How long each is held.
        #[serde(with = "time")]
        each: Duration,
    },
    /// A base rate, a peak in it, and the base again.
    Spike {
        /// Orders a second around the peak.
        base: f64,
        /// Orders a second at the peak.
        peak: f64,
        /// How long the base is held first.
        #[serde(with = "time")]
        before: Duration,
        /// How long the rise takes, and the fall.
        #[serde(default, with = "time")]
        rise: Duration,
        /// How long the peak is held.
        #[serde(with = "time")]
        hold: Duration,
        /// How long the base is held afterwards.
        #[serde(with = "time")]
        after: Duration,
    },
    /// A rise, and then the same for long.
    Soak {
        /// Orders a second.
        rate: f64,
        /// How long the rise from nothing takes.
        #[serde(with = "time")]
        rise: Duration,
        /// How long the rate is held.
        #[serde(with = "time")]
        duration: Duration,
    },
    /// A recorded day: a CSV file with the columns `seconds` and `rate`, straight lines between its rows.
    Trace {
        /// The file; a relative path is relative to the scenario's file.
        file: PathBuf,
        /// Every rate is multiplied by this.
        #[serde(default = "one")]
        scale: f64,
        /// Seconds of the trace for each second of the run.
        #[serde(default = "one")]
        speed: f64,
    },
}

fn one() -> f64 {
    1.0
}

/// What is ordered, and what becomes of it. Shares are of all orders, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    /// Whose stock.
    pub pools: Pools,
    /// SKUs that each pool sells.
    pub skus: u32,
    /// Units of each SKU that are put on the shelf before the first order.
    pub units: u64,
    /// Units of the SKUs that `popularity` makes hot; 0: as many as of the others.
    pub hot_units: u64,
    /// Units are as many as the profile asks for as it is written: `--rate` and `--duration` change them likewise.
    pub units_follow_rate: bool,
    /// Lots of which that stock is made.
    pub lots: Lots,
    /// Which SKUs are wanted.
    pub popularity: Popularity,
    /// Lines of an order, each number as often as the others.
    pub lines: Lines,
    /// Orders that stand in one record, as a gateway gathers them: they are due together.
    pub orders_per_record: u32,
    /// Customers that order, each as often as the others.
    pub customers: u32,
    /// Share of orders that come in pairs: two in a row of one customer, each with lines of its own.
    pub pairs: f64,
    /// Segments that the checkout vouches for: each customer belongs to one of them, to each as many.
    pub segments: Vec<String>,
    /// Share of customers who belong to none of them.
    pub unsegmented: f64,
    /// Channels through which is ordered; none: one called "rehearsal".
    pub channels: Vec<Channel>,
    /// What some orders ask of their delivery.
    pub asks: Vec<Ask>,
    /// Pools that are wanted more for a while. The rate stays that of the profile.
    pub floods: Vec<Flood>,
    /// How long stock is held for an order that is neither confirmed nor cancelled.
    #[serde(with = "time")]
    pub hold: Duration,
    /// Orders that come a second time.
    pub duplicates: Duplicates,
    /// Orders that are paid.
    pub confirm: FollowUp,
    /// Of the paid orders those that leave the warehouse, `confirm.after` plus this long after the order.
    pub ship: FollowUp,
    /// Orders that are cancelled. What is neither confirmed nor cancelled is abandoned.
    pub cancel: FollowUp,
    /// Share of orders whose cancel comes before the order itself, which is then rejected.
    pub cancel_early: f64,
    /// Of the cancelled orders, early ones included: those that are placed again as the next attempt, `cancel.after`
    /// plus this long after the order.
    pub raise_attempt: FollowUp,
    /// Orders that must be answered in time or not at all.
    pub deadline: Deadline,
    /// Share of records after which one comes that cannot be read.
    pub poison: f64,
}

/// Pools, by their names or by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pools {
    /// One for each partition, named `rehearsal-0` and so on: every shard gets the same load.
    PerPartition,
    /// These, each as often as the others unless it is flooded.
    Named(Vec<String>),
}

/// Which SKUs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// The n-th most popular one in proportion to n to the power of -s. 1.0 is what shops see.
    Zipf {
        /// The exponent.
        s: f64,
    },
    /// A few take a share of all lines, the others the rest evenly.
    Hot {
        /// Share of lines that want a hot SKU.
        share: f64,
        /// How many are hot.
        skus: u32,
    },
    /// As `hot`, but every so often others are hot.
    MovingHotSet {
        /// Share of lines that want a hot SKU.
        share: f64,
        /// How many are hot at a time.
        skus: u32,
        /// How long.
        #[serde(with = "time")]
        every: Duration,
    },
}

/// Lines of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Fewest.
    pub least: u32,
    /// Most.
    pub most: u32,
    /// Most units of a line; from 1 to this, each number as often as the others.
    pub quantity: u32,
}

/// Orders that come a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Duplicates {
    /// Share of orders that are repeated as they were: answered DUPLICATE.
    pub exact: f64,
    /// Share of orders that are repeated with another quantity: answered CONFLICT.
    pub changed: f64,
    /// How long after the order.
    #[serde(with = "time")]
    pub after: Duration,
}

/// Something that follows a share of orders, this long after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowUp {
    /// Of how many.
    pub share: f64,
    /// How long afterwards.
    #[serde(with = "time")]
    pub after: Duration,
}

/// Orders that must be answered in time or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadline {
    /// Share of orders that have a deadline.
    pub share: f64,
    /// How long after it was due.
    #[serde(with = "time")]
    pub within: Duration,
}

/// What the topics are to be, where they are created for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Partitions of the inputs: shards; 0: two.
    pub partitions: u32,
    /// Partitions of the log: lanes; 0: as the engine has it.
    pub lanes: u32,
    /// How long an order id is remembered; 0: as the engine has it.
    #[serde(with = "time")]
    pub window: Duration,
    /// By how much a clock may be ahead of the broker's; 0: as the engine has it.
    #[serde(with = "time")]
    pub skew: Duration,
}

/// The end of the run, and its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long after the last order its decision may take to come; then it counts as missing.
    #[serde(with = "time")]
    pub within: Duration,
    /// When the engine is started, after the first order was due: until then the orders pile up. 0: before them.
    #[serde(with = "time")]
    pub engine_starts_at: Duration,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, after the first order was due.
    #[serde(with = "time")]
    pub at: Duration,
    /// What.
    pub what: FaultKind,
    /// Which one, from 0; nodes and brokers are counted in the order in which they were started.
    #[serde(default)]
    pub target: u32,
    /// How long until it is started or woken again; 0: never.
    #[serde(default, rename = "for", with = "time")]
    pub lasts: Duration,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL to an engine process.
    KillNode,
    /// SIGTERM to an engine process: it finishes what it has open.
    StopNode,
    /// SIGSTOP to an engine process: it answers nothing, and thinks that no time has passed.
    FreezeNode,
    /// SIGKILL to a broker.
    KillBroker,
    /// SIGTERM to a broker: it hands its partitions over.
    StopBroker,
    /// SIGSTOP to a broker.
    FreezeBroker,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            pools: Pools::PerPartition,
            skus: 10_000,
            units: 1_000_000_000,
            hot_units: 0,
            units_follow_rate: false,
            lots: Lots::default(),
            popularity: Popularity::Uniform,
            lines: Lines { least: 1, most: 3, quantity: 3 },
            orders_per_record: 1,
            customers: 10_000_000,
            pairs: 0.0,
            segments: Vec::new(),
            unsegmented: 0.0,
            channels: Vec::new(),
            asks: Vec::new(),
            floods: Vec::new(),
            hold: Duration::from_secs(15 * 60),
            duplicates: Duplicates::default(),
            confirm: FollowUp::default(),
            ship: FollowUp::default(),
            cancel: FollowUp::default(),
            cancel_early: 0.0,
            raise_attempt: FollowUp::default(),
            deadline: Deadline::default(),
            poison: 0.0,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { within: Duration::from_secs(30), engine_starts_at: Duration::ZERO }
    }
}

/// What stands for [`Pools::PerPartition`] in a file.
const PER_PARTITION: &str = "per-partition";

impl Serialize for Pools {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerPartition => serializer.serialize_str(PER_PARTITION),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Pools {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> serde::de::Visitor<'de> for Names {
            type Value = Pools;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "\"{PER_PARTITION}\" or a list of names, for example [\"rehearsal-east\"]")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pools, E> {
                match text {
                    PER_PARTITION => Ok(Pools::PerPartition),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Pools, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Pools::Named(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}
