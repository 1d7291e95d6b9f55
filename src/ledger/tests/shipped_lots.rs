//! What a shipment may say of lots, and what it does to them.

use super::lots::{
    MORROW, NO_SUCH_LOT, THIRD, TODAY, TOO_MANY, adjust, buy, dairy, halt, level, look, lots, on_hand, paid, receive,
    resume, shop,
};
use super::shop::{RESERVED, Shop, said};
use super::*;
use crate::wire::proto::{self, LotUnits, ShippedLot, stock_command};

pub(super) fn ship(shop: &mut Shop, of: &proto::Decision, lots: &[(&str, &str, u32)]) -> proto::Decision {
    let lot = |&(sku, lot, units): &(&str, &str, u32)| ShippedLot { sku: sku.into(), lot: lot.into(), units };
    let lots = lots.iter().map(lot).collect();
    let ship = proto::Ship { order_id: of.order_id.clone(), attempt: of.attempt, lots };
    shop.stock(&of.pool, shop.now, stock_command::Kind::Ship(ship))
}

#[test]
fn a_halted_lot_is_neither_sold_nor_shipped() {
    let mut shop = dairy();
    let order = paid(&mut shop, 2);
    let halted = halt(&mut shop, "sooner");
    assert_eq!((level(&halted).halted, halted.stock.map(|stock| stock.halted)), (true, Some(false)));
    assert_eq!(lots(&buy(&mut shop, 1)), [[(1, 1)]]);
    let kept = ship(&mut shop, &order, &[]);
    assert_eq!((said(&kept), kept.state()), ((Outcome::NotAllowed, Reason::Halted), OrderState::Committed));
    assert_eq!(said(&ship(&mut shop, &order, &[("milk", "sooner", 2)])), (Outcome::NotAllowed, Reason::Halted));
    let other = ship(&mut shop, &order, &[("milk", "later", 2)]);
    assert_eq!((said(&other), lots(&other)), ((Outcome::Shipped, Reason::Unspecified), vec![vec![(1, 2)]]));
    let left = adjust(&mut shop, "sooner", -3);
    assert_eq!((level(&left).on_hand, level(&left).halted), (0, true), "its halt keeps it");
    assert_eq!(level(&resume(&mut shop, "sooner")).number, 2);
    assert_eq!(said(&resume(&mut shop, "sooner")), NO_SUCH_LOT);
}

#[test]
fn a_shipment_of_other_lots_takes_from_those_and_releases_what_was_promised() {
    let mut shop = dairy();
    shop.receive("pool", "plain", 1);
    let order = shop.buy("ann", &[("milk", 2), ("plain", 1), ("milk", 4)]);
    assert_eq!(lots(&order), [vec![(2, 2)], vec![], vec![(2, 1), (1, 3)]]);
    shop.confirm(&order);
    // Five of "later", of which two are promised to another; one of "sooner".
    let second = paid(&mut shop, 2);
    assert_eq!(lots(&second), [[(1, 2)]]);
    let shipped = ship(&mut shop, &order, &[("milk", "later", 5), ("milk", "sooner", 1)]);
    assert_eq!(shipped.outcome(), Outcome::Shipped);
    let part = |lot, units, shortfall| LotUnits { lot, units, shortfall };
    assert_eq!(shipped.lines[0].lots, [part(1, 2, 2)]);
    assert_eq!(shipped.lines[1].lots, []);
    assert_eq!(shipped.lines[2].lots, [part(1, 3, 2), part(2, 1, 0)]);
    assert_eq!(shipped.lines[0].shortfall, 0, "the row has as much as it promised");
    let later = look(&mut shop, "later");
    assert_eq!((later.on_hand, later.committed, later.shortfall), (0, 2, 2));
    assert_eq!(look(&mut shop, "sooner").on_hand, 2);
    assert_eq!(on_hand(&shop), (2, 0, 2));
    // Only where they are others are lots shown.
    let same = ship(&mut shop, &second, &[("milk", "later", 2)]);
    assert_eq!((same.outcome(), lots(&same)), (Outcome::Shipped, vec![vec![]]));
}

#[test]
fn lots_named_in_another_order_are_others() {
    let mut shop = dairy();
    let order = paid(&mut shop, 4);
    assert_eq!(lots(&order), [[(2, 3), (1, 1)]]);
    let shipped = ship(&mut shop, &order, &[("milk", "later", 1), ("milk", "sooner", 3)]);
    assert_eq!(lots(&shipped), [[(1, 1), (2, 3)]]);
}

#[test]
fn a_lot_that_two_lines_give_back_and_take_is_not_dropped_in_between() {
    let mut shop = shop();
    receive(&mut shop, "a", 2, MORROW);
    receive(&mut shop, "b", 2, THIRD);
    let order = shop.buy("ann", &[("milk", 2), ("milk", 2)]);
    assert_eq!(lots(&order), [[(1, 2)], [(2, 2)]]);
    shop.confirm(&order);
    adjust(&mut shop, "a", -2);
    let shipped = ship(&mut shop, &order, &[("milk", "b", 2), ("milk", "a", 2)]);
    assert_eq!(shipped.lines[0].lots, [LotUnits { lot: 2, units: 2, shortfall: 0 }]);
    assert_eq!(shipped.lines[1].lots, [LotUnits { lot: 1, units: 2, shortfall: 2 }]);
    assert_eq!(look(&mut shop, "a").on_hand, -2);
    assert_eq!(said(&resume(&mut shop, "b")), NO_SUCH_LOT);
}

#[test]
fn a_shipment_names_lots_that_are_there_once_each_and_all_units_of_their_sku() {
    let mut shop = dairy();
    shop.receive("pool", "plain", 1);
    let order = shop.buy("ann", &[("milk", 1), ("plain", 1), ("milk", 3)]);
    let invalid = |reason| (Outcome::Invalid, reason);
    let unpaid = ship(&mut shop, &order, &[("nowhere", "a", 1)]);
    assert_eq!((said(&unpaid), unpaid.state()), ((Outcome::NotAllowed, Reason::Unspecified), OrderState::Held));
    assert_eq!(said(&ship(&mut shop, &order, &[("", "a", 1)])), invalid(Reason::MissingId));
    shop.confirm(&order);
    let long = "x".repeat(129);
    for (lots, reason) in [
        (vec![("milk", "", 4)], Reason::MissingId),
        (vec![("milk", "sooner", 4), ("milk", &*long, 1)], Reason::IdTooLong),
        (vec![("other", "sooner", 4)], Reason::NoSuchSku),
        (vec![("plain", "sooner", 1)], Reason::Lot),
        (vec![("milk", "a", 4)], Reason::NoSuchLot),
        (vec![("milk", "sooner", 2), ("milk", "sooner", 2)], Reason::Doubled),
        (vec![("milk", "sooner", 3)], Reason::Quantity),
        (vec![("milk", "sooner", 5)], Reason::Quantity),
        (vec![("milk", "sooner", 4), ("milk", "later", 0)], Reason::Quantity),
        (vec![("milk", "sooner", u32::MAX), ("milk", "later", 5)], Reason::Quantity),
        (vec![("milk", "sooner", 4); 257], Reason::TooMany),
        (vec![("milk", "sooner", 4); 256], Reason::Doubled),
    ] {
        assert_eq!(said(&ship(&mut shop, &order, &lots)), invalid(reason), "{} lots", lots.len());
    }
    assert_eq!(ship(&mut shop, &order, &[("milk", "sooner", 4)]).outcome(), Outcome::Shipped, "with one it has not");
    assert_eq!(look(&mut shop, "sooner").on_hand, -1);
    let again = ship(&mut shop, &order, &[("milk", "sooner", 9)]);
    assert_eq!(again.outcome(), Outcome::Unchanged);
}

#[test]
fn a_shipment_has_up_to_256_parts() {
    let mut shop = shop();
    for n in 0..60 {
        receive(&mut shop, &format!("lot-{n}"), 4, MORROW);
    }
    receive(&mut shop, "all", 1_000, TODAY);
    let order = shop.buy("ann", &[("milk", 1); 200]);
    assert_eq!(said(&order), RESERVED);
    shop.confirm(&order);
    // Each lot's last unit would go to a line that has one of the next, too, if lines had more than one unit.
    let names: Vec<_> = (0..50).map(|n| format!("lot-{n}")).collect();
    let named: Vec<_> = names.iter().map(|name| ("milk", &**name, 4)).collect();
    let shipped = ship(&mut shop, &order, &named);
    assert_eq!((shipped.outcome(), shipped.lines[199].lots[0].units), (Outcome::Shipped, 1));

    let mut lines = vec![("milk", 1)];
    lines.extend([("milk", 2); 199]);
    let order = shop.buy("ann", &lines);
    shop.confirm(&order);
    receive(&mut shop, "odd", 1, MORROW);
    for n in 50..60 {
        receive(&mut shop, &format!("lot-{n}"), 1_000, 0);
    }
    for n in 0..198 {
        receive(&mut shop, &format!("two-{n}"), 2, MORROW);
    }
    let names: Vec<_> = (0..198).map(|n| format!("two-{n}")).collect();
    let mut named: Vec<_> = names.iter().map(|name| ("milk", &**name, 2)).collect();
    named.push(("milk", "all", 3));
    assert_eq!(said(&ship(&mut shop, &order, &named)), TOO_MANY, "each but the first takes from two");
}
