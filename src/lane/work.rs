//! A batch on its way from apply to commit and back, with its counts and the buffers it keeps for next time.

use super::settings::{BatchLimits, MAX_BATCH_BYTES};
use super::tally::Tally;
use crate::log::batch::{Batch, Reply};
use crate::wire::link::LinkDraft;

/// Bytes of buffers that a batch keeps for the next one, of links and of replies each: twice what fills a batch.
const SPARE_BYTES: usize = 2 * MAX_BATCH_BYTES;

/// One batch and what is said about it once it is committed. Two go round in a lane.
#[derive(Debug, Default)]
pub struct Work {
    /// What is committed.
    pub batch: Batch,
    /// The ownership that it was decided in; of an earlier one it is worthless.
    pub life: u64,
    /// Decisions in it.
    pub decisions: u32,
    /// Bytes of links, replies and dead letters, as they are filled.
    pub bytes: usize,
    /// What each shard of the lane has in it, in their order.
    pub shards: Vec<Share>,
    spare_links: Vec<LinkDraft>,
    spare_values: Vec<Vec<u8>>,
}

/// What one shard has in a batch, and where it stands after it.
#[derive(Debug, Default)]
pub struct Share {
    /// Its links; nothing else counts if it has none.
    pub links: u32,
    /// Its decisions by outcome and reason.
    pub tally: Tally,
    /// Its decisions.
    pub decisions: u32,
    /// Its bytes.
    pub bytes: usize,
    /// Its dead letters.
    pub dead_letters: u32,
    /// Replies beyond the partitions of `replies`.
    pub lost_replies: u64,
    /// Sequence of its last decision, or before it.
    pub sequence: u64,
    /// First offsets that are not decided after it, of `orders` and of `stock`.
    pub next: [i64; 2],
    /// The shard's time after it.
    pub shard_time_ms: i64,
}

impl Share {
    fn clear(&mut self) {
        if self.links > 0 {
            self.tally.clear();
            (self.links, self.decisions, self.bytes, self.dead_letters, self.lost_replies) = (0, 0, 0, 0, 0);
        }
    }
}

impl Work {
    /// Makes room for the figures of as many shards.
    pub fn of_shards(&mut self, count: usize) {
        self.shards.resize_with(count, Share::default);
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.links.is_empty()
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self, limits: BatchLimits) -> bool {
        self.bytes >= limits.max_bytes || self.decisions >= limits.max_decisions
    }

    /// Opens another link in the batch; where the batch has it.
    pub fn open_link(&mut self, at: usize, shard: u32, first_sequence: u64, times_ms: [i64; 2]) -> usize {
        let mut link = self.spare_links.pop().unwrap_or_default();
        let [engine_time_ms, shard_time_ms] = times_ms;
        link.begin(shard, first_sequence, engine_time_ms, shard_time_ms);
        self.batch.links.push(link);
        self.shards[at].links += 1;
        self.batch.links.len() - 1
    }

    /// Opens a reply of `shard` to `partition`, in addition to those of links before; where the batch has it.
    pub fn open_reply(&mut self, shard: u32, partition: u32) -> usize {
        let value = self.spare_values.pop().unwrap_or_default();
        self.batch.replies.push(Reply { shard, partition, value });
        self.batch.replies.len() - 1
    }

    /// Takes out everything of a shard, whose decisions are void.
    pub fn discard(&mut self, at: usize, shard: u32) {
        self.spare_links.extend(self.batch.discard(shard));
        self.decisions -= self.shards[at].decisions;
        self.bytes -= self.shards[at].bytes;
        self.shards[at].clear();
    }

    /// Empties it; what it holds of memory stays for the next batch.
    pub fn recycle(&mut self) {
        for mut link in self.batch.links.drain(..) {
            link.clear();
            self.spare_links.push(link);
        }
        for mut reply in self.batch.replies.drain(..) {
            reply.value.clear();
            self.spare_values.push(reply.value);
        }
        // Which buffer a shard gets next is left to chance: each would come to be as long as the longest link.
        let mut kept_bytes = 0;
        for link in &mut self.spare_links {
            if kept_bytes + link.room_bytes() > SPARE_BYTES {
                *link = LinkDraft::default();
            }
            kept_bytes += link.room_bytes();
        }
        let mut kept_bytes = 0;
        for value in &mut self.spare_values {
            if kept_bytes + value.capacity() > SPARE_BYTES {
                *value = Vec::new();
            }
            kept_bytes += value.capacity();
        }
        self.batch.dead_letters.clear();
        self.batch.per_decision.clear();
        self.shards.iter_mut().for_each(Share::clear);
        self.decisions = 0;
        self.bytes = 0;
    }
}
