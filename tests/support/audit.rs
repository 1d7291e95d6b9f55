//! Walks the links of one shard beside its inputs and holds them to the invariants of ARCHITECTURE.md. It shares the
//! generated types with the engine and nothing else: whatever the engine's own readers believe is not believed here.

use std::collections::{BTreeSet, VecDeque};

use prost::Message;
use sluice::wire::proto::{self, Asked, Decision, Input, Link, LinkHeader};
use xxhash_rust::xxh3::xxh3_128;

use super::book::Book;
use super::input::{self, Command, Question};
use super::model::Model;
use super::report::{Breach, Report};

/// A record as a plain consumer sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// All that is committed of one shard, but for its links, which stand in the log of its lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardTopics {
    pub(crate) shard: u32,
    pub(crate) orders: Vec<Stored>,
    pub(crate) stock: Vec<Stored>,
    pub(crate) dead_letters: Vec<Stored>,
}

/// What the walk leaves of a shard for further checks.
pub(crate) struct AuditedShard {
    pub(crate) report: Report,
    pub(crate) book: Book,
    pub(crate) model: Option<Model>,
    /// For each decision the partition of `replies` that also has it, and its fingerprint.
    pub(crate) copies: Vec<(Option<u32>, u128)>,
}

/// How far an input is decided.
#[derive(Clone, Copy)]
struct Run {
    /// Index of the next record.
    next: usize,
    /// Offset of the last one, -1 before the first.
    last_offset: i64,
}

impl Default for Run {
    fn default() -> Self {
        Run { next: 0, last_offset: -1 }
    }
}

/// See the module.
pub(super) struct ShardAudit<'a> {
    topics: &'a ShardTopics,
    report: Report,
    book: Book,
    model: Option<Model>,
    copies: Vec<(Option<u32>, u128)>,
    /// It makes no sense to walk on.
    stopped: bool,
    /// Of orders and stock.
    decided: [Run; 2],
    /// Input and offset of every record that could not be read.
    poison: BTreeSet<(i32, i64)>,
    shard_time_ms: i64,
    /// Shard time is that of a record that is still to come: a link was cut between it and the expiries it brings.
    ahead: bool,
    /// What the model expires at this time and the log has not yet.
    expiries: VecDeque<Decision>,
    /// Digests stated that the model could be asked about.
    digests: u64,
}

/// What makes it senseless to walk on.
pub(super) type Stop = (Breach, String);

impl<'a> ShardAudit<'a> {
    /// With a model, every decision must also be the model's.
    pub(super) fn new(topics: &'a ShardTopics, window_ms: u64, model: Option<Model>) -> Self {
        ShardAudit {
            topics,
            report: Report::default(),
            book: Book::new(i64::try_from(window_ms).unwrap_or(i64::MAX)),
            model,
            copies: Vec::new(),
            stopped: false,
            decided: [Run::default(); 2],
            poison: BTreeSet::new(),
            shard_time_ms: 0,
            ahead: false,
            expiries: VecDeque::new(),
            digests: 0,
        }
    }

    /// Takes the shard's next link, which stands at this offset of the log. After one that cannot be right the others are
    /// passed by.
    pub(super) fn take(&mut self, offset: i64, header: &LinkHeader, link: &Link) {
        if self.stopped {
            return;
        }
        if let Err((breach, what)) = self.link(offset, header, link) {
            self.report.breach(breach, format_args!("shard {}: {what}; stopped here", self.topics.shard));
            self.stopped = true;
        }
    }

    /// Ends the walk. If that is the end of the log, the inputs must be decided to theirs.
    pub(super) fn finish(mut self, is_whole: bool) -> AuditedShard {
        if is_whole && !self.stopped {
            self.ends();
            self.dead_letters();
        }
        AuditedShard { report: self.report, book: self.book, model: self.model, copies: self.copies }
    }

    fn link(&mut self, offset: i64, header: &LinkHeader, link: &Link) -> Result<(), Stop> {
        let stop = |breach, what: &str| Err((breach, format!("link at offset {offset}: {what}")));
        let first = self.report.decisions + 1;
        let sequences = link.decisions.iter().map(|decision| decision.sequence);
        if header.first_sequence != first
            || header.count as usize != link.decisions.len()
            || !sequences.eq((first..).take(link.decisions.len()))
        {
            return stop(Breach::Sequence, &format!("{first} should come next: {header:?}"));
        }
        self.report.links += 1;
        self.report.decisions += u64::from(header.count);
        let mut poison = BTreeSet::new();
        let mut decisions = link.decisions.iter();
        for segment in &header.segments {
            let input = segment.input();
            let run = match input {
                Input::Orders => 0,
                Input::Stock => 1,
                Input::Unspecified => return stop(Breach::I4, "a segment of no input"),
            };
            if segment.from_offset != self.decided[run].last_offset || segment.to_offset <= segment.from_offset {
                return stop(Breach::I4, &format!("{} stood decided: {segment:?}", self.decided[run].last_offset));
            }
            let topics = self.topics;
            let records = if run == 0 { &topics.orders } else { &topics.stock };
            while self.decided[run].last_offset < segment.to_offset {
                let Some(record) = records.get(self.decided[run].next).filter(|r| r.offset <= segment.to_offset) else {
                    return stop(Breach::I4, &format!("ends at no record of the input: {segment:?}"));
                };
                self.record(input, record, header.engine_time_ms, &mut decisions, &mut poison)?;
                self.decided[run] = Run { next: self.decided[run].next + 1, last_offset: record.offset };
            }
        }
        if let Some(expiry) = decisions.clone().next().filter(|next| next.asked() == Asked::Expire) {
            self.ahead |= expiry.decided_at_ms > self.shard_time_ms;
            self.advance(expiry.decided_at_ms);
            self.expire(&mut decisions)?;
        }
        if let Some(extra) = decisions.next() {
            return stop(Breach::I1, &format!("answers nothing in its segments: {extra:?}"));
        }
        if header.shard_time_ms != self.shard_time_ms {
            return stop(Breach::I4, &format!("shard time is {}: {header:?}", self.shard_time_ms));
        }
        self.digest(offset, &header.digest);
        let named: Vec<_> = header.dead_letters.iter().map(|named| (named.input, named.offset)).collect();
        if named.len() != poison.len() || !named.iter().all(|named| poison.contains(named)) {
            return stop(Breach::DeadLetter, &format!("{poison:?} cannot be read, named are {named:?}"));
        }
        self.poison.extend(poison);
        let copies = link.decisions.iter().map(|decision| (decision.reply_partition, fingerprint(decision)));
        self.copies.extend(copies);
        Ok(())
    }

    /// The digest that a link states must be the model's. The model sums all that it knows each time: asked at the
    /// first, second, fourth, eighth, ... of them, it does no more work than the log has decisions, twice over.
    fn digest(&mut self, offset: i64, stated: &[u8]) {
        // A model that has expired what the log has not yet is ahead of this link.
        let Some(model) = self.model.as_ref().filter(|_| !stated.is_empty() && self.expiries.is_empty()) else {
            return;
        };
        self.digests += 1;
        if self.digests.is_power_of_two() {
            let same = model.digest() == stated;
            self.report.expect(same, Breach::Model, || format!("the digest stated at offset {offset} is another one"));
        }
    }

    /// One input record: the expiries that its time brings, then a decision for each command.
    fn record<'d>(
        &mut self,
        input: Input,
        record: &Stored,
        engine_time_ms: i64,
        decisions: &mut (impl Iterator<Item = &'d Decision> + Clone),
        poison: &mut BTreeSet<(i32, i64)>,
    ) -> Result<(), Stop> {
        if std::mem::take(&mut self.ahead) && record.timestamp_ms != self.shard_time_ms {
            return Err((Breach::I4, format!("holds expired at {}, but {record:?} comes next", self.shard_time_ms)));
        }
        self.advance(record.timestamp_ms);
        self.expire(decisions)?;
        if let Some(missing) = self.expiries.front() {
            return Err((Breach::Model, format!("at {input:?} {} should have expired: {missing:?}", record.offset)));
        }
        let Some(questions) = input::questions(input, record.value.as_deref()) else {
            poison.insert((input as i32, record.offset));
            return Ok(());
        };
        for (index, question) in questions.iter().enumerate() {
            let place = (input, record.offset, u32::try_from(index).expect("bounded by the contract"));
            let next = decisions.next();
            let Some(decision) = next.filter(|next| (next.input(), next.offset, next.index) == place) else {
                return Err((Breach::I1, format!("{place:?} ({:?}) is answered by {next:?}", question.command)));
            };
            self.decision(decision, Some(question))?;
            if let Some(model) = &mut self.model {
                agree(Some(question.put_to(model, engine_time_ms)), decision, &mut self.report);
            }
        }
        Ok(())
    }

    fn advance(&mut self, to_ms: i64) {
        self.shard_time_ms = self.shard_time_ms.max(to_ms);
        if let Some(model) = &mut self.model {
            self.expiries.extend(model.advance(self.shard_time_ms));
        }
    }

    /// The expiries that come next and are due by now.
    fn expire<'d>(&mut self, decisions: &mut (impl Iterator<Item = &'d Decision> + Clone)) -> Result<(), Stop> {
        let time = self.shard_time_ms;
        // An expiry of a later time belongs to a later record, if this one was decided nothing.
        let is_due = |next: &&Decision| next.asked() == Asked::Expire && next.decided_at_ms <= time;
        while let Some(expiry) = decisions.clone().next().filter(is_due) {
            decisions.next();
            self.decision(expiry, None)?;
            if self.model.is_some() {
                agree(self.expiries.pop_front(), expiry, &mut self.report);
            }
        }
        Ok(())
    }

    fn decision(&mut self, decision: &Decision, question: Option<&Question>) -> Result<(), Stop> {
        let key = (decision.asked(), decision.outcome(), decision.reason());
        *self.report.outcomes.entry(key).or_default() += 1;
        self.report.places += u64::from(decision.asked() == Asked::Place);
        if decision.decided_at_ms != self.shard_time_ms {
            return Err((Breach::I4, format!("decided at shard time {}: {decision:?}", self.shard_time_ms)));
        }
        if let Some(question) = question {
            let subject = question.command.subject();
            let named =
                (decision.asked(), &*decision.pool, &*decision.order_id, decision.attempt, &*decision.id) == subject;
            let refused = decision.outcome() as i32 >= proto::Outcome::Misrouted as i32;
            let waits = decision.reply_partition == question.command.reply_partition();
            // A refusal may leave out what it could not use.
            if !(named || refused) || !waits {
                return Err((Breach::I1, format!("{subject:?} is answered by {decision:?}")));
            }
        }
        let stock = question.and_then(|question| match &question.command {
            Command::Stock(command) => Some(command),
            Command::Order(_) | Command::Malformed { .. } => None,
        });
        self.book.take(decision, stock, &mut self.report);
        Ok(())
    }

    /// I4 at the end: nothing of the inputs is left, but for Ticks that the engine sent as it was told to stop.
    fn ends(&mut self) {
        for (run, records) in [&self.topics.orders, &self.topics.stock].into_iter().enumerate() {
            let next = self.decided[run].next;
            let left = records[next..].iter().filter(|record| run == 0 || !is_tick(record)).count();
            self.report.expect(left == 0, Breach::I4, || {
                format!("{next} of {} records of input {run} are decided, {left} are left out", records.len())
            });
        }
    }

    /// Every unreadable record is in `dead-letters`, byte for byte, and nothing else is. One may stand there twice:
    /// its source identifies it.
    fn dead_letters(&mut self) {
        let mut found = BTreeSet::new();
        for letter in &self.topics.dead_letters {
            let source = source_of(letter).filter(|source| self.poison.contains(source));
            let Some((input, offset)) = source else {
                self.report.breach(Breach::DeadLetter, format_args!("of no unreadable record: {letter:?}"));
                continue;
            };
            let records = if input == Input::Orders as i32 { &self.topics.orders } else { &self.topics.stock };
            let original = records.iter().find(|record| record.offset == offset);
            let same = original.is_some_and(|original| original.key == letter.key && original.value == letter.value);
            self.report.expect(same, Breach::DeadLetter, || format!("was changed: {letter:?}"));
            found.insert((input, offset));
        }
        self.report.dead_letters += found.len() as u64;
        for missing in self.poison.difference(&found) {
            self.report.breach(Breach::DeadLetter, format_args!("none for {missing:?}"));
        }
    }
}

/// Tells decisions apart wherever they are written.
pub(crate) fn fingerprint(decision: &Decision) -> u128 {
    xxh3_128(&decision.encode_to_vec())
}

fn agree(expected: Option<Decision>, found: &Decision, report: &mut Report) {
    let expected = expected.map(|expected| Decision {
        input: found.input,
        offset: found.offset,
        index: found.index,
        reply_partition: found.reply_partition,
        ..expected
    });
    report.expect(expected.as_ref() == Some(found), Breach::Model, || format!("{expected:?}, but found {found:?}"));
}

fn is_tick(record: &Stored) -> bool {
    let questions = input::questions(Input::Stock, record.value.as_deref()).unwrap_or_default();
    questions.iter().all(|question| question.command.subject().0 == Asked::Tick) && !questions.is_empty()
}

/// Where a dead letter says that it came from, by its Connect-style headers: the input's topic ends in its name.
fn source_of(letter: &Stored) -> Option<(i32, i64)> {
    let text = |name: &str| {
        let header = letter.headers.iter().rev().find(|(header, _)| header == name)?;
        std::str::from_utf8(header.1.as_deref()?).ok()
    };
    let topic = text("__connect.errors.topic")?;
    let input = if topic.ends_with("orders") { Input::Orders } else { Input::Stock };
    text("__connect.errors.stage")?;
    text("__connect.errors.exception.message")?;
    Some((input as i32, text("__connect.errors.offset")?.parse().ok()?))
}
