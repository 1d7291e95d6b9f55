//! The seam between the engine and Kafka: what a lane needs of a broker, and nothing more.
//!
//! Two implementations: `kafka` on librdkafka, and [`memory`], which has the semantics of the real one and runs under
//! a seeded scheduler. One conformance suite (`tests/conformance`) holds both to the same promises.
//!
//! A call blocks for as long as its time-out says and no longer; in memory it never blocks. After any [`Fault`] of a
//! [`LogWriter`] the writer is dropped and the log is looked at: no fault, definite or not, says what became of the
//! transaction.

use std::time::Duration;

use thiserror::Error;

pub use crate::wire::proto::Input;

pub mod memory; // a cluster in memory, with faults on demand

/// Why a call on the broker failed. Its text is for people and names topic, partition and the broker's own words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// May pass: a lost broker, a time-out, a full disk, an election. Try again later.
    #[error("{0}")]
    Transient(String),
    /// Another producer with this lane's transactional.id was initialised after this one.
    #[error("fenced: {0}")]
    Fenced(String),
    /// The offset asked for is not there: before the partition's start (trimmed by retention or deletion) or beyond
    /// its end (records were lost).
    #[error("offset {asked} is outside of the partition, which holds {begin}..{end}: {what}")]
    OutOfRange {
        /// The offset asked for.
        asked: i64,
        /// First offset there.
        begin: i64,
        /// Offset after the last.
        end: i64,
        /// Topic and partition.
        what: String,
    },
    /// What had been read in front of this offset was lost to an unclean election; other records may stand in its place.
    #[error("what had been read of {what} in front of offset {asked} was lost to an unclean leader election")]
    Overwritten {
        /// The offset asked for.
        asked: i64,
        /// Topic and partition.
        what: String,
    },
    /// Will not pass without a person: no such topic, not authorised, wrong configuration.
    #[error("{0}")]
    Fatal(String),
}

impl Fault {
    /// Its kind in a word, for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::Fenced(_) => "fenced",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Overwritten { .. } => "overwritten",
            Self::Fatal(_) => "fatal",
        }
    }
}

/// How a record got its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// By the broker when it appended the record. The only kind an input may have.
    LogAppend,
    /// By the client, or not at all.
    Other,
}

/// A record of an input, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// The broker's timestamp, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// How it got the timestamp.
    pub timestamp_kind: TimestampKind,
    /// Leader epoch, -1 if the broker gave none.
    pub leader_epoch: i32,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// One header of a record: name and value.
pub type Header = (String, Option<Vec<u8>>);

/// From where to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Offset of the first record wanted.
    pub offset: i64,
    /// Leader epoch of the record in front of it, which was read before; -1 if there is none, or it is not known. If that
    /// record is no longer there, reading fails with [`Fault::Overwritten`] or [`Fault::OutOfRange`], whatever stands in
    /// its place.
    pub leader_epoch: i32,
}

impl Position {
    /// An offset, whatever stands in front of it.
    #[must_use]
    pub const fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: -1 }
    }
}

/// Consecutive records of one input, owned until dropped.
pub trait Records: Send {
    /// How many; at least one.
    fn len(&self) -> usize;
    /// Always false; clippy wants it beside `len`.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Record `i`, in order of offset.
    fn get(&self, i: usize) -> Record<'_>;
    /// The headers of record `i`, copied; for dead letters only.
    fn headers(&self, i: usize) -> Vec<Header>;
}

/// Where an input's partition ended when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last stable offset: everything below it is decided by its producers and readable.
    pub stable: i64,
    /// The high watermark: offset after the last record, of open transactions too. Above `stable` while a
    /// producer's transaction is open.
    pub high: i64,
}

/// The ends of both inputs of a shard, all asked for after the ticket was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The ticket given to [`Inputs::ask_ends`].
    pub ticket: u64,
    /// Of `orders`.
    pub orders: End,
    /// Of `stock`.
    pub stock: End,
}

/// Wakes a lane's apply thread out of [`Inputs::wait`].
pub trait Wake: Send + Sync {
    /// Lets the present or the next wait return at once.
    fn wake(&self);
}

/// Where both inputs of a shard are to be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The shard: the partition of both.
    pub shard: u32,
    /// `orders`.
    pub orders: Position,
    /// `stock`.
    pub stock: Position,
}

impl ReadFrom {
    /// Both inputs of `shard` from these places on.
    #[must_use]
    pub const fn new(shard: u32, orders: Position, stock: Position) -> Self {
        Self { shard, orders, stock }
    }
}

/// The inputs of a lane's shards, read_committed, from where each resumes. Owned by the apply thread. `at` is a shard's
/// place in the list with which they were opened. What befalls one input leaves the others as they are.
pub trait Inputs: Send {
    /// A batch of records.
    type Records: Records;

    /// The next records of `input`, `most` at the most; `None` if none has arrived. Does not wait. Once it failed, it
    /// fails ever after, until [`Inputs::reopen`].
    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<Self::Records>, Fault>;

    /// Every readable record of `input` below this offset has been handed out. Also counts what is never handed out:
    /// control markers and aborted data.
    fn position(&self, at: usize, input: Input) -> i64;

    /// Reads both inputs of a shard from these places on, whatever became of them before.
    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault>;

    /// Waits until a record, an answer or a wake-up may be there, `timeout` at the most. May return early, but not over
    /// and over for records that are left unpolled.
    fn wait(&mut self, timeout: Duration);

    /// A handle that ends a wait from another thread.
    fn waker(&self) -> std::sync::Arc<dyn Wake>;

    /// Asks the brokers where a shard's inputs end now. Does not wait. A later call replaces an unanswered one of the
    /// same shard. Questions of several shards, asked before the next [`Inputs::ends`] or [`Inputs::wait`], go out
    /// together.
    fn ask_ends(&mut self, at: usize, ticket: u64);

    /// An answer not yet taken, with the shard's place; of a shard only the newest. While the brokers cannot be asked
    /// there is none.
    fn ends(&mut self) -> Option<(usize, Ends)>;

    /// Publishes a Tick to the shard's own partition of `stock`. Does not wait for it to arrive; it may be lost.
    fn tick(&mut self, at: usize) -> Result<(), Fault>;
}

/// Where a record of a transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// The lane's partition of the log.
    Decisions,
    /// This partition of `replies`.
    Replies(u32),
    /// This partition of `dead-letters`: that of the shard.
    DeadLetters(u32),
    /// The optional topic with one record a decision; partitioned by the record's key.
    PerDecision,
}

/// A record to be written. The writer copies what it needs before it returns.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub output: Output,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none only for a dead letter whose original had none.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [Header],
}

/// What a commit that succeeded went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The EndTxn request was sent more than once: a duplicate may still be under way and strike the next transaction,
    /// so the writer must be replaced before it. That it took long is no reason: a broker that is always slow would have
    /// every writer replaced for ever.
    pub suspicious: bool,
}

/// The lane's transactional producer. Owned by the commit thread.
///
/// Dropping it ends nothing at the broker: an open transaction is ended by the next writer's [`LogWriter::init`], as
/// aborted or, if its commit had been prepared, as committed.
pub trait LogWriter: Send {
    /// Fences every earlier writer of this lane and ends its transaction, one way or the other.
    fn init(&mut self, timeout: Duration) -> Result<(), Fault>;
    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), Fault>;
    /// Hands a record over; it may still fail until [`LogWriter::commit`].
    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Fault>;
    /// Waits until every record sent has been acknowledged (counted): what is sent from now on cannot be there without
    /// them. The transaction stays open.
    fn acknowledge(&mut self, timeout: Duration) -> Result<(), Fault>;
    /// Waits until every record sent has been acknowledged (counted), then commits. Readers may see the records only
    /// a little later, and those of one output before those of another.
    fn commit(&mut self, timeout: Duration) -> Result<Committed, Fault>;
}

/// Reads a lane's partition of `decisions`, read_committed, in order. Owned by whoever looks.
pub trait LogReader: Send {
    /// Hands each record that can be read now to `each`, with its offset; waits `timeout` at the most for a first one.
    /// Returns how many; 0 proves nothing about the log's end.
    fn read(&mut self, timeout: Duration, each: &mut dyn FnMut(i64, &[u8])) -> Result<usize, Fault>;

    /// Every readable record below this offset has been handed out; counts what is never handed out, as
    /// [`Inputs::position`] does.
    fn position(&self) -> i64;
}

/// What the topics are at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Partitions of `orders`, `stock` and `decisions`, in this order.
    pub partitions: [u32; 3],
    /// Kafka topic ids, in the same order.
    pub ids: [[u8; 16]; 3],
}

/// A broker, as a node sees it: opens what its lanes need.
pub trait Broker: Send + Sync + 'static {
    /// See [`Inputs`].
    type Inputs: Inputs;
    /// See [`LogWriter`].
    type Writer: LogWriter;
    /// See [`LogReader`].
    type Reader: LogReader;

    /// Partition counts and topic ids, asked for now.
    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault>;
    /// Opens the inputs of these shards.
    fn inputs(&self, from: &[ReadFrom]) -> Result<Self::Inputs, Fault>;
    /// Makes a producer with the lane's transactional.id (decisions topic + partition). Does not initialise it.
    fn writer(&self, lane: u32) -> Result<Self::Writer, Fault>;
    /// Opens the log of `lane` from an offset; 0 is its start, and a log that no longer begins there is a fault of
    /// the first read.
    fn reader(&self, lane: u32, from_offset: i64) -> Result<Self::Reader, Fault>;
    /// Where the log of `lane` ends now, if that can be told. For showing progress, never for deciding anything.
    fn log_end(&self, _lane: u32, _timeout: Duration) -> Option<i64> {
        None
    }
}
