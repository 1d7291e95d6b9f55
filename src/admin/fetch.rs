//! Asking a cluster for what there is to judge.

use std::collections::BTreeMap;

use super::facts::{Answer, Begun, BrokerFacts, Facts, TRANSACTION_LOG};
use super::side::side_by_side;
use super::{Role, genesis};
use crate::broker::{Broker, Fault};
use crate::config::Config;
use crate::kafka::admin::{Admin, TopicDescription, broker_age};

/// Logs whose first record is read at a time: each needs a consumer of its own, and a cold one half a second.
pub(super) const READS_AT_A_TIME: usize = 16;

/// Everything that [`super::findings()`] judges.
///
/// # Errors
/// The cluster cannot be reached. What it refuses to tell is a fact, not an error.
pub fn fetch<B: Broker>(admin: &Admin, broker: &B, config: &Config) -> Result<Facts, Fault> {
    let brokers = answer(admin.broker_configs().map(Some))?;
    let brokers = match brokers {
        Answer::Found(brokers) => Answer::Found(
            brokers
                .into_iter()
                .map(|(id, configs)| (id, BrokerFacts { age: broker_age(&configs), configs }))
                .collect::<BTreeMap<_, _>>(),
        ),
        Answer::Missing => Answer::Missing,
        Answer::Denied(words) => Answer::Denied(words),
    };
    let topics = describe(admin, Role::all(config).into_iter().map(|(_, name)| name).chain([TRANSACTION_LOG]))?;
    let genesis = match topics.get(&config.topics.decisions).and_then(Answer::found) {
        Some(decisions) => read_genesis(admin, broker, decisions)?,
        None => BTreeMap::new(),
    };
    Ok(Facts { brokers, topics, genesis })
}

/// Topics by name. Asked one by one, because one that is denied would hide the others.
pub(super) fn describe<'a>(
    admin: &Admin,
    names: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Answer<TopicDescription>>, Fault> {
    names
        .map(|name| {
            let described = admin.describe_topics(&[name]).map(|topics| topics.into_iter().flatten().next());
            Ok((name.to_owned(), answer(described)?))
        })
        .collect()
}

fn answer<T>(asked: Result<Option<T>, Fault>) -> Result<Answer<T>, Fault> {
    match asked {
        Ok(Some(found)) => Ok(Answer::Found(found)),
        Ok(None) => Ok(Answer::Missing),
        Err(Fault::Fatal(words)) => Ok(Answer::Denied(words)),
        Err(fault) => Err(fault),
    }
}

fn read_genesis<B: Broker>(
    admin: &Admin,
    broker: &B,
    decisions: &TopicDescription,
) -> Result<BTreeMap<u32, Option<Begun>>, Fault> {
    // A partition without a leader is a finding of its own and cannot be read.
    let led: Vec<u32> = (0..).zip(&decisions.partitions).filter(|(_, p)| p.leader >= 0).map(|(lane, _)| lane).collect();
    let read = |lane: u32| genesis::read(broker, lane, admin.watermarks(&decisions.name, lane)?);
    let mut facts = BTreeMap::new();
    let mut each = |lane, fact| {
        let fact = match fact {
            Err(Fault::Fatal(words)) => Some(Begun::Other(format!("it cannot be read: {words}"))),
            Err(Fault::OutOfRange { begin, .. }) => Some(Begun::Trimmed(begin)),
            other => other?,
        };
        facts.insert(lane, fact);
        Ok(())
    };
    side_by_side(&led, READS_AT_A_TIME, read, &mut each, &mut |_| {})?;
    Ok(facts)
}
