//! Engines that are killed, frozen, or told to stop while orders flow.

use std::time::Duration;

use crate::support::engine::{Deployment, READY_WITHIN, SESSION_MS};
use crate::support::kafka;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::{Watermarks, wait_for};
use crate::support::traffic::Flow;
use crate::support::verify;

const DRAINED_WITHIN: Duration = Duration::from_secs(120);

fn plan(seed: u64) -> Plan {
    Plan { seed, pools: 8, skus: 200, per_record: 20, reply_partitions: 2 }
}

/// Whether a transaction is open in some partition of the log.
pub(crate) fn commit_is_open(deployment: &Deployment, marks: &Watermarks) -> bool {
    (0..deployment.lanes.cast_signed()).any(|p| marks.open_transaction(&deployment.topic("decisions"), p))
}

#[test]
fn killed_twenty_times_it_loses_and_doubles_nothing() {
    const KILLS: u64 = 20;
    const KILLS_INSIDE_A_COMMIT: u64 = 5;
    // A commit is open for a few milliseconds, so where a kill strikes is left to chance: more follow until enough did.
    const MOST_KILLS: u64 = 80;
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "killed", 2, "");
    let marks = Watermarks::new(&deployment.bootstrap);
    let flow = Flow::start(&deployment, plan(2), 15_000);
    let (mut kills, mut inside) = (0, 0);
    while kills < KILLS || (inside < KILLS_INSIDE_A_COMMIT && kills < MOST_KILLS) {
        let mut tail = Tail::from_now(&deployment);
        let mut engine = deployment.start_alone();
        // Each life gets somewhere, and not always equally far.
        let enough = 1 + kills % KILLS * 400;
        let advanced = tail.follow(READY_WITHIN, |tail, _| tail.decisions >= enough);
        assert!(advanced, "life {kills} decided nothing:\n{}", engine.log());
        if kills % 4 != 0 {
            wait_for("a commit is open", READY_WITHIN, || commit_is_open(&deployment, &marks));
        }
        engine.kill();
        // Nobody is left who could end it: what is open now was open when the engine died.
        inside += u64::from(commit_is_open(&deployment, &marks));
        kills += 1;
    }
    println!("{inside} of {kills} kills struck an open commit");
    let mut engine = deployment.start_alone();
    let published = flow.stop();
    Tail::new(&deployment).wait_drained(DRAINED_WITHIN);
    engine.stop();

    let report = verify::verify(&deployment);
    report.assert_clean();
    assert!(report.places >= published, "{report}");
    assert!(report.fences > kills, "{report}");
    assert!(inside >= KILLS_INSIDE_A_COMMIT, "only {inside} kills struck an open commit: the test proved too little");
}

#[test]
fn an_engine_frozen_past_its_session_finds_that_it_lost() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "frozen", 2, "");
    let marks = Watermarks::new(&deployment.bootstrap);
    let mut tail = Tail::new(&deployment);
    let flow = Flow::start(&deployment, plan(3), 5_000);
    let mut frozen = deployment.start();
    frozen.wait_ready();
    wait_for("a commit is open", READY_WITHIN, || commit_is_open(&deployment, &marks));
    frozen.signal("STOP");

    let mut heir = deployment.start();
    let took_over = Duration::from_millis(SESSION_MS) + READY_WITHIN;
    wait_for("the heir has both shards", took_over, || heir.shards().len() == 2);
    let after = tail.decisions + 5_000;
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= after), "the heir decides nothing");

    frozen.signal("CONT");
    // It lost both shards while it slept; as a member again it is given its share.
    wait_for("both work", READY_WITHIN, || {
        let (one, other) = (frozen.shards(), heir.shards());
        one.len() == 1 && other.len() == 1 && one != other
    });
    flow.stop();
    tail.wait_drained(DRAINED_WITHIN);
    frozen.stop();
    heir.stop();
    verify::verify(&deployment).assert_clean();
}

#[test]
fn told_to_stop_it_commits_what_is_open_and_ends_well() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "stopped", 2, "");
    let marks = Watermarks::new(&deployment.bootstrap);
    let flow = Flow::start(&deployment, plan(4), 10_000);
    for _ in 0..3 {
        let mut tail = Tail::from_now(&deployment);
        let mut engine = deployment.start();
        assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= 5_000), "{}", engine.log());
        engine.stop();
        assert!(!commit_is_open(&deployment, &marks), "it left a commit open");
    }
    // It left its group: the next member need not wait for a session to run out.
    let mut engine = deployment.start();
    flow.stop();
    Tail::new(&deployment).wait_drained(DRAINED_WITHIN);
    engine.signal("TERM");
    engine.signal("TERM");
    engine.wait_end(Duration::from_secs(30));
    verify::verify(&deployment).assert_clean();
}
