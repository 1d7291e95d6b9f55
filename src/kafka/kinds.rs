//! Which kind of consumer each of a lane's inputs is read on: decides, and moves nothing itself.
//!
//! A fetch costs the broker some 15 us for each partition in it, whatever it finds; there is one at a time for each broker
//! and consumer; and while it is held open nothing else is fetched. So inputs in which nothing happens are kept apart
//! from those in which something does.

#[cfg(test)]
mod tests; // what moves when

use std::time::{Duration, Instant};

/// A kind of consumer. A lane has one of each at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For inputs in which little arrives: its fetches are held open for long, and end with the first record.
    Quiet,
    /// For lively inputs, if they are many: a fetch gathers what arrives in all of them within some milliseconds.
    Many,
    /// For lively inputs, if they are few: each record at once, and large receive queues.
    Few,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Quiet, Self::Many, Self::Few];
}

/// So many lively inputs are few: those of four shards. A lane that has no more has no other kind.
pub(super) const FEW_INPUTS: usize = 8;

/// An input in which so many takes found records within [`LIVELY_WITHIN`] is lively. It would end the fetch of all quiet
/// ones as often; of a hundred shards that costs more than a place among the lively ones, from one record a second on.
const LIVELY_TAKES: u32 = 3;

/// See [`LIVELY_TAKES`].
const LIVELY_WITHIN: Duration = Duration::from_secs(3);

/// As many records at once are a backlog: the input is lively at once.
const BACKLOG_RECORDS: usize = 100;

/// An input in which nothing was found for so long, or in the same time since it began anew, is quiet. A move interrupts
/// it for as long as its first fetches are held open, so it is worth that in any case.
const QUIET_AFTER: Duration = Duration::from_secs(10);

/// Lively inputs are few only once they have been for so long.
const FEW_AFTER: Duration = Duration::from_secs(2);

/// Nothing is on a consumer for so long before it is dropped: making one costs threads and connections.
const UNUSED_AFTER: Duration = Duration::from_secs(30);

/// Pause before an input is looked at again that could not be moved.
const STAY_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked for inputs that have become quiet.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

struct Place {
    kind: Kind,
    is_lively: bool,
    /// When something was found in it, or it began anew.
    heard: Instant,
    /// When the takes began that are counted, and how many found records.
    takes_since: Instant,
    takes: u32,
    rests_until: Option<Instant>,
}

/// See the module.
pub(super) struct Kinds {
    places: Vec<Place>,
    lively: usize,
    /// When the lively ones were last many.
    many: Option<Instant>,
    /// How many are on each kind of consumer, and since when it has been none.
    on: [usize; Kind::ALL.len()],
    empty_since: [Option<Instant>; Kind::ALL.len()],
    looked: Instant,
    /// Something has become lively since.
    is_stirred: bool,
}

impl Kinds {
    /// That many inputs, which begin now on [`Kinds::first`].
    pub(super) fn new(inputs: usize, now: Instant) -> Self {
        let kind = Self::first(inputs);
        let place = || Place { kind, is_lively: true, heard: now, takes_since: now, takes: 0, rests_until: None };
        let mut on = [0; Kind::ALL.len()];
        on[kind as usize] = inputs;
        Self {
            places: (0..inputs).map(|_| place()).collect(),
            lively: inputs,
            many: (inputs > FEW_INPUTS).then_some(now),
            on,
            empty_since: [Some(now); Kind::ALL.len()],
            looked: now,
            is_stirred: false,
        }
    }

    /// On which kind of consumer so many inputs begin. Not the quiet one, where the first fetches would take long.
    pub(super) const fn first(inputs: usize) -> Kind {
        if inputs > FEW_INPUTS { Kind::Many } else { Kind::Few }
    }

    /// Records were found in an input.
    pub(super) fn found(&mut self, at: usize, records: usize, now: Instant) {
        let place = &mut self.places[at];
        place.heard = now;
        if now.saturating_duration_since(place.takes_since) > LIVELY_WITHIN {
            (place.takes_since, place.takes) = (now, 0);
        }
        place.takes = place.takes.saturating_add(1);
        if place.takes >= LIVELY_TAKES || records >= BACKLOG_RECORDS {
            self.enliven(at);
        }
    }

    /// An input began anew.
    pub(super) fn began(&mut self, at: usize, now: Instant) {
        self.places[at].heard = now;
        self.enliven(at);
    }

    fn enliven(&mut self, at: usize) {
        let place = &mut self.places[at];
        if !place.is_lively {
            place.is_lively = true;
            self.lively += 1;
            self.is_stirred = true;
        }
    }

    /// What is to be moved now, and where to. Each is to be answered by [`Kinds::moved`] or [`Kinds::stays`].
    pub(super) fn due(&mut self, now: Instant) -> Vec<(usize, Kind)> {
        let is_time = now.saturating_duration_since(self.looked) >= LOOK_PAUSE;
        if self.places.len() <= FEW_INPUTS || !(is_time || self.is_stirred) {
            return Vec::new();
        }
        (self.looked, self.is_stirred) = (now, false);
        for place in &mut self.places {
            if place.is_lively && now.saturating_duration_since(place.heard) >= QUIET_AFTER {
                (place.is_lively, place.takes) = (false, 0);
                self.lively -= 1;
            }
        }
        if self.lively > FEW_INPUTS {
            self.many = Some(now);
        }
        self.many = self.many.filter(|many| now.saturating_duration_since(*many) < FEW_AFTER);
        let lively = if self.many.is_some() { Kind::Many } else { Kind::Few };
        let due = self.places.iter().enumerate().filter_map(|(at, place)| {
            let kind = if place.is_lively { lively } else { Kind::Quiet };
            let rests = place.rests_until.is_some_and(|until| until > now);
            (place.kind != kind && !rests).then_some((at, kind))
        });
        due.collect()
    }

    /// An input is read on another kind of consumer from now on.
    pub(super) fn moved(&mut self, at: usize, kind: Kind, now: Instant) {
        let from = std::mem::replace(&mut self.places[at].kind, kind);
        self.on[from as usize] -= 1;
        self.on[kind as usize] += 1;
        if self.on[from as usize] == 0 {
            self.empty_since[from as usize] = Some(now);
        }
    }

    /// An input could not be moved.
    pub(super) fn stays(&mut self, at: usize, now: Instant) {
        self.places[at].rests_until = Some(now + STAY_PAUSE);
    }

    /// On which kind of consumer an input is read.
    pub(super) fn of(&self, at: usize) -> Kind {
        self.places[at].kind
    }

    /// Whether the consumer of a kind may be dropped.
    pub(super) fn is_unused(&self, kind: Kind, now: Instant) -> bool {
        let since = self.empty_since[kind as usize];
        self.on[kind as usize] == 0 && since.is_some_and(|since| now.saturating_duration_since(since) >= UNUSED_AFTER)
    }
}
