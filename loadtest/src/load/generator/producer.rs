//! The producer that a generator sends with.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use sluice::wire::proto;
use thiserror::Error;

use super::cpu::{Threads, Watch};
use super::ffi::TopicHandles;
use crate::cli::{ClusterArgs, property};
use crate::failure::Failure;
use crate::load::traffic::Kind;

/// How long the cluster may take to name a topic's partitions: a cold connection over TLS, and an election under way.
const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a topic that was just made may be unknown or without leaders.
const ELECTION_WITHIN: Duration = Duration::from_secs(3);

/// Pause before a topic is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Properties of the producer, as a good client sets them for throughput at a latency of a few milliseconds. What the
/// person who calls sets wins.
const PROPERTIES: [(&str, &str); 7] = [
    // Nothing is lost or doubled by the generator itself, and the commands of a pool keep their order.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // Gathers what is due within this time, in milliseconds, into one request.
    ("linger.ms", "2"),
    ("batch.size", "1000000"),
    // Bounds what waits for the brokers: beyond it the generator blocks, and says so.
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "1000000"),
    // A report for each record would cost as much as a third of sending it.
    ("delivery.report.only.error", "true"),
];

/// Properties that what is said about a run depends on, and why.
const RESERVED: [(&str, &str); 2] = [
    ("delivery.report.only.error", "acknowledgements are counted by it"),
    ("transactional.id", "a generator has no transactions"),
];

/// Numbers of the topics in the producer's handles.
const ORDERS: usize = 0;
const STOCK: usize = 1;

/// Where orders are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Brokers to ask first.
    pub bootstrap_servers: String,
    /// The topic.
    pub topic: String,
    /// Where shipments are published, with as many partitions.
    pub stock_topic: String,
    /// Properties of librdkafka over those that the generator sets.
    pub properties: Vec<(String, String)>,
}

impl Target {
    /// What the flags say.
    ///
    /// # Errors
    /// If a property is none, or is reserved.
    pub fn new(cluster: &ClusterArgs) -> Result<Self, Failure> {
        let written = cluster.client.iter().chain(&cluster.producer);
        let properties = written.map(|written| property(written)).collect::<Result<Vec<_>, _>>()?;
        for (name, _) in &properties {
            if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                return Err(Failure::usage(anyhow::anyhow!("--producer {name} may not be set: {reason}")));
            }
        }
        Ok(Self {
            bootstrap_servers: cluster.bootstrap_servers.clone(),
            topic: cluster.orders_topic.clone(),
            stock_topic: cluster.stock_topic.clone(),
            properties,
        })
    }
}

/// Why there is no producer.
#[derive(Debug, Error)]
pub enum ProducerError {
    /// A property that librdkafka refuses.
    #[error("the producer cannot be made: {0}")]
    Properties(KafkaError),
    /// The cluster does not answer.
    #[error(
        "{bootstrap_servers} does not answer within {} s: {error}; is it the right --bootstrap-servers?",
        ASK_TIMEOUT.as_secs()
    )]
    Unreachable {
        /// Who was asked.
        bootstrap_servers: String,
        /// librdkafka's reason.
        error: KafkaError,
    },
    /// The topic is not there, or may not be seen.
    #[error("topic {topic} on {bootstrap_servers}: {reason}; `sluice topics create` makes it")]
    Topic {
        /// The topic.
        topic: String,
        /// Who was asked.
        bootstrap_servers: String,
        /// The broker's reason.
        reason: String,
    },
}

impl From<ProducerError> for Failure {
    fn from(error: ProducerError) -> Self {
        match error {
            ProducerError::Properties(_) => Self::usage(error),
            ProducerError::Unreachable { .. } | ProducerError::Topic { .. } => Self::environment(error),
        }
    }
}

/// A connected producer of orders, and of what becomes of them in the warehouse.
pub struct Producer {
    pub(super) handles: TopicHandles<Reports>,
    pub(super) undelivered: Arc<Undelivered>,
    threads: Threads,
    partitions: u32,
}

impl Producer {
    /// Connects, and asks for the topic's partitions.
    ///
    /// # Errors
    /// If the cluster does not answer or has no such topic.
    pub fn connect(target: &Target) -> Result<Self, ProducerError> {
        let Target { bootstrap_servers, topic, stock_topic, properties } = target;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap_servers).set("client.id", "loadtest");
        for (name, value) in PROPERTIES {
            config.set(name, value);
        }
        for (name, value) in properties {
            config.set(name, value);
        }
        let undelivered = Arc::<Undelivered>::default();
        let watch = Watch::begin();
        let producer: BaseProducer<Reports> = config
            .create_with_context(Reports { undelivered: undelivered.clone(), stock_topic: stock_topic.clone() })
            .map_err(ProducerError::Properties)?;
        let refused = |reason: String| ProducerError::Topic {
            topic: topic.clone(),
            bootstrap_servers: bootstrap_servers.clone(),
            reason,
        };
        let deadline = Instant::now() + ELECTION_WITHIN;
        let partitions = loop {
            let metadata = producer
                .client()
                .fetch_metadata(Some(topic), ASK_TIMEOUT)
                .map_err(|error| ProducerError::Unreachable { bootstrap_servers: bootstrap_servers.clone(), error })?;
            let found = metadata.topics().first().ok_or_else(|| refused("not found".to_owned()))?;
            match found.error().map(RDKafkaErrorCode::from) {
                None if !found.partitions().is_empty() => break found.partitions().len() as u32,
                Some(error) if Instant::now() >= deadline => return Err(refused(error.to_string())),
                _ => std::thread::sleep(ASK_AGAIN),
            }
        };
        let mut handles = TopicHandles::new(producer);
        for (number, name) in [(ORDERS, topic), (STOCK, stock_topic)] {
            let added = handles.add(name).ok_or_else(|| refused(format!("{name:?} is no topic's name")))?;
            assert_eq!(added, number, "topics are told by the order in which they are added");
        }
        Ok(Self { handles, undelivered, threads: watch.end(), partitions })
    }

    /// Partitions of the topic.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The client's threads.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Number of the topic that records of a kind are for.
    pub(super) fn topic_of(kind: Kind) -> usize {
        if kind.is_of_stock() { STOCK } else { ORDERS }
    }

    /// Records that were handed over and neither acknowledged nor given up.
    pub(super) fn in_flight(&self) -> u64 {
        self.handles.producer().in_flight_count().max(0) as u64
    }
}

/// What could not be delivered.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    pub(super) records: AtomicU64,
    pub(super) commands: AtomicU64,
    /// Why the first one could not.
    pub(super) reason: OnceLock<String>,
}

/// Counts the deliveries that failed; the others are not reported.
pub(super) struct Reports {
    undelivered: Arc<Undelivered>,
    stock_topic: String,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let undelivered = &self.undelivered;
            undelivered.records.fetch_add(1, Relaxed);
            let value = message.payload().unwrap_or_default();
            let commands = if message.topic() == self.stock_topic {
                proto::StockCommands::decode(value).map_or(0, |value| value.commands.len())
            } else {
                proto::Commands::decode(value).map_or(0, |value| value.commands.len())
            };
            undelivered.commands.fetch_add(commands as u64, Relaxed);
            undelivered.reason.get_or_init(|| error.to_string());
        }
    }
}
