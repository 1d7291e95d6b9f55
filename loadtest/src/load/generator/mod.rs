//! Sends the records of a stream when they are due, whatever the engine does meanwhile.
//!
//! [`Producer::connect`] asks the cluster for the topic's partitions; with them a [`Stream`] can be made, and
//! [`Generator::spawn`] sends it from a thread of its own. [`Progress`] says how far it is, [`Generator::join`] how it
//! ended.
//!
//! Never is a record left out because the one before was late: what could not be sent in time is sent late, and its
//! latency counts from when it was due. Only at the very end (`until_ns`) what is left counts as unsent.

mod pace; // the hot loop
mod producer; // the client
mod ffi; // many records in one call; unsafe
mod progress; // how far it is
mod cpu; // CPU time of the generator's threads
mod command; // `loadtest generate`
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;

pub use command::command;
pub use cpu::Threads;
pub use producer::{Producer, ProducerError, Target};
pub use progress::{Progress, Snapshot};

use crate::clock::RunClock;
use crate::load::profile::Profile;
use crate::load::traffic::{Kind, PoolSet, Stream};

/// When records are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// When they are due.
    WhenDue {
        /// The time of the run.
        clock: RunClock,
        /// After this nothing is sent any more, in nanoseconds since the start: what is left counts as unsent.
        until_ns: u64,
    },
    /// As fast as the brokers take them.
    FlatOut,
}

/// What a generator did.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Orders placed, copies not counted.
    pub orders: u64,
    /// Commands handed to the client.
    pub sent: u64,
    /// Commands that were due and not handed to the client before the end.
    pub unsent: u64,
    /// Commands that the client gave up on or would not take.
    pub failed: u64,
    /// Commands that the brokers acknowledged.
    pub acknowledged: u64,
    /// Records that cannot be read, on purpose; not among the commands.
    pub poison: u64,
    /// Records handed to the client.
    pub records: u64,
    /// Bytes of their values.
    pub record_bytes: u64,
    /// Time spent waiting because the client's queue was full, in nanoseconds.
    pub blocked_ns: u64,
    /// From the first record to the last one handed over.
    pub took: Duration,
    /// CPU time of the thread that made the records and handed them over.
    pub making_cpu: Duration,
    /// CPU time of the client's threads.
    pub client_cpu: Duration,
    /// From when a command was due to when it was handed over, in microseconds.
    pub lag_us: Histogram<u64>,
    /// Commands that were due in each second since the start, sent or not.
    pub asked_by_second: Vec<u64>,
    /// Commands handed over in each second since the start.
    pub sent_by_second: Vec<u64>,
    /// [`Record::end`](crate::load::traffic::Record::end) of the last record handed over of each kind: those of a kind go in
    /// the order of their orders, so that this says what was sent.
    pub ends: [u64; Kind::ALL.len()],
    /// The first thing that went wrong.
    pub trouble: Option<String>,
    undelivered_records: u64,
    /// The longest lag since it was last told, in nanoseconds.
    worst_lag_ns: u64,
}

/// A stream that is being sent.
pub struct Generator {
    thread: JoinHandle<Sent>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    hot: Threads,
    client: Threads,
}

impl Generator {
    /// Sends `stream` from a thread of its own. `profile` is that of all generators together, `share` this one's part.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn spawn(
        producer: Producer,
        stream: Stream,
        pools: &PoolSet,
        profile: &Profile,
        share: f64,
        pace: Pace,
    ) -> io::Result<Self> {
        let progress = Arc::<Progress>::default();
        let stop = Arc::<AtomicBool>::default();
        let client = producer.threads().clone();
        let hot_loop = pace::Loop {
            producer,
            stream,
            keys: pools.clone(),
            profile: profile.scaled(share),
            pace,
            progress: progress.clone(),
            stop: stop.clone(),
        };
        let (tell, told) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("generator".to_owned()).spawn(move || {
            // Nobody listens only if the spawning thread was ended, and then nobody reads the figure either.
            let _ = tell.send(Threads::this());
            hot_loop.run()
        })?;
        let hot = told.recv().unwrap_or_default();
        Ok(Self { thread, progress, stop, hot, client })
    }

    /// How far it is.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// CPU time used so far by the thread that makes and hands over records, and by the client's threads that send
    /// them.
    pub fn cpu(&self) -> (Duration, Duration) {
        (self.hot.cpu(), self.client.cpu())
    }

    /// Asks it to stop sending. What was handed to the client is still delivered.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Waits until everything was sent and acknowledged, or given up.
    ///
    /// # Panics
    /// If the generator did.
    pub fn join(self) -> Sent {
        self.thread.join().expect("the generator does not panic")
    }
}
