//! One lane's side of the log protocol, whole: taking, recovering, committing, looking, losing, letting go. Pure; the
//! [`driver`](super::driver) carries out what it asks for.

use rand::rngs::StdRng;

use super::batch::Batch;
use super::commit::{Outcome, Writing};
use super::lost::Lost;
use super::settings::Settings;
use super::step::{Action, Event, Now, Step, Taken};
use super::take::{Progress, Recovery};
use super::taking::{Dead, Taking, Turn};
use super::{refusal::Refusal, replay::Replay};
use crate::wire::link::LinkHash;

/// What an owner went through, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls on the broker that failed.
    pub faults: u64,
    /// Times the lane was taken again by its owner, to look or to replace a writer.
    pub retakes: u64,
    /// Times a batch, or part of it, was sent again.
    pub resent: u64,
    /// Times the lane was lost to another owner.
    pub lost: u64,
}

#[derive(Debug)]
enum Stage<R> {
    /// Nothing is held.
    Void,
    Taking(Recovery<R>),
    Writing(Writing),
}

/// What [`Owner::next`] comes to.
#[derive(Debug)]
pub(super) enum Next<'a, R> {
    Do(Action<'a>),
    Report(Step<R>),
}

/// The machine.
#[derive(Debug)]
pub(super) struct Owner<R> {
    taking: Taking,
    stage: Stage<R>,
    finish_by_ms: Option<u64>,
    counts: Counts,
}

impl<R: Replay> Owner<R> {
    pub(super) fn new(settings: Settings, rng: StdRng) -> Self {
        Self { taking: Taking::new(settings, rng), stage: Stage::Void, finish_by_ms: None, counts: Counts::default() }
    }

    pub(super) fn lane(&self) -> u32 {
        self.taking.settings().lane
    }

    pub(super) fn counts(&self) -> Counts {
        match &self.stage {
            Stage::Writing(writing) => Counts {
                retakes: self.counts.retakes + writing.retakes,
                resent: self.counts.resent + writing.resent,
                ..self.counts
            },
            _ => self.counts,
        }
    }

    pub(super) fn last_hash(&self) -> Option<LinkHash> {
        match &self.stage {
            Stage::Writing(writing) => Some(writing.last_hash()),
            _ => None,
        }
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        match &self.stage {
            Stage::Taking(recovery) => Some(recovery.progress()),
            _ => None,
        }
    }

    pub(super) fn take(&mut self, sink: R) {
        assert!(matches!(self.stage, Stage::Void), "the lane was to be taken while it was held");
        self.finish_by_ms = None;
        let settings = self.taking.settings();
        self.stage = Stage::Taking(Recovery::new(settings.lane, settings.accept_loss, sink));
        self.taking.take(0);
    }

    pub(super) fn hand(&mut self, batch: Batch) {
        match &mut self.stage {
            Stage::Writing(writing) => writing.hand(batch),
            _ => panic!("a batch was handed over for a lane that is not held"),
        }
    }

    pub(super) fn unassign(&mut self, finish_by_ms: u64) {
        self.finish_by_ms = Some(finish_by_ms);
    }

    /// What to do or to say next.
    pub(super) fn next(&mut self, now: Now) -> Next<'_, R> {
        if let Some(finish_by_ms) = self.finish_by_ms {
            let finishing = matches!(&self.stage, Stage::Writing(writing) if writing.may_finish());
            if !finishing || now.steady_ms >= finish_by_ms {
                self.finish_by_ms = None;
                let batch = match self.give_up() {
                    Stage::Writing(writing) => writing.into_batch(),
                    _ => None,
                };
                return Next::Report(Step::Stopped(batch));
            }
        }
        let action = match &mut self.stage {
            Stage::Void => None,
            Stage::Taking(_) => self.taking.next(now),
            Stage::Writing(writing) => writing.next(&mut self.taking, now, self.finish_by_ms),
        };
        action.map_or(Next::Report(Step::Idle), Next::Do)
    }

    /// A record of the log, during [`Action::Read`].
    pub(super) fn record(&mut self, offset: i64, value: &[u8]) {
        match &mut self.stage {
            Stage::Void => {}
            Stage::Taking(recovery) => recovery.record(&mut self.taking, offset, value),
            Stage::Writing(writing) => writing.record(&mut self.taking, offset, value),
        }
    }

    /// Takes in what came of the action named last.
    pub(super) fn event(&mut self, now: Now, event: Event) -> Step<R> {
        self.counts.faults += u64::from(matches!(event, Event::Failed(_)));
        match &mut self.stage {
            Stage::Void => unreachable!("nothing is asked for while nothing is held"),
            Stage::Taking(_) => self.recovering(now, event),
            Stage::Writing(writing) => match writing.event(&mut self.taking, now, self.finish_by_ms.is_none(), event) {
                Outcome::More => Step::Again,
                Outcome::Committed(batch) => Step::Committed(batch),
                Outcome::Lost(lost) => self.lost(lost),
                Outcome::Stopped(batch) => {
                    self.give_up();
                    Step::Stopped(Some(batch))
                }
                Outcome::Refused(fault) => {
                    self.give_up();
                    Step::Refused(Refusal::of_fault(self.lane(), fault))
                }
            },
        }
    }

    fn recovering(&mut self, now: Now, event: Event) -> Step<R> {
        let turn = self.taking.event(now, event);
        let Stage::Taking(recovery) = &mut self.stage else { unreachable!("called while taking") };
        if let Some(refusal) = recovery.refused() {
            self.give_up();
            return Step::Refused(refusal);
        }
        match turn {
            Ok(Turn::More) => Step::Again,
            Ok(Turn::Topics(facts)) => {
                recovery.topics(facts);
                Step::Again
            }
            Ok(Turn::Reached { fence_offset }) => {
                let Stage::Taking(recovery) = self.give_up() else { unreachable!("called while taking") };
                let (recovered, tail) = recovery.finish(fence_offset);
                self.stage = Stage::Writing(Writing::new(&tail));
                Step::Taken(Box::new(Taken { recovered, tail }))
            }
            Err(dead) => {
                let refusal = match dead {
                    Dead::Empty => Refusal::Empty { lane: self.lane() },
                    Dead::Fault(fault) => Refusal::of_fault(self.lane(), fault),
                };
                self.give_up();
                Step::Refused(refusal)
            }
        }
    }

    fn lost(&mut self, lost: Lost) -> Step<R> {
        self.counts.lost += 1;
        self.give_up();
        Step::Lost(lost)
    }

    /// Holds nothing from here on; what was held.
    fn give_up(&mut self) -> Stage<R> {
        let counts = self.counts();
        self.taking.rest();
        self.counts = counts;
        std::mem::replace(&mut self.stage, Stage::Void)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::replay::ReplayFault;
    use super::super::settings::{COMMIT_TIMEOUT, FATAL_MOST, SILENCE_MOST_MS, SILENCES_MOST};
    use super::*;
    use crate::broker::{Committed, Fault, TopicFacts};
    use crate::wire::Layout;
    use crate::wire::entry::LinkView;
    use crate::wire::link::{RULES_LEVEL, genesis, genesis_value};
    use crate::wire::proto::Genesis;

    struct Nothing;

    impl Replay for Nothing {
        fn genesis(&mut self, _genesis: &Genesis) {}

        fn link(&mut self, _at: usize, _link: &LinkView<'_>) -> Result<u32, ReplayFault> {
            Ok(0)
        }
    }

    const FACTS: TopicFacts = TopicFacts { partitions: [1; 3], ids: [[1; 16]; 3] };

    fn owner() -> Owner<Nothing> {
        let settings = Settings { lane: 0, owner: "a".to_owned(), commit_timeout: COMMIT_TIMEOUT, accept_loss: false };
        let mut owner = Owner::new(settings, StdRng::seed_from_u64(1));
        owner.take(Nothing);
        owner
    }

    /// Answers every action as a broker does that holds a genesis and nothing more, until one is called `stop`.
    /// Returns the time by then.
    fn answer_until(owner: &mut Owner<Nothing>, now: &mut Now, stop: fn(&Action<'_>) -> bool) {
        loop {
            now.steady_ms += 1;
            let event = match owner.next(*now) {
                Next::Report(step) => panic!("{step:?}", step = discriminant(&step)),
                Next::Do(action) if stop(&action) => return,
                Next::Do(Action::Pause { until_ms }) => {
                    now.steady_ms = until_ms;
                    continue;
                }
                Next::Do(Action::Topics) => Event::Topics(FACTS),
                Next::Do(Action::Read) => {
                    owner.record(0, &genesis_value(genesis(0, Layout::one_each(1), FACTS.ids, 1, 1, RULES_LEVEL)));
                    Event::Done
                }
                Next::Do(_) => Event::Done,
            };
            assert!(matches!(owner.event(*now, event), Step::Again));
        }
    }

    fn discriminant(step: &Step<Nothing>) -> &'static str {
        match step {
            Step::Refused(_) => "refused",
            Step::Idle => "idle",
            _ => "another step",
        }
    }

    fn fatal() -> Event {
        Event::Failed(Fault::Fatal("not authorised".to_owned()))
    }

    #[test]
    fn a_fault_that_stays_fatal_is_put_before_a_person() {
        let (mut owner, mut now) = (owner(), Now { steady_ms: 0, unix_ms: 0 });
        for _ in 1..FATAL_MOST {
            answer_until(&mut owner, &mut now, |action| matches!(action, Action::Init));
            assert!(matches!(owner.event(now, fatal()), Step::Again));
        }
        answer_until(&mut owner, &mut now, |action| matches!(action, Action::Init));
        let Step::Refused(refusal) = owner.event(now, fatal()) else { panic!("tried for ever") };
        assert!(refusal.to_string().contains("not authorised"));
    }

    #[test]
    fn no_fence_is_written_before_a_genesis_was_read() {
        let (mut owner, mut now) = (owner(), Now { steady_ms: 0, unix_ms: 0 });
        for _ in 0..SILENCES_MOST {
            answer_until(&mut owner, &mut now, |action| matches!(action, Action::Read));
            assert!(matches!(owner.event(now, Event::Done), Step::Again));
            now.steady_ms += SILENCE_MOST_MS;
            answer_until(&mut owner, &mut now, |action| matches!(action, Action::Read));
            match owner.event(now, Event::Done) {
                Step::Again => {}
                Step::Refused(refusal) => return assert_eq!(refusal, Refusal::Empty { lane: 0 }),
                step => panic!("{}", discriminant(&step)),
            }
        }
        panic!("waits for ever for a genesis");
    }

    #[test]
    fn a_commit_that_took_long_leaves_the_reader_of_the_fence_its_time() {
        let (mut owner, mut now) = (owner(), Now { steady_ms: 0, unix_ms: 0 });
        answer_until(&mut owner, &mut now, |action| matches!(action, Action::Commit { .. }));
        let committed = Event::Committed(Committed { suspicious: false });
        assert!(matches!(owner.event(now, committed), Step::Again));
        now.steady_ms += 2 * SILENCE_MOST_MS;
        // A cold reader finds nothing at first.
        for _ in 0..3 {
            assert!(matches!(owner.next(now), Next::Do(Action::Read)), "the reader was given up");
            assert!(matches!(owner.event(now, Event::Done), Step::Again));
        }
    }

    #[test]
    fn each_fence_has_a_nonce_of_its_own_that_its_owner_knows() {
        let (mut owner, mut now) = (owner(), Now { steady_ms: 0, unix_ms: 0 });
        let mut fences = Vec::new();
        for _ in 0..3 {
            answer_until(&mut owner, &mut now, |action| matches!(action, Action::Send(_)));
            let Next::Do(Action::Send(record)) = owner.next(now) else { unreachable!("asked for above") };
            fences.push(record.value.expect("a fence has a value").to_vec());
            assert!(matches!(owner.event(now, Event::Failed(Fault::Transient("lost".to_owned()))), Step::Again));
        }
        fences.dedup();
        assert_eq!(fences.len(), 3);
    }
}
