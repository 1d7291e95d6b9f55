//! Logs whose links are of several shards: as they must be, and each way in which one can be wrong, planted.

use prost::Message;
use sluice::wire::proto::{DeadLetterRef, Fence, Input, Link, LinkHeader, LogRecord, Segment};
use xxhash_rust::xxh3::xxh3_128;

use super::*;

/// Five shards in two lanes: shards 1 and 3 share the second log.
const PARTITIONS: u32 = 5;
const LANES: u32 = 2;
const LANE: u32 = 1;

fn genesis() -> Genesis {
    Genesis { version: 2, shard: LANE, partitions: PARTITIONS, lanes: LANES, window_ms: 1_000, ..Genesis::default() }
}

/// The second log, from somewhere on, as one engine after the other writes it.
struct Log {
    values: Vec<Vec<u8>>,
    last_hash: u128,
    epoch: u64,
    /// Of each shard: how far orders are decided, and the next sequence.
    reached: HashMap<u32, (i64, u64)>,
    time_ms: i64,
}

impl Log {
    fn new() -> Self {
        Self { values: Vec::new(), last_hash: 77, epoch: 4, reached: HashMap::new(), time_ms: START_MS }
    }

    fn push(&mut self, kind: log_record::Kind) -> &mut Self {
        self.values.push(LogRecord { kind: Some(kind) }.encode_to_vec());
        self
    }

    /// The next owner takes the lane.
    fn fence(&mut self) -> &mut Self {
        self.epoch += 1;
        self.push(log_record::Kind::Fence(Fence::default()))
    }

    /// A link of a shard that decides ten records of orders, all of them Ticks of nobody.
    fn link(&mut self, shard: u32) -> &mut Self {
        self.changed(shard, |_| {})
    }

    /// The same, changed before it is sealed: what follows it goes on from what it should have been.
    fn changed(&mut self, shard: u32, change: impl FnOnce(&mut LinkHeader)) -> &mut Self {
        let (from_offset, first_sequence) = *self.reached.entry(shard).or_insert((i64::from(shard) * 100, 50));
        self.reached.insert(shard, (from_offset + 10, first_sequence + 1));
        self.time_ms += 1;
        let input = Input::Orders as i32;
        let segment = Segment { input, from_offset, to_offset: from_offset + 10, leader_epoch: 0 };
        let mut header = LinkHeader {
            shard,
            epoch: self.epoch,
            first_sequence,
            count: 1,
            segments: vec![segment],
            shard_time_ms: self.time_ms,
            previous_hash: self.last_hash.to_be_bytes().to_vec(),
            dead_letters: vec![DeadLetterRef { input, offset: from_offset + 3 }],
            ..LinkHeader::default()
        };
        change(&mut header);
        let sequence = header.first_sequence;
        let decision = Decision { sequence, input, offset: from_offset + 10, ..Decision::default() };
        self.push(log_record::Kind::Link(Link { header: Some(header), decisions: vec![decision] }));
        self.last_hash = xxh3_128(self.values.last().expect("just pushed"));
        self
    }

    fn findings(&self) -> Findings {
        let sent = sent();
        let ours = sent.ours();
        let mut lane = Lane::new(&ours, &genesis());
        for (offset, value) in (900..).zip(&self.values) {
            lane.take(&ours, offset, value, false, |_| {});
        }
        let mut findings = lane.findings().clone();
        lane.shards().iter().for_each(|shard| findings.merge(shard.findings().clone()));
        findings
    }

    /// One thing is wrong, and it is this.
    #[track_caller]
    fn check(&self, check: Check, words: &str) {
        let list = self.findings().into_list();
        assert_eq!(list.len(), 1, "{list:#?}");
        assert_eq!((list[0].check, list[0].count), (check, 1), "{list:#?}");
        assert!(list[0].examples[0].contains(words), "{words:?} is not in {list:#?}");
    }
}

/// A log of both shards in which nothing is wrong so far.
fn log() -> Log {
    let mut log = Log::new();
    log.link(3).link(1).fence().link(1).link(3).link(3);
    log
}

#[test]
fn shards_that_share_a_log_are_told_apart() {
    assert_eq!(log().link(1).fence().fence().link(3).findings().into_list(), []);
}

#[test]
fn a_link_of_a_shard_that_is_not_the_logs_is_found() {
    for stranger in [0, 2, 4, 5, 7] {
        log()
            .link(stranger)
            .link(1)
            .check(Check::Wrong, &format!("decisions[1] offset 906: a link of shard {stranger},"));
    }
}

#[test]
fn a_second_genesis_is_found() {
    log().push(log_record::Kind::Genesis(genesis())).link(1).check(Check::Wrong, "offset 906: a second genesis");
}

#[test]
fn a_link_that_does_not_carry_the_hash_of_the_one_before_is_found() {
    log().changed(1, |header| header.previous_hash[3] ^= 1).link(3).check(Check::Wrong, "does not carry the hash");
    // One that was taken out, of whichever shard.
    let mut log = log();
    log.link(3).link(1).values.remove(6);
    let findings = log.findings();
    assert_eq!(findings.count(Check::Wrong), 1, "{findings:?}");
}

#[test]
fn an_epoch_that_falls_or_that_no_fence_accounts_for_is_found() {
    log().changed(1, |header| header.epoch -= 1).check(Check::Wrong, "epoch 4, 0 fences behind one of epoch 5");
    log().fence().changed(1, |header| header.epoch += 1).check(Check::Wrong, "epoch 7, 1 fences behind one of epoch 5");
}

#[test]
fn a_segment_that_does_not_go_on_from_its_own_shards_last_is_found() {
    // Shard 1 stands at 120 by then, and shard 3 at 330.
    let from = |offset: i64| move |header: &mut LinkHeader| header.segments[0].from_offset = offset;
    log().changed(1, from(121)).link(1).check(Check::Lost, "shard 1: segment (121, 130] of input 1 behind offset 120");
    log().changed(1, from(119)).link(1).check(Check::Doubled, "behind offset 120");
    let of_other = |header: &mut LinkHeader| {
        (header.segments[0].from_offset, header.segments[0].to_offset) = (330, 340);
        header.dead_letters.clear();
    };
    log().changed(1, of_other).check(Check::Lost, "shard 1: segment (330, 340]");
    let backwards = |header: &mut LinkHeader| {
        header.segments[0].to_offset = 120;
        header.dead_letters.clear();
    };
    log().changed(1, backwards).check(Check::Wrong, "shard 1: segment (120, 120]");
}

#[test]
fn a_sequence_that_does_not_go_on_from_its_own_shards_last_is_found() {
    // Shard 1 is at 52 by then, and shard 3 at 53.
    log().changed(1, |header| header.first_sequence = 53).check(Check::Lost, "shard 1: sequence 53 where 52 was due");
}

#[test]
fn a_shards_time_that_falls_is_found_and_a_neighbours_may_be_behind() {
    log().changed(1, |header| header.shard_time_ms = START_MS + 2).check(Check::Wrong, "shard 1: its time falls");
    assert_eq!(log().changed(1, |header| header.shard_time_ms = START_MS + 3).findings().into_list(), []);
}

#[test]
fn a_dead_letter_of_another_shards_record_is_found() {
    log().changed(1, |header| header.dead_letters[0].offset = 325).check(Check::Wrong, "is not in its link's segments");
}

#[test]
fn a_log_that_cannot_be_read_is_found() {
    let mut log = log();
    log.values.push(b"no record".to_vec());
    log.check(Check::Wrong, "decisions[1] offset 906: ");
}

#[test]
fn answers_count_whichever_log_they_stand_in() {
    let sent = sent();
    let ours = sent.ours();
    // The only shard of two lanes' worth: what a lane has of it is what it has alone.
    let genesis = Genesis { version: 1, partitions: 1, ..Genesis::default() };
    let mut lane = Lane::new(&ours, &genesis);
    let (mut counted, mut last_hash) = (0, 0_u128);
    for decisions in links(&sent.decided(0)) {
        let header = LinkHeader {
            first_sequence: decisions[0].sequence,
            count: decisions.len() as u32,
            previous_hash: last_hash.to_be_bytes().to_vec(),
            ..LinkHeader::default()
        };
        let link = Link { header: Some(header), decisions: decisions.to_vec() };
        let value = LogRecord { kind: Some(log_record::Kind::Link(link)) }.encode_to_vec();
        last_hash = xxh3_128(&value);
        lane.take(&ours, 0, &value, false, |_| counted += 1);
    }
    assert_eq!((lane.findings().clone().into_list(), counted), (Vec::new(), sent.commands));
    assert_eq!(lane.stocked(), lane.shards()[0].stocked());
}
