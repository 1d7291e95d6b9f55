//! The reader of a lane's log.

use std::time::Duration;

use super::faults::{Call, Site, Trouble};
use super::partition::Cursor;
use super::state::{Shared, Topic, struck};
use crate::broker::{Fault, LogReader, Position};

/// Records that one read hands out at the most, so that readers are seen to read on.
pub const MAX_READ_RECORDS: usize = 100;

/// See [`LogReader`].
pub struct MemoryReader {
    shared: Shared,
    node: u32,
    lane: u32,
    cursor: Cursor,
}

impl MemoryReader {
    pub(super) fn new(shared: Shared, node: u32, lane: u32, from_offset: i64) -> Self {
        Self { shared, node, lane, cursor: Cursor::at(Position::at(from_offset)) }
    }
}

impl LogReader for MemoryReader {
    fn read(&mut self, _timeout: Duration, each: &mut dyn FnMut(i64, &[u8])) -> Result<usize, Fault> {
        let mut found = Vec::new();
        {
            let mut state = self.shared.lock();
            let site = Site { node: self.node, shard: Some(self.lane), call: Call::Read };
            match state.call(site) {
                Some(Trouble::Refuse) => return Err(struck(Call::Read, "the log")),
                Some(_) => return Ok(0),
                None if state.is_cut_off(self.node) => return Ok(0),
                None => {}
            }
            let at = (Topic::Decisions, self.lane);
            state.fetch(at, &mut self.cursor, MAX_READ_RECORDS, |stored| {
                found.push((stored.offset, stored.message.value.clone().unwrap_or_default()));
            })?;
        }
        // The lock is given back first: whoever reads may call the cluster.
        for (offset, value) in &found {
            each(*offset, value);
        }
        Ok(found.len())
    }

    fn position(&self) -> i64 {
        self.cursor.position
    }
}
