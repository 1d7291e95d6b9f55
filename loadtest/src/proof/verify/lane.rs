//! The log of one lane: hash, epoch and fences are the log's, and its links are taken apart by the shard that each names.
//! Written from the contract, not from the engine.

use sluice::wire::entry::{EntryError, LogEntry};
use sluice::wire::proto::Genesis;
use xxhash_rust::xxh3::xxh3_128;

use super::findings::Findings;
use super::memory::Memory;
use super::shard::{Counted, Shard};
use super::{Ours, layout};
use crate::report::result::Check;

/// What the records of a lane must bear out, read from some place of its log on.
#[derive(Debug)]
pub struct Lane {
    lane: u32,
    /// How many lanes there are: shard p belongs to lane p modulo this.
    lanes: u32,
    /// By shard, in order: those of the lane.
    shards: Vec<Shard>,
    /// Hash of the last link; none before the first that was read.
    last_hash: Option<u128>,
    /// Epoch of the last link, likewise.
    epoch: Option<u64>,
    /// Fences since.
    fences: u64,
    findings: Findings,
}

impl Lane {
    /// Nothing read yet of a log that begins so.
    pub fn new(ours: &Ours, genesis: &Genesis) -> Self {
        let (partitions, lanes) = layout(genesis);
        let memory = Memory::of(genesis);
        let shard = |shard| Shard::new(ours, shard, memory);
        let shards = (genesis.shard..partitions).step_by(lanes.max(1) as usize).map(shard).collect();
        let findings = Findings::default();
        Self { lane: genesis.shard, lanes, shards, last_hash: None, epoch: None, fences: 0, findings }
    }

    /// Takes the record at an offset of the log in, a link of which `late` says that it became readable when nothing was
    /// waited for any more. `count` is told of each answer to a command of ours.
    pub fn take(&mut self, ours: &Ours, offset: i64, value: &[u8], late: bool, count: impl FnMut(Counted)) {
        if let Err(error) = self.record(ours, offset, value, late, count) {
            self.wrong(offset, &error.to_string());
        }
    }

    fn record(
        &mut self,
        ours: &Ours,
        offset: i64,
        value: &[u8],
        late: bool,
        count: impl FnMut(Counted),
    ) -> Result<(), EntryError> {
        let link = match LogEntry::parse(value)? {
            // The log was begun before it was read.
            LogEntry::Genesis(_) => {
                self.wrong(offset, "a second genesis");
                return Ok(());
            }
            LogEntry::Fence(_) => {
                self.fences += 1;
                return Ok(());
            }
            LogEntry::Link(link) => link,
        };
        let header = &link.header;
        let hash = xxh3_128(value);
        let last_hash = self.last_hash.replace(hash).map(u128::to_be_bytes);
        if last_hash.is_some_and(|last| header.previous_hash != last) {
            self.wrong(offset, "a link that does not carry the hash of the one before");
        }
        let (fences, last) = (std::mem::take(&mut self.fences), self.epoch.replace(header.epoch));
        if let Some(last) = last.filter(|last| header.epoch < *last || header.epoch - last > fences) {
            let found = header.epoch;
            self.wrong(offset, &format!("a link of epoch {found}, {fences} fences behind one of epoch {last}"));
        }
        let Some(shard) = self.index(header.shard) else {
            let (shard, lanes) = (header.shard, self.lanes);
            self.wrong(offset, &format!("a link of shard {shard}, which is none of this lane's of {lanes}"));
            return Ok(());
        };
        let shard = &mut self.shards[shard];
        shard.header(header);
        shard.link(ours, &link, late, count)
    }

    /// Where `shards` has the shard of this number, if it belongs to the lane.
    fn index(&self, shard: u32) -> Option<usize> {
        let index = (shard / self.lanes.max(1)) as usize;
        (shard % self.lanes.max(1) == self.lane && index < self.shards.len()).then_some(index)
    }

    fn wrong(&mut self, offset: i64, text: &str) {
        let lane = self.lane;
        self.findings.add(Check::Wrong, || format!("decisions[{lane}] offset {offset}: {text}"));
    }

    /// Its shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Stock commands of ours that took effect so far.
    pub fn stocked(&self) -> u64 {
        self.shards.iter().map(Shard::stocked).sum()
    }

    /// What was found wrong in the log itself; what is wrong with a shard is the shard's.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}
