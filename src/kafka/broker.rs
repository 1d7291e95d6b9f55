//! [`KafkaBroker`]: opens what a node's lanes need.

use std::time::Duration;

use super::control::{Control, describe_topics, watermarks};
use super::inputs::KafkaInputs;
use super::log_reader::KafkaLogReader;
use super::settings::Settings;
use super::trouble::Trouble;
use super::writer::KafkaWriter;
use crate::broker::{Broker, Fault, ReadFrom, TopicFacts};

/// Apache Kafka, by librdkafka.
pub struct KafkaBroker {
    pub(super) settings: Settings,
    pub(super) control: Control,
}

impl KafkaBroker {
    /// Makes the clients that all shards share. They connect in the background.
    ///
    /// # Errors
    /// Settings that contradict each other, or a property that librdkafka refuses.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        settings.validate().map_err(|error| Fault::Fatal(error.to_string()))?;
        let control = Control::new(&settings)?;
        Ok(Self { settings, control })
    }

    /// The last connection that failed: why a call waited in vain.
    pub fn trouble(&self) -> Option<Trouble> {
        self.control.serve();
        self.control.client().context().trouble()
    }
}

impl Broker for KafkaBroker {
    type Inputs = KafkaInputs;
    type Writer = KafkaWriter;
    type Reader = KafkaLogReader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        let names = &self.settings.topics;
        let names = [names.orders.as_str(), names.stock.as_str(), names.decisions.as_str()];
        let what = || format!("describe topics {}", names.join(", "));
        let found = describe_topics(&self.control.owner(), &names, timeout).map_err(|error| error.fault(&what()))?;
        let mut facts = TopicFacts { partitions: [0; 3], ids: [[0; 16]; 3] };
        if found.len() != names.len() {
            return Err(Fault::Transient(format!("{}: {} answers", what(), found.len())));
        }
        for (i, topic) in found.into_iter().enumerate() {
            let topic = topic.map_err(|error| error.fault(&format!("describe topic {}", names[i])))?;
            facts.partitions[i] = topic.partitions.len() as u32;
            facts.ids[i] = topic.id;
        }
        Ok(facts)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<KafkaInputs, Fault> {
        KafkaInputs::open(&self.settings, &self.control, from)
    }

    fn writer(&self, lane: u32) -> Result<KafkaWriter, Fault> {
        KafkaWriter::open(&self.settings, lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<KafkaLogReader, Fault> {
        KafkaLogReader::open(&self.settings, &self.control, lane, from_offset)
    }

    fn log_end(&self, lane: u32, timeout: Duration) -> Option<i64> {
        let log = (self.settings.topics.decisions.as_str(), lane);
        watermarks(self.control.client(), &self.control.owner(), log, timeout).ok().map(|(_, end)| end)
    }
}
