//! Random steps for a ledger: small spaces of ids, SKUs and times, so that copies, changed copies, raised attempts,
//! cancels in advance and edges of time meet often. Most Places are sound and most of what follows is about one of the
//! latest, or hardly an order would live to be shipped; the others are wrong in every way. What a step means is settled
//! when it is taken, by the shard time and the commands before it.

pub(crate) mod channels;
pub(crate) mod delivery;
pub(crate) mod lots;
pub(crate) mod rules;

use proptest::prelude::*;
use prost::Message;
use sluice::ledger::{FingerprintKey, Ledger, Rules};
use sluice::wire::link::RULES_LEVEL;
use sluice::wire::proto::{self, Input, command, stock_command};

use crate::model::ModelRules;

pub(crate) const RULES: Rules = Rules {
    shard: 0,
    partitions: 2,
    window_ms: 1_000,
    skew_ms: 90,
    rules_level: 0,
    default_hold_ms: 200,
    max_hold_ms: 1_500,
    expected_ids: 0,
    max_ids: 1_000_000,
};

/// The same, with selling rules from the start.
pub(crate) const RULES_OF_TODAY: Rules = Rules { rules_level: RULES_LEVEL, ..RULES };

/// The same, as the model has it.
pub(crate) fn model_rules(rules: &Rules) -> ModelRules {
    let signed = |ms: u64| i64::try_from(ms).expect("short times");
    ModelRules {
        shard: rules.shard,
        partitions: rules.partitions,
        window_ms: signed(rules.window_ms),
        skew_ms: signed(rules.skew_ms),
        default_hold_ms: signed(rules.default_hold_ms),
        max_hold_ms: signed(rules.max_hold_ms),
        max_ids: rules.max_ids,
        rules_level: rules.rules_level,
    }
}

/// A SKU that no pool has, and one that few have.
const NEVER: &str = "never";
const SELDOM: &str = "seldom";

/// No on_hand is further from 0.
const MOST: i64 = 1_000_000_000_000_000;

/// `ceil((window + skew) / 4)`.
const GENERATION_MS: i64 = 273;

pub(crate) fn ledger(rules: Rules, key: u8) -> Ledger {
    Ledger::new(rules, FingerprintKey([key; 16]))
}

/// Numbers that a step is made of; which command, in which pool, at which instant, ... is read off them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    what: u8,
    pool: u8,
    id: u8,
    attempt: u8,
    time: u8,
    skus: [u8; 2],
    units: [u8; 2],
    twist: u8,
    /// What is said of selling rules, or brought for them.
    rule: [u8; 3],
}

impl Step {
    /// A step that sets a rule, places an order or asks something of one, more often than others do.
    pub(crate) fn ruled(self) -> Step {
        let what = match self.what {
            0..=40 => self.what,
            41..=90 => 52 + self.what % 16,
            91..=170 => 86 + self.what % 44,
            171..=180 => 130 + self.what % 20,
            181..=205 => 150 + self.what % 40,
            206..=209 => 190 + self.what % 20,
            _ => self.what,
        };
        Step { what, ..self }
    }

    /// Such a step, whose rule is about the channels of one of two SKUs of one pool, as nearly everything else is.
    pub(crate) fn shared(self) -> Step {
        let step = self.ruled();
        let rule = [175 + self.rule[0] % 69, self.rule[1], self.rule[2]];
        let pool = if self.pool < 20 { self.pool } else { 20 };
        Step { pool, skus: self.skus.map(|n| if n < 8 { n } else { 8 + n % 2 }), rule, ..step }
    }

    /// The same, with time that mostly leaps to where something is forgotten.
    pub(crate) fn leaping(self) -> Step {
        let leaps = self.what <= LAST_ADVANCE && self.twist < 90;
        Step { time: if leaps { 238 + self.time % 15 } else { self.time }, ..self }
    }
}

/// Steps up to this one move time.
const LAST_ADVANCE: u8 = 51;

pub(crate) fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<[u8; 6]>(), any::<[u8; 4]>(), any::<[u8; 3]>()).prop_map(|(a, b, rule)| Step {
        what: a[0],
        pool: a[1],
        id: a[2],
        attempt: a[3],
        time: a[4],
        twist: a[5],
        skus: [b[0], b[1]],
        units: [b[2], b[3]],
        rule,
    });
    prop::collection::vec(step, count)
}

/// One thing that happens to the ledger.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Advance(i64),
    Orders(proto::Command),
    Stock(proto::StockCommand),
    /// A command that cannot be read, and one that can behind it.
    Malformed {
        broken: &'static [u8],
        sound: proto::Command,
    },
    /// A command of `orders` with a field that nobody knows yet, 50.
    UnknownOrders(proto::Command),
    /// The same of `stock`.
    UnknownStock(proto::StockCommand),
}

/// Commands of which something within is broken: a Place whose pool is not UTF-8, a kind that is a number, a kind that
/// is cut short, and one that ends a group.
const BROKEN: [&[u8]; 4] = [b"\x0a\x03\x0a\x01\xff", b"\x10\x01", b"\x0a\x05\x0a", b"\x0a\x00\x0c"];

/// Field 50 with the value 1.
const UNKNOWN_FIELD: [u8; 3] = [0x90, 0x03, 0x01];

impl Event {
    /// The record value that brings it, and from which input.
    pub(crate) fn record(&self) -> (Vec<u8>, Input) {
        match self {
            Event::Advance(_) => unreachable!("time is no record"),
            Event::Orders(command) => {
                (proto::Commands { commands: vec![command.clone()] }.encode_to_vec(), Input::Orders)
            }
            Event::Stock(command) => {
                (proto::StockCommands { commands: vec![command.clone()] }.encode_to_vec(), Input::Stock)
            }
            Event::Malformed { broken, sound } => (record_of(&[broken, &sound.encode_to_vec()]), Input::Orders),
            Event::UnknownOrders(command) => (with_unknown_field(command.encode_to_vec()), Input::Orders),
            Event::UnknownStock(command) => (with_unknown_field(command.encode_to_vec()), Input::Stock),
        }
    }
}

/// A record of commands as they are.
fn record_of(commands: &[&[u8]]) -> Vec<u8> {
    let mut value = Vec::new();
    for command in commands {
        value.push(0x0a);
        prost::encoding::encode_varint(command.len() as u64, &mut value);
        value.extend_from_slice(command);
    }
    value
}

/// The value of a record that holds this command, and in it the field that nobody knows.
fn with_unknown_field(mut command: Vec<u8>) -> Vec<u8> {
    command.extend(UNKNOWN_FIELD);
    record_of(&[&command])
}

/// Makes events of steps; remembers what may be repeated.
#[derive(Default)]
pub(crate) struct Script {
    placed: Vec<proto::Command>,
    moved: Vec<proto::StockCommand>,
    deliveries: delivery::Drawn,
    /// Orders that were confirmed: pool, order id, attempt.
    paid: Vec<(String, String, u32)>,
}

impl Script {
    pub(crate) fn next(&mut self, step: &Step, now: i64, next_due: Option<i64>) -> Event {
        match step.what {
            0..=LAST_ADVANCE => {
                let at = delivery::instant(&self.deliveries, step, now);
                Event::Advance(at.unwrap_or_else(|| later(step, now, next_due)))
            }
            52..=67 => Event::Stock(self.rule(step, now)),
            68..=129 => self.place(step, now),
            130..=149 => self.copy_of_place(step),
            150..=189 => self.order_command(step, now),
            190..=209 => Event::Stock(self.ship(step, now)),
            210..=244 => self.stock(step, now),
            245..=250 => self.copy_of_stock(step),
            251 => self.beside_malformed(step, now),
            252 if step.time.is_multiple_of(2) => Event::Stock(raise_rules_level(step)),
            252 => Event::Stock(proto::StockCommand {
                kind: Some(stock_command::Kind::Tick(proto::Tick { shard: u32::from(step.twist % 2) })),
                ..Default::default()
            }),
            253 => Event::Orders(proto::Command::default()),
            254 => Event::Stock(proto::StockCommand::default()),
            255 => self.of_tomorrow(step, now),
        }
    }

    /// Any command, by a rule that is not known yet.
    fn of_tomorrow(&mut self, step: &Step, now: i64) -> Event {
        let what = [68, 150, 150, 190, 210, 210, 210, 210, 252, 253, 60, 60][usize::from(step.units[1] % 12)];
        match self.next(&Step { what, ..*step }, now, None) {
            Event::Orders(command) => Event::UnknownOrders(command),
            Event::Stock(command) => Event::UnknownStock(command),
            other => other,
        }
    }

    fn place(&mut self, step: &Step, now: i64) -> Event {
        let lines = match step.twist {
            0 => 0,
            1 => 201,
            2..=120 => 1,
            121..=220 => 2,
            _ => 3,
        };
        let careless = step.what < 86;
        let quantity = |n: u8| if careless { units(n) as u32 } else { 1 + u32::from(n % 3) };
        let line = |n: usize| proto::OrderLine { sku: sku(step, n), quantity: quantity(step.units[n % 2]) };
        let any_hold = [0, 1, 100, 300, 1_500, 1_501][usize::from(step.skus[1] % 6)];
        let any_deadline = [0, now, now - 1, now + 1][usize::from(step.skus[0] % 4)];
        let customers: &[&str] = if careless { &["ann", "bob", ""] } else { &["ann", "ann", "bob", "eve"] };
        let mut place = proto::Place {
            pool: pool(step),
            order_id: order_id(step),
            attempt: if careless { attempt(step) } else { [0, 0, 0, 0, 0, 0, 1][usize::from(step.attempt % 7)] },
            customer: pick(step.units[1], customers),
            channel: if step.units[0] == 77 { "c".repeat(129) } else { channels::channel(step) },
            placed_at_ms: client_time(step, now),
            lines: (0..lines).map(line).collect(),
            hold_ms: if careless { any_hold } else { [0, 300, 1_000, 1_500][usize::from(step.skus[1] % 4)] },
            answer_by_ms: if careless { any_deadline } else { 0 },
            ..proto::Place::default()
        };
        rules::vouch(&mut place, step, careless);
        delivery::ask(&mut place, step, &self.deliveries, now);
        let command = proto::Command { kind: Some(command::Kind::Place(place)), reply_partition: None };
        self.placed.push(command.clone());
        Event::Orders(command)
    }

    fn beside_malformed(&mut self, step: &Step, now: i64) -> Event {
        let broken = BROKEN[usize::from(step.twist) % BROKEN.len()];
        match self.place(step, now) {
            Event::Orders(sound) => Event::Malformed { broken, sound },
            other => other,
        }
    }

    /// A copy of one of the latest Places, one in four with its lines turned round, some changed or raised.
    fn copy_of_place(&mut self, step: &Step) -> Event {
        let Some(mut copy) = repeat(&self.placed, step) else { return Event::Advance(0) };
        if let Some(command::Kind::Place(place)) = &mut copy.kind {
            match step.twist % 10 {
                0 | 1 => place.lines.reverse(),
                2 => place.customer.push('x'),
                3 => place.placed_at_ms -= 1,
                4 => place.answer_by_ms = 1,
                5 => place.attempt = place.attempt.saturating_add(1),
                6 => rules::vouch_otherwise(place, step),
                7 => place.channel.push('x'),
                8 => delivery::ask_otherwise(place, step),
                _ => {}
            }
        }
        Event::Orders(copy)
    }

    fn stock(&mut self, step: &Step, now: i64) -> Event {
        use stock_command::Kind;
        let halts = step.attempt >= 200;
        // One SKU is never received.
        let sku = Some(sku(step, 0)).filter(|sku| halts || sku != NEVER).unwrap_or_else(|| SELDOM.into());
        let units = units(step.units[0]);
        let (lot, expiry) = lots::lot(step, &sku, now);
        let of_seldom = lots::lot(step, SELDOM, now);
        // Figures at the ends of what there can be leave a SKU without anything to sell, so one has them all.
        let extreme = step.twist < 64;
        // A pool that never has any stock goes, once the last rule about it does.
        let is_quiet = pool(step) == pools::<3>(RULES.shard)[2];
        let kind = match if is_quiet { 234 + step.attempt % 4 } else { step.attempt } {
            0..=99 => Kind::Receive(proto::Receive { sku, quantity: units as u64, lot, expiry }),
            100..=139 => Kind::Adjust(proto::Adjust {
                sku,
                change: if step.twist.is_multiple_of(3) { units } else { -units },
                reason: if step.twist == 9 { "r".repeat(129) } else { "found".into() },
                lot,
                expiry,
            }),
            140..=179 if extreme => {
                let on_hand_seen = [i64::MIN, MOST, -MOST, MOST + 1][usize::from(step.units[1] % 4)];
                Kind::Count(proto::Count {
                    sku: SELDOM.into(),
                    counted: units as u64,
                    on_hand_seen,
                    lot: of_seldom.0,
                    expiry: of_seldom.1,
                })
            }
            140..=179 => {
                let on_hand_seen = [0, 1, 5, -3][usize::from(step.units[1] % 4)];
                Kind::Count(proto::Count { sku, counted: units as u64, on_hand_seen, lot, expiry })
            }
            180..=199 if extreme => {
                let quantity = if step.units[1] < 128 { u64::MAX } else { units as u64 };
                Kind::SetSafetyStock(proto::SetSafetyStock { sku: SELDOM.into(), quantity })
            }
            180..=199 => Kind::SetSafetyStock(proto::SetSafetyStock { sku, quantity: units as u64 % 5 }),
            200..=208 => Kind::Halt(proto::Halt { sku, lot }),
            209..=233 => Kind::Resume(proto::Resume { sku, lot }),
            234..=235 => Kind::Halt(proto::Halt::default()),
            _ => Kind::Resume(proto::Resume::default()),
        };
        let command = proto::StockCommand {
            pool: pool(step),
            id: pick_id(step.id, "s"),
            issued_at_ms: client_time(step, now),
            kind: Some(kind),
            reply_partition: None,
        };
        self.moved.push(command.clone());
        Event::Stock(command)
    }

    fn order_command(&mut self, step: &Step, now: i64) -> Event {
        use command::Kind;
        let (pool, order_id, attempt) = self.aim(step);
        if step.twist < 100 {
            self.paid.push((pool.clone(), order_id.clone(), attempt));
        }
        let placed_at_ms = if step.units[0].is_multiple_of(3) { 0 } else { client_time(step, now) };
        let kind = match step.twist {
            0..=99 => Kind::Confirm(proto::Confirm { pool, order_id, attempt, placed_at_ms }),
            100..=189 => {
                let ends = [now, now + 1, now + 150, now + 400, now + 1_500, now + 1_501, -1, i64::MAX];
                let expires_at_ms = ends[usize::from(step.time % 8)];
                Kind::Extend(proto::Extend { pool, order_id, attempt, expires_at_ms, placed_at_ms })
            }
            _ => Kind::Cancel(proto::Cancel { pool, order_id, attempt, placed_at_ms }),
        };
        Event::Orders(proto::Command { kind: Some(kind), reply_partition: None })
    }

    fn ship(&self, step: &Step, now: i64) -> proto::StockCommand {
        let latest = self.paid.len().checked_sub(1 + usize::from(step.units[0] % 8));
        let latest = latest.filter(|_| step.units[1] < 120);
        let (pool, order_id, attempt) = latest.map_or_else(|| self.aim(step), |at| self.paid[at].clone());
        let placed = self.placed.iter().rev().filter_map(|command| command.kind.as_ref()).find_map(|kind| match kind {
            command::Kind::Place(it) if it.order_id == order_id && it.pool == pool => Some(&it.lines[..]),
            _ => None,
        });
        let lots = lots::shipped(step, placed.unwrap_or_default(), now);
        let kind = Some(stock_command::Kind::Ship(proto::Ship { order_id, attempt, lots }));
        proto::StockCommand { pool, kind, ..Default::default() }
    }

    /// The order that a command is about: one of those placed last, or any.
    fn aim(&self, step: &Step) -> (String, String, u32) {
        let latest = self.placed.len().checked_sub(1 + usize::from(step.units[0] % 16));
        match latest.and_then(|at| self.placed[at].kind.as_ref()) {
            Some(command::Kind::Place(it)) if step.units[1] < 180 => (it.pool.clone(), it.order_id.clone(), it.attempt),
            _ => (pool(step), order_id(step), attempt(step)),
        }
    }

    fn copy_of_stock(&mut self, step: &Step) -> Event {
        let Some(mut copy) = repeat(&self.moved, step) else { return Event::Advance(0) };
        if step.twist.is_multiple_of(4) {
            copy.issued_at_ms -= 1;
        }
        Event::Stock(copy)
    }
}

fn repeat<T: Clone>(before: &[T], step: &Step) -> Option<T> {
    let back = 1 + usize::from(step.id) % before.len().clamp(1, 40);
    before.get(before.len().checked_sub(back)?).cloned()
}

fn later(step: &Step, now: i64, next_due: Option<i64>) -> i64 {
    let edge = (now.div_euclid(GENERATION_MS) + 1) * GENERATION_MS;
    match step.time {
        0..=99 => now + i64::from(step.twist % 20),
        100..=139 => next_due.unwrap_or(now),
        140..=169 => next_due.unwrap_or(now) - 1,
        170..=189 => edge,
        190..=209 => edge - 1,
        210..=239 => now + i64::from(step.twist),
        240..=247 => now + GENERATION_MS,
        248..=250 => now + 1_000,
        251 => now + 7 * GENERATION_MS,
        253 => lots::midnight(now),
        254 => lots::midnight(now) - 1,
        _ => now - i64::from(step.twist),
    }
}

fn raise_rules_level(step: &Step) -> proto::StockCommand {
    let level = [0, 1, 2, 2, u32::MAX][usize::from(step.units[0] % 5)];
    let raise = proto::RaiseRulesLevel { shard: u32::from(step.twist % 2), level };
    proto::StockCommand { kind: Some(stock_command::Kind::RaiseRulesLevel(raise)), ..Default::default() }
}

fn pick(n: u8, from: &[&str]) -> String {
    from[usize::from(n) % from.len()].into()
}

fn pick_id(n: u8, prefix: &str) -> String {
    match n {
        0 | 1 => String::new(),
        2 | 3 => "i".repeat(129),
        4 => "i".repeat(128),
        n => format!("{prefix}{}", n % 60),
    }
}

/// Two pools of this shard (of two) and a quiet third one, one of the other, and none.
fn pool(step: &Step) -> String {
    match step.pool {
        0 => String::new(),
        1 => "p".repeat(129),
        2..=5 => pools::<1>(1)[0].clone(),
        6..=19 => pools::<3>(0)[2].clone(),
        n => pools::<2>(0)[usize::from(n % 2)].clone(),
    }
}

/// Some pools of `shard`, of two shards.
pub(crate) fn pools<const COUNT: usize>(shard: u32) -> [String; COUNT] {
    let mut ours = (0..).map(|n| format!("pool-{n}")).filter(|pool| crate::model::hash::partition(pool, 2) == shard);
    std::array::from_fn(|_| ours.next().expect("there are always more"))
}

fn order_id(step: &Step) -> String {
    pick_id(step.id, "o")
}

fn attempt(step: &Step) -> u32 {
    [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, u32::MAX][usize::from(step.attempt) % 11]
}

fn sku(step: &Step, n: usize) -> String {
    match step.skus[n % 2] {
        0 => String::new(),
        1 => "k".repeat(129),
        2..=5 => NEVER.into(),
        6..=7 => SELDOM.into(),
        n => format!("sku-{}", n % 4),
    }
}

fn units(n: u8) -> i64 {
    match n {
        0 => 0,
        1 => 1_000_000,
        2 => 1_000_001,
        3 => 1_000_000_000_000,
        4 => 1_000_000_000_001,
        n => i64::from(n % 12),
    }
}

fn client_time(step: &Step, now: i64) -> i64 {
    match step.time {
        0..=199 => (now / 200 * 200).max(1),
        200..=209 => now + 90,
        210..=212 => now + 91,
        213..=225 => now - 1_000,
        226..=230 => now - 1_001,
        231 => 0,
        232 => -5,
        _ => now,
    }
}
