//! One record after the other, in merged order: time moves on, holds that ran out expire, the record is checked whole,
//! each of its commands is decided, and what was decided stands in the open batch.

use super::outbox::Part;
use super::place;
use crate::broker::{Input, Record, Records};
use crate::ledger::{Foresight, Ledger, Moment, Pressure, READ_AHEAD};
use crate::wire::command::Command;
use crate::wire::decision::Source;
use crate::wire::decode::{Poison, Scratch, Validated, validate};

/// Bytes of records read ahead, beyond which only one is: it holds many commands, which are looked up ahead among
/// themselves. What is read ahead stays in a core's nearest cache, and what was noted of it small.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// A record read ahead. Most hold one command, which is then looked up ahead too; those of one that holds many are when
/// their turn comes.
struct Ahead<'a> {
    record: Record<'a>,
    commands: Result<Validated<'a>, Poison>,
}

/// The buffers into which records are validated, for all shards of a lane.
pub(super) type Scratches = [Scratch; READ_AHEAD];

/// The ledger of a shard at work, and how far its inputs are decided.
#[derive(Debug)]
pub(super) struct Decider {
    ledger: Box<Ledger>,
    /// Offsets of the last records decided, of `orders` and of `stock`.
    last: [i64; 2],
}

impl Decider {
    /// `next` are the first offsets that are not decided, of `orders` and of `stock`.
    pub(super) fn new(ledger: Box<Ledger>, next: [i64; 2]) -> Self {
        Decider { ledger, last: next.map(|next| next - 1) }
    }

    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.ledger.next_due_ms()
    }

    pub(super) fn rules_level(&self) -> u32 {
        self.ledger.rules_level()
    }

    pub(super) fn pressure(&self) -> Pressure {
        self.ledger.pressure()
    }

    /// First offset of `input` that is not decided.
    pub(super) fn next_offset(&self, input: Input) -> i64 {
        self.last[place(input)] + 1
    }

    /// Decides records `from..to` of a batch of one input, until the lane's batch is full or the shard's turn is over,
    /// which is when it costs as much as `credit`. Returns how many; none if holds that end before the first of them
    /// take all of it.
    pub(super) fn decide<R: Records>(
        &mut self,
        part: &mut Part<'_>,
        scratches: &mut Scratches,
        (input, records, from, to): (Input, &R, usize, usize),
        credit: u64,
    ) -> usize {
        let end = part.cost() + credit;
        let mut at = from;
        while at < to && !is_over(part, end) {
            at += self.decide_some(part, scratches, (input, records, at, to.min(at + READ_AHEAD)), end);
        }
        at - from
    }

    fn decide_some<R: Records>(
        &mut self,
        part: &mut Part<'_>,
        scratches: &mut Scratches,
        (input, records, from, to): (Input, &R, usize, usize),
        end: u64,
    ) -> usize {
        let Decider { ledger, last } = self;
        let mut ahead: [Option<Ahead<'_>>; READ_AHEAD] = [const { None }; READ_AHEAD];
        let mut foresights = [Foresight::default(); READ_AHEAD];
        let (mut count, mut bytes) = (0, 0);
        for (((slot, foresight), scratch), i) in ahead.iter_mut().zip(&mut foresights).zip(scratches).zip(from..to) {
            let record = records.get(i);
            bytes += record.value.map_or(0, <[u8]>::len);
            if count > 0 && bytes > READ_AHEAD_BYTES {
                break;
            }
            count += 1;
            let commands = validate(record.value, input, scratch);
            if let Ok(one) = &commands
                && one.count() == 1
            {
                *foresight = ledger.foresee(&one.command(0));
            }
            *slot = Some(Ahead { record, commands });
        }
        ledger.fetch(&mut foresights[..count]);
        for ((Ahead { record, commands }, foresight), i) in ahead.iter().flatten().zip(&foresights).zip(from..) {
            if is_over(part, end) {
                return i - from;
            }
            part.make_room(ledger);
            if !expire(ledger, part, record.timestamp_ms, end) {
                return i - from;
            }
            part.make_room(ledger);
            match commands {
                Ok(commands) if commands.count() == 1 => {
                    apply(ledger, part, (input, record, 0), &commands.command(0), foresight);
                }
                Ok(commands) => apply_many(ledger, part, (input, record), commands),
                Err(poison) => part.bury(input, record, records.headers(i), poison),
            }
            let last = &mut last[place(input)];
            part.cover(input, *last, record);
            *last = record.offset;
        }
        count
    }

    /// Closes the shard's part of the open batch.
    pub(super) fn close(&mut self, part: &mut Part<'_>) {
        part.close(&mut self.ledger, self.last.map(|last| last + 1));
    }
}

/// Whether nothing more is to be decided in this turn.
fn is_over(part: &Part<'_>, end: u64) -> bool {
    part.is_full() || part.cost() >= end
}

fn apply_many(
    ledger: &mut Ledger,
    part: &mut Part<'_>,
    (input, record): (Input, &Record<'_>),
    commands: &Validated<'_>,
) {
    let indexes = 0..commands.count();
    for from in indexes.clone().step_by(READ_AHEAD) {
        // Commands are put together twice, which costs less than moving them about.
        let mut ahead = [Foresight::default(); READ_AHEAD];
        let some = from..indexes.end.min(from + READ_AHEAD as u32);
        for (foresight, index) in ahead.iter_mut().zip(some.clone()) {
            *foresight = ledger.foresee(&commands.command(index));
        }
        ledger.fetch(&mut ahead[..some.len()]);
        for (foresight, index) in ahead.iter().zip(some) {
            apply(ledger, part, (input, record, index), &commands.command(index), foresight);
        }
    }
}

/// Moves the shard's time on and ends every hold that ran out, until the turn is over; true if none is left. A mass
/// expiry may fill links of its own, which then have no input, and batches of its own: after an outage all holds there
/// are run out before the first record, and one transaction could neither hold nor commit them.
fn expire(ledger: &mut Ledger, part: &mut Part<'_>, time_ms: i64, end: u64) -> bool {
    ledger.advance(time_ms.max(ledger.shard_time_ms()));
    let at = moment(ledger, part);
    let source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
    while let Some(decision) = ledger.expire_one(at) {
        part.push(&decision, &source);
        if is_over(part, end) {
            return ledger.next_due_ms().is_none_or(|due_ms| due_ms > at.shard_time_ms);
        }
        part.make_room(ledger);
    }
    true
}

fn apply(
    ledger: &mut Ledger,
    part: &mut Part<'_>,
    (input, record, index): (Input, &Record<'_>, u32),
    command: &Command<'_>,
    foresight: &Foresight,
) {
    let at = moment(ledger, part);
    let source = Source { input, offset: record.offset, index, reply_partition: command.reply_partition };
    part.push(&ledger.apply_foreseen(command, foresight, at), &source);
}

fn moment(ledger: &Ledger, part: &Part<'_>) -> Moment {
    Moment { shard_time_ms: ledger.shard_time_ms(), engine_time_ms: part.engine_time_ms() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use prost::Message as _;

    use super::*;
    use crate::broker::{Header, TimestampKind};
    use crate::lane::outbox::Outbox;
    use crate::lane::settings::DECISION_COST_BYTES;
    use crate::lane::work::Work;
    use crate::lane::{BatchLimits, LaneSettings, LedgerSettings};
    use crate::ledger::{FingerprintKey, Rules};
    use crate::wire::command::LinesBuf;
    use crate::wire::proto::{StockCommand, StockCommands, Tick, stock_command};
    use crate::wire::{Kind, NamedLot, Place, StockChange, Vouched};

    const HOLDS: u32 = 1_000;
    const MAX_DECISIONS: u32 = 40;
    /// Every hold has run out by then.
    const LATE_MS: i64 = 2_000;

    /// One record: its value and time.
    struct One(Vec<u8>, i64);

    impl Records for One {
        fn len(&self) -> usize {
            1
        }

        fn get(&self, _: usize) -> Record<'_> {
            let (timestamp_kind, leader_epoch) = (TimestampKind::LogAppend, 0);
            let value = Some(&self.0[..]);
            Record { offset: 0, timestamp_ms: self.1, timestamp_kind, leader_epoch, key: None, value }
        }

        fn headers(&self, _: usize) -> Vec<Header> {
            Vec::new()
        }
    }

    fn tick() -> One {
        let tick = StockCommand { kind: Some(stock_command::Kind::Tick(Tick { shard: 0 })), ..Default::default() };
        One(StockCommands { commands: vec![tick] }.encode_to_vec(), LATE_MS)
    }

    /// A shard with many holds that run out at once.
    fn bench() -> Bench {
        let rules = Rules {
            shard: 0,
            partitions: 1,
            window_ms: 1_000,
            skew_ms: 100,
            rules_level: 0,
            default_hold_ms: 500,
            max_hold_ms: 1_000,
            expected_ids: 0,
            max_ids: 100_000,
        };
        let ids: Vec<String> = (0..HOLDS).map(|order| order.to_string()).collect();
        let mut ledger = Ledger::new(rules, FingerprintKey([1; 16]));
        let at = Moment { shard_time_ms: 1_000, engine_time_ms: 0 };
        let mut apply =
            |kind| _ = ledger.apply(&Command { pool: "p".into(), reply_partition: None, unsupported: None, kind }, at);
        let change = StockChange::Receive { sku: "sku".into(), quantity: HOLDS.into(), lot: NamedLot::default() };
        apply(Kind::Stock { id: "in".into(), issued_at_ms: 1_000, change });
        let lines: LinesBuf = [("sku", 1)].into_iter().collect();
        for order_id in &ids {
            apply(Kind::Place(Place {
                order_id: (&**order_id).into(),
                attempt: 0,
                customer: "ann".into(),
                channel: "".into(),
                placed_at_ms: 1_000,
                lines: lines.lines(),
                hold_ms: 0,
                answer_by_ms: 0,
                vouched: Vouched::default(),
            }));
        }
        let settings = LaneSettings {
            orders_topic: String::new(),
            stock_topic: String::new(),
            reply_partitions: 0,
            per_decision: false,
            batch: BatchLimits { max_decisions: MAX_DECISIONS, ..BatchLimits::default() },
            ledger: LedgerSettings {
                default_hold_ms: rules.default_hold_ms,
                max_hold_ms: rules.max_hold_ms,
                expected_ids: 0,
                max_ids: rules.max_ids,
                key: FingerprintKey([1; 16]),
            },
            parked_retry_ms: 0,
            commit_timeout: Duration::ZERO,
            owner: String::new(),
            accept_loss: false,
        };
        let outbox = Outbox::new(0..1, Arc::new(settings), Box::default());
        Bench { decider: Decider::new(Box::new(ledger), [0; 2]), outbox, scratches: Scratches::default() }
    }

    /// A shard and the batch that it fills.
    struct Bench {
        decider: Decider,
        outbox: Outbox,
        scratches: Scratches,
    }

    impl Bench {
        /// Decides one record of `stock` in a turn of this credit, and closes the batch; how many, and the batch.
        fn decide(&mut self, record: &One, credit: u64) -> (usize, Box<Work>) {
            let (part, scratches) = (&mut self.outbox.of(0), &mut self.scratches);
            let decided = self.decider.decide(part, scratches, (Input::Stock, record, 0, 1), credit);
            self.decider.close(part);
            (decided, self.outbox.swap(1, Box::default()))
        }
    }

    #[test]
    fn a_mass_expiry_is_cut_into_batches_and_the_record_decided_in_the_last() {
        let (mut bench, record, mut decisions) = (bench(), tick(), 0);
        loop {
            let (decided, work) = bench.decide(&record, u64::MAX >> 1);
            // A record is never parted from its decisions, so that the last batch may have one more.
            assert!(work.decisions <= MAX_DECISIONS + 1);
            decisions += work.decisions;
            assert_eq!(work.shards[0].next[1], i64::try_from(decided).expect("one at the most"));
            if decided == 1 {
                break;
            }
            assert!(work.decisions > 0, "the shard stalls");
        }
        assert_eq!(decisions, HOLDS + 1);
    }

    #[test]
    fn a_mass_expiry_ends_with_the_turn_of_its_shard() {
        let (mut bench, record) = (bench(), tick());
        let (decided, work) = bench.decide(&record, 10 * DECISION_COST_BYTES);
        assert_eq!(decided, 0);
        assert!((1..10).contains(&work.decisions), "{} holds ended", work.decisions);
    }

    #[test]
    fn poison_that_no_broker_would_take_back_is_named_and_left_out() {
        use crate::wire::limits::MAX_DEAD_LETTER_BYTES;

        let mut bench = bench();
        for (length, goes_along) in [(MAX_DEAD_LETTER_BYTES, true), (MAX_DEAD_LETTER_BYTES + 1, false)] {
            let (decided, work) = bench.decide(&One(vec![0; length], 1_000), u64::MAX >> 1);
            assert_eq!(decided, 1);
            let [letter] = &work.batch.dead_letters[..] else { panic!("one record was poison") };
            assert_eq!(letter.value.is_some(), goes_along);
            assert_eq!(letter.headers.iter().any(|(name, _)| name == "sluice.omitted.bytes"), !goes_along);
            bench.decider.last = [-1; 2];
        }
    }
}
