//! The client for Ticks and questions, shared by all shards of a node. A shard's consumer cannot ask for itself: the
//! broker answers one request of a connection after the other, and a fetch is held open.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients;
use super::context::Context;
use super::fault::{Problem, fault};
use super::ffi::{Answer, Owner, Queue, TopicFound, look_for_brokers};
use super::graveyard::Buried;
use super::settings::Settings;
use crate::broker::Fault;

/// Pause between two looks of all shards for the leaders: a question that failed is soon asked anew, and brokers that
/// have just lost one of theirs are not flooded.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone)]
pub(super) struct Control {
    producer: Arc<Buried<BaseProducer<Context>>>,
    /// When a shard last looked for leaders.
    looked: Arc<Mutex<Option<Instant>>>,
}

impl Control {
    pub(super) fn new(settings: &Settings) -> Result<Self, Fault> {
        let producer = clients::control(settings).create_with_context(Context::default());
        let producer = producer.map_err(|error| fault(&error, "make the client for ticks and questions"))?;
        Ok(Self { producer: Arc::new(Buried::new(producer)), looked: Arc::default() })
    }

    /// Handle for queues.
    pub(super) fn owner(&self) -> Owner {
        Arc::clone(&self.producer) as Owner
    }

    /// Hands a record over without waiting for it to arrive.
    pub(super) fn publish(&self, topic: &str, partition: u32, value: &[u8]) -> Result<(), Fault> {
        self.serve();
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition as i32).payload(value);
        self.producer.send(record).map_err(|(error, _)| fault(&error, &format!("publish to {topic}[{partition}]")))
    }

    /// Handles what waits in the client's own queue, so that it does not grow.
    pub(super) fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Whether it is time to look for leaders again; whoever is told so does.
    pub(super) fn claim_look(&self, now: Instant) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_PAUSE);
        if is_time {
            *looked = Some(now);
        }
        is_time
    }

    /// The client, for questions that wait.
    pub(super) fn client(&self) -> &Client<Context> {
        self.producer.client()
    }
}

/// First offset of a partition and the offset after its last, open transactions included. Waits. Only for partitions
/// that are known to be there.
pub(super) fn watermarks(
    client: &Client<Context>,
    owner: &Owner,
    (topic, partition): (&str, u32),
    timeout: Duration,
) -> Result<(i64, i64), Fault> {
    let what = format!("ask for the watermarks of {topic}[{partition}]");
    // Its end is the last stable offset.
    let begin = client.fetch_watermarks(topic, partition as i32, timeout);
    let (begin, _) = begin.map_err(|error| unheard_of(error.rdkafka_error_code(), fault(&error, &what)))?;
    let queue = Queue::new(Arc::clone(owner));
    let ask = || {
        queue.ask_ends(&[(topic, partition)], false, 0, timeout)?;
        match queue.await_answer(timeout) {
            Some(Answer::Ends(_, ends)) => ends,
            _ => Err(no_answer()),
        }
    };
    let ends = ask().map_err(|problem| unheard_of(Some(problem.code), problem.fault(&what)))?;
    let end = ends.into_iter().next().unwrap_or_else(|| Err(no_answer()));
    let end = end.map_err(|problem| unheard_of(Some(problem.code), problem.fault(&what)))?;
    Ok((begin, end))
}

/// A broker says that there is no such partition until it hears of it.
fn unheard_of(code: Option<RDKafkaErrorCode>, fault: Fault) -> Fault {
    match fault {
        Fault::Fatal(text) if code == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Fault::Transient(text),
        fault => fault,
    }
}

fn no_answer() -> Problem {
    Problem::new(RDKafkaErrorCode::OperationTimedOut, "no answer")
}

/// Ids and partitions of topics, in the order asked. Waits.
pub(super) fn describe_topics(
    owner: &Owner,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Result<TopicFound, Problem>>, Problem> {
    let queue = Queue::new(Arc::clone(owner));
    let ask = |timeout| {
        queue.ask_topics(topics, None, timeout)?;
        match queue.await_answer(timeout) {
            Some(Answer::Topics(found)) => found,
            _ => Err(no_answer()),
        }
    };
    match ask(timeout / 2) {
        Err(problem) if problem.code == RDKafkaErrorCode::OperationTimedOut => {
            // The question goes to the broker that librdkafka takes for the controller. It may be gone, and nothing but
            // an answer about the cluster tells librdkafka of another, which it asks for by itself every few minutes.
            look_for_brokers(&**owner, timeout / 4);
            ask(timeout / 4)
        }
        answer => answer,
    }
}

impl Queue {
    /// The next answer, past whatever else comes to the queue.
    fn await_answer(&self, timeout: Duration) -> Option<Answer> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answer(left) {
                None if !left.is_zero() => {}
                answer => return answer,
            }
        }
    }
}
