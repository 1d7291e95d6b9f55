//! A shard's transactional producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients;
use super::context::Context;
use super::fault::{Problem, fault};
use super::ffi::{self, Owner, Queue};
use super::graveyard::Buried;
use super::reply_topic::ReplyTopic;
use super::rest::Rest;
use super::settings::{Delivery, Settings, TopicNames};
use crate::broker::{Committed, Fault, LogWriter, Outgoing, Output};

/// A commit that took longer is suspicious: usual are 2 to 50 ms, and whatever held it up may have made librdkafka send
/// EndTxn again.
const SLOW_COMMIT: Duration = Duration::from_secs(1);

/// How long `send` waits for room in the bounded send queue.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Longest sleep while waiting for acknowledgements: a wake-up may be lost (rust-rdkafka #840).
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Records handed over between two looks at the acknowledgements, so that those do not pile up.
const SENDS_PER_SERVE: u64 = 256;

/// A shard's producer.
pub struct KafkaWriter {
    producer: Arc<Buried<BaseProducer<Context>>>,
    queue: Queue,
    parker: Parker,
    topics: Arc<TopicNames>,
    shard: u32,
    delivery: Delivery,
    /// Records handed over since the producer was made; the context counts what became of them.
    sent: u64,
    /// Signs of trouble counted before the transaction began.
    troubles_before: u64,
    rest: Rest,
    pace: Pace,
    replies: ReplyTopic,
}

/// When things happened, for [`Rest`].
#[derive(Debug, Default)]
struct Pace {
    committed: Option<Instant>,
    /// This transaction's first record was handed over.
    first_sent: Option<Instant>,
    /// It was acknowledged.
    first_ack: Option<Instant>,
    /// Records acknowledged before this transaction.
    delivered_before: u64,
}

impl KafkaWriter {
    pub(super) fn open(settings: &Settings, shard: u32) -> Result<Self, Fault> {
        let producer = clients::writer(settings, shard).create_with_context(Context::default());
        let producer = producer.map_err(|error| fault(&error, &format!("make a producer for shard {shard}")))?;
        let producer = Arc::new(Buried::new(producer));
        let parker = Parker::new();
        let mut queue = Queue::main(Arc::clone(&producer) as Owner);
        queue.wake(parker.unparker().clone());
        let (topics, delivery) = (Arc::new(settings.topics.clone()), settings.delivery);
        Ok(Self {
            producer,
            queue,
            parker,
            topics,
            shard,
            delivery,
            sent: 0,
            troubles_before: 0,
            rest: Rest::new(),
            pace: Pace::default(),
            replies: ReplyTopic::default(),
        })
    }

    /// Handles everything that waits in the client's queue.
    fn serve(&mut self) {
        while !self.queue.is_empty() {
            self.producer.poll(Duration::ZERO);
        }
        if self.pace.first_ack.is_none() && self.producer.context().delivered() > self.pace.delivered_before {
            self.pace.first_ack = Some(Instant::now());
        }
    }

    /// Waits until the broker is likely to have done with the commit before.
    fn rest(&self) {
        let Some(committed) = self.pace.committed else { return };
        let until = Instant::now() + self.rest.left(committed.elapsed());
        while Instant::now() < until {
            self.sleep(until);
        }
    }

    fn learn(&mut self) {
        let Pace { committed: Some(committed), first_sent: Some(sent), first_ack: Some(acknowledged), .. } = self.pace
        else {
            return;
        };
        self.rest.learn(sent.duration_since(committed), acknowledged.duration_since(sent));
    }

    /// Sleeps until something waits in the client's queue, or the deadline; false if that is over.
    fn sleep(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.parker.park_timeout(left.min(LONGEST_WAIT));
        !left.is_zero()
    }

    /// A client that is beyond repair says why in one place only, and that is what tells a fenced one.
    fn fault(&self, error: &KafkaError, what: &str) -> Fault {
        let what = format!("{what}, shard {}", self.shard);
        match self.producer.client().fatal_error() {
            Some((code, text)) => Problem::new(code, &text).fault(&what),
            None => fault(error, &what),
        }
    }

    fn await_acknowledgements(&mut self, deadline: Instant) -> Result<(), Fault> {
        loop {
            self.serve();
            let context = self.producer.context();
            if context.failed() > 0 {
                let error = context.first_failure();
                let error = error.unwrap_or(KafkaError::MessageProduction(RDKafkaErrorCode::Unknown));
                return Err(self.fault(&error, "write records"));
            }
            if context.delivered() >= self.sent {
                return Ok(());
            }
            if !self.sleep(deadline) {
                let missing = self.sent - context.delivered();
                let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                return Err(self.fault(&error, &format!("wait for {missing} acknowledgements")));
            }
        }
    }
}

/// Topic and partition of an output; none where the key decides.
fn place(topics: &TopicNames, shard: u32, output: Output) -> Result<(&str, Option<u32>), Fault> {
    Ok(match output {
        Output::Decisions => (&topics.decisions, Some(shard)),
        Output::Replies(partition) => (&topics.replies, Some(partition)),
        Output::DeadLetters => (&topics.dead_letters, Some(shard)),
        Output::PerDecision => match &topics.per_decision {
            Some(topic) => (topic, None),
            None => return Err(Fault::Fatal("no topic for one record a decision is configured".to_owned())),
        },
    })
}

impl LogWriter for KafkaWriter {
    fn init(&mut self, timeout: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + timeout;
        if self.delivery == Delivery::Transactional {
            let done = self.producer.init_transactions(timeout);
            done.map_err(|error| self.fault(&error, "initialise transactions"))?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.replies.look(self.producer.client(), &self.topics.replies, left)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.serve();
        self.troubles_before = self.producer.context().troubles();
        self.pace.delivered_before = self.sent;
        (self.pace.first_sent, self.pace.first_ack) = (None, None);
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(());
        }
        self.rest();
        self.producer.begin_transaction().map_err(|error| self.fault(&error, "begin a transaction"))
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Fault> {
        let topics = Arc::clone(&self.topics);
        if let Output::Replies(partition) = outgoing.output
            && !self.replies.has(partition, self.producer.client(), &topics.replies)
        {
            return Ok(());
        }
        let (topic, partition) = place(&topics, self.shard, outgoing.output)?;
        let headers = (!outgoing.headers.is_empty()).then(|| {
            let headers = OwnedHeaders::new_with_capacity(outgoing.headers.len());
            outgoing
                .headers
                .iter()
                .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }))
        });
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.partition = partition.map(|partition| partition as i32);
        (record.key, record.payload, record.headers) = (outgoing.key, outgoing.value, headers);
        let deadline = Instant::now() + SEND_PATIENCE;
        while let Err((error, refused)) = self.producer.send(record) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            self.serve();
            if !full || !self.sleep(deadline) {
                return Err(self.fault(&error, &format!("send to {topic}")));
            }
            record = refused;
        }
        self.sent += 1;
        self.pace.first_sent.get_or_insert_with(Instant::now);
        if self.sent.is_multiple_of(SENDS_PER_SERVE) {
            self.serve();
        }
        Ok(())
    }

    fn commit(&mut self, timeout: Duration) -> Result<Committed, Fault> {
        let start = Instant::now();
        let deadline = start + timeout;
        self.await_acknowledgements(deadline)?;
        if self.delivery == Delivery::Transactional {
            let left = deadline.saturating_duration_since(Instant::now());
            ffi::commit_transaction(&*self.producer, left).map_err(|problem| {
                let what = format!("commit, shard {}", self.shard);
                match self.producer.client().fatal_error() {
                    Some((code, text)) => Problem::new(code, &text).fault(&what),
                    None => problem.fault(&what),
                }
            })?;
        }
        let slow = start.elapsed() > SLOW_COMMIT;
        self.serve();
        self.learn();
        self.pace.committed = Some(Instant::now());
        Ok(Committed { suspicious: slow || self.producer.context().troubles() != self.troubles_before })
    }
}
