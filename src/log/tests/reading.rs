//! The log as another program reads it, and as a ledger is rebuilt from it.

use super::super::read::{LaneLog, LogError, ReadError};
use super::super::replay::{ReplayFault, replay_link};
use super::super::settings::READ_TIMEOUT;
use super::world::*;
use crate::broker::memory::{Cluster, MemoryReader, Topic};
use crate::broker::{Broker, Fault};
use crate::ledger::{FingerprintKey, Ledger, Moment, Rules};
use crate::wire::chain::ChainError;
use crate::wire::entry::LogEntry;
use crate::wire::link::{LinkDraft, LinkHash};
use crate::wire::proto::Input;
use crate::wire::{Command, Kind, NamedLot, Source, StockChange};

const TIME_MS: i64 = 1_700_000_000_000;

fn open(cluster: &Cluster) -> LaneLog<MemoryReader> {
    LaneLog::new(cluster.node().reader(SHARD, 0).expect("no fault was asked for"))
}

fn ledger(key: u8) -> Ledger {
    let rules = Rules {
        shard: SHARD,
        partitions: 1,
        window_ms: 86_400_000,
        skew_ms: 60_000,
        rules_level: 0,
        default_hold_ms: 60_000,
        max_hold_ms: 3_600_000,
        expected_ids: 16,
        max_ids: 1_000,
    };
    Ledger::new(rules, FingerprintKey([key; 16]))
}

/// Applies three commands to `ledger`, one a record from offset `first` on, and seals what they came to.
fn link(ledger: &mut Ledger, first: i64, previous: LinkHash, digest: impl FnOnce([u8; 16]) -> [u8; 16]) -> LinkDraft {
    let mut link = LinkDraft::default();
    link.begin(SHARD, ledger.sequence() + 1, TIME_MS, TIME_MS);
    for offset in first..first + 3 {
        let shard_time_ms = TIME_MS + offset;
        ledger.advance(shard_time_ms);
        let id = format!("received-{offset}");
        let change = StockChange::Receive { sku: "sku".into(), quantity: 7, lot: NamedLot::default() };
        let kind = match offset % 3 {
            0 => Kind::Cancel { order_id: (&*id).into(), attempt: 0, placed_at_ms: TIME_MS },
            _ => Kind::Stock { id: (&*id).into(), issued_at_ms: TIME_MS, change },
        };
        let command = Command { pool: "pool".into(), reply_partition: None, unsupported: None, kind };
        let at = Moment { shard_time_ms, engine_time_ms: TIME_MS };
        let source = Source { input: Input::Stock, offset, index: 0, reply_partition: None };
        link.push(&ledger.apply(&command, at), &source);
        link.cover(Input::Stock, offset - 1, offset, 0);
        link.shard_time_ms = shard_time_ms;
    }
    link.digest = Some(digest(ledger.digest()));
    link.seal(0, previous);
    link
}

/// Writes two links of a ledger's decisions to the log; that ledger.
fn write_links(cluster: &Cluster, last_digest: impl FnOnce([u8; 16]) -> [u8; 16]) -> Ledger {
    let mut writer = ledger(1);
    let genesis = LinkHash::of(&values(cluster, Topic::Decisions)[0]);
    let first = link(&mut writer, 0, genesis, |digest| digest);
    let (value, hash) = first.sealed().expect("sealed above");
    write(cluster, value.to_vec());
    let second = link(&mut writer, 3, hash, last_digest);
    write(cluster, second.sealed().expect("sealed above").0.to_vec());
    writer
}

#[test]
fn the_log_alone_rebuilds_the_ledger() {
    let cluster = cluster();
    let mut writer = write_links(&cluster, |digest| digest);
    let mut log = open(&cluster);
    let mut rebuilt = ledger(2);
    let mut decisions = 0;
    let mut sources = Vec::new();
    log.read(READ_TIMEOUT, &mut |_, entry| {
        if let LogEntry::Link(link) = entry {
            decisions += replay_link(&mut rebuilt, link).expect("the ledger made these decisions");
            sources.extend(link.decisions().map(|entry| entry.expect("whole").1.offset));
        }
    })
    .expect("a good log");
    assert_eq!(decisions, 6);
    assert_eq!(sources, [0, 1, 2, 3, 4, 5]);
    assert_eq!(rebuilt.digest(), writer.digest());
    assert_eq!((rebuilt.sequence(), rebuilt.shard_time_ms()), (6, writer.shard_time_ms()));
    assert_eq!((log.chain().shards()[0].next_sequence(), log.chain().shards()[0].resume_offset(Input::Stock)), (7, 6));
}

#[test]
fn a_ledger_that_differs_from_the_digest_stated_is_not_believed() {
    let cluster = cluster();
    write_links(&cluster, |_| [7; 16]);
    let mut rebuilt = ledger(2);
    let mut results = Vec::new();
    open(&cluster)
        .read(READ_TIMEOUT, &mut |_, entry| {
            if let LogEntry::Link(link) = entry {
                results.push(replay_link(&mut rebuilt, link));
            }
        })
        .expect("a good log");
    assert!(matches!(results[..], [Ok(3), Err(ReplayFault::Digest { sequence: 6, .. })]), "{results:?}");
}

#[test]
fn what_stands_behind_a_record_that_breaks_the_chain_is_not_handed_out() {
    let cluster = cluster();
    write_links(&cluster, |digest| digest);
    let mut other = ledger(1);
    let stranger = link(&mut other, 6, LinkHash::default(), |digest| digest);
    let offset = write(&cluster, stranger.sealed().expect("sealed above").0.to_vec());
    write(&cluster, b"?".to_vec());
    let mut seen = 0;
    let mut log = open(&cluster);
    let error = log.read(READ_TIMEOUT, &mut |_, _| seen += 1).expect_err("the chain is broken");
    assert_eq!(seen, 3);
    assert!(
        matches!(error, LogError::Read(ReadError::Broken { offset: at, source: ChainError::Hash { .. } }) if at == offset)
    );
}

#[test]
fn a_fault_of_the_reader_is_told_apart_from_one_of_the_log() {
    let cluster = cluster();
    cluster.trim(Topic::Decisions, SHARD, 1).expect("it is there");
    let error = open(&cluster).read(READ_TIMEOUT, &mut |_, _| {}).expect_err("its start is gone");
    assert!(matches!(error, LogError::Fault(Fault::OutOfRange { asked: 0, begin: 1, .. })));
}
