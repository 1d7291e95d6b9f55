//! What the engine relies on at a broker, as one suite of cases that every implementation of the seam must pass: the
//! real one, so that the promises are true, and the one in memory, so that what is simulated on it can be believed.
//!
//! A test binary brings a [`World`] and writes `conformance_suite!(ItsWorld, ItsElections);`. No case depends on how long
//! something takes, unless that is what is promised: what may take time is looked at again until [`World::PATIENCE`] is
//! over.

use std::time::{Duration, Instant};

use sluice::broker::{
    Broker, Committed, Fault, Header, Input, Inputs, LogReader, LogWriter, Outgoing, Output, Position, Records,
    TimestampKind,
};

pub(crate) mod elections;
pub(crate) mod ends;
pub(crate) mod inputs;
pub(crate) mod moving;
pub(crate) mod log;
pub(crate) mod reopening;
pub(crate) mod topics;
pub(crate) mod transactions;

/// A record, as it is published or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Plain {
    pub(crate) fn value(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(value.as_ref().to_vec()), ..Self::default() }
    }
}

/// A topic that the engine looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Orders,
    Stock,
    Decisions,
}

/// A broker with fresh topics, and the hands of those around the engine: producers of input, readers of output, and
/// the operator. Whatever goes wrong in them panics.
///
/// Topics: `orders` and `stock` with LogAppendTime; `decisions` and `dead-letters` with as many partitions; `replies`
/// and the one with a record per decision with two. Record sizes as `topics create` sets them.
pub(crate) trait World: Sized {
    /// The implementation under test.
    type Broker: Broker;
    /// See [`Upstream`].
    type Upstream: Upstream;

    /// How long to look again for what must come. Generous: it is spent only by a case that fails.
    const PATIENCE: Duration;
    /// In an input that was left alone for so long nothing is expected any more: it may be read another way.
    const REST: Duration;
    /// By how much the broker's clock may be off [`World::now_ms`].
    const CLOCK_TOLERANCE_MS: i64;

    /// Fresh topics, of names never used before.
    fn fresh(shards: u32) -> Self;
    /// The cluster as one more node sees it.
    fn broker(&self) -> Self::Broker;
    /// Now, milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Appends records outside of any transaction, in order; they are there on return. Returns the first one's offset.
    fn publish(&self, input: Input, shard: u32, records: &[Plain]) -> i64;
    /// A transactional producer with an id of its own, initialised.
    fn upstream(&self) -> Self::Upstream;

    /// What a read_committed consumer finds in a partition of an output, from its start to where it ends now, with
    /// offsets. The partition is that within the output; for `Replies` it stands in the output.
    fn read(&self, output: Output, partition: u32) -> Vec<(i64, Plain)>;
    /// The offset after the last record of a partition of an output, those of open transactions included.
    fn high(&self, output: Output, partition: u32) -> i64;

    /// Deletes the records before `offset`; they are gone on return.
    fn trim(&self, topic: Watched, shard: u32, offset: i64);
    /// Deletes a topic and makes another of its name.
    fn recreate(&self, topic: Watched, partitions: u32);
    /// Raises a topic's number of partitions.
    fn grow(&self, topic: Watched, partitions: u32);
    /// Lets clients say when a record was made from now on (CreateTime).
    fn let_clients_stamp(&self, topic: Watched);
}

/// A transactional producer of an upstream service.
pub(crate) trait Upstream {
    /// Appends records in the open transaction, or a new one; they are there on return, undecided.
    fn publish(&mut self, input: Input, shard: u32, records: &[Plain]);
    /// Commits what is open; readers may see it only a little later.
    fn commit(&mut self);
    /// Aborts what is open; readers may get past it only a little later.
    fn abort(&mut self);
}

/// A record that an input handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) timestamp_kind: TimestampKind,
    pub(crate) record: Plain,
}

/// The values `prefix0`, `prefix1`, and so on.
pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<Plain> {
    (0..count).map(|i| Plain::value(format!("{prefix}{i}"))).collect()
}

/// The values of records, as text.
pub(crate) fn texts<'a>(records: impl IntoIterator<Item = &'a Plain>) -> Vec<String> {
    let text = |r: &Plain| String::from_utf8_lossy(r.value.as_deref().expect("it has a value")).into_owned();
    records.into_iter().map(text).collect()
}

/// Tries until there is something. `attempt` waits by itself where there is something to wait for.
pub(crate) fn eventually<W: World, T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < W::PATIENCE, "waited in vain: {what}");
    }
}

/// One poll of the first shard, after a short wait if there is nothing.
pub(crate) fn poll_once<I: Inputs>(inputs: &mut I, input: Input, most: usize) -> Result<Vec<Got>, Fault> {
    poll_of(inputs, 0, input, most)
}

/// One poll of a shard, after a short wait if there is nothing.
pub(crate) fn poll_of<I: Inputs>(inputs: &mut I, at: usize, input: Input, most: usize) -> Result<Vec<Got>, Fault> {
    let Some(records) = inputs.poll(at, input, most)? else {
        inputs.wait(Duration::from_millis(50));
        return Ok(Vec::new());
    };
    assert!(!records.is_empty() && records.len() <= most, "{} records, {most} asked for", records.len());
    let got = |i| {
        let record = records.get(i);
        Got {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            timestamp_kind: record.timestamp_kind,
            record: Plain {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: records.headers(i),
            },
        }
    };
    Ok((0..records.len()).map(got).collect())
}

/// Polls the first shard until that many records have been handed out; more are a failure.
pub(crate) fn collect<W: World>(inputs: &mut impl Inputs, input: Input, count: usize) -> Vec<Got> {
    collect_of::<W>(inputs, 0, input, count)
}

/// Polls a shard until that many records have been handed out; more are a failure.
pub(crate) fn collect_of<W: World>(inputs: &mut impl Inputs, at: usize, input: Input, count: usize) -> Vec<Got> {
    let mut found = Vec::new();
    eventually::<W, _>(&format!("{count} records of {input:?}"), || {
        found.extend(poll_of(inputs, at, input, 1000).expect("nothing is wrong"));
        (found.len() >= count).then_some(())
    });
    assert_eq!(found.len(), count, "records that nobody published, or that nobody should see: {found:?}");
    found
}

/// Polls until the position has reached `end`, and returns what came on the way.
pub(crate) fn read_up_to<W: World>(inputs: &mut impl Inputs, input: Input, end: i64) -> Vec<Got> {
    let mut found = Vec::new();
    eventually::<W, _>(&format!("position {end} of {input:?}"), || {
        found.extend(poll_once(inputs, input, 1000).expect("nothing is wrong"));
        (inputs.position(0, input) >= end).then_some(())
    });
    assert_eq!(inputs.position(0, input), end, "a position beyond the end");
    found
}

/// Polls until that fails, without having handed out anything.
pub(crate) fn fault_of_poll<W: World>(inputs: &mut impl Inputs, input: Input) -> Fault {
    eventually::<W, _>(&format!("a fault of {input:?}"), || match poll_once(inputs, input, 1000) {
        Ok(found) => {
            assert_eq!(found, [], "handed out, although the offset asked for isn't there");
            None
        }
        Err(Fault::Transient(_)) => None,
        Err(fault) => Some(fault),
    })
}

/// Polls a shard until that fails for good, without having handed out anything. One that may pass begins anew.
pub(crate) fn fault_of<W: World>(inputs: &mut impl Inputs, at: usize, input: Input, from: Position) -> Fault {
    eventually::<W, _>(&format!("a fault of {input:?}"), || match poll_of(inputs, at, input, 1000) {
        Ok(found) => {
            assert_eq!(found, [], "handed out, although the offset asked for isn't there");
            None
        }
        Err(Fault::Transient(_)) => {
            let other = if input == Input::Orders { Input::Stock } else { Input::Orders };
            let other = Position::at(inputs.position(at, other));
            let (orders, stock) = if input == Input::Orders { (from, other) } else { (other, from) };
            inputs.reopen(at, orders, stock).expect("nothing is wrong");
            None
        }
        Err(fault) => Some(fault),
    })
}

/// A writer that has been initialised.
pub(crate) fn writer<W: World>(broker: &W::Broker, shard: u32) -> <W::Broker as Broker>::Writer {
    let mut writer = broker.writer(shard).expect("nothing is wrong");
    writer.init(W::PATIENCE).expect("nothing is wrong");
    writer
}

/// Hands a record to a writer.
pub(crate) fn send(writer: &mut impl LogWriter, output: Output, record: &Plain) -> Result<(), Fault> {
    let Plain { key, value, headers } = record;
    writer.send(Outgoing { output, key: key.as_deref(), value: value.as_deref(), headers })
}

/// One transaction: begin, send, commit.
pub(crate) fn transact<W: World>(writer: &mut impl LogWriter, records: &[(Output, Plain)]) -> Result<Committed, Fault> {
    writer.begin()?;
    for (output, record) in records {
        send(writer, *output, record)?;
    }
    writer.commit(W::PATIENCE)
}

/// Records for the log alone.
pub(crate) fn to_log(records: Vec<Plain>) -> Vec<(Output, Plain)> {
    records.into_iter().map(|record| (Output::Decisions, record)).collect()
}

/// Reads a shard's log until that many records have come; more are a failure.
pub(crate) fn read_log<W: World>(reader: &mut impl LogReader, count: usize) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    eventually::<W, _>(&format!("{count} records of the log"), || {
        let before = found.len();
        let mut each = |offset, value: &[u8]| found.push((offset, String::from_utf8_lossy(value).into_owned()));
        let count_read = reader.read(Duration::from_millis(100), &mut each).expect("nothing is wrong");
        assert_eq!(count_read, found.len() - before, "the reader miscounts");
        (found.len() >= count).then_some(())
    });
    assert_eq!(found.len(), count, "more than expected: {found:?}");
    found
}

/// Waits until a partition of an output is that long, transactions that are open included.
pub(crate) fn await_high<W: World>(world: &W, output: Output, partition: u32, high: i64) {
    eventually::<W, _>(&format!("{high} records in {output:?}"), || {
        (world.high(output, partition) >= high).then_some(())
    });
}

/// Waits until that many records of an output can be read; more are a failure.
pub(crate) fn await_output<W: World>(world: &W, output: Output, partition: u32, count: usize) -> Vec<(i64, Plain)> {
    let found = eventually::<W, _>(&format!("{count} records in {output:?}"), || {
        let found = world.read(output, partition);
        (found.len() >= count).then_some(found)
    });
    assert_eq!(found.len(), count, "more than expected: {found:?}");
    found
}

/// Makes a test of each named case of a module.
macro_rules! conformance_cases {
    ($world:ty, $module:ident: $($case:ident)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $case() {
                    crate::conformance::$module::$case::<$world>();
                }
            )*
        }
    };
}

/// Runs every case on a world, and those that need several brokers on another: one test each.
macro_rules! conformance_suite {
    ($world:ty, $elections:ty) => {
        conformance_cases!($elections, elections:
            ends_are_answered_again_once_a_lone_leader_is_back
            ends_are_answered_again_once_a_lone_leader_is_back_that_nobody_missed
            ends_are_answered_by_whoever_leads_next
            a_shard_without_a_leader_does_not_hold_up_the_others
            what_was_read_and_is_overwritten_since_is_missed
            an_input_whose_leader_is_away_while_it_is_quiet_goes_on_afterwards
        );
        conformance_cases!($world, inputs:
            records_come_in_order_with_their_bytes_and_the_brokers_time
            key_and_value_may_be_absent_or_empty
            headers_come_back_whole
            a_batch_holds_no_more_than_was_asked_for
            a_shard_reads_its_own_partitions
            the_inputs_of_a_shard_are_read_apart
            inputs_resume_from_the_offsets_given
            inputs_resume_beyond_a_marker
            timestamps_by_clients_are_told_apart
            committed_upstream_records_come_once_they_are_committed
            aborted_upstream_records_are_never_handed_out
            nothing_behind_an_open_transaction_is_handed_out
            the_position_passes_markers_and_aborted_records
            an_offset_before_the_start_is_out_of_range
            an_offset_beyond_the_end_is_out_of_range
            the_largest_input_record_comes_whole
            a_wake_up_ends_a_wait
        );
        conformance_cases!($world, reopening:
            shards_on_one_consumer_are_read_apart_and_in_order
            an_input_that_fails_leaves_its_neighbours_readable
            an_input_begins_anew_at_another_place
            an_input_may_begin_anew_before_anything_is_known_of_it
            an_input_that_failed_is_read_again_once_it_begins_anew
            an_input_begins_anew_behind_a_record_that_is_known
        );
        conformance_cases!($world, moving:
            an_input_that_is_quiet_and_busy_in_turns_hands_out_each_record_once
            markers_and_aborted_records_are_passed_once
            an_input_goes_on_where_everything_before_it_was_deleted
            an_input_that_failed_fails_until_it_begins_anew_however_long_that_takes
        );
        conformance_cases!($world, ends:
            the_ends_of_empty_inputs_are_where_they_start
            ends_count_records_and_markers
            an_open_transaction_stands_between_stable_and_high
            ends_are_answered_under_the_newest_ticket
            an_answer_is_taken_once
            the_ends_of_several_shards_are_each_their_own
            a_later_question_of_a_shard_replaces_its_own_only
            the_position_reaches_the_stable_end
            a_tick_comes_back_in_the_shards_own_partition_with_the_brokers_time
        );
        conformance_cases!($world, transactions:
            nothing_is_read_before_it_is_committed
            a_commit_reaches_every_output
            links_of_several_shards_are_there_together_or_not_at_all
            what_was_acknowledged_is_there_and_its_transaction_open
            what_no_topic_takes_is_never_acknowledged
            records_come_back_with_key_value_and_headers
            a_transaction_that_wrote_nothing_commits
            a_second_writer_fences_the_first
            a_second_writer_fences_an_idle_first
            a_second_writer_aborts_what_the_first_left_open
            a_writer_dropped_in_a_transaction_holds_nobody_up_after_the_next_init
            writers_of_different_shards_do_not_fence_each_other
            writers_on_different_nodes_fence_each_other
            a_record_too_large_fails_and_the_next_writer_goes_on
            decisions_are_partitioned_by_their_key_as_java_does
            the_largest_link_is_written_and_read
        );
        conformance_cases!($world, log:
            the_log_is_read_in_order_across_transactions
            markers_use_up_offsets
            a_fence_comes_back
            an_empty_log_has_nothing_to_read
            the_log_is_read_from_an_offset
            a_reader_goes_on_with_what_comes_later
            a_reader_gets_past_aborted_records
            a_long_log_is_read_whole
            a_log_trimmed_past_the_offset_is_out_of_range
            an_offset_beyond_the_log_is_out_of_range
        );
        conformance_cases!($world, topics:
            topics_have_their_partitions_and_ids_of_their_own
            a_recreated_topic_has_another_id
            added_partitions_are_seen
        );
    };
}
