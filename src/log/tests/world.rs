//! A cluster with one shard, and owners that want it.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::batch::{Batch, DeadLetter, Reply};
use super::super::driver::{Driver, Step};
use super::super::read::LogCheck;
use super::super::replay::{Replay, ReplayFault};
use super::super::settings::{COMMIT_TIMEOUT, READ_TIMEOUT, Settings};
use super::super::step::Now;
use super::super::take::Tail;
use crate::broker::memory::{
    Call, Cluster, MemoryBroker, MemoryInputs, MemoryReader, MemoryWriter, Message, Partitions, Site, Topic,
};
use crate::broker::{Broker, Committed, Fault, LogWriter, Outgoing, ReadFrom, TopicFacts};
use crate::wire::Layout;
use crate::wire::entry::{LinkView, LogEntry};
use crate::wire::link::{LinkDraft, LinkHash, RULES_LEVEL, genesis, genesis_value};
use crate::wire::proto::{Asked, Genesis, Input, OrderState, Outcome, Reason};
use crate::wire::{Decision, DecisionLines, Source};

pub(super) const SHARD: u32 = 0;
const EPOCH_MS: i64 = 1_700_000_000_000;
/// More steps than any path takes, pauses and silences included.
const STEPS_MOST: u32 = 10_000;
/// What passes with each step: less than the shortest pause, so that pauses are seen.
const STEP_MS: u64 = 10;

/// Remembers the order ids of the links that were replayed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Orders(pub(super) Vec<String>);

impl Replay for Orders {
    fn genesis(&mut self, _genesis: &Genesis) {}

    fn link(&mut self, _at: usize, link: &LinkView<'_>) -> Result<u32, ReplayFault> {
        for entry in link.decisions() {
            self.0.push(entry?.0.order_id.to_string());
        }
        Ok(link.header.count)
    }
}

/// Facts of a cluster's topics.
pub(super) fn facts(cluster: &Cluster) -> TopicFacts {
    cluster.node().topics(READ_TIMEOUT).expect("no fault was asked for")
}

/// A cluster with a genesis in its log.
pub(super) fn cluster() -> Cluster {
    let cluster = bare_cluster();
    let facts = facts(&cluster);
    let genesis = genesis(SHARD, Layout::one_each(facts.partitions[0]), facts.ids, 86_400_000, 60_000, RULES_LEVEL);
    write(&cluster, genesis_value(genesis));
    cluster
}

/// A cluster whose log is empty.
pub(super) fn bare_cluster() -> Cluster {
    Cluster::new(Partitions::new(1), EPOCH_MS)
}

/// Writes a record to the log past everybody.
pub(super) fn write(cluster: &Cluster, value: Vec<u8>) -> i64 {
    cluster.publish(Topic::Decisions, SHARD, Message::value(value)).expect("no fault was asked for")
}

/// The values that a read_committed consumer finds.
pub(super) fn values(cluster: &Cluster, topic: Topic) -> Vec<Vec<u8>> {
    let stored = cluster.read(topic, 0, 0).expect("no fault was asked for");
    stored.into_iter().map(|stored| stored.message.value.unwrap_or_default().to_vec()).collect()
}

/// The hashes of the log's links, in order. The log must be a good one.
pub(super) fn links(cluster: &Cluster) -> Vec<LinkHash> {
    let mut check = LogCheck::new();
    let mut hashes = Vec::new();
    for stored in cluster.read(Topic::Decisions, SHARD, 0).expect("no fault was asked for") {
        let value = stored.message.value.expect("every record of a log has a value");
        match check.next(stored.offset, &value) {
            Ok(LogEntry::Link(_)) => hashes.push(LinkHash::of(&value)),
            Ok(_) => {}
            Err(error) => panic!("the log is broken: {error}"),
        }
    }
    hashes
}

/// Whether a call is of this kind, for [`Cluster::inject`].
pub(super) fn call(call: Call) -> impl Fn(Site) -> bool + Send + 'static {
    move |site| site.call == call
}

/// A value that no topic accepts.
pub(super) const UNACCEPTABLE: &[u8] = b"unacceptable";

/// A node whose client may keep it to itself that a commit went through trouble.
pub(super) struct Node {
    broker: MemoryBroker,
    conceals: bool,
}

pub(super) struct NodeWriter {
    writer: MemoryWriter,
    conceals: bool,
}

impl Broker for Node {
    type Inputs = MemoryInputs;
    type Writer = NodeWriter;
    type Reader = MemoryReader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.broker.topics(timeout)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<MemoryInputs, Fault> {
        self.broker.inputs(from)
    }

    fn writer(&self, lane: u32) -> Result<NodeWriter, Fault> {
        Ok(NodeWriter { writer: self.broker.writer(lane)?, conceals: self.conceals })
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<MemoryReader, Fault> {
        self.broker.reader(lane, from_offset)
    }
}

impl LogWriter for NodeWriter {
    fn init(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.writer.init(timeout)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.writer.begin()
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Fault> {
        if record.value == Some(UNACCEPTABLE) {
            return Err(Fault::Fatal("the topic takes no such record".to_owned()));
        }
        self.writer.send(record)
    }

    fn acknowledge(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.writer.acknowledge(timeout)
    }

    fn commit(&mut self, timeout: Duration) -> Result<Committed, Fault> {
        let committed = self.writer.commit(timeout)?;
        Ok(Committed { suspicious: committed.suspicious && !self.conceals })
    }
}

/// Someone who wants the shard.
pub(super) struct Owner {
    pub(super) driver: Driver<Node, Orders>,
    pub(super) now: Now,
    /// Where the next batch goes on.
    pub(super) tail: Option<Stands>,
    name: String,
    made: u32,
}

impl Owner {
    pub(super) fn new(cluster: &Cluster, name: &str, seed: u64) -> Self {
        Self::with(cluster, name, seed, false, false)
    }

    /// One that is not told of trouble that a commit went through.
    pub(super) fn untold(cluster: &Cluster, name: &str, seed: u64) -> Self {
        Self::with(cluster, name, seed, false, true)
    }

    /// One that runs with `--accept-loss`.
    pub(super) fn accepting_loss(cluster: &Cluster, name: &str, seed: u64) -> Self {
        Self::with(cluster, name, seed, true, false)
    }

    fn with(cluster: &Cluster, name: &str, seed: u64, accept_loss: bool, conceals: bool) -> Self {
        let settings = Settings { lane: SHARD, owner: name.to_owned(), commit_timeout: COMMIT_TIMEOUT, accept_loss };
        let node = Node { broker: cluster.node(), conceals };
        let driver = Driver::new(Arc::new(node), settings, StdRng::seed_from_u64(seed));
        let now = Now { steady_ms: 1_000, unix_ms: EPOCH_MS };
        Self { driver, now, tail: None, name: name.to_owned(), made: 0 }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Number of the batch made last.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// One step; time passes with it.
    pub(super) fn step(&mut self) -> Step<Orders> {
        let step = self.driver.step(self.now);
        self.now.steady_ms += STEP_MS;
        if let Step::Pause { until_ms } = step {
            self.now.steady_ms = self.now.steady_ms.max(until_ms);
        }
        if let Step::Taken(taken) = &step {
            self.tail = Some(Stands::of(&taken.tail));
        }
        step
    }

    /// Steps until there is something to say.
    pub(super) fn run(&mut self) -> Step<Orders> {
        for _ in 0..STEPS_MOST {
            match self.step() {
                Step::Again | Step::Pause { .. } => {}
                step => return step,
            }
        }
        panic!("{} comes to nothing", self.name);
    }

    /// Takes the shard; the order ids that were replayed.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.driver.take(Orders::default());
        match self.run() {
            Step::Taken(taken) => taken.recovered.0,
            step => panic!("{} did not take the shard: {step:?}", self.name),
        }
    }

    /// A batch of `links` links that goes on where this owner stands, with a reply and a dead letter.
    pub(super) fn batch(&mut self, links: u32) -> Batch {
        self.made += 1;
        let (name, made) = (self.name.clone(), self.made);
        let tail = self.tail.as_mut().expect("a batch is made by who holds the shard");
        let mut batch = Batch::default();
        for number in 0..links {
            let mut link = LinkDraft::default();
            link.begin(SHARD, tail.next_sequence, EPOCH_MS, EPOCH_MS);
            link.cover(Input::Orders, tail.orders_next - 1, tail.orders_next, 0);
            let order_id = format!("{name}-{made}-{number}");
            link.push(&decision(tail.next_sequence, &order_id), &source(tail.orders_next));
            tail.next_sequence += 1;
            tail.orders_next += 1;
            batch.links.push(link);
        }
        batch.replies.push(Reply { shard: SHARD, partition: 0, value: format!("reply {name}-{made}").into_bytes() });
        let value = Some(format!("letter {name}-{made}").into_bytes());
        batch.dead_letters.push(DeadLetter { value, ..DeadLetter::default() });
        batch.per_decision.bytes.extend_from_slice(format!("key{name}-{made}").as_bytes());
        batch.per_decision.ends.push((3, u32::try_from(batch.per_decision.bytes.len()).expect("short")));
        batch.per_decision.shards.push(SHARD);
        batch
    }

    /// Hands over a batch and commits it; its hashes.
    pub(super) fn commit(&mut self, links: u32) -> Vec<LinkHash> {
        self.begin(links);
        match self.run() {
            Step::Committed(batch) => hashes(&batch),
            step => panic!("{} did not commit: {step:?}", self.name),
        }
    }

    /// Hands over a batch.
    pub(super) fn begin(&mut self, links: u32) {
        assert!(matches!(self.run(), Step::Idle));
        let batch = self.batch(links);
        self.driver.hand(batch);
    }
}

/// Where the one shard of a lane that was taken stands, and the batches that were made since.
#[derive(Clone)]
pub(super) struct Stands {
    pub(super) epoch: u64,
    pub(super) hash: LinkHash,
    pub(super) next_sequence: u64,
    pub(super) orders_next: i64,
    pub(super) stock_next: i64,
}

impl Stands {
    fn of(tail: &Tail) -> Self {
        let shard = &tail.shards[0];
        let (next_sequence, orders_next, stock_next) = (shard.next_sequence, shard.orders_next, shard.stock_next);
        Stands { epoch: tail.epoch, hash: tail.hash, next_sequence, orders_next, stock_next }
    }
}

/// The hashes of a batch's sealed links.
pub(super) fn hashes(batch: &Batch) -> Vec<LinkHash> {
    batch.links.iter().map(|link| link.sealed().expect("the batch was handed over").1).collect()
}

pub(super) fn decision(sequence: u64, order_id: &str) -> Decision<'_> {
    Decision {
        sequence,
        asked: Asked::Cancel,
        pool: "pool".into(),
        order_id: order_id.into(),
        attempt: 0,
        id: "".into(),
        outcome: Outcome::Cancelled,
        reason: Reason::BeforePlace,
        state: OrderState::Cancelled,
        lines: DecisionLines::None,
        stock: None,
        expires_at_ms: 0,
        decided_at_ms: EPOCH_MS,
        content: 0,
        original: None,
        field: 0,
        rules_level: 0,
        selling: None,
    }
}

fn source(offset: i64) -> Source {
    Source { input: Input::Orders, offset, index: 0, reply_partition: Some(0) }
}
