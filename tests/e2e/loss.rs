//! Orders that were deleted before anybody decided them.

use std::time::Duration;

use crate::support::engine::{Deployment, READY_WITHIN};
use crate::support::kafka;
use crate::support::lane::LaneTopics;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::topics::{self, Watermarks, wait_for};
use crate::support::traffic;
use crate::support::verify::{read_lanes, verify_read};

const DRAINED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_input_trimmed_past_the_resume_point_is_refused_until_the_loss_is_accepted() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "loss", 1, "");
    let orders = deployment.topic("orders");
    let plan = |seed| Plan { seed, pools: 4, skus: 50, per_record: 5, reply_partitions: 2 };
    let work = |flags: &[&str]| {
        let mut engine = deployment.start_with(flags);
        engine.wait_ready();
        Tail::new(&deployment).wait_drained(DRAINED_WITHIN);
        engine.stop();
    };
    traffic::publish(&deployment, plan(1), 2_000);
    work(&[]);
    let decided = read_lanes(&deployment).remove(0);

    traffic::publish(&deployment, plan(2), 2_000);
    let resume = decided.shards[0].orders.last().expect("orders were published").offset + 1;
    let end = Watermarks::new(&kafka.bootstrap()).high(&orders, 0);
    let begin = resume + (end - resume) / 2;
    assert!(begin > resume + 10, "{resume}..{end} is too little to lose half of it");
    topics::delete_before(&kafka.bootstrap(), &orders, 0, begin);

    let mut engine = deployment.start();
    let mut words = String::new();
    wait_for("the lane is refused", READY_WITHIN, || {
        words = engine.get("/ready").map(|(_, body)| body).unwrap_or_default();
        words.contains("lane 0 is failed")
    });
    for expected in ["orders-0", "--accept-loss", &format!("offset {resume}"), &format!("{} offsets", begin - resume)] {
        assert!(words.contains(expected), "{expected:?} is missing in: {words}");
    }
    assert!(engine.poll().is_none(), "other shards could go on");
    engine.stop();
    assert_eq!(links(&deployment), decided_links(&decided), "something was decided past the loss");

    work(&["--accept-loss"]);
    // What was lost is lost once: nothing has to be accepted any more.
    traffic::publish(&deployment, plan(3), 500);
    work(&[]);
    let mut all = read_lanes(&deployment);
    let (orders, decided) = (&mut all[0].shards[0].orders, &decided.shards[0].orders);
    assert_eq!(orders[0].offset, begin);
    *orders = decided.iter().chain(&*orders).cloned().collect();
    verify_read(&deployment, &all).assert_clean();
}

/// Records of the log that are no fences.
fn links(deployment: &Deployment) -> usize {
    decided_links(&read_lanes(deployment)[0])
}

fn decided_links(topics: &LaneTopics) -> usize {
    use prost::Message as _;
    use sluice::wire::proto::{LogRecord, log_record};
    let kind = |value: &Vec<u8>| LogRecord::decode(value.as_slice()).ok().and_then(|record| record.kind);
    let values = topics.log.iter().filter_map(|record| record.value.as_ref());
    values.filter(|value| matches!(kind(value), Some(log_record::Kind::Link(_)))).count()
}
