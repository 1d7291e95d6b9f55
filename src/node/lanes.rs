//! The lanes that run in this process, and what the node tells of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::state::{NodeState, ShardState, StateSource};
use crate::broker::Input;
use crate::lane::{LaneSnapshot, LaneStatus, Phase, clock};

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
        let works = |phase| matches!(phase, Phase::CatchingUp | Phase::Running | Phase::Paused);
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

    pub(super) fn is_assigned(&self) -> bool {
        self.assigned.load(Relaxed)
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
                .map(|(shard, lane, held)| ShardState { shard, held_ms: held.as_millis() as u64, lane })
                .collect(),
        }
    }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let kib = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.unwrap_or(0) * 1024
}
