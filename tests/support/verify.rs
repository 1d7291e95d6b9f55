//! Reads a whole deployment back as any consumer would, and audits it: I1 to I4, the chain, copies, and the model.

use std::collections::HashMap;

use prost::Message;
use sluice::wire::proto::{Decision, LogRecord, Replies, log_record};

use super::audit::{AuditedShard, ShardTopics, Stored, fingerprint};
use super::engine::{Deployment, PER_DECISION};
use super::lane::{LaneTopics, audit};
use super::model::{Model, ModelRules};
use super::report::{Breach, Report};
use super::topics;

/// Audits every lane and shard against the model. All engines must have stopped.
pub(crate) fn verify(deployment: &Deployment) -> Report {
    verify_read(deployment, &read_lanes(deployment))
}

/// The same, of lanes that were read by the caller.
pub(crate) fn verify_read(deployment: &Deployment, lanes: &[LaneTopics]) -> Report {
    let mut report = Report::default();
    let mut expected: HashMap<u32, HashMap<u128, i64>> = HashMap::new();
    let mut each: HashMap<u128, i64> = HashMap::new();
    for topics in lanes {
        let model = |shard| rules(topics, shard, deployment.partitions).map(Model::new);
        let audited = audit(topics, model);
        report.add(audited.report);
        for AuditedShard { book, model, copies, .. } in audited.shards {
            for (partition, fingerprint) in &copies {
                if let Some(partition) = partition {
                    *expected.entry(*partition).or_default().entry(*fingerprint).or_default() += 1;
                }
                *each.entry(*fingerprint).or_default() += 1;
            }
            if let Some(model) = model {
                same_stock(&book, &model, &mut report);
            }
        }
    }
    // A walk that stopped leaves copies unexplained, and its own words say more.
    if !report.breaches.is_empty() {
        println!("{}: {report}", deployment.name);
        return report;
    }
    replies(deployment, expected, &mut report);
    if deployment.per_decision {
        per_decision(deployment, each, &mut report);
    }
    println!("{}: {report}", deployment.name);
    report
}

/// All that is committed of each lane and its shards.
pub(crate) fn read_lanes(deployment: &Deployment) -> Vec<LaneTopics> {
    let Deployment { partitions, lanes, .. } = *deployment;
    let read = |of, partition: u32| topics::read(&deployment.bootstrap, &deployment.topic(of), partition.cast_signed());
    // A dead letter may stand in any partition: its headers say where it comes from.
    let mut letters: HashMap<u32, Vec<Stored>> = HashMap::new();
    for partition in 0..partitions {
        for letter in read("dead-letters", partition) {
            letters.entry(shard_of(&letter).unwrap_or(partition)).or_default().push(letter);
        }
    }
    let shard = |shard| ShardTopics {
        shard,
        orders: read("orders", shard),
        stock: read("stock", shard),
        dead_letters: letters.get(&shard).cloned().unwrap_or_default(),
    };
    let lane = |lane: u32| LaneTopics {
        lane,
        log: read("decisions", lane),
        shards: (lane..partitions).step_by(lanes as usize).map(shard).collect(),
    };
    (0..lanes).map(lane).collect()
}

/// The partition that a dead letter says it comes from.
fn shard_of(letter: &Stored) -> Option<u32> {
    let header = letter.headers.iter().rev().find(|(name, _)| name == "__connect.errors.partition")?;
    std::str::from_utf8(header.1.as_deref()?).ok()?.parse().ok()
}

/// The rules as the genesis states them; holds as in the engine's default configuration.
fn rules(topics: &LaneTopics, shard: u32, partitions: u32) -> Option<ModelRules> {
    let first = LogRecord::decode(topics.log.first()?.value.as_deref()?).ok()?;
    let Some(log_record::Kind::Genesis(genesis)) = first.kind else { return None };
    Some(ModelRules {
        shard,
        partitions,
        window_ms: i64::try_from(genesis.window_ms).ok()?,
        skew_ms: i64::try_from(genesis.skew_ms).ok()?,
        default_hold_ms: 900_000,
        max_hold_ms: 604_800_000,
        max_ids: 2_147_483_648 / 40,
        rules_level: genesis.rules_level,
    })
}

/// The stock that the decisions add up to must be the model's.
fn same_stock(book: &super::book::Book, model: &Model, report: &mut Report) {
    let known = model.stock();
    for row in &known {
        let found = book.rows.get(&(row.pool.clone(), row.sku.clone())).copied().unwrap_or_default();
        let expected = super::book::Row {
            on_hand: row.on_hand,
            reserved: row.reserved,
            committed: row.committed,
            safety_stock: row.safety_stock,
        };
        report.expect(found == expected, Breach::Model, || format!("{row:?}, but the decisions leave {found:?}"));
    }
}

/// Every decision that somebody waits for is in his partition of `replies`, once, and nothing else is there.
fn replies(deployment: &Deployment, mut expected: HashMap<u32, HashMap<u128, i64>>, report: &mut Report) {
    for partition in 0..deployment.reply_partitions {
        let waiting = expected.entry(partition).or_default();
        let at = i32::try_from(partition).expect("few partitions");
        for record in topics::read(&deployment.bootstrap, &deployment.topic("replies"), at) {
            let Ok(replies) = Replies::decode(record.value.as_deref().unwrap_or_default()) else {
                report.breach(Breach::Copy, format_args!("replies[{partition}] {} cannot be read", record.offset));
                continue;
            };
            for decision in &replies.decisions {
                let left = waiting.entry(fingerprint(decision)).or_default();
                *left -= 1;
                report.expect(*left >= 0, Breach::Copy, || format!("replies[{partition}] has one more {decision:?}"));
            }
        }
        let missing: i64 = waiting.values().filter(|left| **left > 0).sum();
        report.expect(missing == 0, Breach::Copy, || format!("replies[{partition}] lacks {missing} decisions"));
    }
}

/// Every decision is in the one-per-decision topic, once, under its order's id or its own.
fn per_decision(deployment: &Deployment, mut expected: HashMap<u128, i64>, report: &mut Report) {
    let topic = deployment.topic(PER_DECISION);
    for partition in 0..topics::partitions(&deployment.bootstrap, &topic) {
        for record in topics::read(&deployment.bootstrap, &topic, partition) {
            let Ok(decision) = Decision::decode(record.value.as_deref().unwrap_or_default()) else {
                report.breach(Breach::Copy, format_args!("{topic}[{partition}] {} cannot be read", record.offset));
                continue;
            };
            let id = if decision.order_id.is_empty() { &decision.id } else { &decision.order_id };
            let keyed = record.key.as_deref().unwrap_or_default() == id.as_bytes();
            report.expect(keyed, Breach::Copy, || format!("under the key {:?}: {decision:?}", record.key));
            let left = expected.entry(fingerprint(&decision)).or_default();
            *left -= 1;
            report.expect(*left >= 0, Breach::Copy, || format!("{topic} has one more {decision:?}"));
        }
    }
    let missing: i64 = expected.values().filter(|left| **left > 0).sum();
    report.expect(missing == 0, Breach::Copy, || format!("{topic} lacks {missing} decisions"));
}
