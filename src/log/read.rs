//! Reading a lane's log and checking that each record continues it: for auditors, tools and other programs, and for
//! the engine itself.

use std::time::Duration;

use thiserror::Error;

use crate::broker::{Fault, LogReader};
use crate::wire::chain::{ChainCheck, ChainError};
use crate::wire::entry::{EntryError, LogEntry};

/// Why a record is no continuation of the log.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ReadError {
    /// It is no record of a log.
    #[error("the record at offset {offset} cannot be read: {source}")]
    Unreadable {
        /// Of the record.
        offset: i64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// It does not follow from those in front of it.
    #[error("the record at offset {offset} does not continue the log: {source}")]
    Broken {
        /// Of the record.
        offset: i64,
        /// What is wrong with it.
        source: ChainError,
    },
}

/// Why a log can't be read on.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum LogError {
    /// The broker's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The log's own.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Checks the records of one partition of `decisions`, from its first one on, wherever their bytes come from.
#[derive(Clone, Debug, Default)]
pub struct LogCheck {
    chain: ChainCheck,
}

impl LogCheck {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self { chain: ChainCheck::new() }
    }

    /// Takes the value of the next record, as a read_committed consumer sees it. After an error the rest of the log
    /// means nothing.
    pub fn next<'a>(&mut self, offset: i64, value: &'a [u8]) -> Result<LogEntry<'a>, ReadError> {
        let entry = LogEntry::parse(value).map_err(|source| ReadError::Unreadable { offset, source })?;
        self.chain.take(value, &entry).map_err(|source| ReadError::Broken { offset, source })?;
        Ok(entry)
    }

    /// What stands at the end of what was read: hashes, positions, sequence, epoch.
    pub fn chain(&self) -> &ChainCheck {
        &self.chain
    }
}

/// A lane's log, read in order and checked. A link's decisions come with their sources from
/// [`LinkView::decisions`](crate::wire::entry::LinkView::decisions).
#[derive(Debug)]
pub struct LaneLog<L> {
    reader: L,
    check: LogCheck,
}

impl<L: LogReader> LaneLog<L> {
    /// Reads through `reader`, which stands at the partition's first record.
    pub fn new(reader: L) -> Self {
        Self { reader, check: LogCheck::new() }
    }

    /// Hands each record that can be read now to `each`, with its offset; waits `timeout` at the most for a first
    /// one. Returns how many; 0 proves nothing about the log's end.
    pub fn read(&mut self, timeout: Duration, each: &mut dyn FnMut(i64, &LogEntry<'_>)) -> Result<usize, LogError> {
        let mut bad = None;
        let check = &mut self.check;
        let count = self.reader.read(timeout, &mut |offset, value| {
            if bad.is_none() {
                match check.next(offset, value) {
                    Ok(entry) => each(offset, &entry),
                    Err(error) => bad = Some(error),
                }
            }
        })?;
        bad.map_or(Ok(count), |error| Err(error.into()))
    }

    /// What stands at the end of what was read.
    pub fn chain(&self) -> &ChainCheck {
        self.check.chain()
    }
}
