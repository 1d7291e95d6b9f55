//! Several generators share one run: each sends its part, reads and verifies its own, and their results are one.

mod support;

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use clap::Parser;
use loadtest::cli::{Cli, Command as Asked};
use loadtest::load::scenario::Topics;
use loadtest::rig::local;
use support::{LOADTEST, check_complete, load, sluice};

/// From the start of the generators to the first order: a busy machine starts them, and they put stock on the shelves.
const AHEAD: Duration = Duration::from_secs(20);

#[test]
fn two_generators_share_a_run_and_their_results_are_one() {
    let sluice = sluice().display().to_string();
    let Asked::Local(args) = Cli::parse_from(["loadtest", "local", "--heap-mib=512", "--sluice", &sluice]).command
    else {
        panic!("that is what was asked")
    };
    let (mut rig, cluster) =
        local::start(&args.machine, Topics::default(), Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let results = tempfile::tempdir().expect("a directory");
    let path = |name: &str| results.path().join(name);
    let start_at = humantime::format_rfc3339_millis(SystemTime::now() + AHEAD).to_string();
    let run = |part: &str, json: &str| {
        let said = File::create(path(json).with_extension("txt")).expect("a file");
        Command::new(LOADTEST)
            .args(["run", "--plain", "--scenario=smoke", "--rate=400", "--duration=3s", "--run-id=pair"])
            .args(["--bootstrap-servers", &cluster.bootstrap_servers, "--start-at", &start_at, "--generator", part])
            .arg("--json")
            .arg(path(json))
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("another handle"))
            .stderr(said)
            .spawn()
            .expect("the program starts")
    };
    let parts = [run("1/2", "first.json"), run("2/2", "second.json")];
    for (mut part, said) in parts.into_iter().zip(["first.txt", "second.txt"]) {
        let ended = part.wait().expect("it ends");
        assert!(ended.success(), "{ended}: {}", fs::read_to_string(path(said)).expect("it said something"));
    }
    let merged = Command::new(LOADTEST)
        .arg("merge")
        .args([path("first.json"), path("second.json")])
        .arg("--json")
        .arg(path("merged.json"))
        .status()
        .expect("the program starts");
    assert_eq!(merged.code(), Some(0));
    let [first, second, merged] = ["first.json", "second.json", "merged.json"].map(|name| load(&path(name)));
    for report in [&first, &second, &merged] {
        check_complete(report);
    }
    assert_eq!(merged.totals.decided, first.totals.decided + second.totals.decided);
    assert_eq!(merged.latency.count(), merged.totals.decided);
    rig.stop().unwrap_or_else(|error| panic!("{error:#}"));
}
