//! Lives of SKUs in lots, told event by event, to be asked what comes of each.

use sluice::wire::proto::{
    Adjust, Command, Confirm, Count, Halt, Receive, Resume, SetFreshness, SetSafetyStock, Ship, ShippedLot,
    StockCommand, command, stock_command,
};

use super::midnight;
use crate::ledger_steps::channels::Shelf;
use crate::ledger_steps::{Event, MOST, RULES, pools};
use crate::model::calendar::{DAY_MS, written};

/// Lots of a row, at most.
const MOST_LOTS: u32 = 256;

/// A SKU in lots.
pub(crate) struct Cellar {
    pub(crate) shelf: Shelf,
}

impl Cellar {
    pub(crate) fn new(sku: &'static str, now: i64) -> Cellar {
        Cellar { shelf: Shelf::new(sku, now) }
    }

    fn sku(&self) -> String {
        self.shelf.sku.into()
    }

    /// The day that lies so many days after today.
    fn in_days(&self, days: i64) -> u32 {
        written(self.shelf.now.div_euclid(DAY_MS) + days).expect("a day of the calendar")
    }

    /// Units of a lot that expires in so many days.
    pub(crate) fn receive(&mut self, lot: &str, days: i64, quantity: u64) -> Event {
        let (sku, expiry) = (self.sku(), self.in_days(days));
        self.shelf.stock(stock_command::Kind::Receive(Receive { sku, quantity, lot: lot.into(), expiry }))
    }

    /// Units of a lot, or of none, that says this of its expiry.
    pub(crate) fn receive_as(&mut self, lot: &str, expiry: u32) -> Event {
        let sku = self.sku();
        self.shelf.stock(stock_command::Kind::Receive(Receive { sku, quantity: 1, lot: lot.into(), expiry }))
    }

    pub(crate) fn adjust(&mut self, lot: &str, days: i64, change: i64) -> Event {
        let (sku, expiry) = (self.sku(), self.in_days(days));
        self.shelf.stock(stock_command::Kind::Adjust(Adjust {
            sku,
            change,
            lot: lot.into(),
            expiry,
            ..Adjust::default()
        }))
    }

    /// A count of a lot that finds none of so many units.
    pub(crate) fn lose(&mut self, lot: &str, days: i64, units: i64) -> Event {
        let (sku, expiry) = (self.sku(), self.in_days(days));
        let count = Count { sku, counted: 0, on_hand_seen: units, lot: lot.into(), expiry };
        self.shelf.stock(stock_command::Kind::Count(count))
    }

    pub(crate) fn halt(&mut self, lot: &str) -> Event {
        let sku = self.sku();
        self.shelf.stock(stock_command::Kind::Halt(Halt { sku, lot: lot.into() }))
    }

    pub(crate) fn resume(&mut self, lot: &str) -> Event {
        let sku = self.sku();
        self.shelf.stock(stock_command::Kind::Resume(Resume { sku, lot: lot.into() }))
    }

    pub(crate) fn keep_back(&mut self, quantity: u64) -> Event {
        let sku = self.sku();
        self.shelf.stock(stock_command::Kind::SetSafetyStock(SetSafetyStock { sku, quantity }))
    }

    pub(crate) fn must_last(&mut self, least_days: u32) -> Event {
        let sku = self.sku();
        self.shelf.stock(stock_command::Kind::SetFreshness(SetFreshness { sku, least_days }))
    }

    pub(crate) fn place(&self, order_id: &str, lines: &[u32]) -> Event {
        self.shelf.place(order_id, "", lines)
    }

    pub(crate) fn confirm(&self, order_id: &str) -> Event {
        let ([pool], order_id) = (pools(RULES.shard), order_id.into());
        let kind = command::Kind::Confirm(Confirm { pool, order_id, ..Confirm::default() });
        Event::Orders(Command { kind: Some(kind), reply_partition: None })
    }

    /// A shipment; of lots, if any are named, each with its units.
    pub(crate) fn ship(&self, order_id: &str, lots: &[(&str, u32)]) -> Event {
        let lots = lots.iter().map(|&(lot, units)| ShippedLot { sku: self.sku(), lot: lot.into(), units });
        self.ship_lots(order_id, lots.collect())
    }

    pub(crate) fn ship_lots(&self, order_id: &str, lots: Vec<ShippedLot>) -> Event {
        let ([pool], order_id) = (pools(RULES.shard), order_id.into());
        let kind = Some(stock_command::Kind::Ship(Ship { order_id, attempt: 0, lots }));
        Event::Stock(StockCommand { pool, kind, ..StockCommand::default() })
    }
}

/// 58 lots whose ends lie within the lines of an order of 200: 257 parts. One unit fewer of the first, and it is made of
/// no more than there may be, and no more either when all of it is shipped from other lots.
pub(crate) fn many_parts(now: i64) -> Vec<Event> {
    let mut cellar = Cellar::new("wine", now);
    let mut events = vec![cellar.receive("0", 1, 3)];
    for lot in 1..=56 {
        events.push(cellar.receive(&lot.to_string(), 1, 6));
    }
    events.extend([
        cellar.receive("last", 2, 100),
        cellar.place("scattered", &[2; 200]),
        cellar.adjust("56", 1, 1),
        cellar.place("in one piece", &[2; 200]),
        cellar.confirm("in one piece"),
        // Again an end within each of so many lines: more than may leave at once.
        cellar.ship_lots("in one piece", shares_of(&cellar, 58)),
        cellar.ship_lots("in one piece", shares_of(&cellar, 57)),
    ]);
    events
}

/// Of an order of 400 units as many lots as it says: three units of the first, two of each other, and what is left of the last.
fn shares_of(cellar: &Cellar, count: u32) -> Vec<ShippedLot> {
    let before = |at: u32| if at == 0 { 0 } else { 2 * at + 1 };
    let share = |at: u32| {
        let lot = if at == 0 { "last".to_owned() } else { (at - 1).to_string() };
        let end = if at + 1 == count { 400 } else { before(at + 1) };
        ShippedLot { sku: cellar.sku(), lot, units: end - before(at) }
    };
    (0..count).map(share).collect()
}

/// Lots of a row until there are no more, then one more, by each command that may make one.
pub(crate) fn a_row_of_many_lots(now: i64) -> Vec<Event> {
    let mut cellar = Cellar::new("wine", now);
    let mut events: Vec<_> = (0..MOST_LOTS).map(|lot| cellar.receive(&lot.to_string(), 1, 1)).collect();
    events.extend([cellar.receive("more", 1, 1), cellar.adjust("more", 1, -1), cellar.lose("more", 1, 1)]);
    // A place that is free again is the next one's.
    events.extend([cellar.adjust("17", 1, -1), cellar.lose("more", 1, -1), cellar.receive("18", 1, 1)]);
    events
}

/// Lots whose figures lie at the end of what there can be, and an order that would be shipped from there.
pub(crate) fn figures_out_of_range(now: i64) -> Vec<Event> {
    let mut cellar = Cellar::new("wine", now);
    vec![
        cellar.receive("good", 3, 9),
        cellar.lose("empty", 1, MOST),
        cellar.adjust("empty", 1, -1),
        cellar.lose("full", 1, -MOST),
        cellar.adjust("full", 1, 1),
        cellar.place("order", &[3, 2]),
        cellar.confirm("order"),
        cellar.ship("order", &[("empty", 5)]),
        cellar.ship("order", &[("full", 5)]),
    ]
}

/// Lots that are sold, paid, given back, forgotten, shipped as they were reserved and in fact from others, halted and counted;
/// and all that is wrong with a command about one.
pub(crate) fn a_life_of_lots(now: i64) -> Vec<Event> {
    let mut cellar = Cellar::new("cheese", now);
    let mut events = vec![
        cellar.must_last(2),
        cellar.must_last(1),
        cellar.receive("today", 0, 5),
        cellar.receive("late", 5, 2),
        cellar.receive("b", 2, 4),
        cellar.receive("a", 2, 3),
        cellar.receive_as("", 0),
        cellar.receive_as("new", 0),
        cellar.receive_as("a", 99_991_231),
        cellar.receive_as("new", 20_230_229),
        cellar.halt("none"),
        cellar.place("as reserved", &[2, 3]),
        cellar.place("too much", &[4, 1]),
        cellar.place("in fact", &[2]),
        cellar.place("in fact", &[2]),
        cellar.place("given back", &[2]),
        cellar.shelf.cancel("given back"),
        cellar.confirm("as reserved"),
        cellar.confirm("in fact"),
        cellar.halt("b"),
        cellar.ship("as reserved", &[]),
        cellar.ship("in fact", &[("b", 2)]),
        cellar.place("from others", &[2]),
        cellar.resume("b"),
        cellar.ship("as reserved", &[]),
        cellar.ship("in fact", &[("none", 2)]),
        cellar.ship("in fact", &[("late", 1), ("late", 1)]),
        cellar.ship("in fact", &[("late", 1)]),
        cellar.ship("in fact", &[("", 2)]),
        cellar.lose("a", 2, 1),
        cellar.ship("in fact", &[("late", 2)]),
        cellar.keep_back(1),
        cellar.adjust("today", 0, -5),
    ];
    cellar.shelf.now = now - 1;
    events.push(cellar.must_last(7));
    cellar.shelf.now = now;
    events.extend([cellar.must_last(0), Event::Advance(now + 200), Event::Advance(midnight(now))]);
    events
}
