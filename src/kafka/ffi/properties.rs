//! The names of librdkafka's properties.

use std::ffi::{CStr, c_char};

use rdkafka::bindings::*;

/// Names of all properties, of clients and of topics; aliases left out.
pub(in crate::kafka) fn property_names() -> Vec<String> {
    // SAFETY: both configurations are made and destroyed here; each dump is read within its length and freed once, by
    // the function that librdkafka has for it.
    unsafe {
        let (client, topic) = (rd_kafka_conf_new(), rd_kafka_topic_conf_new());
        let (mut of_client, mut of_topic) = (0, 0);
        let dumps = [rd_kafka_conf_dump(client, &mut of_client), rd_kafka_topic_conf_dump(topic, &mut of_topic)];
        let mut names = Vec::new();
        for (dump, count) in dumps.into_iter().zip([of_client, of_topic]) {
            // Name and value by turns.
            let texts: &[*const c_char] = std::slice::from_raw_parts(dump, count);
            names.extend(texts.iter().step_by(2).map(|name| CStr::from_ptr(*name).to_string_lossy().into_owned()));
            rd_kafka_conf_dump_free(dump, count);
        }
        rd_kafka_conf_destroy(client);
        rd_kafka_topic_conf_destroy(topic);
        names
    }
}
