//! What must be true of the topics once everything has come to rest, proved from the topics alone: by the generated
//! types, a hash function and the model, and by replaying the log into a ledger.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use prost::Message as _;
use sluice::broker::memory::{Cluster, Stored, Topic};
use sluice::lane::LedgerSettings;
use sluice::lane::recover::Recovering;
use sluice::ledger::{FingerprintKey, Ledger};
use sluice::log::replay::Replay;
use sluice::wire::Layout;
use sluice::wire::entry::LogEntry;
use sluice::wire::proto::{Asked, Decision, Input, Link, LogRecord, Outcome, Replies, log_record};

use crate::input::questions;
use crate::model::Model;
use crate::reasons::Met;
use crate::rules;
use crate::selling::SellingBook;

/// All that the topics hold, as a read_committed reader finds it.
#[derive(Clone, Default)]
pub struct Evidence {
    pub shards: Vec<Shard>,
    /// By partition.
    pub replies: Vec<Vec<Stored>>,
    pub per_decision: Vec<Stored>,
}

/// What belongs to one shard.
#[derive(Clone)]
pub struct Shard {
    pub number: u32,
    pub layout: Layout,
    /// The log of its lane, with the links of the other shards.
    pub log: Vec<Stored>,
    pub orders: Vec<Stored>,
    pub stock: Vec<Stored>,
    pub dead_letters: Vec<Stored>,
}

impl Evidence {
    pub fn gather(cluster: &Cluster, layout: Layout) -> Evidence {
        let shards = layout.shards;
        let read = |topic, partition| cluster.read(topic, partition, 0).expect("nothing was trimmed");
        let shard = |shard| Shard {
            number: shard,
            layout,
            log: read(Topic::Decisions, layout.lane(shard)),
            orders: read(Topic::Orders, shard),
            stock: read(Topic::Stock, shard),
            dead_letters: read(Topic::DeadLetters, shard),
        };
        Evidence {
            shards: (0..shards).map(shard).collect(),
            replies: (0..rules::REPLY_PARTITIONS).map(|partition| read(Topic::Replies, partition)).collect(),
            per_decision: (0..shards).flat_map(|partition| read(Topic::PerDecision, partition)).collect(),
        }
    }
}

/// What was in it, to see that a simulation met what it is for.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub links: usize,
    pub digests: usize,
    pub dead_letters: usize,
    pub epochs: u64,
    pub met: Met,
}

impl Summary {
    pub fn add(&mut self, other: &Summary) {
        self.links += other.links;
        self.digests += other.digests;
        self.dead_letters += other.dead_letters;
        self.epochs += other.epochs;
        self.met.add(&other.met);
    }
}

/// Checks everything.
pub fn verify(evidence: &Evidence) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut decisions = Vec::new();
    for shard in &evidence.shards {
        let number = shard.number;
        let about = || format!("shard {number}");
        let links = chain(shard, &mut summary).with_context(about)?;
        covered(shard, &links).with_context(about)?;
        let decided = decided(shard, &links).with_context(about)?;
        buried(shard, &links).with_context(about)?;
        never_oversold(&decided).with_context(about)?;
        sold_by_the_rules(&decided).with_context(about)?;
        summary.dead_letters += links.iter().map(|link| header(link).dead_letters.len()).sum::<usize>();
        decisions.extend(decided.into_iter().map(|decision| (number, decision)));
    }
    answered(evidence, &decisions)?;
    decisions.iter().for_each(|(_, decision)| summary.met.take(decision));
    Ok(summary)
}

fn header(link: &Link) -> &sluice::wire::proto::LinkHeader {
    link.header.as_ref().expect("chain saw to it")
}

/// Genesis first, of the right lane; every link is of one of its shards and carries the hash of the one before; epochs
/// have no step back. Returns the links of the shard, whose sequences have no gap.
fn chain(shard: &Shard, summary: &mut Summary) -> Result<Vec<Link>> {
    let Shard { number, layout, log, .. } = shard;
    let (mut links, mut previous, mut sequence, mut fences, mut epoch) = (Vec::new(), None, 1, 0, 0);
    for stored in log {
        let value = stored.message.value.as_deref().context("a log record without a value")?;
        let hash = xxhash_rust::xxh3::xxh3_128(value).to_be_bytes();
        match LogRecord::decode(value)?.kind.context("a log record without a kind")? {
            log_record::Kind::Genesis(genesis) => {
                ensure!(previous.replace(hash).is_none(), "a genesis at offset {}", stored.offset);
                let lanes = if layout.lanes == layout.shards { 0 } else { layout.lanes };
                let stated = (genesis.shard, genesis.partitions, genesis.lanes);
                ensure!(stated == (number % layout.lanes, layout.shards, lanes), "a genesis of {stated:?}");
            }
            log_record::Kind::Fence(_) => fences += 1,
            log_record::Kind::Link(link) => {
                let header = link.header.as_ref().context("a link without header")?;
                let at = stored.offset;
                ensure!(previous.is_some_and(|hash| hash == *header.previous_hash), "the chain breaks at offset {at}");
                ensure!(header.shard % layout.lanes == number % layout.lanes, "a link of shard {}", header.shard);
                ensure!((epoch..=fences).contains(&header.epoch), "epoch {} after {epoch}", header.epoch);
                (previous, epoch) = (Some(hash), header.epoch);
                if header.shard != *number {
                    continue;
                }
                ensure!(header.first_sequence == sequence, "{} follows {}", header.first_sequence, sequence - 1);
                ensure!(link.decisions.len() == header.count as usize, "a wrong count at {sequence}");
                for decision in &link.decisions {
                    ensure!(decision.sequence == sequence, "sequence {} for {sequence}", decision.sequence);
                    sequence += 1;
                }
                summary.digests += usize::from(!header.digest.is_empty());
                links.push(link);
            }
        }
    }
    summary.links += links.len();
    summary.epochs += epoch;
    Ok(links)
}

/// The rules level at which the log begins.
fn level_at_first(log: &[Stored]) -> Result<u32> {
    let value = log.first().and_then(|stored| stored.message.value.as_deref()).unwrap_or_default();
    match LogRecord::decode(value)?.kind {
        Some(log_record::Kind::Genesis(genesis)) => Ok(genesis.rules_level),
        other => bail!("the log begins with {other:?}"),
    }
}

/// I4: the segments cover each input without gap or overlap, to the end.
fn covered(shard: &Shard, links: &[Link]) -> Result<()> {
    for (input, records) in [(Input::Orders, &shard.orders), (Input::Stock, &shard.stock)] {
        let mut last = -1;
        for segment in links.iter().flat_map(|link| &header(link).segments).filter(|s| s.input() == input) {
            ensure!(segment.from_offset == last, "a segment of {input:?} from {} after {last}", segment.from_offset);
            ensure!(segment.to_offset > last, "an empty segment of {input:?} at {last}");
            last = segment.to_offset;
        }
        let end = records.last().map_or(-1, |record| record.offset);
        ensure!(last == end, "{input:?} ends at {end} and is decided to {last}");
    }
    Ok(())
}

/// I1, I2, I3: fed the input in the order that the links state, the model decides the same, to the last field, and knows
/// the same at the end of each link that states a digest. I5: so does a ledger that replays the log. Returns the
/// decisions.
fn decided(shard: &Shard, links: &[Link]) -> Result<Vec<Decision>> {
    let level = level_at_first(&shard.log)?;
    let mut model = Model::new(rules::model(shard.number, shard.layout.shards, level));
    // The latest time of a record so far, and the shard's.
    let (mut stamped_ms, mut shard_time_ms) = (0, 0);
    // When a record to come must be of, if holds that it ends stand in a link before its own. It need not be the next: a
    // stock transaction that was open when the record was let through may have ended since, and goes first if the inputs
    // were opened anew in between.
    let mut promised_ms: Option<i64> = None;
    for (i, link) in links.iter().enumerate() {
        let header = header(link);
        let mut log = link.decisions.iter();
        let mut next = |expected: Decision| {
            let found = log.next().with_context(|| format!("link {i} lacks {expected:?}"))?;
            ensure!(*found == expected, "logged:\n{found:?}\nbut the model says\n{expected:?}");
            Ok(())
        };
        for segment in &header.segments {
            let records = if segment.input() == Input::Stock { &shard.stock } else { &shard.orders };
            for record in records.iter().filter(|r| r.offset > segment.from_offset && r.offset <= segment.to_offset) {
                stamped_ms = stamped_ms.max(record.timestamp_ms);
                if let Some(promised_ms) = promised_ms.take_if(|promised_ms| stamped_ms >= *promised_ms) {
                    ensure!(promised_ms == stamped_ms, "holds ended at {promised_ms}, before a record at {stamped_ms}");
                }
                ensure!(
                    promised_ms.is_none() || segment.input() == Input::Stock,
                    "an order at {stamped_ms} after holds ended at {promised_ms:?}"
                );
                shard_time_ms = stamped_ms.max(promised_ms.unwrap_or(0));
                model.advance(shard_time_ms).into_iter().try_for_each(&mut next)?;
                asked(&mut model, segment.input(), record, header.engine_time_ms)
                    .into_iter()
                    .try_for_each(&mut next)?;
            }
        }
        // What is left of this link are expiries that belong to the next record, in another link.
        for found in log {
            ensure!(found.asked() == Asked::Expire, "link {i} decides what it does not cover: {found:?}");
            promised_ms = Some(found.decided_at_ms);
            model.advance_time(found.decided_at_ms);
            let expected = model.expire_one();
            ensure!(expected.as_ref() == Some(found), "expiry:\n{found:?}\nbut the model says\n{expected:?}");
        }
        let ends_ms = promised_ms.unwrap_or(shard_time_ms);
        ensure!(header.shard_time_ms == ends_ms, "link {i} ends at {}, not {ends_ms}", header.shard_time_ms);
        let stated = &header.digest;
        ensure!(stated.is_empty() || model.digest() == stated[..], "the digest of link {i} is not that of the model");
    }
    ensure!(promised_ms.is_none(), "decisions without input at the end");
    let mut ledger = replayed(shard)?;
    let mut rows: Vec<_> = ledger.stock_rows().map(|row| (row.pool, row.sku, row.on_hand, row.reserved)).collect();
    rows.sort_unstable();
    let model_rows = model.stock();
    let expected: Vec<_> = model_rows.iter().map(|r| (&*r.pool, &*r.sku, r.on_hand, r.reserved)).collect();
    ensure!(rows == expected, "stock after the replay:\n{rows:?}\nbut the model says\n{expected:?}");
    ensure!(ledger.digest() == model.digest(), "the replay knows something else than the model");
    Ok(links.iter().flat_map(|link| link.decisions.clone()).collect())
}

/// What the model answers to a record; nothing if it is poison.
fn asked(model: &mut Model, input: Input, record: &Stored, engine_time_ms: i64) -> Vec<Decision> {
    let questions = questions(input, record.message.value.as_deref()).unwrap_or_default();
    let mut decisions = Vec::new();
    for (index, question) in (0..).zip(&questions) {
        let decision = question.put_to(model, engine_time_ms);
        decisions.push(Decision { input: input.into(), offset: record.offset, index, ..decision });
    }
    decisions
}

/// What of a shard's log alone proves: by the model, by selling rules that the decisions state, and by its replay.
pub fn judge(shard: &Shard) -> Judgement {
    let chained = chain(shard, &mut Summary::default());
    let of_rules = chained.as_ref().map_err(|error| anyhow::anyhow!("{error:#}")).and_then(|links| {
        let decisions: Vec<_> = links.iter().flat_map(|link| link.decisions.clone()).collect();
        sold_by_the_rules(&decisions)
    });
    let of_model = chained.and_then(|links| decided(shard, &links)).map(drop);
    let of_replay = replayed(shard).map(|mut ledger| ledger.digest());
    Judgement { of_model, of_rules, of_replay }
}

/// See [`judge`].
pub struct Judgement {
    pub of_model: Result<()>,
    pub of_rules: Result<()>,
    /// What the replay comes to.
    pub of_replay: Result<[u8; 16]>,
}

/// Replays the log from its genesis; the digests that it states are compared on the way.
fn replayed(shard: &Shard) -> Result<Ledger> {
    // Another key than the engine's: what a ledger knows must not depend on it.
    let key = FingerprintKey([9; 16]);
    let at = (shard.number / shard.layout.lanes) as usize;
    let mut replay = Recovering::one(LedgerSettings { key, ..rules::settings("auditor").ledger }, at);
    for stored in &shard.log {
        match LogEntry::parse(stored.message.value.as_deref().unwrap_or_default())? {
            LogEntry::Genesis(genesis) => replay.genesis(&genesis),
            LogEntry::Link(link) if link.header.shard == shard.number => drop(replay.link(at, &link)?),
            LogEntry::Fence(_) | LogEntry::Link(_) => {}
        }
    }
    let ledger = replay.into_ledgers().into_iter().nth(at).flatten();
    Ok(*ledger.context("a log without genesis")?)
}

/// I1 for poison: each unreadable record is named by one link, and stands whole in `dead-letters`.
fn buried(shard: &Shard, links: &[Link]) -> Result<()> {
    let named: Vec<_> = links.iter().flat_map(|l| &header(l).dead_letters).map(|d| (d.input(), d.offset)).collect();
    let mut found = HashMap::new();
    for letter in &shard.dead_letters {
        let text = |name: &str| -> Result<String> {
            let header = letter.message.headers.iter().find(|(n, _)| n == name);
            let value = header.and_then(|(_, value)| value.clone()).with_context(|| format!("no header {name}"))?;
            Ok(String::from_utf8(value)?)
        };
        let input = match text("__connect.errors.topic")?.as_str() {
            "orders" => Input::Orders,
            "stock" => Input::Stock,
            other => bail!("a dead letter of {other}"),
        };
        ensure!(!text("__connect.errors.exception.message")?.is_empty(), "a dead letter without a message");
        found.insert((input, text("__connect.errors.offset")?.parse::<i64>()?), letter);
    }
    for (input, records) in [(Input::Orders, &shard.orders), (Input::Stock, &shard.stock)] {
        for record in records {
            let poison = questions(input, record.message.value.as_deref()).is_none();
            let times = named.iter().filter(|&&at| at == (input, record.offset)).count();
            ensure!(times == usize::from(poison), "{input:?} {} is named {times} times", record.offset);
            if poison {
                let letter = found.get(&(input, record.offset)).context("a dead letter is missing")?;
                let (key, value) = (&letter.message.key, &letter.message.value);
                ensure!((key, value) == (&record.message.key, &record.message.value), "a dead letter was changed");
                ensure!(letter.message.headers.starts_with(&record.message.headers), "headers were dropped");
            }
        }
    }
    Ok(())
}

/// I3 without the model: what is reserved is given back or shipped once, and no reservation takes more than there is.
fn never_oversold(decisions: &[Decision]) -> Result<()> {
    let mut rows: HashMap<(&str, &str), [i64; 3]> = HashMap::new();
    let mut held: HashMap<(&str, &str, u32), bool> = HashMap::new();
    for decision in decisions {
        let order = (&*decision.pool, &*decision.order_id, decision.attempt);
        if let Some(level) = &decision.stock {
            let row = rows.entry((&decision.pool, &level.sku)).or_default();
            row[0] += level.change;
            ensure!(
                row[0] == level.on_hand || level.sku.is_empty(),
                "on_hand does not add up at {}",
                decision.sequence
            );
        }
        let was_committed = match decision.outcome() {
            Outcome::Reserved => {
                ensure!(held.insert(order, false).is_none(), "{order:?} is reserved twice");
                false
            }
            Outcome::Confirmed => {
                let before = held.insert(order, true);
                ensure!(before == Some(false), "{order:?} is confirmed and was not held");
                false
            }
            Outcome::Expired | Outcome::Shipped => held.remove(&order).context("what is not held has ended")?,
            Outcome::Cancelled => held.remove(&order).context("what is not held was cancelled")?,
            _ => continue,
        };
        for line in &decision.lines {
            let row = rows.entry((&decision.pool, &line.sku)).or_default();
            let units = i64::from(line.quantity);
            match (decision.outcome(), was_committed) {
                (Outcome::Reserved, _) => {
                    row[1] += units;
                    ensure!(row[1] + row[2] <= row[0], "oversold at {}", decision.sequence);
                }
                (Outcome::Confirmed, _) => (row[1], row[2]) = (row[1] - units, row[2] + units),
                (Outcome::Shipped, _) => (row[0], row[2]) = (row[0] - units, row[2] - units),
                (_, true) => row[2] -= units,
                (_, false) => row[1] -= units,
            }
            ensure!(row[1] >= 0 && row[2] >= 0, "a figure below 0 at {}", decision.sequence);
        }
    }
    Ok(())
}

/// I6 without the model: nothing is sold outside its sale or beyond a limit.
fn sold_by_the_rules(decisions: &[Decision]) -> Result<()> {
    let mut book = SellingBook::new(rules::WINDOW_MS);
    decisions.iter().try_for_each(|decision| book.take(decision)).map_err(anyhow::Error::msg)
}

/// Every decision that somebody waits for stands in `replies`, and every one in the per-decision topic, as in the log;
/// more than once only as an exact copy.
fn answered(evidence: &Evidence, decisions: &[(u32, Decision)]) -> Result<()> {
    let mut replies = HashMap::new();
    for (partition, stored) in (0..).zip(&evidence.replies).flat_map(|(p, records)| records.iter().map(move |r| (p, r)))
    {
        for decision in Replies::decode(stored.message.value.as_deref().unwrap_or_default())?.decisions {
            replies.insert((partition, decision.encode_to_vec()), false);
        }
    }
    let values =
        |stored: &Stored| (stored.message.value.clone().unwrap_or_default().to_vec(), stored.message.key.clone());
    let alone: HashMap<_, _> = evidence.per_decision.iter().map(values).collect();
    let mut expected = 0;
    for (shard, decision) in decisions {
        let bytes = decision.encode_to_vec();
        let key = alone.get(&bytes).with_context(|| format!("shard {shard}: no record of its own: {decision:?}"))?;
        let id = if decision.order_id.is_empty() { &decision.id } else { &decision.order_id };
        ensure!(key.as_deref() == Some(id.as_bytes()), "keyed {key:?}: {decision:?}");
        if let Some(partition) = decision.reply_partition.filter(|&p| p < rules::REPLY_PARTITIONS) {
            let found = replies.get_mut(&(partition, bytes));
            *found.with_context(|| format!("shard {shard}: no reply: {decision:?}"))? = true;
            expected += 1;
        }
    }
    ensure!(replies.values().all(|&asked| asked), "{} replies for {expected} askers", replies.len());
    ensure!(alone.len() <= decisions.len(), "more records of their own than decisions");
    Ok(())
}
