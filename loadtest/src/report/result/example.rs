//! A run that never was, for tests: a ramp with a node killed at its height, and the drain after it.

use super::report::{FORMAT, VERSION};
use super::*;

/// Length of the load, in seconds.
const LOAD_S: u32 = 60;

/// Length of the drain, in seconds.
const DRAIN_S: u32 = 4;

/// When the node is killed, and for how long its shards decide nothing, in seconds.
const FAULT: std::ops::Range<u32> = 40..45;

/// The rate at the height, in commands a second.
const HEIGHT: f64 = 60_000.0;

/// What an example is to show.
#[derive(Clone, Copy)]
pub(crate) struct Example {
    /// Latencies are multiplied by this: 1.0 is a run as it should be.
    pub(crate) slowness: f64,
    /// Name of the run.
    pub(crate) run_id: &'static str,
    /// Share of the commands that the generator does not manage to send.
    pub(crate) unsent: f64,
}

impl Default for Example {
    fn default() -> Self {
        Self { slowness: 1.0, run_id: "k3v9q1", unsent: 0.0 }
    }
}

impl Example {
    /// The report, judged.
    pub(crate) fn report(self) -> Report {
        let mut report = empty(self.run_id);
        for n in 0..LOAD_S + DRAIN_S {
            let second = self.second(&mut report, n);
            report.seconds.push(second);
        }
        report.totals.load_s = f64::from(LOAD_S);
        report.totals.drain_s = f64::from(DRAIN_S) - 0.6;
        report.totals.poison = 12;
        report.totals.dead_letters = 12;
        report.verification.complete = true;
        report.verification.checked = report.totals.acknowledged;
        report.find_saturation();
        report.judge(
            &["p99[..30s] < 50ms", "lost == 0", "decided_rate >= 30k", "engine.rss < 2GiB"]
                .map(|threshold| threshold.parse().expect("a threshold")),
        );
        report
    }

    fn second(self, report: &mut Report, n: u32) -> Second {
        let mut second = Second::new(n);
        let ramp = (f64::from(n) / 30.0).min(1.0);
        second.asked = if n < LOAD_S { (5_000.0 + (HEIGHT - 5_000.0) * ramp) as u64 } else { 0 };
        second.sent = (second.asked as f64 * (1.0 - self.unsent)) as u64;
        second.acknowledged = second.sent;
        let owed = report.totals.acknowledged - report.totals.decided + second.acknowledged;
        let able = if FAULT.contains(&n) { 30_000 } else { (HEIGHT * 1.3 / self.slowness) as u64 };
        second.decided = owed.min(able);
        second.undecided = owed - second.decided;
        second.generator_lag_us = 180 + u64::from(n * 7919 % 400) + (self.unsent * 1e6) as u64;
        second.host_busy_cores = Some((0.3 + 1.5 * ramp).min(2.0));
        let load = second.sent.max(second.decided) as f64 / HEIGHT;
        for (side, cores, mib) in [
            (Side::Engine, 0.62, 380),
            (Side::Broker, 0.71, 1_150),
            (Side::Generator, 0.2, 95),
            (Side::Reader, 0.14, 0),
        ] {
            let rss_bytes = (mib > 0).then(|| (mib + u64::from(n)) << 20);
            second.usage.insert(side, Usage { cores: (cores * load).min(1.2), rss_bytes });
        }
        self.latencies(report, &mut second);
        self.outcomes(report, &mut second);
        report.totals.asked += second.asked;
        report.totals.sent += second.sent;
        report.totals.unsent += second.asked - second.sent;
        report.totals.acknowledged += second.acknowledged;
        report.totals.decided += second.decided;
        report.totals.records += second.sent / 50;
        report.totals.record_bytes += second.sent * 118;
        second
    }

    /// A long tail by a sum of a few waves: no randomness, so that every test sees the same.
    fn latencies(self, report: &mut Report, second: &mut Second) {
        const BUCKETS: u64 = 400;
        let behind_us = second.undecided as f64 / HEIGHT * 1e6;
        for bucket in 0..BUCKETS {
            let quantile = (bucket as f64 + 0.5) / BUCKETS as f64;
            let wave = 1.0 + 0.2 * f64::from(second.second * 31 % 17) / 17.0;
            let tail = 1.0 / (1.0 - quantile).powf(0.35);
            let us = (5_200.0 * wave * tail * self.slowness + behind_us * quantile) as u64;
            let count = second.sent / BUCKETS;
            second.latency.record_many(us, count);
            report.latency.record_many(us, count);
            let outcome = ["RESERVED", "RESERVED", "RESERVED", "DUPLICATE", "REJECTED"][bucket as usize % 5];
            report.outcomes.entry(outcome.to_owned()).or_default().latency.record_many(us, count);
            report.generator_lag.record_many(second.generator_lag_us * bucket / BUCKETS, count);
        }
    }

    fn outcomes(self, report: &mut Report, second: &mut Second) {
        let sold = f64::from(second.second.saturating_sub(30)) / 60.0;
        let shares = [("DUPLICATE", 0.06), ("CONFIRMED", 0.12), ("CANCELLED", 0.03), ("REJECTED", sold.min(0.6))];
        let mut rest = second.decided;
        for (outcome, share) in shares {
            let count = (second.decided as f64 * share) as u64;
            rest -= count;
            second.outcomes.insert(outcome.to_owned(), count);
        }
        second.outcomes.insert("RESERVED".to_owned(), rest);
        for (outcome, count) in &second.outcomes {
            report.outcomes.entry(outcome.clone()).or_default().count += count;
        }
    }
}

/// Of a flood that costs the others a tenth.
fn flood() -> Flood {
    let of = |us: u64| {
        let mut latency = Latency::of_run();
        latency.record_many(us, 1_000);
        latency
    };
    Flood { flooded: of(9_000), others: of(5_500), others_before: of(5_000) }
}

fn empty(run_id: &str) -> Report {
    Report {
        format: FORMAT.to_owned(),
        version: VERSION,
        meta: Meta {
            run_id: run_id.to_owned(),
            scenario: "node-loss".to_owned(),
            description: "A node is killed at the peak & its shards move <at once>.".to_owned(),
            scenario_toml: "name = \"node-loss\"\nseed = 7\n".to_owned(),
            seed: 7,
            generators: 1,
            parts: vec![0],
            tester_version: "0.1.0".to_owned(),
            engine: Some("0.1.0 (f1bc3aa)".to_owned()),
            cluster: Some("Apache Kafka 4.1, 1 broker".to_owned()),
            shards: 4,
            lanes: Some(2),
            orders_per_record: 50,
            host_cores: 2,
            host_cpu: "Example CPU at 2.5 GHz".to_owned(),
            started_at: "2026-11-11T00:00:00Z".to_owned(),
        },
        ended: Ended::Completed,
        totals: Totals::default(),
        latency: Latency::of_run(),
        generator_lag: Latency::of_run(),
        outcomes: Default::default(),
        seconds: Vec::new(),
        marks: vec![Mark {
            at_s: f64::from(FAULT.start),
            for_s: Some(f64::from(FAULT.end - FAULT.start)),
            what: "kill-node".to_owned(),
            detail: "engine 1".to_owned(),
        }],
        verification: Verification::default(),
        verdicts: Vec::new(),
        saturation: Saturation::default(),
        notes: vec!["Late stock of SKU 7 was not waited for.".to_owned()],
        known: Some(Known {
            before: Footprint { rows: 40_000, remembered_ids: 40_000, open_orders: 0, ledger_bytes: 9 << 20 },
            after: Footprint { rows: 39_700, remembered_ids: 9_000, open_orders: 300, ledger_bytes: 12 << 20 },
        }),
        flood: Some(flood()),
    }
}
