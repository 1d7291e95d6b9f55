//! The transaction coordinator: producer ids, epochs, and what becomes of each transaction.

use std::collections::{BTreeMap, BTreeSet};

use super::partition::{Message, ProducerId};
use super::state::{At, State};
use crate::broker::Fault;

#[derive(Debug, Default)]
pub(super) struct Coordinator {
    /// By transactional.id.
    transactions: BTreeMap<String, Transactional>,
    producers_made: u64,
    late: Vec<Late>,
}

#[derive(Debug)]
struct Transactional {
    producer: ProducerId,
    epoch: u32,
    phase: Phase,
    stray: Option<Stray>,
}

#[derive(Debug)]
enum Phase {
    /// No transaction since init.
    Empty,
    Ongoing(BTreeSet<At>),
    /// How it ends is settled; these partitions have no marker yet.
    Prepared {
        commit: bool,
        unmarked: BTreeSet<At>,
    },
    Complete {
        commit: bool,
    },
}

/// A duplicate of EndTxn under way.
#[derive(Clone, Copy, Debug)]
struct Stray {
    records_left: u32,
    commit: bool,
}

/// A request that nobody waits for any more.
#[derive(Debug)]
struct Late {
    /// Arrives with this call on the cluster.
    due: u64,
    request: Request,
}

#[derive(Debug)]
enum Request {
    Commit(Session),
    Init { id: String },
}

/// What a producer knows of itself after init.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: String,
    producer: ProducerId,
    epoch: u32,
    /// Partitions of its transaction, as far as it knows.
    partitions: BTreeSet<At>,
}

impl Session {
    /// Whether it has asked for a partition since it began.
    pub(super) fn has_written(&self) -> bool {
        !self.partitions.is_empty()
    }

    pub(super) fn begin(&mut self) {
        self.partitions.clear();
    }
}

impl State {
    /// Initialises a producer: raises the epoch, ends what its predecessor left.
    pub(super) fn init_producer(&mut self, id: &str) -> Result<Session, Fault> {
        let coordinator = &mut self.coordinator;
        if !coordinator.transactions.contains_key(id) {
            coordinator.producers_made += 1;
            let producer = coordinator.producers_made;
            let fresh = Transactional { producer, epoch: 0, phase: Phase::Empty, stray: None };
            coordinator.transactions.insert(id.to_owned(), fresh);
        }
        let transactional = coordinator.transactions.get_mut(id).expect("inserted above if it was missing");
        transactional.epoch += 1;
        transactional.stray = None;
        if let Phase::Ongoing(partitions) = &mut transactional.phase {
            transactional.phase = Phase::Prepared { commit: false, unmarked: std::mem::take(partitions) };
        }
        self.write_markers(id)?;
        let transactional = self.coordinator.transactions.get_mut(id).expect("nothing removed it");
        transactional.phase = Phase::Empty;
        let (producer, epoch) = (transactional.producer, transactional.epoch);
        Ok(Session { id: id.to_owned(), producer, epoch, partitions: BTreeSet::new() })
    }

    /// Writes a record in the session's transaction.
    pub(super) fn write(&mut self, session: &mut Session, at: At, message: Message) -> Result<i64, Fault> {
        self.check(session)?;
        if !session.partitions.contains(&at) {
            self.leader(at)?;
            self.write_markers(&session.id)?;
            let transactional = self.transactional(session)?;
            match &mut transactional.phase {
                Phase::Ongoing(partitions) => {
                    partitions.insert(at);
                }
                phase => *phase = Phase::Ongoing(BTreeSet::from([at])),
            }
            session.partitions.insert(at);
        }
        let transactional = self.transactional(session)?;
        let Phase::Ongoing(partitions) = &transactional.phase else { return Err(out_of_step(session)) };
        if !partitions.contains(&at) {
            return Err(out_of_step(session));
        }
        let offset = self.append(at, Some(session.producer), message)?;
        self.count_towards_stray(session)?;
        Ok(offset)
    }

    fn count_towards_stray(&mut self, session: &Session) -> Result<(), Fault> {
        let transactional = self.transactional(session)?;
        let Some(stray) = &mut transactional.stray else { return Ok(()) };
        stray.records_left -= 1;
        if stray.records_left > 0 {
            return Ok(());
        }
        let commit = stray.commit;
        transactional.stray = None;
        self.end_transaction(session, commit)
    }

    /// The EndTxn request. It succeeds once the end is settled, whether or not the markers could be written.
    pub(super) fn end_transaction(&mut self, session: &Session, commit: bool) -> Result<(), Fault> {
        self.prepare(session, commit)?;
        // Whoever needs the markers asks for them again: the next write, init, or `complete`.
        let _ = self.write_markers(&session.id);
        Ok(())
    }

    /// EndTxn, but nobody writes markers yet.
    pub(super) fn prepare(&mut self, session: &Session, commit: bool) -> Result<(), Fault> {
        let transactional = self.transactional(session)?;
        match &mut transactional.phase {
            Phase::Ongoing(partitions) => {
                transactional.phase = Phase::Prepared { commit, unmarked: std::mem::take(partitions) };
                Ok(())
            }
            Phase::Prepared { commit: settled, .. } | Phase::Complete { commit: settled } if *settled == commit => {
                Ok(())
            }
            Phase::Empty | Phase::Prepared { .. } | Phase::Complete { .. } => Err(out_of_step(session)),
        }
    }

    /// Writes the markers of a prepared transaction; those it cannot write stay to be written.
    fn write_markers(&mut self, id: &str) -> Result<(), Fault> {
        let Some(transactional) = self.coordinator.transactions.get_mut(id) else { return Ok(()) };
        let producer = transactional.producer;
        let Phase::Prepared { commit, unmarked } = &mut transactional.phase else { return Ok(()) };
        let commit = *commit;
        let mut missing = BTreeSet::new();
        for at in std::mem::take(unmarked) {
            // A partition whose topic was deleted needs no marker.
            if self.partition(at).is_err() {
                continue;
            }
            match self.leader(at) {
                Ok(partition) => partition.mark(producer, commit),
                Err(_) => {
                    missing.insert(at);
                }
            }
        }
        let transactional = self.coordinator.transactions.get_mut(id).expect("nothing removed it");
        if let Some(&first) = missing.first() {
            let what = super::state::name(first);
            transactional.phase = Phase::Prepared { commit, unmarked: missing };
            return Err(Fault::Transient(format!("{id}: a transaction waits for its marker in {what}")));
        }
        transactional.phase = Phase::Complete { commit };
        Ok(())
    }

    /// The coordinator writes the markers of every prepared transaction, as far as it can.
    pub(super) fn complete(&mut self) {
        let ids: Vec<String> = self.coordinator.transactions.keys().cloned().collect();
        for id in ids {
            let _ = self.write_markers(&id);
        }
    }

    /// Aborts an ongoing transaction that took too long, and fences its producer.
    pub(super) fn time_out(&mut self, id: &str) {
        if let Some(transactional) = self.coordinator.transactions.get_mut(id)
            && let Phase::Ongoing(partitions) = &mut transactional.phase
        {
            transactional.epoch += 1;
            transactional.phase = Phase::Prepared { commit: false, unmarked: std::mem::take(partitions) };
            let _ = self.write_markers(id);
        }
    }

    /// Forgets an id that has no transaction under way, as the broker does after a week.
    pub(super) fn forget(&mut self, id: &str) {
        let transactions = &mut self.coordinator.transactions;
        if transactions.get(id).is_some_and(|t| matches!(t.phase, Phase::Empty | Phase::Complete { .. })) {
            transactions.remove(id);
        }
    }

    pub(super) fn commit_later(&mut self, session: &Session, calls: u32) {
        self.send_late(calls, Request::Commit(session.clone()));
    }

    pub(super) fn init_later(&mut self, id: &str, calls: u32) {
        self.send_late(calls, Request::Init { id: id.to_owned() });
    }

    fn send_late(&mut self, calls: u32, request: Request) {
        let due = self.calls + u64::from(calls);
        self.coordinator.late.push(Late { due, request });
    }

    pub(super) fn deliver_late(&mut self) {
        let calls = self.calls;
        for late in self.coordinator.late.extract_if(.., |late| late.due <= calls).collect::<Vec<_>>() {
            // The request is answered to nobody.
            match late.request {
                Request::Commit(sender) => drop(self.end_transaction(&sender, true)),
                Request::Init { id } => drop(self.init_producer(&id)),
            }
        }
    }

    pub(super) fn send_stray(&mut self, session: &Session, records: u32, commit: bool) -> Result<(), Fault> {
        self.transactional(session)?.stray = Some(Stray { records_left: records.max(1), commit });
        Ok(())
    }

    /// Whether the session is still the newest of its id.
    pub(super) fn check(&mut self, session: &Session) -> Result<(), Fault> {
        self.transactional(session).map(|_| ())
    }

    fn transactional(&mut self, session: &Session) -> Result<&mut Transactional, Fault> {
        let Session { id, producer, epoch, .. } = session;
        match self.coordinator.transactions.get_mut(id) {
            Some(t) if t.producer == *producer && t.epoch == *epoch => Ok(t),
            Some(t) if t.producer == *producer => {
                Err(Fault::Fenced(format!("{id}: epoch {epoch} of its producer is past, {} is the newest", t.epoch)))
            }
            _ => Err(Fault::Transient(format!("{id}: the broker has forgotten producer {producer}"))),
        }
    }
}

/// The coordinator and the producer disagree about what is under way.
fn out_of_step(session: &Session) -> Fault {
    Fault::Transient(format!("{}: the transaction is not in a state for this request", session.id))
}
