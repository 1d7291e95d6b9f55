//! The parts of a run, each in a process of its own, so that its CPU time can be told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use sluice::broker::{Broker, Input, Inputs, Position, ReadFrom, Records};
use sluice::config::Config;
use sluice::kafka::{Delivery, KafkaBroker};
use sluice::lane::{Lane, LaneEvent, LaneSite, LaneSnapshot, Load, clock};
use sluice::wire::Layout;

use crate::planted::Slow;
use crate::task::{Batches, Figures, Role, Task};
use crate::usage::{Threads, own_cpu_seconds};
use crate::{generate, team, topics};

/// The clock begins when one order in so many is done: before that a process touches most of its memory for the first
/// time, and the broker compiles what it has not met yet.
const WARM_UP_SHARE: u64 = 4;
/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A run that made no progress for so long has failed.
const STALLED: Duration = Duration::from_secs(60);
/// Records in one poll of the bare consumer: as many as the engine takes.
const POLL_RECORDS: usize = sluice::lane::settings::MAX_POLL_RECORDS;
/// How long a lane may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// Runs a part.
pub(crate) fn run(task: &Task) -> Result<Figures> {
    match task.role {
        Role::Generate => generated(task),
        Role::Bare => bare(task),
        Role::Engine { exactly_once } => {
            let delivery = if exactly_once { Delivery::Transactional } else { Delivery::AtLeastOnce };
            lanes(task, delivery, |lane| lane.shards.iter().map(|shard| shard.sequence).sum())
        }
        Role::Recover => lanes(task, Delivery::Transactional, |snapshot| snapshot.recovery.decisions),
        Role::Team => {
            let done = team::start(task)?;
            follow(task, move || done.load(Ordering::Relaxed))
        }
        Role::TeamRead => {
            let done = team::read(task)?;
            follow(task, move || done.load(Ordering::Relaxed))
        }
    }
}

/// From the end of the warm-up to the last order, in time and CPU.
struct Watch {
    began: Instant,
    wall: f64,
    cpu: f64,
    threads: Threads,
    orders: u64,
}

impl Watch {
    fn start(orders: u64) -> Self {
        let threads = Threads::of(std::process::id());
        Self { began: Instant::now(), wall: now_s(), cpu: own_cpu_seconds(), threads, orders }
    }

    /// `all` orders were done when it ended, of which those done before it started do not count for its time.
    fn stop(self, all: u64) -> Figures {
        let counted = (all - self.orders) as f64 / all as f64;
        Figures {
            orders: all,
            seconds: self.began.elapsed().as_secs_f64() / counted,
            cpu_seconds: (own_cpu_seconds() - self.cpu) / counted,
            began: self.wall,
            ended: now_s(),
            busiest: Threads::of(std::process::id()).busiest_since(&self.threads),
            record_bytes: None,
            batches: None,
        }
    }
}

fn generated(task: &Task) -> Result<Figures> {
    let topics = topics::config(&task.bootstrap, &task.topics).topics;
    generate::stock(&task.bootstrap, &topics.stock, task.shards)?;
    let watch = Watch::start(0);
    let bytes = generate::orders(&task.bootstrap, &topics.orders, task.shards, task.per_record, 0, task.orders)?;
    let record_bytes = Some(bytes as f64 / (task.orders as f64 / task.per_record as f64));
    Ok(Figures { record_bytes, ..watch.stop(task.orders) })
}

fn bare(task: &Task) -> Result<Figures> {
    let broker = Arc::new(KafkaBroker::new(topics::settings(&task.bootstrap, &task.topics, Delivery::Transactional))?);
    let records = Arc::new(AtomicU64::new(0));
    for shard in 0..task.shards {
        let (broker, records) = (broker.clone(), records.clone());
        let name = format!("bare-{shard}");
        thread::Builder::new().name(name).spawn(move || -> Result<()> {
            let mut inputs = broker.inputs(&[ReadFrom::new(shard, Position::at(0), Position::at(0))])?;
            loop {
                let mut found = 0;
                while let Some(batch) = inputs.poll(0, Input::Orders, POLL_RECORDS)? {
                    found += batch.len();
                    records.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
                while inputs.poll(0, Input::Stock, POLL_RECORDS)?.is_some() {}
                if found == 0 {
                    inputs.wait(Duration::from_millis(100));
                }
            }
        })?;
    }
    let per_record = task.per_record as u64;
    follow(task, move || records.load(Ordering::Relaxed) * per_record)
}

fn lanes(task: &Task, delivery: Delivery, decided: fn(&LaneSnapshot) -> u64) -> Result<Figures> {
    let broker = KafkaBroker::new(topics::settings(&task.bootstrap, &task.topics, delivery))?;
    if task.planted { lanes_on(task, Slow(broker), decided) } else { lanes_on(task, broker, decided) }
}

/// The engine's lanes, as a node runs them, until all orders count as decided.
fn lanes_on<B: Broker>(task: &Task, broker: B, decided: fn(&LaneSnapshot) -> u64) -> Result<Figures> {
    let settings = Arc::new(sluice::node::plan::lane_settings(&Config::defaults(), 1, false));
    let (broker, (events, from_lanes)) = (Arc::new(broker), crossbeam::channel::unbounded());
    let layout = Layout { shards: task.shards, lanes: task.lanes };
    let lanes = (0..task.lanes)
        .zip(Load::of_node(task.lanes))
        .map(|(lane, load)| {
            let (broker, settings, events) = (broker.clone(), settings.clone(), events.clone());
            Lane::spawn(LaneSite { broker, lane, layout, settings, load, events })
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let stock = u64::from(task.shards) * generate::SKUS as u64;
    let all = || lanes.iter().map(|lane| decided(&lane.status().snapshot(clock::steady_ms()))).sum::<u64>();
    let figures = follow(task, || all().saturating_sub(stock));
    for event in from_lanes.try_iter() {
        if !matches!(event, LaneEvent::Running { .. }) {
            eprintln!("{event:?}");
        }
    }
    let batches = batches(&lanes);
    lanes.iter().for_each(|lane| lane.begin_stop(STOP));
    for lane in lanes {
        lane.join(STOP);
    }
    Ok(Figures { batches, ..figures? })
}

/// Of all lanes; none before the first commit.
fn batches(lanes: &[Lane]) -> Option<Batches> {
    let (mut count, mut decisions, mut commit_ms) = (0, 0, 0);
    for lane in lanes {
        let snapshot = lane.status().snapshot(clock::steady_ms());
        count += snapshot.batches;
        decisions += snapshot.shards.iter().flat_map(|shard| &shard.decisions).map(|(_, _, count)| count).sum::<u64>();
        commit_ms += snapshot.commit_ms;
    }
    let mean = |sum: u64| sum as f64 / count as f64;
    (count > 0).then(|| Batches { decisions: mean(decisions), commit_ms: mean(commit_ms) })
}

/// Watches a count to its last order.
fn follow(task: &Task, done: impl Fn() -> u64) -> Result<Figures> {
    let (mut watch, mut last, mut moved) = (None, 0, Instant::now());
    loop {
        let now = done();
        if now > last {
            (last, moved) = (now, Instant::now());
            if watch.is_none() && now >= task.orders / WARM_UP_SHARE {
                watch = Some(Watch::start(now.min(task.orders - 1)));
            }
        }
        if now >= task.orders {
            return Ok(watch.context("nothing was measured")?.stop(now));
        }
        if moved.elapsed() > STALLED {
            bail!("stalled at {now} of {} orders", task.orders);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
