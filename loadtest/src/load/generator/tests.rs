//! The generator against librdkafka's mock cluster: enough to see what is handed over, when, and what is counted.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;

use super::*;
use crate::load::scenario::{self, Scenario};
use crate::load::traffic::{Origin, Record, RunId};

const TOPIC: &str = "orders";
const STOCK: &str = "stock";
const PARTITIONS: i32 = 3;

fn scenario(flags: &[&str]) -> Scenario {
    use clap::Parser;
    let all = ["loadtest", "generate", "-s", "smoke"].iter().chain(flags);
    match crate::cli::Cli::try_parse_from(all).expect("flags that exist").command {
        crate::cli::Command::Generate(args) => scenario::load(&args.scenario).expect("a scenario"),
        other => panic!("{other:?} is not generate"),
    }
}

struct Rig {
    scenario: Scenario,
    profile: Profile,
    pools: PoolSet,
    origin: Origin,
}

impl Rig {
    fn new(flags: &[&str]) -> Self {
        let scenario = scenario(flags);
        let clock = RunClock::starting_in(Duration::ZERO);
        let origin = Origin {
            run: RunId::parse("test").expect("legal"),
            seed: scenario.seed,
            generator: 0,
            generators: 1,
            start_unix_ms: clock.start_unix_ms(),
            first_day: 0,
        };
        Self {
            profile: scenario.profile().expect("a profile"),
            pools: PoolSet::new(&scenario.traffic.pools, PARTITIONS as u32),
            scenario,
            origin,
        }
    }

    fn stream(&self) -> Stream {
        Stream::new(&self.scenario, &self.profile, self.origin, &self.pools)
    }

    fn records(&self) -> Vec<Record> {
        let mut stream = self.stream();
        let mut buffer = Vec::new();
        std::iter::from_fn(|| {
            buffer.clear();
            stream.next(&mut buffer)
        })
        .collect()
    }

    fn spawn(&self, cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>, pace: Pace) -> Generator {
        let producer = Producer::connect(&target(cluster)).expect("the mock cluster answers");
        assert_eq!(producer.partitions(), PARTITIONS as u32);
        Generator::spawn(producer, self.stream(), &self.pools, &self.profile, 1.0, pace).expect("a thread")
    }
}

fn target(cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>) -> Target {
    Target {
        bootstrap_servers: cluster.bootstrap_servers(),
        topic: TOPIC.to_owned(),
        stock_topic: STOCK.to_owned(),
        properties: Vec::new(),
    }
}

fn cluster() -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    [TOPIC, STOCK].into_iter().for_each(|topic| cluster.create_topic(topic, PARTITIONS, 1).expect("a topic"));
    cluster
}

fn when_due(until_s: u64) -> Pace {
    Pace::WhenDue { clock: RunClock::starting_in(Duration::from_millis(20)), until_ns: until_s * 1_000_000_000 }
}

#[test]
fn everything_is_sent_once_and_counted() {
    let rig = Rig::new(&["--rate", "5000", "--duration", "2s"]);
    let records = rig.records();
    let sent = rig.spawn(&cluster(), Pace::FlatOut).join();
    assert_eq!(sent.trouble, None);
    assert_eq!(sent.records, records.len() as u64);
    assert_eq!(sent.sent, records.iter().map(|record| u64::from(record.commands)).sum::<u64>());
    assert_eq!(sent.record_bytes, records.iter().map(|record| record.bytes as u64).sum::<u64>());
    assert_eq!(sent.poison, records.iter().filter(|record| record.kind == Kind::Poison).count() as u64);
    assert_eq!((sent.acknowledged, sent.failed, sent.unsent), (sent.sent, 0, 0));
    for kind in Kind::ALL {
        let last = records.iter().rev().find(|record| record.kind == kind).map_or(0, |record| record.end);
        assert_eq!(sent.ends[kind as usize], last, "{kind:?}");
    }
}

#[test]
fn shipments_go_to_the_topic_of_stock_and_all_else_to_that_of_orders() {
    let rig = Rig::new(&["--rate", "500", "--duration", "1s", "--set", "traffic.ship.share=0.5"]);
    let records = rig.records();
    let cluster = cluster();
    let sent = rig.spawn(&cluster, Pace::FlatOut).join();
    assert_eq!((sent.trouble, sent.failed, sent.unsent), (None, 0, 0));
    let reader: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .create()
        .expect("a consumer");
    for (topic, of_stock) in [(TOPIC, false), (STOCK, true)] {
        let end = |partition| reader.fetch_watermarks(topic, partition, Duration::from_secs(10)).expect("an end").1;
        let due = records.iter().filter(|record| record.kind.is_of_stock() == of_stock).count();
        assert!(due > 0);
        assert_eq!((0..PARTITIONS).map(end).sum::<i64>(), due as i64, "{topic}");
    }
}

#[test]
fn nothing_is_sent_before_it_is_due_and_nothing_is_left_out() {
    let rig = Rig::new(&["--rate", "3000", "--duration", "1s"]);
    let cluster = cluster();
    let generator = rig.spawn(&cluster, when_due(600));
    let progress = generator.progress().clone();
    let sent = generator.join();
    assert_eq!(sent.records, rig.records().len() as u64);
    let (mut asked, mut handed_over) = (0, 0);
    for second in 0..sent.sent_by_second.len() {
        asked += sent.asked_by_second.get(second).unwrap_or(&0);
        handed_over += sent.sent_by_second[second];
        assert!(handed_over <= asked, "in second {second}");
    }
    assert_eq!((asked, handed_over), (sent.sent, sent.sent));
    assert_eq!(sent.lag_us.len(), sent.sent + sent.poison);
    let end = progress.snapshot();
    assert!(end.done);
    assert_eq!((end.asked, end.sent, end.acknowledged, end.failed), (sent.sent, sent.sent, sent.sent, 0));
}

#[test]
fn what_was_due_before_a_stop_and_not_sent_is_counted() {
    let rig = Rig::new(&["--rate", "2000", "--duration", "1h"]);
    let cluster = cluster();
    let generator = rig.spawn(&cluster, when_due(7_200));
    while generator.progress().peek().records < 100 {
        std::thread::yield_now();
    }
    generator.stop();
    let sent = generator.join();
    assert!(sent.sent > 0 && sent.orders < 7_200_000);
    assert_eq!(sent.acknowledged, sent.sent);
    assert_eq!(sent.asked_by_second.iter().sum::<u64>(), sent.sent + sent.unsent);
}

#[test]
fn what_is_left_when_time_is_up_is_unsent() {
    let rig = Rig::new(&["--rate", "2000", "--duration", "2s"]);
    // Late by all of the profile from the start, and out of time.
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    let pace = Pace::WhenDue { clock: RunClock::starting_at(past), until_ns: 30_000_000_000 };
    let sent = rig.spawn(&cluster(), pace).join();
    assert_eq!(sent.sent, 0);
    assert_eq!(sent.unsent, rig.records().iter().map(|record| u64::from(record.commands)).sum::<u64>());
}

#[test]
fn a_record_that_no_broker_takes_is_failed_and_said() {
    let rig = Rig::new(&["--rate", "200", "--duration", "1s"]);
    let cluster = cluster();
    let target = Target {
        // Shorter than any record of the scenario.
        properties: vec![
            ("message.max.bytes".to_owned(), "1000".to_owned()),
            ("batch.size".to_owned(), "1000".to_owned()),
        ],
        ..target(&cluster)
    };
    let long = Rig::new(&["--rate", "200", "--duration", "1s", "--set", "traffic.orders_per_record=40"]);
    let producer = Producer::connect(&target).expect("the mock cluster answers");
    let generator = Generator::spawn(producer, long.stream(), &rig.pools, &long.profile, 1.0, Pace::FlatOut);
    let sent = generator.expect("a thread").join();
    assert!(sent.failed > 0 && sent.acknowledged + sent.failed == sent.sent, "{sent:?}");
    assert!(sent.trouble.is_some_and(|trouble| trouble.contains("would not take")));
}

#[test]
fn what_counts_depend_on_cannot_be_set() {
    let cluster = crate::cli::ClusterArgs {
        bootstrap_servers: "localhost:1".to_owned(),
        client: vec!["security.protocol=PLAINTEXT".to_owned()],
        producer: vec!["delivery.report.only.error=false".to_owned()],
        orders_topic: TOPIC.to_owned(),
        stock_topic: STOCK.to_owned(),
        decisions_topic: "decisions".to_owned(),
        dead_letters_topic: "dead-letters".to_owned(),
    };
    let refused = Target::new(&cluster).expect_err("reserved").to_string();
    assert!(refused.contains("delivery.report.only.error") && refused.contains("acknowledgements"), "{refused}");
    let free = Target::new(&crate::cli::ClusterArgs { producer: vec!["linger.ms=0".to_owned()], ..cluster });
    assert_eq!(free.expect("allowed").properties.len(), 2);
}
