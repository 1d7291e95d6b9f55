//! What goes out beside the log.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice::wire::proto::{Outcome, Reason};

use crate::support::engine::Deployment;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::{Publish, Sender, read};
use crate::support::{kafka, traffic, verify};

const DECIDED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_unreadable_record_goes_whole_to_dead_letters_and_says_where_it_came_from() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "poison", 1, "");
    let sender = Sender::new(&deployment.bootstrap);
    let topic = deployment.topic("orders");
    sender.send(Publish { topic: &topic, partition: None, key: b"north", value: Some(b"{\"json\": true}") });
    sender.flush();
    let mut engine = deployment.start();
    Tail::new(&deployment).wait_drained(DECIDED_WITHIN);
    engine.stop();
    let report = verify::verify(&deployment);
    report.assert_clean();
    assert_eq!(report.dead_letters, 1);
    let log = engine.log();
    let told = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let told: Vec<_> = told.filter(|line| line["topic"] == topic.as_str() && line["stage"].is_string()).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert_eq!((&told[0]["partition"], &told[0]["offset"]), (&0.into(), &0.into()));

    let letters = read(&deployment.bootstrap, &deployment.topic("dead-letters"), 0);
    assert_eq!(letters[0].value.as_deref(), Some(&b"{\"json\": true}"[..]));
    let header = |header: &(String, Option<Vec<u8>>)| {
        (header.0.clone(), String::from_utf8_lossy(header.1.as_deref().unwrap_or_default()).into_owned())
    };
    let headers: BTreeMap<String, String> = letters[0].headers.iter().map(header).collect();
    assert_eq!(headers["__connect.errors.topic"], topic);
    assert_eq!(headers["__connect.errors.partition"], "0");
    assert_eq!(headers["__connect.errors.offset"], "0");
    assert!(!headers["__connect.errors.stage"].is_empty(), "{headers:?}");
    assert!(!headers["__connect.errors.exception.message"].is_empty(), "{headers:?}");
}

#[test]
fn one_record_a_decision_stands_beside_the_log_where_it_is_asked_for() {
    let kafka = kafka::share();
    let deployment = Deployment::create_per_decision(&kafka.bootstrap(), "each", 2);
    let mut engine = deployment.start();
    let plan = Plan { seed: 8, pools: 8, skus: 50, per_record: 20, reply_partitions: 2 };
    traffic::publish(&deployment, plan, 20_000);
    Tail::new(&deployment).wait_drained(DECIDED_WITHIN);
    engine.stop();
    let report = verify::verify(&deployment);
    report.assert_clean();
    assert!(report.count(Outcome::Reserved, Reason::Unspecified) > 0, "{report}");
}
