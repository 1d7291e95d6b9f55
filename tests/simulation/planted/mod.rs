//! The memory broker with a bug of the engine planted at the seam, to show that the simulation would find it.

mod inputs;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use inputs::PlantedInputs;
use sluice::broker::memory::{MemoryBroker, MemoryReader, MemoryWriter};
use sluice::broker::{Broker, Committed, Fault, LogReader, LogWriter, Outgoing, Output, ReadFrom, TopicFacts};
use sluice::wire::entry::LogEntry;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// Inputs are resumed one record late.
    ResumesLate,
    /// Inputs are resumed one record early.
    ResumesEarly,
    /// Inputs are resumed where those of the next shard of the lane are to be.
    ResumesAtItsNeighbour,
    /// The records of the next shard of the lane are taken for a shard's own.
    ReadsItsNeighbour,
    /// Whoever looks at the log after a failure does not see what was committed, and sends it again.
    LooksAway,
    /// Replies are dropped.
    LosesReplies,
    /// Dead letters are not written.
    LosesDeadLetters,
}

/// A broker with a bug.
#[derive(Clone)]
pub struct Planted {
    pub inner: MemoryBroker,
    pub bug: Bug,
    /// Commits asked for since somebody last looked.
    pub commits: Arc<AtomicU64>,
    /// The ledger that next decides about poison breaks down.
    pub breaks: Arc<AtomicBool>,
    /// So many reads by those who read a log from its start find nothing.
    pub stalls: Arc<AtomicU64>,
}

pub struct PlantedWriter {
    inner: MemoryWriter,
    bug: Bug,
    commits: Arc<AtomicU64>,
}

pub struct PlantedReader {
    inner: MemoryReader,
    conceals_links: bool,
    stalls: Option<Arc<AtomicU64>>,
}

impl Planted {
    /// A node with this bug.
    pub fn new(inner: MemoryBroker, bug: Bug) -> Self {
        Planted { inner, bug, commits: Arc::default(), breaks: Arc::default(), stalls: Arc::default() }
    }
}

impl Broker for Planted {
    type Inputs = PlantedInputs;
    type Writer = PlantedWriter;
    type Reader = PlantedReader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.inner.topics(timeout)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<PlantedInputs, Fault> {
        let by = match self.bug {
            Bug::ResumesLate => 1,
            Bug::ResumesEarly => -1,
            _ => 0,
        };
        let mut from = from.to_vec();
        for orders in from.iter_mut().map(|from| &mut from.orders).filter(|orders| orders.offset > 0) {
            orders.offset += by;
        }
        if self.bug == Bug::ResumesAtItsNeighbour {
            for pair in from.chunks_exact_mut(2) {
                (pair[0].orders, pair[1].orders) = (pair[1].orders, pair[0].orders);
            }
        }
        let (inner, shards) = (self.inner.inputs(&from)?, from.len());
        Ok(PlantedInputs { inner, bug: self.bug, shards, breaks: self.breaks.clone() })
    }

    fn writer(&self, lane: u32) -> Result<PlantedWriter, Fault> {
        Ok(PlantedWriter { inner: self.inner.writer(lane)?, bug: self.bug, commits: self.commits.clone() })
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<PlantedReader, Fault> {
        // A recovery reads from the start, a look from where the log was known to end.
        let conceals_links = self.bug == Bug::LooksAway && from_offset > 0;
        let stalls = (from_offset == 0).then(|| self.stalls.clone());
        Ok(PlantedReader { inner: self.inner.reader(lane, from_offset)?, conceals_links, stalls })
    }
}

impl LogWriter for PlantedWriter {
    fn init(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.inner.init(timeout)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.inner.begin()
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Fault> {
        let lost = match record.output {
            Output::Replies(_) => self.bug == Bug::LosesReplies,
            Output::DeadLetters(_) => self.bug == Bug::LosesDeadLetters,
            _ => false,
        };
        if lost { Ok(()) } else { self.inner.send(record) }
    }

    fn acknowledge(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.inner.acknowledge(timeout)
    }

    fn commit(&mut self, timeout: Duration) -> Result<Committed, Fault> {
        self.commits.fetch_add(1, Relaxed);
        self.inner.commit(timeout)
    }
}

impl LogReader for PlantedReader {
    fn read(&mut self, timeout: Duration, each: &mut dyn FnMut(i64, &[u8])) -> Result<usize, Fault> {
        let stall = |stalls: &Arc<AtomicU64>| stalls.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if self.stalls.as_ref().is_some_and(stall) {
            return Ok(0);
        }
        let conceals_links = self.conceals_links;
        self.inner.read(timeout, &mut |offset, value| {
            if !(conceals_links && matches!(LogEntry::parse(value), Ok(LogEntry::Link(_)))) {
                each(offset, value);
            }
        })
    }

    fn position(&self) -> i64 {
        self.inner.position()
    }
}
