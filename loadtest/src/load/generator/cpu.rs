//! CPU time of the generator's own threads, apart from whatever else runs in this process.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Threads of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threads(BTreeSet<u32>);

/// Held while a client is made: the threads that appear meanwhile are its.
static MAKING: Mutex<()> = Mutex::new(());

impl Threads {
    /// All threads of this process.
    pub fn all() -> Self {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        Self(tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect())
    }

    /// The thread that calls.
    pub fn this() -> Self {
        // The link reads "<process>/task/<thread>".
        let link = fs::read_link("/proc/thread-self").ok();
        Self(link.and_then(|link| link.file_name()?.to_str()?.parse().ok()).into_iter().collect())
    }

    /// CPU time that they used so far; of a thread that has ended, none.
    pub fn cpu(&self) -> Duration {
        let cpu = |thread: &u32| {
            let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(self.0.iter().filter_map(cpu).sum())
    }
}

/// Tells which threads a client starts: those that appear between [`Watch::begin`] and [`Watch::end`]. One at a time in
/// a process; threads that others start meanwhile are mistaken for its.
pub(super) struct Watch {
    before: Threads,
    _alone: MutexGuard<'static, ()>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let alone = MAKING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Self { before: Threads::all(), _alone: alone }
    }

    pub(super) fn end(self) -> Threads {
        Threads(Threads::all().0.difference(&self.before.0).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_told_from_one_that_waits() {
        let watch = Watch::begin();
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::spawn(move || {
            let mut value = 0_u64;
            while Threads::this().cpu() < Duration::from_millis(20) {
                value = (0..10_000).fold(value, |value: u64, n| value.wrapping_mul(31).wrapping_add(n));
            }
            tell.send(value).expect("somebody waits");
            // Wait to be told: the figures of an ended thread are gone.
            let _ = stopped.recv();
        });
        let threads = watch.end();
        told.recv().expect("the thread ends its work");
        assert!(threads.cpu() >= Duration::from_millis(20));
        assert!(!threads.0.is_empty());
        drop(stop);
        busy.join().expect("no panic");
    }
}
