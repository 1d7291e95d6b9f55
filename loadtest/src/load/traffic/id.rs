//! Order ids, and names of SKUs: what a run writes into them so that a reader knows its own, without a memory of them.
//!
//! An order id has [`ID_BYTES`] characters: the run, the generator, the order's number and when it was due. Numbers
//! have the digits of base 32 (`0` to `9`, `a` to `v`), the highest first: they are written without a division.

use std::fmt;
use std::str::FromStr;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Generators that may share a run.
pub const MAX_GENERATORS: u32 = 1 << (5 * GENERATOR_DIGITS);

/// Length of every order id.
pub const ID_BYTES: usize = RUN_BYTES + GENERATOR_DIGITS + NUMBER_DIGITS + DUE_DIGITS;

/// SKUs that a pool can sell: so many have a name.
pub const MAX_SKUS: u32 = 1 << (5 * SKU_DIGITS);

/// Length of the name of every SKU.
pub(super) const SKU_BYTES: usize = RUN_BYTES + 1 + SKU_DIGITS;

const RUN_BYTES: usize = 6;
const GENERATOR_DIGITS: usize = 2;
/// 2^40 orders.
const NUMBER_DIGITS: usize = 8;
/// 2^40 microseconds are 12 days.
const DUE_DIGITS: usize = 8;
const SKU_DIGITS: usize = 4;

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
/// Two digits at a time.
const PAIRS: [[u8; 2]; 1 << 10] = {
    let mut pairs = [[0; 2]; 1 << 10];
    let mut i = 0;
    while i < pairs.len() {
        pairs[i] = [DIGITS[i >> 5], DIGITS[i & 31]];
        i += 1;
    }
    pairs
};
/// What a character is worth; 255: no digit.
const WORTH: [u8; 256] = {
    let mut worth = [u8::MAX; 256];
    let mut i = 0;
    while i < DIGITS.len() {
        worth[DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    worth
};

/// Name of a run: 6 lower-case letters or digits. It begins every order id and SKU of the run, so that neither orders
/// nor stock of another run are mistaken for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId([u8; RUN_BYTES]);

impl RunId {
    /// Any other than all before: one of two billion.
    pub fn draw() -> Self {
        let mut rng = SmallRng::from_os_rng();
        let mut id = Self(std::array::from_fn(|_| b'a' + rng.random_range(0..26)));
        // Two digits at its end tell it from a word.
        id.0[RUN_BYTES - 2..].fill_with(|| b'0' + rng.random_range(0..10));
        id
    }

    /// One that was agreed on; a shorter one is filled up with zeros in front.
    ///
    /// # Errors
    /// What is allowed, as text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !(1..=RUN_BYTES).contains(&text.len()) || !text.bytes().all(legal) {
            return Err(format!("1 to {RUN_BYTES} lower-case letters or digits, for example peak7"));
        }
        let mut id = [b'0'; RUN_BYTES];
        id[RUN_BYTES - text.len()..].copy_from_slice(text.as_bytes());
        Ok(Self(id))
    }

    /// Its characters.
    pub fn as_bytes(&self) -> &[u8; RUN_BYTES] {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).expect("made of ASCII only"))
    }
}

/// What an order id of a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderId {
    /// Which generator sent it, from 0.
    pub generator: u32,
    /// Which of that generator's orders, from 0.
    pub number: u64,
    /// When it was due, in microseconds since the start of the run.
    pub due_us: u64,
}

impl OrderId {
    /// What `id` says; none if it is not of this run.
    #[inline]
    pub fn parse(run: RunId, id: &[u8]) -> Option<Self> {
        let rest = id.strip_prefix(&run.0)?;
        if rest.len() != ID_BYTES - RUN_BYTES {
            return None;
        }
        let (generator, rest) = rest.split_at(GENERATOR_DIGITS);
        let (number, due) = rest.split_at(NUMBER_DIGITS);
        Some(Self { generator: read(generator)? as u32, number: read(number)?, due_us: read(due)? })
    }

    /// Writes everything behind the run over the end of an id.
    #[inline]
    pub(super) fn stamp(self, id: &mut [u8; ID_BYTES]) {
        write::<GENERATOR_DIGITS>(&mut id[RUN_BYTES..], u64::from(self.generator));
        write::<NUMBER_DIGITS>(&mut id[RUN_BYTES + GENERATOR_DIGITS..], self.number);
        write::<DUE_DIGITS>(&mut id[RUN_BYTES + GENERATOR_DIGITS + NUMBER_DIGITS..], self.due_us);
    }

    /// As it stands in commands and decisions.
    pub fn text(self, run: RunId) -> String {
        let mut id = [0; ID_BYTES];
        id[..RUN_BYTES].copy_from_slice(&run.0);
        self.stamp(&mut id);
        String::from_utf8(id.to_vec()).expect("made of ASCII only")
    }
}

/// Number that digits tell; none if one of them is no digit.
#[inline]
pub(super) fn read(digits: &[u8]) -> Option<u64> {
    let (mut value, mut wrong) = (0, 0);
    for digit in digits {
        let worth = WORTH[usize::from(*digit)];
        wrong |= worth & 0xe0;
        value = value << 5 | u64::from(worth);
    }
    (wrong == 0).then_some(value)
}

/// Writes the lowest `N` digits of a number; `N` is even.
#[inline]
pub(super) fn write<const N: usize>(to: &mut [u8], value: u64) {
    for (i, pair) in to[..N].as_chunks_mut::<2>().0.iter_mut().enumerate() {
        *pair = PAIRS[(value >> (5 * (N - 2 - 2 * i))) as usize & (PAIRS.len() - 1)];
    }
}

/// Name of SKU `number` of a run: stock of an earlier run, in the same pool, is another SKU.
pub fn sku_name(run: RunId, number: u32) -> String {
    let mut name = [0; SKU_BYTES];
    name[..RUN_BYTES].copy_from_slice(&run.0);
    name[RUN_BYTES] = b'-';
    stamp_sku(&mut name, number);
    String::from_utf8(name.to_vec()).expect("made of ASCII only")
}

/// Writes the number over the end of a name.
#[inline]
pub(super) fn stamp_sku(name: &mut [u8; SKU_BYTES], number: u32) {
    write::<SKU_DIGITS>(&mut name[RUN_BYTES + 1..], u64::from(number));
}

/// Number of a SKU; none if it is not of this run.
#[inline]
pub fn sku_number(run: RunId, name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(&run.0)?.strip_prefix(b"-")?;
    if digits.len() == SKU_DIGITS { read(digits).map(|number| number as u32) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_says_what_was_written_into_it(
            generator in 0..MAX_GENERATORS,
            number in 0_u64..1 << 40,
            due_us in 0_u64..1 << 40,
        ) {
            let run = RunId::parse("peak7").expect("legal");
            let id = OrderId { generator, number, due_us };
            let text = id.text(run);
            prop_assert_eq!(text.len(), ID_BYTES);
            prop_assert_eq!(OrderId::parse(run, text.as_bytes()), Some(id));
            prop_assert_eq!(OrderId::parse(RunId::parse("peak8").expect("legal"), text.as_bytes()), None);
        }

        #[test]
        fn no_other_text_is_an_id(text in "\\PC{0,40}") {
            prop_assert_eq!(OrderId::parse(RunId::parse("zzzzzz").expect("legal"), text.as_bytes()), None);
        }

        #[test]
        fn a_sku_is_recognised_by_its_name(number in 0..MAX_SKUS) {
            let run = RunId::parse("a1").expect("legal");
            prop_assert_eq!(sku_number(run, sku_name(run, number).as_bytes()), Some(number));
            prop_assert_eq!(sku_number(RunId::parse("a2").expect("legal"), sku_name(run, number).as_bytes()), None);
        }
    }

    #[test]
    fn ids_of_one_generator_sort_as_their_numbers() {
        let run = RunId::parse("run").expect("legal");
        let texts: Vec<_> = (0..200).map(|number| OrderId { generator: 3, number, due_us: 7 }.text(run)).collect();
        assert!(texts.is_sorted());
        assert_eq!(texts[33], "000run030000001100000007");
    }

    #[test]
    fn a_run_is_named_in_few_plain_characters() {
        for wrong in ["", "Peak", "seven77", "a b", "ä"] {
            assert!(RunId::parse(wrong).is_err(), "{wrong}");
        }
        let drawn = RunId::draw().to_string();
        assert_eq!(RunId::parse(&drawn).map(|id| id.to_string()), Ok(drawn));
    }
}
