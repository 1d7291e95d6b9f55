//! librdkafka properties that correctness depends on: the configuration may not set them.

use thiserror::Error;

use super::settings::Properties;

/// A property that may not be passed through.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{key}` may not be set: {reason}")]
pub struct ReservedProperty {
    /// The property.
    pub key: String,
    /// Why not, and what to set instead where there is something.
    pub reason: &'static str,
}

const BY_SETTING: &str = "it has a setting of its own";
const ASSIGNED: &str = "shards are assigned by the engine's own protocol";
const FROM_LOG: &str = "positions come from the log of decisions alone";
const ORDER: &str = "delivery in order, once, is what a commit relies on";
const EVENTS: &str = "the engine counts events and reports itself";
const TIMING: &str = "it follows from the commit time-out; set that";

/// Properties that correctness depends on, each with the reason. Aliases of one property are all named.
pub const RESERVED_PROPERTIES: &[(&str, &str)] = &[
    ("bootstrap.servers", BY_SETTING),
    ("metadata.broker.list", BY_SETTING),
    ("client.id", BY_SETTING),
    ("group.id", BY_SETTING),
    ("session.timeout.ms", BY_SETTING),
    ("heartbeat.interval.ms", "it follows from the session time-out; set that"),
    ("transaction.timeout.ms", BY_SETTING),
    ("queued.max.messages.kbytes", BY_SETTING),
    ("auto.offset.reset", "a position that is not there must stop the shard: anything else skips or repeats orders"),
    ("topic.auto.offset.reset", "a position that is not there must stop the shard"),
    ("enable.auto.commit", FROM_LOG),
    ("auto.commit.enable", FROM_LOG),
    ("enable.auto.offset.store", FROM_LOG),
    ("offset.store.method", FROM_LOG),
    ("isolation.level", "aborted orders would be decided, and aborted decisions believed"),
    ("check.crcs", "damaged records must be noticed"),
    ("enable.partition.eof", "how far an input has been read is known from it"),
    ("partition.assignment.strategy", ASSIGNED),
    ("group.protocol", ASSIGNED),
    ("group.remote.assignor", ASSIGNED),
    ("max.poll.interval.ms", "the membership thread answers for itself; stuck shards are found by the watchdog"),
    ("acks", "an acknowledged decision must survive the loss of a broker"),
    ("request.required.acks", "an acknowledged decision must survive the loss of a broker"),
    ("enable.idempotence", ORDER),
    ("enable.gapless.guarantee", ORDER),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("retries", ORDER),
    ("message.send.max.retries", ORDER),
    ("transactional.id", "it names the shard: any other would not fence its other owners"),
    ("partitioner", "routing is murmur2 of the key, as every client's"),
    ("linger.ms", "it would delay every commit by itself"),
    ("queue.buffering.max.ms", "it would delay every commit by itself"),
    ("message.timeout.ms", TIMING),
    ("delivery.timeout.ms", TIMING),
    ("request.timeout.ms", TIMING),
    ("socket.timeout.ms", "a commit must give up before librdkafka sends it again; set the commit time-out"),
    ("message.max.bytes", "it follows from the limits of the wire contract"),
    ("fetch.message.max.bytes", "it follows from the limits of the wire contract"),
    ("max.partition.fetch.bytes", "it follows from the limits of the wire contract"),
    ("receive.message.max.bytes", "it follows from the limits of the wire contract"),
    ("fetch.max.bytes", "it follows from the limits of the wire contract"),
    ("allow.auto.create.topics", "a topic made by accident has the wrong settings; make topics with `topics create`"),
    ("log.queue", EVENTS),
    ("enabled_events", EVENTS),
    ("delivery.report.only.error", EVENTS),
    ("log.connection.close", "lost connections must be seen by whoever reads the engine's log"),
    ("test.mock.num.brokers", "the service works against a real cluster only"),
    ("test.mock.broker.rtt", "the service works against a real cluster only"),
    ("plugin.library.paths", "foreign code in the process can undo every guarantee"),
];

/// Refuses properties that correctness depends on.
///
/// # Errors
/// The first of them.
pub fn refuse_reserved(properties: &Properties) -> Result<(), ReservedProperty> {
    for key in properties.keys() {
        if let Some((_, reason)) = RESERVED_PROPERTIES.iter().find(|(reserved, _)| reserved == key) {
            return Err(ReservedProperty { key: key.clone(), reason });
        }
    }
    Ok(())
}
