//! `SetDelivery`, and what an order asks of a delivery.

use super::super::fields::{Fields, Malformed};
use super::super::keys::{Unknown, closed_day, delivery_service, dispatch_day, place, set_delivery};
use super::super::put;
use super::super::text::Text;
use super::{Listed, put_text};

/// `SetDelivery`; its services are read when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    message: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// A message that was walked before: what is not known in it is passed over.
    pub(in super::super) fn read(message: &'a [u8]) -> Delivery<'a> {
        Delivery { message }
    }

    /// The services, in the order given.
    pub fn services(&self) -> impl Iterator<Item = DeliveryService<'a>> + Clone + use<'a> {
        Listed::all(self.message, set_delivery::SERVICES_MESSAGE).entries().map(DeliveryService::read)
    }

    /// Whether it removes the delivery that stands.
    pub fn removes(&self) -> bool {
        self.services().next().is_none()
    }

    pub(super) fn bytes(&self) -> usize {
        self.message.len()
    }

    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        for service in self.services() {
            put::message_within(fields, set_delivery::SERVICES_MESSAGE, |fields| service.put(fields));
        }
    }

    pub(super) fn define(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.services().count() as u32).to_le_bytes());
        self.services().for_each(|service| service.define(out));
    }
}

/// `DeliveryService`; its lists are read when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct DeliveryService<'a> {
    message: &'a [u8],
    pub name: Text<'a>,
    pub time_zone: Text<'a>,
    pub lead: u32,
    pub orders_a_day: u64,
    pub horizon: u32,
    pub late: i32,
    pub grace_ms: u64,
}

impl<'a> DeliveryService<'a> {
    /// Ends at what can't be read; bytes that were walked before all can.
    fn read(message: &'a [u8]) -> DeliveryService<'a> {
        let (name, time_zone) = (Text::EMPTY, Text::EMPTY);
        let mut service =
            DeliveryService { message, name, time_zone, lead: 0, orders_a_day: 0, horizon: 0, late: 0, grace_ms: 0 };
        let mut fields = Fields::new(message);
        while let Ok(Some(key)) = fields.next_key() {
            match key {
                delivery_service::NAME_STRING => service.name = fields.text().unwrap_or(Text::EMPTY),
                delivery_service::TIME_ZONE_STRING => service.time_zone = fields.text().unwrap_or(Text::EMPTY),
                delivery_service::LEAD_UINT32 => service.lead = fields.varint().unwrap_or(0) as u32,
                delivery_service::ORDERS_A_DAY_UINT64 => service.orders_a_day = fields.varint().unwrap_or(0),
                delivery_service::HORIZON_UINT32 => service.horizon = fields.varint().unwrap_or(0) as u32,
                delivery_service::LATE_ENUM => service.late = fields.varint().unwrap_or(0) as i32,
                delivery_service::GRACE_MS_UINT64 => service.grace_ms = fields.varint().unwrap_or(0),
                _ if fields.pass(key).is_err() => break,
                _ => {}
            }
        }
        service
    }

    /// Weekdays of dispatch, each with the second of the day until which orders are dispatched on it.
    pub fn days(&self) -> impl Iterator<Item = (u32, u32)> + Clone + use<'a> {
        Listed::all(self.message, delivery_service::DAYS_MESSAGE).entries().map(|message| {
            let (mut weekday, mut cutoff_s) = (0, 0);
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    dispatch_day::WEEKDAY_UINT32 => weekday = fields.varint().unwrap_or(0) as u32,
                    dispatch_day::CUTOFF_S_UINT32 => cutoff_s = fields.varint().unwrap_or(0) as u32,
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            (weekday, cutoff_s)
        })
    }

    /// Days without dispatch, yyyymmdd.
    pub fn closed(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        Listed::all(self.message, delivery_service::CLOSED_MESSAGE).entries().map(|message| {
            let mut day = 0;
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    closed_day::DAY_UINT32 => day = fields.varint().unwrap_or(0) as u32,
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            day
        })
    }

    fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(delivery_service::NAME_STRING, self.name.as_bytes());
        fields.text(delivery_service::TIME_ZONE_STRING, self.time_zone.as_bytes());
        for (weekday, cutoff_s) in self.days() {
            put::message_within(fields, delivery_service::DAYS_MESSAGE, |fields| {
                fields.number(dispatch_day::WEEKDAY_UINT32, u64::from(weekday));
                fields.number(dispatch_day::CUTOFF_S_UINT32, u64::from(cutoff_s));
            });
        }
        fields.number(delivery_service::LEAD_UINT32, u64::from(self.lead));
        for day in self.closed() {
            put::message_within(fields, delivery_service::CLOSED_MESSAGE, |fields| {
                fields.number(closed_day::DAY_UINT32, u64::from(day));
            });
        }
        fields.number(delivery_service::ORDERS_A_DAY_UINT64, self.orders_a_day);
        fields.number(delivery_service::HORIZON_UINT32, u64::from(self.horizon));
        fields.number(delivery_service::LATE_ENUM, self.late as u64);
        fields.number(delivery_service::GRACE_MS_UINT64, self.grace_ms);
    }

    fn define(&self, out: &mut Vec<u8>) {
        put_text(out, self.name);
        put_text(out, self.time_zone);
        out.extend_from_slice(&(self.days().count() as u32).to_le_bytes());
        for (weekday, cutoff_s) in self.days() {
            out.extend_from_slice(&weekday.to_le_bytes());
            out.extend_from_slice(&cutoff_s.to_le_bytes());
        }
        out.extend_from_slice(&self.lead.to_le_bytes());
        out.extend_from_slice(&(self.closed().count() as u32).to_le_bytes());
        self.closed().for_each(|day| out.extend_from_slice(&day.to_le_bytes()));
        out.extend_from_slice(&self.orders_a_day.to_le_bytes());
        out.extend_from_slice(&self.horizon.to_le_bytes());
        out.push(self.late as u8);
        out.extend_from_slice(&self.grace_ms.to_le_bytes());
    }
}

/// Walks a `SetDelivery` and checks all of it.
pub(in super::super) fn walk_delivery<'a>(
    body: &'a [u8],
    depth: u32,
    unknown: Unknown<'_, 'a>,
) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            set_delivery::SERVICES_MESSAGE => walk_service(fields.take(number)?, depth + 1, unknown)?,
            _ => fields = unknown(field, set_delivery::LAST, depth)?,
        }
    }
    Ok(())
}

fn walk_service<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            delivery_service::NAME_STRING | delivery_service::TIME_ZONE_STRING => _ = fields.take_text(number)?,
            delivery_service::DAYS_MESSAGE => dispatch_day::SHAPE.walk(fields.take(number)?, depth + 1, unknown)?,
            delivery_service::CLOSED_MESSAGE => closed_day::SHAPE.walk(fields.take(number)?, depth + 1, unknown)?,
            delivery_service::LEAD_UINT32
            | delivery_service::ORDERS_A_DAY_UINT64
            | delivery_service::HORIZON_UINT32
            | delivery_service::LATE_ENUM
            | delivery_service::GRACE_MS_UINT64 => {}
            _ => fields = unknown(field, delivery_service::LAST, depth)?,
        }
    }
    Ok(())
}

/// What an order asks of the delivery of its pool; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct DeliveryAsked<'a> {
    pub service: Text<'a>,
    pub day: u32,
    pub late: i32,
}

impl<'a> DeliveryAsked<'a> {
    /// Of a Place that was walked before, or of nothing.
    pub(super) fn of(message: &'a [u8]) -> DeliveryAsked<'a> {
        let mut asked = DeliveryAsked::default();
        let mut fields = Fields::new(message);
        while let Ok(Some(key)) = fields.next_key() {
            match key {
                place::SERVICE_STRING => asked.service = fields.text().unwrap_or(Text::EMPTY),
                place::DAY_UINT32 => asked.day = fields.varint().unwrap_or(0) as u32,
                place::LATE_ENUM => asked.late = fields.varint().unwrap_or(0) as i32,
                _ if fields.pass(key).is_err() => break,
                _ => {}
            }
        }
        asked
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.service.is_empty() && self.day == 0 && self.late == 0
    }

    /// Number of the first field that is there.
    pub(in super::super) fn first_field(&self) -> Option<u32> {
        let fields = [
            (!self.service.is_empty(), place::SERVICE_STRING),
            (self.day != 0, place::DAY_UINT32),
            (self.late != 0, place::LATE_ENUM),
        ];
        fields.into_iter().find(|(is_there, _)| *is_there).map(|(_, key)| key >> 3)
    }
}
