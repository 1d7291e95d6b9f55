//! What an operator sees when something is not as it should be.

use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use sluice::devbroker::{Cluster, Options};
use sluice::wire::link::RULES_LEVEL;
use sluice::wire::proto::{Asked, Outcome, Reason};

use crate::support::engine::{Deployment, READY_WITHIN, text};
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::wait_for;
use crate::support::traffic::Flow;
use crate::support::{kafka, verify};

/// Exit codes of the binary.
pub(crate) const FAILURE: i32 = 1;
pub(crate) const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 3;

/// What a command ended with and told.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_known_one() {
    let deployment = Deployment::unmade("127.0.0.1:1", "typo", 1, "batch.max_byte = 1048576");
    expect(&deployment.sluice(&["check", "--dev"], &[]), USAGE, &["batch.max_byte", "max_bytes"]);
    expect(&deployment.sluice(&["run", "--dev"], &[]), USAGE, &["batch.max_byte", "max_bytes"]);
}

#[test]
fn a_property_that_correctness_depends_on_is_refused_with_its_name() {
    for (table, property) in [("producer", "transactional.id"), ("producer", "acks"), ("consumer", "isolation.level")] {
        let setting = format!("kafka.{table}.\"{property}\" = \"x\"");
        let deployment = Deployment::unmade("127.0.0.1:1", "refused", 1, &setting);
        expect(&deployment.sluice(&["check", "--dev"], &[]), USAGE, &[property]);
    }
}

#[test]
fn a_broker_out_of_reach_is_told_apart_from_a_wrong_setting_and_with_the_reason() {
    for (bootstrap, reason, advice) in [
        ("127.0.0.1:1", "refused", "start the broker"),
        ("no-such-host.invalid:9092", "resolve", "the name has no address here"),
    ] {
        let deployment = Deployment::unmade(bootstrap, "nobody", 1, "");
        let commands = [&["check", "--dev"][..], &["run", "--dev"], &["topics", "create", "--dev"]];
        for output in deployment.sluice_each(&commands, &[]) {
            expect(&output, UNAVAILABLE, &[bootstrap, reason, advice]);
        }
    }
}

#[test]
fn a_broker_that_accepts_and_says_nothing_is_told_as_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("its address").to_string();
    let deployment = Deployment::unmade(&address, "silent", 1, "");
    expect(&deployment.sluice(&["check", "--dev"], &[]), UNAVAILABLE, &[&address, "why: ", "do: see that"]);
}

#[test]
fn an_unknown_or_wrong_property_of_librdkafka_is_named_with_its_place_and_no_value() {
    const SECRET: &str = "hunter2-and-more";
    let settings = format!("kafka.common.\"sasl.pasword\" = {SECRET:?}\nkafka.common.\"client.rack\" = \"a\"");
    let deployment = Deployment::unmade("127.0.0.1:1", "property", 1, &settings);
    for command in [&["check", "--dev"][..], &["config"], &["run", "--dev"]] {
        let output = deployment.sluice(command, &[]);
        expect(&output, USAGE, &["sluice.toml:10: ", "kafka.common.sasl.pasword", "kafka.common.sasl.password?"]);
        assert!(!text(&output).contains(SECRET), "{}", text(&output));
    }
    let deployment = Deployment::unmade("127.0.0.1:1", "value", 1, "kafka.consumer.\"fetch.min.bytes\" = \"many\"");
    expect(&deployment.sluice(&["check", "--dev"], &[]), USAGE, &["sluice.toml:10: ", "fetch.min.bytes", "many"]);
}

#[test]
fn a_log_that_was_begun_with_another_window_is_told_by_both_windows() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "window", 1, "");
    let flags = ["--partitions=1", "--reply-partitions=2", "--window=30m"].map(str::to_owned);
    let output = deployment.sluice(&["topics", "create", "--dev"], &flags);
    expect(&output, FAILURE, &["--window 1h --skew 5m", "--window 30m --skew 5m"]);
}

#[test]
fn topics_that_are_missing_or_wrong_are_named_and_nothing_runs_on_them() {
    let kafka = kafka::share();
    let deployment = Deployment::unmade(&kafka.bootstrap(), "wrong", 2, "");
    let orders = deployment.topic("orders");
    expect(&deployment.sluice(&["check", "--dev"], &[]), FAILURE, &[&orders]);
    expect(&deployment.sluice(&["run", "--dev"], &[]), FAILURE, &[&orders]);

    deployment.create_topics(&[]);
    expect(&deployment.sluice(&["check", "--dev"], &[]), 0, &[]);
    expect(&deployment.sluice(&["topics", "describe", "--dev"], &[]), 0, &[&orders]);
    // One broker holds one copy: only development may do with that.
    expect(&deployment.sluice(&["check"], &[]), FAILURE, &["min.insync.replicas", "__transaction_state"]);
    expect(&deployment.sluice(&["run"], &[]), FAILURE, &["min.insync.replicas", "__transaction_state"]);
    // Made once, made again: nothing changes, nothing fails.
    deployment.create_topics(&[]);
}

#[test]
fn a_secret_shows_nowhere() {
    const SECRET: &str = "hunter2-and-more";
    let settings = format!("kafka.common.\"sasl.password\" = {SECRET:?}\nkafka.common.\"sasl.username\" = \"shop\"");
    let deployment = Deployment::unmade("127.0.0.1:1", "secret", 1, &settings);
    for output in deployment.sluice_each(&[&["check", "--dev"], &["config"], &["run", "--dev"]], &[]) {
        let text = text(&output);
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_port_that_is_taken_ends_the_service_with_its_address() {
    let kafka = kafka::share();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let deployment = Deployment::create(&kafka.bootstrap(), "port", 1, "");
    let flags = [format!("--http-listen={address}")];
    let output = deployment.sluice(&["run", "--dev"], &flags);
    expect(&output, USAGE, &[&address]);
    expect(&deployment.sluice(&["check", "--dev"], &flags), FAILURE, &[&address, "http.listen"]);
    drop(taken);
    let mut engine = deployment.start_with(&[&flags[0]]);
    engine.wait_ready();
    // A look at a node that works is no fault.
    expect(&deployment.sluice(&["check", "--dev"], &flags), 0, &[&address, "engine that is at work"]);
    engine.stop();
}

#[test]
fn an_outage_is_told_at_once_then_by_counts_and_when_it_is_over() {
    let _beside = kafka::share();
    let mut kafka = Cluster::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let deployment = Deployment::create(&kafka.bootstrap(), "outage", 4, "");
    let plan = Plan { seed: 3, pools: 8, skus: 200, per_record: 20, reply_partitions: 2 };
    let flow = Flow::start(&deployment, plan, 1_000);
    let mut engine = deployment.start();
    engine.wait_ready();
    let mut tail = Tail::new(&deployment);
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= 1_000), "no decisions:\n{}", engine.log());
    let before = engine.log().lines().count();
    kafka.kill(0).expect("the broker is killed");
    // Longer than a trouble goes without a summary.
    std::thread::sleep(OUTAGE);
    let log = engine.log();
    let lines: Vec<&str> = log.lines().skip(before).collect();
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert!(count("connection_refused") >= 1 && count("still: ") >= 1, "{}", lines.join("\n"));
    assert!(lines.len() <= MOST_LINES, "{} lines:\n{}", lines.len(), lines.join("\n"));
    kafka.restart(0).expect("the broker starts again");
    flow.stop();
    tail.wait_drained(Duration::from_secs(120));
    wait_for("the end of the outage is told", Duration::from_secs(90), || engine.log().contains("over: "));
    engine.stop();
    for line in engine.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("every line is a JSON object");
        for (key, value) in line.as_object().expect("an object") {
            let text = value.as_str().unwrap_or_default();
            assert!(!["Some(", "None", "[", "{"].iter().any(|debug| text.starts_with(debug)), "{key}: {text}");
        }
    }
    verify::verify(&deployment).assert_clean();
}

const OUTAGE: Duration = Duration::from_secs(40);

/// A few kinds of trouble, each told once and then summed up once, on a node with four shards.
const MOST_LINES: usize = 30;

#[test]
fn health_metrics_and_state_can_be_read_while_it_works() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "http", 2, "");
    let mut engine = deployment.start();
    engine.wait_ready();
    assert_eq!(engine.get("/live").expect("it answers").0, 200);
    let (status, metrics) = engine.get("/metrics").expect("it answers");
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE") && metrics.contains("_total"), "{metrics}");
    let state = engine.state().expect("it answers");
    let running = state["shards"].as_array().expect("a list").iter().filter(|shard| shard["phase"] == "running");
    let running: Vec<_> = running.map(|shard| shard["shard"].as_u64()).collect();
    assert_eq!(running, [Some(0), Some(1)], "{state}");
    engine.stop();
}

#[test]
fn rules_are_raised_in_every_shard_while_an_engine_runs_and_only_then() {
    let kafka = kafka::share();
    let deployment = Deployment::unmade(&kafka.bootstrap(), "raise", 2, "");
    deployment.create_topics(&["--rules-level=0".to_owned()]);
    let raise = |flags: &[&str]| {
        deployment.sluice(&["topics", "raise-rules"], &flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
    };
    expect(&raise(&["--timeout=5s"]), FAILURE, &["shards 0, 1 did not answer", "is an engine running"]);
    let mut engine = deployment.start();
    engine.wait_ready();
    // What waited for the engine was decided by it: the level is there already.
    let has = format!("shard 0: has rules level {RULES_LEVEL} already");
    let holds = format!("rules level {RULES_LEVEL} holds in all shards");
    expect(&raise(&[]), 0, &[&has, "shard 1: has", &holds]);
    expect(&raise(&[&format!("--level={}", RULES_LEVEL + 1)]), USAGE, &["--level"]);
    engine.stop();
    let report = verify::verify(&deployment);
    report.assert_clean();
    let decided = |outcome| report.outcomes[&(Asked::RaiseRulesLevel, outcome, Reason::Unspecified)];
    assert_eq!((decided(Outcome::Applied), decided(Outcome::Unchanged)), (2, 2), "{report}");
}
