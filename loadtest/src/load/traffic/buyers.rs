//! Who places which order, and what customers are called.

use super::draw::{Share, below, mix};
use super::id::{read, write};
use super::plan::{OF_CONTENT, seed_of};
use crate::load::scenario::Traffic;

/// Tells the draws of pairs from those of orders.
const OF_PAIR: u64 = 0x4be9_96a5_0d21_c86f;

/// Tells the draws of segments from those of orders.
const OF_SEGMENT: u64 = 0x3ad7_51c9_b20e_64f5;

/// Digits of a customer's number.
const CUSTOMER_DIGITS: usize = 6;
/// Length of the name of every customer.
pub(super) const CUSTOMER_BYTES: usize = 1 + CUSTOMER_DIGITS;
/// Customers that have a number.
pub(crate) const MAX_CUSTOMERS: u32 = 1 << (5 * CUSTOMER_DIGITS);

/// How a name begins.
const LETTER: u8 = b'c';

/// The customers of a run, of all its generators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buyers {
    run_seed: u64,
    customers: u32,
    pairs: Share,
    segments: u32,
    unsegmented: Share,
}

impl Buyers {
    pub(super) fn new(traffic: &Traffic, run_seed: u64) -> Self {
        Self {
            run_seed,
            customers: traffic.customers,
            pairs: Share::new(traffic.pairs),
            segments: traffic.segments.len() as u32,
            unsegmented: Share::new(traffic.unsegmented),
        }
    }

    /// Number of the customer who places order `number` of a generator. Of a pair both are his whose the first is.
    #[inline]
    pub(super) fn customer(&self, generator: u32, number: u64) -> u32 {
        let seed = seed_of(self.run_seed, generator);
        let first = number & !1;
        let drawn = if self.pairs.has((mix(seed ^ OF_PAIR ^ first) >> 32) as u32) { first } else { number };
        below((mix(seed ^ OF_CONTENT ^ drawn) >> 32) as u32, self.customers)
    }

    /// Number of the segment that a customer belongs to, whichever generator he orders through; none if to none.
    #[inline]
    pub(super) fn segment(&self, customer: u32) -> Option<u32> {
        if self.segments == 0 {
            return None;
        }
        let bits = mix(self.run_seed ^ OF_SEGMENT ^ u64::from(customer));
        (!self.unsegmented.has(bits as u32)).then(|| below((bits >> 32) as u32, self.segments))
    }
}

/// Name of a customer whose number is not written yet.
pub(super) fn blank_name() -> [u8; CUSTOMER_BYTES] {
    [LETTER; CUSTOMER_BYTES]
}

/// Writes the number over the end of a name.
#[inline]
pub(super) fn stamp_customer(to: &mut [u8; CUSTOMER_BYTES], number: u32) {
    write::<CUSTOMER_DIGITS>(&mut to[1..], u64::from(number));
}

/// Number of a customer by his name; none if no run calls anybody so.
#[inline]
pub fn customer_number(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(&[LETTER])?;
    if digits.len() == CUSTOMER_DIGITS { read(digits).map(|number| number as u32) } else { None }
}

#[cfg(test)]
pub(super) fn customer_name(number: u32) -> String {
    let mut name = blank_name();
    stamp_customer(&mut name, number);
    String::from_utf8(name.to_vec()).expect("made of ASCII only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buyers(pairs: f64) -> Buyers {
        Buyers::new(&Traffic { pairs, customers: MAX_CUSTOMERS, ..Traffic::default() }, 7)
    }

    #[test]
    fn as_many_orders_come_in_pairs_as_are_asked_for() {
        for (pairs, expected) in [(0.0, 0..=0), (0.3, 29_000..=31_000), (1.0, 100_000..=100_000)] {
            let buyers = buyers(pairs);
            let of_one = |first: &u64| buyers.customer(0, *first) == buyers.customer(0, first + 1);
            let found = 2 * (0..100_000_u64).step_by(2).filter(of_one).count();
            assert!(expected.contains(&found), "{found} orders of 100,000 are in pairs, {pairs} are asked for");
        }
    }

    #[test]
    fn each_segment_has_as_many_customers_and_some_have_none() {
        let segments = ["a", "b", "c"].map(str::to_owned).to_vec();
        let buyers = Buyers::new(&Traffic { segments, unsegmented: 0.1, ..Traffic::default() }, 7);
        let mut counts = [0_u32; 4];
        (0..100_000).for_each(|customer| counts[buyers.segment(customer).map_or(3, |number| number as usize)] += 1);
        for (count, expected) in counts.into_iter().zip([30_000_u32, 30_000, 30_000, 10_000]) {
            assert!(count.abs_diff(expected) < 700, "{count} customers, {expected} are expected");
        }
        assert_eq!(Buyers::new(&Traffic::default(), 7).segment(5), None);
    }

    #[test]
    fn a_customer_is_known_by_his_name() {
        for number in [0, 1, 31, 32, 999_999, MAX_CUSTOMERS - 1] {
            assert_eq!(customer_number(customer_name(number).as_bytes()), Some(number));
        }
        for other in ["", "c", "c00000", "c0000000", "d000000", "c00000w"] {
            assert_eq!(customer_number(other.as_bytes()), None, "{other}");
        }
    }
}
