//! What is broken on purpose while a run goes on, and put right again: at its time, in a thread of its own, because a
//! broker that starts takes seconds in which the run must be watched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock::RunClock;
use crate::load::scenario::{Fault, FaultKind};
use crate::report::result::{Footprint, Mark};

/// How often the thread looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The machinery under a run, as far as it can be watched and broken.
pub trait Rig: Send + 'static {
    /// Process ids of the engines that run here.
    fn engines(&self) -> Vec<u32>;

    /// Process ids of the brokers that run here.
    fn brokers(&self) -> Vec<u32>;

    /// Breaks what the fault says; tells in words what was done.
    ///
    /// # Errors
    /// It could not be done.
    fn break_it(&mut self, fault: &Fault) -> anyhow::Result<String>;

    /// Puts right what the fault broke.
    ///
    /// # Errors
    /// It could not be done.
    fn mend(&mut self, fault: &Fault) -> anyhow::Result<()>;

    /// Starts all engines that are down, and does not wait for them.
    ///
    /// # Errors
    /// They could not be started.
    fn start_engines(&mut self) -> anyhow::Result<()>;

    /// Stops all engines.
    ///
    /// # Errors
    /// They could not be stopped.
    fn stop_engines(&mut self) -> anyhow::Result<()>;

    /// Whether all is as it was left.
    ///
    /// # Errors
    /// What ended that nobody broke.
    fn check(&mut self) -> anyhow::Result<()>;

    /// What the engines know, if they can be asked.
    fn footprint(&self) -> Option<Footprint>;

    /// Version of the engine, and what the cluster is, for the report.
    fn describe(&self) -> (Option<String>, Option<String>);
}

/// A rig that several threads use.
pub type SharedRig = Arc<Mutex<dyn Rig>>;

/// A panic under the lock leaves processes as they are: they can still be watched and stopped.
pub fn lock(rig: &SharedRig) -> MutexGuard<'_, dyn Rig + 'static> {
    rig.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thing to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Fault of this number begins.
    Break(usize),
    /// It ends.
    Mend(usize),
    /// The engines are started.
    Start,
}

/// What is to be done, and when, in order.
fn plan(faults: &[Fault], engine_starts_at: Duration) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    if !engine_starts_at.is_zero() {
        steps.push((engine_starts_at, Step::Start));
    }
    for (number, fault) in faults.iter().enumerate() {
        steps.push((fault.at, Step::Break(number)));
        if !fault.lasts.is_zero() {
            steps.push((fault.at + fault.lasts, Step::Mend(number)));
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// Carries out a plan.
pub struct Breaker {
    thread: JoinHandle<()>,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    hurry: AtomicBool,
    marks: Mutex<Vec<Mark>>,
    troubles: Mutex<Vec<String>>,
}

impl Breaker {
    /// Begins with the clock's start.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        rig: SharedRig,
        faults: Vec<Fault>,
        engine_starts_at: Duration,
        clock: RunClock,
    ) -> std::io::Result<Self> {
        let told = Arc::<Told>::default();
        let work = Work { rig, faults, clock, told: told.clone(), began: Vec::new() };
        let thread = thread::Builder::new().name("faults".to_owned()).spawn(move || work.run(engine_starts_at))?;
        Ok(Self { thread, told })
    }

    /// What has happened so far.
    pub fn marks(&self) -> Vec<Mark> {
        get(&self.told.marks).clone()
    }

    /// What could not be done so far.
    pub fn troubles(&self) -> Vec<String> {
        get(&self.told.troubles).clone()
    }

    /// Whether there is nothing left to do.
    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Puts right at once what is broken, breaks nothing more, and waits for that.
    ///
    /// # Panics
    /// If its thread did.
    pub fn finish(self) -> (Vec<Mark>, Vec<String>) {
        self.told.hurry.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic");
        (get(&self.told.marks).clone(), get(&self.told.troubles).clone())
    }
}

fn get<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work {
    rig: SharedRig,
    faults: Vec<Fault>,
    clock: RunClock,
    told: Arc<Told>,
    /// Faults that began, with the number of their mark.
    began: Vec<(usize, usize)>,
}

impl Work {
    fn run(mut self, engine_starts_at: Duration) {
        for (at, step) in plan(&self.faults, engine_starts_at) {
            let due = self.clock.instant(at.as_nanos() as u64);
            while Instant::now() < due && !self.told.hurry.load(Ordering::Relaxed) {
                thread::sleep(due.saturating_duration_since(Instant::now()).min(LOOK_EVERY));
            }
            let hurry = self.told.hurry.load(Ordering::Relaxed);
            match step {
                Step::Break(_) if hurry => {}
                Step::Break(number) => self.break_it(number),
                Step::Mend(number) => self.mend(number),
                Step::Start => self.start(),
            }
        }
    }

    fn break_it(&mut self, number: usize) {
        let fault = self.faults[number];
        let at_s = self.now_s();
        match lock(&self.rig).break_it(&fault) {
            Ok(detail) => {
                let mut marks = get(&self.told.marks);
                self.began.push((number, marks.len()));
                marks.push(Mark { at_s, for_s: None, what: name(fault.what).to_owned(), detail });
            }
            Err(error) => self.trouble(format!("{}: {error:#}", name(fault.what))),
        }
    }

    fn mend(&mut self, number: usize) {
        let Some((_, mark)) = self.began.iter().find(|(began, _)| *began == number) else { return };
        let mark = *mark;
        let fault = self.faults[number];
        match lock(&self.rig).mend(&fault) {
            Ok(()) => {
                let now_s = self.now_s();
                let mark = &mut get(&self.told.marks)[mark];
                mark.for_s = Some(now_s - mark.at_s);
            }
            Err(error) => self.trouble(format!("after {}: {error:#}", name(fault.what))),
        }
    }

    fn start(&mut self) {
        let (at_s, started) = (self.now_s(), lock(&self.rig).start_engines());
        match started {
            Ok(()) => {
                let detail = "the orders so far were waiting".to_owned();
                get(&self.told.marks).push(Mark { at_s, for_s: None, what: "start-engine".to_owned(), detail });
            }
            Err(error) => self.trouble(format!("the engine could not be started: {error:#}")),
        }
    }

    fn trouble(&self, text: String) {
        get(&self.told.troubles).push(text);
    }

    fn now_s(&self) -> f64 {
        self.clock.now_ns() as f64 / 1e9
    }
}

/// As scenarios name it.
pub fn name(what: FaultKind) -> &'static str {
    match what {
        FaultKind::KillNode => "kill-node",
        FaultKind::StopNode => "stop-node",
        FaultKind::FreezeNode => "freeze-node",
        FaultKind::KillBroker => "kill-broker",
        FaultKind::StopBroker => "stop-broker",
        FaultKind::FreezeBroker => "freeze-broker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what is asked of it.
    struct Diary(Arc<Mutex<Vec<String>>>);

    impl Rig for Diary {
        fn engines(&self) -> Vec<u32> {
            Vec::new()
        }
        fn brokers(&self) -> Vec<u32> {
            Vec::new()
        }
        fn break_it(&mut self, fault: &Fault) -> anyhow::Result<String> {
            get(&self.0).push(format!("break {}", fault.target));
            anyhow::ensure!(fault.target < 9, "there is no such node");
            Ok("done".to_owned())
        }
        fn mend(&mut self, fault: &Fault) -> anyhow::Result<()> {
            get(&self.0).push(format!("mend {}", fault.target));
            Ok(())
        }
        fn start_engines(&mut self) -> anyhow::Result<()> {
            get(&self.0).push("start".to_owned());
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

    fn fault(at_ms: u64, target: u32, lasts_ms: u64) -> Fault {
        let (at, lasts) = (Duration::from_millis(at_ms), Duration::from_millis(lasts_ms));
        Fault { at, what: FaultKind::KillNode, target, lasts }
    }

    /// What was asked of the rig, the marks and the troubles; `hurry` ends it after the first mark.
    fn carried_out(faults: Vec<Fault>, starts_at_ms: u64, hurry: bool) -> (Vec<String>, Vec<Mark>, Vec<String>) {
        let diary = Arc::<Mutex<Vec<String>>>::default();
        let rig: SharedRig = Arc::new(Mutex::new(Diary(diary.clone())));
        let clock = RunClock::starting_in(Duration::ZERO);
        let breaker = Breaker::start(rig, faults, Duration::from_millis(starts_at_ms), clock).expect("a thread");
        while if hurry { breaker.marks().is_empty() } else { !breaker.is_done() } {
            thread::yield_now();
        }
        let (marks, troubles) = breaker.finish();
        let diary = get(&diary).clone();
        (diary, marks, troubles)
    }

    #[test]
    fn faults_come_and_go_in_the_order_of_their_times() {
        let (diary, marks, troubles) = carried_out(vec![fault(20, 1, 30), fault(10, 0, 0), fault(30, 2, 5)], 5, false);
        assert_eq!(diary, ["start", "break 0", "break 1", "break 2", "mend 2", "mend 1"]);
        assert_eq!(troubles, [""; 0]);
        assert_eq!(marks.iter().map(|mark| mark.for_s.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
        assert!(marks.is_sorted_by_key(|mark| mark.at_s));
    }

    #[test]
    fn a_run_that_ends_early_leaves_nothing_broken_and_breaks_nothing_more() {
        let (diary, _, _) = carried_out(vec![fault(0, 0, 3_600_000), fault(3_600_000, 1, 1)], 0, true);
        assert_eq!(diary, ["break 0", "mend 0"]);
    }

    #[test]
    fn what_cannot_be_broken_is_told_and_not_mended() {
        let (diary, marks, troubles) = carried_out(vec![fault(0, 9, 1)], 0, false);
        assert_eq!((diary.len(), marks.len()), (1, 0));
        assert_eq!(troubles, ["kill-node: there is no such node"]);
    }
}
