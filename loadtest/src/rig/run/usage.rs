//! CPU and memory of each side, as the kernel counts them. Only processes on this machine can be seen.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use procfs::process::Process;
use procfs::{CurrentSI, KernelStats, ticks_per_second};

use crate::report::result::{Side, Usage};

/// One look: what each side used since the look before, and what the whole machine did.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Sides that can be seen from here.
    pub usage: BTreeMap<Side, Usage>,
    /// Processors of the machine in use by anybody; none where the kernel does not say.
    pub host_busy_cores: Option<f64>,
}

/// Looks again and again.
#[derive(Debug)]
pub struct Meter {
    /// CPU ticks of each process at the look before.
    processes: HashMap<u32, u64>,
    /// CPU time of this process and of its generator at the look before.
    own: Duration,
    generator: Duration,
    host: Option<u64>,
    at: Instant,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Starts with a look.
    pub fn new() -> Self {
        Self {
            processes: HashMap::new(),
            own: own_cpu(),
            generator: Duration::ZERO,
            host: host_ticks(),
            at: Instant::now(),
        }
    }

    /// What was used since the look before, `generator` being what the generator's threads used so far: the rest of this
    /// process reads. A process not seen before counts from now on.
    pub fn sample(&mut self, engines: &[u32], brokers: &[u32], generator: Duration) -> Sample {
        let seconds = self.at.elapsed().as_secs_f64().max(f64::EPSILON);
        self.at = Instant::now();
        let cores = |ticks: u64| ticks as f64 / ticks_per_second() as f64 / seconds;
        let mut sample = Sample::default();
        for (side, pids) in [(Side::Engine, engines), (Side::Broker, brokers)] {
            let mut rss_bytes = 0;
            let mut ticks = 0;
            let mut seen = false;
            for pid in pids {
                let Some(look) = look(*pid) else { continue };
                seen = true;
                rss_bytes += look.rss_bytes;
                ticks += self.processes.insert(*pid, look.ticks).map_or(0, |before| look.ticks.saturating_sub(before));
            }
            if seen {
                sample.usage.insert(side, Usage { cores: cores(ticks), rss_bytes: Some(rss_bytes) });
            }
        }
        let own = own_cpu();
        let used = own.saturating_sub(self.own);
        // Once the generator has ended nobody tells what it used: it stays what it was.
        let generated = generator.saturating_sub(self.generator).min(used);
        (self.own, self.generator) = (own, generator.max(self.generator));
        let rss_bytes = look(std::process::id()).map(|look| look.rss_bytes);
        let reader = (used - generated).as_secs_f64() / seconds;
        sample.usage.insert(Side::Reader, Usage { cores: reader, rss_bytes: None });
        sample.usage.insert(Side::Generator, Usage { cores: generated.as_secs_f64() / seconds, rss_bytes });
        let host = host_ticks();
        sample.host_busy_cores = self.host.zip(host).map(|(before, now)| cores(now.saturating_sub(before)));
        self.host = host;
        sample
    }
}

struct Look {
    ticks: u64,
    rss_bytes: u64,
}

fn look(pid: u32) -> Option<Look> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some(Look { ticks: stat.utime + stat.stime, rss_bytes: stat.rss * procfs::page_size() })
}

fn own_cpu() -> Duration {
    let ticks = look(std::process::id()).map_or(0, |look| look.ticks);
    Duration::from_millis(ticks * 1_000 / ticks_per_second())
}

fn host_ticks() -> Option<u64> {
    let cpu = KernelStats::current().ok()?.total;
    Some(cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_generate_reads() {
        let mut meter = Meter::new();
        let me = [std::process::id()];
        meter.sample(&me, &[], Duration::ZERO);
        let before = own_cpu();
        while own_cpu() < before + Duration::from_millis(100) {}
        let sample = meter.sample(&me, &[], Duration::from_millis(30));
        let [generator, reader, engine] = [Side::Generator, Side::Reader, Side::Engine].map(|side| sample.usage[&side]);
        assert!(generator.cores > 0.0 && reader.cores > generator.cores, "{sample:?}");
        assert!((generator.cores + reader.cores - engine.cores).abs() < engine.cores / 2.0, "{sample:?}");
        assert!(engine.rss_bytes > Some(1 << 20), "{sample:?}");
        assert!(!sample.usage.contains_key(&Side::Broker), "nothing was told of a broker: {sample:?}");
    }
}
