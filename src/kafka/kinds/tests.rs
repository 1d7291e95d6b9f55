use super::*;

/// Inputs of which none is few, and the time.
struct World {
    kinds: Kinds,
    now: Instant,
}

impl World {
    fn of(inputs: usize) -> Self {
        let now = Instant::now();
        Self { kinds: Kinds::new(inputs, now), now }
    }

    /// Inputs of which all have become quiet.
    fn at_rest(inputs: usize) -> Self {
        let mut world = Self::of(inputs);
        assert_eq!(world.after(QUIET_AFTER).len(), inputs);
        assert_eq!(world.after(FEW_AFTER), []);
        world
    }

    /// What moves within that time; it does.
    fn after(&mut self, time: Duration) -> Vec<(usize, Kind)> {
        let (until, mut moved) = (self.now + time, Vec::new());
        loop {
            self.now = until.min(self.now + LOOK_PAUSE);
            for (at, kind) in self.kinds.due(self.now) {
                self.kinds.moved(at, kind, self.now);
                moved.push((at, kind));
            }
            if self.now == until {
                return moved;
            }
        }
    }

    fn found(&mut self, at: usize, records: usize) {
        self.kinds.found(at, records, self.now);
    }

    /// Finds as much in an input as makes it lively.
    fn stir(&mut self, at: usize) {
        self.found(at, BACKLOG_RECORDS);
    }
}

#[test]
fn a_lane_of_few_inputs_moves_none() {
    let mut world = World::of(FEW_INPUTS);
    assert!((0..FEW_INPUTS).all(|at| world.kinds.of(at) == Kind::Few));
    assert_eq!(world.after(QUIET_AFTER * 2), []);
    world.stir(0);
    assert_eq!(world.after(LOOK_PAUSE), []);
    assert!(!world.kinds.is_unused(Kind::Few, world.now + UNUSED_AFTER * 2));
}

#[test]
fn inputs_begin_lively_and_become_quiet_when_nothing_comes() {
    let mut world = World::of(10);
    assert_eq!(world.kinds.of(9), Kind::Many);
    assert_eq!(world.after(QUIET_AFTER / 2), []);
    world.found(3, 1);
    let quiet = world.after(QUIET_AFTER / 2);
    assert_eq!(quiet.len(), 9);
    assert!(quiet.iter().all(|&(at, kind)| at != 3 && kind == Kind::Quiet));
    // What is left is few before it is quiet.
    assert_eq!(world.after(FEW_AFTER), [(3, Kind::Few)]);
    assert_eq!(world.after(QUIET_AFTER / 2), [(3, Kind::Quiet)]);
}

#[test]
fn an_input_is_lively_after_a_few_takes_close_together() {
    let mut world = World::at_rest(10);
    for _ in 0..10 {
        world.found(4, 1);
        assert_eq!(world.after(LIVELY_WITHIN * 2 / 3), [], "too seldom");
    }
    world.now += LIVELY_WITHIN;
    for _ in 1..LIVELY_TAKES {
        world.found(4, 1);
        assert_eq!(world.after(Duration::from_millis(1)), []);
    }
    world.found(4, 1);
    assert_eq!(world.after(Duration::from_millis(1)), [(4, Kind::Few)], "at once");
}

#[test]
fn a_backlog_and_a_new_beginning_are_lively_at_once() {
    let mut world = World::at_rest(10);
    world.found(4, BACKLOG_RECORDS - 1);
    assert_eq!(world.after(Duration::ZERO), []);
    world.found(5, BACKLOG_RECORDS);
    assert_eq!(world.after(Duration::ZERO), [(5, Kind::Few)]);
    let now = world.now;
    world.kinds.began(6, now);
    assert_eq!(world.after(Duration::ZERO), [(6, Kind::Few)]);
    assert_eq!(world.after(QUIET_AFTER), [(5, Kind::Quiet), (6, Kind::Quiet)]);
}

#[test]
fn many_lively_inputs_go_together_and_few_only_after_a_while() {
    let mut world = World::at_rest(20);
    (0..FEW_INPUTS).for_each(|at| world.stir(at));
    assert_eq!(world.after(Duration::ZERO), (0..FEW_INPUTS).map(|at| (at, Kind::Few)).collect::<Vec<_>>());
    world.now += LOOK_PAUSE;
    world.stir(FEW_INPUTS);
    assert_eq!(world.after(Duration::ZERO), (0..=FEW_INPUTS).map(|at| (at, Kind::Many)).collect::<Vec<_>>());
    assert_eq!(world.after(QUIET_AFTER / 2), []);
    (1..=FEW_INPUTS).for_each(|at| world.stir(at));
    assert_eq!(world.after(QUIET_AFTER / 2), [(0, Kind::Quiet)]);
    assert_eq!(world.after(FEW_AFTER), (1..=FEW_INPUTS).map(|at| (at, Kind::Few)).collect::<Vec<_>>());
}

#[test]
fn an_input_that_could_not_be_moved_is_tried_again_after_a_pause() {
    let mut world = World::at_rest(10);
    world.stir(2);
    assert_eq!(world.kinds.due(world.now), [(2, Kind::Few)]);
    world.kinds.stays(2, world.now);
    assert_eq!(world.kinds.of(2), Kind::Quiet);
    assert_eq!(world.after(STAY_PAUSE / 2), []);
    assert_eq!(world.after(STAY_PAUSE / 2 + LOOK_PAUSE), [(2, Kind::Few)]);
}

#[test]
fn a_consumer_is_unused_once_nothing_was_on_it_for_long() {
    let mut world = World::at_rest(10);
    world.stir(2);
    world.after(Duration::ZERO);
    assert!(!world.kinds.is_unused(Kind::Many, world.now));
    world.after(QUIET_AFTER);
    let is_unused = |world: &World, after| world.kinds.is_unused(Kind::Few, world.now + after);
    assert!(!is_unused(&world, UNUSED_AFTER / 2) && is_unused(&world, UNUSED_AFTER));
    assert!(world.kinds.is_unused(Kind::Many, world.now + UNUSED_AFTER));
    assert!(!world.kinds.is_unused(Kind::Quiet, world.now + UNUSED_AFTER));
    world.stir(3);
    world.after(UNUSED_AFTER);
    assert!(!is_unused(&world, QUIET_AFTER / 2) && is_unused(&world, QUIET_AFTER), "it is counted anew");
}
