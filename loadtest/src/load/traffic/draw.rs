//! Chance without state: every draw is a hash of what it is about, so anyone can repeat it in any order.

/// Spreads `value` over all 64 bits: the finaliser of SplitMix64 (Steele, Lea, Flood 2014; constants by Stafford, his
/// Mix13), after a step by the golden ratio, so that 0 is no fixed point.
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A number above 0 and up to 1, with 53 bits.
#[inline]
pub(crate) fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A whole number below `below`, from 32 bits: each as often as the others but for `below` in 2^32.
#[inline]
pub(crate) fn below(bits: u32, below: u32) -> u32 {
    ((u64::from(bits) * u64::from(below)) >> 32) as u32
}

/// A share of all draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    /// From 0 (none) to 1 (all).
    pub(crate) fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1_u64 << 32) as f64).round() as u64)
    }

    /// Where the share ends that begins where this one ends.
    pub(crate) fn and(self, more: f64) -> Self {
        Self((self.0 + Self::new(more).0).min(1 << 32))
    }

    /// Whether 32 random bits fall into it.
    #[inline]
    pub(crate) fn has(self, bits: u32) -> bool {
        u64::from(bits) < self.0
    }

    /// Whether nothing falls into it.
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}
