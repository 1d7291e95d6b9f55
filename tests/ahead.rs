//! What was looked up ahead is a hint: orders are decided alike with a look ahead that is out of date and without any,
//! and the digest is the same whenever it is settled, live and replayed. Stock rows and pools come and go meanwhile, and
//! generations pass within a group.

use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sluice::ledger::{FingerprintKey, Foresight, Ledger, Moment, Rules};
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, Validated, validate};
use sluice::wire::proto::{self, Input, Outcome, Reason, command, stock_command};
use sluice::wire::{Decision, encode, view};

const RULES: Rules = Rules {
    shard: 0,
    partitions: 1,
    window_ms: 1_000,
    skew_ms: 90,
    rules_level: 2,
    default_hold_ms: 200,
    max_hold_ms: 1_500,
    expected_ids: 0,
    max_ids: 1_000_000,
};
/// A generation of these rules, ms.
const GENERATION_MS: i64 = 273;
const SEEDS: u64 = 200;
const GROUPS: usize = 100;
/// Commands looked up ahead of the first of them.
const GROUP: usize = 32;

/// A record and its time.
type Event = (Vec<u8>, Input, i64);

fn encoded(decision: &Decision<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
    encode::decision(&mut bytes, decision, &source);
    bytes
}

/// Of any length that is allowed, so that some stand in their row and some do not.
fn sku(number: u64) -> String {
    let mut sku = format!("{number}-");
    let length = 1 + number as usize % 128;
    while sku.len() < length {
        sku.push(if sku.len() + 2 > length { 'x' } else { '\u{e9}' });
    }
    sku
}

fn orders(kind: command::Kind) -> (Vec<u8>, Input) {
    let command = proto::Command { kind: Some(kind), reply_partition: None };
    (proto::Commands { commands: vec![command] }.encode_to_vec(), Input::Orders)
}

const SEGMENTS: [&str; 3] = ["gold", "seoul", "staff"];

/// The first is that of orders that name none, whose share is that of the others.
const CHANNELS: [&str; 3] = ["", "app", "web"];

/// Some of `names`, each once.
fn some(rng: &mut SmallRng, names: &[&str]) -> Vec<String> {
    names.iter().filter(|_| rng.random_ratio(1, 3)).map(ToString::to_string).collect()
}

/// A sale that opens or closes soon or never, asks for segments or does not; a third of them removes one.
fn set_sale(rng: &mut SmallRng, now_ms: i64, sku: String) -> proto::SetSale {
    if rng.random_ratio(1, 3) {
        return proto::SetSale { sku, ..Default::default() };
    }
    let opens_at_ms = if rng.random() { now_ms + rng.random_range(1..100) } else { 1 };
    let closes_at_ms = if rng.random_ratio(1, 5) { opens_at_ms.max(now_ms) + rng.random_range(1..1_000) } else { 0 };
    let early = some(rng, &SEGMENTS).into_iter().map(|segment| proto::EarlySale { segment, opens_at_ms: 0 }).collect();
    let only = if rng.random_ratio(1, 4) { some(rng, &SEGMENTS) } else { Vec::new() };
    proto::SetSale { sku, opens_at_ms, closes_at_ms, early, only }
}

/// A limit under one of a few names; a third of them removes one.
fn set_limit(rng: &mut SmallRng, now_ms: i64, skus: u64) -> proto::SetLimit {
    let name = format!("l{}", rng.random_range(0..4));
    if rng.random_ratio(1, 3) {
        return proto::SetLimit { name, ..Default::default() };
    }
    let whole_pool = rng.random_ratio(1, 4);
    let mut named: Vec<u64> = (0..if whole_pool { 0 } else { 4 }).map(|_| rng.random_range(0..skus)).collect();
    named.sort_unstable();
    named.dedup();
    let period_ms = [0, 7, 300][rng.random_range(0..3)];
    proto::SetLimit {
        name,
        units: rng.random_range(0..9),
        units_an_order: rng.random_range(1..9),
        skus: named.into_iter().map(sku).collect(),
        whole_pool,
        key: ["", "", "card"][rng.random_range(0..3)].into(),
        period_ms,
        anchor_ms: if period_ms == 0 { 0 } else { now_ms + rng.random_range(0..100) },
    }
}

/// Shares of some channels and sometimes the others; some remove them.
fn set_channels(rng: &mut SmallRng, now_ms: i64, sku: String) -> proto::SetChannels {
    let named = some(rng, &CHANNELS);
    let share = |channel| {
        let at_most = rng.random_ratio(1, 2).then(|| rng.random_range(5..9));
        proto::ChannelShare { channel, protected: rng.random_range(1..6), at_most }
    };
    let channels: Vec<_> = named.into_iter().map(share).collect();
    let ends = !channels.is_empty() && rng.random_ratio(1, 4);
    let protected_until_ms = if ends { now_ms + rng.random_range(0..400) } else { 0 };
    proto::SetChannels { sku, channels, protected_until_ms }
}

fn event(rng: &mut SmallRng, now_ms: i64, skus: u64, number: u64) -> (Vec<u8>, Input) {
    let pool = format!("pool-{}", rng.random_range(0..3));
    let order_id = format!("o{}", number.saturating_sub(rng.random_range(0..60)));
    let some_sku = sku(rng.random_range(0..skus));
    let scope = if rng.random() { String::new() } else { some_sku.clone() };
    let kind = match rng.random_range(0..49) {
        0..20 => {
            let count = rng.random_range(1..8);
            let line = |_| proto::OrderLine { sku: sku(rng.random_range(0..skus)), quantity: rng.random_range(1..4) };
            let lines = (0..count).map(line).collect();
            return orders(command::Kind::Place(proto::Place {
                pool,
                order_id,
                attempt: rng.random_range(0..2),
                customer: format!("c{}", rng.random_range(0..4)),
                channel: CHANNELS[rng.random_range(0..3)].into(),
                segments: some(rng, &SEGMENTS),
                keys: some(rng, &["card", "home"])
                    .into_iter()
                    .map(|name| proto::PlaceKey { value: name.clone(), name })
                    .collect(),
                placed_at_ms: now_ms,
                lines,
                hold_ms: rng.random_range(1..300),
                ..Default::default()
            }));
        }
        20..22 => return orders(command::Kind::Confirm(proto::Confirm { pool, order_id, ..Default::default() })),
        22 => {
            let expires_at_ms = now_ms + rng.random_range(0..600);
            return orders(command::Kind::Extend(proto::Extend {
                pool,
                order_id,
                expires_at_ms,
                ..Default::default()
            }));
        }
        23 => return orders(command::Kind::Cancel(proto::Cancel { pool, order_id, ..Default::default() })),
        24..28 => stock_command::Kind::Ship(proto::Ship { order_id, ..Default::default() }),
        28..31 => stock_command::Kind::Receive(proto::Receive {
            sku: some_sku,
            quantity: rng.random_range(1..10),
            ..Default::default()
        }),
        31..34 => {
            let change = -rng.random_range(1..6);
            stock_command::Kind::Adjust(proto::Adjust {
                sku: some_sku,
                change,
                reason: "moths".into(),
                ..Default::default()
            })
        }
        34..37 => {
            let on_hand_seen = rng.random_range(-2..3);
            stock_command::Kind::Count(proto::Count { sku: some_sku, on_hand_seen, ..Default::default() })
        }
        37 => stock_command::Kind::Halt(proto::Halt { sku: scope, ..Default::default() }),
        40..42 => {
            let sku = if rng.random_ratio(1, 8) { String::new() } else { some_sku };
            stock_command::Kind::SetSale(set_sale(rng, now_ms, sku))
        }
        42..44 => stock_command::Kind::SetLimit(set_limit(rng, now_ms, skus)),
        44..49 => stock_command::Kind::SetChannels(set_channels(rng, now_ms, some_sku)),
        _ => stock_command::Kind::Resume(proto::Resume { sku: scope, ..Default::default() }),
    };
    let ship = matches!(kind, stock_command::Kind::Ship(_));
    let (id, issued_at_ms) = if ship { (String::new(), 0) } else { (format!("s{number}"), now_ms) };
    let command = proto::StockCommand { pool, id, issued_at_ms, kind: Some(kind), reply_partition: None };
    (proto::StockCommands { commands: vec![command] }.encode_to_vec(), Input::Stock)
}

/// Holds that are due, then the command: what was decided.
fn decide(ledger: &mut Ledger, record: &Validated<'_>, foresight: &Foresight, at_ms: i64) -> Vec<Vec<u8>> {
    let at = Moment { shard_time_ms: at_ms, engine_time_ms: 0 };
    let mut decided = Vec::new();
    while let Some(decision) = ledger.expire_one(at) {
        decided.push(encoded(&decision));
    }
    decided.push(encoded(&ledger.apply_foreseen(&record.command(0), foresight, at)));
    decided
}

/// One that looks ahead and settles its digest at once, one that does neither, one that follows the first, and one that
/// follows it a group behind and looks ahead.
struct Ledgers {
    ahead: Ledger,
    plain: Ledger,
    follower: Ledger,
    behind: Ledger,
    /// Reasons and outcomes that only rules lead to, and orders that a limit counted.
    by_rules: [u64; 6],
}

impl Ledgers {
    fn decide(&mut self, rng: &mut SmallRng, group: &[Event]) {
        let mut scratch: [Scratch; GROUP] = Default::default();
        let mut foresights = [Foresight::default(); GROUP];
        let mut records = Vec::new();
        for (((value, input, _), scratch), foresight) in group.iter().zip(&mut scratch).zip(&mut foresights) {
            let record = validate(Some(value), *input, scratch).expect("a well-formed record");
            *foresight = self.ahead.foresee(&record.command(0));
            records.push(record);
        }
        self.ahead.fetch(&mut foresights[..group.len()]);
        let mut log = Vec::new();
        for ((record, foresight), (_, _, at_ms)) in records.iter().zip(&foresights).zip(group) {
            let decided = decide(&mut self.ahead, record, foresight, *at_ms);
            assert_eq!(decide(&mut self.plain, record, &Foresight::default(), *at_ms), decided);
            for decision in &decided {
                let (decision, _) = view::decision(decision).expect("it was encoded");
                let counted = decision.selling.is_some_and(|told| told.counted.iter().next().is_some());
                let seen = [
                    counted,
                    decision.outcome == Outcome::NotOpen,
                    decision.reason == Reason::Closed,
                    decision.reason == Reason::NotEligible,
                    decision.reason == Reason::Limit,
                    decision.reason == Reason::Quota,
                ];
                self.by_rules.iter_mut().zip(seen).for_each(|(count, seen)| *count += u64::from(seen));
                self.follower.replay(&decision).expect("a log that follows");
            }
            let digest = self.ahead.digest();
            if rng.random_ratio(1, 29) {
                self.follower.advance(self.ahead.shard_time_ms());
                assert_eq!(self.follower.digest(), digest, "replayed");
            }
            log.extend(decided);
        }
        let log: Vec<_> = log.iter().map(|decision| view::decision(decision).expect("it was encoded").0).collect();
        let mut foresights: Vec<_> = log.iter().map(|decision| self.behind.foresee_replay(decision)).collect();
        self.behind.fetch(&mut foresights);
        for (decision, foresight) in log.iter().zip(&foresights) {
            self.behind.replay_foreseen(decision, foresight).expect("a log that follows");
        }
    }
}

#[test]
fn a_look_ahead_that_is_out_of_date_changes_nothing() {
    let (mut dropped, mut by_rules) = (0, [0; 6]);
    for seed in 0..SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let ledger = |key| Ledger::new(RULES, FingerprintKey([key; 16]));
        let mut ledgers =
            Ledgers { ahead: ledger(1), plain: ledger(2), follower: ledger(3), behind: ledger(4), by_rules };
        let skus = [2, 6, 30, 200, 3_000][(seed % 5) as usize];
        let (mut now_ms, mut number) = (1_000_000, 0);
        for _ in 0..GROUPS {
            let group: Vec<Event> = (0..rng.random_range(1..=GROUP))
                .map(|_| {
                    number += 1;
                    now_ms += match rng.random_range(0..40) {
                        0 => GENERATION_MS,
                        1 => 6 * GENERATION_MS,
                        2..10 => rng.random_range(0..100),
                        _ => 0,
                    };
                    let (value, input) = event(&mut rng, now_ms, skus, number);
                    (value, input, now_ms)
                })
                .collect();
            let before = ledgers.ahead.pressure().rows;
            ledgers.decide(&mut rng, &group);
            dropped += before.saturating_sub(ledgers.ahead.pressure().rows);
        }
        by_rules = ledgers.by_rules;
        let Ledgers { ahead, plain, follower, behind, .. } = &mut ledgers;
        follower.advance(ahead.shard_time_ms());
        behind.advance(ahead.shard_time_ms());
        let others = [plain, follower, behind].map(Ledger::digest);
        assert_eq!(others, [ahead.digest(); 3], "seed {seed}");
    }
    assert!(by_rules.iter().all(|count| *count > 50), "rules led to little: {by_rules:?}");
    assert!(dropped > 0, "no row was dropped, so no hint was out of date");
}
