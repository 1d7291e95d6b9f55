//! What a ledger is told at its making, and what it tells about itself.

/// What a shard's ledger decides by. `shard` to `skew_ms` come from the genesis record; the rest is configuration and
/// may differ from one run to the next without changing what a replay gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The partition.
    pub shard: u32,
    /// Partitions of the topic; routing is murmur2(pool) modulo this.
    pub partitions: u32,
    /// How long an order id is remembered, by shard time, in ms.
    pub window_ms: u64,
    /// By how much `placed_at` and `issued_at` may be ahead of shard time, in ms.
    pub skew_ms: u64,
    /// The rules level at which the log begins; [`Ledger::rules_level`](super::Ledger::rules_level) tells the present
    /// one.
    pub rules_level: u32,
    /// The hold of a Place that asks for none, in ms.
    pub default_hold_ms: u64,
    /// The longest hold that may be asked for, in ms.
    pub max_hold_ms: u64,
    /// Identities to be ready for: tables grow towards this number without waste, and take no memory before they come.
    pub expected_ids: usize,
    /// Identities for which there is memory, an open order counting for four: at 95% of it new orders are answered BUSY,
    /// at 99% stock commands too, at all of it halts. Never is the window shortened instead.
    pub max_ids: usize,
}

/// The two times at which a command is applied, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The shard's time: the highest broker timestamp of the input so far.
    pub shard_time_ms: i64,
    /// The engine's clock, taken once a batch; nothing but `answer_by` is judged by it.
    pub engine_time_ms: i64,
}

/// Secret key of the identity fingerprints. Ids come from outside: whoever knew it could make two of them collide.
/// It shows in no decision and in no digest, so that every ledger may have its own.
#[derive(Clone, Copy)]
pub struct FingerprintKey(pub [u8; 16]);

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(secret)")
    }
}

/// Bytes that a remembered, closed identity takes at the most, tables included: what memory bounds are counted in.
pub const BYTES_PER_REMEMBERED_ID: usize = 40;

/// How full a ledger is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Closed identities remembered: orders and stock commands.
    pub remembered: usize,
    /// Open orders: held or committed.
    pub open: usize,
    /// Counters of limits that count something.
    pub counters: usize,
    /// Stock rows.
    pub rows: usize,
    /// Bytes set aside for all of these.
    pub bytes: usize,
    /// At least 80% of `Rules::max_ids` are used: somebody should hear of it.
    pub alarm: bool,
    /// New orders are answered BUSY until time has moved on, or orders were closed.
    pub busy: bool,
}

/// A stock row as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StockRow<'a> {
    /// Whose stock.
    pub pool: &'a str,
    /// What.
    pub sku: &'a str,
    /// Units on the shelf; negative after an adjustment, count or shipment that says so.
    pub on_hand: i64,
    /// Units held for orders that are not paid.
    pub reserved: u64,
    /// Units paid for and not shipped.
    pub committed: u64,
    /// Units never sold.
    pub safety_stock: u64,
    /// Whether this SKU is halted; its pool may be besides.
    pub halted: bool,
}
