//! A pool that delivers, its life told event by event, to be asked what comes of each.

use sluice::wire::proto::{
    Cancel, Command, DeliveryService, DispatchDay, Extend, OrderLine, Place, Receive, SetDelivery, StockCommand,
    command, stock_command,
};

use crate::ledger_steps::{Event, RULES, pools};

const SKU: &str = "parcel";

/// See the module.
pub(crate) struct Depot {
    pub(crate) now: i64,
    ids: u32,
}

/// A service that dispatches every day until this second of it, to be delivered on the same day.
pub(crate) fn daily(name: &str, time_zone: &str, cutoff_s: u32) -> DeliveryService {
    DeliveryService {
        name: name.into(),
        time_zone: time_zone.into(),
        days: (1..=7).map(|weekday| DispatchDay { weekday, cutoff_s }).collect(),
        horizon: 3,
        ..DeliveryService::default()
    }
}

impl Depot {
    pub(crate) fn new(now: i64) -> Depot {
        Depot { now, ids: 0 }
    }

    fn stock(&mut self, kind: stock_command::Kind) -> Event {
        self.ids += 1;
        let ([pool], id) = (pools(RULES.shard), format!("depot-{}", self.ids));
        Event::Stock(StockCommand { pool, id, issued_at_ms: self.now, kind: Some(kind), reply_partition: None })
    }

    pub(crate) fn receive(&mut self, quantity: u64) -> Event {
        self.stock(stock_command::Kind::Receive(Receive { sku: SKU.into(), quantity, ..Receive::default() }))
    }

    pub(crate) fn deliver(&mut self, services: &[DeliveryService]) -> Event {
        self.stock(stock_command::Kind::SetDelivery(SetDelivery { services: services.to_vec() }))
    }

    /// An order of one unit, changed as it should be.
    pub(crate) fn place(&self, order_id: &str, change: impl FnOnce(&mut Place)) -> Event {
        let [pool] = pools(RULES.shard);
        let mut place = Place {
            pool,
            order_id: order_id.into(),
            customer: "ann".into(),
            placed_at_ms: self.now,
            lines: vec![OrderLine { sku: SKU.into(), quantity: 1 }],
            ..Place::default()
        };
        change(&mut place);
        Event::Orders(Command { kind: Some(command::Kind::Place(place)), reply_partition: None })
    }

    pub(crate) fn extend(&self, order_id: &str, expires_at_ms: i64) -> Event {
        let ([pool], order_id) = (pools(RULES.shard), order_id.into());
        let kind = command::Kind::Extend(Extend { pool, order_id, expires_at_ms, ..Extend::default() });
        Event::Orders(Command { kind: Some(kind), reply_partition: None })
    }

    pub(crate) fn cancel(&self, order_id: &str) -> Event {
        let ([pool], order_id) = (pools(RULES.shard), order_id.into());
        let kind = command::Kind::Cancel(Cancel { pool, order_id, ..Cancel::default() });
        Event::Orders(Command { kind: Some(kind), reply_partition: None })
    }
}
