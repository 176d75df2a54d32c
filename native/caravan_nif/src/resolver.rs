//! Lookups: this and its parts are the only files that name hickory.
//!
//! hickory-resolver gives the wire format. Who is asked, when, and what an answer means is decided here, because one
//! deadline has to hold over all servers, retries, TCP and the addresses of SRV targets. hickory's own pool makes one
//! attempt more than it is told, does not notice that a port is closed, and ends at the first SERVFAIL.

#[cfg(any(test, fuzzing))]
pub mod decode;
mod digest;
mod edns;
mod exchange;
mod hosts_file;
mod ip;
mod nameserver;
mod resolv_conf;
mod response;
mod session;
mod srv;
mod system;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::nameserver::nameserver;
use self::session::{Resolved, Session};
use crate::endpoint::{self, Endpoint, RefusedNames};
use crate::error::Error;

/// Which records are looked up.
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

/// How an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection, for answers that do not fit.
    Tcp,
    /// From the hosts file.
    HostsFile,
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
    /// The deadline of it all.
    pub timeout: Duration,
    /// Whether hosts are wanted with IPv6 addresses, since distribution runs over IPv6.
    pub ipv6: bool,
    /// The digest of an answer that need not be read when it comes again.
    pub known: Option<u64>,
}

/// The endpoints and TTL of one query, and how they came.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// In order of priority, weight and name.
    pub endpoints: Vec<Endpoint>,
    /// Seconds.
    pub ttl: u32,
    /// Who answered.
    pub server: String,
    /// How.
    pub transport: Transport,
    /// The time spent.
    pub elapsed: Duration,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
    /// Targets that can't be hosts.
    pub refused: RefusedNames,
    /// What of the answer is missing.
    pub incomplete: Option<Missing>,
    /// Of the one answer that said it all, if there was one.
    pub digest: Option<u64>,
    /// The answer was the known one: there are endpoints, but not here.
    pub unchanged: bool,
}

/// What an answer lacks, and why.
#[derive(Debug, Clone)]
pub enum Missing {
    /// Records of the query: who is not listed may well be there.
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
pub async fn lookup(spec: &Spec) -> Result<Lookup, Error> {
    let query = &spec.query;
    let name = name(query)?;
    let session = Session::new(spec);
    // Before any server, and for the name as it was given only: so do all that read the hosts file.
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
                // The first of a kind: the name as it was given comes first or has no better chance.
                failure = failure
                    .filter(|before| rank(before) >= rank(&error))
                    .or(Some(error));
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
/// `InvalidName` for what is no domain name.
pub fn name(query: &str) -> Result<String, Error> {
    let name = query
        .strip_suffix('.')
        .unwrap_or(query)
        .to_ascii_lowercase();
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

/// The error, unless it is an answer: that there is no such name or no such record is all that there is to know.
fn failed(error: Error) -> Option<Error> {
    match error {
        Error::NxDomain { .. } | Error::NoData { .. } => None,
        failed => Some(failed),
    }
}

/// After which failures the search list goes on, as in getaddrinfo: those that a server answered, not its silence. The
/// highest is told: a server that could not say hides more than one that knows of no data, and that more than no name.
fn rank(error: &Error) -> u8 {
    match error {
        Error::ServFail { .. } | Error::Refused { .. } => 3,
        Error::NoData { .. } => 2,
        Error::NxDomain { .. } => 1,
        _ => 0,
    }
}
