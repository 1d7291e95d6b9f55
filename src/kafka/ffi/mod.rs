//! What rdkafka does not wrap: batches off a partition's own queue, reading on by leader epoch, commits without its
//! flush, and two admin calls.
//!
//! All of the project's unsafe code is in this module. What makes each block sound is one of:
//! librdkafka's handles are thread safe; an owner ([`Owner`]) outlives every queue, partition and message taken from it,
//! because each of those holds it; and a pointer that librdkafka hands out is destroyed once, by the `Drop` of the type
//! that wraps it.
#![allow(unsafe_code)]

mod admin; // ListOffsets and DescribeTopics, asked without waiting
mod properties; // the names of librdkafka's properties

use std::ffi::{CStr, CString, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::sync::Unparker;
use rdkafka::admin::AdminClient;
use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaRespErr;

use crate::broker::{Header, Record, TimestampKind};
use crate::kafka::context::Context;
use crate::kafka::fault::Problem;
use crate::kafka::graveyard::Buried;

pub(in crate::kafka) use admin::{Answer, TopicFound};
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

/// An event queue.
pub(in crate::kafka) struct Queue {
    pub(in crate::kafka) native: *mut rd_kafka_queue_t,
    waker: Option<Box<Unparker>>,
    pub(in crate::kafka) owner: Owner,
}

// SAFETY: librdkafka's queues may be used from any thread; the rest of the struct is Send.
unsafe impl Send for Queue {}

impl Queue {
    /// A new one.
    pub(in crate::kafka) fn new(owner: Owner) -> Self {
        // SAFETY: the owner's handle is valid; the queue is destroyed in drop, before the owner.
        let native = unsafe { rd_kafka_queue_new(owner.native()) };
        Self { native, waker: None, owner }
    }

    /// The client's own: delivery reports, errors, log lines.
    pub(in crate::kafka) fn main(owner: Owner) -> Self {
        // SAFETY: as in `new`; this is a counted reference to the queue.
        let native = unsafe { rd_kafka_queue_get_main(owner.native()) };
        Self { native, waker: None, owner }
    }

    /// Has `unparker` called whenever the queue stops being empty.
    pub(in crate::kafka) fn wake(&mut self, unparker: Unparker) {
        unsafe extern "C" fn nonempty(_: *mut rd_kafka_t, unparker: *mut c_void) {
            // SAFETY: `wake` passed a pointer to an Unparker that lives until the callback is disabled.
            unsafe { &*unparker.cast::<Unparker>() }.unpark();
        }
        let waker = self.waker.insert(Box::new(unparker));
        let opaque: *const Unparker = &**waker;
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

/// What is found in a partition's queue, in order.
pub(in crate::kafka) enum Found {
    /// A record at this offset; it is in the batch.
    Record(i64),
    /// Everything below this offset has been read.
    End(i64),
    /// Reading went wrong.
    Error(Problem),
}

/// One partition being read from an explicit offset, on a queue of its own.
pub(in crate::kafka) struct Partition {
    topic: *mut rd_kafka_topic_t,
    partition: i32,
    queue: Queue,
    spare: Vec<*mut rd_kafka_message_t>,
}

// SAFETY: librdkafka's topic handles may be used from any thread; `spare` is empty between calls.
unsafe impl Send for Partition {}

impl Partition {
    /// Starts to read. The queue is the partition's from the first fetch on; one split off after an assignment would
    /// miss what arrived before.
    pub(in crate::kafka) fn start(
        owner: Owner,
        topic: &str,
        partition: u32,
        offset: i64,
        waker: Unparker,
    ) -> Result<Self, Problem> {
        let bad = |what: &str| Problem::new(RDKafkaErrorCode::InvalidArgument, what);
        let name = CString::new(topic).map_err(|_| bad("topic name with a zero byte"))?;
        let partition = i32::try_from(partition).map_err(|_| bad("partition out of range"))?;
        if offset < 0 {
            return Err(bad("negative offset"));
        }
        let mut queue = Queue::new(owner);
        queue.wake(waker);
        // SAFETY: valid handle and C string; the topic is destroyed in drop, before the queue and its owner.
        let handle = unsafe { rd_kafka_topic_new(queue.owner.native(), name.as_ptr(), ptr::null_mut()) };
        if handle.is_null() {
            return Err(bad("librdkafka refused the topic"));
        }
        let this = Self { topic: handle, partition, queue, spare: Vec::new() };
        // SAFETY: topic and queue are valid and belong to the same client; drop stops what is started here.
        if unsafe { rd_kafka_consume_start_queue(this.topic, partition, offset, this.queue.native) } != 0 {
            return Err(bad("librdkafka refused to start reading"));
        }
        Ok(this)
    }

    /// Whether nothing waits in its queue.
    pub(in crate::kafka) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Has reading begin at `offset` again once the leader has told that the records of `leader_epoch` reach it; if they
    /// do not, an error arrives. What had arrived before is dropped. False if the partition is not known yet.
    pub(in crate::kafka) fn verify(&self, offset: i64, leader_epoch: i32) -> bool {
        // SAFETY: valid handles; the list is made, used and destroyed here, and copies the name. With a time-out of 0
        // librdkafka waits for nothing and returns no error, but says in the list what it made of it.
        unsafe {
            let list = rd_kafka_topic_partition_list_new(1);
            let place = rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(self.topic), self.partition);
            (*place).offset = offset;
            rd_kafka_topic_partition_set_leader_epoch(place, leader_epoch);
            let asked = take_error(rd_kafka_seek_partitions(self.queue.owner.native(), list, 0));
            let begun = (*place).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__IN_PROGRESS;
            rd_kafka_topic_partition_list_destroy(list);
            asked.is_ok() && begun
        }
    }

    /// Takes what has arrived, `most` at the most, and tells `found` what it was. Does not wait.
    pub(in crate::kafka) fn take(&mut self, most: usize, found: &mut dyn FnMut(Found)) -> Option<Batch> {
        self.spare.reserve(most);
        // SAFETY: there is room for `most` pointers; librdkafka writes as many as it returns, each to a message that
        // is ours from then on.
        let count = unsafe {
            let count = rd_kafka_consume_batch_queue(self.queue.native, 0, self.spare.as_mut_ptr(), most);
            let count = usize::try_from(count).unwrap_or(0);
            self.spare.set_len(count);
            count
        };
        if count == 0 {
            return None;
        }
        // librdkafka reports it as one of many reasons for a reset that is not allowed, and only in words.
        // SAFETY: a static string.
        let truncation = unsafe { CStr::from_ptr(rd_kafka_err2str(RDKafkaRespErr::RD_KAFKA_RESP_ERR__LOG_TRUNCATION)) };
        let truncation = truncation.to_string_lossy();
        let mut records = Vec::with_capacity(count);
        for message in self.spare.drain(..) {
            // SAFETY: a valid message, not yet destroyed; its error text is valid as long as it is.
            let (code, offset) = unsafe { ((*message).err, (*message).offset) };
            match code {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    found(Found::Record(offset));
                    // SAFETY: as above.
                    records.push(unsafe { Message::new(message) });
                    continue;
                }
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => found(Found::End(offset)),
                _ => {
                    // SAFETY: as above.
                    let text = unsafe { CStr::from_ptr(rd_kafka_message_errstr(message)) }.to_string_lossy();
                    let code = if text.contains(&*truncation) { RDKafkaErrorCode::LogTruncation } else { code.into() };
                    found(Found::Error(Problem::new(code, &text)));
                }
            }
            // SAFETY: ours, and kept nowhere.
            unsafe { rd_kafka_message_destroy(message) };
        }
        (!records.is_empty()).then(|| Batch { messages: records, _owner: Arc::clone(&self.queue.owner) })
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // SAFETY: started in `start` at most once; the topic reference is ours and given up once. Stopping waits for
        // librdkafka's own thread, which is why partitions are dropped in the graveyard.
        unsafe {
            rd_kafka_consume_stop(self.topic, self.partition);
            rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// A message as librdkafka holds it, and what only a call tells of it: it is looked at more than once.
struct Message {
    native: *mut rd_kafka_message_t,
    timestamp_ms: i64,
    timestamp_kind: TimestampKind,
    leader_epoch: i32,
}

impl Message {
    /// # Safety
    /// `native` is a valid message.
    unsafe fn new(native: *mut rd_kafka_message_t) -> Self {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the caller's promise.
        let (timestamp_ms, leader_epoch) =
            unsafe { (rd_kafka_message_timestamp(native, &mut kind), rd_kafka_message_leader_epoch(native)) };
        let timestamp_kind = match kind {
            rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => TimestampKind::LogAppend,
            _ => TimestampKind::Other,
        };
        Message { native, timestamp_ms, timestamp_kind, leader_epoch }
    }
}

/// Records as librdkafka holds them, nothing copied.
pub(in crate::kafka) struct Batch {
    messages: Vec<Message>,
    _owner: Owner,
}

// SAFETY: messages may be read and destroyed on any thread, one at a time, which owning the batch ensures.
unsafe impl Send for Batch {}

/// Bytes of a message, living as long as its batch.
///
/// # Safety
/// `data` is null or points to `len` bytes that outlive `'a`.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

impl Batch {
    /// How many records.
    pub(in crate::kafka) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Record `i`.
    pub(in crate::kafka) fn record(&self, i: usize) -> Record<'_> {
        let Message { native, timestamp_ms, timestamp_kind, leader_epoch } = self.messages[i];
        // SAFETY: a valid message, whose key and value live until the batch is dropped.
        unsafe {
            let (offset, key) = ((*native).offset, bytes((*native).key, (*native).key_len));
            let value = bytes((*native).payload, (*native).len);
            Record { offset, timestamp_ms, timestamp_kind, leader_epoch, key, value }
        }
    }

    /// The headers of record `i`, copied.
    pub(in crate::kafka) fn headers(&self, i: usize) -> Vec<Header> {
        let mut found = Vec::new();
        let mut headers = ptr::null_mut();
        // SAFETY: a valid message, parsed by this thread alone (the batch is not Sync); headers, names and values live
        // as long as it does and are copied here.
        unsafe {
            if rd_kafka_message_headers(self.messages[i].native, &mut headers)
                != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return found;
            }
            let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
            while rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut len)
                == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                let name = CStr::from_ptr(name).to_string_lossy().into_owned();
                found.push((name, bytes(value, len).map(<[u8]>::to_vec)));
            }
        }
        found
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.messages {
            // SAFETY: ours, destroyed once; the owner is dropped after this.
            unsafe { rd_kafka_message_destroy(message.native) };
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
