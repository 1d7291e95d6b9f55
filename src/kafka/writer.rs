//! A lane's transactional producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients;
use super::context::{Context, Ends};
use super::fault::{Problem, fault};
use super::ffi::{self, Owner, Queue};
use super::graveyard::Buried;
use super::reply_topic::ReplyTopic;
use super::rest::Rest;
use super::settings::{Delivery, Settings, TopicNames};
use crate::broker::{Committed, Fault, LogWriter, Outgoing, Output};

/// How long `send` waits for room in the bounded send queue.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Longest sleep while waiting for acknowledgements: a wake-up may be lost (rust-rdkafka #840).
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Records handed over between two looks at the acknowledgements, so that those do not pile up.
const SENDS_PER_SERVE: u64 = 256;

/// A lane's producer.
pub struct KafkaWriter {
    producer: Arc<Buried<BaseProducer<Context>>>,
    queue: Queue,
    parker: Parker,
    topics: Arc<TopicNames>,
    lane: u32,
    delivery: Delivery,
    /// Records handed over since the producer was made; the context counts what became of them.
    sent: u64,
    /// What was known of EndTxn requests before the transaction began.
    ends_before: Ends,
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
    pub(super) fn open(settings: &Settings, lane: u32) -> Result<Self, Fault> {
        let what = format!("make a producer for lane {lane}");
        let producer = clients::writer(settings, lane).create_with_context(Context::default());
        let producer = Arc::new(Buried::new(producer.map_err(|error| fault(&error, &what))?));
        let parker = Parker::new();
        let mut queue = Queue::main(Arc::clone(&producer) as Owner);
        let unparker = parker.unparker().clone();
        queue.wake(Box::new(move || unparker.unpark()));
        let (topics, delivery) = (Arc::new(settings.topics.clone()), settings.delivery);
        Ok(Self {
            producer,
            queue,
            parker,
            topics,
            lane,
            delivery,
            sent: 0,
            ends_before: Ends::default(),
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

    fn fault(&self, error: &KafkaError, what: &str) -> Fault {
        self.beyond_repair(what, |what| fault(error, what))
    }

    /// A client that is beyond repair says why in one place only, and that is what tells a fenced one.
    fn beyond_repair(&self, what: &str, otherwise: impl FnOnce(&str) -> Fault) -> Fault {
        let what = format!("{what}, lane {}", self.lane);
        match self.producer.client().fatal_error() {
            Some((code, text)) => Problem::new(code, &text).fault(&what),
            None => otherwise(&what),
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
fn place(topics: &TopicNames, lane: u32, output: Output) -> Result<(&str, Option<u32>), Fault> {
    Ok(match output {
        Output::Decisions => (&topics.decisions, Some(lane)),
        Output::Replies(partition) => (&topics.replies, Some(partition)),
        Output::DeadLetters(partition) => (&topics.dead_letters, Some(partition)),
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
        self.ends_before = self.producer.context().ends();
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
        let (topic, partition) = place(&topics, self.lane, outgoing.output)?;
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

    fn acknowledge(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.await_acknowledgements(Instant::now() + timeout)
    }

    fn commit(&mut self, timeout: Duration) -> Result<Committed, Fault> {
        let deadline = Instant::now() + timeout;
        self.await_acknowledgements(deadline)?;
        if self.delivery == Delivery::Transactional {
            let left = deadline.saturating_duration_since(Instant::now());
            ffi::commit_transaction(&*self.producer, left)
                .map_err(|problem| self.beyond_repair("commit", |what| problem.fault(what)))?;
        }
        self.serve();
        self.learn();
        self.pace.committed = Some(Instant::now());
        // librdkafka repeats an EndTxn request after the one before came to nothing that it knows of: its connection broke,
        // its time was up. That one may still lie in some broker's queue. A broker that is slow repeats nothing, nor does
        // trouble with other requests. What is not one good answer is suspicious, whatever it is.
        let Ends { answered, failed } = self.producer.context().ends();
        let once = failed == self.ends_before.failed && answered == self.ends_before.answered + 1;
        Ok(Committed { suspicious: self.delivery == Delivery::Transactional && !once })
    }
}

#[cfg(test)]
mod tests;
