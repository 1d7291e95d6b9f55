//! By what the simulated shards decide. Short times, so that a run of seconds meets every edge.

use sluice::lane::{BatchLimits, LaneSettings, LedgerSettings};
use sluice::ledger::FingerprintKey;

use crate::model::ModelRules;

/// How long ids are remembered.
pub const WINDOW_MS: i64 = 6_000;
/// By how much clients may be ahead.
pub const SKEW_MS: i64 = 1_000;
pub const DEFAULT_HOLD_MS: i64 = 700;
pub const MAX_HOLD_MS: i64 = 2_000;
pub const REPLY_PARTITIONS: u32 = 2;
/// Short, so that shards come back while things still go wrong.
const PARKED_RETRY_MS: u64 = 300;

pub fn settings(owner: &str) -> LaneSettings {
    LaneSettings {
        orders_topic: "orders".into(),
        stock_topic: "stock".into(),
        reply_partitions: REPLY_PARTITIONS,
        per_decision: true,
        batch: BatchLimits { max_bytes: 4_096, max_decisions: 40, min_interval_ms: 2, backlog_interval_ms: 7 },
        ledger: LedgerSettings {
            default_hold_ms: DEFAULT_HOLD_MS as u64,
            max_hold_ms: MAX_HOLD_MS as u64,
            expected_ids: 16,
            max_ids: 1_000_000,
            key: FingerprintKey([7; 16]),
        },
        owner: owner.into(),
        accept_loss: false,
        parked_retry_ms: PARKED_RETRY_MS,
        commit_timeout: sluice::log::settings::COMMIT_TIMEOUT,
    }
}

pub fn model(shard: u32, shards: u32, rules_level: u32) -> ModelRules {
    ModelRules {
        shard,
        partitions: shards,
        window_ms: WINDOW_MS,
        skew_ms: SKEW_MS,
        default_hold_ms: DEFAULT_HOLD_MS,
        max_hold_ms: MAX_HOLD_MS,
        max_ids: 1_000_000,
        rules_level,
    }
}
