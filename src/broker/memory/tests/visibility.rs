//! What a read_committed fetcher sees of any history of one partition, against the definition.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::partition::{Cursor, Message, Partition};
use super::NOW_MS;
use crate::broker::{Position, TimestampKind};

/// Something that happens to a partition. Figures are taken modulo what there is.
#[derive(Clone, Debug)]
enum Event {
    /// By no transaction, or that of a producer.
    Append(Option<u64>),
    End(u64, bool),
    Trim(u8),
    LoseTail(u8),
    Elect,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => prop::option::weighted(0.8, 0..3_u64).prop_map(Event::Append),
        5 => (0..3_u64, any::<bool>()).prop_map(|(producer, commit)| Event::End(producer, commit)),
        1 => any::<u8>().prop_map(Event::Trim),
        1 => (0..6_u8).prop_map(Event::LoseTail),
        1 => Just(Event::Elect),
    ];
    prop::collection::vec(event, 0..60)
}

#[derive(Clone, Copy)]
enum Row {
    Record(Option<u64>),
    Marker(u64, bool),
}

/// The definition, spelt out: a row of entries and where it begins.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    begin: usize,
}

impl Model {
    /// The marker that ends the record's transaction, if it has been written.
    fn verdict(&self, offset: usize, of: u64) -> Option<bool> {
        self.rows[offset..].iter().find_map(|row| match *row {
            Row::Marker(producer, commit) if producer == of => Some(commit),
            _ => None,
        })
    }

    fn stable(&self) -> usize {
        let is_open = |&offset: &usize| match self.rows[offset] {
            Row::Record(Some(producer)) => self.verdict(offset, producer).is_none(),
            Row::Record(None) | Row::Marker(..) => false,
        };
        (self.begin..self.rows.len()).find(is_open).unwrap_or(self.rows.len())
    }

    fn readable(&self) -> Vec<i64> {
        let is_readable = |&offset: &usize| match self.rows[offset] {
            Row::Record(Some(producer)) => self.verdict(offset, producer) == Some(true),
            Row::Record(None) => true,
            Row::Marker(..) => false,
        };
        (self.begin..self.stable()).filter(is_readable).map(|offset| offset as i64).collect()
    }
}

fn fetch(partition: &Partition, cursor: &mut Cursor, most: usize) -> Vec<i64> {
    let mut found = Vec::new();
    let count = partition.fetch(cursor, most, |stored| found.push(stored.offset)).unwrap();
    assert_eq!(count, found.len());
    found
}

proptest! {
    #[test]
    fn a_fetcher_sees_what_is_committed_below_the_last_stable_offset(events in events(), most in 1..5_usize) {
        let (mut partition, mut model) = (Partition::new(), Model::default());
        // Follows from the start, and stops following once records were dropped under it.
        let mut follower = Some((Cursor::at(Position::at(0)), HashSet::new()));
        for event in events {
            let held = model.rows.len() - model.begin;
            match event {
                Event::Append(producer) => {
                    partition.append(producer, Message::value("x"), NOW_MS, TimestampKind::LogAppend);
                    model.rows.push(Row::Record(producer));
                }
                Event::End(producer, commit) => {
                    partition.mark(producer, commit);
                    model.rows.push(Row::Marker(producer, commit));
                }
                Event::Trim(figure) => {
                    // Retention never takes what is still open.
                    let offset = model.begin + usize::from(figure) % (model.stable() - model.begin + 1);
                    partition.trim(offset as i64);
                    model.begin = offset;
                    follower = None;
                }
                Event::LoseTail(figure) => {
                    let offset = model.rows.len() - usize::from(figure) % (held + 1);
                    partition.lose(offset as i64);
                    model.rows.truncate(offset);
                    follower = None;
                }
                Event::Elect => partition.elect(),
            }
            let end = partition.end();
            prop_assert_eq!((end.stable, end.high), (model.stable() as i64, model.rows.len() as i64));
            let mut cursor = Cursor::at(Position::at(model.begin as i64));
            prop_assert_eq!(fetch(&partition, &mut cursor, usize::MAX), model.readable());
            prop_assert_eq!(cursor.position, end.stable, "the position passes what is never handed out");
            if let Some((cursor, seen)) = &mut follower {
                let found = fetch(&partition, cursor, most);
                prop_assert!(found.is_sorted());
                for offset in found {
                    prop_assert!(seen.insert(offset), "handed out twice");
                }
                let behind = model.readable().into_iter().filter(|&offset| offset < cursor.position);
                prop_assert!(behind.eq(seen.iter().copied().collect::<std::collections::BTreeSet<_>>()));
            }
        }
    }
}
