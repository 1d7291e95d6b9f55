//! The broker of the demo, with the topics and genesis records that `sluice topics create` would make.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{DemoBroker, SHARDS};
use crate::admin::{self, Role};
use crate::broker::Broker;
use crate::config::Config;
use crate::devbroker::{Cluster, Options};
use crate::kafka::admin::Admin;
use crate::kafka::mock::{EmbeddedCluster, MockBroker};
use crate::kafka::{KafkaBroker, Settings};
use crate::lane::LaneSettings;
use crate::node::plan::lane_settings;
use crate::wire::Layout;
use crate::wire::link::{self, RULES_LEVEL};

/// How long the administrator's client waits for an answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the demo's order ids are remembered.
const WINDOW: Duration = Duration::from_secs(3_600);
/// By how much a clock may be ahead: all of them are this machine's.
const SKEW: Duration = Duration::from_secs(60);

/// A broker that is up, and what the engine is told to run against it.
pub(super) enum Stage {
    Mock { broker: Arc<MockBroker>, settings: Settings, lane: LaneSettings },
    Kafka { broker: Arc<KafkaBroker>, settings: Settings, lane: LaneSettings },
}

/// Brings the broker up, lets `play` use it, and takes it down.
pub(super) fn with(broker: DemoBroker, play: impl FnOnce(Stage) -> Result<bool>) -> Result<bool> {
    match broker {
        DemoBroker::Mock => {
            let cluster = EmbeddedCluster::start(1)?;
            let (config, settings) = configured(cluster.bootstrap_servers());
            for (_, name) in Role::all(&config) {
                cluster.create_topic(name, SHARDS)?;
            }
            let mock = MockBroker::new(&cluster, settings.clone())?;
            let facts = mock.topics(ADMIN_TIMEOUT)?;
            let client = Admin::new(&settings, ADMIN_TIMEOUT)?;
            for shard in 0..SHARDS {
                let genesis =
                    link::genesis(shard, Layout::one_each(SHARDS), facts.ids, ms(WINDOW), ms(SKEW), RULES_LEVEL);
                client.publish_genesis(shard, &link::genesis_value(genesis)).context("cannot begin the log")?;
            }
            say!("The broker is librdkafka's mock cluster, in this process: nothing in it is durable");
            let lane = lane_settings(&config, SHARDS, false);
            play(Stage::Mock { broker: Arc::new(mock), settings, lane })
        }
        DemoBroker::Kafka => {
            say!("Starting an Apache Kafka (the first time it is fetched through Maven)");
            let cluster = Cluster::start(&Options::default())?;
            let (config, settings) = configured(cluster.bootstrap());
            let kafka = KafkaBroker::new(settings.clone())?;
            let client = Admin::new(&settings, ADMIN_TIMEOUT)?;
            let plan = admin::Plan {
                partitions: SHARDS,
                lanes: Some(SHARDS),
                reply_partitions: SHARDS,
                replication: 1,
                min_insync: 1,
                window: WINDOW,
                skew: SKEW,
                rules_level: RULES_LEVEL,
            };
            admin::create(&client, &kafka, &config, &plan, &mut |_| {}).context("cannot make the topics")?;
            let lane = lane_settings(&config, SHARDS, false);
            play(Stage::Kafka { broker: Arc::new(kafka), settings, lane })
        }
    }
}

fn configured(bootstrap_servers: String) -> (Config, Settings) {
    let mut config = Config::defaults();
    config.kafka.bootstrap_servers = bootstrap_servers;
    let settings = config.kafka_settings();
    (config, settings)
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
