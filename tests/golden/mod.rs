//! Logs that engines of the past wrote, byte for byte. Each recovers to the digest that its writer had, for ever: whoever
//! breaks that takes from somebody the stock that he has.
//!
//! A log is a file of `logs/`: records, each a length (u32, little-endian) and the value as it stood in `decisions`. Its
//! last line of text stands beside it: sequence, shard time and digest of the ledger at its end.
//!
//! `SLUICE_GOLDEN_WRITE=level-<rules level>-<name> cargo test --test ledger golden` writes a log of today's engine under a
//! new name; those that are there are never written again.

mod delivery;
mod lanes;
mod scribe;
mod selling;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sluice::lane::LedgerSettings;
use sluice::lane::recover::Recovering;
use sluice::ledger::{FingerprintKey, Ledger};
use sluice::log::read::LogCheck;
use sluice::log::replay::Replay;
use sluice::wire::entry::LogEntry;
use sluice::wire::link::RULES_LEVEL;
use sluice::wire::proto::{Asked, Outcome, Reason};

/// Every log there is, oldest first.
const LOGS: [&str; 4] = ["level-0-first", "level-0-corrected", "level-1-sale-limit", "level-2-channels-lots-delivery"];

/// What stands at the end of a log, as its writer had it.
fn summary(ledger: &mut Ledger) -> String {
    let digest: String = ledger.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sequence {} shard_time_ms {} digest {digest}\n", ledger.sequence(), ledger.shard_time_ms())
}

fn path(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/logs").join(format!("{name}.{extension}"))
}

/// The values of a log's records, in order.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (value, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        records.push(value);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "the file ends within a record");
    records
}

/// Recovers a log as an engine that takes its shard does; tells what it met.
fn recover(values: &[&[u8]]) -> (Ledger, BTreeSet<(Asked, Outcome, Reason)>) {
    // Any key, and any settings of today: what a log recovers to depends on neither.
    let (default_hold_ms, max_hold_ms, key) = (7, 9, FingerprintKey([0x5a; 16]));
    let settings = LedgerSettings { default_hold_ms, max_hold_ms, expected_ids: 0, max_ids: 1_000_000, key };
    let (mut check, mut replay, mut met) = (LogCheck::new(), Recovering::new(settings), BTreeSet::new());
    for (offset, value) in (0..).zip(values) {
        match check.next(offset, value).expect("a record that continues the log") {
            LogEntry::Genesis(genesis) => replay.genesis(&genesis),
            LogEntry::Fence(_) => {}
            LogEntry::Link(link) => {
                replay.link(0, &link).expect("a link that follows, with the digest that it states");
                let decisions = link.decisions().map(|entry| entry.expect("it was replayed").0);
                met.extend(decisions.map(|decision| (decision.asked, decision.outcome, decision.reason)));
            }
        }
    }
    let ledger = replay.into_ledgers().into_iter().next().flatten();
    (*ledger.expect("a log begins with its genesis"), met)
}

#[test]
fn every_log_that_was_ever_written_recovers_to_its_digest() {
    for name in LOGS {
        let bytes = fs::read(path(name, "log")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = fs::read_to_string(path(name, "txt")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (mut ledger, _) = recover(&records(&bytes));
        assert_eq!(summary(&mut ledger), expected, "{name}");
    }
}

#[test]
fn the_newest_log_has_every_outcome_and_every_reason() {
    let name = LOGS.last().expect("there is one");
    let bytes = fs::read(path(name, "log")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (_, met) = recover(&records(&bytes));
    let missing = scribe::missing(&met, RULES_LEVEL);
    assert!(missing.is_empty(), "{name} has none of {missing:?}: write a new log and name it in LOGS");
}

/// The rules level of the log of this name.
fn level_of(name: &str) -> u32 {
    let digits = name.strip_prefix("level-").and_then(|rest| rest.split('-').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{name} names no rules level"))
}

#[test]
fn a_log_of_every_level_can_be_written() {
    for level in 0..=RULES_LEVEL {
        written(level);
    }
}

/// A log of this level and what it recovers to.
fn written(level: u32) -> (Vec<Vec<u8>>, String) {
    let log = scribe::write(level);
    let values: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();
    let (mut ledger, met) = recover(&values);
    assert_eq!(ledger.rules_level(), level);
    let missing = scribe::missing(&met, level);
    assert!(missing.is_empty(), "at level {level} the scribe never came to {missing:?}");
    let needs_level = |asked: &Asked| match asked {
        Asked::SetSale | Asked::SetLimit => 1,
        Asked::SetChannels | Asked::SetFreshness | Asked::SetDelivery => 2,
        _ => 0,
    };
    let known = met.iter().all(|(asked, ..)| needs_level(asked) <= level);
    assert!(known, "an engine that knows no more than level {level} cannot read it");
    (log, summary(&mut ledger))
}

#[test]
fn a_log_of_today_is_written_where_somebody_asks_for_it() {
    let Some(name) = std::env::var("SLUICE_GOLDEN_WRITE").ok().filter(|name| !name.starts_with("lanes-")) else {
        return;
    };
    let (log, summary) = written(level_of(&name));
    let file = path(&name, "log");
    assert!(!file.exists(), "{} is there already", file.display());
    let bytes: Vec<u8> =
        log.iter().flat_map(|value| (value.len() as u32).to_le_bytes().into_iter().chain(value.clone())).collect();
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for the logs");
    fs::write(&file, bytes).expect("the log is written");
    fs::write(path(&name, "txt"), summary).expect("what it recovers to is written");
}
