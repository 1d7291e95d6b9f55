//! Records of one input that were received and are not yet applied.

use std::collections::VecDeque;

use super::settings::{
    FEW_BYTES, FEW_RECORDS, FULL_INPUTS, MAX_PENDING_BYTES, MAX_PENDING_RECORDS, SURE_PENDING_BYTES,
    SURE_PENDING_RECORDS,
};
use crate::broker::Records;

/// What inputs hold together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    records: usize,
    bytes: usize,
}

impl Held {
    fn reaches(self, records: usize, bytes: usize) -> bool {
        self.records >= records || self.bytes >= bytes
    }
}

/// Batches of records of one input.
pub(super) struct Pending<R> {
    /// With the bytes of their values.
    batches: VecDeque<(R, usize)>,
    /// Records of the first batch that are applied.
    applied: usize,
    records: usize,
    bytes: usize,
}

impl<R> Default for Pending<R> {
    fn default() -> Self {
        Pending { batches: VecDeque::new(), applied: 0, records: 0, bytes: 0 }
    }
}

impl<R: Records> Pending<R> {
    /// No more of this input is to be polled, while all inputs of the lane hold as much as `lane`.
    pub(super) fn is_full(&self, lane: Held) -> bool {
        let mine = Held { records: self.records, bytes: self.bytes };
        mine.reaches(MAX_PENDING_RECORDS, MAX_PENDING_BYTES)
            || (lane.reaches(FULL_INPUTS * MAX_PENDING_RECORDS, FULL_INPUTS * MAX_PENDING_BYTES)
                && mine.reaches(SURE_PENDING_RECORDS, SURE_PENDING_BYTES))
    }

    /// What it holds, together with `others`.
    pub(super) fn with(&self, others: Held) -> Held {
        Held { records: others.records + self.records, bytes: others.bytes + self.bytes }
    }

    /// Half of that is here.
    pub(super) fn is_half_full(&self) -> bool {
        2 * self.records >= MAX_PENDING_RECORDS || 2 * self.bytes >= MAX_PENDING_BYTES
    }

    /// It takes less time to apply than a turn.
    pub(super) fn is_little(&self) -> bool {
        self.records < FEW_RECORDS && self.bytes < FEW_BYTES
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The first batch that is not applied whole, and how many of its records are.
    pub(super) fn first(&self) -> (&R, usize) {
        let (first, _) = self.batches.front().expect("the merge counts what is pending");
        (first, self.applied)
    }

    /// Offset of the first record that is not applied.
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.batches.front().map(|(records, _)| records.get(self.applied).offset)
    }

    /// These arrived; `bytes` are those of their values.
    pub(super) fn push(&mut self, batch: R, bytes: usize) {
        self.records += batch.len();
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
    }

    /// `count` more of the first batch are applied.
    pub(super) fn applied(&mut self, count: usize) {
        self.applied += count;
        self.records -= count;
        if let Some((first, bytes)) = self.batches.front()
            && first.len() == self.applied
        {
            self.bytes -= bytes;
            self.batches.pop_front();
            self.applied = 0;
        }
    }
}
