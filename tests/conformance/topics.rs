//! What a node can find out about the topics.

use sluice::broker::{Broker, TopicFacts};

use super::{Watched, World, eventually};

fn facts<W: World>(broker: &W::Broker) -> TopicFacts {
    broker.topics(W::PATIENCE).expect("nothing is wrong")
}

/// Asks until the facts are so; while a topic is being made they may be anything, or a fault.
fn await_facts<W: World>(broker: &W::Broker, what: &str, are_so: impl Fn(&TopicFacts) -> bool) -> TopicFacts {
    eventually::<W, _>(what, || broker.topics(W::PATIENCE).ok().filter(&are_so))
}

pub(crate) fn topics_have_their_partitions_and_ids_of_their_own<W: World>() {
    let world = W::fresh(3);
    let found = facts::<W>(&world.broker());
    assert_eq!(found.partitions, [3, 3, 3]);
    let [orders, stock, decisions] = found.ids;
    assert!(orders != stock && stock != decisions && decisions != orders, "{found:?}");
    assert!(!found.ids.contains(&[0; 16]), "zero is no id: {found:?}");
    assert_eq!(facts::<W>(&world.broker()), found, "another node sees the same");
}

pub(crate) fn a_recreated_topic_has_another_id<W: World>() {
    let world = W::fresh(2);
    let broker = world.broker();
    let before = facts::<W>(&broker);
    for (i, topic) in [Watched::Orders, Watched::Stock, Watched::Decisions].into_iter().enumerate() {
        world.recreate(topic, 4);
        await_facts::<W>(&broker, "the new topic", |now| now.partitions[i] == 4 && now.ids[i] != before.ids[i]);
    }
    assert_eq!(facts::<W>(&broker).partitions, [4, 4, 4]);
}

pub(crate) fn added_partitions_are_seen<W: World>() {
    let world = W::fresh(2);
    let broker = world.broker();
    let before = facts::<W>(&broker);
    world.grow(Watched::Stock, 5);
    let after = await_facts::<W>(&broker, "three more partitions", |now| now.partitions == [2, 5, 2]);
    assert_eq!(after.ids, before.ids);
}
