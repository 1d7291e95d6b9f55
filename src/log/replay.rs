//! What becomes of the links that a recovery reads.

use thiserror::Error;

use crate::ledger::{Ledger, READ_AHEAD, ReplayError};
use crate::wire::entry::{EntryError, LinkView};
use crate::wire::hex::hex;
use crate::wire::proto::Genesis;

/// Is brought, link by link, to the state in which the log left its shards.
pub trait Replay {
    /// The log begins. Called once, before any link, after the genesis was checked.
    fn genesis(&mut self, genesis: &Genesis);
    /// The next link of the lane's shard `at`, in the order of [`Layout::shards_of`](crate::wire::Layout::shards_of); its
    /// place in the chain was checked. Returns the number of decisions. After an error the shard gets no more.
    fn link(&mut self, at: usize, link: &LinkView<'_>) -> Result<u32, ReplayFault>;
}

/// Why a link cannot be replayed.
#[derive(Debug, Error, PartialEq)]
pub enum ReplayFault {
    /// A decision can't be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A decision does not follow.
    #[error(transparent)]
    Ledger(#[from] ReplayError),
    /// The engine's own fault.
    #[error("a bug in the engine: {0}")]
    Bug(String),
    /// The link states a digest that the ledger does not have.
    #[error("the link states the digest {stated} after sequence {sequence}, the ledger has {found}")]
    Digest {
        /// Of the last decision of the link.
        sequence: u64,
        /// In hex.
        stated: String,
        /// In hex.
        found: String,
    },
}

/// Brings `ledger`, which the links in front have brought to where they ended, to where `link` ends, and holds it
/// against the digest if the link states one. Returns the number of decisions.
pub fn replay_link(ledger: &mut Ledger, link: &LinkView<'_>) -> Result<u32, ReplayFault> {
    let mut entries = link.decisions();
    let (mut ahead, mut foresights) = (Vec::with_capacity(READ_AHEAD), Vec::with_capacity(READ_AHEAD));
    loop {
        // What stands in front of one that cannot be read is replayed first.
        let mut read = Ok(());
        let some = entries.by_ref().take(READ_AHEAD).map_while(|entry| entry.map_err(|error| read = Err(error)).ok());
        ahead.extend(some.map(|(decision, _)| decision));
        foresights.extend(ahead.iter().map(|decision| ledger.foresee_replay(decision)));
        ledger.fetch(&mut foresights);
        for (decision, foresight) in ahead.iter().zip(&foresights) {
            ledger.replay_foreseen(decision, foresight)?;
        }
        read?;
        if ahead.len() < READ_AHEAD {
            break;
        }
        ahead.clear();
        foresights.clear();
    }
    // Poison decides nothing and still moves time on.
    ledger.advance(link.header.shard_time_ms);
    if !link.header.digest.is_empty() {
        let found = ledger.digest();
        if link.header.digest != found {
            let (stated, found) = (hex(&link.header.digest), hex(&found));
            return Err(ReplayFault::Digest { sequence: ledger.sequence(), stated, found });
        }
    }
    Ok(link.header.count)
}
