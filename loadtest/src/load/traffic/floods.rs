//! Which pool is ordered from, and which of them are stormed for a while: then it is told what that costs the others.

use super::draw::{below, unit};
use crate::load::scenario::{Pools, Traffic};

/// The floods of a run.
#[derive(Clone, Debug)]
pub struct Floods {
    pools: u32,
    list: Vec<Flooded>,
}

#[derive(Clone, Copy, Debug)]
struct Flooded {
    pool: u32,
    /// Orders beyond those that each other pool has, in parts of those.
    more: f64,
    from_us: u64,
    until_us: u64,
}

/// Where an order of a run with floods belongs, for whoever compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shore {
    /// To a pool that is being flooded.
    Flooded,
    /// To another one at the same time.
    Beside,
    /// To another one before, for as long as the first flood lasts.
    Before,
}

impl Flooded {
    fn is_at(&self, due_us: u64) -> bool {
        (self.from_us..self.until_us).contains(&due_us)
    }
}

impl Floods {
    /// Those of a scenario whose run has so many pools.
    pub(super) fn new(traffic: &Traffic, pools: u32) -> Self {
        let names = if let Pools::Named(names) = &traffic.pools { &names[..] } else { &[] };
        let flooded = |flood: &crate::load::scenario::Flood| {
            let pool = names.iter().position(|name| *name == flood.pool)? as u32;
            let [from_us, until_us] = [flood.from, flood.until].map(|time| time.as_micros() as u64);
            let until_us = if until_us == 0 { u64::MAX } else { until_us };
            Some(Flooded { pool, more: flood.times - 1.0, from_us, until_us })
        };
        Self { pools, list: traffic.floods.iter().filter_map(flooded).collect() }
    }

    /// The pool that 64 random bits stand for, of a record that is due at `due_us`.
    #[inline]
    pub(super) fn pool(&self, bits: u64, due_us: u64) -> u32 {
        let at = || self.list.iter().filter(move |flood| flood.is_at(due_us));
        let more: f64 = at().map(|flood| flood.more).sum();
        if more == 0.0 {
            return below((bits >> 32) as u32, self.pools);
        }
        let pools = f64::from(self.pools);
        let mut drawn = unit(bits) * (pools + more);
        if drawn < pools {
            return drawn as u32;
        }
        drawn -= pools;
        for flood in at() {
            if drawn <= flood.more {
                return flood.pool;
            }
            drawn -= flood.more;
        }
        // The sum of the parts and their sum may differ in the last bit.
        at().next_back().map_or(0, |flood| flood.pool)
    }

    /// Where what is due at `due_us` in a pool belongs; none if that is compared with nothing.
    pub fn shore(&self, pool: u32, due_us: u64) -> Option<Shore> {
        let first = self.list.iter().min_by_key(|flood| flood.from_us)?;
        let before = first.from_us.saturating_sub(first.until_us - first.from_us)..first.from_us;
        let is_of_pool = |flood: &&Flooded| flood.pool == pool;
        if self.list.iter().filter(is_of_pool).any(|flood| flood.is_at(due_us)) {
            return Some(Shore::Flooded);
        }
        if self.list.iter().any(|flood| flood.pool == pool) {
            return None;
        }
        let is_beside = self.list.iter().any(|flood| flood.is_at(due_us));
        is_beside.then_some(Shore::Beside).or_else(|| before.contains(&due_us).then_some(Shore::Before))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::draw::mix;
    use super::*;
    use crate::load::scenario::Flood;

    fn floods(list: &[(&str, f64, u64, u64)]) -> Floods {
        let pools = Pools::Named(["a", "b", "c", "d"].map(str::to_owned).to_vec());
        let flood = |(pool, times, from_s, until_s): &(&str, f64, u64, u64)| {
            let [from, until] = [*from_s, *until_s].map(Duration::from_secs);
            Flood { pool: (*pool).to_owned(), times: *times, from, until }
        };
        Floods::new(&Traffic { pools, floods: list.iter().map(flood).collect(), ..Traffic::default() }, 4)
    }

    #[track_caller]
    fn check(floods: &Floods, due_s: u64, expected: [u32; 4]) {
        let mut counts = [0_u32; 4];
        (0..100_000).for_each(|number| counts[floods.pool(mix(number), due_s * 1_000_000) as usize] += 1);
        for (count, expected) in counts.into_iter().zip(expected) {
            assert!(count.abs_diff(expected) < 800, "{counts:?} at {due_s} s");
        }
    }

    #[test]
    fn a_pool_is_flooded_for_its_time_and_the_others_share_the_rest() {
        let floods = floods(&[("b", 7.0, 10, 20), ("c", 11.0, 15, 0)]);
        check(&floods, 9, [25_000; 4]);
        check(&floods, 10, [10_000, 70_000, 10_000, 10_000]);
        check(&floods, 15, [5_000, 35_000, 55_000, 5_000]);
        check(&floods, 20, [7_143, 7_143, 78_571, 7_143]);
    }

    #[test]
    fn the_others_are_compared_with_themselves_before() {
        let floods = floods(&[("b", 7.0, 10, 14)]);
        let shore = |pool, due_s: u64| floods.shore(pool, due_s * 1_000_000);
        assert_eq!([5, 6, 9, 10, 13, 14].map(|due_s| shore(0, due_s)), {
            use Shore::{Before, Beside};
            [None, Some(Before), Some(Before), Some(Beside), Some(Beside), None]
        });
        assert_eq!([9, 10, 14].map(|due_s| shore(1, due_s)), [None, Some(Shore::Flooded), None]);
        assert_eq!(self::floods(&[]).shore(0, 10), None);
    }
}
