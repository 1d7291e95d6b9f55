//! Everything that a run found, stored as JSON. Fields are only ever added; a change of meaning raises [`VERSION`].
//!
//! Times are seconds since the start of the load (`_s`), or microseconds (`_us`). "Commands" are what was sent
//! (places, confirms, cancels); each is answered by one decision.

use super::flood::Flood;
use super::format::{bytes, count};
use super::latency::Latency;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What the field `format` says.
pub const FORMAT: &str = "sluice-loadtest-report";

/// Version of the format. A reader refuses a higher one.
pub const VERSION: u32 = 1;

/// The result of one run, or of several generators' runs merged into one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`FORMAT`].
    pub format: String,
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// What was run, where and when.
    pub meta: Meta,
    /// How the run ended.
    pub ended: Ended,
    /// Sums over the whole run.
    pub totals: Totals,
    /// Intended send time to decision readable, all commands that were answered.
    pub latency: Latency,
    /// How far behind the intended time the generator handed commands to its client: its own fault, contained in
    /// `latency`.
    pub generator_lag: Latency,
    /// Answers by outcome (`RESERVED`, `REJECTED`, `DUPLICATE`, … as in the wire contract).
    pub outcomes: BTreeMap<String, OutcomeTotal>,
    /// One entry a second from the start of the load to the end of the drain, none left out.
    pub seconds: Vec<Second>,
    /// Faults and other moments that a reader of the charts must know.
    pub marks: Vec<Mark>,
    /// What was proven from the decisions.
    pub verification: Verification,
    /// The thresholds as asked for, judged. Filled by [`Report::judge`].
    pub verdicts: Vec<Verdict>,
    /// What limited the run. Filled by [`Report::find_saturation`].
    pub saturation: Saturation,
    /// Remarks for people, such as what was skipped and why.
    pub notes: Vec<String>,
    /// What the engines knew, if they could be asked.
    #[serde(default)]
    pub known: Option<Known>,
    /// What the flood of a pool cost the others, if there was one.
    #[serde(default)]
    pub flood: Option<Flood>,
}

/// What was run, where and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Names this run in its order ids.
    pub run_id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// What the scenario is for.
    pub description: String,
    /// The scenario as run, overrides applied, as TOML: with the seed it repeats the run.
    pub scenario_toml: String,
    /// Seed of the traffic.
    pub seed: u64,
    /// Generators that shared the run.
    pub generators: u32,
    /// Which of them this report covers, from 0.
    pub parts: Vec<u32>,
    /// Version of this program.
    pub tester_version: String,
    /// Version and commit of the engine, if it was told.
    pub engine: Option<String>,
    /// What the cluster says of itself, such as "Apache Kafka 4.1, 3 brokers, replication 3".
    pub cluster: Option<String>,
    /// Partitions of the input: shards that the engine runs.
    pub shards: u32,
    /// Partitions of the log: lanes, which the shards share. None in a result from before there were any: as many as shards.
    #[serde(default)]
    pub lanes: Option<u32>,
    /// Orders in a record, as the scenario asks.
    pub orders_per_record: u32,
    /// Logical processors of the generator's host.
    pub host_cores: u32,
    /// Processor model of the generator's host.
    pub host_cpu: String,
    /// When the load began: RFC 3339, UTC.
    pub started_at: String,
}

impl Meta {
    /// Partitions of the log.
    pub fn lanes(&self) -> u32 {
        self.lanes.unwrap_or(self.shards)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The whole profile was run and drained.
    Completed,
    /// Stopped by a person; the figures cover what was sent until then.
    Interrupted,
    /// Something that the run needs went away: says what.
    Broken(String),
}

/// Sums over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How long the load lasted, in seconds; the drain after it not counted.
    pub load_s: f64,
    /// From the end of the load to the last decision, in seconds.
    pub drain_s: f64,
    /// Commands that the profile asked for.
    pub asked: u64,
    /// Commands handed to the Kafka client.
    pub sent: u64,
    /// Commands that the broker acknowledged.
    pub acknowledged: u64,
    /// Commands whose record the client gave up on.
    pub failed: u64,
    /// Commands that were due within the load and were not sent.
    pub unsent: u64,
    /// Commands of this run that were answered, each counted once.
    pub decided: u64,
    /// Records that could not be read on purpose.
    pub poison: u64,
    /// Dead letters seen for them.
    pub dead_letters: u64,
    /// Records handed to the Kafka client.
    pub records: u64,
    /// Bytes of their values, before compression.
    pub record_bytes: u64,
    /// SKUs of pools that were asked for by somebody in whose way no rule stood: each was sold as far as there was any.
    #[serde(default)]
    pub wanted_skus: u64,
    /// Orders that were refused because their channel could not have so much.
    #[serde(default)]
    pub quota: u64,
    /// Units on the shelf that no channel could have had when somebody was refused so: of each SKU the most at a time.
    #[serde(default)]
    pub stranded: u64,
    /// Units that were kept for a channel until its protection ended.
    #[serde(default)]
    pub kept: u64,
    /// Units of SKUs shared among channels that nobody had at the end.
    #[serde(default)]
    pub left_over: u64,
    /// Orders that were reserved for a later day, because one that they might have had was full.
    #[serde(default)]
    pub rolled: u64,
    /// Orders that were refused because their days were full.
    #[serde(default)]
    pub full: u64,
    /// Orders that were refused because their day was no longer to be had.
    #[serde(default)]
    pub too_late: u64,
    /// Units that were sold although they expire too early for their delivery.
    #[serde(default)]
    pub expired_sold: u64,
}

/// What the engines knew, before the first order and at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// With the stock on its shelves, and the rules set.
    pub before: Footprint,
    /// When everything was answered.
    pub after: Footprint,
}

/// What the engines know at one moment, all shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Stock rows.
    pub rows: u64,
    /// Identities of what is closed.
    pub remembered_ids: u64,
    /// Orders held or committed.
    pub open_orders: u64,
    /// Bytes that ledgers have set aside.
    pub ledger_bytes: u64,
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, remembered_ids, open_orders, ledger_bytes } = *self;
        let [rows, ids, orders] = [rows, remembered_ids, open_orders].map(count);
        write!(f, "{rows} stock rows, {ids} closed ids and {orders} open orders in {}", bytes(ledger_bytes))
    }
}

/// Answers of one outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutcomeTotal {
    /// How many.
    pub count: u64,
    /// Intended send time to decision readable.
    pub latency: Latency,
}

/// One second of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which one, from 0.
    pub second: u32,
    /// Commands that the profile asked for in it.
    pub asked: u64,
    /// Commands handed to the client in it.
    pub sent: u64,
    /// Commands acknowledged in it.
    pub acknowledged: u64,
    /// Commands given up on in it.
    pub failed: u64,
    /// Commands whose decision became readable in it.
    pub decided: u64,
    /// The same, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Latency of the commands **intended** for this second, whenever they were answered: so a stall shows from where
    /// it began and in full.
    pub latency: Latency,
    /// The furthest that the generator was behind the intended time, in microseconds.
    pub generator_lag_us: u64,
    /// Commands acknowledged and not yet answered at the end of the second: the engine's lag.
    pub undecided: u64,
    /// CPU and memory of each side that can be seen from here.
    pub usage: BTreeMap<Side, Usage>,
    /// Processors of the host in use by anybody, if it can be seen.
    pub host_busy_cores: Option<f64>,
}

impl Second {
    /// A second in which nothing has happened yet.
    pub fn new(second: u32) -> Self {
        Self {
            second,
            asked: 0,
            sent: 0,
            acknowledged: 0,
            failed: 0,
            decided: 0,
            outcomes: BTreeMap::new(),
            latency: Latency::of_second(),
            generator_lag_us: 0,
            undecided: 0,
            usage: BTreeMap::new(),
            host_busy_cores: None,
        }
    }
}

/// Who uses CPU and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What makes and sends the commands.
    Generator,
    /// What reads and verifies the decisions.
    Reader,
    /// All brokers together.
    Broker,
    /// All engine processes together.
    Engine,
}

impl Side {
    /// All, in the order in which tables and charts show them.
    pub const ALL: [Self; 4] = [Self::Engine, Self::Broker, Self::Generator, Self::Reader];

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Reader => "reader",
            Self::Broker => "broker",
            Self::Engine => "engine",
        }
    }
}

/// CPU and memory of one side in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processors in use: 1.0 is one of them for the whole second.
    pub cores: f64,
    /// Resident memory, in bytes; none where threads of one process are told apart and memory is not.
    pub rss_bytes: Option<u64>,
}

/// Something that happened at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// When, in seconds.
    pub at_s: f64,
    /// For how long, if it lasted.
    pub for_s: Option<f64>,
    /// What, as the scenario names it: `kill-node`, `stop-broker`.
    pub what: String,
    /// To whom, and what came of it.
    pub detail: String,
}

/// What was proven from the decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether it was carried out to the end.
    pub complete: bool,
    /// Commands that were checked.
    pub checked: u64,
    /// What was found wrong; empty if all is as it must be.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// How often a promise was found broken.
    pub fn count(&self, check: Check) -> u64 {
        self.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.count).sum()
    }
}

/// One way in which decisions can be wrong, found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which promise is broken.
    pub check: Check,
    /// How often.
    pub count: u64,
    /// A few of them in words: order id, what was expected, what was read.
    pub examples: Vec<String>,
}

/// A promise about decisions. Any that is broken fails the run, whatever its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Every acknowledged command has an answer.
    Lost,
    /// No command has two.
    Doubled,
    /// The answer is the one that the rules give: a duplicate's original, a conflict for changed content, and so on.
    Wrong,
    /// Of no SKU more was reserved than was there.
    Oversold,
    /// Nothing was sold that a selling rule rules out.
    RuledOut,
    /// The answer came before the drain's time was up.
    Late,
    /// Nothing was answered that was not sent.
    Unexpected,
}

impl Check {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::Lost, Self::Doubled, Self::Wrong, Self::Oversold, Self::RuledOut, Self::Late, Self::Unexpected];

    /// As thresholds, tables and JSON name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Wrong => "wrong",
            Self::Oversold => "oversold",
            Self::RuledOut => "ruled_out",
            Self::Late => "late",
            Self::Unexpected => "unexpected",
        }
    }

    /// Whether each of several generators judges everybody's decisions by it, and not its own only.
    pub fn is_of_all(self) -> bool {
        matches!(self, Self::Oversold | Self::RuledOut)
    }

    /// The promise, in words.
    pub fn promise(self) -> &'static str {
        match self {
            Self::Lost => "every acknowledged command is answered",
            Self::Doubled => "no command is answered twice",
            Self::Wrong => "each answer is the one that the rules give",
            Self::Oversold => "no SKU is reserved beyond its stock",
            Self::RuledOut => "nothing is sold that a rule rules out",
            Self::Late => "every answer comes before the drain ends",
            Self::Unexpected => "nothing is answered that was not sent",
        }
    }
}

/// A threshold, judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// As asked for: `p99 < 50ms`.
    pub threshold: String,
    /// What the run had, with its unit.
    pub found: String,
    /// Whether the threshold held.
    pub held: bool,
}

/// What limited the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// The side that had no more to give; none if nothing was saturated.
    pub side: Option<Side>,
    /// The generator did not keep up with the profile: the figures are a bound on the generator, not on the engine.
    pub generator_bound: bool,
    /// Share of the host's processors in use over the load, 0 to 1, if it can be seen.
    pub host_busy: Option<f64>,
    /// Processors of the host in use over the load by none of the sides, if both can be seen.
    #[serde(default)]
    pub others_cores: Option<f64>,
    /// The host was full, and much of it was in use by others than the run: the figures are a bound on what was left.
    #[serde(default)]
    pub crowded: bool,
    /// Each side over the load.
    pub sides: BTreeMap<Side, SideTotal>,
    /// One sentence for people.
    pub explained: String,
}

/// One side over the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideTotal {
    /// Mean of the processors in use.
    pub mean_cores: f64,
    /// The most in one second.
    pub peak_cores: f64,
    /// CPU for each command that was answered, in microseconds.
    pub cpu_us_per_command: f64,
    /// Largest resident memory, in bytes.
    pub peak_rss_bytes: Option<u64>,
}
