//! What a node tells about itself: a plain copy of the figures that its lanes keep, taken when somebody asks.

use serde::Serialize;

use crate::lane::snapshot::{LaneSnapshot, Phase, RecoverySnapshot, ShardSnapshot};

/// Answers for the state of the node; called on every request, so it copies figures and waits for nobody.
pub trait StateSource: Send + Sync + 'static {
    /// The state at this moment.
    fn state(&self) -> NodeState;
}

/// A node, as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeState {
    /// Version of the engine.
    pub version: String,
    /// Milliseconds since the process began.
    pub uptime_ms: u64,
    /// The consumer group.
    pub group_id: String,
    /// The node's name within it, as brokers log it.
    pub client_id: String,
    /// Since it joined, or lost its shards, the group has given it some, or none for so long that it is a spare. Before
    /// that it is not ready.
    pub assigned: bool,
    /// It was told to stop.
    pub stopping: bool,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// The lanes assigned to it, in order.
    pub lanes: Vec<LaneState>,
    /// The shards of these lanes, in order.
    pub shards: Vec<ShardState>,
}

impl NodeState {
    /// Why the node is not ready, a line each; empty if every shard that it was assigned has caught up or is parked. A
    /// node that is left without a lane is ready in the end: it is a spare.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the node is stopping".to_owned());
        }
        if !self.assigned {
            reasons.push(format!("group {} has given this node no lane yet", self.group_id));
        }
        for lane in &self.lanes {
            match lane.figures.phase {
                Phase::Running => {}
                Phase::CatchingUp => {
                    let shards = self.shards.iter().filter(|shard| shard.lane == lane.lane);
                    let behind = shards.filter(|shard| shard.figures.phase == Phase::CatchingUp);
                    reasons.extend(behind.map(ShardState::line));
                }
                _ => reasons.push(lane.line()),
            }
        }
        reasons
    }

    /// What a person should know though the node is ready, a line each: the shards that are parked.
    pub fn parked(&self) -> Vec<String> {
        self.shards.iter().filter(|shard| shard.figures.phase == Phase::Parked).map(ShardState::line).collect()
    }
}

/// A lane, as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneState {
    /// Its partition of `decisions`.
    pub lane: u32,
    /// Milliseconds since this process began to take it.
    pub held_ms: u64,
    /// What it tells.
    #[serde(flatten)]
    pub figures: LaneSnapshot,
}

impl LaneState {
    fn line(&self) -> String {
        let lane = &self.figures;
        let mut line = format!("lane {} is {}", self.lane, lane.phase.name().replace('_', " "));
        if lane.phase == Phase::Recovering {
            let RecoverySnapshot { offset, end, .. } = lane.recovery;
            line += &format!(": at offset {offset} of {end} of its log");
        }
        with_reason(line, lane.reason.as_deref())
    }
}

/// A shard, as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShardState {
    /// Its lane.
    pub lane: u32,
    /// What it tells.
    #[serde(flatten)]
    pub figures: ShardSnapshot,
}

impl ShardState {
    /// Those of all lanes, in order.
    pub(super) fn of(lanes: &[LaneState]) -> Vec<ShardState> {
        let shards = lanes.iter().flat_map(|lane| lane.figures.shards.iter().map(|shard| (lane.lane, shard)));
        let mut shards: Vec<_> = shards.map(|(lane, shard)| ShardState { lane, figures: shard.clone() }).collect();
        shards.sort_by_key(|state| state.figures.shard);
        shards
    }

    fn line(&self) -> String {
        let shard = &self.figures;
        let mut line = format!("shard {} is {}", shard.shard, shard.phase.name().replace('_', " "));
        if shard.phase == Phase::CatchingUp {
            line += &format!(": {} orders and {} stock offsets behind", shard.orders.lag(), shard.stock.lag());
        }
        with_reason(line, shard.reason.as_deref())
    }
}

fn with_reason(line: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{line}: {reason}"),
        None => line,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::lane::snapshot::InputSnapshot;

    /// A node that never changes.
    pub(in crate::node) struct Fixed(pub(in crate::node) NodeState);

    impl StateSource for Fixed {
        fn state(&self) -> NodeState {
            self.0.clone()
        }
    }

    #[track_caller]
    fn check(node: NodeState, reasons: &[&str]) {
        assert_eq!(node.unready(), reasons);
    }

    #[test]
    fn a_node_without_an_assignment_is_not_ready_and_a_spare_one_is() {
        let joining = NodeState { group_id: "sluice".to_owned(), ..NodeState::default() };
        check(joining, &["group sluice has given this node no lane yet"]);
        check(NodeState { assigned: true, ..NodeState::default() }, &[]);
    }

    #[test]
    fn every_lane_and_shard_that_has_not_caught_up_is_named_with_its_reason_and_a_parked_one_is_not_waited_for() {
        let lane = |lane, figures| LaneState { lane, figures, ..LaneState::default() };
        let of_phase = |phase, reason: Option<&str>| LaneSnapshot {
            phase,
            reason: reason.map(str::to_owned),
            recovery: RecoverySnapshot { offset: 3, end: 9, ..RecoverySnapshot::default() },
            ..LaneSnapshot::default()
        };
        let input = |lag| InputSnapshot { position: 0, stable: lag, high: lag, stable_age_ms: 0 };
        let shard = |lane, shard, phase| {
            let figures = ShardSnapshot { shard, phase, orders: input(5), ..ShardSnapshot::default() };
            ShardState { lane, figures }
        };
        let mut parked = shard(0, 4, Phase::Parked);
        parked.figures.reason = Some("trimmed".to_owned());
        let node = NodeState {
            assigned: true,
            lanes: vec![
                lane(0, of_phase(Phase::CatchingUp, None)),
                lane(1, of_phase(Phase::Recovering, None)),
                lane(2, of_phase(Phase::Failed, Some("the log begins at offset 5"))),
                lane(3, of_phase(Phase::Running, None)),
            ],
            shards: vec![shard(0, 0, Phase::CatchingUp), shard(3, 3, Phase::Running), parked],
            ..NodeState::default()
        };
        assert_eq!(node.parked(), ["shard 4 is parked: trimmed"]);
        check(
            node,
            &[
                "shard 0 is catching up: 5 orders and 0 stock offsets behind",
                "lane 1 is recovering: at offset 3 of 9 of its log",
                "lane 2 is failed: the log begins at offset 5",
            ],
        );
    }
}
