//! CPU time: of processes, of their threads, of the machine.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Linux counts CPU time in hundredths of a second, whatever its own clock (USER_HZ, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds that this process has used.
pub(crate) fn own_cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// CPU seconds that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat_of(&stat).context("unexpected /proc/pid/stat")?.1)
}

/// Name and CPU seconds, from a `stat` file of a process or thread.
fn stat_of(stat: &str) -> Option<(&str, f64)> {
    // The name, in parentheses, may hold spaces; user and system time are fields 14 and 15 (proc(5)).
    let (front, rest) = stat.rsplit_once(')')?;
    let ticks: u64 =
        rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok()).sum::<Option<_>>()?;
    Some((front.split_once('(')?.1, ticks as f64 / TICKS_PER_SECOND))
}

/// The threads of a process: name and CPU seconds by id. Those that end on the way are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(HashMap<String, (String, f64)>);

impl Threads {
    /// As they are now.
    pub(crate) fn of(pid: u32) -> Self {
        let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let threads = entries.filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, seconds) = stat_of(&stat)?;
            Some((entry.file_name().to_string_lossy().into_owned(), (name.to_owned(), seconds)))
        });
        Self(threads.collect())
    }

    /// The one that used most since `before`.
    pub(crate) fn busiest_since(&self, before: &Threads) -> Busiest {
        let since = |id: &String, seconds: f64| seconds - before.0.get(id).map_or(0.0, |(_, before)| *before);
        let used =
            self.0.iter().map(|(id, (name, seconds))| Busiest { name: name.clone(), cpu_seconds: since(id, *seconds) });
        used.max_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds)).unwrap_or_default()
    }
}

/// The thread of a process that used most CPU time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Busiest {
    pub(crate) name: String,
    pub(crate) cpu_seconds: f64,
}

/// The machine's CPU time, used and in all, since it started or over an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    used: u64,
    all: u64,
}

impl Busy {
    /// The machine's CPU time until now.
    pub(crate) fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("empty /proc/stat")?;
        let ticks = line.split_whitespace().skip(1).map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()?;
        let all: u64 = ticks.iter().take(8).sum();
        // Idle and waiting for the disk are fields 4 and 5 (proc(5)).
        Ok(Busy { used: all - ticks[3] - ticks[4], all })
    }

    /// What came since `before`.
    pub(crate) fn since(&self, before: &Busy) -> Busy {
        Busy { used: self.used - before.used, all: self.all - before.all }
    }

    /// Share of the time that was used.
    pub(crate) fn share(&self) -> f64 {
        self.used as f64 / self.all.max(1) as f64
    }
}
