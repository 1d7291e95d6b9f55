//! The Apache Kafka of this test binary.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice::devbroker::{Cluster, Options};

/// Started by the first test that needs it; ended by its guard when this process ends.
static SHARED: Mutex<Option<Cluster>> = Mutex::new(None);

/// The cluster of one broker, for one test alone: tests that load two cores side by side would only test each other.
pub(crate) struct Shared(MutexGuard<'static, Option<Cluster>>);

/// Waits for the other tests, then for the broker. Panics with what is missing if there can be none.
pub(crate) fn lock() -> Shared {
    // A test that failed has left topics behind, which have names of their own, and at worst a broker that is down.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.is_none() {
        *shared = Some(Cluster::start(&Options::default()).unwrap_or_else(|error| panic!("{error}")));
    }
    let mut kafka = Shared(shared);
    if kafka.pid(0).is_none() {
        kafka.restart(0).unwrap_or_else(|error| panic!("{error}"));
    }
    kafka.resume(0).unwrap_or_else(|error| panic!("{error}"));
    kafka
}

impl std::ops::Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("set by lock")
    }
}

impl std::ops::DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Cluster {
        self.0.as_mut().expect("set by lock")
    }
}
