//! One run, from the checks before it to the report after it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::anyhow;

use super::facts::Facts;
use super::interrupt::Interrupt;
use super::shelves;
use super::task::Task;
use super::watch::{self, Seen, Watch};
use crate::clock::RunClock;
use crate::failure::Failure;
use crate::load::generator::{self, Generator, Pace, Producer, Sent};
use crate::load::profile::Profile;
use crate::load::safety;
use crate::load::traffic::{Kind, Movements, Origin, Plan, PoolSet, Stream, days};
use crate::proof::reader::{Read, Reader};
use crate::proof::verify::{Lives, Moves, Ours, SentUpTo, close};
use crate::report::live::{Phase, Snapshot, View};
use crate::report::result::{Ended, Footprint, Mark, Report};
use crate::rig::faults::{Breaker, SharedRig, lock};

/// How often the run is looked at and shown.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// From the last preparation to the first order: time for threads to start.
const START_IN: Duration = Duration::from_millis(300);

/// The same where sales open or close at an instant: they are told it meanwhile, and that must be decided before the
/// first order.
const START_WITH_SALES_IN: Duration = Duration::from_secs(3);

/// Sales that are surely told their instants and decided in each further second of that.
const SALES_A_SECOND: u64 = 20_000;

/// How long after the last command is due it may be sent; what is left then is unsent.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How long an answer is still waited for that did not come within the drain: it is then late, not lost.
const LATE_WITHIN: Duration = Duration::from_secs(10);

/// How long is listened on after everything was answered: an answer given twice follows with the next batches.
const LISTEN_ON: Duration = Duration::from_millis(500);

/// Runs a task on a rig. None if it was interrupted before the first order.
///
/// # Errors
/// Nothing was sent, and why. Whatever goes wrong after the first order stands in the report.
pub fn conduct(task: &Task, rig: &SharedRig, interrupt: &Interrupt) -> Result<Option<Report>, Failure> {
    let scenario = &task.scenario;
    let mut view = View::new(format!("{} ({})", scenario.name, task.run), task.plain);
    view.show(&Snapshot::default());
    let profile = scenario.profile().map_err(Failure::usage)?;
    let producer = Producer::connect(&task.target)?;
    let pools = PoolSet::of(scenario, task.run, producer.partitions());
    let first_day = first_day(task);
    safety::check(&pools, task.real_pools).map_err(Failure::usage)?;
    let ours = Arc::new(ours(task, &pools, &profile, first_day));
    let reader = Reader::start(&task.connection, task.topics.clone(), ours.clone()).map_err(Failure::environment)?;
    if reader.shards() != pools.partitions() {
        return Err(Failure::environment(anyhow!(
            "{} has {} partitions and {} is the log of {} shards: they are not the topics of one engine",
            task.target.topic,
            pools.partitions(),
            task.topics.decisions,
            reader.shards()
        )));
    }
    let Some(stocked) = stock(task, &pools, first_day, &reader, rig, interrupt)? else { return Ok(None) };
    let drain = scenario.drain;
    if !drain.engine_starts_at.is_zero() {
        lock(rig).stop_engines().map_err(Failure::Environment)?;
    }

    let start_in = start_in(task, &pools);
    let clock = task.start_at.map_or_else(|| RunClock::starting_in(start_in), RunClock::starting_at);
    if !announce(task, &pools, &reader, rig, interrupt, (stocked, clock, first_day))? {
        return Ok(None);
    }
    let facts = Facts::gather(task, rig, (pools.partitions(), reader.lanes()), clock);
    reader.begin(clock);
    let stream = Stream::new(scenario, &profile, origin(task, clock.start_unix_ms(), first_day), &pools);
    let load = profile.duration() + longest_delay(&ours.plan);
    let pace = Pace::WhenDue { clock, until_ns: (load + SEND_WITHIN).as_nanos() as u64 };
    let share = 1.0 / f64::from(task.share.of);
    let generator = Generator::spawn(producer, stream, &pools, &profile, share, pace).map_err(Failure::environment)?;
    let breaker = Breaker::start(rig.clone(), scenario.faults.clone(), drain.engine_starts_at, clock)
        .map_err(Failure::environment)?;
    let mut run = Running {
        clock,
        profile: profile.scaled(share),
        load,
        host_cores: facts.host_cores(),
        watch: Watch::begin(rig),
        rig: rig.clone(),
        reader,
        breaker,
        interrupt: interrupt.clone(),
        view,
        ended: Ended::Completed,
        notes: Vec::new(),
    };
    let sent = run.load(generator);
    run.drain(&sent, drain.within);
    let (read, seen) = run.end(&sent);

    let up_to = SentUpTo { numbers: sent.ends, failed: sent.failed };
    let closed = close(&ours, &up_to);
    Ok(Some(facts.report(task, &sent, read, seen, closed)))
}

/// What was seen and heard, apart from the figures of generator and readers.
#[derive(Debug)]
pub(super) struct SeenAndHeard {
    pub(super) seconds: Vec<Seen>,
    pub(super) marks: Vec<Mark>,
    pub(super) notes: Vec<String>,
    pub(super) ended: Ended,
    /// What the engines know at the end.
    pub(super) footprint: Option<Footprint>,
}

/// A run whose orders are being sent or answered.
struct Running {
    clock: RunClock,
    /// This generator's share.
    profile: Profile,
    /// From the start until the last command is due.
    load: Duration,
    host_cores: u32,
    watch: Watch,
    rig: SharedRig,
    reader: Reader,
    breaker: Breaker,
    interrupt: Interrupt,
    view: View,
    ended: Ended,
    notes: Vec<String>,
}

impl Running {
    /// Looks on until the last command was sent and acknowledged.
    fn load(&mut self, generator: Generator) -> Sent {
        let progress = generator.progress().clone();
        while !progress.peek().done {
            thread::sleep(LOOK_EVERY);
            let (making, sending) = generator.cpu();
            self.look(Phase::Loading, progress.snapshot(), making + sending);
            if self.interrupt.is_set() && self.ended == Ended::Completed {
                self.ended = Ended::Interrupted;
            }
            self.check();
            if self.ended != Ended::Completed {
                generator.stop();
            }
        }
        generator.join()
    }

    /// Waits for the answers that are missing, as long as the scenario allows; then a little for late ones.
    fn drain(&mut self, sent: &Sent, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.is_answered(sent) && Instant::now() < deadline {
            self.look_after(sent, Phase::Draining);
            self.check();
            if matches!(self.ended, Ended::Broken(_)) {
                return;
            }
        }
        let deadline = if self.is_answered(sent) {
            Instant::now() + LISTEN_ON
        } else {
            self.reader.over();
            Instant::now() + LATE_WITHIN
        };
        while Instant::now() < deadline {
            self.look_after(sent, Phase::Verifying);
        }
    }

    /// Puts everything right again, ends reading.
    fn end(self, sent: &Sent) -> (Read, SeenAndHeard) {
        let (marks, troubles) = self.breaker.finish();
        let mut notes = self.notes;
        notes.extend(troubles);
        notes.extend(sent.trouble.clone());
        notes.extend(self.reader.troubles());
        let ended = self.ended;
        let footprint = lock(&self.rig).footprint();
        let seen = SeenAndHeard { seconds: self.watch.seconds, marks, notes, ended, footprint };
        (self.reader.stop(), seen)
    }

    fn is_answered(&self, sent: &Sent) -> bool {
        self.reader.decided() >= sent.acknowledged
            && self.reader.dead_letters() >= sent.poison
            && self.breaker.is_done()
    }

    fn look_after(&mut self, sent: &Sent, phase: Phase) {
        thread::sleep(LOOK_EVERY);
        let progress = generator::Snapshot {
            asked: sent.sent + sent.unsent,
            sent: sent.sent,
            acknowledged: sent.acknowledged,
            failed: sent.failed,
            ..Default::default()
        };
        self.look(phase, progress, sent.making_cpu + sent.client_cpu);
    }

    fn look(&mut self, phase: Phase, progress: generator::Snapshot, generated: Duration) {
        let elapsed = Duration::from_nanos(self.clock.now_ns());
        let tally = self.reader.look();
        self.watch.look(elapsed, progress, tally.decided, generated);
        let mut errors = self.breaker.troubles();
        errors.extend(self.reader.troubles());
        let loading = phase == Phase::Loading;
        self.view.show(&Snapshot {
            phase,
            elapsed,
            load: self.load,
            asked_rate: if loading { self.profile.rate_at(elapsed.as_secs_f64()) } else { 0.0 },
            asked: progress.asked,
            sent: progress.sent,
            acknowledged: progress.acknowledged,
            failed: progress.failed,
            decided: tally.decided,
            outcomes: tally.outcome_counts(),
            total: tally.latency(),
            recent: tally.recent,
            generator_lag_us: progress.behind_ns / 1_000,
            usage: self.watch.usage().clone(),
            host_cores: self.host_cores,
            marks: self.breaker.marks(),
            errors,
        });
    }

    /// Ends the run if what it needs went away.
    fn check(&mut self) {
        let gone = watch::check(&self.rig).err().map(|error| format!("{error:#}")).or_else(|| self.reader.broken());
        if let Some(gone) = gone
            && !matches!(self.ended, Ended::Broken(_))
        {
            self.view.say(&gone);
            self.notes.push(gone.clone());
            self.ended = Ended::Broken(gone);
        }
    }
}

/// Sets the rules and fills the shelves, if that is this generator's part, and waits until that is decided. How many
/// commands it took; none if interrupted.
fn stock(
    task: &Task,
    pools: &PoolSet,
    first_day: i32,
    reader: &Reader,
    rig: &SharedRig,
    interrupt: &Interrupt,
) -> Result<Option<u64>, Failure> {
    if task.share.index > 0 {
        return Ok(Some(0));
    }
    let commands = shelves::fill(&task.connection, &task.stock_topic, &task.scenario, task.run, pools, first_day)
        .map_err(Failure::Environment)?;
    let decided = shelves::wait(reader, commands, interrupt, || watch::check(rig)).map_err(Failure::Environment)?;
    Ok(decided.then_some(commands))
}

/// Tells the sales when they open, if that is this generator's part, and waits until that is decided. False if
/// interrupted. `stocked` commands were decided before.
fn announce(
    task: &Task,
    pools: &PoolSet,
    reader: &Reader,
    rig: &SharedRig,
    interrupt: &Interrupt,
    (stocked, clock, first_day): (u64, RunClock, i32),
) -> Result<bool, Failure> {
    if task.share.index > 0 || !task.scenario.rules.are_timed() {
        return Ok(true);
    }
    let start = clock.start_unix_ms();
    let commands =
        shelves::announce(&task.connection, &task.stock_topic, &task.scenario, task.run, pools, start, first_day)
            .map_err(Failure::Environment)?;
    shelves::wait(reader, stocked + commands, interrupt, || watch::check(rig)).map_err(Failure::Environment)
}

/// From now to the first order.
fn start_in(task: &Task, pools: &PoolSet) -> Duration {
    if !task.scenario.rules.are_timed() {
        return START_IN;
    }
    let sales = u64::from(task.scenario.traffic.skus) * pools.list().len() as u64;
    START_WITH_SALES_IN + Duration::from_secs(sales / SALES_A_SECOND)
}

/// The day that days are counted from: that of the first cutoff, as far as the start is known before the shelves are filled.
/// If a day ends until then, it is the one before, and goods have a day less to live; what is verified stays the same.
fn first_day(task: &Task) -> i32 {
    let soon_ms = shelves::now_ms() + START_WITH_SALES_IN.as_millis() as i64;
    let at_ms = task.start_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_millis() as i64);
    days::first_day(&task.scenario, at_ms.unwrap_or(soon_ms))
}

fn origin(task: &Task, start_unix_ms: i64, first_day: i32) -> Origin {
    let (generator, generators) = (task.share.index, task.share.of);
    Origin { run: task.run, seed: task.scenario.seed, generator, generators, start_unix_ms, first_day }
}

fn ours(task: &Task, pools: &PoolSet, profile: &Profile, first_day: i32) -> Ours {
    let count = pools.list().len() as u32;
    let movements = match task.share.index {
        0 => Movements::new(&task.scenario, profile.duration(), count),
        _ => Movements::default(),
    };
    Ours {
        run: task.run,
        generator: task.share.index,
        // What orders are does not depend on the start.
        plan: Plan::new(&task.scenario, &origin(task, 0, first_day), count),
        pools: pools.clone(),
        skus: task.scenario.traffic.skus,
        segments: task.scenario.traffic.segments.clone(),
        // Whoever reads from before the stock was put there knows it.
        follows_stock: task.share.index == 0,
        ruled: !task.scenario.rules.is_empty(),
        dated: task.scenario.is_dated(),
        hold_ms: task.scenario.traffic.hold.as_millis() as i64,
        lives: Lives::default(),
        moves: Moves::new(movements),
    }
}

fn longest_delay(plan: &Plan) -> Duration {
    let delays = Kind::ALL.map(|kind| plan.delay_ns(kind));
    Duration::from_nanos(delays.into_iter().max().unwrap_or(0))
}
