//! What a node tells about itself: a plain copy of the figures that its lanes keep, taken when somebody asks.

use serde::Serialize;

use crate::lane::snapshot::{LaneSnapshot, Phase, RecoverySnapshot};

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
    /// The shards assigned to it, in order.
    pub shards: Vec<ShardState>,
}

impl NodeState {
    /// Why the node is not ready, a line each; empty if every shard that it was assigned has caught up. A node that
    /// is left without a shard is ready in the end: it is a spare.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the node is stopping".to_owned());
        }
        if !self.assigned {
            reasons.push(format!("group {} has given this node no shard yet", self.group_id));
        }
        reasons.extend(self.shards.iter().filter(|shard| shard.lane.phase != Phase::Running).map(ShardState::unready));
        reasons
    }
}

/// A shard, as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShardState {
    /// The partition.
    pub shard: u32,
    /// Milliseconds since this process began to take it.
    pub held_ms: u64,
    /// What its lane tells.
    #[serde(flatten)]
    pub lane: LaneSnapshot,
}

impl ShardState {
    fn unready(&self) -> String {
        let lane = &self.lane;
        let mut line = format!("shard {} is {}", self.shard, lane.phase.name().replace('_', " "));
        match lane.phase {
            Phase::Recovering => {
                let RecoverySnapshot { offset, end, .. } = lane.recovery;
                line += &format!(": at offset {offset} of {end} of its log");
            }
            Phase::CatchingUp => {
                line += &format!(": {} orders and {} stock offsets behind", lane.orders.lag(), lane.stock.lag());
            }
            _ => {}
        }
        if let Some(reason) = &lane.reason {
            line += &format!(": {reason}");
        }
        line
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
        check(joining, &["group sluice has given this node no shard yet"]);
        check(NodeState { assigned: true, ..NodeState::default() }, &[]);
    }

    #[test]
    fn every_shard_that_has_not_caught_up_is_named_with_its_reason() {
        let shard = |shard, lane| ShardState { shard, lane, ..ShardState::default() };
        let input = |lag| InputSnapshot { position: 0, stable: lag, high: lag, stable_age_ms: 0 };
        let behind = LaneSnapshot { phase: Phase::CatchingUp, orders: input(5), ..LaneSnapshot::default() };
        let recovery = RecoverySnapshot { offset: 3, end: 9, ..RecoverySnapshot::default() };
        let recovering = LaneSnapshot { phase: Phase::Recovering, recovery, ..LaneSnapshot::default() };
        let reason = Some("the log begins at offset 5".to_owned());
        let failed = LaneSnapshot { phase: Phase::Failed, reason, ..LaneSnapshot::default() };
        let running = LaneSnapshot { phase: Phase::Running, ..LaneSnapshot::default() };
        let shards = vec![shard(0, behind), shard(1, recovering), shard(2, failed), shard(3, running)];
        check(
            NodeState { assigned: true, shards, ..NodeState::default() },
            &[
                "shard 0 is catching up: 5 orders and 0 stock offsets behind",
                "shard 1 is recovering: at offset 3 of 9 of its log",
                "shard 2 is failed: the log begins at offset 5",
            ],
        );
    }
}
