//! Faults drawn from a seed.

use std::collections::HashSet;
use std::mem::discriminant;

use super::super::{Call, FaultPlan, Faults, LONGEST_STREAK_CALLS, Rates, Site, Trouble};

fn drawn(seed: u64, rates: Rates) -> Vec<(Call, Option<Trouble>)> {
    let mut plan = FaultPlan::new(seed, rates);
    let calls = Call::ALL.into_iter().cycle().take(20_000);
    calls.map(|call| (call, plan.strike(Site { node: 0, shard: Some(0), call }))).collect()
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    assert_eq!(drawn(1, Rates::ROUGH), drawn(1, Rates::ROUGH));
    assert_ne!(drawn(1, Rates::ROUGH), drawn(2, Rates::ROUGH));
}

#[test]
fn nothing_goes_wrong_at_rate_none() {
    assert!(drawn(1, Rates::NONE).iter().all(|(_, trouble)| trouble.is_none()));
}

#[test]
fn every_call_meets_all_that_it_can_and_nothing_else() {
    let met: HashSet<_> = drawn(1, Rates::ROUGH).into_iter().filter_map(|(call, t)| Some((call, t?))).collect();
    assert!(met.iter().all(|&(call, trouble)| call.can_meet(trouble)));
    let kinds: HashSet<_> = met.iter().map(|&(call, trouble)| (call, discriminant(&trouble))).collect();
    let all = [
        Trouble::Refuse,
        Trouble::LoseAnswer,
        Trouble::Lose,
        Trouble::Prepare,
        Trouble::SlowMarkers,
        Trouble::Late { calls: 0 },
        Trouble::Suspect,
        Trouble::Stray { after_records: 1, commit: true },
    ];
    for call in Call::ALL {
        for trouble in all {
            assert_eq!(kinds.contains(&(call, discriminant(&trouble))), call.can_meet(trouble), "{call:?} {trouble:?}");
        }
    }
}

#[test]
fn trouble_with_reading_goes_on_and_ends() {
    let mut plan = FaultPlan::new(3, Rates { reading: 10, ..Rates::NONE });
    let site = Site { node: 0, shard: Some(0), call: Call::Poll };
    let struck: Vec<bool> = (0..20_000).map(|_| plan.strike(site).is_some()).collect();
    let streaks: Vec<usize> = struck.chunk_by(|a, b| a == b).filter(|s| s[0]).map(<[bool]>::len).collect();
    assert!(streaks.iter().any(|&calls| calls > 1));
    // Two may follow each other without a pause, and now and then three.
    assert!(streaks.iter().all(|&calls| calls <= 3 * LONGEST_STREAK_CALLS as usize), "{streaks:?}");
}
