//! Rebuilding the ledger of a parked shard while its lane goes on: a plain read of the lane's log, without a fence, up to
//! the last link that the lane had committed when it began. The shard has none behind it, because it is parked.

use std::time::Duration;

use super::commit::start_of;
use super::exchange::Rebuilt;
use super::recover::Recovering;
use super::site::LaneSite;
use crate::broker::{Broker, LogReader};
use crate::log::take::Recovery;
use crate::wire::link::LinkHash;

/// How long a read waits for a first record, and a look at the topics for its answer: the lane's commits wait behind it.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
const TOPICS_TIMEOUT: Duration = Duration::from_secs(1);

/// A ledger that is being rebuilt.
pub(super) struct Rebuild<L> {
    lane: u32,
    at: usize,
    until: LinkHash,
    reader: Option<L>,
    /// Taken at the end.
    recovery: Option<Recovery<Recovering>>,
}

impl<L: LogReader> Rebuild<L> {
    /// Of the lane's shard `at`, up to the link with the hash `until`.
    pub(super) fn new<B>(site: &LaneSite<B>, at: usize, until: LinkHash) -> Self {
        let sink = Recovering::one(site.settings.ledger, at);
        let recovery = Recovery::new(site.lane, site.settings.accept_loss, sink);
        Rebuild { lane: site.lane, at, until, reader: None, recovery: Some(recovery) }
    }

    /// The shard's place in the lane.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads what can be read now; what came of it all once it is over.
    pub(super) fn step<B: Broker<Reader = L>>(&mut self, broker: &B) -> Option<Rebuilt> {
        let Rebuild { lane, until, reader, recovery, .. } = self;
        let recovery = recovery.as_mut().expect("it is not stepped once it is done");
        if reader.is_none() {
            let (Ok(facts), Ok(opened)) = (broker.topics(TOPICS_TIMEOUT), broker.reader(*lane, 0)) else {
                return Some(Ok(None));
            };
            recovery.topics(facts);
            *reader = Some(opened);
        }
        let (mut reached, mut refused) = (false, None);
        let read = reader.as_mut().expect("it was opened above").read(READ_TIMEOUT, &mut |offset, value| {
            if !reached && refused.is_none() {
                refused = recovery.absorb(offset, value).err();
                reached = recovery.last_hash() == *until;
            }
        });
        match (read, refused) {
            (_, Some(refusal)) => return Some(Err(refusal)),
            (Err(_), None) => return Some(Ok(None)),
            (Ok(_), None) if !reached => return None,
            (Ok(_), None) => {}
        }
        let (recovered, tail) = self.recovery.take().expect("it was there above").finish(0);
        let shard = tail.shards.into_iter().nth(self.at).expect("the lane has as many");
        let ledger = recovered.into_ledgers().into_iter().nth(self.at).flatten();
        Some(Ok(Some(start_of(shard, ledger))))
    }
}
