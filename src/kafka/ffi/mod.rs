//! What rdkafka does not wrap: batches off a partition's own queue, reading on by leader epoch, commits without its
//! flush, and two admin calls.
//!
//! All of the project's unsafe code is in this module. What makes each block sound is one of:
//! librdkafka's handles are thread safe; an owner ([`Owner`]) outlives every queue, partition and message taken from it,
//! because each of those holds it; and a pointer that librdkafka hands out is destroyed once, by the `Drop` of the type
//! that wraps it.
#![allow(unsafe_code)]

mod admin; // ListOffsets and DescribeTopics, asked without waiting
mod partition; // a partition being read, and what was read of it
mod properties; // the names of librdkafka's properties

use std::ffi::{CStr, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::context::Context;
use crate::kafka::fault::Problem;
use crate::kafka::graveyard::Buried;

pub(in crate::kafka) use admin::{Answer, TopicFound};
pub(in crate::kafka) use partition::{Batch, Found, Partition};
pub(in crate::kafka) use properties::property_names;

/// A client whose native handle this module may use.
pub(in crate::kafka) trait Native: Send + Sync + 'static {
    /// The handle, valid as long as `self`.
    fn native(&self) -> *mut rd_kafka_t;
}

impl Native for BaseConsumer<Context> {
    fn native(&self) -> *mut rd_kafka_t {
        self.client().native_ptr()
    }
}

impl Native for BaseProducer<Context> {
    fn native(&self) -> *mut rd_kafka_t {
        self.client().native_ptr()
    }
}

impl Native for AdminClient<Context> {
    fn native(&self) -> *mut rd_kafka_t {
        self.inner().native_ptr()
    }
}

impl<T: Native> Native for Buried<T> {
    fn native(&self) -> *mut rd_kafka_t {
        self.deref().native()
    }
}

/// Keeps a client alive for what was taken from it.
pub(in crate::kafka) type Owner = Arc<dyn Native>;

/// librdkafka takes milliseconds in an int, and -1 for ever, which nothing here may wait.
pub(in crate::kafka) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

/// Called by librdkafka's threads when something arrives, under the lock of a queue: it is short, and calls nothing of it.
pub(in crate::kafka) type Bell = Box<dyn Fn() + Send + Sync>;

/// An event queue.
pub(in crate::kafka) struct Queue {
    pub(in crate::kafka) native: *mut rd_kafka_queue_t,
    bell: Option<Box<Bell>>,
    pub(in crate::kafka) owner: Owner,
}

// SAFETY: librdkafka's queues may be used from any thread; the rest of the struct is Send.
unsafe impl Send for Queue {}

impl Queue {
    /// A new one.
    pub(in crate::kafka) fn new(owner: Owner) -> Self {
        // SAFETY: the owner's handle is valid; the queue is destroyed in drop, before the owner.
        let native = unsafe { rd_kafka_queue_new(owner.native()) };
        Self { native, bell: None, owner }
    }

    /// The client's own: delivery reports, errors, log lines.
    pub(in crate::kafka) fn main(owner: Owner) -> Self {
        // SAFETY: as in `new`; this is a counted reference to the queue.
        let native = unsafe { rd_kafka_queue_get_main(owner.native()) };
        Self { native, bell: None, owner }
    }

    /// Has `bell` called whenever the queue stops being empty.
    pub(in crate::kafka) fn wake(&mut self, bell: Bell) {
        unsafe extern "C" fn nonempty(_: *mut rd_kafka_t, bell: *mut c_void) {
            // SAFETY: `wake` passed a pointer to a Bell that lives until the callback is disabled.
            unsafe { (*bell.cast::<Bell>())() }
        }
        let bell = self.bell.insert(Box::new(bell));
        let opaque: *const Bell = &**bell;
        // SAFETY: the box is neither moved nor freed before drop disables the callback; librdkafka calls it under the
        // queue's lock, so that disabling it waits for one under way.
        unsafe { rd_kafka_queue_cb_event_enable(self.native, Some(nonempty), opaque.cast_mut().cast()) };
    }

    /// Whether nothing waits in it.
    pub(in crate::kafka) fn is_empty(&self) -> bool {
        // SAFETY: the queue is valid until drop.
        unsafe { rd_kafka_queue_length(self.native) == 0 }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our reference, given up once; the owner is dropped after this.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.native, None, ptr::null_mut());
            rd_kafka_queue_destroy(self.native);
        }
    }
}

/// Commits the open transaction. rdkafka's own call first flushes, which sleeps 100 ms whenever no delivery report is
/// outstanding; here they have all been counted before.
pub(in crate::kafka) fn commit_transaction(producer: &dyn Native, timeout: Duration) -> Result<(), Problem> {
    // SAFETY: valid handle; the error, if any, is ours.
    unsafe { take_error(rd_kafka_commit_transaction(producer.native(), millis(timeout))) }
}

/// Has librdkafka learn which brokers there are and which of them is the controller, from any that answers.
pub(in crate::kafka) fn look_for_brokers(client: &dyn Native, timeout: Duration) {
    let mut metadata = ptr::null();
    // SAFETY: valid handle; no topic is named; what is filled in, if anything, is ours and destroyed once.
    unsafe {
        rd_kafka_metadata(client.native(), 0, ptr::null_mut(), &mut metadata, millis(timeout));
        if !metadata.is_null() {
            rd_kafka_metadata_destroy(metadata);
        }
    }
}

/// Turns an error of librdkafka into a [`Problem`] and destroys it.
///
/// # Safety
/// `error` is null or an error that nobody else destroys.
pub(in crate::kafka) unsafe fn take_error(error: *mut rd_kafka_error_t) -> Result<(), Problem> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise; the text is copied before the error is destroyed.
    unsafe {
        let text = CStr::from_ptr(rd_kafka_error_string(error)).to_string_lossy().into_owned();
        let problem = Problem::new(rd_kafka_error_code(error).into(), &text);
        rd_kafka_error_destroy(error);
        Err(problem)
    }
}
