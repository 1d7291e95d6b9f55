//! How long to stay away after a fault.

use rand::Rng;

use super::settings::{BACKOFF_MOST_MS, CALM_MS};

/// Pauses that double from one fault to the next, with jitter, so that two owners who fence each other part.
#[derive(Debug)]
pub(super) struct Backoff {
    next_ms: u64,
    last_fault_ms: u64,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next_ms: 0, last_fault_ms: 0 }
    }

    /// Counts a fault at `now_ms`; returns until when to pause, which is at least `first_ms` before jitter.
    pub(super) fn fault(&mut self, now_ms: u64, first_ms: u64, rng: &mut impl Rng) -> u64 {
        if now_ms.saturating_sub(self.last_fault_ms) > CALM_MS {
            self.next_ms = 0;
        }
        self.next_ms = self.next_ms.max(first_ms);
        self.last_fault_ms = now_ms;
        let pause_ms = rng.random_range(self.next_ms / 2..=self.next_ms);
        self.next_ms = (self.next_ms * 2).min(BACKOFF_MOST_MS);
        now_ms + pause_ms
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::settings::{BACKOFF_FIRST_MS, FENCED_FIRST_MS};
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over_after_a_calm() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new();
        let mut now = 1_000_000;
        for round in 0..20 {
            let pause = backoff.fault(now, BACKOFF_FIRST_MS, &mut rng) - now;
            let full = (BACKOFF_FIRST_MS << round.min(20)).min(BACKOFF_MOST_MS);
            assert!((full / 2..=full).contains(&pause), "round {round}: {pause}");
            now += pause;
        }
        now += CALM_MS + 1;
        assert!(backoff.fault(now, BACKOFF_FIRST_MS, &mut rng) - now <= BACKOFF_FIRST_MS);
        assert!(backoff.fault(now, FENCED_FIRST_MS, &mut rng) - now >= FENCED_FIRST_MS / 2);
    }
}
