//! Topics on a real Apache Kafka, and plain clients around the engine's own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use sluice::broker::{Input, Output};
use sluice::kafka::{Delivery, KafkaBroker, Properties, Settings, TopicNames};
use sluice::wire::limits::{DEAD_LETTER_MESSAGE_BYTES, INPUT_MESSAGE_BYTES, LOG_MESSAGE_BYTES};

use crate::conformance::{Plain, Upstream, Watched, World, eventually};
use crate::kafka;

/// One request on a broker of this machine, however busy that is.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// One look at a queue.
const LOOK: Duration = Duration::from_millis(100);

/// Partitions of `replies` and of the topic with one record a decision.
const REPLY_PARTITIONS: u32 = 2;

pub(crate) struct KafkaWorld {
    settings: Settings,
    admin: AdminClient<DefaultClientContext>,
    producer: BaseProducer<Deliveries>,
    uncommitted: BaseConsumer,
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Unique within and between runs of this process.
fn unique() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// Asks an administrator's question and waits for the answer.
fn ask<T>(question: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(question)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

impl KafkaWorld {
    fn name(&self, topic: Watched) -> &str {
        let names = &self.settings.topics;
        match topic {
            Watched::Orders => &names.orders,
            Watched::Stock => &names.stock,
            Watched::Decisions => &names.decisions,
        }
    }

    fn input(&self, input: Input) -> &str {
        if input == Input::Stock { &self.settings.topics.stock } else { &self.settings.topics.orders }
    }

    fn place(&self, output: Output, partition: u32) -> (&str, i32) {
        let names = &self.settings.topics;
        match output {
            Output::Decisions => (&names.decisions, partition as i32),
            Output::Replies(partition) => (&names.replies, partition as i32),
            Output::DeadLetters(_) => (&names.dead_letters, partition as i32),
            Output::PerDecision => (names.per_decision.as_deref().expect("it was made"), partition as i32),
        }
    }

    /// Makes a topic and waits until it can be used.
    fn make(&self, name: &str, partitions: u32, message_bytes: usize, timestamps: &str) {
        self.make_at(name, partitions, message_bytes, timestamps, &[]);
    }

    /// The same, each partition on these brokers if any are named.
    fn make_at(&self, name: &str, partitions: u32, message_bytes: usize, timestamps: &str, replicas: &[&[i32]]) {
        let bytes = message_bytes.to_string();
        let replication =
            if replicas.is_empty() { TopicReplication::Fixed(1) } else { TopicReplication::Variable(replicas) };
        let topic = NewTopic::new(name, partitions as i32, replication)
            .set("min.insync.replicas", "1")
            .set("unclean.leader.election.enable", "true")
            .set("max.message.bytes", &bytes)
            .set("message.timestamp.type", timestamps);
        let made = ask(self.admin.create_topics([&topic], &options())).expect("the broker answers");
        made[0].as_ref().expect("nothing is wrong");
        self.await_partitions(name, partitions);
    }

    /// Partitions with a leader, as the broker knows them now; none if there is no such topic. Asked by the
    /// administrator's client: others would remember for long that a topic was not there.
    fn partitions(&self, name: &str) -> Option<usize> {
        let metadata = self.admin.inner().fetch_metadata(Some(name), REQUEST_TIMEOUT).expect("the broker answers");
        let topic = metadata.topics().first()?;
        topic.error().is_none().then(|| topic.partitions().iter().filter(|p| p.error().is_none()).count())
    }

    fn await_partitions(&self, name: &str, partitions: u32) {
        eventually::<Self, _>(&format!("{partitions} partitions of {name}"), || {
            (self.partitions(name) == Some(partitions as usize)).then_some(())
        });
    }

    /// Waits until the cluster knows that this broker leads the first partition of a topic; -1 is nobody.
    pub(crate) fn await_leader(&self, topic: Watched, leader: i32) {
        let name = self.name(topic);
        eventually::<Self, _>(&format!("leader {leader} of {name}"), || {
            let metadata = self.admin.inner().fetch_metadata(Some(name), REQUEST_TIMEOUT).ok()?;
            let found = metadata.topics().first()?.partitions().first()?.leader();
            if found != leader {
                std::thread::sleep(LOOK);
            }
            (found == leader).then_some(())
        });
    }

    /// Fresh topics on any cluster. `inputs` are the brokers that hold each partition of `orders` and of `stock`, the first
    /// of which leads; whichever the cluster likes if none are named.
    pub(crate) fn fresh_at(bootstrap: &str, shards: u32, inputs: &[&[i32]]) -> Self {
        let bootstrap = bootstrap.to_owned();
        let unique = unique();
        let topic = |kind: &str| format!("{kind}-{unique}");
        let settings = Settings {
            bootstrap_servers: bootstrap.clone(),
            client_id: format!("conformance-{unique}"),
            group_id: format!("conformance-{unique}"),
            topics: TopicNames {
                orders: topic("orders"),
                stock: topic("stock"),
                decisions: topic("decisions"),
                replies: topic("replies"),
                dead_letters: topic("dead-letters"),
                per_decision: Some(topic("per-decision")),
            },
            common: Properties::new(),
            consumer: Properties::new(),
            producer: Properties::new(),
            commit_timeout: <Self as World>::PATIENCE,
            // Longer than any case: no transaction is ended but by the case itself.
            transaction_timeout: <Self as World>::PATIENCE * 5,
            session_timeout: Duration::from_secs(10),
            receive_queue_bytes: 8 << 20,
            delivery: Delivery::Transactional,
        };
        let mut config = client(&bootstrap);
        let admin = config.create().expect("a client can be made");
        config.set("linger.ms", "0").set("message.max.bytes", INPUT_MESSAGE_BYTES.to_string());
        let producer = config.create_with_context(Deliveries::default()).expect("a client can be made");
        let uncommitted = client(&bootstrap).set("isolation.level", "read_uncommitted").create();
        let world = Self { settings, admin, producer, uncommitted: uncommitted.expect("a client can be made") };
        let names = world.settings.topics.clone();
        world.make_at(&names.orders, shards, INPUT_MESSAGE_BYTES, "LogAppendTime", inputs);
        world.make_at(&names.stock, shards, INPUT_MESSAGE_BYTES, "LogAppendTime", inputs);
        for (name, partitions, bytes, timestamps) in [
            (names.decisions, shards, LOG_MESSAGE_BYTES, "CreateTime"),
            (names.replies, REPLY_PARTITIONS, LOG_MESSAGE_BYTES, "CreateTime"),
            (names.dead_letters, shards, DEAD_LETTER_MESSAGE_BYTES, "CreateTime"),
            (topic("per-decision"), REPLY_PARTITIONS, LOG_MESSAGE_BYTES, "CreateTime"),
        ] {
            world.make(&name, partitions, bytes, timestamps);
        }
        world
    }

    fn delete(&self, topic: Watched) {
        let name = self.name(topic);
        let deleted = ask(self.admin.delete_topics(&[name], &options())).expect("the broker answers");
        deleted[0].as_ref().expect("nothing is wrong");
        eventually::<Self, _>(&format!("the end of {name}"), || self.partitions(name).is_none().then_some(()));
    }
}

impl World for KafkaWorld {
    type Broker = KafkaBroker;
    type Upstream = KafkaUpstream;

    const PATIENCE: Duration = Duration::from_secs(60);
    /// After 10 s it is quiet, and then it takes a fetch or two.
    const REST: Duration = Duration::from_secs(12);
    /// Both run on this machine, whose clock may be set meanwhile.
    const CLOCK_TOLERANCE_MS: i64 = 1000;

    fn fresh(shards: u32) -> Self {
        let bootstrap = kafka::share().bootstrap();
        Self::fresh_at(&bootstrap, shards, &[])
    }

    fn broker(&self) -> KafkaBroker {
        KafkaBroker::new(self.settings.clone()).expect("nothing is wrong")
    }

    fn now_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_millis() as i64
    }

    fn publish(&self, input: Input, shard: u32, records: &[Plain]) -> i64 {
        publish(&self.producer, self.input(input), shard, records)[0]
    }

    fn upstream(&self) -> KafkaUpstream {
        let producer: BaseProducer<Deliveries> = client(&self.settings.bootstrap_servers)
            .set("transactional.id", format!("upstream-{}", unique()))
            .set("transaction.timeout.ms", (Self::PATIENCE * 5).as_millis().to_string())
            .set("linger.ms", "0")
            .create_with_context(Deliveries::default())
            .expect("a client can be made");
        producer.init_transactions(REQUEST_TIMEOUT).expect("nothing is wrong");
        let TopicNames { orders, stock, .. } = self.settings.topics.clone();
        KafkaUpstream { producer, is_open: false, orders, stock }
    }

    fn read(&self, output: Output, partition: u32) -> Vec<(i64, Plain)> {
        let (topic, partition) = self.place(output, partition);
        let consumer: BaseConsumer = client(&self.settings.bootstrap_servers)
            .set("group.id", "conformance")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a client can be made");
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning).expect("it is an offset");
        consumer.assign(&from).expect("nothing is wrong");
        let mut found = Vec::new();
        // Said by the broker in answer to a fetch from the end that it has for committed records.
        eventually::<Self, _>(&format!("the end of {topic}-{partition}"), || match consumer.poll(LOOK) {
            None => None,
            Some(Ok(message)) => {
                found.push((message.offset(), plain(&message)));
                None
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Some(()),
            Some(Err(error)) => panic!("{topic}-{partition}: {error}"),
        });
        found
    }

    fn high(&self, output: Output, partition: u32) -> i64 {
        let (topic, partition) = self.place(output, partition);
        self.uncommitted.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).expect("the broker answers").1
    }

    fn trim(&self, topic: Watched, shard: u32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(self.name(topic), shard as i32, Offset::Offset(offset)).expect("it is an offset");
        let deleted = ask(self.admin.delete_records(&before, &options())).expect("the broker answers");
        for element in deleted.elements() {
            element.error().expect("nothing is wrong");
        }
    }

    fn recreate(&self, topic: Watched, partitions: u32) {
        self.delete(topic);
        let bytes = if topic == Watched::Decisions { LOG_MESSAGE_BYTES } else { INPUT_MESSAGE_BYTES };
        self.make(self.name(topic), partitions, bytes, "LogAppendTime");
    }

    fn grow(&self, topic: Watched, partitions: u32) {
        let more = NewPartitions::new(self.name(topic), partitions as usize);
        let grown = ask(self.admin.create_partitions([&more], &options())).expect("the broker answers");
        grown[0].as_ref().expect("nothing is wrong");
        self.await_partitions(self.name(topic), partitions);
    }

    fn let_clients_stamp(&self, topic: Watched) {
        // Made anew: when a change to a topic that is there takes effect, nothing tells.
        self.delete(topic);
        self.make(self.name(topic), 1, INPUT_MESSAGE_BYTES, "CreateTime");
    }
}

/// A transactional producer of plain librdkafka.
pub(crate) struct KafkaUpstream {
    producer: BaseProducer<Deliveries>,
    is_open: bool,
    orders: String,
    stock: String,
}

impl Upstream for KafkaUpstream {
    fn publish(&mut self, input: Input, shard: u32, records: &[Plain]) {
        if !self.is_open {
            self.producer.begin_transaction().expect("nothing is wrong");
            self.is_open = true;
        }
        publish(&self.producer, if input == Input::Stock { &self.stock } else { &self.orders }, shard, records);
    }

    fn commit(&mut self) {
        self.producer.commit_transaction(REQUEST_TIMEOUT).expect("nothing is wrong");
        self.is_open = false;
    }

    fn abort(&mut self) {
        self.producer.abort_transaction(REQUEST_TIMEOUT).expect("nothing is wrong");
        self.is_open = false;
    }
}

/// Offsets of what was delivered since they were last taken.
#[derive(Default)]
struct Deliveries(Mutex<Vec<i64>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap_or_else(|(error, _)| panic!("not delivered: {error}"));
        self.0.lock().expect("nobody panicked").push(message.offset());
    }
}

/// Publishes and waits until all is there; the offsets.
fn publish(producer: &BaseProducer<Deliveries>, topic: &str, partition: u32, records: &[Plain]) -> Vec<i64> {
    for record in records {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
        let mut outgoing = BaseRecord::<[u8], [u8]>::to(topic).partition(partition as i32).headers(headers);
        (outgoing.key, outgoing.payload) = (record.key.as_deref(), record.value.as_deref());
        producer.send(outgoing).unwrap_or_else(|(error, _)| panic!("{topic}-{partition}: {error}"));
    }
    eventually::<KafkaWorld, _>("deliveries", || {
        producer.poll(LOOK);
        let mut delivered = producer.context().0.lock().expect("nobody panicked");
        (delivered.len() == records.len()).then(|| std::mem::take(&mut *delivered))
    })
}

fn plain(message: &impl Message) -> Plain {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Plain { key: message.key().map(<[u8]>::to_vec), value: message.payload().map(<[u8]>::to_vec), headers }
}
