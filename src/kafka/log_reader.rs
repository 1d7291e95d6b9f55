//! A lane's log, read in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use rdkafka::consumer::BaseConsumer;

use super::clients;
use super::context::Context;
use super::control::Control;
use super::fault::fault;
use super::ffi::Owner;
use super::graveyard::Buried;
use super::reading::Reading;
use super::settings::Settings;
use crate::broker::{Fault, LogReader, Position};

/// Most records handed out by one call.
const READ_RECORDS: usize = 1_024;

/// Longest sleep: a wake-up may be lost (rust-rdkafka #840).
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Reads a lane's partition of `decisions`.
pub struct KafkaLogReader {
    consumer: Arc<Buried<BaseConsumer<Context>>>,
    reading: Buried<Reading>,
    parker: Parker,
}

impl KafkaLogReader {
    pub(super) fn open(settings: &Settings, control: &Control, lane: u32, from_offset: i64) -> Result<Self, Fault> {
        let what = format!("make a consumer for the log of lane {lane}");
        let consumer = clients::log_reader(settings).create_with_context(Context::default());
        let consumer = Arc::new(Buried::new(consumer.map_err(|error| fault(&error, &what))?));
        let parker = Parker::new();
        let owner = Arc::clone(&consumer) as Owner;
        let place = (settings.topics.decisions.as_str(), lane);
        let from = Position::at(from_offset);
        let unparker = parker.unparker().clone();
        let bell = Box::new(move || unparker.unpark());
        let reading = Reading::start(owner, control.clone(), place, from, bell)?;
        Ok(Self { consumer, reading: Buried::new(reading), parker })
    }
}

impl LogReader for KafkaLogReader {
    fn read(&mut self, timeout: Duration, each: &mut dyn FnMut(i64, &[u8])) -> Result<usize, Fault> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(batch) = self.reading.take(READ_RECORDS)? {
                for i in 0..batch.len() {
                    let record = batch.record(i);
                    each(record.offset, record.value.unwrap_or_default());
                }
                return Ok(batch.len());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            let _ = self.consumer.poll(Duration::ZERO);
            self.parker.park_timeout(left.min(LONGEST_WAIT));
        }
    }

    fn position(&self) -> i64 {
        self.reading.position
    }
}
