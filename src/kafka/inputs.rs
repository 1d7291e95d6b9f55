//! The inputs of a lane's shards: one client, a queue for each partition, positions that follow records and ends of partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::sync::{Parker, Unparker};
use prost::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::clients;
use super::context::Context;
use super::control::{Control, describe_topics, watermarks};
use super::ends::Asking;
use super::fault::{Problem, fault};
use super::ffi::{Batch, Found, Owner, Partition};
use super::graveyard::Buried;
use super::settings::Settings;
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

/// A partition being read, and how far.
pub(super) struct Reading {
    partition: Buried<Partition>,
    topic: String,
    shard: u32,
    control: Control,
    pub(super) position: i64,
    /// Where it began, until librdkafka could be told to have the leader epoch compared.
    unverified: Option<Position>,
    failed: Option<Fault>,
    /// Somebody was woken for what waits and has not taken it: who does not want it now must not be woken over and over.
    noticed: bool,
}

impl Reading {
    pub(super) fn start(
        owner: Owner,
        control: Control,
        (topic, shard): (&str, u32),
        from: Position,
        waker: Unparker,
    ) -> Result<Self, Fault> {
        let Position { offset: position, .. } = from;
        let partition = Partition::start(owner, topic, shard, position, waker)
            .map_err(|problem| problem.fault(&format!("read {topic}[{shard}] from {position}")))?;
        let partition = Buried::new(partition);
        let unverified = (from.leader_epoch >= 0).then_some(from);
        let topic = topic.to_owned();
        Ok(Self { partition, topic, shard, control, position, unverified, failed: None, noticed: false })
    }

    /// Whether something waits that nobody was told of since the last [`Reading::take`].
    pub(super) fn has_news(&mut self) -> bool {
        let news = !self.noticed && (self.failed.is_some() || !self.partition.is_empty());
        self.noticed |= news;
        news
    }

    /// What has arrived. A fault is reported after the records before it, and again ever after.
    pub(super) fn take(&mut self, most: usize) -> Result<Option<Batch>, Fault> {
        self.noticed = false;
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        // librdkafka knows a partition by name only until its topic's metadata is there; nothing arrives before. What has
        // arrived by now is fetched again once the leader epoch was compared.
        if let Some(from) = self.unverified
            && !self.partition.is_empty()
            && self.partition.verify(from.offset, from.leader_epoch)
        {
            self.unverified = None;
        }
        let (position, mut problem) = (&mut self.position, None);
        let batch = self.partition.take(most.clamp(1, TAKE_RECORDS), &mut |found| match found {
            Found::Record(offset) if offset >= *position => *position = offset + 1,
            Found::Record(offset) => {
                let text = format!("offset {offset} came after {}", *position - 1);
                problem = Some(Problem::new(Code::Inconsistent, &text));
            }
            Found::End(offset) => *position = offset.max(*position),
            Found::Error(error) => {
                problem.get_or_insert(error);
            }
        });
        if batch.is_some() && self.unverified.is_some() {
            problem.get_or_insert(Problem::new(Code::Inconsistent, "the leader epoch could not be compared"));
        }
        let Some(problem) = problem else { return Ok(batch) };
        let withheld = problem.code == Code::Inconsistent;
        let fault = self.fault(&problem);
        self.failed = Some(fault.clone());
        // A batch with a repeated or unverified record in it must not be handed out at all.
        if withheld { Err(fault) } else { batch.map(Some).map(Ok).unwrap_or(Err(fault)) }
    }

    fn fault(&self, problem: &Problem) -> Fault {
        let what = format!("{}[{}]", self.topic, self.shard);
        let passes = || Fault::Transient(format!("read {what} at {}: {}", self.position, problem.text));
        let owner = self.control.owner();
        match problem.code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
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
    asking: Asking,
    tick: Vec<u8>,
}

impl Pair {
    fn reading(&mut self, input: Input) -> &mut Reading {
        if input == Input::Stock { &mut self.stock } else { &mut self.orders }
    }

    /// Whether something waits. All are asked: each remembers that it was.
    fn has_news(&mut self) -> bool {
        self.orders.has_news() | self.stock.has_news() | self.asking.answered()
    }
}

/// The inputs of a lane's shards.
pub struct KafkaInputs {
    settings: Settings,
    control: Control,
    parker: Parker,
    consumer: Arc<Buried<BaseConsumer<Context>>>,
    shards: Vec<Pair>,
}

impl KafkaInputs {
    pub(super) fn open(settings: &Settings, control: &Control, from: &[ReadFrom]) -> Result<Self, Fault> {
        let consumer = consumer(settings)?;
        let mut this = Self {
            settings: settings.clone(),
            control: control.clone(),
            parker: Parker::new(),
            consumer,
            shards: Vec::with_capacity(from.len()),
        };
        for from in from {
            let pair = this.pair(*from)?;
            this.shards.push(pair);
        }
        Ok(this)
    }

    fn pair(&self, from: ReadFrom) -> Result<Pair, Fault> {
        let ReadFrom { shard, orders, stock } = from;
        let waker = || self.parker.unparker().clone();
        let reading = |topic: &str, from| {
            let owner = Arc::clone(&self.consumer) as Owner;
            Reading::start(owner, self.control.clone(), (topic, shard), from, waker())
        };
        let orders = reading(&self.settings.topics.orders, orders)?;
        let stock = reading(&self.settings.topics.stock, stock)?;
        let asking = Asking::new(self.control.clone(), &self.settings.topics, shard, waker());
        let tick = StockCommand { kind: Some(stock_command::Kind::Tick(Tick { shard })), ..Default::default() };
        let tick = StockCommands { commands: vec![tick] }.encode_to_vec();
        Ok(Pair { orders, stock, asking, tick })
    }
}

fn consumer(settings: &Settings) -> Result<Arc<Buried<BaseConsumer<Context>>>, Fault> {
    let consumer = clients::inputs(settings).create_with_context(Context::default());
    Ok(Arc::new(Buried::new(consumer.map_err(|error| fault(&error, "make a consumer for the inputs"))?)))
}

impl Inputs for KafkaInputs {
    type Records = KafkaRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<KafkaRecords>, Fault> {
        Ok(self.shards[at].reading(input).take(most)?.map(KafkaRecords))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        let pair = &self.shards[at];
        if input == Input::Stock { pair.stock.position } else { pair.orders.position }
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        let shard = self.shards[at].orders.shard;
        self.consumer = consumer(&self.settings)?;
        self.shards[at] = self.pair(ReadFrom { shard, orders, stock })?;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) {
        let _ = self.consumer.poll(Duration::ZERO);
        let news = self.shards.iter_mut().fold(false, |news, pair| news | pair.has_news());
        if !news {
            self.parker.park_timeout(timeout.min(LONGEST_WAIT));
        }
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Waker(self.parker.unparker().clone()))
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.control.serve();
        self.shards[at].asking.ask(ticket, Instant::now());
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        let now = Instant::now();
        self.shards.iter_mut().enumerate().find_map(|(at, pair)| Some((at, pair.asking.take(now)?)))
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        let Pair { stock, tick, .. } = &self.shards[at];
        self.control.publish(&stock.topic, stock.shard, tick)
    }
}
