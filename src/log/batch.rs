//! What the apply half hands to the commit half: one batch of decided input, as drafts of links and the records that
//! go with them in one transaction, their companions. Buffers keep their capacity when a batch is emptied and go back
//! to apply.
//!
//! A batch's companions stand beside its links, not with one of them. After a fault the log tells which links are
//! there, but not which companions: those live in other partitions, and a transaction that was ended early by a stray
//! EndTxn holds what each partition's leader had got by then. So whenever a batch has met a fault, **all** of its
//! companions are sent again, with the links that are missing; links never twice, companions rather twice than never.
//! A reader tells a repeated one by its sequence (replies, one record per decision) or its source offset (dead letters).
//!
//! Dead letters go before the links, and the rest behind them once they are acknowledged: whoever dies in between leaves
//! no poison that is nowhere, and no reply that no log knows.

use crate::broker::Header;
use crate::wire::link::LinkDraft;

/// One batch, decided and not yet committed.
#[derive(Debug, Default)]
pub struct Batch {
    /// Its links, in order; at least one. The commit half seals each with the hash of the one before.
    pub links: Vec<LinkDraft>,
    /// Values for partitions of `replies`, at most one a partition and link, so that each is bounded as a link is.
    pub replies: Vec<Reply>,
    /// Records that could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Values of the optional one-record-per-decision topic, back to back, and where each ends.
    pub per_decision: PerDecision,
}

/// Decisions for one partition of `replies`: an encoded `Replies` message.
#[derive(Debug, Default)]
pub struct Reply {
    /// Whose link it tells of.
    pub shard: u32,
    /// The partition.
    pub partition: u32,
    /// The value.
    pub value: Vec<u8>,
}

/// An input record that could not be read, whole.
#[derive(Debug, Default)]
pub struct DeadLetter {
    /// Whose input: the partition of `dead-letters`.
    pub shard: u32,
    /// Its key, untouched.
    pub key: Option<Vec<u8>>,
    /// Its value, untouched.
    pub value: Option<Vec<u8>>,
    /// Its own headers, and those that say where it came from and what is wrong with it.
    pub headers: Vec<Header>,
}

/// Encoded `Decision` messages, keyed by order id, without an allocation for each.
#[derive(Debug, Default)]
pub struct PerDecision {
    /// Keys and values, back to back.
    pub bytes: Vec<u8>,
    /// For each record: where its key ends (it begins where the record before ends), and where its value ends.
    pub ends: Vec<(u32, u32)>,
    /// Whose decision each is.
    pub shards: Vec<u32>,
}

impl PerDecision {
    /// Empties it. Its buffers keep their capacity.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.shards.clear();
    }

    /// Takes out what is of `shard`.
    fn discard(&mut self, shard: u32) {
        let records = std::mem::take(self);
        let mut begin = 0;
        for (&(key_end, end), &of) in records.ends.iter().zip(&records.shards) {
            if of != shard {
                // Backwards, and added as it wraps.
                let moved =
                    u32::try_from(self.bytes.len()).expect("there is less of it than before").wrapping_sub(begin);
                self.bytes.extend_from_slice(&records.bytes[begin as usize..end as usize]);
                self.ends.push((key_end.wrapping_add(moved), end.wrapping_add(moved)));
                self.shards.push(of);
            }
            begin = end;
        }
    }
}

impl Batch {
    /// Takes out everything of `shard`, whose decisions are void; the links, for their buffers.
    pub fn discard(&mut self, shard: u32) -> Vec<LinkDraft> {
        self.replies.retain(|reply| reply.shard != shard);
        self.dead_letters.retain(|letter| letter.shard != shard);
        self.per_decision.discard(shard);
        self.links.extract_if(.., |link| link.shard == shard).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_a_batch_is_all_of_one_shard_and_nothing_else() {
        let mut batch = Batch::default();
        for (number, shard) in [4, 9, 4, 9, 9].into_iter().enumerate() {
            let mut link = LinkDraft::default();
            link.begin(shard, 1 + number as u64, 0, 0);
            batch.links.push(link);
            batch.replies.push(Reply { shard, partition: number as u32, value: vec![number as u8] });
            batch.dead_letters.push(DeadLetter { shard, ..DeadLetter::default() });
            let records = &mut batch.per_decision;
            records.bytes.extend_from_slice(format!("key{number}value{}", "x".repeat(number)).as_bytes());
            let end = records.bytes.len() as u32;
            records.ends.push((end - 5 - number as u32, end));
            records.shards.push(shard);
        }
        assert_eq!(batch.discard(4).len(), 2);
        assert_eq!(batch.links.iter().map(|link| link.first_sequence).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(batch.replies.iter().map(|reply| reply.partition).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(batch.dead_letters.len(), 3);
        let records = &batch.per_decision;
        assert_eq!(records.bytes, b"key1valuexkey3valuexxxkey4valuexxxx");
        assert_eq!(records.ends, [(4, 10), (14, 22), (26, 35)]);
        assert_eq!(records.shards, [9, 9, 9]);
    }
}
