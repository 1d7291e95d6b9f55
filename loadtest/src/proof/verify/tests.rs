//! A small engine that is right, its log, and each way in which a log can be wrong, planted.

mod engine; // decides as the contract has it, plainly
mod seller; // its selling rules
mod ruled; // logs of a run with rules
mod shares; // logs of a run whose stock channels share
mod grocer; // its days and lots
mod days; // logs of a run that delivers by the day
mod lanes; // logs of several shards
mod left; // logs of a run whose stock leaves and is forgotten

use std::collections::HashMap;

use prost::Message;
use sluice::wire::entry::LogEntry;
use sluice::wire::proto::{self, Commands, Decision, Genesis, Input, Outcome, Reason, StockCommands, log_record};

use super::*;
use crate::load::scenario::{Pools, Scenario};
use crate::load::traffic::days::first_day;
use crate::load::traffic::{Kind, Movements, Origin, Stream, rules, stock};
use crate::report::result::Check;
use engine::Engine;
use seller::Flaw;

/// Everything that can happen to an order happens, and SKUs sell out.
const SCENARIO: &str = r#"
name = "test"
description = "test"
arrival = "constant"
profile = { kind = "constant", rate = 1000.0, duration = "1s" }
[traffic]
pools = ["rehearsal-0"]
skus = 10
units = 100
orders_per_record = 3
duplicates = { exact = 0.2, changed = 0.2, after = "10ms" }
confirm = { share = 0.3, after = "20ms" }
ship = { share = 0.5, after = "5ms" }
cancel = { share = 0.3, after = "20ms" }
cancel_early = 0.1
raise_attempt = { share = 0.5, after = "5ms" }
"#;

/// When runs start: 2027-01-15 17:00 in Seoul.
const START_MS: i64 = 1_800_000_000_000;

/// The commands of a run, and who sent them.
struct Sent {
    scenario: Scenario,
    origin: Origin,
    pools: PoolSet,
    /// By record: its input, and its value.
    records: Vec<(Input, Vec<u8>)>,
    up_to: SentUpTo,
    commands: u64,
}

fn sent() -> Sent {
    sent_of(SCENARIO)
}

fn sent_of(scenario: &str) -> Sent {
    sent_by(scenario, 1)
}

/// What a generator sends of two that share a run.
fn sent_by(scenario: &str, generator: u32) -> Sent {
    let scenario: Scenario = toml::from_str(scenario).expect("a scenario");
    let run = RunId::parse("test").expect("legal");
    let origin = Origin { run, seed: 7, generator, generators: 2, start_unix_ms: START_MS, first_day: 0 };
    let origin = Origin { first_day: first_day(&scenario, START_MS), ..origin };
    let pools = PoolSet::new(&Pools::Named(vec!["rehearsal-0".to_owned()]), 1);
    let start_ms = origin.start_unix_ms;
    let mut records: Vec<_> = rules::before_stock(&scenario, run, &pools, start_ms)
        .chain(stock::records(&scenario, run, &pools, start_ms, origin.first_day))
        .chain(rules::at_start(&scenario, run, &pools, start_ms, start_ms, origin.first_day))
        .map(|record| (Input::Stock, record.value))
        .collect();
    let profile = scenario.profile().expect("a profile");
    let mut stream = Stream::new(&scenario, &profile, origin, &pools);
    let (mut up_to, mut commands) = (SentUpTo::default(), 0);
    let mut value = Vec::new();
    while let Some(record) = stream.next(&mut value) {
        let input = if record.kind.is_of_stock() { Input::Stock } else { Input::Orders };
        records.push((input, std::mem::take(&mut value)));
        up_to.numbers[record.kind as usize] = record.end;
        commands += u64::from(record.commands);
    }
    // Orders without a follow-up of a kind behind the last that has one: the same as sent.
    let moved = up_to.numbers[Kind::Move as usize];
    up_to.numbers = up_to.numbers.map(|_| stream.placed());
    up_to.numbers[Kind::Move as usize] = moved;
    Sent { scenario, origin, pools, records, up_to, commands }
}

impl Sent {
    fn ours(&self) -> Ours {
        Ours {
            run: self.origin.run,
            generator: self.origin.generator,
            plan: Plan::new(&self.scenario, &self.origin, 1),
            pools: self.pools.clone(),
            skus: self.scenario.traffic.skus,
            segments: self.scenario.traffic.segments.clone(),
            follows_stock: true,
            ruled: !self.scenario.rules.is_empty(),
            dated: self.scenario.is_dated(),
            hold_ms: self.scenario.traffic.hold.as_millis() as i64,
            lives: Lives::default(),
            moves: Moves::new(match self.origin.generator {
                0 => Movements::new(&self.scenario, self.scenario.profile().expect("a profile").duration(), 1),
                _ => Movements::default(),
            }),
        }
    }

    /// What the log says of itself at its beginning.
    fn memory(&self) -> Memory {
        let [window_ms, skew_ms] =
            [self.scenario.topics.window, self.scenario.topics.skew].map(|time| time.as_millis() as u64);
        let genesis = Genesis { window_ms, skew_ms, ..Genesis::default() };
        if window_ms == 0 { Memory::default() } else { Memory::of(&genesis) }
    }

    /// The log of an engine that has `spare` units more of each SKU than it was given.
    fn decided(&self, spare: i64) -> Vec<Decision> {
        self.decided_as(Engine::new(spare, None, self.scenario.topics))
    }

    /// The log of an engine that is wrong about rules.
    fn decided_by(&self, flaw: Flaw) -> Vec<Decision> {
        self.decided_as(Engine::new(0, Some(flaw), self.scenario.topics))
    }

    fn decided_as(&self, mut engine: Engine) -> Vec<Decision> {
        let mut offsets = HashMap::new();
        for (input, value) in &self.records {
            let offset = offsets.entry(*input as i32).or_insert(-1);
            *offset += 1;
            match input {
                Input::Stock => {
                    for command in StockCommands::decode(&value[..]).expect("a record").commands {
                        engine.stock(command);
                    }
                }
                _ => {
                    for command in Commands::decode(&value[..]).expect("a record").commands {
                        engine.order(command);
                    }
                }
            }
            engine.sealed(*input, *offset);
        }
        engine.log
    }
}

/// Reads a log as the reader does, in links of ten; from decision `late_from` on it is late.
fn read(sent: &Sent, log: &[Decision], late_from: usize) -> (Findings, Vec<Counted>, Closed) {
    let ours = sent.ours();
    let mut shard = Shard::new(&ours, 0, sent.memory());
    let mut counted = Vec::new();
    let (early, late) = log.split_at(late_from.min(log.len()));
    for (decisions, is_late) in links(early).map(|link| (link, false)).chain(links(late).map(|link| (link, true))) {
        take(&mut shard, &ours, decisions, is_late, |answer| counted.push(answer));
    }
    let closed = close(&ours, &sent.up_to);
    let mut findings = shard.findings().clone();
    findings.merge(closed.findings.clone());
    (findings, counted, closed)
}

/// A shard takes decisions in as one link.
fn take(shard: &mut Shard, ours: &Ours, decisions: &[Decision], late: bool, count: impl FnMut(Counted)) {
    let header = proto::LinkHeader {
        first_sequence: decisions[0].sequence,
        count: decisions.len() as u32,
        ..Default::default()
    };
    let link = proto::Link { header: Some(header), decisions: decisions.to_vec() };
    let value = proto::LogRecord { kind: Some(log_record::Kind::Link(link)) }.encode_to_vec();
    let LogEntry::Link(link) = LogEntry::parse(&value).expect("a link") else { panic!("a link") };
    shard.link(ours, &link, late, count).expect("it can be read");
}

/// A shard takes a whole log in.
fn feed(shard: &mut Shard, ours: &Ours, log: &[Decision]) {
    links(log).for_each(|decisions| take(shard, ours, decisions, false, |_| {}));
}

/// The links of a log: ten decisions at most, without a gap in their sequences.
fn links(log: &[Decision]) -> impl Iterator<Item = &[Decision]> {
    log.chunk_by(|a, b| b.sequence == a.sequence + 1).flat_map(|run| run.chunks(10))
}

/// Sequences without a gap, as an engine would number what it did.
fn renumbered(mut log: Vec<Decision>) -> Vec<Decision> {
    for (decision, sequence) in log.iter_mut().zip(1..) {
        decision.sequence = sequence;
    }
    log
}

/// Checks that a log is found wrong in the way that is named, and as often (0: at least once).
#[track_caller]
fn check(log: &[Decision], check: Check, count: u64) {
    check_of(&sent(), log, check, count);
}

/// The same of another run than most.
#[track_caller]
fn check_of(sent: &Sent, log: &[Decision], check: Check, count: u64) {
    let (findings, ..) = read(sent, log, usize::MAX);
    let found = findings.count(check);
    let list = findings.into_list();
    assert!(if count == 0 { found > 0 } else { found == count }, "{check:?} {found} times; all: {list:#?}");
}

/// Where the first decision stands that `is` so.
#[track_caller]
fn first(log: &[Decision], is: impl Fn(&Decision) -> bool) -> usize {
    log.iter().position(is).expect("there is one in the traffic of the test")
}

fn of(log: &[Decision], outcome: Outcome) -> usize {
    first(log, |decision| decision.outcome() == outcome)
}

#[test]
fn a_log_as_it_must_be_is_passed() {
    let sent = sent();
    let log = sent.decided(0);
    let (findings, counted, closed) = read(&sent, &log, usize::MAX);
    assert_eq!(findings.into_list(), []);
    assert_eq!((counted.len() as u64, closed.checked), (sent.commands, sent.commands));
    // Nothing was passed because it never came up.
    for outcome in [
        Outcome::Reserved,
        Outcome::Rejected,
        Outcome::Duplicate,
        Outcome::Conflict,
        Outcome::Confirmed,
        Outcome::Shipped,
        Outcome::Cancelled,
        Outcome::NotAllowed,
        Outcome::Unchanged,
    ] {
        of(&log, outcome);
    }
    first(&log, |decision| decision.reason() == Reason::BeforePlace);
    first(&log, |decision| decision.attempt == 1 && decision.outcome() == Outcome::Reserved);
}

#[test]
fn rules_that_are_raised_meanwhile_are_nothing_to_a_run() {
    let sent = sent();
    let mut log = sent.decided(0);
    log.push(Decision {
        sequence: log.len() as u64 + 1,
        asked: proto::Asked::RaiseRulesLevel.into(),
        outcome: Outcome::Applied.into(),
        input: Input::Stock.into(),
        offset: 1_000_000,
        rules_level: 1,
        ..Decision::default()
    });
    let (findings, counted, _) = read(&sent, &log, usize::MAX);
    assert_eq!((findings.into_list(), counted.len() as u64), (Vec::new(), sent.commands));
}

#[test]
fn answers_are_measured_from_when_their_command_was_due() {
    let sent = sent();
    let log = sent.decided(0);
    let (_, counted, _) = read(&sent, &log, usize::MAX);
    let profile = sent.scenario.profile().expect("a profile");
    let mut stream = Stream::new(&sent.scenario, &profile, sent.origin, &sent.pools);
    let mut due = Vec::new();
    while let Some(record) = stream.next(&mut Vec::new()) {
        // Ids have microseconds.
        due.extend(std::iter::repeat_n(record.due_ns / 1_000, record.commands as usize));
    }
    let told: Vec<_> = counted.iter().map(|counted| counted.due_ns.expect("all are answers") / 1_000).collect();
    assert_eq!(told, due);
}

#[test]
fn a_lost_answer_is_found() {
    let log = sent().decided(0);
    for outcome in [Outcome::Reserved, Outcome::Duplicate, Outcome::Confirmed, Outcome::Shipped, Outcome::Conflict] {
        let mut log = log.clone();
        // The last one of its order, so that nothing else follows from it.
        let at = log.iter().rposition(|decision| decision.outcome() == outcome).expect("there is one");
        log.remove(at);
        // A gap in the numbers is one finding, the missing answer another.
        check(&log, Check::Lost, 2);
        let sent = sent();
        let (findings, ..) = read(&sent, &log[..at], usize::MAX);
        assert!(findings.count(Check::Lost) > 1, "the end of the log is missing");
    }
}

#[test]
fn a_command_that_was_never_decided_is_found() {
    let mut sent = sent();
    let poisoned = sent.records.iter().rposition(|(input, _)| *input == Input::Orders).expect("orders");
    let commands = Commands::decode(&sent.records[poisoned].1[..]).expect("a record").commands.len() as u64;
    sent.records.remove(poisoned);
    check(&sent.decided(0), Check::Lost, commands);
}

#[test]
fn an_answer_given_twice_is_found() {
    let log = sent().decided(0);
    for outcome in [Outcome::Duplicate, Outcome::Confirmed, Outcome::Shipped] {
        let mut log = log.clone();
        let at = of(&log, outcome);
        log.insert(at + 1, log[at].clone());
        let log = renumbered_from(log, at + 1);
        // By its source, and by the count of its order's answers.
        check(&log, Check::Doubled, 2);
    }
}

/// As [`renumbered`], but what a repeat was told of its original moves along.
fn renumbered_from(mut log: Vec<Decision>, at: usize) -> Vec<Decision> {
    for decision in &mut log {
        if let Some(original) = decision.original.as_mut().filter(|original| original.sequence > at as u64) {
            original.sequence += 1;
        }
    }
    renumbered(log)
}

#[test]
fn an_order_decided_twice_is_found_even_under_another_source() {
    let sent = sent();
    let mut log = sent.decided(0);
    let mut again = log[of(&log, Outcome::Reserved)].clone();
    again.offset = 1_000_000;
    again.sequence = log.len() as u64 + 1;
    log.push(again);
    check(&log, Check::Wrong, 1);
    check(&log, Check::Doubled, 1);
}

#[test]
fn a_wrong_answer_is_found() {
    let log = sent().decided(0);
    let plant = |at: usize, change: &dyn Fn(&mut Decision)| {
        let mut log = log.clone();
        change(&mut log[at]);
        check(&log, Check::Wrong, 0);
    };
    let original = |decision: &mut Decision| decision.original.as_mut().expect("it has one").sequence += 1;
    plant(of(&log, Outcome::Duplicate), &original);
    plant(of(&log, Outcome::Duplicate), &|decision| decision.outcome = Outcome::Conflict.into());
    plant(of(&log, Outcome::Conflict), &|decision| decision.outcome = Outcome::Duplicate.into());
    plant(of(&log, Outcome::Reserved), &|decision| decision.lines[0].quantity += 1);
    plant(of(&log, Outcome::Reserved), &|decision| drop(decision.lines.pop()));
    plant(of(&log, Outcome::Confirmed), &|decision| decision.outcome = Outcome::Unchanged.into());
    plant(of(&log, Outcome::Shipped), &|decision| decision.outcome = Outcome::Unchanged.into());
    plant(of(&log, Outcome::Shipped), &|decision| decision.lines[0].quantity += 1);
    plant(of(&log, Outcome::Shipped), &|decision| decision.lines[0].shortfall += 1);
    plant(of(&log, Outcome::Reserved), &|decision| decision.pool = "rehearsal-1".to_owned());
    let rejected = first(&log, |decision| decision.reason() == Reason::OutOfStock);
    plant(rejected, &|decision| {
        let line = decision.lines.iter_mut().find(|line| line.available.is_some()).expect("one was short");
        line.available = line.available.map(|available| available + 1);
    });
}

#[test]
fn a_sale_refused_for_nothing_is_found() {
    let sent = sent();
    check(&sent.decided(-1), Check::Wrong, 0);
}

#[test]
fn a_unit_sold_too_much_is_found() {
    let sent = sent();
    check(&sent.decided(1), Check::Oversold, 0);
}

#[test]
fn an_answer_after_the_drain_is_late_and_not_lost() {
    let sent = sent();
    let log = sent.decided(0);
    let (findings, ..) = read(&sent, &log, log.len() - 7);
    assert_eq!((findings.count(Check::Late), findings.count(Check::Lost)), (7, 0));
}

#[test]
fn an_answer_to_what_nobody_sent_is_found() {
    let sent = sent();
    let mut log = sent.decided(0);
    let at = of(&log, Outcome::Reserved);
    let mut stray = log[at].clone();
    let number = sent.up_to.numbers[Kind::Place as usize] + 5;
    stray.order_id = OrderId { generator: 1, number, due_us: 0 }.text(sent.origin.run);
    stray.offset = 1_000_000;
    stray.sequence = log.len() as u64 + 1;
    log.push(stray);
    check(&log, Check::Unexpected, 0);
}

#[test]
fn what_the_client_gave_up_on_may_be_answered_or_not() {
    let mut sent = sent();
    let log = sent.decided(0);
    let (input, value) = sent.records.last().expect("records");
    let commands = match input {
        Input::Stock => StockCommands::decode(&value[..]).expect("a record").commands.len(),
        _ => Commands::decode(&value[..]).expect("a record").commands.len(),
    };
    sent.up_to.failed = commands as u64;
    for log in [&log[..], &log[..log.len() - commands]] {
        let (findings, ..) = read(&sent, log, usize::MAX);
        assert_eq!(findings.into_list(), []);
    }
}
