//! What an owner that met a fault makes of the log's records: is its batch there?

use super::lost::Why;
use super::taking::Taking;
use crate::wire::entry::LogEntry;
use crate::wire::link::LinkHash;

/// The last thing that the log is known to hold, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Where to begin reading: its offset, or one in front of it.
    pub(super) offset: i64,
    /// The link; our own fence, right at the offset, if none.
    pub(super) link: Option<LinkHash>,
}

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    anchor: Anchor,
    anchored: bool,
    found: usize,
    lost: Option<Why>,
}

impl Look {
    pub(super) fn new(anchor: Anchor) -> Self {
        Self { anchor, anchored: false, found: 0, lost: None }
    }

    /// How many links of the batch the log holds, once our fence was reached; or why it is lost.
    pub(super) fn outcome(&self) -> Result<usize, Why> {
        match &self.lost {
            Some(why) => Err(why.clone()),
            None if !self.anchored => Err(Why::TailMissing),
            None => Ok(self.found),
        }
    }

    /// Whether it is known already that the shard was lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// A record of the log; `expected` are the hashes of the links that were sent, in order.
    pub(super) fn record(&mut self, taking: &mut Taking, expected: &[LinkHash], offset: i64, value: &[u8]) {
        if self.lost.is_some() || taking.reached() {
            return;
        }
        let entry = LogEntry::parse(value).ok();
        let link = matches!(entry, Some(LogEntry::Link(_))).then(|| LinkHash::of(value));
        let fence = match &entry {
            Some(LogEntry::Fence(fence)) => Some(fence),
            _ => None,
        };
        match fence {
            Some(fence) if !taking.is_ours(&fence.nonce) => self.lost = Some(Why::ForeignFence(fence.owner.clone())),
            Some(_) => self.anchored |= self.anchor.link.is_none() && offset == self.anchor.offset,
            // The anchor's hash stands for all in front of it.
            None if !self.anchored => self.anchored = link.is_some() && link == self.anchor.link,
            None if link.is_some() && link.as_ref() == expected.get(self.found) => self.found += 1,
            None => self.lost = Some(Why::ForeignRecord(offset)),
        }
        taking.record(offset, fence.map(|fence| fence.nonce.as_slice()));
    }
}
