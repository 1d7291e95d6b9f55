use super::example::Example;
use super::metric::{self, Metric, MetricError};
use super::*;

fn threshold(written: &str) -> Threshold {
    written.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(written: &str, held: bool) {
    let verdict = threshold(written).judge(&Example::default().report());
    assert_eq!(verdict.held, held, "{written}: found {}", verdict.found);
}

#[track_caller]
fn refused(written: &str, says: &[&str]) {
    let error = written.parse::<Threshold>().expect_err("no threshold").to_string();
    for text in says {
        assert!(error.contains(text), "{text:?} is missing in: {error}");
    }
}

#[test]
fn thresholds_judge_latency_counts_rates_and_usage() {
    check("p50 < 20ms", true);
    check("p50 < 1ms", false);
    check("p99.9 >= 1ms", true);
    check("max < 20s", true);
    check("reserved.p50 < 1s", true);
    check("generator_lag.p99 < 2ms", true);
    check("lost == 0", true);
    check("oversold != 0", false);
    check("decided_rate >= 30k", true);
    check("decided_rate >= 1M/s", false);
    check("unsent <= 0.1%", true);
    check("duplicate > 5%", true);
    check("duplicate > 7%", false);
    check("reserved>=1_000", true);
    check("engine.rss < 1GiB", true);
    check("engine.cpu < 2", true);
    check("engine.cpu_per_command < 50us", true);
    check("host_busy < 100%", true);
    check("drain < 5s", true);
    check("drain < 3s", false);
    check("backlog > 50k", true);
    check("quota == 0", true);
    check("left_over > 0", false);
}

#[test]
fn the_flood_of_a_pool_is_told_apart_from_the_others() {
    check("flooded.p99 > others.p99", true);
    check("others.p99 < 6ms", true);
    check("others_before.p50 == others.p50", false);
    let calm = Report { flood: None, ..Example::default().report() };
    assert!(!threshold("others.p99 < 1s").judge(&calm).held, "nothing was flooded");
    let table = Example::default().report().table();
    assert!(table.contains("others before") && table.contains("flooded"), "{table}");
}

#[test]
fn a_threshold_may_compare_two_figures_of_a_run() {
    check("decided == acknowledged", true);
    check("sent > asked", false);
    check("p50 < p99", true);
    check("engine.rows_gone == engine.open_orders", true);
    check("engine.ids < engine.ids_before", true);
    check("engine.rows >= engine.rows_before", false);
    let verdict = threshold("engine.ids < engine.ids_before").judge(&Example::default().report());
    assert_eq!(verdict.found, "9,000, and engine.ids_before is 40,000");
    let unasked = Report { known: None, ..Example::default().report() };
    for written in ["engine.rows == 0", "reserved > engine.rows"] {
        let verdict = threshold(written).judge(&unasked);
        assert!(!verdict.held && verdict.found.ends_with("not measured"), "{}", verdict.found);
    }
}

#[test]
fn a_window_judges_a_part_of_the_run() {
    check("backlog[..40s] == 0", true);
    check("backlog[40s..45s] > 0", true);
    check("backlog[-5s..] == 0", true);
    check("p99[42s..44s] > 500ms", true);
    check("p99[..39s] < 500ms", true);
    check("asked_rate[-10s..] == 60k", true);
}

#[test]
fn what_was_not_measured_does_not_hold() {
    check("conflict.p99 < 1s", false);
    check("p99[70s..] < 1s", false);
    let mut unverified = Example::default().report();
    unverified.verification.complete = false;
    let verdict = threshold("lost == 0").judge(&unverified);
    assert_eq!((verdict.held, verdict.found.as_str()), (false, "not measured"));
}

#[test]
fn a_wrong_threshold_says_what_is_known() {
    refused("p99", &["no comparison", "p99 < 50ms"]);
    refused("p99 = 50ms", &["no comparison"]);
    refused("losst == 0", &["did you mean \"lost\"", "decided_rate", "generator_lag.p99", "engine.rss"]);
    refused("engine.disk < 1", &["engine.disk", "known are"]);
    refused("p99 < 50", &["50ms", "unit"]);
    refused("p99 < lost", &["50ms", "unit"]);
    refused("p99 < fast", &["fast", "p99"]);
    refused("lost == 5ms", &["write a number"]);
    refused("p101 < 50ms", &["not a percentile"]);
    refused("p99[a..b] < 50ms", &["not a window", "[-10s..]"]);
    refused("lost[5s..] == 0", &["whole run only"]);
}

#[test]
fn every_figure_that_is_named_as_known_is_known() {
    for name in metric::known() {
        let name = name.split_once(' ').map_or(name.as_str(), |(name, _)| name);
        assert!(Metric::parse(name).is_ok(), "{name}");
    }
    assert_eq!(
        Metric::parse("p99x"),
        Err(MetricError::Percentile("p99x".to_owned())),
        "a wrong percentile is no unknown name"
    );
}

#[test]
fn an_objective_may_be_written_with_a_single_sign() {
    let as_threshold = |written| Threshold::parse_objective(written).map(|threshold| threshold.to_string());
    assert_eq!(as_threshold("p99=50ms"), Ok("p99 <= 50ms".to_owned()));
    assert_eq!(as_threshold("decided_rate = 100k"), Ok("decided_rate >= 100k".to_owned()));
    assert_eq!(as_threshold("p99 < 50ms"), Ok("p99 < 50ms".to_owned()));
    assert_eq!(as_threshold("lost == 0"), Ok("lost == 0".to_owned()));
    assert!(as_threshold("p98.p=3").is_err());
}

#[test]
fn the_exit_code_follows_from_the_report() {
    let passed = Example::default().report();
    assert_eq!(passed.exit(), Exit::Ok);

    let mut missed = passed.clone();
    missed.judge(&[threshold("p99 < 1us")]);
    assert_eq!(missed.exit(), Exit::Failed);

    let mut unproven = passed.clone();
    unproven.verification.complete = false;
    assert_eq!(unproven.exit(), Exit::Failed);

    let mut stopped = missed.clone();
    stopped.ended = Ended::Interrupted;
    assert_eq!(stopped.exit(), Exit::Interrupted, "half a run misses thresholds for no fault of the engine");
    let mut broken = passed.clone();
    broken.ended = Ended::Broken("the cluster went away".to_owned());
    assert_eq!(broken.exit(), Exit::Environment);

    for mut wrong in [passed, stopped, broken] {
        let finding = Finding { check: Check::Oversold, count: 1, examples: vec!["SKU 7: 1,001 of 1,000".to_owned()] };
        wrong.verification.findings.push(finding);
        assert_eq!(wrong.exit(), Exit::Failed, "what is wrong is wrong however the run ended");
        assert!(wrong.table().contains("SKU 7: 1,001 of 1,000"));
    }
    assert_eq!(
        [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Environment, Exit::Interrupted].map(Exit::code),
        [0, 1, 2, 3, 130]
    );
}

#[test]
fn what_is_stored_is_what_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let report = Example::default().report();
    report.save(&path).expect("stored");
    let loaded = Report::load(&path).expect("loaded");
    assert_eq!((&loaded.latency, &loaded.meta, &loaded.marks), (&report.latency, &report.meta, &report.marks));
    assert_eq!((&loaded.verdicts, &loaded.verification), (&report.verdicts, &report.verification));
    for (loaded, report) in loaded.seconds.iter().zip(&report.seconds) {
        assert_eq!((&loaded.latency, &loaded.outcomes), (&report.latency, &report.outcomes));
    }
    assert_eq!(loaded.table(), report.table());
}

#[test]
fn what_is_no_report_or_a_later_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let loaded = |text: &str| {
        std::fs::write(&path, text).expect("written");
        Report::load(&path).expect_err("refused").to_string()
    };
    assert!(loaded("{}").contains("not a result of loadtest"));
    assert!(loaded(r#"{"format":"other","version":1}"#).contains("\"other\""));
    assert!(loaded(r#"{"format":"sluice-loadtest-report","version":99,"new":1}"#).contains("version 99 is newer"));
    std::fs::remove_file(&path).expect("removed");
    assert!(Report::load(&path).expect_err("no file").to_string().contains("run.json"));
}

/// The example as two generators that shared it, the second one three seconds late.
fn halves() -> [Report; 2] {
    let half = |part: u32, started_at: &str| {
        let mut report = Example::default().report();
        report.meta.generators = 2;
        report.meta.parts = vec![part];
        report.meta.started_at = started_at.to_owned();
        report
    };
    [half(0, "2026-11-11T00:00:00Z"), half(1, "2026-11-11T00:00:03Z")]
}

#[test]
fn several_generators_are_one_run() {
    let [first, second] = halves();
    // The order in which they are given does not matter.
    for given in [[first.clone(), second.clone()], [second.clone(), first.clone()]] {
        let both = Report::merge(&given).expect("one run");
        assert_eq!(both.latency.count(), first.latency.count() * 2);
        assert_eq!(both.latency.percentile_us(99.0), first.latency.percentile_us(99.0));
        assert_eq!(both.totals.decided, first.totals.decided * 2);
        assert_eq!(both.outcomes["RESERVED"].count, first.outcomes["RESERVED"].count * 2);
        assert_eq!(both.flood.as_ref().map(|flood| flood.others.count()), Some(2_000));
        assert_eq!(both.seconds.len(), first.seconds.len() + 3, "aligned by the clock");
        assert_eq!(both.seconds[50].decided, first.seconds[50].decided + second.seconds[47].decided);
        assert_eq!(both.totals.load_s, 63.0);
        assert_eq!(both.meta.parts, [0, 1]);
        let cores = |report: &Report, side| report.seconds[35].usage[&side].cores;
        assert_eq!(cores(&both, Side::Engine), cores(&first, Side::Engine), "seen by both, there once");
        assert!(cores(&both, Side::Generator) > cores(&first, Side::Generator) * 1.9, "each has its own");
        assert_eq!(both.marks.len(), 2, "a fault each, three seconds apart");
        assert!(!both.notes.iter().any(|note| note.contains("not in this report")));
    }
}

#[test]
fn what_is_not_one_run_is_not_merged() {
    let [first, second] = halves();
    assert_eq!(Report::merge(&[]), Err(MergeError::Nothing));
    assert_eq!(Report::merge(&[first.clone(), first.clone()]), Err(MergeError::Twice(0)));
    let mut other = second.clone();
    other.meta.run_id = "other".to_owned();
    assert!(matches!(Report::merge(&[first.clone(), other]), Err(MergeError::NotOneRun { .. })));
    let mut later = second;
    later.meta.started_at = "2026-11-12T00:00:00Z".to_owned();
    assert!(matches!(Report::merge(&[first.clone(), later]), Err(MergeError::NotOneRun { .. })));
    let alone = Report::merge(&[first]).expect("one of two");
    assert!(alone.notes.iter().any(|note| note.contains("1 of the run's 2 generators")));
}

#[test]
fn findings_add_but_for_what_all_saw() {
    let mut halves = halves();
    for half in &mut halves {
        let finding = |check, count| Finding { check, count, examples: vec!["the same".to_owned()] };
        half.verification.findings = vec![finding(Check::Lost, 2), finding(Check::Oversold, 3)];
    }
    let both = Report::merge(&halves).expect("one run");
    assert_eq!((both.verification.count(Check::Lost), both.verification.count(Check::Oversold)), (4, 3));
    assert_eq!(both.exit(), Exit::Failed);
}

#[test]
fn a_generator_that_was_the_bottleneck_is_named_instead_of_the_engine_being_praised() {
    let kept_up = Example::default().report();
    assert!(!kept_up.saturation.generator_bound);
    let behind = Example { unsent: 0.1, ..Example::default() }.report();
    assert_eq!(behind.saturation.side, Some(Side::Generator));
    assert!(behind.saturation.generator_bound);
    assert!(behind.table().contains("The generator was the bottleneck: 10% of the commands"), "{}", behind.table());
}

#[test]
fn an_engine_that_fell_behind_is_the_saturated_side() {
    let slow = Example { slowness: 2.0, ..Example::default() }.report();
    assert_eq!(slow.saturation.side, Some(Side::Engine), "{}", slow.saturation.explained);
    let kept_up = Example::default().report();
    assert_eq!(kept_up.saturation.side, None, "what a fault did is no saturation: {}", kept_up.saturation.explained);
    assert!(kept_up.saturation.explained.contains("After a fault"));
    let mut broker = Example::default().report();
    for second in &mut broker.seconds {
        second.acknowledged /= 2;
        second.decided = second.acknowledged;
    }
    broker.find_saturation();
    assert_eq!(broker.saturation.side, Some(Side::Broker), "{}", broker.saturation.explained);
}

#[test]
fn what_others_took_of_the_host_is_not_held_against_the_engine() {
    let mut crowded = Example { slowness: 2.0, ..Example::default() }.report();
    for second in &mut crowded.seconds {
        second.host_busy_cores = Some(2.0);
        second.usage.values_mut().for_each(|usage| usage.cores /= 10.0);
    }
    crowded.find_saturation();
    assert!(crowded.saturation.crowded);
    assert_eq!(crowded.saturation.side, None);
    assert!(crowded.saturation.explained.contains("Others than this run used 1.8"), "{}", crowded.saturation.explained);
    assert!(crowded.result_line().contains("crowded"));
    // A full host that the run itself fills is not crowded.
    for second in &mut crowded.seconds {
        second.usage.values_mut().for_each(|usage| usage.cores = 0.45);
    }
    crowded.find_saturation();
    assert_eq!((crowded.saturation.crowded, crowded.saturation.side), (false, Some(Side::Engine)));
}

#[test]
fn a_load_that_ends_a_moment_late_does_not_count_the_drain_as_load() {
    let mut report = Example::default().report();
    let seconds_of = |report: &mut Report, load_s: f64| {
        report.totals.load_s = load_s;
        report.load_seconds().len()
    };
    assert_eq!([59.9, 60.0, 60.02, 60.5].map(|load_s| seconds_of(&mut report, load_s)), [60, 60, 60, 61]);
    assert_eq!(seconds_of(&mut report, 0.0), 0);
}

#[test]
fn a_run_without_a_second_has_a_report_too() {
    let mut empty = Example::default().report();
    empty.seconds.clear();
    empty.totals = Totals::default();
    empty.latency = Latency::of_run();
    empty.outcomes.clear();
    empty.find_saturation();
    assert!(empty.table().contains("Nothing was saturated"));
}

#[test]
fn the_table_says_figures_usage_and_verdict() {
    let table = Example::default().report().table();
    let wanted = [
        "node-loss · run k3v9q1",
        "4 shards in 2 lanes · 50 orders and 5.76 KiB a record",
        "RESERVED",
        "p99.9",
        "of it generator lag",
        "engine",
        "every acknowledged",
        "PASSED",
    ];
    for text in wanted {
        assert!(table.contains(text), "{text:?} is missing in\n{table}");
    }
}
