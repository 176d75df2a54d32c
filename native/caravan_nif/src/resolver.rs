//! Lookups: this and its parts are the only files that name hickory.
//!
//! hickory-resolver provides the wire format. Which servers to query, when, and what an answer means is decided here,
//! because one deadline must cover all servers, retries, TCP and the addresses of SRV targets. hickory's own pool makes
//! one attempt too many, doesn't notice that a port is closed, and stops at the first SERVFAIL.

#[cfg(any(test, fuzzing))]
pub mod decode;
mod digest;
mod edns;
mod exchange;
mod format;
mod hosts_file;
mod ip;
mod nameserver;
pub mod pool;
mod resolv_conf;
mod response;
mod session;
mod srv;
mod system;
mod wire;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use self::nameserver::nameserver;
use self::session::{Resolved, Session};
use crate::endpoint::{self, Endpoint, RefusedNames};
use crate::error::Error;

/// Which records to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// SRV, with the addresses of the targets.
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Both.
    Ip,
}

/// How an answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection, for answers that don't fit into one.
    Tcp,
    /// From the hosts file.
    HostsFile,
    /// The nodes themselves were asked, not DNS.
    Handshake,
    /// Nobody was asked.
    Given,
}

/// What to look up, where, and for how long.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name.
    pub query: String,
    /// The records.
    pub record_type: Type,
    /// The servers; `None` for the system's.
    pub nameservers: Option<Vec<SocketAddr>>,
    /// TCP at once.
    pub tcp: bool,
    /// The time for the whole lookup.
    pub timeout: Duration,
    /// Whether hosts need IPv6 addresses, since distribution runs over IPv6.
    pub ipv6: bool,
    /// Whether the answer is to be recognized when it comes again.
    pub recall: Recall,
}

/// Whether an answer gets a digest, by which the next lookup recognizes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// No: it costs time, and nobody asks for it.
    Off,
    /// Yes.
    On,
    /// Yes, and an answer with this digest need not be read again.
    Known(u64),
}

/// A lookup that has begun.
#[derive(Debug)]
pub struct Unfinished {
    /// What to look up.
    spec: Spec,
    /// Since when.
    start: Instant,
    /// What the first server has answered so far, over UDP and to a question with EDNS.
    reply: Option<Vec<u8>>,
}

impl From<Spec> for Unfinished {
    fn from(spec: Spec) -> Self {
        Self {
            spec,
            start: Instant::now(),
            reply: None,
        }
    }
}

/// The endpoints and TTL of one query, and how they arrived.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// In order of priority, weight and name.
    pub endpoints: Vec<Endpoint>,
    /// Seconds.
    pub ttl: u32,
    /// The server that answered.
    pub server: String,
    /// How.
    pub transport: Transport,
    /// The time spent.
    pub elapsed: Duration,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
    /// Targets that can't be hosts.
    pub refused: RefusedNames,
    /// What is missing from the answer.
    pub incomplete: Option<Missing>,
    /// The digest of the answer, if one was wanted and there was just one answer.
    pub digest: Option<u64>,
    /// Whether the answer was the known one: then there are endpoints, but not here.
    pub unchanged: bool,
}

/// What is missing from an answer, and why.
#[derive(Debug, Clone)]
pub enum Missing {
    /// Records of the query: a node that isn't listed may be among them.
    Records(Error),
    /// All addresses of a host that is listed.
    Addresses(Error),
}

impl Missing {
    /// Why.
    pub fn why(&self) -> &Error {
        match self {
            Self::Records(why) | Self::Addresses(why) => why,
        }
    }

    fn into_why(self) -> Error {
        match self {
            Self::Records(why) | Self::Addresses(why) => why,
        }
    }
}

impl Lookup {
    /// What was found without DNS.
    pub fn elsewhere(endpoints: Vec<Endpoint>, server: String, transport: Transport, elapsed: Duration) -> Self {
        Self {
            endpoints,
            ttl: 0,
            server,
            transport,
            elapsed,
            unresolved: Vec::new(),
            refused: RefusedNames::default(),
            incomplete: None,
            digest: None,
            unchanged: false,
        }
    }

    fn of(endpoints: Vec<Endpoint>, resolved: &Resolved, session: &Session) -> Self {
        Self {
            endpoints,
            ttl: resolved.ttl,
            server: resolved.server.to_string(),
            transport: resolved.transport,
            elapsed: session.elapsed(),
            unresolved: Vec::new(),
            refused: RefusedNames::default(),
            incomplete: resolved.missing.clone().map(Missing::Records),
            digest: resolved.digest,
            unchanged: resolved.unchanged,
        }
    }
}

/// Looks up one query.
///
/// # Errors
/// Those of the servers and of the name, always within `spec.timeout`.
pub async fn lookup(lookup: Unfinished) -> Result<Lookup, Error> {
    let session = Session::new(&lookup.spec, lookup.start, lookup.reply);
    let spec = &lookup.spec;
    let query = &spec.query;
    let name = name(query)?;
    // Before any server, and only for the name as given, like everyone who reads the hosts file.
    if let Some(found) = ip::in_hosts(&session, &name, spec.record_type) {
        return Ok(found);
    }
    let names = session.candidates(name, query.ends_with('.'));
    let mut failure: Option<Error> = None;
    for name in &names {
        let outcome = match spec.record_type {
            Type::Srv => srv::look_up(&session, name).await,
            wanted => ip::look_up(&session, name, wanted).await,
        };
        match outcome {
            Err(error) if rank(&error) > 0 => {
                // The first of a kind: the name as given comes first or has no better chance.
                failure = failure.filter(|before| rank(before) >= rank(&error)).or(Some(error));
            }
            decided => return decided,
        }
    }
    if let Some(Error::NxDomain { nor, .. }) = &mut failure {
        nor.extend(names.into_iter().skip(1));
    }
    // There is at least the name itself.
    Err(failure.unwrap_or_else(|| session.expired(query)))
}

/// The name of a query, in lower case and without the last dot.
///
/// # Errors
/// `InvalidName` for an invalid domain name.
pub fn name(query: &str) -> Result<String, Error> {
    let name = query.strip_suffix('.').unwrap_or(query).to_ascii_lowercase();
    if endpoint::is_host(&name) {
        Ok(name)
    } else {
        Err(Error::InvalidName {
            expected: "a domain name such as _app._tcp.example.org",
            got: query.as_bytes().to_vec(),
            reason: "names are labels of 1 to 63 letters, digits, - and _ with dots between, 253 characters at most",
        })
    }
}

/// The error, unless it is an answer: NXDOMAIN and "no data" say all there is to know.
fn failed(error: Error) -> Option<Error> {
    match error {
        Error::NxDomain { .. } | Error::NoData { .. } => None,
        failed => Some(failed),
    }
}

/// After which failures the search list continues, as in getaddrinfo: those that a server answered, not its silence.
/// The highest is reported: a server failure may hide more than "no data", and that more than NXDOMAIN.
fn rank(error: &Error) -> u8 {
    match error {
        Error::ServFail { .. } | Error::Refused { .. } => 3,
        Error::NoData { .. } => 2,
        Error::NxDomain { .. } => 1,
        _ => 0,
    }
}
