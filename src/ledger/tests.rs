//! Each cell of the state table, the edges between guards, and the bytes that a remembered id takes. What is decided
//! over long lives is held against the model by `tests/ledger.rs`.

mod channels; // what is kept for whom, and how much each may have
mod delivery; // on which day an order is delivered
mod delivery_kept; // what deliveries keep, and how a log tells them
mod limit; // how much each customer may have
mod lots; // which units of a row an order takes, and which left in fact
mod replay; // decisions about rules that do not follow
mod rules_memory; // how long rules are known, and what they keep
mod sale; // when and to whom
mod shipped_lots; // what a shipment may say of lots
mod shop; // a ledger with selling rules, and one that follows it

use super::*;
use crate::wire::command::LinesBuf;
use crate::wire::link::RULES_LEVEL;
use crate::wire::proto::Reason;
use crate::wire::{NamedLot, Original, Place, ShippedLots, StockChange, Vouched};

pub(super) const RULES: Rules = Rules {
    shard: 0,
    partitions: 1,
    window_ms: 1_000,
    skew_ms: 100,
    rules_level: 0,
    default_hold_ms: 500,
    max_hold_ms: 1_000,
    expected_ids: 0,
    max_ids: 100,
};
const START: i64 = 100_000;

/// A ledger with 10 of SKU "a" and none of "b", and short words for what is asked of it.
struct Desk {
    ledger: Ledger,
    now: i64,
}

/// A halt of a SKU, or of the whole pool.
fn halt(sku: &str) -> StockChange<'_> {
    StockChange::Halt { sku: sku.into(), lot: "".into() }
}

type Answer = (Outcome, Reason, OrderState);

impl Desk {
    fn new() -> Desk {
        let mut desk = Desk { ledger: Ledger::new(RULES, FingerprintKey([1; 16])), now: START };
        desk.stock("in", StockChange::Receive { sku: "a".into(), quantity: 10, lot: NamedLot::default() });
        desk.stock(
            "none",
            StockChange::Count { sku: "b".into(), counted: 0, on_hand_seen: 0, lot: NamedLot::default() },
        );
        desk
    }

    fn ask(&mut self, kind: Kind<'_>) -> (Answer, Option<Original>) {
        let at = Moment { shard_time_ms: self.now, engine_time_ms: self.now };
        while self.ledger.expire_one(at).is_some() {}
        let command = Command { pool: "pool".into(), reply_partition: None, unsupported: None, kind };
        let decision = self.ledger.apply(&command, at);
        ((decision.outcome, decision.reason, decision.state), decision.original)
    }

    fn stock(&mut self, id: &str, change: StockChange<'_>) -> Answer {
        self.ask(Kind::Stock { id: id.into(), issued_at_ms: self.now, change }).0
    }

    fn place_with(&mut self, attempt: u32, lines: &[(&str, u32)], answer_by_ms: i64) -> (Answer, Option<Original>) {
        let lines: LinesBuf = lines.iter().copied().collect();
        self.ask(Kind::Place(Place {
            order_id: "order".into(),
            attempt,
            customer: "ann".into(),
            channel: "".into(),
            placed_at_ms: START,
            lines: lines.lines(),
            hold_ms: 0,
            answer_by_ms,
            vouched: Vouched::default(),
        }))
    }

    fn place(&mut self, units: u32) -> Answer {
        self.place_with(0, &[("a", units)], 0).0
    }

    fn confirm(&mut self) -> Answer {
        self.ask(Kind::Confirm { order_id: "order".into(), attempt: 0, placed_at_ms: 0 }).0
    }

    fn extend(&mut self, expires_at_ms: i64) -> Answer {
        self.ask(Kind::Extend { order_id: "order".into(), attempt: 0, expires_at_ms, placed_at_ms: 0 }).0
    }

    fn cancel(&mut self) -> Answer {
        self.cancel_of(START)
    }

    fn cancel_of(&mut self, placed_at_ms: i64) -> Answer {
        self.ask(Kind::Cancel { order_id: "order".into(), attempt: 0, placed_at_ms }).0
    }

    fn ship(&mut self) -> Answer {
        self.ask(Kind::Ship { order_id: "order".into(), attempt: 0, lots: ShippedLots::default() }).0
    }

    /// A desk whose order is in `state`.
    fn with(state: OrderState) -> Desk {
        let mut desk = Desk::new();
        match state {
            OrderState::Unspecified => {}
            OrderState::Rejected => _ = desk.place(11),
            _ => _ = desk.place(1),
        }
        match state {
            OrderState::Committed => _ = desk.confirm(),
            OrderState::Shipped => _ = (desk.confirm(), desk.ship()),
            OrderState::Cancelled => _ = desk.cancel(),
            OrderState::Expired => desk.now += 500,
            _ => {}
        }
        desk
    }
}

const STATES: [OrderState; 7] = [
    OrderState::Unspecified,
    OrderState::Held,
    OrderState::Committed,
    OrderState::Shipped,
    OrderState::Rejected,
    OrderState::Cancelled,
    OrderState::Expired,
];

/// One row of the state table: the outcome in each of [`STATES`].
fn check_row(ask: impl Fn(&mut Desk) -> Answer, outcomes: [Outcome; 7]) {
    for (state, outcome) in STATES.into_iter().zip(outcomes) {
        let (seen, reason, after) = ask(&mut Desk::with(state));
        assert_eq!(seen, outcome, "of an order that is {state:?}");
        match outcome {
            Outcome::NotAllowed if state == OrderState::Unspecified => assert_eq!(reason, Reason::UnknownOrder),
            Outcome::NotAllowed | Outcome::Unchanged => assert_eq!((reason, after), (Reason::Unspecified, state)),
            _ => {}
        }
    }
}

#[test]
fn a_confirm_has_an_outcome_in_every_state() {
    use Outcome::{Confirmed, NotAllowed, Unchanged};
    let row = [NotAllowed, Confirmed, Unchanged, Unchanged, NotAllowed, NotAllowed, NotAllowed];
    check_row(|desk| desk.confirm(), row);
}

#[test]
fn an_extend_has_an_outcome_in_every_state() {
    use Outcome::{Extended, NotAllowed, Unchanged};
    let row = [NotAllowed, Extended, Unchanged, Unchanged, NotAllowed, NotAllowed, NotAllowed];
    check_row(|desk| desk.extend(START + 501), row);
}

#[test]
fn a_cancel_has_an_outcome_in_every_state() {
    use Outcome::{Cancelled, NotAllowed, Noted, Unchanged};
    let row = [Noted, Cancelled, Cancelled, NotAllowed, Unchanged, Unchanged, Unchanged];
    check_row(|desk| desk.cancel(), row);
}

#[test]
fn a_shipment_has_an_outcome_in_every_state() {
    use Outcome::{NotAllowed, Shipped, Unchanged};
    let row = [NotAllowed, NotAllowed, Shipped, Unchanged, NotAllowed, NotAllowed, NotAllowed];
    check_row(|desk| desk.ship(), row);
}

#[test]
fn a_copy_of_a_place_is_told_what_was_decided_first_and_the_state_now() {
    for state in &STATES[1..] {
        let mut desk = Desk::with(*state);
        let units = if *state == OrderState::Rejected { 11 } else { 1 };
        let (answer, original) = desk.place_with(0, &[("a", units)], 1);
        assert_eq!(answer, (Outcome::Duplicate, Reason::Unspecified, *state));
        assert_eq!(original.map(|first| first.sequence), Some(3));
        assert_eq!(desk.place_with(0, &[("a", 5)], 0).0, (Outcome::Conflict, Reason::Unspecified, *state));
    }
}

#[test]
fn an_end_of_a_hold_that_is_not_later_changes_nothing_and_one_too_late_is_refused() {
    let mut desk = Desk::with(OrderState::Held);
    assert_eq!(desk.extend(START + 500), (Outcome::Unchanged, Reason::Unspecified, OrderState::Held));
    assert_eq!(desk.extend(START + 1_001).1, Reason::HoldTooLong);
    assert_eq!(desk.extend(START + 1_000).0, Outcome::Extended);
}

#[test]
fn a_hold_ends_exactly_at_its_end() {
    let mut desk = Desk::with(OrderState::Held);
    desk.now = START + 499;
    assert_eq!(desk.ledger.next_due_ms(), Some(START + 500));
    assert_eq!(desk.confirm().0, Outcome::Confirmed);
    let mut desk = Desk::with(OrderState::Held);
    desk.now = START + 500;
    assert_eq!(desk.confirm(), (Outcome::NotAllowed, Reason::Unspecified, OrderState::Expired));
    assert_eq!(desk.ledger.stock("pool", "a").map(|row| row.reserved), Some(0));
}

#[test]
fn a_place_that_was_cancelled_in_advance_is_rejected_and_remembered_as_such() {
    let mut desk = Desk::new();
    assert_eq!(desk.cancel(), (Outcome::Noted, Reason::BeforePlace, OrderState::Cancelled));
    assert_eq!(desk.cancel().0, Outcome::Unchanged);
    assert_eq!(desk.place_with(1, &[("a", 1)], 0).0.1, Reason::AttemptUnknown);
    assert_eq!(desk.place_with(0, &[("a", 1)], 1).0.0, Outcome::Deadline);
    assert_eq!(desk.place(1), (Outcome::Rejected, Reason::Cancelled, OrderState::Rejected));
    let (answer, original) = desk.place_with(0, &[("a", 1)], 0);
    assert_eq!(answer, (Outcome::Duplicate, Reason::Unspecified, OrderState::Rejected));
    assert_eq!(original.map(|first| (first.sequence, first.reason)), Some((7, Reason::Cancelled)));
    assert_eq!(desk.place_with(1, &[("a", 1)], 0).0.0, Outcome::Reserved);
}

#[test]
fn an_attempt_is_raised_only_after_the_one_before_has_ended() {
    for state in STATES {
        let answer = Desk::with(state).place_with(1, &[("a", 1)], 0).0;
        let expected = match state {
            OrderState::Unspecified => (Outcome::Invalid, Reason::AttemptUnknown),
            OrderState::Held | OrderState::Committed | OrderState::Shipped => (Outcome::Invalid, Reason::AttemptOpen),
            _ => (Outcome::Reserved, Reason::Unspecified),
        };
        assert_eq!((answer.0, answer.1), expected, "after one that is {state:?}");
    }
}

#[test]
fn guards_answer_in_their_order() {
    let mut desk = Desk::new();
    let unknown_and_short = [("b", 1), ("nowhere", 1)];
    desk.stock("halt b", halt("b"));
    assert_eq!(desk.place_with(0, &unknown_and_short, START - 1).0.0, Outcome::Deadline);
    assert_eq!(desk.place_with(0, &unknown_and_short, 0).0.1, Reason::UnknownSku);
    assert_eq!(desk.place_with(1, &[("b", 1), ("a", 99)], 0).0.1, Reason::Halted);
    desk.stock("halt all", halt(""));
    assert_eq!(desk.place_with(2, &unknown_and_short, 0).0.1, Reason::Halted);
    desk.stock("resume all", StockChange::Resume { sku: "".into(), lot: "".into() });
    assert_eq!(desk.place_with(3, &[("a", 6), ("a", 6)], 0).0.1, Reason::OutOfStock);
    assert_eq!(desk.place_with(4, &[("a", 6), ("a", 4)], 0).0.0, Outcome::Reserved);
    assert_eq!(desk.place_with(5, &[], 0).0.1, Reason::NoLines);
    assert_eq!(desk.stock("nothing", halt("nowhere")).1, Reason::NoSuchSku);
}

#[test]
fn an_id_is_known_for_five_more_generations_of_its_own_and_no_longer() {
    // A generation is 275 ms long.
    let end_of_knowledge = (START / 275 + 6) * 275;
    let mut desk = Desk::with(OrderState::Cancelled);
    desk.now = end_of_knowledge - 1;
    assert_eq!(desk.cancel().0, Outcome::Unchanged);
    desk.now = end_of_knowledge;
    assert_eq!(desk.cancel_of(desk.now).1, Reason::BeforePlace);
}

#[test]
fn a_row_without_stock_is_dropped_when_it_is_no_longer_known() {
    let mut desk = Desk::new();
    desk.ledger.advance((START / 275 + 6) * 275 - 1);
    assert!(desk.ledger.stock("pool", "b").is_some());
    desk.ledger.advance((START / 275 + 6) * 275);
    assert!(desk.ledger.stock("pool", "b").is_none());
    assert!(desk.ledger.stock("pool", "a").is_some());
}

#[test]
fn a_full_ledger_says_so_and_forgets_nothing_for_it() {
    let mut desk = Desk::new();
    let (mut filled, mut outcomes) = (Vec::new(), Vec::new());
    for n in 0..98 {
        filled.push(desk.ledger.pressure());
        let order_id = n.to_string();
        let kind = Kind::Cancel { order_id: (&*order_id).into(), attempt: 0, placed_at_ms: START };
        outcomes.push(desk.ask(kind).0.0);
    }
    // Two identities are those of the stock that the desk begins with.
    assert!(!filled[77].alarm && filled[78].alarm);
    assert!(!filled[92].busy && filled[93].busy);
    assert_eq!((outcomes[92], outcomes[93]), (Outcome::Noted, Outcome::Busy));
    assert_eq!(desk.place(1).0, Outcome::Busy);
    let known = Kind::Cancel { order_id: "0".into(), attempt: 0, placed_at_ms: 0 };
    assert_eq!(desk.ask(known).0.0, Outcome::Unchanged);
    // What is left is for stock, and the very last for what stops a sale.
    let found = StockChange::Adjust { sku: "a".into(), change: 1, reason: "".into(), lot: NamedLot::default() };
    let taken: Vec<_> = (0..5).map(|n| desk.stock(&n.to_string(), found).0).collect();
    assert_eq!(taken, [[Outcome::Applied; 4].as_slice(), &[Outcome::Busy]].concat());
    assert_eq!(desk.stock("halt", halt("a")).0, Outcome::Applied);
    assert_eq!(desk.stock("again", halt("a")).0, Outcome::Busy);
    assert_eq!(desk.stock("0", found).0, Outcome::Duplicate);
    // Room comes with time.
    desk.now += 10_000;
    assert_eq!(desk.stock("later", found).0, Outcome::Applied);
}

#[test]
fn a_remembered_id_takes_at_most_forty_bytes() {
    // Whether so many were expected or not. At 10 million it is 35.0 and 35.7: the figure hardly depends on the count.
    for (ids, expected_ids) in [(1_000_000, 0), (1_000_000, 1_000_000)] {
        let rules = Rules { window_ms: 1 << 40, expected_ids, max_ids: 2 * ids, ..RULES };
        let mut ledger = Ledger::new(rules, FingerprintKey([1; 16]));
        let at = Moment { shard_time_ms: START, engine_time_ms: START };
        for n in 0..ids {
            let order_id = format!("{n}");
            let kind = Kind::Cancel { order_id: (&*order_id).into(), attempt: 0, placed_at_ms: START };
            ledger.apply(&Command { pool: "pool".into(), reply_partition: None, unsupported: None, kind }, at);
        }
        let pressure = ledger.pressure();
        assert_eq!(pressure.remembered, ids);
        let each = pressure.bytes as f64 / ids as f64;
        println!("{each:.1} bytes for each of {ids} ids, {expected_ids} expected");
        assert!(each <= 40.0, "{each} bytes for each of {ids} ids");
    }
}

#[test]
fn the_rules_level_rises_and_never_falls() {
    let mut desk = Desk::new();
    let before = u128::from_be_bytes(desk.ledger.digest());
    let mut raise = |shard, level| {
        let answer = desk.ask(Kind::RaiseRulesLevel { shard, level }).0;
        (answer.0, answer.1, desk.ledger.rules_level(), u128::from_be_bytes(desk.ledger.digest()))
    };
    assert_eq!(raise(1, RULES_LEVEL), (Outcome::Invalid, Reason::WrongShard, 0, before));
    assert_eq!(raise(1, RULES_LEVEL + 1), (Outcome::Invalid, Reason::WrongShard, 0, before));
    assert_eq!(raise(0, RULES_LEVEL + 1), (Outcome::Invalid, Reason::UnknownLevel, 0, before));
    assert_eq!(raise(0, 0), (Outcome::Unchanged, Reason::Unspecified, 0, before));
    let canonical = [5, 1, 0, 0, 0];
    let raised = before.wrapping_add(xxhash_rust::xxh3::xxh3_128(&canonical));
    assert_eq!(raise(0, 1), (Outcome::Applied, Reason::Unspecified, 1, raised));
    assert_eq!(raise(0, 1), (Outcome::Unchanged, Reason::Unspecified, 1, raised));
    assert_eq!(raise(0, 0), (Outcome::Unchanged, Reason::Unspecified, 1, raised));
}
