//! The guards of Limit and their edges.

use super::START;
use super::shop::{APPLIED, RESERVED, Shop, key, order, said, texts};
use crate::wire::proto::{self, Outcome, Reason, stock_command};

const LIMIT: (Outcome, Reason) = (Outcome::Rejected, Reason::Limit);
const NOT_ELIGIBLE: (Outcome, Reason) = (Outcome::Rejected, Reason::NotEligible);

/// "phones": so many units for each customer of these SKUs.
fn phones(units: u64, skus: &[&str]) -> proto::SetLimit {
    proto::SetLimit { name: "phones".into(), units, skus: texts(skus), ..Default::default() }
}

fn named(name: &str, limit: proto::SetLimit) -> proto::SetLimit {
    proto::SetLimit { name: name.into(), ..limit }
}

fn removal() -> proto::SetLimit {
    phones(0, &[])
}

fn by(name: &str, limit: proto::SetLimit) -> proto::SetLimit {
    proto::SetLimit { key: name.into(), ..limit }
}

/// What is left to the first line that has too much of it.
fn left(decision: &proto::Decision) -> Option<u64> {
    assert_eq!(said(decision), LIMIT);
    decision.lines.iter().find_map(|line| line.left)
}

fn counted(count: u64, period: i64, units: u32) -> Vec<proto::Counted> {
    vec![proto::Counted { count, period, units, ..Default::default() }]
}

#[test]
fn a_limit_counts_its_skus_together_for_each_customer() {
    let mut shop = Shop::new();
    let set = shop.limit(phones(2, &["a", "b"]));
    assert_eq!(said(&set), APPLIED);
    assert_eq!((set.limit, set.sale, set.issued_at_ms), (Some(phones(2, &["a", "b"])), None, START));
    let first = shop.buy("ann", &[("a", 1), ("c", 5)]);
    assert_eq!((said(&first), &first.counted), (RESERVED, &counted(set.sequence, 0, 1)), "of c nothing is counted");
    assert_eq!((&*first.customer, first.keys.len(), first.segments.len()), ("ann", 0, 0));
    let refused = shop.buy("ann", &[("c", 1), ("b", 2)]);
    assert_eq!((said(&refused), refused.rule), (LIMIT, 0));
    let told = |line: &proto::LineDecision| (line.allocated, line.reason(), line.left, line.rule);
    let lines: Vec<_> = refused.lines.iter().map(told).collect();
    assert_eq!(lines, [(0, Reason::Unspecified, None, 0), (0, Reason::Limit, Some(1), set.sequence)]);
    assert_eq!(said(&shop.buy("ann", &[("b", 1)])), RESERVED);
    assert_eq!(left(&shop.buy("ann", &[("a", 1)])), Some(0));
    let other = shop.buy("bob", &[("a", 1), ("b", 1)]);
    assert_eq!((said(&other), other.counted), (RESERVED, counted(set.sequence, 0, 2)));
    let free = shop.buy("ann", &[("c", 5)]);
    assert_eq!((said(&free), &*free.customer, free.counted), (RESERVED, "", vec![]), "nobody asks who bought it");
}

#[test]
fn lines_of_one_sku_add_up_as_they_were_asked() {
    let mut shop = Shop::new();
    shop.limit(phones(3, &["a", "b"]));
    let refused = shop.buy("ann", &[("a", 2), ("a", 2), ("b", 1)]);
    let lefts: Vec<_> = refused.lines.iter().map(|line| line.left).collect();
    assert_eq!((said(&refused), lefts), (LIMIT, vec![None, Some(1), Some(0)]));
    assert_eq!(said(&shop.buy("ann", &[("a", 2), ("a", 1)])), RESERVED);
    assert_eq!(left(&shop.buy("ann", &[("a", 1)])), Some(0));
}

#[test]
fn a_rejected_order_counts_nothing_and_is_remembered() {
    let mut shop = Shop::new();
    shop.limit(phones(1, &["a"]));
    let too_many = proto::Place { order_id: "order".into(), ..order("ann", &[("a", 2)]) };
    assert_eq!(left(&shop.place(too_many.clone())), Some(1));
    let again = shop.place(too_many);
    assert_eq!((again.outcome(), again.original.map(|it| it.reason())), (Outcome::Duplicate, Some(Reason::Limit)));
    let short = (Outcome::Rejected, Reason::OutOfStock);
    assert_eq!(said(&shop.buy("ann", &[("a", 1), ("c", 101)])), short);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED);
    assert_eq!(left(&shop.buy("ann", &[("a", 1), ("c", 101)])), Some(0), "a limit outweighs what is short");
}

#[test]
fn units_an_order_bound_each_order_and_not_all_of_them() {
    let mut shop = Shop::new();
    let an_order = proto::SetLimit { units_an_order: 2, ..phones(0, &["a", "b"]) };
    shop.limit(an_order.clone());
    assert_eq!(left(&shop.buy("ann", &[("a", 3)])), Some(2));
    assert_eq!(left(&shop.buy("ann", &[("a", 2), ("b", 1)])), Some(0));
    for _ in 0..3 {
        assert_eq!(said(&shop.buy("ann", &[("a", 1), ("b", 1)])), RESERVED);
    }
    // Those orders count once a bound on all of them stands; whichever leaves less is told.
    shop.limit(proto::SetLimit { units: 7, ..an_order });
    assert_eq!(left(&shop.buy("ann", &[("a", 2)])), Some(1));
    assert_eq!(left(&shop.buy("bob", &[("a", 3)])), Some(2));
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED);
}

#[test]
fn a_customer_may_have_more_units_than_32_bits_hold() {
    let mut shop = Shop::empty(1);
    for _ in 0..6 {
        shop.receive("pool", "a", 1_000_000_000);
    }
    shop.limit(proto::SetLimit { units_an_order: 1_000_000_000, ..phones(1_000_000_000_000, &["a"]) });
    let order: Vec<_> = (0..200).map(|_| ("a", 1_000_000)).collect();
    let orders: Vec<_> = (0..24).map(|_| shop.buy("ann", &order)).collect();
    assert!(orders.iter().all(|order| said(order) == RESERVED));
    assert!(orders.iter().all(|order| shop.cancel(order) == Outcome::Cancelled));
    shop.limit(phones(1, &["a"]));
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED, "all were given back");
}

#[test]
fn a_cancelled_or_expired_order_gives_back_and_a_shipped_one_does_not() {
    let mut shop = Shop::new();
    shop.limit(phones(1, &["a"]));
    let one = [("a", 1)];
    let held = shop.buy("ann", &one);
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    shop.cancel(&held);
    shop.buy("ann", &one);
    shop.now += 499;
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    shop.now += 1;
    let committed = shop.buy("ann", &one);
    assert_eq!((said(&committed), shop.confirm(&committed)), (RESERVED, Outcome::Confirmed));
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    assert_eq!(shop.cancel(&committed), Outcome::Cancelled);
    let shipped = shop.buy("ann", &one);
    assert_eq!(
        (said(&shipped), shop.confirm(&shipped), shop.ship(&shipped)),
        (RESERVED, Outcome::Confirmed, Outcome::Shipped)
    );
    assert_eq!(left(&shop.buy("ann", &one)), Some(0));
}

#[test]
fn a_period_ends_by_its_anchor_and_counting_begins_anew() {
    let mut shop = Shop::new();
    let one = [("a", 1)];
    let anchor_ms = START + 50;
    let set = shop.limit(proto::SetLimit { period_ms: 100, anchor_ms, ..phones(1, &["a"]) });
    shop.now = START + 49;
    let before = shop.buy("ann", &one);
    assert_eq!(before.counted, counted(set.sequence, -1, 1));
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    shop.now = START + 50;
    let after = shop.buy("ann", &one);
    assert_eq!((said(&after), &after.counted), (RESERVED, &counted(set.sequence, 0, 1)));
    // A release gives back to the period that the units were taken from.
    shop.cancel(&before);
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    shop.now = START + 149;
    assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    shop.now = START + 150;
    let next = shop.buy("ann", &one);
    assert_eq!((said(&next), &next.counted), (RESERVED, &counted(set.sequence, 1, 1)));
    shop.cancel(&next);
    assert_eq!(said(&shop.buy("ann", &one)), RESERVED);
    // Periods in which nothing happened are counted, too.
    shop.now = START + 450;
    assert_eq!(shop.buy("ann", &one).counted, counted(set.sequence, 4, 1));
}

#[test]
fn a_period_without_an_anchor_begins_with_the_epoch() {
    let mut shop = Shop::new();
    shop.limit(proto::SetLimit { period_ms: 100, ..phones(1, &["a"]) });
    shop.now = START + 99;
    assert_eq!(shop.buy("ann", &[("a", 1)]).counted[0].period, START / 100);
    shop.now = START + 100;
    assert_eq!(shop.buy("ann", &[("a", 1)]).counted[0].period, START / 100 + 1);
}

#[test]
fn other_figures_and_skus_keep_what_was_counted() {
    let mut shop = Shop::new();
    let first = shop.limit(phones(1, &["a"]));
    let held = shop.buy("ann", &[("a", 1)]);
    let second = shop.limit(phones(3, &["b", "c"]));
    assert_eq!(said(&shop.buy("ann", &[("a", 50)])), RESERVED, "it is no longer about a");
    let refused = shop.buy("ann", &[("b", 3)]);
    assert_eq!((left(&refused), refused.lines[0].rule), (Some(2), second.sequence));
    let more = shop.buy("ann", &[("b", 2)]);
    assert_eq!((said(&more), more.counted), (RESERVED, counted(first.sequence, 0, 2)));
    shop.cancel(&held);
    assert_eq!(left(&shop.buy("ann", &[("c", 2)])), Some(1), "an order gives back to a count that goes on");
    shop.limit(phones(1, &["c"]));
    assert_eq!(left(&shop.buy("ann", &[("c", 1)])), Some(0), "more is counted than it now allows");
}

#[test]
fn another_period_anchor_or_key_begins_a_count_to_which_older_orders_give_nothing_back() {
    let periodic = |period_ms, anchor_ms| proto::SetLimit { period_ms, anchor_ms, ..phones(1, &["a"]) };
    for (before, after) in [
        (phones(1, &["a"]), periodic(1_000_000, 0)),
        (periodic(1_000_000, 0), periodic(2_000_000, 0)),
        (periodic(1_000_000, 0), periodic(1_000_000, 1)),
        (phones(1, &["a"]), by("card", phones(1, &["a"]))),
        (by("card", phones(1, &["a"])), by("home", phones(1, &["a"]))),
    ] {
        let mut shop = Shop::new();
        let buy = |shop: &mut Shop| {
            let keys = vec![key("card", "c1"), key("home", "h1")];
            shop.place(proto::Place { keys, ..order("ann", &[("a", 1)]) })
        };
        let first = shop.limit(before);
        let old = buy(&mut shop);
        assert_eq!((said(&old), old.counted[0].count), (RESERVED, first.sequence));
        assert_eq!(said(&buy(&mut shop)), LIMIT);
        let second = shop.limit(after.clone());
        let new = buy(&mut shop);
        assert_eq!((said(&new), new.counted[0].count), (RESERVED, second.sequence), "{after:?}");
        shop.cancel(&old);
        assert_eq!(said(&buy(&mut shop)), LIMIT, "{after:?}");
        shop.cancel(&new);
        assert_eq!(said(&buy(&mut shop)), RESERVED, "{after:?}");
    }
}

#[test]
fn a_limit_that_is_removed_and_set_again_while_orders_are_open_counts_anew() {
    let mut shop = Shop::new();
    let one = [("a", 1)];
    shop.limit(phones(1, &["a"]));
    let counted_once = shop.buy("ann", &one);
    let removed = shop.limit(removal());
    assert_eq!((said(&removed), removed.limit), (APPLIED, Some(removal())));
    let uncounted = shop.buy("ann", &one);
    assert_eq!((said(&uncounted), uncounted.counted.len()), (RESERVED, 0));
    let again = shop.limit(phones(1, &["a"]));
    let held = shop.buy("ann", &one);
    assert_eq!((said(&held), &held.counted), (RESERVED, &counted(again.sequence, 0, 1)));
    for old in [counted_once, uncounted] {
        assert_eq!(shop.cancel(&old), Outcome::Cancelled);
        assert_eq!(said(&shop.buy("ann", &one)), LIMIT);
    }
    assert_eq!((said(&shop.limit(removal())), said(&shop.limit(removal()))), (APPLIED, APPLIED));
    assert_eq!(shop.cancel(&held), Outcome::Cancelled, "nothing counts it any more");
}

#[test]
fn a_limit_may_count_by_a_key_that_the_order_brings() {
    let mut shop = Shop::new();
    let set = shop.limit(by("card", phones(1, &["a"])));
    let of = |customer: &str, keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(name, value)| key(name, value)).collect();
        proto::Place { keys, ..order(customer, &[("a", 1)]) }
    };
    for keys in [&[][..], &[("home", "c1")]] {
        let refused = shop.place(of("ann", keys));
        assert_eq!((said(&refused), refused.lines[0].rule, refused.lines[0].left), (NOT_ELIGIBLE, set.sequence, None));
    }
    let passed = shop.place(of("ann", &[("home", "h1"), ("card", "c1"), ("device", "d1")]));
    assert_eq!((said(&passed), &passed.counted), (RESERVED, &counted(set.sequence, 0, 1)));
    assert_eq!((&*passed.customer, passed.keys), ("", vec![key("card", "c1")]), "what counts goes by, and no more");
    assert_eq!(said(&shop.place(of("bob", &[("card", "c1")]))), LIMIT);
    assert_eq!(said(&shop.place(of("ann", &[("card", "c2")]))), RESERVED);
    assert_eq!(said(&shop.buy("ann", &[("b", 1)])), RESERVED, "other SKUs ask for no key");
}

#[test]
fn a_limit_of_the_whole_pool_counts_every_sku_of_it_and_of_no_other() {
    let mut shop = Shop::new();
    let set = shop.limit(proto::SetLimit { whole_pool: true, ..phones(3, &[]) });
    shop.receive("pool", "later", 10);
    shop.receive("other", "a", 10);
    assert_eq!(shop.buy("ann", &[("a", 1), ("later", 1)]).counted, counted(set.sequence, 0, 2));
    assert_eq!(left(&shop.buy("ann", &[("c", 2)])), Some(1));
    let other = shop.place(proto::Place { pool: "other".into(), ..order("ann", &[("a", 9)]) });
    assert_eq!((said(&other), other.counted.len()), (RESERVED, 0));
    // It may become one of some SKUs, and the other way round.
    shop.limit(phones(3, &["a"]));
    assert_eq!(said(&shop.buy("ann", &[("c", 9)])), RESERVED);
    assert_eq!(left(&shop.buy("ann", &[("a", 2)])), Some(1));
    shop.limit(proto::SetLimit { whole_pool: true, ..phones(3, &[]) });
    assert_eq!(left(&shop.buy("ann", &[("c", 2)])), Some(1));
}

#[test]
fn limits_of_one_name_in_two_pools_are_two() {
    let mut shop = Shop::new();
    shop.receive("other", "a", 10);
    shop.limit(phones(1, &["a"]));
    shop.stock("other", START, stock_command::Kind::SetLimit(phones(1, &["a"])));
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED);
    let elsewhere = || proto::Place { pool: "other".into(), ..order("ann", &[("a", 1)]) };
    assert_eq!(said(&shop.place(elsewhere())), RESERVED);
    assert_eq!(said(&shop.place(elsewhere())), LIMIT);
}

#[test]
fn a_sku_under_two_limits_must_pass_both_and_is_told_what_leaves_less() {
    let mut shop = Shop::new();
    let ours = shop.limit(phones(3, &["a", "b"]));
    let cards = shop.limit(by("card", named("cards", phones(5, &["a"]))));
    let of = |customer: &str, units| proto::Place { keys: vec![key("card", "c1")], ..order(customer, &[("a", units)]) };
    let first = shop.place(of("ann", 2));
    let both: Vec<_> = [ours.sequence, cards.sequence].iter().flat_map(|count| counted(*count, 0, 2)).collect();
    assert_eq!((said(&first), &first.counted), (RESERVED, &both));
    assert_eq!((&*first.customer, &first.keys), ("ann", &vec![key("card", "c1")]));
    let refused = shop.place(of("ann", 9));
    assert_eq!((left(&refused), refused.lines[0].rule), (Some(1), ours.sequence));
    assert_eq!(said(&shop.place(of("bob", 2))), RESERVED);
    let refused = shop.place(of("cid", 9));
    assert_eq!((left(&refused), refused.lines[0].rule), (Some(1), cards.sequence));
    shop.cancel(&first);
    assert_eq!(said(&shop.place(of("cid", 3))), RESERVED, "both were given back to");
    assert_eq!(said(&shop.place(of("ann", 1))), LIMIT);
}

#[test]
fn a_third_limit_on_a_sku_is_one_too_many() {
    const TOO_MANY: (Outcome, Reason) = (Outcome::Invalid, Reason::TooMany);
    let whole = |name: &str| proto::SetLimit { whole_pool: true, ..named(name, phones(1, &[])) };
    let mut shop = Shop::new();
    assert_eq!(said(&shop.limit(named("1", phones(1, &["a", "b"])))), APPLIED);
    assert_eq!(said(&shop.limit(named("2", phones(1, &["a"])))), APPLIED);
    assert_eq!(said(&shop.limit(named("3", phones(1, &["c", "a"])))), TOO_MANY);
    assert_eq!(said(&shop.limit(whole("3"))), TOO_MANY);
    assert_eq!(said(&shop.limit(named("3", phones(1, &["b", "c"])))), APPLIED);
    // One that stands may be set anew, and one that makes room for another is gone.
    assert_eq!(said(&shop.limit(named("2", phones(2, &["a"])))), APPLIED);
    assert_eq!(said(&shop.limit(whole("2"))), TOO_MANY, "of b there are two others");
    assert_eq!(said(&shop.limit(named("1", removal()))), APPLIED);
    assert_eq!(said(&shop.limit(whole("2"))), APPLIED, "in place of its own SKUs");
    assert_eq!(said(&shop.limit(whole("4"))), TOO_MANY);
    assert_eq!(said(&shop.limit(named("4", phones(1, &["a"])))), APPLIED);
    assert_eq!(said(&shop.limit(named("5", phones(1, &["c"])))), TOO_MANY);
    assert_eq!(said(&shop.limit(named("5", phones(1, &["new"])))), APPLIED);
    assert_eq!(said(&shop.limit(named("6", phones(1, &["new"])))), TOO_MANY);
}

#[test]
fn a_limit_that_was_issued_before_the_one_that_stands_or_its_removal_is_stale() {
    const STALE: (Outcome, Reason) = (Outcome::NotAllowed, Reason::Stale);
    let mut shop = Shop::new();
    let one = [("a", 1)];
    assert_eq!(said(&shop.limit_of(START - 5, phones(1, &["a"]))), APPLIED);
    let stale = shop.limit_of(START - 6, removal());
    assert_eq!((said(&stale), stale.limit), (STALE, None));
    assert_eq!(said(&shop.limit_of(START - 6, named("other", phones(5, &["a"])))), APPLIED, "names are apart");
    assert_eq!(said(&shop.limit_of(START - 5, phones(2, &["a"]))), APPLIED, "at the same time the later counts");
    assert_eq!((said(&shop.buy("ann", &one)), said(&shop.buy("ann", &one))), (RESERVED, RESERVED));
    assert_eq!(said(&shop.limit_of(START - 3, removal())), APPLIED);
    assert_eq!(said(&shop.limit_of(START - 4, phones(1, &["a"]))), STALE);
    assert_eq!(said(&shop.buy("ann", &one)), RESERVED);
    assert_eq!(said(&shop.limit_of(START - 3, phones(1, &["a"]))), APPLIED);
    assert_eq!(said(&shop.limit_of(START - 3, removal())), APPLIED);
}

#[test]
fn a_limit_that_contradicts_itself_is_invalid() {
    let long = "x".repeat(129);
    let many: Vec<String> = (0..201).map(|n| n.to_string()).collect();
    let on_a = || phones(1, &["a"]);
    let period = |period_ms, anchor_ms| proto::SetLimit { period_ms, anchor_ms, ..on_a() };
    let ten_years = 10 * 366 * 24 * 60 * 60 * 1_000;
    let mut shop = Shop::new();
    for (limit, reason) in [
        (named("", on_a()), Reason::MissingId),
        (named(&long, on_a()), Reason::IdTooLong),
        (phones(1, &["a", ""]), Reason::MissingId),
        (phones(1, &[&long]), Reason::IdTooLong),
        (by(&long, on_a()), Reason::IdTooLong),
        (proto::SetLimit { skus: many.clone(), ..on_a() }, Reason::TooMany),
        (phones(1, &["a", "b", "a"]), Reason::Doubled),
        (phones(1, &[]), Reason::Scope),
        (proto::SetLimit { whole_pool: true, ..on_a() }, Reason::Scope),
        (phones(0, &["a"]), Reason::Scope),
        (proto::SetLimit { whole_pool: true, ..phones(0, &[]) }, Reason::Scope),
        (phones(1_000_000_000_001, &["a"]), Reason::Quantity),
        (proto::SetLimit { units_an_order: 1_000_000_000_001, ..on_a() }, Reason::Quantity),
        (period(0, 1), Reason::Times),
        (period(1, -1), Reason::Times),
        (period(1, 1 << 47), Reason::Times),
        (period(ten_years + 1, 0), Reason::Times),
    ] {
        assert_eq!(said(&shop.limit(limit.clone())), (Outcome::Invalid, reason), "{limit:?}");
    }
    // The edges that are allowed.
    for limit in [
        phones(1_000_000_000_000, &["a"]),
        period(ten_years, 0),
        period(1, (1 << 47) - 1),
        proto::SetLimit { skus: many[..200].to_vec(), ..on_a() },
    ] {
        assert_eq!(said(&shop.limit(limit.clone())), APPLIED, "{limit:?}");
    }
}
