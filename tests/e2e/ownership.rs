//! Several engines on the same topics.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::engine::{Deployment, Engine, READY_WITHIN, SESSION_MS};
use crate::support::kafka;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::wait_for;
use crate::support::traffic::Flow;
use crate::support::verify;

const DRAINED_WITHIN: Duration = Duration::from_secs(120);

fn plan(seed: u64) -> Plan {
    Plan { seed, pools: 12, skus: 200, per_record: 20, reply_partitions: 2 }
}

#[test]
fn engines_of_different_groups_fence_each_other_and_decide_no_order_twice() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "rivals", 2, "");
    let mut tail = Tail::new(&deployment);
    let flow = Flow::start(&deployment, plan(5), 5_000);
    let mut one = deployment.start_alone();
    let mut other = deployment.start_alone();
    // Each takes what the other has, again and again; meanwhile the work goes on.
    let fought = tail.follow(READY_WITHIN * 2, |tail, _| tail.fences >= 12 && tail.decisions >= 20_000);
    assert!(fought, "{} fences, {} decisions", tail.fences, tail.decisions);
    assert!(one.poll().is_none() && other.poll().is_none(), "losing a shard is no reason to end");
    other.stop();
    flow.stop();
    tail.wait_drained(DRAINED_WITHIN);
    one.stop();
    verify::verify(&deployment).assert_clean();
}

/// Waits until the engines share all shards, none left out and none held twice.
#[track_caller]
fn wait_shared(engines: &[&Engine], shards: u64, within: Duration) {
    wait_for("the shards are shared", within, || {
        let held: Vec<Vec<u64>> = engines.iter().map(|engine| engine.shards()).collect();
        let all: BTreeSet<u64> = held.iter().flatten().copied().collect();
        let count: usize = held.iter().map(Vec::len).sum();
        held.iter().all(|held| !held.is_empty()) && count == all.len() && all.len() as u64 == shards
    });
}

#[test]
fn shards_move_between_engines_that_come_die_and_return() {
    const SHARDS: u32 = 4;
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "shared", SHARDS, "");
    let mut tail = Tail::new(&deployment);
    let flow = Flow::start(&deployment, plan(6), 5_000);
    let shards = u64::from(SHARDS);
    let mut first = deployment.start();
    wait_shared(&[&first], shards, READY_WITHIN);
    let mut second = deployment.start();
    wait_shared(&[&first, &second], shards, READY_WITHIN);
    let mut third = deployment.start();
    wait_shared(&[&first, &second, &third], shards, READY_WITHIN);
    third.kill();
    wait_shared(&[&first, &second], shards, READY_WITHIN + Duration::from_millis(SESSION_MS));
    let mut fourth = deployment.start();
    wait_shared(&[&first, &second, &fourth], shards, READY_WITHIN);
    first.stop();
    wait_shared(&[&second, &fourth], shards, READY_WITHIN);
    flow.stop();
    tail.wait_drained(DRAINED_WITHIN);
    second.stop();
    fourth.stop();
    verify::verify(&deployment).assert_clean();
}
