//! Orders only from pools that are meant for rehearsals. Scenarios are refused when they are loaded; this is the last
//! look, at the very names that would be ordered from, whatever way they came.

use thiserror::Error;

use crate::load::scenario::REHEARSAL_PREFIX;
use crate::load::traffic::PoolSet;

/// Real stock would be sold to orders that nobody placed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "pool {pool:?} does not begin with {REHEARSAL_PREFIX:?}: its stock may be real. Rename it, or say \
     --i-want-to-order-from-real-pools"
)]
pub struct RealPool {
    /// Which one.
    pub pool: String,
}

/// Refuses pools that are not for rehearsals, unless `allowed` in words.
///
/// # Errors
/// The first such pool.
pub fn check(pools: &PoolSet, allowed: bool) -> Result<(), RealPool> {
    match pools.list().iter().find(|pool| !pool.name.starts_with(REHEARSAL_PREFIX)) {
        Some(pool) if !allowed => Err(RealPool { pool: pool.name.clone() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::Pools;

    fn pools(names: &[&str]) -> PoolSet {
        PoolSet::new(&Pools::Named(names.iter().map(|name| (*name).to_owned()).collect()), 3)
    }

    #[test]
    fn real_pools_are_refused_unless_that_is_said_in_words() {
        let mixed = pools(&["rehearsal-east", "east"]);
        assert_eq!(check(&mixed, false), Err(RealPool { pool: "east".to_owned() }));
        assert_eq!(check(&mixed, true), Ok(()));
        assert_eq!(check(&pools(&["rehearsal-east", "rehearsal-"]), false), Ok(()));
        assert!(check(&pools(&["Rehearsal-east"]), false).is_err());
        assert_eq!(check(&PoolSet::new(&Pools::PerPartition, 12), false), Ok(()));
    }
}
