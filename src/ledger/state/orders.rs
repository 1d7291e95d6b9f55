//! Open orders: held or committed, with what they hold, in recycled slots; and the order in which holds fall due.

use super::digest::Canonical;
use super::expiry::{Due, Holds};
use super::kept::{DELIVERY_BYTES, MAX_TAKEN_A_LINE, PART_BYTES, TAKEN_BYTES, part_from_bytes, part_to_bytes};
use super::rows::Rows;
use crate::ledger::store::arena::{Arena, MAX_RUN, Run};
use crate::ledger::store::index::Fingerprint;
use crate::ledger::store::slab::Slab;
use crate::wire::decision::{HeldLine, HeldLines, SkuNames};
use crate::wire::limits::{MAX_ID_BYTES, MAX_LINES, MAX_PARTS};
use crate::wire::proto::OrderState;
use crate::wire::{Counted, LotPart, Text};

pub(crate) use super::kept::{CountedBy, NewDelivery, Taken};

/// The smallest place for lines and id of an order, in bytes: a line.
const SMALLEST_KEPT_BYTES: usize = 8;

/// Where an order's lines stand, and behind them its id, its counts and its parts: together, so that they share cache lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    run: Run,
    numbers: Numbers,
}

/// How many of each an order has, in one word: lines in 8 bits, counts and parts in 10 bits each, and whether it has a
/// delivery.
#[derive(Clone, Copy, Debug)]
struct Numbers(u32);

const _: () = assert!(MAX_LINES < 1 << 8 && MAX_TAKEN_A_LINE * MAX_LINES < 1 << 10 && MAX_PARTS < 1 << 10);

impl Numbers {
    #[inline]
    fn of(lines: usize, taken: usize, parts: usize, is_delivered: bool) -> Numbers {
        Numbers((lines | taken << 8 | parts << 18 | usize::from(is_delivered) << 28) as u32)
    }
}

impl Kept {
    #[inline]
    fn lines_end(self) -> usize {
        (self.numbers.0 & 0xff) as usize * HeldLines::LINE_BYTES
    }

    #[inline]
    fn taken(self) -> usize {
        (self.numbers.0 >> 8 & 0x3ff) as usize
    }

    #[inline]
    fn taken_bytes(self) -> usize {
        self.taken() * TAKEN_BYTES
    }

    #[inline]
    fn parts_bytes(self) -> usize {
        (self.numbers.0 >> 18 & 0x3ff) as usize * PART_BYTES
    }

    fn is_delivered(self) -> bool {
        self.numbers.0 >> 28 & 1 == 1
    }

    /// Bytes of its delivery, which `bytes` end with: those of the service's name are told by the last of them.
    fn delivery_bytes(self, bytes: &[u8]) -> usize {
        let name = bytes.last().filter(|_| self.is_delivered());
        name.map_or(0, |name| DELIVERY_BYTES + usize::from(*name))
    }

    /// Whether it takes from lots.
    #[inline]
    pub(crate) fn has_parts(self) -> bool {
        self.parts_bytes() > 0
    }
}

/// The largest place for all of an order.
const LARGEST_KEPT_BYTES: usize = MAX_LINES * (HeldLines::LINE_BYTES + MAX_TAKEN_A_LINE * TAKEN_BYTES)
    + MAX_ID_BYTES
    + DELIVERY_BYTES
    + MAX_ID_BYTES
    + MAX_PARTS * PART_BYTES;

const _: () = assert!(LARGEST_KEPT_BYTES <= MAX_RUN);

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
    pub parts: &'a [LotPart],
    pub delivery: Option<NewDelivery<'a>>,
}

/// The open orders.
#[derive(Debug)]
pub(crate) struct Orders {
    slots: Slab<OpenOrder>,
    kept: Arena<u8>,
    /// Holds by end. May have entries that no longer count, never at its head.
    due: Holds,
    held: usize,
    /// Counts that they are in, all together.
    counted: usize,
    dirty: Vec<u32>,
    digest: u128,
    canonical: Canonical,
}

impl Orders {
    pub(crate) fn new() -> Orders {
        Orders {
            slots: Slab::new(),
            kept: Arena::new(SMALLEST_KEPT_BYTES, LARGEST_KEPT_BYTES, 0),
            due: Holds::default(),
            held: 0,
            counted: 0,
            dirty: Vec::new(),
            digest: 0,
            canonical: Canonical::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Counts that open orders are in, all together.
    pub(crate) fn counted(&self) -> usize {
        self.counted
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
        let bytes = &bytes[..bytes.len() - kept.taken_bytes() - kept.parts_bytes()];
        let end = bytes.len() - kept.delivery_bytes(bytes);
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
        let end = bytes.len() - kept.parts_bytes();
        bytes[end - kept.taken_bytes()..end].as_chunks().0.iter().map(Taken::from_bytes)
    }

    /// The parts that an order has of lots, in the order of lines. After [`Orders::close`] they stand until the next
    /// [`Orders::open`].
    #[inline]
    pub(crate) fn parts(&self, kept: Kept) -> impl Iterator<Item = LotPart> + Clone + use<'_> {
        let bytes = self.kept.get(kept.run);
        bytes[bytes.len() - kept.parts_bytes()..].as_chunks().0.iter().map(part_from_bytes)
    }

    /// The delivery of an order, if it has one. After [`Orders::close`] it stands until the next [`Orders::open`].
    #[inline]
    pub(crate) fn delivery(&self, kept: Kept) -> Option<NewDelivery<'_>> {
        if !kept.is_delivered() {
            return None;
        }
        let bytes = self.kept.get(kept.run);
        let bytes = &bytes[..bytes.len() - kept.taken_bytes() - kept.parts_bytes()];
        NewDelivery::from_bytes(&bytes[bytes.len() - kept.delivery_bytes(bytes)..])
    }

    /// Keeps a new order, held, and tells its slot.
    #[inline]
    pub(crate) fn open(&mut self, order: &NewOrder<'_>) -> u32 {
        // A slot that is used again keeps its place in the list of dirty ones, and what it is to be settled against.
        let (dirty, digest) = self.slots.next().map_or((false, 0), |last| (last.dirty, last.digest));
        let kept = self.keep(order);
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
        self.counted += order.taken.len();
        if !dirty {
            self.dirty.push(slot);
        }
        self.due.push(Due { expires_at_ms, sequence, slot });
        slot
    }

    #[inline]
    fn keep(&mut self, order: &NewOrder<'_>) -> Kept {
        let NewOrder { order_id: id, lines, taken, delivery, parts, .. } = *order;
        let (kept_lines, kept_taken) = (lines.len() * HeldLines::LINE_BYTES, taken.len() * TAKEN_BYTES);
        let kept_delivery = delivery.map_or(0, |delivery| DELIVERY_BYTES + delivery.service.len());
        let run = self.kept.make(kept_lines + id.len() + kept_delivery + kept_taken + parts.len() * PART_BYTES);
        let (to_lines, rest) = self.kept.get_mut(run).split_at_mut(kept_lines);
        let (to_id, rest) = rest.split_at_mut(id.len());
        let (to_delivery, rest) = rest.split_at_mut(kept_delivery);
        let (to_taken, to_parts) = rest.split_at_mut(kept_taken);
        if let Some(delivery) = delivery {
            delivery.copy_to(to_delivery);
        }
        for (to, part) in to_parts.as_chunks_mut().0.iter_mut().zip(parts) {
            *to = part_to_bytes(part);
        }
        for (to, taken) in to_taken.as_chunks_mut().0.iter_mut().zip(taken) {
            *to = taken.to_bytes();
        }
        for (to, line) in to_lines.as_chunks_mut().0.iter_mut().zip(lines) {
            *to = line.to_bytes();
        }
        id.copy_to(to_id);
        Kept { run, numbers: Numbers::of(lines.len(), taken.len(), parts.len(), delivery.is_some()) }
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
        self.counted -= kept.taken();
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
                let (bytes, parts) = bytes.split_at(bytes.len() - order.kept.parts_bytes());
                let (bytes, taken) = bytes.split_at(bytes.len() - order.kept.taken_bytes());
                let (bytes, delivery) = bytes.split_at(bytes.len() - order.kept.delivery_bytes(bytes));
                let (lines, id) = bytes.split_at(order.kept.lines_end());
                let pool = rows.pool_name(order.pool).as_bytes();
                self.canonical.begin(3).str(pool).str(id).u32(order.attempt);
                self.canonical.u64(order.content).u64(order.sequence).u8(order.state as u8).i64(order.expires_at_ms);
                for line in HeldLines::new(lines) {
                    self.canonical.str(rows.sku(line.row).as_bytes()).u32(line.quantity);
                }
                for taken in taken.as_chunks().0.iter().map(Taken::from_bytes) {
                    let (Taken { key, .. }, Counted { count, period, units, .. }) = (taken, taken.shown());
                    self.canonical.u64(count).i64(period).u64(key.hash as u64).u64((key.hash >> 64) as u64).u32(units);
                }
                if let Some(NewDelivery { service, day, cutoff_ms, hold_until_ms, .. }) =
                    NewDelivery::from_bytes(delivery)
                {
                    self.canonical.str(service.as_bytes()).u32(day).i64(cutoff_ms).i64(hold_until_ms);
                }
                for LotPart { line, of } in parts.as_chunks().0.iter().map(part_from_bytes) {
                    self.canonical.u32(line).u32(of.lot).u32(of.units);
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
