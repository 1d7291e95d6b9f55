//! Where clients are destroyed: on threads that nobody waits for, because closing one can hang (librdkafka #4884).

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// As many at once, for as long as [`CLOSES_WITHIN`], is not a slow close but a leak worth an alarm.
const MANY: usize = 16;

/// What closing takes at the most, unless it hangs: a node that lets go of a dozen shards closes all of their clients at
/// once.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);

static DYING: AtomicUsize = AtomicUsize::new(0);

/// Since when there have been [`MANY`].
static MANY_SINCE: Mutex<Option<Instant>> = Mutex::new(None);

/// Clients whose destruction has begun and not ended, in the whole process.
pub fn clients_dying() -> usize {
    DYING.load(Ordering::Relaxed)
}

/// Drops `body` on a thread of its own.
pub(super) fn bury(body: impl Send + 'static) {
    let dying = DYING.fetch_add(1, Ordering::Relaxed) + 1;
    if too_many(&mut MANY_SINCE.lock().unwrap_or_else(PoisonError::into_inner), dying, Instant::now()) {
        tracing::error!(dying, "Kafka clients do not close");
    }
    let spawned = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(body);
        DYING.fetch_sub(1, Ordering::Relaxed);
    });
    if let Err(error) = spawned {
        DYING.fetch_sub(1, Ordering::Relaxed);
        tracing::error!(%error, "no thread to close a Kafka client on; it was closed here");
    }
}

/// Whether one more is one of many that have been dying for longer than it takes.
fn too_many(since: &mut Option<Instant>, dying: usize, now: Instant) -> bool {
    if dying < MANY {
        *since = None;
        return false;
    }
    now.saturating_duration_since(*since.get_or_insert(now)) > CLOSES_WITHIN
}

/// Buried when dropped.
pub(super) struct Buried<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Buried<T> {
    pub(super) fn new(inner: T) -> Self {
        Self(Some(inner))
    }
}

impl<T: Send + 'static> Deref for Buried<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("taken by drop only")
    }
}

impl<T: Send + 'static> DerefMut for Buried<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("taken by drop only")
    }
}

impl<T: Send + 'static> Drop for Buried<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            bury(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn many_that_close_at_once_are_no_alarm_and_many_that_do_not_close_are() {
        let (mut since, start) = (None, Instant::now());
        let mut alarm = |dying, after_s| too_many(&mut since, dying, start + Duration::from_secs(after_s));
        assert!(!(1..3 * MANY).any(|dying| alarm(dying, 0)));
        assert!(!alarm(1, 20), "all of them have closed");
        assert!(!alarm(MANY, 20) && !alarm(MANY + 1, 25));
        assert!(alarm(MANY + 2, 31));
    }

    #[test]
    fn what_is_buried_is_dropped_on_another_thread_and_does_not_hold_the_owner_up() {
        struct Slow(mpsc::Receiver<()>, mpsc::Sender<thread::ThreadId>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
                let _ = self.1.send(thread::current().id());
            }
        }
        let (release, held) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        drop(Buried::new(Slow(held, tell)));
        release.send(()).expect("the grave waits for it");
        assert_ne!(told.recv().expect("it is dropped in the end"), thread::current().id());
    }
}
