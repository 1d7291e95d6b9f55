//! The inputs of a lane's shards: one client, a queue for each partition, positions that follow records and ends of partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::sync::{Parker, Unparker};
use prost::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::arrivals::Arrivals;
use super::clients;
use super::context::Context;
use super::control::{Control, describe_topics, watermarks};
use super::ends::Asking;
use super::fault::{Problem, fault};
use super::ffi::{Batch, Bell, Found, Owner, Partition};
use super::graveyard::Buried;
use super::settings::{Settings, TopicNames};
use crate::broker::{Ends, Fault, Header, Input, Inputs, Position, ReadFrom, Record, Records, Wake};
use crate::wire::proto::{StockCommand, StockCommands, Tick, stock_command};

/// Most records taken at once: bounds the list of pointers to them.
const TAKE_RECORDS: usize = 8_192;

/// Longest sleep: a wake-up may be lost (rust-rdkafka #840), and the client's own events must be handled.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How long the brokers are asked what is there, to say so in a fault.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Consecutive records of one input as librdkafka holds them.
pub struct KafkaRecords(Batch);

impl Records for KafkaRecords {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        self.0.record(i)
    }

    fn headers(&self, i: usize) -> Vec<Header> {
        self.0.headers(i)
    }
}

/// A partition being read, and how far. Dropping it waits for librdkafka, so that is left to the graveyard.
pub(super) struct Reading {
    partition: Partition,
    topic: String,
    shard: u32,
    control: Control,
    pub(super) position: i64,
    /// Where it began, until librdkafka could be told to have the leader epoch compared.
    unverified: Option<Position>,
    failed: Option<Fault>,
    /// Something has arrived since it began.
    heard: bool,
    /// It began anew: what it fails with before anything has arrived may be of the time before.
    echoes: bool,
}

impl Reading {
    pub(super) fn start(
        owner: Owner,
        control: Control,
        (topic, shard): (&str, u32),
        from: Position,
        bell: Bell,
    ) -> Result<Self, Fault> {
        let partition = Partition::new(owner, topic, shard, bell)
            .map_err(|problem| problem.fault(&format!("read {topic}[{shard}]")))?;
        let topic = topic.to_owned();
        let (position, unverified) = (from.offset, None);
        let (failed, heard, echoes) = (None, false, false);
        let mut this = Self { partition, topic, shard, control, position, unverified, failed, heard, echoes };
        this.reopen(from)?;
        this.echoes = false;
        Ok(this)
    }

    /// Begins anew. Nothing that had arrived or was on its way is handed out.
    pub(super) fn reopen(&mut self, from: Position) -> Result<(), Fault> {
        self.position = from.offset;
        self.unverified = (from.leader_epoch >= 0).then_some(from);
        (self.heard, self.echoes) = (false, true);
        let started = self
            .partition
            .start(from.offset)
            .map_err(|problem| problem.fault(&format!("read {}[{}] from {}", self.topic, self.shard, from.offset)));
        self.failed = started.clone().err();
        started
    }

    /// Whether [`Reading::take`] has more to tell, without that anything arrives.
    pub(super) fn is_left(&self) -> bool {
        self.partition.is_left() || self.failed.is_some()
    }

    /// Whether it fails, until it begins anew.
    pub(super) fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// What has arrived. A fault is reported after the records before it, and again ever after.
    pub(super) fn take(&mut self, most: usize) -> Result<Option<Batch>, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let began = self.position;
        let (position, heard, mut problem) = (&mut self.position, &mut self.heard, None);
        let batch = self.partition.take(most.clamp(1, TAKE_RECORDS), &mut |found| match found {
            Found::Record(offset) if offset >= *position => (*position, *heard) = (offset + 1, true),
            Found::Record(offset) => {
                let text = format!("offset {offset} came after {}", *position - 1);
                problem = Some(Problem::new(Code::Inconsistent, &text));
            }
            Found::End(offset) => (*position, *heard) = (offset.max(*position), true),
            Found::Error(error) => {
                problem.get_or_insert(error);
            }
        });
        if let Some(from) = self.unverified {
            self.position = began;
            if problem.is_none() {
                self.verify(from);
                return Ok(None);
            }
        }
        let Some(problem) = problem else { return Ok(batch) };
        if self.echoes && !self.heard && is_reset(problem.code) {
            let from = self.unverified.unwrap_or(Position::at(self.position));
            self.reopen(from)?;
            self.echoes = false;
            return Ok(None);
        }
        // A batch with a repeated or unverified record in it must not be handed out at all.
        let withheld = problem.code == Code::Inconsistent || self.unverified.is_some();
        let fault = self.fault(&problem);
        self.failed = Some(fault.clone());
        if withheld { Err(fault) } else { batch.map(Some).map(Ok).unwrap_or(Err(fault)) }
    }

    /// Has the leader epoch compared as soon as something of this beginning has arrived, which is then fetched again.
    /// Not before: librdkafka knows a partition by name only until its topic's metadata is there; and an answer about an
    /// epoch that was asked for before reading began anew would be taken for one about this, but it comes before
    /// whatever is fetched later.
    fn verify(&mut self, from: Position) {
        if self.heard && self.partition.verify(from.offset, from.leader_epoch) {
            self.unverified = None;
        }
    }

    fn fault(&self, problem: &Problem) -> Fault {
        let what = format!("{}[{}]", self.topic, self.shard);
        let passes = || Fault::Transient(format!("read {what} at {}: {}", self.position, problem.text));
        let owner = self.control.owner();
        match problem.code {
            code if is_reset(code) => {
                let asked = self.position;
                let place = (self.topic.as_str(), self.shard);
                match watermarks(self.control.client(), &owner, place, QUESTION_TIMEOUT) {
                    Ok((begin, end)) if asked < begin || asked > end => Fault::OutOfRange { asked, begin, end, what },
                    Ok(_) if problem.code == Code::LogTruncation => Fault::Overwritten { asked, what },
                    // In range after all: an election, or the broker that was asked did not know the end yet.
                    Ok(_) | Err(_) => passes(),
                }
            }
            Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => {
                match describe_topics(&owner, &[&self.topic], QUESTION_TIMEOUT).as_deref() {
                    // A broker that has just started may not have heard of a topic that is there.
                    Ok([Ok(found)]) if found.partitions.len() > self.shard as usize => passes(),
                    Ok([Ok(_)] | [Err(_)]) => problem.fault(&format!("read {what}")),
                    _ => passes(),
                }
            }
            _ => problem.fault(&format!("read {what}")),
        }
    }
}

/// Whether librdkafka stops reading at this, because it may not choose another offset by itself. Such an error does not
/// bear the number of the start that it belongs to.
const fn is_reset(code: Code) -> bool {
    matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation)
}

/// See [`Wake`].
struct Waker(Unparker);

impl Wake for Waker {
    fn wake(&self) {
        self.0.unpark();
    }
}

/// Both inputs of a shard.
struct Pair {
    orders: Reading,
    stock: Reading,
    tick: Vec<u8>,
}

impl Pair {
    fn open(
        topics: &TopicNames,
        control: &Control,
        owner: &Owner,
        bells: [Bell; 2],
        from: ReadFrom,
    ) -> Result<Self, Fault> {
        let ReadFrom { shard, orders, stock } = from;
        let [of_orders, of_stock] = bells;
        let reading =
            |topic: &str, from, bell| Reading::start(Arc::clone(owner), control.clone(), (topic, shard), from, bell);
        let orders = reading(&topics.orders, orders, of_orders)?;
        let stock = reading(&topics.stock, stock, of_stock)?;
        let tick = StockCommand { kind: Some(stock_command::Kind::Tick(Tick { shard })), ..Default::default() };
        let tick = StockCommands { commands: vec![tick] }.encode_to_vec();
        Ok(Self { orders, stock, tick })
    }

    fn reading(&mut self, input: Input) -> &mut Reading {
        if input == Input::Stock { &mut self.stock } else { &mut self.orders }
    }
}

/// The inputs of a lane's shards.
pub struct KafkaInputs {
    control: Control,
    parker: Parker,
    consumer: Arc<Buried<BaseConsumer<Context>>>,
    /// For each partition whether something arrived ([`queue`]); behind them for answers about the ends.
    arrivals: Arrivals,
    shards: Buried<Vec<Pair>>,
    asking: Asking,
}

/// Which of the lane's queues is that of an input.
const fn queue(at: usize, input: Input) -> usize {
    2 * at + matches!(input, Input::Stock) as usize
}

impl KafkaInputs {
    pub(super) fn open(settings: &Settings, control: &Control, from: &[ReadFrom]) -> Result<Self, Fault> {
        let consumer = clients::inputs(settings, from.len()).create_with_context(Context::default());
        let consumer = consumer.map_err(|error| fault(&error, "make a consumer for the inputs"))?;
        let (consumer, parker) = (Arc::new(Buried::new(consumer)), Parker::new());
        let owner = Arc::clone(&consumer) as Owner;
        let answers = queue(from.len(), Input::Orders);
        let arrivals = Arrivals::new(answers + 1, parker.unparker().clone());
        let mut shards = Buried::new(Vec::with_capacity(from.len()));
        for (at, from) in from.iter().enumerate() {
            let bells = [Input::Orders, Input::Stock].map(|input| arrivals.bell(queue(at, input)));
            shards.push(Pair::open(&settings.topics, control, &owner, bells, *from)?);
        }
        let partitions = from.iter().map(|from| from.shard).collect();
        let asking = Asking::new(control.clone(), &settings.topics, partitions, arrivals.bell(answers));
        Ok(Self { control: control.clone(), parker, consumer, arrivals, shards, asking })
    }

    /// Handles what has arrived about the ends, and asks what is wanted.
    fn advance(&mut self) {
        let now = Instant::now();
        self.arrivals.sweep(now);
        if self.arrivals.take(queue(self.shards.len(), Input::Orders)) {
            self.asking.receive(now);
        }
        self.asking.advance(now);
    }
}

impl Inputs for KafkaInputs {
    type Records = KafkaRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<KafkaRecords>, Fault> {
        let reading = self.shards[at].reading(input);
        if !self.arrivals.take(queue(at, input)) && !reading.is_failed() {
            return Ok(None);
        }
        let taken = reading.take(most);
        if taken.is_ok() && reading.is_left() {
            self.arrivals.leave(queue(at, input));
        }
        Ok(taken?.map(KafkaRecords))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        let pair = &self.shards[at];
        if input == Input::Stock { pair.stock.position } else { pair.orders.position }
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        let pair = &mut self.shards[at];
        pair.orders.reopen(orders)?;
        pair.stock.reopen(stock)
    }

    fn wait(&mut self, timeout: Duration) {
        let _ = self.consumer.poll(Duration::ZERO);
        self.advance();
        if !self.arrivals.has_news() && !self.asking.is_answered() {
            self.parker.park_timeout(timeout.min(LONGEST_WAIT));
        }
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Waker(self.parker.unparker().clone()))
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.asking.want(at, ticket);
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        self.advance();
        self.asking.take()
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        let Pair { stock, tick, .. } = &self.shards[at];
        self.control.publish(&stock.topic, stock.shard, tick)
    }
}
