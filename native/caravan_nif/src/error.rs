//! Every way Caravan can fail, each with the kind that Elixir sees and a message that a person can act on.

mod context;
mod kind;

use std::io;

use self::context::{AlsoTried, Printable};
pub use self::context::{Context, describe};
pub use self::kind::{Details, Kind};
use crate::request_limit;

/// What went wrong. `kind()` is the kind of `%Caravan.Error{}`, `to_string()` its message.
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
    #[error("{context}: the name exists but {reason}; check the `type` option and the published records")]
    NoData {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Why there is no data.
        reason: &'static str,
    },
    /// SERVFAIL, or another response code saying that the server failed.
    #[error("{context}: the server answered {code}; it is up but could not resolve the name, see its log")]
    ServFail {
        /// Who was asked for what, and for how long.
        context: Context,
        /// The response code in the usual notation.
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
    #[error("{context}: no answer in time; check that the server runs there and that firewalls allow UDP and TCP")]
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
    /// Only part of the answer arrived.
    #[error("{context}: the answer was truncated, {cause}")]
    Truncated {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Why the rest could not be fetched.
        cause: Truncation,
    },
    /// The operating system could not reach the server, or a connection broke.
    #[error("{context}: {reason}; check that it runs there, and that the address and the port are right")]
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
        "{context}: the node responds, but so late that it may have been suspended or cut off; it will be linked again once \
         it has caught up"
    )]
    Late {
        /// Which node was probed, and for how long.
        context: Context,
    },
    /// The answer was not a valid DNS message, or its aliases lead nowhere.
    #[error("{context}: the answer was not valid DNS ({reason}); check what listens there")]
    Malformed {
        /// Who was asked for what, and for how long.
        context: Context,
        /// What was wrong with it.
        reason: String,
    },
    /// SRV records without a single valid target.
    #[error(
        "{context}: none of the {count} SRV targets is a valid host name, for example {}; use labels of letters, digits, - and \
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
    /// An invalid node name or domain name.
    #[error("expected {expected}, got {}: {reason}", Printable(.got))]
    InvalidName {
        /// What was expected.
        expected: &'static str,
        /// What came.
        got: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An invalid option, of those that only Rust can check.
    #[error("option {option}: expected {expected}, got {}", Printable(.got.as_bytes()))]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A node name whose number is not a valid port.
    #[error("node name {} gives port {port}, but ports end at 65535{taken}; end the part before the @ in 1024 to 65535, or in a small ordinal that is added to base_port ({base_port}), or give all nodes one port with -caravan dist_port", Printable(.name))]
    PortOutOfRange {
        /// The node name.
        name: Vec<u8>,
        /// The port that it stands for, as far as can be told.
        port: u64,
        /// The base port in force.
        base_port: u16,
        /// In parentheses, what the number may be instead of a port; or nothing.
        taken: &'static str,
    },
    /// `-caravan listen_port` is set, but the node's name has no number for the others to dial.
    #[error("node name {} has no port for its peers to dial, while -caravan listen_port sets another to listen on; end the part before the @ in the outer port, as in my_app-31234@host", Printable(.name))]
    NoOuterPort {
        /// The node name.
        name: Vec<u8>,
    },
    /// Another process listens on the node's port.
    #[error("node name {} stands for port {port}, but another process listens there already, most likely a node with the same number; ss -ltnp shows which; give each node on this machine its own port, and start consoles with -hidden or -dist_listen false", Printable(.name))]
    PortTaken {
        /// The node name.
        name: Vec<u8>,
        /// The port.
        port: u16,
    },
    /// The node of a tool, which listens on no known port.
    #[error("node name {} belongs to {whose}: it listens on no known port and can't be dialed; connect from it instead", Printable(.name))]
    ToolNode {
        /// The node name.
        name: Vec<u8>,
        /// Whose it is.
        whose: &'static str,
    },
    /// Too much is under way already.
    #[error("{context}: {reason}; {cure}")]
    Overloaded {
        /// Who was asked for what, and for how long.
        context: Context,
        /// Which limit was hit.
        reason: String,
        /// How to stay below it.
        cure: &'static str,
    },
    /// The task panicked.
    #[error("{context}: aborted by an internal error; this is a bug in Caravan, please report it")]
    Panicked {
        /// What the task was.
        context: Context,
    },
}

impl Error {
    /// The error for what the operating system reported about a connection.
    pub fn unreachable(context: Context, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout { context },
            _ if is_out_of_sockets(error) => Self::no_socket(context),
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
            reason: "out of file descriptors (ulimit -n)".into(),
            cure: "raise the limit or lower concurrency",
        }
    }

    /// Too many requests are under way for another lookup.
    pub fn too_many_lookups(context: Context) -> Self {
        Self::Overloaded {
            context,
            reason: format!("{} requests are under way already", request_limit::MAX_REQUESTS),
            cure: "look up less often, or wait for earlier lookups to finish",
        }
    }

    /// Too many probes are under way.
    pub fn too_many_probes(context: Context) -> Self {
        Self::Overloaded {
            context,
            reason: format!("{} probes are under way already", request_limit::MAX_PROBES),
            cure: "lower the option :dial_concurrency, or wait for earlier probes to finish",
        }
    }

    /// The system could not start a thread.
    pub fn no_thread(context: Context, error: &io::Error) -> Self {
        Self::Overloaded {
            context,
            reason: format!("the native library's thread did not start ({error})"),
            cure: "allow the process more threads (ulimit -u) and memory",
        }
    }
}

/// EMFILE and ENFILE: this process, or the whole system, has no file descriptor left.
pub fn is_out_of_sockets(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Why the rest of a truncated answer is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Truncation {
    /// The answer did not fit into UDP, and TCP does not get through.
    #[error("and the rest could not be fetched over TCP: {0}; allow TCP to that server's port, too")]
    NoTcp(String),
    /// The answer did not fit into UDP, and over TCP the server answered differently.
    #[error("and over TCP the server answered {0}; see its log")]
    Failed(String),
    /// The answer did not fit into TCP either.
    #[error("since its records exceed the 64 KiB of a DNS message; publish fewer under that name")]
    TooBig,
}

#[cfg(test)]
mod tests;
