//! What the handles share: topics, clock, transactions, faults.

use std::sync::{Arc, Mutex, MutexGuard};

use super::cluster::{Partitions, max_message_bytes};
use super::faults::{Call, Faults, Site, Trouble};
use super::partition::{Cursor, Message, Outside, Partition, Stored};
use super::transactions::Coordinator;
use crate::broker::{End, Fault, TimestampKind};
use crate::wire::proto::Input;

/// A topic of the cluster; it has one set of those that the engine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// `orders`
    Orders,
    /// `stock`
    Stock,
    /// `decisions`
    Decisions,
    /// `replies`
    Replies,
    /// `dead-letters`
    DeadLetters,
    /// The optional topic with one record a decision.
    PerDecision,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 6] =
        [Topic::Orders, Topic::Stock, Topic::Decisions, Topic::Replies, Topic::DeadLetters, Topic::PerDecision];

    /// The topic of an input.
    ///
    /// # Panics
    ///
    /// If the input is unspecified.
    #[must_use]
    pub fn of(input: Input) -> Self {
        match input {
            Input::Orders => Topic::Orders,
            Input::Stock => Topic::Stock,
            Input::Unspecified => panic!("an input is either orders or stock"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Topic::Orders => "orders",
            Topic::Stock => "stock",
            Topic::Decisions => "decisions",
            Topic::Replies => "replies",
            Topic::DeadLetters => "dead-letters",
            Topic::PerDecision => "per-decision",
        }
    }
}

/// A partition of a topic.
pub(super) type At = (Topic, u32);

pub(super) fn name((topic, partition): At) -> String {
    format!("{}-{partition}", topic.name())
}

#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) id: [u8; 16],
    pub(super) partitions: Vec<Partition>,
    pub(super) timestamps: TimestampKind,
    pub(super) is_full: bool,
}

struct OneShot {
    matches: Box<dyn Fn(Site) -> bool + Send>,
    trouble: Trouble,
}

pub(super) struct State {
    pub(super) now_ms: i64,
    /// In the order of [`Topic::ALL`]; none where deleted.
    pub(super) topics: [Option<TopicState>; Topic::ALL.len()],
    pub(super) topics_made: u64,
    pub(super) coordinator: Coordinator,
    /// Whether each node is cut off.
    pub(super) cut_off: Vec<bool>,
    /// Calls that nodes have made.
    pub(super) calls: u64,
    one_shots: Vec<OneShot>,
    faults: Option<Box<dyn Faults>>,
}

/// Handle on the state.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn new(layout: Partitions, now_ms: i64) -> Self {
        let mut state = Self {
            now_ms,
            topics: Default::default(),
            topics_made: 0,
            coordinator: Coordinator::default(),
            cut_off: Vec::new(),
            calls: 0,
            one_shots: Vec::new(),
            faults: None,
        };
        for topic in Topic::ALL {
            state.make(topic, layout.partitions(topic));
        }
        state
    }

    /// Makes a topic, in place of one that there may be.
    pub(super) fn make(&mut self, topic: Topic, partitions: u32) {
        self.topics_made += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(b"topic id");
        id[8..].copy_from_slice(&self.topics_made.to_be_bytes());
        self.topics[topic as usize] = Some(TopicState {
            id,
            partitions: (0..partitions).map(|_| Partition::new()).collect(),
            timestamps: TimestampKind::LogAppend,
            is_full: false,
        });
    }

    pub(super) fn topic(&mut self, topic: Topic) -> Result<&mut TopicState, Fault> {
        self.topics[topic as usize].as_mut().ok_or_else(|| Fault::Fatal(format!("no topic {}", topic.name())))
    }

    pub(super) fn partition(&mut self, at: At) -> Result<&mut Partition, Fault> {
        let partition = self.topic(at.0)?.partitions.get_mut(at.1 as usize);
        partition.ok_or_else(|| Fault::Fatal(format!("no partition {}", name(at))))
    }

    /// The partition, if its leader can be reached.
    pub(super) fn leader(&mut self, at: At) -> Result<&mut Partition, Fault> {
        let partition = self.partition(at)?;
        if partition.has_leader { Ok(partition) } else { Err(Fault::Transient(format!("{} has no leader", name(at)))) }
    }

    /// Appends a record, of an open transaction if it has a producer.
    pub(super) fn append(&mut self, at: At, producer: Option<u64>, message: Message) -> Result<i64, Fault> {
        let (now_ms, most) = (self.now_ms, max_message_bytes(at.0));
        self.leader(at)?;
        let topic = self.topic(at.0)?;
        if topic.is_full {
            return Err(Fault::Transient(format!("{}: the broker's disk is full", name(at))));
        }
        let len = message.len();
        if len > most {
            return Err(Fault::Fatal(format!("{}: a record of {len} bytes, {most} are allowed", name(at))));
        }
        let timestamps = topic.timestamps;
        Ok(self.partition(at)?.append(producer, message, now_ms, timestamps))
    }

    /// Fetches for a read_committed consumer. `None`: the leader cannot be reached.
    pub(super) fn fetch(
        &mut self,
        at: At,
        cursor: &mut Cursor,
        most: usize,
        each: impl FnMut(&Stored),
    ) -> Result<Option<usize>, Fault> {
        let partition = self.partition(at)?;
        if !partition.has_leader {
            return Ok(None);
        }
        partition.fetch(cursor, most, each).map(Some).map_err(|outside| match outside {
            Outside::Range { begin, end } => Fault::OutOfRange { asked: cursor.position, begin, end, what: name(at) },
            Outside::Overwritten => Fault::Overwritten { asked: cursor.position, what: name(at) },
        })
    }

    pub(super) fn end(&mut self, at: At) -> Result<End, Fault> {
        Ok(self.leader(at)?.end())
    }

    /// Counts a call, lets late requests arrive, and says what befalls it.
    pub(super) fn call(&mut self, site: Site) -> Option<Trouble> {
        self.calls += 1;
        self.deliver_late();
        let planned = match self.one_shots.iter().position(|shot| (shot.matches)(site)) {
            Some(i) => Some(self.one_shots.remove(i).trouble),
            None => self.faults.as_mut().and_then(|faults| faults.strike(site)),
        };
        if let Some(trouble) = planned {
            assert!(site.call.can_meet(trouble), "{trouble:?} cannot befall {:?}", site.call);
        }
        planned
    }

    pub(super) fn is_cut_off(&self, node: u32) -> bool {
        self.cut_off[node as usize]
    }

    pub(super) fn inject(&mut self, matches: Box<dyn Fn(Site) -> bool + Send>, trouble: Trouble) {
        self.one_shots.push(OneShot { matches, trouble });
    }

    pub(super) fn one_shots(&self) -> usize {
        self.one_shots.len()
    }

    pub(super) fn set_faults(&mut self, faults: Option<Box<dyn Faults>>) {
        self.faults = faults;
    }
}

/// The fault of a call that was refused, or whose answer was lost.
pub(super) fn struck(call: Call, what: &str) -> Fault {
    Fault::Transient(format!("{call:?} of {what} timed out"))
}
