//! One partition: entries in a row, and which of them a read_committed fetch may see.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::broker::{End, Header, Position, TimestampKind};

/// A record to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<Header>,
}

impl Message {
    /// A record without key and headers.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A record without headers.
    pub fn keyed(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    /// Bytes of key, value and headers.
    pub(super) fn len(&self) -> usize {
        let header = |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len);
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + self.headers.iter().map(header).sum::<usize>()
    }
}

/// A record as it stands in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its offset.
    pub offset: i64,
    /// When the cluster appended it, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What the topic said about timestamps at that moment.
    pub timestamp_kind: TimestampKind,
    /// The partition's leader epoch at that moment.
    pub leader_epoch: i32,
    /// Key, value and headers.
    pub message: Message,
}

/// Identity of a producer at the partitions: what the coordinator gave to a transactional.id.
pub(super) type ProducerId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
enum Body {
    Record { fate: Fate, stored: Stored },
    Marker { commit: bool },
}

#[derive(Debug)]
struct Entry {
    leader_epoch: i32,
    producer: Option<ProducerId>,
    body: Body,
}

/// Why a fetch from an offset fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// It is out of range.
    Range { begin: i64, end: i64 },
    /// What the fetcher had read in front of it was lost, and other records took its place.
    Overwritten,
}

/// Where a fetcher stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Everything readable below it has been handed out.
    pub(super) position: i64,
    /// Leader epoch of the last entry below it that was passed: finds out that records were lost even if others took their place.
    leader_epoch: Option<i32>,
}

impl Cursor {
    pub(super) fn at(from: Position) -> Self {
        Self { position: from.offset, leader_epoch: (from.leader_epoch >= 0).then_some(from.leader_epoch) }
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    begin: i64,
    entries: VecDeque<Entry>,
    /// Open transactions: offset of the first record of each producer.
    open: BTreeMap<ProducerId, i64>,
    /// Leader epochs and the offset at which each began.
    elections: Vec<(i32, i64)>,
    /// Without one, nothing can be read or written.
    pub(super) has_leader: bool,
}

impl Partition {
    pub(super) fn new() -> Self {
        Self { begin: 0, entries: VecDeque::new(), open: BTreeMap::new(), elections: vec![(0, 0)], has_leader: true }
    }

    pub(super) fn begin(&self) -> i64 {
        self.begin
    }

    pub(super) fn end(&self) -> End {
        let high = self.begin + self.entries.len() as i64;
        End { stable: self.open.values().copied().min().unwrap_or(high), high }
    }

    fn leader_epoch(&self) -> i32 {
        self.elections.last().expect("there is one from the start").0
    }

    /// Appends a record, of an open transaction if it has a producer.
    pub(super) fn append(
        &mut self,
        producer: Option<ProducerId>,
        message: Message,
        timestamp_ms: i64,
        timestamp_kind: TimestampKind,
    ) -> i64 {
        let offset = self.end().high;
        let fate = if let Some(producer) = producer {
            self.open.entry(producer).or_insert(offset);
            Fate::Open
        } else {
            Fate::Committed
        };
        let leader_epoch = self.leader_epoch();
        let stored = Stored { offset, timestamp_ms, timestamp_kind, leader_epoch, message };
        self.entries.push_back(Entry { leader_epoch, producer, body: Body::Record { fate, stored } });
        offset
    }

    /// Appends the marker that ends the producer's transaction in this partition.
    pub(super) fn mark(&mut self, producer: ProducerId, commit: bool) {
        self.settle(producer, commit, self.entries.len());
        self.open.remove(&producer);
        let leader_epoch = self.leader_epoch();
        self.entries.push_back(Entry { leader_epoch, producer: Some(producer), body: Body::Marker { commit } });
    }

    /// Gives the producer's open records among the first `entries` their fate.
    fn settle(&mut self, producer: ProducerId, commit: bool, entries: usize) {
        let Some(&first) = self.open.get(&producer) else { return };
        let decided = if commit { Fate::Committed } else { Fate::Aborted };
        let from = usize::try_from(first - self.begin).expect("trimming moves it up");
        for entry in self.entries.range_mut(from..entries) {
            if let Body::Record { fate, .. } = &mut entry.body
                && entry.producer == Some(producer)
                && *fate == Fate::Open
            {
                *fate = decided;
            }
        }
    }

    /// Drops what stands before `offset`.
    pub(super) fn trim(&mut self, offset: i64) {
        let offset = offset.clamp(self.begin, self.end().high);
        self.entries.drain(..usize::try_from(offset - self.begin).expect("clamped"));
        self.begin = offset;
        for first in self.open.values_mut() {
            *first = (*first).max(offset);
        }
    }

    /// Loses everything from `offset` on to an unclean election. A transaction whose marker is lost is open again, and
    /// stays so until its producer's next marker.
    pub(super) fn lose(&mut self, offset: i64) {
        let offset = offset.clamp(self.begin, self.end().high);
        self.entries.truncate(usize::try_from(offset - self.begin).expect("clamped"));
        self.open.clear();
        for i in 0..self.entries.len() {
            let at = self.begin + i as i64;
            let Some(producer) = self.entries[i].producer else { continue };
            match &mut self.entries[i].body {
                Body::Record { fate, .. } => {
                    *fate = Fate::Open;
                    self.open.entry(producer).or_insert(at);
                }
                &mut Body::Marker { commit } => {
                    self.settle(producer, commit, i);
                    self.open.remove(&producer);
                }
            }
        }
        let next = self.leader_epoch() + 1;
        self.elections.retain(|&(_, start)| start <= offset);
        self.elections.push((next, offset));
    }

    /// A new leader epoch, nothing lost.
    pub(super) fn elect(&mut self) {
        let next = self.leader_epoch() + 1;
        self.elections.push((next, self.end().high));
    }

    /// Where records of `epoch` end in the partition as it is now.
    fn end_of_epoch(&self, epoch: i32) -> i64 {
        self.elections.iter().find(|&&(e, _)| e > epoch).map_or(self.end().high, |&(_, start)| start)
    }

    /// Hands out what a read_committed fetcher may see, `most` at the most, and moves the cursor past it and past
    /// what nobody ever sees. Says how many were handed out.
    pub(super) fn fetch(
        &self,
        cursor: &mut Cursor,
        most: usize,
        mut each: impl FnMut(&Stored),
    ) -> Result<usize, Outside> {
        let End { stable, high } = self.end();
        if cursor.position < self.begin || cursor.position > high {
            return Err(Outside::Range { begin: self.begin, end: high });
        }
        if cursor.leader_epoch.is_some_and(|epoch| self.end_of_epoch(epoch) < cursor.position) {
            return Err(Outside::Overwritten);
        }
        let mut handed_out = 0;
        while cursor.position < stable && handed_out < most {
            let entry = &self.entries[usize::try_from(cursor.position - self.begin).expect("not below the start")];
            if let Body::Record { fate: Fate::Committed, stored } = &entry.body {
                each(stored);
                handed_out += 1;
            }
            cursor.leader_epoch = Some(entry.leader_epoch);
            cursor.position += 1;
        }
        Ok(handed_out)
    }
}
