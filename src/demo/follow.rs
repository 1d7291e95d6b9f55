//! The log of a lane, read as any consumer would: held to the rules of a log, and taken apart by the shard that each link
//! names.

use prost::Message;

use crate::wire::chain::{ChainCheck, ChainError};
use crate::wire::entry::LogEntry;
use crate::wire::proto::{self, Decision, LogRecord, log_record};

/// What a record of the log tells.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// What a shard decided.
    Decided {
        /// Partition of the inputs.
        shard: u32,
        /// In the order of the log.
        decisions: Vec<Decision>,
    },
    /// It cannot follow from the records before it; why.
    Broken(String),
}

/// Where a lane's log stands.
#[derive(Debug)]
pub(super) struct Log {
    lane: u32,
    /// None once it is broken: what follows would be told once more with each record.
    chain: Option<ChainCheck>,
}

impl Log {
    /// From its beginning.
    pub(super) fn of(lane: u32) -> Self {
        Self { lane, chain: Some(ChainCheck::new()) }
    }

    /// Takes the next record, and hands out what it tells. A link of a shard that is not the lane's decides nothing.
    ///
    /// # Errors
    /// It is no record of a log.
    pub(super) fn take(&mut self, offset: i64, value: &[u8], each: &mut dyn FnMut(Told)) -> anyhow::Result<()> {
        let place = || format!("decisions[{}] offset {offset}", self.lane);
        let entry = LogEntry::parse(value).map_err(|error| anyhow::anyhow!("{}: {error}", place()))?;
        let is_meant = match &entry {
            LogEntry::Genesis(genesis) => genesis.shard == self.lane,
            _ => true,
        };
        let taken = self.chain.as_mut().map_or(Ok(()), |chain| chain.take(value, &entry));
        let foreign = matches!(taken, Err(ChainError::Foreign { .. }));
        if !is_meant {
            each(Told::Broken(format!("{}: the log of another lane", place())));
        }
        if let Err(error) = taken {
            each(Told::Broken(format!("{}: {error}", place())));
            // What is wrong with one shard leaves the chain as it is.
            if !matches!(error, ChainError::Shard { .. }) {
                self.chain = None;
            }
        }
        if let LogEntry::Link(link) = entry
            && !foreign
        {
            let record = LogRecord::decode(value).map_err(|error| anyhow::anyhow!("{}: {error}", place()))?;
            if let Some(log_record::Kind::Link(proto::Link { decisions, .. })) = record.kind {
                each(Told::Decided { shard: link.header.shard, decisions });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Layout;
    use crate::wire::link::{self, LinkDraft, LinkHash};
    use crate::wire::proto::Input;

    /// Three shards in two lanes: shards 0 and 2 share the first log.
    const LAYOUT: Layout = Layout { shards: 3, lanes: 2 };

    /// The first log, written by hand.
    struct Written {
        values: Vec<Vec<u8>>,
        last: LinkHash,
    }

    impl Written {
        fn new() -> Self {
            let genesis = link::genesis_value(link::genesis(0, LAYOUT, [[7; 16]; 3], 1_000, 1_000, 0));
            let last = LinkHash::of(&genesis);
            Self { values: vec![genesis, link::fence_value([1; 16], "somebody", 0)], last }
        }

        /// A link of a shard that decides nothing, whose input reaches from one offset to another.
        fn link(&mut self, shard: u32, from: i64, to: i64) -> &mut Self {
            let mut draft = LinkDraft::default();
            draft.begin(shard, 1, 0, 0);
            draft.cover(Input::Orders, from, to, 0);
            self.last = draft.seal(1, self.last);
            self.values.push(draft.sealed().expect("it was sealed").0.to_vec());
            self
        }

        /// What is told: the shards that decided, and what is broken, in words.
        fn told(&self) -> (Vec<u32>, Vec<String>) {
            let (mut shards, mut broken) = (Vec::new(), Vec::new());
            let mut log = Log::of(0);
            for (offset, value) in (0..).zip(&self.values) {
                let mut each = |told| match told {
                    Told::Decided { shard, .. } => shards.push(shard),
                    Told::Broken(words) => broken.push(words),
                };
                log.take(offset, value, &mut each).expect("each is a record of a log");
            }
            (shards, broken)
        }

        #[track_caller]
        fn check(&self, shards: &[u32], words: &str) {
            let (decided, broken) = self.told();
            assert_eq!(decided, shards);
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(broken[0].starts_with("decisions[0] offset ") && broken[0].contains(words), "{broken:?}");
        }
    }

    #[test]
    fn shards_of_a_lane_are_told_apart() {
        let mut written = Written::new();
        written.link(2, -1, 4).link(0, -1, 7).link(2, 4, 5);
        assert_eq!(written.told(), (vec![2, 0, 2], Vec::new()));
    }

    #[test]
    fn a_link_of_a_shard_that_is_not_the_lanes_is_found_and_decides_nothing() {
        for stranger in [1, 3] {
            Written::new().link(0, -1, 4).link(stranger, -1, 4).check(&[0], &format!("a link of shard {stranger}"));
        }
    }

    #[test]
    fn a_segment_that_goes_on_from_another_shards_end_is_found() {
        Written::new().link(0, -1, 4).link(2, 4, 5).link(0, 4, 6).check(&[0, 2, 0], "shard 2: a segment");
    }

    #[test]
    fn a_second_genesis_and_a_link_that_does_not_follow_are_found() {
        let mut written = Written::new();
        written.link(0, -1, 4).values.push(Written::new().values[0].clone());
        written.check(&[0], "second genesis");
        let mut written = Written::new();
        written.link(0, -1, 4).last = LinkHash::default();
        written.link(0, 4, 5).link(2, -1, 6).check(&[0, 0, 2], "follows a record with hash");
    }

    #[test]
    fn the_log_of_another_lane_is_found() {
        let mut written = Written::new();
        written.values[0] = link::genesis_value(link::genesis(1, LAYOUT, [[7; 16]; 3], 1_000, 1_000, 0));
        written.check(&[], "another lane");
    }
}
