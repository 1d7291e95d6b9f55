//! When a node that was given no shard counts as a spare: not before others had the time to let its shards go.

use std::time::{Duration, Instant};

/// How long the group may take to give a shard to this node beyond its former owner's heartbeat and last commit.
const GROUP_ROUND: Duration = Duration::from_secs(3);

/// The wait of a node that joined and was given nothing yet.
#[derive(Debug)]
pub(super) struct Spare {
    after: Duration,
    from: Option<Instant>,
}

impl Spare {
    /// `heartbeat`: how long a member may take to hear of what changed in the group; `release`: how long it may take to
    /// commit what is open.
    pub(super) fn new(heartbeat: Duration, release: Duration) -> Self {
        Self { after: heartbeat + release + GROUP_ROUND, from: None }
    }

    /// The group gave it nothing, and nothing before. Said again, the wait goes on: others may come and go all the time.
    pub(super) fn left_without(&mut self, now: Instant) {
        self.from.get_or_insert(now + self.after);
    }

    /// It was given shards, or is no longer of the group.
    pub(super) fn forget(&mut self) {
        self.from = None;
    }

    /// Whether it has become a spare; told once.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.from.take_if(|from| *from <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_spare_when_others_had_their_time_however_often_the_group_changes() {
        let second = Duration::from_secs(1);
        let (mut spare, began) = (Spare::new(second, 4 * second), Instant::now());
        assert!(!spare.is_over(began));
        for s in 0..8 {
            spare.left_without(began + s * second);
            assert!(!spare.is_over(began + s * second), "after {s} s");
        }
        assert!(spare.is_over(began + 8 * second));
        assert!(!spare.is_over(began + 9 * second), "it was told");
    }

    #[test]
    fn a_node_that_is_given_shards_or_leaves_waits_anew() {
        let (mut spare, began) = (Spare::new(Duration::ZERO, Duration::ZERO), Instant::now());
        spare.left_without(began);
        spare.forget();
        assert!(!spare.is_over(began + GROUP_ROUND));
        spare.left_without(began + GROUP_ROUND);
        assert!(!spare.is_over(began + GROUP_ROUND));
        assert!(spare.is_over(began + 2 * GROUP_ROUND));
    }
}
