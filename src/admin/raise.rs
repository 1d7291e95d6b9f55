//! Raising the rules level of every shard: a command to each, and its decision waited for in the log of its lane.
//!
//! Nothing is written to a log from here: the engine that has a shard decides the command like any other, so that the
//! level rises at one place in the log, and an engine that does not know the level says so.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;
use thiserror::Error;

use super::fetch::READS_AT_A_TIME;
use crate::broker::{Broker, Fault, LogReader};
use crate::config::Config;
use crate::kafka::admin::Admin;
use crate::kafka::publisher::{Publisher, Receipt};
use crate::log::read::ReadError;
use crate::wire::Layout;
use crate::wire::entry::{EntryError, LogEntry};
use crate::wire::proto::{Input, Outcome, RaiseRulesLevel, Reason, StockCommand, StockCommands, stock_command};

/// How long a shard is waited for at least, however late its log is opened: a cold consumer needs half a second.
const LEAST_WAIT: Duration = Duration::from_secs(5);

/// How long a look for receipts waits.
const RECEIPTS_WAIT: Duration = Duration::from_millis(100);

/// What is to be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// How many shards there are, and in which logs their decisions stand.
    pub layout: Layout,
    /// The level from here on.
    pub level: u32,
    /// How long the shards may take to answer; not less than a few seconds, which it takes to open a log.
    pub timeout: Duration,
}

/// Why some shard may not have the level. Nothing is lost by trying again.
#[derive(Debug, Error)]
pub enum RaiseError {
    /// A command was not stored.
    #[error("stock[{shard}] does not take the command: {words}")]
    NotStored {
        /// The partition.
        shard: u32,
        /// The client's words.
        words: String,
    },
    /// A log holds what this version cannot read.
    #[error("decisions[{lane}]: {source}; use the version of sluice that runs there")]
    Log {
        /// The partition.
        lane: u32,
        /// What is wrong.
        source: ReadError,
    },
    /// Engines refused.
    #[error(
        "shards {} are run by engines that do not know rules level {level}: upgrade every node, then run the same \
         command again",
        list(shards)
    )]
    Refused {
        /// The partitions.
        shards: Vec<u32>,
        /// The level that was asked for.
        level: u32,
    },
    /// Nobody decided.
    #[error(
        "shards {} did not answer in time: is an engine running, and has it caught up (`/state` of each node)? The \
         command waits for it in `stock`; running this again does no harm",
        list(shards)
    )]
    Unanswered {
        /// The partitions.
        shards: Vec<u32>,
    },
    /// The brokers could not be reached, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Numbers, one after the other.
fn list(shards: &[u32]) -> String {
    shards.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// A command that a shard is to decide.
#[derive(Clone, Copy, Debug)]
struct Asked {
    shard: u32,
    /// Where the command stands in the shard's partition of `stock`.
    offset: i64,
}

/// A log in which shards are to answer.
#[derive(Clone, Copy, Debug)]
struct Log<'a> {
    lane: u32,
    /// Where it ended before the first command was published: the decisions stand behind it.
    end: i64,
    /// What is asked of the lane's shards.
    asked: &'a [Asked],
}

/// What a shard decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    outcome: Outcome,
    reason: Reason,
    rules_level: u32,
}

/// Raises the rules level of every shard; says to `say` what each answers.
///
/// # Errors
/// See [`RaiseError`].
pub fn raise_rules<B: Broker>(
    admin: &Admin,
    broker: &B,
    config: &Config,
    raise: &Raise,
    say: &mut dyn FnMut(&str),
) -> Result<(), RaiseError> {
    let (layout, decisions) = (raise.layout, config.topics.decisions.as_str());
    let ends = (0..layout.lanes).map(|lane| Ok(admin.watermarks(decisions, lane)?.1));
    let ends = ends.collect::<Result<Vec<_>, Fault>>()?;
    let mut asked = publish(config, raise)?;
    say(&format!("rules level {}: asked of {} shards", raise.level, asked.len()));
    // Those of a lane one after the other.
    asked.sort_by_key(|asked| (layout.lane(asked.shard), asked.shard));
    let logs = asked.chunk_by(|a, b| layout.lane(a.shard) == layout.lane(b.shard)).map(|asked| {
        let lane = layout.lane(asked[0].shard);
        Log { lane, end: ends[lane as usize], asked }
    });
    let logs: Vec<_> = logs.collect();
    let (mut refused, mut unanswered) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + raise.timeout;
    for some in logs.chunks(READS_AT_A_TIME) {
        answers(broker, some, deadline.max(Instant::now() + LEAST_WAIT), &mut |shard, answer| match answer {
            None => unanswered.push(shard),
            Some(Answer { outcome: Outcome::Applied, rules_level, .. }) => {
                say(&format!("shard {shard}: raised to rules level {rules_level}"));
            }
            Some(Answer { outcome: Outcome::Unchanged, rules_level, .. }) => {
                say(&format!("shard {shard}: has rules level {rules_level} already"));
            }
            Some(Answer { outcome, reason, .. }) => {
                say(&format!("shard {shard}: refused, {} {}", outcome.as_str_name(), reason.as_str_name()));
                refused.push(shard);
            }
        })?;
    }
    refused.sort_unstable();
    unanswered.sort_unstable();
    if !refused.is_empty() {
        return Err(RaiseError::Refused { shards: refused, level: raise.level });
    }
    if !unanswered.is_empty() {
        return Err(RaiseError::Unanswered { shards: unanswered });
    }
    say(&format!("rules level {} holds in all shards", raise.level));
    Ok(())
}

/// Publishes a command to each shard, and waits until all are stored.
fn publish(config: &Config, raise: &Raise) -> Result<Vec<Asked>, RaiseError> {
    let stock = config.topics.stock.as_str();
    let mut asked: Vec<_> = (0..raise.layout.shards).map(|shard| Asked { shard, offset: -1 }).collect();
    let publisher = Publisher::new(&config.kafka_settings())?;
    let deadline = Instant::now() + raise.timeout;
    let mut receipts = Vec::new();
    for (tag, Asked { shard, .. }) in asked.iter().enumerate() {
        let value = command(*shard, raise.level);
        while !publisher.publish(stock, *shard, b"", &value, tag)? {
            publisher.receipts(RECEIPTS_WAIT, &mut |receipt| receipts.push(receipt));
        }
    }
    let mut stored = 0;
    loop {
        for Receipt { tag, partition: shard, stored: outcome } in receipts.drain(..) {
            asked[tag].offset = outcome.map_err(|words| RaiseError::NotStored { shard, words })?;
            stored += 1;
        }
        if stored == asked.len() {
            return Ok(asked);
        }
        if Instant::now() > deadline {
            let left = asked.len() - stored;
            return Err(Fault::Transient(format!("publish to {stock}: {left} partitions did not answer")).into());
        }
        publisher.receipts(RECEIPTS_WAIT, &mut |receipt| receipts.push(receipt));
    }
}

/// The value of the record that asks a shard.
fn command(shard: u32, level: u32) -> Vec<u8> {
    let kind = stock_command::Kind::RaiseRulesLevel(RaiseRulesLevel { shard, level });
    StockCommands { commands: vec![StockCommand { kind: Some(kind), ..StockCommand::default() }] }.encode_to_vec()
}

/// Waits for the decisions in some logs, and hands out each as it is read: none if the time was up. A log that cannot be
/// read keeps nobody from hearing of the others.
fn answers<B: Broker>(
    broker: &B,
    logs: &[Log<'_>],
    deadline: Instant,
    each: &mut dyn FnMut(u32, Option<Answer>),
) -> Result<(), RaiseError> {
    thread::scope(|scope| {
        let (answered, answers) = mpsc::channel();
        for &log in logs {
            let answered = answered.clone();
            scope.spawn(move || {
                let read = follow(broker, log, deadline, &mut |shard, answer| drop(answered.send(Ok((shard, answer)))));
                // Whoever hears of it is there for as long as this runs.
                read.or_else(|error| answered.send(Err(error))).ok();
            });
        }
        drop(answered);
        let mut outcome = Ok(());
        for answer in answers {
            match answer {
                Ok((shard, answer)) => each(shard, answer),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    })
}

/// Reads a lane's log until each of its shards has decided its command, or until then.
fn follow<B: Broker>(
    broker: &B,
    log: Log<'_>,
    deadline: Instant,
    each: &mut dyn FnMut(u32, Option<Answer>),
) -> Result<(), RaiseError> {
    let lane = log.lane;
    let mut reader = broker.reader(lane, log.end)?;
    let mut waiting = log.asked.to_vec();
    while !waiting.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut unreadable = None;
        reader.read(left, &mut |offset, value| {
            if unreadable.is_none() {
                let read = decisions(value, &mut waiting, each);
                unreadable = read.map_err(|source| ReadError::Unreadable { offset, source }).err();
            }
        })?;
        if let Some(source) = unreadable {
            return Err(RaiseError::Log { lane, source });
        }
        if left.is_zero() {
            waiting.drain(..).for_each(|asked| each(asked.shard, None));
        }
    }
    Ok(())
}

/// Takes those from `waiting` whose command is decided by this record of the log: by a link of their own shard, because
/// another one may have decided another record at the same offset.
fn decisions(
    value: &[u8],
    waiting: &mut Vec<Asked>,
    each: &mut dyn FnMut(u32, Option<Answer>),
) -> Result<(), EntryError> {
    let LogEntry::Link(link) = LogEntry::parse(value)? else { return Ok(()) };
    let Some(at) = waiting.iter().position(|asked| asked.shard == link.header.shard) else { return Ok(()) };
    let Asked { shard, offset } = waiting[at];
    for decision in link.decisions() {
        let (decision, source) = decision?;
        if (source.input, source.offset) == (Input::Stock, offset) {
            let (outcome, reason, rules_level) = (decision.outcome, decision.reason, decision.rules_level);
            waiting.swap_remove(at);
            each(shard, Some(Answer { outcome, reason, rules_level }));
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;

    use super::*;
    use crate::broker::memory::{Cluster, Message, Partitions, Topic};
    use crate::wire::link::{LinkDraft, LinkHash};
    use crate::wire::{proto, view};

    /// Appends a link in which `shard` decides about the record at `offset` of `stock` to log 0; tells where that ends now.
    fn decide(cluster: &Cluster, shard: u32, offset: i64, outcome: Outcome, rules_level: u32) -> i64 {
        let (input, outcome) = (Input::Stock.into(), outcome.into());
        let decision = proto::Decision { sequence: 1, input, offset, outcome, rules_level, ..Default::default() };
        let bytes = decision.encode_to_vec();
        let (decision, source) = view::decision(&bytes).expect("it was encoded");
        let mut link = LinkDraft::default();
        link.begin(shard, 1, 0, 0);
        link.push(&decision, &source);
        link.seal(1, LinkHash::default());
        let value = link.sealed().expect("it was sealed").0.to_vec();
        1 + cluster.publish(Topic::Decisions, 0, Message::value(value)).expect("nothing is in its way")
    }

    /// What is answered in log 0, from `end` on, to commands at these offsets of these shards.
    fn heard(cluster: &Cluster, end: i64, asked: &[(u32, i64)]) -> BTreeMap<u32, Option<Answer>> {
        let asked: Vec<_> = asked.iter().map(|&(shard, offset)| Asked { shard, offset }).collect();
        let by = Instant::now() + Duration::from_millis(20);
        let mut heard = BTreeMap::new();
        let mut each = |shard, answer| assert_eq!(heard.insert(shard, answer), None, "shard {shard} answers once");
        answers(&cluster.node(), &[Log { lane: 0, end, asked: &asked }], by, &mut each).expect("the log can be read");
        heard
    }

    fn raised(outcome: Outcome, rules_level: u32) -> Option<Answer> {
        Some(Answer { outcome, reason: Reason::Unspecified, rules_level })
    }

    #[test]
    fn a_shard_answers_by_the_decision_about_this_very_command() {
        let cluster = Cluster::new(Partitions::new(1), 0);
        let end = decide(&cluster, 0, 7, Outcome::Applied, 9);
        decide(&cluster, 0, 6, Outcome::Unchanged, 3);
        decide(&cluster, 0, 7, Outcome::Applied, 1);
        assert_eq!(heard(&cluster, end, &[(0, 7)]), BTreeMap::from([(0, raised(Outcome::Applied, 1))]));
        assert_eq!(heard(&cluster, end, &[(0, 8)]), BTreeMap::from([(0, None)]), "nobody decided");
    }

    #[test]
    fn shards_that_share_a_log_answer_each_for_itself() {
        let cluster = Cluster::new(Partitions::new(1), 0);
        decide(&cluster, 4, 7, Outcome::Applied, 1);
        decide(&cluster, 2, 7, Outcome::Unchanged, 2);
        decide(&cluster, 0, 5, Outcome::Applied, 1);
        let expected = [(0, None), (2, raised(Outcome::Unchanged, 2)), (4, raised(Outcome::Applied, 1)), (6, None)];
        assert_eq!(heard(&cluster, 0, &[(0, 7), (2, 7), (4, 7), (6, 7)]), BTreeMap::from(expected));
    }

    #[test]
    fn what_went_wrong_is_told_with_the_shards() {
        let text = RaiseError::Unanswered { shards: vec![0, 3] }.to_string();
        assert!(text.starts_with("shards 0, 3 did not answer in time: is an engine running"), "{text}");
        let text = RaiseError::Refused { shards: vec![2], level: 4 }.to_string();
        assert!(text.contains("upgrade every node"), "{text}");
    }
}
