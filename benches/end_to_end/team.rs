//! The baseline: the service that an ordinary team would write for the same orders, well tuned. A `StreamConsumer` for
//! each partition, `prost`, a ledger of `DashMap`s, a `FutureProducer` and one record a decision, on tokio. At least
//! once: an offset is stored after its decisions were acknowledged. Nothing of it survives a restart.
//!
//! It makes the decisions that the engine makes of places: all lines or none, copies answered as the original, holds
//! that expire; no other command, no limits, no log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures_util::StreamExt;
use prost::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use sluice::wire::proto::{
    Asked, Commands, Decision, Input, LineDecision, OrderState, Original, Outcome, Place, Reason, StockCommands,
    command, stock_command,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::content::content;
use crate::task::Task;
use crate::topics;

/// The default hold, ms.
const HOLD_MS: i64 = 900_000;
/// Records whose decisions are under way at the most, for each partition.
const IN_FLIGHT_RECORDS: usize = 50_000;
/// Records that are only read are counted in such groups at the most.
const COUNTED_AT_ONCE: usize = 100;
/// How long to wait when the producer's queue is full.
const QUEUE_FULL: Duration = Duration::from_millis(1);
/// How often holds are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long reading the stock may take.
const STOCK_TIMEOUT: Duration = Duration::from_secs(30);

type OrderKey = (String, String, u32);

struct Order {
    content: u64,
    sequence: u64,
    outcome: Outcome,
    reason: Reason,
    state: OrderState,
    lines: Vec<(String, u32)>,
}

#[derive(Default)]
struct Row {
    on_hand: i64,
    reserved: i64,
}

#[derive(Default)]
struct Ledger {
    orders: DashMap<OrderKey, Order>,
    stock: DashMap<(String, String), Row>,
    /// All are held for equally long, so the first to end is in front.
    holds: Mutex<VecDeque<(i64, OrderKey)>>,
    sequence: AtomicU64,
}

/// Starts the service on threads of its own; returns the count of orders whose decisions were acknowledged.
pub(crate) fn start(task: &Task) -> Result<Arc<AtomicU64>> {
    let done = Arc::new(AtomicU64::new(0));
    let ledger = Arc::new(Ledger::default());
    read_stock(task, &ledger)?;
    let runtime = runtime()?;
    let inside = runtime.enter();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &task.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let answers: Arc<str> = topics::answers(&task.topics).into();
    for _ in 0..task.shards {
        let consumer: Arc<StreamConsumer> = Arc::new(consumer(task)?);
        consumer.subscribe(&[&topics::config(&task.bootstrap, &task.topics).topics.orders])?;
        let (acknowledge, under_way) = mpsc::channel(IN_FLIGHT_RECORDS);
        let (ledger, producer, answers) = (ledger.clone(), producer.clone(), answers.clone());
        runtime.spawn(or_say(acknowledged(consumer.clone(), under_way, done.clone())));
        runtime.spawn(or_say(decide_all(consumer, ledger, producer, answers, acknowledge)));
    }
    runtime.spawn(or_say(sweep(ledger, producer, answers)));
    drop(inside);
    // The process ends with the benchmark, and the runtime with it.
    std::mem::forget(runtime);
    Ok(done)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("team").build()
}

/// Only reads, with the service's consumers, and drops what it read; returns the count of orders.
pub(crate) fn read(task: &Task) -> Result<Arc<AtomicU64>> {
    let done = Arc::new(AtomicU64::new(0));
    let runtime = runtime()?;
    let inside = runtime.enter();
    let orders = topics::config(&task.bootstrap, &task.topics).topics.orders;
    for shard in 0..task.shards {
        let consumer = consumer(task)?;
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(&orders, shard as i32, Offset::Beginning)?;
        consumer.assign(&partition)?;
        let (done, per_record) = (done.clone(), task.per_record as u64);
        runtime.spawn(or_say(async move {
            let mut stream = consumer.stream().ready_chunks(COUNTED_AT_ONCE);
            while let Some(messages) = stream.next().await {
                let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
                done.fetch_add(messages.len() as u64 * per_record, Ordering::Relaxed);
            }
            Ok(())
        }));
    }
    drop(inside);
    // As above.
    std::mem::forget(runtime);
    Ok(done)
}

/// Says why a task ended.
async fn or_say(work: impl Future<Output = Result<()>>) {
    if let Err(error) = work.await {
        eprintln!("a task of the baseline failed: {error:#}");
    }
}

fn consumer(task: &Task) -> Result<StreamConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", &task.bootstrap)
        .set("group.id", format!("{}-team", topics::answers(&task.topics)))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .set("queued.min.messages", "1000000")
        .set("fetch.message.max.bytes", "4194304")
        .set("fetch.wait.max.ms", "25")
        .set("fetch.queue.backoff.ms", "2")
        .create()
        .context("cannot make the team's consumer")
}

/// One record after the other: decode, decide, publish.
async fn decide_all(
    consumer: Arc<StreamConsumer>,
    ledger: Arc<Ledger>,
    producer: FutureProducer,
    answers: Arc<str>,
    acknowledge: mpsc::Sender<UnderWay>,
) -> Result<()> {
    let mut stream = consumer.stream();
    while let Some(message) = stream.next().await {
        let message = message?;
        let commands = Commands::decode(message.payload().unwrap_or_default())?.commands;
        let (mut deliveries, mut orders) = (Vec::with_capacity(commands.len()), 0);
        for (index, command) in (0..).zip(commands) {
            let Some(command::Kind::Place(place)) = command.kind else { continue };
            let decision = Decision {
                input: Input::Orders as i32,
                offset: message.offset(),
                index,
                ..ledger.place(place, message.timestamp().to_millis().unwrap_or_else(now_ms))
            };
            // After a rebalance some come twice.
            orders += u64::from(decision.outcome() != Outcome::Duplicate);
            deliveries.push(publish(&producer, &answers, &decision).await?);
        }
        let place = (message.topic().to_owned(), message.partition(), message.offset());
        acknowledge.send(UnderWay { place, orders, deliveries }).await?;
    }
    Ok(())
}

async fn publish(producer: &FutureProducer, topic: &str, decision: &Decision) -> Result<DeliveryFuture> {
    let value = decision.encode_to_vec();
    loop {
        match producer.send_result(FutureRecord::to(topic).key(&decision.order_id).payload(&value)) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                tokio::time::sleep(QUEUE_FULL).await;
            }
            Err((fault, _)) => return Err(fault.into()),
        }
    }
}

/// The decisions of a record, on their way.
struct UnderWay {
    place: (String, i32, i64),
    orders: u64,
    deliveries: Vec<DeliveryFuture>,
}

/// Stores the offsets of records whose decisions arrived.
async fn acknowledged(
    consumer: Arc<StreamConsumer>,
    mut under_way: mpsc::Receiver<UnderWay>,
    done: Arc<AtomicU64>,
) -> Result<()> {
    while let Some(UnderWay { place: (topic, partition, offset), orders, deliveries }) = under_way.recv().await {
        for delivery in deliveries {
            delivery.await?.map_err(|(fault, _)| fault)?;
        }
        // A partition that was taken away meanwhile is another consumer's to read again.
        let _ = consumer.store_offset(&topic, partition, offset);
        done.fetch_add(orders, Ordering::Relaxed);
    }
    Ok(())
}

/// Ends holds that ran out.
async fn sweep(ledger: Arc<Ledger>, producer: FutureProducer, answers: Arc<str>) -> Result<()> {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        for decision in ledger.expire(now_ms()) {
            publish(&producer, &answers, &decision).await?;
        }
    }
}

impl Ledger {
    fn place(&self, place: Place, decided_at_ms: i64) -> Decision {
        let content = content(&place);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let mut decision = Decision {
            sequence,
            asked: Asked::Place as i32,
            pool: place.pool.clone(),
            order_id: place.order_id.clone(),
            attempt: place.attempt,
            decided_at_ms,
            content,
            ..Decision::default()
        };
        // The entry stays locked until the order is decided: a copy that arrives meanwhile waits.
        match self.orders.entry((place.pool.clone(), place.order_id, place.attempt)) {
            Entry::Occupied(known) => {
                let order = known.get();
                let same = order.content == content;
                decision.outcome = if same { Outcome::Duplicate } else { Outcome::Conflict } as i32;
                decision.state = order.state as i32;
                decision.original = Some(Original {
                    sequence: order.sequence,
                    outcome: order.outcome as i32,
                    reason: order.reason as i32,
                });
            }
            Entry::Vacant(new) => {
                let reserved = self.reserve(&place.pool, &place.lines);
                let (outcome, reason, state) = match reserved {
                    Ok(()) => (Outcome::Reserved, Reason::Unspecified, OrderState::Held),
                    Err(reason) => (Outcome::Rejected, reason, OrderState::Rejected),
                };
                (decision.outcome, decision.reason, decision.state) = (outcome as i32, reason as i32, state as i32);
                let line = |line: &sluice::wire::proto::OrderLine| LineDecision {
                    sku: line.sku.clone(),
                    quantity: line.quantity,
                    allocated: if outcome == Outcome::Reserved { line.quantity } else { 0 },
                    ..LineDecision::default()
                };
                decision.lines = place.lines.iter().map(line).collect();
                let mut lines = Vec::new();
                if outcome == Outcome::Reserved {
                    decision.expires_at_ms = decided_at_ms + HOLD_MS;
                    lines = place.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
                    let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
                    holds.push_back((decision.expires_at_ms, new.key().clone()));
                }
                new.insert(Order { content, sequence, outcome, reason, state, lines });
            }
        }
        decision
    }

    /// All lines or none.
    fn reserve(&self, pool: &str, lines: &[sluice::wire::proto::OrderLine]) -> Result<(), Reason> {
        for (i, line) in lines.iter().enumerate() {
            let reason = match self.stock.get_mut(&(pool.to_owned(), line.sku.clone())) {
                None => Reason::UnknownSku,
                Some(mut row) if row.on_hand - row.reserved >= i64::from(line.quantity) => {
                    row.reserved += i64::from(line.quantity);
                    continue;
                }
                Some(_) => Reason::OutOfStock,
            };
            let taken = lines[..i].iter().map(|line| (line.sku.clone(), line.quantity));
            self.give_back(pool, taken);
            return Err(reason);
        }
        Ok(())
    }

    fn give_back(&self, pool: &str, lines: impl IntoIterator<Item = (String, u32)>) {
        for (sku, quantity) in lines {
            if let Some(mut row) = self.stock.get_mut(&(pool.to_owned(), sku)) {
                row.reserved -= i64::from(quantity);
            }
        }
    }

    fn expire(&self, now_ms: i64) -> Vec<Decision> {
        let mut ended = Vec::new();
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        while holds.front().is_some_and(|(due_ms, _)| *due_ms <= now_ms) {
            let Some((_, key)) = holds.pop_front() else { break };
            let Some(mut order) = self.orders.get_mut(&key) else { continue };
            order.state = OrderState::Expired;
            self.give_back(&key.0, std::mem::take(&mut order.lines));
            ended.push(Decision {
                sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
                asked: Asked::Expire as i32,
                outcome: Outcome::Expired as i32,
                state: OrderState::Expired as i32,
                pool: key.0,
                order_id: key.1,
                attempt: key.2,
                decided_at_ms: now_ms,
                ..Decision::default()
            });
        }
        ended
    }
}

/// Reads the stock topic from its beginning to its present end.
fn read_stock(task: &Task, ledger: &Ledger) -> Result<()> {
    let topic = topics::config(&task.bootstrap, &task.topics).topics.stock;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &task.bootstrap)
        .set("group.id", "team-stock")
        .set("enable.auto.commit", "false")
        .create()?;
    for partition in 0..i32::try_from(task.shards)? {
        let (_, end) = consumer.fetch_watermarks(&topic, partition, STOCK_TIMEOUT)?;
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&topic, partition, Offset::Beginning)?;
        consumer.assign(&from)?;
        let mut next = 0;
        while next < end {
            let message = consumer.poll(STOCK_TIMEOUT).context("the stock cannot be read in time")??;
            next = message.offset() + 1;
            for command in StockCommands::decode(message.payload().unwrap_or_default())?.commands {
                let Some(stock_command::Kind::Receive(receive)) = command.kind else { continue };
                ledger.stock.entry((command.pool, receive.sku)).or_default().on_hand += receive.quantity as i64;
            }
        }
    }
    Ok(())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
