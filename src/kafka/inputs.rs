//! The inputs of a lane's shards: a queue for each partition, positions that follow records and ends of partition, and moves
//! from one consumer to another that nobody notices.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam::sync::{Parker, Unparker};
use prost::Message;

use super::arrivals::Arrivals;
use super::consumers::Consumers;
use super::control::Control;
use super::ends::Asking;
use super::ffi::{Batch, Bell, Owner, Partition};
use super::graveyard::{Buried, bury};
use super::kinds::{Kind, Kinds};
use super::reading::Reading;
use super::settings::{Settings, TopicNames};
use crate::broker::{Ends, Fault, Header, Input, Inputs, Position, ReadFrom, Record, Records, Wake};
use crate::wire::proto::{StockCommand, StockCommands, Tick, stock_command};

/// Longest sleep: a wake-up may be lost (rust-rdkafka #840), and the client's own events must be handled.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

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

/// Partitions that are not read any more and may not be read again on that kind of consumer before they are stopped,
/// which happens in the graveyard: the stop would strike the new start.
struct Stopping {
    partitions: Vec<(usize, Kind)>,
    /// Gone once they are.
    until: Weak<()>,
}

/// The inputs of a lane's shards.
pub struct KafkaInputs {
    control: Control,
    parker: Parker,
    consumers: Consumers,
    kinds: Kinds,
    /// For each partition whether something arrived ([`queue`]); behind them for answers about the ends.
    arrivals: Arrivals,
    shards: Buried<Vec<Pair>>,
    stopping: Vec<Stopping>,
    asking: Asking,
}

/// Which of the lane's queues is that of an input.
const fn queue(at: usize, input: Input) -> usize {
    2 * at + matches!(input, Input::Stock) as usize
}

/// The reverse.
const fn input(queue: usize) -> (usize, Input) {
    (queue / 2, if queue.is_multiple_of(2) { Input::Orders } else { Input::Stock })
}

impl KafkaInputs {
    pub(super) fn open(settings: &Settings, control: &Control, from: &[ReadFrom]) -> Result<Self, Fault> {
        let (mut consumers, parker) = (Consumers::new(settings.clone(), from.len()), Parker::new());
        let answers = queue(from.len(), Input::Orders);
        let owner = consumers.get(Kinds::first(answers))?;
        let arrivals = Arrivals::new(answers + 1, parker.unparker().clone());
        let mut shards = Buried::new(Vec::with_capacity(from.len()));
        for (at, from) in from.iter().enumerate() {
            let bells = [Input::Orders, Input::Stock].map(|input| arrivals.bell(queue(at, input)));
            shards.push(Pair::open(&settings.topics, control, &owner, bells, *from)?);
        }
        let partitions = from.iter().map(|from| from.shard).collect();
        let asking = Asking::new(control.clone(), &settings.topics, partitions, arrivals.bell(answers));
        let (control, kinds) = (control.clone(), Kinds::new(answers, Instant::now()));
        Ok(Self { control, parker, consumers, kinds, arrivals, shards, stopping: Vec::new(), asking })
    }

    /// Handles what has arrived about the ends, asks what is wanted, and moves inputs where they belong.
    fn advance(&mut self) {
        let now = Instant::now();
        self.arrivals.sweep(now);
        if self.arrivals.take(queue(self.shards.len(), Input::Orders)) {
            self.asking.receive(now);
        }
        self.asking.advance(now);
        self.settle(now);
    }

    /// Has every input read on the kind of consumer that it belongs to.
    fn settle(&mut self, now: Instant) {
        let due = self.kinds.due(now);
        if due.is_empty() {
            return Kind::ALL
                .into_iter()
                .filter(|kind| self.kinds.is_unused(*kind, now))
                .for_each(|kind| self.consumers.drop(kind));
        }
        self.stopping.retain(|stopping| stopping.until.strong_count() > 0);
        let (mut left, mut stopped) = (Vec::new(), Vec::new());
        for (queue, kind) in due {
            match self.go_over(queue, kind) {
                Some(partition) => {
                    left.push((queue, self.kinds.of(queue)));
                    stopped.push(partition);
                    self.kinds.moved(queue, kind, now);
                }
                None => self.kinds.stays(queue, now),
            }
        }
        if !stopped.is_empty() {
            let token = Arc::new(());
            self.stopping.push(Stopping { partitions: left, until: Arc::downgrade(&token) });
            bury((stopped, token));
        }
    }

    /// Reads an input on that kind of consumer; what read it before is returned. Not if it has failed, which it would
    /// forget; nor becomes it quiet while records wait to be taken, which might be deleted before they are fetched again.
    fn go_over(&mut self, queue: usize, kind: Kind) -> Option<Partition> {
        let (at, input) = input(queue);
        let reading = self.shards[at].reading(input);
        let is_stopping = self.stopping.iter().any(|stopping| stopping.partitions.contains(&(queue, kind)));
        if is_stopping || reading.is_failed() || (kind == Kind::Quiet && !reading.is_empty()) {
            return None;
        }
        let owner = self.consumers.get(kind);
        let owner =
            owner.inspect_err(|fault| tracing::warn!(%fault, "inputs stay on the consumer that they have")).ok()?;
        let moved = reading.go_over(owner, self.arrivals.bell(queue));
        moved.inspect_err(|problem| tracing::warn!(problem = problem.text, "an input stays where it is read")).ok()
    }
}

impl Inputs for KafkaInputs {
    type Records = KafkaRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<KafkaRecords>, Fault> {
        let (queue, reading) = (queue(at, input), self.shards[at].reading(input));
        if !self.arrivals.take(queue) && !reading.is_failed() {
            return Ok(None);
        }
        let taken = reading.take(most);
        if taken.is_ok() && reading.is_left() {
            self.arrivals.leave(queue);
        }
        let taken = taken?;
        if let Some(batch) = &taken {
            self.kinds.found(queue, batch.len(), Instant::now());
        }
        Ok(taken.map(KafkaRecords))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        let pair = &self.shards[at];
        if input == Input::Stock { pair.stock.position } else { pair.orders.position }
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        let now = Instant::now();
        for (input, from) in [(Input::Orders, orders), (Input::Stock, stock)] {
            self.shards[at].reading(input).reopen(from)?;
            self.kinds.began(queue(at, input), now);
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) {
        self.consumers.serve();
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
