//! The records of one section that endpoints are made of. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_resolver::proto::op::{Edns, HeaderCounts};
use hickory_resolver::proto::rr::{self, DNSClass, Name, RData, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::super::format::{A, AAAA};
use crate::endpoint::{Data, Record};

/// The shortest record: the root's name, type, class, TTL and length (RFC 1035, 3.2.1).
const SHORTEST_RECORD: usize = 11;

/// Where the question begins, after the header (RFC 1035, 4.1.1).
const QUESTION: u8 = 12;

/// The first byte of a pointer to one of the message's first bytes (RFC 1035, 4.1.4).
const POINTER: u8 = 0b1100_0000;

/// The records of one section that endpoints are made of.
pub(super) struct Section {
    pub(super) records: Vec<Record>,
    pub(super) edns: Option<Edns>,
    pub(super) ns: bool,
    pub(super) soa: bool,
    /// The name in the question, whose addresses are read in place; hickory reads everything if it is `None`.
    asked: Option<Arc<str>>,
    /// Big answers repeat one owner, so its text is made only once.
    owner: Option<(Name, Arc<str>)>,
}

impl Section {
    pub(super) fn new(asked: Option<Arc<str>>) -> Self {
        Self {
            records: Vec::new(),
            edns: None,
            ns: false,
            soa: false,
            asked,
            owner: None,
        }
    }

    pub(super) fn read(&mut self, decoder: &mut BinDecoder<'_>, count: u16) -> Result<(), DecodeError> {
        // A count is trusted only as far as there are bytes for it.
        let room = usize::from(count).min(decoder.len() / SHORTEST_RECORD);
        self.records.reserve_exact(room);
        for _ in 0..count {
            if let Some(asked) = &self.asked
                && let Some((ttl, ip)) = address(decoder)
            {
                self.records.push(Record {
                    owner: Arc::clone(asked),
                    ttl,
                    data: Data::Address(ip),
                });
                continue;
            }
            let record = rr::Record::read(decoder)?;
            match record.record_type() {
                RecordType::OPT => self.edns = Some(Edns::from(&record)),
                RecordType::NS => self.ns = true,
                RecordType::SOA => self.soa = true,
                _ if record.dns_class == DNSClass::IN => self.take(record),
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, record: rr::Record) {
        let data = match record.data {
            RData::A(ip) => Data::Address(ip.0.into()),
            RData::AAAA(ip) => Data::Address(ip.0.into()),
            RData::CNAME(target) => Data::Alias(text(&target.0).into()),
            RData::SRV(service) => Data::Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: text(&service.target).into(),
            },
            _ => return,
        };
        let owner = match &self.owner {
            Some((name, owner)) if *name == record.name => Arc::clone(owner),
            _ => {
                let owner: Arc<str> = text(&record.name).into();
                self.owner = Some((record.name, Arc::clone(&owner)));
                owner
            }
        };
        self.records.push(Record {
            owner,
            ttl: record.ttl,
            data,
        });
    }
}

/// Reads an A or AAAA record whose owner is a pointer to the question's name; any other stays unread.
fn address(decoder: &mut BinDecoder<'_>) -> Option<(u32, IpAddr)> {
    let mut ahead = decoder.clone(u16::try_from(decoder.index()).ok()?);
    let head = ahead.read_slice(12).ok()?.unverified(/*matched here*/);
    let &[POINTER, QUESTION, k1, k2, 0, 1, t1, t2, t3, t4, 0, length] = head else {
        return None;
    };
    let data = ahead.read_slice(length.into()).ok()?.unverified(/*any address is valid*/);
    let ip = match (u16::from_be_bytes([k1, k2]), length) {
        (A, 4) => IpAddr::from(*data.first_chunk::<4>()?),
        (AAAA, 16) => IpAddr::from(*data.first_chunk::<16>()?),
        _ => return None,
    };
    *decoder = ahead;
    Some((u32::from_be_bytes([t1, t2, t3, t4]), ip))
}

/// Reads the sections that follow the question: answers, authorities, additionals.
pub(super) fn read_sections(
    sections: &mut [Section; 3],
    decoder: &mut BinDecoder<'_>,
    counts: HeaderCounts,
) -> Result<(), DecodeError> {
    let counts = [counts.answers, counts.authorities, counts.additionals];
    let mut sections = sections.iter_mut().zip(counts);
    sections.try_for_each(|(section, count)| section.read(decoder, count))
}

/// A name in lower case, without the trailing dot, with odd bytes escaped (RFC 1035, 5.1).
///
/// Unlike hickory's own, which escapes a hyphen at the start of a label, too.
pub(super) fn text(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            match byte.to_ascii_lowercase() {
                byte @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => text.push(byte.into()),
                byte if byte.is_ascii_graphic() => text.extend(['\\', byte.into()]),
                byte => text.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    text
}
