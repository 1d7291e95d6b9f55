//! A lane on its own threads, against the memory broker; and the apply half stepped by hand where only that shows a
//! promise. What many lanes do to each other is the simulation's business (`tests/simulation`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::apply::ApplyHalf;
use super::commit::CommitHalf;
use super::exchange::Exchange;
use super::settings::{BatchLimits, LaneSettings, LedgerSettings};
use super::status::LaneStatus;
use super::{Lane, LaneEvent, LaneSite, LaneSnapshot, Load, Phase, Step, clock};
use crate::broker::memory::{Call, Cluster, MemoryBroker, Message, Partitions, Site, Topic, Trouble};
use crate::broker::{Broker, ReadFrom, TimestampKind};
use crate::ledger::FingerprintKey;
use crate::log::step::Now;
use crate::wire::Layout;
use crate::wire::entry::LogEntry;
use crate::wire::limits::TARGET_LINK_BYTES;
use crate::wire::link::{LinkDraft, LinkHash, RULES_LEVEL, genesis, genesis_value};
use crate::wire::proto::{
    Command, Commands, Link, LogRecord, OrderLine, Outcome, Place, Receive, Replies, StockCommand, StockCommands,
    command, log_record, stock_command,
};

mod shards; // several shards in a lane
mod answers; // when the ends are asked for, and what slow answers cost

/// Far beyond what a loaded machine needs; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster whose clock agrees with the local one, or every hold would be due.
fn cluster() -> Cluster {
    let cluster = Cluster::new(Partitions::new(1), clock::now().unix_ms);
    let ids = cluster.node().topics(Duration::ZERO).unwrap().ids;
    let genesis = genesis(0, Layout::one_each(1), ids, 3_600_000, 60_000, RULES_LEVEL);
    cluster.publish(Topic::Decisions, 0, Message::value(genesis_value(genesis))).unwrap();
    cluster
}

fn settings() -> LaneSettings {
    LaneSettings {
        orders_topic: "orders".into(),
        stock_topic: "stock".into(),
        reply_partitions: 1,
        per_decision: false,
        batch: BatchLimits::default(),
        ledger: LedgerSettings {
            default_hold_ms: 600_000,
            max_hold_ms: 600_000,
            expected_ids: 1_000,
            max_ids: 1_000_000,
            key: FingerprintKey([1; 16]),
        },
        owner: "test".into(),
        accept_loss: false,
        parked_retry_ms: super::settings::PARKED_RETRY_MS,
        commit_timeout: crate::log::settings::COMMIT_TIMEOUT,
    }
}

fn place(cluster: &Cluster, number: u32) -> Message {
    places(cluster, number..number + 1)
}

fn places(cluster: &Cluster, numbers: std::ops::Range<u32>) -> Message {
    let commands = numbers.map(|number| place_command(cluster, number)).collect();
    Message::keyed("pool", Commands { commands }.encode_to_vec())
}

fn place_command(cluster: &Cluster, number: u32) -> Command {
    let place = Place {
        pool: "pool".into(),
        order_id: format!("order-{number}"),
        customer: "customer".into(),
        placed_at_ms: cluster.now_ms(),
        lines: vec![OrderLine { sku: "sku".into(), quantity: 1 }],
        ..Place::default()
    };
    Command { kind: Some(command::Kind::Place(place)), reply_partition: Some(0) }
}

fn receive(cluster: &Cluster, units: u64) -> Message {
    let kind = stock_command::Kind::Receive(Receive { sku: "sku".into(), quantity: units, ..Default::default() });
    let (pool, id) = ("pool".into(), format!("receive-{units}"));
    let command = StockCommand { pool, id, issued_at_ms: cluster.now_ms(), kind: Some(kind), reply_partition: None };
    Message::keyed("pool", StockCommands { commands: vec![command] }.encode_to_vec())
}

fn spawn(cluster: &Cluster) -> (Lane, Receiver<LaneEvent>) {
    spawn_with(cluster, settings())
}

fn spawn_with(cluster: &Cluster, settings: LaneSettings) -> (Lane, Receiver<LaneEvent>) {
    let (events, told) = unbounded();
    (Lane::spawn(site(cluster.node(), settings, events)).unwrap(), told)
}

/// The only lane of a node.
fn site<B>(broker: B, settings: LaneSettings, events: Sender<LaneEvent>) -> LaneSite<B> {
    let (broker, settings, load) = (Arc::new(broker), Arc::new(settings), Load::alone());
    LaneSite { broker, lane: 0, layout: Layout::one_each(1), settings, load, events }
}

/// A lane without its threads, to be stepped by hand.
struct Halves<B: Broker> {
    commit: CommitHalf<B>,
    apply: ApplyHalf<B>,
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
}

fn halves<B: Broker>(broker: B) -> Halves<B> {
    let site = site(broker, settings(), unbounded().0);
    let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
    let apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
    let commit = CommitHalf::new(site, exchange.clone(), status.clone(), StdRng::seed_from_u64(1));
    Halves { commit, apply, exchange, status }
}

/// Waits until `lane` has come to where `reached` says.
fn until(lane: &Lane, reached: impl Fn(&super::LaneSnapshot) -> bool) {
    let patience = Instant::now() + PATIENCE;
    loop {
        let state = lane.status().snapshot(clock::steady_ms());
        if reached(&state) {
            return;
        }
        assert!(Instant::now() < patience, "the lane got no further than {state:?}");
        std::thread::yield_now();
    }
}

fn links(cluster: &Cluster) -> Vec<Link> {
    let records = cluster.read(Topic::Decisions, 0, 0).unwrap();
    let values = records.iter().filter_map(|record| record.message.value.as_deref());
    let kinds = values.filter_map(|value| LogRecord::decode(value).unwrap().kind);
    kinds.filter_map(|kind| if let log_record::Kind::Link(link) = kind { Some(link) } else { None }).collect()
}

fn outcomes(cluster: &Cluster) -> Vec<Outcome> {
    links(cluster).into_iter().flat_map(|link| link.decisions).map(|decision| decision.outcome()).collect()
}

#[test]
fn orders_become_decisions_and_replies_in_one_log() {
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, 2)).unwrap();
    cluster.advance_ms(1);
    let (lane, told) = spawn(&cluster);
    for number in [1, 2, 3, 1] {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    until(&lane, |state| state.shards[0].sequence == 5 && state.phase == Phase::Running);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(LaneEvent::Running { lane: 0, epoch: 1 }));
    lane.begin_stop(PATIENCE);
    assert!(lane.join(PATIENCE));
    use Outcome::{Applied, Duplicate, Rejected, Reserved};
    assert_eq!(outcomes(&cluster), [Applied, Reserved, Reserved, Rejected, Duplicate]);
    let replies = cluster.read(Topic::Replies, 0, 0).unwrap();
    let values = replies.iter().filter_map(|record| record.message.value.as_deref());
    let answers: usize = values.map(|value| Replies::decode(value).unwrap().decisions.len()).sum();
    assert_eq!(answers, 4);
}

#[test]
fn the_time_of_a_commit_includes_the_step_that_waits_for_the_broker() {
    const STEP_MS: u64 = 7;
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, 2)).unwrap();
    let Halves { mut commit, mut apply, status, .. } = halves(cluster.node());
    let mut now = Now { steady_ms: 1_000, unix_ms: cluster.now_ms() };
    while status.snapshot(now.steady_ms).batches == 0 {
        assert!(now.steady_ms < 10_000, "nothing is committed");
        now.steady_ms += STEP_MS;
        commit.step(now);
        apply.step(now);
    }
    // Behind the step in which it was taken: begun, its record sent, committed, told.
    assert_eq!(status.snapshot(now.steady_ms).commit_ms, 4 * STEP_MS);
}

#[test]
fn a_lane_that_is_stopped_commits_what_is_open_and_its_successor_goes_on() {
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, 1_000)).unwrap();
    cluster.advance_ms(1);
    for round in 0..5 {
        let (lane, _told) = spawn(&cluster);
        for number in 100 * round..100 * (round + 1) {
            cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
        }
        // Stopped in the midst of it, whatever it has done by then.
        until(&lane, |state| state.shards[0].sequence > u64::from(100 * round));
        lane.begin_stop(PATIENCE);
        let status = lane.status().clone();
        assert!(lane.join(PATIENCE));
        let state = status.snapshot(0);
        assert_eq!(state.phase, Phase::Stopped);
        assert_eq!(
            outcomes(&cluster).len() as u64,
            state.shards[0].sequence,
            "what it says it decided stands in the log"
        );
    }
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.shards[0].sequence == 501);
    assert_eq!(outcomes(&cluster).len(), 501);
}

#[test]
fn a_lane_that_is_stopped_leaves_a_commit_that_fails_to_its_successor() {
    /// Longer than anybody waits.
    const AGES: Duration = Duration::from_secs(86_400);
    let cluster = cluster();
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.phase == Phase::Running);
    cluster.set_faults(|site: Site| (site.call == Call::Commit).then_some(Trouble::Refuse));
    cluster.publish(Topic::Orders, 0, place(&cluster, 1)).unwrap();
    // By the time that a commit was refused the lane looks, and would look until it got an answer.
    let patience = Instant::now() + PATIENCE;
    while cluster.end(Topic::Decisions, 0).unwrap().high == 3 {
        assert!(Instant::now() < patience, "the lane never tried to commit");
        std::thread::yield_now();
    }
    lane.begin_stop(AGES);
    assert!(lane.join(PATIENCE));
    cluster.clear_faults();
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.shards[0].sequence == 1);
    assert_eq!(outcomes(&cluster), [Outcome::Rejected]);
}

#[test]
fn timestamps_that_are_not_the_brokers_take_the_shard_down_and_say_so() {
    let cluster = cluster();
    cluster.set_timestamps(Topic::Orders, TimestampKind::Other).unwrap();
    cluster.publish(Topic::Orders, 0, place(&cluster, 1)).unwrap();
    let (lane, told) = spawn(&cluster);
    until(&lane, |state| state.phase == Phase::Failed);
    let failed = told.iter().find(|event| matches!(event, LaneEvent::Failed { .. }));
    let Some(LaneEvent::Failed { lane: 0, reason }) = failed else { panic!("{failed:?}") };
    assert!(reason.contains("LogAppendTime"), "{reason}");
    assert_eq!(outcomes(&cluster), []);
    lane.discard();
    assert!(lane.join(PATIENCE));
}

#[test]
fn an_input_that_was_overwritten_after_it_was_decided_is_refused() {
    let cluster = cluster();
    for number in 0..3 {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.shards[0].sequence == 3);
    lane.begin_stop(PATIENCE);
    assert!(lane.join(PATIENCE));
    // The last order that was decided is gone, and the partition is longer than it was.
    cluster.lose_tail(Topic::Orders, 0, 2).unwrap();
    for number in 10..20 {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    let (lane, told) = spawn(&cluster);
    until(&lane, |state| state.phase == Phase::Failed);
    let failed = told.iter().find(|event| matches!(event, LaneEvent::Failed { .. }));
    let Some(LaneEvent::Failed { reason, .. }) = failed else { panic!("{failed:?}") };
    assert!(reason.contains("orders-0") && reason.contains("unclean"), "{reason}");
    assert_eq!(outcomes(&cluster).len(), 3, "orders 10 and 11 would never be decided");
}

#[test]
fn a_mass_expiry_is_cut_into_links_and_ends_every_hold_once() {
    // An expiry takes more than 30 bytes of a link.
    const HOLDS: u32 = (TARGET_LINK_BYTES / 30).next_multiple_of(1_000) as u32;
    let cluster = cluster();
    cluster.publish(Topic::Stock, 0, receive(&cluster, u64::from(HOLDS))).unwrap();
    cluster.advance_ms(1);
    for from in (0..HOLDS).step_by(1_000) {
        cluster.publish(Topic::Orders, 0, places(&cluster, from..from + 1_000)).unwrap();
    }
    // The last hold ends, and one more record moves time beyond it.
    cluster.advance_ms(700_000);
    cluster.publish(Topic::Stock, 0, receive(&cluster, 1)).unwrap();
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.shards[0].sequence == u64::from(2 * HOLDS + 2));
    lane.begin_stop(PATIENCE);
    assert!(lane.join(PATIENCE));
    let expired = outcomes(&cluster).into_iter().filter(|&outcome| outcome == Outcome::Expired).count();
    assert_eq!(expired, HOLDS as usize);
    let without_input = |link: &&Link| link.header.as_ref().is_some_and(|header| header.segments.is_empty());
    assert!(links(&cluster).iter().filter(without_input).count() > 0, "one link took all of it");
}

#[test]
fn a_full_ledger_refuses_new_orders_and_one_with_more_room_takes_them() {
    let cluster = cluster();
    let mut small = settings();
    small.ledger.max_ids = 3;
    for number in 0..3 {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    let (lane, _told) = spawn_with(&cluster, small);
    until(&lane, |state| state.shards[0].sequence == 3);
    for number in 2..5 {
        cluster.publish(Topic::Orders, 0, place(&cluster, number)).unwrap();
    }
    until(&lane, |state| state.shards[0].sequence == 6 && state.phase == Phase::Running);
    lane.begin_stop(PATIENCE);
    assert!(lane.join(PATIENCE));
    // A copy of what is known is answered, full or not.
    assert_eq!(outcomes(&cluster)[3], Outcome::Duplicate);
    assert_eq!(outcomes(&cluster)[4..], [Outcome::Busy; 2]);
    let (lane, _told) = spawn(&cluster);
    until(&lane, |state| state.shards[0].sequence == 6);
    cluster.publish(Topic::Orders, 0, place(&cluster, 4)).unwrap();
    until(&lane, |state| state.shards[0].sequence == 7);
    assert_ne!(outcomes(&cluster)[6], Outcome::Busy);
}

/// A broker whose inputs cannot be opened because of a bug.
struct Buggy(MemoryBroker);

impl Broker for Buggy {
    type Inputs = <MemoryBroker as Broker>::Inputs;
    type Writer = <MemoryBroker as Broker>::Writer;
    type Reader = <MemoryBroker as Broker>::Reader;

    fn topics(&self, timeout: Duration) -> Result<crate::broker::TopicFacts, crate::broker::Fault> {
        self.0.topics(timeout)
    }

    fn inputs(&self, _: &[ReadFrom]) -> Result<Self::Inputs, crate::broker::Fault> {
        panic!("planted")
    }

    fn writer(&self, lane: u32) -> Result<Self::Writer, crate::broker::Fault> {
        self.0.writer(lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<Self::Reader, crate::broker::Fault> {
        self.0.reader(lane, from_offset)
    }
}

#[test]
fn a_panic_ends_the_lane_and_is_told() {
    let (events, told) = unbounded();
    let lane = Lane::spawn(site(Buggy(cluster().node()), settings(), events)).unwrap();
    let panicked = told.iter().find(|event| matches!(event, LaneEvent::Panicked { .. }));
    let Some(LaneEvent::Panicked { reason, .. }) = panicked else { panic!("{panicked:?}") };
    assert!(reason.contains("planted"), "{reason}");
    let status = lane.status().clone();
    assert!(lane.join(PATIENCE), "the other half ends too");
    assert_eq!(status.phase(), Phase::Failed);
}
