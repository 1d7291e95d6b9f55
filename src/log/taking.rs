//! Becoming the shard's only writer and learning where its log ends: a fresh writer, a fence committed by it, the log
//! read until that fence comes back.
//!
//! The same steps serve the one who takes a shard and recovers it, and the owner who met a fault and looks what became
//! of its batch. They differ in what they make of the records, so this machine only says which record is its fence.

use rand::Rng;
use rand::rngs::StdRng;

use super::backoff::Backoff;
use super::settings::{BACKOFF_FIRST_MS, FATAL_MOST, FENCED_FIRST_MS, SILENCE_MOST_MS, SILENCES_MOST, Settings};
use super::step::{Action, Event, Now};
use crate::broker::{Committed, Fault, Outgoing, Output, TopicFacts};
use crate::wire::link::fence_value;

/// Bytes of a nonce that stay the same for one ownership: 96 bits, so that no two are ever alike.
const OWNERSHIP_BYTES: usize = 12;

/// A nonce: the ownership, and a count of the fences that it wrote, big-endian. An owner that takes its shard again
/// and again through an outage so knows all of its fences without a list of them.
const NONCE_BYTES: usize = OWNERSHIP_BYTES + 4;

/// What came of an event.
#[derive(Debug)]
pub(super) enum Turn {
    /// Go on.
    More,
    /// The topics, for whoever checks the genesis against them.
    Topics(TopicFacts),
    /// Our fence was read: everything in front of it has been, and only we can write behind it.
    Reached {
        /// Its offset.
        fence_offset: i64,
    },
}

/// Why it can't go on.
#[derive(Debug, PartialEq)]
pub(super) enum Dead {
    /// There is nothing in the log.
    Empty,
    /// The log does not hold the offset asked for, or the broker refuses for good.
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Pause { until_ms: u64, then: Then },
    Topics,
    DropWriter { resume_ms: u64, then: Then },
    OpenWriter,
    Init,
    Begin,
    Send,
    Commit,
    OpenReader,
    Read,
    DropReader { fence_offset: i64 },
}

/// Where to go on after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Topics,
    Writer,
    Reader,
}

/// The machine. It outlives ownerships, because its pauses must grow from one to the next.
#[derive(Debug)]
pub(super) struct Taking {
    settings: Settings,
    rng: StdRng,
    backoff: Backoff,
    phase: Phase,
    ownership: [u8; OWNERSHIP_BYTES],
    attempt: u32,
    fence: Vec<u8>,
    /// Whether the fence in `fence` has been committed, as far as the writer said.
    fenced: bool,
    reader_open: bool,
    next_offset: i64,
    read_any: bool,
    reached: Option<i64>,
    /// Since when the log has shown nothing new.
    heard_ms: Option<u64>,
    silences: u32,
    fatal: u32,
}

impl Taking {
    pub(super) fn new(settings: Settings, rng: StdRng) -> Self {
        Self {
            settings,
            rng,
            backoff: Backoff::new(),
            phase: Phase::Resting,
            ownership: [0; OWNERSHIP_BYTES],
            attempt: 0,
            fence: Vec::new(),
            fenced: false,
            reader_open: false,
            next_offset: 0,
            read_any: false,
            reached: None,
            heard_ms: None,
            silences: 0,
            fatal: 0,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes the shard as somebody new. The log's first record is read before anything is written, so that no fence
    /// ever stands where a genesis should, or in the log of other topics.
    pub(super) fn take(&mut self, from_offset: i64) {
        self.ownership = self.rng.random();
        self.attempt = 0;
        self.start(from_offset);
        self.phase = Phase::Topics;
    }

    /// Takes the shard again as the owner that we were, and reads from `from_offset` on; after a fault with a pause.
    pub(super) fn retake(&mut self, from_offset: i64, now: Now, fault: Option<&Fault>) {
        self.start(from_offset);
        // After having been fenced, the log must speak first: see below.
        self.read_any = !matches!(fault, Some(Fault::Fenced(_)));
        self.phase = match fault {
            None => Phase::DropWriter { resume_ms: now.steady_ms, then: Then::Writer },
            // Whoever fenced us may be the rightful owner, and have written so: what is read in front of our fence
            // saves it from being fenced in its turn. A fresh reader may find nothing at first, so it reads until it
            // finds at least the record that it begins with.
            Some(Fault::Fenced(_)) => {
                Phase::DropWriter { resume_ms: self.pause_ms(now, FENCED_FIRST_MS), then: Then::Reader }
            }
            Some(_) => self.fence_again(now, BACKOFF_FIRST_MS),
        };
    }

    /// Gives up what was under way.
    pub(super) fn rest(&mut self) {
        self.phase = Phase::Resting;
    }

    fn start(&mut self, from_offset: i64) {
        self.fenced = false;
        self.reader_open = false;
        self.next_offset = from_offset;
        self.read_any = false;
        self.reached = None;
        self.silences = 0;
        self.fatal = 0;
    }

    /// Whether a fence with this nonce was written in the present ownership.
    pub(super) fn is_ours(&self, nonce: &[u8]) -> bool {
        nonce.len() == NONCE_BYTES && nonce.starts_with(&self.ownership)
    }

    /// Tells of a record that was read. `fence` is its nonce if it is a fence.
    pub(super) fn record(&mut self, offset: i64, fence: Option<&[u8]>) {
        self.next_offset = offset + 1;
        self.read_any = true;
        self.silences = 0;
        self.heard_ms = None;
        if self.fenced && fence.is_some_and(|nonce| nonce == self.nonce()) {
            self.reached = Some(offset);
        }
    }

    /// Whether our newest fence has been read: no record behind it counts, because we have written none.
    pub(super) fn reached(&self) -> bool {
        self.reached.is_some()
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..OWNERSHIP_BYTES].copy_from_slice(&self.ownership);
        nonce[OWNERSHIP_BYTES..].copy_from_slice(&self.attempt.to_be_bytes());
        nonce
    }

    /// What to do next; nothing while it rests.
    pub(super) fn next(&mut self, now: Now) -> Option<Action<'_>> {
        if let Phase::Pause { until_ms, then } = self.phase {
            if now.steady_ms < until_ms {
                return Some(Action::Pause { until_ms });
            }
            self.phase = match then {
                Then::Topics => Phase::Topics,
                Then::Writer => Phase::OpenWriter,
                Then::Reader => Phase::OpenReader,
            };
        }
        Some(match self.phase {
            Phase::Resting | Phase::Pause { .. } => return None,
            Phase::Topics => Action::Topics,
            Phase::DropWriter { .. } => Action::DropWriter,
            Phase::OpenWriter => Action::OpenWriter,
            Phase::Init => Action::Init,
            Phase::Begin => Action::Begin,
            Phase::Send => {
                Action::Send(Outgoing { output: Output::Decisions, key: None, value: Some(&self.fence), headers: &[] })
            }
            Phase::Commit => Action::Commit { timeout: self.settings.commit_timeout },
            Phase::OpenReader => Action::OpenReader { from_offset: self.next_offset },
            Phase::Read => Action::Read,
            Phase::DropReader { .. } => Action::DropReader,
        })
    }

    /// Takes in what came of the action named last.
    pub(super) fn event(&mut self, now: Now, event: Event) -> Result<Turn, Dead> {
        self.phase = match (self.phase, event) {
            (_, Event::Failed(fault)) => return self.fault(now, fault),
            (Phase::Topics, Event::Topics(facts)) => {
                self.phase = Phase::OpenReader;
                return Ok(Turn::Topics(facts));
            }
            (Phase::DropWriter { resume_ms, then }, Event::Done) => Phase::Pause { until_ms: resume_ms, then },
            (Phase::OpenWriter, Event::Done) => Phase::Init,
            (Phase::Init, Event::Done) => Phase::Begin,
            (Phase::Begin, Event::Done) => {
                self.attempt += 1;
                self.fence = fence_value(self.nonce(), &self.settings.owner, now.unix_ms);
                Phase::Send
            }
            (Phase::Send, Event::Done) => Phase::Commit,
            (Phase::Commit, Event::Committed(Committed { suspicious: true })) => {
                self.fence_again(now, BACKOFF_FIRST_MS)
            }
            (Phase::Commit, Event::Committed(Committed { suspicious: false })) => {
                self.fenced = true;
                // The silence begins with the first read: `now` is when the commit began, which may have taken long.
                self.heard_ms = None;
                if self.reader_open { Phase::Read } else { Phase::OpenReader }
            }
            (Phase::OpenReader, Event::Done) => {
                self.reader_open = true;
                self.heard_ms = None;
                Phase::Read
            }
            (Phase::Read, Event::Done) => return self.after_read(now),
            (Phase::DropReader { fence_offset }, Event::Done) => {
                self.phase = Phase::Resting;
                return Ok(Turn::Reached { fence_offset });
            }
            (phase, event) => unreachable!("{event:?} is no answer to {phase:?}"),
        };
        Ok(Turn::More)
    }

    fn after_read(&mut self, now: Now) -> Result<Turn, Dead> {
        self.phase = if let Some(fence_offset) = self.reached {
            self.fatal = 0;
            self.reader_open = false;
            Phase::DropReader { fence_offset }
        } else if self.read_any && !self.fenced {
            Phase::OpenWriter
        } else if now.steady_ms < *self.heard_ms.get_or_insert(now.steady_ms) + SILENCE_MOST_MS {
            Phase::Read
        } else {
            self.silences += 1;
            self.reader_open = false;
            match (self.silences < SILENCES_MOST, self.fenced) {
                (true, _) => Phase::OpenReader,
                (false, true) => self.fence_again(now, BACKOFF_FIRST_MS),
                (false, false) => return Err(Dead::Empty),
            }
        };
        Ok(Turn::More)
    }

    /// Writes another fence, by another writer.
    fn fence_again(&mut self, now: Now, first_ms: u64) -> Phase {
        self.fenced = false;
        self.silences = 0;
        Phase::DropWriter { resume_ms: self.pause_ms(now, first_ms), then: Then::Writer }
    }

    fn fault(&mut self, now: Now, fault: Fault) -> Result<Turn, Dead> {
        let first_ms = if matches!(fault, Fault::Fenced(_)) { FENCED_FIRST_MS } else { BACKOFF_FIRST_MS };
        match fault {
            Fault::OutOfRange { .. } | Fault::Overwritten { .. } => return Err(Dead::Fault(fault)),
            Fault::Fatal(_) => {
                self.fatal += 1;
                if self.fatal >= FATAL_MOST {
                    return Err(Dead::Fault(fault));
                }
            }
            Fault::Transient(_) | Fault::Fenced(_) => self.fatal = 0,
        }
        self.phase = match self.phase {
            Phase::Topics => Phase::Pause { until_ms: self.pause_ms(now, first_ms), then: Then::Topics },
            Phase::OpenReader | Phase::Read => {
                self.reader_open = false;
                Phase::Pause { until_ms: self.pause_ms(now, first_ms), then: Then::Reader }
            }
            _ => self.fence_again(now, first_ms),
        };
        Ok(Turn::More)
    }

    fn pause_ms(&mut self, now: Now, first_ms: u64) -> u64 {
        self.backoff.fault(now.steady_ms, first_ms, &mut self.rng)
    }
}
