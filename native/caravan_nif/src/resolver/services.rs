//! Look-ups of services: SRV records (RFC 2782) and the addresses of the hosts they name.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;
use tokio::task::JoinSet;

use super::asking::Asking;
use super::{Lookup, Type, addresses};
use crate::endpoint::{self, Data, Endpoint};
use crate::error::Error;

/// Hosts resolved at the same time, by one look-up.
const HOSTS_AT_ONCE: usize = 64;

pub(super) async fn look_up(asking: &Asking, name: &str) -> Result<Lookup, Error> {
    let resolved = asking.resolve(name, RecordType::SRV).await?;
    let asked = || asking.asked(name, RecordType::SRV, &[resolved.answer.server]);
    let Some((mut endpoints, refused)) = endpoint::services(&resolved.records) else {
        return Err(Error::NoData {
            asked: asked(),
            reason: "the service is declared not available there (target \".\")",
        });
    };
    if endpoints.is_empty() {
        return Err(Error::Malformed {
            asked: asked(),
            reason: format!(
                "none of its {} targets is a host and a port, such as \"{}\"",
                refused.count,
                refused.example.escape_default()
            ),
        });
    }
    let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for record in &resolved.answer.additionals {
        if let Data::Address(ip) = record.data {
            known.entry(record.owner.to_string()).or_default().push(ip);
        }
    }
    let ttl = resolve_hosts(asking, &endpoints, &mut known).await;
    let mut unresolved = Vec::new();
    for endpoint in &mut endpoints {
        let Some(host) = &endpoint.host else { continue };
        match known.get(host) {
            Some(addresses) => endpoint.addresses.clone_from(addresses),
            None => unresolved.push(host.clone()),
        }
    }
    unresolved.sort_unstable();
    unresolved.dedup();
    let lookup = Lookup::of(endpoints, &resolved, asking);
    Ok(Lookup {
        ttl: lookup.ttl.min(ttl),
        unresolved,
        refused,
        ..lookup
    })
}

/// Finds the addresses of the hosts that the additional section did not give; answers the lowest TTL seen.
async fn resolve_hosts(
    asking: &Asking,
    endpoints: &[Endpoint],
    known: &mut HashMap<String, Vec<IpAddr>>,
) -> u32 {
    let mut hosts: Vec<String> = endpoints
        .iter()
        .filter_map(|endpoint| endpoint.host.clone())
        .filter(|host| !known.contains_key(host))
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    // A literal address as a target is not what RFC 2782 wants, but what it means is plain.
    hosts.retain(|host| match host.parse::<IpAddr>() {
        Ok(ip) => known.insert(host.clone(), vec![ip]).is_some(),
        Err(_) => true,
    });
    let mut ttl = u32::MAX;
    let mut under_way = JoinSet::new();
    let mut hosts = hosts.into_iter();
    loop {
        for host in hosts.by_ref().take(HOSTS_AT_ONCE - under_way.len()) {
            let asking = asking.clone();
            under_way.spawn(async move {
                let found = addresses::look_up(&asking, &host, Type::Ip).await;
                (host, found)
            });
        }
        match under_way.join_next().await {
            Some(Ok((host, Ok(found)))) => {
                ttl = ttl.min(found.ttl);
                let addresses = found
                    .endpoints
                    .into_iter()
                    .flat_map(|found| found.addresses);
                known.insert(host, addresses.collect());
            }
            Some(_) => {}
            None => return ttl,
        }
    }
}
