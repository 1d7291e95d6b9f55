//! Engines at work on topics whose shards share lanes.

use std::time::Duration;

use crate::crash::commit_is_open;
use crate::support::engine::{Deployment, Engine, READY_WITHIN, SESSION_MS};
use crate::support::kafka;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::{Watermarks, delete_before, wait_for};
use crate::support::traffic::Flow;
use crate::support::verify;

const DRAINED_WITHIN: Duration = Duration::from_secs(120);

fn plan(seed: u64) -> Plan {
    Plan { seed, pools: 60, skus: 20, per_record: 5, reply_partitions: 2 }
}

/// Topics of this many shards on this many lanes.
fn deployment(name: &str, shards: u32, lanes: u32) -> Deployment {
    let mut deployment = Deployment::unmade(&kafka::share().bootstrap(), name, shards, "");
    deployment.lanes = lanes;
    deployment.create_topics(&[]);
    deployment
}

fn have_all(engines: &[&Engine], shards: u32) -> bool {
    let held: Vec<usize> = engines.iter().map(|engine| engine.shards().len()).collect();
    held.iter().all(|&held| held > 0) && held.iter().sum::<usize>() == shards as usize
}

#[test]
fn two_nodes_on_lanes_of_many_shards_killed_twenty_times_lose_and_double_nothing() {
    const SHARDS: u32 = 24;
    const LIVES: u64 = 10;
    const KILLS_INSIDE_A_COMMIT: u64 = 4;
    const MOST_LIVES: u64 = 30;
    let deployment = deployment("laned", SHARDS, 4);
    let marks = Watermarks::new(&deployment.bootstrap);
    let flow = Flow::start(&deployment, plan(21), 4_000);
    let (mut lives, mut inside) = (0, 0);
    while lives < LIVES || (inside < KILLS_INSIDE_A_COMMIT && lives < MOST_LIVES) {
        // Of a group of their own, so that nobody waits for the session of the dead.
        let group = format!("--group-id={}-{lives}", deployment.name);
        let mut tail = Tail::from_now(&deployment);
        let mut nodes = [deployment.start_with(&[&group]), deployment.start_with(&[&group])];
        wait_for("both have lanes", READY_WITHIN, || have_all(&[&nodes[0], &nodes[1]], SHARDS));
        let enough = 1 + lives % LIVES * 300;
        let advanced = tail.follow(READY_WITHIN, |tail, _| tail.decisions >= enough);
        assert!(advanced, "life {lives} decided nothing:\n{}", nodes[0].log());
        for (number, node) in nodes.iter_mut().enumerate() {
            if number == 1 && lives == 1 {
                // The survivor takes what the dead one had.
                let took_over = Duration::from_millis(SESSION_MS) + READY_WITHIN;
                wait_for("the survivor has all", took_over, || node.shards().len() == SHARDS as usize);
            }
            wait_for("a commit is open", READY_WITHIN, || commit_is_open(&deployment, &marks));
            node.kill();
        }
        inside += u64::from(commit_is_open(&deployment, &marks));
        lives += 1;
    }
    println!("{inside} of {lives} pairs of kills left a commit open");
    let mut engine = deployment.start_alone();
    let published = flow.stop();
    Tail::new(&deployment).wait_drained(DRAINED_WITHIN);
    engine.stop();

    let report = verify::verify(&deployment);
    report.assert_clean();
    assert!(report.places >= published, "{report}");
    assert!(inside >= KILLS_INSIDE_A_COMMIT, "only {inside} kills left a commit open: the test proved too little");
}

#[test]
fn twins_under_two_groups_and_a_frozen_node_leave_lanes_of_several_shards_whole() {
    const SHARDS: u32 = 6;
    let deployment = deployment("twins", SHARDS, 2);
    let mut tail = Tail::new(&deployment);
    let flow = Flow::start(&deployment, plan(22), 4_000);
    let mut one = deployment.start_alone();
    let mut other = deployment.start_alone();
    let fought = tail.follow(READY_WITHIN * 2, |tail, _| tail.fences >= 12 && tail.decisions >= 10_000);
    assert!(fought, "{} fences, {} decisions", tail.fences, tail.decisions);
    // One sleeps in the midst of it, and wakes as somebody who lost.
    one.signal("STOP");
    let after = tail.decisions + 5_000;
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= after), "the other decides nothing");
    one.signal("CONT");
    let fences = tail.fences + 2;
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.fences >= fences), "nobody takes anything");
    assert!(one.poll().is_none() && other.poll().is_none(), "losing a lane is no reason to end");
    other.stop();
    flow.stop();
    tail.wait_drained(DRAINED_WITHIN);
    one.stop();
    verify::verify(&deployment).assert_clean();
}

#[test]
fn one_partition_that_lost_records_parks_its_shard_and_the_others_of_its_lane_go_on() {
    const SHARDS: u32 = 6;
    const LOST: i32 = 4;
    let deployment = deployment("parked", SHARDS, 2);
    let flow = Flow::start(&deployment, plan(23), 2_000);
    let mut engine = deployment.start();
    engine.wait_ready();
    let mut tail = Tail::from_now(&deployment);
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= 3_000), "{}", engine.log());
    engine.stop();
    flow.stop();
    // What the next owner of one shard would have to decide first is deleted.
    let more = Flow::start(&deployment, plan(24), 2_000);
    let orders = deployment.topic("orders");
    let marks = Watermarks::new(&deployment.bootstrap);
    let end = marks.high(&orders, LOST);
    wait_for("there is more", READY_WITHIN, || marks.high(&orders, LOST) > end + 3);
    more.stop();
    delete_before(&deployment.bootstrap, &orders, LOST, end + 2);

    let mut engine = deployment.start();
    engine.wait_ready();
    let (status, body) = engine.get("/ready").expect("it answers");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(&format!("shard {LOST} is parked")) && body.contains("--accept-loss"), "{body}");
    assert_eq!(engine.shards().len(), SHARDS as usize - 1);
    engine.stop();
    let mut engine = deployment.start_with(&["--accept-loss"]);
    Tail::new(&deployment).wait_drained(DRAINED_WITHIN);
    assert_eq!(engine.shards().len(), SHARDS as usize);
    engine.stop();
}
