//! The records of one generator, in the order in which they are due.

use super::id::OrderId;
use super::movements::Movements;
use super::plan::{Order, Plan};
use super::pools::PoolSet;
use super::queue::{Entry, Queue};
use super::template::{self, FIRST_INSTANT_MS, Own, PlaceTemplate, Shared, ShortTemplate};
use super::{Kind, Origin};
use crate::load::arrival::Arrivals;
use crate::load::profile::Profile;
use crate::load::scenario::{Arrival, Scenario};

/// Tells the arrivals' chance from that of the orders.
const OF_ARRIVALS: u64 = 0x6b79_3a0f_51d2_c48e;

/// The kinds that follow later, in the order in which those due at the same time are sent.
const LATER: [Kind; 6] = [Kind::Duplicate, Kind::Changed, Kind::Confirm, Kind::Cancel, Kind::Again, Kind::Ship];

/// No instant: nothing of a kind is to come.
const NEVER: u64 = u64::MAX;

/// A record whose value was appended to the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What all of its commands are.
    pub kind: Kind,
    /// When it is due, in nanoseconds since the start of the run.
    pub due_ns: u64,
    /// Number of the pool: its name is the record's key.
    pub pool: u32,
    /// Where it goes, in the topic of its kind.
    pub partition: u32,
    /// Number of the first order of the record of orders that it is, or that it follows. A follow-up has a command for
    /// each order of that record for which [`Plan::sends`] says so, in the order of their numbers.
    /// Of a record of movements the number of its first command.
    pub first: u64,
    /// The number behind the last order of that record, or behind its last movement.
    pub end: u64,
    /// How many commands it has; 0 for poison.
    pub commands: u32,
    /// Bytes of its value.
    pub bytes: usize,
}

/// See [`traffic`](super).
#[derive(Debug)]
pub struct Stream {
    plan: Plan,
    origin: Origin,
    pools: PoolSet,
    hold_ms: u64,
    deadline_ms: i64,
    lines_least: u32,
    lines_spread: usize,
    segments: Vec<String>,
    arrivals: Arrivals,
    /// Number of the next record of orders, when it is due, and what of it is next.
    record: u64,
    due_ns: u64,
    stage: Stage,
    /// When the next one of each of [`LATER`] is due.
    later_due_ns: [u64; LATER.len()],
    queues: [Queue; LATER.len()],
    movements: Movements,
    /// Number of the next movement, and when it is due.
    movement: u64,
    movement_due_ns: u64,
    places: Vec<Option<PlaceTemplate>>,
    confirms: Vec<ShortTemplate>,
    cancels: Vec<ShortTemplate>,
    ships: Vec<ShortTemplate>,
}

/// What belongs to one record of orders is sent one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    CancelEarly,
    Place,
    Poison,
}

impl Stream {
    /// The records that `origin` sends: its share of `profile`, which is that of all generators together.
    ///
    /// # Panics
    /// If the run starts before 1971, or has no pools; a scenario that was loaded has some.
    pub fn new(scenario: &Scenario, profile: &Profile, origin: Origin, pools: &PoolSet) -> Self {
        assert!(origin.start_unix_ms >= FIRST_INSTANT_MS, "a run starts after 1970");
        assert!(!pools.list().is_empty(), "a run has pools");
        let traffic = &scenario.traffic;
        let share = 1.0 / f64::from(origin.generators) / f64::from(traffic.orders_per_record);
        let seed = super::draw::mix(origin.seed ^ OF_ARRIVALS).wrapping_add(u64::from(origin.generator));
        let phase = match scenario.arrival {
            Arrival::Constant => f64::from(origin.generator) / f64::from(origin.generators),
            Arrival::Poisson => 0.0,
        };
        let arrivals = Arrivals::new(&profile.scaled(share), scenario.arrival, super::draw::mix(seed), phase);
        let plan = Plan::new(scenario, &origin, pools.list().len() as u32);
        let lines_spread = (traffic.lines.most - traffic.lines.least + 1) as usize;
        // For each segment and for none.
        let templates = pools.list().len() * lines_spread * VARIANTS * (traffic.segments.len() + 1);
        let templates = templates * plan.channels().len() * (plan.asks().len() + 1);
        let movements = match origin.generator {
            0 => Movements::new(scenario, profile.duration(), pools.list().len() as u32),
            _ => Movements::default(),
        };
        let short = |of: fn(super::RunId, &str) -> ShortTemplate| {
            pools.list().iter().map(|pool| of(origin.run, &pool.name)).collect()
        };
        let mut stream = Self {
            plan,
            origin,
            pools: pools.clone(),
            hold_ms: traffic.hold.as_millis() as u64,
            deadline_ms: traffic.deadline.within.as_millis() as i64,
            lines_least: traffic.lines.least,
            lines_spread,
            segments: traffic.segments.clone(),
            arrivals,
            record: 0,
            due_ns: NEVER,
            stage: Stage::CancelEarly,
            later_due_ns: [NEVER; LATER.len()],
            queues: Default::default(),
            movements,
            movement: 0,
            movement_due_ns: NEVER,
            places: (0..templates).map(|_| None).collect(),
            confirms: short(ShortTemplate::confirm),
            cancels: short(ShortTemplate::cancel),
            ships: short(ShortTemplate::ship),
        };
        stream.due_ns = stream.arrivals.next().unwrap_or(NEVER);
        stream.movement_due_ns = stream.movements.record(0).map_or(NEVER, |record| record.due_ns);
        stream
    }

    /// What its orders are.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Orders that were placed so far, copies not counted.
    pub fn placed(&self) -> u64 {
        self.record * self.plan.orders_per_record()
    }

    /// When the next record is due, in nanoseconds since the start; none at the end. Never earlier than the one before.
    /// The record that [`Stream::next`] makes is that one, always.
    #[inline]
    pub fn next_due_ns(&self) -> Option<u64> {
        let due = self.later_due_ns.iter().fold(self.due_ns.min(self.movement_due_ns), |due, later| due.min(*later));
        (due != NEVER).then_some(due)
    }

    /// Appends the value of the next record to `out`; none at the end.
    #[inline]
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<Record> {
        loop {
            let due = self.next_due_ns()?;
            if self.movement_due_ns == due {
                return Some(self.moved(out));
            } else if self.due_ns == due {
                if let Some(record) = self.of_orders(out) {
                    return Some(record);
                }
            } else {
                let which = self.later_due_ns.iter().position(|later| *later == due).expect("it is one of them");
                return Some(self.follow_up(which, out));
            }
        }
    }

    /// The next stage of the record of orders whose turn it is; none if there is nothing to send in it.
    #[inline]
    fn of_orders(&mut self, out: &mut Vec<u8>) -> Option<Record> {
        match self.stage {
            Stage::CancelEarly => {
                self.stage = Stage::Place;
                if self.plan.is_plain() {
                    return None;
                }
                let entry = Entry { placed_ns: self.due_ns, record: self.record };
                self.gathered(Kind::CancelEarly, entry, out)
            }
            Stage::Place => {
                let record = self.orders(out);
                if self.plan.is_poisoned(self.record) {
                    self.stage = Stage::Poison;
                } else {
                    self.advance();
                }
                Some(record)
            }
            Stage::Poison => {
                let entry = Entry { placed_ns: self.due_ns, record: self.record };
                let start = out.len();
                template::append_poison(out, &self.origin, entry.record);
                self.advance();
                Some(self.record_of(Kind::Poison, self.pool(entry), entry, 0, out.len() - start))
            }
        }
    }

    /// The next movements of stock.
    fn moved(&mut self, out: &mut Vec<u8>) -> Record {
        let record = self.movements.record(self.movement).expect("one is due");
        let start = out.len();
        self.movements.append(out, &record, &self.origin, &self.pools);
        self.movement = record.end;
        self.movement_due_ns = self.movements.record(record.end).map_or(NEVER, |next| next.due_ns);
        Record {
            kind: Kind::Move,
            due_ns: record.due_ns,
            pool: record.pool,
            partition: self.pools.list()[record.pool as usize].partition,
            first: record.first,
            end: record.end,
            commands: (record.end - record.first) as u32,
            bytes: out.len() - start,
        }
    }

    #[inline]
    fn pool(&self, entry: Entry) -> u32 {
        self.plan.pool_of(entry.record, entry.placed_ns / 1_000)
    }

    /// Goes on to the next record of orders. At once when nothing of this one is left: until then it counts as due, and
    /// the next one would be sent in its stead.
    fn advance(&mut self) {
        self.record += 1;
        self.stage = Stage::CancelEarly;
        self.due_ns = self.arrivals.next().unwrap_or(NEVER);
    }

    fn orders(&mut self, out: &mut Vec<u8>) -> Record {
        let entry = Entry { placed_ns: self.due_ns, record: self.record };
        let start = out.len();
        let per_record = self.plan.orders_per_record();
        let pool = self.pool(entry);
        let mut followed = [false; LATER.len()];
        for number in self.record * per_record..(self.record + 1) * per_record {
            let order = if self.plan.is_plain() { None } else { Some(self.plan.order(number)) };
            let deadline = order.is_some_and(|order| order.deadline);
            self.place(out, pool, entry, number, Copy { deadline, ..Copy::FIRST });
            if let Some(order) = order {
                for (followed, kind) in followed.iter_mut().zip(LATER) {
                    *followed |= self.plan.sends(kind, &order);
                }
            }
        }
        for which in (0..LATER.len()).filter(|which| followed[*which]) {
            self.queues[which].push(entry);
            self.refresh(which);
        }
        self.record_of(Kind::Place, pool, entry, per_record as u32, out.len() - start)
    }

    fn follow_up(&mut self, which: usize, out: &mut Vec<u8>) -> Record {
        let entry = self.queues[which].pop().expect("one is due");
        self.refresh(which);
        self.gathered(LATER[which], entry, out).expect("what is queued has a command")
    }

    fn refresh(&mut self, which: usize) {
        let delay = self.plan.delay_ns(LATER[which]);
        self.later_due_ns[which] = self.queues[which].next_placed_ns().map_or(NEVER, |placed| placed + delay);
    }

    /// A command of this kind for each order of a record that has one; none if none has.
    fn gathered(&mut self, kind: Kind, entry: Entry, out: &mut Vec<u8>) -> Option<Record> {
        let start = out.len();
        let per_record = self.plan.orders_per_record();
        let pool = self.pool(entry);
        let mut commands = 0;
        for number in entry.record * per_record..(entry.record + 1) * per_record {
            let order = self.plan.order(number);
            if !self.plan.sends(kind, &order) {
                continue;
            }
            commands += 1;
            let id = self.id(entry, number);
            match kind {
                Kind::Confirm => self.confirms[pool as usize].append(out, id, self.placed_at_ms(id.due_us)),
                Kind::Cancel | Kind::CancelEarly => {
                    self.cancels[pool as usize].append(out, id, self.placed_at_ms(id.due_us));
                }
                Kind::Ship => self.ships[pool as usize].append(out, id, self.placed_at_ms(id.due_us)),
                Kind::Place | Kind::Poison | Kind::Duplicate | Kind::Changed | Kind::Again | Kind::Move => {
                    self.place(out, pool, entry, number, Copy::of(kind, &order));
                }
            }
        }
        (commands > 0).then(|| self.record_of(kind, pool, entry, commands, out.len() - start))
    }

    #[inline]
    fn place(&mut self, out: &mut Vec<u8>, pool: u32, entry: Entry, number: u64, copy: Copy) {
        let content = self.plan.content(number);
        let lines = self.plan.line_count(content);
        let pool = pool as usize;
        let variant = usize::from(copy.attempt) * 2 + usize::from(copy.deadline);
        let at = (pool * self.lines_spread + (lines - self.lines_least) as usize) * VARIANTS + variant;
        let customer = self.plan.customer(number);
        let segment = self.plan.segment(customer).map(|number| number as usize);
        let at = at * (self.segments.len() + 1) + segment.map_or(0, |number| number + 1);
        let id = self.id(entry, number);
        let channel = self.plan.channel(number, id.due_us) as usize;
        let at = at * self.plan.channels().len() + channel;
        let ask = self.plan.ask(number);
        let at = at * (self.plan.asks().len() + 1) + ask.map_or(0, |number| number + 1);
        if self.places[at].is_none() {
            self.places[at] = Some(PlaceTemplate::new(&Shared {
                run: self.origin.run,
                pool: &self.pools.list()[pool].name,
                channel: &self.plan.channels()[channel],
                lines,
                hold_ms: self.hold_ms,
                attempt: copy.attempt,
                deadline: copy.deadline,
                segment: segment.map(|number| self.segments[number].as_str()),
                asked: ask.and_then(|number| self.plan.asks().nth(number)),
            }));
        }
        let template = self.places[at].as_ref().expect("made above");
        // The next attempt is placed when it is due, copies when their order was.
        let placed_us = if copy.attempt > 0 { id.due_us + self.plan.delay_ns(Kind::Again) / 1_000 } else { id.due_us };
        let placed_at_ms = self.placed_at_ms(placed_us);
        let own = Own { id, customer, placed_at_ms, answer_by_ms: placed_at_ms + self.deadline_ms, more: copy.more };
        template.append(out, &own, self.plan.lines(number, id.due_us));
    }

    #[inline]
    fn placed_at_ms(&self, placed_us: u64) -> i64 {
        self.origin.start_unix_ms + (placed_us / 1_000) as i64
    }

    #[inline]
    fn id(&self, entry: Entry, number: u64) -> OrderId {
        OrderId { generator: self.origin.generator, number, due_us: entry.placed_ns / 1_000 }
    }

    #[inline]
    fn record_of(&self, kind: Kind, pool: u32, entry: Entry, commands: u32, bytes: usize) -> Record {
        Record {
            kind,
            due_ns: entry.placed_ns + self.plan.delay_ns(kind),
            pool,
            partition: self.pools.list()[pool as usize].partition,
            first: entry.record * self.plan.orders_per_record(),
            end: (entry.record + 1) * self.plan.orders_per_record(),
            commands,
            bytes,
        }
    }
}

/// Variants of a place with the same pool, lines, segment, channel and wishes: with a deadline or not, attempt 0 or 1.
const VARIANTS: usize = 4;

/// In what a place differs from the first copy of its order.
#[derive(Clone, Copy, Debug)]
struct Copy {
    attempt: u8,
    deadline: bool,
    /// Units that its first line has more.
    more: u32,
}

impl Copy {
    const FIRST: Self = Self { attempt: 0, deadline: false, more: 0 };

    /// The next attempt has no deadline: nobody waits for it.
    fn of(kind: Kind, order: &Order) -> Self {
        match kind {
            Kind::Again => Self { attempt: 1, ..Self::FIRST },
            Kind::Changed => Self { deadline: order.deadline, more: 1, ..Self::FIRST },
            _ => Self { deadline: order.deadline, ..Self::FIRST },
        }
    }
}
