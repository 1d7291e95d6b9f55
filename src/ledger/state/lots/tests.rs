//! The lots of a row against a plain list that is sorted whenever somebody asks.

use proptest::prelude::*;

use super::*;

/// What a lot is, without any order.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    name: String,
    number: u16,
    expiry: u32,
    on_hand: i64,
    reserved: i64,
    committed: i64,
    halted: bool,
}

impl Plain {
    fn free(&self) -> i64 {
        (self.on_hand - self.reserved - self.committed).max(0)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Make {
        name: u8,
        day: u8,
    },
    Receive {
        which: usize,
        units: i64,
    },
    Halt {
        which: usize,
        halted: bool,
    },
    Take {
        day: u8,
        units: u32,
        hold: bool,
    },
    /// The last taken comes back, or leaves.
    Release {
        leaves: bool,
    },
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..12, 0_u8..5).prop_map(|(name, day)| Step::Make { name, day }),
        3 => (0..8_usize, -3_i64..9).prop_map(|(which, units)| Step::Receive { which, units }),
        1 => (0..8_usize, any::<bool>()).prop_map(|(which, halted)| Step::Halt { which, halted }),
        4 => (0_u8..6, 1_u32..9, any::<bool>()).prop_map(|(day, units, hold)| Step::Take { day, units, hold }),
        2 => any::<bool>().prop_map(|leaves| Step::Release { leaves }),
        2 => Just(Step::Drop),
    ]
}

fn sorted(plain: &[Plain]) -> Vec<Plain> {
    let mut all = plain.to_vec();
    all.sort_by_key(|lot| (lot.expiry, lot.number));
    all
}

fn shown(lots: &Lots) -> Vec<Plain> {
    let one = |(lot, past): (&Lot, &Past)| Plain {
        name: past.name.to_string(),
        number: lot.number,
        expiry: past.expiry,
        on_hand: lot.on_hand,
        reserved: lot.reserved,
        committed: lot.committed,
        halted: lot.halted,
    };
    lots.lots.iter().zip(&lots.past).map(one).collect()
}

proptest! {
    #[test]
    fn lots_are_those_of_a_plain_list(steps in prop::collection::vec(step(), 0..80)) {
        let (mut lots, mut plain, mut taken) = (Lots::default(), Vec::<Plain>::new(), Vec::<Vec<LotUnits>>::new());
        for step in steps {
            match step {
                Step::Make { name, day } => {
                    let name = format!("lot-{name}");
                    let number = (1..).find(|number| plain.iter().all(|lot| lot.number != *number)).expect("a number");
                    prop_assert_eq!(lots.free_number(), number);
                    let known = plain.iter().find(|lot| lot.name == name);
                    prop_assert_eq!(lots.named((&*name).into()).map(|lot| lot.number), known.map(|lot| lot.number));
                    if known.is_none() {
                        lots.make(number, (&*name).into(), day.into(), day.into());
                        let (on_hand, reserved, committed, halted) = (0, 0, 0, false);
                        plain.push(Plain { name, number, expiry: day.into(), on_hand, reserved, committed, halted });
                    }
                }
                Step::Receive { which, units } => if let Some(lot) = plain.get_mut(which) {
                    lot.on_hand += units;
                    lots.change(lot.number, |lot| lot.on_hand += units);
                },
                Step::Halt { which, halted } => if let Some(lot) = plain.get_mut(which) {
                    lot.halted = halted;
                    lots.change(lot.number, |lot| lot.halted = halted);
                },
                Step::Take { day, units, hold } => {
                    let all = sorted(&plain);
                    let eligible = all.iter().filter(|lot| !lot.halted && lot.expiry >= day.into());
                    let sum: i64 = eligible.clone().map(Plain::free).sum();
                    prop_assert_eq!(lots.eligible(day.into(), i64::MAX), sum);
                    let is_enough = sum >= units.into();
                    prop_assert_eq!(lots.eligible(day.into(), units.into()) >= units.into(), is_enough);
                    if !is_enough {
                        continue;
                    }
                    let mut wanted = units;
                    let mut expected = Vec::new();
                    for lot in eligible {
                        let units = lot.free().min(wanted.into()) as u32;
                        if units > 0 {
                            expected.push(LotUnits { lot: lot.number.into(), units, shortfall: 0 });
                            wanted -= units;
                        }
                    }
                    let mut parts = Vec::new();
                    lots.take(day.into(), units, |of| parts.push(of));
                    prop_assert_eq!(&parts, &expected);
                    for of in &parts {
                        let lot = plain.iter_mut().find(|lot| u32::from(lot.number) == of.lot).expect("it was taken from");
                        lot.reserved += i64::from(of.units);
                    }
                    if hold {
                        taken.push(parts);
                    } else {
                        lots.put_back(parts.iter().copied());
                        for of in parts {
                            let lot = plain.iter_mut().find(|lot| u32::from(lot.number) == of.lot);
                            lot.expect("it is there").reserved -= i64::from(of.units);
                        }
                    }
                }
                Step::Release { leaves } => for of in taken.pop().unwrap_or_default() {
                    let units = i64::from(of.units);
                    let lot = plain.iter_mut().find(|lot| u32::from(lot.number) == of.lot).expect("parts keep a lot");
                    lot.reserved -= units;
                    lot.on_hand -= if leaves { units } else { 0 };
                    let spent = (lot.on_hand, lot.reserved, lot.committed, lot.halted) == (0, 0, 0, false);
                    let told = lots.change(of.lot as u16, |lot| {
                        lot.reserved -= units;
                        lot.on_hand -= if leaves { units } else { 0 };
                    });
                    prop_assert_eq!(told, spent);
                },
                Step::Drop => {
                    let before = plain.len();
                    plain.retain(|lot| (lot.on_hand, lot.reserved, lot.committed, lot.halted) != (0, 0, 0, false));
                    prop_assert_eq!(lots.drop_spent().1, before - plain.len());
                }
            }
            prop_assert_eq!(shown(&lots), sorted(&plain));
            prop_assert_eq!(lots.is_empty(), plain.is_empty());
            for lot in &plain {
                prop_assert_eq!(lots.get(lot.number).map(|it| it.on_hand), Some(lot.on_hand));
                prop_assert_eq!(lots.expiry(lot.number), Some(lot.expiry));
            }
        }
    }
}

#[test]
fn a_row_has_numbers_for_as_many_lots_as_it_may_have() {
    let mut lots = Lots::default();
    for number in 1..=MAX_LOTS as u16 {
        assert!(!lots.is_full());
        assert_eq!(lots.free_number(), number);
        lots.make(number, (&*format!("lot-{number}")).into(), 1, 1);
    }
    assert!(lots.is_full());
    assert_eq!(lots.free_number(), MAX_LOTS as u16 + 1);
    lots.change(17, |lot| lot.on_hand = 0);
    lots.lots.iter_mut().filter(|lot| lot.number != 17).for_each(|lot| lot.on_hand = 1);
    assert_eq!(lots.drop_spent().1, 1);
    assert_eq!(lots.free_number(), 17);
}
