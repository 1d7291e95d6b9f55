//! Reading the log.

use std::time::Duration;

use sluice::broker::{Broker, Fault, LogReader, LogWriter, Output};

use super::{
    Plain, Watched, World, await_high, await_output, eventually, numbered, read_log, send, to_log, transact, writer,
};

fn values(found: &[(i64, String)]) -> Vec<&str> {
    found.iter().map(|(_, value)| value.as_str()).collect()
}

/// Reads until that fails, without having found anything.
fn fault_of_read<W: World>(reader: &mut impl LogReader) -> Fault {
    eventually::<W, _>("a fault of the log", || {
        let mut each = |offset, _: &[u8]| panic!("found offset {offset}, although the one asked for isn't there");
        match reader.read(Duration::from_millis(100), &mut each) {
            Ok(_) | Err(Fault::Transient(_)) => None,
            Err(fault) => Some(fault),
        }
    })
}

pub(crate) fn the_log_is_read_in_order_across_transactions<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    for batch in 0..4 {
        let records = numbered(&format!("{batch} "), 3);
        transact::<W>(&mut writer, &to_log(records)).expect("nothing is wrong");
    }
    let found = read_log::<W>(&mut broker.reader(0, 0).expect("nothing is wrong"), 12);
    let expected: Vec<_> = (0..12).map(|i| format!("{} {}", i / 3, i % 3)).collect();
    assert_eq!(values(&found), expected);
    assert!(found.is_sorted_by(|a, b| a.0 < b.0), "offsets ascend: {found:?}");
}

pub(crate) fn markers_use_up_offsets<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    for _ in 0..3 {
        transact::<W>(&mut writer, &to_log(numbered("", 2))).expect("nothing is wrong");
    }
    let found = read_log::<W>(&mut broker.reader(0, 0).expect("nothing is wrong"), 6);
    assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 3, 4, 6, 7]);
}

pub(crate) fn a_fence_comes_back<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    for owner in 0..3 {
        let mut writer = writer::<W>(&broker, 0);
        let nonce = format!("nonce of {owner}");
        transact::<W>(&mut writer, &to_log(vec![Plain::value(&nonce)])).expect("nothing is wrong");
        let mut reader = broker.reader(0, 0).expect("nothing is wrong");
        let found = read_log::<W>(&mut reader, owner + 1);
        assert_eq!(found.last().map(|(_, value)| value), Some(&nonce), "its own fence is the log's end");
    }
}

pub(crate) fn an_empty_log_has_nothing_to_read<W: World>() {
    let world = W::fresh(1);
    let mut reader = world.broker().reader(0, 0).expect("nothing is wrong");
    let mut each = |offset, _: &[u8]| panic!("found offset {offset}");
    assert_eq!(reader.read(Duration::from_millis(100), &mut each), Ok(0));
}

pub(crate) fn the_log_is_read_from_an_offset<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    transact::<W>(&mut writer, &to_log(numbered("", 3))).expect("nothing is wrong");
    transact::<W>(&mut writer, &to_log(numbered("later ", 2))).expect("nothing is wrong");
    // Offset 3 is a marker.
    for (from, expected) in
        [(2, vec!["2", "later 0", "later 1"]), (3, vec!["later 0", "later 1"]), (5, vec!["later 1"])]
    {
        let mut reader = broker.reader(0, from).expect("nothing is wrong");
        assert_eq!(values(&read_log::<W>(&mut reader, expected.len())), expected, "from {from}");
    }
}

pub(crate) fn a_reader_goes_on_with_what_comes_later<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    let mut reader = broker.reader(0, 0).expect("nothing is wrong");
    for batch in 0..3 {
        transact::<W>(&mut writer, &to_log(numbered(&format!("{batch} "), 2))).expect("nothing is wrong");
        let found = read_log::<W>(&mut reader, 2);
        assert_eq!(values(&found), [format!("{batch} 0"), format!("{batch} 1")]);
    }
}

pub(crate) fn a_reader_gets_past_aborted_records<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut reader = broker.reader(0, 0).expect("nothing is wrong");
    for owner in 0..3_i64 {
        let mut writer = writer::<W>(&broker, 0);
        let kept = format!("kept {owner}");
        transact::<W>(&mut writer, &to_log(vec![Plain::value(&kept)])).expect("nothing is wrong");
        writer.begin().expect("nothing is wrong");
        send(&mut writer, Output::Decisions, &Plain::value("dropped")).expect("nothing is wrong");
        // Kept, marker, dropped, and the marker that the next init writes.
        await_high(&world, Output::Decisions, 0, 4 * owner + 3);
        assert_eq!(values(&read_log::<W>(&mut reader, 1)), [kept]);
    }
}

pub(crate) fn a_long_log_is_read_whole<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    for _ in 0..5 {
        transact::<W>(&mut writer, &to_log(numbered("", 300))).expect("nothing is wrong");
    }
    let found = read_log::<W>(&mut broker.reader(0, 0).expect("nothing is wrong"), 1500);
    assert!(found.iter().enumerate().all(|(i, (_, value))| *value == (i % 300).to_string()));
}

pub(crate) fn a_log_trimmed_past_the_offset_is_out_of_range<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    transact::<W>(&mut writer, &to_log(numbered("", 5))).expect("nothing is wrong");
    await_output(&world, Output::Decisions, 0, 5);
    world.trim(Watched::Decisions, 0, 2);
    let fault = fault_of_read::<W>(&mut broker.reader(0, 0).expect("nothing is wrong"));
    let Fault::OutOfRange { asked: 0, begin: 2, end: 6, .. } = fault else { panic!("{fault:?}") };
    let found = read_log::<W>(&mut broker.reader(0, 2).expect("nothing is wrong"), 3);
    assert_eq!(values(&found), ["2", "3", "4"]);
}

pub(crate) fn an_offset_beyond_the_log_is_out_of_range<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    transact::<W>(&mut writer, &to_log(numbered("", 2))).expect("nothing is wrong");
    await_output(&world, Output::Decisions, 0, 2);
    let fault = fault_of_read::<W>(&mut broker.reader(0, 9).expect("nothing is wrong"));
    let Fault::OutOfRange { asked: 9, begin: 0, end: 3, .. } = fault else { panic!("{fault:?}") };
}
