//! Bugs of delivery, planted into a log as those of other rules are.

use std::collections::{HashMap, HashSet};

use sluice::wire::proto::{Decision, OrderState, Outcome, Reason, SetDelivery};

use crate::doctored::{By, is_found};

/// By how much the clock of an engine is behind at most.
const BEHIND_MS: i64 = 1_500;

/// Day, cutoff and the end of every hold for it.
type Told = (u32, i64, i64);

#[test]
fn a_cutoff_that_is_judged_by_the_clock_of_an_engine_that_is_behind_is_found_out() {
    let mut known: HashMap<(String, String), Vec<Told>> = HashMap::new();
    let late = move |decision: &mut Decision| {
        if decision.outcome() != Outcome::Reserved || decision.service.is_empty() {
            return false;
        }
        let now = decision.decided_at_ms;
        let told = known.entry((decision.pool.clone(), decision.service.clone())).or_default();
        told.push((decision.day, decision.cutoff_ms, decision.hold_until_ms));
        let is_just_over = |(_, cutoff, _): &&Told| now - BEHIND_MS < *cutoff && *cutoff <= now;
        let Some((day, cutoff, hold_until)) = told.iter().find(is_just_over) else { return false };
        (decision.day, decision.cutoff_ms, decision.hold_until_ms) = (*day, *cutoff, *hold_until);
        decision.expires_at_ms = decision.expires_at_ms.min(*hold_until);
        true
    };
    is_found(late, false, By::Both);
}

#[test]
fn a_place_on_a_day_that_an_order_does_not_give_back_as_it_expires_is_found_out() {
    let mut rules: HashMap<String, (u64, SetDelivery)> = HashMap::new();
    let mut orders: HashMap<(String, String, u32), (String, u32, i64)> = HashMap::new();
    let mut freed: HashSet<(String, String, u32)> = HashSet::new();
    let full = move |decision: &mut Decision| {
        if let Some(rule) = &decision.delivery {
            rules.insert(decision.pool.clone(), (decision.sequence, rule.clone()));
        }
        let order = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        if decision.outcome() == Outcome::Expired {
            let told = orders.remove(&order).filter(|(.., cutoff)| decision.decided_at_ms < *cutoff);
            freed.extend(told.map(|(service, day, _)| (decision.pool.clone(), service, day)));
        }
        if decision.outcome() != Outcome::Reserved || decision.service.is_empty() {
            return false;
        }
        orders.insert(order, (decision.service.clone(), decision.day, decision.cutoff_ms));
        let (rule, delivery) = &rules[&decision.pool];
        let service = delivery.services.iter().find(|it| it.name == decision.service).expect("it is one of the rule");
        let day = (decision.pool.clone(), decision.service.clone(), decision.day);
        if service.orders_a_day == 0 || !freed.contains(&day) {
            return false;
        }
        let (outcome, reason) = (Outcome::Rejected.into(), Reason::DeliveryFull.into());
        let Decision { sequence, asked, pool, order_id, attempt, decided_at_ms, content, .. } = decision.clone();
        let Decision { input, offset, index, reply_partition, service, .. } = decision.clone();
        let (state, rule) = (OrderState::Rejected.into(), *rule);
        *decision = Decision {
            sequence,
            asked,
            pool,
            order_id,
            attempt,
            outcome,
            reason,
            state,
            rule,
            service,
            decided_at_ms,
            content,
            input,
            offset,
            index,
            reply_partition,
            ..Decision::default()
        };
        true
    };
    is_found(full, false, By::TheRules);
}
