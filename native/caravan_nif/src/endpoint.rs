//! From DNS records to endpoints: aliases followed, services ordered, host names checked. Pure.

use std::net::IpAddr;
use std::sync::Arc;

/// How many aliases are followed within one answer, and across how many answers in a row, before they count as a loop.
pub const MAX_ALIASES: usize = 16;

/// The most addresses of one family per host. Thousands of services on a host with thousands of addresses fit into a
/// few messages, but not into memory.
pub const MAX_ADDRESSES: usize = 32;

/// One DNS record, with its owner in lower case and without the trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name the record belongs to.
    pub owner: Arc<str>,
    /// How long it may be cached, in seconds.
    pub ttl: u32,
    /// Its data.
    pub data: Data,
}

/// The data of a record, as far as endpoints need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME.
    Alias(Arc<str>),
    /// SRV (RFC 2782).
    Service {
        /// Lower goes first.
        priority: u16,
        /// The share among services of equal priority.
        weight: u16,
        /// The service's port.
        port: u16,
        /// The host it runs on; empty for the root, "decidedly not available".
        target: Arc<str>,
    },
}

/// A place where a node should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// SRV: lower goes first. 0 for addresses.
    pub priority: u16,
    /// SRV: the share among endpoints of equal priority. 0 for addresses.
    pub weight: u16,
    /// The host name, for SRV.
    pub host: Option<String>,
    /// Its addresses; none if it did not resolve.
    pub addresses: Vec<IpAddr>,
    /// The port, for SRV records that name one.
    pub port: Option<u16>,
}

impl Endpoint {
    /// A place that isn't from a record.
    pub fn at(addresses: Vec<IpAddr>, port: Option<u16>) -> Self {
        Self {
            priority: 0,
            weight: 0,
            host: None,
            addresses,
            port,
        }
    }
}

/// Names that were refused before they could leave Rust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusedNames {
    /// How many.
    pub count: usize,
    /// One of them.
    pub example: String,
}

impl RefusedNames {
    /// Counts one more.
    pub fn add(&mut self, name: &str) {
        if self.count == 0 {
            self.example = name.chars().take(255).collect();
        }
        self.count += 1;
    }
}

/// What an answer says about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Records of the wanted kind, and the lowest TTL on the way to them.
    Records(Vec<Record>, u32),
    /// The name is an alias of one that isn't in this answer and must be queried. With the lowest TTL so far.
    Cname(Arc<str>, u32),
    /// No records of the wanted kind.
    Nothing,
    /// Aliases that loop or never end.
    CnameLoop,
}

/// Follows the aliases of `name` through one answer to the records that `wanted` picks.
pub fn find(name: &str, mut answers: Vec<Record>, wanted: impl Fn(&Data) -> bool) -> Found {
    let mut owner: Arc<str> = name.into();
    let mut ttl = u32::MAX;
    for aliases in 0..=MAX_ALIASES {
        let is_found = |record: &Record| record.owner == owner && wanted(&record.data);
        if answers.iter().any(is_found) {
            answers.retain(is_found);
            let ttl = answers.iter().map(|record| record.ttl).fold(ttl, u32::min);
            return Found::Records(answers, ttl);
        }
        let alias = answers.iter().find_map(|record| match &record.data {
            Data::Alias(target) if record.owner == owner => Some((target, record.ttl)),
            _ => None,
        });
        match alias {
            Some((target, alias_ttl)) => {
                ttl = ttl.min(alias_ttl);
                owner = Arc::clone(target);
            }
            None if aliases == 0 => return Found::Nothing,
            None => return Found::Cname(owner, ttl),
        }
    }
    Found::CnameLoop
}

/// The endpoints of address records in the order of the addresses, each once.
pub fn addresses(records: &[Record]) -> Vec<Endpoint> {
    let mut addresses: Vec<IpAddr> = records
        .iter()
        .filter_map(|record| match record.data {
            Data::Address(ip) => Some(ip),
            _ => None,
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let endpoint = |ip| Endpoint {
        priority: 0,
        weight: 0,
        host: None,
        addresses: vec![ip],
        port: None,
    };
    addresses.into_iter().map(endpoint).collect()
}

/// The endpoints of SRV records, in the order of priority, weight and name, each once; still without addresses.
/// `None` if the service is declared absent (a single target of `.`, RFC 2782).
pub fn services(records: &[Record]) -> Option<(Vec<Endpoint>, RefusedNames)> {
    let mut refused = RefusedNames::default();
    let mut endpoints = Vec::with_capacity(records.len());
    let mut absent = false;
    for record in records {
        let Data::Service {
            priority,
            weight,
            port,
            target,
        } = &record.data
        else {
            continue;
        };
        if target.is_empty() {
            absent = true;
        } else if is_host(target) {
            endpoints.push(Endpoint {
                priority: *priority,
                weight: *weight,
                host: Some(target.to_string()),
                addresses: Vec::new(),
                // 0 stands for none, as for a headless Service whose port has no name.
                port: (*port != 0).then_some(*port),
            });
        } else {
            refused.add(target);
        }
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    if absent && endpoints.is_empty() {
        None
    } else {
        Some((endpoints, refused))
    }
}

/// The addresses of a host in order, each once, and limited per family.
pub fn bounded(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    let (mut v4, mut v6) = (0, 0);
    addresses.retain(|ip| {
        let count = if ip.is_ipv4() { &mut v4 } else { &mut v6 };
        *count += 1;
        *count <= MAX_ADDRESSES
    });
    addresses
}

/// Whether a name is a valid host: one that DNS can carry, the system can resolve and a node name can hold. All names
/// from DNS pass this check.
///
/// This allows more than RFC 1123: clouds use underscores, and labels made of addresses end in hyphens
/// (`2001-db8--.pods.example.org`).
pub fn is_host(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

#[cfg(test)]
mod tests;
