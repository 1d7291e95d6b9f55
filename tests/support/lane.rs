//! Walks the log of one lane: the chain of hashes, epochs and fences is the log's. Its links are taken apart by the shard
//! that each names, and held to what that shard's inputs say.

use prost::Message;
use sluice::wire::proto::{self, Link, LogRecord, log_record};
use xxhash_rust::xxh3::xxh3_128;

use super::audit::{AuditedShard, ShardAudit, ShardTopics, Stop, Stored};
use super::model::Model;
use super::report::{Breach, Report};

/// All that is committed of one lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaneTopics {
    pub(crate) lane: u32,
    pub(crate) log: Vec<Stored>,
    /// Its shards, in order.
    pub(crate) shards: Vec<ShardTopics>,
}

/// What the walk leaves for further checks.
pub(crate) struct Audited {
    /// Of the log and of all its shards.
    pub(crate) report: Report,
    pub(crate) shards: Vec<AuditedShard>,
}

/// Audits a lane whose inputs must be decided to their end, with a model for each shard, or none.
pub(crate) fn audit(topics: &LaneTopics, model: impl Fn(u32) -> Option<Model>) -> Audited {
    let mut walk = Walk { topics, report: Report::default(), shards: Vec::new(), last_hash: None, epoch: 0 };
    let walked = walk.log(&model);
    let Walk { mut report, shards, .. } = walk;
    if let Err((breach, what)) = &walked {
        report.breach(*breach, format_args!("log {}: {what}; stopped here", topics.lane));
    }
    let shards: Vec<_> = shards.into_iter().map(|(_, audit)| audit.finish(walked.is_ok())).collect();
    shards.iter().for_each(|shard| report.add(shard.report.clone()));
    Audited { report, shards }
}

struct Walk<'a> {
    topics: &'a LaneTopics,
    report: Report,
    /// By number.
    shards: Vec<(u32, ShardAudit<'a>)>,
    last_hash: Option<u128>,
    epoch: u64,
}

impl Walk<'_> {
    fn log(&mut self, model: &dyn Fn(u32) -> Option<Model>) -> Result<(), Stop> {
        for record in &self.topics.log {
            let value = record.value.as_deref().unwrap_or_default();
            let entry = LogRecord::decode(value).ok().and_then(|entry| entry.kind);
            match entry.ok_or_else(|| (Breach::Chain, format!("offset {} is no log record", record.offset)))? {
                log_record::Kind::Genesis(genesis) => self.genesis(record.offset, &genesis, model)?,
                log_record::Kind::Fence(fence) => {
                    self.report.expect(fence.nonce.len() == 16, Breach::Chain, || format!("{fence:?}"));
                    self.report.fences += 1;
                    continue;
                }
                log_record::Kind::Link(link) => self.link(record.offset, &link)?,
            }
            self.last_hash = Some(xxh3_128(value));
        }
        Ok(())
    }

    /// The first record, and no other, says what it is a log of: this lane, with the very shards that belong to it.
    fn genesis(
        &mut self,
        offset: i64,
        genesis: &proto::Genesis,
        model: &dyn Fn(u32) -> Option<Model>,
    ) -> Result<(), Stop> {
        let (version, partitions) = (genesis.version, genesis.partitions);
        let lanes = if version == 1 { partitions } else { genesis.lanes };
        let known = version == 1 || (version == 2 && lanes < partitions);
        let shards = self.topics.shards.iter().map(|topics| topics.shard);
        let right = self.last_hash.is_none()
            && known
            && lanes > 0
            && genesis.shard == self.topics.lane
            && genesis.link_hash == "xxh3-128"
            && (genesis.shard..partitions).step_by(lanes as usize).eq(shards);
        if !right {
            return Err((Breach::Chain, format!("offset {offset}: {genesis:?}")));
        }
        let audit = |topics| ShardAudit::new(topics, genesis.window_ms, model(topics.shard));
        self.shards = self.topics.shards.iter().map(|topics| (topics.shard, audit(topics))).collect();
        Ok(())
    }

    fn link(&mut self, offset: i64, link: &Link) -> Result<(), Stop> {
        let stop = |what: String| Err((Breach::Chain, format!("link at offset {offset}: {what}")));
        let header = link.header.clone().unwrap_or_default();
        let Some(last_hash) = self.last_hash else { return stop("before the genesis".to_owned()) };
        if header.previous_hash != last_hash.to_be_bytes() {
            return stop("does not carry the hash of the link before".to_owned());
        }
        if header.epoch < self.epoch || header.epoch > self.report.fences {
            return stop(format!("epoch after {}: {header:?}", self.epoch));
        }
        self.epoch = header.epoch;
        match self.shards.iter_mut().find(|(shard, _)| *shard == header.shard) {
            Some((_, audit)) => audit.take(offset, &header, link),
            None => return stop(format!("of a shard that is not the log's: {header:?}")),
        }
        Ok(())
    }
}
