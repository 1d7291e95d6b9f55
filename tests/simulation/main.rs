//! Many nodes, many shards, one seed: whole runs of the engine against the memory broker, with everything going wrong
//! that can, each then proved right from the topics alone.
//!
//! A run that fails prints its seed; `SLUICE_SIM_SEED=<seed> cargo test --test simulation` runs that one again, step by
//! step the same. `SLUICE_SIM_RUNS=<count>` runs more of them.

#![allow(unreachable_pub, reason = "the modules of a test have no outside")]

mod delivering;
mod doctored;
#[path = "../support/input.rs"]
mod input;
mod lost_days;
mod lost_lots;
mod lots;
mod merchandising;
#[path = "../support/model/mod.rs"]
mod model;
mod odd;
mod parked;
mod planted;
mod rearranged;
#[path = "../support/reasons.rs"]
mod reasons;
mod rules;
#[path = "../support/selling/mod.rs"]
mod selling;
mod traffic;
mod verify;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use prost::Message as _;
use sluice::broker::memory::Stored;
use sluice::wire::proto::{Asked, LogRecord, Outcome, Reason, log_record};

use planted::Bug;
use reasons::Case;
use verify::{Evidence, Summary, verify};
use world::World;

/// Runs of the ordinary test: enough to meet every path many times, and short of a minute unoptimised.
const RUNS: u64 = 300;

/// Runs with slow commits.
const SLOW_RUNS: u64 = 30;

/// Runs in which a planted bug must show. The one that shows least does in one of ten.
const PLANTED_RUNS: u64 = 100;

fn evidence(seed: u64, bug: Bug) -> Result<Evidence> {
    evidence_of(World::new(seed, bug))
}

fn evidence_of(mut world: World) -> Result<Evidence> {
    world.rough();
    world.settle()?;
    Ok(Evidence::gather(&world.cluster, world.layout()))
}

/// A run and its proof; a panic of the engine is a failure like any other.
fn run(seed: u64, bug: Bug) -> Result<Summary> {
    match catch_unwind(AssertUnwindSafe(|| verify(&evidence(seed, bug)?))) {
        Ok(outcome) => outcome,
        Err(_) => anyhow::bail!("a panic; its words stand above"),
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_goes_wrong_every_command_is_decided_once_as_the_model_says() {
    let seeds = match from_environment("SLUICE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("SLUICE_SIM_RUNS").unwrap_or(RUNS),
    };
    let many = seeds.end - seeds.start > 100;
    let mut all = Summary::default();
    for seed in seeds {
        match run(seed, Bug::None) {
            Ok(summary) => all.add(&summary),
            Err(error) => {
                panic!("seed {seed}: {error:?}\nrun it again: SLUICE_SIM_SEED={seed} cargo test --test simulation")
            }
        }
    }
    println!("{all:?}");
    if many {
        met_what_it_is_for(&all);
    }
}

/// A simulation that never took a path says nothing about it.
fn met_what_it_is_for(all: &Summary) {
    assert!(all.digests > 0 && all.dead_letters > 0 && all.epochs > 0 && all.links > 0);
    // Its shards have memory enough, and its rows few lots: tests/ledger.rs has ledgers, and rows, that are full.
    let makes_a_lot = |case: &Case| matches!(case.asked, Asked::Receive | Asked::Adjust | Asked::Count);
    let is_full = |case: &Case| case.outcome == Outcome::Busy || case.reason == Reason::TooMany && makes_a_lot(case);
    all.met.expect_every_case(|case| !is_full(case));
}

#[test]
fn a_coordinator_that_is_always_slow_holds_nothing_up_for_ever() {
    for seed in 0..SLOW_RUNS {
        let evidence = evidence_of(World::slow(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        verify(&evidence).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    }
}

#[test]
fn one_seed_is_one_run() {
    let logs = || {
        let evidence = evidence(7, Bug::None).expect("seed 7 passes");
        evidence.shards.into_iter().map(|shard| shard.log).collect::<Vec<_>>()
    };
    assert!(logs() == logs(), "something in the engine or in the simulation does not come from the seed");
}

/// A planted bug is found, the sooner the more often it does harm.
fn finds(bug: Bug) {
    let found = (0..PLANTED_RUNS).any(|seed| run(seed, bug).is_err());
    assert!(found, "{bug:?} was not noticed in {PLANTED_RUNS} runs");
}

#[test]
fn an_engine_that_resumes_a_record_late_is_found_out() {
    finds(Bug::ResumesLate);
}

#[test]
fn an_engine_that_resumes_a_record_early_is_found_out() {
    finds(Bug::ResumesEarly);
}

#[test]
fn an_engine_that_resumes_a_shard_where_its_neighbour_stands_is_found_out() {
    finds(Bug::ResumesAtItsNeighbour);
}

#[test]
fn an_engine_that_takes_the_records_of_a_neighbour_for_a_shards_own_is_found_out() {
    finds(Bug::ReadsItsNeighbour);
}

#[test]
fn an_engine_that_sends_again_what_is_committed_is_found_out() {
    finds(Bug::LooksAway);
}

#[test]
fn an_engine_that_loses_replies_is_found_out() {
    finds(Bug::LosesReplies);
}

#[test]
fn an_engine_that_loses_dead_letters_is_found_out() {
    finds(Bug::LosesDeadLetters);
}

fn is_link(record: &Stored) -> bool {
    let value = record.message.value.as_deref().unwrap_or_default();
    matches!(LogRecord::decode(value), Ok(LogRecord { kind: Some(log_record::Kind::Link(_)) }))
}

#[test]
fn a_log_that_was_tampered_with_is_found_out() {
    let evidence = evidence(1, Bug::None).expect("seed 1 passes");
    verify(&evidence).expect("the evidence as it is");
    // Fences may come and go without anybody noticing; links may not.
    let links: Vec<usize> = (0..).zip(&evidence.shards[0].log).filter(|(_, r)| is_link(r)).map(|(i, _)| i).collect();
    let [.., middle, before, last] = links[..] else { panic!("seed 1 has too short a log to tamper with") };
    let tampered = |tamper: &dyn Fn(&mut Evidence)| {
        let mut evidence = evidence.clone();
        tamper(&mut evidence);
        verify(&evidence).is_err()
    };
    assert!(tampered(&|e| drop(e.shards[0].log.remove(middle))), "a record was taken out");
    assert!(tampered(&|e| drop(e.shards[0].log.remove(last))), "the last link was taken off");
    assert!(tampered(&|e| e.shards[0].log.swap(before, last)), "two records were swapped");
    assert!(tampered(&|e| drop(e.shards[0].orders.remove(3))), "a record of the input was taken out");
    assert!(tampered(&|e| e.shards[0].orders[3].message.value = None), "a record of the input was emptied");
    assert!(tampered(&|e| e.replies.iter_mut().for_each(|r| drop(r.pop()))), "a reply was taken out");
    assert!(tampered(&|e| e.per_decision.truncate(3)), "records of their own were taken out");
}
