//! Writes a log as the engine of today does: random commands, decided, in links with fences between them.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sluice::ledger::{Ledger, Moment, Rules};
use sluice::wire::Layout;
use sluice::wire::decision::Source;
use sluice::wire::decode::{Scratch, validate};
use sluice::wire::link::{LinkDraft, LinkHash, RULES_LEVEL, fence_value, genesis, genesis_value};
use sluice::wire::proto::{self, Asked, Input, Outcome, Reason, command, stock_command};

use super::delivery::a_life_by_delivery;
use super::selling::{a_life_by_channels, a_life_by_lots, a_life_by_rules};
use crate::ledger_steps::{Event, RULES, Script, ledger, pools, steps};

/// Steps of a log: enough for every outcome and reason, few enough to be kept.
const STEPS: usize = 2_400;
/// So little memory that some are told BUSY, and so much that few are: by rules level. Lots need much of it.
const MAX_IDS: [usize; 3] = [24, 48, 420];
/// What only the rules of a level come to, from level 1 on.
const BY_RULES: [&[&str]; 2] = [
    &["NotOpen", "Closed", "NotEligible", "Limit", "Stale", "Times", "Doubled", "TooMany", "Scope"],
    &["Quota", "Late", "DeliveryFull", "TimeZone", "NoSuchService", "Scattered", "Lot", "NoSuchLot", "Expiry"],
];
/// Steps of a link, links between two digests, and links of one owner.
const LINK_STEPS: usize = 25;
const DIGEST_LINKS: usize = 5;
const OWNER_LINKS: usize = 30;

/// The log being written.
struct Scribe {
    log: Vec<Vec<u8>>,
    link: LinkDraft,
    links: usize,
    epoch: u64,
    last: LinkHash,
    /// Offsets of the last records decided, of `orders` and of `stock`.
    offsets: [i64; 2],
}

/// A log of today's engine, its values in order, that begins at this rules level and stays there.
pub(crate) fn write(rules_level: u32) -> Vec<Vec<u8>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let steps = steps(STEPS..STEPS + 1).new_tree(&mut runner).expect("steps can be drawn").current();
    let first = genesis_value(genesis(
        RULES.shard,
        Layout::one_each(RULES.partitions),
        [[1; 16], [2; 16], [3; 16]],
        RULES.window_ms,
        RULES.skew_ms,
        rules_level,
    ));
    let last = LinkHash::of(&first);
    let link = LinkDraft::default();
    let mut scribe = Scribe { log: vec![first], link, links: 0, epoch: 0, last, offsets: [-1; 2] };
    let rules = Rules { max_ids: MAX_IDS[rules_level as usize], rules_level, ..RULES };
    let (mut ledger, mut script, mut now) = (ledger(rules, 1), Script::default(), 1_000_000);
    ledger.advance(now);
    scribe.begin(&ledger, now);
    for event in a_whole_life(now) {
        scribe.take(&mut ledger, &event, &mut now);
    }
    scribe.close(&mut ledger);
    for (_, life) in lives_by_rules().into_iter().filter(|(level, _)| *level <= rules_level) {
        scribe.begin(&ledger, now);
        for event in life(now) {
            scribe.take(&mut ledger, &event, &mut now);
        }
        scribe.close(&mut ledger);
    }
    for some in steps.chunks(LINK_STEPS) {
        scribe.begin(&ledger, now);
        for step in some {
            let event = script.next(step, now, ledger.next_due_ms());
            if !raises_level(&event, rules_level) {
                scribe.take(&mut ledger, &event, &mut now);
            }
        }
        scribe.close(&mut ledger);
    }
    scribe.log
}

/// Told at this rules level and above.
type Life = (u32, fn(i64) -> Vec<Event>);

fn lives_by_rules() -> [Life; 4] {
    [(1, a_life_by_rules), (2, a_life_by_channels), (2, a_life_by_delivery), (2, a_life_by_lots)]
}

/// Whether an event would take the log to a level that has a log of its own.
fn raises_level(event: &Event, rules_level: u32) -> bool {
    let Event::Stock(proto::StockCommand { kind: Some(stock_command::Kind::RaiseRulesLevel(raise)), .. }) = event
    else {
        return false;
    };
    (rules_level + 1..=RULES_LEVEL).contains(&raise.level)
}

/// An order from its stock to its shipment, one that is cancelled, one whose Cancel overtakes it, one of too many lines,
/// a halt of an unknown SKU, and a rules level that nobody knows: chance seldom tells any of them.
fn a_whole_life(now: i64) -> Vec<Event> {
    let [pool] = pools(RULES.shard);
    let order_id = || "a whole life".to_owned();
    let order = |kind| Event::Orders(proto::Command { kind: Some(kind), reply_partition: None });
    let stock = |id: &str, kind| {
        let (pool, id) = (pool.clone(), id.to_owned());
        Event::Stock(proto::StockCommand { pool, id, issued_at_ms: now, kind: Some(kind), reply_partition: None })
    };
    let place_of = |order_id: &str, attempt, lines| {
        let lines = vec![proto::OrderLine { sku: "sku-1".into(), quantity: 2 }; lines];
        let (order_id, customer, placed_at_ms) = (order_id.to_owned(), "ann".to_owned(), now);
        let pool = pool.clone();
        let it = proto::Place { pool, order_id, attempt, customer, placed_at_ms, lines, ..Default::default() };
        order(command::Kind::Place(it))
    };
    let place = |attempt| place_of("a whole life", attempt, 1);
    let cancel = |order_id: &str| {
        let (pool, order_id, placed_at_ms) = (pool.clone(), order_id.to_owned(), now);
        order(command::Kind::Cancel(proto::Cancel { pool, order_id, placed_at_ms, ..Default::default() }))
    };
    let extend =
        proto::Extend { pool: pool.clone(), order_id: order_id(), expires_at_ms: now + 500, ..Default::default() };
    let confirm = proto::Confirm { pool: pool.clone(), order_id: order_id(), ..Default::default() };
    vec![
        stock(
            "the first receipt",
            stock_command::Kind::Receive(proto::Receive { sku: "sku-1".into(), quantity: 40, ..Default::default() }),
        ),
        place(0),
        place(1),
        order(command::Kind::Extend(extend)),
        order(command::Kind::Confirm(confirm)),
        stock(
            "the first receipt",
            stock_command::Kind::Ship(proto::Ship { order_id: order_id(), ..Default::default() }),
        ),
        place_of("given back", 0, 1),
        cancel("given back"),
        cancel("overtaken"),
        place_of("overtaken", 0, 1),
        place_of("long", 0, 201),
        stock(
            "a halt of nothing",
            stock_command::Kind::Halt(proto::Halt { sku: "nowhere".into(), ..Default::default() }),
        ),
        stock(
            "the first receipt",
            stock_command::Kind::RaiseRulesLevel(proto::RaiseRulesLevel { shard: RULES.shard, level: u32::MAX }),
        ),
    ]
}

impl Scribe {
    fn begin(&mut self, ledger: &Ledger, now: i64) {
        if self.links.is_multiple_of(OWNER_LINKS) {
            self.epoch += 1;
            self.log.push(fence_value([self.epoch as u8; 16], "a scribe", now));
        }
        self.links += 1;
        self.link.begin(RULES.shard, ledger.sequence() + 1, now, ledger.shard_time_ms());
    }

    fn take(&mut self, ledger: &mut Ledger, event: &Event, now: &mut i64) {
        if let Event::Advance(to) = *event {
            *now = to.max(*now);
            self.expire(ledger, *now);
        } else {
            self.decide(ledger, event, *now);
        }
    }

    fn expire(&mut self, ledger: &mut Ledger, now: i64) {
        let at = Moment { shard_time_ms: now, engine_time_ms: now };
        let source = Source { input: Input::Unspecified, offset: 0, index: 0, reply_partition: None };
        ledger.advance(now);
        while let Some(decision) = ledger.expire_one(at) {
            self.link.push(&decision, &source);
        }
    }

    fn decide(&mut self, ledger: &mut Ledger, event: &Event, now: i64) {
        let (value, input) = event.record();
        let before = &mut self.offsets[usize::from(input == Input::Stock)];
        let (offset, at) = (*before + 1, Moment { shard_time_ms: now, engine_time_ms: now });
        let mut scratch = Scratch::default();
        let record = validate(Some(&value), input, &mut scratch).expect("a well-formed record");
        for (index, command) in (0..).zip(record.commands()) {
            let source = Source { input, offset, index, reply_partition: command.reply_partition };
            self.link.push(&ledger.apply(&command, at), &source);
        }
        self.link.cover(input, *before, offset, 0);
        *before = offset;
    }

    fn close(&mut self, ledger: &mut Ledger) {
        self.link.shard_time_ms = ledger.shard_time_ms();
        self.link.digest = self.links.is_multiple_of(DIGEST_LINKS).then(|| ledger.digest());
        self.last = self.link.seal(self.epoch, self.last);
        self.log.push(self.link.sealed().expect("it was just sealed").0.to_vec());
    }
}

/// Outcomes and reasons of the contract that none of the decisions `met` has, of those that a log of this level may have.
pub(crate) fn missing(met: &BTreeSet<(Asked, Outcome, Reason)>, rules_level: u32) -> Vec<String> {
    let outcomes = (1..64).filter_map(|number| Outcome::try_from(number).ok());
    let reasons = (1..128).filter_map(|number| Reason::try_from(number).ok());
    let outcomes = outcomes.filter(|outcome| !met.iter().any(|(_, found, _)| found == outcome));
    let reasons = reasons.filter(|reason| !met.iter().any(|(_, _, found)| found == reason));
    let missing = outcomes.map(|outcome| format!("{outcome:?}")).chain(reasons.map(|reason| format!("{reason:?}")));
    let of_later: Vec<_> = BY_RULES.iter().skip(rules_level as usize).copied().flatten().collect();
    missing.filter(|name| !of_later.contains(&&name.as_str())).collect()
}
