//! The librdkafka configuration of each client that a node runs. Order of precedence: what correctness needs, over what
//! the configuration passes through, over what is tuned here.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::kinds::Kind;
use super::settings::{Delivery, Properties, Settings};
use crate::wire::limits::LOG_MESSAGE_BYTES;

/// Largest request that a producer makes, bytes: no topic accepts more than the log.
pub const MESSAGE_MAX_BYTES: usize = LOG_MESSAGE_BYTES;

/// Bytes asked for at once from a partition. Larger: fewer requests at peak; smaller: less overshoot of the bounded
/// receive queue, which may exceed its bound by this much.
const FETCH_PARTITION_BYTES: usize = 4 << 20;

/// Bytes of one answer to a fetch.
const FETCH_BYTES: usize = 32 << 20;

/// Receive queues that a lane's inputs may fill together, for each of a shard's two inputs, of
/// [`Settings::receive_queue_bytes`]: a lane with more shards shares them out. All are full only where the lane is behind
/// with all of its shards, and then a fetch finds something everywhere and is not held open. An input has the same share
/// among the quiet and among many lively ones, and is only in one place; few lively ones have as much again, undivided. So
/// twice as much is the bound.
const FULL_QUEUES: usize = 4;

/// Smallest share of a partition, bytes: what a fetch for a partition is worth. Below it a partition with a backlog would
/// be asked for some hundred records at a time.
const SMALLEST_SHARE: usize = 128 << 10;

/// How long a broker holds a fetch open that finds nothing, ms. While it does, a partition whose receive queue was full,
/// or that begins anew, cannot be fetched: one fetch a broker at a time, nothing ends one before its time, and librdkafka
/// cannot be told another time later. So it is far below what the receive queue lasts.
const FETCH_WAIT_MS: u32 = 25;

/// The same where inputs are quiet, ms. Two hundred partitions take 10% of a core of the broker at 25 ms, 2.6% at 500; a
/// record that arrives is there after 3 ms at either. An input that has just become quiet waits for the end of a fetch or
/// two.
const QUIET_FETCH_WAIT_MS: u32 = 500;

/// The same where many inputs are lively, ms: every fetch that finds less than [`GATHERED_BYTES`] takes that long, so it is
/// added to the latency, half of it on average. With 500 records a second in 24 partitions half of them come within 2.8 ms
/// for 38% of a core of the broker; at 5 ms it is 5.3 ms and 33%; if each record ends a fetch, 0.8 ms and 49%. In two
/// partitions they cost 35%.
const MANY_FETCH_WAIT_MS: u32 = 3;

/// What ends a fetch before its time where many inputs are lively, bytes: less gathers too little, more lets a backlog
/// wait.
const GATHERED_BYTES: usize = 64 << 10;

/// How long a partition is left alone whose receive queue is full, ms. The default of a second would drain the queue.
const FETCH_QUEUE_BACKOFF_MS: u32 = 2;

/// Bound on the memory of records handed to a transactional producer and not acknowledged, KiB.
const SEND_QUEUE_KIB: usize = 256 << 10;

/// First pause before a transactional producer repeats a request, ms. The default of 100 stalls the first request
/// after a commit whose markers the broker is still writing.
const RETRY_BACKOFF_MS: u32 = 2;

/// Longest such pause, ms.
const RETRY_BACKOFF_MAX_MS: u32 = 100;

/// Requests of a writer under way. Its broker handles one after the other, so one more is all that is needed to keep it
/// busy; and with five records in requests under way and a sixth waiting librdkafka polls without a pause.
const WRITES_IN_FLIGHT: u32 = 2;

/// Up to so many bytes a record is copied into its request, for which librdkafka makes room as if all of those queued
/// had so many.
const COPIED_BYTES: usize = 4 << 10;

/// What librdkafka must log for a commit to know whether its request was sent once ([`super::context`]): a dozen lines a
/// transaction.
const DEBUG_ENDS: &str = "eos";

/// After this a Tick is given up, ms: the lane asks for another.
const TICK_TIMEOUT_MS: u32 = 5_000;

/// How long a connection may take until it stands, TLS and SASL included, ms: shorter than what an operator's question
/// waits for, or its error could not say that nobody answers.
const CONNECT_TIMEOUT_MS: u32 = 10_000;

/// Longest pause before a lost broker is tried again, ms. The default of 10 s would be the longest part of most outages.
const RECONNECT_MAX_MS: u32 = 2_000;

fn base(settings: &Settings, tuned: &[(&str, String)], passed: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", CONNECT_TIMEOUT_MS.to_string())
        .set("reconnect.backoff.max.ms", RECONNECT_MAX_MS.to_string());
    for (key, value) in tuned {
        config.set(*key, value);
    }
    for (key, value) in settings.common.iter().chain(passed) {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", &settings.client_id)
        .set("log.connection.close", "true")
        .set("allow.auto.create.topics", "false");
    config
}

/// How much of a partition's records is held.
struct Room {
    /// In its receive queue, bytes. It may exceed that by what it is asked for at once.
    queue: usize,
    /// Asked for at once, bytes. A batch of records that is larger comes nevertheless.
    partition: usize,
    /// In one answer, bytes, all partitions of a broker together.
    answer: usize,
}

impl Room {
    /// That of the inputs of so many shards on one consumer.
    fn of(shards: usize, queue: usize) -> Self {
        let share = |whole: usize| whole * FULL_QUEUES / shards.max(FULL_QUEUES);
        let queue = share(queue).max(SMALLEST_SHARE.min(queue));
        let partition = share(FETCH_PARTITION_BYTES).max(SMALLEST_SHARE);
        Self { queue, partition, answer: share(FETCH_BYTES).max(FETCH_PARTITION_BYTES) }
    }
}

fn reading(settings: &Settings, room: &Room, (least, wait_ms): (usize, u32)) -> ClientConfig {
    let Room { queue, partition, answer } = room;
    let tuned = [
        ("fetch.min.bytes", least.to_string()),
        ("fetch.wait.max.ms", wait_ms.to_string()),
        ("fetch.queue.backoff.ms", FETCH_QUEUE_BACKOFF_MS.to_string()),
        // The bound in bytes is the one that counts.
        ("queued.min.messages", "10000000".to_owned()),
    ];
    let mut config = base(settings, &tuned, &settings.consumer);
    config
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", (queue >> 10).max(1).to_string())
        .set("fetch.message.max.bytes", partition.to_string())
        .set("fetch.max.bytes", answer.to_string())
        .set("receive.message.max.bytes", (FETCH_BYTES + MESSAGE_MAX_BYTES).to_string());
    config
}

fn writing(settings: &Settings, tuned: &[(&str, String)]) -> ClientConfig {
    let mut config = base(settings, tuned, &settings.producer);
    config
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", MESSAGE_MAX_BYTES.to_string());
    config
}

/// For those inputs of a lane of so many shards that are read on this kind of consumer.
pub(super) fn inputs(settings: &Settings, shards: usize, kind: Kind) -> ClientConfig {
    let (shards, fetch) = match kind {
        Kind::Quiet => (shards, (1, QUIET_FETCH_WAIT_MS)),
        Kind::Many => (shards, (GATHERED_BYTES, MANY_FETCH_WAIT_MS)),
        Kind::Few => (shards.min(FULL_QUEUES), (1, FETCH_WAIT_MS)),
    };
    reading(settings, &Room::of(shards, settings.receive_queue_bytes), fetch)
}

/// For a lane's log.
pub(super) fn log_reader(settings: &Settings) -> ClientConfig {
    reading(settings, &Room::of(1, settings.receive_queue_bytes), (1, FETCH_WAIT_MS))
}

/// For a lane's outputs.
pub(super) fn writer(settings: &Settings, lane: u32) -> ClientConfig {
    let transaction_ms = settings.transaction_timeout.as_millis().to_string();
    let tuned = [
        ("retry.backoff.ms", RETRY_BACKOFF_MS.to_string()),
        ("retry.backoff.max.ms", RETRY_BACKOFF_MAX_MS.to_string()),
        ("queue.buffering.max.kbytes", SEND_QUEUE_KIB.to_string()),
        ("message.copy.max.bytes", COPIED_BYTES.to_string()),
        ("max.in.flight.requests.per.connection", WRITES_IN_FLIGHT.to_string()),
    ];
    let mut config = writing(settings, &tuned);
    let debug = config.get("debug").map_or_else(|| DEBUG_ENDS.to_owned(), |passed| format!("{passed},{DEBUG_ENDS}"));
    config
        .set_log_level(RDKafkaLogLevel::Debug)
        .set("debug", debug)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", &transaction_ms)
        // Above the commit time-out, so that within a commit no request is repeated because it was slow.
        .set("socket.timeout.ms", &transaction_ms);
    if settings.delivery == Delivery::Transactional {
        config.set("transactional.id", transactional_id(settings, lane)).set("transaction.timeout.ms", transaction_ms);
    }
    config
}

/// What names a lane's writers to the brokers: the log, never the group, so that any two engines on the same topics
/// fence each other.
pub(super) fn transactional_id(settings: &Settings, lane: u32) -> String {
    format!("{}-{lane}", settings.topics.decisions)
}

/// For Ticks and questions, shared by all shards of a node: a consumer's own connection is held up by its fetches.
pub(super) fn control(settings: &Settings) -> ClientConfig {
    let tuned = [("queue.buffering.max.messages", "10000".to_owned())];
    let mut config = writing(settings, &tuned);
    config.set("message.timeout.ms", TICK_TIMEOUT_MS.to_string()).set("delivery.report.only.error", "true");
    config
}

/// For an upstream of the engine's own: the demo.
pub(super) fn publisher(settings: &Settings) -> ClientConfig {
    let mut config = writing(settings, &[]);
    // One record after the other, in order, whatever is sent again.
    config.set("enable.idempotence", "true");
    config
}

/// For the membership of the group.
pub(super) fn membership(settings: &Settings) -> ClientConfig {
    // Its partitions are paused and never read.
    let tuned = [("queued.min.messages", "1".to_owned())];
    let mut config = base(settings, &tuned, &settings.consumer);
    config
        .set("group.id", &settings.group_id)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", settings.heartbeat().as_millis().to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "1");
    config
}

/// For an operator's questions.
pub(super) fn admin(settings: &Settings) -> ClientConfig {
    base(settings, &[], &Properties::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::RESERVED_PROPERTIES;
    use crate::kafka::settings::tests::settings;

    fn all(settings: &Settings) -> Vec<ClientConfig> {
        vec![
            inputs(settings, 1, Kind::Few),
            inputs(settings, 100, Kind::Few),
            inputs(settings, 100, Kind::Many),
            inputs(settings, 100, Kind::Quiet),
            log_reader(settings),
            writer(settings, 3),
            control(settings),
            membership(settings),
        ]
    }

    #[test]
    fn librdkafka_accepts_every_configuration() {
        let mut settings = settings();
        for delivery in [Delivery::Transactional, Delivery::AtLeastOnce] {
            settings.delivery = delivery;
            for config in all(&settings) {
                config.create_native_config().expect("each property is known and in range");
            }
        }
    }

    #[test]
    fn defaults_that_lose_or_double_data_are_overridden() {
        let config = inputs(&settings(), 1, Kind::Few);
        for (key, value) in [
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
            ("check.crcs", "true"),
            ("enable.partition.eof", "true"),
        ] {
            assert_eq!(config.get(key), Some(value));
        }
        assert_eq!(config.get("group.id"), None, "a group's offsets could be resumed from");
        let config = writer(&settings(), 3);
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("linger.ms"), Some("0"));
        assert_eq!(config.get("transactional.id"), Some("decisions-3"));
    }

    #[test]
    fn a_lane_of_many_shards_shares_the_memory_of_a_few_out() {
        let whole = settings().receive_queue_bytes;
        for shards in [1, FULL_QUEUES] {
            let Room { queue, partition, answer } = Room::of(shards, whole);
            assert_eq!((queue, partition, answer), (whole, FETCH_PARTITION_BYTES, FETCH_BYTES));
        }
        for shards in [5, 20, 100, 200] {
            let Room { queue, partition, answer } = Room::of(shards, whole);
            assert!(queue * shards <= whole * FULL_QUEUES && queue >= SMALLEST_SHARE);
            assert!(partition <= queue && partition >= SMALLEST_SHARE && answer >= FETCH_PARTITION_BYTES);
        }
        assert_eq!(Room::of(1_000, whole).queue, SMALLEST_SHARE);
        assert_eq!(Room::of(100, 16 << 10).queue, 16 << 10, "what is set is not exceeded");
    }

    #[test]
    fn what_is_passed_through_beats_what_is_tuned_and_not_what_is_needed() {
        let mut settings = settings();
        settings.consumer.insert("fetch.wait.max.ms".to_owned(), "77".to_owned());
        settings.consumer.insert("check.crcs".to_owned(), "false".to_owned());
        let config = inputs(&settings, 1, Kind::Few);
        assert_eq!(config.get("fetch.wait.max.ms"), Some("77"));
        assert_eq!(config.get("check.crcs"), Some("true"));
    }

    #[test]
    fn no_property_is_ignored_in_silence() {
        for plain in all(&settings()) {
            for key in plain.config_map().into_keys() {
                if RESERVED_PROPERTIES.iter().any(|(reserved, _)| *reserved == key) {
                    continue;
                }
                let mut settings = settings();
                settings.common.insert(key.to_owned(), "mine".to_owned());
                let has_mine = |value: &str| value.split(',').any(|part| part == "mine");
                let mine = |config: &ClientConfig| config.get(key).is_none_or(has_mine);
                assert!(all(&settings).iter().all(mine), "{key} is neither refused nor passed on");
            }
        }
    }
}
