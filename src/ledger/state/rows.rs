//! Stock: pools and SKUs, each interned once, and a row for each pair that is known.
//!
//! A row without stock, holds, commitments, safety stock or halt is dropped by the rule for identities (RULES.md,
//! "Memory"), so that one-off listings do not grow memory for ever. A pool lives as long as it has rows or is halted.

use std::cell::Cell;
use std::collections::VecDeque;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::digest::Canonical;
use crate::ledger::store::names::{Name, Names};
use crate::ledger::store::slab::Slab;
use crate::ledger::store::table::Table;
use crate::ledger::terms::StockRow;
use crate::wire::decision::SkuNames;
use crate::wire::{StockLevel, Text};

/// The figures of a row, all in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub on_hand: i64,
    pub reserved: i64,
    pub committed: i64,
    pub safety_stock: i64,
    pub halted: bool,
    /// The number of the row's rules plus one; 0 if it has none.
    scope: u32,
}

impl Figures {
    /// What may still be sold; negative where more is promised or kept back than there is.
    pub(crate) fn available(&self) -> i64 {
        self.on_hand - self.reserved - self.committed - self.safety_stock
    }

    /// Whether there are units, on the shelf or promised.
    pub(crate) fn has_units(&self) -> bool {
        (self.on_hand, self.reserved, self.committed) != (0, 0, 0)
    }

    /// Units promised that are not there.
    pub(crate) fn shortfall(&self) -> u64 {
        (self.reserved + self.committed - self.on_hand).max(0) as u64
    }

    /// The row as a stock command's decision shows it.
    pub(crate) fn level<'a>(&self, sku: Text<'a>, change: i64) -> StockLevel<'a> {
        StockLevel {
            sku,
            change,
            on_hand: self.on_hand,
            reserved: self.reserved as u64,
            committed: self.committed as u64,
            safety_stock: self.safety_stock as u64,
            halted: self.halted,
            shortfall: self.shortfall(),
            lot: None,
        }
    }
}

/// What an order reads and changes of a row: a cache line, because stock is looked up in no order.
#[derive(Debug)]
#[repr(align(64))]
struct Row {
    figures: Figures,
    pool: u32,
    /// Changed since the digest was settled, which was in the present generation.
    dirty: bool,
    used: bool,
    sku: Name,
}

const _: () = assert!(size_of::<Row>() == 64);

/// The rest of it.
#[derive(Debug)]
struct Past {
    /// Generation of the last change.
    changed: i64,
    /// Generation in whose list of empty rows it stands.
    listed: i64,
    /// What it adds to the digest as settled last; 0 for a slot that is free, once that is settled.
    digest: u128,
}

#[derive(Debug)]
struct Pool {
    name: Box<str>,
    halted: bool,
    rows: u32,
    /// Limits and deliveries of that pool that are remembered, and its day counts.
    pins: u32,
    /// As [`Figures::scope`].
    scope: u32,
}

/// The stock of a shard.
#[derive(Debug)]
pub(crate) struct Rows {
    seed: u64,
    pools: Slab<Pool>,
    pool_index: HashTable<u32>,
    /// The pool asked for last, if it is still there: most records are of one pool, and ask for it several times.
    last_pool: Cell<Option<u32>>,
    rows: Slab<Row>,
    /// Of each row, in the same slots.
    past: Slab<Past>,
    names: Names,
    index: Table,
    /// For each generation, oldest first: rows that were empty after a change in it.
    empty: VecDeque<(i64, Vec<u32>)>,
    /// Emptied lists, for their capacity.
    spare: Vec<Vec<u32>>,
    /// Rows whose contribution to the digest is not up to date.
    dirty: Vec<u32>,
    digest: u128,
    canonical: Canonical,
}

impl Rows {
    /// No stock. `seed` is any secret number: it keeps names from being chosen to meet in one bucket.
    pub(crate) fn new(seed: u64) -> Rows {
        Rows {
            seed,
            pools: Slab::new(),
            pool_index: HashTable::new(),
            last_pool: Cell::new(None),
            rows: Slab::new(),
            past: Slab::new(),
            names: Names::default(),
            index: Table::new(),
            empty: VecDeque::new(),
            spare: Vec::new(),
            dirty: Vec::new(),
            digest: 0,
            canonical: Canonical::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        let lists = self.dirty.capacity() * size_of::<u32>();
        self.pools.bytes() + self.rows.bytes() + self.past.bytes() + self.names.bytes() + self.index.bytes() + lists
    }

    /// The pool's number, if it has rows or is halted.
    #[inline]
    pub(crate) fn pool(&self, name: Text<'_>) -> Option<u32> {
        match self.last_pool.get() {
            Some(last) if self.pool_name(last) == name => Some(last),
            _ => self.find_pool(name),
        }
    }

    #[inline(never)]
    fn find_pool(&self, name: Text<'_>) -> Option<u32> {
        let name = name.as_bytes();
        let hash = xxh3_64_with_seed(name, self.seed);
        let found = self.pool_index.find(hash, |pool| self.pools[*pool].name.as_bytes() == name).copied();
        self.last_pool.set(found);
        found
    }

    #[inline]
    pub(crate) fn pool_name(&self, pool: u32) -> Text<'_> {
        (&*self.pools[pool].name).into()
    }

    #[inline]
    pub(crate) fn pool_halted(&self, pool: u32) -> bool {
        self.pools[pool].halted
    }

    /// Whether no rule of the pool stands in the way of its lines.
    #[inline]
    pub(crate) fn is_pool_free(&self, pool: u32) -> bool {
        let pool = &self.pools[pool];
        !pool.halted && pool.scope == 0
    }

    /// The rules of a pool.
    #[inline]
    pub(crate) fn pool_scope(&self, pool: u32) -> Option<u32> {
        self.pools[pool].scope.checked_sub(1)
    }

    /// The rules of a row.
    #[inline]
    pub(crate) fn scope(&self, row: u32) -> Option<u32> {
        self.rows[row].figures.scope.checked_sub(1)
    }

    pub(crate) fn set_scope(&mut self, row: u32, scope: Option<u32>) {
        self.rows[row].figures.scope = scope.map_or(0, |scope| scope + 1);
    }

    /// A pool without rules that has nothing else is dropped.
    pub(crate) fn set_pool_scope(&mut self, pool: u32, scope: Option<u32>) {
        self.pools[pool].scope = scope.map_or(0, |scope| scope + 1);
        self.drop_pool_if_idle(pool);
    }

    /// A pool stays as long as a limit or a delivery of it is remembered, or a day count stands.
    pub(crate) fn pin_pool(&mut self, pool: u32) {
        self.pools[pool].pins += 1;
    }

    pub(crate) fn unpin_pool(&mut self, pool: u32) {
        self.pools[pool].pins -= 1;
        self.drop_pool_if_idle(pool);
    }

    pub(crate) fn pool_of(&self, row: u32) -> u32 {
        self.rows[row].pool
    }

    /// Whether nothing but rules keeps a row.
    pub(crate) fn is_bare(&self, row: u32) -> bool {
        Figures { scope: 0, ..self.rows[row].figures } == Figures::default()
    }

    /// Whether nothing but a sale keeps a pool.
    pub(crate) fn is_pool_bare(&self, pool: u32) -> bool {
        let pool = &self.pools[pool];
        pool.rows == 0 && !pool.halted && pool.pins == 0
    }

    /// Generation of a row's last change.
    pub(crate) fn changed(&self, row: u32) -> i64 {
        self.past[row].changed
    }

    /// The row of a SKU in a pool.
    #[inline]
    pub(crate) fn row(&self, pool: u32, sku: Text<'_>) -> Option<u32> {
        self.index.find(self.hash(pool, sku), |row| self.is(row, pool, sku))
    }

    /// The hash by which a SKU is looked up in a pool.
    #[inline]
    pub(crate) fn hash(&self, pool: u32, sku: Text<'_>) -> u64 {
        /// Any odd constant that spreads small numbers over 64 bits.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        xxh3_64_with_seed(sku.as_bytes(), self.seed ^ u64::from(pool).wrapping_mul(SPREAD))
    }

    /// The row that this hash stands for, or 0, or another one: [`Rows::is`] tells.
    #[inline]
    pub(crate) fn likely_row(&self, hash: u64) -> u32 {
        self.index.find(hash, |_| true).unwrap_or(0)
    }

    /// Whether a row that was found before is that of this SKU now.
    #[inline]
    pub(crate) fn is(&self, row: u32, pool: u32, sku: Text<'_>) -> bool {
        self.rows.get(row).is_some_and(|it| it.used && it.pool == pool && self.names.text(&it.sku) == sku)
    }

    /// Reads rows, so that they are in the cache when they are looked at. Tells whether some have rules.
    #[inline]
    pub(crate) fn touch<'a>(&self, rows: impl Iterator<Item = &'a u32>) -> bool {
        let scopes = rows.map(|row| self.rows.get(*row).map_or(0, |it| it.figures.scope));
        std::hint::black_box(scopes.fold(0, |all, scope| all | scope)) != 0
    }

    /// The rules of a row that may be any, or none.
    #[inline]
    pub(crate) fn likely_scope(&self, row: u32) -> Option<u32> {
        self.rows.get(row)?.figures.scope.checked_sub(1)
    }

    #[inline]
    pub(crate) fn figures(&self, row: u32) -> &Figures {
        &self.rows[row].figures
    }

    /// Whether so many units of a row are available.
    #[inline]
    pub(crate) fn has(&self, row: u32, units: u32) -> bool {
        self.rows[row].figures.available() >= i64::from(units)
    }

    /// Whether no rule is about a row, nor a halt.
    #[inline]
    pub(crate) fn is_free(&self, row: u32) -> bool {
        let figures = &self.rows[row].figures;
        !figures.halted && figures.scope == 0
    }

    /// Units of a row are held. [`Rows::put_back`] may undo it; [`Rows::note`] must follow if it does not.
    #[inline]
    pub(crate) fn hold(&mut self, row: u32, units: u32) {
        self.rows[row].figures.reserved += i64::from(units);
    }

    /// Undoes [`Rows::hold`] before it was noted.
    pub(crate) fn put_back(&mut self, row: u32, units: u32) {
        self.rows[row].figures.reserved -= i64::from(units);
    }

    /// Changes a row in `generation`, the present one.
    #[inline]
    pub(crate) fn change(&mut self, row: u32, generation: i64, change: impl FnOnce(&mut Figures)) {
        change(&mut self.rows[row].figures);
        self.note(row, generation);
        if self.rows[row].figures == Figures::default() {
            self.list_empty(row, generation);
        }
    }

    /// A row was changed in `generation`, the present one. [`Rows::begin_generation`] must have been told of it.
    #[inline]
    pub(crate) fn note(&mut self, row: u32, generation: i64) {
        let it = &mut self.rows[row];
        if !it.dirty {
            it.dirty = true;
            self.dirty.push(row);
            self.past[row].changed = generation;
        }
    }

    #[cold]
    fn list_empty(&mut self, row: u32, generation: i64) {
        if std::mem::replace(&mut self.past[row].listed, generation) == generation {
            return;
        }
        if self.empty.back().is_none_or(|(newest, _)| *newest != generation) {
            self.empty.push_back((generation, self.spare.pop().unwrap_or_default()));
        }
        self.empty.back_mut().expect("one was just made sure of").1.push(row);
    }

    /// The row of a SKU in a pool, made known in `generation` if it was not. [`Rows::change`] must follow.
    pub(crate) fn make(&mut self, pool: Text<'_>, sku: Text<'_>, generation: i64) -> u32 {
        let pool = self.make_pool(pool);
        if let Some(row) = self.row(pool, sku) {
            return row;
        }
        let hash = self.hash(pool, sku);
        // A slot that is used again keeps its place in the list of dirty ones, and what it is to be settled against.
        let dirty = self.rows.next().is_some_and(|last| last.dirty);
        let digest = self.past.next().map_or(0, |last| last.digest);
        let sku = self.names.keep(sku);
        let row = self.rows.put(Row { figures: Figures::default(), pool, dirty, used: true, sku });
        let past = self.past.put(Past { changed: generation, listed: i64::MIN, digest });
        debug_assert_eq!(row, past, "both come and go together");
        self.index.insert(hash, row);
        self.pools[pool].rows += 1;
        row
    }

    /// Halts or resumes a whole pool.
    pub(crate) fn halt_pool(&mut self, name: Text<'_>, halted: bool) {
        if halted {
            let pool = self.make_pool(name);
            if !std::mem::replace(&mut self.pools[pool].halted, true) {
                self.digest = self.digest.wrapping_add(self.canonical.halted_pool(name));
            }
        } else if let Some(pool) = self.pool(name)
            && std::mem::replace(&mut self.pools[pool].halted, false)
        {
            self.digest = self.digest.wrapping_sub(self.canonical.halted_pool(name));
            self.drop_pool_if_idle(pool);
        }
    }

    /// A generation begins: settles what was changed in those before, and drops the empty rows that are no longer known
    /// by `knows`, which tells it of a generation.
    pub(crate) fn begin_generation(&mut self, knows: impl Fn(i64) -> bool) {
        self.digest();
        while let Some((generation, _)) = self.empty.front() {
            if knows(*generation) {
                return;
            }
            let (generation, mut list) = self.empty.pop_front().expect("it was just looked at");
            for row in list.drain(..) {
                let it = &self.rows[row];
                if it.used && self.past[row].changed == generation && it.figures == Figures::default() {
                    self.drop_row(row);
                }
            }
            self.spare.push(list);
        }
    }

    /// The sum over all rows and halted pools.
    pub(crate) fn digest(&mut self) -> u128 {
        while let Some(row) = self.dirty.pop() {
            let (it, past) = (&mut self.rows[row], &mut self.past[row]);
            it.dirty = false;
            self.digest = self.digest.wrapping_sub(past.digest);
            past.digest = 0;
            if it.used {
                let (figures, sku) = (&it.figures, self.names.text(&it.sku));
                self.canonical.begin(1).str(self.pools[it.pool].name.as_bytes()).str(sku.as_bytes());
                self.canonical.i64(figures.on_hand).i64(figures.reserved).i64(figures.committed);
                self.canonical.i64(figures.safety_stock).u8(figures.halted.into()).i64(past.changed);
                past.digest = self.canonical.hash();
                self.digest = self.digest.wrapping_add(past.digest);
            }
        }
        self.digest
    }

    /// One row as it stands.
    pub(crate) fn view(&self, row: u32) -> StockRow<'_> {
        self.view_of(&self.rows[row])
    }

    /// Every row, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = StockRow<'_>> {
        self.rows.all().filter(|row| row.used).map(|row| self.view_of(row))
    }

    fn view_of<'a>(&'a self, row: &'a Row) -> StockRow<'a> {
        StockRow {
            pool: &self.pools[row.pool].name,
            sku: self.names.text(&row.sku).as_str(),
            on_hand: row.figures.on_hand,
            reserved: row.figures.reserved as u64,
            committed: row.figures.committed as u64,
            safety_stock: row.figures.safety_stock as u64,
            halted: row.figures.halted,
        }
    }

    pub(crate) fn make_pool(&mut self, name: Text<'_>) -> u32 {
        if let Some(pool) = self.pool(name) {
            return pool;
        }
        let pool = self.pools.put(Pool { name: name.as_str().into(), halted: false, rows: 0, pins: 0, scope: 0 });
        let (pools, seed) = (&self.pools, self.seed);
        let hash_of = |pool: &u32| xxh3_64_with_seed(pools[*pool].name.as_bytes(), seed);
        self.pool_index.insert_unique(hash_of(&pool), pool, hash_of);
        pool
    }

    /// A row that nothing is known of any more.
    pub(crate) fn drop_row(&mut self, row: u32) {
        let it = &mut self.rows[row];
        it.used = false;
        let (pool, sku) = (it.pool, it.sku);
        if !std::mem::replace(&mut it.dirty, true) {
            self.dirty.push(row);
        }
        let removed = self.index.remove(self.hash(pool, self.names.text(&sku)), row);
        assert!(removed, "a row in use is in the table");
        self.names.forget(sku);
        self.rows.free(row);
        self.past.free(row);
        self.pools[pool].rows -= 1;
        self.drop_pool_if_idle(pool);
    }

    fn drop_pool_if_idle(&mut self, pool: u32) {
        if !self.is_pool_bare(pool) || self.pools[pool].scope != 0 {
            return;
        }
        let hash = xxh3_64_with_seed(self.pools[pool].name.as_bytes(), self.seed);
        self.last_pool.set(None);
        if let Ok(entry) = self.pool_index.find_entry(hash, |other| *other == pool) {
            entry.remove();
            self.pools.free(pool);
        }
    }
}

impl SkuNames for Rows {
    fn sku(&self, row: u32) -> Text<'_> {
        self.names.text(&self.rows[row].sku)
    }
}
