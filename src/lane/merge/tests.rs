use proptest::prelude::*;

use super::*;
use crate::broker::TimestampKind;

fn record(offset: i64, timestamp_ms: i64) -> Record<'static> {
    let timestamp_kind = TimestampKind::LogAppend;
    Record { offset, timestamp_ms, timestamp_kind, leader_epoch: 0, key: None, value: None }
}

fn end(at: i64) -> End {
    End { stable: at, high: at }
}

#[test]
fn stock_goes_first_among_equals() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    merge.received(Input::Stock, [record(0, 10), record(1, 11)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Stock, count: 1 });
    merge.applied(Input::Stock, 1);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });
}

#[test]
fn an_order_waits_for_the_end_of_stock_asked_for_after_it() {
    let mut merge = Merge::new(0, 0);
    assert_eq!(merge.ask(), 1);
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    // Asked for before the order was received: stock may have got a record since.
    merge.answered(Ends { ticket: 1, orders: end(1), stock: end(0) });
    assert_eq!(merge.what_next(true), Next::AskEnds { ticket: 2 });
    assert_eq!(merge.what_next(true), Next::Wait);
    merge.answered(Ends { ticket: 2, orders: end(1), stock: end(3) });
    assert_eq!(merge.what_next(true), Next::Wait);
    merge.position(Input::Stock, 3);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });
}

#[test]
fn an_open_transaction_on_stock_does_not_stop_the_sale_and_one_on_orders_stops_time() {
    let mut merge = Merge::new(0, 0);
    let open = End { stable: 0, high: 5 };
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::AskEnds { ticket: 1 });
    merge.answered(Ends { ticket: 1, orders: end(1), stock: open });
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });

    let mut merge = Merge::new(0, 0);
    merge.received(Input::Stock, [record(0, 10)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::AskEnds { ticket: 1 });
    merge.answered(Ends { ticket: 1, orders: open, stock: end(1) });
    assert_eq!(merge.what_next(true), Next::Wait);
    merge.position(Input::Orders, 5);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Stock, count: 1 });
}

#[test]
fn a_run_goes_through_in_one_piece_and_may_be_applied_in_parts() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Orders, (0..100).map(|i| record(i, 10 + i / 10))).unwrap();
    merge.received(Input::Stock, [record(0, 15)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 50 });
    merge.applied(Input::Orders, 13);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 37 });
}

#[test]
fn a_broker_clock_that_steps_back_does_not_change_the_order_of_an_input() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Orders, [record(0, 20), record(1, 5)].into_iter()).unwrap();
    merge.received(Input::Stock, [record(0, 10), record(1, 30)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Stock, count: 1 });
    merge.applied(Input::Stock, 1);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 2 });
    assert_eq!(merge.latest_pending_ms(), Some(30));
}

#[test]
fn ends_asked_for_faster_than_they_are_reached_hold_nothing_back_for_ever() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    for ticket in 1..10 {
        assert_eq!(merge.ask(), ticket);
        merge.answered(Ends { ticket, orders: end(1), stock: end(100 * ticket.cast_signed()) });
    }
    merge.position(Input::Stock, 100);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });
}

#[test]
fn a_timestamp_of_the_client_stops_the_shard() {
    let stamped = Record { timestamp_kind: TimestampKind::Other, ..record(7, 10) };
    let refused = Merge::new(0, 0).received(Input::Stock, [stamped].into_iter());
    assert_eq!(refused, Err(MergeError::NotLogAppendTime { input: Input::Stock, offset: 7 }));
}

#[test]
fn an_offset_handed_out_twice_stops_the_shard() {
    let mut merge = Merge::new(5, 0);
    assert!(merge.received(Input::Orders, [record(4, 1)].into_iter()).is_err());
    merge.received(Input::Orders, [record(5, 1)].into_iter()).unwrap();
    let again = merge.received(Input::Orders, [record(5, 1)].into_iter());
    assert_eq!(again, Err(MergeError::OutOfOrder { input: Input::Orders, offset: 5, after: 5 }));
}

/// What may happen around a merge.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A record is stamped this much later than the one before, in either input; 0 makes equals.
    Append(Input, i64),
    /// So many records at the most arrive.
    Fetch(Input, usize),
    /// Somebody wants to know the ends, merge or no merge.
    Ask,
    /// The ticket handed in is answered, with the ends of now.
    Answer,
    /// What the merge lets through is applied, so much of it at the most.
    Apply(usize),
}

fn event(smallest_step_ms: i64) -> impl Strategy<Value = Event> {
    let input = || prop_oneof![Just(Input::Orders), Just(Input::Stock)];
    prop_oneof![
        4 => (input(), smallest_step_ms..3).prop_map(|(input, step)| Event::Append(input, step)),
        3 => (input(), 1..5usize).prop_map(|(input, most)| Event::Fetch(input, most)),
        1 => Just(Event::Ask),
        2 => Just(Event::Answer),
        4 => (1..6usize).prop_map(Event::Apply),
    ]
}

/// The definition of ARCHITECTURE.md, word for word, over everything that ever happened.
#[derive(Default)]
struct Naive {
    /// Records received and not applied: effective time, and how many tickets had been handed in by then.
    pending: [Vec<(i64, u64)>; 2],
    time_ms: [i64; 2],
    positions: [i64; 2],
    answers: Vec<Ends>,
}

impl Naive {
    fn received(&mut self, input: Input, timestamp_ms: i64, tickets: u64) {
        let i = place(input);
        self.time_ms[i] = self.time_ms[i].max(timestamp_ms);
        self.pending[i].push((self.time_ms[i], tickets));
        self.positions[i] += 1;
    }

    fn vouched(&self, other: Input, received_after: u64) -> bool {
        self.answers.iter().filter(|ends| ends.ticket > received_after).any(|ends| match other {
            Input::Stock => self.positions[place(other)] >= ends.stock.stable,
            _ => self.positions[place(other)] >= ends.orders.high,
        })
    }

    fn may_apply(&self, input: Input) -> bool {
        let (orders, stock) = (self.pending[0].first(), self.pending[1].first());
        match (input, orders, stock) {
            (Input::Stock, Some(&(t, _)), Some(&(s, _))) => t >= s,
            (Input::Stock, None, Some(&(_, after))) => self.vouched(Input::Orders, after),
            (_, Some(&(t, _)), Some(&(s, _))) => s > t,
            (_, Some(&(_, after)), None) => self.vouched(Input::Stock, after),
            _ => false,
        }
    }
}

fn place(input: Input) -> usize {
    usize::from(input == Input::Stock)
}

/// Both, side by side, with a broker that tells the truth.
struct World {
    merge: Merge,
    naive: Naive,
    /// Timestamps of what was appended.
    logs: [Vec<i64>; 2],
    clock_ms: i64,
    tickets: u64,
    asked: Option<u64>,
    applied: Vec<(Input, i64)>,
}

impl World {
    fn new() -> Self {
        let (logs, applied) = (Default::default(), Vec::new());
        World { merge: Merge::new(0, 0), naive: Naive::default(), logs, clock_ms: 0, tickets: 0, asked: None, applied }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Append(input, step_ms) => {
                self.clock_ms += step_ms;
                self.logs[place(input)].push(self.clock_ms);
            }
            Event::Fetch(input, most) => self.fetch(input, most),
            Event::Ask => self.hand_in(None),
            Event::Answer => {
                if let Some(ticket) = self.asked.take() {
                    let [orders, stock] = [0, 1].map(|i| end(self.logs[i].len() as i64));
                    let ends = Ends { ticket, orders, stock };
                    self.merge.answered(ends);
                    self.naive.answers.push(ends);
                }
            }
            Event::Apply(most) => match self.merge.what_next(true) {
                Next::Apply { input, count } => self.apply(input, count.min(most)),
                Next::AskEnds { ticket } => self.hand_in(Some(ticket)),
                Next::Wait => {}
            },
        }
    }

    fn hand_in(&mut self, ticket: Option<u64>) {
        let ticket = ticket.unwrap_or_else(|| self.merge.ask());
        assert_eq!(ticket, self.tickets + 1, "tickets are fresh");
        self.tickets = ticket;
        self.asked = Some(ticket);
    }

    fn fetch(&mut self, input: Input, most: usize) {
        let log = &self.logs[place(input)];
        let from = self.naive.positions[place(input)] as usize;
        let records: Vec<_> = (from..log.len()).take(most).map(|i| record(i as i64, log[i])).collect();
        if records.is_empty() {
            return;
        }
        self.merge.received(input, records.iter().copied()).unwrap();
        for record in &records {
            self.naive.received(input, record.timestamp_ms, self.tickets);
        }
        self.merge.position(input, self.naive.positions[place(input)]);
    }

    fn apply(&mut self, input: Input, count: usize) {
        for _ in 0..count {
            assert!(self.naive.may_apply(input), "the definition does not let a record of {input:?} through");
            let (time_ms, _) = self.naive.pending[place(input)].remove(0);
            self.applied.push((input, time_ms));
        }
        self.merge.applied(input, count);
    }

    /// Everything is fetched and every ticket answered until nothing is left.
    fn drain(&mut self) {
        let all: usize = self.logs.iter().map(Vec::len).sum();
        for _ in 0..4 * all + 4 {
            self.happen(Event::Fetch(Input::Orders, usize::MAX));
            self.happen(Event::Fetch(Input::Stock, usize::MAX));
            self.happen(Event::Apply(usize::MAX));
            self.happen(Event::Answer);
        }
        assert_eq!(self.applied.len(), all, "everything is applied once everything is known");
    }
}

proptest! {
    #[test]
    fn nothing_passes_that_the_definition_holds_back_and_all_passes_in_the_end(
        events in prop::collection::vec(event(0), 0..200),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.drain();
    }

    #[test]
    fn records_of_different_times_are_applied_by_time_however_they_arrive(
        events in prop::collection::vec(event(1), 0..200),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.drain();
        prop_assert!(world.applied.is_sorted_by_key(|&(_, time_ms)| time_ms));
    }
}

#[test]
fn a_ticket_is_outstanding_until_it_is_answered() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Stock, [record(0, 1)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::AskEnds { ticket: 1 });
    assert_eq!(merge.what_next(true), Next::Wait);
    assert_eq!(merge.unanswered(), Some(1));
    merge.answered(Ends { ticket: 1, orders: end(0), stock: end(1) });
    assert_eq!(merge.unanswered(), None);
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Stock, count: 1 });
}

#[test]
fn nothing_is_asked_without_leave() {
    let mut merge = Merge::new(0, 0);
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    assert_eq!(merge.what_next(false), Next::Wait);
    assert_eq!(merge.unanswered(), None);
    assert!(matches!(merge.what_next(true), Next::AskEnds { .. }));
}

#[test]
fn one_may_ask_ahead_of_what_is_not_vouched_for_and_only_once() {
    let mut merge = Merge::new(0, 0);
    assert_eq!(merge.ask_ahead(Input::Orders), None, "nothing waits");
    merge.received(Input::Orders, [record(0, 10)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::AskEnds { ticket: 1 });
    assert_eq!(merge.ask_ahead(Input::Orders), None, "the first ticket vouches for it");
    merge.answered(Ends { ticket: 1, orders: end(1), stock: end(0) });
    merge.received(Input::Orders, [record(1, 10)].into_iter()).unwrap();
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });
    assert_eq!(merge.ask_ahead(Input::Orders), Some(2));
    assert_eq!(merge.ask_ahead(Input::Orders), None);
    merge.applied(Input::Orders, 1);
    assert_eq!(merge.what_next(true), Next::Wait);
    merge.answered(Ends { ticket: 2, orders: end(2), stock: end(0) });
    assert_eq!(merge.what_next(true), Next::Apply { input: Input::Orders, count: 1 });
    merge.received(Input::Stock, [record(0, 20)].into_iter()).unwrap();
    merge.received(Input::Orders, [record(2, 10)].into_iter()).unwrap();
    assert_eq!(merge.ask_ahead(Input::Orders), None, "the stock record tells");
}
