//! The inputs of a lane, with bugs: of the engine at the seam, and a ledger that breaks down when it is told to.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sluice::broker::memory::{MemoryInputs, MemoryRecords};
use sluice::broker::{Ends, Fault, Header, Input, Inputs, Position, Record, Records, Wake};

use super::Bug;

pub struct PlantedInputs {
    pub(super) inner: MemoryInputs,
    pub(super) bug: Bug,
    pub(super) shards: usize,
    pub(super) breaks: Arc<AtomicBool>,
}

impl PlantedInputs {
    /// Whose records are read as those of shard `at`.
    fn read_as(&self, at: usize) -> usize {
        let neighbour = at ^ 1;
        if self.bug == Bug::ReadsItsNeighbour && neighbour < self.shards { neighbour } else { at }
    }
}

impl Inputs for PlantedInputs {
    type Records = PlantedRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<PlantedRecords>, Fault> {
        let at = self.read_as(at);
        let records = self.inner.poll(at, input, most)?;
        Ok(records.map(|inner| PlantedRecords { inner, breaks: self.breaks.clone() }))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        self.inner.position(self.read_as(at), input)
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        self.inner.reopen(self.read_as(at), orders, stock)
    }

    fn wait(&mut self, timeout: Duration) {
        self.inner.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inner.waker()
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.inner.ask_ends(at, ticket);
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        self.inner.ends()
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        self.inner.tick(at)
    }
}

/// Records whose headers, which only a shard asks for that decides about poison, break it down once it is told to.
pub struct PlantedRecords {
    inner: MemoryRecords,
    breaks: Arc<AtomicBool>,
}

impl Records for PlantedRecords {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        self.inner.get(i)
    }

    fn headers(&self, i: usize) -> Vec<Header> {
        if self.breaks.swap(false, Relaxed) {
            // A panic that nobody hears of.
            resume_unwind(Box::new("planted"));
        }
        self.inner.headers(i)
    }
}
