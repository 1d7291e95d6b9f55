//! Sets the rules of a run and puts its stock on the shelves before the first order, and waits until the engine has
//! decided all of it.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::interrupt::Interrupt;
use crate::load::scenario::Scenario;
use crate::load::traffic::stock::{self, StockRecord};
use crate::load::traffic::{PoolSet, RunId, rules};
use crate::proof::reader::Reader;
use crate::proof::reader::consumer::Connection;

/// Longest wait without any stock command being decided: an engine that takes its shards after a crash needs two
/// sessions and a recovery.
const SILENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at how much was decided.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long the last records may take to be acknowledged.
const FLUSH_WITHIN: Duration = Duration::from_secs(30);

/// Publishes the rules of all pools, then their stock, days counted from `first_day`. How many commands that is.
///
/// # Errors
/// The brokers do not take it.
pub(super) fn fill(
    connection: &Connection,
    topic: &str,
    scenario: &Scenario,
    run: RunId,
    pools: &PoolSet,
    first_day: i32,
) -> anyhow::Result<u64> {
    let now_ms = now_ms();
    // In this order within a partition, so that nothing is on a shelf of which a rule does not stand.
    let rules = rules::before_stock(scenario, run, pools, now_ms);
    publish(connection, topic, pools, rules.chain(stock::records(scenario, run, pools, now_ms, first_day)))
}

/// Publishes what the rules say of instants, once the start of the run is known. How many commands that is.
///
/// # Errors
/// The brokers do not take it.
pub(super) fn announce(
    connection: &Connection,
    topic: &str,
    scenario: &Scenario,
    run: RunId,
    pools: &PoolSet,
    start_unix_ms: i64,
    first_day: i32,
) -> anyhow::Result<u64> {
    publish(connection, topic, pools, rules::at_start(scenario, run, pools, now_ms(), start_unix_ms, first_day))
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

fn publish(
    connection: &Connection,
    topic: &str,
    pools: &PoolSet,
    records: impl Iterator<Item = StockRecord>,
) -> anyhow::Result<u64> {
    let mut config = ClientConfig::new();
    for (key, value) in &connection.properties {
        config.set(key, value);
    }
    let producer: BaseProducer = config
        .set("bootstrap.servers", &connection.bootstrap)
        .set("client.id", "loadtest")
        .set("enable.idempotence", "true")
        .set("allow.auto.create.topics", "false")
        .create()
        .context("cannot make a producer for the stock")?;
    let mut commands = 0;
    for record in records {
        commands += u64::from(record.commands);
        let key = &pools.list()[record.pool as usize].name;
        let mut out = BaseRecord::to(topic).partition(record.partition as i32).key(key).payload(&record.value);
        loop {
            match producer.send(out) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    out = back;
                    producer.poll(LOOK_EVERY);
                }
                Err((error, _)) => bail!("cannot publish stock to {topic}: {error}"),
            }
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(FLUSH_WITHIN).with_context(|| format!("the stock was not acknowledged by {topic}"))?;
    Ok(commands)
}

/// Waits until `commands` stock commands have been decided. False: somebody wants the run to end.
///
/// # Errors
/// The engine is silent, or reading failed.
pub(super) fn wait(
    reader: &Reader,
    commands: u64,
    interrupt: &Interrupt,
    mut check: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let stocked = reader.stocked();
        if stocked >= commands {
            return Ok(true);
        }
        if interrupt.is_set() {
            return Ok(false);
        }
        if stocked > last {
            (last, moved) = (stocked, Instant::now());
        }
        if let Some(broken) = reader.broken() {
            bail!(broken);
        }
        check()?;
        ensure!(
            moved.elapsed() < SILENCE,
            "{stocked} of {commands} stock commands were decided, and none for {} s: does an engine run on these topics \
             (`sluice run`), and is it ready?{}",
            SILENCE.as_secs(),
            reader.troubles().last().map(|trouble| format!(" Last trouble: {trouble}")).unwrap_or_default(),
        );
        thread::sleep(LOOK_EVERY);
    }
}
