//! The inputs of a lane's shards.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::faults::{Call, Site, Trouble};
use super::partition::{Cursor, Message, Stored};
use super::state::{Shared, State, Topic, struck};
use crate::broker::{Ends, Fault, Header, Inputs, Position, ReadFrom, Record, Records, Wake};
use crate::wire::proto::{Input, StockCommand, StockCommands, Tick, stock_command};

/// See [`Inputs`]. Ends are taken at the moment in which they are asked for.
pub struct MemoryInputs {
    shared: Shared,
    node: u32,
    shards: Vec<Pair>,
}

/// Both inputs of a shard.
struct Pair {
    shard: u32,
    orders: Cursor,
    stock: Cursor,
    answer: Option<Ends>,
    /// What each input failed with, and fails with until it is opened anew.
    failed: [Option<Fault>; 2],
}

impl Pair {
    fn new(shard: u32, orders: Position, stock: Position) -> Self {
        Self { shard, orders: Cursor::at(orders), stock: Cursor::at(stock), answer: None, failed: [None, None] }
    }

    fn call(&self, state: &mut State, node: u32, call: Call) -> Option<Trouble> {
        state.call(Site { node, shard: Some(self.shard), call })
    }

    fn fetch(
        &mut self,
        state: &mut State,
        node: u32,
        input: Input,
        most: usize,
    ) -> Result<Option<MemoryRecords>, Fault> {
        let at = (Topic::of(input), self.shard);
        match self.call(state, node, Call::Poll) {
            Some(Trouble::Refuse) => return Err(struck(Call::Poll, at.0.name())),
            Some(_) => return Ok(None),
            None if state.is_cut_off(node) => return Ok(None),
            None => {}
        }
        let cursor = if input == Input::Orders { &mut self.orders } else { &mut self.stock };
        let mut found = Vec::new();
        state.fetch(at, cursor, most, |stored| found.push(stored.clone()))?;
        Ok((!found.is_empty()).then_some(MemoryRecords(found)))
    }
}

impl MemoryInputs {
    pub(super) fn new(shared: Shared, node: u32, from: &[ReadFrom]) -> Self {
        let shards = from.iter().map(|from| Pair::new(from.shard, from.orders, from.stock)).collect();
        Self { shared, node, shards }
    }
}

impl Inputs for MemoryInputs {
    type Records = MemoryRecords;

    fn poll(&mut self, at: usize, input: Input, most: usize) -> Result<Option<MemoryRecords>, Fault> {
        let pair = &mut self.shards[at];
        let place = usize::from(input == Input::Stock);
        if let Some(fault) = &pair.failed[place] {
            return Err(fault.clone());
        }
        let fetched = pair.fetch(&mut self.shared.lock(), self.node, input, most);
        fetched.inspect_err(|fault| pair.failed[place] = Some(fault.clone()))
    }

    fn position(&self, at: usize, input: Input) -> i64 {
        let pair = &self.shards[at];
        if Topic::of(input) == Topic::Orders { pair.orders.position } else { pair.stock.position }
    }

    fn reopen(&mut self, at: usize, orders: Position, stock: Position) -> Result<(), Fault> {
        let pair = &mut self.shards[at];
        *pair = Pair::new(pair.shard, orders, stock);
        Ok(())
    }

    fn wait(&mut self, _timeout: Duration) {}

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NothingWaits)
    }

    fn ask_ends(&mut self, at: usize, ticket: u64) {
        let pair = &mut self.shards[at];
        pair.answer = None;
        let mut state = self.shared.lock();
        if pair.call(&mut state, self.node, Call::AskEnds).is_some() || state.is_cut_off(self.node) {
            return;
        }
        let orders = state.end((Topic::Orders, pair.shard));
        let stock = state.end((Topic::Stock, pair.shard));
        if let (Ok(orders), Ok(stock)) = (orders, stock) {
            pair.answer = Some(Ends { ticket, orders, stock });
        }
    }

    fn ends(&mut self) -> Option<(usize, Ends)> {
        self.shards.iter_mut().enumerate().find_map(|(at, pair)| Some((at, pair.answer.take()?)))
    }

    fn tick(&mut self, at: usize) -> Result<(), Fault> {
        let pair = &self.shards[at];
        let mut state = self.shared.lock();
        match pair.call(&mut state, self.node, Call::Tick) {
            Some(Trouble::Refuse) => return Err(struck(Call::Tick, Topic::Stock.name())),
            Some(_) => return Ok(()),
            None if state.is_cut_off(self.node) => return Ok(()),
            None => {}
        }
        let tick = stock_command::Kind::Tick(Tick { shard: pair.shard });
        let command = StockCommand { kind: Some(tick), ..StockCommand::default() };
        let value = StockCommands { commands: vec![command] }.encode_to_vec();
        // Whoever publishes a Tick doesn't wait for it: what the partition says about it is never heard.
        let _ = state.append((Topic::Stock, pair.shard), None, Message::value(value));
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
