//! What an open order keeps beside its lines and its id, as bytes: the counts that it is in, its delivery, and the parts that
//! it takes from lots.

use super::counts::CountKey;
use super::selling::MAX_LIMITS_A_SKU;
use crate::ledger::store::index::Fingerprint;
use crate::wire::limits::MAX_LOTS;
use crate::wire::proto::ShareOf;
use crate::wire::{Counted, LotPart, LotUnits, Text};

/// Bytes of a delivery as it is kept, behind the name of its service: day, cutoff, end of the hold, count, and the length of
/// that name.
pub(super) const DELIVERY_BYTES: usize = 4 + 8 + 8 + 4 + 1;

/// Bytes of a [`Taken`] as it is kept.
pub(super) const TAKEN_BYTES: usize = 1 + 4 + 8 + 8 + 4 + 12 + 16;
/// Most counts that a line of an order is in: those of limits, and that of a channel's share.
pub(super) const MAX_TAKEN_A_LINE: usize = MAX_LIMITS_A_SKU + 1;

/// Bytes of a part as it is kept.
pub(super) const PART_BYTES: usize = 8;

const _: () = assert!(MAX_LOTS <= u16::MAX as usize);

/// A part as it is kept: units, lot, line.
pub(super) fn part_to_bytes(part: &LotPart) -> [u8; PART_BYTES] {
    (u64::from(part.of.units) | u64::from(part.of.lot) << 32 | u64::from(part.line) << 48).to_le_bytes()
}

pub(super) fn part_from_bytes(bytes: &[u8; PART_BYTES]) -> LotPart {
    let all = u64::from_le_bytes(*bytes);
    let of = LotUnits { lot: (all >> 32) as u32 & 0xffff, units: all as u32, shortfall: 0 };
    LotPart { line: (all >> 48) as u32, of }
}

/// Units of an order that a limit counts, or the share of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) by: CountedBy,
    /// Sequence at which the limit, or the share, began to count.
    pub(crate) count: u64,
    pub(crate) units: u32,
    pub(crate) key: CountKey,
}

/// What counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedBy {
    Limit {
        limit: u32,
        period: i64,
    },
    Share {
        /// Of its SKU.
        row: u32,
        of: ShareOf,
        /// Which of the shares of its SKU it was when they were counted.
        at: u8,
    },
}

impl Taken {
    /// As a decision shows it.
    pub(crate) fn shown(&self) -> Counted {
        let (period, share) = match self.by {
            CountedBy::Limit { period, .. } => (period, ShareOf::Unspecified),
            CountedBy::Share { of, .. } => (0, of),
        };
        Counted { count: self.count, period, units: self.units, share }
    }

    pub(super) fn to_bytes(self) -> [u8; TAKEN_BYTES] {
        let Taken { by, count, units, key: CountKey { fingerprint: Fingerprint([a, b, c]), hash } } = self;
        let (of, number, period_or_at) = match by {
            CountedBy::Limit { limit, period } => (ShareOf::Unspecified, limit, period.to_le_bytes()),
            CountedBy::Share { row, of, at } => (of, row, u64::from(at).to_le_bytes()),
        };
        let mut bytes = [0; TAKEN_BYTES];
        bytes[0] = of as u8;
        bytes[1..5].copy_from_slice(&number.to_le_bytes());
        bytes[5..13].copy_from_slice(&period_or_at);
        bytes[13..21].copy_from_slice(&count.to_le_bytes());
        bytes[21..25].copy_from_slice(&units.to_le_bytes());
        for (to, word) in bytes[25..37].as_chunks_mut().0.iter_mut().zip([a, b, c]) {
            *to = word.to_le_bytes();
        }
        bytes[37..].copy_from_slice(&hash.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; TAKEN_BYTES]) -> Taken {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let share = |of| CountedBy::Share { row: word(1), of, at: bytes[5] };
        let by = match bytes[0] {
            0 => CountedBy::Limit { limit: word(1), period: long(5) as i64 },
            1 => share(ShareOf::Channel),
            _ => share(ShareOf::Others),
        };
        let fingerprint = Fingerprint([word(25), word(29), word(33)]);
        let hash = u128::from(long(37)) | u128::from(long(45)) << 64;
        Taken { by, count: long(13), units: word(21), key: CountKey { fingerprint, hash } }
    }
}

/// The delivery of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewDelivery<'a> {
    pub(crate) service: Text<'a>,
    pub(crate) day: u32,
    pub(crate) cutoff_ms: i64,
    pub(crate) hold_until_ms: i64,
    /// The count of its day.
    pub(crate) count: u32,
}

impl NewDelivery<'_> {
    pub(super) fn copy_to(&self, to: &mut [u8]) {
        let (name, numbers) = to.split_at_mut(self.service.len());
        numbers[..4].copy_from_slice(&self.day.to_le_bytes());
        numbers[4..12].copy_from_slice(&self.cutoff_ms.to_le_bytes());
        numbers[12..20].copy_from_slice(&self.hold_until_ms.to_le_bytes());
        numbers[20..24].copy_from_slice(&self.count.to_le_bytes());
        numbers[24] = self.service.len() as u8;
        self.service.copy_to(name);
    }

    /// Of bytes that are as [`NewDelivery::copy_to`] left them; none of no bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<NewDelivery<'_>> {
        let (name, numbers) = bytes.split_last_chunk::<DELIVERY_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| numbers[at + i]));
        let long = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| numbers[at + i]));
        let service = Text::new(name).expect("it was kept from a text");
        Some(NewDelivery { service, day: word(0), cutoff_ms: long(4), hold_until_ms: long(12), count: word(20) })
    }
}
