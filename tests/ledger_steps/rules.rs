//! Selling rules drawn at random, and what orders bring for them. Few segments, keys, names and instants, so that rules
//! bar, let through, replace and outlive each other; most let something through, or nothing would ever be sold.

use prost::Message;
use sluice::wire::proto::{self, EarlySale, Input, Place, PlaceKey, SetLimit, SetSale, command, stock_command};

use super::channels::channels;
use super::{Event, GENERATION_MS, RULES, Script, Step, client_time, pick, pool, pools, sku};
use super::{delivery, lots};

const SEGMENTS: [&str; 4] = ["member", "adult", "north", "gold"];
const KEYS: [&str; 2] = ["household", "card"];

/// One more than there may be: segments in a list, keys of an order, SKUs of a limit.
const MANY_SEGMENTS: usize = 17;
const MANY_KEYS: usize = 5;
const MANY_SKUS: usize = 201;

/// Ten years of 366 days, the largest figure of a limit, and its latest anchor.
const LONGEST_PERIOD_MS: u64 = 316_224_000_000;
const MOST_UNITS: u64 = 1_000_000_000_000;
const LATEST_ANCHOR_MS: i64 = (1 << 47) - 1;

/// Names that are all different, and well-formed.
pub(super) fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("n{n}")).collect()
}

pub(super) fn one_of<T: Copy>(n: u8, from: &[T]) -> T {
    from[usize::from(n) % from.len()]
}

/// Some of the segments, in an order that turns round with `n`.
fn segments(n: u8) -> Vec<String> {
    let mut some: Vec<String> = (0..4).filter(|at| n >> at & 1 == 1).map(|at| SEGMENTS[at].to_owned()).collect();
    if n & 16 != 0 {
        some.reverse();
    }
    some
}

/// Adds to a Place what its checkout vouches for; nothing to many, and to some what cannot be.
pub(super) fn vouch(it: &mut Place, step: &Step, careless: bool) {
    let [which, keys, bad] = step.rule;
    if which < 60 {
        return;
    }
    it.segments = segments(which);
    let key = |name: &str, n: u8| PlaceKey { name: name.to_owned(), value: format!("{name}-{}", n % 2) };
    it.keys = match keys {
        0..=39 => Vec::new(),
        40..=79 => vec![key(KEYS[0], keys)],
        80..=109 => vec![key(KEYS[1], keys)],
        110..=179 => vec![key(KEYS[0], keys), key(KEYS[1], keys / 2)],
        _ => vec![key(KEYS[1], keys), key("device", 0), key(KEYS[0], keys / 2)],
    };
    if !careless {
        return;
    }
    match bad {
        0..=3 => it.segments = many(MANY_SEGMENTS),
        4..=7 => it.segments.extend(["adult".to_owned(), "north".to_owned(), "adult".to_owned()]),
        8 => it.segments.push(String::new()),
        9 => it.segments.push("s".repeat(129)),
        10..=13 => it.keys = many(MANY_KEYS).iter().map(|name| key(name, 0)).collect(),
        14..=17 => it.keys.extend([key("device", 0), key("device", 1)]),
        18 => it.keys.push(key("", 0)),
        19 => it.keys.push(PlaceKey { name: "device".into(), value: String::new() }),
        20 => it.keys.push(PlaceKey { name: "device".into(), value: "v".repeat(129) }),
        _ => {}
    }
}

/// Changes what a copy of a Place vouches for: of the keys, which are content, or of the segments, which are not.
pub(super) fn vouch_otherwise(it: &mut Place, step: &Step) {
    if step.rule[0].is_multiple_of(2) {
        it.segments.reverse();
        it.segments.truncate(1);
    } else if let Some(key) = it.keys.last_mut() {
        key.value.push('x');
    }
}

impl Script {
    /// A command that sets a rule.
    pub(super) fn rule(&mut self, step: &Step, now: i64) -> proto::StockCommand {
        let kind = match step.rule[0] {
            _ if delivery::is_meant(step) => {
                let (it, is_sound) = delivery::delivery(step, now);
                if is_sound {
                    self.deliveries.insert(pool(step), it.clone());
                }
                stock_command::Kind::SetDelivery(it)
            }
            0..=89 => stock_command::Kind::SetSale(sale(step, now)),
            90..=174 => stock_command::Kind::SetLimit(limit(step, now)),
            lots::FRESHNESS.. => stock_command::Kind::SetFreshness(lots::freshness(step)),
            _ => stock_command::Kind::SetChannels(channels(step, now)),
        };
        let id = match step.id {
            0 => String::new(),
            1 => "i".repeat(129),
            n => format!("r{n}"),
        };
        let command = proto::StockCommand {
            pool: pool(step),
            id,
            issued_at_ms: client_time(step, now),
            kind: Some(kind),
            reply_partition: None,
        };
        self.moved.push(command.clone());
        command
    }
}

fn sale(step: &Step, now: i64) -> SetSale {
    let [scope, when, what] = step.rule;
    let edge = (now.div_euclid(GENERATION_MS) + 1) * GENERATION_MS;
    let of_pool = scope.is_multiple_of(6);
    let mut it = SetSale { sku: if of_pool { String::new() } else { sku(step, 0) }, ..SetSale::default() };
    // What bars a whole pool bars everything: it is taken away as often as it is set.
    if what < 70 || of_pool && what < 130 {
        return it;
    }
    let soon = [now + 1, now + 9, now + 25, now + 60, now + 150, now + 300, edge - 1, edge];
    it.opens_at_ms = if when < 90 { one_of(when, &[0, 0, now - 7, now]) } else { one_of(when, &soon) };
    it.closes_at_ms = match step.units[0] {
        0..=169 => 0,
        170..=189 => now + 20,
        190..=209 => now + 150,
        210..=224 => edge,
        225..=239 => edge + 1,
        240..=247 => now,
        _ => it.opens_at_ms,
    };
    if it.opens_at_ms > 0 && step.units[1] > 100 {
        let earlier = |at: usize| [0, it.opens_at_ms - 1, it.opens_at_ms - 40, it.opens_at_ms - 40][at % 4].max(0);
        let some = segments(step.units[1]).into_iter().enumerate();
        it.early =
            some.map(|(at, segment)| EarlySale { segment, opens_at_ms: earlier(at + usize::from(when)) }).collect();
    }
    if step.attempt < 70 {
        it.only = segments(step.attempt);
    }
    let early = |segment: &str| EarlySale { segment: segment.into(), opens_at_ms: 0 };
    match what {
        70 | 71 => it.only.push(String::new()),
        72 | 73 => it.early.push(early(&"s".repeat(129))),
        74 | 75 => it.only = many(MANY_SEGMENTS),
        76 | 77 => it.early = many(MANY_SEGMENTS).iter().map(|segment| early(segment)).collect(),
        78..=80 => it.only.extend(["gold".to_owned(), "gold".to_owned()]),
        81..=83 => it.early.extend([early("gold"), early("gold")]),
        84 => it.opens_at_ms = -1,
        85 => it.closes_at_ms = i64::MIN,
        86 => it.closes_at_ms = it.opens_at_ms - 1,
        87 => it.early.push(EarlySale { segment: "silver".into(), opens_at_ms: it.opens_at_ms }),
        88 => it.early.push(EarlySale { segment: "silver".into(), opens_at_ms: -1 }),
        _ => {}
    }
    it
}

fn limit(step: &Step, now: i64) -> SetLimit {
    let [scope, when, what] = step.rule;
    let mut it = SetLimit { name: pick(step.attempt, &["few", "many", "some"]), ..SetLimit::default() };
    if what < 70 {
        return it;
    }
    it.units = one_of(step.units[0], &[0, 1, 3, 4, 6, 9, 12, 40]);
    it.units_an_order = one_of(step.units[1], &[0, 0, 0, 1, 2, 4, 5]);
    it.whole_pool = scope.is_multiple_of(7);
    if !it.whole_pool {
        it.skus = vec![sku(step, 0)];
        it.skus.extend(Some(sku(step, 1)).filter(|second| scope.is_multiple_of(2) && *second != it.skus[0]));
    }
    it.key = pick(when, &["", "", "household", "card", ""]);
    it.period_ms = one_of(when / 5, &[0, 0, 30, 100, GENERATION_MS as u64, 1_000]);
    it.anchor_ms = one_of(when / 3, &[0, 0, 7, now / 100 * 100, now + 77]);
    if it.period_ms == 0 && what > 90 {
        it.anchor_ms = 0;
    }
    match what {
        70 => it.name = String::new(),
        71 => it.name = "n".repeat(129),
        72 | 73 => it.key = "k".repeat(129),
        74 | 75 => it.skus = many(MANY_SKUS),
        76..=78 => it.skus.extend(["sku-1".to_owned(), "sku-1".to_owned()]),
        79 => (it.units, it.units_an_order) = (0, 0),
        80 => (it.units, it.units_an_order, it.skus, it.whole_pool) = (0, 0, Vec::new(), true),
        81 => (it.skus, it.whole_pool) = (Vec::new(), false),
        82 => (it.skus, it.whole_pool) = (vec!["sku-1".into()], true),
        83 => it.units = MOST_UNITS + 1,
        84 => it.units_an_order = u64::MAX,
        85 => (it.units, it.units_an_order) = (MOST_UNITS, MOST_UNITS),
        86 => it.period_ms = LONGEST_PERIOD_MS,
        87 => it.period_ms = LONGEST_PERIOD_MS + 1,
        88 => (it.period_ms, it.anchor_ms) = (100, -1),
        89 => (it.period_ms, it.anchor_ms) = (0, 1),
        90 => (it.period_ms, it.anchor_ms) = (1, LATEST_ANCHOR_MS),
        91 => (it.period_ms, it.anchor_ms) = (1, LATEST_ANCHOR_MS + 1),
        _ => {}
    }
    it
}

/// A limit of more units than 32 bits hold, stock enough for them, and orders of one customer that take more than that.
pub(crate) fn a_huge_limit(now: i64) -> Vec<Event> {
    let [pool] = pools(RULES.shard);
    let sku = "sku-1".to_owned();
    let stock = |id: &str, kind| {
        let (pool, id) = (pool.clone(), id.to_owned());
        Event::Stock(proto::StockCommand { pool, id, issued_at_ms: now, kind: Some(kind), reply_partition: None })
    };
    let limit = SetLimit { name: "huge".into(), units: MOST_UNITS, skus: vec![sku.clone()], ..SetLimit::default() };
    let receive = proto::Receive { sku: sku.clone(), quantity: MOST_UNITS, ..proto::Receive::default() };
    let place = |n: u32| {
        let place = Place {
            pool: pool.clone(),
            order_id: format!("huge-{n}"),
            customer: "ann".into(),
            placed_at_ms: now,
            lines: vec![proto::OrderLine { sku: sku.clone(), quantity: 1_000_000 }; 200],
            ..Place::default()
        };
        Event::Orders(proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None })
    };
    let rules = [stock_command::Kind::SetLimit(limit), stock_command::Kind::Receive(receive)];
    let rules = ["limit", "stock"].into_iter().zip(rules).map(|(id, kind)| stock(id, kind));
    rules.chain((0..30).map(place)).collect()
}

/// Records of a sale, a limit, a receipt and an order that meets both; each has a field 100 of so many bytes within: in
/// the early opening, in the limit, and in the order's key.
pub(crate) fn with_fields_to_be_ignored(now: i64, bytes: usize) -> Vec<(Input, Vec<u8>)> {
    let [pool] = pools(RULES.shard);
    let field = |number: u32, value: &[u8]| {
        let mut out = Vec::new();
        prost::encoding::bytes::encode(number, &value.to_vec(), &mut out);
        out
    };
    let junk = field(100, &vec![0x5a; bytes]);
    let front = |id: &str| {
        let id = id.to_owned();
        proto::StockCommand { pool: pool.clone(), id, issued_at_ms: now, ..proto::StockCommand::default() }
            .encode_to_vec()
    };
    let stock =
        |id: &str, number: u32, kind: &[u8]| (Input::Stock, field(1, &[front(id), field(number, kind)].concat()));
    let sku = "sku-1".to_owned();
    let sale = SetSale { sku: sku.clone(), opens_at_ms: now + 10, ..SetSale::default() };
    let early = EarlySale { segment: "gold".into(), opens_at_ms: now - 10 };
    let sale = [sale.encode_to_vec(), field(4, &[junk.clone(), early.encode_to_vec()].concat())].concat();
    let key = KEYS[0].to_owned();
    let limit = SetLimit { name: "few".into(), units: 5, skus: vec![sku.clone()], key, ..SetLimit::default() };
    let limit = [junk.clone(), limit.encode_to_vec()].concat();
    let receive = proto::Receive { sku: sku.clone(), quantity: 5, ..proto::Receive::default() }.encode_to_vec();
    let place = Place {
        pool: pool.clone(),
        order_id: "order".into(),
        customer: "ann".into(),
        placed_at_ms: now,
        lines: vec![proto::OrderLine { sku, quantity: 2 }],
        segments: vec!["gold".into()],
        ..Place::default()
    };
    let key = PlaceKey { name: KEYS[0].into(), value: "a house".into() };
    let place = [place.encode_to_vec(), field(11, &[key.encode_to_vec(), junk.clone()].concat())].concat();
    let place = (Input::Orders, field(1, &field(1, &place)));
    vec![stock("sale", 14, &sale), stock("limit", 15, &limit), stock("receipt", 4, &receive), place]
}

/// Sales of a pool and of two SKUs, which are known by nothing else, that are all over after a while; and an order of both
/// before they open.
pub(crate) fn sales_of_a_bare_pool(now: i64, opens_after: [i64; 2], closes_after: i64) -> Vec<Event> {
    let [pool] = pools(RULES.shard);
    let over = |sku: &str| SetSale { sku: sku.into(), closes_at_ms: now + closes_after, ..SetSale::default() };
    let opens = |sku: &str, after: i64| SetSale { opens_at_ms: now + after, ..over(sku) };
    let sales = [over(""), opens("sku-1", opens_after[0]), opens("sku-2", opens_after[1])];
    let sales = sales.into_iter().zip(0..).map(|(sale, n)| {
        let (pool, id) = (pool.clone(), format!("sale-{n}"));
        let kind = Some(stock_command::Kind::SetSale(sale));
        Event::Stock(proto::StockCommand { pool, id, issued_at_ms: now, kind, reply_partition: None })
    });
    let line = |sku: &str| proto::OrderLine { sku: sku.into(), quantity: 1 };
    let place = Place {
        pool: pool.clone(),
        order_id: "early".into(),
        customer: "ann".into(),
        placed_at_ms: now,
        lines: vec![line("sku-1"), line("sku-2"), line("sku-1")],
        ..Place::default()
    };
    let place = Event::Orders(proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None });
    sales.chain([place]).collect()
}
