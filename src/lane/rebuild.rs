//! Rebuilding the ledger of a parked shard while its lane goes on: a plain read of the lane's log, without a fence, up to
//! the last link that the lane had committed when it began. The shard has none behind it, because it is parked.

use super::commit::start_of;
use super::exchange::ShardStart;
use super::recover::Recovering;
use super::site::LaneSite;
use crate::broker::{Broker, LogReader};
use crate::log::settings::{READ_TIMEOUT, TOPICS_TIMEOUT};
use crate::log::take::Recovery;
use crate::wire::link::LinkHash;

/// What came of a step.
pub(super) enum Rebuilt {
    /// Step again.
    More,
    /// The shard, as the log left it.
    Done(ShardStart),
    /// The log cannot be read now; the shard asks again.
    Fails,
}

/// A ledger that is being rebuilt.
pub(super) struct Rebuild<L> {
    lane: u32,
    at: usize,
    until: LinkHash,
    reader: Option<L>,
    /// Taken at the end.
    recovery: Option<Recovery<Recovering>>,
    /// The log cannot be replayed at all.
    refused: bool,
}

impl<L: LogReader> Rebuild<L> {
    /// Of the lane's shard `at`, up to the link with the hash `until`.
    pub(super) fn new<B>(site: &LaneSite<B>, at: usize, until: LinkHash) -> Self {
        let sink = Recovering::one(site.settings.ledger, at);
        let recovery = Recovery::new(site.lane, site.settings.accept_loss, sink);
        Rebuild { lane: site.lane, at, until, reader: None, recovery: Some(recovery), refused: false }
    }

    /// The shard's place in the lane.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads what can be read now.
    pub(super) fn step<B: Broker<Reader = L>>(&mut self, broker: &B) -> Rebuilt {
        let Rebuild { lane, until, reader, recovery, refused, .. } = self;
        let recovery = recovery.as_mut().expect("it is not stepped once it is done");
        if reader.is_none() {
            let (Ok(facts), Ok(opened)) = (broker.topics(TOPICS_TIMEOUT), broker.reader(*lane, 0)) else {
                return Rebuilt::Fails;
            };
            recovery.topics(facts);
            *reader = Some(opened);
        }
        let mut reached = false;
        let read = reader.as_mut().expect("it was opened above").read(READ_TIMEOUT, &mut |offset, value| {
            if !reached && !*refused {
                *refused = recovery.absorb(offset, value).is_err();
                reached = recovery.last_hash() == *until;
            }
        });
        if read.is_err() || *refused {
            return Rebuilt::Fails;
        }
        if !reached {
            return Rebuilt::More;
        }
        let (recovered, tail) = self.recovery.take().expect("it was there above").finish(0);
        let shard = tail.shards.into_iter().nth(self.at).expect("the lane has as many");
        let ledger = recovered.into_ledgers().into_iter().nth(self.at).flatten();
        Rebuilt::Done(start_of(shard, ledger))
    }
}
