//! What standing rules keep, and what goes once they are removed or over.

use super::START;
use super::shop::{APPLIED, RESERVED, Shop, order, said, texts};
use crate::wire::proto::{self, Outcome, Reason, stock_command};

/// A generation, ms.
const GENERATION_MS: i64 = 275;

/// The last instant at which what was changed at `at_ms` is known.
fn end_of_knowledge(at_ms: i64) -> i64 {
    (at_ms / GENERATION_MS + 6) * GENERATION_MS - 1
}

fn sale(sku: &str, opens_at_ms: i64, closes_at_ms: i64) -> proto::SetSale {
    proto::SetSale { sku: sku.into(), opens_at_ms, closes_at_ms, ..Default::default() }
}

fn limit(units: u64, skus: &[&str]) -> proto::SetLimit {
    proto::SetLimit { name: "l".into(), units, skus: texts(skus), ..Default::default() }
}

impl Shop {
    /// Lets time pass, by a Tick, so that the log tells it.
    fn wait_until(&mut self, now: i64) {
        self.now = now;
        let kind = stock_command::Kind::Tick(proto::Tick { shard: 0 });
        assert_eq!(said(&self.stock("", 0, kind)), APPLIED);
    }

    fn knows(&self, sku: &str) -> bool {
        self.ledger.stock("pool", sku).is_some()
    }
}

#[test]
fn a_rule_makes_its_skus_known_and_keeps_them() {
    let mut shop = Shop::empty(1);
    assert_eq!(said(&shop.buy("ann", &[("new", 1)])), (Outcome::Rejected, Reason::UnknownSku));
    shop.sale(sale("new", START, 0));
    shop.limit(limit(1, &["newer", "newest"]));
    let short = (Outcome::Rejected, Reason::OutOfStock);
    for at in [START, START + 100 * GENERATION_MS] {
        shop.wait_until(at);
        assert!(["new", "newer", "newest"].iter().all(|sku| shop.knows(sku)), "at {at}");
        assert_eq!(said(&shop.buy("ann", &[("newer", 1), ("new", 1)])), short);
    }
    shop.receive("pool", "newest", 5);
    assert_eq!(said(&shop.buy("ann", &[("newest", 2)])), (Outcome::Rejected, Reason::Limit), "it stands ever since");
}

#[test]
fn a_sale_that_is_over_lets_an_empty_row_go_once_its_end_is_no_longer_known() {
    let closes_at_ms = START + 1_000;
    for pool_wide in [false, true] {
        let mut shop = Shop::empty(1);
        let sku = if pool_wide { "" } else { "new" };
        shop.sale(sale(sku, 0, closes_at_ms));
        shop.wait_until(end_of_knowledge(closes_at_ms));
        assert_eq!(shop.knows("new"), !pool_wide);
        assert_ne!(shop.ledger.digest(), before_anything(), "the sale is known");
        shop.wait_until(end_of_knowledge(closes_at_ms) + 1);
        assert!(!shop.knows("new"));
        assert_eq!(shop.ledger.digest(), before_anything(), "nothing is left");
        assert_eq!(shop.ledger.pressure().rows, 0);
    }
}

/// The digest of a ledger that never heard of anything.
fn before_anything() -> [u8; 16] {
    Shop::empty(1).ledger.digest()
}

#[test]
fn a_sale_that_is_over_stands_as_long_as_there_is_stock() {
    let mut shop = Shop::new();
    shop.sale(sale("a", 0, START + 10));
    shop.wait_until(START + 100 * GENERATION_MS);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), (Outcome::Rejected, Reason::Closed));
    let gone = proto::Adjust { sku: "a".into(), change: -100, reason: "sold elsewhere".into(), ..Default::default() };
    let emptied = shop.now;
    shop.stock("pool", emptied, stock_command::Kind::Adjust(gone));
    shop.wait_until(end_of_knowledge(emptied));
    assert!(shop.knows("a"));
    shop.wait_until(end_of_knowledge(emptied) + 1);
    assert!(!shop.knows("a") && shop.knows("b"));
    shop.receive("pool", "a", 1);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED, "the rule went with its row");
}

#[test]
fn what_a_removed_rule_alone_has_kept_goes() {
    let mut shop = Shop::empty(1);
    shop.sale(sale("new", START, 0));
    shop.sale(sale("", START, 0));
    shop.limit(limit(1, &["newer"]));
    shop.wait_until(START + 20 * GENERATION_MS);
    let removed = shop.now;
    for sku in ["new", ""] {
        assert_eq!(said(&shop.sale(sale(sku, 0, 0))), APPLIED);
    }
    assert_eq!(said(&shop.limit(limit(0, &[]))), APPLIED);
    shop.wait_until(end_of_knowledge(removed));
    assert_ne!(shop.ledger.digest(), before_anything());
    shop.wait_until(end_of_knowledge(removed) + 1);
    assert!(!shop.knows("new") && !shop.knows("newer"));
    assert_eq!(shop.ledger.digest(), before_anything());
    // Slots that are used again begin with nothing.
    shop.receive("pool", "newer", 9);
    assert_eq!(said(&shop.buy("ann", &[("newer", 9)])), RESERVED);
    shop.limit(limit(2, &["newer"]));
    shop.receive("pool", "newer", 9);
    assert_eq!(said(&shop.buy("ann", &[("newer", 2)])), RESERVED);
    assert_eq!(said(&shop.buy("ann", &[("newer", 1)])), (Outcome::Rejected, Reason::Limit));
}

#[test]
fn an_order_that_outlives_its_limit_gives_back_to_nobody() {
    let mut shop = Shop::new();
    shop.limit(limit(1, &["a"]));
    let kept = shop.buy("ann", &[("a", 1)]);
    shop.confirm(&kept);
    shop.limit(limit(0, &[]));
    shop.wait_until(START + 100 * GENERATION_MS);
    // The slot of the limit is another one's by now.
    shop.limit(proto::SetLimit { name: "other".into(), ..limit(1, &["a"]) });
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), RESERVED);
    assert_eq!(shop.cancel(&kept), Outcome::Cancelled);
    assert_eq!(said(&shop.buy("ann", &[("a", 1)])), (Outcome::Rejected, Reason::Limit));
}

#[test]
fn counters_go_with_what_they_count() {
    let mut shop = Shop::new();
    let before = shop.ledger.digest();
    shop.limit(limit(5, &["a"]));
    let with_limit = shop.ledger.digest();
    let place = proto::Place { order_id: "order".into(), ..order("ann", &[("a", 2)]) };
    let held = shop.place(place);
    shop.cancel(&held);
    shop.wait_until(end_of_knowledge(START) + 1);
    assert_ne!(shop.ledger.digest(), with_limit);
    // What is remembered of the stock goes, too: compared with a shop that has the limit and never had the order.
    let mut quiet = Shop::new();
    assert_eq!(quiet.ledger.digest(), before);
    quiet.limit(limit(5, &["a"]));
    quiet.wait_until(shop.now);
    assert_eq!(shop.ledger.digest(), quiet.ledger.digest());
}
