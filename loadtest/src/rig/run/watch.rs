//! What is looked at while a run goes on, second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use super::usage::Meter;
use crate::load::generator;
use crate::report::result::{Side, Usage};
use crate::rig::faults::{SharedRig, lock};

/// What was seen of one second, apart from what readers and generator count for themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    pub(super) generator_lag_us: u64,
    /// Acknowledged and not answered at its end.
    pub(super) undecided: u64,
    pub(super) usage: BTreeMap<Side, Usage>,
    pub(super) host_busy_cores: Option<f64>,
}

/// Looks at the end of each second.
pub(super) struct Watch {
    meter: Meter,
    rig: SharedRig,
    engines: Vec<u32>,
    brokers: Vec<u32>,
    before: (u64, u64),
    worst_behind_ns: u64,
    latest: BTreeMap<Side, Usage>,
    pub(super) seconds: Vec<Seen>,
}

impl Watch {
    /// Begins to look, before anything is sent.
    pub(super) fn begin(rig: &SharedRig) -> Self {
        let mut watch = Self {
            meter: Meter::new(),
            rig: rig.clone(),
            engines: Vec::new(),
            brokers: Vec::new(),
            before: (0, 0),
            worst_behind_ns: 0,
            latest: BTreeMap::new(),
            seconds: Vec::new(),
        };
        watch.look_at_processes();
        watch.meter.sample(&watch.engines, &watch.brokers, Duration::ZERO);
        watch
    }

    /// To be called several times a second. `generated` is the generator's CPU time so far.
    pub(super) fn look(&mut self, elapsed: Duration, progress: generator::Snapshot, decided: u64, generated: Duration) {
        self.worst_behind_ns = self.worst_behind_ns.max(progress.worst_behind_ns);
        while elapsed.as_secs() > self.seconds.len() as u64 {
            self.look_at_processes();
            let sample = self.meter.sample(&self.engines, &self.brokers, generated);
            self.latest = sample.usage.clone();
            self.seconds.push(Seen {
                acknowledged: progress.acknowledged.saturating_sub(self.before.0),
                failed: progress.failed.saturating_sub(self.before.1),
                generator_lag_us: std::mem::take(&mut self.worst_behind_ns) / 1_000,
                undecided: progress.acknowledged.saturating_sub(decided),
                usage: sample.usage,
                host_busy_cores: sample.host_busy_cores,
            });
            self.before = (progress.acknowledged, progress.failed);
        }
    }

    /// CPU and memory in the last whole second.
    pub(super) fn usage(&self) -> &BTreeMap<Side, Usage> {
        &self.latest
    }

    /// While a fault is being carried out the rig is busy, and its processes are those of the look before.
    fn look_at_processes(&mut self) {
        if let Ok(rig) = self.rig.try_lock() {
            (self.engines, self.brokers) = (rig.engines(), rig.brokers());
        }
    }
}

/// Whether everything of the rig is as it was left; a rig that is busy with a fault is.
pub(super) fn check(rig: &SharedRig) -> anyhow::Result<()> {
    match rig.try_lock() {
        Ok(mut rig) => rig.check(),
        Err(std::sync::TryLockError::WouldBlock) => Ok(()),
        Err(std::sync::TryLockError::Poisoned(_)) => lock(rig).check(),
    }
}
