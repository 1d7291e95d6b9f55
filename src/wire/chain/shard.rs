//! What makes the links of one shard follow from each other: sequences and time that go on, segments that join.

use thiserror::Error;

use crate::wire::proto::{Input, LinkHeader, Segment};

/// How the links of a shard break its rules.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ShardError {
    /// A link does not begin where the one before ended.
    #[error("a link begins with sequence {found} where {due} was due")]
    Sequence {
        /// The one after the last decision.
        due: u64,
        /// As the link says.
        found: u64,
    },
    /// A segment does not begin where the one before of that input ended, or is no run of records.
    #[error("a segment ({from_offset}, {to_offset}] of input {input} follows offset {last}")]
    Segment {
        /// Number of its input.
        input: i32,
        /// Last offset decided before.
        last: i64,
        /// As the segment says.
        from_offset: i64,
        /// As the segment says.
        to_offset: i64,
    },
    /// A dead letter is named that is no record of the link's segments.
    #[error("dead letter {offset} of input {input} is not in the link's segments")]
    DeadLetter {
        /// Number of its input.
        input: i32,
        /// Its offset.
        offset: i64,
    },
    /// A shard's time went back.
    #[error("the shard's time falls from {last_ms} to {found_ms}")]
    Time {
        /// After the link before, milliseconds since the Unix epoch.
        last_ms: i64,
        /// As the link says.
        found_ms: i64,
    },
}

/// Where a shard stands, as far as its links were read.
#[derive(Clone, Debug)]
pub struct ShardChain {
    next_sequence: u64,
    /// Last offsets decided, of `orders` and of `stock`; -1 before the first.
    last: [i64; 2],
    /// Leader epochs of these; -1 where none is known.
    leader_epochs: [i32; 2],
    shard_time_ms: i64,
}

impl Default for ShardChain {
    fn default() -> ShardChain {
        ShardChain { next_sequence: 1, last: [-1; 2], leader_epochs: [-1; 2], shard_time_ms: 0 }
    }
}

impl ShardChain {
    /// Takes the shard's next link. After an error the state is as before it.
    pub(super) fn take(&mut self, header: &LinkHeader) -> Result<(), ShardError> {
        if header.first_sequence != self.next_sequence {
            return Err(ShardError::Sequence { due: self.next_sequence, found: header.first_sequence });
        }
        if header.shard_time_ms < self.shard_time_ms {
            return Err(ShardError::Time { last_ms: self.shard_time_ms, found_ms: header.shard_time_ms });
        }
        let last = self.after(&header.segments)?;
        for letter in &header.dead_letters {
            let within =
                |s: &Segment| s.input == letter.input && s.from_offset < letter.offset && letter.offset <= s.to_offset;
            if !header.segments.iter().any(within) {
                return Err(ShardError::DeadLetter { input: letter.input, offset: letter.offset });
            }
        }
        self.last = last;
        for segment in &header.segments {
            self.leader_epochs[usize::from(segment.input == Input::Stock as i32)] = segment.leader_epoch;
        }
        self.next_sequence = self.next_sequence.saturating_add(u64::from(header.count));
        self.shard_time_ms = header.shard_time_ms;
        Ok(())
    }

    /// The last decided offsets of both inputs after these segments.
    fn after(&self, segments: &[Segment]) -> Result<[i64; 2], ShardError> {
        let mut after = self.last;
        for &Segment { input, from_offset, to_offset, .. } in segments {
            let last = match Input::try_from(input) {
                Ok(Input::Orders) => &mut after[0],
                Ok(Input::Stock) => &mut after[1],
                _ => return Err(ShardError::Segment { input, last: -1, from_offset, to_offset }),
            };
            if from_offset != *last || to_offset <= from_offset {
                return Err(ShardError::Segment { input, last: *last, from_offset, to_offset });
            }
            *last = to_offset;
        }
        Ok(after)
    }

    /// Sequence of the next decision.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Offset of `input`'s last record that is decided, -1 if none is.
    #[must_use]
    pub fn last_offset(&self, input: Input) -> i64 {
        self.last[usize::from(input == Input::Stock)]
    }

    /// Leader epoch of that record, -1 if the broker gave none.
    #[must_use]
    pub fn last_leader_epoch(&self, input: Input) -> i32 {
        self.leader_epochs[usize::from(input == Input::Stock)]
    }

    /// Offset of `input` from which to read on.
    #[must_use]
    pub fn resume_offset(&self, input: Input) -> i64 {
        self.last_offset(input).saturating_add(1)
    }

    /// The shard's time after the last link, milliseconds since the Unix epoch; 0 before the first.
    #[must_use]
    pub fn shard_time_ms(&self) -> i64 {
        self.shard_time_ms
    }
}
