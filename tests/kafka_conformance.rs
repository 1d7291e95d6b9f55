//! A real Apache Kafka, through the engine's client, keeps every promise of the seam.

#[macro_use]
mod conformance;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "conformance/kafka_elections.rs"]
mod kafka_elections;
#[path = "conformance/kafka_world.rs"]
mod kafka_world;

use kafka_elections::KafkaElections;
use kafka_world::KafkaWorld;

conformance_suite!(KafkaWorld, KafkaElections);
