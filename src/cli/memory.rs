//! Memory that is freed is kept for a while, because it will be needed again at once.
//!
//! Receive buffers, payloads and batches come and go by the megabyte many times a second. mimalloc gives freed memory
//! back to the system after a second, and the next buffer then pays for clearing fresh pages: in a drain of records of
//! 50 orders that was a tenth of all CPU time. How long it keeps them can be told in its environment only, which it reads
//! before `main`: so a command that works for long starts itself once more, in the same process.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// mimalloc's setting for how long freed memory is kept, and what the service sets it to unless somebody has: 10 s, ms.
pub const KEPT_MEMORY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10000");

/// Replaces the running program by itself with [`KEPT_MEMORY`] in its environment. Returns if that is there already, or
/// if the system does not allow it: then memory is given back sooner, and that is all.
pub(super) fn keep() {
    let (name, value) = KEPT_MEMORY;
    if env::var_os(name).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let _why_not = again.args(arguments).env(name, value).exec();
}
