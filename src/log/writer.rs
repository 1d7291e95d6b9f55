//! Who wrote a record that this version does not understand, as the last fence in front of it says.

use std::fmt;

use crate::wire::link::{RULES_LEVEL, VERSION};
use crate::wire::proto::Fence;

/// The writer of what stands behind a fence. Its text says who that was, and what to do about a record that cannot be
/// read or replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// No fence stands in front of the record.
    Nobody,
    /// An engine of a version that did not say so yet.
    Unversioned {
        /// Host, process id and client id.
        owner: String,
    },
    /// An engine.
    Versioned {
        /// Its version of sluice.
        version: String,
        /// The newest rules level that it knows.
        rules_level: u32,
    },
}

impl Writer {
    /// Whoever committed this fence, the last one in front of the record.
    pub(super) fn of(fence: Option<&Fence>) -> Self {
        match fence {
            None => Self::Nobody,
            Some(fence) if fence.version.is_empty() => Self::Unversioned { owner: fence.owner.clone() },
            Some(fence) => Self::Versioned { version: fence.version.clone(), rules_level: fence.rules_level },
        }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("No engine had taken the shard before")?,
            Self::Unversioned { owner } => write!(f, "It stands where {owner} wrote, an older version of sluice")?,
            Self::Versioned { version, rules_level } => {
                write!(f, "It was written by sluice {version} (rules level {rules_level})")?;
                if *rules_level > RULES_LEVEL || numbers(version) > numbers(VERSION) {
                    let this = format!("this is sluice {VERSION} (rules level {RULES_LEVEL})");
                    return write!(f, "; {this}: start that version or a newer one");
                }
                write!(f, ", which is no newer than this one")?;
            }
        }
        f.write_str(
            ": keep the topic as it is, go back to the version that wrote it, see who else may write there \
             (`sluice topics describe`, the topic's ACLs), and report this",
        )
    }
}

/// The numbers of a version, to compare it with another: those of `1.20.3-beta` are 1, 20 and 3.
fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: &str, rules_level: u32) -> String {
        let fence =
            Fence { version: version.to_owned(), rules_level, owner: "node-a".to_owned(), ..Default::default() };
        Writer::of(Some(&fence)).to_string()
    }

    #[test]
    fn only_a_newer_writer_is_a_reason_to_start_another_version() {
        let newer =
            format!("; this is sluice {VERSION} (rules level {RULES_LEVEL}): start that version or a newer one");
        for (version, rules_level) in [("99.0.0", 0), (VERSION, RULES_LEVEL + 1), ("0.0.1", RULES_LEVEL + 1)] {
            let expected = format!("It was written by sluice {version} (rules level {rules_level}){newer}");
            assert_eq!(text(version, rules_level), expected);
        }
        for (version, rules_level) in [(VERSION, RULES_LEVEL), ("0.0.1", 0)] {
            assert!(text(version, rules_level).contains("no newer than this one: keep the topic as it is"));
        }
        assert!(text("", 0).contains("It stands where node-a wrote, an older version of sluice: keep the topic"));
        assert!(Writer::of(None).to_string().starts_with("No engine had taken the shard before: keep the topic"));
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.10.0") > numbers("0.9.9") && numbers("1.0.0-beta") == numbers("1.0.0"));
    }
}
