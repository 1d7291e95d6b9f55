//! The report of a run: what it was, and every figure in its place.

use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use procfs::{CpuInfo, Current};

use super::conduct::SeenAndHeard;
use super::task::Task;
use super::watch::Seen;
use crate::clock::{RunClock, SECOND_NS};
use crate::load::generator::Sent;
use crate::load::scenario::Scenario;
use crate::proof::reader::Read;
use crate::proof::reader::tally::SecondTally;
use crate::proof::verify::{Barred, Closed, Days, Sharing};
use crate::report::result::report::{FORMAT, VERSION};
use crate::report::result::{
    Ended, Footprint, Known, Latency, Mark, Meta, Report, Saturation, Second, Totals, Verification,
};
use crate::rig::faults::{SharedRig, lock};

/// What stands before the first order.
#[derive(Debug)]
pub(super) struct Facts {
    meta: Meta,
    /// What the engines know.
    footprint: Option<Footprint>,
}

impl Facts {
    /// What is known of the run, the machine and what runs on it.
    pub(super) fn gather(task: &Task, rig: &SharedRig, (shards, lanes): (u32, u32), clock: RunClock) -> Self {
        let scenario = &task.scenario;
        let (engine, cluster) = lock(rig).describe();
        let footprint = lock(rig).footprint();
        let started_at = UNIX_EPOCH + Duration::from_millis(clock.start_unix_ms().unsigned_abs());
        let cpu = CpuInfo::current().ok().and_then(|cpu| cpu.model_name(0).map(str::to_owned));
        let meta = Meta {
            run_id: task.run.to_string(),
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            scenario_toml: toml::to_string(scenario).unwrap_or_default(),
            seed: scenario.seed,
            generators: task.share.of,
            parts: vec![task.share.index],
            tester_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine,
            cluster,
            shards,
            lanes: Some(lanes),
            orders_per_record: scenario.traffic.orders_per_record,
            host_cores: thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            host_cpu: cpu.unwrap_or_default(),
            started_at: humantime::format_rfc3339_millis(started_at).to_string(),
        };
        Self { meta, footprint }
    }

    pub(super) fn host_cores(&self) -> u32 {
        self.meta.host_cores
    }

    /// Puts every figure in its place. Thresholds are not judged yet.
    pub(super) fn report(self, task: &Task, sent: &Sent, read: Read, seen: SeenAndHeard, closed: Closed) -> Report {
        let load_s = sent.took.as_secs_f64();
        let mut findings = read.findings;
        // Of a run that was broken off nobody knows what else would have been answered.
        let complete = !matches!(seen.ended, Ended::Broken(_));
        if complete {
            findings.merge(closed.findings);
        }
        let mut notes = seen.notes;
        if sent.failed > 0 {
            notes.push(format!(
                "{} commands were not acknowledged: they may have been stored or not, so as many may be unanswered",
                sent.failed
            ));
        }
        if !task.follows_stock() {
            notes.push("stock and selling rules of the run are verified by its first generator".to_owned());
        }
        if task.follows_stock() && !task.scenario.rules.is_empty() {
            let Barred { early, late, not_eligible, over_limit, over_quota, forgotten } = read.barred;
            notes.push(format!(
                "selling rules stood in the way of {early} orders before an opening, {late} after an end, {not_eligible} \
                 of customers without the segment, {over_limit} over a limit, {over_quota} beyond what their channel could \
                 have"
            ));
            if forgotten > 0 {
                notes.push(format!("{forgotten} orders came for what had been sold, had left and was forgotten"));
            }
        }
        let mut marks = seen.marks;
        marks.extend(planned(&task.scenario));
        marks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let known = self.footprint.zip(seen.footprint).map(|(before, after)| Known { before, after });
        if let Some(Known { before, after }) = known.filter(|known| known.before != known.after) {
            notes.push(format!("the engines knew {before} before the first order, and {after} at the end"));
        }
        let Sharing { stranded, kept, left_over } = read.sharing;
        if task.follows_stock() && !task.scenario.rules.channels.is_empty() {
            notes.push(format!(
                "of SKUs that channels share {kept} units were kept for one until its protection ended, {stranded} on the \
                 shelf could be had by none when somebody was refused, {left_over} are left at the end"
            ));
        }
        let Days { rolled, full, too_late, expired_sold } = read.days;
        if task.follows_stock() && !task.scenario.rules.delivery.is_empty() {
            notes.push(format!(
                "{rolled} orders were reserved for a later day because one was full, {full} refused because their days were \
                 full, {too_late} because their day was no longer to be had"
            ));
        }
        let tally = read.tally;
        let mut report = Report {
            format: FORMAT.to_owned(),
            version: VERSION,
            meta: self.meta,
            ended: seen.ended,
            totals: Totals {
                load_s,
                drain_s: (tally.last_ns as f64 / SECOND_NS as f64 - load_s).max(0.0),
                asked: sent.sent + sent.unsent,
                sent: sent.sent,
                acknowledged: sent.acknowledged,
                failed: sent.failed,
                unsent: sent.unsent,
                decided: tally.decided,
                poison: sent.poison,
                dead_letters: tally.dead_letters,
                records: sent.records,
                record_bytes: sent.record_bytes,
                wanted_skus: read.wanted,
                quota: read.barred.over_quota,
                stranded,
                kept,
                left_over,
                rolled,
                full,
                too_late,
                expired_sold,
            },
            latency: tally.latency(),
            generator_lag: lag(sent),
            outcomes: tally.outcomes(),
            seconds: seconds(sent, &tally.seconds, &seen.seconds),
            marks,
            verification: Verification { complete, checked: closed.checked, findings: findings.into_list() },
            verdicts: Vec::new(),
            saturation: Saturation::default(),
            notes,
            known,
            flood: (!tally.flood.is_empty()).then_some(tally.flood),
        };
        report.find_saturation();
        report
    }
}

/// What a scenario changes on its own account, at its instants.
fn planned(scenario: &Scenario) -> Vec<Mark> {
    let mark = |at: Duration, lasts: Option<Duration>, what: &str, detail: String| Mark {
        at_s: at.as_secs_f64(),
        for_s: lasts.map(|lasts| lasts.as_secs_f64()),
        what: what.to_owned(),
        detail,
    };
    let floods = scenario.traffic.floods.iter().map(|flood| {
        let detail = format!("{} is wanted {} times as often as each other pool", flood.pool, flood.times);
        let lasts = flood.until.checked_sub(flood.from).filter(|lasts| !lasts.is_zero());
        mark(flood.from, lasts, "flood", detail)
    });
    let quiet = scenario.traffic.channels.iter().filter(|channel| !channel.until.is_zero());
    let quiet = quiet.map(|channel| mark(channel.until, None, "quiet", channel.name.clone()));
    let moved = scenario.warehouse.iter().filter(|movement| movement.every.is_zero()).map(|movement| {
        let detail = format!("{:+}% of what was put on the shelf", movement.share * 100.0);
        mark(movement.at, None, movement.what.name(), detail)
    });
    floods.chain(quiet).chain(moved).collect()
}

fn lag(sent: &Sent) -> Latency {
    let mut lag = Latency::of_run();
    for step in sent.lag_us.iter_recorded() {
        lag.record_many(step.value_iterated_to(), step.count_since_last_iteration());
    }
    lag
}

fn seconds(sent: &Sent, read: &[SecondTally], seen: &[Seen]) -> Vec<Second> {
    let count = [sent.asked_by_second.len(), sent.sent_by_second.len(), read.len(), seen.len()];
    let count = count.into_iter().max().unwrap_or(0);
    let of = |counts: &[u64], at: usize| counts.get(at).copied().unwrap_or(0);
    (0..count)
        .map(|at| {
            let mut second = Second::new(at as u32);
            second.asked = of(&sent.asked_by_second, at);
            second.sent = of(&sent.sent_by_second, at);
            if let Some(read) = read.get(at) {
                second.decided = read.decided();
                second.outcomes = read.outcomes();
                second.latency = read.latency.clone();
            }
            if let Some(seen) = seen.get(at) {
                second.acknowledged = seen.acknowledged;
                second.failed = seen.failed;
                second.generator_lag_us = seen.generator_lag_us;
                second.undecided = seen.undecided;
                second.usage = seen.usage.clone();
                second.host_busy_cores = seen.host_busy_cores;
            }
            second
        })
        .collect()
}
