//! The records: added, removed, listed and found. PURE.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::SRV;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};

use crate::record::{show, show_name};

/// A chain of aliases ends here, so that a loop becomes an answer.
const LONGEST_CHAIN: usize = 16;

/// Where flood targets live: a loopback address and a port where nobody listens.
const FLOOD_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);
const FLOOD_PORT: u16 = 61_000;

#[derive(Default)]
pub(crate) struct Zone {
    records: HashMap<LowerName, Vec<Record>>,
    floods: HashMap<LowerName, u64>,
    /// The number of the next flood target.
    fresh: AtomicU64,
}

pub(crate) struct Answer<'z> {
    pub(crate) code: ResponseCode,
    pub(crate) records: Vec<Cow<'z, Record>>,
}

impl Answer<'_> {
    pub(crate) fn nothing(code: ResponseCode) -> Self {
        Self {
            code,
            records: Vec::new(),
        }
    }
}

impl Zone {
    /// Adding a record again only changes its TTL: the records of a name are a set.
    pub(crate) fn add(&mut self, record: Record) {
        let records = self.records.entry(LowerName::new(&record.name)).or_default();
        match records.iter_mut().find(|known| known.data == record.data) {
            Some(known) => known.ttl = record.ttl,
            None => records.push(record),
        }
    }

    /// Nothing to remove is an error: in a test it is a typo.
    pub(crate) fn remove(&mut self, name: &Name, kind: Option<RecordType>, data: Option<&RData>) -> Result<(), String> {
        let name = LowerName::new(name);
        let records = self.records.entry(name.clone()).or_default();
        let before = records.len();
        records.retain(|record| {
            kind.is_some_and(|kind| kind != record.record_type()) || data.is_some_and(|data| *data != record.data)
        });
        let removed = before - records.len();
        if records.is_empty() {
            self.records.remove(&name);
        }
        match removed {
            0 => Err(format!(
                "there is no such record of {} to remove; `list` shows all records",
                show_name(&name)
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn flood(&mut self, name: &Name, count: u64) {
        let name = LowerName::new(name);
        match count {
            0 => self.floods.remove(&name),
            count => self.floods.insert(name, count),
        };
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.floods.clear();
    }

    /// One line per record, by name.
    pub(crate) fn list(&self) -> Vec<String> {
        let mut names: Vec<_> = self.records.iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        names.into_iter().flat_map(|(_, records)| records).map(show).collect()
    }

    /// Follows aliases inside the zone, as a recursive server would.
    pub(crate) fn answer(&self, name: &LowerName, kind: RecordType) -> Answer<'_> {
        let mut answer = Answer::nothing(ResponseCode::NoError);
        let mut name = Cow::Borrowed(name);
        while answer.records.len() < LONGEST_CHAIN {
            let Some(found) = self.find(&name, kind) else {
                answer.code = ResponseCode::NXDomain;
                break;
            };
            if !found.is_empty() {
                answer.records.extend(found);
                break;
            }
            let alias = self.records.get(&*name).and_then(|records| {
                records.iter().find_map(|record| match &record.data {
                    RData::CNAME(target) => Some((record, LowerName::new(target))),
                    _ => None,
                })
            });
            let Some((record, target)) = alias else { break };
            answer.records.push(Cow::Borrowed(record));
            name = Cow::Owned(target);
        }
        answer
    }

    /// The addresses of the SRV targets in an answer, those of each target once.
    pub(crate) fn additional(&self, answer: &[Cow<'_, Record>], types: &[RecordType]) -> Vec<Cow<'_, Record>> {
        let mut seen = HashSet::new();
        let mut addresses = Vec::new();
        for record in answer {
            let RData::SRV(srv) = &record.data else {
                continue;
            };
            if seen.insert(&srv.target) {
                let target = LowerName::new(&srv.target);
                for kind in types {
                    addresses.extend(self.find(&target, *kind).unwrap_or_default());
                }
            }
        }
        addresses
    }

    /// The records of one name and type; None when the name is unknown.
    fn find(&self, name: &LowerName, kind: RecordType) -> Option<Vec<Cow<'_, Record>>> {
        let wanted = |asked: RecordType| kind == asked || kind == RecordType::ANY;
        if let Some(&count) = self.floods.get(name)
            && wanted(RecordType::SRV)
        {
            return Some(self.fresh_targets(name, count));
        }
        if let Some(records) = self.records.get(name) {
            let found = records.iter().filter(|record| wanted(record.record_type()));
            return Some(found.map(Cow::Borrowed).collect());
        }
        if self.is_flood_target(name) {
            let address = Record::from_rdata(name.into(), 0, RData::A(FLOOD_ADDRESS.into()));
            return Some(Vec::from_iter(wanted(RecordType::A).then_some(Cow::Owned(address))));
        }
        self.floods.contains_key(name).then(Vec::new)
    }

    fn fresh_targets(&self, name: &LowerName, count: u64) -> Vec<Cow<'_, Record>> {
        let owner: Name = name.into();
        let first = self.fresh.fetch_add(count, Ordering::Relaxed);
        let targets = (first..first + count).filter_map(|number| owner.prepend_label(format!("f{number}")).ok());
        targets
            .map(|target| RData::SRV(SRV::new(0, 0, FLOOD_PORT, target)))
            .map(|data| Cow::Owned(Record::from_rdata(owner.clone(), 0, data)))
            .collect()
    }

    fn is_flood_target(&self, name: &LowerName) -> bool {
        if self.floods.is_empty() || !self.floods.contains_key(&name.base_name()) {
            return false;
        }
        let number = name.iter().next().and_then(|label| label.strip_prefix(b"f"));
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        number.is_some_and(|number| number < self.fresh.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
