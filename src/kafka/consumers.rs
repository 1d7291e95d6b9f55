//! The consumers of a lane's inputs: one of each kind at the most, made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;

use super::clients;
use super::context::Context;
use super::fault::fault;
use super::ffi::Owner;
use super::graveyard::Buried;
use super::kinds::Kind;
use super::settings::Settings;
use crate::broker::Fault;

pub(super) struct Consumers {
    settings: Settings,
    shards: usize,
    made: [Option<Arc<Buried<BaseConsumer<Context>>>>; Kind::ALL.len()],
}

impl Consumers {
    /// For the inputs of so many shards.
    pub(super) fn new(settings: Settings, shards: usize) -> Self {
        Self { settings, shards, made: Default::default() }
    }

    /// That of a kind.
    pub(super) fn get(&mut self, kind: Kind) -> Result<Owner, Fault> {
        let made = &mut self.made[kind as usize];
        if let Some(consumer) = made {
            return Ok(Arc::clone(consumer) as Owner);
        }
        let consumer = clients::inputs(&self.settings, self.shards, kind).create_with_context(Context::default());
        let consumer = consumer.map_err(|error| fault(&error, "make a consumer for the inputs"))?;
        Ok(Arc::clone(made.insert(Arc::new(Buried::new(consumer)))) as Owner)
    }

    /// Lets go of that of a kind; it ends with whatever was taken from it.
    pub(super) fn drop(&mut self, kind: Kind) {
        self.made[kind as usize] = None;
    }

    /// Handles the events of the clients themselves.
    pub(super) fn serve(&self) {
        for consumer in self.made.iter().flatten() {
            let _ = consumer.poll(Duration::ZERO);
        }
    }
}
