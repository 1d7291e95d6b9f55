//! The time of a run: nanoseconds since its start, the same for everyone who takes part.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// When a run starts, by both clocks. Intervals are measured by the monotonic one; the other one gives orders their
/// `placed_at`, and lets several processes agree on a start.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: Instant,
    start_unix_ms: i64,
}

impl RunClock {
    /// A run that starts `wait` from now.
    pub fn starting_in(wait: Duration) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + wait;
        Self { start: Instant::now() + wait, start_unix_ms: unix.as_millis() as i64 }
    }

    /// A run that starts at an instant of the system clock, which several processes were told. One that has passed
    /// starts in the past: what was due since then is sent late, and counted so.
    pub fn starting_at(at: SystemTime) -> Self {
        let (now, mono) = (SystemTime::now(), Instant::now());
        let start = match at.duration_since(now) {
            Ok(wait) => mono + wait,
            Err(past) => mono.checked_sub(past.duration()).unwrap_or(mono),
        };
        Self { start, start_unix_ms: at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64 }
    }

    /// Nanoseconds since the start; 0 before it.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        Instant::now().saturating_duration_since(self.start).as_nanos() as u64
    }

    /// Nanoseconds from the start to `instant`; 0 before it.
    #[inline]
    pub fn at_ns(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_nanos() as u64
    }

    /// The instant `ns` after the start.
    pub fn instant(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }

    /// The start, in milliseconds since the Unix epoch.
    pub fn start_unix_ms(&self) -> i64 {
        self.start_unix_ms
    }
}
