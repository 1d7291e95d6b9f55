//! A shard that does not work while its lane does, and when it tries again.

use super::settings::{FETCH_RETRY_MS, PARKED_RETRY_MS};
use super::shard::Shard;
use crate::log::step::Now;

/// A parked shard.
pub(super) struct Parked<R> {
    /// With its ledger, if that is whole; else it is rebuilt from the log.
    works: Option<Box<Shard<R>>>,
    until_ms: u64,
}

impl<R> Parked<R> {
    /// From now on, without its ledger.
    pub(super) fn new(now: Now) -> Self {
        Parked { works: None, until_ms: now.steady_ms + PARKED_RETRY_MS }
    }

    /// Its ledger is whole.
    pub(super) fn keep(&mut self, works: Box<Shard<R>>) {
        self.works = Some(works);
    }

    /// Whether it is to be tried again; if not with what [`Parked::take`] gives, then after the same time once more.
    pub(super) fn is_time(&mut self, now: Now) -> bool {
        let is_time = now.steady_ms >= self.until_ms;
        if is_time {
            self.until_ms = now.steady_ms + PARKED_RETRY_MS;
        }
        is_time
    }

    /// Its ledger was asked for, if `noted`; else it is soon asked for again.
    pub(super) fn asked(&mut self, noted: bool, now: Now) {
        if !noted {
            self.until_ms = now.steady_ms + FETCH_RETRY_MS;
        }
    }

    /// The shard, if its ledger is whole.
    pub(super) fn take(&mut self) -> Option<Box<Shard<R>>> {
        self.works.take()
    }
}
