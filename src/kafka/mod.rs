//! The seam's real side, on librdkafka: the only place that names it, and the only one that uses unsafe.
//!
//! No decision is made here. [`KafkaBroker`] gives a shard its inputs, its writer and its log; [`membership`] says
//! which shards a node has; [`admin`] is for topics and checks.

pub mod admin;
mod broker;
mod clients;
mod context;
mod control;
mod ends;
mod fault;
mod ffi;
mod graveyard;
mod inputs;
mod log_reader;
pub mod membership;
pub mod mock;
mod properties;
pub mod publisher;
mod reply_topic;
mod reserved;
mod rest;
mod settings;
mod trouble;
mod writer;

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
