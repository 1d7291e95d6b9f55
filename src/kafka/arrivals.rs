//! For which of a lane's queues something arrived: a bit for each, set by librdkafka's threads and cleared by whoever
//! looks, so that a hundred queues in which nothing is cost a look at a few words and none at librdkafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::sync::Unparker;

use super::ffi::Bell;

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// A wake-up may be lost (rust-rdkafka #840): this often every queue is looked at. Two hundred looks cost some tens of
/// microseconds; a record that nobody tells of waits for as long.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// What librdkafka's threads know of the lane.
struct Rung {
    words: Box<[AtomicU64]>,
    unparker: Unparker,
}

/// What the lane knows of its queues. Each is taken for one in which something is until it was looked at.
pub(super) struct Arrivals {
    rung: Arc<Rung>,
    /// Queues for which somebody was woken who did not want what is there: waking him over and over would not help.
    noticed: Box<[u64]>,
    swept: Option<Instant>,
}

impl Arrivals {
    pub(super) fn new(queues: usize, unparker: Unparker) -> Self {
        let words = queues.div_ceil(WORD);
        let noticed = vec![0; words].into_boxed_slice();
        let words = (0..words).map(|_| AtomicU64::new(u64::MAX)).collect();
        Self { rung: Arc::new(Rung { words, unparker }), noticed, swept: None }
    }

    /// To be called when something arrives in a queue: notes it, and wakes the lane.
    pub(super) fn bell(&self, queue: usize) -> Bell {
        let rung = Arc::clone(&self.rung);
        Box::new(move || {
            rung.words[queue / WORD].fetch_or(1 << (queue % WORD), Ordering::AcqRel);
            rung.unparker.unpark();
        })
    }

    /// Whether something may be in a queue. Whoever is told so looks, and says by [`Arrivals::leave`] if something stays
    /// there.
    pub(super) fn take(&mut self, queue: usize) -> bool {
        let (word, bit) = (queue / WORD, 1 << (queue % WORD));
        self.noticed[word] &= !bit;
        let rung = &self.rung.words[word];
        rung.load(Ordering::Relaxed) & bit != 0 && rung.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Something stays in a queue.
    pub(super) fn leave(&self, queue: usize) {
        self.rung.words[queue / WORD].fetch_or(1 << (queue % WORD), Ordering::AcqRel);
    }

    /// Whether something may be in a queue of which nobody was told since it was last looked at.
    pub(super) fn has_news(&mut self) -> bool {
        let mut news = false;
        for (rung, noticed) in self.rung.words.iter().zip(&mut self.noticed) {
            let rung = rung.load(Ordering::Acquire);
            news |= rung & !*noticed != 0;
            *noticed |= rung;
        }
        news
    }

    /// Takes every queue for one in which something is, if that is due.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_PAUSE) {
            return;
        }
        self.swept = Some(now);
        for rung in &self.rung.words {
            rung.store(u64::MAX, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::sync::Parker;

    #[test]
    fn a_queue_is_looked_at_once_for_each_ring() {
        let mut arrivals = Arrivals::new(130, Parker::new().unparker().clone());
        let looked = |arrivals: &mut Arrivals| (0..130).filter(|queue| arrivals.take(*queue)).collect::<Vec<_>>();
        assert_eq!(looked(&mut arrivals), (0..130).collect::<Vec<_>>(), "nobody knows what is there at first");
        assert!(looked(&mut arrivals).is_empty());
        for queue in [0, 64, 129, 64] {
            arrivals.bell(queue)();
        }
        assert_eq!(looked(&mut arrivals), [0, 64, 129]);
    }

    #[test]
    fn what_is_left_alone_is_news_once_and_again_after_a_look() {
        let mut arrivals = Arrivals::new(3, Parker::new().unparker().clone());
        assert!(arrivals.has_news() && !arrivals.has_news());
        arrivals.bell(1)();
        assert!(!arrivals.has_news(), "it was told of before");
        assert!(arrivals.take(1));
        arrivals.leave(1);
        assert!(arrivals.has_news() && !arrivals.has_news());
        assert!(arrivals.take(1));
        arrivals.bell(1)();
        assert!(arrivals.has_news());
    }

    #[test]
    fn every_queue_is_looked_at_from_time_to_time() {
        let (mut arrivals, start) = (Arrivals::new(70, Parker::new().unparker().clone()), Instant::now());
        let mut looks = |after: Duration| {
            arrivals.sweep(start + after);
            (0..70).filter(|queue| arrivals.take(*queue)).count()
        };
        assert_eq!(looks(Duration::ZERO), 70);
        assert_eq!(looks(SWEEP_PAUSE / 2), 0);
        assert_eq!(looks(SWEEP_PAUSE), 70);
    }
}
