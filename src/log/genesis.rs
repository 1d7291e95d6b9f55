//! Whether a log is the log of the topics found.

use super::refusal::Refusal;
use crate::broker::TopicFacts;
use crate::wire::hex::hex;
use crate::wire::proto::Genesis;

/// The inputs and the log, in the order of [`TopicFacts`].
const TOPICS: [&str; 3] = ["orders", "stock", "decisions"];

/// Checks that `genesis` begins the log of `shard` of the topics that `facts` are of, in this order: shard, ids, counts.
/// Its rules were checked by the chain. Ids may differ if `accept_loss`.
pub(super) fn check(genesis: &Genesis, shard: u32, facts: &TopicFacts, accept_loss: bool) -> Result<(), Refusal> {
    if genesis.shard != shard {
        return Err(Refusal::Shard { shard, found: genesis.shard });
    }
    let ids = [&genesis.orders_topic_id, &genesis.stock_topic_id, &genesis.decisions_topic_id];
    for ((topic, expected), found) in TOPICS.into_iter().zip(ids).zip(&facts.ids) {
        if expected != found && !accept_loss {
            return Err(Refusal::TopicId { shard, topic, expected: hex(expected), found: hex(found) });
        }
    }
    for (topic, found) in TOPICS.into_iter().zip(facts.partitions) {
        if found != genesis.partitions {
            return Err(Refusal::Partitions { shard, topic, expected: genesis.partitions, found });
        }
    }
    Ok(())
}
