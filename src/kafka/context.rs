//! Where a client's events go: log lines and errors to tracing, delivery reports and signs of trouble to counters.

use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// Counters of one client.
#[derive(Debug, Default)]
pub(super) struct Context {
    delivered: AtomicU64,
    failed: AtomicU64,
    troubles: AtomicU64,
    first_failure: std::sync::Mutex<Option<KafkaError>>,
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

    /// Errors and warnings of brokers and connections seen.
    pub(super) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::Relaxed)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(target: "librdkafka", fac, "{message}");
            }
            _ => {
                self.troubles.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(target: "librdkafka", fac, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(target: "librdkafka", code = ?error.rdkafka_error_code(), "{reason}");
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
