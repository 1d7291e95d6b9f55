//! When the open batch is due, and when to ask for the ends of the inputs: as seldom as costs no order its batch,
//! because a broker's work for a transaction or a question is the same whatever rides on it.

use super::settings::{BatchLimits, COMMITS_APART, COMMITS_AT_A_TIME, LONGEST_APART_MS, QUESTIONS_APART_MS};

/// Added to what the last answer took: what it lets through is still to be applied.
const APPLY_MS: u64 = 1;

/// What one ownership of a lane has seen of its commits and answers. Times are steady ms.
#[derive(Debug)]
pub(super) struct Pace {
    limits: BatchLimits,
    handed_ms: u64,
    /// The batch handed over last is not known to be committed.
    committing: bool,
    /// How long the last two commits took that are known to be over. The shorter one counts: a single one that met an
    /// outage says nothing about the next.
    commits_ms: [u64; 2],
    asked_ms: u64,
    /// How long the last answer took.
    answer_ms: u64,
}

impl Pace {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Pace { limits, handed_ms: 0, committing: false, commits_ms: [0; 2], asked_ms: 0, answer_ms: 0 }
    }

    /// A batch was handed over.
    pub(super) fn handed(&mut self, now_ms: u64) {
        (self.handed_ms, self.committing) = (now_ms, true);
    }

    /// The commit half waits for a batch.
    pub(super) fn commit_is_idle(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.committing) {
            self.commits_ms = [now_ms.saturating_sub(self.handed_ms), self.commits_ms[0]];
        }
    }

    /// The next batch is due as soon as there is one.
    pub(super) fn hurry(&mut self) {
        (self.handed_ms, self.commits_ms) = (0, [0; 2]);
    }

    /// When the open batch is to be handed over, if it is not full before. `backlog`: more is there to be applied than
    /// comes between two commits. `lanes`: how many of the node commit. During a commit it is guessed from the one before.
    pub(super) fn due_ms(&self, backlog: bool, lanes: u64) -> u64 {
        let commit_ms = self.commits_ms[0].min(self.commits_ms[1]);
        let apart_ms = (COMMITS_APART.max(lanes.div_ceil(COMMITS_AT_A_TIME)) * commit_ms).min(LONGEST_APART_MS);
        let least_ms = if backlog { self.limits.backlog_interval_ms } else { self.limits.min_interval_ms };
        self.handed_ms + apart_ms.max(least_ms)
    }

    /// The ends were asked for.
    pub(super) fn asked(&mut self, now_ms: u64) {
        self.asked_ms = now_ms;
    }

    /// An answer is there.
    pub(super) fn answered(&mut self, now_ms: u64) {
        self.answer_ms = now_ms.saturating_sub(self.asked_ms);
    }

    /// When to ask for records that wait for an answer. What they are let through for is the next batch: `few` of them
    /// are applied in no time, so the answer has to be there just before it is due. A commit that goes on longer is not
    /// waited for: should it end sooner than thought, a batch would wait for the answer.
    pub(super) fn ask_ms(&self, few: bool, lanes: u64) -> u64 {
        let before_due_ms = self.due_ms(false, lanes).saturating_sub(self.answer_ms + APPLY_MS);
        let earliest_ms = self.asked_ms + QUESTIONS_APART_MS;
        if few { earliest_ms.max(before_due_ms) } else { earliest_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch was handed over at 1,000 ms, its commit took 8 ms like the one before; a question of 1,000 ms was answered
    /// in 2 ms.
    fn pace() -> Pace {
        let mut pace = Pace::new(BatchLimits::default());
        pace.handed(900);
        pace.commit_is_idle(908);
        pace.handed(1_000);
        pace.asked(1_000);
        pace.answered(1_002);
        pace.commit_is_idle(1_008);
        pace
    }

    #[test]
    fn a_lane_rests_as_long_as_it_commits() {
        let mut pace = pace();
        assert_eq!(pace.due_ms(false, 1), 1_016);
        pace.commit_is_idle(1_012);
        assert_eq!(pace.due_ms(false, 1), 1_016, "it is idle, and not done again");
        assert_eq!(pace.due_ms(true, 1), 1_025, "who is behind waits for the work that is left");
        pace.handed(1_016);
        assert_eq!(pace.due_ms(false, 1), 1_032, "as the commit before");
        pace.commit_is_idle(1_116);
        assert_eq!(pace.due_ms(false, 1), 1_032, "one that is slow for once is not what commits cost");
        pace.handed(1_200);
        pace.commit_is_idle(1_300);
        assert_eq!(pace.due_ms(false, 1), 1_400, "the slower the broker, the more it is left");
        assert_eq!(pace.due_ms(true, 1), 1_400);
        for _ in 0..2 {
            pace.handed(10_000);
            pace.commit_is_idle(30_000);
        }
        assert_eq!(pace.due_ms(false, 24), 10_000 + LONGEST_APART_MS, "orders wait for no debt of an outage");
        pace.hurry();
        assert!(pace.due_ms(true, 1) < 1_000);
    }

    #[test]
    fn lanes_of_a_node_commit_two_at_a_time_on_average() {
        let pace = pace();
        for lanes in [4, 12, 24] {
            assert_eq!(pace.due_ms(false, lanes), 1_000 + 8 * lanes / 2);
        }
        assert_eq!(pace.due_ms(false, 3), 1_016, "each rests as long as it commits");
    }

    #[test]
    fn few_records_have_their_answer_just_before_the_batch_is_due_and_many_at_once() {
        let mut pace = pace();
        assert_eq!(pace.ask_ms(false, 1), 1_004);
        assert_eq!(pace.ask_ms(true, 1), 1_013);
        pace.asked(1_012);
        assert_eq!(pace.ask_ms(true, 1), 1_016, "not more often than any");
        pace.answered(1_512);
        assert_eq!(pace.ask_ms(true, 1), 1_016, "answers that take longer than a batch are asked for at once");
    }
}
