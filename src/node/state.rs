//! What a node tells about itself: a plain copy of the figures that its lanes keep, taken when somebody asks.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Answers for the state of the node; called on every request, so it copies figures and waits for nobody.
pub trait StateSource: Send + Sync + 'static {
    /// The state at this moment.
    fn state(&self) -> NodeState;
}

/// A node, as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct NodeState {
    /// Version of the engine.
    pub version: String,
    /// Milliseconds since the process began.
    pub uptime_ms: u64,
    /// The consumer group.
    pub group_id: String,
    /// The node's name within it, as brokers log it.
    pub client_id: String,
    /// It has been told which shards are its own since it joined, or since it lost them. Before that it is not ready.
    pub assigned: bool,
    /// It was told to stop.
    pub stopping: bool,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// The shards assigned to it, in order.
    pub shards: Vec<ShardState>,
}

/// Where a shard is in its life.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fencing its predecessor and finding the end of its log.
    #[default]
    Taking,
    /// Replaying its log.
    Recovering,
    /// Works, and has yet to reach the end that its inputs had when it began.
    CatchingUp,
    /// Works, and has caught up since it was taken.
    Running,
    /// Stopped taking input; the reason says why.
    Paused,
    /// Failed or was fenced, and will try again after a pause.
    BackingOff,
    /// Stopped until a person does something; the reason says what.
    Stopped,
}

impl Phase {
    /// Every phase, in the order of a shard's life.
    pub const ALL: [Self; 7] = [
        Self::Taking,
        Self::Recovering,
        Self::CatchingUp,
        Self::Running,
        Self::Paused,
        Self::BackingOff,
        Self::Stopped,
    ];

    /// Its name, as `/state` and the metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Taking => "taking",
            Self::Recovering => "recovering",
            Self::CatchingUp => "catching_up",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::BackingOff => "backing_off",
            Self::Stopped => "stopped",
        }
    }
}

impl NodeState {
    /// Why the node is not ready, a line each; empty if every shard that it was assigned has caught up. A node that
    /// was assigned no shard is ready: it is a spare.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the node is stopping".to_owned());
        }
        if !self.assigned {
            reasons.push(format!("group {} has not yet told which shards are this node's", self.group_id));
        }
        reasons.extend(self.shards.iter().filter(|shard| shard.phase != Phase::Running).map(ShardState::unready));
        reasons
    }
}

/// A shard, as `/state` shows it. Counters run from the moment at which this process took the shard.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct ShardState {
    /// The partition.
    pub shard: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Why it is there, if that is not the normal course.
    pub reason: Option<String>,
    /// How often the shard has changed owner.
    pub epoch: u64,
    /// Sequence of the last decision that is committed.
    pub sequence: u64,
    /// The shard's time, milliseconds since the Unix epoch.
    pub shard_time_ms: i64,
    /// `orders`.
    pub orders: InputState,
    /// `stock`.
    pub stock: InputState,
    /// Decisions replayed while recovering, and how many there are to replay, as far as is known.
    pub recovery: Option<RecoveryState>,
    /// The last batch that was committed.
    pub last_batch: BatchState,
    /// Batches committed.
    pub batches: u64,
    /// Decisions committed, by outcome and reason.
    pub decisions: Vec<DecisionCount>,
    /// Records that went to `dead-letters`.
    pub dead_letters: u64,
    /// Decisions whose reply was asked for in a partition that `replies` does not have.
    pub lost_replies: u64,
    /// Ticks published because a hold was due and nothing else arrived.
    pub ticks: u64,
    /// Times a commit was looked up in the log because it failed or looked odd.
    pub looks: u64,
    /// Batches whose remaining links had to be sent again.
    pub resends: u64,
    /// Time from the begin of a transaction to the end of its commit.
    pub commit_seconds: HistogramState,
    /// Orders held or committed.
    pub open_orders: u64,
    /// Identities remembered, open and closed.
    pub remembered_ids: u64,
    /// What the identities take.
    pub remembered_bytes: u64,
    /// Stock rows (pool and SKU).
    pub stock_rows: u64,
}

impl ShardState {
    fn unready(&self) -> String {
        let mut line = format!("shard {} is {}", self.shard, self.phase.name().replace('_', " "));
        match self.phase {
            Phase::Recovering => {
                if let Some(recovery) = self.recovery {
                    line += &format!(": at offset {} of {} of its log", recovery.offset, recovery.end);
                }
            }
            Phase::CatchingUp => {
                line += &format!(": {} orders and {} stock offsets behind", self.orders.lag(), self.stock.lag());
            }
            _ => {}
        }
        if let Some(reason) = &self.reason {
            line += &format!(": {reason}");
        }
        line
    }
}

/// How far a shard has read one of its inputs. Shown with its lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputState {
    /// Every record below this offset is decided and committed.
    pub position: i64,
    /// The last stable offset when it was last asked for; below 0: never.
    pub stable: i64,
    /// The high watermark when it was last asked for; below 0: never.
    pub high: i64,
    /// Milliseconds since the last stable offset last moved while records lay above it: how long some upstream
    /// transaction has been open. 0 while nothing is in the way.
    pub stable_age_ms: u64,
}

impl InputState {
    /// Offsets below the high watermark that are not yet decided.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.high.saturating_sub(self.position)).unwrap_or(0)
    }
}

impl Serialize for InputState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("InputState", 5)?;
        fields.serialize_field("position", &self.position)?;
        fields.serialize_field("stable", &self.stable)?;
        fields.serialize_field("high", &self.high)?;
        fields.serialize_field("lag", &self.lag())?;
        fields.serialize_field("stable_age_ms", &self.stable_age_ms)?;
        fields.end()
    }
}

/// How far a shard's recovery is.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct RecoveryState {
    /// Decisions replayed.
    pub decisions: u64,
    /// Offset in the log that was read last.
    pub offset: i64,
    /// Where the log ends.
    pub end: i64,
    /// Milliseconds it has taken so far.
    pub elapsed_ms: u64,
}

/// One batch.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct BatchState {
    /// Decisions in it.
    pub decisions: u64,
    /// Links it was cut into.
    pub links: u64,
    /// Bytes of these links.
    pub bytes: u64,
}

/// How many decisions ended so.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct DecisionCount {
    /// The outcome's name in lower case, for example `reserved`.
    pub outcome: String,
    /// The reason's name in lower case, empty if there is none.
    pub reason: String,
    /// Decisions.
    pub count: u64,
}

/// A histogram as Prometheus wants it.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct HistogramState {
    /// Sum of all values, seconds.
    pub sum: f64,
    /// Upper bound of each bucket in seconds, ascending, and how many values fell into this bucket alone. The last
    /// bound is infinite (`f64::MAX`).
    pub buckets: Vec<(f64, u64)>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

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
        check(joining, &["group sluice has not yet told which shards are this node's"]);
        check(NodeState { assigned: true, ..NodeState::default() }, &[]);
    }

    #[test]
    fn every_shard_that_has_not_caught_up_is_named_with_its_reason() {
        let input = |lag| InputState { position: 0, stable: lag, high: lag, stable_age_ms: 0 };
        let behind = ShardState { phase: Phase::CatchingUp, orders: input(5), ..ShardState::default() };
        let recovery = Some(RecoveryState { offset: 3, end: 9, ..RecoveryState::default() });
        let recovering = ShardState { shard: 1, phase: Phase::Recovering, recovery, ..ShardState::default() };
        let reason = Some("the log begins at offset 5".to_owned());
        let stopped = ShardState { shard: 2, phase: Phase::Stopped, reason, ..ShardState::default() };
        let running = ShardState { shard: 3, phase: Phase::Running, ..ShardState::default() };
        check(
            NodeState { assigned: true, shards: vec![behind, recovering, stopped, running], ..NodeState::default() },
            &[
                "shard 0 is catching up: 5 orders and 0 stock offsets behind",
                "shard 1 is recovering: at offset 3 of 9 of its log",
                "shard 2 is stopped: the log begins at offset 5",
            ],
        );
    }

    #[test]
    fn phases_have_one_name_in_state_and_metrics() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).expect("a name"), phase.name());
        }
    }
}
