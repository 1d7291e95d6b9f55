//! What each topic must be: one list, by which topics are created and by which they are judged.

use super::Severity;
use crate::config::Config;
use crate::wire::limits::{
    DEAD_LETTER_HEADER_BYTES, DEAD_LETTER_MESSAGE_BYTES, INPUT_MESSAGE_BYTES, LOG_MESSAGE_BYTES,
};

/// Replicas of every topic that matters: one may be away and one more fail.
pub(super) const MIN_REPLICATION: usize = 3;

/// Replicas that have a record before it counts: what is acknowledged survives the loss of a broker.
pub(super) const MIN_INSYNC: i64 = 2;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Inputs are kept at least so long: an engine that was down over a night must still find them.
const MIN_INPUT_RETENTION_MS: i64 = DAY_MS;

/// Unlimited, in Kafka's words.
const UNLIMITED: i64 = -1;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `orders`
    Orders,
    /// `stock`
    Stock,
    /// `decisions`
    Decisions,
    /// `replies`
    Replies,
    /// `dead-letters`
    DeadLetters,
    /// The optional topic with one record a decision.
    PerDecision,
}

impl Role {
    /// The roles that `config` gives a topic, with the topics.
    pub fn all(config: &Config) -> Vec<(Self, &str)> {
        let topics = &config.topics;
        let mut roles = vec![
            (Self::Orders, topics.orders.as_str()),
            (Self::Stock, &topics.stock),
            (Self::Decisions, &topics.decisions),
            (Self::Replies, &topics.replies),
            (Self::DeadLetters, &topics.dead_letters),
        ];
        roles.extend(topics.per_decision.as_deref().map(|name| (Self::PerDecision, name)));
        roles
    }

    /// What the topic has a partition for.
    pub fn partitions(self) -> Partitions {
        match self {
            Self::Orders | Self::Stock | Self::DeadLetters => Partitions::Shards,
            Self::Decisions => Partitions::Lanes,
            Self::Replies | Self::PerDecision => Partitions::Any,
        }
    }

    /// Whether the topic has a partition for each shard.
    pub fn is_sharded(self) -> bool {
        self.partitions() == Partitions::Shards
    }

    /// What the settings of the topic must be.
    pub(super) fn needs(self) -> Vec<Need> {
        let mut needs = vec![Need {
            setting: "unclean.leader.election.enable",
            must: Must::Be("false"),
            severity: Severity::Error,
            why: "a broker that missed records could become leader, and what was acknowledged would be gone",
        }];
        match self {
            Self::Orders | Self::Stock => needs.extend(INPUT_NEEDS),
            Self::Decisions => needs.extend(LOG_NEEDS),
            Self::Replies | Self::PerDecision => needs.extend(OUTPUT_NEEDS),
            Self::DeadLetters => needs.extend(DEAD_LETTER_NEEDS),
        }
        needs
    }

    /// How long `topics create` lets records live, in ms.
    pub(super) fn created_retention_ms(self) -> i64 {
        match self {
            Self::Decisions => UNLIMITED,
            Self::Orders | Self::Stock | Self::PerDecision => 7 * DAY_MS,
            Self::Replies => DAY_MS,
            Self::DeadLetters => 30 * DAY_MS,
        }
    }
}

/// What a topic has a partition for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// Each shard.
    Shards,
    /// Each lane: the log of one shard or more.
    Lanes,
    /// Whatever whoever reads it wants.
    Any,
}

/// What a setting must be, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) setting: &'static str,
    pub(super) must: Must,
    pub(super) severity: Severity,
    pub(super) why: &'static str,
}

/// What a setting must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Must {
    Be(&'static str),
    BeUnlimited,
    BeAtLeast(i64),
    BeAtMost(i64),
    /// At least this, or unlimited.
    LastAtLeast(i64),
}

impl Must {
    /// Whether `value`, as the broker shows it, is so.
    pub(super) fn holds(self, value: &str) -> bool {
        let number = value.parse::<i64>().ok();
        match self {
            Self::Be(wanted) => value.eq_ignore_ascii_case(wanted),
            Self::BeUnlimited => number == Some(UNLIMITED),
            Self::BeAtLeast(least) => number.is_some_and(|n| n >= least),
            Self::BeAtMost(most) => number.is_some_and(|n| n <= most),
            Self::LastAtLeast(least) => number.is_some_and(|n| n == UNLIMITED || n >= least),
        }
    }

    /// A value for which it holds.
    pub(super) fn example(self) -> String {
        match self {
            Self::Be(wanted) => wanted.to_owned(),
            Self::BeUnlimited => UNLIMITED.to_string(),
            Self::BeAtLeast(n) | Self::BeAtMost(n) | Self::LastAtLeast(n) => n.to_string(),
        }
    }
}

const MAX_MESSAGE: &str = "max.message.bytes";

const INPUT_NEEDS: [Need; 6] = [
    Need {
        setting: "message.timestamp.type",
        must: Must::Be("LogAppendTime"),
        severity: Severity::Error,
        why: "orders are judged by the broker's time; a client's clock must not decide what expires",
    },
    Need {
        setting: "cleanup.policy",
        must: Must::Be("delete"),
        severity: Severity::Error,
        why: "compaction removes all but the last order of a pool",
    },
    Need {
        setting: "retention.ms",
        must: Must::LastAtLeast(MIN_INPUT_RETENTION_MS),
        severity: Severity::Warning,
        why: "an engine that was down for longer finds its input deleted and stops",
    },
    Need {
        setting: "retention.bytes",
        must: Must::BeUnlimited,
        severity: Severity::Warning,
        why: "at a peak, input may be deleted before it is read",
    },
    Need {
        setting: MAX_MESSAGE,
        must: Must::BeAtLeast(INPUT_MESSAGE_BYTES as i64),
        severity: Severity::Warning,
        why: "records within the contract's limit are refused by the broker",
    },
    Need {
        setting: MAX_MESSAGE,
        must: Must::BeAtMost((DEAD_LETTER_MESSAGE_BYTES - DEAD_LETTER_HEADER_BYTES) as i64),
        severity: Severity::Error,
        why: "a longer record could be neither decided nor put aside, and would stop its shard",
    },
];

const LOG_NEEDS: [Need; 4] = [
    Need {
        setting: "retention.ms",
        must: Must::BeUnlimited,
        severity: Severity::Error,
        why: "the ledgers are rebuilt from the whole log; what is deleted from it is lost",
    },
    Need {
        setting: "retention.bytes",
        must: Must::BeUnlimited,
        severity: Severity::Error,
        why: "the ledgers are rebuilt from the whole log; what is deleted from it is lost",
    },
    Need {
        setting: "cleanup.policy",
        must: Must::Be("delete"),
        severity: Severity::Error,
        why: "compaction would take links out of the chain",
    },
    Need {
        setting: MAX_MESSAGE,
        must: Must::BeAtLeast(LOG_MESSAGE_BYTES as i64),
        severity: Severity::Error,
        why: "the answer to an input within the limits would be refused by the broker and stop its shard",
    },
];

const OUTPUT_NEEDS: [Need; 1] = [Need {
    setting: MAX_MESSAGE,
    must: Must::BeAtLeast(LOG_MESSAGE_BYTES as i64),
    severity: Severity::Error,
    why: "an answer could be refused by the broker, and its whole commit with it",
}];

const DEAD_LETTER_NEEDS: [Need; 1] = [Need {
    setting: MAX_MESSAGE,
    must: Must::BeAtLeast(DEAD_LETTER_MESSAGE_BYTES as i64),
    severity: Severity::Error,
    why: "an unreadable record could be refused by the broker, and its whole commit with it",
}];
