//! What a generator puts on a real Kafka is its stream, to the byte and in its order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Parser;
use loadtest::cli::{Cli, Command};
use loadtest::clock::RunClock;
use loadtest::load::generator::{Generator, Pace, Producer, Target};
use loadtest::load::scenario;
use loadtest::load::traffic::{Origin, PoolSet, RunId, Stream};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use sluice::devbroker::{Cluster, Options};

const TOPIC: &str = "orders";
const PARTITIONS: u32 = 3;
/// Longest wait for records that must be there: a busy machine.
const WITHIN: Duration = Duration::from_secs(60);
/// Longest single wait.
const POLL: Duration = Duration::from_millis(100);

fn broker() -> Cluster {
    let properties = [("num.partitions", PARTITIONS.to_string()), ("auto.create.topics.enable", "true".to_owned())];
    let properties = properties.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Cluster::start(&Options { properties, ..Options::default() }).expect("a broker")
}

/// Key and value of a record.
type KeyValue = (Vec<u8>, Vec<u8>);

/// The records of a partition, as many as are expected.
fn read(bootstrap: &str, partition: u32, count: usize) -> Vec<KeyValue> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, partition as i32, Offset::Beginning).expect("an offset");
    consumer.assign(&from).expect("assigned");
    let mut found = Vec::new();
    let deadline = Instant::now() + WITHIN;
    while found.len() < count {
        let read = found.len();
        assert!(Instant::now() < deadline, "{read} of {count} records of partition {partition}");
        // A wakeup can be lost, so no poll is long.
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message.expect("no error");
        let bytes = |part: Option<&[u8]>| part.expect("key and value").to_vec();
        found.push((bytes(message.key()), bytes(message.payload())));
    }
    let (_, end) = consumer.fetch_watermarks(TOPIC, partition as i32, WITHIN).expect("the end");
    assert_eq!(end as usize, count, "no more than that in partition {partition}");
    found
}

#[test]
fn what_is_on_the_topic_is_the_stream() {
    let Command::Generate(args) = Cli::parse_from([
        "loadtest",
        "generate",
        "--rate=6000",
        "--duration=2s",
        "--set=traffic.confirm.after=200ms",
        "--set=traffic.cancel.after=100ms",
    ])
    .command
    else {
        panic!("generate was asked for")
    };
    let scenario = scenario::load(&args.scenario).expect("a scenario");
    let profile = scenario.profile().expect("a profile");
    let cluster = broker();
    let (topic, stock_topic) = (TOPIC.to_owned(), "stock".to_owned());
    let target = Target { bootstrap_servers: cluster.bootstrap(), topic, stock_topic, properties: Vec::new() };
    let producer = Producer::connect(&target).expect("the broker answers");
    assert_eq!(producer.partitions(), PARTITIONS);
    let pools = PoolSet::new(&scenario.traffic.pools, PARTITIONS);
    let clock = RunClock::starting_in(Duration::from_millis(20));
    let origin = Origin {
        run: RunId::parse("real").expect("legal"),
        seed: scenario.seed,
        generator: 0,
        generators: 1,
        start_unix_ms: clock.start_unix_ms(),
        first_day: 0,
    };
    let stream = || Stream::new(&scenario, &profile, origin, &pools);

    let pace = Pace::WhenDue { clock, until_ns: u64::MAX };
    let sent = Generator::spawn(producer, stream(), &pools, &profile, 1.0, pace).expect("a thread").join();
    assert_eq!((&sent.trouble, sent.failed, sent.unsent), (&None, 0, 0));

    let mut expected: BTreeMap<u32, Vec<KeyValue>> = BTreeMap::new();
    let mut stream = stream();
    let mut value = Vec::new();
    while let Some(record) = stream.next(&mut value) {
        let key = pools.list()[record.pool as usize].name.clone().into_bytes();
        expected.entry(record.partition).or_default().push((key, std::mem::take(&mut value)));
    }
    assert_eq!(expected.len(), PARTITIONS as usize, "every shard gets load");
    assert_eq!(expected.values().map(Vec::len).sum::<usize>() as u64, sent.records);
    for (partition, records) in expected {
        assert!(read(&cluster.bootstrap(), partition, records.len()) == records, "partition {partition}");
    }
}
