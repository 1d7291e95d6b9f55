//! The first record of each partition of the log: for how long it remembers.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sluice::wire::entry::LogEntry;
use sluice::wire::proto::Genesis;

use super::consumer::{ASK_TIMEOUT, Connection, ReadError, failed};

/// Longest single wait for a record.
const POLL: Duration = Duration::from_millis(100);

/// Only the first record of a partition is wanted, and not what else a long log has.
const SETTINGS: [(&str, &str); 2] = [("queued.min.messages", "1"), ("fetch.message.max.bytes", "4096")];

impl Connection {
    /// The first records of these many partitions of the log.
    ///
    /// # Errors
    /// The cluster does not answer, or a partition begins with something else.
    pub(super) fn beginnings(&self, topic: &str, partitions: u32) -> Result<Vec<Genesis>, ReadError> {
        let consumer: BaseConsumer = self.consumer(topic, &SETTINGS)?;
        let mut from = TopicPartitionList::new();
        for partition in 0..partitions {
            from.add_partition_offset(topic, partition as i32, Offset::Beginning)
                .map_err(failed(format!("read {topic}[{partition}] from its beginning")))?;
        }
        consumer.assign(&from).map_err(failed(format!("read {topic} from its beginning")))?;
        let mut found: Vec<Option<Genesis>> = vec![None; partitions as usize];
        let mut missing = partitions;
        let deadline = Instant::now() + ASK_TIMEOUT;
        while missing > 0 {
            let none = |partition: usize| ReadError::NoBeginning { topic: topic.to_owned(), partition };
            if Instant::now() >= deadline {
                return Err(none(found.iter().position(Option::is_none).unwrap_or(0)));
            }
            let Some(message) = consumer.poll(POLL) else { continue };
            let message = message.map_err(failed(format!("read {topic} from its beginning")))?;
            let partition = message.partition() as usize;
            let Some(place) = found.get_mut(partition).filter(|place| place.is_none()) else { continue };
            match LogEntry::parse(message.payload().unwrap_or_default()) {
                Ok(LogEntry::Genesis(genesis)) => *place = Some(genesis),
                _ => return Err(none(partition)),
            }
            missing -= 1;
        }
        Ok(found.into_iter().flatten().collect())
    }
}
