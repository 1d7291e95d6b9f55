//! The lanes that run in this process, and what the node tells of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::state::{
    BatchState, DecisionCount, HistogramState, InputState, NodeState, Phase, RecoveryState, ShardState, StateSource,
};
use crate::broker::Input;
use crate::lane::status::{COMMIT_BUCKETS_MS, InputSnapshot, LaneSnapshot};
use crate::lane::{self, LaneStatus, clock};
use crate::wire::proto::{Outcome, Reason};

/// The lanes of a node, shared between its service, which enters and removes them, and its endpoint, which shows them.
#[derive(Debug)]
pub struct Lanes {
    began: Instant,
    group_id: String,
    client_id: String,
    assigned: AtomicBool,
    stopping: AtomicBool,
    lanes: Mutex<BTreeMap<u32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    status: Arc<LaneStatus>,
    taken: Instant,
}

impl Lanes {
    /// None yet.
    pub fn new(group_id: &str, client_id: &str) -> Self {
        Self {
            began: Instant::now(),
            group_id: group_id.to_owned(),
            client_id: client_id.to_owned(),
            assigned: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            lanes: Mutex::default(),
        }
    }

    /// Offsets of the first records that are not decided and committed, for lag tools.
    pub fn positions(&self) -> Vec<(Input, u32, i64)> {
        let works = |phase| matches!(phase, lane::Phase::CatchingUp | lane::Phase::Running | lane::Phase::Paused);
        self.snapshots()
            .into_iter()
            .filter(|(_, snapshot, _)| works(snapshot.phase))
            .flat_map(|(shard, snapshot, _)| {
                [(Input::Orders, shard, snapshot.orders.position), (Input::Stock, shard, snapshot.stock.position)]
            })
            .collect()
    }

    /// What every lane tells now, by shard, and how long it has run.
    pub fn snapshots(&self) -> Vec<(u32, LaneSnapshot, Duration)> {
        let now = clock::steady_ms();
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().map(|(&shard, entry)| (shard, entry.status.snapshot(now), entry.taken.elapsed())).collect()
    }

    pub(super) fn enter(&self, shard: u32, status: Arc<LaneStatus>) {
        let entry = Entry { status, taken: Instant::now() };
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, entry);
    }

    pub(super) fn remove(&self, shard: u32) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
    }

    pub(super) fn set_assigned(&self, assigned: bool) {
        self.assigned.store(assigned, Relaxed);
    }

    pub(super) fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }
}

impl StateSource for Lanes {
    fn state(&self) -> NodeState {
        NodeState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: self.began.elapsed().as_millis() as u64,
            group_id: self.group_id.clone(),
            client_id: self.client_id.clone(),
            assigned: self.assigned.load(Relaxed),
            stopping: self.stopping.load(Relaxed),
            memory_bytes: resident_bytes(),
            shards: self
                .snapshots()
                .into_iter()
                .map(|(shard, snapshot, ran)| shard_state(shard, snapshot, ran))
                .collect(),
        }
    }
}

fn shard_state(shard: u32, lane: LaneSnapshot, ran: Duration) -> ShardState {
    let recovery = RecoveryState {
        decisions: lane.recovery.decisions,
        offset: lane.recovery.offset,
        end: lane.recovery.end,
        elapsed_ms: ran.as_millis() as u64,
    };
    ShardState {
        shard,
        phase: phase(lane.phase),
        recovery: (lane.phase == lane::Phase::Recovering).then_some(recovery),
        reason: lane.reason,
        epoch: lane.epoch,
        sequence: lane.sequence,
        shard_time_ms: lane.shard_time_ms,
        orders: input(lane.orders),
        stock: input(lane.stock),
        last_batch: BatchState { decisions: lane.last_decisions, links: lane.last_links, bytes: lane.last_bytes },
        batches: lane.batches,
        decisions: lane.decisions.iter().map(|&(outcome, reason, count)| decision(outcome, reason, count)).collect(),
        dead_letters: lane.dead_letters,
        lost_replies: lane.lost_replies,
        ticks: lane.ticks,
        looks: lane.looks,
        resends: lane.resends,
        commit_seconds: HistogramState {
            sum: lane.commit_ms as f64 / 1e3,
            buckets: COMMIT_BUCKETS_MS
                .iter()
                .map(|&ms| ms as f64 / 1e3)
                .chain([f64::MAX])
                .zip(lane.commit_buckets)
                .collect(),
        },
        open_orders: lane.open_orders,
        remembered_ids: lane.remembered,
        remembered_bytes: lane.ledger_bytes,
        stock_rows: lane.rows,
    }
}

fn phase(phase: lane::Phase) -> Phase {
    match phase {
        lane::Phase::Taking => Phase::Taking,
        lane::Phase::Recovering => Phase::Recovering,
        lane::Phase::CatchingUp => Phase::CatchingUp,
        lane::Phase::Running => Phase::Running,
        lane::Phase::Paused => Phase::Paused,
        lane::Phase::BackingOff => Phase::BackingOff,
        lane::Phase::Stopped | lane::Phase::Failed => Phase::Stopped,
    }
}

fn input(input: InputSnapshot) -> InputState {
    InputState { position: input.position, stable: input.stable, high: input.high, stable_age_ms: input.stable_age_ms }
}

fn decision(outcome: Outcome, reason: Reason, count: u64) -> DecisionCount {
    let name = |full: &str, prefix| full.trim_start_matches(prefix).to_ascii_lowercase();
    let reason = match reason {
        Reason::Unspecified => String::new(),
        reason => name(reason.as_str_name(), "REASON_"),
    };
    DecisionCount { outcome: name(outcome.as_str_name(), "OUTCOME_"), reason, count }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let kib = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.unwrap_or(0) * 1024
}
