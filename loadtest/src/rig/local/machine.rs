//! The broker and the engines of a local run, watched and broken.

use anyhow::{Context, ensure};
use sluice::devbroker::{Cluster, KAFKA_VERSION};

use super::engine::Engines;
use crate::load::scenario::{Fault, FaultKind};
use crate::report::result::Footprint;
use crate::rig::faults::Rig;

/// See the module. Dropped, it kills what it started.
#[derive(Debug)]
pub struct LocalRig {
    // Before the cluster: an engine without a broker would only log about it.
    engines: Engines,
    cluster: Cluster,
    version: Option<String>,
    /// Engines that are down on purpose, by number.
    down: Vec<usize>,
}

impl LocalRig {
    /// Takes what was started.
    pub fn new(engines: Engines, cluster: Cluster) -> Self {
        let version = engines.version();
        Self { engines, cluster, version, down: Vec::new() }
    }

    /// Stops everything in order, and waits.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.engines.stop_all()?;
        (0..self.cluster.brokers()).try_for_each(|broker| Ok(self.cluster.kill(broker)?))
    }
}

impl Rig for LocalRig {
    fn engines(&self) -> Vec<u32> {
        self.engines.pids()
    }

    fn brokers(&self) -> Vec<u32> {
        (0..self.cluster.brokers()).filter_map(|broker| self.cluster.pid(broker)).collect()
    }

    fn break_it(&mut self, fault: &Fault) -> anyhow::Result<String> {
        let target = fault.target as usize;
        let (what, count) = match fault.what {
            FaultKind::KillNode | FaultKind::StopNode | FaultKind::FreezeNode => ("engine", self.engines.count()),
            FaultKind::KillBroker | FaultKind::StopBroker | FaultKind::FreezeBroker => {
                ("broker", self.cluster.brokers())
            }
        };
        ensure!(target < count, "there is no {what} {target}: they are 0 to {}", count.saturating_sub(1));
        match fault.what {
            FaultKind::KillNode => {
                self.down.push(target);
                self.engines.kill(target)?;
            }
            FaultKind::StopNode => {
                self.down.push(target);
                self.engines.stop(target)?;
            }
            FaultKind::FreezeNode => self.engines.signal(target, "STOP")?,
            FaultKind::KillBroker => self.cluster.kill(target)?,
            FaultKind::StopBroker => self.cluster.stop(target)?,
            FaultKind::FreezeBroker => self.cluster.pause(target)?,
        }
        Ok(format!("{what} {target} of {count}"))
    }

    fn mend(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let target = fault.target as usize;
        match fault.what {
            FaultKind::KillNode | FaultKind::StopNode => {
                self.down.retain(|down| *down != target);
                self.engines.start(target)?;
            }
            FaultKind::FreezeNode => self.engines.signal(target, "CONT")?,
            FaultKind::KillBroker | FaultKind::StopBroker => self.cluster.restart(target)?,
            FaultKind::FreezeBroker => self.cluster.resume(target)?,
        }
        Ok(())
    }

    fn start_engines(&mut self) -> anyhow::Result<()> {
        self.down.clear();
        (0..self.engines.count()).try_for_each(|number| Ok(self.engines.start(number)?))
    }

    fn stop_engines(&mut self) -> anyhow::Result<()> {
        self.down = (0..self.engines.count()).collect();
        self.engines.stop_all().context("cannot stop the engine")
    }

    fn check(&mut self) -> anyhow::Result<()> {
        Ok(self.engines.check()?)
    }

    fn footprint(&self) -> Option<Footprint> {
        self.engines.footprint()
    }

    fn describe(&self) -> (Option<String>, Option<String>) {
        let brokers = self.cluster.brokers();
        let copies = if brokers >= 3 { "replication 3, min.insync 2" } else { "replication 1" };
        let plural = if brokers == 1 { "" } else { "s" };
        (self.version.clone(), Some(format!("Apache Kafka {KAFKA_VERSION}, {brokers} broker{plural}, {copies}")))
    }
}
