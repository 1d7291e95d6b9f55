//! The first record of each lane's log: of which shards it is, and for how long these remember.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sluice::wire::entry::LogEntry;
use sluice::wire::proto::Genesis;

use super::consumer::{ASK_TIMEOUT, Connection, ReadError, failed};
use crate::proof::verify::layout;

/// Longest single wait for a record.
const POLL: Duration = Duration::from_millis(100);

/// Only the first record of a partition is wanted, and not what else a long log has.
const SETTINGS: [(&str, &str); 2] = [("queued.min.messages", "1"), ("fetch.message.max.bytes", "4096")];

impl Connection {
    /// The first records of these many lanes, each of which is a partition of the log.
    ///
    /// # Errors
    /// The cluster does not answer, or a lane begins with something else, or as one of another number of lanes or shards.
    pub(super) fn beginnings(&self, topic: &str, lanes: u32) -> Result<Vec<Genesis>, ReadError> {
        let found = self.first_records(topic, lanes)?;
        let shards = found.first().map(layout);
        for (lane, genesis) in (0..).zip(&found) {
            if let Some(what) = misfit(genesis, lane, lanes, shards) {
                return Err(ReadError::OtherLane { topic: topic.to_owned(), lane, what });
            }
        }
        Ok(found)
    }

    fn first_records(&self, topic: &str, partitions: u32) -> Result<Vec<Genesis>, ReadError> {
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

/// Why a log cannot be that of `lane`, one of so many; `first` is how many shards and lanes the first log says there are.
fn misfit(genesis: &Genesis, lane: u32, lanes: u32, first: Option<(u32, u32)>) -> Option<String> {
    let (shards, of) = layout(genesis);
    if genesis.shard != lane {
        return Some(format!("begins as the log of lane {}", genesis.shard));
    }
    if of != lanes || of > shards || of == 0 {
        return Some(format!("was begun for {shards} shards in {of} lanes, and there are {lanes} logs"));
    }
    let (shards_of_first, _) = first.filter(|first| *first != (shards, of))?;
    Some(format!("was begun for {shards} shards, and the first log for {shards_of_first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_not_one_of_the_lanes_is_told_by_what_it_says() {
        let genesis =
            |version, shard, partitions, lanes| Genesis { version, shard, partitions, lanes, ..Default::default() };
        let first = Some((6, 2));
        assert_eq!(misfit(&genesis(2, 1, 6, 2), 1, 2, first), None);
        assert_eq!(misfit(&genesis(1, 1, 2, 0), 1, 2, Some((2, 2))), None, "a lane for each shard");
        for (found, words) in [
            (genesis(2, 0, 6, 2), "begins as the log of lane 0"),
            (genesis(2, 1, 6, 3), "6 shards in 3 lanes, and there are 2 logs"),
            (genesis(2, 1, 6, 0), "6 shards in 0 lanes"),
            (genesis(1, 1, 6, 0), "6 shards in 6 lanes"),
            (genesis(2, 1, 4, 2), "for 4 shards, and the first log for 6"),
        ] {
            let text = misfit(&found, 1, 2, first).expect("it is another");
            assert!(text.contains(words), "{text}");
        }
    }
}
