//! A million orders through two shards.

use std::time::Duration;

use sluice::wire::proto::{Outcome, Reason};

use crate::support::engine::Deployment;
use crate::support::kafka;
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::{traffic, verify};

#[test]
fn a_million_orders_are_decided_as_the_model_decides_them() {
    const ORDERS: u64 = 1_000_000;
    let kafka = kafka::alone();
    let deployment = Deployment::create(&kafka.bootstrap(), "volume", 2, "");
    let mut engine = deployment.start();
    engine.wait_ready();
    traffic::publish(&deployment, Plan { seed: 1, pools: 16, skus: 500, per_record: 50, reply_partitions: 2 }, ORDERS);
    Tail::new(&deployment).wait_drained(Duration::from_secs(180));
    engine.stop();

    let report = verify::verify(&deployment);
    report.assert_clean();
    assert!(report.places >= ORDERS, "{report}");
    assert!(report.dead_letters > 0, "{report}");
    for (outcome, reason) in [
        (Outcome::Reserved, Reason::Unspecified),
        (Outcome::Rejected, Reason::OutOfStock),
        (Outcome::Rejected, Reason::UnknownSku),
        (Outcome::Rejected, Reason::Halted),
        (Outcome::Rejected, Reason::Cancelled),
        (Outcome::Confirmed, Reason::Unspecified),
        (Outcome::Extended, Reason::Unspecified),
        (Outcome::Cancelled, Reason::Unspecified),
        (Outcome::Noted, Reason::BeforePlace),
        (Outcome::Expired, Reason::Unspecified),
        (Outcome::Shipped, Reason::Unspecified),
        (Outcome::Applied, Reason::Unspecified),
        (Outcome::Duplicate, Reason::Unspecified),
        (Outcome::Conflict, Reason::Unspecified),
        (Outcome::Unchanged, Reason::Unspecified),
        (Outcome::NotAllowed, Reason::Unspecified),
        (Outcome::NotAllowed, Reason::UnknownOrder),
        (Outcome::Misrouted, Reason::Unspecified),
        (Outcome::Invalid, Reason::MissingId),
        (Outcome::Invalid, Reason::IdTooLong),
        (Outcome::Invalid, Reason::NoLines),
        (Outcome::Invalid, Reason::PlacedAt),
        (Outcome::Invalid, Reason::AttemptUnknown),
        (Outcome::Invalid, Reason::AttemptOpen),
        (Outcome::Invalid, Reason::HoldTooLong),
        (Outcome::Invalid, Reason::Malformed),
        (Outcome::TooOld, Reason::Unspecified),
        (Outcome::Deadline, Reason::Unspecified),
        (Outcome::Unsupported, Reason::Unspecified),
    ] {
        assert!(report.count(outcome, reason) > 0, "never {outcome:?} {reason:?}:\n{report}");
    }
    // 2% of the stream are exact copies; a little of it is changed copies.
    let copies = report.count(Outcome::Duplicate, Reason::Unspecified);
    assert!(copies * 100 >= report.places * 3 / 2, "{report}");
}
