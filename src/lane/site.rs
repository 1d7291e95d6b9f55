//! Where a lane works, and what it is told.

use std::sync::Arc;

use crossbeam::channel::Sender;

use super::LaneEvent;
use super::load::Load;
use super::settings::LaneSettings;
use super::status::LaneStatus;
use crate::wire::Layout;

/// What both halves of a lane are made with.
#[derive(Debug)]
pub struct LaneSite<B> {
    /// Opens what the lane needs.
    pub broker: Arc<B>,
    /// Its partition of `decisions`.
    pub lane: u32,
    /// How many shards and lanes there are.
    pub layout: Layout,
    /// What it is told, like every lane of the node.
    pub settings: Arc<LaneSettings>,
    /// Its place among the lanes of the node.
    pub load: Load,
    /// What it tells when it happens.
    pub events: Sender<LaneEvent>,
}

impl<B> Clone for LaneSite<B> {
    fn clone(&self) -> Self {
        LaneSite {
            broker: self.broker.clone(),
            lane: self.lane,
            layout: self.layout,
            settings: self.settings.clone(),
            load: self.load.clone(),
            events: self.events.clone(),
        }
    }
}

impl<B> LaneSite<B> {
    /// Figures for it, all at their beginning.
    #[must_use]
    pub fn status(&self) -> LaneStatus {
        LaneStatus::new(self.layout.shards_of(self.lane))
    }

    /// Tells the node. One that no longer listens is ending, and will end its lanes too.
    pub(super) fn tell(&self, event: LaneEvent) {
        drop(self.events.try_send(event));
    }
}
