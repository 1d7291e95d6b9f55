//! Why a broker cannot be reached: what librdkafka says of a connection that failed, sorted by what can be done.
//!
//! A call that waited for such a broker says no more than that its time was up, so each client remembers the last
//! trouble that it met, and tells the log once.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// In which step a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Nobody listens there.
    Refused,
    /// The name has no address.
    Name,
    /// The TLS handshake failed.
    Tls,
    /// The broker does not know this user, or not with this password.
    Authentication,
    /// Nobody answers.
    Silence,
    /// The connection was closed.
    Closed,
}

impl TroubleKind {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::Name => "name_not_resolved",
            Self::Tls => "tls_failed",
            Self::Authentication => "authentication_failed",
            Self::Silence => "no_answer",
            Self::Closed => "connection_closed",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Refused => {
                "nobody listens there: start the broker, or correct host and port in kafka.bootstrap_servers \
                 (--bootstrap-servers); an address that is not in it comes from the brokers' advertised.listeners"
            }
            Self::Name => {
                "the name has no address here: correct it in kafka.bootstrap_servers (--bootstrap-servers), or make it \
                 known to this machine's DNS; a name that is not in it comes from the brokers' advertised.listeners"
            }
            Self::Tls => {
                "see in [kafka.common] that ssl.ca.location is the authority that signed the brokers' certificates, that \
                 these name the host that is connected to, and that security.protocol is what this port speaks"
            }
            Self::Authentication => {
                "see in [kafka.common] that sasl.mechanism, sasl.username and sasl.password are those that the brokers \
                 know this principal by"
            }
            Self::Silence => {
                "see that host and port are right, that no firewall drops what is sent, and that the broker is not \
                 overloaded"
            }
            Self::Closed => {
                "if it happens at once and always, see that security.protocol in [kafka.common] is what this port speaks; \
                 otherwise the broker was stopped or restarted"
            }
        }
    }

    /// Whether it is the configuration that must change, so that trying again will not help.
    pub fn is_configuration(self) -> bool {
        matches!(self, Self::Tls | Self::Authentication)
    }
}

/// A connection that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In which step.
    pub kind: TroubleKind,
    /// Host and port, as far as librdkafka names them.
    pub broker: String,
    /// librdkafka's words.
    pub words: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.broker, self.words)
    }
}

impl Trouble {
    /// What a line of librdkafka's log tells of a connection that failed.
    fn of(line: &str) -> Self {
        let (broker, words) = parts(without_thread(line));
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let kind = if says(&["Failed to resolve"]) {
            TroubleKind::Name
        } else if says(&["SSL handshake", "certificate"]) {
            TroubleKind::Tls
        } else if says(&["SASL authentication", "uthentication failed", "SASL mechanism", "SASL handshake"]) {
            TroubleKind::Authentication
        } else if says(&["refused"]) {
            TroubleKind::Refused
        } else if says(&["timed out", "Timed out", "unreachable"]) {
            TroubleKind::Silence
        } else {
            TroubleKind::Closed
        };
        Self { kind, broker, words }
    }
}

/// A line without the name of the thread that wrote it, `[thrd:main]: `.
fn without_thread(line: &str) -> &str {
    line.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(line, |(_, rest)| rest)
}

/// Address and words of `sasl_ssl://host:9092/bootstrap: words (after 3ms in state CONNECT)`. A coordinator's address
/// stands behind its name: `GroupCoordinator: host:9092: words`.
fn parts(reason: &str) -> (String, String) {
    let reason = match reason.rfind(" (after ") {
        Some(at) if reason.ends_with(')') => &reason[..at],
        _ => reason,
    };
    let (mut broker, mut words) = reason.split_once(": ").unwrap_or(("", reason));
    if !broker.contains(':')
        && let Some((address, rest)) = words.split_once(": ")
        && address.contains(':')
        && !address.contains(' ')
    {
        (broker, words) = (address, rest);
    }
    let broker = broker.split_once("://").map_or(broker, |(_, address)| address);
    (broker.split('/').next().unwrap_or_default().to_owned(), words.to_owned())
}

/// What a client met last.
#[derive(Debug, Default)]
pub(super) struct LastTrouble(Mutex<Option<Trouble>>);

impl LastTrouble {
    /// A line of librdkafka's log. It comes at once and from every client, where an error event waits until somebody
    /// polls, which an administrator's client never does.
    pub(super) fn line(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        use RDKafkaLogLevel::{Debug, Info, Notice};
        match (fac, level) {
            (FAIL, Info | Notice) => {
                // A connection that was closed: nothing to warn of, as idle ones are, but all that a listener of another
                // protocol does.
                tracing::debug!(target: "librdkafka", fac, "{line}");
                self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Trouble::of(line));
            }
            (_, Debug | Info | Notice) => tracing::debug!(target: "librdkafka", fac, "{line}"),
            (FAIL, _) => {
                let trouble = Trouble::of(line);
                let Trouble { kind, broker, words } = &trouble;
                let (kind, remedy) = (kind.name(), kind.advice());
                tracing::warn!(target: "librdkafka", kind, broker, reason = words, remedy, "a broker cannot be reached");
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
            }
            _ => tracing::warn!(target: "librdkafka", kind = fac, line = without_thread(line), "librdkafka warns"),
        }
    }

    /// The last one that was noted.
    pub(super) fn get(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Facility of the lines about connections that failed.
const FAIL: &str = "FAIL";

/// An error event of librdkafka. Those of connections repeat a line of its log; that all brokers are down is said
/// of each.
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
    match code {
        Code::BrokerTransportFailure
        | Code::Resolve
        | Code::SSL
        | Code::Authentication
        | Code::OperationTimedOut
        | Code::AllBrokersDown => tracing::debug!(target: "librdkafka", "{reason}"),
        _ => tracing::warn!(target: "librdkafka", kind = %code, reason, "librdkafka reports an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, kind: TroubleKind, broker: &str, words: &str) {
        let expected = Trouble { kind, broker: broker.to_owned(), words: words.to_owned() };
        assert_eq!(Trouble::of(line), expected);
    }

    #[test]
    fn each_step_of_a_connection_that_can_fail_has_its_own_advice() {
        check(
            "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused \
             (after 0ms in state CONNECT)",
            TroubleKind::Refused,
            "127.0.0.1:1",
            "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
        );
        check(
            "nowhere:9092/bootstrap: Failed to resolve 'nowhere:9092': Name or service not known (after 2ms in state \
             CONNECT)",
            TroubleKind::Name,
            "nowhere:9092",
            "Failed to resolve 'nowhere:9092': Name or service not known",
        );
        check(
            "ssl://127.0.0.1:9/1: SSL handshake failed: certificate verify failed (after 3ms in state SSL_HANDSHAKE)",
            TroubleKind::Tls,
            "127.0.0.1:9",
            "SSL handshake failed: certificate verify failed",
        );
        check(
            "sasl_ssl://kafka:9/1: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
            TroubleKind::Authentication,
            "kafka:9",
            "SASL authentication error: Authentication failed",
        );
        check(
            "kafka:9/1: Connection setup timed out in state CONNECT (after 10000ms in state CONNECT)",
            TroubleKind::Silence,
            "kafka:9",
            "Connection setup timed out in state CONNECT",
        );
        check(
            "GroupCoordinator: kafka:9: Disconnected (after 3ms in state UP)",
            TroubleKind::Closed,
            "kafka:9",
            "Disconnected",
        );
    }
}
