//! A plain producer that tells where each record ended up: for the demo, which is its own upstream.

use std::time::Duration;

use crossbeam::queue::SegQueue;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::clients;
use super::fault::fault;
use super::settings::Settings;
use super::trouble::{LastTrouble, Trouble, log_error};
use crate::broker::Fault;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// As given to [`Publisher::publish`].
    pub tag: usize,
    /// Its partition.
    pub partition: u32,
    /// Its offset, or why it was not stored.
    pub stored: Result<i64, String>,
}

/// See the module.
pub struct Publisher {
    producer: BaseProducer<Receipts>,
}

impl Publisher {
    /// Makes the client; it connects in the background.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        let producer = clients::publisher(settings).create_with_context(Receipts::default());
        Ok(Self { producer: producer.map_err(|error| fault(&error, "make a publisher"))? })
    }

    /// Hands a record over; false if the client's queue is full for now.
    ///
    /// # Errors
    /// The record cannot be published, now or later.
    pub fn publish(&self, topic: &str, partition: u32, key: &[u8], value: &[u8], tag: usize) -> Result<bool, Fault> {
        let record = BaseRecord::with_opaque_to(topic, tag).partition(partition.cast_signed()).key(key).payload(value);
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(fault(&error, &format!("publish to {topic}[{partition}]"))),
        }
    }

    /// The last connection that failed.
    pub fn trouble(&self) -> Option<Trouble> {
        self.producer.context().trouble.get()
    }

    /// Hands what became known to `each`; waits `timeout` at the most for a first receipt.
    pub fn receipts(&self, timeout: Duration, each: &mut dyn FnMut(Receipt)) {
        self.producer.poll(timeout);
        while let Some(receipt) = self.producer.context().receipts.pop() {
            each(receipt);
        }
    }
}

#[derive(Default)]
struct Receipts {
    receipts: SegQueue<Receipt>,
    trouble: LastTrouble,
}

impl ClientContext for Receipts {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.trouble.line(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let (message, stored) = match result {
            Ok(message) => (message, Ok(message.offset())),
            Err((error, message)) => (message, Err(error.to_string())),
        };
        self.receipts.push(Receipt { tag, partition: message.partition().cast_unsigned(), stored });
    }
}
