//! The lanes that run in this process, and what the node tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::state::{LaneState, NodeState, ShardState, StateSource};
use crate::broker::Input;
use crate::lane::{LaneSnapshot, LaneStatus, Phase, ShardSnapshot, clock};
use crate::wire::Layout;

/// The lanes of a node, shared between its service, which enters and removes them, and its endpoint, which shows them.
#[derive(Debug)]
pub struct Lanes {
    began: Instant,
    group_id: String,
    client_id: String,
    layout: Layout,
    stopping: AtomicBool,
    held: Mutex<Held>,
}

/// Under one lock, so that nobody sees a node that was given its lanes and has not started them, and takes it for a spare.
#[derive(Debug, Default)]
struct Held {
    /// The lanes that the group gave to this node; `None` until it has, and after they were lost.
    given: Option<BTreeSet<u32>>,
    lanes: BTreeMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    status: Arc<LaneStatus>,
    taken: Instant,
}

impl Lanes {
    /// None yet.
    pub fn new(group_id: &str, client_id: &str, layout: Layout) -> Self {
        Self {
            began: Instant::now(),
            group_id: group_id.to_owned(),
            client_id: client_id.to_owned(),
            layout,
            stopping: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }

    /// Offsets of the first records that are not decided and committed, for lag tools.
    pub fn positions(&self) -> Vec<(Input, u32, i64)> {
        let works = |phase| matches!(phase, Phase::CatchingUp | Phase::Running);
        let shards = self.snapshots().into_iter().flat_map(|(_, lane, _)| lane.shards);
        shards
            .filter(|shard| works(shard.phase))
            .flat_map(|ShardSnapshot { shard, orders, stock, .. }| {
                [(Input::Orders, shard, orders.position), (Input::Stock, shard, stock.position)]
            })
            .collect()
    }

    /// What every lane tells now, by number, and how long it has run.
    pub fn snapshots(&self) -> Vec<(u32, LaneSnapshot, Duration)> {
        snapshots(&self.held())
    }

    pub(super) fn enter(&self, lane: u32, status: Arc<LaneStatus>) {
        let entry = Entry { status, taken: Instant::now() };
        self.held().lanes.insert(lane, entry);
    }

    /// The lane has ended, or is left to end without another word.
    pub(super) fn remove(&self, lane: u32) {
        self.held().lanes.remove(&lane);
    }

    /// Whether the group has given this node lanes, or left it without for so long that it is a spare.
    pub(super) fn is_assigned(&self) -> bool {
        self.held().given.is_some()
    }

    /// The group gave these lanes, perhaps none, beside those it gave before.
    pub(super) fn give(&self, lanes: &[u32]) {
        self.held().given.get_or_insert_default().extend(lanes);
    }

    /// The group wants these lanes back.
    pub(super) fn take_back(&self, lanes: &[u32]) {
        if let Some(given) = &mut self.held().given {
            given.retain(|lane| !lanes.contains(lane));
        }
    }

    /// The node is no longer of the group.
    pub(super) fn forget_given(&self) {
        self.held().given = None;
    }

    pub(super) fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn snapshots(held: &Held) -> Vec<(u32, LaneSnapshot, Duration)> {
    let now = clock::steady_ms();
    held.lanes.iter().map(|(&lane, entry)| (lane, entry.status.snapshot(now), entry.taken.elapsed())).collect()
}

/// What every lane tells, and of those given that have not started yet that they are being taken.
fn lanes(held: &Held, layout: Layout) -> Vec<LaneState> {
    let waiting = held.given.iter().flatten().filter(|lane| !held.lanes.contains_key(lane));
    let nothing = |lane| LaneStatus::new(layout.shards_of(lane)).snapshot(clock::steady_ms());
    let waiting = waiting.map(|&lane| LaneState { lane, held_ms: 0, figures: nothing(lane) });
    let running = snapshots(held).into_iter();
    let running = running.map(|(lane, figures, held)| LaneState { lane, held_ms: held.as_millis() as u64, figures });
    let mut lanes: Vec<_> = running.chain(waiting).collect();
    lanes.sort_by_key(|state| state.lane);
    lanes
}

impl StateSource for Lanes {
    fn state(&self) -> NodeState {
        let held = self.held();
        let (assigned, lanes) = (held.given.is_some(), lanes(&held, self.layout));
        drop(held);
        NodeState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: self.began.elapsed().as_millis() as u64,
            group_id: self.group_id.clone(),
            client_id: self.client_id.clone(),
            assigned,
            stopping: self.stopping.load(Relaxed),
            memory_bytes: resident_bytes(),
            shards: ShardState::of(&lanes),
            lanes,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(lanes: &Lanes) -> Vec<(u32, Phase)> {
        lanes.state().shards.iter().map(|state| (state.figures.shard, state.figures.phase)).collect()
    }

    fn running(shard: u32) -> Arc<LaneStatus> {
        let status = LaneStatus::new(shard..shard + 1);
        status.begin_life(1);
        status.set_shard_phase(1, 0, Phase::Running, None);
        Arc::new(status)
    }

    #[test]
    fn a_node_is_not_ready_before_every_shard_that_it_was_given_has_a_lane() {
        let lanes = Lanes::new("group", "node", Layout::one_each(2));
        assert!(!lanes.state().unready().is_empty());
        lanes.give(&[0, 1]);
        assert_eq!(phases(&lanes), [(0, Phase::Taking), (1, Phase::Taking)]);
        lanes.enter(1, running(1));
        assert_eq!(phases(&lanes), [(0, Phase::Taking), (1, Phase::Running)]);
        assert_eq!(lanes.state().unready().len(), 1);
        lanes.enter(0, running(0));
        assert_eq!(lanes.state().unready(), [""; 0]);
    }

    #[test]
    fn a_lane_that_was_left_to_end_vouches_for_nothing_when_its_shard_comes_back() {
        let lanes = Lanes::new("group", "node", Layout::one_each(2));
        lanes.give(&[0]);
        lanes.enter(0, running(0));
        lanes.forget_given();
        lanes.remove(0);
        assert!(!lanes.is_assigned() && phases(&lanes).is_empty());
        lanes.give(&[0]);
        assert_eq!(phases(&lanes), [(0, Phase::Taking)]);
    }

    #[test]
    fn a_shard_that_was_taken_back_is_shown_as_long_as_its_lane_works() {
        let lanes = Lanes::new("group", "node", Layout::one_each(2));
        lanes.give(&[0, 1]);
        lanes.enter(0, running(0));
        lanes.take_back(&[0, 1]);
        assert_eq!(phases(&lanes), [(0, Phase::Running)]);
        lanes.remove(0);
        assert!(lanes.is_assigned() && phases(&lanes).is_empty());
    }
}
