//! Making the topics and writing the first record of each log.
//!
//! Run again, it completes what is missing and changes nothing that is there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::begin;
use super::facts::{Answer, partitions};
use super::fetch::describe;
use super::genesis::Topics;
use super::plan::Plan;
use super::required::{Partitions, Role};
use crate::broker::{Broker, Fault};
use crate::config::Config;
use crate::kafka::admin::{Admin, Configs, CreateTopicError, TopicDescription, TopicSpec};
use crate::wire::Layout;

/// How long a topic that was created may take until every partition has a leader.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at topics that are settling.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// Why topics were not made. What was made before stays, and the next run goes on from there.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The plan contradicts itself; nothing was made.
    #[error("{0}")]
    Plan(String),
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
        found: u32,
        /// Those asked for.
        wanted: u32,
    },
    /// `decisions` is there and has another number of partitions.
    #[error(
        "topic {name} has {found} partitions, so there are {found} lanes, and --lanes {wanted} is asked for: leave --lanes \
         away, or delete the topic if nothing is in it. The number of lanes cannot be changed while there are logs"
    )]
    Lanes {
        /// The topic.
        name: String,
        /// Its partitions.
        found: u32,
        /// Those asked for.
        wanted: u32,
    },
    /// `decisions` is there and has more partitions than there are shards.
    #[error(
        "topic {name} has {found} partitions, more than --partitions {partitions}: a lane is the log of one shard or more. \
         Use --partitions {found} or more, or delete the topic if nothing is in it"
    )]
    MoreLanes {
        /// The topic.
        name: String,
        /// Its partitions.
        found: u32,
        /// Partitions that the other topics are to have.
        partitions: u32,
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
    #[error("partition {lane} of {topic} is not empty and is not the log of these topics: {what}")]
    OtherLog {
        /// The topic.
        topic: String,
        /// Its partition.
        lane: u32,
        /// What is there.
        what: String,
    },
    /// A log is there and follows other rules than those asked for.
    #[error(
        "partition {lane} of {topic} was begun with --window {} --skew {}, and --window {} --skew {} are asked for. \
         Both stand in the log for good, because a ledger is rebuilt by the rules under which its log was written. To \
         complete these topics repeat the former; for the latter name other topics under [topics]",
        duration(found.0), duration(found.1), duration(wanted.0), duration(wanted.1)
    )]
    Rules {
        /// The topic.
        topic: String,
        /// Its partition.
        lane: u32,
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
    let there = |name: &str| found.get(name).and_then(Answer::found);
    let decisions = config.topics.decisions.as_str();
    let layout = Layout { shards: plan.partitions, lanes: plan.lanes(there(decisions).map(partitions), decisions)? };
    let mut missing = Vec::new();
    for (role, name) in &roles {
        match &found[*name] {
            Answer::Missing => missing.push(spec(*role, name, plan, layout)),
            Answer::Denied(words) => {
                return Err(CreateError::Denied { name: (*name).to_owned(), words: words.clone() });
            }
            Answer::Found(topic) => {
                fits(*role, topic, plan)?;
                say(&format!("topic {name}: exists, {} partitions", topic.partitions.len()));
            }
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
    let ready = settled(admin, config)?;
    for (role, name) in &roles {
        fits(*role, &ready[*name], plan)?;
    }
    let topics = &config.topics;
    let topics = Topics::of(&ready[&topics.orders], &ready[&topics.stock], &ready[&topics.decisions]);
    let (now, before) = begin::logs(admin, broker, plan, &topics, decisions, say)?;
    let Layout { shards, lanes } = topics.layout;
    say(&format!("{shards} shards, {lanes} lanes; logs: {now} begun, {before} had begun before"));
    Ok(())
}

/// Whether a topic that is there has the partitions that are asked for.
fn fits(role: Role, topic: &TopicDescription, plan: &Plan) -> Result<(), CreateError> {
    let found = partitions(topic);
    match role.partitions() {
        Partitions::Shards if found != plan.partitions => {
            Err(CreateError::Partitions { name: topic.name.clone(), found, wanted: plan.partitions })
        }
        Partitions::Lanes => plan.lanes(Some(found), &topic.name).map(drop),
        Partitions::Shards | Partitions::Any => Ok(()),
    }
}

fn spec(role: Role, name: &str, plan: &Plan, layout: Layout) -> TopicSpec {
    let mut config = Configs::new();
    config.insert("min.insync.replicas".to_owned(), plan.min_insync.to_string());
    for need in role.needs() {
        // The first need of a setting is what it should be, a second one how far it may be from it.
        config.entry(need.setting.to_owned()).or_insert_with(|| need.must.example());
    }
    config.insert("retention.ms".to_owned(), role.created_retention_ms().to_string());
    TopicSpec {
        name: name.to_owned(),
        partitions: match role.partitions() {
            Partitions::Shards => layout.shards,
            Partitions::Lanes => layout.lanes,
            Partitions::Any => plan.reply_partitions,
        },
        replication: Some(plan.replication),
        config,
    }
}

/// The topics, once every partition of each has a leader: a topic id is known only then, and a writer asks for `replies`
/// too.
fn settled(admin: &Admin, config: &Config) -> Result<BTreeMap<String, TopicDescription>, CreateError> {
    let names: Vec<&str> = Role::all(config).into_iter().map(|(_, name)| name).collect();
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let described = admin.describe_topics(&names)?;
        let led = |topic: &TopicDescription| topic.partitions.iter().all(|partition| partition.leader >= 0);
        let ready: BTreeMap<String, TopicDescription> =
            described.into_iter().flatten().filter(led).map(|topic| (topic.name.clone(), topic)).collect();
        if ready.len() == names.len() {
            return Ok(ready);
        }
        if Instant::now() > deadline {
            let waiting = names.into_iter().filter(|name| !ready.contains_key(*name));
            return Err(CreateError::Unsettled(waiting.collect::<Vec<_>>().join(", ")));
        }
        thread::sleep(SETTLE_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::plan::tests::PLAN;
    use crate::admin::required::Must;

    const LAYOUT: Layout = Layout { shards: 4, lanes: 2 };

    #[test]
    fn topics_are_made_as_they_are_judged() {
        let config = Config::defaults();
        for (role, name) in Role::all(&config) {
            let spec = spec(role, name, &PLAN, LAYOUT);
            for need in role.needs() {
                let value = spec.config.get(need.setting).expect("every need is set");
                assert!(need.must.holds(value), "{name}: {} = {value} is not {:?}", need.setting, need.must);
            }
            let partitions = match name {
                "decisions" => 2,
                "replies" => 7,
                _ => 4,
            };
            assert_eq!(spec.partitions, partitions, "{name}");
        }
    }

    #[test]
    fn the_log_is_made_to_be_kept_for_ever() {
        assert!(Must::BeUnlimited.holds(&spec(Role::Decisions, "decisions", &PLAN, LAYOUT).config["retention.ms"]));
    }

    #[test]
    fn a_log_of_other_rules_is_told_by_the_flags_of_both() {
        let (found, wanted) = ((3_600_000, 300_000), (90_000, 500));
        let text = CreateError::Rules { topic: "decisions".to_owned(), lane: 0, found, wanted }.to_string();
        for part in ["--window 1h --skew 5m", "--window 90s --skew 500ms"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!((duration(0), duration(172_800_000)), ("0s".to_owned(), "2d".to_owned()));
    }
}
