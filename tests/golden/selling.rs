//! Lives by selling rules, for a log in which each of them decides something: chance seldom tells all of it.

use sluice::wire::proto::{
    self, Cancel, Command, EarlySale, OrderLine, Place, PlaceKey, Receive, SetLimit, SetSale, StockCommand, command,
    stock_command,
};

use crate::ledger_steps::channels::Shelf;
use crate::ledger_steps::lots::{Cellar, a_life_of_lots, many_parts, midnight};
use crate::ledger_steps::{Event, RULES, pools};

const PHONE: &str = "phone";
const CASE: &str = "case";

/// Orders that are held at once: more than there is memory for.
const HELD: usize = 40;

/// Sales and limits: what happens, and what is said to it.
pub(crate) fn a_life_by_rules(now: i64) -> Vec<Event> {
    let mut life = Life { now, ids: 0, events: Vec::new() };
    let sku = || PHONE.to_owned();
    let opens_at_ms = now + 1_000;
    let early = |segment: &str, opens_at_ms| EarlySale { segment: segment.into(), opens_at_ms };
    let sale = SetSale {
        sku: sku(),
        opens_at_ms,
        closes_at_ms: opens_at_ms + 500,
        early: vec![early("gold", now), early("member", now - 5)],
        only: vec!["adult".into(), "member".into()],
    };
    let limit = SetLimit {
        name: "a few".into(),
        units: 3,
        units_an_order: 2,
        skus: vec![sku(), CASE.into()],
        period_ms: 400,
        anchor_ms: 17,
        ..SetLimit::default()
    };
    let of_pool =
        SetLimit { name: "a house".into(), units: 4, key: "household".into(), whole_pool: true, ..SetLimit::default() };
    life.sale(sale.clone(), now);
    life.limit(limit.clone(), now);
    life.limit(of_pool.clone(), now);
    for sku in [PHONE, CASE] {
        life.stock(stock_command::Kind::Receive(Receive { sku: sku.into(), quantity: 40, ..Receive::default() }), now);
    }
    // Too early, for others, without the key, let in by two segments and counted by two limits, one too many, and again
    // once the first has given its units back.
    life.place("early", &[], &[(PHONE, 1)], true);
    life.place("other", &["gold"], &[(PHONE, 1)], true);
    life.place("keyless", &["gold", "adult"], &[(PHONE, 1)], false);
    life.place("first", &["north", "gold", "adult", "member"], &[(PHONE, 1), (CASE, 1)], true);
    life.place("many", &["member"], &[(PHONE, 1), (PHONE, 1)], true);
    life.cancel("first");
    life.place("again", &["member"], &[(PHONE, 1), (PHONE, 1)], true);
    life.events.push(Event::Advance(now + 400));
    life.now = now + 400;
    life.place("next period", &["member"], &[(CASE, 2)], true);
    // Over, of the SKU and of the pool, which is then for some only.
    life.sale(SetSale { closes_at_ms: life.now, opens_at_ms: 1, early: Vec::new(), ..sale.clone() }, life.now);
    life.place("late", &["adult"], &[(PHONE, 1)], true);
    life.sale(SetSale { only: vec!["north".into()], ..SetSale::default() }, life.now);
    life.place("elsewhere", &["member"], &[(CASE, 1)], true);
    life.sale(SetSale { opens_at_ms: life.now + 1, ..SetSale::default() }, life.now);
    life.place("before the pool", &["member"], &[(CASE, 1)], true);
    // Rules that are wrong, or late.
    life.sale(SetSale::default(), life.now - 1);
    life.sale(SetSale { closes_at_ms: 5, opens_at_ms: 5, ..SetSale::default() }, life.now);
    life.sale(SetSale { only: vec!["north".into(); 2], ..SetSale::default() }, life.now);
    life.limit(SetLimit { name: "third".into(), ..limit.clone() }, life.now);
    life.limit(SetLimit { skus: Vec::new(), ..limit.clone() }, life.now);
    // Other figures keep the counts, another key does not, and then all is taken away.
    life.limit(SetLimit { units: 9, ..limit.clone() }, life.now);
    life.limit(SetLimit { key: "card".into(), ..of_pool.clone() }, life.now);
    life.sale(SetSale::default(), life.now);
    life.place("by card", &["member"], &[(CASE, 1)], true);
    life.sale(SetSale { sku: sku(), ..SetSale::default() }, life.now);
    for name in [limit.name, of_pool.name] {
        life.limit(SetLimit { name, ..SetLimit::default() }, life.now);
    }
    life.events
}

/// Channels: shares that are protected for a while and bounded, orders through each of them and through others, counts that
/// take protected units away, lists that are replaced and removed while orders are open, and one that is not well-formed.
pub(crate) fn a_life_by_channels(now: i64) -> Vec<Event> {
    // What was before is forgotten by then, or there would be no memory for orders.
    let now = now + 10_000;
    let mut shelf = Shelf::new("lamp", now);
    let until = now + 300;
    let mut events = vec![
        Event::Advance(now),
        shelf.share(&[("web", 4, Some(6)), ("app", 2, None), ("", 0, Some(3))], until),
        shelf.receive(14),
        shelf.place("web", "web", &[1, 2]),
        shelf.place("app", "app", &[3]),
        shelf.place("store", "store", &[2]),
        shelf.place("too much for others", "kiosk", &[1, 1]),
        shelf.place("beyond the most", "web", &[4]),
        shelf.lose(5),
        shelf.place("covered for the web", "app", &[1]),
        shelf.share(&[("app", 1, None), ("web", 4, Some(5))], until),
        shelf.cancel("store"),
        shelf.place("of nobody", "kiosk", &[3]),
        shelf.place("web again", "web", &[1]),
        shelf.share(&[("web", 3, Some(2))], 0),
        shelf.share(&[("web", 0, Some(2))], until),
        shelf.share(&[("web", 1, None); 2], 0),
        shelf.cancel("web"),
        Event::Advance(until),
    ];
    shelf.now = until;
    events.extend([
        shelf.place("after the protection", "app", &[2]),
        shelf.share(&[], 0),
        shelf.place("free", "kiosk", &[1]),
        shelf.share(&[("web", 0, Some(1)), ("", 0, Some(0))], 0),
        shelf.place("none for others", "app", &[1]),
        shelf.place("the last one", "web", &[1]),
        shelf.share(&[], 0),
    ]);
    events
}

/// Lots: see there; then so many of them that an order is scattered, and so many orders that some are told BUSY.
pub(crate) fn a_life_by_lots(now: i64) -> Vec<Event> {
    // What was before is forgotten by then.
    let now = now + 10_000;
    let mut events = vec![Event::Advance(now)];
    events.extend(a_life_of_lots(now));
    let now = midnight(now) + 10_000;
    events.push(Event::Advance(now));
    events.extend(many_parts(now));
    let cellar = Cellar::new("wine", now);
    events.extend((0..HELD).map(|n| cellar.place(&format!("held-{n}"), &[1])));
    events.push(Event::Advance(now + 10_000));
    events
}

struct Life {
    now: i64,
    ids: u32,
    events: Vec<Event>,
}

impl Life {
    fn pool() -> String {
        let [pool] = pools(RULES.shard);
        pool
    }

    fn stock(&mut self, kind: stock_command::Kind, issued_at_ms: i64) {
        self.ids += 1;
        let id = format!("life-{}", self.ids);
        let command = StockCommand { pool: Self::pool(), id, issued_at_ms, kind: Some(kind), reply_partition: None };
        self.events.push(Event::Stock(command));
    }

    fn sale(&mut self, sale: SetSale, issued_at_ms: i64) {
        self.stock(stock_command::Kind::SetSale(sale), issued_at_ms);
    }

    fn limit(&mut self, limit: SetLimit, issued_at_ms: i64) {
        self.stock(stock_command::Kind::SetLimit(limit), issued_at_ms);
    }

    fn place(&mut self, order_id: &str, segments: &[&str], lines: &[(&str, u32)], has_keys: bool) {
        let key = |name: &str| PlaceKey { name: name.into(), value: format!("the {name}") };
        let line = |(sku, quantity): &(&str, u32)| OrderLine { sku: (*sku).into(), quantity: *quantity };
        let place = Place {
            pool: Self::pool(),
            order_id: order_id.into(),
            customer: "ann".into(),
            placed_at_ms: self.now,
            lines: lines.iter().map(line).collect(),
            hold_ms: 1_500,
            segments: segments.iter().map(|&segment| segment.into()).collect(),
            keys: if has_keys { vec![key("card"), key("household")] } else { Vec::new() },
            ..Place::default()
        };
        self.events.push(Event::Orders(Command { kind: Some(command::Kind::Place(place)), reply_partition: None }));
    }

    fn cancel(&mut self, order_id: &str) {
        let cancel = Cancel { pool: Self::pool(), order_id: order_id.into(), ..Cancel::default() };
        let kind = Some(command::Kind::Cancel(cancel));
        self.events.push(Event::Orders(proto::Command { kind, reply_partition: None }));
    }
}
