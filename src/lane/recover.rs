//! Brings the ledgers of a lane's shards to where its log ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::panic::words;
use super::settings::LedgerSettings;
use crate::ledger::{Ledger, Rules};
use crate::log::replay::{Replay, ReplayFault, replay_link};
use crate::wire::Layout;
use crate::wire::entry::LinkView;
use crate::wire::proto::Genesis;

/// Ledgers that are being recovered.
#[derive(Debug)]
pub struct Recovering {
    settings: LedgerSettings,
    /// The one shard that is recovered, by its place in the lane, if not all are.
    only: Option<usize>,
    ledgers: Vec<Option<Box<Ledger>>>,
}

impl Recovering {
    /// Nothing recovered yet of all shards of a lane.
    #[must_use]
    pub fn new(settings: LedgerSettings) -> Self {
        Recovering { settings, only: None, ledgers: Vec::new() }
    }

    /// Nothing recovered yet of the lane's shard `at`; links of others are passed by.
    #[must_use]
    pub fn one(settings: LedgerSettings, at: usize) -> Self {
        Recovering { settings, only: Some(at), ledgers: Vec::new() }
    }

    /// The ledgers as they are by now, in the order of the lane's shards; none before the genesis, and none of a shard
    /// that is not recovered.
    #[must_use]
    pub fn into_ledgers(self) -> Vec<Option<Box<Ledger>>> {
        self.ledgers
    }
}

/// The genesis record's rules and the settings' own.
fn rules(shard: u32, genesis: &Genesis, settings: &LedgerSettings) -> Rules {
    Rules {
        shard,
        partitions: genesis.partitions,
        window_ms: genesis.window_ms,
        skew_ms: genesis.skew_ms,
        rules_level: genesis.rules_level,
        default_hold_ms: settings.default_hold_ms,
        max_hold_ms: settings.max_hold_ms,
        expected_ids: settings.expected_ids,
        max_ids: settings.max_ids,
    }
}

impl Replay for Recovering {
    fn genesis(&mut self, genesis: &Genesis) {
        let shards = Layout::of(genesis).shards_of(genesis.shard).enumerate();
        let ledger = |(at, shard)| {
            let is_wanted = self.only.is_none_or(|only| only == at);
            is_wanted.then(|| Box::new(Ledger::new(rules(shard, genesis, &self.settings), self.settings.key)))
        };
        self.ledgers = shards.map(ledger).collect();
    }

    fn link(&mut self, at: usize, link: &LinkView<'_>) -> Result<u32, ReplayFault> {
        let Some(ledger) = &mut self.ledgers[at] else { return Ok(0) };
        let replayed = catch_unwind(AssertUnwindSafe(|| replay_link(ledger, link)));
        replayed.unwrap_or_else(|panic| Err(ReplayFault::Bug(words(&*panic))))
    }
}
