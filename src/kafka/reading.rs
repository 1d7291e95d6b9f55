//! A partition being read, how far, and what it fails with.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::control::{Control, describe_topics, watermarks};
use super::fault::Problem;
use super::ffi::{Batch, Bell, Found, Owner, Partition};
use crate::broker::{Fault, Position};

/// Most records taken at once: bounds the list of pointers to them.
const TAKE_RECORDS: usize = 8_192;

/// How long the brokers are asked what is there, to say so in a fault.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition being read, and how far. Dropping it waits for librdkafka, so that is left to the graveyard.
pub(super) struct Reading {
    partition: Partition,
    pub(super) topic: String,
    pub(super) shard: u32,
    control: Control,
    pub(super) position: i64,
    /// Behind the last record handed out, with its leader epoch; if there is none, where reading began.
    behind: Position,
    /// Nothing is handed out until librdkafka could be told to have that leader epoch compared.
    is_unverified: bool,
    failed: Option<Fault>,
    /// Something has arrived since it began.
    heard: bool,
    /// It began anew: what it fails with before anything has arrived may be of the time before.
    echoes: bool,
}

impl Reading {
    pub(super) fn start(
        owner: Owner,
        control: Control,
        (topic, shard): (&str, u32),
        from: Position,
        bell: Bell,
    ) -> Result<Self, Fault> {
        let partition = Partition::new(owner, topic, shard, bell)
            .map_err(|problem| problem.fault(&format!("read {topic}[{shard}]")))?;
        let mut this = Self {
            partition,
            topic: topic.to_owned(),
            shard,
            control,
            position: from.offset,
            behind: from,
            is_unverified: false,
            failed: None,
            heard: false,
            echoes: false,
        };
        this.reopen(from)?;
        this.echoes = false;
        Ok(this)
    }

    /// Begins anew. Nothing that had arrived or was on its way is handed out.
    pub(super) fn reopen(&mut self, from: Position) -> Result<(), Fault> {
        (self.position, self.behind) = (from.offset, from);
        self.begin()
    }

    /// Goes on from where it is, on another consumer. What had arrived and was not handed out is fetched again. Returns
    /// what is not read any more, to be buried; if it cannot be read there, it is read as before.
    pub(super) fn go_over(&mut self, owner: Owner, bell: Bell) -> Result<Partition, Problem> {
        let mut partition = Partition::new(owner, &self.topic, self.shard, bell)?;
        partition.start(self.start_offset())?;
        self.has_begun();
        Ok(std::mem::replace(&mut self.partition, partition))
    }

    /// Begins where it is.
    fn begin(&mut self) -> Result<(), Fault> {
        let start = self.start_offset();
        let started = self.partition.start(start);
        self.has_begun();
        let started =
            started.map_err(|problem| problem.fault(&format!("read {}[{}] from {start}", self.topic, self.shard)));
        self.failed = started.clone().err();
        started
    }

    /// Between the last record and the position may be markers of a later leader epoch, to which the record's does not
    /// reach: it is compared where the record ended.
    const fn start_offset(&self) -> i64 {
        if self.behind.leader_epoch >= 0 { self.behind.offset } else { self.position }
    }

    fn has_begun(&mut self) {
        self.is_unverified = self.behind.leader_epoch >= 0;
        (self.heard, self.echoes) = (false, true);
    }

    /// Whether nothing has arrived that was not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.partition.is_empty()
    }

    /// Whether [`Reading::take`] has more to tell, without that anything arrives.
    pub(super) fn is_left(&self) -> bool {
        self.partition.is_left() || self.failed.is_some()
    }

    /// Whether it fails, until it begins anew.
    pub(super) fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// What has arrived. A fault is reported after the records before it, and again ever after.
    pub(super) fn take(&mut self, most: usize) -> Result<Option<Batch>, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let began = self.position;
        let (position, heard, mut problem) = (&mut self.position, &mut self.heard, None);
        let batch = self.partition.take(most.clamp(1, TAKE_RECORDS), &mut |found| match found {
            Found::Record(offset) if offset >= *position => (*position, *heard) = (offset + 1, true),
            Found::Record(offset) => {
                let text = format!("offset {offset} came after {}", *position - 1);
                problem = Some(Problem::new(Code::Inconsistent, &text));
            }
            Found::End(offset) => (*position, *heard) = (offset.max(*position), true),
            Found::Error(error) => {
                problem.get_or_insert(error);
            }
        });
        if self.is_unverified {
            self.position = began;
            if problem.is_none() {
                self.verify();
                return Ok(None);
            }
        }
        let Some(problem) = problem else { return Ok(self.hand_out(batch)) };
        // A batch with a repeated or unverified record in it must not be handed out at all.
        let is_withheld = problem.code == Code::Inconsistent || self.is_unverified;
        if is_reset(problem.code) && (is_withheld || batch.is_none()) {
            if self.echoes && !self.heard {
                self.begin()?;
                self.echoes = false;
                return Ok(None);
            }
            if self.is_front_gone() {
                self.behind = Position::at(self.position);
                self.begin()?;
                return Ok(None);
            }
        }
        let fault = self.fault(&problem);
        self.failed = Some(fault.clone());
        let batch = batch.filter(|_| !is_withheld);
        self.hand_out(batch).map(Some).map(Ok).unwrap_or(Err(fault))
    }

    fn hand_out(&mut self, batch: Option<Batch>) -> Option<Batch> {
        if let Some(batch) = &batch {
            let last = batch.record(batch.len() - 1);
            self.behind = Position { offset: last.offset + 1, leader_epoch: last.leader_epoch };
        }
        batch
    }

    /// Whether what stood in front of the position, and was never to be handed out, has been deleted together with the
    /// record before it: then there is nothing to compare, and nothing is missing.
    fn is_front_gone(&self) -> bool {
        let (behind, place) = (self.behind.offset, (self.topic.as_str(), self.shard));
        behind < self.position
            && watermarks(self.control.client(), &self.control.owner(), place, QUESTION_TIMEOUT)
                .is_ok_and(|(begin, end)| behind < begin && (begin..=end).contains(&self.position))
    }

    /// Has the leader epoch compared as soon as something of this beginning has arrived, which is then fetched again.
    /// Not before: librdkafka knows a partition by name only until its topic's metadata is there; and an answer about an
    /// epoch that was asked for before reading began anew would be taken for one about this, but it comes before
    /// whatever is fetched later.
    fn verify(&mut self) {
        if self.heard && self.partition.verify(self.behind.offset, self.behind.leader_epoch) {
            self.is_unverified = false;
        }
    }

    fn fault(&self, problem: &Problem) -> Fault {
        let what = format!("{}[{}]", self.topic, self.shard);
        let passes = || Fault::Transient(format!("read {what} at {}: {}", self.position, problem.text));
        let owner = self.control.owner();
        match problem.code {
            code if is_reset(code) => {
                let asked = self.position;
                let place = (self.topic.as_str(), self.shard);
                match watermarks(self.control.client(), &owner, place, QUESTION_TIMEOUT) {
                    Ok((begin, end)) if asked < begin || asked > end => Fault::OutOfRange { asked, begin, end, what },
                    Ok(_) if problem.code == Code::LogTruncation => Fault::Overwritten { asked, what },
                    // In range after all: an election, or the broker that was asked did not know the end yet.
                    Ok(_) | Err(_) => passes(),
                }
            }
            Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => {
                match describe_topics(&owner, &[&self.topic], QUESTION_TIMEOUT).as_deref() {
                    // A broker that has just started may not have heard of a topic that is there.
                    Ok([Ok(found)]) if found.partitions.len() > self.shard as usize => passes(),
                    Ok([Ok(_)] | [Err(_)]) => problem.fault(&format!("read {what}")),
                    _ => passes(),
                }
            }
            _ => problem.fault(&format!("read {what}")),
        }
    }
}

/// Whether librdkafka stops reading at this, because it may not choose another offset by itself. Such an error does not
/// bear the number of the start that it belongs to.
const fn is_reset(code: Code) -> bool {
    matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation)
}
