//! What may go wrong, and how a test or a scheduler says so.
//!
//! Every call of a node on the cluster is put to the fault source first: to the one-shots given with
//! [`Cluster::inject`](super::Cluster::inject), then to the [`Faults`] given with
//! [`Cluster::set_faults`](super::Cluster::set_faults). What lasts (a node cut off, a partition without leader, a full
//! disk) is a state of the cluster instead.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A call that can be struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// `Broker::topics`.
    Topics,
    /// `Inputs::poll`.
    Poll,
    /// `Inputs::ask_ends`.
    AskEnds,
    /// `Inputs::tick`.
    Tick,
    /// `LogWriter::init`.
    Init,
    /// `LogWriter::begin`.
    Begin,
    /// `LogWriter::send`.
    Send,
    /// `LogWriter::commit`.
    Commit,
    /// `LogReader::read`.
    Read,
}

/// What happens to a call instead of what should.
///
/// | | `Refuse` | `LoseAnswer` | `Lose` | others |
/// |---|---|---|---|---|
/// | topics | fault | - | - | |
/// | poll, read | fault | - | finds nothing | |
/// | ask_ends | - | - | no answer ever comes | |
/// | tick | fault | - | returns well, nothing is published | |
/// | init | fault, nothing done | fault, although done | - | `Late` |
/// | begin | fault | - | - | |
/// | send | fault, not written | written, never acknowledged | not written, never acknowledged | |
/// | commit | fault, still open | fault, although committed | - | `Prepare`, `SlowMarkers`, `Late`, `Suspect`, `Stray` |
///
/// A fault is [`Transient`](crate::broker::Fault::Transient). A record never acknowledged makes the commit fail, and
/// leaves the transaction open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// It fails and had no effect.
    Refuse,
    /// It fails although it had its effect.
    LoseAnswer,
    /// It gets lost on its way; the caller isn't told.
    Lose,
    /// The coordinator accepts the commit and writes no marker: prepared until the next init, or
    /// [`Cluster::complete`](super::Cluster::complete).
    Prepare,
    /// It succeeds, and the markers follow only when this producer's next transaction, or init, or
    /// [`Cluster::complete`](super::Cluster::complete) wants them: until then readers don't see it.
    SlowMarkers,
    /// It fails with a time-out, and the request arrives after that many further calls on the cluster. A commit then
    /// does nothing if its producer has been fenced; an init fences whoever is there.
    Late {
        /// Calls, of any node.
        calls: u32,
    },
    /// It succeeds after trouble on the way: reported as suspicious, no harm done.
    Suspect,
    /// It succeeds after trouble on the way, and a duplicate of the request strikes this producer's next transaction
    /// once that has written some records: ends what has been written so far, as there was no KIP-890.
    Stray {
        /// Records written before it strikes; at least one.
        after_records: u32,
        /// Whether it commits or aborts.
        commit: bool,
    },
}

impl Call {
    /// Every call.
    pub const ALL: [Call; 9] = [
        Call::Topics,
        Call::Poll,
        Call::AskEnds,
        Call::Tick,
        Call::Init,
        Call::Begin,
        Call::Send,
        Call::Commit,
        Call::Read,
    ];

    /// Whether this trouble can befall this call; to decide for another is a bug and asserted.
    pub fn can_meet(self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Refuse => self != Call::AskEnds,
            Trouble::LoseAnswer => matches!(self, Call::Init | Call::Send | Call::Commit),
            Trouble::Lose => matches!(self, Call::Poll | Call::Read | Call::AskEnds | Call::Tick | Call::Send),
            Trouble::Late { .. } => matches!(self, Call::Init | Call::Commit),
            Trouble::Prepare | Trouble::SlowMarkers | Trouble::Suspect | Trouble::Stray { .. } => self == Call::Commit,
        }
    }
}

/// A call about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// The node that calls, numbered in the order of [`Cluster::node`](super::Cluster::node).
    pub node: u32,
    /// For which shard, or which lane where it is a call on the log; none for [`Call::Topics`].
    pub shard: Option<u32>,
    /// What it calls.
    pub call: Call,
}

/// Decides what befalls each call. Asked in the order of the calls, so a seeded one makes a run repeatable.
pub trait Faults: Send {
    /// What befalls this call; nothing if `None`. What it gives must pass [`Call::can_meet`].
    fn strike(&mut self, site: Site) -> Option<Trouble>;
}

impl<F: FnMut(Site) -> Option<Trouble> + Send> Faults for F {
    fn strike(&mut self, site: Site) -> Option<Trouble> {
        self(site)
    }
}

/// How often calls are struck, each in 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Topics, polls, reads, ends and ticks. Trouble with one of them goes on for a few calls more.
    pub reading: u32,
    /// Init.
    pub init: u32,
    /// Begin and send.
    pub sending: u32,
    /// Commit.
    pub commit: u32,
}

impl Rates {
    /// Nothing goes wrong.
    pub const NONE: Rates = Rates { reading: 0, init: 0, sending: 0, commit: 0 };
    /// Enough of everything for a short run to meet most of it.
    pub const ROUGH: Rates = Rates { reading: 20, init: 100, sending: 10, commit: 100 };
}

/// The longest that trouble with reading goes on once begun, in calls on the same [`Site`].
pub const LONGEST_STREAK_CALLS: u32 = 8;

/// The latest that [`FaultPlan`] lets a late commit or init arrive, in calls on the cluster: long enough to cross a
/// takeover.
pub const LATEST_CALLS: u32 = 64;

/// Faults drawn from a seed.
#[derive(Debug)]
pub struct FaultPlan {
    draw: SmallRng,
    rates: Rates,
    streaks: std::collections::HashMap<Site, (Trouble, u32)>,
}

impl FaultPlan {
    /// A plan that strikes at these rates; the same seed and calls give the same faults.
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self { draw: SmallRng::seed_from_u64(seed), rates, streaks: std::collections::HashMap::new() }
    }

    fn any(&mut self, troubles: &[Trouble]) -> Trouble {
        troubles[self.draw.random_range(0..troubles.len())]
    }

    fn trouble_with_commit(&mut self) -> Trouble {
        let calls = self.draw.random_range(0..=LATEST_CALLS);
        let stray = Trouble::Stray { after_records: self.draw.random_range(1..=4), commit: self.draw.random() };
        self.any(&[
            Trouble::Refuse,
            Trouble::LoseAnswer,
            Trouble::Prepare,
            Trouble::SlowMarkers,
            Trouble::Late { calls },
            Trouble::Suspect,
            stray,
        ])
    }
}

impl Faults for FaultPlan {
    fn strike(&mut self, site: Site) -> Option<Trouble> {
        if let Some((trouble, left)) = self.streaks.get_mut(&site) {
            let trouble = *trouble;
            *left -= 1;
            if *left == 0 {
                self.streaks.remove(&site);
            }
            return Some(trouble);
        }
        let rate = match site.call {
            Call::Topics | Call::Poll | Call::AskEnds | Call::Tick | Call::Read => self.rates.reading,
            Call::Init => self.rates.init,
            Call::Begin | Call::Send => self.rates.sending,
            Call::Commit => self.rates.commit,
        };
        if self.draw.random_range(0..1000) >= rate {
            return None;
        }
        let trouble = match site.call {
            Call::Topics | Call::Begin => Trouble::Refuse,
            Call::Poll | Call::Read | Call::Tick => self.any(&[Trouble::Refuse, Trouble::Lose]),
            Call::AskEnds => Trouble::Lose,
            Call::Init => {
                let calls = self.draw.random_range(0..=LATEST_CALLS);
                self.any(&[Trouble::Refuse, Trouble::LoseAnswer, Trouble::Late { calls }])
            }
            Call::Send => self.any(&[Trouble::Refuse, Trouble::LoseAnswer, Trouble::Lose]),
            Call::Commit => self.trouble_with_commit(),
        };
        if matches!(site.call, Call::Topics | Call::Poll | Call::AskEnds | Call::Tick | Call::Read) {
            let more = self.draw.random_range(0..LONGEST_STREAK_CALLS);
            if more > 0 {
                self.streaks.insert(site, (trouble, more));
            }
        }
        Some(trouble)
    }
}
