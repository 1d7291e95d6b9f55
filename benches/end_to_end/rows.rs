//! What is run, in which order, over which topics.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sluice::devbroker::Cluster;
use sluice::wire::Layout;

use crate::report::{
    ALL_IN, AT_LEAST, BARE, BASELINE, Broker, EXACTLY, GENERATOR, Measured, READER, RECOVERY, Report, Row, SPREAD,
};
use crate::task::{Part, Role, Task};
use crate::usage::{Busy, Threads, cpu_seconds};
use crate::{SHARDS, topics};

/// Shards and lanes of every row but one.
const FEW: Layout = Layout::one_each(SHARDS);
/// Those of the row that spreads the same orders over many shards.
pub(crate) const MANY: Layout = Layout { shards: 48, lanes: SHARDS };

/// One broker, one number of orders to a record.
pub(crate) struct Bench<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) per_record: usize,
    pub(crate) orders: u64,
    /// Whether the engine is slowed down.
    pub(crate) planted: bool,
    /// Parts of the names of the rows that are wanted; all if there are none.
    pub(crate) only: &'a [String],
    /// Prefix of the topics' names.
    pub(crate) name: String,
}

impl Bench<'_> {
    /// Measures every row `repeats` times.
    pub(crate) fn measure(&self, repeats: usize, report: &mut Report) -> Result<()> {
        let bootstrap = self.cluster.bootstrap();
        let inputs = format!("{}-drain-{}", self.name, self.per_record);
        topics::create(&bootstrap, &inputs, FEW)?;
        report.add(self.row(GENERATOR, &[self.task(Role::Generate, &inputs)])?);
        for repeat in 0..repeats {
            let log = |what: &str| format!("{inputs}/{inputs}-{what}-{repeat}");
            if self.wants(&[BARE]) {
                report.add(self.row(BARE, &[self.task(Role::Bare, &inputs)])?);
            }
            if self.wants(&[READER]) {
                report.add(self.row(READER, &[self.task(Role::TeamRead, &inputs)])?);
            }
            if self.wants(&[EXACTLY, RECOVERY]) {
                let exactly = log("exactly");
                topics::create(&bootstrap, &exactly, FEW)?;
                let role = Role::Engine { exactly_once: true };
                report.add(self.row(EXACTLY, &[self.task(role, &exactly)])?);
                if self.wants(&[RECOVERY]) {
                    report.add(self.row(RECOVERY, &[self.task(Role::Recover, &exactly)])?);
                }
                topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &exactly))?;
            }
            if self.wants(&[AT_LEAST]) {
                let at_least = log("least");
                topics::create(&bootstrap, &at_least, FEW)?;
                let role = Role::Engine { exactly_once: false };
                report.add(self.row(AT_LEAST, &[self.task(role, &at_least)])?);
                topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &at_least))?;
            }
            if self.wants(&[BASELINE]) {
                let team = log("team");
                topics::create_answers(&bootstrap, &team, SHARDS)?;
                report.add(self.row(BASELINE, &[self.task(Role::Team, &team)])?);
                topics::delete(&bootstrap, &[topics::answers(&team)])?;
            }
            if self.wants(&[ALL_IN]) {
                let live = format!("{}-live-{}-{repeat}", self.name, self.per_record);
                topics::create(&bootstrap, &live, FEW)?;
                let engine = self.task(Role::Engine { exactly_once: true }, &live);
                report.add(self.row(ALL_IN, &[engine, self.task(Role::Generate, &live)])?);
                topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &live))?;
                topics::delete(&bootstrap, &topics::input_topics(&bootstrap, &live))?;
            }
        }
        topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &inputs))?;
        topics::delete(&bootstrap, &topics::input_topics(&bootstrap, &inputs))?;
        if self.wants(&[SPREAD]) { self.measure_spread(repeats, report) } else { Ok(()) }
    }

    /// Measures the row with many shards, whose orders are generated once and are no row.
    fn measure_spread(&self, repeats: usize, report: &mut Report) -> Result<()> {
        let bootstrap = self.cluster.bootstrap();
        let inputs = format!("{}-spread-{}", self.name, self.per_record);
        topics::create(&bootstrap, &inputs, MANY)?;
        self.row(GENERATOR, &[self.spread(Role::Generate, &inputs)])?;
        for repeat in 0..repeats {
            let log = format!("{inputs}/{inputs}-{repeat}");
            topics::create(&bootstrap, &log, MANY)?;
            report.add(self.row(SPREAD, &[self.spread(Role::Engine { exactly_once: true }, &log)])?);
            topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &log))?;
        }
        topics::delete(&bootstrap, &topics::log_topics(&bootstrap, &inputs))?;
        topics::delete(&bootstrap, &topics::input_topics(&bootstrap, &inputs))
    }

    /// Whether one of these rows is asked for.
    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || names.iter().any(|name| self.only.iter().any(|part| name.contains(&**part)))
    }

    fn spread(&self, role: Role, topics: &str) -> Task {
        Task { shards: MANY.shards, lanes: MANY.lanes, ..self.task(role, topics) }
    }

    fn task(&self, role: Role, topics: &str) -> Task {
        Task {
            role,
            bootstrap: self.cluster.bootstrap(),
            topics: topics.to_owned(),
            shards: FEW.shards,
            lanes: FEW.lanes,
            per_record: self.per_record,
            orders: self.orders,
            planted: self.planted,
        }
    }

    /// Runs tasks at the same time, the first of them being what is measured.
    fn row(&self, name: &'static str, tasks: &[Task]) -> Result<Row> {
        eprintln!("{name}, {} orders in records of {}", self.orders, self.per_record);
        let broker = self.cluster.pid(0).context("the broker is down")?;
        let (cpu, threads, machine) = (cpu_seconds(broker)?, Threads::of(broker), Busy::now()?);
        let began = Instant::now();
        let parts = tasks.iter().map(Part::start).collect::<Result<Vec<_>>>()?;
        let parts = parts.into_iter().map(Part::figures).collect::<Result<Vec<_>>>().context(name)?;
        ensure!(parts[0].orders == self.orders, "{name}: {} of {} orders", parts[0].orders, self.orders);
        let measured = Measured {
            parts: &parts,
            broker: Broker {
                cpu_seconds: cpu_seconds(broker)? - cpu,
                busiest: Threads::of(broker).busiest_since(&threads),
            },
            machine: Busy::now()?.since(&machine),
            seconds: began.elapsed().as_secs_f64(),
        };
        Ok(Row::new(name, self.per_record, &measured))
    }
}
