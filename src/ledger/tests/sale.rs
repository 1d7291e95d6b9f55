//! The guards of Sale and their edges.

use super::START;
use super::shop::{APPLIED, RESERVED, Shop, one_of_a, order, said, texts};
use crate::wire::proto::{self, Asked, Outcome, Reason, stock_command};

const NOT_OPEN: (Outcome, Reason) = (Outcome::NotOpen, Reason::Unspecified);
const CLOSED: (Outcome, Reason) = (Outcome::Rejected, Reason::Closed);
const NOT_ELIGIBLE: (Outcome, Reason) = (Outcome::Rejected, Reason::NotEligible);

/// From when until when "a" is sold, counted from [`START`]; 0: no such bound.
fn hours(opens: i64, closes: i64) -> proto::SetSale {
    let [opens_at_ms, closes_at_ms] = [opens, closes].map(|at| if at == 0 { 0 } else { START + at });
    proto::SetSale { sku: "a".into(), opens_at_ms, closes_at_ms, ..Default::default() }
}

fn early(segment: &str, opens_at_ms: i64) -> proto::EarlySale {
    proto::EarlySale { segment: segment.into(), opens_at_ms }
}

/// Of the whole pool.
fn of_pool(sale: proto::SetSale) -> proto::SetSale {
    proto::SetSale { sku: String::new(), ..sale }
}

#[test]
fn nothing_is_sold_before_its_sale_opens_and_everything_from_then_on() {
    let mut shop = Shop::new();
    let set = shop.sale(hours(10, 0));
    assert_eq!(said(&set), APPLIED);
    shop.now = START + 9;
    let early = shop.buy("ann", &[("b", 1), ("a", 1)]);
    assert_eq!((said(&early), early.opens_at_ms, early.rule), (NOT_OPEN, START + 10, 0));
    let told = |line: &proto::LineDecision| (line.allocated, line.opens_at_ms, line.rule);
    assert_eq!(early.lines.iter().map(told).collect::<Vec<_>>(), [(0, 0, 0), (0, START + 10, set.sequence)]);
    assert_eq!(said(&shop.buy("ann", &[("b", 1)])), RESERVED, "what no rule is about is sold freely");
    shop.now = START + 10;
    assert_eq!(said(&shop.buy("ann", &[("b", 1), ("a", 1)])), RESERVED);
}

#[test]
fn who_came_too_early_may_come_again_under_the_same_id() {
    let mut shop = Shop::new();
    shop.sale(hours(10, 0));
    let remembered = shop.ledger.pressure().remembered;
    let knock = proto::Place { order_id: "knock".into(), placed_at_ms: START, ..one_of_a(&[]) };
    assert_eq!(said(&shop.place(knock.clone())), NOT_OPEN);
    assert_eq!(said(&shop.place(knock.clone())), NOT_OPEN);
    assert_eq!(shop.ledger.pressure().remembered, remembered);
    shop.now = START + 10;
    assert_eq!(said(&shop.place(knock.clone())), RESERVED);
    assert_eq!(shop.place(knock).outcome(), Outcome::Duplicate);
}

#[test]
fn a_segment_that_may_come_early_does_and_the_earliest_counts() {
    let mut shop = Shop::new();
    let early = vec![early("gold", START + 3), early("silver", START + 6), early("staff", 0)];
    shop.sale(proto::SetSale { early, ..hours(10, 0) });
    for (at, segments, opens_at) in [
        (2, &["gold"][..], Some(3)),
        (2, &["silver", "gold"], Some(3)),
        (5, &["silver"], Some(6)),
        (9, &[], Some(10)),
        (9, &["bronze"], Some(10)),
    ] {
        shop.now = START + at;
        let refused = shop.place(one_of_a(segments));
        assert_eq!((said(&refused), Some(refused.opens_at_ms - START)), (NOT_OPEN, opens_at), "{at} {segments:?}");
    }
    for (at, segments, passed_by) in [
        (0, &["staff"][..], &["staff"][..]),
        (3, &["bronze", "gold"], &["gold"]),
        (6, &["silver", "gold"], &["gold"]),
        (9, &["silver"], &["silver"]),
        // Open to all: nobody passes by a segment any more.
        (10, &["gold"], &[]),
    ] {
        let mut shop = Shop::new();
        let early = vec![self::early("gold", START + 3), self::early("silver", START + 6), self::early("staff", 0)];
        shop.sale(proto::SetSale { early, ..hours(10, 0) });
        shop.now = START + at;
        let passed = shop.place(one_of_a(segments));
        assert_eq!((said(&passed), &passed.segments), (RESERVED, &texts(passed_by)), "{at} {segments:?}");
        assert_eq!((&*passed.customer, passed.keys.len(), passed.counted.len()), ("", 0, 0), "nothing is counted");
    }
}

#[test]
fn a_sale_is_over_at_its_end() {
    let mut shop = Shop::new();
    let set = shop.sale(hours(0, 10));
    shop.now = START + 9;
    assert_eq!(said(&shop.place(one_of_a(&[]))), RESERVED);
    shop.now = START + 10;
    let late = proto::Place { order_id: "late".into(), placed_at_ms: START, ..order("ann", &[("a", 1), ("b", 1)]) };
    let closed = shop.place(late.clone());
    assert_eq!((said(&closed), closed.rule), (CLOSED, 0));
    let told = |line: &proto::LineDecision| (line.reason(), line.rule);
    let lines: Vec<_> = closed.lines.iter().map(told).collect();
    assert_eq!(lines, [(Reason::Closed, set.sequence), (Reason::Unspecified, 0)]);
    let again = shop.place(late);
    let original = again.original.map(|first| (first.sequence, first.reason()));
    assert_eq!((again.outcome(), original), (Outcome::Duplicate, Some((closed.sequence, Reason::Closed))));
}

#[test]
fn a_sale_for_some_asks_for_one_of_their_segments() {
    let mut shop = Shop::new();
    let set = shop.sale(proto::SetSale { only: texts(&["seoul", "busan"]), ..hours(0, 0) });
    for segments in [&[][..], &["daegu"]] {
        let refused = shop.place(one_of_a(segments));
        assert_eq!((said(&refused), refused.lines[0].rule), (NOT_ELIGIBLE, set.sequence));
    }
    let passed = shop.place(one_of_a(&["gold", "busan", "seoul"]));
    assert_eq!((said(&passed), passed.segments), (RESERVED, texts(&["busan"])));
}

#[test]
fn the_sales_of_pool_and_sku_both_must_allow_and_the_pools_is_asked_first() {
    let mut shop = Shop::new();
    let of_sku = shop.sale(proto::SetSale { only: texts(&["seoul"]), ..hours(20, 40) });
    let pools = shop.sale(proto::SetSale { only: texts(&["gold"]), ..of_pool(hours(10, 50)) });
    let both = &["gold", "seoul"][..];
    for (at, segments, answer, by_pool) in [
        (9, both, NOT_OPEN, true),
        (10, &["seoul"], NOT_ELIGIBLE, true),
        (19, both, NOT_OPEN, false),
        (20, &["gold"], NOT_ELIGIBLE, false),
        (20, &["seoul"], NOT_ELIGIBLE, true),
        (39, both, RESERVED, false),
        (40, both, CLOSED, false),
        (49, &["seoul"], NOT_ELIGIBLE, true),
        (50, both, CLOSED, true),
    ] {
        shop.now = START + at;
        let decision = shop.place(one_of_a(segments));
        assert_eq!(said(&decision), answer, "at {at} {segments:?}");
        if answer == RESERVED {
            assert_eq!(decision.segments, texts(both));
        } else if by_pool {
            assert_eq!((decision.rule, decision.lines.len()), (pools.sequence, 0), "at {at}");
        } else {
            assert_eq!((decision.rule, decision.lines[0].rule), (0, of_sku.sequence), "at {at}");
        }
    }
}

#[test]
fn the_pools_sale_is_asked_before_any_line_and_lines_guard_by_guard() {
    let mut shop = Shop::new();
    let unknown = [("nowhere", 1), ("a", 1)];
    shop.sale(hours(10, 0));
    shop.sale(proto::SetSale { sku: "b".into(), ..hours(20, 0) });
    shop.sale(proto::SetSale { sku: "c".into(), only: texts(&["gold"]), ..hours(0, 0) });
    assert_eq!(said(&shop.buy("ann", &unknown)), (Outcome::Rejected, Reason::UnknownSku));
    // All of it may be sold once the last line may; and who is not eligible is told so only then.
    let refused = shop.buy("ann", &[("c", 1), ("a", 1), ("b", 1)]);
    assert_eq!((said(&refused), refused.opens_at_ms), (NOT_OPEN, START + 20));
    let opens: Vec<_> = refused.lines.iter().map(|line| line.opens_at_ms).collect();
    assert_eq!(opens, [0, START + 10, START + 20]);
    // What is halted outweighs what is not open.
    shop.stock("pool", START, stock_command::Kind::Halt(proto::Halt { sku: "c".into(), ..Default::default() }));
    let halted = (Outcome::Rejected, Reason::Halted);
    assert_eq!(said(&shop.buy("ann", &[("a", 1), ("c", 1)])), halted);
    // And a rule outweighs what is short.
    assert_eq!(said(&shop.buy("ann", &[("a", 101)])), NOT_OPEN);
    shop.sale(of_pool(hours(5, 0)));
    assert_eq!(said(&shop.buy("ann", &unknown)), NOT_OPEN);
    shop.stock("pool", START, stock_command::Kind::Halt(proto::Halt::default()));
    assert_eq!(said(&shop.buy("ann", &unknown)), halted);
}

#[test]
fn a_sale_stands_as_it_was_set_last_until_it_is_removed() {
    let mut shop = Shop::new();
    let first = proto::SetSale { early: vec![early("gold", 1)], only: texts(&["x", "gold"]), ..hours(10, 20) };
    let set = shop.sale(first.clone());
    assert_eq!((set.sale, set.issued_at_ms, set.limit), (Some(first), START, None), "the decision tells it whole");
    assert_eq!(said(&shop.place(one_of_a(&[]))), NOT_OPEN);
    let second = shop.sale(hours(5, 0));
    let refused = shop.place(one_of_a(&["gold"]));
    assert_eq!((said(&refused), refused.opens_at_ms), (NOT_OPEN, START + 5), "nothing of the first is left");
    assert_eq!(refused.lines[0].rule, second.sequence);
    let removed = shop.sale(hours(0, 0));
    assert_eq!((said(&removed), removed.sale), (APPLIED, Some(hours(0, 0))));
    assert_eq!(said(&shop.place(one_of_a(&[]))), RESERVED);
    shop.sale(of_pool(hours(5, 0)));
    assert_eq!(said(&shop.place(one_of_a(&[]))), NOT_OPEN);
    let removed = shop.sale(proto::SetSale::default());
    assert_eq!((said(&removed), removed.sale), (APPLIED, Some(proto::SetSale::default())));
    assert_eq!(said(&shop.place(one_of_a(&[]))), RESERVED);
}

#[test]
fn a_command_that_sets_a_rule_is_applied_once() {
    let mut shop = Shop::new();
    let set = |sale| proto::StockCommand {
        pool: "pool".into(),
        id: "set".into(),
        issued_at_ms: START,
        kind: Some(stock_command::Kind::SetSale(sale)),
        reply_partition: None,
    };
    let first = shop.stock_command(set(hours(10, 0)));
    assert_eq!(said(&first), APPLIED);
    shop.sale(hours(0, 0));
    let again = shop.stock_command(set(hours(10, 0)));
    assert_eq!((again.outcome(), again.original.map(|it| it.sequence)), (Outcome::Duplicate, Some(first.sequence)));
    assert_eq!(shop.stock_command(set(hours(11, 0))).outcome(), Outcome::Conflict);
    assert_eq!(said(&shop.place(one_of_a(&[]))), RESERVED, "a repeat sets nothing");
}

#[test]
fn a_sale_that_was_issued_before_the_one_that_stands_or_its_removal_is_stale() {
    const STALE: (Outcome, Reason) = (Outcome::NotAllowed, Reason::Stale);
    let mut shop = Shop::new();
    for pool in [false, true] {
        let sale = |opens| if pool { of_pool(hours(opens, 0)) } else { hours(opens, 0) };
        assert_eq!(said(&shop.sale_of(START - 5, sale(10))), APPLIED);
        let remembered = shop.ledger.pressure().remembered;
        let stale = shop.sale_of(START - 6, sale(0));
        assert_eq!((said(&stale), stale.sale), (STALE, None));
        assert_eq!(shop.ledger.pressure().remembered, remembered, "it may be issued anew");
        assert_eq!(said(&shop.place(one_of_a(&[]))), NOT_OPEN);
        assert_eq!(said(&shop.sale_of(START - 5, sale(20))), APPLIED, "at the same time the later command counts");
        assert_eq!(shop.place(one_of_a(&[])).opens_at_ms, START + 20);
        assert_eq!(said(&shop.sale_of(START - 3, sale(0))), APPLIED);
        assert_eq!(said(&shop.sale_of(START - 4, sale(10))), STALE);
        assert_eq!(said(&shop.place(one_of_a(&[]))), RESERVED);
        assert_eq!(said(&shop.sale_of(START - 3, sale(30))), APPLIED);
        assert_eq!(said(&shop.sale_of(START, sale(0))), APPLIED);
    }
}

#[test]
fn a_sale_that_contradicts_itself_is_invalid() {
    let long = "x".repeat(129);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let many_early = many.iter().map(|segment| early(segment, 1)).collect();
    let only = |only| proto::SetSale { only, ..hours(0, 0) };
    let gold = |at: i64, sale| proto::SetSale { early: vec![early("gold", at)], ..sale };
    let mut shop = Shop::new();
    for (sale, reason) in [
        (hours(10, 10), Reason::Times),
        (hours(10, 9), Reason::Times),
        (proto::SetSale { opens_at_ms: -1, ..hours(0, 0) }, Reason::Times),
        (proto::SetSale { closes_at_ms: -1, ..hours(0, 0) }, Reason::Times),
        (gold(-1, hours(10, 0)), Reason::Times),
        (gold(START + 10, hours(10, 0)), Reason::Times),
        (gold(0, hours(0, 10)), Reason::Times),
        (only(texts(&["gold", "seoul", "gold"])), Reason::Doubled),
        (proto::SetSale { early: vec![early("gold", 1), early("gold", 2)], ..hours(10, 0) }, Reason::Doubled),
        (only(many.clone()), Reason::TooMany),
        (proto::SetSale { early: many_early, ..hours(10, 0) }, Reason::TooMany),
        (only(texts(&["gold", ""])), Reason::MissingId),
        (only(texts(&[&long])), Reason::IdTooLong),
        (proto::SetSale { early: vec![early("", 1)], ..hours(10, 0) }, Reason::MissingId),
        (proto::SetSale { early: vec![early(&long, 1)], ..hours(10, 0) }, Reason::IdTooLong),
        (proto::SetSale { sku: long.clone(), ..hours(10, 0) }, Reason::IdTooLong),
    ] {
        assert_eq!(said(&shop.sale(sale.clone())), (Outcome::Invalid, reason), "{sale:?}");
    }
    // The edges that are allowed.
    assert_eq!(said(&shop.sale(gold(START + 9, hours(10, 11)))), APPLIED);
    assert_eq!(said(&shop.sale(only(many[..16].to_vec()))), APPLIED);
    let twice = proto::SetSale { early: vec![early("gold", 1)], only: texts(&["gold"]), ..hours(10, 0) };
    assert_eq!(said(&shop.sale(twice)), APPLIED, "a segment may stand in both lists");
}

#[test]
fn what_an_order_brings_is_held_to_its_limits() {
    let long = "x".repeat(129);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let with = |segments: Vec<String>, keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(name, value)| super::shop::key(name, value)).collect();
        proto::Place { segments, keys, ..one_of_a(&[]) }
    };
    let mut shop = Shop::new();
    for (place, reason) in [
        (with(texts(&["gold", "gold"]), &[]), Reason::Doubled),
        (with(many.clone(), &[]), Reason::TooMany),
        (with(texts(&[""]), &[]), Reason::MissingId),
        (with(texts(&[&long]), &[]), Reason::IdTooLong),
        (with(vec![], &[("card", "1"), ("card", "2")]), Reason::Doubled),
        (with(vec![], &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]), Reason::TooMany),
        (with(vec![], &[("", "1")]), Reason::MissingId),
        (with(vec![], &[("card", "")]), Reason::MissingId),
        (with(vec![], &[(&long, "1")]), Reason::IdTooLong),
        (with(vec![], &[("card", &long)]), Reason::IdTooLong),
    ] {
        assert_eq!(said(&shop.place(place.clone())), (Outcome::Invalid, reason), "{place:?}");
    }
    let most = with(many[..16].to_vec(), &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
    let passed = shop.place(most);
    assert_eq!((said(&passed), passed.segments.len(), passed.keys.len()), (RESERVED, 0, 0), "no rule asked for any");
}

#[test]
fn a_repeat_may_bring_other_segments_but_no_other_keys() {
    let mut shop = Shop::new();
    let keys = |card: &str| vec![super::shop::key("card", card)];
    let first = proto::Place { order_id: "order".into(), placed_at_ms: START, keys: keys("1"), ..one_of_a(&["gold"]) };
    assert_eq!(said(&shop.place(first.clone())), RESERVED);
    let member_by_now = proto::Place { segments: texts(&["gold", "member"]), ..first.clone() };
    assert_eq!(shop.place(member_by_now).outcome(), Outcome::Duplicate);
    for keys in [keys("2"), vec![]] {
        assert_eq!(shop.place(proto::Place { keys, ..first.clone() }).outcome(), Outcome::Conflict);
    }
}

#[test]
fn at_rules_level_0_nothing_of_it_is_supported() {
    let mut shop = Shop::empty(0);
    shop.receive("pool", "a", 10);
    let before = shop.ledger.digest();
    let keys = vec![super::shop::key("card", "1")];
    let limit = proto::SetLimit { name: "l".into(), units: 1, whole_pool: true, ..Default::default() };
    let answers = [
        shop.place(one_of_a(&["gold"])),
        shop.place(proto::Place { keys: keys.clone(), ..one_of_a(&[]) }),
        shop.place(proto::Place { keys, ..one_of_a(&["gold"]) }),
        shop.sale(hours(10, 0)),
        shop.sale(hours(0, 0)),
        shop.limit(limit.clone()),
    ];
    assert!(answers.iter().all(|answer| answer.outcome() == Outcome::Unsupported), "{answers:?}");
    assert_eq!(answers.each_ref().map(|answer| answer.field), [10, 11, 10, 14, 14, 15]);
    // An engine that knows no more than this level replays the log, and does not know what was asked.
    for answer in &answers[3..] {
        assert_eq!((answer.asked(), &*answer.pool, &*answer.id), (Asked::Unspecified, "pool", ""));
    }
    assert_eq!(shop.ledger.digest(), before);
    let raise = proto::RaiseRulesLevel { shard: 0, level: 1 };
    assert_eq!(said(&shop.stock("", 0, stock_command::Kind::RaiseRulesLevel(raise))), APPLIED);
    assert_eq!(said(&shop.limit(limit)), APPLIED);
    assert_eq!(said(&shop.sale(hours(10, 0))), APPLIED);
    assert_eq!(said(&shop.place(one_of_a(&["gold"]))), NOT_OPEN);
}
