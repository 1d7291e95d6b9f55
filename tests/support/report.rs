//! What the auditor found: breaches and counts, as values.

use std::collections::BTreeMap;
use std::fmt;

use sluice::wire::proto::{Asked, Outcome, Reason};

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// A command without its decision, or a decision without its command.
    I1,
    /// An order decided twice, or a copy told something else than the original.
    I2,
    /// Stock figures.
    I3,
    /// Input left out, taken twice, or out of order.
    I4,
    /// Sold outside a selling rule, or barred by none.
    I6,
    /// The chain of hashes, epochs, or the shape of the log.
    Chain,
    /// A sequence missing or repeated.
    Sequence,
    /// Dead letters.
    DeadLetter,
    /// Replies, or records of the one-per-decision topic.
    Copy,
    /// The model decided otherwise.
    Model,
}

/// Errors beyond this many are counted and not kept: the first ones tell what is wrong.
const KEPT_ERRORS: usize = 20;

/// What became of a shard, or of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) breaches: BTreeMap<Breach, u64>,
    pub(crate) errors: Vec<String>,
    pub(crate) decisions: u64,
    pub(crate) places: u64,
    pub(crate) links: u64,
    pub(crate) fences: u64,
    pub(crate) dead_letters: u64,
    pub(crate) outcomes: BTreeMap<(Asked, Outcome, Reason), u64>,
}

impl Report {
    pub(crate) fn breach(&mut self, breach: Breach, what: impl fmt::Display) {
        *self.breaches.entry(breach).or_default() += 1;
        if self.errors.len() < KEPT_ERRORS {
            self.errors.push(format!("{breach:?}: {what}"));
        }
    }

    pub(crate) fn expect(&mut self, holds: bool, breach: Breach, what: impl FnOnce() -> String) {
        if !holds {
            self.breach(breach, what());
        }
    }

    /// How many decisions had this outcome, for whatever was asked.
    pub(crate) fn count(&self, outcome: Outcome, reason: Reason) -> u64 {
        let matching = self.outcomes.iter().filter(|((_, o, r), _)| *o == outcome && *r == reason);
        matching.map(|(_, count)| count).sum()
    }

    pub(crate) fn add(&mut self, other: Report) {
        for (breach, count) in other.breaches {
            *self.breaches.entry(breach).or_default() += count;
        }
        self.errors.extend(other.errors);
        self.errors.truncate(KEPT_ERRORS);
        self.decisions += other.decisions;
        self.places += other.places;
        self.links += other.links;
        self.fences += other.fences;
        self.dead_letters += other.dead_letters;
        for (key, count) in other.outcomes {
            *self.outcomes.entry(key).or_default() += count;
        }
    }

    /// Panics with what was found unless nothing was broken.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert!(self.breaches.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} decisions ({} places) in {} links, {} fences, {} dead letters",
            self.decisions, self.places, self.links, self.fences, self.dead_letters
        )?;
        for ((asked, outcome, reason), count) in &self.outcomes {
            writeln!(f, "{count:>10} {} {} {}", asked.as_str_name(), outcome.as_str_name(), reason.as_str_name())?;
        }
        for (breach, count) in &self.breaches {
            writeln!(f, "{count:>10} breaches of {breach:?}")?;
        }
        self.errors.iter().try_for_each(|error| writeln!(f, "  {error}"))
    }
}
