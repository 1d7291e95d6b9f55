//! Making the topics and writing the first record of each log.
//!
//! Run again, it completes what is missing and changes nothing that is there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::facts::{Answer, Begun};
use super::fetch::describe;
use super::genesis::{self, Topics, Written};
use super::required::Role;
use crate::broker::{Broker, Fault};
use crate::config::Config;
use crate::kafka::admin::{Admin, Configs, CreateTopicError, TopicDescription, TopicSpec};
use crate::wire::proto::Genesis;

/// How long a topic that was created may take until every partition has a leader.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at topics that are settling.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// What the topics shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Partitions of every topic that has one a shard.
    pub partitions: u32,
    /// Partitions of `replies`, and of the optional topic with one record a decision.
    pub reply_partitions: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u16,
    /// How long an order id is remembered.
    pub window: Duration,
    /// By how much a client's clock may be ahead of the broker's.
    pub skew: Duration,
    /// The rules level at which logs begin that have not begun yet.
    pub rules_level: u32,
}

impl Plan {
    fn check(&self) -> Result<(), CreateError> {
        if self.min_insync > self.replication {
            return Err(CreateError::Plan("--min-insync is above --replication: no record could ever be acknowledged"));
        }
        if self.window.is_zero() {
            return Err(CreateError::Plan(
                "--window must be above 0: no retry would be known as one; an hour is usual",
            ));
        }
        Ok(())
    }
}

/// Why topics were not made. What was made before stays, and the next run goes on from there.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The plan contradicts itself; nothing was made.
    #[error("{0}")]
    Plan(&'static str),
    /// A topic was refused, or could not be asked for.
    #[error(transparent)]
    Topic(#[from] CreateTopicError),
    /// A topic that is there has another number of partitions.
    #[error(
        "topic {name} has {found} partitions, and {wanted} are asked for: use --partitions {found}, or delete the topic \
         if nothing is in it"
    )]
    Partitions {
        /// The topic.
        name: String,
        /// Its partitions.
        found: usize,
        /// Those asked for.
        wanted: u32,
    },
    /// The cluster refuses to tell about a topic.
    #[error("topic {name} cannot be read: {words}; grant this principal Describe and DescribeConfigs on it")]
    Denied {
        /// The topic.
        name: String,
        /// The cluster's words.
        words: String,
    },
    /// Topics were made and are still without a leader.
    #[error("topics {0} have no leader yet; run the same command again when the brokers are up")]
    Unsettled(String),
    /// A log is there and is not this one.
    #[error("partition {shard} of {topic} is not empty and is not the log of these topics: {what}")]
    OtherLog {
        /// The topic.
        topic: String,
        /// Its partition.
        shard: u32,
        /// What is there.
        what: String,
    },
    /// A log is there and follows other rules than those asked for.
    #[error(
        "partition {shard} of {topic} was begun with --window {} --skew {}, and --window {} --skew {} are asked for. \
         Both stand in the log for good, because a ledger is rebuilt by the rules under which its log was written. To \
         complete these topics repeat the former; for the latter name other topics under [topics]",
        duration(found.0), duration(found.1), duration(wanted.0), duration(wanted.1)
    )]
    Rules {
        /// The topic.
        topic: String,
        /// Its partition.
        shard: u32,
        /// Window and skew of the log, in milliseconds.
        found: (u64, u64),
        /// Window and skew that are asked for, in milliseconds.
        wanted: (u64, u64),
    },
    /// The brokers could not be reached, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Milliseconds as the flags want them: `1h`, `90s`.
fn duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let fits = units.into_iter().find(|(unit_ms, _)| ms.is_multiple_of(*unit_ms) && ms > 0);
    fits.map_or_else(|| "0s".to_owned(), |(unit_ms, unit)| format!("{}{unit}", ms / unit_ms))
}

/// Makes what is missing; says each step to `say`.
///
/// # Errors
/// See [`CreateError`].
pub fn create<B: Broker>(
    admin: &Admin,
    broker: &B,
    config: &Config,
    plan: &Plan,
    say: &mut dyn FnMut(&str),
) -> Result<(), CreateError> {
    plan.check()?;
    let roles = Role::all(config);
    let found = describe(admin, roles.iter().map(|(_, name)| *name))?;
    let mut missing = Vec::new();
    for (role, name) in &roles {
        match &found[*name] {
            Answer::Missing => missing.push(spec(*role, name, plan)),
            Answer::Denied(words) => {
                return Err(CreateError::Denied { name: (*name).to_owned(), words: words.clone() });
            }
            Answer::Found(topic) if role.is_sharded() && topic.partitions.len() != plan.partitions as usize => {
                return Err(CreateError::Partitions {
                    name: (*name).to_owned(),
                    found: topic.partitions.len(),
                    wanted: plan.partitions,
                });
            }
            Answer::Found(topic) => say(&format!("topic {name}: exists, {} partitions", topic.partitions.len())),
        }
    }
    for (spec, made) in missing.iter().zip(admin.create_topics(&missing)) {
        match made {
            Ok(()) => say(&format!("topic {}: created, {} partitions", spec.name, spec.partitions)),
            // Somebody else runs the same command; what they made is judged like what was there.
            Err(CreateTopicError::Exists(_)) => say(&format!("topic {}: created meanwhile", spec.name)),
            Err(error) => return Err(error.into()),
        }
    }
    let [orders, stock, decisions] = settled(admin, config)?;
    write_genesis(admin, broker, plan, &Topics::of(&orders, &stock, &decisions), &decisions.name, say)
}

fn spec(role: Role, name: &str, plan: &Plan) -> TopicSpec {
    let mut config = Configs::new();
    config.insert("min.insync.replicas".to_owned(), plan.min_insync.to_string());
    for need in role.needs() {
        // The first need of a setting is what it should be, a second one how far it may be from it.
        config.entry(need.setting.to_owned()).or_insert_with(|| need.must.example());
    }
    config.insert("retention.ms".to_owned(), role.created_retention_ms().to_string());
    TopicSpec {
        name: name.to_owned(),
        partitions: if role.is_sharded() { plan.partitions } else { plan.reply_partitions },
        replication: Some(plan.replication),
        config,
    }
}

/// `orders`, `stock` and `decisions`, once every partition of every topic has a leader: a topic id is known only then,
/// and a writer asks for `replies` too.
fn settled(admin: &Admin, config: &Config) -> Result<[TopicDescription; 3], CreateError> {
    let names: Vec<&str> = Role::all(config).into_iter().map(|(_, name)| name).collect();
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let described = admin.describe_topics(&names)?;
        let led = |topic: &TopicDescription| topic.partitions.iter().all(|partition| partition.leader >= 0);
        let mut ready: BTreeMap<String, TopicDescription> =
            described.into_iter().flatten().filter(led).map(|topic| (topic.name.clone(), topic)).collect();
        if ready.len() == names.len() {
            let topics = &config.topics;
            let the_three = [&topics.orders, &topics.stock, &topics.decisions];
            return Ok(the_three.map(|name| ready.remove(name).expect("every topic is ready, and these differ")));
        }
        if Instant::now() > deadline {
            let waiting = names.into_iter().filter(|name| !ready.contains_key(*name));
            return Err(CreateError::Unsettled(waiting.collect::<Vec<_>>().join(", ")));
        }
        thread::sleep(SETTLE_PAUSE);
    }
}

fn write_genesis<B: Broker>(
    admin: &Admin,
    broker: &B,
    plan: &Plan,
    topics: &Topics,
    decisions: &str,
    say: &mut dyn FnMut(&str),
) -> Result<(), CreateError> {
    let (mut now, mut before) = (0, 0);
    for shard in 0..topics.layout.lanes {
        let wanted = topics.genesis(shard, plan.window, plan.skew, plan.rules_level);
        let other = |what: String| CreateError::OtherLog { topic: decisions.to_owned(), shard, what };
        // A shard at work must not be fenced for a look.
        let written = match genesis::read(broker, shard, admin.watermarks(decisions, shard)?)? {
            None => genesis::write(broker, &wanted, &|| admin.watermarks(decisions, shard))?,
            Some(begun) => Written::Before(begun),
        };
        match written {
            Written::Now => now += 1,
            Written::Before(Begun::Genesis(found)) => {
                if let Some(difference) = genesis::differences(&found, shard, topics).into_iter().next() {
                    return Err(other(difference.found));
                }
                let rules = |genesis: &Genesis| (genesis.window_ms, genesis.skew_ms);
                let (found, wanted) = (rules(&found), rules(&wanted));
                if found != wanted {
                    return Err(CreateError::Rules { topic: decisions.to_owned(), shard, found, wanted });
                }
                before += 1;
            }
            Written::Before(Begun::Trimmed(first)) => {
                return Err(other(format!("its start was deleted, it begins at offset {first}")));
            }
            Written::Before(Begun::Other(what)) => return Err(other(what)),
        }
    }
    say(&format!("logs: {now} begun, {before} had begun before"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::required::Must;

    const PLAN: Plan = Plan {
        partitions: 4,
        reply_partitions: 7,
        replication: 3,
        min_insync: 2,
        window: Duration::from_secs(3_600),
        skew: Duration::from_secs(300),
        rules_level: 1,
    };

    #[test]
    fn topics_are_made_as_they_are_judged() {
        let config = Config::defaults();
        for (role, name) in Role::all(&config) {
            let spec = spec(role, name, &PLAN);
            for need in role.needs() {
                let value = spec.config.get(need.setting).expect("every need is set");
                assert!(need.must.holds(value), "{name}: {} = {value} is not {:?}", need.setting, need.must);
            }
            assert_eq!(spec.partitions, if role.is_sharded() { 4 } else { 7 }, "{name}");
        }
    }

    #[test]
    fn the_log_is_made_to_be_kept_for_ever() {
        assert!(Must::BeUnlimited.holds(&spec(Role::Decisions, "decisions", &PLAN).config["retention.ms"]));
    }

    #[test]
    fn a_log_of_other_rules_is_told_by_the_flags_of_both() {
        let (found, wanted) = ((3_600_000, 300_000), (90_000, 500));
        let text = CreateError::Rules { topic: "decisions".to_owned(), shard: 0, found, wanted }.to_string();
        for part in ["--window 1h --skew 5m", "--window 90s --skew 500ms"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!((duration(0), duration(172_800_000)), ("0s".to_owned(), "2d".to_owned()));
    }

    #[test]
    fn a_plan_by_which_nothing_could_be_written_is_refused() {
        assert!(Plan { replication: 2, min_insync: 3, ..PLAN }.check().is_err());
        assert!(Plan { window: Duration::ZERO, ..PLAN }.check().is_err());
        assert!(PLAN.check().is_ok());
    }
}
