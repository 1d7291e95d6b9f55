//! Rates out of counters: what the last second was, and how it has been for a while.

use std::collections::VecDeque;
use std::time::Duration;

use super::Snapshot;

/// A rate is taken over this time: shorter ones jump, longer ones lag.
const RATE_OVER: Duration = Duration::from_secs(1);

/// How much of the past the charts show, in points of [`RATE_OVER`].
const POINTS: usize = 180;

/// Commands a second, as they were just now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) sent: f64,
    pub(super) decided: f64,
}

/// One point of the charts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) at_s: f64,
    pub(super) asked: f64,
    pub(super) rates: Rates,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

/// The counters at a moment.
#[derive(Clone, Copy)]
struct Counters {
    at: Duration,
    sent: u64,
    decided: u64,
}

/// What was shown before.
#[derive(Default)]
pub(super) struct History {
    counters: VecDeque<Counters>,
    pub(super) points: VecDeque<Point>,
}

impl History {
    /// Takes a snapshot in; says what the rates are now, and whether it made a new point.
    pub(super) fn take(&mut self, snapshot: &Snapshot) -> (Rates, bool) {
        let now = Counters { at: snapshot.elapsed, sent: snapshot.sent, decided: snapshot.decided };
        self.counters.push_back(now);
        while self.counters.len() > 2 && now.at.saturating_sub(self.counters[1].at) >= RATE_OVER {
            self.counters.pop_front();
        }
        let then = self.counters[0];
        let over_s = now.at.saturating_sub(then.at).as_secs_f64();
        let rate = |now: u64, then: u64| if over_s > 0.0 { now.saturating_sub(then) as f64 / over_s } else { 0.0 };
        let rates = Rates { sent: rate(now.sent, then.sent), decided: rate(now.decided, then.decided) };

        let due = self.points.back().is_none_or(|last| now.at.as_secs_f64() - last.at_s >= RATE_OVER.as_secs_f64());
        if due {
            if self.points.len() == POINTS {
                self.points.pop_front();
            }
            self.points.push_back(Point {
                at_s: now.at.as_secs_f64(),
                asked: snapshot.asked_rate,
                rates,
                p50_us: snapshot.recent.percentile_us(50.0),
                p99_us: snapshot.recent.percentile_us(99.0),
            });
        }
        (rates, due)
    }
}
