//! Deliveries, lots and what orders ask, read back with prost.

use super::*;
use crate::load::scenario::{Ask, FreshnessRule, Lateness, Lots};
use crate::load::traffic::days::{first_day, written};

/// 2027-01-15 17:00 in Seoul; a service that closes two seconds later.
fn grocery(asks: Vec<Ask>) -> Scenario {
    let service =
        "name = \"dawn\"\ntime_zone = \"Asia/Seoul\"\ncutoff = \"2s\"\norders_a_day = 9\ngrace = \"3s\"\nclosed = [2]";
    let pools = Pools::Named(vec!["rehearsal-a".to_owned()]);
    let lots = Lots { share: 0.5, expires: vec![2, 1] };
    let traffic = Traffic { pools, skus: 4, units: 5, lots, asks, ..Traffic::default() };
    let freshness = vec![FreshnessRule { skus: vec![1, 2], least_days: vec![0, 3] }];
    let delivery = vec![toml::from_str(service).expect("a service")];
    let rules = Rules { freshness, delivery, ..Rules::default() };
    Scenario { rules, ..scenario(traffic, 1_000.0, 2) }
}

fn kinds(records: Vec<stock::StockRecord>) -> Vec<proto::stock_command::Kind> {
    let commands = |record: stock::StockRecord| {
        let commands = proto::StockCommands::decode(&record.value[..]).expect("protobuf").commands;
        assert_eq!(commands.len(), record.commands as usize);
        commands
    };
    records.into_iter().flat_map(commands).map(|command| command.kind.expect("a kind")).collect()
}

#[test]
fn rules_and_lots_are_as_the_scenario_says() {
    let scenario = grocery(Vec::new());
    let run = origin(1).run;
    let day = first_day(&scenario, START_MS);
    assert_eq!(written(day), 20_270_115);
    let pools = PoolSet::of(&scenario, run, 4);
    assert_eq!(pools.list()[0].name, format!("rehearsal-a-{run}"), "no rule of it outlives the run");
    let found = kinds(rules::before_stock(&scenario, run, &pools, START_MS).collect());
    let fresh = proto::SetFreshness { sku: sku_name(run, 1), least_days: 3 };
    assert_eq!(found, [proto::stock_command::Kind::SetFreshness(fresh)]);
    let found = kinds(rules::at_start(&scenario, run, &pools, START_MS, START_MS, day).collect());
    let [proto::stock_command::Kind::SetDelivery(delivery)] = &found[..] else { panic!("{found:?}") };
    let service = &delivery.services[0];
    assert_eq!((service.name.as_str(), service.time_zone.as_str()), ("dawn", "Asia/Seoul"));
    let days: Vec<_> = service.days.iter().map(|day| (day.weekday, day.cutoff_s)).collect();
    assert_eq!(days, (1..=7).map(|weekday| (weekday, 17 * 3_600 + 2)).collect::<Vec<_>>());
    assert_eq!((service.lead, service.horizon, service.orders_a_day, service.grace_ms), (1, 3, 9, 3_000));
    assert_eq!(
        (service.closed.clone(), service.late()),
        (vec![proto::ClosedDay { day: 20_270_117 }], proto::Late::Roll)
    );
    let received = kinds(stock::records(&scenario, run, &pools, START_MS, day).collect());
    let told = |kind: &proto::stock_command::Kind| match kind {
        proto::stock_command::Kind::Receive(it) => {
            (sku_number(run, it.sku.as_bytes()), it.quantity, it.lot.clone(), it.expiry)
        }
        other => panic!("{other:?}"),
    };
    let whole = |sku: u32| (Some(sku), 5, String::new(), 0);
    let lot = |sku: u32, number: u32, units: u64, expiry: u32| (Some(sku), units, format!("lot-{number}"), expiry);
    let of_lots = |sku: u32| [lot(sku, 0, 3, 20_270_117), lot(sku, 1, 2, 20_270_116)];
    let due = [vec![whole(0)], of_lots(1).to_vec(), vec![whole(2)], of_lots(3).to_vec()].concat();
    assert_eq!(received.iter().map(told).collect::<Vec<_>>(), due);
}

#[test]
fn orders_ask_for_what_their_share_does() {
    let ask = |share, service: &str, in_days, late| Ask { share, service: service.to_owned(), in_days, late };
    let asks = vec![ask(0.2, "dawn", None, None), ask(0.1, "", Some(2), Some(Lateness::Reject))];
    let scenario = grocery(asks);
    let origin = Origin { first_day: first_day(&scenario, START_MS), ..origin(1) };
    let plan = Plan::new(&scenario, &origin, 1);
    let mut counts: HashMap<(String, u32, i32), u32> = HashMap::new();
    for (record, value) in all(stream(&scenario, origin)) {
        for command in proto::Commands::decode(&value[..]).expect("protobuf").commands {
            let Some(command::Kind::Place(place)) = command.kind else { panic!("orders only: {record:?}") };
            let id = OrderId::parse(origin.run, place.order_id.as_bytes()).expect("ours");
            let planned = plan.asked_of(0, id.number).cloned().unwrap_or_default();
            assert_eq!((&planned.service, planned.day, planned.late), (&place.service, place.day, place.late()));
            *counts.entry((place.service, place.day, place.late)).or_default() += 1;
        }
    }
    let sum: u32 = counts.values().sum();
    for ((service, day, late), share) in [(("dawn", 0, 0), 0.2), (("", 20_270_117, 2), 0.1), (("", 0, 0), 0.7)] {
        let found = f64::from(counts[&(service.to_owned(), day, late)]) / f64::from(sum);
        assert!((found - share).abs() < 0.04, "{found} of {service:?} {day} {late}: {counts:?}");
    }
}
