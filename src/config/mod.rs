//! The configuration: one TOML file, the environment over it, flags over both.
//!
//! `config/sluice.toml` is the default configuration itself: it is compiled in, so every key has one default and one
//! description, and its keys are the known keys. A layer may set some of them and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kafka;

mod keys; // the known keys, and what each may be set to
mod layers; // defaults, file, environment and flags, laid over each other
mod load; // from these layers to a checked configuration, and back to text
mod duration; // durations as people write them in flags
pub mod secrets; // which librdkafka properties are never shown
pub mod error; // what can be wrong, where, and how to put it right

pub use duration::parse_duration;
pub use error::{ConfigError, ConfigErrors, Origin};
pub use layers::{ENVIRONMENT_PREFIX, FlagSetting};
pub use load::{Loaded, Sources, load};
pub use secrets::Properties;

/// The default configuration, `config/sluice.toml`, with every key and its description.
pub const DEFAULTS: &str = include_str!("../../config/sluice.toml");

/// Properties of librdkafka that name a file, or a directory of them.
const FILES: [&str; 5] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.crl.location", "ssl.key.location", "ssl.keystore.location"];

/// Instead of a file: wherever this system keeps its authorities.
const PROBE: &str = "probe";

/// The whole configuration, checked. Durations are in milliseconds (`_ms`), sizes in bytes (`_bytes`).
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Names of the topics.
    pub topics: Topics,
    /// What a shard's ledger may hold.
    pub ledger: Ledger,
    /// How decisions are grouped into commits.
    pub batch: Batch,
    /// The node's watchdog and its end.
    pub node: Node,
    /// The HTTP endpoint.
    pub http: Http,
    /// Logs.
    pub log: Log,
}

/// `[kafka]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Kafka {
    pub bootstrap_servers: String,
    pub client_id: String,
    pub group_id: String,
    pub session_timeout_ms: u64,
    pub commit_timeout_ms: u64,
    pub transaction_timeout_ms: u64,
    pub receive_queue_bytes: usize,
    pub common: Properties,
    pub consumer: Properties,
    pub producer: Properties,
}

/// `[topics]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Topics {
    pub orders: String,
    pub stock: String,
    pub decisions: String,
    pub replies: String,
    pub dead_letters: String,
    #[serde(with = "empty_is_none")]
    pub per_decision: Option<String>,
}

/// `[ledger]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Ledger {
    pub default_hold_ms: u64,
    pub max_hold_ms: u64,
    pub expected_ids: usize,
    pub max_remembered_bytes: u64,
}

/// `[batch]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Batch {
    pub min_interval_ms: u64,
    pub max_bytes: usize,
    pub max_decisions: u32,
}

/// `[node]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Node {
    pub stall_timeout_ms: u64,
    pub shutdown_timeout_ms: u64,
}

impl Node {
    /// After this without a step a shard counts as stuck.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }

    /// After this a node that was told to stop ends all the same.
    pub fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.shutdown_timeout_ms)
    }
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// None: not served.
    #[serde(with = "empty_is_none")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented once, in config/sluice.toml")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text an event, coloured on a terminal only.
    Text,
    /// A JSON object an event.
    Json,
}

impl Config {
    /// The default configuration.
    pub fn defaults() -> Self {
        load(&Sources::default()).expect("a test loads the default configuration").config
    }

    /// What the Kafka side needs of it.
    pub fn kafka_settings(&self) -> kafka::Settings {
        let (kafka, topics) = (&self.kafka, &self.topics);
        kafka::Settings {
            bootstrap_servers: kafka.bootstrap_servers.clone(),
            client_id: kafka.client_id.clone(),
            group_id: kafka.group_id.clone(),
            topics: kafka::TopicNames {
                orders: topics.orders.clone(),
                stock: topics.stock.clone(),
                decisions: topics.decisions.clone(),
                replies: topics.replies.clone(),
                dead_letters: topics.dead_letters.clone(),
                per_decision: topics.per_decision.clone(),
            },
            common: kafka.common.0.clone(),
            consumer: kafka.consumer.0.clone(),
            producer: kafka.producer.0.clone(),
            commit_timeout: Duration::from_millis(kafka.commit_timeout_ms),
            transaction_timeout: Duration::from_millis(kafka.transaction_timeout_ms),
            session_timeout: Duration::from_millis(kafka.session_timeout_ms),
            receive_queue_bytes: kafka.receive_queue_bytes,
            delivery: kafka::Delivery::Transactional,
        }
    }

    /// Files that librdkafka is told to read, by the key that names them: it says which property failed, and not which
    /// file.
    pub fn files(&self) -> impl Iterator<Item = (String, &str)> {
        let kafka = &self.kafka;
        let tables = [("common", &kafka.common), ("consumer", &kafka.consumer), ("producer", &kafka.producer)];
        tables.into_iter().flat_map(|(table, properties)| {
            properties
                .0
                .iter()
                .filter(|(name, value)| FILES.contains(&name.as_str()) && value.as_str() != PROBE)
                .map(move |(name, value)| (format!("kafka.{table}.{name}"), value.as_str()))
        })
    }

    /// Every topic that the engine reads or writes, by the key that names it.
    pub fn topic_names(&self) -> Vec<(&'static str, &str)> {
        let topics = &self.topics;
        let mut names = vec![
            ("topics.orders", topics.orders.as_str()),
            ("topics.stock", &topics.stock),
            ("topics.decisions", &topics.decisions),
            ("topics.replies", &topics.replies),
            ("topics.dead_letters", &topics.dead_letters),
        ];
        names.extend(topics.per_decision.as_deref().map(|name| ("topics.per_decision", name)));
        names
    }
}

/// TOML has no null: an empty text says that something is off.
mod empty_is_none {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }

    pub(super) fn serialize<T: ToString, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.as_ref().map(T::to_string).unwrap_or_default())
    }
}
