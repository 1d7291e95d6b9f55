//! Writing: what becomes readable and when, and who may write.

use sluice::broker::{Broker, Fault, Header, LogWriter, Output};
use sluice::wire::limits::{LOG_MESSAGE_BYTES, MAX_LINK_BYTES};
use sluice::wire::route::partition_of;

use super::{Plain, World, await_high, await_output, numbered, read_log, send, texts, to_log, transact, writer};

/// A record for every output, and the partition in which it must appear.
fn one_for_each_output() -> Vec<(Output, u32, Plain)> {
    let keyed = |key: &str, value: &str| Plain { key: Some(key.into()), ..Plain::value(value) };
    vec![
        (Output::Decisions, 0, Plain::value("a link")),
        (Output::Replies(0), 0, Plain::value("a reply")),
        (Output::Replies(1), 1, Plain::value("another reply")),
        (Output::DeadLetters(0), 0, Plain::value("poison")),
        (Output::PerDecision, partition_of(b"order", 2), keyed("order", "a decision")),
    ]
}

fn to_send(records: &[(Output, u32, Plain)]) -> Vec<(Output, Plain)> {
    records.iter().map(|(output, _, record)| (*output, record.clone())).collect()
}

pub(crate) fn nothing_is_read_before_it_is_committed<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    writer.begin().expect("nothing is wrong");
    for (output, partition, record) in one_for_each_output() {
        send(&mut writer, output, &record).expect("nothing is wrong");
        await_high(&world, output, partition, 1);
        assert_eq!(world.read(output, partition), []);
    }
    writer.commit(W::PATIENCE).expect("nothing is wrong");
    for (output, partition, record) in one_for_each_output() {
        assert_eq!(await_output(&world, output, partition, 1), [(0, record)]);
    }
}

pub(crate) fn a_commit_reaches_every_output<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    let records = one_for_each_output();
    for _ in 0..3 {
        transact::<W>(&mut writer, &to_send(&records)).expect("nothing is wrong");
    }
    for (output, partition, record) in records {
        let found = await_output(&world, output, partition, 3);
        assert!(found.iter().all(|(_, found)| *found == record), "{found:?}");
    }
}

pub(crate) fn links_of_several_shards_are_there_together_or_not_at_all<W: World>() {
    let world = W::fresh(3);
    let broker = world.broker();
    let link = |value: &str| (Output::Decisions, Plain::value(value));
    let poison = |shard, value: &str| (Output::DeadLetters(shard), Plain::value(value));
    let mut first = writer::<W>(&broker, 1);
    first.begin().expect("nothing is wrong");
    for (output, record) in [poison(2, "lost"), link("lost of 1"), link("lost of 2")] {
        send(&mut first, output, &record).expect("nothing is wrong");
    }
    await_high(&world, Output::Decisions, 1, 2);
    await_high(&world, Output::DeadLetters(2), 2, 1);
    assert_eq!(world.read(Output::Decisions, 1), []);
    let mut second = writer::<W>(&broker, 1);
    let records = [poison(1, "poison"), poison(2, "poison"), link("of 2"), link("of 1"), link("of 2 again")];
    transact::<W>(&mut second, &records).expect("nothing is wrong");
    let mut reader = broker.reader(1, 0).expect("nothing is wrong");
    let found = read_log::<W>(&mut reader, 3);
    assert_eq!(found.iter().map(|(_, value)| &value[..]).collect::<Vec<_>>(), ["of 2", "of 1", "of 2 again"]);
    for shard in [1, 2] {
        let found = await_output(&world, Output::DeadLetters(shard), shard, 1);
        assert_eq!(texts(found.iter().map(|(_, record)| record)), ["poison"]);
    }
}

pub(crate) fn what_was_acknowledged_is_there_and_its_transaction_open<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    writer.begin().expect("nothing is wrong");
    let records = one_for_each_output();
    for (at, (output, partition, record)) in records.iter().enumerate() {
        send(&mut writer, *output, record).expect("nothing is wrong");
        writer.acknowledge(W::PATIENCE).expect("nothing is wrong");
        for (output, partition, _) in &records[..=at] {
            assert_eq!(world.high(*output, *partition), 1, "it was acknowledged, and is not there");
        }
        assert_eq!(world.read(*output, *partition), []);
    }
    writer.commit(W::PATIENCE).expect("nothing is wrong");
    for (output, partition, record) in records {
        assert_eq!(await_output(&world, output, partition, 1), [(0, record)]);
    }
}

pub(crate) fn what_no_topic_takes_is_never_acknowledged<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    writer.begin().expect("nothing is wrong");
    let too_large = Plain::value(noise(LOG_MESSAGE_BYTES + 1));
    let sent = send(&mut writer, Output::Decisions, &too_large);
    sent.and_then(|()| writer.acknowledge(W::PATIENCE)).expect_err("what is too large was acknowledged");
}

pub(crate) fn records_come_back_with_key_value_and_headers<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    let headers: Vec<Header> =
        vec![("stage".into(), Some(b"decode".to_vec())), ("empty".into(), Some(Vec::new())), ("absent".into(), None)];
    let records = [
        Plain { key: Some(b"pool".to_vec()), value: Some(b"\x00\xff".to_vec()), headers },
        Plain::default(),
        Plain { key: Some(Vec::new()), value: Some(Vec::new()), headers: Vec::new() },
    ];
    let sent: Vec<_> = records.iter().map(|record| (Output::DeadLetters(0), record.clone())).collect();
    transact::<W>(&mut writer, &sent).expect("nothing is wrong");
    let found = await_output(&world, Output::DeadLetters(0), 0, 3);
    assert_eq!(found.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), records);
}

pub(crate) fn a_transaction_that_wrote_nothing_commits<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    transact::<W>(&mut writer, &[]).expect("nothing is wrong");
    transact::<W>(&mut writer, &to_log(numbered("", 1))).expect("nothing is wrong");
    await_output(&world, Output::Decisions, 0, 1);
}

/// Lets a writer that isn't the newest go on until it finds out.
fn fault_of_going_on<W: World>(writer: &mut impl LogWriter) -> Fault {
    let sent = send(writer, Output::Decisions, &Plain::value("by an owner of the past"));
    sent.and_then(|()| writer.commit(W::PATIENCE)).expect_err("a fenced writer committed")
}

pub(crate) fn a_second_writer_fences_the_first<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut first = writer::<W>(&broker, 0);
    transact::<W>(&mut first, &to_log(numbered("first ", 1))).expect("nothing is wrong");
    first.begin().expect("nothing is wrong");
    send(&mut first, Output::Decisions, &Plain::value("too late")).expect("nothing is wrong");
    await_high(&world, Output::Decisions, 0, 3);
    let mut second = writer::<W>(&broker, 0);
    let fault = fault_of_going_on::<W>(&mut first);
    assert!(matches!(fault, Fault::Fenced(_)), "{fault:?}");
    transact::<W>(&mut second, &to_log(numbered("second ", 1))).expect("nothing is wrong");
    let found = await_output(&world, Output::Decisions, 0, 2);
    assert_eq!(texts(found.iter().map(|(_, record)| record)), ["first 0", "second 0"]);
}

pub(crate) fn a_second_writer_fences_an_idle_first<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut first = writer::<W>(&broker, 0);
    transact::<W>(&mut first, &to_log(numbered("first ", 1))).expect("nothing is wrong");
    let mut second = writer::<W>(&broker, 0);
    let fault = first.begin().err().unwrap_or_else(|| fault_of_going_on::<W>(&mut first));
    assert!(matches!(fault, Fault::Fenced(_)), "{fault:?}");
    transact::<W>(&mut second, &to_log(numbered("second ", 1))).expect("nothing is wrong");
    let found = await_output(&world, Output::Decisions, 0, 2);
    assert_eq!(texts(found.iter().map(|(_, record)| record)), ["first 0", "second 0"]);
}

pub(crate) fn a_second_writer_aborts_what_the_first_left_open<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut first = writer::<W>(&broker, 0);
    let records = one_for_each_output();
    first.begin().expect("nothing is wrong");
    for (output, partition, record) in &records {
        send(&mut first, *output, record).expect("nothing is wrong");
        await_high(&world, *output, *partition, 1);
    }
    let mut second = writer::<W>(&broker, 0);
    transact::<W>(&mut second, &to_send(&records)).expect("nothing is wrong");
    for (output, partition, _) in records {
        let found = await_output(&world, output, partition, 1);
        // Offset 0 is the record aborted, 1 its marker.
        assert_eq!(found[0].0, 2, "what the first wrote is readable in {output:?}");
    }
}

pub(crate) fn a_writer_dropped_in_a_transaction_holds_nobody_up_after_the_next_init<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut dropped = writer::<W>(&broker, 0);
    dropped.begin().expect("nothing is wrong");
    send(&mut dropped, Output::Decisions, &Plain::value("left open")).expect("nothing is wrong");
    await_high(&world, Output::Decisions, 0, 1);
    drop(dropped);
    let mut next = writer::<W>(&broker, 0);
    transact::<W>(&mut next, &to_log(numbered("next ", 1))).expect("nothing is wrong");
    let mut reader = broker.reader(0, 0).expect("nothing is wrong");
    let found = read_log::<W>(&mut reader, 1);
    assert_eq!(found[0].1, "next 0");
}

pub(crate) fn writers_of_different_shards_do_not_fence_each_other<W: World>() {
    let world = W::fresh(2);
    let broker = world.broker();
    let (mut of_0, mut of_1) = (writer::<W>(&broker, 0), writer::<W>(&broker, 1));
    for _ in 0..2 {
        transact::<W>(&mut of_0, &to_log(numbered("of 0", 1))).expect("nothing is wrong");
        transact::<W>(&mut of_1, &to_log(numbered("of 1", 1))).expect("nothing is wrong");
    }
    await_output(&world, Output::Decisions, 0, 2);
    await_output(&world, Output::Decisions, 1, 2);
}

pub(crate) fn writers_on_different_nodes_fence_each_other<W: World>() {
    let world = W::fresh(1);
    let mut here = writer::<W>(&world.broker(), 0);
    let mut there = writer::<W>(&world.broker(), 0);
    let fault = here.begin().err().unwrap_or_else(|| fault_of_going_on::<W>(&mut here));
    assert!(matches!(fault, Fault::Fenced(_)), "{fault:?}");
    let mut here_again = writer::<W>(&world.broker(), 0);
    let fault = there.begin().err().unwrap_or_else(|| fault_of_going_on::<W>(&mut there));
    assert!(matches!(fault, Fault::Fenced(_)), "{fault:?}");
    transact::<W>(&mut here_again, &to_log(numbered("", 1))).expect("nothing is wrong");
    await_output(&world, Output::Decisions, 0, 1);
}

pub(crate) fn a_record_too_large_fails_and_the_next_writer_goes_on<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut first = writer::<W>(&broker, 0);
    let too_large = Plain::value(noise(LOG_MESSAGE_BYTES + 1));
    let records = [(Output::Replies(0), Plain::value("goes with it")), (Output::Decisions, too_large)];
    transact::<W>(&mut first, &records).expect_err("a record larger than the topic allows was committed");
    drop(first);
    let mut next = writer::<W>(&broker, 0);
    let records = [(Output::Replies(0), Plain::value("alone"))];
    transact::<W>(&mut next, &records).expect("nothing is wrong");
    assert_eq!(await_output(&world, Output::Replies(0), 0, 1)[0].1, Plain::value("alone"));
}

pub(crate) fn decisions_are_partitioned_by_their_key_as_java_does<W: World>() {
    let world = W::fresh(1);
    let mut writer = writer::<W>(&world.broker(), 0);
    let records: Vec<_> = (0..20)
        .map(|i| (Output::PerDecision, Plain { key: Some(format!("order {i}").into()), ..Plain::value("decided") }))
        .collect();
    transact::<W>(&mut writer, &records).expect("nothing is wrong");
    for partition in 0..2 {
        let key = |record: &Plain| record.key.clone().expect("it has a key");
        let expected: Vec<_> =
            records.iter().map(|(_, record)| key(record)).filter(|k| partition_of(k, 2) == partition).collect();
        let found = await_output(&world, Output::PerDecision, partition, expected.len());
        assert_eq!(found.iter().map(|(_, record)| key(record)).collect::<Vec<_>>(), expected);
    }
}

pub(crate) fn the_largest_link_is_written_and_read<W: World>() {
    let world = W::fresh(1);
    let broker = world.broker();
    let mut writer = writer::<W>(&broker, 0);
    let value = noise(MAX_LINK_BYTES);
    transact::<W>(&mut writer, &to_log(vec![Plain::value(&value)])).expect("nothing is wrong");
    let found = await_output(&world, Output::Decisions, 0, 1);
    assert!(found[0].1.value.as_ref() == Some(&value), "other bytes");
}

/// Bytes that no compression makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}
