//! Holds that run out while nothing arrives, and those that must not.

use std::time::Duration;

use prost::Message;
use rdkafka::producer::Producer;
use sluice::wire::proto::{self, Asked, Outcome, command, stock_command};

use crate::support::engine::Deployment;
use crate::support::orders::now_ms;
use crate::support::tail::Tail;
use crate::support::topics::{Publish, Sender};
use crate::support::{kafka, verify};

const POOL: &str = "north";
const SKU: &str = "lamp";
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

fn stock(deployment: &Deployment, sender: &Sender, id: &str, kind: stock_command::Kind) {
    let command = proto::StockCommand {
        pool: POOL.into(),
        id: id.into(),
        issued_at_ms: now_ms(),
        kind: Some(kind),
        reply_partition: None,
    };
    let value = proto::StockCommands { commands: vec![command] }.encode_to_vec();
    let topic = deployment.topic("stock");
    sender.send(Publish { topic: &topic, partition: None, key: POOL.as_bytes(), value: Some(&value) });
    sender.flush();
}

fn order(deployment: &Deployment, sender: &Sender, kind: command::Kind) {
    let command = proto::Command { kind: Some(kind), reply_partition: Some(0) };
    let value = proto::Commands { commands: vec![command] }.encode_to_vec();
    let topic = deployment.topic("orders");
    sender.send(Publish { topic: &topic, partition: None, key: POOL.as_bytes(), value: Some(&value) });
}

fn place(order_id: &str, hold_ms: u64) -> command::Kind {
    command::Kind::Place(proto::Place {
        pool: POOL.into(),
        order_id: order_id.into(),
        customer: "c".into(),
        placed_at_ms: now_ms(),
        lines: vec![proto::OrderLine { sku: SKU.into(), quantity: 1 }],
        hold_ms,
        ..Default::default()
    })
}

/// Follows the log until the wanted outcome of `order_id` comes; any other outcome on the way is collected.
fn outcomes_until(tail: &mut Tail, order_id: &str, last: Outcome) -> Vec<Outcome> {
    let mut seen = Vec::new();
    let came = tail.follow(DECIDED_WITHIN, |_, decisions| {
        seen.extend(decisions.iter().filter(|d| d.order_id == order_id).map(proto::Decision::outcome));
        seen.last() == Some(&last)
    });
    assert!(came, "{order_id} never became {last:?}: {seen:?}");
    seen
}

#[test]
fn a_hold_expires_although_nothing_else_arrives() {
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "idle", 1, "");
    let sender = Sender::new(&deployment.bootstrap);
    let mut tail = Tail::new(&deployment);
    let mut engine = deployment.start();
    stock(
        &deployment,
        &sender,
        "s1",
        stock_command::Kind::Receive(proto::Receive { sku: SKU.into(), quantity: 1, ..Default::default() }),
    );
    order(&deployment, &sender, place("left", 500));
    sender.flush();
    let seen = outcomes_until(&mut tail, "left", Outcome::Expired);
    assert_eq!(seen, [Outcome::Reserved, Outcome::Expired]);

    // The only unit is free again.
    order(&deployment, &sender, place("next", 0));
    sender.flush();
    outcomes_until(&mut tail, "next", Outcome::Reserved);
    tail.wait_drained(DECIDED_WITHIN);
    engine.stop();
    let report = verify::verify(&deployment);
    report.assert_clean();
    assert!(report.outcomes.contains_key(&(Asked::Tick, Outcome::Applied, proto::Reason::Unspecified)), "{report}");
}

#[test]
fn nothing_expires_past_an_upstream_transaction_that_is_open() {
    const HOLD_MS: u64 = 5_000;
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "open", 1, "");
    let sender = Sender::new(&deployment.bootstrap);
    let mut tail = Tail::new(&deployment);
    let mut engine = deployment.start();
    engine.wait_ready();
    stock(
        &deployment,
        &sender,
        "s1",
        stock_command::Kind::Receive(proto::Receive { sku: SKU.into(), quantity: 1, ..Default::default() }),
    );
    let upstream = Sender::with(&deployment.bootstrap, &[("transactional.id", &format!("{}-up", deployment.name))]);
    upstream.producer().init_transactions(DECIDED_WITHIN).expect("transactions can be used");
    upstream.producer().begin_transaction().expect("begun");

    order(&deployment, &sender, place("paid", HOLD_MS));
    sender.flush();
    outcomes_until(&mut tail, "paid", Outcome::Reserved);
    let paid = proto::Confirm { pool: POOL.into(), order_id: "paid".into(), ..Default::default() };
    order(&deployment, &upstream, command::Kind::Confirm(paid));
    upstream.flush();
    // The hold runs out, and Ticks come; the payment stands in the log behind an open transaction.
    let expired = tail.follow(Duration::from_millis(2 * HOLD_MS), |_, decisions| {
        decisions.iter().any(|decision| decision.outcome() == Outcome::Expired)
    });
    assert!(!expired, "a paid order expired");
    upstream.producer().commit_transaction(DECIDED_WITHIN).expect("committed");
    let seen = outcomes_until(&mut tail, "paid", Outcome::Confirmed);
    assert_eq!(seen, [Outcome::Confirmed]);
    engine.stop();
    verify::verify(&deployment).assert_clean();
}
