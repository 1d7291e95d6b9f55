//! What is asked about the ends of a lane's inputs, and of whom: decides, and asks nobody itself.
//!
//! What is wanted of the partitions of one leader goes out in one question, and the next one waits until that is
//! answered. So a leader has one question under way, however many shards there are, and in it stands only what somebody
//! wants to know. A shard's answer is put together of both its partitions, which may have different leaders: each was
//! asked after the older of the two tickets that they were asked for.
//!
//! A question is answered as a whole, when the slowest of its partitions is. So a partition does not share one with those
//! that it may hold up: those without a leader are asked together, and one that was not answered while others in its
//! question were is asked alone, until it is. Where all fail alike, it is their leader's fault, and they stay together.

#[cfg(test)]
mod tests; // what is asked when, and what an answer is told for

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::broker::{End, Ends};

/// Pause before a partition that was not answered is asked for anew; it doubles from one failure to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Longest such pause: adds to an outage, and spares the brokers the questions of all shards.
const LONGEST_RETRY_PAUSE: Duration = Duration::from_millis(800);

/// After this without an answer the leaders are looked for. A look too many costs little, so it does not wait until the
/// question is given up: by then the next one's way is known.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// Inputs of a shard: its partitions of `orders` and `stock`, in this order. So both of shard `at` are 2 `at` and 2 `at` + 1.
const INPUTS: usize = 2;

/// Who leads a partition, as far as the last look told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Unknown,
    Nobody,
    Broker(i32),
}

/// With whom a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// All that have this leader.
    Of(Leader),
    /// It alone.
    Alone(usize),
}

/// What somebody wants to know, and when in the order of all that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    order: u64,
    ticket: u64,
}

/// A partition of the lane's inputs.
struct Place {
    leader: Leader,
    /// Brokers that hold it, as far as known: any of them may lead next.
    holders: Vec<i32>,
    /// To be asked for.
    wish: Option<Wish>,
    /// Told, and not yet part of an answer.
    told: Option<(Wish, End)>,
    alone: bool,
    /// It was not answered when it was last asked for.
    fails: bool,
    /// Not asked for before it.
    rests_until: Option<Instant>,
    /// How long to rest after the next failure.
    pause: Duration,
}

impl Place {
    const UNKNOWN: Self = Self {
        leader: Leader::Unknown,
        holders: Vec::new(),
        wish: None,
        told: None,
        alone: false,
        fails: false,
        rests_until: None,
        pause: RETRY_PAUSE,
    };

    fn company(&self, at: usize) -> Company {
        if self.alone { Company::Alone(at) } else { Company::Of(self.leader) }
    }
}

/// A question under way.
struct Question {
    /// Tells its answers from those of questions given up.
    number: usize,
    company: Company,
    places: Vec<(usize, Wish)>,
    sent: Instant,
    /// Both halves of the answer, an offset for each place: the high watermarks, the last stable offsets.
    halves: [Option<Vec<Option<i64>>>; 2],
}

impl Question {
    fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sent) >= DOUBT_AFTER
    }
}

/// See the module.
pub(super) struct Questions {
    places: Vec<Place>,
    /// Places with a wish, each once.
    wishing: Vec<usize>,
    under_way: Vec<Question>,
    answers: Vec<Option<Ends>>,
    /// Shards with an answer, each once.
    answered: VecDeque<usize>,
    wishes: u64,
    numbers: usize,
    /// Places that fail.
    failing: usize,
}

impl Questions {
    /// About that many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            places: (0..INPUTS * shards).map(|_| Place::UNKNOWN).collect(),
            wishing: Vec::new(),
            under_way: Vec::new(),
            answers: vec![None; shards],
            answered: VecDeque::new(),
            wishes: 0,
            numbers: 0,
            failing: 0,
        }
    }

    /// Shard `at` and which of its inputs a place is.
    pub(super) const fn shard_and_input(place: usize) -> (usize, usize) {
        (place / INPUTS, place % INPUTS)
    }

    /// The reverse.
    pub(super) const fn place(at: usize, input: usize) -> usize {
        INPUTS * at + input
    }

    /// Notes that somebody wants to know where the inputs of shard `at` end.
    pub(super) fn want(&mut self, at: usize, ticket: u64) {
        if self.answers[at].take().is_some() {
            self.answered.retain(|answered| *answered != at);
        }
        self.wishes += 1;
        for place in INPUTS * at..INPUTS * (at + 1) {
            self.wish(place, Wish { order: self.wishes, ticket });
        }
    }

    fn wish(&mut self, place: usize, wish: Wish) {
        if self.places[place].wish.replace(wish).is_none() {
            self.wishing.push(place);
        }
    }

    /// The newest answer of a shard that was not yet taken, with the shard's place.
    pub(super) fn take(&mut self) -> Option<(usize, Ends)> {
        let at = self.answered.pop_front()?;
        self.answers[at].take().map(|ends| (at, ends))
    }

    /// Whether an answer waits to be taken.
    pub(super) fn is_answered(&self) -> bool {
        !self.answered.is_empty()
    }

    /// Whether nothing is wanted or under way.
    pub(super) fn is_idle(&self) -> bool {
        self.wishing.is_empty() && self.under_way.is_empty()
    }

    /// Whether what is remembered of the leaders is not to be trusted.
    pub(super) fn has_doubts(&self, now: Instant) -> bool {
        self.failing > 0 || self.under_way.iter().any(|question| question.is_overdue(now))
    }

    /// The brokers that hold what is in doubt, as far as known.
    pub(super) fn holders_in_doubt(&self, now: Instant) -> Vec<i32> {
        let overdue = self.under_way.iter().filter(|question| question.is_overdue(now));
        let overdue = overdue.flat_map(|question| question.places.iter().map(|(place, _)| &self.places[*place]));
        let in_doubt = self.places.iter().filter(|place| place.fails).chain(overdue);
        let mut holders: Vec<i32> = in_doubt.flat_map(|place| place.holders.iter().copied()).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The next question to be asked now: its number and its places, in order. It counts as under way.
    pub(super) fn next(&mut self, now: Instant) -> Option<(usize, Vec<usize>)> {
        let is_ready = |at: usize| {
            let place = &self.places[at];
            let company = place.company(at);
            let rests = place.rests_until.is_some_and(|until| until > now);
            (!rests && self.under_way.iter().all(|question| question.company != company)).then_some(company)
        };
        let company = self.wishing.iter().find_map(|at| is_ready(*at))?;
        let places = &mut self.places;
        let mut asked = Vec::new();
        self.wishing.retain(|&at| {
            let place = &mut places[at];
            let rests = place.rests_until.is_some_and(|until| until > now);
            if rests || place.company(at) != company {
                return true;
            }
            asked.extend(place.wish.take().map(|wish| (at, wish)));
            false
        });
        let order = asked.iter().map(|(at, _)| *at).collect();
        self.numbers += 1;
        let (number, halves) = (self.numbers, [None, None]);
        self.under_way.push(Question { number, company, places: asked, sent: now, halves });
        Some((number, order))
    }

    /// Half of an answer: an offset for each place that was asked for, or none where nobody told; nothing at all if the
    /// question failed.
    pub(super) fn receive(&mut self, number: usize, is_stable: bool, offsets: Option<Vec<Option<i64>>>, now: Instant) {
        let Some(at) = self.under_way.iter().position(|question| question.number == number) else { return };
        let question = &mut self.under_way[at];
        let Some(offsets) = offsets.filter(|offsets| offsets.len() == question.places.len()) else {
            let question = self.under_way.swap_remove(at);
            return question.places.into_iter().for_each(|(place, wish)| self.fail(place, wish, now));
        };
        question.halves[usize::from(is_stable)] = Some(offsets);
        if question.halves.iter().any(Option::is_none) {
            return;
        }
        let question = self.under_way.swap_remove(at);
        let [high, stable] = question.halves.map(Option::unwrap_or_default);
        let ends = high.into_iter().zip(stable).map(|(high, stable)| {
            let (high, stable) = (high?, stable?);
            Some(End { stable, high: high.max(stable) })
        });
        let ends: Vec<_> = question.places.into_iter().zip(ends).collect();
        let is_anybody_told = ends.iter().any(|(_, end)| end.is_some());
        for ((place, wish), end) in ends {
            match end {
                Some(end) => self.tell(place, wish, end),
                None => {
                    self.places[place].alone |= is_anybody_told;
                    self.fail(place, wish, now);
                }
            }
        }
    }

    fn tell(&mut self, place: usize, wish: Wish, end: End) {
        let (at, _) = Self::shard_and_input(place);
        let told = &mut self.places[place];
        self.failing -= usize::from(told.fails);
        (told.fails, told.alone, told.pause, told.rests_until) = (false, false, RETRY_PAUSE, None);
        told.told = Some((wish, end));
        let [orders, stock] = [INPUTS * at, INPUTS * at + 1].map(|place| self.places[place].told);
        let (Some((orders_wish, orders)), Some((stock_wish, stock))) = (orders, stock) else { return };
        // Whatever was asked for later was asked for after this ticket, too.
        let older = if orders_wish.order <= stock_wish.order { orders_wish } else { stock_wish };
        for place in &mut self.places[INPUTS * at..INPUTS * (at + 1)] {
            place.told = place.told.filter(|(wish, _)| wish.order > older.order);
        }
        if self.answers[at].replace(Ends { ticket: older.ticket, orders, stock }).is_none() {
            self.answered.push_back(at);
        }
    }

    /// Asks for a place anew after a pause, or for what is wanted of it since.
    fn fail(&mut self, at: usize, wish: Wish, now: Instant) {
        let place = &mut self.places[at];
        self.failing += usize::from(!place.fails);
        place.fails = true;
        place.rests_until = Some(now + place.pause);
        place.pause = (place.pause * 2).min(LONGEST_RETRY_PAUSE);
        if place.wish.is_none() {
            self.wish(at, wish);
        }
    }

    /// What a look told of a partition: its leader, if it has one, and the brokers that hold it. A question that it is
    /// in is given up if it went to another, or waits for one that is not there; if nobody knew whom to ask, only once it
    /// is overdue.
    pub(super) fn learn(&mut self, at: usize, leader: Option<i32>, holders: &[i32], now: Instant) {
        let place = &mut self.places[at];
        if !holders.is_empty() && place.holders != holders {
            place.holders = holders.to_vec();
        }
        let leader = leader.map_or(Leader::Nobody, Leader::Broker);
        if place.leader == leader {
            return;
        }
        let was_known = place.leader != Leader::Unknown;
        (place.leader, place.alone) = (leader, false);
        // It may be asked at once: what it rests from was somebody else.
        place.rests_until = None;
        let is_in = |question: &Question| question.places.iter().any(|(place, _)| *place == at);
        let Some(question) = self.under_way.iter().position(is_in) else { return };
        if was_known || leader == Leader::Nobody || self.under_way[question].is_overdue(now) {
            let question = self.under_way.swap_remove(question);
            for (place, wish) in question.places {
                if self.places[place].wish.is_none() {
                    self.wish(place, wish);
                }
            }
        }
    }
}
