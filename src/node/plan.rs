//! From the configuration to what a lane is told.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::Config;
use crate::lane::settings::PARKED_RETRY_MS;
use crate::lane::{BatchLimits, LaneSettings, LedgerSettings};
use crate::ledger::{BYTES_PER_REMEMBERED_ID, FingerprintKey};

/// What every lane of a node is told. `reply_partitions`: how many `replies` has now.
///
/// The key of the identity fingerprints is drawn anew for each process: ledgers are rebuilt from ids, not from
/// fingerprints, and a key that nobody keeps cannot leak.
pub fn lane_settings(config: &Config, reply_partitions: u32, accept_loss: bool) -> LaneSettings {
    LaneSettings {
        orders_topic: config.topics.orders.clone(),
        stock_topic: config.topics.stock.clone(),
        reply_partitions,
        per_decision: config.topics.per_decision.is_some(),
        batch: BatchLimits {
            max_bytes: config.batch.max_bytes,
            min_interval_ms: config.batch.min_interval_ms,
            ..BatchLimits::default()
        },
        ledger: LedgerSettings {
            default_hold_ms: config.ledger.default_hold_ms,
            max_hold_ms: config.ledger.max_hold_ms,
            expected_ids: config.ledger.expected_ids,
            max_ids: usize::try_from(config.ledger.max_remembered_bytes)
                .map_or(usize::MAX, |bytes| bytes / BYTES_PER_REMEMBERED_ID),
            key: FingerprintKey(StdRng::from_os_rng().random()),
        },
        parked_retry_ms: PARKED_RETRY_MS,
        commit_timeout: Duration::from_millis(config.kafka.commit_timeout_ms),
        owner: owner(&config.kafka.client_id),
        accept_loss,
    }
}

/// Who takes a shard, for people who read the log: host, process, client id.
fn owner(client_id: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}/{client_id}", host.trim(), std::process::id())
}
