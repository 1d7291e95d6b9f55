//! Two admin calls that rdkafka does not wrap: ListOffsets and DescribeTopics, asked without waiting.
//!
//! The rules that make it sound are those of the module above.
use std::ffi::{CStr, CString, c_char, c_void};
use std::slice;
use std::time::Duration;

use rdkafka::bindings::*;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use super::{Queue, millis, take_error};
use crate::kafka::fault::Problem;

/// An answer to [`Queue::ask_ends`] or [`Queue::ask_topics`].
pub(in crate::kafka) enum Answer {
    /// An offset for each partition, in the order asked; with what was passed as `tag`.
    Ends(usize, Result<Vec<Result<i64, Problem>>, Problem>),
    /// Topics, in the order asked.
    Topics(Result<Vec<Result<TopicFound, Problem>>, Problem>),
}

/// A topic as DescribeTopics shows it.
pub(in crate::kafka) struct TopicFound {
    pub(in crate::kafka) id: [u8; 16],
    pub(in crate::kafka) partitions: Vec<PartitionFound>,
}

/// A partition of it: broker ids.
pub(in crate::kafka) struct PartitionFound {
    pub(in crate::kafka) leader: i32,
    pub(in crate::kafka) replicas: Vec<i32>,
    pub(in crate::kafka) isr: Vec<i32>,
}

fn refused(what: &str) -> Problem {
    Problem::new(RDKafkaErrorCode::InvalidArgument, what)
}

/// What came of setting an option; librdkafka's words if it was refused.
fn accepted(code: RDKafkaRespErr, words: &CStr) -> Result<(), Problem> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(Problem::new(code.into(), &words.to_string_lossy())),
    }
}

struct Options(*mut rd_kafka_AdminOptions_t);

impl Options {
    fn new(queue: &Queue, op: rd_kafka_admin_op_t, timeout: Duration) -> Result<Self, Problem> {
        let mut text = [0 as c_char; 128];
        // SAFETY: valid handle; options are destroyed in drop; the buffer's length is passed with it.
        unsafe {
            let options = Self(rd_kafka_AdminOptions_new(queue.owner.native(), op));
            let set =
                rd_kafka_AdminOptions_set_request_timeout(options.0, millis(timeout), text.as_mut_ptr(), text.len());
            accepted(set, CStr::from_ptr(text.as_ptr()))?;
            Ok(options)
        }
    }

    /// Has this broker asked, instead of one that librdkafka chooses.
    fn set_broker(&mut self, broker: i32) -> Result<(), Problem> {
        let mut text = [0 as c_char; 128];
        // SAFETY: the options are valid until drop; the buffer's length is passed with it.
        unsafe {
            let set = rd_kafka_AdminOptions_set_broker(self.0, broker, text.as_mut_ptr(), text.len());
            accepted(set, CStr::from_ptr(text.as_ptr()))
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once; requests keep a copy.
        unsafe { rd_kafka_AdminOptions_destroy(self.0) };
    }
}

impl Queue {
    /// Asks where partitions end: their last stable offset, or the high watermark. The answer comes to this queue.
    pub(in crate::kafka) fn ask_ends(
        &self,
        partitions: &[(&str, u32)],
        stable: bool,
        tag: usize,
        timeout: Duration,
    ) -> Result<(), Problem> {
        let options = Options::new(self, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout)?;
        let names = partitions.iter().map(|(topic, _)| CString::new(*topic)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|_| refused("topic name with a zero byte"))?;
        let isolation = if stable {
            rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
        } else {
            rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
        };
        // SAFETY: valid handles; the list is ours, copied by the call and destroyed here; entries are valid until the
        // list grows again.
        unsafe {
            take_error(rd_kafka_AdminOptions_set_isolation_level(options.0, isolation))?;
            rd_kafka_AdminOptions_set_opaque(options.0, tag as *mut c_void);
            let list = rd_kafka_topic_partition_list_new(partitions.len() as i32);
            for (name, (_, partition)) in names.iter().zip(partitions) {
                let entry = rd_kafka_topic_partition_list_add(list, name.as_ptr(), *partition as i32);
                (*entry).offset = i64::from(rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i32);
            }
            rd_kafka_ListOffsets(self.owner.native(), list, options.0, self.native);
            rd_kafka_topic_partition_list_destroy(list);
        }
        Ok(())
    }

    /// Asks `broker`, or one that librdkafka chooses, for topic ids and partitions. The answer comes to this queue, and
    /// to what the client remembers of the topics' leaders.
    pub(in crate::kafka) fn ask_topics(
        &self,
        topics: &[&str],
        broker: Option<i32>,
        timeout: Duration,
    ) -> Result<(), Problem> {
        let mut options = Options::new(self, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
        if let Some(broker) = broker {
            options.set_broker(broker)?;
        }
        let names = topics.iter().map(|topic| CString::new(*topic)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|_| refused("topic name with a zero byte"))?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: valid handles; the collection copies the names, the call copies the collection.
        unsafe {
            let collection = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd_kafka_DescribeTopics(self.owner.native(), collection, options.0, self.native);
            rd_kafka_TopicCollection_destroy(collection);
        }
        Ok(())
    }

    /// The next answer; waits for it at most `timeout`.
    pub(in crate::kafka) fn answer(&self, timeout: Duration) -> Option<Answer> {
        // SAFETY: the queue is valid; the event is ours until destroyed, and everything in it is copied before.
        unsafe {
            let event = rd_kafka_queue_poll(self.native, millis(timeout));
            if event.is_null() {
                return None;
            }
            let failed = match rd_kafka_event_error(event) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
                code => {
                    let text = CStr::from_ptr(rd_kafka_event_error_string(event)).to_string_lossy();
                    Some(Problem::new(code.into(), &text))
                }
            };
            let answer = match rd_kafka_event_type(event) {
                RD_KAFKA_EVENT_LISTOFFSETS_RESULT => {
                    let ends = failed.map_or_else(|| Ok(ends(rd_kafka_event_ListOffsets_result(event))), Err);
                    Some(Answer::Ends(rd_kafka_event_opaque(event) as usize, ends))
                }
                RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => {
                    let found = failed.map_or_else(|| Ok(topics(rd_kafka_event_DescribeTopics_result(event))), Err);
                    Some(Answer::Topics(found))
                }
                _ => None,
            };
            rd_kafka_event_destroy(event);
            answer
        }
    }
}

/// # Safety
/// `data` points to `count` values that outlive `'a`, or `count` is 0.
unsafe fn list<'a, T>(data: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(data, count) } }
}

/// # Safety
/// `result` is valid.
unsafe fn ends(result: *const rd_kafka_ListOffsets_result_t) -> Vec<Result<i64, Problem>> {
    let mut count = 0;
    // SAFETY: the caller's promise; what it holds lives as long as it does.
    unsafe {
        let infos = rd_kafka_ListOffsets_result_infos(result, &mut count);
        let entries = list(infos, count).iter().map(|info| &*rd_kafka_ListOffsetsResultInfo_topic_partition(*info));
        entries
            .map(|entry| match entry.err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => end(entry.offset),
                code => Err(Problem::new(code.into(), &CStr::from_ptr(rd_kafka_err2str(code)).to_string_lossy())),
            })
            .collect()
    }
}

/// Where a partition ends, as librdkafka answers. Of one whose leader could not be asked it says neither an error nor an
/// offset, but -1001; taken for an end, any position would have reached it, and holds would run out unseen by Confirms.
fn end(offset: i64) -> Result<i64, Problem> {
    if offset >= 0 { Ok(offset) } else { Err(Problem::new(RDKafkaErrorCode::NoOffset, "its leader did not answer")) }
}

/// # Safety
/// `result` is valid.
unsafe fn topics(result: *const rd_kafka_DescribeTopics_result_t) -> Vec<Result<TopicFound, Problem>> {
    let mut count = 0;
    // SAFETY: the caller's promise; what it holds lives as long as it does.
    unsafe {
        let found = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        list(found, count).iter().map(|description| topic(*description)).collect()
    }
}

/// # Safety
/// `description` is valid.
unsafe fn topic(description: *const rd_kafka_TopicDescription_t) -> Result<TopicFound, Problem> {
    let mut count = 0;
    // SAFETY: the caller's promise; what it holds lives as long as it does, the error is its own and not destroyed.
    unsafe {
        let error = rd_kafka_TopicDescription_error(description);
        let code = rd_kafka_error_code(error);
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Problem::new(code.into(), &CStr::from_ptr(rd_kafka_error_string(error)).to_string_lossy()));
        }
        let uuid = rd_kafka_TopicDescription_topic_id(description);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&rd_kafka_Uuid_most_significant_bits(uuid).to_be_bytes());
        id[8..].copy_from_slice(&rd_kafka_Uuid_least_significant_bits(uuid).to_be_bytes());
        let partitions = rd_kafka_TopicDescription_partitions(description, &mut count);
        let partitions = list(partitions, count).iter().map(|info| partition(*info)).collect();
        Ok(TopicFound { id, partitions })
    }
}

/// # Safety
/// `info` is valid.
unsafe fn partition(info: *const rd_kafka_TopicPartitionInfo_t) -> PartitionFound {
    let mut count = 0;
    let node = |node: *const rd_kafka_Node_t| {
        // SAFETY: a node of `info`, or null where there is none.
        if node.is_null() { -1 } else { unsafe { rd_kafka_Node_id(node) } }
    };
    // SAFETY: the caller's promise; what it holds lives as long as it does.
    unsafe {
        let leader = node(rd_kafka_TopicPartitionInfo_leader(info));
        let replicas = rd_kafka_TopicPartitionInfo_replicas(info, &mut count);
        let replicas = list(replicas, count).iter().map(|n| node(*n)).collect();
        let isr = rd_kafka_TopicPartitionInfo_isr(info, &mut count);
        let isr = list(isr, count).iter().map(|n| node(*n)).collect();
        PartitionFound { leader, replicas, isr }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_nobody_told_is_no_end() {
        assert_eq!(end(0).ok(), Some(0));
        assert!(end(i64::from(RD_KAFKA_OFFSET_INVALID)).is_err());
    }
}
