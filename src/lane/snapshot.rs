//! What a lane told about itself, as it was at one moment: what `/state` shows of a shard, and metrics count.

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::wire::proto::{Outcome, Reason};

/// Where a shard, or its lane, is in its life.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
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
    /// Failed or was fenced, and tries again after a pause; the reason says why.
    BackingOff,
    /// Ended, because it was told to.
    Stopped,
    /// Stays down until a person does something; the reason says what.
    Failed,
    /// Does not work while its lane does, and tries again after a pause; the reason says why.
    Parked,
}

impl Phase {
    /// Every phase, each at the place of its number.
    pub const ALL: [Self; 8] = [
        Self::Taking,
        Self::Recovering,
        Self::CatchingUp,
        Self::Running,
        Self::BackingOff,
        Self::Stopped,
        Self::Failed,
        Self::Parked,
    ];

    /// Its name, as `/state` and the metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Taking => "taking",
            Self::Recovering => "recovering",
            Self::CatchingUp => "catching_up",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Parked => "parked",
        }
    }
}

/// Upper bounds of the commit latency's buckets, in ms; the last bucket has none. From well below the 5 ms that a quiet
/// broker takes to the longest time-out.
pub const COMMIT_BUCKETS_MS: [u64; 14] = [1, 2, 4, 6, 8, 12, 20, 35, 60, 100, 250, 1_000, 5_000, 30_000];

/// How far a shard has come with one of its inputs. Shown with its lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSnapshot {
    /// Every record below this offset is decided and committed.
    pub position: i64,
    /// The last stable offset when it was last asked for; below 0: never.
    pub stable: i64,
    /// The high watermark when it was last asked for; below 0: never.
    pub high: i64,
    /// How long some upstream transaction has kept the stable offset from moving; 0 while none does.
    pub stable_age_ms: u64,
}

impl InputSnapshot {
    /// Offsets below the high watermark that are not yet decided.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.high.saturating_sub(self.position)).unwrap_or(0)
    }
}

impl Serialize for InputSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("InputSnapshot", 5)?;
        fields.serialize_field("position", &self.position)?;
        fields.serialize_field("stable", &self.stable)?;
        fields.serialize_field("high", &self.high)?;
        fields.serialize_field("lag", &self.lag())?;
        fields.serialize_field("stable_age_ms", &self.stable_age_ms)?;
        fields.end()
    }
}

/// How far a recovery is, or was when the shard was taken.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct RecoverySnapshot {
    /// Decisions replayed.
    pub decisions: u64,
    /// Offset in the log that was read last.
    pub offset: i64,
    /// Where the log ended when it was begun to be read; below 0: not known.
    pub end: i64,
}

/// A copy of all figures of a lane. Counters run from the moment at which this process took it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneSnapshot {
    /// Where the lane is in its life.
    pub phase: Phase,
    /// Why, if that is not the normal course.
    pub reason: Option<String>,
    /// How often the lane has changed owner.
    pub epoch: u64,
    /// The last recovery.
    pub recovery: RecoverySnapshot,
    /// Batches committed.
    pub batches: u64,
    /// Decisions of the last batch.
    pub last_decisions: u64,
    /// Links of the last batch.
    pub last_links: u64,
    /// Bytes of the last batch.
    pub last_bytes: u64,
    /// Times the log was looked at because a commit failed or looked odd.
    pub looks: u64,
    /// Batches whose remaining links had to be sent again.
    pub resends: u64,
    /// Sum of all commits' times.
    pub commit_ms: u64,
    /// Commits in each bucket of [`COMMIT_BUCKETS_MS`], and above the last.
    pub commit_buckets: [u64; COMMIT_BUCKETS_MS.len() + 1],
    /// Its shards, in order; `/state` shows them for themselves.
    #[serde(skip)]
    pub shards: Vec<ShardSnapshot>,
}

/// A copy of all figures of a shard. Counters run from the moment at which this process took its lane.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShardSnapshot {
    /// Its partition.
    pub shard: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Why, if that is not the normal course.
    pub reason: Option<String>,
    /// Sequence of the last decision that is committed.
    pub sequence: u64,
    /// The shard's time, ms since the Unix epoch.
    pub shard_time_ms: i64,
    /// `orders`.
    pub orders: InputSnapshot,
    /// `stock`.
    pub stock: InputSnapshot,
    /// Decisions committed, by outcome and reason; those that occurred.
    #[serde(serialize_with = "by_name")]
    pub decisions: Vec<(Outcome, Reason, u64)>,
    /// Records that went to `dead-letters`.
    pub dead_letters: u64,
    /// Replies that asked for a partition that `replies` does not have, and were not written.
    pub lost_replies: u64,
    /// Ticks published.
    pub ticks: u64,
    /// Orders held or committed.
    pub open_orders: u64,
    /// The rules level, by now: which selling rules may be used.
    pub rules_level: u32,
    /// Closed identities remembered.
    pub remembered_ids: u64,
    /// Stock rows (pool and SKU).
    pub stock_rows: u64,
    /// Bytes set aside for the ledger.
    pub ledger_bytes: u64,
}

/// An outcome's name as metrics and `/state` have it, for example `reserved`.
pub fn outcome_name(outcome: Outcome) -> String {
    outcome.as_str_name().trim_start_matches("OUTCOME_").to_ascii_lowercase()
}

/// A reason's name, for example `out_of_stock`; empty if there is none.
pub fn reason_name(reason: Reason) -> String {
    match reason {
        Reason::Unspecified => String::new(),
        reason => reason.as_str_name().trim_start_matches("REASON_").to_ascii_lowercase(),
    }
}

fn by_name<S: Serializer>(decisions: &[(Outcome, Reason, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row {
        outcome: String,
        reason: String,
        count: u64,
    }
    let mut rows = serializer.serialize_seq(Some(decisions.len()))?;
    for &(outcome, reason, count) in decisions {
        rows.serialize_element(&Row { outcome: outcome_name(outcome), reason: reason_name(reason), count })?;
    }
    rows.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_found_at_its_number_and_has_one_name() {
        for (number, phase) in (0..).zip(Phase::ALL) {
            assert_eq!(phase as u8, number);
            assert_eq!(serde_json::to_value(phase).expect("a name"), phase.name());
        }
    }

    #[test]
    fn decisions_are_shown_by_name() {
        let decisions = vec![(Outcome::Rejected, Reason::OutOfStock, 7), (Outcome::Reserved, Reason::Unspecified, 1)];
        let shown = serde_json::to_value(ShardSnapshot { decisions, ..ShardSnapshot::default() }).expect("JSON");
        assert_eq!(shown["decisions"][0]["reason"], "out_of_stock");
        assert_eq!(shown["decisions"][1], serde_json::json!({ "outcome": "reserved", "reason": "", "count": 1 }));
    }
}
