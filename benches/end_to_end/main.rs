//! The whole way of an order against a real Apache Kafka on this machine, in one run, so that the figures can be
//! compared with each other:
//!
//! - **bare**: the engine's own consumers, every record dropped;
//! - **engine**: drains the same records, exactly once and at least once;
//! - **all in**: generator, broker and engine at the same time.
//!
//! Each with one and with 50 orders a record. `cargo bench --bench end_to_end`, or with `-- --smoke` a run of seconds
//! whose figures mean little and whose counts must be right. Each part runs as a process of its own, so that its CPU
//! time can be told apart.

mod children;
mod generate;
mod report;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use sluice::devbroker::{Cluster, Options};
use sluice::kafka::Delivery;

use children::{Figures, Role, Task};
use report::Row;

/// As in the service, where it also serves librdkafka.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shards of every run.
const SHARDS: u32 = 2;
/// Orders to a record in the second half of the rows.
const BATCHED: usize = 50;

/// Measures the engine against a real Apache Kafka on this machine.
#[derive(Parser)]
struct Args {
    /// Orders in records of one, and five times as many in records of 50.
    #[arg(long, default_value_t = 1_500_000)]
    orders: u64,
    /// A short run: 40,000 orders.
    #[arg(long)]
    smoke: bool,
    /// Java heap of the broker, MiB.
    #[arg(long, default_value_t = 1_024)]
    heap_mib: u32,
    /// Also write the rows to this file, as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// A part of the benchmark, started by it.
    #[arg(long, hide = true)]
    child: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(task) = &args.child {
        let figures = children::run(&serde_json::from_str(task)?)?;
        println!("{}", serde_json::to_string(&figures)?);
        return Ok(());
    }
    let orders = if args.smoke { 40_000 } else { args.orders };
    eprintln!("starting an Apache Kafka");
    let cluster = Cluster::start(&Options { heap_mib: args.heap_mib, ..Options::default() })?;
    let mut rows = Vec::new();
    for (per_record, orders) in [(1, orders), (BATCHED, orders * 5)] {
        let bench = Bench { cluster: &cluster, per_record, orders };
        rows.extend(bench.measure()?);
    }
    report::print(&rows);
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

struct Bench<'a> {
    cluster: &'a Cluster,
    per_record: usize,
    orders: u64,
}

impl Bench<'_> {
    fn measure(&self) -> Result<Vec<Row>> {
        let drained = format!("drain-{}", self.per_record);
        children::create_topics(&self.cluster.bootstrap(), &drained, SHARDS)?;
        let mut rows = Vec::new();
        self.row(&mut rows, "generate", &[self.task(Role::Generate, &drained)])?;
        self.row(&mut rows, "bare consumer", &[self.task(Role::Bare, &drained)])?;
        self.row(&mut rows, "engine, exactly once", &[self.task(Role::Engine(delivery(true)), &drained)])?;
        let again = format!("{drained}/{drained}-again");
        children::create_topics(&self.cluster.bootstrap(), &again, SHARDS)?;
        self.row(&mut rows, "engine, at least once", &[self.task(Role::Engine(delivery(false)), &again)])?;

        let live = format!("live-{}", self.per_record);
        children::create_topics(&self.cluster.bootstrap(), &live, SHARDS)?;
        let together = [self.task(Role::Engine(delivery(true)), &live), self.task(Role::Generate, &live)];
        self.row(&mut rows, "all in, exactly once", &together)?;
        Ok(rows)
    }

    fn task(&self, role: Role, topics: &str) -> Task {
        Task {
            role,
            bootstrap: self.cluster.bootstrap(),
            topics: topics.to_owned(),
            shards: SHARDS,
            per_record: self.per_record,
            orders: self.orders,
        }
    }

    /// Runs tasks at the same time, the first of them being what is measured.
    fn row(&self, rows: &mut Vec<Row>, name: &str, tasks: &[Task]) -> Result<()> {
        eprintln!("{name}, {} orders in records of {}", self.orders, self.per_record);
        let broker = self.cluster.pid(0).context("the broker is down")?;
        let broker_before = children::cpu_seconds(broker)?;
        let machine_before = children::machine_busy()?;
        let running = tasks
            .iter()
            .map(|task| {
                let child = Command::new(std::env::current_exe()?)
                    .args(["--child", &serde_json::to_string(task)?])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()?;
                Ok(child)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut figures = Vec::new();
        for child in running {
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!("{name}: a part of the benchmark failed");
            }
            let line = String::from_utf8(output.stdout)?;
            figures.push(serde_json::from_str::<Figures>(&line)?);
        }
        ensure!(figures[0].orders == self.orders, "{name}: {} of {} orders", figures[0].orders, self.orders);
        let machine = children::machine_busy()?.since(&machine_before);
        rows.push(Row::new(
            name,
            self.per_record,
            SHARDS,
            &figures,
            children::cpu_seconds(broker)? - broker_before,
            machine,
        ));
        Ok(())
    }
}

fn delivery(exactly_once: bool) -> Delivery {
    if exactly_once { Delivery::Transactional } else { Delivery::AtLeastOnce }
}
