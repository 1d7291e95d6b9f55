//! How the shards of a deployment share the partitions of `decisions`.
//!
//! `orders` and `stock` have a partition for each **shard**: one ledger, one time, one sequence. `decisions` has one for
//! each **lane**: the log of its shards, written by one transactional producer. Shard p belongs to lane p modulo the
//! number of lanes.

use super::proto::Genesis;

/// Version of a log whose lane is one shard.
pub const VERSION_OF_ONE: u32 = 1;
/// Version of a log whose lane has several shards.
pub const VERSION_OF_LANES: u32 = 2;

/// How many shards and lanes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of `orders`, and of `stock`.
    pub shards: u32,
    /// Partitions of `decisions`: as many at the most.
    pub lanes: u32,
}

impl Layout {
    /// A lane for each shard: the layout of the first logs.
    #[must_use]
    pub const fn one_each(shards: u32) -> Layout {
        Layout { shards, lanes: shards }
    }

    /// As a genesis says, which was found to be valid.
    #[must_use]
    pub fn of(genesis: &Genesis) -> Layout {
        let lanes = if genesis.version == VERSION_OF_ONE { genesis.partitions } else { genesis.lanes };
        Layout { shards: genesis.partitions, lanes }
    }

    /// Version of the log's rules that says so.
    #[must_use]
    pub fn version(self) -> u32 {
        if self.lanes == self.shards { VERSION_OF_ONE } else { VERSION_OF_LANES }
    }

    /// The lane of `shard`.
    #[must_use]
    pub fn lane(self, shard: u32) -> u32 {
        shard % self.lanes
    }

    /// Where what a lane keeps for each of its shards has that of `shard`; none if it is of another lane.
    #[must_use]
    pub fn index(self, lane: u32, shard: u32) -> Option<usize> {
        (shard < self.shards && self.lane(shard) == lane).then_some((shard / self.lanes) as usize)
    }

    /// The shards of `lane`, in order.
    pub fn shards_of(self, lane: u32) -> impl ExactSizeIterator<Item = u32> {
        (lane..self.shards).step_by(self.lanes as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_of_one_lane_and_has_its_place_there() {
        for (shards, lanes) in [(1, 1), (5, 1), (5, 2), (5, 5), (200, 7)] {
            let layout = Layout { shards, lanes };
            let mut all: Vec<u32> = Vec::new();
            for lane in 0..lanes {
                for (index, shard) in layout.shards_of(lane).enumerate() {
                    assert_eq!(layout.lane(shard), lane);
                    let found: Vec<_> = (0..lanes).map(|lane| layout.index(lane, shard)).collect();
                    let expected: Vec<_> = (0..lanes).map(|of| (of == lane).then_some(index)).collect();
                    assert_eq!(found, expected);
                    all.push(shard);
                }
            }
            all.sort_unstable();
            assert_eq!(all, (0..shards).collect::<Vec<_>>());
            assert_eq!(layout.index(0, shards), None);
        }
    }
}
