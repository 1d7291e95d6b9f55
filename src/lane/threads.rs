//! The threads of a lane: one for each half, which steps it until it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use crossbeam::channel::{Receiver, Sender, bounded};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::apply::ApplyHalf;
use super::commit::CommitHalf;
use super::exchange::{Exchange, Stop};
use super::panic::words;
use super::site::LaneSite;
use super::snapshot::Phase;
use super::status::{Half, LaneStatus};
use super::{Step, clock};
use crate::broker::Broker;

/// What a lane tells its node when it happens; everything else stands in [`LaneStatus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEvent {
    /// It has recovered and decides.
    Running {
        /// Which.
        lane: u32,
        /// How often it has changed owner.
        epoch: u64,
    },
    /// Another owner was here: it takes the lane again after a pause.
    Lost {
        /// Which.
        lane: u32,
        /// In words.
        reason: String,
    },
    /// It needs a person; it looks again after [`super::settings::FAILED_RETRY_MS`].
    Failed {
        /// Which.
        lane: u32,
        /// In words.
        reason: String,
    },
    /// One of its shards does not work, and the others do; it is tried again after
    /// [`super::settings::PARKED_RETRY_MS`].
    Parked {
        /// Which shard.
        shard: u32,
        /// In words.
        reason: String,
    },
    /// A bug in the engine ended it, and this lane only; nothing it decided is in doubt, because
    /// whoever takes the lane next begins with its log.
    Panicked {
        /// Which.
        lane: u32,
        /// The panic's words.
        reason: String,
    },
}

/// A lane at work, on two threads. Dropped, it is told to stop at once and nobody waits for it.
pub struct Lane {
    lane: u32,
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
    threads: Vec<JoinHandle<()>>,
    /// Closed once both threads have ended.
    ended: Receiver<()>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("lane", &self.lane).field("phase", &self.status.phase()).finish_non_exhaustive()
    }
}

/// How one half sleeps.
type Sleep<'a, H> = &'a mut dyn FnMut(&mut H, Duration);

impl Lane {
    /// Takes the lane and works on it until stopped. Returns at once; fails only if the system gives no threads.
    pub fn spawn<B: Broker>(site: LaneSite<B>) -> io::Result<Lane> {
        let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
        let (ending, ended) = bounded::<()>(0);
        let (lane, events, rng) = (site.lane, site.events.clone(), StdRng::from_os_rng());
        let mut apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
        let mut commit = CommitHalf::new(site, exchange.clone(), status.clone(), rng);
        let guard = Guard { lane, exchange: exchange.clone(), status: status.clone(), events, _ending: ending };
        let apply_guard = guard.clone();
        let apply = thread::Builder::new().name(format!("apply-{lane}")).spawn(move || {
            apply_guard.exchange.apply_bell.answers(thread::current());
            apply_guard.run(Half::Apply, &mut apply, ApplyHalf::step, &mut ApplyHalf::wait);
        })?;
        let commit = thread::Builder::new().name(format!("commit-{lane}")).spawn(move || {
            guard.exchange.commit_bell.answers(thread::current());
            guard.run(Half::Commit, &mut commit, CommitHalf::step, &mut |_, most| thread::park_timeout(most));
            guard.status.end();
        });
        let commit = commit.inspect_err(|_| exchange.stop(Stop::AtOnce))?;
        Ok(Lane { lane, exchange, status, threads: vec![apply, commit], ended })
    }

    /// Its partition of `decisions`.
    #[must_use]
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// What it tells about itself.
    #[must_use]
    pub fn status(&self) -> &Arc<LaneStatus> {
        &self.status
    }

    /// Asks it to take no more input, to commit what it has decided within `bound`, and to end. What meets a fault is
    /// left to the next owner. Returns at once; [`Lane::join`] waits for it.
    pub fn begin_stop(&self, bound: Duration) {
        let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        self.exchange.finish(super::clock::steady_ms().saturating_add(bound_ms));
    }

    /// The lane is somebody else's: asks it to end and leave everything as it is. Returns at once.
    pub fn discard(&self) {
        self.exchange.stop(Stop::AtOnce);
    }

    /// Whether both threads have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for both threads, `bound` at the most; past it, the lane is told to end at once and its threads are left
    /// to themselves, because a call into the Kafka client may hang. True if they ended in time.
    pub fn join(mut self, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        // Nothing is ever sent: the channel closes when the last thread drops its end.
        let in_time = self.ended.recv_deadline(until).is_err_and(|_| Instant::now() < until || self.has_ended());
        if in_time {
            for thread in self.threads.drain(..) {
                // A panic was caught in the thread and reported from there.
                drop(thread.join());
            }
        }
        in_time
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.exchange.stop(Stop::AtOnce);
    }
}

/// What each of the two threads holds while it runs.
#[derive(Clone)]
struct Guard {
    lane: u32,
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
    events: Sender<LaneEvent>,
    _ending: Sender<()>,
}

impl Guard {
    /// Steps a half until it ends. A panic is a bug: it ends this lane, both halves, and is told.
    fn run<H>(
        &self,
        which: Half,
        half: &mut H,
        step: impl Fn(&mut H, crate::log::step::Now) -> Step,
        sleep: Sleep<'_, H>,
    ) {
        let run = AssertUnwindSafe(|| {
            loop {
                let now = clock::now();
                self.status.stepped(which, now.steady_ms.max(1));
                match step(half, now) {
                    Step::Again => {}
                    Step::Wait(most) => sleep(half, most),
                    Step::Ended => return,
                }
            }
        });
        let ended = catch_unwind(run);
        self.status.stepped(which, 0);
        if let Err(panic) = ended {
            let reason = format!("a bug in the engine: {}", words(&*panic));
            self.status.set_phase(Phase::Failed, Some(reason.clone()));
            self.exchange.stop(Stop::AtOnce);
            drop(self.events.try_send(LaneEvent::Panicked { lane: self.lane, reason }));
        }
    }
}
