//! Every way Caravan can fail, each with the word Elixir sees and a sentence a person can act on.

use std::fmt;
use std::io;
use std::time::Duration;

/// What went wrong. `kind()` is the closed word of `%Caravan.Error{}`, `to_string()` its sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The answer was NXDOMAIN (RFC 1035, RCODE 3).
    #[error(
        "{asked}: no such name (NXDOMAIN){}; check the spelling of the query and that the record is published there",
        Nor(.nor)
    )]
    NxDomain {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// The other names of the search list, which don't exist either.
        nor: Vec<String>,
    },
    /// The name exists but has no record of the type asked for, or the service is declared absent (RFC 2782).
    #[error(
        "{asked}: the name exists but {reason}; check the `type` option and the published records"
    )]
    NoData {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// Why there is no data.
        reason: &'static str,
    },
    /// SERVFAIL, or another response code that says the server could not do its work.
    #[error(
        "{asked}: the server answered {code}; it is up but could not resolve the name, see its log"
    )]
    ServFail {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// The response code as DNS people write it.
        code: String,
    },
    /// REFUSED (RFC 1035, RCODE 5).
    #[error(
        "{asked}: the server refused to answer (REFUSED); it does not serve this name or this client, check its access rules"
    )]
    Refused {
        /// Who was asked for what, and for how long.
        asked: Asked,
    },
    /// Nobody answered before the deadline.
    #[error(
        "{asked}: no answer in time; check that the server runs there and that a firewall lets UDP and TCP through"
    )]
    Timeout {
        /// Who was asked for what, and for how long.
        asked: Asked,
    },
    /// The answer did not fit into UDP, and could not be had over TCP or did not fit there either.
    #[error(
        "{asked}: the answer was cut short and TCP did not help ({reason}); let TCP through to the server, and publish no more than 64 KiB"
    )]
    Truncated {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// What TCP said.
        reason: String,
    },
    /// The operating system could not reach the server, or a connection broke.
    #[error("{asked}: {reason}; check the address and the port")]
    Network {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// What the operating system said.
        reason: String,
    },
    /// The host took the connection, and the node behind it did not react before the deadline.
    #[error(
        "{asked}: the host takes the connection, but nobody serves it; see whether the node there is stopped or stuck"
    )]
    Unserved {
        /// Which node was probed, and for how long.
        asked: Asked,
    },
    /// The answer was no valid DNS message, or its aliases lead nowhere.
    #[error("{asked}: the answer was not valid DNS ({reason}); check what listens there")]
    Malformed {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// What was wrong with it.
        reason: String,
    },
    /// A node name or a domain name that can't be one.
    #[error("expected {expected}, got {}: {reason}", Shown(.got))]
    InvalidName {
        /// What was expected.
        expected: &'static str,
        /// What came.
        got: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option whose value Rust has to judge.
    #[error("option {option}: expected {expected}, got {}", Shown(.got.as_bytes()))]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A node name whose number is no port.
    #[error("node name {} gives port {port}, but ports end at 65535{taken}; end the part before the @ in 1024 to 65535, or in a small ordinal that is added to base_port ({base_port}), or give all nodes one port by -caravan dist_port", Shown(.name))]
    PortOutOfRange {
        /// The node name.
        name: Vec<u8>,
        /// The port it stands for, as far as it can be told.
        port: u64,
        /// The base port in force.
        base_port: u16,
        /// What the number may be that was taken for a port, in parentheses; or nothing.
        taken: &'static str,
    },
    /// A node with another port to listen on has no number in its name for the others to dial.
    #[error("node name {} has no port for its peers to dial, while -caravan listen_port sets another to listen on; end the part before the @ in the outer port, as my_app-31234@host", Shown(.name))]
    NoOuterPort {
        /// The node name.
        name: Vec<u8>,
    },
    /// Somebody else listens on the node's port.
    #[error("node name {} is to listen on port {port}, where another process listens already, mostly a node of the same number; see which by ss -ltnp, give each node on this machine a number of its own, and start consoles with -hidden or -dist_listen false", Shown(.name))]
    PortTaken {
        /// The node name.
        name: Vec<u8>,
        /// The port.
        port: u16,
    },
    /// A tool's node, which listens on no known port.
    #[error("node name {} is {whose}: it listens on no known port and can't be dialled; connect from it instead", Shown(.name))]
    ToolNode {
        /// The node name.
        name: Vec<u8>,
        /// Whose it is.
        whose: &'static str,
    },
    /// Too much under way already.
    #[error("{asked}: {reason}; look up less often, or wait until earlier look-ups have ended")]
    Overloaded {
        /// Who was asked for what, and for how long.
        asked: Asked,
        /// Which bound was hit.
        reason: String,
    },
    /// The work panicked.
    #[error("{asked}: the work was broken off; this is a fault in Caravan, please report it")]
    BrokenOff {
        /// What was to be done.
        asked: Asked,
    },
}

impl Error {
    /// What the operating system's word about a connection means.
    pub fn unreachable(asked: Asked, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout { asked },
            io::ErrorKind::ConnectionRefused => Self::Network {
                asked,
                reason: "nothing listens there (connection refused)".into(),
            },
            io::ErrorKind::UnexpectedEof => Self::Network {
                asked,
                reason: "the server closed the connection before it answered".into(),
            },
            // EMFILE and ENFILE
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Self::no_socket(asked),
            _ => Self::Network {
                asked,
                reason: error.to_string(),
            },
        }
    }

    /// Too many sockets are open, here or in the whole process.
    pub fn no_socket(asked: Asked) -> Self {
        Self::Overloaded {
            asked,
            reason: "the process has no file descriptors left for look-ups (ulimit -n)".into(),
        }
    }

    /// The closed word of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NxDomain { .. } => Kind::Nxdomain,
            Self::NoData { .. } => Kind::Nodata,
            Self::ServFail { .. } => Kind::Servfail,
            Self::Refused { .. } => Kind::Refused,
            Self::Timeout { .. } | Self::Unserved { .. } => Kind::Timeout,
            Self::Truncated { .. } => Kind::Truncated,
            Self::Network { .. } | Self::PortTaken { .. } => Kind::Network,
            Self::Malformed { .. } => Kind::Malformed,
            Self::InvalidName { .. } | Self::NoOuterPort { .. } => Kind::InvalidName,
            Self::InvalidOption { .. } => Kind::InvalidOption,
            Self::PortOutOfRange { .. } => Kind::PortOutOfRange,
            Self::ToolNode { .. } => Kind::ToolNode,
            Self::Overloaded { .. } | Self::BrokenOff { .. } => Kind::Overloaded,
        }
    }
}

/// The closed list of error words; `terms.rs` turns each into the atom of the same spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each variant is documented at the error of its name"
)]
pub enum Kind {
    Nxdomain,
    Nodata,
    Servfail,
    Refused,
    Timeout,
    Truncated,
    Network,
    Malformed,
    InvalidName,
    InvalidOption,
    PortOutOfRange,
    ToolNode,
    Overloaded,
}

/// The beginning of a look-up's or a probe's error sentence: what was done, of whom, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// "looked up" or "probed".
    pub did: &'static str,
    /// The name asked for, with its record type (`_app._tcp.example.org SRV`), or the node probed.
    pub question: String,
    /// The servers asked, in order, or where the node was probed.
    pub servers: Vec<String>,
    /// The time spent.
    pub elapsed: Duration,
}

impl Asked {
    /// Before any server was asked.
    pub fn nobody(did: &'static str, question: &str) -> Self {
        Self {
            did,
            question: question.to_owned(),
            servers: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = match self.servers.as_slice() {
            [] => "no server".to_owned(),
            servers => servers.join(" and "),
        };
        write!(
            f,
            "{} {} at {servers} for {} ms",
            self.did,
            Shown(self.question.as_bytes()),
            self.elapsed.as_millis()
        )
    }
}

/// Names that were tried as well.
struct Nor<'a>(&'a [String]);

impl fmt::Display for Nor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", nor is there {}", self.0.join(" or "))
    }
}

/// Bytes from outside, made printable and short: they may be hostile, and they end up in a log.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        write!(f, "\"{}", self.0[..self.0.len().min(MOST)].escape_ascii())?;
        if self.0.len() > MOST {
            write!(f, "…\" ({} bytes)", self.0.len())
        } else {
            write!(f, "\"")
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
