//! What a node is waiting for between joining its group and deciding, in a line now and then: how far its lanes are, at
//! which rate they recover, and how long that will take. Told by figures and the time; owns no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::logging::list;
use crate::lane::{LaneSnapshot, Phase};

/// Between two lines of progress: often enough to see that it moves, seldom enough for a recovery that takes an hour.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Between two lines while the group has given this node no lane.
const TELL_WAITING_EVERY: Duration = Duration::from_secs(10);

/// How far a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The group has given this node no lane yet.
    Unassigned {
        /// Since it joined, or lost its lanes.
        waited: Duration,
    },
    /// Some lanes do not decide yet.
    Starting {
        /// Those that fence their predecessor and find the end of their log.
        taking: String,
        /// Those that replay it.
        recovering: String,
        /// Those that decide and have yet to reach the end that their inputs had.
        catching_up: String,
        /// Decisions replayed a second, of all lanes together, since the line before.
        per_second: u64,
        /// Of the logs that are being replayed.
        percent: u64,
        /// Until the last of them is replayed, at the rate of each; none if it cannot be told.
        left_s: Option<u64>,
        /// Records of the inputs that wait for those that catch up.
        behind: u64,
    },
}

/// What was told last.
#[derive(Debug)]
pub(super) struct Progress {
    unassigned_since: Option<Instant>,
    told: Instant,
    /// Decisions and offset of each lane that recovers, when it was told.
    before: BTreeMap<u32, (u64, i64)>,
}

impl Progress {
    /// Of a node that joins now.
    pub(super) fn new(now: Instant) -> Self {
        Self { unassigned_since: Some(now), told: now, before: BTreeMap::new() }
    }

    /// What is to be told now, if anything. `assigned`: the group has given it lanes, or it is a spare.
    pub(super) fn step(&mut self, now: Instant, assigned: bool, lanes: &[(u32, LaneSnapshot)]) -> Option<Report> {
        self.unassigned_since = if assigned { None } else { self.unassigned_since.or(Some(now)) };
        let since = now.duration_since(self.told);
        if let Some(began) = self.unassigned_since {
            let due = since >= TELL_WAITING_EVERY;
            return due.then(|| {
                self.told = now;
                Report::Unassigned { waited: now.duration_since(began) }
            });
        }
        if since < TELL_EVERY {
            return None;
        }
        self.told = now;
        let of = |phase| lanes.iter().filter(move |(_, lane)| lane.phase == phase);
        let names = |phase| list(&of(phase).map(|(number, _)| u64::from(*number)).collect::<Vec<_>>());
        let seconds = since.as_secs_f64();
        let (mut decisions, mut read, mut all, mut left_s) = (0, 0, 0, Some(0));
        let mut now_at = BTreeMap::new();
        for (number, lane) in of(Phase::Recovering) {
            let recovery = lane.recovery;
            now_at.insert(*number, (recovery.decisions, recovery.offset));
            // One that begins anew counts from its beginning.
            let before = self.before.get(number).filter(|(_, offset)| *offset <= recovery.offset);
            let (decisions_before, offset_before) = before.copied().unwrap_or_default();
            decisions += recovery.decisions.saturating_sub(decisions_before);
            read += recovery.offset.max(0);
            all += recovery.end.max(recovery.offset).max(0);
            let speed = (recovery.offset - offset_before) as f64 / seconds;
            let left = (recovery.end - recovery.offset) as f64 / speed;
            let left = (recovery.end >= 0 && left.is_finite()).then(|| left.max(0.0).round() as u64);
            left_s = left_s.zip(left).map(|(longest, left)| longest.max(left));
        }
        self.before = now_at;
        let behind =
            of(Phase::CatchingUp).flat_map(|(_, lane)| &lane.shards).flat_map(|shard| [shard.orders, shard.stock]);
        let behind = behind.map(|input| u64::try_from(input.high - input.position).unwrap_or(0)).sum();
        let (taking, recovering) = (names(Phase::Taking), names(Phase::Recovering));
        let catching_up = names(Phase::CatchingUp);
        if taking.is_empty() && recovering.is_empty() && catching_up.is_empty() {
            return None;
        }
        let per_second = (decisions as f64 / seconds) as u64;
        let percent = if all > 0 { (read * 100 / all).unsigned_abs() } else { 100 };
        Some(Report::Starting { taking, recovering, catching_up, per_second, percent, left_s, behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::ShardSnapshot;

    fn recovering(decisions: u64, offset: i64, end: i64) -> LaneSnapshot {
        let mut lane = LaneSnapshot { phase: Phase::Recovering, ..LaneSnapshot::default() };
        (lane.recovery.decisions, lane.recovery.offset, lane.recovery.end) = (decisions, offset, end);
        lane
    }

    #[test]
    fn a_node_says_now_and_then_that_it_waits_for_its_group() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let told: Vec<_> = (1..=25).filter_map(|s| progress.step(start + Duration::from_secs(s), false, &[])).collect();
        let waited = |s| Report::Unassigned { waited: Duration::from_secs(s) };
        assert_eq!(told, [waited(10), waited(20)]);
    }

    #[test]
    fn a_recovery_tells_the_rate_since_the_line_before_and_the_time_left_of_the_slowest() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let at = |s| start + Duration::from_secs(s);
        let lanes = [(0, recovering(1_000, 10, 100)), (3, recovering(0, 0, 50))];
        assert!(progress.step(at(5), true, &lanes).is_some());
        assert_eq!(progress.step(at(9), true, &lanes), None, "no more often than every five seconds");
        let lanes = [(0, recovering(6_000, 60, 100)), (3, recovering(500, 10, 50)), (4, LaneSnapshot::default())];
        let report = Report::Starting {
            taking: "4".to_owned(),
            recovering: "0,3".to_owned(),
            catching_up: String::new(),
            per_second: 1_100,
            percent: 46,
            left_s: Some(20),
            behind: 0,
        };
        assert_eq!(progress.step(at(10), true, &lanes), Some(report));
    }

    #[test]
    fn a_node_whose_lanes_all_decide_says_nothing() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let lane = |phase| LaneSnapshot { phase, ..LaneSnapshot::default() };
        let running = [(0, lane(Phase::Running)), (1, lane(Phase::BackingOff))];
        assert_eq!(progress.step(start + Duration::from_secs(60), true, &running), None);
        let mut behind = lane(Phase::CatchingUp);
        let mut shard = ShardSnapshot::default();
        (shard.orders.position, shard.orders.high) = (10, 50);
        behind.shards = vec![shard];
        let report = progress.step(start + Duration::from_secs(90), true, &[(0, behind)]);
        assert!(matches!(report, Some(Report::Starting { behind: 40, .. })), "{report:?}");
    }
}
