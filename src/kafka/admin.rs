//! Topics and brokers as an operator sees them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use thiserror::Error;

use super::clients;
use super::context::Context;
use super::control::{describe_topics, watermarks};
use super::fault::{Problem, fault};
use super::ffi::{Owner, TopicFound};
use super::graveyard::Buried;
use super::settings::{Delivery, Settings};
use super::trouble::Trouble;
use super::writer::KafkaWriter;
use crate::broker::{Fault, LogWriter, Outgoing, Output};

/// Broker configurations or topic configurations: name and value as the broker shows them.
pub type Configs = BTreeMap<String, String>;

/// A partition, by broker ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// -1 if it has none.
    pub leader: i32,
    /// All that should have it.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub isr: Vec<i32>,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Kafka topic id.
    pub id: [u8; 16],
    /// Its partitions, in order.
    pub partitions: Vec<PartitionDescription>,
    /// Its configuration, defaults included.
    pub config: Configs,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas; `None`: the cluster's default.
    pub replication: Option<u16>,
    /// Its configuration.
    pub config: Configs,
}

/// Why a topic was not created.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CreateTopicError {
    /// There is one of this name.
    #[error("topic `{0}` exists already")]
    Exists(String),
    /// The broker's words.
    #[error("topic `{name}` was not created: {what}")]
    Refused {
        /// The topic.
        name: String,
        /// The broker's words.
        what: String,
    },
    /// The brokers could not be asked.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Ids of its brokers, with `host:port`.
    pub brokers: BTreeMap<i32, String>,
}

/// Whether a broker is new enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerAge {
    /// 3.6 or newer: it verifies that a partition was added to the transaction that writes to it.
    Supported,
    /// Older than 3.6.
    TooOld,
    /// Its configuration does not tell.
    Unknown,
}

/// How long the brokers are waited for before it is looked why none has answered.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Pause between two questions.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// An administrator's client. Its calls wait; not for use on a thread that runs futures.
pub struct Admin {
    settings: Settings,
    timeout: Duration,
    client: Arc<Buried<AdminClient<Context>>>,
}

impl Admin {
    /// Makes the client; connects when first used. Every call gives up after `timeout`.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(settings: &Settings, timeout: Duration) -> Result<Self, Fault> {
        let client = clients::admin(settings).create_with_context(Context::default());
        let client = client.map_err(|error| fault(&error, "make an administrator's client"))?;
        Ok(Self { settings: settings.clone(), timeout, client: Arc::new(Buried::new(client)) })
    }

    fn owner(&self) -> Owner {
        Arc::clone(&self.client) as Owner
    }

    /// The last connection that failed: why a call waited in vain.
    pub fn trouble(&self) -> Option<Trouble> {
        self.client.inner().context().trouble()
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// The cluster's id and brokers.
    ///
    /// # Errors
    /// The brokers cannot be reached: at once if certificates or passwords are why, else when the time is up.
    pub fn cluster(&self) -> Result<ClusterDescription, Fault> {
        let client = self.client.inner();
        let deadline = Instant::now() + self.timeout;
        let metadata = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match client.fetch_metadata(None, left.min(LOOK_EVERY)) {
                Ok(metadata) => break metadata,
                // A wrong password does not become right by waiting.
                Err(error)
                    if left <= LOOK_EVERY || self.trouble().is_some_and(|trouble| trouble.kind.is_configuration()) =>
                {
                    return Err(fault(&error, "ask for the brokers"));
                }
                // One that was not waited for must not make this a spin.
                Err(_) => thread::park_timeout(LOOK_PAUSE),
            }
        };
        let brokers = metadata.brokers().iter();
        Ok(ClusterDescription {
            id: client.fetch_cluster_id(self.timeout),
            brokers: brokers.map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port()))).collect(),
        })
    }

    /// Topics by name, in the order asked; `None` for one that does not exist.
    ///
    /// # Errors
    /// The brokers cannot be reached, or refuse.
    pub fn describe_topics(&self, names: &[&str]) -> Result<Vec<Option<TopicDescription>>, Fault> {
        let what = format!("describe topics {}", names.join(", "));
        let found = describe_topics(&self.owner(), names, self.timeout).map_err(|problem| problem.fault(&what))?;
        let mut described = Vec::with_capacity(names.len());
        for (name, found) in names.iter().zip(found) {
            described.push(match found {
                Ok(found) => Some(self.description(name, found)?),
                Err(problem) if problem.code == Code::UnknownTopicOrPartition => None,
                Err(problem) => return Err(problem.fault(&format!("describe topic {name}"))),
            });
        }
        Ok(described)
    }

    fn description(&self, name: &str, found: TopicFound) -> Result<TopicDescription, Fault> {
        let config = self.configs(ResourceSpecifier::Topic(name), &format!("describe the configuration of {name}"))?;
        let partitions = found.partitions.into_iter().map(|partition| PartitionDescription {
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
        });
        Ok(TopicDescription { name: name.to_owned(), id: found.id, partitions: partitions.collect(), config })
    }

    fn configs(&self, resource: ResourceSpecifier<'_>, what: &str) -> Result<Configs, Fault> {
        let options = self.options();
        let results = wait(self.client.describe_configs([&resource], &options)).map_err(|error| fault(&error, what))?;
        let result = results.into_iter().next().unwrap_or(Err(Code::Unknown));
        let resource = result.map_err(|code| Problem::new(code, "refused").fault(what))?;
        let entries = resource.entries.into_iter();
        Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// The configuration of each broker, by its id. One that dies meanwhile, and so leaves the cluster, is left out.
    ///
    /// # Errors
    /// The brokers cannot be reached, or refuse.
    pub fn broker_configs(&self) -> Result<BTreeMap<i32, Configs>, Fault> {
        let mut named = self.cluster()?.brokers;
        let mut configs = BTreeMap::new();
        while let Some(&id) = named.keys().find(|id| !configs.contains_key(*id)) {
            match self.configs(ResourceSpecifier::Broker(id), &format!("describe the configuration of broker {id}")) {
                Ok(found) => drop(configs.insert(id, found)),
                // One that has just died is named until its controller misses it.
                Err(fault @ Fault::Transient(_)) => {
                    named = self.cluster()?.brokers;
                    if named.contains_key(&id) {
                        return Err(fault);
                    }
                    tracing::warn!(broker = id, "it did not answer, is no longer one of the cluster and was left out");
                }
                Err(fault) => return Err(fault),
            }
        }
        if configs.is_empty() {
            return Err(Fault::Transient("the cluster names no broker".to_owned()));
        }
        Ok(configs)
    }

    /// Creates topics; one result each, in order.
    pub fn create_topics(&self, specs: &[TopicSpec]) -> Vec<Result<(), CreateTopicError>> {
        specs.iter().map(|spec| self.create_topic(spec)).collect()
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<(), CreateTopicError> {
        let name = || spec.name.clone();
        let replication = spec.replication.map_or(BROKER_DEFAULT, i32::from);
        let mut topic = NewTopic::new(&spec.name, spec.partitions as i32, TopicReplication::Fixed(replication));
        for (key, value) in &spec.config {
            topic = topic.set(key, value);
        }
        // Done when the brokers know it, so that what follows finds it.
        let results = wait(self.client.create_topics([&topic], &self.options()));
        let results = results.map_err(|error| match error {
            // librdkafka looks at names, counts and sizes before it asks.
            KafkaError::AdminOpCreation(what) => CreateTopicError::Refused { name: name(), what },
            error => CreateTopicError::Fault(fault(&error, &format!("create topic {}", spec.name))),
        })?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, Code::TopicAlreadyExists))) => Err(CreateTopicError::Exists(name())),
            Some(Err((_, Code::InvalidReplicationFactor))) => Err(CreateTopicError::Refused {
                name: name(),
                what: "the cluster has fewer brokers than each partition is to have copies (--replication); for \
                       development on one broker use --dev"
                    .to_owned(),
            }),
            Some(Err((_, code))) => Err(CreateTopicError::Refused { name: name(), what: code.to_string() }),
            None => {
                Err(CreateTopicError::Refused { name: name(), what: "the broker did not answer for it".to_owned() })
            }
        }
    }

    /// Writes the first record of a shard's log, in a transaction of the shard's own transactional.id.
    ///
    /// # Errors
    /// As of a [`LogWriter`]: after one it is not known whether the record was written.
    pub fn publish_genesis(&self, shard: u32, value: &[u8]) -> Result<(), Fault> {
        let settings = Settings { delivery: Delivery::Transactional, ..self.settings.clone() };
        let mut writer = KafkaWriter::open(&settings, shard)?;
        writer.init(self.timeout)?;
        writer.begin()?;
        writer.send(Outgoing { output: Output::Decisions, key: None, value: Some(value), headers: &[] })?;
        writer.commit(self.timeout).map(|_| ())
    }

    /// First offset of a partition and the offset after its last, open transactions included: equal if it is empty.
    /// Asks again while its leader is being elected, or was when this client last looked.
    ///
    /// # Errors
    /// The brokers cannot be reached, or there is no such partition.
    pub fn watermarks(&self, topic: &str, partition: u32) -> Result<(i64, i64), Fault> {
        let ask = |left| watermarks(self.client.inner(), &self.owner(), (topic, partition), left);
        // What it answers is not wanted: by asking, librdkafka learns who leads.
        let look = |left| drop(describe_topics(&self.owner(), &[topic], left));
        until_led(Instant::now() + self.timeout, ask, look)
    }
}

/// Asks a partition's leader, and again after a look for it while it may be another one, or none yet. Both are told how
/// much time is left.
fn until_led<T>(
    deadline: Instant,
    ask: impl Fn(Duration) -> Result<T, Fault>,
    look: impl Fn(Duration),
) -> Result<T, Fault> {
    let left = || deadline.saturating_duration_since(Instant::now());
    loop {
        match ask(left()) {
            Err(Fault::Transient(_)) if left() > LOOK_PAUSE => {
                thread::park_timeout(LOOK_PAUSE);
                look(left());
            }
            answer => return answer,
        }
    }
}

/// Waits for a future without a runtime: librdkafka's own thread completes it, within the request's time-out.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// Whether a broker with this configuration is new enough (3.6). Told by a configuration that came with that version,
/// because librdkafka does not show what a broker answers to ApiVersions; a managed service may hide it.
pub fn broker_age(configs: &Configs) -> BrokerAge {
    if configs.contains_key(SINCE_3_6) {
        return BrokerAge::Supported;
    }
    // Gone in 4.0; a broker that shows it and not the other is of a version before 3.6.
    if configs.contains_key(UNTIL_3_9) { BrokerAge::TooOld } else { BrokerAge::Unknown }
}

/// Came with Kafka 3.6, as the first part of KIP-890: the broker verifies that a partition belongs to the transaction
/// that writes to it.
const SINCE_3_6: &str = "transaction.partition.verification.enable";

/// Shown by every Kafka before 4.0.
const UNTIL_3_9: &str = "inter.broker.protocol.version";

/// Tells the broker to use its own default.
const BROKER_DEFAULT: i32 = -1;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn shown(keys: &[&str]) -> Configs {
        keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn a_broker_before_3_6_is_told_from_a_newer_one_and_from_one_that_hides_it() {
        assert_eq!(broker_age(&shown(&[SINCE_3_6, UNTIL_3_9])), BrokerAge::Supported);
        assert_eq!(broker_age(&shown(&[SINCE_3_6])), BrokerAge::Supported);
        assert_eq!(broker_age(&shown(&[UNTIL_3_9])), BrokerAge::TooOld);
        assert_eq!(broker_age(&shown(&["log.dirs"])), BrokerAge::Unknown);
    }

    #[test]
    fn a_future_that_is_completed_by_another_thread_is_waited_for() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || tell.send(7));
        assert_eq!(wait(told), Ok(7));
        assert!(other.join().is_ok());
    }
    #[test]
    fn a_leader_that_changed_is_looked_for_and_one_that_refuses_is_not_asked_again() {
        let (far, asked, looked) = (Instant::now() + Duration::from_secs(3_600), Cell::new(0), Cell::new(0));
        let moved = || Err(Fault::Transient("moved".to_owned()));
        let ask = |_| {
            asked.set(asked.get() + 1);
            if looked.get() < 2 { moved() } else { Ok(asked.get()) }
        };
        assert_eq!(until_led(far, ask, |_| looked.set(looked.get() + 1)).expect("it is found"), 3);
        assert!(matches!(until_led(Instant::now(), |_| moved(), |_| unreachable!()), Err(Fault::Transient(_))));
        let refused = |_| Err::<(), _>(Fault::Fatal("no".to_owned()));
        assert!(matches!(until_led(far, refused, |_| unreachable!()), Err(Fault::Fatal(_))));
    }
}
