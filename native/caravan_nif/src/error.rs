//! Every way Caravan can fail, each with the word that Elixir sees and a sentence that a person can act on.

mod context;
mod kind;

use std::io;

use self::context::{AlsoTried, Printable};
pub use self::context::{Context, describe};
pub use self::kind::{Details, Kind};
use crate::request_limit;

/// What went wrong. `kind()` is the closed word of `%Caravan.Error{}`, `to_string()` its sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The answer was NXDOMAIN (RFC 1035, RCODE 3).
    #[error(
        "{context}: no such name (NXDOMAIN){}; check the spelling of the query and that the record is published there",
        AlsoTried(.nor)
    )]
    NxDomain {
        /// Who was asked for what, and for how long.
        context: Context,
        /// The other names of the search list, which don't exist either.
        nor: Vec<String>,
    },
    /// The name exists but has no record of the type asked for, or the service is declared absent (RFC 2782).
    #[error(
        "{context}: the name exists but {reason}; check the `type` option and the published records"
    )]
    NoData {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Why there is no data.
        reason: &'static str,
    },
    /// SERVFAIL, or another response code that says the server could not do its work.
    #[error(
        "{context}: the server answered {code}; it is up but could not resolve the name, see its log"
    )]
    ServFail {
        /// Who was asked for what, and for how long.
        context: Context,
        /// The response code as DNS people write it.
        code: String,
        /// The same as a number (IANA's DNS RCODEs).
        rcode: u16,
    },
    /// REFUSED (RFC 1035, RCODE 5).
    #[error(
        "{context}: the server refused to answer (REFUSED); it does not serve this name or this client, check its access rules"
    )]
    Refused {
        /// Who was asked for what, and for how long.
        context: Context,
    },
    /// Nobody answered before the deadline.
    #[error(
        "{context}: no answer in time; check that the server runs there and that firewalls allow UDP and TCP"
    )]
    Timeout {
        /// Who was asked for what, and for how long.
        context: Context,
    },
    /// Nobody answered, with EDNS or without: some servers and firewalls drop one of the two.
    #[error(
        "{context}: no answer in time, with or without EDNS; check that the server runs there and that firewalls allow UDP and \
         TCP"
    )]
    Silent {
        /// Who was asked for what, and for how long.
        context: Context,
    },
    /// Only a part of the answer came.
    #[error("{context}: the answer was cut short, {cause}")]
    Truncated {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Why the rest could not be had.
        cause: Truncation,
    },
    /// The operating system could not reach the server, or a connection broke.
    #[error("{context}: {reason}; check the address and the port")]
    Network {
        /// Who was asked for what, and for how long.
        context: Context,
        /// What the operating system said.
        reason: String,
    },
    /// The host accepted the connection, but the node behind it did not respond before the deadline.
    #[error(
        "{context}: the host accepted the connection but the node did not respond; check whether it is suspended or hung"
    )]
    Unresponsive {
        /// Which node was probed, and for how long.
        context: Context,
    },
    /// The node responded, but too late for a link.
    #[error(
        "{context}: the node responded, but so late that it may have been suspended or cut off until now; it gets time to \
         notice its lost connections before it is linked again"
    )]
    Late {
        /// Which node was probed, and for how long.
        context: Context,
    },
    /// What listens where the node should be didn't go on with the handshake.
    #[error("{context}: {reason}")]
    Handshake {
        /// Which node was asked, and for how long.
        context: Context,
        /// Why.
        reason: String,
    },
    /// The answer was no valid DNS message, or its aliases lead nowhere.
    #[error("{context}: the answer was not valid DNS ({reason}); check what listens there")]
    Malformed {
        /// Who was asked for what, and for how long.
        context: Context,
        /// What was wrong with it.
        reason: String,
    },
    /// SRV records whose targets are all no hosts.
    #[error(
        "{context}: none of its {count} SRV targets is a valid host name, for example {}; use labels of letters, digits, - and \
         _, separated by dots",
        Printable(.example.as_bytes())
    )]
    NoHost {
        /// Who was asked for what, and for how long.
        context: Context,
        /// How many there are.
        count: usize,
        /// One of them.
        example: String,
    },
    /// A node name or a domain name that can't be one.
    #[error("expected {expected}, got {}: {reason}", Printable(.got))]
    InvalidName {
        /// What was expected.
        expected: &'static str,
        /// What came.
        got: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option whose value Rust has to judge.
    #[error("option {option}: expected {expected}, got {}", Printable(.got.as_bytes()))]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A node name whose number is no port.
    #[error("node name {} gives port {port}, but ports end at 65535{taken}; end the part before the @ in 1024 to 65535, or in a small ordinal that is added to base_port ({base_port}), or give all nodes one port with -caravan dist_port", Printable(.name))]
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
    #[error("node name {} has no port for its peers to dial, while -caravan listen_port sets another to listen on; end the part before the @ in the outer port, as in my_app-31234@host", Printable(.name))]
    NoOuterPort {
        /// The node name.
        name: Vec<u8>,
    },
    /// Somebody else listens on the node's port.
    #[error("node name {} stands for port {port}, but another process listens there already, most likely a node with the same number; ss -ltnp shows which; give each node on this machine its own port, and start consoles with -hidden or -dist_listen false", Printable(.name))]
    PortTaken {
        /// The node name.
        name: Vec<u8>,
        /// The port.
        port: u16,
    },
    /// A tool's node, which listens on no known port.
    #[error("node name {} belongs to {whose}: it listens on no known port and can't be dialled; connect from it instead", Printable(.name))]
    ToolNode {
        /// The node name.
        name: Vec<u8>,
        /// Whose it is.
        whose: &'static str,
    },
    /// Too much under way already.
    #[error("{context}: {reason}; {cure}")]
    Overloaded {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Which bound was hit.
        reason: String,
        /// What keeps below it.
        cure: &'static str,
    },
    /// The work panicked.
    #[error("{context}: aborted by an internal error; this is a bug in Caravan, please report it")]
    Panicked {
        /// What was to be done.
        context: Context,
    },
}

impl Error {
    /// What the operating system's error about a connection means.
    pub fn unreachable(context: Context, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout { context },
            // EMFILE and ENFILE
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Self::no_socket(context),
            _ => Self::Network {
                context,
                reason: describe(error),
            },
        }
    }

    /// Too many sockets are open, here or in the whole process.
    pub fn no_socket(context: Context) -> Self {
        Self::Overloaded {
            context,
            reason: "the process has no file descriptor left for it (ulimit -n)".into(),
            cure: "raise the limit, or do less at once",
        }
    }

    /// Too many requests are under way for another lookup.
    pub fn too_many_lookups(context: Context) -> Self {
        Self::Overloaded {
            context,
            reason: format!(
                "{} requests are under way already",
                request_limit::MAX_REQUESTS
            ),
            cure: "look up less often, or wait until earlier lookups have ended",
        }
    }

    /// Too many probes are under way.
    pub fn too_many_probes(context: Context) -> Self {
        Self::Overloaded {
            context,
            reason: format!("{} probes are under way already", request_limit::MAX_PROBES),
            cure: "lower the option :dial_concurrency, or wait until earlier probes have ended",
        }
    }

    /// The system gave no thread.
    pub fn no_thread(context: Context, error: &io::Error) -> Self {
        Self::Overloaded {
            context,
            reason: format!("the native library's thread did not start ({error})"),
            cure: "allow the process more threads (ulimit -u) and memory",
        }
    }
}

/// Why there is no more of an answer that was cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Truncation {
    /// It did not fit into UDP, and TCP does not get through.
    #[error(
        "and the rest could not be fetched over TCP: {0}; allow TCP to that server's port, too"
    )]
    NoTcp(String),
    /// It did not fit into UDP, and over TCP the server said something else.
    #[error("and over TCP the server answered {0}; see its log")]
    Failed(String),
    /// It did not fit into TCP either.
    #[error(
        "since it has more records than a DNS message can hold, 64 KiB; publish fewer of them under that name"
    )]
    TooBig,
}

#[cfg(test)]
mod tests;
