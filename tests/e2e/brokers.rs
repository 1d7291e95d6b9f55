//! A broker that goes away while orders flow.

use std::time::Duration;

use sluice::devbroker::{Cluster, Options};

use crate::support::engine::{Deployment, READY_WITHIN, text};
use crate::support::kafka;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics;
use crate::support::traffic::Flow;
use crate::support::verify;

#[test]
fn a_broker_that_stops_dies_or_freezes_delays_decisions_and_changes_none() {
    let _beside = kafka::share();
    let mut kafka = Cluster::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let deployment = Deployment::create(&kafka.bootstrap(), "broker", 2, "");
    let mut tail = Tail::new(&deployment);
    let plan = Plan { seed: 7, pools: 8, skus: 200, per_record: 20, reply_partitions: 2 };
    let flow = Flow::start(&deployment, plan, 5_000);
    let mut engine = deployment.start();
    engine.wait_ready();
    let mut advance = |what: &str| {
        let enough = tail.decisions + 10_000;
        let advanced = tail.follow(READY_WITHIN * 2, |tail, _| tail.decisions >= enough);
        assert!(advanced, "no decisions {what}: {}\n{}", tail.standing(), engine.log());
        assert!(engine.poll().is_none(), "the engine ended {what}");
    };
    advance("at first");
    kafka.stop(0).expect("the broker stops");
    kafka.restart(0).expect("the broker starts again");
    advance("after the broker was stopped");
    kafka.kill(0).expect("the broker is killed");
    kafka.restart(0).expect("the broker starts again");
    advance("after the broker was killed");
    kafka.pause(0).expect("the broker is frozen");
    // Longer than a commit may take, so that the engine gives up on one.
    std::thread::sleep(FROZEN);
    kafka.resume(0).expect("the broker wakes");
    advance("after the broker was frozen");
    flow.stop();
    tail.wait_drained(Duration::from_secs(120));
    engine.stop();
    verify::verify(&deployment).assert_clean();
}

#[test]
fn a_leader_that_dies_among_three_brokers_delays_decisions_and_changes_none() {
    let _beside = kafka::share();
    let options = Options { brokers: 3, heap_mib: 384, ..Options::default() };
    let mut cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let deployment = Deployment::create_replicated(&cluster.bootstrap(), "three", 2);
    let checked = deployment.sluice(&["check"], &[]);
    assert!(checked.status.success(), "not fit for production: {}", text(&checked));
    let mut tail = Tail::new(&deployment);
    let plan = Plan { seed: 8, pools: 8, skus: 200, per_record: 20, reply_partitions: 2 };
    let flow = Flow::start(&deployment, plan, 2_000);
    let mut engine = deployment.start();
    engine.wait_ready();
    let mut advance = |what: &str| {
        let enough = tail.decisions + 5_000;
        let advanced = tail.follow(READY_WITHIN * 2, |tail, _| tail.decisions >= enough);
        assert!(advanced, "no decisions {what}: {}\n{}", tail.standing(), engine.log());
        assert!(engine.poll().is_none(), "the engine ended {what}");
    };
    advance("at first");
    // One after the other leads the log of shard 0, each dies with transactions of both shards open.
    for round in ["the first leader", "the second leader"] {
        let leader = topics::leader(&deployment.bootstrap, &deployment.topic("decisions"), 0).expect("somebody leads");
        cluster.kill(leader).expect("the broker is killed");
        advance(&format!("after {round} was killed"));
        cluster.restart(leader).expect("the broker starts again");
        advance(&format!("after {round} came back"));
    }
    flow.stop();
    tail.wait_drained(Duration::from_secs(120));
    engine.stop();
    verify::verify(&deployment).assert_clean();
}

const FROZEN: Duration = Duration::from_secs(12);
