//! The two inputs of a shard.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::faults::{Call, Site, Trouble};
use super::partition::{Cursor, Message, Stored};
use super::state::{Shared, State, Topic, struck};
use crate::broker::{Ends, Fault, Header, Inputs, Position, Record, Records, Wake};
use crate::wire::proto::{Input, StockCommand, StockCommands, Tick, stock_command};

/// See [`Inputs`]. Ends are taken at the moment in which they are asked for.
pub struct MemoryInputs {
    shared: Shared,
    node: u32,
    shard: u32,
    orders: Cursor,
    stock: Cursor,
    answer: Option<Ends>,
    /// What each input failed with, and fails with ever after.
    failed: [Option<Fault>; 2],
}

impl MemoryInputs {
    pub(super) fn new(shared: Shared, node: u32, shard: u32, orders_from: Position, stock_from: Position) -> Self {
        let (orders, stock) = (Cursor::at(orders_from), Cursor::at(stock_from));
        Self { shared, node, shard, orders, stock, answer: None, failed: [None, None] }
    }

    fn call(&self, state: &mut State, call: Call) -> Option<Trouble> {
        state.call(Site { node: self.node, shard: Some(self.shard), call })
    }

    fn fetch(&mut self, input: Input, most: usize) -> Result<Option<MemoryRecords>, Fault> {
        let at = (Topic::of(input), self.shard);
        let mut state = self.shared.lock();
        match self.call(&mut state, Call::Poll) {
            Some(Trouble::Refuse) => return Err(struck(Call::Poll, at.0.name())),
            Some(_) => return Ok(None),
            None if state.is_cut_off(self.node) => return Ok(None),
            None => {}
        }
        let cursor = if input == Input::Orders { &mut self.orders } else { &mut self.stock };
        let mut found = Vec::new();
        state.fetch(at, cursor, most, |stored| found.push(stored.clone()))?;
        Ok((!found.is_empty()).then_some(MemoryRecords(found)))
    }
}

impl Inputs for MemoryInputs {
    type Records = MemoryRecords;

    fn poll(&mut self, input: Input, most: usize) -> Result<Option<MemoryRecords>, Fault> {
        let place = usize::from(input == Input::Stock);
        if let Some(fault) = &self.failed[place] {
            return Err(fault.clone());
        }
        self.fetch(input, most).inspect_err(|fault| self.failed[place] = Some(fault.clone()))
    }

    fn position(&self, input: Input) -> i64 {
        if Topic::of(input) == Topic::Orders { self.orders.position } else { self.stock.position }
    }

    fn wait(&mut self, _timeout: Duration) {}

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NothingWaits)
    }

    fn ask_ends(&mut self, ticket: u64) {
        self.answer = None;
        let mut state = self.shared.lock();
        if self.call(&mut state, Call::AskEnds).is_some() || state.is_cut_off(self.node) {
            return;
        }
        let orders = state.end((Topic::Orders, self.shard));
        let stock = state.end((Topic::Stock, self.shard));
        if let (Ok(orders), Ok(stock)) = (orders, stock) {
            self.answer = Some(Ends { ticket, orders, stock });
        }
    }

    fn ends(&mut self) -> Option<Ends> {
        self.answer.take()
    }

    fn tick(&mut self) -> Result<(), Fault> {
        let mut state = self.shared.lock();
        match self.call(&mut state, Call::Tick) {
            Some(Trouble::Refuse) => return Err(struck(Call::Tick, Topic::Stock.name())),
            Some(_) => return Ok(()),
            None if state.is_cut_off(self.node) => return Ok(()),
            None => {}
        }
        let tick = stock_command::Kind::Tick(Tick { shard: self.shard });
        let command = StockCommand { kind: Some(tick), ..StockCommand::default() };
        let value = StockCommands { commands: vec![command] }.encode_to_vec();
        // Whoever publishes a Tick doesn't wait for it: what the partition says about it is never heard.
        let _ = state.append((Topic::Stock, self.shard), None, Message::value(value));
        Ok(())
    }
}

struct NothingWaits;

impl Wake for NothingWaits {
    fn wake(&self) {}
}

/// See [`Records`].
pub struct MemoryRecords(Vec<Stored>);

impl Records for MemoryRecords {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        let Stored { offset, timestamp_ms, timestamp_kind, leader_epoch, message } = &self.0[i];
        Record {
            offset: *offset,
            timestamp_ms: *timestamp_ms,
            timestamp_kind: *timestamp_kind,
            leader_epoch: *leader_epoch,
            key: message.key.as_deref(),
            value: message.value.as_deref(),
        }
    }

    fn headers(&self, i: usize) -> Vec<Header> {
        self.0[i].message.headers.clone()
    }
}
