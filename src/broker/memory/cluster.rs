//! The cluster as its operator and its clients from outside see it, and as a node sees it.

use std::time::Duration;

use super::faults::{Call, Faults, Site, Trouble};
use super::inputs::MemoryInputs;
use super::partition::{Cursor, Message, Partition, Stored};
use super::reader::MemoryReader;
use super::state::{Shared, State, Topic, struck};
use super::upstream::Upstream;
use super::writer::MemoryWriter;
use crate::broker::{Broker, End, Fault, Position, ReadFrom, TimestampKind, TopicFacts};
use crate::wire::limits::{DEAD_LETTER_MESSAGE_BYTES, INPUT_MESSAGE_BYTES, LOG_MESSAGE_BYTES};

/// How the topics are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions {
    /// Partitions of `orders`, `stock` and `dead-letters`.
    pub shards: u32,
    /// Partitions of `decisions`.
    pub lanes: u32,
    /// Partitions of `replies`.
    pub replies: u32,
    /// Partitions of the optional topic with one record a decision.
    pub per_decision: u32,
}

impl Partitions {
    /// As many partitions everywhere.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        Self { shards, lanes: shards, replies: shards, per_decision: shards }
    }

    pub(super) fn partitions(self, topic: Topic) -> u32 {
        match topic {
            Topic::Orders | Topic::Stock | Topic::DeadLetters => self.shards,
            Topic::Decisions => self.lanes,
            Topic::Replies => self.replies,
            Topic::PerDecision => self.per_decision,
        }
    }
}

/// The largest record that a topic takes, key, value and headers together, in bytes: as `topics create` sets it.
pub(super) fn max_message_bytes(topic: Topic) -> usize {
    match topic {
        Topic::Orders | Topic::Stock => INPUT_MESSAGE_BYTES,
        Topic::Decisions | Topic::Replies | Topic::PerDecision => LOG_MESSAGE_BYTES,
        Topic::DeadLetters => DEAD_LETTER_MESSAGE_BYTES,
    }
}

/// The cluster. Clones are handles on the same one.
#[derive(Clone)]
pub struct Cluster {
    pub(super) shared: Shared,
}

/// The transactional.id of a lane's writer.
pub(super) fn transactional_id(lane: u32) -> String {
    format!("{}-{lane}", Topic::Decisions.name())
}

impl Cluster {
    /// An empty cluster whose clock stands at `now_ms`.
    #[must_use]
    pub fn new(layout: Partitions, now_ms: i64) -> Self {
        Self { shared: Shared::new(State::new(layout, now_ms)) }
    }

    /// The cluster as one more node sees it.
    #[must_use]
    pub fn node(&self) -> MemoryBroker {
        let mut state = self.shared.lock();
        state.cut_off.push(false);
        MemoryBroker { shared: self.shared.clone(), node: (state.cut_off.len() - 1) as u32 }
    }

    /// What its clock says, milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.shared.lock().now_ms
    }

    /// Sets its clock; back is allowed.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.shared.lock().now_ms = now_ms;
    }

    /// Moves its clock on.
    pub fn advance_ms(&self, by_ms: i64) {
        self.shared.lock().now_ms += by_ms;
    }

    /// Appends a record outside of any transaction and returns its offset.
    ///
    /// # Errors
    ///
    /// As a producer's: no such partition, no leader, disk full, record too large.
    pub fn publish(&self, topic: Topic, partition: u32, message: Message) -> Result<i64, Fault> {
        self.shared.lock().append((topic, partition), None, message)
    }

    /// A transactional producer from outside of the engine; fences earlier ones of the same id.
    ///
    /// # Errors
    ///
    /// An earlier transaction of this id cannot be ended.
    pub fn upstream(&self, id: &str) -> Result<Upstream, Fault> {
        Upstream::new(self.shared.clone(), id)
    }

    /// Every record that a read_committed consumer finds in a partition from `offset` on; nothing without a leader.
    ///
    /// # Errors
    ///
    /// No such partition, or the offset is out of range.
    pub fn read(&self, topic: Topic, partition: u32, offset: i64) -> Result<Vec<Stored>, Fault> {
        let mut found = Vec::new();
        let mut cursor = Cursor::at(Position::at(offset));
        let mut state = self.shared.lock();
        state.fetch((topic, partition), &mut cursor, usize::MAX, |stored| found.push(stored.clone()))?;
        Ok(found)
    }

    /// The first offset of a partition.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn begin(&self, topic: Topic, partition: u32) -> Result<i64, Fault> {
        Ok(self.shared.lock().partition((topic, partition))?.begin())
    }

    /// Where a partition ends.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn end(&self, topic: Topic, partition: u32) -> Result<End, Fault> {
        Ok(self.shared.lock().partition((topic, partition))?.end())
    }

    /// Retention, or a deletion of records: drops everything before `offset`.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn trim(&self, topic: Topic, partition: u32, offset: i64) -> Result<(), Fault> {
        self.shared.lock().partition((topic, partition))?.trim(offset);
        Ok(())
    }

    /// An unclean election: loses everything from `offset` on, markers too. A transaction whose marker is lost is open
    /// again until its producer's next one.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn lose_tail(&self, topic: Topic, partition: u32, offset: i64) -> Result<(), Fault> {
        self.shared.lock().partition((topic, partition))?.lose(offset);
        Ok(())
    }

    /// A clean election: the leader epoch rises.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn elect(&self, topic: Topic, partition: u32) -> Result<(), Fault> {
        self.shared.lock().partition((topic, partition))?.elect();
        Ok(())
    }

    /// Takes a partition's leader away or brings it back. Without one its records can neither be read nor written, its
    /// end cannot be asked for, and transactions in it stay prepared.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn set_leader(&self, topic: Topic, partition: u32, is_there: bool) -> Result<(), Fault> {
        self.shared.lock().partition((topic, partition))?.has_leader = is_there;
        Ok(())
    }

    /// Fills or frees the disk that a topic is written to.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn set_disk_full(&self, topic: Topic, is_full: bool) -> Result<(), Fault> {
        self.shared.lock().topic(topic)?.is_full = is_full;
        Ok(())
    }

    /// Sets whose timestamps a topic's records carry from now on.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn set_timestamps(&self, topic: Topic, kind: TimestampKind) -> Result<(), Fault> {
        self.shared.lock().topic(topic)?.timestamps = kind;
        Ok(())
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: Topic) {
        self.shared.lock().topics[topic as usize] = None;
    }

    /// Makes a topic, empty and with an id never seen before; one of that name that is there is deleted.
    pub fn create(&self, topic: Topic, partitions: u32) {
        self.shared.lock().make(topic, partitions);
    }

    /// Raises a topic's number of partitions; it never falls.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn set_partitions(&self, topic: Topic, count: u32) -> Result<(), Fault> {
        let mut state = self.shared.lock();
        let partitions = &mut state.topic(topic)?.partitions;
        while partitions.len() < count as usize {
            partitions.push(Partition::new());
        }
        Ok(())
    }

    /// Writes the markers of every transaction that is prepared, as far as leaders are there.
    pub fn complete(&self) {
        self.shared.lock().complete();
    }

    /// Aborts the open transaction of a lane's writer, as the coordinator does after transaction.timeout.ms, and
    /// fences the writer.
    pub fn time_out(&self, lane: u32) {
        self.shared.lock().time_out(&transactional_id(lane));
    }

    /// Forgets the producer of a lane, as the coordinator does after a week without a transaction.
    pub fn forget(&self, lane: u32) {
        self.shared.lock().forget(&transactional_id(lane));
    }

    /// Lets this trouble befall the first call that `matches`, once. Earlier ones are asked first.
    pub fn inject(&self, matches: impl Fn(Site) -> bool + Send + 'static, trouble: Trouble) {
        self.shared.lock().inject(Box::new(matches), trouble);
    }

    /// Lets this trouble befall the next such call, of any node and shard, once.
    pub fn inject_next(&self, call: Call, trouble: Trouble) {
        self.inject(move |site| site.call == call, trouble);
    }

    /// How many injected troubles have befallen nothing yet.
    #[must_use]
    pub fn injected(&self) -> usize {
        self.shared.lock().one_shots()
    }

    /// Puts every call that no injected trouble matches to `faults`.
    pub fn set_faults(&self, faults: impl Faults + 'static) {
        self.shared.lock().set_faults(Some(Box::new(faults)));
    }

    /// From now on nothing befalls a call but what was injected.
    pub fn clear_faults(&self) {
        self.shared.lock().set_faults(None);
    }
}

/// The cluster as one node sees it. Clones are handles on the same node.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Shared,
    node: u32,
}

impl MemoryBroker {
    /// The number by which a [`Site`] names it.
    #[must_use]
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Cuts this node off the cluster or connects it again: reads find nothing, ends are not answered, ticks get lost,
    /// records are never acknowledged, everything else times out.
    pub fn set_cut_off(&self, is_cut_off: bool) {
        self.shared.lock().cut_off[self.node as usize] = is_cut_off;
    }
}

impl Broker for MemoryBroker {
    type Inputs = MemoryInputs;
    type Writer = MemoryWriter;
    type Reader = MemoryReader;

    fn topics(&self, _timeout: Duration) -> Result<TopicFacts, Fault> {
        let mut state = self.shared.lock();
        let struck_by = state.call(Site { node: self.node, shard: None, call: Call::Topics });
        if struck_by.is_some() || state.is_cut_off(self.node) {
            return Err(struck(Call::Topics, "the cluster"));
        }
        let mut facts = TopicFacts { partitions: [0; 3], ids: [[0; 16]; 3] };
        for (i, topic) in [Topic::Orders, Topic::Stock, Topic::Decisions].into_iter().enumerate() {
            let topic = state.topic(topic)?;
            facts.partitions[i] = topic.partitions.len() as u32;
            facts.ids[i] = topic.id;
        }
        Ok(facts)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<MemoryInputs, Fault> {
        Ok(MemoryInputs::new(self.shared.clone(), self.node, from))
    }

    fn writer(&self, lane: u32) -> Result<MemoryWriter, Fault> {
        Ok(MemoryWriter::new(self.shared.clone(), self.node, lane))
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<MemoryReader, Fault> {
        Ok(MemoryReader::new(self.shared.clone(), self.node, lane, from_offset))
    }
}
