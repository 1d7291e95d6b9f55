//! How long a producer rests between a commit and the next transaction's first record.
//!
//! A commit is answered while the broker still writes its markers. A partition added to a transaction meanwhile is
//! answered with CONCURRENT_TRANSACTIONS, and librdkafka then waits a fixed 20 ms: commits in a row took 27 ms without
//! a rest and 6 ms with one of 5 ms. How long the markers take depends on the cluster, so the rest is found by trying.

use std::time::Duration;

/// First guess.
const FIRST: Duration = Duration::from_millis(4);

/// Longest rest: librdkafka's own wait costs no more.
const LONGEST: Duration = Duration::from_millis(20);

/// A first acknowledgement that took so long, soon after a commit, met that wait.
const COLLIDED: Duration = Duration::from_millis(20);

/// Added after a collision.
const LONGER: Duration = Duration::from_millis(1);

/// Taken off after a transaction that rested and did not collide: one in fifty collides when all is steady.
const SHORTER: Duration = Duration::from_micros(20);

#[derive(Debug)]
pub(super) struct Rest(Duration);

impl Rest {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// What is left of the rest, `since` the commit before.
    pub(super) fn left(&self, since: Duration) -> Duration {
        self.0.saturating_sub(since)
    }

    /// Learns from a transaction whose first record was handed over `since` the commit before and acknowledged after
    /// `first_ack`.
    pub(super) fn learn(&mut self, since: Duration, first_ack: Duration) {
        if since > LONGEST {
            return;
        }
        self.0 = match first_ack >= COLLIDED {
            true => (self.0 + LONGER).min(LONGEST),
            false => self.0.saturating_sub(SHORTER),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs transactions in a row against a broker whose markers take `markers`; the share that collided, in percent.
    fn collisions_percent(rest: &mut Rest, markers: Duration, count: u32) -> u32 {
        let mut collided = 0;
        for _ in 0..count {
            let since = rest.left(Duration::ZERO);
            let hit = since < markers;
            collided += u32::from(hit);
            rest.learn(since, if hit { 22 * MS } else { 3 * MS });
        }
        collided * 100 / count
    }

    #[test]
    fn collisions_become_rare_whatever_the_cluster_takes_for_its_markers() {
        for markers in [MS, 3 * MS, 9 * MS, 15 * MS] {
            let mut rest = Rest::new();
            collisions_percent(&mut rest, markers, 1_000);
            assert!(collisions_percent(&mut rest, markers, 1_000) <= 3);
            assert!(rest.left(Duration::ZERO) <= markers + 2 * MS);
        }
    }

    #[test]
    fn a_slow_cluster_is_never_rested_for_longer_than_the_wait_it_saves() {
        let mut rest = Rest::new();
        collisions_percent(&mut rest, 500 * MS, 1_000);
        assert_eq!(rest.left(Duration::ZERO), LONGEST);
    }

    #[test]
    fn transactions_far_apart_neither_wait_nor_teach() {
        let mut rest = Rest::new();
        assert_eq!(rest.left(100 * MS), Duration::ZERO);
        rest.learn(100 * MS, 30 * MS);
        assert_eq!(rest.left(Duration::ZERO), FIRST);
    }
}
