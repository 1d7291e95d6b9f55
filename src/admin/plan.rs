//! What `topics create` is asked for, and how many lanes suit so many shards.

use std::time::Duration;

use super::create::CreateError;

/// Lanes where nobody says how many: each costs the brokers its commits, and fewer than processors leave some of these
/// without work.
const DEFAULT_LANES: u32 = 8;

/// Lanes of equally many shards are better than [`DEFAULT_LANES`] only if there are so many of them.
const FEWEST_EVEN_LANES: u32 = 3;

/// What the topics shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Partitions of every topic that has one a shard.
    pub partitions: u32,
    /// Partitions of `decisions`; none: as many as it has, or as suit the shards.
    pub lanes: Option<u32>,
    /// Partitions of `replies`, and of the optional topic with one record a decision.
    pub reply_partitions: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u16,
    /// How long an order id is remembered.
    pub window: Duration,
    /// By how much a client's clock may be ahead of the broker's.
    pub skew: Duration,
    /// The rules level at which logs begin that have not begun yet.
    pub rules_level: u32,
}

impl Plan {
    pub(super) fn check(&self) -> Result<(), CreateError> {
        let wrong = |what: String| Err(CreateError::Plan(what));
        if self.min_insync > self.replication {
            return wrong("--min-insync is above --replication: no record could ever be acknowledged".to_owned());
        }
        if self.window.is_zero() {
            return wrong("--window must be above 0: no retry would be known as one; an hour is usual".to_owned());
        }
        match self.lanes {
            Some(0) => wrong("--lanes must be above 0: each shard's decisions stand in a lane's log".to_owned()),
            Some(lanes) if lanes > self.partitions => wrong(format!(
                "--lanes {lanes} is above --partitions {}: a lane without a shard would have nothing to decide; use {} or \
                 fewer",
                self.partitions, self.partitions
            )),
            _ => Ok(()),
        }
    }

    /// How many lanes there are to be, if `decisions` has `found` partitions.
    pub(super) fn lanes(&self, found: Option<u32>, decisions: &str) -> Result<u32, CreateError> {
        let lanes = match (self.lanes, found) {
            (None, None) => default_lanes(self.partitions),
            (Some(wanted), Some(found)) if wanted != found => {
                return Err(CreateError::Lanes { name: decisions.to_owned(), found, wanted });
            }
            (Some(lanes), _) | (None, Some(lanes)) => lanes,
        };
        if lanes > self.partitions {
            let name = decisions.to_owned();
            return Err(CreateError::MoreLanes { name, found: lanes, partitions: self.partitions });
        }
        Ok(lanes)
    }
}

/// How many lanes suit so many shards where nobody says otherwise: a log each for a few, and beyond that as many as keep
/// eight processors busy, all of them with equally many shards if that can be.
fn default_lanes(shards: u32) -> u32 {
    if shards <= DEFAULT_LANES {
        return shards;
    }
    let even = (1..=DEFAULT_LANES).rev().find(|lanes| shards.is_multiple_of(*lanes)).unwrap_or(1);
    if even >= FEWEST_EVEN_LANES { even } else { DEFAULT_LANES }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::admin) const PLAN: Plan = Plan {
        partitions: 4,
        lanes: None,
        reply_partitions: 7,
        replication: 3,
        min_insync: 2,
        window: Duration::from_secs(3_600),
        skew: Duration::from_secs(300),
        rules_level: 1,
    };

    #[test]
    fn a_plan_by_which_nothing_could_be_written_is_refused() {
        assert!(Plan { replication: 2, min_insync: 3, ..PLAN }.check().is_err());
        assert!(Plan { window: Duration::ZERO, ..PLAN }.check().is_err());
        assert!(PLAN.check().is_ok());
    }

    #[test]
    fn a_few_shards_have_a_lane_each_and_many_share_few_evenly() {
        for (shards, lanes) in [
            (1, 1),
            (7, 7),
            (8, 8),
            (9, 3),
            (10, 5),
            (11, 8),
            (12, 6),
            (14, 7),
            (22, 8),
            (48, 8),
            (60, 6),
            (121, 8),
            (200, 8),
        ] {
            assert_eq!(default_lanes(shards), lanes, "{shards} shards");
        }
    }

    #[test]
    fn lanes_that_are_there_count_and_others_are_told_what_to_do() {
        let lanes = |wanted, found| Plan { partitions: 12, lanes: wanted, ..PLAN }.lanes(found, "decisions");
        assert_eq!(lanes(None, None).expect("they suit"), 6);
        assert_eq!(lanes(Some(4), None).expect("they suit"), 4);
        assert_eq!(lanes(None, Some(12)).expect("they are there"), 12, "of a log from before there were lanes");
        assert_eq!(lanes(Some(4), Some(4)).expect("they are there"), 4);
        let text = lanes(Some(4), Some(12)).expect_err("there are others").to_string();
        assert!(text.contains("has 12 partitions") && text.contains("leave --lanes away"), "{text}");
        let text = lanes(None, Some(13)).expect_err("one has no shard").to_string();
        assert!(text.contains("--partitions 13 or more"), "{text}");
    }

    #[test]
    fn a_lane_without_a_shard_is_refused() {
        let check = |lanes| Plan { partitions: 4, lanes: Some(lanes), ..PLAN }.check();
        assert!(check(1).is_ok() && check(4).is_ok());
        let text = check(5).expect_err("one has no shard").to_string();
        assert!(text.contains("--lanes 5 is above --partitions 4"), "{text}");
        assert!(check(0).is_err());
    }
}
