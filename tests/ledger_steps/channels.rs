//! Channels drawn at random: few of them, often the others too, small figures, protection that ends soon, and some that are
//! wrong in each way; and short lives by them, told event by event.

use sluice::wire::proto::{
    Cancel, ChannelShare, Command, Count, OrderLine, Place, Receive, SetChannels, StockCommand, command, stock_command,
};

use super::rules::{many, one_of};
use super::{Event, GENERATION_MS, RULES, Step, pools, sku};

/// One more than there may be, and the largest figure.
const MANY_SHARES: usize = 17;
const MOST_UNITS: u64 = 1_000_000_000_000;

/// Names that have a share somewhere; the last is that of all others.
const NAMED: [&str; 4] = ["web", "app", "market", ""];

/// Through which channel an order comes: one that may be named, one that never is, or none.
pub(super) fn channel(step: &Step) -> String {
    one_of(step.units[0] / 16, &["web", "app", "web", "market", "app", "store", "web", ""]).into()
}

pub(super) fn channels(step: &Step, now: i64) -> SetChannels {
    let [_, when, what] = step.rule;
    let mut it = SetChannels { sku: sku(step, 0), ..SetChannels::default() };
    if what < 40 {
        return it;
    }
    let share = |at: usize| {
        let n = usize::from(step.units[at % 2]) + at;
        let protected = [0, 1, 2, 3, 5, 2, 0, 40][n % 8];
        let at_most = [None, None, Some(protected), Some(protected + 3), None, Some(protected + 9)][n / 8 % 6];
        ChannelShare { channel: NAMED[at].into(), protected, at_most }
    };
    // Some of them, in an order that turns round.
    let some = (0..4).filter(|at| step.attempt >> at & 1 == 1);
    it.channels = some.map(share).collect();
    if step.attempt & 16 != 0 {
        it.channels.reverse();
    }
    let edge = (now.div_euclid(GENERATION_MS) + 1) * GENERATION_MS;
    if it.channels.iter().any(|share| share.protected > 0) {
        it.protected_until_ms = one_of(when, &[0, 0, 0, now + 1, now + 9, now + 30, now + 150, edge, edge, now, 1]);
    }
    let bare = |channel: &str| ChannelShare { channel: channel.into(), ..ChannelShare::default() };
    let figures = |protected, at_most| ChannelShare { protected, at_most, ..bare("kiosk") };
    match what {
        40 | 41 => it.channels.push(bare(&"c".repeat(129))),
        42 | 43 => it.channels = many(MANY_SHARES).iter().map(|name| bare(name)).collect(),
        44 | 45 => it.channels.extend([bare("kiosk"), bare("kiosk")]),
        46 => it.channels.extend([bare(""), bare("kiosk"), bare("")]),
        47 | 48 => it.channels.push(figures(MOST_UNITS + 1, None)),
        49 => it.channels.push(figures(0, Some(u64::MAX))),
        50 | 51 => it.channels.push(figures(3, Some(2))),
        52 => it.channels.push(figures(MOST_UNITS, Some(MOST_UNITS))),
        53 => it.protected_until_ms = -1,
        54 | 55 => (it.channels, it.protected_until_ms) = (vec![bare("web"), bare("")], now + 100),
        56 => (it.channels, it.protected_until_ms) = (Vec::new(), now + 100),
        57 => it.channels = many(MANY_SHARES - 1).iter().map(|name| bare(name)).collect(),
        // Nothing may be sold through one of them.
        58..=63 => it.channels.insert(0, ChannelShare { at_most: Some(0), ..bare("store") }),
        _ => {}
    }
    it
}

/// A life of one SKU, told event by event, to be asked what comes of each.
pub(crate) struct Shelf {
    pub(super) sku: &'static str,
    pub(crate) now: i64,
    ids: u32,
}

impl Shelf {
    pub(crate) fn new(sku: &'static str, now: i64) -> Shelf {
        Shelf { sku, now, ids: 0 }
    }

    pub(super) fn stock(&mut self, kind: stock_command::Kind) -> Event {
        self.ids += 1;
        let ([pool], id) = (pools(RULES.shard), format!("{}-{}", self.sku, self.ids));
        let kind = Some(kind);
        Event::Stock(StockCommand { pool, id, issued_at_ms: self.now, kind, reply_partition: None })
    }

    pub(crate) fn receive(&mut self, quantity: u64) -> Event {
        self.stock(stock_command::Kind::Receive(Receive { sku: self.sku.into(), quantity, ..Receive::default() }))
    }

    /// A count that finds as many units fewer than there should be.
    pub(crate) fn lose(&mut self, units: i64) -> Event {
        let count = Count { sku: self.sku.into(), on_hand_seen: units, ..Count::default() };
        self.stock(stock_command::Kind::Count(count))
    }

    /// Shares, each of a channel, what is protected for it and what it may have at most.
    pub(crate) fn share(&mut self, shares: &[(&str, u64, Option<u64>)], protected_until_ms: i64) -> Event {
        let share = |&(channel, protected, at_most): &(&str, _, _)| ChannelShare {
            channel: channel.into(),
            protected,
            at_most,
        };
        let channels = shares.iter().map(share).collect();
        let it = SetChannels { sku: self.sku.into(), channels, protected_until_ms };
        self.stock(stock_command::Kind::SetChannels(it))
    }

    /// An order of these lines of the SKU through a channel.
    pub(crate) fn place(&self, order_id: &str, channel: &str, lines: &[u32]) -> Event {
        let [pool] = pools(RULES.shard);
        let line = |&quantity: &u32| OrderLine { sku: self.sku.into(), quantity };
        let place = Place {
            pool,
            order_id: order_id.into(),
            customer: "ann".into(),
            channel: channel.into(),
            placed_at_ms: self.now,
            lines: lines.iter().map(line).collect(),
            ..Place::default()
        };
        Event::Orders(Command { kind: Some(command::Kind::Place(place)), reply_partition: None })
    }

    pub(crate) fn cancel(&self, order_id: &str) -> Event {
        let [pool] = pools(RULES.shard);
        let kind = Some(command::Kind::Cancel(Cancel { pool, order_id: order_id.into(), ..Cancel::default() }));
        Event::Orders(Command { kind, reply_partition: None })
    }
}
