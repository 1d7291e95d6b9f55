//! Open orders: held or committed, with what they hold, in recycled slots; and the order in which holds fall due.

use super::counts::CountKey;
use super::digest::Canonical;
use super::expiry::{Due, Holds};
use super::rows::Rows;
use super::selling::MAX_LIMITS_A_SKU;
use crate::ledger::store::arena::{Arena, Run};
use crate::ledger::store::index::Fingerprint;
use crate::ledger::store::slab::Slab;
use crate::wire::decision::{HeldLine, HeldLines, SkuNames};
use crate::wire::limits::{MAX_ID_BYTES, MAX_LINES};
use crate::wire::proto::OrderState;
use crate::wire::{Counted, Text};

/// The smallest place for lines and id of an order, in bytes: a line.
const SMALLEST_KEPT_BYTES: usize = 8;

/// Where an order's lines stand, and behind them its id: together, so that they share cache lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    run: Run,
    lines: u8,
    taken: u16,
}

const _: () = assert!(MAX_LINES <= u8::MAX as usize);

impl Kept {
    fn lines_end(self) -> usize {
        usize::from(self.lines) * HeldLines::LINE_BYTES
    }

    fn taken_bytes(self) -> usize {
        usize::from(self.taken) * TAKEN_BYTES
    }
}

/// Bytes of a [`Taken`] as it is kept.
const TAKEN_BYTES: usize = 4 + 8 + 8 + 4 + 12 + 16;
/// Most counts that an order is in: two for each line.
const MAX_TAKEN: usize = MAX_LIMITS_A_SKU * MAX_LINES;

/// Units of an order that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) limit: u32,
    /// Sequence at which the limit began to count.
    pub(crate) count: u64,
    pub(crate) period: i64,
    pub(crate) units: u32,
    pub(crate) key: CountKey,
}

impl Taken {
    /// As a decision shows it.
    pub(crate) fn shown(&self) -> Counted {
        Counted { count: self.count, period: self.period, units: self.units }
    }

    fn to_bytes(self) -> [u8; TAKEN_BYTES] {
        let Taken { limit, count, period, units, key: CountKey { fingerprint: Fingerprint([a, b, c]), hash } } = self;
        let mut bytes = [0; TAKEN_BYTES];
        bytes[..4].copy_from_slice(&limit.to_le_bytes());
        bytes[4..12].copy_from_slice(&count.to_le_bytes());
        bytes[12..20].copy_from_slice(&period.to_le_bytes());
        bytes[20..24].copy_from_slice(&units.to_le_bytes());
        for (to, word) in bytes[24..36].as_chunks_mut().0.iter_mut().zip([a, b, c]) {
            *to = word.to_le_bytes();
        }
        bytes[36..].copy_from_slice(&hash.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; TAKEN_BYTES]) -> Taken {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let fingerprint = Fingerprint([word(24), word(28), word(32)]);
        let hash = u128::from(long(36)) | u128::from(long(44)) << 64;
        let key = CountKey { fingerprint, hash };
        Taken { limit: word(0), count: long(4), period: long(12) as i64, units: word(20), key }
    }
}

/// An open order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenOrder {
    pub fingerprint: Fingerprint,
    pub attempt: u32,
    pub pool: u32,
    pub content: u64,
    /// Of its Place.
    pub sequence: u64,
    /// End of the hold; 0 once committed.
    pub expires_at_ms: i64,
    /// Held or committed; unspecified for a slot that is free.
    pub state: OrderState,
    pub kept: Kept,
    /// What it adds to the digest as settled last.
    digest: u128,
    dirty: bool,
}

/// What a new order is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder<'a> {
    pub fingerprint: Fingerprint,
    pub pool: u32,
    pub order_id: Text<'a>,
    pub attempt: u32,
    pub content: u64,
    pub sequence: u64,
    pub expires_at_ms: i64,
    pub lines: &'a [HeldLine],
    pub taken: &'a [Taken],
}

/// The open orders.
#[derive(Debug)]
pub(crate) struct Orders {
    slots: Slab<OpenOrder>,
    kept: Arena<u8>,
    /// Holds by end. May have entries that no longer count, never at its head.
    due: Holds,
    held: usize,
    dirty: Vec<u32>,
    digest: u128,
    canonical: Canonical,
}

impl Orders {
    pub(crate) fn new() -> Orders {
        Orders {
            slots: Slab::new(),
            kept: Arena::new(
                SMALLEST_KEPT_BYTES,
                MAX_LINES * HeldLines::LINE_BYTES + MAX_ID_BYTES + MAX_TAKEN * TAKEN_BYTES,
                0,
            ),
            due: Holds::default(),
            held: 0,
            dirty: Vec::new(),
            digest: 0,
            canonical: Canonical::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        let lists = self.due.bytes() + self.dirty.capacity() * size_of::<u32>();
        self.slots.bytes() + self.kept.bytes() + lists
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> &OpenOrder {
        &self.slots[slot]
    }

    /// Reads where an order's lines and id begin and end.
    #[inline]
    pub(crate) fn touch(&self, slot: u32) -> u8 {
        let kept = self.kept.get(self.slots[slot].kept.run);
        kept.first().unwrap_or(&0) | kept.last().unwrap_or(&0)
    }

    /// An order's id. After [`Orders::close`] it stands until the next [`Orders::open`].
    pub(crate) fn id(&self, kept: Kept) -> Text<'_> {
        let bytes = self.kept.get(kept.run);
        let end = bytes.len() - kept.taken_bytes();
        Text::new(&bytes[kept.lines_end()..end]).expect("it was kept from a text")
    }

    /// An order's lines. After [`Orders::close`] they stand until the next [`Orders::open`].
    #[inline]
    pub(crate) fn lines(&self, kept: Kept) -> HeldLines<'_> {
        HeldLines::new(&self.kept.get(kept.run)[..kept.lines_end()])
    }

    /// The counts that an order is in. After [`Orders::close`] they stand until the next [`Orders::open`].
    #[inline]
    pub(crate) fn taken(&self, kept: Kept) -> impl Iterator<Item = Taken> + use<'_> {
        let bytes = self.kept.get(kept.run);
        bytes[bytes.len() - kept.taken_bytes()..].as_chunks().0.iter().map(Taken::from_bytes)
    }

    /// Keeps a new order, held, and tells its slot.
    #[inline]
    pub(crate) fn open(&mut self, order: &NewOrder<'_>) -> u32 {
        // A slot that is used again keeps its place in the list of dirty ones, and what it is to be settled against.
        let (dirty, digest) = self.slots.next().map_or((false, 0), |last| (last.dirty, last.digest));
        let kept = self.keep(order.order_id, order.lines, order.taken);
        let NewOrder { fingerprint, pool, attempt, content, sequence, expires_at_ms, .. } = *order;
        let state = OrderState::Held;
        let it = OpenOrder {
            fingerprint,
            attempt,
            pool,
            content,
            sequence,
            expires_at_ms,
            state,
            kept,
            digest,
            dirty: true,
        };
        let slot = self.slots.put(it);
        self.held += 1;
        if !dirty {
            self.dirty.push(slot);
        }
        self.due.push(Due { expires_at_ms, sequence, slot });
        slot
    }

    #[inline]
    fn keep(&mut self, id: Text<'_>, lines: &[HeldLine], taken: &[Taken]) -> Kept {
        let kept_lines = lines.len() * HeldLines::LINE_BYTES;
        let run = self.kept.make(kept_lines + id.len() + taken.len() * TAKEN_BYTES);
        let (to_lines, rest) = self.kept.get_mut(run).split_at_mut(kept_lines);
        let (to_id, to_taken) = rest.split_at_mut(id.len());
        for (to, taken) in to_taken.as_chunks_mut().0.iter_mut().zip(taken) {
            *to = taken.to_bytes();
        }
        for (to, line) in to_lines.as_chunks_mut().0.iter_mut().zip(lines) {
            *to = line.to_bytes();
        }
        id.copy_to(to_id);
        Kept { run, lines: lines.len() as u8, taken: taken.len() as u16 }
    }

    /// Held becomes committed.
    pub(crate) fn confirm(&mut self, slot: u32) {
        let order = &mut self.slots[slot];
        order.state = OrderState::Committed;
        order.expires_at_ms = 0;
        self.held -= 1;
        self.note(slot);
        self.tidy_queue();
    }

    /// Moves the end of a hold.
    pub(crate) fn extend(&mut self, slot: u32, expires_at_ms: i64) {
        self.slots[slot].expires_at_ms = expires_at_ms;
        self.note(slot);
        self.queue(slot);
        self.tidy_queue();
    }

    /// The order is open no longer; its slot is free.
    pub(crate) fn close(&mut self, slot: u32) {
        let order = &mut self.slots[slot];
        if order.state == OrderState::Held {
            self.held -= 1;
        }
        order.state = OrderState::Unspecified;
        let kept = order.kept;
        self.note(slot);
        self.kept.free(kept.run);
        self.slots.free(slot);
        self.tidy_queue();
    }

    /// The earliest end of a hold.
    #[inline]
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|due| due.expires_at_ms)
    }

    /// The hold that ends first, if it ends by `until_ms`.
    #[inline]
    pub(crate) fn due(&self, until_ms: i64) -> Option<u32> {
        self.due.first().filter(|due| due.expires_at_ms <= until_ms).map(|due| due.slot)
    }

    /// The sum over all open orders.
    pub(crate) fn digest(&mut self, rows: &Rows) -> u128 {
        while let Some(slot) = self.dirty.pop() {
            let order = &mut self.slots[slot];
            order.dirty = false;
            self.digest = self.digest.wrapping_sub(order.digest);
            order.digest = 0;
            if order.state != OrderState::Unspecified {
                let bytes = self.kept.get(order.kept.run);
                let (bytes, taken) = bytes.split_at(bytes.len() - order.kept.taken_bytes());
                let (lines, id) = bytes.split_at(order.kept.lines_end());
                let pool = rows.pool_name(order.pool).as_bytes();
                self.canonical.begin(3).str(pool).str(id).u32(order.attempt);
                self.canonical.u64(order.content).u64(order.sequence).u8(order.state as u8).i64(order.expires_at_ms);
                for line in HeldLines::new(lines) {
                    self.canonical.str(rows.sku(line.row).as_bytes()).u32(line.quantity);
                }
                for taken in taken.as_chunks().0.iter().map(Taken::from_bytes) {
                    let Taken { count, period, units, key, .. } = taken;
                    self.canonical.u64(count).i64(period).u64(key.hash as u64).u64((key.hash >> 64) as u64).u32(units);
                }
                order.digest = self.canonical.hash();
                self.digest = self.digest.wrapping_add(order.digest);
            }
        }
        self.digest
    }

    /// What the order in `slot` adds to the digest must be settled anew.
    fn note(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.slots[slot].dirty, true) {
            self.dirty.push(slot);
        }
    }

    fn queue(&mut self, slot: u32) {
        let order = &self.slots[slot];
        self.due.push(Due { expires_at_ms: order.expires_at_ms, sequence: order.sequence, slot });
    }

    fn tidy_queue(&mut self) {
        self.due.tidy(self.held, |due| counts(&self.slots, due));
    }
}

/// Whether an entry of the queue is that of a hold as it stands.
fn counts(slots: &Slab<OpenOrder>, due: &Due) -> bool {
    let order = &slots[due.slot];
    order.state == OrderState::Held && order.sequence == due.sequence && order.expires_at_ms == due.expires_at_ms
}
