//! librdkafka's mock cluster, in this process, for the demo: nothing in it lasts, it keeps only the newest 5 MiB of a
//! partition, and it does not hide aborted records.
//!
//! What it lacks, [`MockBroker`] makes up: records carry the client's time, which is taken for the broker's, and topic
//! ids (it does not answer DescribeTopics), for which a hash of the name does. Nothing in the real service leads here.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use xxhash_rust::xxh3::xxh3_128;

use super::broker::KafkaBroker;
use super::fault::fault;
use super::inputs::{KafkaInputs, KafkaRecords};
use super::log_reader::KafkaLogReader;
use super::settings::Settings;
use super::writer::KafkaWriter;
use crate::broker::{
    Broker, Ends, Fault, Header, Input, Inputs, Position, ReadFrom, Record, Records, TimestampKind, TopicFacts, Wake,
};

/// How inputs are fetched, quiet or not: a mock broker holds a fetch that finds too little open for the whole of its time,
/// whatever arrives meanwhile.
const FETCHES: [(&str, &str); 2] = [("fetch.wait.max.ms", "25"), ("fetch.min.bytes", "1")];

/// A cluster in this process; gone when dropped. Clients of any kind may connect to it.
pub struct EmbeddedCluster {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedCluster {
    /// Starts it on free loopback ports.
    ///
    /// # Errors
    /// librdkafka could not start it.
    pub fn start(brokers: u16) -> Result<Self, Fault> {
        let cluster = MockCluster::new(i32::from(brokers));
        Ok(Self { cluster: cluster.map_err(|error| fault(&error, "start a mock cluster"))? })
    }

    /// `host:port`, comma-separated.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes a topic, one replica.
    ///
    /// # Errors
    /// There is one of this name.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), Fault> {
        let made = self.cluster.create_topic(name, partitions as i32, 1);
        made.map_err(|error| fault(&error, &format!("make topic {name}")))
    }
}

/// A [`KafkaBroker`] on an [`EmbeddedCluster`].
pub struct MockBroker(KafkaBroker);

impl MockBroker {
    /// As [`KafkaBroker::new`], whatever `bootstrap_servers` says on `cluster`.
    ///
    /// # Errors
    /// As of [`KafkaBroker::new`].
    pub fn new(cluster: &EmbeddedCluster, mut settings: Settings) -> Result<Self, Fault> {
        for (key, value) in FETCHES {
            settings.consumer.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        KafkaBroker::new(Settings { bootstrap_servers: cluster.bootstrap_servers(), ..settings }).map(Self)
    }
}

/// Records whose client's time is taken for the broker's.
pub struct MockRecords(KafkaRecords);

impl Records for MockRecords {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        Record { timestamp_kind: TimestampKind::LogAppend, ..self.0.get(i) }
    }

    fn headers(&self, i: usize) -> Vec<Header> {
        self.0.headers(i)
    }
}

/// A shard's inputs on a mock cluster.
pub struct MockInputs(KafkaInputs);

impl Inputs for MockInputs {
    type Records = MockRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<MockRecords>, Fault> {
        Ok(self.0.poll(at, input, most)?.map(MockRecords))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        self.0.position(at, input)
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        self.0.reopen(at, orders, stock)
    }

    fn wait(&mut self, timeout: Duration) {
        self.0.wait(timeout);
    }

    fn waker(&self) -> std::sync::Arc<dyn Wake> {
        self.0.waker()
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.0.ask_ends(at, ticket);
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        self.0.ends()
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        self.0.tick(at)
    }
}

impl Broker for MockBroker {
    type Inputs = MockInputs;
    type Writer = KafkaWriter;
    type Reader = KafkaLogReader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        let names = &self.0.settings.topics;
        let mut facts = TopicFacts { partitions: [0; 3], ids: [[0; 16]; 3] };
        for (i, name) in [&names.orders, &names.stock, &names.decisions].into_iter().enumerate() {
            let found = self.0.control.client().fetch_metadata(Some(name), timeout);
            let found = found.map_err(|error| fault(&error, &format!("describe topic {name}")))?;
            facts.partitions[i] = found.topics().first().map_or(0, |topic| topic.partitions().len()) as u32;
            facts.ids[i] = xxh3_128(name.as_bytes()).to_be_bytes();
        }
        Ok(facts)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<MockInputs, Fault> {
        self.0.inputs(from).map(MockInputs)
    }

    fn writer(&self, lane: u32) -> Result<KafkaWriter, Fault> {
        self.0.writer(lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<KafkaLogReader, Fault> {
        self.0.reader(lane, from_offset)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::broker::{LogReader, LogWriter, Outgoing, Output};
    use crate::kafka::membership::{Event, Membership};
    use crate::kafka::settings::tests::settings;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn until<T>(mut step: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(done) = step() {
                return done;
            }
            assert!(Instant::now() < deadline, "nothing came");
        }
    }

    #[test]
    fn a_shard_finds_everything_it_needs_on_a_mock_cluster() {
        let cluster = EmbeddedCluster::start(1).expect("loopback ports are free");
        let settings = Settings { bootstrap_servers: cluster.bootstrap_servers(), ..settings() };
        for topic in ["orders", "stock", "decisions", "replies", "dead-letters"] {
            cluster.create_topic(topic, 2).expect("it is new");
        }
        let broker = MockBroker::new(&cluster, settings.clone()).expect("clients are made");
        let facts = broker.topics(PATIENCE).expect("it describes topics");
        assert_eq!(facts.partitions, [2, 2, 2]);
        println!("{facts:?}");

        let mut writer = broker.writer(1).expect("a producer is made");
        writer.init(PATIENCE).expect("it is the first");
        writer.begin().expect("begins");
        let record = Outgoing { output: Output::Decisions, key: None, value: Some(b"link"), headers: &[] };
        writer.send(record).expect("sent");
        println!("{:?}", writer.commit(PATIENCE).expect("committed"));
        let mut reader = broker.reader(1, 0).expect("a reader is made");
        let mut values = Vec::new();
        until(|| {
            let read = reader.read(Duration::from_millis(100), &mut |_, value| values.push(value.to_vec()));
            (read.expect("it can be read") > 0).then_some(())
        });
        assert_eq!(values, [b"link".to_vec()]);

        let mut inputs =
            broker.inputs(&[ReadFrom::new(1, Position::at(0), Position::at(0))]).expect("consumers are made");
        inputs.tick(0).expect("there is room");
        let batch = until(|| {
            inputs.wait(Duration::from_millis(20));
            inputs.poll(0, Input::Stock, 10).expect("it can be read")
        });
        assert_eq!(batch.get(0).timestamp_kind, TimestampKind::LogAppend);
        println!("{:?}", batch.get(0));
        inputs.ask_ends(0, 3);
        let ends = until(|| {
            inputs.wait(Duration::from_millis(20));
            inputs.ends().map(|(_, ends)| ends)
        });
        println!("{ends:?}");
        assert_eq!((ends.ticket, ends.stock.stable, ends.orders.high), (3, 1, 0));

        let member = Membership::join(&settings, crate::wire::Layout::one_each(2), PATIENCE).expect("joins");
        let event = member.events().recv_timeout(PATIENCE).expect("the group decides");
        assert!(matches!(&event, Event::Assigned(shards) if shards.len() == 2), "{event:?}");
        assert!(member.leave(PATIENCE));
    }
}
