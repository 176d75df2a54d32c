//! hickory's records as Caravan's.

use std::sync::Arc;

use hickory_resolver::proto::rr::{Name, RData};

use crate::endpoint::{Data, Record};

/// hickory's records as ours; others than those that endpoints are made of are left out.
pub(super) fn plain(records: &[hickory_resolver::proto::rr::Record]) -> Vec<Record> {
    // Big answers repeat one owner: its text is made once.
    let mut last: Option<(&Name, Arc<str>)> = None;
    let mut plain = Vec::with_capacity(records.len());
    for record in records {
        let data = match &record.data {
            RData::A(ip) => Data::Address(ip.0.into()),
            RData::AAAA(ip) => Data::Address(ip.0.into()),
            RData::CNAME(target) => Data::Alias(text(&target.0).into()),
            RData::SRV(service) => Data::Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: text(&service.target).into(),
            },
            _ => continue,
        };
        let owner = match &last {
            Some((name, owner)) if *name == &record.name => Arc::clone(owner),
            _ => text(&record.name).into(),
        };
        last = Some((&record.name, Arc::clone(&owner)));
        plain.push(Record {
            owner,
            ttl: record.ttl,
            data,
        });
    }
    plain
}

pub(super) fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}
