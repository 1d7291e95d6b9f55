//! The language between the machines of this module and whoever runs them: a machine names one [`Action`], its driver
//! carries it out and hands back the [`Event`] that came of it, and says with a [`Step`] what that came to.

use std::time::Duration;

use super::batch::Batch;
use super::lost::Lost;
use super::refusal::Refusal;
use super::take::Tail;
use crate::broker::{Committed, Fault, Outgoing, TopicFacts};

/// The time, as whoever steps a machine tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// A clock that never goes back, in ms since any instant. Pauses and bounds are judged by it.
    pub steady_ms: u64,
    /// The wall clock, in ms since the Unix epoch. Written into fences for people; nothing decides by it.
    pub unix_ms: i64,
}

/// The one thing to be done next.
#[derive(Debug)]
pub enum Action<'a> {
    /// Ask what the topics are now; the answer is [`Event::Topics`].
    Topics,
    /// Make the shard's writer, after dropping the one there is.
    OpenWriter,
    /// Initialise the writer.
    Init,
    /// Begin a transaction.
    Begin,
    /// Hand the writer a record.
    Send(Outgoing<'a>),
    /// Wait within this time until all that was sent is acknowledged.
    Acknowledge {
        /// At the most.
        timeout: Duration,
    },
    /// Commit, within this time; the answer is [`Event::Committed`].
    Commit {
        /// At the most.
        timeout: Duration,
    },
    /// Open the log at this offset, after dropping the reader there is.
    OpenReader {
        /// Of the first record wanted.
        from_offset: i64,
    },
    /// Read what can be read now, handing each record to the machine first and then [`Event::Done`].
    Read,
    /// Drop the writer.
    DropWriter,
    /// Drop the reader.
    DropReader,
    /// Do nothing before this time of [`Now::steady_ms`].
    Pause {
        /// When to ask for the next action.
        until_ms: u64,
    },
}

/// What came of an action.
#[derive(Debug)]
pub enum Event {
    /// It succeeded, and there is nothing more to say.
    Done,
    /// Answer to [`Action::Topics`].
    Topics(TopicFacts),
    /// Answer to [`Action::Commit`].
    Committed(Committed),
    /// It failed.
    Failed(Fault),
}

/// What one step came to.
#[derive(Debug)]
pub enum Step<R> {
    /// Something was done: step again.
    Again,
    /// Nothing to do before this time of [`Now::steady_ms`]; step again then, or as soon as something was told.
    Pause {
        /// When.
        until_ms: u64,
    },
    /// The shard is ours and recovered. A batch may be handed over once `Idle` has been returned.
    Taken(Box<Taken<R>>),
    /// Waits for a batch, for the shard to be unassigned, or, if nothing is held, to be told to take it.
    Idle,
    /// The batch handed in is in the log. Its buffers come back as they are.
    Committed(Batch),
    /// Another owner was here. Ledger and queue are void: recover by taking the shard again. Nothing is held any more.
    Lost(Lost),
    /// A person is needed. Nothing is held any more.
    Refused(Refusal),
    /// Let go: nothing is held any more. A batch that comes along may or may not be in the log; whoever takes the
    /// shard next finds out.
    Stopped(Option<Batch>),
}

/// A shard just taken.
#[derive(Debug)]
pub struct Taken<R> {
    /// What was recovered.
    pub recovered: R,
    /// Where the log ended, and from where to go on.
    pub tail: Tail,
}
