//! Brings a ledger to where the log of its shard ends.

use super::settings::LedgerSettings;
use crate::ledger::{Ledger, Rules};
use crate::log::replay::{Replay, ReplayFault, replay_link};
use crate::wire::entry::LinkView;
use crate::wire::proto::Genesis;

/// A ledger that is being recovered.
#[derive(Debug)]
pub struct Recovering {
    settings: LedgerSettings,
    ledger: Option<Ledger>,
}

impl Recovering {
    /// Nothing recovered yet.
    #[must_use]
    pub fn new(settings: LedgerSettings) -> Self {
        Recovering { settings, ledger: None }
    }

    /// The ledger as it is by now; none before the genesis.
    #[must_use]
    pub fn into_ledger(self) -> Option<Ledger> {
        self.ledger
    }
}

/// The genesis record's rules and the settings' own.
fn rules(genesis: &Genesis, settings: &LedgerSettings) -> Rules {
    Rules {
        shard: genesis.shard,
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
        self.ledger = Some(Ledger::new(rules(genesis, &self.settings), self.settings.key));
    }

    fn link(&mut self, link: &LinkView<'_>) -> Result<u32, ReplayFault> {
        replay_link(self.ledger.as_mut().expect("a log begins with its genesis"), link)
    }
}
