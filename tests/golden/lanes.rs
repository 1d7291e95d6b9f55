//! Logs of lanes with several shards, as they were first written: the links of two shards, one after the other as they came.
//!
//! `SLUICE_GOLDEN_WRITE=lanes-<name> cargo test --test ledger golden` weaves a new one from the newest log of one shard.

use std::fs;

use prost::Message as _;
use sluice::lane::LedgerSettings;
use sluice::lane::recover::Recovering;
use sluice::ledger::FingerprintKey;
use sluice::log::read::LogCheck;
use sluice::log::replay::Replay;
use sluice::wire::Layout;
use sluice::wire::entry::LogEntry;
use sluice::wire::link::{LinkHash, genesis, genesis_value};
use sluice::wire::proto::{LogRecord, log_record};

use super::{LOGS, path, records, summary};

/// Every such log there is, oldest first.
const LANED: [&str; 1] = ["lanes-first"];

/// What they are logs of: lane 1 of two, with the shards 1 and 3.
const LAYOUT: Layout = Layout { shards: 4, lanes: 2 };
const LANE: u32 = 1;

/// Links of a shard before it is the other one's turn, in turn.
const TURNS: [usize; 3] = [1, 3, 2];

fn decoded(value: &[u8]) -> log_record::Kind {
    LogRecord::decode(value).expect("a record of a log").kind.expect("a kind")
}

/// A log in which both shards of a lane decided what the newest log of one shard has.
fn woven() -> Vec<Vec<u8>> {
    let bytes = fs::read(path(LOGS[LOGS.len() - 1], "log")).expect("it is there");
    let one = records(&bytes);
    let log_record::Kind::Genesis(first) = decoded(one[0]) else { panic!("a log begins with its genesis") };
    let ids = [[1; 16], [2; 16], [3; 16]];
    let genesis = genesis(LANE, LAYOUT, ids, first.window_ms, first.skew_ms, first.rules_level);
    let mut log = vec![genesis_value(genesis)];
    let mut last = LinkHash::of(&log[0]);
    let mut fences = one[1..].iter().filter(|value| matches!(decoded(value), log_record::Kind::Fence(_)));
    let links = one[1..].iter().filter(|value| matches!(decoded(value), log_record::Kind::Link(_)));
    let mut left: Vec<_> = LAYOUT.shards_of(LANE).map(|shard| (shard, links.clone())).collect();
    let mut epoch = 0;
    for (turn, links) in TURNS.iter().cycle().enumerate() {
        if left.iter().all(|(_, links)| links.clone().next().is_none()) {
            break;
        }
        if let Some(fence) = fences.next() {
            log.push(fence.to_vec());
            epoch += 1;
        }
        let (shard, of_shard) = &mut left[turn % 2];
        for value in of_shard.take(*links) {
            let log_record::Kind::Link(mut link) = decoded(value) else { panic!("it is a link") };
            let header = link.header.as_mut().expect("a link has a header");
            (header.shard, header.epoch, header.previous_hash) = (*shard, epoch, last.0.to_vec());
            let value = LogRecord { kind: Some(log_record::Kind::Link(link)) }.encode_to_vec();
            last = LinkHash::of(&value);
            log.push(value);
        }
    }
    log
}

/// What each shard of a lane's log recovers to.
fn recover(values: &[&[u8]]) -> String {
    let (default_hold_ms, max_hold_ms, key) = (7, 9, FingerprintKey([0x5a; 16]));
    let settings = LedgerSettings { default_hold_ms, max_hold_ms, expected_ids: 0, max_ids: 1_000_000, key };
    let (mut check, mut replay) = (LogCheck::new(), Recovering::new(settings));
    for (offset, value) in (0..).zip(values) {
        match check.next(offset, value).expect("a record that continues the log") {
            LogEntry::Genesis(genesis) => replay.genesis(&genesis),
            LogEntry::Fence(_) => {}
            LogEntry::Link(link) => {
                let at = LAYOUT.index(LANE, link.header.shard).expect("a shard of the lane");
                replay.link(at, &link).expect("a link that follows, with the digest that it states");
            }
        }
    }
    let ledgers = replay.into_ledgers().into_iter();
    ledgers.map(|ledger| summary(&mut ledger.expect("a log begins with its genesis"))).collect()
}

#[test]
fn every_log_of_a_lane_that_was_ever_written_recovers_to_the_digests_of_its_shards() {
    for name in LANED {
        let bytes = fs::read(path(name, "log")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = fs::read_to_string(path(name, "txt")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(recover(&records(&bytes)), expected, "{name}");
    }
}

#[test]
fn shards_that_share_a_log_come_to_what_they_come_to_alone() {
    let log = woven();
    let values: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();
    let alone = fs::read_to_string(path(LOGS[LOGS.len() - 1], "txt")).expect("it is there");
    assert_eq!(recover(&values), alone.repeat(2));
}

#[test]
fn a_log_of_a_lane_is_written_where_somebody_asks_for_it() {
    let Some(name) = std::env::var("SLUICE_GOLDEN_WRITE").ok().filter(|name| name.starts_with("lanes-")) else {
        return;
    };
    let log = woven();
    let file = path(&name, "log");
    assert!(!file.exists(), "{} is there already", file.display());
    let values: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();
    let bytes = values.iter().flat_map(|value| (value.len() as u32).to_le_bytes().into_iter().chain(value.to_vec()));
    fs::write(&file, bytes.collect::<Vec<u8>>()).expect("the log is written");
    fs::write(path(&name, "txt"), recover(&values)).expect("what it recovers to is written");
}
