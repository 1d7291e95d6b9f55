//! What an operator sees when something is not as it should be.

use std::net::TcpListener;
use std::process::Output;

use crate::support::engine::{Deployment, text};
use crate::support::kafka;

/// Exit codes of the binary.
const FAILURE: i32 = 1;
const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 3;

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
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
fn a_broker_out_of_reach_is_told_apart_from_a_wrong_setting() {
    let deployment = Deployment::unmade("127.0.0.1:1", "nobody", 1, "");
    expect(&deployment.sluice(&["check", "--dev"], &[]), UNAVAILABLE, &["127.0.0.1:1"]);
}

#[test]
fn topics_that_are_missing_or_wrong_are_named_and_nothing_runs_on_them() {
    let kafka = kafka::lock();
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
    for command in [&["check", "--dev"][..], &["config"], &["run", "--dev"]] {
        let text = text(&deployment.sluice(command, &[]));
        assert!(!text.contains(SECRET), "{command:?}:\n{text}");
    }
}

#[test]
fn a_port_that_is_taken_ends_the_service_with_its_address() {
    let kafka = kafka::lock();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let deployment = Deployment::create(&kafka.bootstrap(), "port", 1, "");
    let flags = [format!("--http-listen={address}")];
    let output = deployment.sluice(&["run", "--dev"], &flags);
    assert!(!output.status.success());
    expect(&output, output.status.code().expect("it was not killed"), &[&address]);
}

#[test]
fn health_metrics_and_state_can_be_read_while_it_works() {
    let kafka = kafka::lock();
    let deployment = Deployment::create(&kafka.bootstrap(), "http", 2, "");
    let mut engine = deployment.start();
    engine.wait_ready();
    assert_eq!(engine.get("/live").expect("it answers").0, 200);
    let (status, metrics) = engine.get("/metrics").expect("it answers");
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE") && metrics.contains("_total"), "{metrics}");
    let mut shards = engine.shards();
    shards.sort_unstable();
    assert_eq!(shards, [0, 1]);
    engine.stop();
}
