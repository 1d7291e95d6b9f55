//! Transactional producers from outside of the engine.

use super::partition::Message;
use super::state::{Shared, Topic};
use super::transactions::Session;
use crate::broker::Fault;

/// A transactional producer of some upstream service. Dropped, it leaves its transaction open. Faults that strike
/// calls of nodes don't strike it; what lasts (no leader, disk full) does.
pub struct Upstream {
    shared: Shared,
    session: Session,
}

impl Upstream {
    pub(super) fn new(shared: Shared, id: &str) -> Result<Self, Fault> {
        let session = shared.lock().init_producer(&format!("upstream-{id}"))?;
        Ok(Self { shared, session })
    }

    /// Appends a record, in a transaction that begins here if none is open, and returns its offset.
    ///
    /// # Errors
    ///
    /// As [`Cluster::publish`](super::Cluster::publish), or another producer took this id.
    pub fn publish(&mut self, topic: Topic, partition: u32, message: Message) -> Result<i64, Fault> {
        self.shared.lock().write(&mut self.session, (topic, partition), message)
    }

    /// Commits what is open; nothing if nothing is.
    ///
    /// # Errors
    ///
    /// Another producer took this id.
    pub fn commit(&mut self) -> Result<(), Fault> {
        self.end(true)
    }

    /// Aborts what is open; nothing if nothing is.
    ///
    /// # Errors
    ///
    /// Another producer took this id.
    pub fn abort(&mut self) -> Result<(), Fault> {
        self.end(false)
    }

    fn end(&mut self, commit: bool) -> Result<(), Fault> {
        if !self.session.has_written() {
            return Ok(());
        }
        self.shared.lock().end_transaction(&self.session, commit)?;
        self.session.begin();
        Ok(())
    }
}
