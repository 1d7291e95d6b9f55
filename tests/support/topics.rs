//! Topics as any client sees them: read_committed records, watermarks, and a plain producer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::audit::Stored;

/// Longest wait for a broker on this machine.
const WITHIN: Duration = Duration::from_secs(60);

/// Pause between two looks at a watermark.
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(crate) fn consumer(bootstrap: &str, isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.message.max.bytes", "33554432")
        .create()
        .expect("a consumer can be made")
}

/// How many partitions a topic has.
pub(crate) fn partitions(bootstrap: &str, topic: &str) -> i32 {
    let metadata = consumer(bootstrap, "read_committed").fetch_metadata(Some(topic), WITHIN).expect("metadata");
    i32::try_from(metadata.topics()[0].partitions().len()).expect("few partitions")
}

/// Every committed record of a partition, up to the stable end that it has now.
pub(crate) fn read(bootstrap: &str, topic: &str, partition: i32) -> Vec<Stored> {
    let consumer = consumer(bootstrap, "read_committed");
    let (begin, end) = consumer.fetch_watermarks(topic, partition, WITHIN).expect("watermarks");
    if begin == end {
        return Vec::new();
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(begin)).expect("an offset");
    consumer.assign(&assignment).expect("assigned");
    let deadline = Instant::now() + WITHIN * 2;
    let mut records = Vec::new();
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            // The broker's answer to a fetch from the stable end, which on one broker never falls: nothing below `end`
            // can be missing. Behind the last record there are control markers, so no offset tells it.
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            Some(Err(error)) => panic!("{topic}[{partition}]: {error}"),
            Some(Ok(message)) => records.push(stored(&message)),
        }
    }
    panic!("{topic}[{partition}] could not be read to {end}");
}

fn stored(message: &impl Message) -> Stored {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Stored {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// An administrator's question, answered.
fn ask<T>(question: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(question)
}

/// Deletes the records of a partition in front of an offset.
pub(crate) fn delete_before(bootstrap: &str, topic: &str, partition: i32, offset: i64) {
    let admin = ClientConfig::new().set("bootstrap.servers", bootstrap).create::<AdminClient<DefaultClientContext>>();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
    let options = AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN));
    let deleted = ask(admin.expect("a client can be made").delete_records(&before, &options)).expect("an answer");
    deleted.elements()[0].error().expect("they were deleted");
}

/// The broker that leads a partition; none while nobody does.
pub(crate) fn leader(bootstrap: &str, topic: &str, partition: i32) -> Option<usize> {
    let metadata = consumer(bootstrap, "read_committed").fetch_metadata(Some(topic), WITHIN).expect("metadata");
    let partitions = metadata.topics().first()?.partitions();
    usize::try_from(partitions.iter().find(|found| found.id() == partition)?.leader()).ok()
}

/// Where a partition ends for readers of either kind.
pub(crate) struct Watermarks {
    uncommitted: BaseConsumer,
    committed: BaseConsumer,
}

impl Watermarks {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { uncommitted: consumer(bootstrap, "read_uncommitted"), committed: consumer(bootstrap, "read_committed") }
    }

    /// The high watermark: offset after the last record.
    pub(crate) fn high(&self, topic: &str, partition: i32) -> i64 {
        self.uncommitted.fetch_watermarks(topic, partition, WITHIN).expect("watermarks").1
    }

    /// The last stable offset: no transaction is open below it.
    pub(crate) fn stable(&self, topic: &str, partition: i32) -> i64 {
        self.committed.fetch_watermarks(topic, partition, WITHIN).expect("watermarks").1
    }

    /// Whether a transaction is open in the partition. Asked in this order, one that ends in between is not counted.
    pub(crate) fn open_transaction(&self, topic: &str, partition: i32) -> bool {
        let high = self.high(topic, partition);
        self.stable(topic, partition) < high
    }
}

/// Waits until `done` says so; panics with `what` when it takes longer than `within`.
#[track_caller]
pub(crate) fn wait_for(what: &str, within: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !done() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", within.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Counts the records that did not arrive.
#[derive(Default)]
pub(crate) struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    }
}

/// A plain idempotent producer, partitioning as Java's default does.
pub(crate) struct Sender {
    producer: BaseProducer<Failures>,
}

/// A record to be published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    /// None: where murmur2 of the key says.
    pub(crate) partition: Option<i32>,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl Sender {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self::with(bootstrap, &[])
    }

    /// With further properties, a transactional.id for example.
    pub(crate) fn with(bootstrap: &str, properties: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "100000");
        for (key, value) in properties {
            config.set(*key, *value);
        }
        Self { producer: config.create_with_context(Failures::default()).expect("a producer can be made") }
    }

    /// Hands a record over, waiting while the producer's queue is full.
    pub(crate) fn send(&self, publish: Publish<'_>) {
        let mut record = BaseRecord::<[u8], [u8]>::to(publish.topic).key(publish.key);
        if let Some(partition) = publish.partition {
            record = record.partition(partition);
        }
        if let Some(value) = publish.value {
            record = record.payload(value);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => panic!("{}: {error}", publish.topic),
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until the broker has everything.
    pub(crate) fn flush(&self) {
        self.producer.flush(WITHIN).expect("the broker took what was sent");
        let failed = self.producer.context().0.load(Ordering::Relaxed);
        assert_eq!(failed, 0, "records did not arrive");
    }

    /// For transactional senders.
    pub(crate) fn producer(&self) -> &BaseProducer<Failures> {
        &self.producer
    }
}
