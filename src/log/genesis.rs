//! Whether a log is the log of the topics found.

use super::refusal::Refusal;
use crate::broker::TopicFacts;
use crate::wire::Layout;
use crate::wire::hex::hex;
use crate::wire::proto::Genesis;

/// The inputs and the log, in the order of [`TopicFacts`].
const TOPICS: [&str; 3] = ["orders", "stock", "decisions"];

/// Checks that `genesis` begins the log of `lane` of the topics that `facts` are of, in this order: lane, ids, counts.
/// Its rules were checked by the chain. Ids may differ if `accept_loss`.
pub(super) fn check(genesis: &Genesis, lane: u32, facts: &TopicFacts, accept_loss: bool) -> Result<(), Refusal> {
    if genesis.shard != lane {
        return Err(Refusal::Partition { lane, found: genesis.shard });
    }
    let ids = [&genesis.orders_topic_id, &genesis.stock_topic_id, &genesis.decisions_topic_id];
    for ((topic, expected), found) in TOPICS.into_iter().zip(ids).zip(&facts.ids) {
        if expected != found && !accept_loss {
            return Err(Refusal::TopicId { lane, topic, expected: hex(expected), found: hex(found) });
        }
    }
    let Layout { shards, lanes } = Layout::of(genesis);
    for ((topic, expected), found) in TOPICS.into_iter().zip([shards, shards, lanes]).zip(facts.partitions) {
        if found != expected {
            return Err(Refusal::Partitions { lane, topic, expected, found });
        }
    }
    Ok(())
}
