//! A batch on its way from apply to commit and back, with its counts and the buffers it keeps for next time.

use super::tally::Tally;
use crate::log::batch::{Batch, Reply};
use crate::wire::link::LinkDraft;

/// One batch and what is said about it once it is committed. Two go round in a lane.
#[derive(Debug, Default)]
pub struct Work {
    /// What is committed.
    pub batch: Batch,
    /// Its decisions by outcome and reason.
    pub tally: Tally,
    /// The ownership that it was decided in; of an earlier one it is worthless.
    pub life: u64,
    /// Decisions in it.
    pub decisions: u32,
    /// Bytes of links, replies and dead letters, as they are filled.
    pub bytes: usize,
    /// Replies beyond the partitions of `replies`.
    pub lost_replies: u64,
    /// Sequence of the last decision in it, or before it.
    pub sequence: u64,
    /// First offsets that are not decided after it, of `orders` and of `stock`.
    pub next: [i64; 2],
    /// The shard's time after it.
    pub shard_time_ms: i64,
    spare_links: Vec<LinkDraft>,
    spare_values: Vec<Vec<u8>>,
}

impl Work {
    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.links.is_empty()
    }

    /// Opens another link in the batch.
    pub fn open_link(
        &mut self,
        shard: u32,
        first_sequence: u64,
        engine_time_ms: i64,
        shard_time_ms: i64,
    ) -> &mut LinkDraft {
        let mut link = self.spare_links.pop().unwrap_or_default();
        link.begin(shard, first_sequence, engine_time_ms, shard_time_ms);
        self.batch.links.push(link);
        self.batch.links.last_mut().expect("it was pushed")
    }

    /// Opens a reply to `partition`, in addition to those of links before.
    pub fn open_reply(&mut self, partition: u32) -> usize {
        let value = self.spare_values.pop().unwrap_or_default();
        self.batch.replies.push(Reply { partition, value });
        self.batch.replies.len() - 1
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
        self.batch.dead_letters.clear();
        self.batch.per_decision.bytes.clear();
        self.batch.per_decision.ends.clear();
        self.tally.clear();
        self.decisions = 0;
        self.bytes = 0;
        self.lost_replies = 0;
    }
}
