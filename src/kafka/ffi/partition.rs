//! A partition being read on a queue of its own, and the records as librdkafka holds them.
//!
//! The rules that make it sound are those of the module above.
use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::Arc;

use rdkafka::bindings::*;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use super::{Bell, Owner, Queue, take_error};
use crate::broker::{Header, Record, TimestampKind};
use crate::kafka::fault::Problem;

/// What is found in a partition's queue, in order.
pub(in crate::kafka) enum Found {
    /// A record at this offset; it is in the batch.
    Record(i64),
    /// Everything below this offset has been read.
    End(i64),
    /// Reading went wrong.
    Error(Problem),
}

/// Messages dropped by one call when reading begins anew.
const DISCARDED_AT_ONCE: usize = 1_024;

fn invalid(what: &str) -> Problem {
    Problem::new(RDKafkaErrorCode::InvalidArgument, what)
}

/// One partition being read from an explicit offset, on a queue of its own.
pub(in crate::kafka) struct Partition {
    topic: *mut rd_kafka_topic_t,
    partition: i32,
    queue: Queue,
    spare: Vec<*mut rd_kafka_message_t>,
    /// Whether something may be left in the queue.
    is_left: bool,
}

// SAFETY: librdkafka's topic handles may be used from any thread; `spare` is empty between calls.
unsafe impl Send for Partition {}

impl Partition {
    /// A partition that is not read yet.
    pub(in crate::kafka) fn new(owner: Owner, topic: &str, partition: u32, bell: Bell) -> Result<Self, Problem> {
        let name = CString::new(topic).map_err(|_| invalid("topic name with a zero byte"))?;
        let partition = i32::try_from(partition).map_err(|_| invalid("partition out of range"))?;
        let mut queue = Queue::new(owner);
        queue.wake(bell);
        // SAFETY: valid handle and C string; the topic is destroyed in drop, before the queue and its owner.
        let handle = unsafe { rd_kafka_topic_new(queue.owner.native(), name.as_ptr(), ptr::null_mut()) };
        if handle.is_null() {
            return Err(invalid("librdkafka refused the topic"));
        }
        Ok(Self { topic: handle, partition, queue, spare: Vec::new(), is_left: false })
    }

    /// Starts to read, or begins anew, wherever reading stands and whatever it failed with. Does not wait. The queue is
    /// the partition's from the first fetch on; one split off after an assignment would miss what arrived before.
    ///
    /// Records and ends of partition that were on their way are dropped: each bears the number of the start that it
    /// belongs to. Some errors bear none; one that is on its way still arrives. A seek would not do: after a reset that
    /// is not allowed librdkafka ignores it, and says nothing.
    pub(in crate::kafka) fn start(&mut self, offset: i64) -> Result<(), Problem> {
        if offset < 0 {
            return Err(invalid("negative offset"));
        }
        self.discard();
        // SAFETY: topic and queue are valid and belong to the same client; drop stops what is started here.
        if unsafe { rd_kafka_consume_start_queue(self.topic, self.partition, offset, self.queue.native) } != 0 {
            return Err(invalid("librdkafka refused to start reading"));
        }
        Ok(())
    }

    /// Drops what has arrived.
    fn discard(&mut self) {
        let full = self.arrived(DISCARDED_AT_ONCE);
        for message in self.spare.drain(..) {
            // SAFETY: a valid message, ours, and kept nowhere.
            unsafe { rd_kafka_message_destroy(message) };
        }
        if full == DISCARDED_AT_ONCE {
            self.discard();
        }
    }

    /// Moves what has arrived to `spare`, `most` at the most. Returns how many.
    fn arrived(&mut self, most: usize) -> usize {
        self.spare.reserve(most);
        // SAFETY: there is room for `most` pointers; librdkafka writes as many as it returns, each to a message that
        // is ours from then on.
        unsafe {
            let count = rd_kafka_consume_batch_queue(self.queue.native, 0, self.spare.as_mut_ptr(), most);
            let count = usize::try_from(count).unwrap_or(0);
            self.spare.set_len(count);
            count
        }
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

    /// Whether [`Partition::take`] may have left something in the queue: what arrives later calls the bell.
    pub(in crate::kafka) fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether nothing has arrived that was not taken.
    pub(in crate::kafka) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes what has arrived, `most` at the most, and tells `found` what it was. Does not wait.
    pub(in crate::kafka) fn take(&mut self, most: usize, found: &mut dyn FnMut(Found)) -> Option<Batch> {
        let count = self.arrived(most);
        self.is_left = count == most;
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
        // SAFETY: the topic reference is ours and given up once; stopping what was never started does nothing. Stopping
        // waits for librdkafka's own thread, which is why partitions are dropped in the graveyard.
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
