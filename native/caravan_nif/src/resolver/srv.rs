//! Lookups of services: SRV records (RFC 2782) and the addresses of the hosts they name.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;
use tokio::task::JoinSet;

use super::session::Session;
use super::{Lookup, Missing, Type, failed, ip};
use crate::endpoint::{self, Data, Endpoint, Record};
use crate::error::Error;

/// How many hosts one lookup resolves at the same time.
const HOSTS_AT_ONCE: usize = 64;

pub(super) async fn look_up(session: &Session, name: &str) -> Result<Lookup, Error> {
    let resolved = session.resolve(name, RecordType::SRV).await?;
    if resolved.unchanged {
        return Ok(Lookup::of(Vec::new(), &resolved, session));
    }
    let context = || session.context(name, RecordType::SRV, &[resolved.server]);
    let Some((mut endpoints, refused)) = endpoint::services(&resolved.records) else {
        return Err(Error::NoData {
            context: context(),
            reason: "the service is declared unavailable there (target \".\")",
        });
    };
    if endpoints.is_empty() {
        return Err(Error::NoHost {
            context: context(),
            count: refused.count,
            example: refused.example,
        });
    }
    let (known, ttl, unknown, at_once) = hosts(session, &endpoints, &resolved.additionals).await;
    let mut unresolved = Vec::new();
    for endpoint in &mut endpoints {
        let Some(host) = &endpoint.host else { continue };
        match known.get(host.as_str()) {
            Some(addresses) => endpoint.addresses.clone_from(addresses),
            None => unresolved.push(host.clone()),
        }
    }
    unresolved.sort_unstable();
    unresolved.dedup();
    let lookup = Lookup::of(endpoints, &resolved, session);
    Ok(Lookup {
        ttl: lookup.ttl.min(ttl),
        unresolved,
        refused,
        incomplete: lookup.incomplete.or(unknown.map(Missing::Addresses)),
        digest: lookup.digest.filter(|_| at_once),
        ..lookup
    })
}

/// The addresses of the endpoints' hosts, the lowest TTL on the way to them, why one of them is unknown, and whether
/// all this depends on nothing but the answer.
///
/// The hosts file precedes the additional section. Hosts without an address of the wanted family there are looked up,
/// since a server may leave anything out of that section (RFC 2181, section 9).
async fn hosts(
    session: &Session,
    endpoints: &[Endpoint],
    additionals: &[Record],
) -> (HashMap<String, Vec<IpAddr>>, u32, Option<Error>, bool) {
    let mut ttl = u32::MAX;
    let mut given: HashMap<&str, Vec<IpAddr>> = HashMap::new();
    for record in additionals {
        if let Data::Address(ip) = record.data {
            given.entry(&record.owner).or_default().push(ip);
            ttl = ttl.min(record.ttl);
        }
    }
    let mut known = HashMap::with_capacity(endpoints.len());
    let mut missing = Vec::new();
    for host in endpoints.iter().filter_map(|found| found.host.as_ref()) {
        if known.contains_key(host) {
            continue;
        }
        let addresses = match host.parse() {
            // RFC 2782 doesn't allow a literal address as a target, but its meaning is clear.
            Ok(ip) => vec![ip],
            Err(_) => {
                let addresses = match ip::static_addresses(session, host) {
                    [] => given.remove(host.as_str()).unwrap_or_default(),
                    listed => listed.to_vec(),
                };
                if !addresses.iter().any(|ip| ip.is_ipv6() == session.ipv6) {
                    missing.push(host.clone());
                }
                addresses
            }
        };
        known.insert(host.clone(), addresses);
    }
    // The hosts file, which counts only with the system's servers, may change.
    let at_once = missing.is_empty() && session.system.is_none();
    let (lowest, incomplete) = resolve(session, missing, &mut known).await;
    known.retain(|_, addresses| {
        *addresses = endpoint::bounded(std::mem::take(addresses));
        !addresses.is_empty()
    });
    (known, ttl.min(lowest), incomplete, at_once)
}

/// Looks up hosts, several at a time, and adds their addresses. Returns the lowest TTL seen, and, unless DNS says so,
/// why a host has no address that this node could dial.
async fn resolve(
    session: &Session,
    hosts: Vec<String>,
    known: &mut HashMap<String, Vec<IpAddr>>,
) -> (u32, Option<Error>) {
    let mut ttl = u32::MAX;
    let mut incomplete = None;
    let mut under_way = JoinSet::new();
    let mut hosts = hosts.into_iter();
    loop {
        let room = if session.is_over() {
            0
        } else {
            HOSTS_AT_ONCE - under_way.len()
        };
        for host in hosts.by_ref().take(room) {
            let session = session.for_hosts();
            under_way.spawn(async move {
                let found = ip::look_up(&session, &host, Type::Ip).await;
                (host, found)
            });
        }
        match under_way.join_next().await {
            Some(Ok((host, Ok(found)))) => {
                ttl = ttl.min(found.ttl);
                let addresses = known.entry(host).or_default();
                for endpoint in found.endpoints {
                    addresses.extend(endpoint.addresses);
                }
                if !addresses.iter().any(|ip| ip.is_ipv6() == session.ipv6) {
                    let why = found.incomplete.map(Missing::into_why);
                    incomplete = incomplete.or(why);
                }
            }
            Some(Ok((_host, Err(error)))) => incomplete = incomplete.or(failed(error)),
            Some(Err(_panicked)) => {}
            None => {
                let unasked = hosts.next().map(|host| session.expired(&host));
                return (ttl, incomplete.or(unasked));
            }
        }
    }
}
