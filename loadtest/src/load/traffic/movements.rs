//! What the warehouse does while orders come: a list of commands, each with a number from which all of it follows. Sent by
//! a run's first generator only, whose reader follows the stock.

use std::time::Duration;

use prost::Message;
use sluice::wire::proto::{self, stock_command};

use super::days::written;
use super::id::{RunId, sku_name};
use super::pools::PoolSet;
use super::{Origin, stock};
use crate::load::scenario::{MovementKind, Scenario};

/// Most commands in a record, as in those that fill the shelves.
const PER_RECORD: u64 = 500;

/// What stands between the run's name and a command's number.
const MARK: &[u8] = b"-moved-";

/// All movements of a run, in the order in which they are due.
#[derive(Clone, Debug, Default)]
pub struct Movements {
    pools: u64,
    terms: Vec<Terms>,
    rounds: Vec<Round>,
    commands: u64,
}

#[derive(Clone, Debug)]
struct Terms {
    what: MovementKind,
    /// Number of the lot, and the last day on which it is fit for use, counted as the scenario does.
    lot: Option<(u32, u32)>,
    /// Each SKU, with the units on the shelf before the first order, and by how many that changes.
    skus: Vec<(u32, i64, i64)>,
}

/// One time at which something moves, in all pools.
#[derive(Clone, Copy, Debug)]
struct Round {
    due_ns: u64,
    /// Number of its terms.
    terms: usize,
    /// Which of their SKUs; none: all.
    turn: Option<usize>,
    /// Number of its first command.
    first: u64,
}

/// One command of a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// When it is due, in nanoseconds since the start of the run.
    pub due_ns: u64,
    /// Number of the pool.
    pub pool: u32,
    /// What happens.
    pub what: MovementKind,
    /// Number of the SKU.
    pub sku: u32,
    /// Number of the lot, and its last day of use, counted as the scenario does; none: it names no lot.
    pub lot: Option<(u32, u32)>,
    /// Units by which `on_hand` changes.
    pub change: i64,
    /// Units of it that were put on the shelf before the first order.
    shelved: i64,
}

/// A record of movements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MovementRecord {
    pub(super) due_ns: u64,
    pub(super) pool: u32,
    /// Numbers of its first command, and behind its last.
    pub(super) first: u64,
    pub(super) end: u64,
}

impl Movements {
    /// Those of a scenario whose profile has this length and whose run has so many pools.
    pub fn new(scenario: &Scenario, length: Duration, pools: u32) -> Self {
        let terms = scenario.warehouse.iter().map(|movement| {
            let sku = |sku| (sku, stock::units(scenario, sku) as i64, movement.change(scenario, sku));
            let skus = movement.meant(scenario).into_iter().map(sku).collect();
            let expires = |lot: u32| scenario.traffic.lots.expires.get(lot as usize).copied().unwrap_or(0);
            let lot = movement.lot.map(|lot| (lot, expires(lot)));
            Terms { what: movement.what, lot, skus }
        });
        let terms: Vec<_> = terms.collect();
        let mut rounds = Vec::new();
        for (number, movement) in scenario.warehouse.iter().enumerate() {
            rounds.extend((0..movement.times(length)).map(|time| {
                let due_ns = (movement.at.as_nanos() + movement.every.as_nanos() * u128::from(time)) as u64;
                let turn = movement.in_turn.then(|| (time % terms[number].skus.len() as u64) as usize);
                Round { due_ns, terms: number, turn, first: 0 }
            }));
        }
        rounds.sort_by_key(|round| round.due_ns);
        let (pools, mut commands) = (u64::from(pools), 0);
        for round in &mut rounds {
            round.first = commands;
            let skus = if round.turn.is_some() { 1 } else { terms[round.terms].skus.len() as u64 };
            commands += skus * pools;
        }
        Self { pools, terms, rounds, commands }
    }

    /// How many commands they are.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Command `number`; none if there is no such one.
    pub fn get(&self, number: u64) -> Option<Moved> {
        let (round, skus, rest) = self.place(number)?;
        let terms = &self.terms[round.terms];
        let (sku, shelved, change) = terms.skus[round.turn.unwrap_or((rest % skus) as usize)];
        Some(Moved {
            due_ns: round.due_ns,
            pool: (rest / skus) as u32,
            what: terms.what,
            sku,
            lot: terms.lot,
            change,
            shelved,
        })
    }

    /// The record that begins with command `number`; none behind the last one.
    pub(super) fn record(&self, number: u64) -> Option<MovementRecord> {
        let (round, skus, rest) = self.place(number)?;
        let left_of_pool = skus - rest % skus;
        let end = number + left_of_pool.min(PER_RECORD);
        Some(MovementRecord { due_ns: round.due_ns, pool: (rest / skus) as u32, first: number, end })
    }

    /// The round of a command, how many SKUs move in it, and where in the round the command stands.
    fn place(&self, number: u64) -> Option<(Round, u64, u64)> {
        if number >= self.commands {
            return None;
        }
        let after = self.rounds.partition_point(|round| round.first <= number);
        let round = self.rounds[after.checked_sub(1)?];
        let skus = if round.turn.is_some() { 1 } else { self.terms[round.terms].skus.len() as u64 };
        debug_assert!(number - round.first < skus * self.pools);
        Some((round, skus, number - round.first))
    }

    /// Appends the value of a record.
    pub(super) fn append(&self, out: &mut Vec<u8>, record: &MovementRecord, origin: &Origin, pools: &PoolSet) {
        let commands = (record.first..record.end).filter_map(|number| {
            let moved = self.get(number)?;
            let pool = pools.list()[moved.pool as usize].name.clone();
            let issued_at_ms = origin.start_unix_ms + (moved.due_ns / 1_000_000) as i64;
            let kind = Some(moved.kind(origin));
            Some(proto::StockCommand {
                pool,
                id: movement_id(origin.run, number),
                issued_at_ms,
                kind,
                ..Default::default()
            })
        });
        let value = proto::StockCommands { commands: commands.collect() };
        value.encode(out).expect("a Vec takes whatever it is given");
    }
}

impl Moved {
    fn kind(&self, origin: &Origin) -> stock_command::Kind {
        let sku = sku_name(origin.run, self.sku);
        // A lot that was sold out is made anew, so its expiry is told each time.
        let named = self.lot.map(|(lot, days)| (stock::lot_name(lot), written(origin.first_day + days as i32)));
        let (lot, expiry) = named.unwrap_or_default();
        match self.what {
            MovementKind::Receive => {
                let quantity = self.change.unsigned_abs();
                stock_command::Kind::Receive(proto::Receive { sku, quantity, lot, expiry })
            }
            MovementKind::Adjust => {
                let (change, reason) = (self.change, String::new());
                stock_command::Kind::Adjust(proto::Adjust { sku, change, reason, lot, expiry })
            }
            // Somebody looks at a shelf as it was filled: only the difference between the two figures counts.
            MovementKind::Count => {
                let counted = (self.shelved + self.change).max(0) as u64;
                stock_command::Kind::Count(proto::Count { sku, counted, on_hand_seen: self.shelved, lot, expiry })
            }
        }
    }
}

/// Identity of a movement.
fn movement_id(run: RunId, number: u64) -> String {
    format!("{run}{}{number}", std::str::from_utf8(MARK).expect("ASCII"))
}

/// Number of a movement of this run by its identity; none if it is none.
pub fn movement_number(run: RunId, id: &[u8]) -> Option<u64> {
    let digits = id.strip_prefix(run.as_bytes())?.strip_prefix(MARK)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
