//! The parts of a run, each in a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sluice::admin;
use sluice::broker::{Broker, Input, Inputs, Position, Records};
use sluice::config::Config;
use sluice::kafka::admin::Admin;
use sluice::kafka::{Delivery, KafkaBroker, Settings};
use sluice::lane::{Lane, LaneEvent, clock};

use crate::generate;

/// How often the engine's progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long lanes may take to commit what is open.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A run that made no progress for so long has failed.
const STALLED: Duration = Duration::from_secs(60);
/// Records in one poll of the bare consumer: as many as the engine takes.
const POLL_RECORDS: usize = sluice::lane::settings::MAX_POLL_RECORDS;
/// How long the administrator's client waits for an answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than a run: no order is too old in it.
const WINDOW: Duration = Duration::from_secs(3_600);
/// Linux counts CPU time in hundredths of a second, whatever its own clock (USER_HZ, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process is to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Publish the orders.
    Generate,
    /// Read and drop them.
    Bare,
    /// Decide them.
    #[serde(with = "delivery")]
    Engine(Delivery),
}

mod delivery {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use sluice::kafka::Delivery;

    pub(super) fn serialize<S: Serializer>(delivery: &Delivery, to: S) -> Result<S::Ok, S::Error> {
        (*delivery == Delivery::Transactional).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Delivery, D::Error> {
        bool::deserialize(from).map(crate::delivery)
    }
}

/// A process's orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) role: Role,
    pub(crate) bootstrap: String,
    /// Prefix of the topics' names.
    pub(crate) topics: String,
    pub(crate) shards: u32,
    pub(crate) per_record: usize,
    pub(crate) orders: u64,
}

/// What it found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) orders: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Seconds since the Unix epoch.
    pub(crate) began: f64,
    pub(crate) ended: f64,
}

/// Runs a part.
pub(crate) fn run(task: &Task) -> Result<Figures> {
    match task.role {
        Role::Generate => generated(task),
        Role::Bare => bare(task),
        Role::Engine(delivery) => engine(task, delivery),
    }
}

/// From the first order to the last, in time and CPU.
struct Watch {
    began: Instant,
    wall: f64,
    cpu: f64,
    orders: u64,
}

impl Watch {
    fn start(orders: u64) -> Result<Self> {
        Ok(Self { began: Instant::now(), wall: now_s(), cpu: cpu_seconds(std::process::id())?, orders })
    }

    /// `all` orders were done when it ended, of which those done before it started do not count for its time.
    fn stop(self, all: u64) -> Result<Figures> {
        let counted = (all - self.orders) as f64 / all as f64;
        Ok(Figures {
            orders: all,
            seconds: self.began.elapsed().as_secs_f64() / counted,
            cpu_seconds: (cpu_seconds(std::process::id())? - self.cpu) / counted,
            began: self.wall,
            ended: now_s(),
        })
    }
}

fn generated(task: &Task) -> Result<Figures> {
    let settings = settings(task, Delivery::Transactional);
    generate::stock(&task.bootstrap, &settings.topics.stock, task.shards)?;
    let watch = Watch::start(0)?;
    generate::orders(&task.bootstrap, &settings.topics.orders, task.shards, task.per_record, 0, task.orders)?;
    watch.stop(task.orders)
}

fn bare(task: &Task) -> Result<Figures> {
    let broker = Arc::new(KafkaBroker::new(settings(task, Delivery::Transactional))?);
    let records = Arc::new(AtomicU64::new(0));
    for shard in 0..task.shards {
        let (broker, records) = (broker.clone(), records.clone());
        thread::spawn(move || -> Result<()> {
            let mut inputs = broker.inputs(shard, Position::at(0), Position::at(0))?;
            loop {
                let mut found = 0;
                while let Some(batch) = inputs.poll(Input::Orders, POLL_RECORDS)? {
                    found += batch.len();
                    records.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
                while inputs.poll(Input::Stock, POLL_RECORDS)?.is_some() {}
                if found == 0 {
                    inputs.wait(Duration::from_millis(100));
                }
            }
        });
    }
    let per_record = task.per_record as u64;
    follow(task, move || records.load(Ordering::Relaxed) * per_record)
}

fn engine(task: &Task, delivery: Delivery) -> Result<Figures> {
    let config = Config::defaults();
    let lane = Arc::new(sluice::node::plan::lane_settings(&config, 1, false));
    let broker = Arc::new(KafkaBroker::new(settings(task, delivery))?);
    let (events, from_lanes) = crossbeam::channel::unbounded();
    let lanes = (0..task.shards)
        .map(|shard| Lane::spawn(broker.clone(), shard, lane.clone(), events.clone()))
        .collect::<std::io::Result<Vec<_>>>()?;
    let stock = u64::from(task.shards) * generate::SKUS as u64;
    let decided = || {
        lanes.iter().map(|lane| lane.status().snapshot(clock::steady_ms()).sequence).sum::<u64>().saturating_sub(stock)
    };
    let figures = follow(task, decided);
    for event in from_lanes.try_iter() {
        if !matches!(event, LaneEvent::Running { .. }) {
            eprintln!("{event:?}");
        }
    }
    lanes.iter().for_each(|lane| lane.begin_stop(STOP_WITHIN));
    for lane in lanes {
        lane.join(STOP_WITHIN);
    }
    figures
}

/// Watches a count from its first to its last order.
fn follow(task: &Task, done: impl Fn() -> u64) -> Result<Figures> {
    let (mut watch, mut last, mut moved) = (None, 0, Instant::now());
    loop {
        let now = done();
        if now > last {
            (last, moved) = (now, Instant::now());
            if watch.is_none() {
                watch = Some(Watch::start(now.min(task.orders - 1))?);
            }
        }
        if now >= task.orders {
            return watch.context("nothing was measured")?.stop(now);
        }
        if moved.elapsed() > STALLED {
            bail!("stalled at {now} of {} orders", task.orders);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn settings(task: &Task, delivery: Delivery) -> Settings {
    Settings { delivery, ..config(&task.bootstrap, &task.topics).kafka_settings() }
}

/// The default configuration, with these topics: `name`, or `inputs/log` for a second log of the same inputs.
fn config(bootstrap: &str, topics: &str) -> Config {
    let mut config = Config::defaults();
    bootstrap.clone_into(&mut config.kafka.bootstrap_servers);
    let (inputs, log) = topics.split_once('/').unwrap_or((topics, topics));
    config.topics.orders = format!("{inputs}-orders");
    config.topics.stock = format!("{inputs}-stock");
    config.topics.decisions = format!("{log}-decisions");
    config.topics.replies = format!("{log}-replies");
    config.topics.dead_letters = format!("{log}-dead-letters");
    config
}

/// Makes what is missing of these topics and begins their logs.
pub(crate) fn create_topics(bootstrap: &str, topics: &str, shards: u32) -> Result<()> {
    let config = config(bootstrap, topics);
    let settings = config.kafka_settings();
    let plan = admin::Plan {
        partitions: shards,
        reply_partitions: 1,
        replication: 1,
        min_insync: 1,
        window: WINDOW,
        skew: WINDOW,
    };
    let client = Admin::new(&settings, ADMIN_TIMEOUT)?;
    Ok(admin::create(&client, &KafkaBroker::new(settings)?, &config, &plan, &mut |_| {})?)
}

/// CPU seconds that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces; user and system time are fields 14 and 15 (proc(5)).
    let fields = stat.rsplit_once(')').context("unexpected /proc/pid/stat")?.1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The machine's CPU time, used and in all, since it started or over an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    used: u64,
    all: u64,
}

impl Busy {
    /// What came since `before`.
    pub(crate) fn since(&self, before: &Busy) -> Busy {
        Busy { used: self.used - before.used, all: self.all - before.all }
    }

    /// Share of the time that was used.
    pub(crate) fn share(&self) -> f64 {
        self.used as f64 / self.all.max(1) as f64
    }
}

/// The machine's CPU time until now.
pub(crate) fn machine_busy() -> Result<Busy> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("empty /proc/stat")?;
    let ticks = line.split_whitespace().skip(1).map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()?;
    let all: u64 = ticks.iter().take(8).sum();
    // Idle and waiting for the disk are fields 4 and 5 (proc(5)).
    Ok(Busy { used: all - ticks[3] - ticks[4], all })
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
