//! Which lots an order takes from, what becomes of its parts, and what may be said of a lot.

use super::shipped_lots::ship;
use super::shop::{APPLIED, RESERVED, Shop, order, said};
use super::*;
use crate::wire::proto::{self, LotLevel, LotUnits, StockLevel, stock_command};

/// A day of the calendar on which `START` lies, and some that follow.
pub(super) const TODAY: u32 = 19_700_101;
pub(super) const MORROW: u32 = 19_700_102;
pub(super) const THIRD: u32 = 19_700_103;
const FOURTH: u32 = 19_700_104;
const DAY_MS: i64 = 86_400_000;

pub(super) type Said = (Outcome, Reason);

const LOT: Said = (Outcome::Invalid, Reason::Lot);
pub(super) const NO_SUCH_LOT: Said = (Outcome::Invalid, Reason::NoSuchLot);
const EXPIRY: Said = (Outcome::Invalid, Reason::Expiry);
pub(super) const TOO_MANY: Said = (Outcome::Invalid, Reason::TooMany);
const QUANTITY: Said = (Outcome::Invalid, Reason::Quantity);

/// A shop without any stock.
pub(super) fn shop() -> Shop {
    Shop::empty(2)
}

/// A shop with 3 of a lot that lasts until tomorrow, and 5 of one that lasts a day longer.
pub(super) fn dairy() -> Shop {
    let mut shop = shop();
    assert_eq!(said(&receive(&mut shop, "later", 5, THIRD)), APPLIED);
    assert_eq!(said(&receive(&mut shop, "sooner", 3, MORROW)), APPLIED);
    shop
}

pub(super) fn receive(shop: &mut Shop, lot: &str, quantity: u64, expiry: u32) -> proto::Decision {
    let (sku, lot) = ("milk".to_owned(), lot.to_owned());
    shop.stock("pool", shop.now, stock_command::Kind::Receive(proto::Receive { sku, quantity, lot, expiry }))
}

pub(super) fn adjust(shop: &mut Shop, lot: &str, change: i64) -> proto::Decision {
    let adjust = proto::Adjust { sku: "milk".into(), change, lot: lot.into(), ..Default::default() };
    shop.stock("pool", shop.now, stock_command::Kind::Adjust(adjust))
}

pub(super) fn halt(shop: &mut Shop, lot: &str) -> proto::Decision {
    shop.stock("pool", shop.now, stock_command::Kind::Halt(proto::Halt { sku: "milk".into(), lot: lot.into() }))
}

pub(super) fn resume(shop: &mut Shop, lot: &str) -> proto::Decision {
    shop.stock("pool", shop.now, stock_command::Kind::Resume(proto::Resume { sku: "milk".into(), lot: lot.into() }))
}

fn freshness(shop: &mut Shop, issued_at_ms: i64, least_days: u32) -> proto::Decision {
    let rule = proto::SetFreshness { sku: "milk".into(), least_days };
    shop.stock("pool", issued_at_ms, stock_command::Kind::SetFreshness(rule))
}

/// Lots of the decision's lines: number and units.
pub(super) fn lots(decision: &proto::Decision) -> Vec<Vec<(u32, u32)>> {
    let of_line = |line: &proto::LineDecision| line.lots.iter().map(|of| (of.lot, of.units)).collect();
    decision.lines.iter().map(of_line).collect()
}

pub(super) fn buy(shop: &mut Shop, units: u32) -> proto::Decision {
    shop.buy("ann", &[("milk", units)])
}

pub(super) fn level(decision: &proto::Decision) -> LotLevel {
    decision.stock.as_ref().and_then(|stock| stock.lot.clone()).expect("it is about a lot")
}

pub(super) fn on_hand(shop: &Shop) -> (i64, u64, u64) {
    let row = shop.ledger.stock("pool", "milk").expect("it is known");
    (row.on_hand, row.reserved, row.committed)
}

/// A command that changes nothing of a lot and so shows it.
pub(super) fn look(shop: &mut Shop, lot: &str) -> LotLevel {
    level(&resume(shop, lot))
}

/// An order of so many units that was paid.
pub(super) fn paid(shop: &mut Shop, units: u32) -> proto::Decision {
    let order = buy(shop, units);
    assert_eq!(said(&order), RESERVED);
    assert_eq!(shop.confirm(&order), Outcome::Confirmed);
    order
}

#[test]
fn what_expires_first_is_taken_first_and_by_number_where_days_are_equal() {
    let mut shop = dairy();
    receive(&mut shop, "same day", 9, MORROW);
    assert_eq!(lots(&buy(&mut shop, 2)), [[(2, 2)]]);
    assert_eq!(lots(&buy(&mut shop, 12)), [vec![(2, 1), (3, 9), (1, 2)]]);
    assert_eq!(lots(&shop.buy("ann", &[("milk", 1), ("milk", 2)])), [[(1, 1)], [(1, 2)]]);
    assert_eq!(on_hand(&shop), (17, 17, 0));
}

#[test]
fn a_lot_is_sold_to_the_end_of_its_last_day() {
    let mut shop = shop();
    receive(&mut shop, "today", 2, TODAY);
    shop.now = DAY_MS - 1;
    assert_eq!(said(&buy(&mut shop, 1)), RESERVED);
    shop.now = DAY_MS;
    let short = buy(&mut shop, 1);
    assert_eq!(said(&short), (Outcome::Rejected, Reason::OutOfStock));
    assert_eq!(short.lines[0].available, Some(0));
}

#[test]
fn a_freshness_asks_for_days_beyond_and_can_be_changed_and_removed() {
    let mut shop = dairy();
    assert_eq!(said(&freshness(&mut shop, START, 2)), APPLIED);
    assert_eq!(lots(&buy(&mut shop, 1)), [[(1, 1)]], "tomorrow is too soon");
    let short = buy(&mut shop, 5);
    assert_eq!((short.reason(), short.lines[0].available), (Reason::OutOfStock, Some(4)));
    let stale = freshness(&mut shop, START - 1, 0);
    assert_eq!((said(&stale), stale.issued_at_ms), ((Outcome::NotAllowed, Reason::Stale), START));
    assert_eq!(said(&freshness(&mut shop, START, 3)), APPLIED);
    assert_eq!(said(&buy(&mut shop, 1)), (Outcome::Rejected, Reason::OutOfStock));
    let removed = freshness(&mut shop, START, 0);
    assert_eq!((said(&removed), removed.freshness.map(|it| it.least_days)), (APPLIED, Some(0)));
    assert_eq!(lots(&buy(&mut shop, 1)), [[(2, 1)]]);
    assert_eq!(said(&freshness(&mut shop, START - 1, 9)), (Outcome::NotAllowed, Reason::Stale));
    assert_eq!(said(&freshness(&mut shop, START, 3_651)), QUANTITY);
    assert_eq!(said(&freshness(&mut shop, START, 3_650)), APPLIED);
}

#[test]
fn a_freshness_is_looked_at_of_rows_with_lots_only() {
    let mut shop = shop();
    assert_eq!(said(&freshness(&mut shop, START, 1_000)), APPLIED);
    shop.receive("pool", "milk", 2);
    let bought = buy(&mut shop, 2);
    assert_eq!((said(&bought), lots(&bought)), (RESERVED, vec![vec![]]));
}

#[test]
fn safety_stock_is_kept_of_what_may_be_sold() {
    let mut shop = dairy();
    let keep = proto::SetSafetyStock { sku: "milk".into(), quantity: 4 };
    shop.stock("pool", START, stock_command::Kind::SetSafetyStock(keep));
    let short = buy(&mut shop, 5);
    assert_eq!((short.reason(), short.lines[0].available), (Reason::OutOfStock, Some(4)));
    assert_eq!(lots(&buy(&mut shop, 4)), [[(2, 3), (1, 1)]]);
    freshness(&mut shop, START, 2);
    assert_eq!(buy(&mut shop, 1).lines[0].available, Some(0), "never less than nothing");
}

#[test]
fn what_one_lot_lacks_bounds_what_the_row_may_sell_and_no_other_lot() {
    let mut shop = dairy();
    let lost = level(&adjust(&mut shop, "sooner", -7));
    assert_eq!((lost.on_hand, lost.shortfall), (-4, 4));
    assert_eq!(on_hand(&shop), (1, 0, 0));
    let short = buy(&mut shop, 2);
    assert_eq!((short.reason(), short.lines[0].available), (Reason::OutOfStock, Some(1)));
    assert_eq!(lots(&buy(&mut shop, 1)), [[(1, 1)]]);
}

#[test]
fn parts_go_with_their_order() {
    let mut shop = dairy();
    let (kept, gone) = (paid(&mut shop, 4), buy(&mut shop, 2));
    assert_eq!((lots(&kept), lots(&gone)), (vec![vec![(2, 3), (1, 1)]], vec![vec![(1, 2)]]));
    let later = look(&mut shop, "later");
    assert_eq!((later.on_hand, later.reserved, later.committed), (5, 2, 1));
    assert_eq!(shop.cancel(&gone), Outcome::Cancelled);
    assert_eq!(look(&mut shop, "later").reserved, 0);
    let expires = buy(&mut shop, 4);
    shop.now = expires.expires_at_ms;
    assert_eq!(shop.expire(), 1);
    assert_eq!(look(&mut shop, "later").reserved, 0);
    assert_eq!(shop.cancel(&kept), Outcome::Cancelled, "paid, and all the same");
    let sooner = look(&mut shop, "sooner");
    assert_eq!((sooner.on_hand, sooner.committed), (3, 0));
    assert_eq!(lots(&buy(&mut shop, 3)), [[(2, 3)]]);
}

#[test]
fn a_retry_of_an_open_order_shows_its_lots_and_nothing_else_does() {
    let mut shop = dairy();
    let place = proto::Place { order_id: "1".into(), placed_at_ms: START, ..order("ann", &[("milk", 4)]) };
    let placed = shop.place(place.clone());
    for state in [OrderState::Held, OrderState::Committed] {
        let again = shop.place(place.clone());
        assert_eq!((again.outcome(), again.state()), (Outcome::Duplicate, state));
        assert_eq!((again.lines, again.expires_at_ms > 0), (placed.lines.clone(), state == OrderState::Held));
        shop.confirm(&placed);
    }
    let shipped = ship(&mut shop, &placed, &[]);
    assert_eq!((said(&shipped), lots(&shipped)), ((Outcome::Shipped, Reason::Unspecified), vec![vec![]]));
    assert!(shop.place(place).lines.is_empty());
}

#[test]
fn a_lot_is_gone_with_its_last_unit_and_its_number_is_given_again() {
    let mut shop = dairy();
    let order = paid(&mut shop, 3);
    let used = level(&adjust(&mut shop, "sooner", -1));
    assert_eq!((used.on_hand, used.committed, used.shortfall), (2, 3, 1), "an order keeps it");
    adjust(&mut shop, "sooner", 1);
    assert_eq!(ship(&mut shop, &order, &[]).outcome(), Outcome::Shipped);
    assert_eq!(said(&resume(&mut shop, "sooner")), NO_SUCH_LOT);
    assert_eq!(said(&receive(&mut shop, "sooner", 1, 0)), EXPIRY, "who names it again tells its day again");
    assert_eq!(level(&receive(&mut shop, "next", 1, FOURTH)).number, 2);
    let last = adjust(&mut shop, "next", -1);
    let expected = LotLevel { number: 2, lot: "next".into(), expiry: FOURTH, ..Default::default() };
    assert_eq!(level(&last), expected);
    adjust(&mut shop, "later", -5);
    assert_eq!(said(&shop.receive("pool", "milk", 1)), APPLIED, "the row has no lots any more");
    assert_eq!(said(&receive(&mut shop, "more", 1, FOURTH)), LOT);
}

#[test]
fn a_release_can_be_the_last_of_a_lot() {
    let mut shop = dairy();
    let order = buy(&mut shop, 3);
    adjust(&mut shop, "sooner", -3);
    assert_eq!(look(&mut shop, "sooner").shortfall, 3);
    assert_eq!(shop.cancel(&order), Outcome::Cancelled);
    assert_eq!(said(&resume(&mut shop, "sooner")), NO_SUCH_LOT);
}

#[test]
fn a_count_without_a_difference_makes_a_lot_for_its_own_decision_only() {
    let mut shop = shop();
    let count = proto::Count { sku: "milk".into(), counted: 4, on_hand_seen: 4, lot: "new".into(), expiry: MORROW };
    let counted = shop.stock("pool", START, stock_command::Kind::Count(count));
    assert_eq!((said(&counted), level(&counted).number, level(&counted).expiry), (APPLIED, 1, MORROW));
    assert_eq!(said(&resume(&mut shop, "new")), NO_SUCH_LOT, "the SKU is known, the lot is not");
}

#[test]
fn a_count_of_a_lot_is_of_its_own_figures() {
    let mut shop = dairy();
    let count = proto::Count { sku: "milk".into(), counted: 1, on_hand_seen: 3, lot: "sooner".into(), expiry: 0 };
    let counted = shop.stock("pool", START, stock_command::Kind::Count(count));
    let stock = counted.stock.expect("it shows the row");
    assert_eq!((stock.change, stock.on_hand, stock.lot.map(|lot| lot.on_hand)), (-2, 6, Some(1)));
}

#[test]
fn stock_is_in_lots_or_without_and_a_lot_has_one_expiry() {
    let mut shop = shop();
    for (lot, expiry, expected) in [
        ("", MORROW, EXPIRY),
        ("a", 0, EXPIRY),
        ("a", 19_700_229, EXPIRY),
        ("a", 19_691_231, EXPIRY),
        ("a", u32::MAX, EXPIRY),
        ("a", 99_991_231, APPLIED),
        ("a", 0, APPLIED),
        ("a", 99_991_231, APPLIED),
        ("a", 99_991_230, EXPIRY),
        ("b", MORROW, APPLIED),
        ("", 0, LOT),
        (&"x".repeat(129), MORROW, (Outcome::Invalid, Reason::IdTooLong)),
    ] {
        assert_eq!(said(&receive(&mut shop, lot, 1, expiry)), expected, "{lot} {expiry}");
    }
    assert_eq!(said(&adjust(&mut shop, "", 1)), LOT);
    assert_eq!(said(&adjust(&mut shop, "c", 1)), EXPIRY);
    assert_eq!(said(&receive(&mut shop, "a", 0, 1)), QUANTITY, "figures before days");
    assert_eq!(said(&halt(&mut shop, "c")), NO_SUCH_LOT);
    shop.receive("pool", "plain", 1);
    let lot = |lot: &str| proto::Halt { sku: "plain".into(), lot: lot.into() };
    let halt = |shop: &mut Shop, halt| said(&shop.stock("pool", START, stock_command::Kind::Halt(halt)));
    assert_eq!(halt(&mut shop, lot("a")), LOT);
    let nowhere = proto::Halt { sku: "nowhere".into(), lot: "a".into() };
    assert_eq!(halt(&mut shop, nowhere), (Outcome::Invalid, Reason::NoSuchSku));
    let whose = proto::Halt { sku: String::new(), lot: "a".into() };
    assert_eq!(halt(&mut shop, whose), (Outcome::Invalid, Reason::MissingId));
}

#[test]
fn a_row_of_which_an_order_holds_units_can_not_come_into_lots() {
    let mut shop = shop();
    shop.receive("pool", "milk", 2);
    let order = paid(&mut shop, 2);
    adjust(&mut shop, "", -2);
    assert_eq!(on_hand(&shop), (0, 0, 2));
    assert_eq!(said(&receive(&mut shop, "a", 1, MORROW)), LOT);
    shop.cancel(&order);
    assert_eq!(said(&receive(&mut shop, "a", 1, MORROW)), APPLIED);
}

#[test]
fn figures_of_a_lot_have_the_range_of_figures_of_a_row() {
    const MOST: u64 = 1_000_000_000_000;
    let mut shop = shop();
    for n in 0..1_000 {
        assert_eq!(said(&receive(&mut shop, "a", MOST, MORROW)), APPLIED, "{n}");
    }
    assert_eq!(said(&receive(&mut shop, "a", 1, 0)), QUANTITY);
    assert_eq!(said(&receive(&mut shop, "b", 1, MORROW)), QUANTITY, "the row is as full");
    let less = proto::Adjust { sku: "milk".into(), change: -1, lot: "b".into(), expiry: MORROW, ..Default::default() };
    shop.stock("pool", START, stock_command::Kind::Adjust(less));
    assert_eq!(said(&receive(&mut shop, "a", 1, 0)), QUANTITY, "the lot is still");
}

#[test]
fn a_row_has_up_to_256_lots() {
    let mut shop = shop();
    for n in 1..=256 {
        assert_eq!(level(&receive(&mut shop, &format!("lot-{n}"), 1, MORROW)).number, n);
    }
    assert_eq!(said(&receive(&mut shop, "one more", 1, 0)), EXPIRY, "first its day");
    assert_eq!(said(&receive(&mut shop, "one more", 1, MORROW)), TOO_MANY);
    adjust(&mut shop, "lot-77", -1);
    assert_eq!(level(&receive(&mut shop, "one more", 1, TODAY)).number, 77);
    // One line may take from all of them: an order of 256 parts.
    let all = buy(&mut shop, 256);
    assert_eq!((said(&all), all.lines[0].lots.len()), (RESERVED, 256));
    assert_eq!(all.lines[0].lots[0], LotUnits { lot: 77, units: 1, shortfall: 0 });
    assert_eq!(shop.confirm(&all), Outcome::Confirmed);
    assert_eq!(ship(&mut shop, &all, &[]).outcome(), Outcome::Shipped);
    assert_eq!(on_hand(&shop), (0, 0, 0));
}

#[test]
fn an_order_of_more_than_256_parts_is_scattered_from_the_line_of_the_257th_on() {
    let mut shop = shop();
    shop.receive("pool", "plain", 9);
    for n in 1..=256 {
        receive(&mut shop, &format!("lot-{n}"), 2, MORROW);
    }
    // Of two units in a lot, each but the first line leaves one to the next: 200, 2 and 56 parts.
    let scattered = shop.buy("ann", &[("milk", 399), ("plain", 1), ("milk", 2), ("milk", 110)]);
    assert_eq!(said(&scattered), (Outcome::Rejected, Reason::Scattered));
    let reasons: Vec<_> = scattered.lines.iter().map(|line| line.reason()).collect();
    assert_eq!(reasons, [Reason::Unspecified, Reason::Unspecified, Reason::Unspecified, Reason::Scattered]);
    assert!(scattered.lines.iter().all(|line| line.allocated == 0 && line.available.is_none()));
    let lines = shop.buy("ann", &[("milk", 511), ("milk", 1), ("plain", 1)]).lines;
    assert!(lines.iter().map(|line| line.reason()).eq([Reason::Unspecified, Reason::Scattered, Reason::Unspecified]));
    let short = shop.buy("ann", &[("milk", 511), ("milk", 1), ("plain", 10)]);
    assert_eq!(short.reason(), Reason::OutOfStock, "which comes first");
    assert_eq!(on_hand(&shop), (512, 0, 0));
    let all = buy(&mut shop, 511);
    assert_eq!((said(&all), all.lines[0].lots.len()), (RESERVED, 256));
}

#[test]
fn below_level_2_lots_are_not_supported_and_the_kind_is_echoed_where_it_is_known() {
    let mut shop = Shop::empty(1);
    let received = receive(&mut shop, "a", 1, MORROW);
    assert_eq!((received.outcome(), received.field, received.asked()), (Outcome::Unsupported, 3, Asked::Receive));
    assert!(!received.id.is_empty());
    let set = freshness(&mut shop, START, 1);
    assert_eq!((set.outcome(), set.asked(), &*set.id), (Outcome::Unsupported, Asked::Unspecified, ""));
    let order = proto::Decision { pool: "pool".into(), order_id: "1".into(), ..Default::default() };
    let shipped = ship(&mut shop, &order, &[("milk", "a", 1)]);
    assert_eq!((shipped.outcome(), shipped.field, &*shipped.order_id), (Outcome::Unsupported, 3, "1"));
    assert_eq!(ship(&mut shop, &order, &[]).outcome(), Outcome::NotAllowed);
    assert_eq!(said(&shop.receive("pool", "milk", 1)), APPLIED);
}

#[test]
fn lots_and_freshness_keep_a_row_and_count_as_memory() {
    let mut shop = dairy();
    adjust(&mut shop, "sooner", -8);
    assert_eq!(on_hand(&shop), (0, 0, 0), "what one lot has, the other lacks");
    shop.now += 10 * 1_000;
    shop.receive("pool", "other", 1);
    assert!(shop.ledger.stock("pool", "milk").is_some());
    adjust(&mut shop, "later", -5);
    adjust(&mut shop, "sooner", 5);
    let now = shop.now;
    freshness(&mut shop, now, 1);
    shop.now += 10 * 1_000;
    shop.receive("pool", "other", 1);
    assert!(shop.ledger.stock("pool", "milk").is_some(), "a rule keeps it");
    let now = shop.now;
    freshness(&mut shop, now, 0);
    shop.now += 10 * 1_000;
    shop.receive("pool", "other", 1);
    assert!(shop.ledger.stock("pool", "milk").is_none());
    let now = shop.now;
    assert_eq!(said(&freshness(&mut shop, now - 900, 1)), APPLIED, "the removal is forgotten with its row");

    let mut full = Shop::empty(2);
    // 10,000 ids: 99% of them for stock commands, each lot and its receipt for five.
    let mut made = 0;
    let answer = loop {
        let (sku, lot) = (format!("sku-{}", made / 250), format!("lot-{made}"));
        let receipt = proto::Receive { sku, quantity: 1, lot, expiry: MORROW };
        let received = full.stock("pool", START, stock_command::Kind::Receive(receipt));
        if received.outcome() != Outcome::Applied {
            break received.outcome();
        }
        made += 1;
    };
    assert_eq!((answer, made), (Outcome::Busy, 1_980));
}

#[test]
fn the_digest_of_a_row_in_lots_is_that_of_its_parts() {
    use xxhash_rust::xxh3::xxh3_128;

    let mut shop = dairy();
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let lot = |number: u32, name: &str, expiry: u32, figures: [i64; 3], halted: u8| {
        let figures = figures.map(i64::to_le_bytes).concat();
        let (pool, sku, name) = (text("pool"), text("milk"), text(name));
        let (number, expiry) = (number.to_le_bytes(), expiry.to_le_bytes());
        xxh3_128(&[&[11][..], &pool, &sku, &number, &name, &expiry, &figures, &[halted]].concat())
    };
    let digest = |shop: &mut Shop| u128::from_be_bytes(shop.ledger.digest());
    let row = |figures: [i64; 3]| {
        let figures = figures.map(i64::to_le_bytes).concat();
        let generation = START / 275;
        let end = [&0_i64.to_le_bytes()[..], &[0], &generation.to_le_bytes()].concat();
        xxh3_128(&[&[1][..], &text("pool"), &text("milk"), &figures, &end].concat())
    };
    let before = digest(&mut shop);
    let of_lots = lot(1, "later", THIRD, [5, 0, 0], 0).wrapping_add(lot(2, "sooner", MORROW, [3, 0, 0], 0));
    let rest = before.wrapping_sub(of_lots).wrapping_sub(row([8, 0, 0]));
    // What remains are the rules level and the two receipts: the same after an order was placed and has gone, but for it.
    let order = buy(&mut shop, 4);
    let of_order = digest(&mut shop)
        .wrapping_sub(rest)
        .wrapping_sub(row([8, 4, 0]))
        .wrapping_sub(lot(1, "later", THIRD, [5, 1, 0], 0))
        .wrapping_sub(lot(2, "sooner", MORROW, [3, 3, 0], 0));
    let expected = [
        &[3][..],
        &text("pool"),
        &text(&order.order_id),
        &0_u32.to_le_bytes(),
        &order.content.to_le_bytes(),
        &order.sequence.to_le_bytes(),
        &[OrderState::Held as u8],
        &order.expires_at_ms.to_le_bytes(),
        &text("milk"),
        &4_u32.to_le_bytes(),
        &[0_u32, 2, 3, 0, 1, 1].map(u32::to_le_bytes).concat(),
    ];
    assert_eq!(of_order, xxh3_128(&expected.concat()));
}

#[test]
fn the_whole_row_is_shown_beside_a_lot() {
    let mut shop = dairy();
    let received = receive(&mut shop, "sooner", 1, 0);
    let lot = LotLevel { number: 2, lot: "sooner".into(), expiry: MORROW, on_hand: 4, ..Default::default() };
    let expected = StockLevel { sku: "milk".into(), change: 1, on_hand: 9, lot: Some(lot), ..Default::default() };
    assert_eq!(received.stock, Some(expected));
}
