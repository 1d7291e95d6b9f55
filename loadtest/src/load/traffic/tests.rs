//! The stream against what its scenario says, read back with prost.

mod days; // deliveries, lots and wishes
mod warehouse; // shares of channels, and movements of stock

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use prost::Message;
use sluice::wire::proto::{self, command};

use super::*;
use crate::load::profile::Profile;
use crate::load::scenario::{Arrival, Deadline, Duplicates, FollowUp, Lines, Pools, Popularity, ProfileSpec, Scenario};
use crate::load::scenario::{Channel, ChannelsRule, Drain, Flood, LimitRule, Movement, MovementKind};
use crate::load::scenario::{Rules, SaleRule, ShareRule, Topics, Traffic};

const START_MS: i64 = 1_800_000_000_000;
const FIRST_DAY: i32 = 20_833;

fn scenario(traffic: Traffic, rate: f64, seconds: u64) -> Scenario {
    Scenario {
        name: "test".to_owned(),
        description: "test".to_owned(),
        seed: 1,
        arrival: Arrival::Poisson,
        thresholds: Vec::new(),
        profile: ProfileSpec::Constant { rate, duration: Duration::from_secs(seconds) },
        traffic,
        rules: Rules::default(),
        warehouse: Vec::new(),
        topics: Topics::default(),
        drain: Drain::default(),
        faults: Vec::new(),
    }
}

fn channel(name: &str, weight: f64, until_s: u64) -> Channel {
    Channel { name: name.to_owned(), weight, from: Duration::ZERO, until: Duration::from_secs(until_s) }
}

/// Everything that can follow an order.
fn busy(orders_per_record: u32) -> Traffic {
    Traffic {
        pools: Pools::Named(vec!["rehearsal-a".to_owned(), "rehearsal-b".to_owned(), "rehearsal-c".to_owned()]),
        skus: 300,
        popularity: Popularity::Zipf { s: 1.0 },
        orders_per_record,
        hold: Duration::from_secs(30),
        duplicates: Duplicates { exact: 0.1, changed: 0.05, after: Duration::from_millis(300) },
        confirm: FollowUp { share: 0.5, after: Duration::from_millis(900) },
        ship: FollowUp { share: 0.6, after: Duration::from_millis(400) },
        segments: ["north", "south-east"].map(str::to_owned).to_vec(),
        unsegmented: 0.2,
        channels: vec![channel("app", 3.0, 0), channel("marketplace", 1.0, 2)],
        floods: vec![Flood {
            pool: "rehearsal-b".to_owned(),
            times: 4.0,
            from: Duration::from_secs(1),
            until: Duration::from_secs(2),
        }],
        cancel: FollowUp { share: 0.2, after: Duration::from_millis(700) },
        cancel_early: 0.1,
        raise_attempt: FollowUp { share: 0.4, after: Duration::from_millis(200) },
        deadline: Deadline { share: 0.25, within: Duration::from_secs(2) },
        poison: 0.05,
        ..Traffic::default()
    }
}

fn origin(seed: u64) -> Origin {
    let run = RunId::parse("test").expect("legal");
    Origin { run, seed, generator: 0, generators: 1, start_unix_ms: START_MS, first_day: FIRST_DAY }
}

fn stream(scenario: &Scenario, origin: Origin) -> Stream {
    let pools = PoolSet::new(&scenario.traffic.pools, 4);
    Stream::new(scenario, &scenario.profile().expect("a profile"), origin, &pools)
}

/// All records with their values.
fn all(mut stream: Stream) -> Vec<(Record, Vec<u8>)> {
    let mut records = Vec::new();
    let mut buffer = Vec::new();
    while let Some(due_ns) = stream.next_due_ns() {
        buffer.clear();
        let record = stream.next(&mut buffer).expect("one is due");
        assert_eq!((record.due_ns, record.bytes), (due_ns, buffer.len()));
        records.push((record, buffer.clone()));
    }
    records
}

fn commands(value: &[u8]) -> Vec<command::Kind> {
    let value = proto::Commands::decode(value).expect("protobuf");
    value.commands.into_iter().map(|command| command.kind.expect("a kind")).collect()
}

fn id_of(kind: &command::Kind) -> OrderId {
    let id = match kind {
        command::Kind::Place(place) => &place.order_id,
        command::Kind::Confirm(confirm) => &confirm.order_id,
        command::Kind::Cancel(cancel) => &cancel.order_id,
        command::Kind::Extend(extend) => &extend.order_id,
    };
    OrderId::parse(origin(1).run, id.as_bytes()).expect("an id of this run")
}

/// Ids of the orders that a record speaks of.
fn ids(record: &Record, value: &[u8]) -> Vec<OrderId> {
    if record.kind != Kind::Ship {
        return commands(value).iter().map(id_of).collect();
    }
    let ship = |command: proto::StockCommand| match command.kind {
        Some(proto::stock_command::Kind::Ship(ship)) => {
            OrderId::parse(origin(1).run, ship.order_id.as_bytes()).expect("an id of this run")
        }
        other => panic!("a shipment, and not {other:?}"),
    };
    proto::StockCommands::decode(value).expect("protobuf").commands.into_iter().map(ship).collect()
}

/// What a place must be by the plan, made the slow way.
fn expected(scenario: &Scenario, plan: &Plan, id: OrderId, kind: Kind) -> proto::Place {
    let order = plan.order(id.number);
    let pool = plan.pool(id.number, id.due_us) as usize;
    let pools = PoolSet::new(&scenario.traffic.pools, 4);
    let again = kind == Kind::Again;
    let placed_us = id.due_us + if again { plan.delay_ns(Kind::Again) / 1_000 } else { 0 };
    let placed_at_ms = START_MS + (placed_us / 1_000) as i64;
    let deadline_ms = scenario.traffic.deadline.within.as_millis() as i64;
    let mut lines: Vec<_> = plan
        .lines(id.number, id.due_us)
        .map(|line| proto::OrderLine { sku: sku_name(origin(1).run, line.sku), quantity: line.quantity })
        .collect();
    lines[0].quantity += u32::from(kind == Kind::Changed);
    let segment = plan.segment(plan.customer(id.number));
    proto::Place {
        pool: pools.list()[pool].name.clone(),
        order_id: id.text(origin(1).run),
        attempt: u32::from(again),
        customer: buyers::customer_name(plan.customer(id.number)),
        channel: plan.channels()[plan.channel(id.number, id.due_us) as usize].clone(),
        placed_at_ms,
        lines,
        hold_ms: scenario.traffic.hold.as_millis() as u64,
        answer_by_ms: if order.deadline && !again { placed_at_ms + deadline_ms } else { 0 },
        segments: segment.map(|at| scenario.traffic.segments[at as usize].clone()).into_iter().collect(),
        keys: Vec::new(),
        ..Default::default()
    }
}

#[test]
fn the_same_seed_is_the_same_stream_to_the_byte() {
    let scenario = scenario(busy(3), 500.0, 4);
    assert_eq!(all(stream(&scenario, origin(1))), all(stream(&scenario, origin(1))));
    assert_ne!(all(stream(&scenario, origin(1))), all(stream(&scenario, origin(2))));
    assert_ne!(all(stream(&scenario, origin(1))), all(stream(&scenario, Origin { generator: 1, ..origin(1) })));
}

#[test]
fn every_record_is_what_the_plan_says() {
    for orders_per_record in [1, 7] {
        let scenario = scenario(busy(orders_per_record), 700.0, 5);
        let stream = stream(&scenario, origin(1));
        let plan = stream.plan().clone();
        let pools = PoolSet::new(&scenario.traffic.pools, 4);
        for (record, value) in all(stream) {
            if record.kind == Kind::Poison {
                assert!(proto::Commands::decode(value.as_slice()).is_err());
                assert!(sluice::wire::framing::payload(&value).is_ok_and(|payload| payload == value));
                let Origin { run, generator, .. } = origin(1);
                assert!(is_poison(run, generator, &value), "it knows its own");
                assert!(!is_poison(run, generator + 1, &value), "and not another's");
                continue;
            }
            let found = ids(&record, &value);
            let numbers = (record.first..record.first + u64::from(orders_per_record))
                .filter(|number| plan.sends(record.kind, &plan.order(*number)));
            assert_eq!(found.iter().map(|id| id.number).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
            assert_eq!(found.len(), record.commands as usize);
            if record.kind == Kind::Ship {
                let pool = &pools.list()[record.pool as usize];
                let ship = |id: &OrderId| proto::StockCommand {
                    pool: pool.name.clone(),
                    kind: Some(proto::stock_command::Kind::Ship(proto::Ship {
                        order_id: id.text(origin(1).run),
                        attempt: 0,
                        lots: Vec::new(),
                    })),
                    ..Default::default()
                };
                let commands = found.iter().map(ship).collect();
                assert_eq!(value, proto::StockCommands { commands }.encode_to_vec());
                assert_eq!(record.partition, pool.partition);
                continue;
            }
            for kind in commands(&value) {
                let id = id_of(&kind);
                let number = plan.pool(id.number, id.due_us);
                let pool = &pools.list()[number as usize];
                assert_eq!((record.pool, record.partition), (number, pool.partition));
                assert_eq!(id.due_us, (record.due_ns - plan.delay_ns(record.kind)) / 1_000);
                match (record.kind, kind) {
                    (Kind::Confirm, command::Kind::Confirm(confirm)) => {
                        assert_eq!((confirm.pool, confirm.attempt), (pool.name.clone(), 0));
                        assert_eq!(confirm.placed_at_ms, START_MS + (id.due_us / 1_000) as i64);
                    }
                    (Kind::Cancel | Kind::CancelEarly, command::Kind::Cancel(cancel)) => {
                        assert_eq!((cancel.pool, cancel.attempt), (pool.name.clone(), 0));
                        assert_eq!(cancel.placed_at_ms, START_MS + (id.due_us / 1_000) as i64);
                    }
                    (kind, command::Kind::Place(place)) => {
                        assert_eq!(place, expected(&scenario, &plan, id, kind));
                        let exact = place.encode_to_vec();
                        assert!(
                            value.windows(exact.len()).any(|part| part == exact),
                            "the bytes are those that any client would send"
                        );
                    }
                    (kind, other) => panic!("{kind:?} has {other:?}"),
                }
            }
        }
    }
}

#[test]
fn records_come_in_the_order_in_which_they_are_due() {
    let records = all(stream(&scenario(busy(2), 2_000.0, 3), origin(1)));
    assert!(records.is_sorted_by_key(|(record, _)| record.due_ns));
    let last_place = records.iter().rev().find(|(record, _)| record.kind == Kind::Place).expect("there are orders");
    assert!(last_place.0.due_ns < 3_000_000_000);
    assert!(records.last().expect("some").0.due_ns > last_place.0.due_ns, "what follows is not cut off");
    // A cancel that comes too early stands right before the record with its order.
    for pair in records.windows(2).filter(|pair| pair[0].0.kind == Kind::CancelEarly) {
        assert_eq!((pair[1].0.kind, pair[1].0.first), (Kind::Place, pair[0].0.first));
    }
}

#[test]
fn shares_are_kept() {
    let scenario = scenario(busy(1), 20_000.0, 10);
    let mut counts: HashMap<Kind, f64> = HashMap::new();
    let mut deadlines = 0.0;
    let mut lines: BTreeMap<usize, f64> = BTreeMap::new();
    for (record, value) in all(stream(&scenario, origin(1))) {
        *counts.entry(record.kind).or_default() += 1.0;
        if record.kind == Kind::Place {
            let [command::Kind::Place(place)] = &commands(&value)[..] else { panic!("one place") };
            deadlines += f64::from(u8::from(place.answer_by_ms > 0));
            *lines.entry(place.lines.len()).or_default() += 1.0;
        }
    }
    let orders = counts[&Kind::Place];
    assert!((orders - 200_000.0).abs() < 5.0 * 200_000_f64.sqrt(), "{orders} orders");
    let check = |count: f64, share: f64, what: &str| {
        let (expected, deviation) = (orders * share, (orders * share * (1.0 - share)).sqrt());
        assert!((count - expected).abs() < 5.0 * deviation, "{what}: {count}, and {expected} are expected");
    };
    for (kind, share) in [
        (Kind::Duplicate, 0.1),
        (Kind::Changed, 0.05),
        (Kind::Confirm, 0.5),
        (Kind::Cancel, 0.2),
        (Kind::CancelEarly, 0.1),
        (Kind::Again, 0.3 * 0.4),
        (Kind::Ship, 0.5 * 0.6),
        (Kind::Poison, 0.05),
    ] {
        check(counts[&kind], share, &format!("{kind:?}"));
    }
    check(deadlines, 0.25, "deadlines");
    for count in 1..=3 {
        check(lines[&count], 1.0 / 3.0, "lines");
    }
}

#[test]
fn several_generators_share_the_rate_and_no_order() {
    let scenario = scenario(busy(1), 3_000.0, 10);
    let mut ids = std::collections::HashSet::new();
    let mut orders = 0;
    for generator in 0..3 {
        let mine = all(stream(&scenario, Origin { generator, generators: 3, ..origin(1) }));
        for (_, value) in mine.iter().filter(|(record, _)| record.kind == Kind::Place) {
            orders += 1;
            let id = id_of(&commands(value)[0]);
            assert_eq!(id.generator, generator);
            assert!(ids.insert((id.generator, id.number)));
        }
    }
    assert!((29_000..31_000).contains(&orders), "{orders}");
}

#[test]
fn even_arrivals_are_as_many_as_asked_exactly() {
    let even = Scenario { arrival: Arrival::Constant, ..scenario(Traffic::default(), 10_000.0, 10) };
    for generators in [1, 2, 5] {
        let sum: usize = (0..generators)
            .map(|generator| all(stream(&even, Origin { generator, generators, ..origin(1) })).len())
            .sum();
        assert_eq!(sum, 100_000, "shared by {generators}");
    }
}

#[test]
fn the_stream_of_a_seed_stays_the_same_from_release_to_release() {
    let traffic = Traffic {
        lines: Lines { least: 1, most: 5, quantity: 9 },
        poison: 0.2,
        ship: FollowUp::default(),
        segments: Vec::new(),
        channels: Vec::new(),
        floods: Vec::new(),
        ..busy(2)
    };
    let even = Scenario { arrival: Arrival::Constant, ..scenario(traffic, 30.0, 1) };
    let line = |(record, value): (Record, Vec<u8>)| {
        format!("{} {:?} {} {}\n", record.due_ns, record.kind, record.partition, value.escape_ascii())
    };
    let found: String = all(stream(&even, origin(1))).into_iter().map(line).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stream.txt");
    let kept = std::fs::read_to_string(path).expect("the stream as it was");
    assert!(found == kept, "a recorded seed no longer repeats its run; the stream is now:\n{found}");
}

#[test]
fn shelves_are_filled_with_what_the_scenario_says() {
    let traffic = Traffic {
        skus: 1_200,
        units: 77,
        hot_units: 5,
        popularity: Popularity::Hot { share: 0.5, skus: 2 },
        ..busy(1)
    };
    let scenario = scenario(traffic, 1_000.0, 1);
    let pools = PoolSet::new(&scenario.traffic.pools, 4);
    let run = origin(1).run;
    let mut found = HashMap::new();
    for record in stock::records(&scenario, run, &pools, START_MS, FIRST_DAY) {
        let value = proto::StockCommands::decode(record.value.as_slice()).expect("protobuf");
        assert_eq!(value.commands.len(), record.commands as usize);
        assert_eq!(record.partition, pools.list()[record.pool as usize].partition);
        for command in value.commands {
            assert_eq!(command.pool, pools.list()[record.pool as usize].name);
            let Some(proto::stock_command::Kind::Receive(receive)) = command.kind else { panic!("a receipt") };
            let sku = sku_number(run, receive.sku.as_bytes()).expect("a SKU of this run");
            assert_eq!(command.id, stock::command_id(run, sku));
            assert_eq!(receive.quantity, if sku < 2 { 5 } else { 77 });
            assert!(found.insert((record.pool, sku), receive.quantity).is_none());
        }
    }
    assert_eq!(found.len(), 3 * 1_200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_that_follows_is_lost_or_early(
        rate in 50.0..2_000.0_f64,
        orders_per_record in 1_u32..20,
        confirm_ms in 0_u64..3_000,
        again_ms in 0_u64..500,
        seed: u64,
    ) {
        let mut traffic = busy(orders_per_record);
        traffic.confirm.after = Duration::from_millis(confirm_ms);
        traffic.raise_attempt.after = Duration::from_millis(again_ms);
        let scenario = scenario(traffic, rate, 2);
        let stream = stream(&scenario, origin(seed));
        let plan = stream.plan().clone();
        let mut sent: HashMap<(u64, Kind), u64> = HashMap::new();
        let mut last_ns = 0;
        for (record, value) in all(stream) {
            prop_assert!(record.due_ns >= last_ns);
            last_ns = record.due_ns;
            if record.kind != Kind::Poison {
                for id in ids(&record, &value) {
                    prop_assert!(sent.insert((id.number, record.kind), record.due_ns).is_none());
                }
            }
        }
        let places = sent.iter().filter(|((_, kind), _)| *kind == Kind::Place);
        for (number, due_ns) in places.map(|((number, _), due_ns)| (*number, *due_ns)) {
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Poison) {
                let expected = plan.sends(kind, &plan.order(number)).then(|| due_ns + plan.delay_ns(kind));
                prop_assert_eq!(sent.get(&(number, kind)).copied(), expected, "{:?} of order {}", kind, number);
            }
        }
    }
}

#[test]
fn the_profile_of_a_stream_is_that_of_its_scenario() {
    let ramp =
        ProfileSpec::Ramp { from: 0.0, to: 4_000.0, over: Duration::from_secs(10), hold: Duration::from_secs(5) };
    let scenario = Scenario { profile: ramp, ..scenario(Traffic::default(), 1.0, 1) };
    let profile: Profile = scenario.profile().expect("a profile");
    let mut due: Vec<u64> = all(stream(&scenario, origin(1))).iter().map(|(record, _)| record.due_ns).collect();
    due.sort();
    for second in 1..=15 {
        let found = due.partition_point(|due_ns| *due_ns < second * 1_000_000_000) as f64;
        let expected = profile.asked_by(second as f64);
        assert!((found - expected).abs() < 5.0 * expected.sqrt(), "by {second} s: {found}, and {expected} are asked");
    }
}

#[test]
fn rules_come_before_the_stock_and_instants_with_the_start() {
    let traffic = Traffic { skus: 3, pools: Pools::Named(vec!["rehearsal-a".to_owned()]), ..Traffic::default() };
    let sale = SaleRule { skus: vec![0, 2], opens: Duration::from_secs(5), ..SaleRule::default() };
    let by_region = SaleRule {
        skus: vec![1],
        only: ["north", "south"].map(str::to_owned).to_vec(),
        in_turn: true,
        ..SaleRule::default()
    };
    let limit = LimitRule { name: "one".to_owned(), skus: Vec::new(), units: 1, units_an_order: 0 };
    let rules = Rules { sale: vec![sale, by_region], limit: vec![limit], ..Rules::default() };
    let scenario = Scenario { rules, ..scenario(traffic, 1_000.0, 10) };
    let pools = PoolSet::new(&scenario.traffic.pools, 4);
    let run = origin(1).run;
    let read = |records: Vec<stock::StockRecord>| -> Vec<proto::StockCommand> {
        let commands = |record: stock::StockRecord| {
            assert_eq!(record.partition, pools.list()[0].partition);
            let value = proto::StockCommands::decode(record.value.as_slice()).expect("protobuf");
            assert_eq!(value.commands.len(), record.commands as usize);
            value.commands
        };
        records.into_iter().flat_map(commands).collect()
    };
    let sales = |commands: &[proto::StockCommand]| -> Vec<(String, i64)> {
        let sale = |command: &proto::StockCommand| match &command.kind {
            Some(proto::stock_command::Kind::SetSale(sale)) => Some((sale.sku.clone(), sale.opens_at_ms)),
            _ => None,
        };
        commands.iter().filter_map(sale).collect()
    };
    let before = read(rules::before_stock(&scenario, run, &pools, START_MS).collect());
    assert_eq!(before.len(), 4);
    let Some(proto::stock_command::Kind::SetLimit(limit)) = &before[0].kind else { panic!("limits come first") };
    assert!(rules::is_limit(run, limit.name.as_bytes()) && limit.name.ends_with("-one"), "{}", limit.name);
    assert_eq!((limit.units, limit.skus.clone()), (1, [0, 1, 2].map(|sku| sku_name(run, sku)).to_vec()));
    let shut = |(sku, opens_at_ms): &(String, i64)| {
        let is_timed = *sku != sku_name(run, 1);
        if is_timed { *opens_at_ms > START_MS + 1_000_000_000 } else { *opens_at_ms == 0 }
    };
    assert!(sales(&before).iter().all(shut), "what has an instant is shut for now");
    let only = before.iter().find_map(|command| match &command.kind {
        Some(proto::stock_command::Kind::SetSale(sale)) if !sale.only.is_empty() => Some(sale.only.clone()),
        _ => None,
    });
    assert_eq!(only, Some(vec!["south".to_owned()]), "the second SKU is for the second segment");
    let then = read(rules::at_start(&scenario, run, &pools, START_MS, START_MS + 1_000, FIRST_DAY).collect());
    assert_eq!(sales(&then), [0, 2].map(|sku| (sku_name(run, sku), START_MS + 6_000)));
    let ids: std::collections::HashSet<_> = before.iter().chain(&then).map(|command| &command.id).collect();
    assert_eq!(ids.len(), before.len() + then.len(), "each command has an id of its own");
}
