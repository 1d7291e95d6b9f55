//! The rules level of the log: which rules may be used in it, and so which engines can replay it.

use super::verdict::Verdict;
use crate::ledger::state::State;
use crate::wire::Decision;
use crate::wire::link::RULES_LEVEL;
use crate::wire::proto::{Outcome, Reason};

impl State {
    pub(crate) fn raise_rules_level(&mut self, shard: u32, level: u32) -> Verdict {
        if shard != self.rules.shard {
            return Verdict::invalid(Reason::WrongShard);
        }
        if level > RULES_LEVEL {
            return Verdict::invalid(Reason::UnknownLevel);
        }
        if level <= self.rules_level {
            return Verdict { rules_level: self.rules_level, ..Verdict::of(Outcome::Unchanged) };
        }
        self.rules_level = level;
        Verdict { rules_level: level, ..Verdict::of(Outcome::Applied) }
    }

    /// Takes the level from a decision that raised it, which was found to be one that this version knows.
    pub(crate) fn follow_raised(&mut self, decision: &Decision<'_>) -> Result<(), &'static str> {
        if decision.rules_level <= self.rules_level {
            return Err("the rules level does not rise");
        }
        self.rules_level = decision.rules_level;
        Ok(())
    }
}
