//! The seam's real side, on librdkafka: the only place that names it, and the only one that uses unsafe.
//!
//! No decision is made here. [`KafkaBroker`] gives a shard its inputs, its writer and its log; [`membership`] says
//! which shards a node has; [`admin`] is for topics and checks.

mod broker; // opens what a node's shards need
mod inputs; // the inputs of a lane's shards
mod reading; // a partition being read, and how far
mod kinds; // which kind of consumer each input is read on
mod consumers; // a lane's consumers, made when they are needed
mod writer; // a shard's transactional producer
mod rest; // how long it rests between a commit and the next transaction
mod reply_topic; // how many partitions `replies` has
mod log_reader; // a shard's log, read in order
mod control; // the client for Ticks and questions, one for all shards of a node
mod arrivals; // for which of a lane's queues something arrived
mod ends; // the questions where inputs end
mod questions; // what is asked about the ends, and of whom
pub mod membership; // which shards this node has
pub mod admin; // topics and brokers as an operator sees them
pub mod publisher; // a plain producer that tells where each record ended up
pub mod mock; // librdkafka's mock cluster, for the demo
mod settings; // what the Kafka side is told by the configuration
mod clients; // the librdkafka configuration of each client
mod properties; // which properties librdkafka knows
mod reserved; // properties that the configuration may not set
mod context; // where a client's events go
mod fault; // librdkafka's errors, sorted by what can be done
mod trouble; // why a broker cannot be reached
mod graveyard; // where clients are destroyed, because closing can hang
mod ffi; // what rdkafka does not wrap; all of the unsafe code

pub use broker::KafkaBroker;
pub use clients::MESSAGE_MAX_BYTES;
pub use graveyard::clients_dying;
pub use inputs::{KafkaInputs, KafkaRecords};
pub use log_reader::KafkaLogReader;
pub use properties::{PropertyProblem, check_property, property_names};
pub use reserved::{RESERVED_PROPERTIES, ReservedProperty, refuse_reserved};
pub use settings::{Delivery, Properties, Settings, SettingsError, TopicNames};
pub use trouble::{Trouble, TroubleKind};
pub use writer::KafkaWriter;
