//! `sluice demo`: the whole engine against an embedded broker or an Apache Kafka of its own, with a stream of orders
//! that it verifies afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::broker::{Broker, Input, LogReader};
use crate::kafka::Settings;
use crate::kafka::membership::Membership;
use crate::kafka::publisher::{Publisher, Receipt};
use crate::lane::LaneSettings;
use crate::node::lanes::Lanes;
use crate::node::service::{self, NodeError, Plan};
use crate::wire::route::partition_of;
use crate::wire::{Layout, proto};

/// Prints a line. Whoever reads our output may have had enough of it (`sluice demo | head`): the demo goes on to its end,
/// if it was told one, and its exit code still tells how it ended.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($what)*);
    }};
}

mod args; // the flags
mod stage; // the broker, with its topics and genesis records
mod traffic; // the stream of commands, from a seed
mod screen; // what is shown while it runs
mod follow; // the log, read and taken apart by shards
mod verify; // what is proven at the end

pub use args::{DemoArgs, DemoBroker};

use follow::{Log, Told};
use screen::{Picture, Screen};
use traffic::Traffic;
use verify::Verifier;

/// Shards of the demo: two, so that it shows more than one and suits two cores.
const SHARDS: u32 = 2;
/// Commands under way at the most. The mock cluster keeps 5 MiB a partition and drops older records in silence: input
/// and log must never hold more than that which has yet to be read.
const MAX_IN_FLIGHT: i64 = 5_000;
/// Stock commands in a record.
const STOCK_PER_RECORD: usize = 100;
/// How long the shards may take to be assigned and recovered.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last answers may take, and after them the last holds beyond their time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing may be answered while something waits for its answer: a broker that is gone does not come back. A
/// real one that is slow, or elects a leader, takes seconds.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the engine may take to end when the demo failed: what it waits for may never come.
const FAILED_END_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one wait for receipts may take; paces the loop.
const PACE: Duration = Duration::from_millis(2);
/// How long a reader of the log waits for a record before it looks whether it is still wanted.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs the demo until its end or a message on `stop`; returns whether everything it verified held.
///
/// # Errors
/// The broker, the topics or the engine could not be brought up, or the engine failed.
pub fn run(args: &DemoArgs, stop: &Receiver<()>) -> Result<bool> {
    stage::with(args.broker, |stage| match stage {
        stage::Stage::Mock { broker, settings, lane } => play(args, broker, settings, lane, stop),
        stage::Stage::Kafka { broker, settings, lane } => play(args, broker, settings, lane, stop),
    })
}

fn play<B: Broker>(
    args: &DemoArgs,
    broker: Arc<B>,
    settings: Settings,
    lane: LaneSettings,
    stop: &Receiver<()>,
) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(|| StdRng::from_os_rng().random());
    say!("Kafka listens at {}; topics: orders, stock, decisions, replies, dead-letters", settings.bootstrap_servers);
    say!("Orders are drawn from seed {seed} (--seed {seed} repeats them), {} a second", args.rate);

    let (layout, shutdown_timeout) = (Layout::one_each(SHARDS), SETTLE_TIMEOUT);
    let membership = Membership::join(&settings, layout, shutdown_timeout).context("cannot join the consumer group")?;
    let lanes = Arc::new(Lanes::new(&settings.group_id, &settings.client_id, layout));
    let (stop_engine, engine_stop) = bounded(1);
    let plan = Plan {
        broker: broker.clone(),
        layout,
        lane: Arc::new(lane),
        shutdown_timeout,
        heartbeat: settings.heartbeat(),
        stall_timeout: SETTLE_TIMEOUT,
    };
    let (ending, engine_ended) = bounded::<()>(0);
    let engine = {
        let lanes = lanes.clone();
        let work = move || {
            let ended = service::run(plan, membership, &lanes, &engine_stop);
            drop(ending);
            ended
        };
        std::thread::Builder::new().name("engine".to_owned()).spawn(work)?
    };
    let (decided, decisions) = unbounded();
    let wanted = Arc::new(());
    // A lane for each shard.
    let readers = (0..SHARDS)
        .map(|lane| read_log(broker.clone(), lane, decided.clone(), Arc::downgrade(&wanted)))
        .collect::<Result<Vec<_>>>()?;

    let publisher = Publisher::new(&settings)?;
    let verifier = Verifier::default();
    let moved = (Instant::now(), 0);
    let mut show = Show { args, settings, publisher, lanes, decisions, engine: &engine, verifier, moved };
    let shown = show.run(seed, stop);
    let verifier = show.verifier;
    drop(wanted);
    let _ = stop_engine.send(());
    let placed = match shown {
        Ok(placed) => placed,
        Err(error) => {
            // Nothing is ever sent: the channel closes when the engine has ended.
            let in_time = engine_ended.recv_timeout(FAILED_END_TIMEOUT) == Err(RecvTimeoutError::Disconnected);
            let reason = if in_time { engine.join().ok().and_then(Result::err) } else { None };
            return Err(match reason {
                Some(reason) => anyhow::Error::from(reason).context(error.to_string()),
                None => error,
            });
        }
    };
    let ended: Result<(), NodeError> = engine.join().map_err(|_| anyhow::anyhow!("the engine's thread panicked"))?;
    for reader in readers {
        reader.join().map_err(|_| anyhow::anyhow!("a reader's thread panicked"))??;
    }
    ended.context("the engine failed")?;
    Ok(conclude(placed, verifier))
}

/// Reads a lane's log on a thread of its own.
fn read_log<B: Broker>(
    broker: Arc<B>,
    lane: u32,
    decided: Sender<Told>,
    wanted: std::sync::Weak<()>,
) -> Result<std::thread::JoinHandle<Result<()>>> {
    let mut reader = broker.reader(lane, 0)?;
    let work = move || -> Result<()> {
        let mut log = Log::of(lane);
        while wanted.upgrade().is_some() {
            let mut unreadable = None;
            reader.read(READ_TIMEOUT, &mut |offset, value| {
                // The show ends before its readers do; what comes after is not wanted any more.
                let taken = log.take(offset, value, &mut |told| drop(decided.send(told)));
                unreadable = unreadable.take().or(taken.err());
            })?;
            if let Some(error) = unreadable {
                return Err(error);
            }
        }
        Ok(())
    };
    Ok(std::thread::Builder::new().name(format!("reader-{lane}")).spawn(work)?)
}

struct Show<'a> {
    args: &'a DemoArgs,
    settings: Settings,
    publisher: Publisher,
    lanes: Arc<Lanes>,
    decisions: Receiver<Told>,
    engine: &'a std::thread::JoinHandle<Result<(), NodeError>>,
    verifier: Verifier,
    /// When there was last an answer, or nothing to wait for; and how many answers there were by then.
    moved: (Instant, u64),
}

impl Show<'_> {
    /// Returns how many orders were placed, repeats not counted.
    fn run(&mut self, seed: u64, stop: &Receiver<()>) -> Result<u64> {
        say!("Waiting for the shards to be assigned and taken");
        self.until(READY_TIMEOUT, "the shards were not taken", |show| show.ready())?;
        let stock: Vec<_> = Traffic::opening_stock(now_ms()).collect();
        for pool in stock.chunk_by(|a, b| a.pool == b.pool) {
            for chunk in pool.chunks(STOCK_PER_RECORD) {
                let value = proto::StockCommands { commands: chunk.to_vec() }.encode_to_vec();
                self.publish(Input::Stock, &chunk[0].pool, &value, chunk.len() as u32)?;
            }
        }
        self.until(SETTLE_TIMEOUT, "the opening stock was not answered", |show| show.verifier.unanswered() == 0)?;
        say!("{} SKUs stocked; orders begin", stock.len());

        let mut traffic = Traffic::new(seed, self.args.rate);
        let mut screen = Screen::new(self.verifier.totals().1);
        let placed = self.place(&mut traffic, &mut screen, stop);
        screen.end();
        placed?;
        say!("No more orders; waiting for the last answers and for abandoned holds to expire");
        let mut rest = Vec::new();
        traffic.rest(&mut rest);
        for command in rest {
            self.command(command)?;
        }
        self.until(SETTLE_TIMEOUT, "commands were left unanswered", |show| show.verifier.unanswered() == 0)?;
        let expiry = Duration::from_millis(traffic::HOLD_MS) + SETTLE_TIMEOUT;
        self.until(expiry, "holds did not expire", |show| show.verifier.own_held() == 0)?;
        Ok(traffic.placed())
    }

    fn place(&mut self, traffic: &mut Traffic, screen: &mut Screen, stop: &Receiver<()>) -> Result<()> {
        let began = Instant::now();
        let last = self.args.orders.unwrap_or(u64::MAX);
        let mut due = Vec::new();
        loop {
            let elapsed = began.elapsed();
            let over = self.args.run_for.is_some_and(|run_for| elapsed >= run_for);
            let unwatched = screen.is_gone() && self.args.run_for.is_none() && self.args.orders.is_none();
            if over || unwatched || traffic.placed() >= last || stop.try_recv().is_ok() {
                return Ok(());
            }
            let target = ((elapsed.as_secs_f64() * self.args.rate as f64) as u64).min(last);
            while traffic.placed() < target && self.verifier.unanswered() < MAX_IN_FLIGHT {
                traffic.next(now_ms(), &mut due);
                for command in due.drain(..) {
                    self.command(command)?;
                }
            }
            self.turn()?;
            if screen.is_due() {
                self.picture(screen, traffic);
            }
        }
    }

    fn command(&mut self, command: proto::Command) -> Result<()> {
        let pool = traffic::pool_of(&command).to_owned();
        let value = proto::Commands { commands: vec![command] }.encode_to_vec();
        self.publish(Input::Orders, &pool, &value, 1)
    }

    fn publish(&mut self, input: Input, pool: &str, value: &[u8], commands: u32) -> Result<()> {
        let topic = match input {
            Input::Stock => self.settings.topics.stock.clone(),
            _ => self.settings.topics.orders.clone(),
        };
        let partition = partition_of(pool.as_bytes(), SHARDS);
        self.verifier.sending(commands);
        while !self.publisher.publish(&topic, partition, pool.as_bytes(), value, tag(input, commands))? {
            self.turn()?;
        }
        Ok(())
    }

    /// Takes in what the brokers and the engine have told meanwhile.
    fn turn(&mut self) -> Result<()> {
        let mut failed = None;
        let verifier = &mut self.verifier;
        self.publisher.receipts(PACE, &mut |Receipt { tag, partition, stored }| match stored {
            Ok(offset) => verifier.sent(input_of(tag), partition, offset, (tag >> 1) as u32),
            Err(error) => failed = Some(error),
        });
        for told in self.decisions.try_iter() {
            match told {
                Told::Decided { shard, decisions } => {
                    decisions.iter().for_each(|decision| verifier.decided(shard, decision));
                }
                Told::Broken(words) => verifier.violation(words),
            }
        }
        if let Some(error) = failed {
            bail!("the broker did not take a record: {error}");
        }
        if self.engine.is_finished() {
            bail!("the engine ended before the demo did");
        }
        let answered = self.verifier.totals().1;
        if answered != self.moved.1 || self.verifier.unanswered() <= 0 {
            self.moved = (Instant::now(), answered);
        }
        if self.moved.0.elapsed() >= STALL_TIMEOUT {
            let why = self.publisher.trouble();
            let why = why.map_or_else(|| "it may hang, or the engine".to_owned(), |trouble| trouble.to_string());
            bail!(
                "nothing was answered for {} s; the broker is at {}: {why}",
                STALL_TIMEOUT.as_secs(),
                self.settings.bootstrap_servers
            );
        }
        Ok(())
    }

    fn until(&mut self, timeout: Duration, otherwise: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !done(self) {
            if Instant::now() >= deadline {
                bail!("{otherwise} within {} s", timeout.as_secs());
            }
            self.turn()?;
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        let lanes = self.lanes.snapshots();
        lanes.len() == SHARDS as usize && lanes.iter().all(|(_, lane, _)| lane.phase == crate::lane::Phase::Running)
    }

    fn picture(&self, screen: &mut Screen, traffic: &Traffic) {
        let lanes: Vec<_> = self.lanes.snapshots().into_iter().map(|(_, lane, _)| lane).collect();
        let verifier = &self.verifier;
        screen.show(&Picture {
            placed: traffic.placed(),
            answered: verifier.totals().1,
            unanswered: verifier.unanswered(),
            held: verifier.held(),
            sold_out: verifier.sold_out(),
            outcomes: verifier.outcomes(),
            lanes: &lanes,
        });
    }
}

/// Prints what was proved and whether it held.
fn conclude(placed: u64, verifier: Verifier) -> bool {
    let (sent, answered) = verifier.totals();
    let outcomes = verifier.outcomes().clone();
    let (sold_out, of_others) = (verifier.sold_out(), verifier.of_others());
    let (violations, count) = verifier.finish();
    say!("\nDecisions, by outcome:");
    for (key, count) in outcomes {
        say!("  {:<24} {count:>10}  {}", screen::outcome_name(key), meaning(key.0));
    }
    say!("\n{placed} orders placed with what follows them, and stock: {sent} commands sent, {answered} answered");
    if of_others > 0 {
        say!("{of_others} commands of others were answered too");
    }
    say!("SKUs sold out at the end, when abandoned holds are back on the shelf: {sold_out}");
    if count == 0 {
        say!("Verified: each command answered exactly once, repeats as their original; nothing oversold.");
        return true;
    }
    say!("NOT AS IT MUST BE, {count} findings; the first of them:");
    for violation in violations {
        say!("  {violation}");
    }
    false
}

/// What an outcome tells of the demo's traffic.
fn meaning(outcome: proto::Outcome) -> &'static str {
    match outcome {
        proto::Outcome::Reserved => "every line held for the customer",
        proto::Outcome::Rejected => "nothing held",
        proto::Outcome::Confirmed => "paid",
        proto::Outcome::Shipped => "left the warehouse",
        proto::Outcome::Misrouted => "came to the wrong partition: see the record's key and the partitioner",
        proto::Outcome::Cancelled => "released by the customer",
        proto::Outcome::Expired => "abandoned: released by the engine, which nobody asked",
        proto::Outcome::Applied => "stock put on the shelf, and Ticks: the engine asking the broker for the time",
        proto::Outcome::Duplicate => "sent again: answered as the first time",
        proto::Outcome::Conflict => "an id that was used before, with other content",
        proto::Outcome::Unchanged => "it was so already",
        proto::Outcome::NotAllowed => "not as things stand: the reason says why",
        proto::Outcome::Noted => "cancelled before it was placed",
        proto::Outcome::NotOpen => "asked for before its sale opens",
        proto::Outcome::TooOld => "placed or issued longer ago than ids are remembered",
        proto::Outcome::Invalid | proto::Outcome::Unsupported => "refused: the reason or the field says why",
        _ => "",
    }
}

fn tag(input: Input, commands: u32) -> usize {
    (commands as usize) << 1 | usize::from(input == Input::Stock)
}

fn input_of(tag: usize) -> Input {
    if tag & 1 == 1 { Input::Stock } else { Input::Orders }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
