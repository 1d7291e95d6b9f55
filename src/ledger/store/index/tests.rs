//! The index against a map: what is in it is found, at every size that it passes through.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Few homes and few tags, so that buckets overflow and entries pass each other.
fn crowded(n: u32) -> Fingerprint {
    Fingerprint([(n % 5) << 29, n % 3, 7])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn finds_exactly_what_is_in_it(steps in prop::collection::vec((0u32..120, any::<bool>()), 1..600)) {
        let mut index = Index::new(0);
        let mut model: HashMap<u32, u32> = HashMap::new();
        for (n, insert) in steps {
            if insert && !model.contains_key(&n) {
                index.insert(crowded(n), n, crowded);
                model.insert(n, n);
            } else if !insert {
                prop_assert_eq!(index.remove(crowded(n), n), model.remove(&n).is_some());
            }
            for m in 0..120 {
                prop_assert_eq!(index.find(crowded(m), |position| position == m), model.get(&m).copied());
            }
        }
        for n in 0..120 {
            prop_assert_eq!(index.remove(crowded(n), n), model.contains_key(&n));
        }
        let left = index.parts.iter().flat_map(|part| &part.buckets).map(|b| u32::from(b.passed)).sum::<u32>();
        prop_assert_eq!(left, 0, "an empty table still sends lookups on");
    }
}

#[test]
fn shares_double_from_the_first_part_to_the_last() {
    let mut counts = vec![0usize; SUBTABLES];
    for u in 0..65_536u32 {
        counts[part_of(Fingerprint([0, 0, u << 16]))] += 1;
    }
    let eighth = SUBTABLES / 8;
    let first: usize = counts[..eighth].iter().sum();
    let last: usize = counts[SUBTABLES - eighth..].iter().sum();
    assert!(counts.iter().all(|n| *n > 0));
    assert!((1.6..2.1).contains(&(last as f64 / first as f64)), "{first} {last}");
}

/// What every entry of the model stands for is found, and nothing else is counted.
fn assert_same(index: &Index, model: &HashMap<[u32; 3], u32>, gone: &[[u32; 3]]) {
    for (fingerprint, position) in model {
        let found = index.find(Fingerprint(*fingerprint), |other| other == *position);
        assert_eq!(found, Some(*position));
    }
    for fingerprint in gone {
        let found = index.find(Fingerprint(*fingerprint), |other| model.get(fingerprint) == Some(&other));
        assert_eq!(found, None);
    }
    let entries: usize = index.parts.iter().map(|part| part.entries as usize).sum();
    assert_eq!(entries, model.len());
    assert!(index.parts.iter().all(|part| part.entries <= part.limit));
}

#[test]
fn grows_through_many_sizes_and_stays_what_it_is() {
    for (seed, expected) in [(1, 0), (2, 3_000), (3, 40_000), (4, 1_000_000)] {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut index = Index::new(expected);
        // Fingerprints by position; those that are in it, and some that were.
        let mut fingerprints: Vec<[u32; 3]> = Vec::new();
        let (mut model, mut known, mut gone) = (HashMap::new(), Vec::new(), Vec::new());
        let mut sizes = std::collections::BTreeSet::new();
        for step in 0..250_000 {
            let position = fingerprints.len() as u32;
            match rng.random_range(0..10) {
                0 if !known.is_empty() => {
                    let fingerprint = known.swap_remove(rng.random_range(0..known.len()));
                    let before = model.remove(&fingerprint).expect("it is known");
                    assert!(index.remove(Fingerprint(fingerprint), before));
                    assert!(!index.remove(Fingerprint(fingerprint), before));
                    gone.push(fingerprint);
                }
                1 if !known.is_empty() => {
                    let fingerprint = known[rng.random_range(0..known.len())];
                    fingerprints.push(fingerprint);
                    let before = model.insert(fingerprint, position).expect("it is known");
                    assert!(index.replace(Fingerprint(fingerprint), before, position));
                }
                _ => {
                    let fingerprint = rng.random();
                    fingerprints.push(fingerprint);
                    known.push(fingerprint);
                    index.insert(Fingerprint(fingerprint), position, |at| Fingerprint(fingerprints[at as usize]));
                    model.insert(fingerprint, position);
                }
            }
            if step % 25_000 == 0 {
                assert_same(&index, &model, &gone);
                sizes.extend(index.parts.iter().map(|part| part.buckets.len()));
            }
        }
        assert_same(&index, &model, &gone);
        assert!(sizes.len() >= 4, "{sizes:?}");
        for fingerprint in known {
            assert!(index.remove(Fingerprint(fingerprint), model[&fingerprint]));
        }
        assert!(index.parts.iter().all(|part| part.entries == 0));
        assert!(index.parts.iter().flat_map(|part| &part.buckets).all(|bucket| bucket.passed == 0));
    }
}

#[test]
fn what_is_expected_takes_nothing_before_it_comes_and_ends_at_its_size() {
    assert_eq!(Index::new(1 << 30).bytes(), Index::new(0).bytes());
    let expected = 300_000;
    let mut index = Index::new(expected);
    let mut rng = SmallRng::seed_from_u64(5);
    let fingerprints: Vec<[u32; 3]> = (0..expected).map(|_| rng.random()).collect();
    for (position, fingerprint) in fingerprints.iter().enumerate() {
        index.insert(Fingerprint(*fingerprint), position as u32, |at| Fingerprint(fingerprints[at as usize]));
    }
    let sizes = index.parts.iter().enumerate();
    let beyond = sizes.filter(|(number, part)| part.buckets.len() > buckets_for(expected, *number)).count();
    // By chance some parts have a tenth more entries than others.
    assert!(beyond < SUBTABLES / 8, "{beyond} parts had to grow beyond what was expected of them");
    let most = index.parts.iter().map(|part| part.buckets.len()).max();
    assert!(most <= buckets_for(expected, SUBTABLES - 1).checked_mul(2), "{most:?} buckets in one part");
}
