//! The transactional producer of a lane.

use std::time::Duration;

use bytes::Bytes;

use super::cluster::transactional_id;
use super::faults::{Call, Site, Trouble};
use super::partition::Message;
use super::state::{At, Shared, State, Topic, struck};
use super::transactions::Session;
use crate::broker::{Committed, Fault, LogWriter, Outgoing, Output};
use crate::wire::route::partition_of;

/// See [`LogWriter`]. After a fault every call fails with that fault.
pub struct MemoryWriter {
    shared: Shared,
    node: u32,
    lane: u32,
    id: String,
    stage: Stage,
}

enum Stage {
    Fresh,
    Ready(Session),
    Open {
        session: Session,
        /// A record was not acknowledged.
        is_unacknowledged: bool,
    },
    Broken(Fault),
}

impl MemoryWriter {
    pub(super) fn new(shared: Shared, node: u32, lane: u32) -> Self {
        Self { shared, node, lane, id: transactional_id(lane), stage: Stage::Fresh }
    }

    fn call(&self, state: &mut State, call: Call) -> Option<Trouble> {
        state.call(Site { node: self.node, shard: Some(self.lane), call })
    }

    /// Keeps a fault: whatever it was, this writer is of no more use.
    fn latch<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result {
            self.stage = Stage::Broken(fault.clone());
        }
        result
    }

    fn misuse<T>(&self, call: Call) -> Result<T, Fault> {
        match &self.stage {
            Stage::Broken(fault) => Err(fault.clone()),
            _ => Err(Fault::Fatal(format!("{}: {call:?} out of turn", self.id))),
        }
    }

    fn try_init(&self) -> Result<Session, Fault> {
        let mut state = self.shared.lock();
        let trouble = self.call(&mut state, Call::Init);
        if state.is_cut_off(self.node) || trouble == Some(Trouble::Refuse) {
            return Err(struck(Call::Init, &self.id));
        }
        if let Some(Trouble::Late { calls }) = trouble {
            state.init_later(&self.id, calls);
            return Err(struck(Call::Init, &self.id));
        }
        let session = state.init_producer(&self.id)?;
        if trouble == Some(Trouble::LoseAnswer) {
            return Err(struck(Call::Init, &self.id));
        }
        Ok(session)
    }

    /// Writes a record; whether it was acknowledged.
    fn try_send(&self, session: &mut Session, record: Outgoing<'_>) -> Result<bool, Fault> {
        let message = Message {
            key: record.key.map(Bytes::copy_from_slice),
            value: record.value.map(Bytes::copy_from_slice),
            headers: record.headers.to_vec(),
        };
        let mut state = self.shared.lock();
        let trouble = self.call(&mut state, Call::Send);
        match trouble {
            Some(Trouble::Refuse) => return Err(struck(Call::Send, &self.id)),
            Some(Trouble::Lose) => return Ok(false),
            _ if state.is_cut_off(self.node) => return Ok(false),
            _ => {}
        }
        let at = self.partition(&mut state, record.output, record.key)?;
        state.write(session, at, message)?;
        Ok(trouble != Some(Trouble::LoseAnswer))
    }

    /// Where a record goes.
    fn partition(&self, state: &mut State, output: Output, key: Option<&[u8]>) -> Result<At, Fault> {
        Ok(match output {
            Output::Decisions => (Topic::Decisions, self.lane),
            Output::Replies(partition) => (Topic::Replies, partition),
            Output::DeadLetters(partition) => (Topic::DeadLetters, partition),
            Output::PerDecision => {
                let partitions = state.topic(Topic::PerDecision)?.partitions.len() as u32;
                // Where it has no partitions, there is none to write to, and that is said when it is tried.
                (Topic::PerDecision, partition_of(key.unwrap_or_default(), partitions.max(1)))
            }
        })
    }

    fn try_commit(&self, session: &Session) -> Result<Committed, Fault> {
        let mut state = self.shared.lock();
        let trouble = self.call(&mut state, Call::Commit);
        let timed_out = || Err(struck(Call::Commit, &self.id));
        if state.is_cut_off(self.node) {
            return timed_out();
        }
        // Nothing was written: librdkafka then asks nobody.
        if !session.has_written() {
            return Ok(Committed { suspicious: false });
        }
        match trouble {
            None => state.end_transaction(session, true).map(|()| Committed { suspicious: false }),
            Some(Trouble::Suspect) => state.end_transaction(session, true).map(|()| Committed { suspicious: true }),
            Some(Trouble::SlowMarkers) => state.prepare(session, true).map(|()| Committed { suspicious: false }),
            Some(Trouble::Stray { after_records, commit }) => {
                state.end_transaction(session, true)?;
                state.send_stray(session, after_records, commit)?;
                Ok(Committed { suspicious: true })
            }
            Some(Trouble::LoseAnswer) => {
                state.end_transaction(session, true)?;
                timed_out()
            }
            Some(Trouble::Prepare) => {
                state.prepare(session, true)?;
                timed_out()
            }
            Some(Trouble::Late { calls }) => {
                state.commit_later(session, calls);
                timed_out()
            }
            Some(Trouble::Refuse | Trouble::Lose) => timed_out(),
        }
    }
}

impl LogWriter for MemoryWriter {
    fn init(&mut self, _timeout: Duration) -> Result<(), Fault> {
        if !matches!(self.stage, Stage::Fresh) {
            return self.misuse(Call::Init);
        }
        let result = self.try_init();
        self.stage = Stage::Ready(self.latch(result)?);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let Stage::Ready(session) = &self.stage else { return self.misuse(Call::Begin) };
        let mut session = session.clone();
        session.begin();
        let trouble = self.call(&mut self.shared.lock(), Call::Begin);
        if trouble.is_some() {
            return self.latch(Err(struck(Call::Begin, &self.id)));
        }
        self.stage = Stage::Open { session, is_unacknowledged: false };
        Ok(())
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Fault> {
        let Stage::Open { session, is_unacknowledged } = &self.stage else { return self.misuse(Call::Send) };
        let (mut session, is_unacknowledged) = (session.clone(), *is_unacknowledged);
        let result = self.try_send(&mut session, record);
        let is_acknowledged = self.latch(result)?;
        self.stage = Stage::Open { session, is_unacknowledged: is_unacknowledged || !is_acknowledged };
        Ok(())
    }

    fn acknowledge(&mut self, _timeout: Duration) -> Result<(), Fault> {
        match self.stage {
            Stage::Open { is_unacknowledged: false, .. } => Ok(()),
            Stage::Open { .. } => self.latch(Err(unacknowledged(&self.id))),
            _ => self.misuse(Call::Commit),
        }
    }

    fn commit(&mut self, _timeout: Duration) -> Result<Committed, Fault> {
        let Stage::Open { session, is_unacknowledged } = &self.stage else { return self.misuse(Call::Commit) };
        let session = session.clone();
        let result = if *is_unacknowledged { Err(unacknowledged(&self.id)) } else { self.try_commit(&session) };
        let committed = self.latch(result)?;
        self.stage = Stage::Ready(session);
        Ok(committed)
    }
}

fn unacknowledged(id: &str) -> Fault {
    Fault::Transient(format!("{id}: not every record was acknowledged"))
}
