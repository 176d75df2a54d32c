//! Look-ups of addresses: the hosts file for the system's servers, A and AAAA records for all.

use hickory_resolver::proto::rr::RecordType;

use super::asking::Asking;
use super::{Lookup, Transport, Type};
use crate::endpoint::{self, Refused};
use crate::error::Error;

pub(super) async fn look_up(asking: &Asking, name: &str, wanted: Type) -> Result<Lookup, Error> {
    let types: &[RecordType] = match wanted {
        Type::A => &[RecordType::A],
        Type::Aaaa => &[RecordType::AAAA],
        Type::Ip | Type::Srv => &[RecordType::A, RecordType::AAAA],
    };
    if let Some(found) = in_hosts(asking, name, types) {
        return Ok(found);
    }
    let resolved = match *types {
        [one] => asking.resolve(name, one).await?,
        _ => {
            let (v4, v6) = tokio::join!(
                asking.resolve(name, RecordType::A),
                asking.resolve(name, RecordType::AAAA),
            );
            match (v4, v6) {
                (Ok(mut v4), Ok(v6)) => {
                    v4.records.extend(v6.records);
                    v4.ttl = v4.ttl.min(v6.ttl);
                    v4
                }
                (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
                (Err(Error::NoData { .. }), Err(other)) | (Err(other), Err(_)) => {
                    return Err(other);
                }
            }
        }
    };
    let endpoints = endpoint::addresses(&resolved.records);
    Ok(Lookup::of(endpoints, &resolved, asking))
}

fn in_hosts(asking: &Asking, name: &str, types: &[RecordType]) -> Option<Lookup> {
    let system = asking.system.as_ref()?;
    let endpoints = endpoint::addresses(&system.static_addresses(name, types));
    (!endpoints.is_empty()).then(|| Lookup {
        endpoints,
        ttl: 0,
        server: super::system::HOSTS.into(),
        transport: Transport::Hosts,
        elapsed: asking.elapsed(),
        unresolved: Vec::new(),
        refused: Refused::default(),
    })
}
