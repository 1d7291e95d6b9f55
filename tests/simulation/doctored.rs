//! Bugs of a ledger, planted into what it wrote: a logged decision is changed and everything behind it sealed anew, as an
//! engine with the bug would have written it. The model finds all of them. Some must be found by less: by the rules that
//! the decisions themselves state, or by whoever replays the log.

use prost::Message as _;
use sluice::wire::proto::{Asked, Decision, LogRecord, Outcome, Reason, log_record};
use xxhash_rust::xxh3::xxh3_128;

use crate::verify::{Evidence, Judgement, Shard, judge};
use crate::{Bug, evidence};

/// Runs that are looked at: each has some decision of nearly every kind.
const RUNS: u64 = 12;

/// Changes a decision, if it is one that the bug is about.
type Doctor = fn(&mut Decision) -> bool;

/// A log in which `doctor` changed the first decision that it is about, or all; none if there are none.
fn doctored(shard: &Shard, doctor: Doctor, all: bool) -> Option<Shard> {
    let mut shard = shard.clone();
    let (mut changed, mut previous) = (false, Vec::new());
    for stored in &mut shard.log {
        let value = stored.message.value.as_deref().unwrap_or_default();
        let mut record = LogRecord::decode(value).expect("the log was verified");
        match &mut record.kind {
            Some(log_record::Kind::Fence(_)) => continue,
            Some(log_record::Kind::Link(link)) => {
                for decision in &mut link.decisions {
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
enum By {
    TheRules,
    TheReplay,
    Both,
}

fn is_found(doctor: Doctor, all: bool, by: By) {
    let mut found = [0, 0];
    let mut tried = 0;
    for seed in 0..RUNS {
        let Evidence { shards, .. } = evidence(seed, Bug::None).expect("the run passes");
        for (number, shard) in (0..).zip(&shards) {
            let Some(ill) = doctored(shard, doctor, all) else { continue };
            tried += 1;
            let of_sound = judge(number, shards.len() as u32, shard).of_replay.expect("a sound log is replayed");
            let Judgement { of_model, of_rules, of_replay } = judge(number, shards.len() as u32, &ill);
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
