//! The pools that a run orders from, and the partition of each.

use sluice::wire::route::partition_of;

use super::days::pool_name;
use super::id::RunId;
use crate::load::scenario::{Pools, REHEARSAL_PREFIX, Scenario};

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name, the key of its records.
    pub name: String,
    /// Where its records go.
    pub partition: u32,
}

/// All pools of a run; the order of the list is the same for everyone who knows scenario and partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSet {
    pools: Vec<Pool>,
    partitions: u32,
}

impl PoolSet {
    /// The pools that a scenario asks for, on topics of this many partitions (at least 1).
    pub fn new(asked: &Pools, partitions: u32) -> Self {
        Self::named(asked, partitions, |name| name)
    }

    /// The pools of a run: its own ones, if it sets a rule for them as a whole.
    pub fn of(scenario: &Scenario, run: RunId, partitions: u32) -> Self {
        let has_own = !scenario.rules.delivery.is_empty();
        let name = |name: String| if has_own { pool_name(&name, run) } else { name };
        Self::named(&scenario.traffic.pools, partitions, name)
    }

    fn named(asked: &Pools, partitions: u32, called: impl Fn(String) -> String) -> Self {
        let pool = |name: String| {
            let name = called(name);
            Pool { partition: partition_of(name.as_bytes(), partitions), name }
        };
        let pools = match asked {
            Pools::Named(names) => names.iter().cloned().map(pool).collect(),
            Pools::PerPartition => {
                let mut found: Vec<Option<Pool>> = vec![None; partitions as usize];
                let mut missing = partitions;
                for pool in (0..).map(|number| pool(format!("{REHEARSAL_PREFIX}{number}"))) {
                    let place = &mut found[pool.partition as usize];
                    if place.is_none() {
                        *place = Some(pool);
                        missing -= 1;
                    }
                    if missing == 0 {
                        break;
                    }
                }
                found.into_iter().flatten().collect()
            }
        };
        Self { pools, partitions }
    }

    /// The pools.
    pub fn list(&self) -> &[Pool] {
        &self.pools
    }

    /// Partitions of the topics.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Number of a pool in the list, by its name.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        self.pools.iter().position(|pool| pool.name.as_bytes() == name).map(|at| at as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::load::scenario::built_in;

    #[test]
    fn every_partition_has_a_pool_of_its_own() {
        for partitions in [1, 2, 3, 12, 64] {
            let set = PoolSet::new(&Pools::PerPartition, partitions);
            let placed: Vec<_> = set.list().iter().map(|pool| pool.partition).collect();
            assert_eq!(placed, (0..partitions).collect::<Vec<_>>());
            assert!(set.list().iter().all(|pool| pool.name.starts_with(REHEARSAL_PREFIX)));
            assert_eq!(set.number(set.list()[0].name.as_bytes()), Some(0));
        }
    }

    #[test]
    fn the_brands_of_many_shards_reach_each_of_them() {
        let (_, text) = built_in().find(|(name, _)| *name == "many-shards").expect("it comes with the program");
        let scenario: Scenario = toml::from_str(text).expect("a scenario");
        let shards = scenario.topics.partitions;
        let set = PoolSet::new(&scenario.traffic.pools, shards);
        let reached: BTreeSet<u32> = set.list().iter().map(|pool| pool.partition).collect();
        assert_eq!(reached, (0..shards).collect());
        assert_eq!((set.list().len(), shards, scenario.topics.lanes), (60, 48, 2));
    }

    #[test]
    fn named_pools_stay_in_their_order() {
        let names = vec!["rehearsal-b".to_owned(), "rehearsal-a".to_owned()];
        let set = PoolSet::new(&Pools::Named(names.clone()), 4);
        assert_eq!(set.list().iter().map(|pool| pool.name.clone()).collect::<Vec<_>>(), names);
        assert_eq!(set.number(b"rehearsal-c"), None);
    }
}
