//! The generator: orders of one to three lines (mean two) over 10,000 SKUs, `per_record` to a record, as fast as the
//! producer takes them. Records are patched copies of prepared ones, so that the generator costs little beside the
//! engine that is measured.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sluice::wire::proto::{self, command, stock_command};
use sluice::wire::route::partition_of;

/// SKUs sold, over all pools.
pub(crate) const SKUS: usize = 10_000;
/// Units of each SKU: never sold out, so that every order does the whole work of a reservation.
const UNITS: u64 = 1_000_000_000;
/// Prepared records for each pool; orders differ in their ids only beyond these.
const TEMPLATES: usize = 64;
/// Decimal digits of an order id's number.
const ID_DIGITS: usize = 12;
/// How long the producer may take to hand over its last records.
const FLUSH: Duration = Duration::from_secs(60);

/// One pool for each partition, found by trying names.
pub(crate) fn pools(partitions: u32) -> Vec<String> {
    (0..partitions)
        .map(|partition| {
            (0..)
                .map(|number| format!("pool-{number}"))
                .find(|name| partition_of(name.as_bytes(), partitions) == partition)
                .expect("some name falls on each partition")
        })
        .collect()
}

/// Publishes the stock that the orders draw on.
pub(crate) fn stock(bootstrap: &str, topic: &str, partitions: u32) -> Result<()> {
    let producer = producer(bootstrap)?;
    for (partition, pool) in pools(partitions).iter().enumerate() {
        let commands = (0..SKUS)
            .map(|number| proto::StockCommand {
                pool: pool.clone(),
                id: format!("opening-{number}"),
                issued_at_ms: now_ms(),
                kind: Some(stock_command::Kind::Receive(proto::Receive {
                    sku: sku(number),
                    quantity: UNITS,
                    ..Default::default()
                })),
                reply_partition: None,
            })
            .collect::<Vec<_>>();
        for chunk in commands.chunks(1_000) {
            let value = proto::StockCommands { commands: chunk.to_vec() }.encode_to_vec();
            send(&producer, topic, partition as i32, pool, &value)?;
        }
    }
    finish(&producer)
}

/// Publishes `orders` orders, spread evenly over the partitions, numbered from `first`. Returns the bytes of the
/// records' values.
pub(crate) fn orders(
    bootstrap: &str,
    topic: &str,
    partitions: u32,
    per_record: usize,
    first: u64,
    orders: u64,
) -> Result<u64> {
    let producer = producer(bootstrap)?;
    let pools = pools(partitions);
    let mut rng = StdRng::seed_from_u64(first);
    let mut templates: Vec<Vec<Template>> =
        pools.iter().map(|pool| (0..TEMPLATES).map(|_| Template::new(&mut rng, pool, per_record)).collect()).collect();
    let mut number = first;
    let (mut record, mut bytes) = (0usize, 0);
    while number < first + orders {
        let partition = record % pools.len();
        let template = &mut templates[partition][(record / pools.len()) % TEMPLATES];
        if record.is_multiple_of(4_096) {
            template.placed_at(now_ms());
        }
        let value = template.stamp(number);
        bytes += value.len() as u64;
        send(&producer, topic, partition as i32, &pools[partition], value)?;
        number += per_record as u64;
        record += 1;
    }
    finish(&producer)?;
    Ok(bytes)
}

/// A prepared record whose order ids are overwritten for each use.
struct Template {
    value: Vec<u8>,
    ids: Vec<usize>,
    orders: Vec<proto::Command>,
}

impl Template {
    fn new(rng: &mut StdRng, pool: &str, per_record: usize) -> Self {
        let orders = (0..per_record).map(|_| order(rng, pool)).collect();
        let mut template = Self { value: Vec::new(), ids: Vec::new(), orders };
        template.placed_at(now_ms());
        template
    }

    fn placed_at(&mut self, now_ms: i64) {
        for order in &mut self.orders {
            if let Some(command::Kind::Place(place)) = &mut order.kind {
                place.placed_at_ms = now_ms;
            }
        }
        self.value = proto::Commands { commands: self.orders.clone() }.encode_to_vec();
        let mark = [b'#'; ID_DIGITS];
        self.ids = (0..self.value.len().saturating_sub(ID_DIGITS - 1))
            .filter(|&at| self.value[at..at + ID_DIGITS] == mark)
            .collect();
        assert_eq!(self.ids.len(), self.orders.len(), "one id an order");
    }

    fn stamp(&mut self, first: u64) -> &[u8] {
        for (order, &at) in self.ids.iter().enumerate() {
            let mut number = first + order as u64;
            for digit in self.value[at..at + ID_DIGITS].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        &self.value
    }
}

fn order(rng: &mut StdRng, pool: &str) -> proto::Command {
    let lines = (0..rng.random_range(1..=3))
        .map(|_| proto::OrderLine { sku: sku(rng.random_range(0..SKUS)), quantity: rng.random_range(1..=3) })
        .collect();
    let place = proto::Place {
        pool: pool.to_string(),
        order_id: format!("o-{}", "#".repeat(ID_DIGITS)),
        customer: format!("c{:07}", rng.random_range(0..10_000_000)),
        channel: "web".into(),
        lines,
        ..Default::default()
    };
    proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None }
}

fn sku(number: usize) -> String {
    format!("sku-{number:05}")
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

fn producer(bootstrap: &str) -> Result<BaseProducer> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .context("cannot make the generator's producer")
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, key: &str, value: &[u8]) -> Result<()> {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(5));
            }
            Err((fault, _)) => bail!("the generator cannot publish to {topic}: {fault}"),
        }
    }
}

fn finish(producer: &BaseProducer) -> Result<()> {
    producer.flush(FLUSH).context("the generator's last records were not acknowledged")
}
