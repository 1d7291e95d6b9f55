//! What the Kafka side is told by the configuration, and the librdkafka properties that follow from it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::reserved::{ReservedProperty, refuse_reserved};

/// Heartbeats in a session time-out.
const HEARTBEATS_PER_SESSION: u32 = 6;

/// Properties handed to librdkafka as they are. Never shown: values may be secrets.
pub type Properties = BTreeMap<String, String>;

/// Names of the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicNames {
    /// Orders and what else checkout asks for.
    pub orders: String,
    /// Stock movements.
    pub stock: String,
    /// The log.
    pub decisions: String,
    /// Answers for whoever asked for one.
    pub replies: String,
    /// What could not be read.
    pub dead_letters: String,
    /// One record a decision, if wanted.
    pub per_decision: Option<String>,
}

/// How outputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Delivery {
    /// One Kafka transaction a batch.
    #[default]
    Transactional,
    /// Acknowledged, not transactional: no fencing, duplicates after a failure. For benchmarks only.
    AtLeastOnce,
}

/// Everything that the Kafka side needs to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// Shown in the brokers' logs and metrics.
    pub client_id: String,
    /// Consumer group that shares the shards out.
    pub group_id: String,
    /// Names of the topics.
    pub topics: TopicNames,
    /// librdkafka properties for every client.
    pub common: Properties,
    /// For consumers, over `common`.
    pub consumer: Properties,
    /// For producers, over `common`.
    pub producer: Properties,
    /// How long a commit may take; also bounds a producer's start. Below `transaction_timeout`.
    pub commit_timeout: Duration,
    /// After this the broker aborts a transaction that nobody ended, so that readers go on.
    pub transaction_timeout: Duration,
    /// After this without a heartbeat the group gives a node's shards to others.
    pub session_timeout: Duration,
    /// Bytes fetched ahead per input of a shard; a lane of more than a few shards shares those of a few out.
    pub receive_queue_bytes: usize,
    /// Transactional, but for benchmarks.
    pub delivery: Delivery,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |p: &Properties| p.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("Settings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .field("common_keys", &keys(&self.common))
            .field("consumer_keys", &keys(&self.consumer))
            .field("producer_keys", &keys(&self.producer))
            .field("commit_timeout", &self.commit_timeout)
            .field("transaction_timeout", &self.transaction_timeout)
            .field("session_timeout", &self.session_timeout)
            .field("receive_queue_bytes", &self.receive_queue_bytes)
            .field("delivery", &self.delivery)
            .finish()
    }
}

/// Settings that contradict each other, or that may not be set.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A property that correctness depends on is passed through.
    #[error(transparent)]
    Reserved(#[from] ReservedProperty),
    /// The broker would abort a transaction whose commit is still waited for, and librdkafka would send the commit
    /// twice.
    #[error("the commit time-out ({commit:?}) must be below the transaction time-out ({transaction:?})")]
    CommitTimeout {
        /// As set.
        commit: Duration,
        /// As set.
        transaction: Duration,
    },
}

impl Settings {
    /// How often each node hears from the group, and the group from it: of those in a session time-out all but one may
    /// get lost.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        (self.session_timeout / HEARTBEATS_PER_SESSION).max(Duration::from_millis(1))
    }

    /// Refuses what the Kafka side could not keep its promises with.
    ///
    /// # Errors
    /// The first thing found.
    pub fn validate(&self) -> Result<(), SettingsError> {
        for properties in [&self.common, &self.consumer, &self.producer] {
            refuse_reserved(properties)?;
        }
        if self.commit_timeout >= self.transaction_timeout {
            let (commit, transaction) = (self.commit_timeout, self.transaction_timeout);
            return Err(SettingsError::CommitTimeout { commit, transaction });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            bootstrap_servers: "127.0.0.1:9".to_owned(),
            client_id: "test".to_owned(),
            group_id: "test".to_owned(),
            topics: TopicNames {
                orders: "orders".to_owned(),
                stock: "stock".to_owned(),
                decisions: "decisions".to_owned(),
                replies: "replies".to_owned(),
                dead_letters: "dead-letters".to_owned(),
                per_decision: None,
            },
            common: Properties::new(),
            consumer: Properties::new(),
            producer: Properties::new(),
            commit_timeout: Duration::from_secs(20),
            transaction_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(6),
            receive_queue_bytes: 8 << 20,
            delivery: Delivery::Transactional,
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut settings = settings();
        settings.common.insert("sasl.password".to_owned(), "hunter2".to_owned());
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_reserved_property_is_refused_with_its_reason_wherever_it_stands() {
        for place in 0..3 {
            let mut settings = settings();
            let places = [&mut settings.common, &mut settings.consumer, &mut settings.producer];
            places[place].insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
            let error = settings.validate().expect_err("aborted orders must not be read");
            assert!(error.to_string().contains("isolation.level") && error.to_string().contains("aborted"), "{error}");
        }
    }

    #[test]
    fn a_commit_that_may_outlast_its_transaction_is_refused() {
        let mut settings = settings();
        settings.commit_timeout = settings.transaction_timeout;
        assert!(matches!(settings.validate(), Err(SettingsError::CommitTimeout { .. })));
    }
}
