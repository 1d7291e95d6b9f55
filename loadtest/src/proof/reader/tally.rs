//! What was read, counted: answers and their latency, by outcome and by the second for which they were intended.

use std::collections::BTreeMap;

use sluice::wire::proto::Outcome;

use crate::clock::SECOND_NS;
use crate::load::traffic::Shore;
use crate::report::result::{Flood, Latency, OutcomeTotal};

/// Outcomes are numbered below this; what is not known counts with the last.
const OUTCOMES: usize = 40;

/// Seconds told apart: a day. What is intended later counts with the last.
const MOST_SECONDS: usize = 86_400;

/// Answers that became readable in one second, and how long those intended for it took.
#[derive(Clone, Debug)]
pub struct SecondTally {
    /// Readable in this second, by outcome.
    pub outcomes: [u64; OUTCOMES],
    /// Of the commands intended for this second, whenever they were answered.
    pub latency: Latency,
}

impl Default for SecondTally {
    fn default() -> Self {
        Self { outcomes: [0; OUTCOMES], latency: Latency::of_second() }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers to commands of ours.
    pub decided: u64,
    /// Holds of ours that the engine let expire: decisions that answer nobody.
    pub expired: u64,
    /// Stock commands of the run that took effect.
    pub stocked: u64,
    /// Records of the run that could not be read.
    pub dead_letters: u64,
    /// Each second since the start of the load.
    pub seconds: Vec<SecondTally>,
    /// When the last answer became readable, nanoseconds since the start.
    pub last_ns: u64,
    /// Latency of what became readable since somebody took it.
    pub recent: Latency,
    /// Of a run with floods.
    pub flood: Flood,
    totals: BTreeMap<i32, OutcomeTotal>,
}

impl Tally {
    /// Counts an answer that was intended for `due_ns` and became readable at `read_ns`, both since the start.
    /// `shore`: where its order belongs in a run with floods.
    pub fn answer(&mut self, outcome: Outcome, due_ns: u64, read_ns: u64, shore: Option<Shore>) {
        // A reader in another process may see an order before its own clock says that it was due.
        let us = read_ns.saturating_sub(due_ns) / 1_000;
        self.decided += 1;
        self.last_ns = self.last_ns.max(read_ns);
        self.recent.record(us);
        self.second(due_ns).latency.record(us);
        self.second(read_ns).outcomes[index(outcome)] += 1;
        match shore {
            Some(Shore::Flooded) => self.flood.flooded.record(us),
            Some(Shore::Beside) => self.flood.others.record(us),
            Some(Shore::Before) => self.flood.others_before.record(us),
            None => {}
        }
        let total = self.totals.entry(outcome as i32).or_default();
        total.count += 1;
        total.latency.record(us);
    }

    /// Counts an expiry.
    pub fn expiry(&mut self, read_ns: u64) {
        self.expired += 1;
        self.second(read_ns).outcomes[index(Outcome::Expired)] += 1;
        self.totals.entry(Outcome::Expired as i32).or_default().count += 1;
    }

    /// Adds what another reader counted, its seconds and what was recent left out.
    pub fn add_counts(&mut self, other: &Tally) {
        self.decided += other.decided;
        self.expired += other.expired;
        self.stocked += other.stocked;
        self.dead_letters += other.dead_letters;
        self.last_ns = self.last_ns.max(other.last_ns);
        for (outcome, theirs) in &other.totals {
            let ours = self.totals.entry(*outcome).or_default();
            ours.count += theirs.count;
            ours.latency.add(&theirs.latency);
        }
    }

    /// Adds what another reader counted.
    pub fn add(&mut self, other: &Tally) {
        self.add_counts(other);
        self.recent.add(&other.recent);
        self.flood.add(&other.flood);
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize_with(other.seconds.len(), SecondTally::default);
        }
        for (ours, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            ours.latency.add(&theirs.latency);
            ours.outcomes.iter_mut().zip(theirs.outcomes).for_each(|(ours, theirs)| *ours += theirs);
        }
    }

    /// Latency of every answer.
    pub fn latency(&self) -> Latency {
        self.totals.values().fold(Latency::of_run(), |mut sum, total| {
            sum.add(&total.latency);
            sum
        })
    }

    /// All answers by the name of their outcome.
    pub fn outcomes(&self) -> BTreeMap<String, OutcomeTotal> {
        self.totals.iter().map(|(outcome, total)| (name(*outcome), total.clone())).collect()
    }

    /// The same, only counted.
    pub fn outcome_counts(&self) -> BTreeMap<String, u64> {
        self.totals.iter().map(|(outcome, total)| (name(*outcome), total.count)).collect()
    }

    fn second(&mut self, ns: u64) -> &mut SecondTally {
        let second = ((ns / SECOND_NS) as usize).min(MOST_SECONDS - 1);
        if self.seconds.len() <= second {
            self.seconds.resize_with(second + 1, SecondTally::default);
        }
        &mut self.seconds[second]
    }
}

impl SecondTally {
    /// Answers that became readable in it.
    pub fn decided(&self) -> u64 {
        self.outcomes.iter().sum::<u64>() - self.outcomes[index(Outcome::Expired)]
    }

    /// The same by the name of the outcome, expiries included.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let known = self.outcomes.iter().enumerate().filter(|(_, count)| **count > 0);
        known.map(|(outcome, count)| (name(outcome as i32), *count)).collect()
    }
}

fn index(outcome: Outcome) -> usize {
    (outcome as usize).min(OUTCOMES - 1)
}

/// As in the wire contract, without its prefix.
fn name(outcome: i32) -> String {
    let name = Outcome::try_from(outcome).unwrap_or_default().as_str_name();
    name.strip_prefix("OUTCOME_").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_charged_to_the_second_that_was_intended() {
        let mut tally = Tally::default();
        // Due in the first second, readable in the fourth.
        tally.answer(Outcome::Reserved, SECOND_NS / 2, 3 * SECOND_NS + SECOND_NS / 2, None);
        // As exact as a second's histogram.
        assert!(tally.seconds[0].latency.max_us().abs_diff(3_000_000) < 30_000);
        assert_eq!(tally.seconds.iter().map(SecondTally::decided).collect::<Vec<_>>(), [0, 0, 0, 1]);
        assert_eq!(tally.latency().count(), 1);
    }

    #[test]
    fn what_a_flood_costs_the_others_is_told_apart() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        for (shore, us) in [(None, 1), (Some(Shore::Before), 20), (Some(Shore::Beside), 30), (Some(Shore::Flooded), 40)]
        {
            one.answer(Outcome::Reserved, 0, us * 1_000_000, shore);
            two.answer(Outcome::Reserved, 0, us * 2_000_000, shore);
        }
        one.add(&two);
        let means = one.flood.parts().map(|(name, latency)| (name, latency.count(), latency.min_us() / 1_000));
        assert_eq!(means, [("others_before", 2, 20), ("others", 2, 30), ("flooded", 2, 40)]);
        assert_eq!(one.latency().count(), 8);
    }

    #[test]
    fn two_readers_count_as_one() {
        let mut one = Tally::default();
        one.answer(Outcome::Reserved, 0, 1_000_000, None);
        let mut two = Tally::default();
        two.answer(Outcome::Reserved, 0, 3_000_000, None);
        two.answer(Outcome::Rejected, 0, 2 * SECOND_NS, None);
        two.expiry(2 * SECOND_NS);
        one.add(&two);
        assert_eq!((one.decided, one.expired), (3, 1));
        let counts = one.outcome_counts();
        assert_eq!((counts["RESERVED"], counts["REJECTED"], counts["EXPIRED"]), (2, 1, 1));
        assert_eq!(one.outcomes()["RESERVED"].latency.max_us() / 1_000, 3);
        assert_eq!(one.seconds[2].decided(), 1, "an expiry answers nobody");
    }
}
