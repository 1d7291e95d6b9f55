//! Shares of channels, and what the warehouse does meanwhile, read back with prost.

use super::*;

/// Two pools of three SKUs; a part of each pair of units is told in whole ones.
fn shop(warehouse: Vec<Movement>, rules: Rules) -> Scenario {
    let pools = Pools::Named(["rehearsal-a", "rehearsal-b"].map(str::to_owned).to_vec());
    let channels = vec![channel("app", 3.0, 0), channel("web", 1.0, 2)];
    let traffic = Traffic { pools, skus: 3, units: 40, channels, ..Traffic::default() };
    Scenario { warehouse, rules, ..scenario(traffic, 100.0, 2) }
}

fn movement(what: MovementKind, share: f64) -> Movement {
    let (at, every) = (Duration::from_millis(500), Duration::ZERO);
    Movement { what, at, every, skus: Vec::new(), lot: None, in_turn: false, share }
}

fn stock_commands(value: &[u8]) -> Vec<proto::StockCommand> {
    proto::StockCommands::decode(value).expect("protobuf").commands
}

#[test]
fn the_warehouse_moves_what_the_scenario_says_when_it_says_so() {
    let often = Movement {
        at: Duration::from_millis(250),
        every: Duration::from_millis(400),
        skus: vec![2, 0],
        in_turn: true,
        ..movement(MovementKind::Receive, 0.5)
    };
    let scenario = shop(vec![movement(MovementKind::Count, -0.25), often], Rules::default());
    let records: Vec<_> =
        all(stream(&scenario, origin(1))).into_iter().filter(|(it, _)| it.kind == Kind::Move).collect();
    let mut found = Vec::new();
    for (record, value) in &records {
        for (number, command) in (record.first..record.end).zip(stock_commands(value)) {
            let run = origin(1).run;
            assert_eq!(movement_number(run, command.id.as_bytes()), Some(number));
            assert_eq!(command.pool, ["rehearsal-a", "rehearsal-b"][record.pool as usize]);
            assert_eq!(command.issued_at_ms, START_MS + (record.due_ns / 1_000_000) as i64);
            let (sku, change) = match command.kind.expect("a kind") {
                proto::stock_command::Kind::Receive(it) => (it.sku, it.quantity as i64),
                proto::stock_command::Kind::Count(it) => (it.sku, it.counted as i64 - it.on_hand_seen),
                other => panic!("{other:?} is not in the scenario"),
            };
            let sku = sku_number(run, sku.as_bytes()).expect("a SKU of this run");
            let moved = Movements::new(&scenario, Duration::from_secs(2), 2).get(number).expect("it was sent");
            assert_eq!((moved.sku, moved.change, moved.pool, moved.due_ns), (sku, change, record.pool, record.due_ns));
            found.push((record.due_ns / 1_000_000, record.pool, sku, change));
        }
    }
    let turns = [(250, 2), (650, 0), (1_050, 2), (1_450, 0), (1_850, 2)];
    let mut due: Vec<_> = turns.iter().flat_map(|(at, sku)| [0, 1].map(|pool| (*at, pool, *sku, 20))).collect();
    due.extend((0..2).flat_map(|pool| (0..3).map(move |sku| (500, pool, sku, -10))));
    due.sort_by_key(|(at, pool, sku, _)| (*at, *pool, *sku));
    assert_eq!(found, due);
    let others = all(stream(&scenario, Origin { generator: 1, generators: 2, ..origin(1) }));
    assert!(others.iter().all(|(record, _)| record.kind != Kind::Move), "the first generator sends all of it");
}

#[test]
fn shares_are_told_in_units_and_their_end_with_the_start() {
    let share = |channel: &str, protected, at_most| ShareRule { channel: channel.to_owned(), protected, at_most };
    let rule = ChannelsRule {
        skus: vec![1],
        shares: vec![share("web", 0.25, None), share("", 0.0, Some(0.3))],
        protected_until: Duration::from_secs(1),
    };
    let always = ChannelsRule { skus: vec![2], protected_until: Duration::ZERO, ..rule.clone() };
    let scenario = shop(Vec::new(), Rules { channels: vec![rule, always], ..Rules::default() });
    let pools = PoolSet::new(&scenario.traffic.pools, 4);
    let run = origin(1).run;
    let told = |records: Vec<stock::StockRecord>| -> Vec<(String, String, i64, Vec<proto::ChannelShare>)> {
        let of = |command: proto::StockCommand| match command.kind {
            Some(proto::stock_command::Kind::SetChannels(it)) => {
                (it.sku, command.id, it.protected_until_ms, it.channels)
            }
            other => panic!("channels, and not {other:?}"),
        };
        records.into_iter().flat_map(|record| stock_commands(&record.value)).map(of).collect()
    };
    let before = told(rules::before_stock(&scenario, run, &pools, START_MS).collect());
    let then = told(rules::at_start(&scenario, run, &pools, START_MS, START_MS + 1_000, FIRST_DAY).collect());
    assert_eq!((before.len(), then.len()), (4, 2), "of both pools");
    let share =
        |channel: &str, protected, at_most| proto::ChannelShare { channel: channel.to_owned(), protected, at_most };
    for (told, until_ms) in before.iter().map(|told| (told, 0)).chain(then.iter().map(|told| (told, START_MS + 2_000)))
    {
        assert_eq!(told.2, until_ms);
        assert_eq!(told.3, [share("web", 10, None), share("", 0, Some(12))]);
    }
    assert!(then.iter().all(|told| told.0 == sku_name(run, 1)), "what is always protected was told before");
    assert_ne!(before[0].1, then[0].1, "each command has an id of its own");
}
