//! What a commit says about itself, against librdkafka's mock cluster.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::kafka::settings::tests::settings;

/// More than any call here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each answer takes of a broker that is always slow.
const SLOW: Duration = Duration::from_millis(1_100);

struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    writer: KafkaWriter,
}

impl World {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster starts");
        let mut settings = settings();
        settings.bootstrap_servers = cluster.bootstrap_servers();
        for topic in [&settings.topics.decisions, &settings.topics.replies] {
            cluster.create_topic(topic, 1, 1).expect("the topic is new");
        }
        let mut writer = KafkaWriter::open(&settings, 0).expect("the settings are good");
        writer.init(PATIENCE).expect("nothing is in its way");
        World { cluster, writer }
    }

    fn commit(&mut self) -> Committed {
        self.writer.begin().expect("nothing is in its way");
        let record = Outgoing { output: Output::Decisions, key: None, value: Some(b"link"), headers: &[] };
        self.writer.send(record).expect("nothing is in its way");
        self.writer.commit(PATIENCE).expect("librdkafka sends it again by itself")
    }

    fn end_fails_with(&self, error: RDKafkaRespErr) {
        self.cluster.request_errors(RDKafkaApiKey::EndTxn, &[error]);
    }
}

#[test]
fn a_commit_is_suspicious_if_its_request_may_be_under_way_twice() {
    let mut world = World::new();
    assert!(!world.commit().suspicious);
    // The broker hangs up, each time in the same words: librdkafka reports repeated ones only after a while.
    for _ in 0..3 {
        world.end_fails_with(RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT);
        assert!(world.commit().suspicious);
        assert!(!world.commit().suspicious, "what came before a transaction is no sign of what it met");
    }
}

#[test]
fn a_broker_that_is_always_slow_is_not_suspicious() {
    let mut world = World::new();
    world.cluster.broker_round_trip_time(1, SLOW).expect("there is a broker 1");
    assert!(!world.commit().suspicious);
}

#[test]
fn trouble_of_a_connection_that_commits_nothing_is_not_suspicious() {
    let mut world = World::new();
    world.cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION]);
    assert!(!world.commit().suspicious);
}
