//! Bencher metric format: a result as CI keeps it over time. The benchmark is the scenario; the measures carry their
//! unit in their name, but for `latency` (nanoseconds) and `throughput` (a second), which Bencher defines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write, stdout};
use std::path::Path;

use serde::Serialize;

use crate::report::result::{Report, Side};

/// One measure of a benchmark.
#[derive(Debug, Serialize)]
struct Measure {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

impl From<f64> for Measure {
    fn from(value: f64) -> Self {
        Self { value, lower_value: None, upper_value: None }
    }
}

/// The result in Bencher metric format.
pub fn json(report: &Report) -> String {
    let benchmarks = BTreeMap::from([(format!("loadtest/{}", report.meta.scenario), measures(report))]);
    let mut text = serde_json::to_string_pretty(&benchmarks).expect("measures are plain values");
    text.push('\n');
    text
}

/// Writes the result to a file; `-` is standard output.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    match path.as_os_str() == "-" {
        true => stdout().write_all(json(report).as_bytes()),
        false => fs::write(path, json(report)),
    }
}

fn measures(report: &Report) -> BTreeMap<String, Measure> {
    let mut measures = BTreeMap::new();
    let mut put = |name: &str, measure: Measure| measures.insert(name.to_owned(), measure);
    put("throughput", report.decided_rate().into());
    if !report.latency.is_empty() {
        let ns = |us: u64| us as f64 * 1e3;
        let at = |percent: f64| report.latency.percentile_us(percent);
        let upper_value = Some(ns(at(99.0)));
        put("latency", Measure { value: ns(at(50.0)), lower_value: Some(ns(report.latency.min_us())), upper_value });
        for (name, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99-9", 99.9), ("max", 100.0)] {
            put(&format!("latency-{name}-us"), (at(percent) as f64).into());
        }
        put("generator-lag-p99-us", (report.generator_lag.percentile_us(99.0) as f64).into());
    }
    for side in Side::ALL {
        let Some(total) = report.saturation.sides.get(&side) else { continue };
        put(&format!("{}-cpu-us-per-command", side.name()), total.cpu_us_per_command.into());
        if let Some(bytes) = total.peak_rss_bytes {
            put(&format!("{}-memory-bytes", side.name()), (bytes as f64).into());
        }
    }
    let wrong: u64 = report.verification.findings.iter().map(|finding| finding.count).sum();
    put("wrong-decisions", (wrong as f64).into());
    put("unsent-commands", (report.totals.unsent as f64).into());
    measures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::result::example::Example;

    #[test]
    fn a_result_is_one_benchmark_with_measures_that_name_their_unit() {
        let report = Example::default().report();
        let value: serde_json::Value = serde_json::from_str(&json(&report)).expect("JSON");
        let measures = &value["loadtest/node-loss"];
        let p50_us = report.latency.percentile_us(50.0);
        assert_eq!(measures["latency-p50-us"]["value"], p50_us as f64);
        assert_eq!(measures["latency"]["value"], p50_us as f64 * 1e3);
        assert!(measures["latency"]["lower_value"].as_f64() < measures["latency"]["upper_value"].as_f64());
        assert!(measures["throughput"]["value"].as_f64() > Some(30_000.0));
        assert!(measures["engine-memory-bytes"]["value"].as_f64() > Some(1e8));
        assert_eq!(measures["wrong-decisions"]["value"], 0.0);
        assert_eq!(measures["throughput"].as_object().map(|measure| measure.len()), Some(1), "no bounds, no fields");
    }

    #[test]
    fn a_run_without_answers_has_no_latency_instead_of_none_at_all() {
        let mut report = Example::default().report();
        report.latency = crate::report::result::Latency::of_run();
        let value: serde_json::Value = serde_json::from_str(&json(&report)).expect("JSON");
        assert!(value["loadtest/node-loss"].get("latency").is_none());
    }
}
