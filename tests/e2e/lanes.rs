//! Topics whose shards share lanes, as an operator makes and sees them.

use std::process::Output;
use std::thread;
use std::time::Duration;

use prost::Message;
use sluice::wire::proto::{LogRecord, log_record};

use crate::operations::{FAILURE, USAGE, expect};
use crate::support::engine::Deployment;
use crate::support::{kafka, topics};

fn create(deployment: &Deployment, flags: &[&str]) -> Output {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    deployment.sluice(&["topics", "create", "--dev"], &flags)
}

/// What each log of a deployment begins with: lane, shards and lanes; and how many records it has.
fn logs(deployment: &Deployment, lanes: i32) -> Vec<(u32, u32, u32, usize)> {
    let read = |lane| {
        let records = topics::read(&deployment.bootstrap, &deployment.topic("decisions"), lane);
        let first = records.first().and_then(|record| record.value.as_deref()).expect("it has begun");
        match LogRecord::decode(first).expect("a record of a log").kind {
            Some(log_record::Kind::Genesis(genesis)) => {
                (genesis.shard, genesis.partitions, genesis.lanes, records.len())
            }
            other => panic!("{other:?}"),
        }
    };
    (0..lanes).map(read).collect()
}

#[test]
fn there_are_as_many_lanes_as_are_asked_for_and_what_is_there_counts() {
    let kafka = kafka::share();
    let deployment = Deployment::unmade(&kafka.bootstrap(), "lanes", 6, "");
    let decisions = deployment.topic("decisions");
    expect(&create(&deployment, &["--partitions=6", "--lanes=0"]), USAGE, &["--lanes"]);
    expect(&create(&deployment, &["--partitions=6", "--lanes=7"]), USAGE, &["--lanes 7 is above --partitions 6"]);

    let made = format!("topic {decisions}: created, 2 partitions");
    expect(
        &create(&deployment, &["--partitions=6", "--lanes=2"]),
        0,
        &[&made, "6 shards, 2 lanes; logs: 2 begun, 0 had begun before"],
    );
    assert_eq!(topics::partitions(&kafka.bootstrap(), &deployment.topic("dead-letters")), 6);
    assert_eq!(logs(&deployment, 2), [(0, 6, 2, 1), (1, 6, 2, 1)]);
    // Nobody says how many: what is there counts.
    expect(&create(&deployment, &["--partitions=6"]), 0, &["6 shards, 2 lanes; logs: 0 begun, 2 had begun before"]);
    let told = format!("topic {decisions} has 2 partitions");
    expect(&create(&deployment, &["--partitions=6", "--lanes=3"]), FAILURE, &[&told, "leave --lanes away"]);

    let where_it_is = format!("6 shards, 2 lanes: shard p is in the log {decisions}[p modulo 2]");
    expect(
        &deployment.sluice(&["topics", "describe", "--dev"], &[]),
        0,
        &[&where_it_is, "2 of 2 logs begun; version 2"],
    );
    expect(&deployment.sluice(&["check", "--dev"], &[]), 0, &["ready to run: 6 shards, 2 lanes"]);
}

#[test]
fn logs_that_are_begun_by_two_at_once_and_by_some_who_were_killed_begin_once() {
    const LANES: u32 = 24;
    let kafka = kafka::share();
    let mut deployment = Deployment::unmade(&kafka.bootstrap(), "begun", LANES, "");
    deployment.lanes = LANES;
    // Before, while and after the topics are made, and while their logs are begun.
    for killed_after_ms in [200, 700, 1_100, 1_500, 1_900] {
        let mut killed = deployment.begin_topics();
        thread::sleep(Duration::from_millis(killed_after_ms));
        killed.kill().expect("it can be killed");
        killed.wait().expect("it can be waited for");
    }
    for mut one in [deployment.begin_topics(), deployment.begin_topics()] {
        assert!(one.wait().expect("it can be waited for").success(), "one of two did not make the topics");
    }
    let expected: Vec<_> = (0..LANES).map(|lane| (lane, LANES, 0, 1)).collect();
    assert_eq!(logs(&deployment, LANES.cast_signed()), expected);
}
