//! A shard that does not work while its lane does, and when it tries again.

use super::settings::REBUILD_DOUBLINGS;
use super::shard::Shard;
use crate::broker::Records;
use crate::log::step::Now;

/// A parked shard.
pub(super) struct Parked<R> {
    /// With its ledger, if that is whole; else it is rebuilt from the log.
    works: Option<Box<Shard<R>>>,
    /// The last ticket handed in for its inputs, if it has no ledger.
    ticket: u64,
    until_ms: u64,
    /// The commit half rebuilds its ledger and has not answered yet.
    asked: bool,
    /// How often that was in vain.
    in_vain: u32,
}

impl<R: Records> Parked<R> {
    /// From now on for `pause_ms`, with its ledger.
    pub(super) fn with(mut works: Box<Shard<R>>, pause_ms: u64, now: Now) -> Self {
        works.rest();
        Parked { works: Some(works), ..Parked::without(0, pause_ms, 0, now) }
    }

    /// From now on, without a ledger, which `in_vain` times was rebuilt in vain. `ticket` is the last one handed in.
    pub(super) fn without(ticket: u64, pause_ms: u64, in_vain: u32, now: Now) -> Self {
        let until_ms = now.steady_ms + (pause_ms << in_vain.min(REBUILD_DOUBLINGS));
        Parked { works: None, ticket, until_ms, asked: false, in_vain }
    }

    /// Whether it is to be tried now: with what [`Parked::take`] gives, or by a rebuilding that was not asked for yet.
    pub(super) fn is_time(&self, now: Now) -> bool {
        !self.asked && now.steady_ms >= self.until_ms
    }

    /// The shard, if its ledger is whole.
    pub(super) fn take(&mut self) -> Option<Box<Shard<R>>> {
        self.works.take()
    }

    /// Its ledger was asked for, if `noted`; else somebody else's is rebuilt at present.
    pub(super) fn asked(&mut self, noted: bool) {
        self.asked = noted;
    }

    /// Whether it waits for its ledger.
    pub(super) fn waits(&self) -> bool {
        self.asked
    }

    /// How often it was rebuilt in vain, once it is once more.
    pub(super) fn in_vain(&self) -> u32 {
        self.in_vain + 1
    }

    /// The last ticket handed in.
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// A ticket to hand in for what lag tools see.
    pub(super) fn ask(&mut self) -> u64 {
        match &mut self.works {
            Some(works) => works.ask(),
            None => {
                self.ticket += 1;
                self.ticket
            }
        }
    }
}
