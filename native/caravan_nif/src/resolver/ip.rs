//! Lookups of addresses: A and AAAA records, and the hosts file if the system's servers are queried.

use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;

use super::session::{Resolved, Session};
use super::system::HOSTS;
use super::{Lookup, Transport, Type, failed};
use crate::endpoint::{self, Data, Record, RefusedNames};
use crate::error::Error;

pub(super) async fn look_up(session: &Session, name: &str, wanted: Type) -> Result<Lookup, Error> {
    let resolved = match wanted {
        Type::A => session.resolve(name, RecordType::A).await?,
        Type::Aaaa => session.resolve(name, RecordType::AAAA).await?,
        Type::Ip | Type::Srv => {
            let (v4, v6) = tokio::join!(
                session.resolve(name, RecordType::A),
                session.resolve(name, RecordType::AAAA),
            );
            match (v4, v6) {
                (Ok(mut v4), Ok(v6)) => {
                    v4.records.extend(v6.records);
                    v4.ttl = v4.ttl.min(v6.ttl);
                    v4.missing = v4.missing.or(v6.missing);
                    v4
                }
                (Ok(one), Err(other)) | (Err(other), Ok(one)) => Resolved {
                    missing: one.missing.or(failed(other)),
                    ..one
                },
                (Err(Error::NoData { .. }), Err(other)) | (Err(other), Err(_)) => {
                    return Err(other);
                }
            }
        }
    };
    let endpoints = endpoint::addresses(&resolved.records);
    Ok(Lookup::of(endpoints, &resolved, session))
}

/// What the hosts file says about a name.
pub(super) fn in_hosts(session: &Session, name: &str, wanted: Type) -> Option<Lookup> {
    let records: Vec<Record> = static_addresses(session, name)
        .iter()
        .filter(|ip| match wanted {
            Type::A => ip.is_ipv4(),
            Type::Aaaa => ip.is_ipv6(),
            Type::Ip => true,
            Type::Srv => false,
        })
        .map(|ip| Record {
            owner: name.into(),
            ttl: 0,
            data: Data::Address(*ip),
        })
        .collect();
    let endpoints = endpoint::addresses(&records);
    (!endpoints.is_empty()).then(|| Lookup {
        endpoints,
        ttl: 0,
        server: HOSTS.into(),
        transport: Transport::HostsFile,
        elapsed: session.elapsed(),
        unresolved: Vec::new(),
        refused: RefusedNames::default(),
        incomplete: None,
        digest: None,
        unchanged: false,
    })
}

/// The addresses of a host according to the hosts file.
pub(super) fn static_addresses<'a>(session: &'a Session, name: &str) -> &'a [IpAddr] {
    session.system.as_ref().map_or(&[], |system| system.hosts.get(name))
}
