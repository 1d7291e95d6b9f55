//! The whole of it, against a real Apache Kafka and the engine: `loadtest local` as a person would call it.
//!
//! The rates are low: what is proven is that every part of every scenario works and is verified, not how fast. So each
//! may have others beside it, with brokers and engines of their own on the same processors.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};

use loadtest::load::scenario::built_in;
use loadtest::report::result::{Ended, Latency, Report, Side};
use support::{LOADTEST, check_complete, load, sluice};

/// Held by the runs that are under way; written by one that leaves no processor to others.
static MACHINE: RwLock<()> = RwLock::new(());

/// Where results go, of one test.
struct Results {
    dir: tempfile::TempDir,
}

impl Results {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `loadtest local`; its result is stored in `result.json` and `result.html`.
    fn local(&self, flags: &[&str]) -> Output {
        let output = Command::new(LOADTEST)
            .arg("local")
            .arg("--plain")
            .args(["--heap-mib", "512"])
            .arg("--sluice")
            .arg(sluice())
            .arg("--json")
            .arg(self.path("result.json"))
            .arg("--html")
            .arg(self.path("result.html"))
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        println!("loadtest local {flags:?}: {}", output.status);
        for text in [&output.stderr, &output.stdout] {
            println!("{}", String::from_utf8_lossy(text));
        }
        output
    }

    fn report(&self) -> Report {
        load(&self.path("result.json"))
    }
}

/// A short run of a scenario at a low rate; thresholds on speed are left out, because this is no quiet machine.
#[track_caller]
fn check_scenario(name: &str, flags: &[&str]) -> Report {
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    scenario(name, flags)
}

#[track_caller]
fn scenario(name: &str, flags: &[&str]) -> Report {
    let results = Results::new();
    // A machine that is busy with other tests may stall for long.
    let patience = ["--scenario", name, "--set", "thresholds=[\"lost == 0\"]", "--set", "drain.within=2m"];
    let output = results.local(&[&patience[..], flags].concat());
    assert_eq!(output.status.code(), Some(0));
    let report = results.report();
    check_complete(&report);
    report
}

#[test]
fn smoke_runs_shows_its_result_and_stops_what_it_started() {
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let results = Results::new();
    let figures = "thresholds=[\"lost == 0\", \"doubled == 0\", \"wrong == 0\", \"oversold == 0\", \"unsent == 0\"]";
    let output = results.local(&["--scenario", "smoke", "--set", figures, "--set", "drain.within=2m"]);
    assert_eq!(output.status.code(), Some(0));
    let report = results.report();
    check_complete(&report);
    assert_eq!(report.verdicts.len(), 5);
    for side in Side::ALL {
        assert!(report.saturation.sides.contains_key(&side), "{side:?} was seen");
    }
    assert!(report.saturation.sides[&Side::Engine].mean_cores > 0.0);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("p99"), "{table}");
    let html = std::fs::read_to_string(results.path("result.html")).expect("a report");
    assert!(html.contains("</html>"));
}

#[test]
fn a_threshold_that_is_missed_fails_the_run() {
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let results = Results::new();
    let output = results.local(&[
        "--scenario",
        "smoke",
        "--rate=200",
        "--duration=2s",
        "--set",
        "thresholds=[\"p99 < 1us\", \"lost == 0\"]",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let held: Vec<_> = results.report().verdicts.iter().map(|verdict| verdict.held).collect();
    assert_eq!(held, [false, true]);
}

#[test]
fn ctrl_c_ends_the_load_and_reports_what_was() {
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let results = Results::new();
    let json = results.path("result.json");
    let mut child = Command::new(LOADTEST)
        .args(["local", "--plain", "--heap-mib=512", "--scenario=smoke", "--rate=500", "--duration=10m", "--sluice"])
        .arg(sluice())
        .arg("--json")
        .arg(&json)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    // A line that tells of the load: orders are being sent.
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("piped")));
    let mut signalled = false;
    for line in lines {
        let line = line.expect("text");
        println!("{line}");
        if line.contains("loading") && !signalled {
            signalled = true;
            let pid = child.id().to_string();
            assert!(Command::new("sh").args(["-c", "kill -s INT $0", &pid]).status().expect("sh").success());
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let report = results.report();
    assert_eq!(report.ended, Ended::Interrupted);
    assert_eq!(report.verification.findings, []);
    assert_eq!(report.totals.decided, report.totals.acknowledged);
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_started() {
    let results = Results::new();
    let real = results.local(&["--scenario", "smoke", "--set", "traffic.pools=[\"east\"]"]);
    assert_eq!(real.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&real.stderr).contains("rehearsal-"));
    let engine = Command::new(LOADTEST).args(["local", "--scenario=smoke", "--sluice=/nowhere/sluice"]).output();
    assert_eq!(engine.expect("the program starts").status.code(), Some(2));
    let nobody = Command::new(LOADTEST)
        .args(["run", "--plain", "--scenario=smoke", "--bootstrap-servers=127.0.0.1:1"])
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert_eq!(nobody.status.code(), Some(3), "{}", String::from_utf8_lossy(&nobody.stderr));
}

#[test]
fn festival_opening() {
    check_scenario("festival-opening", &["--rate=2000", "--duration=5s"]);
}

#[test]
fn sold_out() {
    let report = check_scenario("sold-out", &["--rate=2000", "--duration=3s"]);
    assert_eq!(report.outcomes["RESERVED"].count, 1_000, "a thousand units, a thousand winners");
    assert_eq!(report.outcomes["REJECTED"].count, 5_000, "and everybody else heard so");
}

#[test]
fn midnight_thousand() {
    // Opens in the middle; who came too early comes again after it, when there is stock no more.
    let again = ["--set", "traffic.duplicates.after=2s"];
    let report = check_scenario("midnight-thousand", &[&["--rate=2000", "--duration=4s"], &again[..]].concat());
    assert_eq!(report.outcomes["RESERVED"].count, 1_000, "a thousand units, a thousand customers");
    // How many a second decides depends on the host; that it decides nothing else before the opening does not.
    assert!(report.outcomes["NOT_OPEN"].count > 0, "who comes too early is refused");
    let first = &report.seconds[0].outcomes;
    assert!(first.keys().all(|outcome| outcome == "NOT_OPEN"), "everybody who comes in the first second: {first:?}");
    let barred = report.notes.iter().find(|note| note.contains("over a limit")).expect("rules are noted");
    assert!(!barred.contains(" 0 over a limit"), "some customers came twice: {barred}");
    assert!(report.outcomes["DUPLICATE"].count > 0, "who was decided before is told so");
}

#[test]
fn one_of_a_kind() {
    // Fewer of everything but the time that it takes to be forgotten.
    let fewer = ["traffic.skus=2000", "traffic.popularity.skus=20", "traffic.popularity.share=0.9"];
    let fewer = fewer.map(|setting| ["--set", setting]);
    let soon = ["--set", "topics.window=5s", "--set", "topics.skew=1s"];
    let report =
        check_scenario("one-of-a-kind", &[&["--rate=400", "--duration=25s"], &soon[..], &fewer.concat()[..]].concat());
    let count = |outcome: &str| report.outcomes[outcome].count;
    let sold = count("RESERVED");
    assert!(sold > 20 && sold == report.totals.wanted_skus, "{sold} of {} wanted", report.totals.wanted_skus);
    assert_eq!((count("CONFIRMED"), count("SHIPPED")), (sold, sold), "whoever won has it");
    let known = report.known.expect("the engine was asked");
    assert_eq!((known.before.rows, known.after.rows), (2_000, 2_000 - sold), "what was sold has left");
    assert_eq!(known.after.open_orders, 0);
    assert!(known.after.remembered_ids < known.before.remembered_ids, "{known:?}");
    assert!(report.notes.iter().any(|note| note.contains("was forgotten")), "some came for it: {:?}", report.notes);
    let barred = report.notes.iter().find(|note| note.contains("without the segment")).expect("rules are noted");
    assert!(!barred.contains(" 0 of customers"), "some came for what is for others: {barred}");
}

#[test]
fn brands() {
    let report = check_scenario("brands", &["--rate=1380", "--duration=12s", "--set", "traffic.hold=2s"]);
    let count = |outcome: &str| report.outcomes[outcome].count;
    assert!(report.totals.quota > 0 && report.totals.quota < count("REJECTED"), "{}", report.totals.quota);
    // 60 brands, of each 34 deliveries, 14 adjustments and 12 counts or so.
    assert!(count("APPLIED") > 60 * 50, "{}", count("APPLIED"));
    let flood = report.flood.expect("one brand was flooded");
    let [flooded, others, before] = [&flood.flooded, &flood.others, &flood.others_before].map(Latency::count);
    assert!(flooded > others / 10 && flooded < others / 4, "ten of 69: {flooded} and {others}");
    assert!(others.abs_diff(before) < others / 5, "the others have as much as before: {before}, then {others}");
    assert!(report.marks.iter().any(|mark| mark.what == "flood" && mark.for_s.is_some()), "{:?}", report.marks);
}

#[test]
fn many_shards() {
    // Fewer shards than it is for, so that a machine that is busy with other tests bears it.
    let soon = ["confirm.after=1s", "cancel.after=1s", "raise_attempt.after=1s", "skus=20"];
    let soon = soon.map(|setting| format!("--set=traffic.{setting}"));
    let soon: Vec<&str> = soon.iter().map(String::as_str).collect();
    let flags = ["--rate=1000", "--duration=5s", "--partitions=6", "--lanes=2"];
    let report = check_scenario("many-shards", &[&flags[..], &soon].concat());
    assert_eq!((report.meta.shards, report.meta.lanes()), (6, 2));
    let flood = report.flood.expect("some brands are busy");
    // Four of sixty have 160 of 216 parts.
    let [busy, idle] = [&flood.flooded, &flood.others].map(Latency::count);
    assert!(busy > 2 * idle && busy < 4 * idle && idle > 0, "{busy} and {idle}");
}

#[test]
fn alliance() {
    let soon = ["--set", "traffic.cancel.after=200ms"];
    let report = check_scenario("alliance", &[&["--rate=1000", "--duration=8s"], &soon[..]].concat());
    let totals = &report.totals;
    assert!(totals.quota > 0 && totals.kept > 0, "{} refused, {} kept", totals.quota, totals.kept);
    assert_eq!((totals.stranded, totals.left_over), (0, 0), "nothing lies where none could have it, nothing is left");
    assert_eq!(report.outcomes["APPLIED"].count, 20, "a count of each SKU");
    assert!(report.marks.iter().any(|mark| mark.what == "quiet"), "{:?}", report.marks);
}

#[test]
fn dawn_delivery() {
    // Fewer SKUs, and what follows an order sooner.
    let fewer = ["traffic.skus=500", "traffic.units=1200", "traffic.hold=2s", "traffic.cancel.after=300ms"];
    let fewer = fewer.map(|setting| ["--set", setting]);
    let soon = ["--set", "traffic.confirm.after=200ms", "--set", "traffic.ship.after=200ms"];
    let report =
        check_scenario("dawn-delivery", &[&["--rate=1000", "--duration=8s"], &soon[..], &fewer.concat()[..]].concat());
    let (totals, count) = (&report.totals, |outcome: &str| report.outcomes[outcome].count);
    assert!(totals.rolled > 0 && totals.full > 0, "{} rolled, {} full", totals.rolled, totals.full);
    assert!(totals.too_late > 0, "the cutoff came within the run");
    assert_eq!(totals.expired_sold, 0);
    for outcome in ["RESERVED", "CONFIRMED", "SHIPPED", "CANCELLED", "EXPIRED", "DUPLICATE"] {
        assert!(count(outcome) > 0, "{outcome}");
    }
    assert!(report.notes.iter().any(|note| note.contains("for a later day")), "{:?}", report.notes);
}

#[test]
fn steady_day() {
    let soon = ["traffic.confirm.after=1s", "traffic.cancel.after=1s", "traffic.raise_attempt.after=1s"];
    let soon = soon.map(|setting| ["--set", setting]);
    check_scenario("steady-day", &[&["--rate=1000", "--duration=4s"], &soon.concat()[..]].concat());
}

#[test]
fn backlog_drain() {
    // The engine starts after a third of it.
    let report = check_scenario("backlog-drain", &["--rate=2000", "--duration=6s"]);
    assert!(report.marks.iter().any(|mark| mark.what == "start-engine"), "{:?}", report.marks);
    // What was due in the first second waited for the engine.
    assert!(report.seconds[0].latency.min_us() > 1_000_000, "{:?}", report.seconds[0].latency.min_us());
}

#[test]
fn retry_storm() {
    let report = check_scenario("retry-storm", &["--rate=1000", "--duration=4s", "--set", "traffic.confirm.after=1s"]);
    assert!(report.outcomes["DUPLICATE"].count > 0 && report.outcomes["CONFLICT"].count > 0);
}

#[test]
fn overload() {
    check_scenario("overload", &["--rate=3000", "--duration=5s"]);
}

#[test]
fn node_loss() {
    // Killed after a third of it, started again after half.
    let report = check_scenario("node-loss", &["--rate=1000", "--duration=9s", "--engines=2"]);
    assert!(report.marks.iter().any(|mark| mark.what == "kill-node" && mark.for_s.is_some()), "{:?}", report.marks);
}

#[test]
fn three_brokers_with_replication() {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    scenario("smoke", &["--brokers=3", "--rate=500", "--duration=3s"]);
}

#[test]
fn every_scenario_has_its_run() {
    let source = include_str!("local.rs");
    for (name, _) in built_in() {
        assert!(source.contains(&format!("scenario(\"{name}\",")), "{name}");
    }
}
