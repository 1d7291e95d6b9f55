//! Judging what a cluster said.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Answer, Begun, BrokerFacts, Facts, TRANSACTION_LOG, replication};
use super::required::{MIN_INSYNC, MIN_REPLICATION, Need, Role};
use super::{Demands, Finding, Severity, genesis};
use crate::config::Config;
use crate::kafka::admin::{BrokerAge, TopicDescription};
use crate::wire::Layout;
use crate::wire::proto::Genesis;

/// Everything in `facts` that is not as the engine needs it, errors first.
pub fn findings(facts: &Facts, config: &Config, demands: Demands) -> Vec<Finding> {
    let mut judge = Judge { facts, config, demands, findings: Vec::new() };
    judge.brokers();
    for (role, name) in Role::all(config) {
        judge.topic(role, name);
    }
    judge.partitions();
    judge.transaction_log();
    judge.logs();
    judge.findings.sort();
    judge.findings
}

struct Judge<'a> {
    facts: &'a Facts,
    config: &'a Config,
    demands: Demands,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn add(&mut self, severity: Severity, subject: impl Into<String>, found: String, remedy: impl Into<String>) {
        self.findings.push(Finding { severity, subject: subject.into(), found, remedy: remedy.into() });
    }

    /// An error, or a warning where the operator said that it is meant so.
    fn unless(excused: bool) -> Severity {
        if excused { Severity::Warning } else { Severity::Error }
    }

    fn found_topic(&self, name: &str) -> Option<&TopicDescription> {
        self.facts.topics.get(name).and_then(Answer::found)
    }

    fn brokers(&mut self) {
        let brokers = match &self.facts.brokers {
            Answer::Found(brokers) => brokers,
            Answer::Missing | Answer::Denied(_) => {
                let words = match &self.facts.brokers {
                    Answer::Denied(words) => words.as_str(),
                    _ => "no broker answered",
                };
                return self.add(
                    Self::unless(self.demands.dev),
                    "cluster",
                    format!("the brokers' settings cannot be read, so their age and limits are unknown: {words}"),
                    "grant this principal DescribeConfigs on the cluster",
                );
            }
        };
        for (id, broker) in brokers {
            self.broker_age(*id, broker);
            self.broker_setting(
                *id,
                broker,
                "transaction.partition.verification.enable",
                |value| value == "true",
                "a late request of a dead producer could enter the next transaction; it must be true",
            );
            let timeout_ms = self.config.kafka.transaction_timeout_ms;
            self.broker_setting(
                *id,
                broker,
                "transaction.max.timeout.ms",
                |value| value.parse().is_ok_and(|most: u64| timeout_ms <= most),
                &format!("kafka.transaction_timeout_ms is {timeout_ms}, so that producers would be refused"),
            );
            let session_ms = self.config.kafka.session_timeout_ms;
            let why = format!("kafka.session_timeout_ms is {session_ms}, so that the group would refuse its members");
            let in_range = |above: bool| {
                move |value: &str| {
                    value.parse().is_ok_and(|bound: u64| if above { session_ms <= bound } else { bound <= session_ms })
                }
            };
            self.broker_setting(*id, broker, "group.min.session.timeout.ms", in_range(false), &why);
            self.broker_setting(*id, broker, "group.max.session.timeout.ms", in_range(true), &why);
        }
    }

    fn broker_age(&mut self, id: i32, broker: &BrokerFacts) {
        let found = match broker.age {
            BrokerAge::Supported => return,
            BrokerAge::TooOld => "is older than 3.6: it does not verify that a partition belongs to a transaction",
            BrokerAge::Unknown => "does not tell whether it is 3.6 or newer",
        };
        let severity = Self::unless(broker.age == BrokerAge::Unknown);
        self.add(severity, format!("broker {id}"), found.to_owned(), "run Apache Kafka 3.6 or newer");
    }

    /// Judges a setting that the broker shows. One that it does not show stands at a default that holds.
    fn broker_setting(&mut self, id: i32, broker: &BrokerFacts, name: &str, holds: impl Fn(&str) -> bool, why: &str) {
        if let Some(value) = broker.configs.get(name).filter(|value| !holds(value)) {
            let found = format!("{name} = {value}: {why}");
            self.add(
                Severity::Error,
                format!("broker {id}"),
                found,
                format!("change one of the two; {name} is the broker's"),
            );
        }
    }

    fn topic(&mut self, role: Role, name: &str) {
        let subject = format!("topic {name}");
        let topic = match self.facts.topics.get(name) {
            Some(Answer::Found(topic)) => topic,
            Some(Answer::Denied(words)) => {
                return self.add(
                    Severity::Error,
                    subject,
                    format!("cannot be read: {words}"),
                    format!("grant this principal Describe and DescribeConfigs on topic {name}"),
                );
            }
            Some(Answer::Missing) | None => {
                return self.add(
                    Severity::Error,
                    subject,
                    "does not exist".to_owned(),
                    "`sluice topics create` makes it; if it has another name, set it under [topics]",
                );
            }
        };
        for need in role.needs() {
            self.setting(&subject, topic, &need);
        }
        self.replication(&subject, topic, "recreate the topic, or reassign its partitions with more replicas");
        let leaderless: Vec<_> =
            (0..).zip(&topic.partitions).filter(|(_, p)| p.leader < 0).map(|(i, _)| i).collect::<Vec<u32>>();
        if !leaderless.is_empty() {
            self.add(
                Severity::Error,
                subject,
                format!("partitions {leaderless:?} have no leader"),
                match role {
                    Role::Decisions => "bring their brokers back; nothing of their shards can be decided until then",
                    _ => "bring their brokers back; nothing of these partitions can be read or written until then",
                },
            );
        }
    }

    fn setting(&mut self, subject: &str, topic: &TopicDescription, need: &Need) {
        let shown = topic.config.get(need.setting);
        if shown.is_some_and(|value| need.must.holds(value)) {
            return;
        }
        let value = shown.map_or("not shown", String::as_str);
        self.add(
            need.severity,
            subject,
            format!("{} = {value}: {}", need.setting, need.why),
            format!(
                "kafka-configs.sh --alter --topic {} --add-config {}={}",
                topic.name,
                need.setting,
                need.must.example()
            ),
        );
    }

    fn replication(&mut self, subject: &str, topic: &TopicDescription, remedy: &str) {
        let replicas = replication(topic);
        let min_insync = topic.config.get("min.insync.replicas").and_then(|value| value.parse::<i64>().ok());
        if self.demands.dev {
            return;
        }
        if replicas < MIN_REPLICATION {
            self.add(
                Severity::Error,
                subject,
                format!("{replicas} replicas: what is acknowledged may be lost with a broker"),
                format!("{remedy}: {MIN_REPLICATION} at least; for development on one broker use --dev"),
            );
        }
        if min_insync.is_none_or(|n| n < MIN_INSYNC) {
            let value = min_insync.map_or("not shown".to_owned(), |n| n.to_string());
            self.add(
                Severity::Error,
                subject,
                format!("min.insync.replicas = {value}: a record counts as written while one broker alone has it"),
                format!(
                    "kafka-configs.sh --alter --topic {} --add-config min.insync.replicas={MIN_INSYNC}",
                    topic.name
                ),
            );
        } else if min_insync.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n >= replicas))
            && replicas >= MIN_REPLICATION
        {
            self.add(
                Severity::Warning,
                subject,
                format!("min.insync.replicas is as high as the {replicas} replicas: the loss of one broker stops every shard"),
                "lower it by one, or add a replica",
            );
        }
    }

    /// A shard is one partition of each sharded topic, and its log is one partition of `decisions`.
    fn partitions(&mut self) {
        let counts: BTreeMap<&str, usize> = Role::all(self.config)
            .into_iter()
            .filter(|(role, _)| role.is_sharded())
            .filter_map(|(_, name)| Some((name, self.found_topic(name)?.partitions.len())))
            .collect();
        let (least, most) = (counts.values().min(), counts.values().max());
        if least != most {
            let list: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            self.add(
                Severity::Error,
                "topics",
                format!("partition counts differ ({}): a shard is the same partition of each", list.join(", ")),
                "recreate those that differ; adding partitions sends pools to other shards than those that know them",
            );
        }
        let topics = &self.config.topics;
        let Some(Layout { shards, lanes }) = self.facts.layout(self.config).filter(|now| now.lanes > now.shards) else {
            return;
        };
        let (orders, decisions) = (&topics.orders, &topics.decisions);
        self.add(
            Severity::Error,
            format!("topic {decisions}"),
            format!("{lanes} partitions, and {orders} has {shards}: each is a lane, the log of one shard or more"),
            "recreate it with `sluice topics create` if nothing is in it; begin with new topics otherwise",
        );
    }

    /// Where brokers note what was committed: lost with them, a commit may be half done.
    fn transaction_log(&mut self) {
        let subject = format!("topic {TRANSACTION_LOG}");
        match self.facts.topics.get(TRANSACTION_LOG) {
            Some(Answer::Found(topic)) => {
                if topic.config.get("unclean.leader.election.enable").is_some_and(|value| value != "false") {
                    self.add(
                        Severity::Error,
                        subject.as_str(),
                        "unclean.leader.election.enable is on: a commit may be forgotten after it was acknowledged"
                            .to_owned(),
                        format!(
                            "kafka-configs.sh --alter --topic {TRANSACTION_LOG} --add-config \
                             unclean.leader.election.enable=false"
                        ),
                    );
                }
                self.replication(&subject, topic, "reassign its partitions with more replicas");
            }
            Some(Answer::Denied(words)) => self.add(
                Self::unless(self.demands.dev),
                subject,
                format!("cannot be read: {words}"),
                format!("grant this principal Describe and DescribeConfigs on topic {TRANSACTION_LOG}"),
            ),
            Some(Answer::Missing) | None => self.future_transaction_log(),
        }
    }

    /// The brokers make it at the first transaction, by their own settings.
    fn future_transaction_log(&mut self) {
        let Some(brokers) = self.facts.brokers.found().filter(|_| !self.demands.dev) else { return };
        let wanted = [
            ("transaction.state.log.replication.factor", MIN_REPLICATION as i64),
            ("transaction.state.log.min.isr", MIN_INSYNC),
        ];
        for (id, broker) in brokers {
            for (name, least) in wanted {
                let Some(value) = broker.configs.get(name) else { continue };
                if value.parse::<i64>().is_ok_and(|n| n < least) {
                    self.add(
                        Severity::Error,
                        format!("broker {id}"),
                        format!("{name} = {value}: a commit may be forgotten with one broker"),
                        format!(
                            "set {name}={least} on every broker before the first transaction; for development use --dev"
                        ),
                    );
                }
            }
        }
    }

    /// Whether each log begins as a log of these topics.
    fn logs(&mut self) {
        let topics = &self.config.topics;
        let found = [&topics.orders, &topics.stock, &topics.decisions].map(|name| self.found_topic(name));
        let [Some(orders), Some(stock), Some(decisions)] = found else { return };
        let now = genesis::Topics::of(orders, stock, decisions);
        let mut rules = None;
        let layouts: BTreeSet<_> = self.facts.begun().map(|(_, genesis)| layout_of(genesis)).collect();
        for (lane, fact) in &self.facts.genesis {
            let subject = format!("{}[{lane}]", topics.decisions);
            let genesis = match fact {
                Some(Begun::Genesis(genesis)) => genesis,
                None => {
                    self.add(
                        Severity::Error,
                        subject,
                        "has no genesis record, so nothing says which rules it follows".to_owned(),
                        "`sluice topics create` writes it",
                    );
                    continue;
                }
                Some(Begun::Trimmed(first)) => {
                    self.add(
                        Self::unless(self.demands.accept_loss),
                        subject,
                        format!("begins at offset {first}: its start was deleted, and the ledger cannot be rebuilt"),
                        "restore the topic from a backup, or begin with new topics",
                    );
                    continue;
                }
                Some(Begun::Other(what)) => {
                    self.add(
                        Severity::Error,
                        subject,
                        format!("does not begin with a genesis record: {what}"),
                        "let topics.decisions name a topic of its own, made by `sluice topics create`",
                    );
                    continue;
                }
            };
            for mut difference in genesis::differences(genesis, *lane, &now) {
                if difference.of_layout && layouts.len() > 1 {
                    difference.found += &format!(". The logs disagree with each other: {}", self.says_each());
                    difference.remedy =
                        "let topics.decisions name one topic, all of which `sluice topics create` made at \
                                         once: begin with new topics"
                            .to_owned();
                }
                let severity = Self::unless(difference.loss && self.demands.accept_loss);
                self.add(severity, subject.as_str(), difference.found, difference.remedy);
            }
            let these = (genesis.window_ms, genesis.skew_ms);
            if *rules.get_or_insert(these) != these {
                self.add(
                    Severity::Error,
                    subject,
                    format!("window {} ms and skew {} ms differ from those of the other partitions", these.0, these.1),
                    "recreate the topics; all shards must follow the same rules",
                );
            }
        }
    }

    /// For how many shards and lanes each log was begun.
    fn says_each(&self) -> String {
        let mut lanes_by_layout: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for (lane, genesis) in self.facts.begun() {
            lanes_by_layout.entry(layout_of(genesis)).or_default().push(lane);
        }
        let says = |((shards, lanes), of): ((u32, u32), Vec<u32>)| {
            format!(
                "{of:?} {} for {shards} shards in {lanes} lanes",
                if of.len() == 1 { "was made" } else { "were made" }
            )
        };
        lanes_by_layout.into_iter().map(says).collect::<Vec<_>>().join(", ")
    }
}

/// Shards and lanes that a log was begun for.
fn layout_of(genesis: &Genesis) -> (u32, u32) {
    let Layout { shards, lanes } = Layout::of(genesis);
    (shards, lanes)
}

#[cfg(test)]
mod tests;
