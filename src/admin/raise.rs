//! Raising the rules level of every log: a command to each shard, and its decision waited for.
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
use crate::wire::entry::{EntryError, LogEntry};
use crate::wire::proto::{Input, Outcome, RaiseRulesLevel, Reason, StockCommand, StockCommands, stock_command};

/// How long a shard is waited for at least, however late its log is opened: a cold consumer needs half a second.
const LEAST_WAIT: Duration = Duration::from_secs(5);

/// How long a look for receipts waits.
const RECEIPTS_WAIT: Duration = Duration::from_millis(100);

/// What is to be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The partitions.
    pub shards: Vec<u32>,
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
    #[error("decisions[{shard}]: {source}; use the version of sluice that runs there")]
    Log {
        /// The partition.
        shard: u32,
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
    /// Where its log ended before the command was published: the decision stands behind it.
    log_end: i64,
    /// Where the command stands in the shard's partition of `stock`.
    offset: i64,
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
    let asked = publish(admin, config, raise)?;
    say(&format!("rules level {}: asked of {} shards", raise.level, asked.len()));
    let (mut refused, mut unanswered) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + raise.timeout;
    for some in asked.chunks(READS_AT_A_TIME) {
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
fn publish(admin: &Admin, config: &Config, raise: &Raise) -> Result<Vec<Asked>, RaiseError> {
    let (stock, decisions) = (config.topics.stock.as_str(), config.topics.decisions.as_str());
    let mut asked = Vec::with_capacity(raise.shards.len());
    for &shard in &raise.shards {
        asked.push(Asked { shard, log_end: admin.watermarks(decisions, shard)?.1, offset: -1 });
    }
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

/// Waits for the decisions of some shards, and hands out each as it is read: none if the time was up. A log that cannot
/// be read keeps nobody from hearing of the others.
fn answers<B: Broker>(
    broker: &B,
    asked: &[Asked],
    deadline: Instant,
    each: &mut dyn FnMut(u32, Option<Answer>),
) -> Result<(), RaiseError> {
    thread::scope(|scope| {
        let (answered, answers) = mpsc::channel();
        for &asked in asked {
            let answered = answered.clone();
            scope.spawn(move || answered.send((asked.shard, answer(broker, asked, deadline))));
        }
        drop(answered);
        let mut outcome = Ok(());
        for (shard, answer) in answers {
            match answer {
                Ok(answer) => each(shard, answer),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    })
}

/// What the shard decides about its command, if it does so by then.
fn answer<B: Broker>(broker: &B, asked: Asked, deadline: Instant) -> Result<Option<Answer>, RaiseError> {
    let shard = asked.shard;
    let mut reader = broker.reader(shard, asked.log_end)?;
    let mut found = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        reader.read(left, &mut |offset, value| {
            if found.is_none() {
                let read = decision(value, asked.offset);
                found = read.map_err(|source| ReadError::Unreadable { offset, source }).transpose();
            }
        })?;
        match found {
            Some(found) => return found.map(Some).map_err(|source| RaiseError::Log { shard, source }),
            None if left.is_zero() => return Ok(None),
            None => {}
        }
    }
}

/// The decision about the only command of the record at `offset` of `stock`, if it stands in this record of the log.
fn decision(value: &[u8], offset: i64) -> Result<Option<Answer>, EntryError> {
    let LogEntry::Link(link) = LogEntry::parse(value)? else { return Ok(None) };
    for decision in link.decisions() {
        let (decision, source) = decision?;
        if (source.input, source.offset) == (Input::Stock, offset) {
            let (outcome, reason, rules_level) = (decision.outcome, decision.reason, decision.rules_level);
            return Ok(Some(Answer { outcome, reason, rules_level }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::broker::memory::{Cluster, Message, Partitions, Topic};
    use crate::wire::link::{LinkDraft, LinkHash};
    use crate::wire::{proto, view};

    /// Appends a link with a decision about the record at `offset` of `stock`; tells where the log ends now.
    fn decide(cluster: &Cluster, offset: i64, outcome: Outcome, rules_level: u32) -> i64 {
        let (input, outcome) = (Input::Stock.into(), outcome.into());
        let decision = proto::Decision { sequence: 1, input, offset, outcome, rules_level, ..Default::default() };
        let bytes = decision.encode_to_vec();
        let (decision, source) = view::decision(&bytes).expect("it was encoded");
        let mut link = LinkDraft::default();
        link.begin(0, 1, 0, 0);
        link.push(&decision, &source);
        link.seal(1, LinkHash::default());
        let value = link.sealed().expect("it was sealed").0.to_vec();
        1 + cluster.publish(Topic::Decisions, 0, Message::value(value)).expect("nothing is in its way")
    }

    #[test]
    fn a_shard_answers_by_the_decision_about_this_very_command() {
        let cluster = Cluster::new(Partitions::new(1), 0);
        let log_end = decide(&cluster, 7, Outcome::Applied, 9);
        decide(&cluster, 6, Outcome::Unchanged, 3);
        decide(&cluster, 7, Outcome::Applied, 1);
        let asked = |offset| Asked { shard: 0, log_end, offset };
        let by = Instant::now() + Duration::from_millis(20);
        let answer = |offset| super::answer(&cluster.node(), asked(offset), by).expect("the log can be read");
        let raised = Answer { outcome: Outcome::Applied, reason: Reason::Unspecified, rules_level: 1 };
        assert_eq!(answer(7), Some(raised));
        assert_eq!(answer(8), None, "nobody decided");
    }

    #[test]
    fn what_went_wrong_is_told_with_the_shards() {
        let text = RaiseError::Unanswered { shards: vec![0, 3] }.to_string();
        assert!(text.starts_with("shards 0, 3 did not answer in time: is an engine running"), "{text}");
        let text = RaiseError::Refused { shards: vec![2], level: 4 }.to_string();
        assert!(text.contains("upgrade every node"), "{text}");
    }
}
