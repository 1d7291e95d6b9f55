//! The Apache Kafka of this test binary.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sluice::devbroker::{Cluster, Options};

/// Started by the first test that needs it; ended by its guard when this process ends.
static KAFKA: RwLock<Option<Cluster>> = RwLock::new(None);

/// The cluster of one broker, beside other tests, which have topics of their own.
pub(crate) struct Shared(RwLockReadGuard<'static, Option<Cluster>>);

/// The cluster of one broker, for one test alone: one that ends or freezes it, or that needs the whole machine.
pub(crate) struct Alone(RwLockWriteGuard<'static, Option<Cluster>>);

/// Waits until nobody has the broker alone. Panics with what is missing if there can be none.
pub(crate) fn share() -> Shared {
    loop {
        let kafka = KAFKA.read().unwrap_or_else(PoisonError::into_inner);
        if kafka.as_ref().is_some_and(|cluster| cluster.pid(0).is_some()) {
            return Shared(kafka);
        }
        drop(kafka);
        drop(alone());
    }
}

/// Waits for the other tests, then for the broker. Panics with what is missing if there can be none.
pub(crate) fn alone() -> Alone {
    let mut kafka = KAFKA.write().unwrap_or_else(PoisonError::into_inner);
    if kafka.is_none() {
        *kafka = Some(Cluster::start(&Options::default()).unwrap_or_else(|error| panic!("{error}")));
    }
    let mut kafka = Alone(kafka);
    if kafka.pid(0).is_none() {
        kafka.restart(0).unwrap_or_else(|error| panic!("{error}"));
    }
    kafka
}

impl Drop for Alone {
    /// A test that failed may leave the broker frozen; one that is down is started by the next test.
    fn drop(&mut self) {
        let _ = self.resume(0);
    }
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("set by alone")
    }
}

impl Deref for Alone {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("set by alone")
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Cluster {
        self.0.as_mut().expect("set by alone")
    }
}
