//! The apply half: polls the inputs, applies what each shard's merge lets through, and hands a batch over as soon as the commit
//! half has nothing to do.

use std::sync::Arc;
use std::time::Duration;

use super::Step;
use super::exchange::{ApplyFault, Exchange, ShardStart, Start, Stop};
use super::life::{Common, Life};
use super::settings::{FETCH_RETRY_MS, LONGEST_WAIT};
use super::site::LaneSite;
use super::status::LaneStatus;
use crate::broker::{Broker, Fault, Inputs};
use crate::log::step::Now;

/// The apply half of one lane.
pub struct ApplyHalf<B: Broker> {
    common: Common<B>,
    life: Option<Life<B::Inputs>>,
    /// A recovered lane whose inputs could not be opened yet, and when to try again.
    opening: Option<(Start, u64)>,
}

impl<B: Broker> ApplyHalf<B> {
    /// A half that waits for a recovered lane.
    pub fn new(site: LaneSite<B>, exchange: Arc<Exchange>, status: Arc<LaneStatus>) -> Self {
        ApplyHalf { common: Common { site, exchange, status }, life: None, opening: None }
    }

    /// Does what there is to do now. Never waits.
    pub fn step(&mut self, now: Now) -> Step {
        let stop = self.common.exchange.stopping();
        let present = self.common.exchange.life();
        if stop == Stop::AtOnce || self.life.as_ref().is_some_and(|life| life.number() != present) {
            self.end_life();
        }
        if stop == Stop::AtOnce {
            return Step::Ended;
        }
        if self.life.is_none() {
            if stop == Stop::Graceful {
                self.common.exchange.set_drained();
                return Step::Ended;
            }
            return match self.begin_life(now) {
                Ok(step) => step,
                Err((life, fault)) => {
                    self.common.exchange.report(life, fault);
                    Step::Wait(LONGEST_WAIT)
                }
            };
        }
        let life = self.life.as_mut().expect("it was seen above");
        if stop == Stop::Graceful {
            let step = life.drain(&self.common, now);
            if step == Step::Ended {
                self.common.exchange.set_drained();
                self.end_life();
            }
            return step;
        }
        match life.step(&self.common, now) {
            Ok(step) => step,
            Err(fault) => {
                self.common.exchange.report(life.number(), fault);
                self.end_life();
                Step::Wait(LONGEST_WAIT)
            }
        }
    }

    /// Sleeps until something may be there, `most` at the most. Only for a half with a thread of its own.
    pub fn wait(&mut self, most: Duration) {
        match &mut self.life {
            Some(life) => life.wait(most),
            None => std::thread::park_timeout(most),
        }
    }

    fn end_life(&mut self) {
        self.opening = None;
        if let Some(life) = self.life.take() {
            self.common.exchange.apply_bell.wakes(None);
            self.common.exchange.give_back(life.into_work());
        }
    }

    fn begin_life(&mut self, now: Now) -> Result<Step, (u64, ApplyFault)> {
        let common = &self.common;
        if let Some(start) = common.exchange.take_start() {
            self.opening = Some((start, now.steady_ms));
        }
        let Some((start, at_ms)) = self.opening.take_if(|(start, _)| start.life == common.exchange.life()) else {
            self.opening = None;
            return Ok(Step::Wait(LONGEST_WAIT));
        };
        if now.steady_ms < at_ms {
            self.opening = Some((start, at_ms));
            return Ok(Step::Wait(Duration::from_millis(at_ms - now.steady_ms)));
        }
        let from: Vec<_> = start.shards.iter().map(ShardStart::from).collect();
        let inputs = match common.site.broker.inputs(&from) {
            Ok(inputs) => inputs,
            Err(fault @ (Fault::Transient(_) | Fault::Fenced(_))) => {
                common.status.set_reason_in(start.life, Some(fault.to_string()));
                self.opening = Some((start, now.steady_ms + FETCH_RETRY_MS));
                return Ok(Step::Wait(Duration::from_millis(FETCH_RETRY_MS)));
            }
            Err(fault) => return Err((start.life, ApplyFault::Inputs(fault))),
        };
        let Some(work) = common.exchange.take_empty() else {
            // The commit half still holds a batch of the life before.
            self.opening = Some((start, now.steady_ms + 1));
            return Ok(Step::Wait(Duration::from_millis(1)));
        };
        common.exchange.apply_bell.wakes(Some(inputs.waker()));
        common.status.set_reason_in(start.life, None);
        self.life = Some(Life::new(common, start.life, start.shards, inputs, work, now));
        Ok(Step::Again)
    }
}
