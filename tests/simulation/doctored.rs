//! Bugs of a ledger, planted into what it wrote: a logged decision is changed and everything behind it sealed anew, as an
//! engine with the bug would have written it. The model finds all of them. Some must be found by less: by the rules that
//! the decisions themselves state, or by whoever replays the log.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use sluice::wire::proto::{
    Asked, Counted, Decision, LineDecision, LogRecord, OrderState, Outcome, Reason, ShareOf, log_record,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::rules::DEFAULT_HOLD_MS;
use crate::verify::{Evidence, Judgement, Shard, judge};
use crate::{Bug, evidence};

/// Runs that are looked at: each has some decision of nearly every kind.
const RUNS: u64 = 20;

/// Looks at the decisions in order and changes one, if the bug is about it.
pub trait Doctor: FnMut(&mut Decision) -> bool + Clone {}

impl<D: FnMut(&mut Decision) -> bool + Clone> Doctor for D {}

/// A log in which `doctor` changed the first decision that it is about, or all; none if there are none.
fn doctored(shard: &Shard, mut doctor: impl Doctor, all: bool) -> Option<Shard> {
    let mut shard = shard.clone();
    let (mut changed, mut previous) = (false, Vec::new());
    for stored in &mut shard.log {
        let value = stored.message.value.as_deref().unwrap_or_default();
        let mut record = LogRecord::decode(value).expect("the log was verified");
        match &mut record.kind {
            Some(log_record::Kind::Fence(_)) => continue,
            Some(log_record::Kind::Link(link)) => {
                let is_its = link.header.as_ref().is_some_and(|header| header.shard == shard.number);
                for decision in link.decisions.iter_mut().filter(|_| is_its) {
                    changed |= (all || !changed) && doctor(decision);
                }
                link.header.as_mut().expect("the log was verified").previous_hash.clone_from(&previous);
            }
            _ => {}
        }
        let value = if changed { record.encode_to_vec() } else { value.to_vec() };
        previous = xxh3_128(&value).to_be_bytes().to_vec();
        stored.message.value = Some(value.into());
    }
    changed.then_some(shard)
}

/// Who notices a bug without the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    TheRules,
    TheReplay,
    Both,
}

pub fn is_found(doctor: impl Doctor, all: bool, by: By) {
    let mut found = [0, 0];
    let mut tried = 0;
    for seed in 0..RUNS {
        let Evidence { shards, .. } = evidence(seed, Bug::None).expect("the run passes");
        for shard in &shards {
            let number = shard.number;
            let Some(ill) = doctored(shard, doctor.clone(), all) else { continue };
            tried += 1;
            let of_sound = judge(shard).of_replay.expect("a sound log is replayed");
            let Judgement { of_model, of_rules, of_replay } = judge(&ill);
            assert!(of_model.is_err(), "seed {seed}, shard {number}: the model noticed nothing");
            found[0] += usize::from(of_rules.is_err());
            found[1] += usize::from(of_replay.map_or(true, |digest| digest != of_sound));
        }
    }
    assert!(tried > 0, "no run has what this bug is about");
    let [by_rules, by_replay] = found;
    println!("of {tried}, {by_rules} by the rules and {by_replay} by the replay");
    assert!(by == By::TheReplay || by_rules > 0, "the rules that the decisions state show nothing, {tried} times");
    assert!(by == By::TheRules || by_replay > 0, "the replay shows nothing, {tried} times");
}

fn is_counted(decision: &Decision) -> bool {
    decision.outcome() == Outcome::Reserved && !decision.counted.is_empty()
}

#[test]
fn an_order_that_is_reserved_without_its_count_is_found_out() {
    let uncounted = |decision: &mut Decision| {
        let is_meant = is_counted(decision);
        decision.counted.clear();
        is_meant
    };
    is_found(uncounted, false, By::Both);
}

#[test]
fn a_count_of_a_later_period_is_found_out() {
    let later = |decision: &mut Decision| {
        let is_meant = is_counted(decision) && decision.counted[0].period != 0;
        if is_meant {
            decision.counted[0].period += 1;
        }
        is_meant
    };
    is_found(later, false, By::Both);
}

#[test]
fn a_count_of_fewer_units_is_found_out() {
    let fewer = |decision: &mut Decision| {
        let is_meant = is_counted(decision) && decision.counted[0].units > 1;
        if is_meant {
            decision.counted[0].units -= 1;
        }
        is_meant
    };
    is_found(fewer, false, By::Both);
}

#[test]
fn a_sale_that_opens_a_millisecond_later_is_found_out() {
    let moved = |decision: &mut Decision| {
        let sale = decision.sale.as_mut().filter(|sale| sale.opens_at_ms > 0 && sale.closes_at_ms == 0);
        sale.map(|sale| sale.opens_at_ms += 1).is_some()
    };
    is_found(moved, false, By::TheReplay);
}

#[test]
fn an_order_that_is_counted_under_another_key_is_found_out() {
    let other = |decision: &mut Decision| {
        let is_meant = is_counted(decision) && !decision.keys.is_empty();
        if is_meant {
            decision.keys[0].value.push('x');
        }
        is_meant
    };
    is_found(other, false, By::TheReplay);
}

#[test]
fn a_limit_that_left_enough_is_found_out() {
    let enough = |decision: &mut Decision| {
        let is_meant = decision.asked() == Asked::Place && decision.reason() == Reason::Limit;
        for line in decision.lines.iter_mut().filter(|line| is_meant && line.left.is_some()) {
            line.left = Some(line.quantity.into());
        }
        is_meant
    };
    is_found(enough, false, By::TheRules);
}

#[test]
fn an_order_that_is_let_in_before_the_opening_is_found_out() {
    let let_in = |decision: &mut Decision| {
        let is_meant = decision.outcome() == Outcome::NotOpen && !decision.lines.is_empty();
        if is_meant {
            (decision.outcome, decision.opens_at_ms) = (Outcome::Reserved.into(), 0);
            decision.lines.iter_mut().for_each(|line| (line.rule, line.opens_at_ms) = (0, 0));
        }
        is_meant
    };
    is_found(let_in, false, By::TheRules);
}

#[test]
fn a_replay_that_drops_what_orders_were_counted_as_is_found_out() {
    let dropped = |decision: &mut Decision| {
        let is_meant = is_counted(decision);
        decision.counted.clear();
        is_meant
    };
    is_found(dropped, true, By::TheReplay);
}

/// What an engine knew of channels as it decided, as far as the decisions tell.
#[derive(Clone, Default)]
struct Shares {
    /// By pool and SKU: the sequence of the list, and since when each channel's share counts.
    lists: HashMap<(String, String), (u64, HashMap<String, u64>)>,
    /// Counts of the shares that each order draws on.
    orders: HashMap<(String, String, u32), Vec<u64>>,
    /// Those that an expired order was in.
    expired: HashSet<u64>,
}

impl Shares {
    fn note(&mut self, decision: &Decision) {
        if let Some(it) = &decision.channels {
            let list = self.lists.entry((decision.pool.clone(), it.sku.clone())).or_default();
            let since = |channel: &String| list.1.get(channel).copied().unwrap_or(decision.sequence);
            let shares = it.channels.iter().map(|share| (share.channel.clone(), since(&share.channel))).collect();
            *list = (decision.sequence, shares);
        }
        let order = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        match decision.outcome() {
            Outcome::Reserved => {
                let of_shares = decision.counted.iter().filter(|told| told.share() != ShareOf::Unspecified);
                self.orders.insert(order, of_shares.map(|told| told.count).collect());
            }
            Outcome::Expired => self.expired.extend(self.orders.remove(&order).into_iter().flatten()),
            _ => {}
        }
    }

    /// The list of a line's SKU.
    fn list(&self, pool: &str, line: &LineDecision) -> Option<&(u64, HashMap<String, u64>)> {
        self.lists.get(&(pool.to_owned(), line.sku.clone()))
    }
}

#[test]
fn a_unit_that_is_sold_though_it_was_protected_for_another_channel_is_found_out() {
    let mut shares = Shares::default();
    let sold = move |decision: &mut Decision| {
        shares.note(decision);
        let is_meant = decision.reason() == Reason::Quota && decision.lines.len() == 1;
        let Some(line) = decision.lines.first_mut().filter(|_| is_meant) else { return false };
        let (_, list) = shares.list(&decision.pool, line).expect("it barred the order");
        let counted = |&count| Counted { count, period: 0, units: line.quantity, share: ShareOf::Others.into() };
        decision.counted = list.get("").map(counted).into_iter().collect();
        (line.reason, line.rule, line.left, line.allocated) = (0, 0, None, line.quantity);
        (decision.outcome, decision.reason) = (Outcome::Reserved.into(), 0);
        (decision.state, decision.expires_at_ms) = (OrderState::Held.into(), decision.decided_at_ms + DEFAULT_HOLD_MS);
        true
    };
    is_found(sold, false, By::TheRules);
}

#[test]
fn a_share_that_an_order_does_not_give_back_as_it_expires_is_found_out() {
    let mut shares = Shares::default();
    let barred = move |decision: &mut Decision| {
        shares.note(decision);
        let order = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        let is_reserved = decision.outcome() == Outcome::Reserved;
        let Some(counts) = shares.orders.get(&order).filter(|_| is_reserved) else { return false };
        let kept = |count: &u64| counts.contains(count) && shares.expired.contains(count);
        let lists = decision.lines.iter_mut().map(|line| (shares.list(&decision.pool, line), line));
        let mut meant =
            lists.filter_map(|(list, line)| Some((list.filter(|(_, list)| list.values().any(kept))?.0, line)));
        let Some((rule, line)) = meant.next() else { return false };
        let left = u64::from(line.quantity) - 1;
        (line.reason, line.rule, line.left) = (Reason::Quota.into(), rule, Some(left));
        decision.lines.iter_mut().for_each(|line| line.allocated = 0);
        (decision.outcome, decision.reason) = (Outcome::Rejected.into(), Reason::Quota.into());
        (decision.state, decision.expires_at_ms) = (OrderState::Rejected.into(), 0);
        decision.counted.clear();
        decision.keys.clear();
        decision.segments.clear();
        decision.customer.clear();
        decision.channel.clear();
        true
    };
    is_found(barred, false, By::TheRules);
}
