//! A slowdown of the engine's consumer, for the check to find: every record is hashed for nothing when it is polled.

use std::sync::Arc;
use std::time::Duration;

use sluice::broker::{Broker, Ends, Fault, Input, Inputs, Position, ReadFrom, Records, TopicFacts, Wake};
use sluice::kafka::KafkaBroker;

/// How often: two microseconds or so an order, alone in its record or one of many.
const ROUNDS: u64 = 200;

/// The real broker, with a consumer that wastes time.
pub(crate) struct Slow(pub(crate) KafkaBroker);

impl Broker for Slow {
    type Inputs = SlowInputs;
    type Writer = <KafkaBroker as Broker>::Writer;
    type Reader = <KafkaBroker as Broker>::Reader;

    fn topics(&self, timeout: Duration) -> Result<TopicFacts, Fault> {
        self.0.topics(timeout)
    }

    fn inputs(&self, from: &[ReadFrom]) -> Result<SlowInputs, Fault> {
        self.0.inputs(from).map(SlowInputs)
    }

    fn writer(&self, lane: u32) -> Result<Self::Writer, Fault> {
        self.0.writer(lane)
    }

    fn reader(&self, lane: u32, from_offset: i64) -> Result<Self::Reader, Fault> {
        self.0.reader(lane, from_offset)
    }

    fn log_end(&self, shard: u32, timeout: Duration) -> Option<i64> {
        self.0.log_end(shard, timeout)
    }
}

/// Inputs that waste time with each record.
pub(crate) struct SlowInputs(<KafkaBroker as Broker>::Inputs);

impl Inputs for SlowInputs {
    type Records = <<KafkaBroker as Broker>::Inputs as Inputs>::Records;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<Self::Records>, Fault> {
        let records = self.0.poll(at, input, most)?;
        if let Some(records) = &records {
            for value in (0..records.len()).filter_map(|i| records.get(i).value) {
                for round in 0..ROUNDS {
                    std::hint::black_box(xxhash_rust::xxh3::xxh3_64_with_seed(value, round));
                }
            }
        }
        Ok(records)
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        self.0.position(at, input)
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        self.0.reopen(at, orders, stock)
    }

    fn wait(&mut self, timeout: Duration) {
        self.0.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.0.waker()
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        self.0.ask_ends(at, ticket);
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        self.0.ends()
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        self.0.tick(at)
    }
}
