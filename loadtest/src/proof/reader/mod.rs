//! Reads decisions as they become readable: threads of their own, each with a consumer of committed records for some of
//! the lanes, from the end of their logs before the run on. What is read goes into the tally (how long it took) and the
//! verifier (whether it is right), a record at a time.

pub mod consumer; // the clients that read
mod beginning; // of which shards a log is, and for how long these remember
pub mod tally; // what was read, counted

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};

use crate::clock::RunClock;
use crate::load::traffic::is_poison;
use crate::proof::verify::{Barred, Days, Findings, Lane, Ours, Sharing, layout};
use consumer::{Connection, ReadError};
use tally::Tally;

/// Most threads that read. One does a million decisions a second; more than this only take each other's processors.
const MOST_THREADS: usize = 4;

/// How long a reader waits for a record before it looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(50);

/// Records taken from the client before any of them is read, so that the first does not make the last look late.
const RECORDS_AT_ONCE: usize = 64;

/// Troubles kept for whoever looks.
const TROUBLES: usize = 20;

/// What is read.
#[derive(Clone, Debug)]
pub struct Topics {
    /// The log of decisions.
    pub decisions: String,
    /// Records that could not be read; none: they are not counted.
    pub dead_letters: Option<String>,
}

/// Readers at work.
pub struct Reader {
    shards: u32,
    lanes: u32,
    threads: Vec<JoinHandle<Vec<Lane>>>,
    shared: Arc<Shared>,
}

struct Shared {
    ours: Arc<Ours>,
    topics: Topics,
    clock: OnceLock<RunClock>,
    /// What is read from now on is late.
    over: AtomicBool,
    stop: AtomicBool,
    tallies: Vec<Mutex<Tally>>,
    troubles: Mutex<VecDeque<String>>,
    broken: Mutex<Option<String>>,
}

/// What the readers found in all.
#[derive(Debug)]
pub struct Read {
    /// Answers and their latency.
    pub tally: Tally,
    /// What was found wrong in the log.
    pub findings: Findings,
    /// Units that orders hold at the end.
    pub taken: i64,
    /// Orders in whose way a selling rule stood.
    pub barred: Barred,
    /// SKUs of pools that somebody asked for in whose way no rule stood.
    pub wanted: u64,
    /// What days came to.
    pub days: Days,
    /// What sharing stock among channels came to.
    pub sharing: Sharing,
}

impl Reader {
    /// Starts to read behind what is committed now.
    ///
    /// # Errors
    /// The cluster does not answer, or the system has no thread left.
    pub fn start(connection: &Connection, topics: Topics, ours: Arc<Ours>) -> Result<Self, ReadError> {
        let lanes = connection.partitions(&topics.decisions)?;
        let beginnings = connection.beginnings(&topics.decisions, lanes)?;
        let shards = beginnings.first().map_or(0, |first| layout(first).0);
        let dead_letter_partitions = topics.dead_letters.as_deref().map(|topic| connection.partitions(topic));
        let dead_letter_partitions = dead_letter_partitions.transpose()?.unwrap_or(0);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = (cores / 4).clamp(1, MOST_THREADS).min(lanes as usize);
        let shared = Arc::new(Shared {
            ours,
            topics,
            clock: OnceLock::new(),
            over: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            tallies: (0..count).map(|_| Mutex::default()).collect(),
            troubles: Mutex::default(),
            broken: Mutex::default(),
        });
        let of = |partitions: u32, number: usize| {
            let mine = move |partition: &u32| *partition as usize % count == number;
            (0..partitions).filter(mine).collect::<Vec<_>>()
        };
        let mut threads = Vec::new();
        for number in 0..count {
            let consumer = connection.consumer(&shared.topics.decisions, &[])?;
            let mut ends = consumer::Ends::default();
            ends.ask(&consumer, &shared.topics.decisions, &of(lanes, number))?;
            if let Some(topic) = &shared.topics.dead_letters {
                ends.ask(&consumer, topic, &of(dead_letter_partitions, number))?;
            }
            ends.read_on(&consumer)?;
            let shared = shared.clone();
            let lane = |lane: u32| (lane as i32, Lane::new(&shared.ours, &beginnings[lane as usize]));
            let lanes = of(lanes, number).into_iter().map(lane).collect();
            let work = move || Work { consumer, number, lanes, shared: &shared }.run();
            let thread = thread::Builder::new().name(format!("reader-{number}")).spawn(work);
            threads.push(thread.map_err(|error| ReadError::Thread { error })?);
        }
        Ok(Self { shards, lanes, threads, shared })
    }

    /// Shards whose decisions the log has.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Partitions of the log.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// From now on answers have a latency: the run has a start.
    pub fn begin(&self, clock: RunClock) {
        // A run begins once; a second clock would only be ignored.
        let _ = self.shared.clock.set(clock);
    }

    /// What is read from now on counts as late.
    pub fn over(&self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }

    /// Answers to commands of ours so far.
    pub fn decided(&self) -> u64 {
        self.shared.tallies.iter().map(|tally| lock(tally).decided).sum()
    }

    /// Stock commands of the run that took effect so far.
    pub fn stocked(&self) -> u64 {
        self.shared.tallies.iter().map(|tally| lock(tally).stocked).sum()
    }

    /// Dead letters of the run so far.
    pub fn dead_letters(&self) -> u64 {
        self.shared.tallies.iter().map(|tally| lock(tally).dead_letters).sum()
    }

    /// A look at what was counted. Takes what was recent.
    pub fn look(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in &self.shared.tallies {
            let mut tally = lock(tally);
            sum.add_counts(&tally);
            sum.recent.add(&std::mem::take(&mut tally.recent));
        }
        sum
    }

    /// The latest troubles, oldest first.
    pub fn troubles(&self) -> Vec<String> {
        lock(&self.shared.troubles).iter().cloned().collect()
    }

    /// Why reading cannot go on, if it cannot.
    pub fn broken(&self) -> Option<String> {
        lock(&self.shared.broken).clone()
    }

    /// Ends reading.
    ///
    /// # Panics
    /// If a reader did.
    pub fn stop(self) -> Read {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut read = Read {
            tally: Tally::default(),
            findings: Findings::default(),
            taken: 0,
            barred: Barred::default(),
            wanted: 0,
            days: Days::default(),
            sharing: Sharing::default(),
        };
        for thread in self.threads {
            let lanes = thread.join().expect("a reader does not panic");
            lanes.iter().for_each(|lane| read.findings.merge(lane.findings().clone()));
            for shard in lanes.iter().flat_map(Lane::shards) {
                read.findings.merge(shard.findings().clone());
                read.taken += shard.taken();
                read.barred += shard.barred();
                read.wanted += shard.wanted();
                read.days += shard.days();
                read.sharing += shard.sharing();
            }
        }
        for tally in &self.shared.tallies {
            read.tally.add(&lock(tally));
        }
        read
    }
}

/// A panic of another thread leaves counters as they were: still worth reading.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work<'a> {
    consumer: BaseConsumer,
    number: usize,
    lanes: BTreeMap<i32, Lane>,
    shared: &'a Shared,
}

impl Work<'_> {
    fn run(mut self) -> Vec<Lane> {
        let Self { consumer, number, lanes, shared } = &mut self;
        let tally = &shared.tallies[*number];
        while !shared.stop.load(Ordering::Relaxed) {
            let mut taken = Vec::with_capacity(RECORDS_AT_ONCE);
            let mut wait = POLL;
            while taken.len() < RECORDS_AT_ONCE {
                match consumer.poll(wait) {
                    None => break,
                    Some(Ok(message)) => taken.push((message, Instant::now())),
                    Some(Err(error)) => shared.trouble(&error),
                }
                wait = Duration::ZERO;
            }
            for (message, at) in &taken {
                shared.take(lanes, message, *at, &mut lock(tally));
            }
        }
        std::mem::take(lanes).into_values().collect()
    }
}

impl Shared {
    fn take(&self, lanes: &mut BTreeMap<i32, Lane>, message: &BorrowedMessage<'_>, at: Instant, tally: &mut Tally) {
        let value = message.payload().unwrap_or_default();
        if message.topic() != self.topics.decisions {
            tally.dead_letters += u64::from(is_poison(self.ours.run, self.ours.generator, value));
            return;
        }
        let Some(lane) = lanes.get_mut(&message.partition()) else { return };
        let read_ns = self.clock.get().map_or(0, |clock| clock.at_ns(at));
        let late = self.over.load(Ordering::Relaxed);
        let stocked = lane.stocked();
        lane.take(&self.ours, message.offset(), value, late, |counted| match counted.due_ns {
            Some(due_ns) => tally.answer(counted.outcome, due_ns, read_ns, counted.shore),
            None => tally.expiry(read_ns),
        });
        tally.stocked += lane.stocked() - stocked;
    }

    fn trouble(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        let gone = [
            RDKafkaErrorCode::AutoOffsetReset,
            RDKafkaErrorCode::OffsetOutOfRange,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::UnknownTopic,
            RDKafkaErrorCode::UnknownPartition,
            RDKafkaErrorCode::TopicAuthorizationFailed,
        ];
        let text = format!("cannot read {}: {error}", self.topics.decisions);
        if code.is_some_and(|code| gone.contains(&code)) {
            lock(&self.broken).get_or_insert_with(|| text.clone());
        }
        let mut troubles = lock(&self.troubles);
        if troubles.back() != Some(&text) {
            troubles.push_back(text);
        }
        if troubles.len() > TROUBLES {
            troubles.pop_front();
        }
    }
}
