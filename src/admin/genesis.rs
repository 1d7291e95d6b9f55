//! The first record of each log: what it must say, what differs, reading it and writing it once.

use std::thread;
use std::time::{Duration, Instant};

use prost::Message;

use super::facts::{Begun, partitions};
use crate::broker::{Broker, Fault, LogReader, LogWriter, Outgoing, Output};
use crate::kafka::admin::TopicDescription;
use crate::wire::Layout;
use crate::wire::hex::hex;
use crate::wire::layout::VERSION_OF_LANES;
use crate::wire::link::{self, CONTENT_HASH, DIGEST_HASH, LINK_HASH, RULES_LEVEL};
use crate::wire::proto::log_record::Kind;
use crate::wire::proto::{Genesis, LogRecord};

/// How long the first record of a log that is not empty may take to arrive. A cold consumer needs half a second.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a producer may take to start and to commit. A coordinator that is being elected takes seconds.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Times that a genesis is tried: its log is looked at before each.
const ATTEMPTS: u32 = 3;

/// How long whoever fenced us is left alone: it writes a genesis too, and two that fence each other without a rest would
/// never come to an end.
const FENCED_PAUSE: Duration = Duration::from_secs(1);

/// The topics of a log as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topics {
    /// Partitions of `orders`, which are the shards, and of `decisions`, which are the lanes.
    pub(super) layout: Layout,
    /// Topic ids of `orders`, `stock` and `decisions`.
    pub(super) ids: [[u8; 16]; 3],
}

impl Topics {
    pub(super) fn of(orders: &TopicDescription, stock: &TopicDescription, decisions: &TopicDescription) -> Self {
        let layout = Layout { shards: partitions(orders), lanes: partitions(decisions) };
        Self { layout, ids: [orders.id, stock.id, decisions.id] }
    }

    /// What a log is one of, in the words of who has no lanes if each shard has a log.
    pub(super) fn log_of(&self) -> &'static str {
        if self.layout.lanes < self.layout.shards { "lane" } else { "shard" }
    }

    /// The genesis of one lane of these topics.
    pub(super) fn genesis(&self, lane: u32, window: Duration, skew: Duration, rules_level: u32) -> Genesis {
        let ms =
            |d: Duration| u64::try_from(d.as_millis()).expect("the flags give durations in 64 bits of milliseconds");
        link::genesis(lane, self.layout, self.ids, ms(window), ms(skew), rules_level)
    }
}

/// One way in which a genesis does not fit its topics.
#[derive(Debug)]
pub(super) struct Difference {
    /// What differs.
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: String,
    /// It means that records are gone, which an operator may accept.
    pub(super) loss: bool,
    /// It is about how many shards and lanes there are.
    pub(super) of_layout: bool,
}

/// In which ways `genesis`, found in partition `lane` of `decisions`, does not fit the topics as they are now.
pub(super) fn differences(genesis: &Genesis, lane: u32, now: &Topics) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |found: String, remedy: &str, loss| {
        differences.push(Difference { found, remedy: remedy.to_owned(), loss, of_layout: false });
    };
    if genesis.version > VERSION_OF_LANES {
        add(
            format!("follows version {} of the log's rules, this engine knows {VERSION_OF_LANES}", genesis.version),
            "run the engine that made it, or a newer one",
            false,
        );
    }
    if genesis.rules_level > RULES_LEVEL {
        add(
            format!("begins at rules level {}, this engine knows levels up to {RULES_LEVEL}", genesis.rules_level),
            "run the engine that made it, or a newer one",
            false,
        );
    }
    let hashes =
        [(&genesis.link_hash, LINK_HASH), (&genesis.digest_hash, DIGEST_HASH), (&genesis.content_hash, CONTENT_HASH)];
    for (named, known) in hashes.into_iter().filter(|(named, known)| named != known) {
        add(format!("names the hash {named:?}, this engine knows {known:?}"), "run a newer engine", false);
    }
    if genesis.shard != lane {
        add(
            format!("is the genesis of {} {}", now.log_of(), genesis.shard),
            "recreate the topics: they were copied wrongly",
            false,
        );
    }
    let ids = [
        ("orders", &genesis.orders_topic_id, now.ids[0]),
        ("stock", &genesis.stock_topic_id, now.ids[1]),
        ("decisions", &genesis.decisions_topic_id, now.ids[2]),
    ];
    for (topic, noted, id) in ids.into_iter().filter(|(_, noted, id)| noted.as_slice() != id) {
        add(
            format!(
                "is the log of another {topic} topic (id {}, now {}): that topic was deleted and created again",
                hex(noted),
                hex(&id)
            ),
            "restore the topics, or begin with new ones; --accept-loss goes on without what is gone",
            true,
        );
    }
    differences.extend(layout_difference(genesis, now.layout));
    differences
}

/// Whether `genesis` was written for another number of shards or lanes.
fn layout_difference(genesis: &Genesis, now: Layout) -> Option<Difference> {
    let (made_for, comparable) = (Layout::of(genesis), genesis.version <= VERSION_OF_LANES);
    let found = if made_for.shards != now.shards {
        format!("was made for {} partitions, there are {} now: pools are routed elsewhere", made_for.shards, now.shards)
    } else if comparable && made_for.lanes != now.lanes {
        format!(
            "was made for {} lanes, the topic has {} partitions now: shards would look for their log elsewhere",
            made_for.lanes, now.lanes
        )
    } else {
        return None;
    };
    let remedy = "partitions cannot be taken away: begin with new topics".to_owned();
    Some(Difference { found, remedy, loss: false, of_layout: true })
}

/// What `value`, the first record of a log, is.
fn classify(value: &[u8]) -> Begun {
    match LogRecord::decode(value).map(|record| record.kind) {
        Ok(Some(Kind::Genesis(genesis))) => Begun::Genesis(genesis),
        Ok(Some(Kind::Fence(fence))) => Begun::Other(format!("it begins with a fence of {}", fence.owner)),
        Ok(Some(Kind::Link(_))) => Begun::Other("it begins with a link".to_owned()),
        Ok(None) => Begun::Other("it begins with a record of no known kind".to_owned()),
        Err(error) => Begun::Other(format!("its first record is not of the log: {error}")),
    }
}

/// What a look at the beginning of a log shows.
enum Look {
    /// Nothing was ever committed to it.
    Empty,
    /// Something was, first of all this.
    Begun(Begun),
    /// It is not empty, and in all the time that it was waited for nothing of it could be read: somebody's transaction
    /// stands open at its start, or the broker is slow.
    Unsettled,
}

/// What the log of `lane` begins with, nothing if it is empty; `bounds` are its first offset and the offset after its last.
///
/// # Errors
/// The brokers cannot be reached, or refuse.
pub(super) fn read<B: Broker>(broker: &B, lane: u32, bounds: (i64, i64)) -> Result<Option<Begun>, Fault> {
    Ok(match look(broker, lane, bounds, READ_TIMEOUT)? {
        Look::Empty => None,
        Look::Begun(begun) => Some(begun),
        Look::Unsettled => {
            let what = format!("of its {} offsets no committed record arrived within {READ_TIMEOUT:?}", bounds.1);
            Some(Begun::Other(what))
        }
    })
}

fn look<B: Broker>(broker: &B, lane: u32, bounds: (i64, i64), within: Duration) -> Result<Look, Fault> {
    match bounds {
        (0, 0) => return Ok(Look::Empty),
        (begin, _) if begin > 0 => return Ok(Look::Begun(Begun::Trimmed(begin))),
        _ => {}
    }
    let mut reader = broker.reader(lane, 0)?;
    let deadline = Instant::now() + within;
    let mut first = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        reader.read(left, &mut |_, value| {
            first.get_or_insert_with(|| classify(value));
        })?;
        match first.take() {
            Some(begun) => return Ok(Look::Begun(begun)),
            // Whoever wrote here did not commit: markers and aborted records alone are an empty log.
            None if reader.position() >= bounds.1 => return Ok(Look::Empty),
            None if left.is_zero() => return Ok(Look::Unsettled),
            None => {}
        }
    }
}

/// What [`write`] did.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// The genesis was written.
    Now,
    /// The log had begun before, so; nothing was written.
    Before(Begun),
}

/// Writes the genesis of a lane if its log is empty. Initialising the lane's producer ends what anybody else was writing, so
/// that an end asked for afterwards says whether the log is empty: there is never a second genesis. A lane at work must not
/// be fenced for a look, so that its log is read first, for `patience` at the most: somebody who was killed while he wrote
/// this genesis left a transaction open, behind which nothing can be read and which only a producer ends.
///
/// # Errors
/// The brokers cannot be reached, or refuse.
pub(super) fn write<B: Broker>(
    broker: &B,
    genesis: &Genesis,
    bounds: &dyn Fn() -> Result<(i64, i64), Fault>,
    patience: Duration,
) -> Result<Written, Fault> {
    let value = link::genesis_value(genesis.clone());
    let mut sent = false;
    let mut attempt = 1;
    loop {
        let tried = (|| {
            if let Look::Begun(begun) = look(broker, genesis.shard, bounds()?, patience)? {
                return Ok(Written::Before(begun));
            }
            let mut writer = broker.writer(genesis.shard)?;
            writer.init(WRITE_TIMEOUT)?;
            if let Some(begun) = read(broker, genesis.shard, bounds()?)? {
                return Ok(Written::Before(begun));
            }
            writer.begin()?;
            sent = true;
            writer.send(Outgoing { output: Output::Decisions, key: None, value: Some(&value), headers: &[] })?;
            writer.commit(WRITE_TIMEOUT).map(|_| Written::Now)
        })();
        match tried {
            // Ours, if what was sent before a failure turns out to have been committed.
            Ok(Written::Before(Begun::Genesis(found))) if sent && found == *genesis => return Ok(Written::Now),
            Err(Fault::Transient(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(Fault::Fenced(_)) if attempt < ATTEMPTS => {
                attempt += 1;
                thread::park_timeout(FENCED_PAUSE);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::{Cluster, Partitions, Topic};

    #[test]
    fn a_log_in_which_nobody_committed_anything_still_gets_its_genesis() {
        let cluster = Cluster::new(Partitions::new(1), 0);
        let node = cluster.node();
        let mut writer = node.writer(0).expect("a writer is made");
        writer.init(WRITE_TIMEOUT).expect("it is the first");
        writer.begin().expect("begun");
        let cut_short = Outgoing { output: Output::Decisions, key: None, value: Some(b"genesis"), headers: &[] };
        writer.send(cut_short).expect("sent");
        drop(writer);

        let topics = node.topics(READ_TIMEOUT).expect("they are there");
        let topics = Topics { layout: Layout::one_each(1), ids: topics.ids };
        let genesis = topics.genesis(0, Duration::from_secs(60), Duration::from_secs(1), RULES_LEVEL);
        let bounds = || cluster.end(Topic::Decisions, 0).map(|end| (0, end.high));
        let written = write(&node, &genesis, &bounds, Duration::from_millis(10)).expect("the broker is well");
        assert_eq!(written, Written::Now);
        assert_eq!(read(&node, 0, bounds().expect("asked")), Ok(Some(Begun::Genesis(genesis.clone()))));
        let again = write(&node, &genesis, &bounds, Duration::from_millis(10)).expect("the broker is well");
        assert_eq!(again, Written::Before(Begun::Genesis(genesis)));
    }
}
