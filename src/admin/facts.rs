//! What a cluster says about itself: plain data, so that it can be judged without one.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::kafka::admin::{BrokerAge, Configs, TopicDescription};
use crate::wire::Layout;
use crate::wire::proto::Genesis;

/// The topic in which brokers keep transactions.
pub const TRANSACTION_LOG: &str = "__transaction_state";

/// What a cluster said.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Brokers, by id.
    pub brokers: Answer<BTreeMap<i32, BrokerFacts>>,
    /// Topics, by name, [`TRANSACTION_LOG`] among them.
    pub topics: BTreeMap<String, Answer<TopicDescription>>,
    /// The first record of each lane, which is a partition of `decisions`; empty if that topic was not found.
    pub genesis: BTreeMap<u32, Option<Begun>>,
}

impl Facts {
    /// How many shards and lanes the topics have; none before they are there.
    pub fn layout(&self, config: &Config) -> Option<Layout> {
        let count = |name: &str| self.topics.get(name).and_then(Answer::found).map(partitions);
        let (shards, lanes) = (count(&config.topics.orders)?, count(&config.topics.decisions)?);
        Some(Layout { shards, lanes })
    }

    /// The lanes whose log begins as one, with its genesis.
    pub fn begun(&self) -> impl Iterator<Item = (u32, &Genesis)> {
        self.genesis.iter().filter_map(|(lane, fact)| match fact {
            Some(Begun::Genesis(genesis)) => Some((*lane, genesis)),
            _ => None,
        })
    }
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFacts {
    /// Whether it is new enough.
    pub age: BrokerAge,
    /// Its settings.
    pub configs: Configs,
}

/// What was asked for, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It is there.
    Found(T),
    /// It does not exist.
    Missing,
    /// The cluster refuses to tell; its words.
    Denied(String),
}

impl<T> Answer<T> {
    /// What was found.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Missing | Self::Denied(_) => None,
        }
    }
}

/// What a partition of `decisions` begins with, if anything was ever committed to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// A genesis.
    Genesis(Genesis),
    /// Its start was deleted; the first offset that is left.
    Trimmed(i64),
    /// Something else; what.
    Other(String),
}

/// How many partitions a topic has.
pub fn partitions(topic: &TopicDescription) -> u32 {
    u32::try_from(topic.partitions.len()).expect("Kafka counts partitions in 31 bits")
}

/// The fewest replicas of any partition of a topic.
pub fn replication(topic: &TopicDescription) -> usize {
    topic.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
}
