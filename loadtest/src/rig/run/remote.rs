//! Engines and brokers that run elsewhere: they can be neither watched nor broken from here.

use anyhow::{anyhow, bail};

use crate::failure::Failure;
use crate::load::scenario::{Fault, Scenario, Topics};
use crate::report::result::Footprint;
use crate::rig::faults::Rig;

/// See the module.
#[derive(Debug)]
pub(super) struct Remote;

/// Refuses what only a rig on this machine can do.
pub(super) fn check(scenario: &Scenario) -> Result<(), Failure> {
    if !scenario.faults.is_empty() {
        return Err(Failure::usage(anyhow!(
            "scenario {} breaks things on purpose, which only `loadtest local` can: leave them out (--set faults=[])",
            scenario.name
        )));
    }
    if !scenario.drain.engine_starts_at.is_zero() {
        return Err(Failure::usage(anyhow!(
            "scenario {} starts the engine behind its orders, which only `loadtest local` can: \
             --set drain.engine_starts_at=0s",
            scenario.name
        )));
    }
    // How many shards and lanes there are stands in the topics, and the result says it.
    let Topics { window, skew, .. } = scenario.topics;
    if !window.is_zero() || !skew.is_zero() {
        return Err(Failure::usage(anyhow!(
            "scenario {} needs topics that forget soon, which only `loadtest local` creates: --set topics.window=0s \
             --set topics.skew=0s runs it on those that are there, and nothing is forgotten within the run",
            scenario.name
        )));
    }
    Ok(())
}

impl Rig for Remote {
    fn engines(&self) -> Vec<u32> {
        Vec::new()
    }

    fn brokers(&self) -> Vec<u32> {
        Vec::new()
    }

    fn break_it(&mut self, _: &Fault) -> anyhow::Result<String> {
        bail!("it runs elsewhere")
    }

    fn mend(&mut self, _: &Fault) -> anyhow::Result<()> {
        Ok(())
    }

    fn start_engines(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn stop_engines(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn footprint(&self) -> Option<Footprint> {
        None
    }

    fn describe(&self) -> (Option<String>, Option<String>) {
        (None, None)
    }
}
