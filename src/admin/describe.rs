//! The topics as a table, for `sluice topics describe`.

use std::fmt::Write;

use super::facts::{Answer, Facts, replication};
use super::required::Role;
use crate::config::Config;
use crate::kafka::admin::TopicDescription;
use crate::wire::Layout;
use crate::wire::hex::hex;

/// Settings that are shown, and the heads of their columns.
const SHOWN: [(&str, &str); 5] = [
    ("min.insync.replicas", "MIN.INSYNC"),
    ("message.timestamp.type", "TIMESTAMPS"),
    ("retention.ms", "RETENTION.MS"),
    ("cleanup.policy", "CLEANUP"),
    ("max.message.bytes", "MAX.MESSAGE.BYTES"),
];

/// The topics that `config` names, a line each, and how their logs begin.
pub fn table(facts: &Facts, config: &Config) -> String {
    let mut rows = vec![["TOPIC", "PARTITIONS", "REPLICAS"].map(str::to_owned).to_vec()];
    rows[0].extend(SHOWN.map(|(_, head)| head.to_owned()));
    rows[0].push("TOPIC ID".to_owned());
    for (_, name) in Role::all(config) {
        rows.push(match facts.topics.get(name) {
            Some(Answer::Found(topic)) => row(topic),
            Some(Answer::Denied(words)) => vec![name.to_owned(), format!("(denied: {words})")],
            Some(Answer::Missing) | None => vec![name.to_owned(), "(does not exist)".to_owned()],
        });
    }
    let mut text = aligned(&rows);
    text.push_str(&logs(facts, config));
    text
}

fn row(topic: &TopicDescription) -> Vec<String> {
    let mut row = vec![topic.name.clone(), topic.partitions.len().to_string(), replication(topic).to_string()];
    row.extend(SHOWN.map(|(setting, _)| topic.config.get(setting).cloned().unwrap_or_else(|| "?".to_owned())));
    row.push(hex(&topic.id));
    row
}

/// What the logs say of themselves, once if they agree; what differs is a finding.
fn logs(facts: &Facts, config: &Config) -> String {
    let mut text = String::new();
    if let Some(Layout { shards, lanes }) = facts.layout(config) {
        let decisions = &config.topics.decisions;
        let _ = match lanes < shards {
            true => {
                writeln!(text, "\n{shards} shards, {lanes} lanes: shard p is in the log {decisions}[p modulo {lanes}]")
            }
            false => writeln!(text, "\n{shards} shards, {lanes} lanes: shard p is alone in the log {decisions}[p]"),
        };
    }
    let begun: Vec<_> = facts.begun().map(|(_, genesis)| genesis).collect();
    if let Some(first) = begun.first() {
        let _ = writeln!(
            text,
            "{}: {} of {} logs begun; version {}, rules level {} at first, window {} ms, skew {} ms, hashes {}, {}, {}",
            config.topics.decisions,
            begun.len(),
            facts.genesis.len(),
            first.version,
            first.rules_level,
            first.window_ms,
            first.skew_ms,
            first.link_hash,
            first.digest_hash,
            first.content_hash
        );
    }
    text
}

/// Columns as wide as their widest cell; a row with fewer cells than the head ends where it ends.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let whole = || rows.iter().filter(|row| row.len() == columns);
    let widths: Vec<_> = (0..columns).map(|i| whole().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let first = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let width = if i == 0 { first } else { widths[i] };
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
