//! Which lanes this node works on, as a stepped machine: told of what the group assigns and takes away and of lanes
//! that ended, it says which to start and stop and when a revocation may be acknowledged.
//!
//! A lane runs at most once in this process at any time: one that is assigned again while its lane is still
//! stopping is started when that lane has ended.

use std::collections::{BTreeMap, BTreeSet};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The group gave these lanes to this node.
    Assigned(Vec<u32>),
    /// The group wants these lanes back and waits for the acknowledgement `ack`: what is open may still be committed.
    Revoked {
        /// The lanes.
        lanes: Vec<u32>,
        /// Names the acknowledgement.
        ack: u64,
    },
    /// These lanes may already belong to somebody else: nothing more may be committed.
    Lost(Vec<u32>),
    /// The lane of this lane has ended.
    Ended(u32),
    /// The node stops: everything open is committed first.
    Shutdown,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a lane for this lane.
    Start(u32),
    /// Let the lane commit what is open, then end. It answers with [`Event::Ended`].
    Finish(u32),
    /// End the lane without another commit. It answers with [`Event::Ended`].
    Abandon(u32),
    /// The revocation of this name is done.
    Acknowledge(u64),
    /// Every lane has ended after [`Event::Shutdown`]: leave the group and go.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Finishing,
    Abandoning,
}

/// The machine. See the module's documentation.
#[derive(Debug, Default)]
pub struct Assignment {
    lanes: BTreeMap<u32, Phase>,
    /// Assigned again while the former lane still ends.
    again: BTreeSet<u32>,
    /// Revocations to acknowledge, with the lanes they still wait for.
    acks: Vec<(u64, BTreeSet<u32>)>,
    stopping: bool,
    left: bool,
}

impl Assignment {
    /// No lanes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lanes that have a lane, running or ending.
    pub fn lanes(&self) -> impl Iterator<Item = u32> + '_ {
        self.lanes.keys().copied()
    }

    /// Whether [`Event::Shutdown`] was seen.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Takes one event and appends what is to be done to `actions`.
    pub fn on(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Assigned(lanes) => lanes.into_iter().for_each(|lane| self.assign(lane, actions)),
            Event::Revoked { lanes, ack } => {
                let mut waiting = BTreeSet::new();
                for lane in lanes {
                    self.again.remove(&lane);
                    if self.finish(lane, actions) {
                        waiting.insert(lane);
                    }
                }
                self.acks.push((ack, waiting));
            }
            Event::Lost(lanes) => {
                for lane in lanes {
                    self.again.remove(&lane);
                    self.abandon(lane, actions);
                }
            }
            Event::Ended(lane) => self.ended(lane, actions),
            Event::Shutdown => {
                self.stopping = true;
                self.again.clear();
                let lanes: Vec<u32> = self.lanes().collect();
                for lane in lanes {
                    self.finish(lane, actions);
                }
            }
        }
        self.settle(actions);
    }

    fn assign(&mut self, lane: u32, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        match self.lanes.get(&lane) {
            None => {
                self.lanes.insert(lane, Phase::Running);
                actions.push(Action::Start(lane));
            }
            Some(Phase::Running) => {}
            Some(Phase::Finishing | Phase::Abandoning) => {
                self.again.insert(lane);
            }
        }
    }

    /// Returns whether there is a lane to wait for.
    fn finish(&mut self, lane: u32, actions: &mut Vec<Action>) -> bool {
        let Some(phase) = self.lanes.get_mut(&lane) else { return false };
        if *phase == Phase::Running {
            *phase = Phase::Finishing;
            actions.push(Action::Finish(lane));
        }
        true
    }

    fn abandon(&mut self, lane: u32, actions: &mut Vec<Action>) {
        if let Some(phase) = self.lanes.get_mut(&lane)
            && *phase != Phase::Abandoning
        {
            *phase = Phase::Abandoning;
            actions.push(Action::Abandon(lane));
        }
    }

    fn ended(&mut self, lane: u32, actions: &mut Vec<Action>) {
        self.lanes.remove(&lane);
        for (_, waiting) in &mut self.acks {
            waiting.remove(&lane);
        }
        if self.again.remove(&lane) {
            self.assign(lane, actions);
        }
    }

    fn settle(&mut self, actions: &mut Vec<Action>) {
        self.acks.retain(|(ack, waiting)| {
            if waiting.is_empty() {
                actions.push(Action::Acknowledge(*ack));
            }
            !waiting.is_empty()
        });
        if self.stopping && self.lanes.is_empty() && !self.left {
            self.left = true;
            actions.push(Action::Leave);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(machine: &mut Assignment, event: Event, expected: &[Action]) {
        let mut actions = Vec::new();
        machine.on(event, &mut actions);
        assert_eq!(actions, expected);
    }

    #[test]
    fn a_revocation_is_acknowledged_once_every_lane_of_it_has_ended() {
        let mut machine = Assignment::new();
        check(&mut machine, Event::Assigned(vec![0, 1, 2]), &[Action::Start(0), Action::Start(1), Action::Start(2)]);
        check(&mut machine, Event::Revoked { lanes: vec![0, 2], ack: 7 }, &[Action::Finish(0), Action::Finish(2)]);
        check(&mut machine, Event::Ended(2), &[]);
        check(&mut machine, Event::Ended(0), &[Action::Acknowledge(7)]);
        assert_eq!(machine.lanes().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_revocation_of_nothing_that_runs_is_acknowledged_at_once() {
        let mut machine = Assignment::new();
        check(&mut machine, Event::Revoked { lanes: vec![3], ack: 1 }, &[Action::Acknowledge(1)]);
    }

    #[test]
    fn a_lane_that_comes_back_starts_when_its_former_lane_has_ended() {
        let mut machine = Assignment::new();
        check(&mut machine, Event::Assigned(vec![5]), &[Action::Start(5)]);
        check(&mut machine, Event::Lost(vec![5]), &[Action::Abandon(5)]);
        check(&mut machine, Event::Assigned(vec![5]), &[]);
        check(&mut machine, Event::Ended(5), &[Action::Start(5)]);
    }

    #[test]
    fn losing_a_lane_that_is_finishing_stops_its_commits_and_still_answers_the_revocation() {
        let mut machine = Assignment::new();
        check(&mut machine, Event::Assigned(vec![1]), &[Action::Start(1)]);
        check(&mut machine, Event::Revoked { lanes: vec![1], ack: 9 }, &[Action::Finish(1)]);
        check(&mut machine, Event::Lost(vec![1]), &[Action::Abandon(1)]);
        check(&mut machine, Event::Ended(1), &[Action::Acknowledge(9)]);
    }

    #[test]
    fn a_node_that_stops_leaves_after_its_last_lane_and_takes_no_new_lane() {
        let mut machine = Assignment::new();
        check(&mut machine, Event::Assigned(vec![0, 1]), &[Action::Start(0), Action::Start(1)]);
        check(&mut machine, Event::Shutdown, &[Action::Finish(0), Action::Finish(1)]);
        check(&mut machine, Event::Assigned(vec![2]), &[]);
        check(&mut machine, Event::Ended(0), &[]);
        check(&mut machine, Event::Ended(1), &[Action::Leave]);
    }

    #[test]
    fn a_node_without_lanes_leaves_at_once() {
        check(&mut Assignment::new(), Event::Shutdown, &[Action::Leave]);
    }
}
