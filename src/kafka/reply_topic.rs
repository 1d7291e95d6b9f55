//! How many partitions `replies` has: whoever asks for an answer names one, and a wrong number must cost them the
//! answer, not the shard its commits.

use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};

use super::fault::{Problem, fault};
use crate::broker::Fault;

/// Pause between two looks for partitions that were added since: a number that is wrong for good comes with every
/// batch.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// How long such a look may hold a batch up.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct ReplyTopic {
    partitions: u32,
    looked: Option<Instant>,
}

impl ReplyTopic {
    /// Asks the brokers.
    pub(super) fn look<C: ClientContext>(
        &mut self,
        client: &Client<C>,
        topic: &str,
        timeout: Duration,
    ) -> Result<(), Fault> {
        let what = format!("count the partitions of {topic}");
        self.looked = Some(Instant::now());
        let found = client.fetch_metadata(Some(topic), timeout).map_err(|error| fault(&error, &what))?;
        let Some(found) = found.topics().first() else {
            return Err(Fault::Transient(format!("{what}: no answer")));
        };
        if let Some(code) = found.error() {
            return Err(Problem::new(code.into(), "refused").fault(&what));
        }
        self.partitions = found.partitions().len() as u32;
        Ok(())
    }

    /// Whether there is such a partition, as far as is known; looks again now and then for one that there is not.
    pub(super) fn has<C: ClientContext>(&mut self, partition: u32, client: &Client<C>, topic: &str) -> bool {
        let rested = self.looked.is_none_or(|looked| looked.elapsed() > LOOK_PAUSE);
        if partition >= self.partitions && rested {
            if let Err(fault) = self.look(client, topic, LOOK_TIMEOUT) {
                tracing::warn!(%fault, "replies");
            }
            if partition >= self.partitions {
                tracing::warn!(topic, partition, partitions = self.partitions, "an answer is wanted where nothing is");
            }
        }
        partition < self.partitions
    }
}
