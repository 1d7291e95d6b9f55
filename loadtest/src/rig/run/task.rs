//! What is to be run, and against what.

use std::time::SystemTime;

use crate::cli::{ClusterArgs, ScenarioArgs, Share, property};
use crate::failure::Failure;
use crate::load::generator::Target;
use crate::load::scenario::Scenario;
use crate::load::traffic::RunId;
use crate::proof::reader::Topics;
use crate::proof::reader::consumer::Connection;

/// See the module.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is sent.
    pub scenario: Scenario,
    /// Where orders are published.
    pub target: Target,
    /// How else the cluster is reached.
    pub connection: Connection,
    /// Where stock commands are published.
    pub stock_topic: String,
    /// Where decisions and dead letters are read.
    pub topics: Topics,
    /// This generator's part.
    pub share: Share,
    /// Name of the run.
    pub run: RunId,
    /// When the first order is due; none: as soon as everything is ready.
    pub start_at: Option<SystemTime>,
    /// Whether pools that are not for rehearsals may be ordered from.
    pub real_pools: bool,
    /// No full-screen view.
    pub plain: bool,
}

impl Task {
    /// What the flags ask for, of one generator that is alone.
    ///
    /// # Errors
    /// A property is none.
    pub fn new(scenario: Scenario, args: &ScenarioArgs, cluster: &ClusterArgs, plain: bool) -> Result<Self, Failure> {
        let properties = cluster.client.iter().map(|written| property(written)).collect::<Result<_, _>>()?;
        Ok(Self {
            scenario,
            target: Target::new(cluster)?,
            connection: Connection { bootstrap: cluster.bootstrap_servers.clone(), properties },
            stock_topic: cluster.stock_topic.clone(),
            topics: Topics {
                decisions: cluster.decisions_topic.clone(),
                dead_letters: Some(cluster.dead_letters_topic.clone()),
            },
            share: Share { index: 0, of: 1 },
            run: RunId::draw(),
            start_at: None,
            real_pools: args.i_want_to_order_from_real_pools,
            plain,
        })
    }

    /// Whether the stock is verified here: by whoever has read since before it was there.
    pub fn follows_stock(&self) -> bool {
        self.share.index == 0
    }
}
