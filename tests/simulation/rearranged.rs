//! Logs of several shards, rearranged and sealed anew as an engine would have written them that mixes up lanes or shards.
//! The hashes of such a log are right; what it says of its shards is not.

use prost::Message as _;
use sluice::broker::memory::Stored;
use sluice::wire::proto::{LinkHeader, LogRecord, log_record};
use xxhash_rust::xxh3::xxh3_128;

use crate::evidence;
use crate::planted::Bug;
use crate::verify::{Evidence, verify};

/// Runs among which there is one with several lanes of several shards.
const RUNS: u64 = 40;

/// A run with lanes of several shards, and shards of several lanes.
fn laned() -> Evidence {
    let runs = (0..RUNS).map(|seed| evidence(seed, Bug::None).expect("the run passes"));
    let has_lanes = |evidence: &Evidence| {
        let layout = evidence.shards[0].layout;
        (2..layout.shards).contains(&layout.lanes)
    };
    runs.into_iter().find(has_lanes).expect("a third of the worlds with four shards have such lanes")
}

fn record(stored: &Stored) -> LogRecord {
    LogRecord::decode(stored.message.value.as_deref().unwrap_or_default()).expect("the log was verified")
}

/// Lets every link carry the hash of the one before, as it now stands.
fn seal(log: &mut [Stored]) {
    let mut previous = Vec::new();
    for stored in log {
        let mut record = record(stored);
        match &mut record.kind {
            Some(log_record::Kind::Fence(_)) => continue,
            Some(log_record::Kind::Link(link)) => {
                link.header.as_mut().expect("the log was verified").previous_hash.clone_from(&previous);
            }
            _ => {}
        }
        let value = record.encode_to_vec();
        previous = xxh3_128(&value).to_be_bytes().to_vec();
        stored.message.value = Some(value.into());
    }
}

fn header(stored: &Stored) -> Option<LinkHeader> {
    match record(stored).kind {
        Some(log_record::Kind::Link(link)) => link.header,
        _ => None,
    }
}

/// The log of lane 0 is rearranged, in every shard's copy of it; whether that is found.
fn is_found(rearrange: impl Fn(&mut Vec<Stored>)) -> bool {
    let mut evidence = laned();
    evidence.shards.iter_mut().for_each(|shard| seal(&mut shard.log));
    verify(&evidence).expect("the evidence as it is, sealed anew");
    for shard in evidence.shards.iter_mut().filter(|shard| shard.layout.lane(shard.number) == 0) {
        rearrange(&mut shard.log);
        seal(&mut shard.log);
    }
    verify(&evidence).is_err()
}

/// The last link of a log, and where it stands.
fn last_link(log: &[Stored]) -> (usize, LogRecord) {
    let at = log.iter().rposition(|stored| header(stored).is_some()).expect("a shard of it has decided something");
    (at, record(&log[at]))
}

fn put(stored: &mut Stored, record: &LogRecord) {
    stored.message.value = Some(record.encode_to_vec().into());
}

fn name_shard(record: &mut LogRecord, change: impl Fn(u32) -> u32) {
    let Some(log_record::Kind::Link(link)) = &mut record.kind else { panic!("it is a link") };
    let header = link.header.as_mut().expect("the log was verified");
    header.shard = change(header.shard);
}

#[test]
fn a_link_in_the_wrong_lane_is_found_out() {
    assert!(is_found(|log| {
        let (at, mut link) = last_link(log);
        name_shard(&mut link, |shard| shard + 1);
        let mut stray = log[at].clone();
        put(&mut stray, &link);
        log.push(stray);
    }));
}

#[test]
fn a_link_that_names_its_neighbour_in_the_lane_is_found_out() {
    let lanes = laned().shards[0].layout.lanes;
    assert!(is_found(|log| {
        let (at, mut link) = last_link(log);
        name_shard(&mut link, |shard| if shard >= lanes { shard - lanes } else { shard + lanes });
        put(&mut log[at], &link);
    }));
}

#[test]
fn a_second_genesis_is_found_out() {
    assert!(is_found(|log| {
        let genesis = log[0].clone();
        log.push(genesis);
    }));
}
