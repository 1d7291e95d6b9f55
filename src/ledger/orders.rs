//! Open orders: held or committed, with what they hold, in recycled slots; and the order in which holds fall due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arena::{Arena, Run};
use super::digest::Canonical;
use super::identity::Fingerprint;
use super::rows::Rows;
use super::slab::Slab;
use crate::wire::decision::{HeldLine, SkuNames};
use crate::wire::limits::{MAX_ID_BYTES, MAX_LINES};
use crate::wire::proto::OrderState;

/// Entries of the queue of holds, beyond twice the holds there are, at which those that no longer count are swept
/// out. Below it a sweep would cost more than it frees.
const STALE_HOLDS: usize = 1024;
/// The smallest place for an order id, in bytes: most ids are 8 to 36 characters.
const SMALLEST_ID_BYTES: usize = 16;

/// An open order.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenOrder {
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
    pub id: Run,
    pub lines: Run,
    /// What it adds to the digest as settled last.
    digest: u128,
    dirty: bool,
}

/// What a new order is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewOrder<'a> {
    pub fingerprint: Fingerprint,
    pub pool: u32,
    pub order_id: &'a str,
    pub attempt: u32,
    pub content: u64,
    pub sequence: u64,
    pub expires_at_ms: i64,
    pub lines: &'a [HeldLine],
}

/// A hold's place in the queue: by its end, then by the sequence of its Place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    expires_at_ms: i64,
    sequence: u64,
    slot: u32,
}

/// The open orders.
#[derive(Debug)]
pub(super) struct Orders {
    slots: Slab<OpenOrder>,
    ids: Arena<u8>,
    lines: Arena<HeldLine>,
    /// Holds by end. May have entries that no longer count, never at its head.
    due: BinaryHeap<Reverse<Due>>,
    held: usize,
    dirty: Vec<u32>,
    digest: u128,
    canonical: Canonical,
}

impl Orders {
    pub(super) fn new() -> Orders {
        Orders {
            slots: Slab::new(),
            ids: Arena::new(SMALLEST_ID_BYTES, MAX_ID_BYTES, 0),
            lines: Arena::new(1, MAX_LINES, HeldLine { row: 0, quantity: 0 }),
            due: BinaryHeap::new(),
            held: 0,
            dirty: Vec::new(),
            digest: 0,
            canonical: Canonical::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = self.due.capacity() * size_of::<Due>() + self.dirty.capacity() * size_of::<u32>();
        self.slots.bytes() + self.ids.bytes() + self.lines.bytes() + lists
    }

    pub(super) fn get(&self, slot: u32) -> &OpenOrder {
        &self.slots[slot]
    }

    /// An order's id. After [`Orders::close`] it stands until the next [`Orders::open`].
    pub(super) fn id(&self, run: Run) -> &str {
        std::str::from_utf8(self.ids.get(run)).expect("it was kept from a str")
    }

    /// An order's lines. After [`Orders::close`] they stand until the next [`Orders::open`].
    pub(super) fn lines(&self, run: Run) -> &[HeldLine] {
        self.lines.get(run)
    }

    /// Keeps a new order, held, and tells its slot.
    pub(super) fn open(&mut self, order: NewOrder<'_>) -> u32 {
        // A slot that is used again keeps its place in the list of dirty ones, and what it is to be settled against.
        let (dirty, digest) = self.slots.next().map_or((false, 0), |last| (last.dirty, last.digest));
        let slot = self.slots.put(OpenOrder {
            fingerprint: order.fingerprint,
            attempt: order.attempt,
            pool: order.pool,
            content: order.content,
            sequence: order.sequence,
            expires_at_ms: order.expires_at_ms,
            state: OrderState::Held,
            id: self.ids.keep(order.order_id.as_bytes()),
            lines: self.lines.keep(order.lines),
            digest,
            dirty,
        });
        self.held += 1;
        self.note(slot);
        self.queue(slot);
        slot
    }

    /// Held becomes committed.
    pub(super) fn confirm(&mut self, slot: u32) {
        let order = &mut self.slots[slot];
        order.state = OrderState::Committed;
        order.expires_at_ms = 0;
        self.held -= 1;
        self.note(slot);
        self.tidy_queue();
    }

    /// Moves the end of a hold.
    pub(super) fn extend(&mut self, slot: u32, expires_at_ms: i64) {
        self.slots[slot].expires_at_ms = expires_at_ms;
        self.note(slot);
        self.queue(slot);
        self.tidy_queue();
    }

    /// The order is open no longer; its slot is free.
    pub(super) fn close(&mut self, slot: u32) {
        let order = &mut self.slots[slot];
        if order.state == OrderState::Held {
            self.held -= 1;
        }
        order.state = OrderState::Unspecified;
        let (id, lines) = (order.id, order.lines);
        self.note(slot);
        self.ids.free(id);
        self.lines.free(lines);
        self.slots.free(slot);
        self.tidy_queue();
    }

    /// The earliest end of a hold.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.due.peek().map(|Reverse(due)| due.expires_at_ms)
    }

    /// The hold that ends first, if it ends by `until_ms`.
    pub(super) fn due(&self, until_ms: i64) -> Option<u32> {
        self.due.peek().filter(|Reverse(due)| due.expires_at_ms <= until_ms).map(|Reverse(due)| due.slot)
    }

    /// The sum over all open orders.
    pub(super) fn digest(&mut self, rows: &Rows) -> u128 {
        while let Some(slot) = self.dirty.pop() {
            let order = &mut self.slots[slot];
            order.dirty = false;
            self.digest = self.digest.wrapping_sub(order.digest);
            order.digest = 0;
            if order.state != OrderState::Unspecified {
                let id = std::str::from_utf8(self.ids.get(order.id)).expect("it was kept from a str");
                self.canonical.begin(3).str(rows.pool_name(order.pool)).str(id).u32(order.attempt);
                self.canonical.u64(order.content).u64(order.sequence).u8(order.state as u8).i64(order.expires_at_ms);
                for line in self.lines.get(order.lines) {
                    self.canonical.str(rows.sku(line.row)).u32(line.quantity);
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
        self.due.push(Reverse(Due { expires_at_ms: order.expires_at_ms, sequence: order.sequence, slot }));
    }

    /// Keeps the head of the queue true, and the queue in proportion to the holds there are.
    fn tidy_queue(&mut self) {
        while self.due.peek().is_some_and(|Reverse(due)| !counts(&self.slots, due)) {
            self.due.pop();
        }
        if self.due.len() > 2 * self.held + STALE_HOLDS {
            self.due.retain(|Reverse(due)| counts(&self.slots, due));
        }
    }
}

/// Whether an entry of the queue is that of a hold as it stands.
fn counts(slots: &Slab<OpenOrder>, due: &Due) -> bool {
    let order = &slots[due.slot];
    order.state == OrderState::Held && order.sequence == due.sequence && order.expires_at_ms == due.expires_at_ms
}
