//! Reading the inputs: order, bytes, time, what is never handed out, and what isn't there.

use std::time::Instant;

use sluice::broker::{Broker, Fault, Header, Input, Inputs, Position, ReadFrom, TimestampKind};
use sluice::wire::limits::MAX_RECORD_BYTES;

use super::{
    Got, Plain, Upstream, Watched, World, collect, eventually, fault_of_poll, numbered, poll_once, read_up_to, texts,
};

fn values(found: &[Got]) -> Vec<String> {
    texts(found.iter().map(|got| &got.record))
}

fn offsets(found: &[Got]) -> Vec<i64> {
    found.iter().map(|got| got.offset).collect()
}

pub(crate) fn records_come_in_order_with_their_bytes_and_the_brokers_time<W: World>() {
    let world = W::fresh(1);
    let earliest_ms = world.now_ms() - W::CLOCK_TOLERANCE_MS;
    assert_eq!(world.publish(Input::Orders, 0, &numbered("order ", 50)), 0);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let found = collect::<W>(&mut inputs, Input::Orders, 50);
    assert_eq!(found.iter().map(|got| got.record.clone()).collect::<Vec<_>>(), numbered("order ", 50));
    assert_eq!(offsets(&found), (0..50).collect::<Vec<_>>());
    let latest_ms = world.now_ms() + W::CLOCK_TOLERANCE_MS;
    for got in found {
        assert_eq!(got.timestamp_kind, TimestampKind::LogAppend);
        assert!((earliest_ms..=latest_ms).contains(&got.timestamp_ms), "{earliest_ms}..={latest_ms}: {got:?}");
    }
}

pub(crate) fn key_and_value_may_be_absent_or_empty<W: World>() {
    let world = W::fresh(1);
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let mut records = Vec::new();
    for key in [None, some(b""), some(b"key")] {
        for value in [None, some(b""), some(b"value")] {
            records.push(Plain { key: key.clone(), value, headers: Vec::new() });
        }
    }
    world.publish(Input::Stock, 0, &records);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let found = collect::<W>(&mut inputs, Input::Stock, records.len());
    assert_eq!(found.into_iter().map(|got| got.record).collect::<Vec<_>>(), records);
}

pub(crate) fn headers_come_back_whole<W: World>() {
    let world = W::fresh(1);
    let headers: Vec<Header> = vec![
        ("trace".into(), Some(b"\x00\xff".to_vec())),
        ("empty".into(), Some(Vec::new())),
        ("absent".into(), None),
        ("trace".into(), Some(b"again".to_vec())),
    ];
    let records = [Plain { headers: headers.clone(), ..Plain::value("with") }, Plain::value("without")];
    world.publish(Input::Orders, 0, &records);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let found = collect::<W>(&mut inputs, Input::Orders, 2);
    assert_eq!(found[0].record.headers, headers);
    assert_eq!(found[1].record.headers, []);
}

pub(crate) fn a_batch_holds_no_more_than_was_asked_for<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 20));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let mut found = Vec::new();
    eventually::<W, _>("20 records in batches of 7", || {
        // poll_once holds each batch to what was asked for.
        found.extend(poll_once(&mut inputs, Input::Orders, 7).expect("nothing is wrong"));
        assert_eq!(inputs.position(0, Input::Orders), found.len() as i64, "exactly what was handed out is behind it");
        (found.len() == 20).then_some(())
    });
    assert_eq!(offsets(&found), (0..20).collect::<Vec<_>>());
}

pub(crate) fn a_shard_reads_its_own_partitions<W: World>() {
    let world = W::fresh(3);
    for shard in 0..3 {
        world.publish(Input::Orders, shard, &numbered(&format!("order of {shard}: "), 2));
        world.publish(Input::Stock, shard, &numbered(&format!("stock of {shard}: "), 2));
    }
    let broker = world.broker();
    for shard in 0..3 {
        let mut inputs =
            broker.inputs(&[ReadFrom::new(shard, Position::at(0), Position::at(0))]).expect("nothing is wrong");
        let orders = read_up_to::<W>(&mut inputs, Input::Orders, 2);
        assert_eq!(values(&orders), texts(&numbered(&format!("order of {shard}: "), 2)));
        let stock = read_up_to::<W>(&mut inputs, Input::Stock, 2);
        assert_eq!(values(&stock), texts(&numbered(&format!("stock of {shard}: "), 2)));
    }
}

pub(crate) fn the_inputs_of_a_shard_are_read_apart<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("order ", 5));
    world.publish(Input::Stock, 0, &numbered("stock ", 3));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    read_up_to::<W>(&mut inputs, Input::Orders, 5);
    assert_eq!(inputs.position(0, Input::Stock), 0, "nothing of stock was taken");
    assert_eq!(values(&read_up_to::<W>(&mut inputs, Input::Stock, 3)), ["stock 0", "stock 1", "stock 2"]);
}

pub(crate) fn inputs_resume_from_the_offsets_given<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 5));
    world.publish(Input::Stock, 0, &numbered("", 5));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(3), Position::at(5))]).expect("nothing is wrong");
    assert_eq!((inputs.position(0, Input::Orders), inputs.position(0, Input::Stock)), (3, 5));
    assert_eq!(offsets(&collect::<W>(&mut inputs, Input::Orders, 2)), [3, 4]);
    world.publish(Input::Stock, 0, &numbered("later ", 1));
    assert_eq!(values(&collect::<W>(&mut inputs, Input::Stock, 1)), ["later 0"]);
}

pub(crate) fn inputs_resume_beyond_a_marker<W: World>() {
    let world = W::fresh(1);
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("", 2));
    upstream.commit();
    // A commit is answered before its marker is written; what it committed can be read only after.
    let mut committed =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    collect::<W>(&mut committed, Input::Orders, 2);
    // Offset 2 is the marker; what resumes there, or after it, finds what follows.
    world.publish(Input::Orders, 0, &numbered("after", 1));
    for from in [2, 3] {
        let mut inputs =
            world.broker().inputs(&[ReadFrom::new(0, Position::at(from), Position::at(0))]).expect("nothing is wrong");
        let found = eventually::<W, _>("the record after the marker", || {
            poll_once(&mut inputs, Input::Orders, 1).expect("nothing is wrong").pop()
        });
        assert_eq!((found.offset, found.record), (3, Plain::value("after0")));
    }
}

pub(crate) fn timestamps_by_clients_are_told_apart<W: World>() {
    let world = W::fresh(1);
    world.let_clients_stamp(Watched::Orders);
    world.publish(Input::Orders, 0, &numbered("", 1));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(collect::<W>(&mut inputs, Input::Orders, 1)[0].timestamp_kind, TimestampKind::Other);
}

pub(crate) fn committed_upstream_records_come_once_they_are_committed<W: World>() {
    let world = W::fresh(2);
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("a", 2));
    upstream.publish(Input::Orders, 1, &numbered("b", 2));
    upstream.publish(Input::Stock, 0, &numbered("c", 2));
    upstream.commit();
    let broker = world.broker();
    let mut first = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(values(&collect::<W>(&mut first, Input::Orders, 2)), ["a0", "a1"]);
    assert_eq!(values(&collect::<W>(&mut first, Input::Stock, 2)), ["c0", "c1"]);
    let mut second = broker.inputs(&[ReadFrom::new(1, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(values(&collect::<W>(&mut second, Input::Orders, 2)), ["b0", "b1"]);
}

pub(crate) fn aborted_upstream_records_are_never_handed_out<W: World>() {
    let world = W::fresh(1);
    let (mut kept, mut dropped) = (world.upstream(), world.upstream());
    // Interleaved: what counts is each record's own transaction, not what stands around it.
    for i in 0..3 {
        kept.publish(Input::Orders, 0, &numbered(&format!("kept {i} "), 1));
        dropped.publish(Input::Orders, 0, &numbered(&format!("dropped {i} "), 1));
    }
    dropped.abort();
    kept.commit();
    dropped.publish(Input::Orders, 0, &numbered("kept in the end ", 1));
    dropped.commit();
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    // Six records, two markers, one record, one marker.
    let found = read_up_to::<W>(&mut inputs, Input::Orders, 10);
    assert_eq!(values(&found), ["kept 0 0", "kept 1 0", "kept 2 0", "kept in the end 0"]);
}

pub(crate) fn nothing_behind_an_open_transaction_is_handed_out<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("before ", 2));
    let mut upstream = world.upstream();
    upstream.publish(Input::Orders, 0, &numbered("open ", 2));
    world.publish(Input::Orders, 0, &numbered("behind ", 2));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(values(&read_up_to::<W>(&mut inputs, Input::Orders, 2)), ["before 0", "before 1"]);
    // The other input is published to and read afterwards, so there was time to hand out too much.
    world.publish(Input::Stock, 0, &numbered("", 1));
    collect::<W>(&mut inputs, Input::Stock, 1);
    assert_eq!(poll_once(&mut inputs, Input::Orders, 1000), Ok(Vec::new()));
    assert_eq!(inputs.position(0, Input::Orders), 2);
    upstream.commit();
    let found = read_up_to::<W>(&mut inputs, Input::Orders, 7);
    assert_eq!(values(&found), ["open 0", "open 1", "behind 0", "behind 1"]);
}

pub(crate) fn the_position_passes_markers_and_aborted_records<W: World>() {
    let world = W::fresh(1);
    let mut upstream = world.upstream();
    upstream.publish(Input::Stock, 0, &numbered("", 3));
    upstream.commit();
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(offsets(&read_up_to::<W>(&mut inputs, Input::Stock, 4)), [0, 1, 2]);
    upstream.publish(Input::Stock, 0, &numbered("", 3));
    upstream.abort();
    assert_eq!(read_up_to::<W>(&mut inputs, Input::Stock, 8), []);
    upstream.publish(Input::Stock, 0, &numbered("", 1));
    upstream.commit();
    assert_eq!(offsets(&read_up_to::<W>(&mut inputs, Input::Stock, 10)), [8]);
}

pub(crate) fn an_offset_before_the_start_is_out_of_range<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Orders, 0, &numbered("", 5));
    world.trim(Watched::Orders, 0, 3);
    let broker = world.broker();
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(2), Position::at(0))]).expect("nothing is wrong");
    let fault = fault_of_poll::<W>(&mut inputs, Input::Orders);
    let Fault::OutOfRange { asked: 2, begin: 3, end: 5, .. } = fault else { panic!("{fault:?}") };
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(3), Position::at(0))]).expect("nothing is wrong");
    assert_eq!(offsets(&collect::<W>(&mut inputs, Input::Orders, 2)), [3, 4]);
}

pub(crate) fn an_offset_beyond_the_end_is_out_of_range<W: World>() {
    let world = W::fresh(1);
    world.publish(Input::Stock, 0, &numbered("", 5));
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(9))]).expect("nothing is wrong");
    let fault = fault_of_poll::<W>(&mut inputs, Input::Stock);
    let Fault::OutOfRange { asked: 9, begin: 0, end: 5, .. } = fault else { panic!("{fault:?}") };
}

pub(crate) fn the_largest_input_record_comes_whole<W: World>() {
    let world = W::fresh(1);
    let value: Vec<u8> = (0..MAX_RECORD_BYTES).map(|i| (i % 251) as u8).collect();
    world.publish(Input::Orders, 0, &[Plain::value(&value), Plain::value(&value)]);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    for got in collect::<W>(&mut inputs, Input::Orders, 2) {
        assert!(got.record.value.as_ref() == Some(&value), "other bytes");
    }
}

pub(crate) fn a_wake_up_ends_a_wait<W: World>() {
    let world = W::fresh(1);
    let mut inputs =
        world.broker().inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("nothing is wrong");
    let waker = inputs.waker();
    let start = Instant::now();
    waker.wake();
    inputs.wait(W::PATIENCE);
    std::thread::scope(|scope| {
        scope.spawn(|| waker.wake());
        inputs.wait(W::PATIENCE);
    });
    assert!(start.elapsed() < W::PATIENCE, "a wake-up was lost");
}
