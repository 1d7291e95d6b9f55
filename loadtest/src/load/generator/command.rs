//! `loadtest generate`: the generator by itself, to show what it costs and can do.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use procfs::process::Process;
use procfs::{CurrentSI as _, KernelStats};
use sluice::devbroker::{Cluster, Options};

use super::{Generator, Pace, Producer, Progress, Sent, Target, Threads};
use crate::cli::GenerateArgs;
use crate::clock::RunClock;
use crate::failure::Failure;
use crate::load::profile::Profile;
use crate::load::scenario::{self, Scenario};
use crate::load::traffic::{Origin, PoolSet, RunId, Stream, days};
use crate::report::result::Exit;

/// Time between connecting and the first record, so that it is not late.
const LEAD: Duration = Duration::from_millis(50);

/// Between two looks at the generator's progress.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Between two lines about it.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Java heap of a broker of this process, MiB.
const HEAP_MIB: u32 = 1_024;

/// The buffer of a dry run is emptied when it has this many bytes, as that of the hot loop is.
const DRY_BYTES: usize = 128 << 10;

/// `loadtest generate`
///
/// # Errors
/// If the scenario cannot be used, or the cluster is out of reach.
pub fn command(args: &GenerateArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario).map_err(Failure::usage)?;
    let profile = scenario.profile().map_err(Failure::usage)?;
    let text = if args.dry_run { dry_run(args, &scenario, &profile) } else { send(args, &scenario, &profile)? };
    // Whoever reads may have had enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

fn origin(args: &GenerateArgs, scenario: &Scenario, clock: &RunClock) -> Origin {
    Origin {
        run: args.share.run_id.unwrap_or_else(RunId::draw),
        seed: scenario.seed,
        generator: args.share.generator.index,
        generators: args.share.generator.of,
        start_unix_ms: clock.start_unix_ms(),
        first_day: days::first_day(scenario, clock.start_unix_ms()),
    }
}

/// Makes every record and keeps none.
fn dry_run(args: &GenerateArgs, scenario: &Scenario, profile: &Profile) -> String {
    let pools = PoolSet::new(&scenario.traffic.pools, args.partitions);
    let origin = origin(args, scenario, &RunClock::starting_in(Duration::ZERO));
    let mut stream = Stream::new(scenario, profile, origin, &pools);
    let mut buffer = Vec::with_capacity(2 * DRY_BYTES);
    let (mut records, mut commands, mut bytes) = (0_u64, 0_u64, 0_u64);
    let this = Threads::this();
    let (began, cpu) = (Instant::now(), this.cpu());
    while let Some(record) = stream.next(&mut buffer) {
        records += 1;
        commands += u64::from(record.commands);
        bytes += record.bytes as u64;
        if buffer.len() > DRY_BYTES {
            buffer.clear();
        }
    }
    let (took, cpu) = (began.elapsed(), this.cpu().saturating_sub(cpu));
    format!(
        "made and not sent: {} orders, {commands} commands in {records} records of {} bytes on average\n\
         {:.2} s, {:.0} commands/s, {:.1} ns of CPU a command\n",
        stream.placed(),
        bytes / records.max(1),
        took.as_secs_f64(),
        commands as f64 / took.as_secs_f64(),
        cpu.as_nanos() as f64 / commands.max(1) as f64
    )
}

fn send(args: &GenerateArgs, scenario: &Scenario, profile: &Profile) -> Result<String, Failure> {
    let mut cluster_args = args.cluster.clone();
    let cluster = if args.own_broker {
        eprintln!("starting an Apache Kafka");
        let cluster = own_broker(args)?;
        cluster_args.bootstrap_servers = cluster.bootstrap();
        Some(cluster)
    } else {
        None
    };
    let producer = Producer::connect(&Target::new(&cluster_args)?)?;
    let pools = PoolSet::new(&scenario.traffic.pools, producer.partitions());
    let clock = match args.share.start_at {
        Some(at) => RunClock::starting_at(at),
        None => RunClock::starting_in(LEAD),
    };
    let origin = origin(args, scenario, &clock);
    let stream = Stream::new(scenario, profile, origin, &pools);
    let until = profile.duration() + scenario.drain.within;
    let pace = if args.flat_out { Pace::FlatOut } else { Pace::WhenDue { clock, until_ns: until.as_nanos() as u64 } };
    let share = 1.0 / f64::from(origin.generators);
    let before = Machine::now(cluster.as_ref());
    let generator = Generator::spawn(producer, stream, &pools, profile, share, pace).map_err(Failure::environment)?;
    watch(generator.progress());
    let sent = generator.join();
    let cost = Machine::now(cluster.as_ref()).since(&before);
    Ok(summary(scenario, &sent, &cost, args.flat_out))
}

/// A broker of this process. Its topic is made when the producer asks for it.
fn own_broker(args: &GenerateArgs) -> Result<Cluster, Failure> {
    let properties = [
        ("num.partitions", args.partitions.to_string()),
        ("auto.create.topics.enable", "true".to_owned()),
        ("log.message.timestamp.type", "LogAppendTime".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let options = Options { properties: properties.to_vec(), heap_mib: HEAP_MIB, ..Options::default() };
    Cluster::start(&options).map_err(Failure::environment)
}

/// Says how far it is until it is done.
fn watch(progress: &Progress) {
    let mut told = (Instant::now(), progress.peek());
    loop {
        std::thread::sleep(LOOK_EVERY);
        let now = progress.peek();
        if now.done {
            return;
        }
        let since = told.0.elapsed();
        if since >= TELL_EVERY {
            eprintln!(
                "{:>10.0} commands/s sent, {:>11} sent, {:>7} in flight, {:>6.1} ms behind",
                (now.sent - told.1.sent) as f64 / since.as_secs_f64(),
                now.sent,
                now.sent - now.acknowledged - now.failed,
                now.behind_ns as f64 / 1e6
            );
            told = (Instant::now(), now);
        }
    }
}

/// What the machine and the broker of this process have used so far.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    broker: Duration,
    busy: Duration,
    all: Duration,
}

impl Machine {
    fn now(cluster: Option<&Cluster>) -> Self {
        let tick = |ticks: u64| Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        let broker = cluster
            .and_then(|cluster| Process::new(cluster.pid(0)? as i32).ok()?.stat().ok())
            .map_or(Duration::ZERO, |stat| tick(stat.utime + stat.stime));
        let Ok(stat) = KernelStats::current() else { return Self { broker, ..Self::default() } };
        let total = stat.total;
        let idle = total.idle + total.iowait.unwrap_or(0);
        let busy = total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        Self { broker, busy: tick(busy), all: tick(busy + idle + total.steal.unwrap_or(0)) }
    }

    fn since(&self, before: &Self) -> Self {
        Self { broker: self.broker - before.broker, busy: self.busy - before.busy, all: self.all - before.all }
    }
}

fn summary(scenario: &Scenario, sent: &Sent, cost: &Machine, flat_out: bool) -> String {
    let took = sent.took.as_secs_f64().max(1e-9);
    let commands = sent.sent.max(1) as f64;
    let us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / commands;
    let ms = |percent: f64| sent.lag_us.value_at_percentile(percent) as f64 / 1e3;
    let mut out = format!(
        "{}: {} orders, {} commands in {} records of {} bytes on average\n\
         sent {} commands in {took:.2} s, {:.0}/s; {} acknowledged, {} failed, {} unsent\n",
        scenario.name,
        sent.orders,
        sent.sent,
        sent.records,
        sent.record_bytes / sent.records.max(1),
        sent.sent,
        commands / took,
        sent.acknowledged,
        sent.failed,
        sent.unsent,
    );
    if !flat_out {
        out += &format!(
            "generator lag p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms; blocked by a full queue {:.2} s\n",
            ms(50.0),
            ms(99.0),
            ms(99.9),
            sent.lag_us.max() as f64 / 1e3,
            sent.blocked_ns as f64 / 1e9
        );
    }
    out += &format!(
        "CPU a command: {:.3} us making and handing over, {:.3} us in the client's threads, {:.3} us in the broker\n\
         the making thread was busy {:.0}% of the time, the machine {:.0}%\n",
        us(sent.making_cpu),
        us(sent.client_cpu),
        us(cost.broker),
        100.0 * sent.making_cpu.as_secs_f64() / took,
        100.0 * cost.busy.as_secs_f64() / cost.all.as_secs_f64().max(1e-9),
    );
    if let Some(trouble) = &sent.trouble {
        out += &format!("{trouble}\n");
    }
    out
}
