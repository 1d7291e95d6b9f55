//! Where a client's events go: log lines and errors to tracing, delivery reports and ends of transactions to counters.

use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::trouble::{LastTrouble, Trouble, log_error};

/// Counters of one client.
#[derive(Debug, Default)]
pub(super) struct Context {
    delivered: AtomicU64,
    failed: AtomicU64,
    ends_answered: AtomicU64,
    ends_failed: AtomicU64,
    first_failure: std::sync::Mutex<Option<KafkaError>>,
    trouble: LastTrouble,
}

/// Name of the log line that tells what came of an EndTxn request; logged with `debug=eos`.
const END_LINE: &str = "ENDTXN";

/// What that line says of a request that was answered well.
const GOOD_END: &str = "EndTxn returned NO_ERROR ";

/// EndTxn requests since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// Those that were answered well.
    pub(super) answered: u64,
    /// Those that were answered otherwise, or not at all.
    pub(super) failed: u64,
}

impl Context {
    /// Records acknowledged since the client was made.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Why the first of them failed.
    pub(super) fn first_failure(&self) -> Option<KafkaError> {
        self.first_failure.lock().ok().and_then(|first| first.clone())
    }

    /// What came of EndTxn requests.
    pub(super) fn ends(&self) -> Ends {
        let (answered, failed) = (&self.ends_answered, &self.ends_failed);
        Ends { answered: answered.load(Ordering::Relaxed), failed: failed.load(Ordering::Relaxed) }
    }

    /// The last connection that failed.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.get()
    }

    /// Takes in the line that librdkafka logs of each EndTxn request once something came of it, before it repeats one or
    /// lets a commit return. Nothing else tells of a repeated request: lost connections are reported only if they are
    /// not like the last one, and in a log line like any other.
    fn note_end(&self, message: &str) {
        let counter = if message.contains(GOOD_END) { &self.ends_answered } else { &self.ends_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if fac == END_LINE {
            self.note_end(message);
        }
        self.trouble.line(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                if let Ok(mut first) = self.first_failure.lock() {
                    first.get_or_insert_with(|| error.clone());
                }
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}
