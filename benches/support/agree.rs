//! That the engine's core and the naive one do the same.

use prost::Message;
use sluice::broker::Input;
use sluice::wire::link::LinkHash;
use sluice::wire::proto::{Decision, LogRecord, log_record};

use super::engine::Engine;
use super::naive::Naive;
use super::orders::{Orders, Popularity};
use super::steady::{BEGIN_MS, WINDOW_MS};

/// Orders of each kind by which they are held against each other.
const AGREED: usize = 20_000;

/// Holds the two cores against each other: same records, same decisions, twice each order.
pub(crate) fn agree() {
    let (mut engine, mut naive) = (Engine::new(WINDOW_MS, BEGIN_MS), Naive::new(WINDOW_MS, BEGIN_MS));
    engine.keep_links(LinkHash::default());
    naive.keep_links();
    let mut orders = Orders::new(2);
    for popularity in Popularity::ALL {
        for per_record in [1, 50] {
            let mut records = orders.records(popularity, AGREED, per_record, BEGIN_MS);
            records.push(orders.hopeless(per_record, BEGIN_MS));
            for _ in 0..2 {
                engine.decide(Input::Orders, &records, BEGIN_MS);
                naive.decide(&records, BEGIN_MS);
            }
        }
    }
    let read = |links: Vec<Vec<u8>>| -> Vec<Decision> { links.iter().flat_map(|link| decisions(link)).collect() };
    let (ours, theirs) = (read(engine.take_links()), read(naive.take_links()));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "the naive core decides as the engine does");
    }
}

fn decisions(link: &[u8]) -> Vec<Decision> {
    match LogRecord::decode(link).expect("both write protobuf").kind {
        Some(log_record::Kind::Link(link)) => link.decisions,
        _ => panic!("both write links"),
    }
}
