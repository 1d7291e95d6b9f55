//! When to publish a Tick: a hold has been due by the local clock for a while and no record moves the shard's time past
//! it.
//!
//! The local clock only asks. It may be ahead of the broker's, so that the Tick comes back too early, or the Tick may
//! be lost: either way another is published after a pause, which doubles while the same hold stays, and the broker's stamp decides.

use crate::log::step::Now;

/// How long a hold may be due before a Tick is published, ms. While orders flow, one that moves time past it is at the
/// broker already or comes within this time, and nobody waits for a hold's end more exactly than this; a Tick for each
/// hold is a request, a record and a question for the end of `orders` that the other records wait for.
pub const GRACE_MS: i64 = 100;

/// Pause after the first Tick for a due hold, ms. Longer than a Tick usually takes to come back, short for a customer.
pub const FIRST_PAUSE_MS: u64 = 200;

/// Longest pause, ms: while fetches fail or an upstream transaction is open Ticks are of no use, and should not fill the
/// topic.
pub const LONGEST_PAUSE_MS: u64 = 30_000;

/// What the tick machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The local clocks.
    pub now: Now,
    /// When the ledger's next hold runs out, if it has one.
    pub due_ms: Option<i64>,
    /// Highest time of a record that was received and is not yet applied: it will move the shard's time by itself.
    pub pending_ms: Option<i64>,
}

/// Publishes Ticks, one at a time.
#[derive(Debug, Default)]
pub struct Ticker {
    /// The last Tick.
    asked: Option<Asked>,
}

/// A Tick that was published.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When, by the steady clock.
    at_ms: u64,
    /// The end of the hold that it was for.
    due_ms: i64,
    /// How long until another one for the same hold.
    pause_ms: u64,
}

impl Asked {
    /// When another one may follow for a hold that ends at `due_ms`. If it is a later one time has moved on, by this Tick
    /// or by orders, perhaps to less than the local clock said.
    fn again_ms(self, due_ms: i64) -> u64 {
        self.at_ms + if due_ms == self.due_ms { self.pause_ms } else { FIRST_PAUSE_MS }
    }
}

impl Ticker {
    /// Whether to publish a Tick now.
    pub fn step(&mut self, at: Situation) -> bool {
        if at.due_ms.is_none() {
            self.asked = None;
        }
        let Some(due_ms) = at.due_ms.filter(|_| self.wait_ms(at) == Some(0)) else { return false };
        let before = self.asked.filter(|asked| asked.due_ms == due_ms);
        let pause_ms = before.map_or(FIRST_PAUSE_MS, |asked| (asked.pause_ms * 2).min(LONGEST_PAUSE_MS));
        self.asked = Some(Asked { at_ms: at.now.steady_ms, due_ms, pause_ms });
        true
    }

    /// How long, in ms, until [`Ticker::step`] may have something to say if nothing arrives before; none if never.
    #[must_use]
    pub fn wait_ms(&self, at: Situation) -> Option<u64> {
        let due_ms = at.due_ms.filter(|&due| at.pending_ms.is_none_or(|pending| pending < due))?;
        let until_due = due_ms.saturating_add(GRACE_MS).saturating_sub(at.now.unix_ms).max(0).unsigned_abs();
        let until_again = self.asked.map_or(0, |asked| asked.again_ms(due_ms).saturating_sub(at.now.steady_ms));
        Some(until_due.max(until_again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now_ms: u64, due_ms: i64, pending_ms: Option<i64>) -> Situation {
        let now = Now { steady_ms: now_ms, unix_ms: 1_000 + now_ms.cast_signed() };
        Situation { now, due_ms: Some(due_ms), pending_ms }
    }

    #[test]
    fn asks_a_little_after_the_hold_is_due_and_again_only_after_a_pause_that_doubles() {
        let mut ticker = Ticker::default();
        let asked: Vec<u64> = (0..1_700).filter(|&now| ticker.step(at(now, 1_100, None))).collect();
        assert_eq!(asked, [200, 400, 800, 1_600]);
    }

    #[test]
    fn keeps_quiet_while_a_record_that_moves_time_past_the_hold_is_at_hand() {
        let mut ticker = Ticker::default();
        assert!(!ticker.step(at(500, 1_100, Some(1_100))));
        assert!(ticker.step(at(500, 1_100, Some(1_099))));
    }

    #[test]
    fn another_hold_is_asked_for_after_the_first_pause_whatever_the_last_one_took() {
        let mut ticker = Ticker::default();
        let asked: Vec<u64> = (0..900).filter(|&now| ticker.step(at(now, 1_100, None))).collect();
        assert_eq!(asked, [200, 400, 800]);
        let asked: Vec<u64> = (900..1_300).filter(|&now| ticker.step(at(now, 1_150, None))).collect();
        assert_eq!(asked, [1_000, 1_200]);
    }

    /// Ticks in 100 s, and how late a hold ends at worst, ms: an idle shard, a Tick stamped 2 ms after it was published by
    /// a broker whose clock is so far behind, a hold due each `every_ms`.
    fn idle(behind_ms: i64, every_ms: i64) -> (usize, i64) {
        let (mut ticker, mut due_ms, mut ticks, mut latest_ms) = (Ticker::default(), 1_000, 0, 0);
        for now in 0..100_000_u64 {
            if ticker.step(at(now, due_ms, None)) {
                ticks += 1;
                let unix_ms = 1_000 + now.cast_signed();
                let shard_time_ms = unix_ms + 2 - behind_ms;
                if shard_time_ms >= due_ms {
                    latest_ms = latest_ms.max(unix_ms - behind_ms - due_ms);
                    due_ms += (shard_time_ms - due_ms + every_ms) / every_ms * every_ms;
                }
            }
        }
        (ticks, latest_ms)
    }

    #[test]
    fn holds_of_an_idle_shard_end_soon_whatever_the_clocks_say() {
        for behind_ms in [-400, 0, 3, 50, 400] {
            for every_ms in [1, 50, 100, 1_000] {
                let (ticks, latest_ms) = idle(behind_ms, every_ms);
                let most = if every_ms < 1_000 { 500 } else { 300 };
                assert!(
                    (90..=most).contains(&ticks),
                    "{ticks} Ticks, {behind_ms} ms behind, a hold each {every_ms} ms"
                );
                assert!(latest_ms < 1_000, "{latest_ms} ms late, {behind_ms} ms behind, a hold each {every_ms} ms");
            }
        }
    }

    #[test]
    fn orders_that_flow_leave_nothing_to_ask_for() {
        let mut ticker = Ticker::default();
        // A hold falls due each millisecond; time is moved by orders that are answered 20 ms after they were stamped.
        assert!((20..2_000).all(|now| !ticker.step(at(now, 1_000 + now.cast_signed() - 19, None))));
    }

    #[test]
    fn a_shard_that_is_behind_does_not_publish_a_tick_for_every_hold_that_it_comes_by() {
        let mut ticker = Ticker::default();
        let asked = (0..10_000).filter(|&now| ticker.step(at(100_000 + now, 1_100 + now.cast_signed(), None))).count();
        assert_eq!(asked, 50, "in 10 s");
    }

    #[test]
    fn says_when_to_look_again() {
        let mut ticker = Ticker::default();
        assert_eq!(ticker.wait_ms(at(0, 1_100, None)), Some(200));
        assert!(ticker.step(at(200, 1_100, None)));
        assert_eq!(ticker.wait_ms(at(250, 1_100, None)), Some(150));
    }
}
