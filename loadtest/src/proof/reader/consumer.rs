//! The clients that read: their settings, and the ends of the log before a run.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use thiserror::Error;

/// Bytes fetched ahead for each partition, KiB: links of a second at full speed.
const QUEUE_KIB: u32 = 65_536;

/// Bytes asked for at once from a partition: the longest link, and many of the usual ones.
const FETCH_PARTITION_BYTES: u32 = 4 << 20;

/// Bytes of one answer to a fetch; librdkafka wants its receive buffer larger than this.
const FETCH_BYTES: u32 = 64 << 20;

/// How long a broker holds a fetch open that finds nothing, ms. What arrives ends it at once.
const FETCH_WAIT_MS: u32 = 500;

/// How long a question to the cluster may take: a cold connection over TLS, and an election under way.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// Why decisions cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The cluster does not answer, or refuses.
    #[error("cannot {what}: {error}")]
    Kafka {
        /// What was attempted.
        what: String,
        /// librdkafka's words.
        error: KafkaError,
    },
    /// A topic is not there.
    #[error("there is no topic {topic:?}: create the engine's topics (`sluice topics create`) or name it by its flag")]
    NoTopic {
        /// Which one.
        topic: String,
    },
    /// The log does not begin as one.
    #[error("{topic}[{partition}] does not begin with a genesis: is it the log of an engine (`sluice topics create`)?")]
    NoBeginning {
        /// Which topic.
        topic: String,
        /// Which partition.
        partition: usize,
    },
    /// A log is not the one that belongs to its place.
    #[error("{topic}[{lane}] {what}: are these the topics of one engine, as `sluice topics create` makes them?")]
    OtherLane {
        /// Which topic.
        topic: String,
        /// Which partition.
        lane: u32,
        /// What it says.
        what: String,
    },
    /// The system has no thread left.
    #[error("cannot start a reader: {error}")]
    Thread {
        /// Its words.
        error: std::io::Error,
    },
}

pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(KafkaError) -> ReadError {
    let what = what.into();
    move |error| ReadError::Kafka { what, error }
}

/// How the cluster is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Brokers to ask first.
    pub bootstrap: String,
    /// librdkafka properties for every client.
    pub properties: Vec<(String, String)>,
}

impl Connection {
    /// A consumer of committed records, without a group. `more` stands over the settings of one that reads on.
    pub(super) fn consumer(&self, name: &str, more: &[(&str, &str)]) -> Result<BaseConsumer, ReadError> {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "loadtest")
            // Never joined: librdkafka wants a name all the same.
            .set("group.id", "loadtest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "10000000")
            .set("queued.max.messages.kbytes", QUEUE_KIB.to_string())
            .set("fetch.message.max.bytes", FETCH_PARTITION_BYTES.to_string())
            .set("fetch.max.bytes", FETCH_BYTES.to_string())
            .set("receive.message.max.bytes", (2 * FETCH_BYTES).to_string());
        for (key, value) in more {
            config.set(*key, *value);
        }
        config.create().map_err(failed(format!("make a consumer for {name}")))
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// The cluster does not answer, or has no such topic.
    pub fn partitions(&self, topic: &str) -> Result<u32, ReadError> {
        let consumer = self.consumer(topic, &[])?;
        let what = || failed(format!("ask {} for the topic {topic:?}", self.bootstrap));
        let metadata = consumer.fetch_metadata(Some(topic), ASK_TIMEOUT).map_err(what())?;
        match metadata.topics().iter().find(|found| found.name() == topic) {
            Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
                Ok(found.partitions().len() as u32)
            }
            _ => Err(ReadError::NoTopic { topic: topic.to_owned() }),
        }
    }
}

/// Where partitions ended when they were asked.
#[derive(Debug, Default)]
pub(super) struct Ends(TopicPartitionList);

impl Ends {
    /// Asks for the ends of partitions of a topic: behind what is committed now.
    pub(super) fn ask(&mut self, consumer: &BaseConsumer, topic: &str, partitions: &[u32]) -> Result<(), ReadError> {
        for partition in partitions {
            let partition = *partition as i32;
            let (_, end) = consumer
                .fetch_watermarks(topic, partition, ASK_TIMEOUT)
                .map_err(failed(format!("ask for the end of {topic}[{partition}]")))?;
            self.0
                .add_partition_offset(topic, partition, Offset::Offset(end))
                .map_err(failed(format!("read {topic}[{partition}] from {end}")))?;
        }
        Ok(())
    }

    /// Starts to read from there.
    pub(super) fn read_on(&self, consumer: &BaseConsumer) -> Result<(), ReadError> {
        consumer.assign(&self.0).map_err(failed("read what was found"))
    }
}
