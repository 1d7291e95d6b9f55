//! Which lanes this node has: a consumer that subscribes to the topic that has a partition for each, keeps its partitions
//! paused and never fetches.
//!
//! The group only assigns; positions come from the log. What the group decides becomes an [`Event`]; lanes that are
//! revoked are held until the node has let go of them, or its time is up.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::clients;
use super::fault::fault;
use super::settings::{Settings, TopicNames};
use super::trouble::{LastTrouble, log_error};
use crate::broker::{Fault, Input};
use crate::wire::Layout;

/// Events not yet taken. The membership waits when it is full, except with [`Event::Trouble`], which is then dropped.
const EVENT_CAPACITY: usize = 1_024;

/// Reports of positions not yet sent; more are dropped, the next one says more.
const REPORT_CAPACITY: usize = 4;

/// How long the group is polled before the node is listened to.
const POLL: Duration = Duration::from_millis(50);

/// What the group decided.
#[derive(Debug)]
pub enum Event {
    /// These lanes are this node's from now on, besides those that it has. There may be none.
    Assigned(Vec<u32>),
    /// These lanes go to another node once the acknowledgement is given, or its time is up.
    Revoked(Vec<u32>, Ack),
    /// These lanes were taken away: others may have them already. Nothing may be committed for them.
    Lost(Vec<u32>),
    /// The group cannot be reached or refused; membership goes on trying unless it is [`Fault::Fatal`].
    Trouble(Fault),
}

/// Lets go of revoked lanes: given when dropped.
#[derive(Debug)]
pub struct Ack {
    /// Its end is the message.
    _held: Sender<()>,
}

/// A node's membership of the group. Left when dropped, without waiting for it.
pub struct Membership {
    events: Receiver<Event>,
    reports: Sender<Vec<(Input, u32, i64)>>,
    left: mpsc::Receiver<()>,
}

impl Membership {
    /// Joins the group, on a thread of its own. The group shares out lanes: the partitions of `decisions`; where each lane is
    /// one shard those of `orders`, as the first versions did, so that nodes of both never have the same shard.
    /// `release_timeout`: how long lanes that are revoked may take to be let go.
    ///
    /// # Errors
    /// The client could not be made, or its thread not started.
    pub fn join(settings: &Settings, layout: Layout, release_timeout: Duration) -> Result<Self, Fault> {
        let (tell, events) = bounded(EVENT_CAPACITY);
        let (reports, reported) = bounded(REPORT_CAPACITY);
        let (leave, left) = mpsc::channel();
        let context = GroupContext { events: tell, release_timeout, trouble: LastTrouble::default() };
        let consumer: KafkaResult<BaseConsumer<_>> = clients::membership(settings).create_with_context(context);
        let consumer = consumer.map_err(|error| fault(&error, "make the group's consumer"))?;
        let names = &settings.topics;
        let topic = if layout == Layout::one_each(layout.shards) { &names.orders } else { &names.decisions };
        let what = format!("subscribe to {topic}");
        consumer.subscribe(&[topic]).map_err(|error| fault(&error, &what))?;
        let topics = settings.topics.clone();
        let run = move || {
            stay(&consumer, &topics, &reported);
            drop(consumer);
            drop(leave);
        };
        thread::Builder::new()
            .name("membership".to_owned())
            .spawn(run)
            .map_err(|error| Fault::Transient(format!("start the membership thread: {error}")))?;
        Ok(Self { events, reports, left })
    }

    /// Events, in order.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Writes how far the shards have read (next offset), for lag tools only. Does not wait.
    pub fn report_positions(&self, positions: &[(Input, u32, i64)]) {
        // Full or gone: the next report says more, and nothing depends on it.
        let _ = self.reports.try_send(positions.to_vec());
    }

    /// Leaves the group; returns whether that was done within the time. Lanes still held are revoked first: whoever
    /// takes the events on another thread (clone the receiver) acknowledges them, or each waits for its release
    /// time-out.
    pub fn leave(self, timeout: Duration) -> bool {
        let Self { events, reports, left } = self;
        drop((events, reports));
        left.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

/// Polls the group until nobody listens.
fn stay(consumer: &BaseConsumer<GroupContext>, topics: &TopicNames, reported: &Receiver<Vec<(Input, u32, i64)>>) {
    loop {
        if let Some(Err(error)) = consumer.poll(POLL) {
            let fault = fault(&error, "stay in the group");
            let _ = consumer.context().events.try_send(Event::Trouble(fault));
        }
        match reported.try_recv() {
            Ok(positions) => report(consumer, topics, &positions),
            Err(crossbeam::channel::TryRecvError::Empty) => {}
            Err(crossbeam::channel::TryRecvError::Disconnected) => return,
        }
    }
}

fn report(consumer: &BaseConsumer<GroupContext>, topics: &TopicNames, positions: &[(Input, u32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (input, shard, next) in positions {
        let topic = if *input == Input::Stock { &topics.stock } else { &topics.orders };
        if let Err(error) = list.add_partition_offset(topic, *shard as i32, Offset::Offset(*next)) {
            tracing::debug!(%error, topic, shard, next, "a position was not reported");
        }
    }
    if let Err(error) = consumer.commit(&list, CommitMode::Async) {
        tracing::debug!(%error, "positions were not reported");
    }
}

/// Turns the group's callbacks into events.
struct GroupContext {
    events: Sender<Event>,
    release_timeout: Duration,
    trouble: LastTrouble,
}

impl GroupContext {
    fn tell(&self, event: Event) {
        // Nobody listens once the node leaves; what is revoked then is let go at once.
        let _ = self.events.send(event);
    }

    fn release(&self, lanes: Vec<u32>) {
        let (held, released) = bounded(0);
        self.tell(Event::Revoked(lanes, Ack { _held: held }));
        if released.recv_timeout(self.release_timeout) == Err(RecvTimeoutError::Timeout) {
            let waited_ms = self.release_timeout.as_millis() as u64;
            tracing::warn!(waited_ms, "revoked lanes were not let go in time; the group goes on without waiting");
        }
    }
}

/// What librdkafka calls offsets that it could not write, and the errors by which a rebalance came in between: the next
/// ones are written again, and only lag tools read them.
const OFFSETS_NOT_WRITTEN: &str = "COMMITFAIL";
const REBALANCED: [&str; 3] = ["generation id is not valid", "Group rebalance in progress", "Unknown member"];

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if fac == OFFSETS_NOT_WRITTEN && REBALANCED.iter().any(|why| message.contains(why)) {
            tracing::debug!(target: "librdkafka", fac, "{message}");
            return;
        }
        self.trouble.line(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let lanes: Vec<u32> = list.elements().iter().filter_map(|e| u32::try_from(e.partition()).ok()).collect();
        let done = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // From the end, so that a first fetch that beats the pause finds nothing.
            let placed = list.set_all_offsets(Offset::End);
            let done = placed.and_then(|()| consumer.incremental_assign(list)).and_then(|()| consumer.pause(list));
            // None is an answer too: others still hold them, or this node is a spare.
            self.tell(Event::Assigned(lanes));
            done
        } else {
            match lanes.is_empty() {
                true => {}
                false if consumer.assignment_lost() => self.tell(Event::Lost(lanes)),
                false => self.release(lanes),
            }
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            let fault = fault(&error, "take part in a rebalance");
            let _ = self.events.try_send(Event::Trouble(fault));
        }
    }
}
