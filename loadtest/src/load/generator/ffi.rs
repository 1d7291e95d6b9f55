//! Handing many records to librdkafka in one call. The only unsafe code of the load tester.
//!
//! The safe `send` of rust-rdkafka allocates the topic's name, looks the topic up by it and takes librdkafka's locks
//! for each record. A C client would not: it holds a handle of the topic and calls `rd_kafka_produce_batch`.

#![allow(unsafe_code, reason = "rust-rdkafka has no safe form of rd_kafka_produce_batch")]

use std::ffi::CString;
use std::ptr;

use rdkafka::bindings;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaMessage, RDKafkaRespErr, RDKafkaTopic};

/// Topics of a producer, which they keep alive.
pub(super) struct TopicHandles<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    topics: Vec<ptr::NonNull<RDKafkaTopic>>,
    producer: BaseProducer<C>,
}

// SAFETY: librdkafka's handles may be used from any thread (its INTRODUCTION.md, "Threads and callbacks"), and the
// producer beside it is Send by its own promise.
unsafe impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> Send for TopicHandles<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> TopicHandles<C> {
    /// A producer without a topic.
    pub(super) fn new(producer: BaseProducer<C>) -> Self {
        Self { topics: Vec::new(), producer }
    }

    /// Adds a handle of `topic`, whose number is that of those before it; none if the name holds a NUL or librdkafka
    /// refuses it.
    pub(super) fn add(&mut self, topic: &str) -> Option<usize> {
        let name = CString::new(topic).ok()?;
        let client = self.producer.client().native_ptr();
        // SAFETY: the producer lives; the name is NUL-terminated and copied; a null configuration means the default.
        let topic = unsafe { bindings::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        self.topics.push(ptr::NonNull::new(topic)?);
        Some(self.topics.len() - 1)
    }

    /// The producer, for everything that has a safe form.
    pub(super) fn producer(&self) -> &BaseProducer<C> {
        &self.producer
    }

    /// Hands over the records of `batch`, which are for the topic of this number. Says how many of them, from the first one on, are done with: the rest found
    /// the queue full and may be handed over again. Those that were refused for good are told to `refused` by their
    /// place.
    pub(super) fn produce(
        &self,
        topic: usize,
        batch: &mut Batch<'_>,
        mut refused: impl FnMut(usize, RDKafkaErrorCode),
    ) -> usize {
        let flags = bindings::RD_KAFKA_MSG_F_COPY | bindings::RD_KAFKA_MSG_F_PARTITION;
        let messages = batch.messages.as_mut_slice();
        // SAFETY: every message points to a key and a value that the batch borrows, with their lengths; with F_COPY
        // both are copied before the call returns, and never written to. `_private` is null, which is what the
        // deliveries of a context without an opaque (bound above) expect.
        unsafe {
            bindings::rd_kafka_produce_batch(
                self.topics[topic].as_ptr(),
                -1,
                flags,
                messages.as_mut_ptr(),
                messages.len() as i32,
            );
        }
        for (place, message) in messages.iter().enumerate() {
            match message.err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                // librdkafka refuses all that follow, too.
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL => return place,
                other => refused(place, other.into()),
            }
        }
        messages.len()
    }
}

impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> Drop for TopicHandles<C> {
    fn drop(&mut self) {
        for topic in self.topics.drain(..) {
            // SAFETY: made by `rd_kafka_topic_new` and not destroyed before; its producer is dropped after this.
            unsafe { bindings::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}

/// Records to be handed over, in their order.
pub(super) struct Batch<'a> {
    messages: Vec<RDKafkaMessage>,
    borrowed: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// Adds a record.
    pub(super) fn push(&mut self, partition: u32, key: &'a [u8], value: &'a [u8]) {
        self.messages.push(RDKafkaMessage {
            err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: partition as i32,
            payload: value.as_ptr().cast_mut().cast(),
            len: value.len(),
            key: key.as_ptr().cast_mut().cast(),
            key_len: key.len(),
            offset: 0,
            _private: ptr::null_mut(),
        });
    }

    /// Forgets the first `count` records.
    pub(super) fn skip(&mut self, count: usize) {
        self.messages.drain(..count);
    }

    /// How many records it holds.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

/// A batch's memory, used again and again.
#[derive(Default)]
pub(super) struct BatchMemory(Vec<RDKafkaMessage>);

impl BatchMemory {
    /// An empty batch in this memory; [`BatchMemory::take_back`] returns it.
    pub(super) fn lend<'a>(&mut self) -> Batch<'a> {
        let mut messages = std::mem::take(&mut self.0);
        messages.clear();
        Batch { messages, borrowed: std::marker::PhantomData }
    }

    pub(super) fn take_back(&mut self, batch: Batch<'_>) {
        self.0 = batch.messages;
        self.0.clear();
    }
}
