//! Keeps a trouble that lasts from flooding the log: a warning or an error is written at once the first time; what
//! follows of the same kind is counted, and told in one line every [`SUMMARY_EVERY`]; one line says when it is over.
//!
//! Two events are the same trouble if they come from the same place in the code and agree in the fields of [`TELLING`],
//! and, where they name no `kind`, in their words and their shard: one that names its kind is the same trouble on
//! whichever shard it occurs. The book is a stepped machine; [`Fold`] feeds it with events and with time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Between two summaries of a trouble that lasts: often enough to see at 03:00 that it still does.
pub(super) const SUMMARY_EVERY: Duration = Duration::from_secs(30);

/// After this without another event a trouble counts as over. Longer than the pauses of whatever tries again: a shard
/// that needs a person is looked at every 30 s, and librdkafka keeps an error to itself for 30 s that it told before.
pub(super) const OVER_AFTER: Duration = Duration::from_secs(45);

/// How many troubles are told apart; beyond them, one for each place in the code. Bounds the memory.
const MOST_TROUBLES: usize = 512;

/// Fields by which troubles of the same place in the code are told apart.
const TELLING: [&str; 5] = ["kind", "broker", "topic", "stage", "subject"];

/// Summaries say so by their target, so that they are not counted themselves.
const TARGET: &str = "sluice::again";

/// Where an event comes from: file and line, or what stands for them.
type Place = (&'static str, u32);

/// What tells troubles apart: the place in the code, and the telling fields' values.
type Key = (Place, String);

/// What an event says, as far as it matters here.
#[derive(Debug, Default)]
struct Said {
    telling: String,
    has_kind: bool,
    shard: Option<u64>,
    message: String,
    details: String,
}

/// A trouble that was told once and has not been quiet for long enough since.
#[derive(Debug)]
struct Trouble {
    error: bool,
    message: String,
    /// Fields of the latest event.
    details: String,
    shards: BTreeSet<u64>,
    began: Instant,
    last: Instant,
    told: Instant,
    total: u64,
    untold: u64,
}

/// A line to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It lasts.
    Still { error: bool, message: String, times: u64, shards: String, latest: String },
    /// It has not occurred for [`OVER_AFTER`].
    Over { message: String, times: u64, lasted: Duration, shards: String },
}

/// The troubles of this process.
#[derive(Debug, Default)]
pub(super) struct Book {
    troubles: BTreeMap<Key, Trouble>,
}

impl Book {
    /// Notes an event; true if it is to be written now.
    fn note(&mut self, now: Instant, place: Place, error: bool, said: Said) -> bool {
        let mut telling = said.telling;
        if !said.has_kind {
            // Writing to a String does not fail.
            let _ = write!(telling, " {:?} {}", said.shard, said.message);
        }
        let mut key = (place, telling);
        if self.troubles.len() >= MOST_TROUBLES && !self.troubles.contains_key(&key) {
            key.1.clear();
        }
        if let Some(trouble) = self.troubles.get_mut(&key) {
            trouble.last = now;
            trouble.total += 1;
            trouble.untold += 1;
            trouble.details = said.details;
            trouble.shards.extend(said.shard);
            return false;
        }
        let trouble = Trouble {
            error,
            message: said.message,
            details: said.details,
            shards: said.shard.into_iter().collect(),
            began: now,
            last: now,
            told: now,
            total: 1,
            untold: 0,
        };
        self.troubles.insert(key, trouble);
        true
    }

    /// What is to be told by now.
    pub(super) fn report(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        self.troubles.retain(|_, trouble| {
            if now.duration_since(trouble.last) >= OVER_AFTER {
                // What occurred once was told whole.
                if trouble.total > 1 {
                    lines.push(Line::Over {
                        message: trouble.message.clone(),
                        times: trouble.total,
                        lasted: trouble.last.duration_since(trouble.began),
                        shards: list(&trouble.shards),
                    });
                }
                return false;
            }
            if trouble.untold > 0 && now.duration_since(trouble.told) >= SUMMARY_EVERY {
                lines.push(Line::Still {
                    error: trouble.error,
                    message: trouble.message.clone(),
                    times: std::mem::take(&mut trouble.untold),
                    shards: list(&trouble.shards),
                    latest: trouble.details.clone(),
                });
                trouble.told = now;
            }
            true
        });
        lines
    }
}

/// Numbers as people write them: `0-3,7`.
pub(in crate::node) fn list<'a>(numbers: impl IntoIterator<Item = &'a u64>) -> String {
    let mut text = String::new();
    let mut numbers = numbers.into_iter().copied().peekable();
    while let Some(first) = numbers.next() {
        let mut last = first;
        while let Some(next) = numbers.next_if(|next| *next == last + 1) {
            last = next;
        }
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = match last - first {
            0 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
    }
    text
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "shard" {
            self.shard = Some(value);
        }
        self.record_debug(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => {
                self.has_kind |= name == "kind";
                let space = if self.details.is_empty() { "" } else { " " };
                if TELLING.contains(&name) {
                    let _ = write!(self.telling, " {value:?}");
                }
                write!(self.details, "{space}{name}={value:?}")
            }
        };
    }
}

/// Lets events through to the log, or counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fold(Arc<Mutex<Book>>);

impl Fold {
    /// Writes what is to be told by now.
    pub(super) fn report(&self, now: Instant) {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner).report(now);
        for line in lines {
            match line {
                Line::Still { error: false, message, times, shards, latest } => {
                    tracing::warn!(target: TARGET, times, shards, latest, "still: {message}");
                }
                Line::Still { message, times, shards, latest, .. } => {
                    tracing::error!(target: TARGET, times, shards, latest, "still: {message}");
                }
                Line::Over { message, times, lasted, shards } => {
                    let (lasted_s, quiet_s) = (lasted.as_secs(), OVER_AFTER.as_secs());
                    tracing::warn!(target: TARGET, times, lasted_s, quiet_s, shards, "over: {message}");
                }
            }
        }
    }
}

impl<S: Subscriber> Filter<S> for Fold {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == TARGET {
            return true;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let place = (metadata.file().unwrap_or(metadata.target()), metadata.line().unwrap_or(0));
        let error = *metadata.level() == Level::ERROR;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now(), place, error, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = ("here", 1);

    fn said(telling: &str, has_kind: bool, shard: u64) -> Said {
        let (message, details) = ("no answer".to_owned(), format!("shard={shard}"));
        Said { telling: telling.to_owned(), has_kind, shard: Some(shard), message, details }
    }

    #[test]
    fn the_first_is_written_at_once_the_rest_every_half_minute_and_one_line_when_it_is_over() {
        let (mut book, start) = (Book::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(book.note(start, PLACE, false, said("refused", true, 0)));
        for second in 1..=54 {
            assert!(!book.note(at(second), PLACE, false, said("refused", true, second % 2)));
            let lines = book.report(at(second));
            let still = Line::Still {
                error: false,
                message: "no answer".to_owned(),
                times: 30,
                shards: "0-1".to_owned(),
                latest: "shard=0".to_owned(),
            };
            assert_eq!(lines, if second == 30 { vec![still] } else { vec![] }, "{second}");
        }
        let over = Line::Over {
            message: "no answer".to_owned(),
            times: 55,
            lasted: Duration::from_secs(54),
            shards: "0-1".to_owned(),
        };
        let told: Vec<_> = (55..200).flat_map(|second| book.report(at(second))).collect();
        assert_eq!(told.len(), 2, "what was not told yet, and the end: {told:?}");
        assert_eq!(told[1], over);
        assert!(book.note(at(200), PLACE, false, said("refused", true, 0)), "the next time it is news");
    }

    #[test]
    fn troubles_of_other_kinds_brokers_and_without_a_kind_of_other_shards_are_told_apart() {
        let (mut book, now) = (Book::default(), Instant::now());
        assert!(book.note(now, PLACE, false, said("refused a", true, 0)));
        assert!(book.note(now, PLACE, false, said("refused b", true, 0)));
        assert!(!book.note(now, PLACE, false, said("refused b", true, 1)));
        assert!(book.note(now, PLACE, true, said("", false, 0)));
        assert!(book.note(now, PLACE, true, said("", false, 1)));
    }

    #[test]
    fn what_happens_once_is_told_once() {
        let (mut book, start) = (Book::default(), Instant::now());
        assert!(book.note(start, PLACE, true, said("", false, 0)));
        assert_eq!(book.report(start + OVER_AFTER), []);
        assert!(book.troubles.is_empty());
    }

    #[test]
    fn memory_is_bounded_however_many_troubles_there_are() {
        let (mut book, now) = (Book::default(), Instant::now());
        for broker in 0..10 * MOST_TROUBLES {
            book.note(now, PLACE, false, said(&broker.to_string(), true, 0));
        }
        assert!(book.troubles.len() <= MOST_TROUBLES + 1);
    }

    #[test]
    fn shards_are_listed_as_people_write_them() {
        assert_eq!(list(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(list(&[]), "");
    }
}
