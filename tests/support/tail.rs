//! Follows the logs of a deployment while engines write them, to know when they have come so far.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sluice::wire::proto::{Decision, Input, LogRecord, log_record};

use super::engine::Deployment;
use super::topics::{self, Watermarks};

/// A read_committed consumer of every partition of `decisions`.
pub(crate) struct Tail {
    consumer: BaseConsumer,
    marks: Watermarks,
    inputs: [(Input, String); 2],
    /// The topic `decisions`, and how many partitions it has.
    log: String,
    lanes: i32,
    /// Partitions of the inputs.
    shards: i32,
    /// Offset after the last record decided, by input and partition.
    decided: HashMap<(Input, i32), i64>,
    /// Decisions read so far.
    pub(crate) decisions: u64,
    /// Fences read so far.
    pub(crate) fences: u64,
    /// The consumer's latest error.
    trouble: Option<KafkaError>,
}

impl Tail {
    /// From the beginning.
    pub(crate) fn new(deployment: &Deployment) -> Self {
        Self::from(deployment, Offset::Beginning)
    }

    /// From the stable end that is there now, so that what is counted is not an earlier engine's.
    pub(crate) fn from_now(deployment: &Deployment) -> Self {
        Self::from(deployment, Offset::End)
    }

    fn from(deployment: &Deployment, offset: Offset) -> Self {
        let consumer = topics::consumer(&deployment.bootstrap, "read_committed");
        let [shards, lanes] = [deployment.partitions, deployment.lanes].map(u32::cast_signed);
        let log = deployment.topic("decisions");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..lanes {
            assignment.add_partition_offset(&log, partition, offset).expect("an offset");
        }
        consumer.assign(&assignment).expect("assigned");
        Self {
            consumer,
            marks: Watermarks::new(&deployment.bootstrap),
            inputs: [(Input::Orders, deployment.topic("orders")), (Input::Stock, deployment.topic("stock"))],
            log,
            lanes,
            shards,
            decided: HashMap::new(),
            decisions: 0,
            fences: 0,
            trouble: None,
        }
    }

    /// Reads what has come, for `time` at the most, until `enough` says stop of a decision or of the counts.
    pub(crate) fn follow(&mut self, time: Duration, mut enough: impl FnMut(&Tail, &[Decision]) -> bool) -> bool {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            let decisions = self.step();
            if enough(self, &decisions) {
                return true;
            }
        }
        false
    }

    /// Waits until everything that stands in the inputs at some moment from now on is decided.
    #[track_caller]
    pub(crate) fn wait_drained(&mut self, within: Duration) {
        let drained = self.follow(within, |tail, decisions| decisions.is_empty() && tail.is_drained());
        assert!(
            drained,
            "not decided within {} s: {:?} of {:?}; {}",
            within.as_secs(),
            self.decided,
            self.ends(),
            self.standing()
        );
    }

    /// Why nothing may have come, for whoever waited in vain: how far the logs were read, how far they could be, and what
    /// the consumer last complained of. A stable end that stays behind the end is a transaction that nobody ends.
    pub(crate) fn standing(&self) -> String {
        let ends = (0..self.lanes).map(|p| (self.marks.stable(&self.log, p), self.marks.high(&self.log, p)));
        let (position, ends) = (self.consumer.position(), ends.collect::<Vec<_>>());
        format!("read to {position:?}, stable and last ends {ends:?}, latest trouble {:?}", self.trouble)
    }

    fn is_drained(&self) -> bool {
        self.ends().iter().all(|(place, end)| self.decided.get(place).copied().unwrap_or(0) == *end)
    }

    fn ends(&self) -> Vec<((Input, i32), i64)> {
        let of = |(input, topic): &(Input, String)| {
            let (input, topic) = (*input, topic.clone());
            (0..self.shards).map(move |p| ((input, p), topic.clone()))
        };
        let places = self.inputs.iter().flat_map(of);
        places.map(|((input, p), topic)| ((input, p), self.marks.stable(&topic, p))).collect()
    }

    /// The decisions of the next link, if there is one soon.
    fn step(&mut self) -> Vec<Decision> {
        let message = match self.consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => message,
            None | Some(Err(KafkaError::PartitionEOF(_))) => return Vec::new(),
            // Brokers are stopped in some tests; the consumer reconnects by itself.
            Some(Err(error)) => {
                self.trouble = Some(error);
                return Vec::new();
            }
        };
        let entry = message.payload().and_then(|value| LogRecord::decode(value).ok()?.kind);
        match entry {
            Some(log_record::Kind::Link(link)) => {
                let header = link.header.unwrap_or_default();
                for segment in header.segments {
                    self.decided.insert((segment.input(), header.shard.cast_signed()), segment.to_offset + 1);
                }
                self.decisions += link.decisions.len() as u64;
                link.decisions
            }
            Some(log_record::Kind::Fence(_)) => {
                self.fences += 1;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
