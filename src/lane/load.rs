//! How many lanes of a node commit at present: what a broker has to do grows with them, so each leaves it more time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::settings::COMMITS_FOR_MS;

/// One lane's place in what the lanes of a node know of each other. Read and written a few times a commit.
#[derive(Clone, Debug)]
pub struct Load {
    /// When each lane last handed a batch over, steady ms; 0: never.
    handed_ms: Arc<[AtomicU64]>,
    mine: usize,
}

impl Load {
    /// A place for each of as many lanes.
    #[must_use]
    pub fn of_node(lanes: u32) -> Vec<Load> {
        let handed_ms: Arc<[AtomicU64]> = (0..lanes).map(|_| AtomicU64::new(0)).collect();
        (0..lanes as usize).map(|mine| Load { handed_ms: handed_ms.clone(), mine }).collect()
    }

    /// Of a lane that is the only one.
    #[must_use]
    pub fn alone() -> Load {
        Load { handed_ms: Arc::new([AtomicU64::new(0)]), mine: 0 }
    }

    /// This lane hands a batch over.
    pub(super) fn handed(&self, now_ms: u64) {
        self.handed_ms[self.mine].store(now_ms.max(1), Relaxed);
    }

    /// How many lanes have handed one over of late, this one among them in any case.
    pub(super) fn committing(&self, now_ms: u64) -> u64 {
        let lanes = self.handed_ms.iter().enumerate();
        let commits = |handed_ms: u64| handed_ms > 0 && now_ms < handed_ms + COMMITS_FOR_MS;
        lanes.filter(|(lane, handed_ms)| *lane == self.mine || commits(handed_ms.load(Relaxed))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_counts_as_long_as_it_hands_over_now_and_then() {
        let lanes = Load::of_node(3);
        assert_eq!(lanes[0].committing(5), 1, "itself");
        lanes[1].handed(10);
        lanes[2].handed(500);
        assert_eq!(lanes[0].committing(600), 3);
        assert_eq!(lanes[1].committing(600), 2);
        assert_eq!(lanes[0].committing(10 + COMMITS_FOR_MS), 2);
        assert_eq!(Load::alone().committing(7), 1);
    }
}
