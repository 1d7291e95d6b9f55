//! Committing batches: begin, dead letters, links, acknowledgements, replies, commit; and after any fault the look at what
//! the log holds of it.

use std::time::Duration;

use super::batch::Batch;
use super::look::{Anchor, Look};
use super::lost::{Lost, Why};
use super::settings::FATAL_MOST;
use super::step::{Action, Event, Now};
use super::take::Tail;
use super::taking::{Dead, Taking, Turn};
use crate::broker::{Committed, Fault, Outgoing, Output};
use crate::wire::link::LinkHash;

/// What came of an event.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Go on.
    More,
    /// The batch is in the log.
    Committed(Batch),
    /// The log is not ours any more.
    Lost(Lost),
    /// The shard is to be let go, so that nothing is tried again.
    Stopped(Batch),
    /// The broker refuses for good.
    Refused(Fault),
}

/// A batch that is being committed.
#[derive(Debug)]
struct Open {
    batch: Batch,
    /// How many of its links the log is known to hold.
    there: usize,
    /// Whether the last commit was answered as one that succeeded.
    accepted: bool,
    /// Faults that say "will not pass without a person", met in a row by sending and committing it.
    fatal: u32,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Begin,
    Send(usize),
    /// Before record so many, which is the first one that no reader may see without the links.
    Acknowledge(usize),
    Commit,
    Look(Look),
}

/// The machine of one ownership.
#[derive(Debug)]
pub(super) struct Writing {
    epoch: u64,
    /// Hash of the last link sealed: what the next one carries.
    tail: LinkHash,
    /// Where a look begins.
    anchor: Anchor,
    /// Offset that the next link will get, or one in front of it: we are the partition's only writer, and a transaction
    /// takes an offset for each of its records and at least one for its marker, which a coordinator may write twice.
    next_offset: i64,
    open: Option<Open>,
    /// Hashes of the open batch's links.
    hashes: Vec<LinkHash>,
    phase: Phase,
    pub(super) retakes: u64,
    pub(super) resent: u64,
}

impl Writing {
    pub(super) fn new(tail: &Tail) -> Self {
        Self {
            epoch: tail.epoch,
            tail: tail.hash,
            anchor: Anchor { offset: tail.fence_offset, link: None },
            next_offset: behind_fence(tail.fence_offset),
            open: None,
            hashes: Vec::new(),
            phase: Phase::Idle,
            retakes: 0,
            resent: 0,
        }
    }

    pub(super) fn last_hash(&self) -> LinkHash {
        self.tail
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether nothing has to be looked for first, so that work may be finished though the shard is to be let go.
    pub(super) fn may_finish(&self) -> bool {
        !matches!(self.phase, Phase::Look(_))
    }

    /// Gives up; the batch that was under way.
    pub(super) fn into_batch(self) -> Option<Batch> {
        self.open.map(|open| open.batch)
    }

    /// Seals the links of `batch`, which from here on keep their bytes, and begins.
    pub(super) fn hand(&mut self, mut batch: Batch) {
        assert!(self.is_idle(), "a batch was handed over while another was being committed");
        assert!(!batch.links.is_empty(), "a batch without links would leave its input undecided in the log");
        self.hashes.clear();
        for link in &mut batch.links {
            self.tail = link.seal(self.epoch, self.tail);
            self.hashes.push(self.tail);
        }
        self.open = Some(Open { batch, there: 0, accepted: false, fatal: 0 });
        self.phase = Phase::Begin;
    }

    /// What to do next; nothing while it is idle. `finish_by_ms` is set once the shard is to be let go.
    pub(super) fn next<'a>(
        &'a mut self,
        taking: &'a mut Taking,
        now: Now,
        finish_by_ms: Option<u64>,
    ) -> Option<Action<'a>> {
        Some(match &self.phase {
            Phase::Idle => return None,
            Phase::Begin => Action::Begin,
            Phase::Send(i) => {
                let open = self.open.as_ref().expect(BUSY);
                Action::Send(outgoing(&open.batch, open.there, *i).expect("the end is looked for after each record"))
            }
            Phase::Acknowledge(_) => Action::Acknowledge { timeout: timeout(taking, now, finish_by_ms) },
            Phase::Commit => Action::Commit { timeout: timeout(taking, now, finish_by_ms) },
            Phase::Look(_) => return taking.next(now),
        })
    }

    /// A record of the log.
    pub(super) fn record(&mut self, taking: &mut Taking, offset: i64, value: &[u8]) {
        if let Phase::Look(look) = &mut self.phase {
            let there = self.open.as_ref().map_or(0, |open| open.there);
            look.record(taking, &self.hashes[there..], offset, value);
        }
    }

    /// Takes in what came of the action named last.
    pub(super) fn event(&mut self, taking: &mut Taking, now: Now, assigned: bool, event: Event) -> Outcome {
        match (&self.phase, event) {
            (Phase::Look(_), event) => return self.looked(taking, now, event),
            (_, Event::Failed(fault)) => return self.look(taking, now, assigned, Some(&fault)),
            (Phase::Commit, Event::Committed(Committed { suspicious: true })) => {
                return self.look(taking, now, assigned, None);
            }
            (Phase::Commit, Event::Committed(Committed { suspicious: false })) => return self.committed(),
            (Phase::Begin, Event::Done) => self.phase = self.sending(0),
            (&Phase::Send(i), Event::Done) => self.phase = self.sending(i + 1),
            (&Phase::Acknowledge(i), Event::Done) => self.phase = Phase::Send(i),
            (phase, event) => unreachable!("{event:?} is no answer to {phase:?}"),
        }
        Outcome::More
    }

    fn sending(&self, i: usize) -> Phase {
        let open = self.open.as_ref().expect(BUSY);
        match outgoing(&open.batch, open.there, i) {
            None => Phase::Commit,
            Some(_) if i == links_end(&open.batch, open.there) => Phase::Acknowledge(i),
            Some(_) => Phase::Send(i),
        }
    }

    /// Replaces the writer and looks: after a fault, or, without one, after a commit that succeeded and may have left a
    /// duplicate of its request behind.
    fn look(&mut self, taking: &mut Taking, now: Now, assigned: bool, fault: Option<&Fault>) -> Outcome {
        let open = self.open.as_mut().expect(BUSY);
        open.accepted = fault.is_none();
        if !assigned {
            return Outcome::Stopped(self.close());
        }
        // A look that succeeds says nothing about what the next sending meets: an output that refuses the batch for
        // good would be tried for ever, and nobody told.
        open.fatal = if matches!(fault, Some(Fault::Fatal(_))) { open.fatal + 1 } else { 0 };
        if let Some(fault) = fault.filter(|_| open.fatal >= FATAL_MOST) {
            return Outcome::Refused(fault.clone());
        }
        self.retakes += 1;
        taking.retake(self.anchor.offset, now, fault);
        self.phase = Phase::Look(Look::new(self.anchor));
        Outcome::More
    }

    fn looked(&mut self, taking: &mut Taking, now: Now, event: Event) -> Outcome {
        let Phase::Look(look) = &self.phase else { unreachable!("called while looking") };
        let turn = taking.event(now, event);
        let found = match turn {
            _ if look.is_lost() => look.outcome(),
            Ok(Turn::Reached { .. }) => look.outcome(),
            Ok(Turn::More | Turn::Topics(_)) => return Outcome::More,
            Err(Dead::Empty | Dead::Fault(Fault::OutOfRange { .. } | Fault::Overwritten { .. })) => {
                Err(Why::TailMissing)
            }
            Err(Dead::Fault(fault)) => return Outcome::Refused(fault),
        };
        match (found, turn) {
            (Ok(found), Ok(Turn::Reached { fence_offset })) => self.settle(found, fence_offset),
            (Ok(_), _) => unreachable!("what was found counts once our fence was reached"),
            (Err(why), _) => Outcome::Lost(Lost { why, batch: Some(self.close()) }),
        }
    }

    /// The log holds `found` links more of the batch, and then nothing but our fence.
    fn settle(&mut self, found: usize, fence_offset: i64) -> Outcome {
        self.anchor = Anchor { offset: fence_offset, link: None };
        self.next_offset = behind_fence(fence_offset);
        let open = self.open.as_mut().expect(BUSY);
        open.there += found;
        let complete = open.there == self.hashes.len();
        if complete && (open.accepted || !has_companions(&open.batch)) {
            return Outcome::Committed(self.close());
        }
        self.resent += 1;
        self.phase = Phase::Begin;
        Outcome::More
    }

    fn committed(&mut self) -> Outcome {
        let sent = self.hashes.len() - self.open.as_ref().expect(BUSY).there;
        if sent > 0 {
            let sent = i64::try_from(sent).expect("a batch has few links");
            self.anchor = Anchor { offset: self.next_offset + sent - 1, link: self.hashes.last().copied() };
            self.next_offset += sent + 1;
        }
        Outcome::Committed(self.close())
    }

    fn close(&mut self) -> Batch {
        self.phase = Phase::Idle;
        self.open.take().expect(BUSY).batch
    }
}

const BUSY: &str = "a batch is open in every phase but idle";

/// The offset behind a committed fence: the fence takes one, its transaction's marker another.
fn behind_fence(fence_offset: i64) -> i64 {
    fence_offset + 2
}

fn has_companions(batch: &Batch) -> bool {
    !batch.replies.is_empty() || !batch.dead_letters.is_empty() || !batch.per_decision.ends.is_empty()
}

/// How long a call that waits for the broker may take.
fn timeout(taking: &Taking, now: Now, finish_by_ms: Option<u64>) -> Duration {
    let left = |by_ms| Duration::from_millis(by_ms - now.steady_ms);
    let most = taking.settings().commit_timeout;
    finish_by_ms.map_or(most, left).min(most)
}

/// How many records of the transaction that writes `batch` go up to its links.
fn links_end(batch: &Batch, there: usize) -> usize {
    batch.dead_letters.len() + batch.links.len() - there
}

/// Record `i` of the transaction that writes `batch`, of whose links the log holds the first `there`: dead letters, the
/// missing links, and then what tells of decisions. A transaction may be cut in two anywhere, and its owner die then: a
/// link must not be there without its dead letters, for nothing says that they are missing, nor a reply without its link,
/// for the next owner may decide otherwise.
fn outgoing(batch: &Batch, there: usize, i: usize) -> Option<Outgoing<'_>> {
    let plain = |output, value| Outgoing { output, key: None, value: Some(value), headers: &[] };
    if let Some(letter) = batch.dead_letters.get(i) {
        return Some(Outgoing {
            output: Output::DeadLetters(letter.shard),
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &letter.headers,
        });
    }
    let i = i - batch.dead_letters.len();
    if let Some(link) = batch.links[there..].get(i) {
        let (value, _) = link.sealed().expect("links are sealed before anything is sent");
        return Some(plain(Output::Decisions, value));
    }
    let i = i - (batch.links.len() - there);
    if let Some(reply) = batch.replies.get(i) {
        return Some(plain(Output::Replies(reply.partition), &reply.value));
    }
    let i = i - batch.replies.len();
    let single = &batch.per_decision;
    let &(key_end, value_end) = single.ends.get(i)?;
    let begin = if i == 0 { 0 } else { single.ends[i - 1].1 as usize };
    Some(Outgoing {
        output: Output::PerDecision,
        key: Some(&single.bytes[begin..key_end as usize]),
        value: Some(&single.bytes[key_end as usize..value_end as usize]),
        headers: &[],
    })
}
