//! librdkafka's errors, sorted by what can be done about them.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::broker::Fault;

/// An error as librdkafka reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(code: Code, text: &str) -> Self {
        Self { code, text: text.to_owned() }
    }

    /// As the seam sees it; `what` says what was tried, and on which topic and partition.
    pub(super) fn fault(&self, what: &str) -> Fault {
        let text = format!("{what}: {} ({:?})", self.text, self.code);
        match kind(self.code) {
            Kind::Fenced => Fault::Fenced(text),
            Kind::Fatal => Fault::Fatal(text),
            Kind::Transient => Fault::Transient(text),
        }
    }
}

enum Kind {
    Transient,
    Fenced,
    Fatal,
}

fn kind(code: Code) -> Kind {
    match code {
        Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced => Kind::Fenced,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::InvalidTransactionTimeout
        | Code::MessageSizeTooLarge
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidGroupId
        | Code::InconsistentGroupProtocol
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::NotConfigured
        | Code::UnknownTopicId => Kind::Fatal,
        _ => Kind::Transient,
    }
}

/// librdkafka's words for a code, without the code that rdkafka puts in front of them.
fn description(code: Code) -> String {
    let text = code.to_string();
    let words = text.split_once(" (").and_then(|(_, words)| words.strip_suffix(')'));
    words.unwrap_or(&text).to_owned()
}

/// A failed call of rdkafka as the seam sees it.
pub(super) fn fault(error: &KafkaError, what: &str) -> Fault {
    match error {
        // Neither the value nor librdkafka's text, which quotes it: it may be a secret.
        KafkaError::ClientConfig(_, _, key, _) => {
            Fault::Fatal(format!("{what}: librdkafka does not accept the value of `{key}`, or does not know it"))
        }
        KafkaError::ClientCreation(text) => Fault::Fatal(format!("{what}: {text}")),
        KafkaError::Transaction(inner) => Problem::new(inner.code(), &inner.string()).fault(what),
        other => match other.rdkafka_error_code() {
            Some(code) => Problem::new(code, &description(code)).fault(what),
            None => Fault::Transient(format!("{what}: {other}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaConfRes;

    #[test]
    fn another_owner_is_told_from_a_fault_that_passes_and_from_one_that_does_not() {
        assert!(matches!(Problem::new(Code::ProducerFenced, "x").fault("commit"), Fault::Fenced(_)));
        assert!(matches!(Problem::new(Code::Fenced, "x").fault("commit"), Fault::Fenced(_)));
        assert!(matches!(Problem::new(Code::InvalidProducerEpoch, "x").fault("commit"), Fault::Fenced(_)));
        assert!(matches!(Problem::new(Code::InvalidProducerIdMapping, "x").fault("commit"), Fault::Transient(_)));
        assert!(matches!(Problem::new(Code::OperationTimedOut, "x").fault("commit"), Fault::Transient(_)));
        assert!(matches!(Problem::new(Code::TopicAuthorizationFailed, "x").fault("send"), Fault::Fatal(_)));
    }

    #[test]
    fn a_failed_call_names_its_error_once() {
        let shown = fault(&KafkaError::MetadataFetch(Code::BrokerTransportFailure), "ask who is there").to_string();
        assert_eq!(shown.matches("BrokerTransportFailure").count(), 1, "{shown}");
        assert!(shown.contains("ask who is there: Local: Broker transport failure"), "{shown}");
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let text = "Invalid value \"hunter2\" for configuration property \"sasl.password\"".to_owned();
        let error = KafkaError::ClientConfig(
            RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            text,
            "sasl.password".to_owned(),
            "hunter2".to_owned(),
        );
        let shown = fault(&error, "make a consumer").to_string();
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
