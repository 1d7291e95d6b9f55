//! What was found wrong: counted in full, a few of each kind kept in words.

use std::collections::BTreeMap;

use crate::report::result::{Check, Finding};

/// Examples kept of each kind: enough to begin a search with, few enough to be read.
const EXAMPLES: usize = 10;

/// Findings so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    by_check: BTreeMap<Check, Finding>,
}

impl Findings {
    /// Counts one; `example` is asked for its words only as long as they are kept.
    pub fn add(&mut self, check: Check, example: impl FnOnce() -> String) {
        self.add_many(check, 1, example);
    }

    /// Counts `count` of which one is put into words.
    pub fn add_many(&mut self, check: Check, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        let finding = self.of(check);
        finding.count += count;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example());
        }
    }

    /// Adds what somebody else found.
    pub fn merge(&mut self, other: Findings) {
        for (check, theirs) in other.by_check {
            let ours = self.of(check);
            ours.count += theirs.count;
            ours.examples.extend(theirs.examples);
            ours.examples.truncate(EXAMPLES);
        }
    }

    /// Without the first `count` of one kind.
    pub(super) fn less(mut self, check: Check, count: u64) -> Findings {
        if let Some(finding) = self.by_check.get_mut(&check) {
            finding.count = finding.count.saturating_sub(count);
        }
        self.by_check.retain(|_, finding| finding.count > 0);
        self
    }

    /// How many of one kind.
    pub fn count(&self, check: Check) -> u64 {
        self.by_check.get(&check).map_or(0, |finding| finding.count)
    }

    /// All kinds of which there are some, in the order of the report.
    pub fn into_list(self) -> Vec<Finding> {
        self.by_check.into_values().collect()
    }

    fn of(&mut self, check: Check) -> &mut Finding {
        self.by_check.entry(check).or_insert_with(|| Finding { check, count: 0, examples: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_a_few_are_told() {
        let mut findings = Findings::default();
        for number in 0..100 {
            findings.add(Check::Lost, || format!("order {number}"));
        }
        let mut other = Findings::default();
        other.add_many(Check::Lost, 5, || "five more".to_owned());
        findings.merge(other);
        let list = findings.into_list();
        assert_eq!((list[0].check, list[0].count, list[0].examples.len()), (Check::Lost, 105, EXAMPLES));
    }
}
