//! The engine's core as a lane drives it: commands of a few records are read ahead, then decided in order into a link.

use prost::Message;
use sluice::ledger::{FingerprintKey, Foresight, Ledger, Moment, READ_AHEAD, Rules};
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, Validated, validate};
use sluice::wire::limits::TARGET_LINK_BYTES;
use sluice::wire::link::{LinkDraft, LinkHash, RULES_LEVEL};
use sluice::wire::proto::{self, Input};

use super::orders::{HOLD_MS, stock};

/// Bytes of records read ahead, as the lane has it.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// The rules of a ledger that remembers for `window_ms`.
pub(crate) fn rules(window_ms: u64) -> Rules {
    Rules {
        shard: 0,
        partitions: 1,
        window_ms,
        skew_ms: 0,
        rules_level: RULES_LEVEL,
        default_hold_ms: HOLD_MS,
        max_hold_ms: HOLD_MS,
        expected_ids: 0,
        max_ids: 1 << 30,
    }
}

/// The links of a log whose last one has this hash.
struct Kept {
    links: Vec<Vec<u8>>,
    last: LinkHash,
}

/// Record bytes to decision bytes.
pub(crate) struct Engine {
    ledger: Ledger,
    link: LinkDraft,
    scratch: [Scratch; READ_AHEAD],
    /// Offsets of the next records, of `orders` and of `stock`.
    next: [i64; 2],
    kept: Option<Kept>,
    /// How often each record's bytes are hashed for nothing: a slowdown for the check to find.
    pub(crate) planted_rounds: u32,
}

impl Engine {
    /// Without stock.
    pub(crate) fn empty(window_ms: u64) -> Self {
        Self {
            ledger: Ledger::new(rules(window_ms), FingerprintKey([7; 16])),
            link: LinkDraft::default(),
            scratch: Default::default(),
            next: [0; 2],
            kept: None,
            planted_rounds: 0,
        }
    }

    /// With stock, which came at `now_ms`.
    pub(crate) fn new(window_ms: u64, now_ms: i64) -> Self {
        let mut engine = Self::empty(window_ms);
        engine.receive_stock(now_ms);
        engine
    }

    /// Receives the stock that the orders draw on.
    pub(crate) fn receive_stock(&mut self, now_ms: i64) {
        let value = |command| proto::StockCommands { commands: vec![command] }.encode_to_vec();
        self.decide(Input::Stock, &stock(now_ms).map(value).collect::<Vec<_>>(), now_ms);
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Keeps the links from now on: a log whose last record has this hash.
    pub(crate) fn keep_links(&mut self, last: LinkHash) {
        self.kept = Some(Kept { links: Vec::new(), last });
    }

    /// The links kept since the last call, each a record of the log.
    pub(crate) fn take_links(&mut self) -> Vec<Vec<u8>> {
        self.kept.as_mut().map(|kept| std::mem::take(&mut kept.links)).unwrap_or_default()
    }

    /// Decides records and returns the bytes of their decisions.
    pub(crate) fn decide(&mut self, input: Input, records: &[Vec<u8>], now_ms: i64) -> u64 {
        let mut bytes = 0;
        self.link.begin(0, self.ledger.sequence() + 1, now_ms, now_ms);
        let mean_bytes = records.iter().map(Vec::len).sum::<usize>() / records.len().max(1);
        for records in records.chunks((READ_AHEAD_BYTES / mean_bytes.max(1)).clamp(1, READ_AHEAD)) {
            self.decide_some(input, records, now_ms);
            if self.link.value_bytes() > TARGET_LINK_BYTES {
                bytes += self.close_link();
                self.link.begin(0, self.ledger.sequence() + 1, now_ms, now_ms);
            }
        }
        bytes + self.close_link()
    }

    fn decide_some(&mut self, input: Input, records: &[Vec<u8>], now_ms: i64) {
        let Self { ledger, link, scratch, next, planted_rounds, .. } = self;
        let next = &mut next[usize::from(input == Input::Stock)];
        let at = Moment { shard_time_ms: now_ms, engine_time_ms: now_ms };
        let mut ahead = [const { None }; READ_AHEAD];
        let mut foresights = [Foresight::default(); READ_AHEAD];
        for (((slot, foresight), scratch), record) in ahead.iter_mut().zip(&mut foresights).zip(scratch).zip(records) {
            for round in 0..*planted_rounds {
                std::hint::black_box(xxhash_rust::xxh3::xxh3_64_with_seed(record, u64::from(round)));
            }
            let record = validate(Some(record), input, scratch).expect("the benchmark's records are sound");
            if record.count() == 1 {
                *foresight = ledger.foresee(&record.command(0));
            }
            *slot = Some(record);
        }
        ledger.fetch(&mut foresights[..records.len()]);
        for (record, foresight) in ahead.iter().flatten().zip(&foresights) {
            let source = |index| Source { input, offset: *next, index, reply_partition: None };
            if record.count() == 1 {
                link.push(&ledger.apply_foreseen(&record.command(0), foresight, at), &source(0));
            } else {
                many(ledger, link, at, record, source);
            }
            link.cover(input, *next - 1, *next, -1);
            *next += 1;
        }
    }

    /// Ends every hold that is due, and returns the bytes of those decisions.
    pub(crate) fn expire(&mut self, now_ms: i64) -> u64 {
        let at = Moment { shard_time_ms: now_ms, engine_time_ms: now_ms };
        let source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
        let mut bytes = 0;
        self.link.begin(0, self.ledger.sequence() + 1, now_ms, now_ms);
        while let Some(decision) = self.ledger.expire_one(at) {
            self.link.push(&decision, &source);
            if self.link.value_bytes() > TARGET_LINK_BYTES {
                bytes += self.close_link();
                self.link.begin(0, self.ledger.sequence() + 1, now_ms, now_ms);
            }
        }
        bytes + self.close_link()
    }

    fn close_link(&mut self) -> u64 {
        let bytes = self.link.value_bytes() as u64;
        if let Some(kept) = &mut self.kept
            && !self.link.is_empty()
        {
            kept.last = self.link.seal(0, kept.last);
            kept.links.push(self.link.sealed().expect("it was just sealed").0.to_vec());
        }
        self.link.clear();
        bytes
    }
}

fn many(ledger: &mut Ledger, link: &mut LinkDraft, at: Moment, record: &Validated<'_>, source: impl Fn(u32) -> Source) {
    for from in (0..record.count()).step_by(READ_AHEAD) {
        let some = from..record.count().min(from + READ_AHEAD as u32);
        let mut ahead = [Foresight::default(); READ_AHEAD];
        for (foresight, index) in ahead.iter_mut().zip(some.clone()) {
            *foresight = ledger.foresee(&record.command(index));
        }
        ledger.fetch(&mut ahead[..some.len()]);
        for (foresight, index) in ahead.iter().zip(some) {
            link.push(&ledger.apply_foreseen(&record.command(index), foresight, at), &source(index));
        }
    }
}
