//! The two clocks of the local machine. Under test the scheduler supplies them; nothing but this file reads them.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::log::step::Now;

/// Milliseconds since this process first asked; never steps back.
#[must_use]
pub fn steady_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks, read now.
#[must_use]
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { steady_ms: steady_ms(), unix_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
}
