//! Carries out what the machine asks for, one action at a time, against a broker.

use std::sync::Arc;

use rand::rngs::StdRng;
use tracing::{debug, info, warn};

use super::batch::Batch;
use super::owner::{Counts, Next, Owner};
use super::replay::Replay;
use super::settings::{INIT_TIMEOUT, READ_TIMEOUT, Settings, TOPICS_TIMEOUT};
use super::step::{Action, Event, Now};
pub use super::step::{Step, Taken};
use super::take::Progress;
use crate::broker::{Broker, Fault, LogReader, LogWriter};
use crate::wire::link::LinkHash;

/// One lane's side of the log protocol: the machine, the broker that it acts on, and what is open there.
///
/// In the service a lane's commit thread steps it in a loop; each step blocks for one call at the most.
pub struct Driver<B: Broker, R: Replay> {
    broker: Arc<B>,
    owner: Owner<R>,
    writer: Option<B::Writer>,
    reader: Option<B::Reader>,
}

impl<B: Broker, R: Replay> Driver<B, R> {
    /// A driver that holds nothing yet. `rng` draws nonces and jitter; seed it from the system, or for a simulation.
    pub fn new(broker: Arc<B>, settings: Settings, rng: StdRng) -> Self {
        Self { broker, owner: Owner::new(settings, rng), writer: None, reader: None }
    }

    /// Begins to take the lane into `recovering`, which is as at the very start. Only on a new driver and after
    /// [`Step::Lost`], [`Step::Refused`] or [`Step::Stopped`].
    pub fn take(&mut self, recovering: R) {
        self.owner.take(recovering);
    }

    /// Commits `batch` next. Only after [`Step::Idle`], and with at least one link.
    pub fn hand(&mut self, batch: Batch) {
        self.owner.hand(batch);
    }

    /// The lane is to be let go. What is handed over until `finish_by_ms` of [`Now::steady_ms`] is still committed;
    /// nothing is tried again, and the lane is not taken again: after a fault, the next owner finds out. A lane that is
    /// being taken is let go at once.
    pub fn unassign(&mut self, finish_by_ms: u64) {
        self.owner.unassign(finish_by_ms);
    }

    /// How far taking the lane has come; nothing while it is not being taken.
    pub fn progress(&self) -> Option<Progress> {
        self.owner.progress()
    }

    /// Hash of the last link that the log holds or is being given; none while nothing is held.
    pub fn last_hash(&self) -> Option<LinkHash> {
        self.owner.last_hash()
    }

    /// What this driver went through so far.
    pub fn counts(&self) -> Counts {
        self.owner.counts()
    }

    /// Carries out one action, which blocks as long as its time-out says and no longer.
    pub fn step(&mut self, now: Now) -> Step<R> {
        let lane = self.owner.lane();
        let done = match self.owner.next(now) {
            Next::Report(step) => return self.report(step),
            Next::Do(Action::Pause { until_ms }) => return Step::Pause { until_ms },
            Next::Do(Action::Read) => read(&mut self.reader, &mut self.owner),
            Next::Do(action) => execute(&*self.broker, lane, &mut self.writer, &mut self.reader, action),
        };
        let event = done.unwrap_or_else(|fault| {
            warn!(lane, kind = fault.kind(), %fault, "Kafka does not do what was asked of it; it is tried again");
            Event::Failed(fault)
        });
        let step = self.owner.event(now, event);
        self.report(step)
    }

    /// Closes what is open where `step` says that nothing is held any more.
    fn report(&mut self, step: Step<R>) -> Step<R> {
        let lane = self.owner.lane();
        match &step {
            Step::Again | Step::Pause { .. } | Step::Idle | Step::Committed(_) => return step,
            Step::Taken(taken) => {
                let tail = &taken.tail;
                info!(
                    lane,
                    epoch = tail.epoch,
                    shards = tail.shards.len(),
                    decisions = tail.decisions,
                    "took the lane"
                );
                return step;
            }
            // Whoever steps the driver tells of it.
            Step::Lost(lost) => debug!(lane, why = %lost.why, "lost the lane"),
            Step::Refused(refusal) => debug!(lane, %refusal, "the lane can't be taken"),
            Step::Stopped(_) => info!(lane, "let go of the lane"),
        }
        self.writer = None;
        self.reader = None;
        step
    }
}

fn read<L: LogReader, R: Replay>(reader: &mut Option<L>, owner: &mut Owner<R>) -> Result<Event, Fault> {
    let reader = reader.as_mut().expect("a reader is opened before it is read from");
    reader.read(READ_TIMEOUT, &mut |offset, value| owner.record(offset, value))?;
    Ok(Event::Done)
}

fn execute<B: Broker>(
    broker: &B,
    lane: u32,
    writer: &mut Option<B::Writer>,
    reader: &mut Option<B::Reader>,
    action: Action<'_>,
) -> Result<Event, Fault> {
    const OPEN: &str = "a writer is opened before it is used";
    match action {
        Action::Topics => return broker.topics(TOPICS_TIMEOUT).map(Event::Topics),
        Action::OpenWriter => {
            *writer = None;
            *writer = Some(broker.writer(lane)?);
        }
        Action::Init => writer.as_mut().expect(OPEN).init(INIT_TIMEOUT)?,
        Action::Begin => writer.as_mut().expect(OPEN).begin()?,
        Action::Send(record) => writer.as_mut().expect(OPEN).send(record)?,
        Action::Acknowledge { timeout } => writer.as_mut().expect(OPEN).acknowledge(timeout)?,
        Action::Commit { timeout } => return writer.as_mut().expect(OPEN).commit(timeout).map(Event::Committed),
        Action::OpenReader { from_offset } => {
            *reader = None;
            *reader = Some(broker.reader(lane, from_offset)?);
        }
        Action::DropWriter => *writer = None,
        Action::DropReader => *reader = None,
        Action::Read | Action::Pause { .. } => unreachable!("carried out by the caller"),
    }
    Ok(Event::Done)
}
