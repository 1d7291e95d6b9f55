//! The hot loop: makes the records that are due, hands them over in batches, sleeps until the next one is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::ffi::BatchMemory;
use super::producer::Producer;
use super::progress::Progress;
use super::{Pace, Sent, Threads};
use crate::clock::SECOND_NS;
use crate::load::profile::Profile;
use crate::load::traffic::{Kind, PoolSet, Record, Stream};

/// Most records that are made before the clock is read and they are handed over: enough that call and clock cost little
/// for each, few enough that the first one does not wait for the last.
const BATCH_RECORDS: usize = 256;

/// A batch ends with the record that takes it over this many bytes: it stays in the processor's cache.
const BATCH_BYTES: usize = 128 << 10;

/// Shortest sleep. Sleeping for each record would cost more than the record; what is due within this time is sent
/// together, up to this much late.
const SHORTEST_SLEEP: Duration = Duration::from_micros(250);

/// Longest sleep: so soon is a request to stop heard.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// How often failed deliveries are asked for.
const POLL_EVERY_NS: u64 = 10_000_000;

/// Pause before a full queue is tried again. It is drained by requests of up to a megabyte, a few milliseconds each.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Longest wait at the end for acknowledgements; what has none then is undelivered.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// What the loop works with.
pub(super) struct Loop {
    pub(super) producer: Producer,
    pub(super) stream: Stream,
    pub(super) keys: PoolSet,
    /// This generator's share, in orders a second.
    pub(super) profile: Profile,
    pub(super) pace: Pace,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<AtomicBool>,
}

/// A record that waits in the buffer.
struct Waiting {
    record: Record,
    at: usize,
}

impl Waiting {
    fn topic(&self) -> usize {
        Producer::topic_of(self.record.kind)
    }
}

impl Loop {
    /// Runs to the end of the stream, or until it is stopped or out of time.
    pub(super) fn run(mut self) -> Sent {
        let mut sent = Sent::new();
        let mut memory = BatchMemory::default();
        let mut buffer = Vec::with_capacity(2 * BATCH_BYTES);
        let mut waiting = Vec::with_capacity(BATCH_RECORDS);
        let mut polled_ns = 0;
        self.wait_for_start();
        let client_cpu = self.producer.threads().cpu();
        let began = Instant::now();
        while let Some(due_ns) = self.stream.next_due_ns() {
            let now_ns = self.now_ns(began);
            if self.stop.load(Relaxed) || now_ns >= self.until_ns() {
                break;
            }
            if now_ns.saturating_sub(polled_ns) > POLL_EVERY_NS {
                polled_ns = now_ns;
                self.producer.handles.producer().poll(Duration::ZERO);
                self.publish(&mut sent, now_ns, due_ns);
            }
            let paced = matches!(self.pace, Pace::WhenDue { .. });
            if paced && due_ns > now_ns {
                let wait = Duration::from_nanos(due_ns - now_ns);
                std::thread::sleep(wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
                continue;
            }
            buffer.clear();
            waiting.clear();
            while waiting.len() < BATCH_RECORDS && buffer.len() < BATCH_BYTES {
                match self.stream.next_due_ns() {
                    Some(due_ns) if !paced || due_ns <= now_ns => {}
                    _ => break,
                }
                let at = buffer.len();
                let Some(record) = self.stream.next(&mut buffer) else { break };
                waiting.push(Waiting { record, at });
            }
            // A call hands over records of one topic. What moves stock is for another one than the rest.
            for of_topic in waiting.chunk_by(|a, b| a.topic() == b.topic()) {
                self.hand_over(of_topic, &buffer, &mut memory, &mut sent, began);
            }
        }
        sent.took = began.elapsed();
        // That of this thread from its beginning, which is a sleep.
        sent.making_cpu = Threads::this().cpu();
        self.finish(&mut sent, began);
        sent.client_cpu = self.producer.threads().cpu().saturating_sub(client_cpu);
        self.progress.done.store(true, Relaxed);
        sent
    }

    fn wait_for_start(&self) {
        let Pace::WhenDue { clock, .. } = &self.pace else { return };
        let start = clock.instant(0);
        while !self.stop.load(Relaxed) {
            let wait = start.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            std::thread::sleep(wait.min(LONGEST_SLEEP));
        }
    }

    fn now_ns(&self, began: Instant) -> u64 {
        match &self.pace {
            Pace::WhenDue { clock, .. } => clock.now_ns(),
            Pace::FlatOut => began.elapsed().as_nanos() as u64,
        }
    }

    fn until_ns(&self) -> u64 {
        match &self.pace {
            Pace::WhenDue { until_ns, .. } => *until_ns,
            Pace::FlatOut => u64::MAX,
        }
    }

    /// Hands over records of one topic, at least one.
    fn hand_over(&self, waiting: &[Waiting], buffer: &[u8], memory: &mut BatchMemory, sent: &mut Sent, began: Instant) {
        let mut batch = memory.lend();
        let topic = waiting[0].topic();
        let pools = self.keys.list();
        for Waiting { record, at } in waiting {
            let key = pools[record.pool as usize].name.as_bytes();
            batch.push(record.partition, key, &buffer[*at..at + record.bytes]);
        }
        let mut waiting = waiting;
        let mut blocked_since = None;
        while batch.len() > 0 {
            let mut refused = Vec::new();
            let done = self.producer.handles.produce(topic, &mut batch, |place, reason| refused.push((place, reason)));
            let now_ns = self.now_ns(began);
            for Waiting { record, .. } in &waiting[..done] {
                sent.count(record, now_ns, matches!(self.pace, Pace::WhenDue { .. }));
            }
            for (place, reason) in refused {
                sent.refuse(&waiting[place].record, reason);
            }
            waiting = &waiting[done..];
            batch.skip(done);
            if batch.len() > 0 {
                blocked_since.get_or_insert(now_ns);
                if self.stop.load(Relaxed) || now_ns >= self.until_ns() {
                    waiting.iter().for_each(|waiting| sent.leave(&waiting.record));
                    break;
                }
                self.producer.handles.producer().poll(FULL_PAUSE);
                self.publish(sent, now_ns, waiting[0].record.due_ns);
            }
        }
        if let Some(since_ns) = blocked_since {
            sent.blocked_ns += self.now_ns(began) - since_ns;
        }
        memory.take_back(batch);
    }

    /// Counts what was due and not sent, waits for acknowledgements.
    fn finish(&mut self, sent: &mut Sent, began: Instant) {
        let mut scratch = Vec::new();
        // After an early stop that is what was due until then, otherwise all that was left.
        let ended_ns = match &self.pace {
            Pace::WhenDue { clock, .. } => clock.now_ns(),
            Pace::FlatOut => 0,
        };
        while self.stream.next_due_ns().is_some_and(|due_ns| due_ns <= ended_ns) {
            scratch.clear();
            let Some(record) = self.stream.next(&mut scratch) else { break };
            sent.leave(&record);
        }
        let deadline = Instant::now() + FLUSH_WITHIN;
        while self.producer.in_flight() > 0 && Instant::now() < deadline {
            self.producer.handles.producer().poll(LONGEST_SLEEP);
            self.publish(sent, self.now_ns(began), u64::MAX);
        }
        self.publish(sent, self.now_ns(began), u64::MAX);
        sent.orders = self.stream.placed();
        sent.undelivered_records = self.producer.in_flight();
        sent.failed += self.producer.undelivered.commands.load(Relaxed);
        sent.settle(self.producer.undelivered.reason.get());
        // What was an estimate until now.
        self.progress.asked.store(sent.sent + sent.unsent, Relaxed);
        self.progress.acknowledged.store(sent.acknowledged, Relaxed);
        self.progress.failed.store(sent.failed, Relaxed);
    }

    /// Tells everyone how far it is. `next_due_ns` is that of the first record that was not handed over.
    fn publish(&self, sent: &mut Sent, now_ns: u64, next_due_ns: u64) {
        let progress = &self.progress;
        let behind_ns = match &self.pace {
            Pace::WhenDue { .. } => now_ns.saturating_sub(next_due_ns),
            Pace::FlatOut => 0,
        };
        let mut asked = sent.sent + sent.unsent;
        if behind_ns > 0 {
            let second = |ns: u64| ns as f64 / SECOND_NS as f64;
            let orders = self.profile.asked_by(second(now_ns)) - self.profile.asked_by(second(next_due_ns));
            // What follows orders is behind with them.
            let per_order = sent.sent as f64 / (self.stream.placed().max(1)) as f64;
            asked += (orders * per_order.max(1.0)) as u64;
        }
        let per_record = sent.sent as f64 / sent.records.max(1) as f64;
        let in_flight = (self.producer.in_flight() as f64 * per_record) as u64;
        let failed = sent.failed + self.producer.undelivered.commands.load(Relaxed);
        progress.asked.fetch_max(asked, Relaxed);
        progress.sent.store(sent.sent, Relaxed);
        progress.acknowledged.fetch_max(sent.sent.saturating_sub(in_flight + failed), Relaxed);
        progress.failed.store(failed, Relaxed);
        progress.poison.store(sent.poison, Relaxed);
        progress.records.store(sent.records, Relaxed);
        progress.record_bytes.store(sent.record_bytes, Relaxed);
        progress.behind_ns.store(behind_ns, Relaxed);
        progress.worst_behind_ns.fetch_max(behind_ns.max(std::mem::take(&mut sent.worst_lag_ns)), Relaxed);
        progress.blocked_ns.store(sent.blocked_ns, Relaxed);
    }
}

impl Sent {
    fn new() -> Self {
        Self {
            orders: 0,
            sent: 0,
            unsent: 0,
            failed: 0,
            acknowledged: 0,
            poison: 0,
            records: 0,
            record_bytes: 0,
            undelivered_records: 0,
            blocked_ns: 0,
            took: Duration::ZERO,
            making_cpu: Duration::ZERO,
            client_cpu: Duration::ZERO,
            lag_us: Histogram::new(3).expect("a supported number of digits"),
            asked_by_second: Vec::new(),
            sent_by_second: Vec::new(),
            ends: [0; Kind::ALL.len()],
            trouble: None,
            worst_lag_ns: 0,
        }
    }

    #[inline]
    fn count(&mut self, record: &Record, now_ns: u64, paced: bool) {
        let commands = u64::from(record.commands);
        self.sent += commands;
        self.records += 1;
        self.record_bytes += record.bytes as u64;
        self.poison += u64::from(record.kind == Kind::Poison);
        self.ends[record.kind as usize] = record.end;
        if paced {
            let lag_ns = now_ns.saturating_sub(record.due_ns);
            self.worst_lag_ns = self.worst_lag_ns.max(lag_ns);
            // The histogram grows to what is recorded.
            let _ = self.lag_us.record_n(lag_ns / 1_000, commands.max(1));
            add(&mut self.asked_by_second, record.due_ns, commands);
        }
        add(&mut self.sent_by_second, now_ns, commands);
    }

    /// A record that the client would not take at all. It was counted as handed over.
    fn refuse(&mut self, record: &Record, reason: rdkafka::types::RDKafkaErrorCode) {
        self.failed += u64::from(record.commands);
        self.trouble.get_or_insert_with(|| format!("the client would not take a record: {reason}"));
    }

    /// A record that was due and not handed over.
    fn leave(&mut self, record: &Record) {
        self.unsent += u64::from(record.commands);
        add(&mut self.asked_by_second, record.due_ns, u64::from(record.commands));
    }

    fn settle(&mut self, reason: Option<&String>) {
        if let Some(reason) = reason {
            self.trouble.get_or_insert_with(|| format!("a record was not delivered: {reason}"));
        }
        if self.undelivered_records > 0 {
            let records = self.undelivered_records;
            self.trouble.get_or_insert_with(|| format!("{records} records were still not acknowledged at the end"));
            let per_record = self.sent as f64 / self.records.max(1) as f64;
            self.failed += (records as f64 * per_record) as u64;
        }
        self.acknowledged = self.sent.saturating_sub(self.failed);
    }
}

#[inline]
fn add(seconds: &mut Vec<u64>, at_ns: u64, commands: u64) {
    let second = (at_ns / SECOND_NS) as usize;
    if second >= seconds.len() {
        seconds.resize(second + 1, 0);
    }
    seconds[second] += commands;
}
