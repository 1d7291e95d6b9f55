//! The benchmark's topics: made before a row, deleted when nobody needs them any more.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use sluice::admin;
use sluice::config::Config;
use sluice::kafka::admin::Admin;
use sluice::kafka::{Delivery, KafkaBroker, Settings};
use sluice::wire::Layout;
use sluice::wire::link::RULES_LEVEL;

/// How long the administrator's client waits for an answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than a run: no order is too old in it.
const WINDOW: Duration = Duration::from_secs(3_600);

/// The default configuration, with these topics: `name`, or `inputs/log` for a second log of the same inputs.
pub(crate) fn config(bootstrap: &str, topics: &str) -> Config {
    let mut config = Config::defaults();
    bootstrap.clone_into(&mut config.kafka.bootstrap_servers);
    let (inputs, log) = topics.split_once('/').unwrap_or((topics, topics));
    config.topics.orders = format!("{inputs}-orders");
    config.topics.stock = format!("{inputs}-stock");
    config.topics.decisions = format!("{log}-decisions");
    config.topics.replies = format!("{log}-replies");
    config.topics.dead_letters = format!("{log}-dead-letters");
    config
}

/// What the Kafka side is told.
pub(crate) fn settings(bootstrap: &str, topics: &str, delivery: Delivery) -> Settings {
    Settings { delivery, ..config(bootstrap, topics).kafka_settings() }
}

/// Where the service of the team publishes its decisions.
pub(crate) fn answers(topics: &str) -> String {
    format!("{}-answers", topics.split_once('/').map_or(topics, |(_, log)| log))
}

/// Makes what is missing of these topics and begins their logs.
pub(crate) fn create(bootstrap: &str, topics: &str, Layout { shards, lanes }: Layout) -> Result<()> {
    let config = config(bootstrap, topics);
    let settings = config.kafka_settings();
    let plan = admin::Plan {
        partitions: shards,
        lanes: Some(lanes),
        reply_partitions: 1,
        replication: 1,
        min_insync: 1,
        window: WINDOW,
        skew: WINDOW,
        rules_level: RULES_LEVEL,
    };
    let client = Admin::new(&settings, ADMIN_TIMEOUT)?;
    Ok(admin::create(&client, &KafkaBroker::new(settings)?, &config, &plan, &mut |_| {})?)
}

/// Makes the topic for the answers of the team's service.
pub(crate) fn create_answers(bootstrap: &str, topics: &str, shards: u32) -> Result<()> {
    let topic = answers(topics);
    let topic = NewTopic::new(&topic, i32::try_from(shards)?, TopicReplication::Fixed(1));
    let done = block_on(async { plain(bootstrap)?.create_topics(&[topic], &options()).await.map_err(Into::into) })?;
    ensure!(done.iter().all(Result::is_ok), "cannot make the answers' topic: {done:?}");
    Ok(())
}

/// Deletes topics, so that a long run does not fill the disk.
pub(crate) fn delete(bootstrap: &str, topics: &[String]) -> Result<()> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let done = block_on(async { plain(bootstrap)?.delete_topics(&names, &options()).await.map_err(Into::into) })?;
    ensure!(done.iter().all(Result::is_ok), "cannot delete topics: {done:?}");
    Ok(())
}

/// The names of the topics that belong to a log.
pub(crate) fn log_topics(bootstrap: &str, topics: &str) -> Vec<String> {
    let topics = config(bootstrap, topics).topics;
    vec![topics.decisions, topics.replies, topics.dead_letters]
}

/// The names of the inputs.
pub(crate) fn input_topics(bootstrap: &str, topics: &str) -> Vec<String> {
    let topics = config(bootstrap, topics).topics;
    vec![topics.orders, topics.stock]
}

fn plain(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", bootstrap).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ADMIN_TIMEOUT)).request_timeout(Some(ADMIN_TIMEOUT))
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
