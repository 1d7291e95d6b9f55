//! Questions that are asked side by side: each waits for a broker most of its time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long whoever waits is left without a word.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Hands each of these to `work`, so many at a time, and what comes of it to `each`, on the caller's thread and as it comes.
/// `tell` hears how many are done each time that a while has passed. Once `each` has failed nothing more is begun.
///
/// # Errors
/// Those of `each`.
pub(super) fn side_by_side<I: Copy + Send + Sync, T: Send, E>(
    items: &[I],
    at_a_time: usize,
    work: impl Fn(I) -> T + Sync,
    each: &mut dyn FnMut(I, T) -> Result<(), E>,
    tell: &mut dyn FnMut(usize),
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_a_time.min(items.len()) {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                // An index is all that they share; nobody hears any more once one has failed.
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if done.send((*item, work(*item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let (mut count, mut told) = (0, Instant::now());
        loop {
            match results.recv_timeout(TELL_EVERY.saturating_sub(told.elapsed())) {
                Ok((item, result)) => {
                    if let Err(error) = each(item, result) {
                        next.store(items.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                    count += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tell(count);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn all_are_done_and_never_more_at_a_time_than_are_allowed() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |item: u32| {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            now.fetch_sub(1, Ordering::Relaxed);
            item * 2
        };
        let items: Vec<u32> = (0..100).collect();
        let mut seen = BTreeSet::new();
        let mut each = |item, result| -> Result<(), ()> {
            assert_eq!(result, item * 2);
            seen.insert(item);
            Ok(())
        };
        assert_eq!(side_by_side(&items, 7, work, &mut each, &mut |_| {}), Ok(()));
        assert_eq!((seen.len(), most.into_inner() <= 7), (100, true));
        assert_eq!(side_by_side(&[], 7, |item: u32| item, &mut |_, _| Err(()), &mut |_| {}), Ok(()));
    }

    #[test]
    fn nothing_is_begun_after_a_failure() {
        let begun = Mutex::new(0);
        let work = |item: u32| {
            *begun.lock().expect("nobody panics") += 1;
            item
        };
        let items: Vec<u32> = (0..10_000).collect();
        let mut each = |item, _| if item == 3 { Err(item) } else { Ok(()) };
        let told = side_by_side(
            &items,
            1,
            |item| {
                thread::yield_now();
                work(item)
            },
            &mut each,
            &mut |_| {},
        );
        assert_eq!(told, Err(3));
        assert!(begun.into_inner().expect("nobody panics") < items.len(), "all were begun");
    }
}
