//! Two owners of one shard, stepped in any order, with any trouble.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::driver::Step;
use super::super::lost::Why;
use super::world::*;
use crate::broker::memory::{FaultPlan, Rates, Topic};
use crate::wire::link::LinkHash;

/// How many runs; each takes a few ms.
const SEEDS: u64 = 300;
/// Steps of a run while troubles last.
const STEPS: u32 = 600;

/// One of the two, and what it was told.
struct Player {
    owner: Owner,
    held: bool,
    /// Links that it was told are in the log.
    told: Vec<LinkHash>,
    /// Companions of the batches that it was told are in the log.
    companions: Vec<u32>,
    lost: u32,
}

impl Player {
    fn play(&mut self, rng: &mut StdRng, handing: bool) {
        if !self.held {
            self.owner.driver.take(Orders::default());
            self.held = true;
        }
        match self.owner.step() {
            Step::Idle if handing => {
                let links = rng.random_range(1..4);
                let batch = self.owner.batch(links);
                self.owner.driver.hand(batch);
            }
            Step::Again | Step::Pause { .. } | Step::Idle | Step::Taken(_) => {}
            Step::Committed(batch) => {
                self.told.extend(hashes(&batch));
                self.companions.push(self.owner.made());
            }
            Step::Lost(lost) => {
                assert_ne!(lost.why, Why::TailMissing, "offsets were foretold wrongly");
                self.held = false;
                self.lost += 1;
            }
            Step::Stopped(_) => self.held = false,
            Step::Refused(refusal) => panic!("a good log was refused: {refusal}"),
        }
    }
}

#[test]
fn what_an_owner_was_told_is_in_the_log_once_whatever_befalls_two_of_them() {
    let (mut committed, mut lost, mut retakes, mut resent) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let cluster = cluster();
        let rates = if seed % 3 == 0 { Rates { commit: 300, sending: 40, ..Rates::ROUGH } } else { Rates::ROUGH };
        cluster.set_faults(FaultPlan::new(seed, rates));
        let mut players = ["a", "b"].map(|name| Player {
            owner: Owner::new(&cluster, name, rng.random()),
            held: false,
            told: Vec::new(),
            companions: Vec::new(),
            lost: 0,
        });
        let mut turn = 0;
        for _ in 0..STEPS {
            // Runs of one owner's steps: were they to alternate, neither would ever get a batch through.
            if rng.random_bool(0.02) {
                turn = 1 - turn;
            }
            let player = &mut players[turn];
            if rng.random_bool(0.003) {
                player.owner.driver.unassign(player.owner.now.steady_ms + rng.random_range(0..2_000));
            }
            if rng.random_bool(0.002) {
                cluster.time_out(SHARD);
            }
            if rng.random_bool(0.002) {
                cluster.forget(SHARD);
            }
            player.play(&mut rng, true);
        }
        cluster.clear_faults();
        // Whoever comes after finds a good log, with whatever was still under way settled.
        let replayed = Owner::new(&cluster, "c", seed).take();

        let log = links(&cluster);
        assert_eq!(replayed.len(), log.len(), "seed {seed}");
        let replies = values(&cluster, Topic::Replies);
        for player in &players {
            for hash in &player.told {
                assert!(log.contains(hash), "seed {seed}: an owner was told that {hash} is in the log");
            }
            for made in &player.companions {
                let reply = format!("reply {}-{made}", player.owner.name()).into_bytes();
                assert!(replies.contains(&reply), "seed {seed}: {reply:?} is lost");
            }
            committed += player.told.len();
            lost += player.lost;
            retakes += player.owner.driver.counts().retakes;
            resent += player.owner.driver.counts().resent;
        }
    }
    // The runs must be rough enough to mean something, and not so rough that nothing gets done.
    assert!(committed > 2_000 && lost > 200 && retakes > 500 && resent > 200, "{committed} {lost} {retakes} {resent}");
}
