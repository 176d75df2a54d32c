//! Parses the bytes of a response into Caravan's records. Pure.
//!
//! Reads record by record, since hickory's message of 1,000 records takes 300 kB that are discarded at once.

use std::sync::Arc;

use hickory_resolver::proto::op::{Edns, Header, Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::{self, DNSClass, Name, RData, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::digest::{Digest, digest};
use crate::endpoint::{Data, Record};

/// The truncation bit, in the third byte of a message.
const TC: u8 = 0b10;

/// The shortest record: the root's name, type, class, TTL and length (RFC 1035, 3.2.1).
const SHORTEST_RECORD: usize = 11;

/// A server's answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) code: ResponseCode,
    /// A referral to other servers, which says nothing about the name.
    pub(super) referral: bool,
    /// Whether there is an OPT record: then the server knows EDNS.
    pub(super) edns: bool,
    pub(super) records: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    /// Its digest.
    pub(super) digest: Option<u64>,
    /// It is the known answer, with this TTL; its records were not read.
    pub(super) unchanged: Option<u32>,
}

/// Bytes from a server.
#[derive(Debug)]
pub(super) enum Received {
    /// The answer.
    Response(Response),
    /// A truncated answer. It isn't read further, since TCP usually has the complete one.
    Truncated,
    /// Not an answer to this request; anybody may have sent it.
    Other,
}

/// Reads what came after `request` was sent. The records of an answer with the digest `known` are not read.
pub(super) fn read(bytes: &[u8], request: &Message, known: Option<u64>) -> Result<Received, String> {
    if bytes.get(..2) != Some(&request.metadata.id.to_be_bytes()[..]) {
        return Ok(Received::Other);
    }
    if bytes.get(2).is_some_and(|flags| flags & TC != 0) {
        return Ok(Received::Truncated);
    }
    whole(bytes, request, known)
}

/// The header and question, if this is an answer to `request`.
fn head(decoder: &mut BinDecoder<'_>, request: &Message) -> Result<Option<Header>, String> {
    let header = Header::read(decoder).map_err(text_of)?;
    // Our own query, from a port that echoes: no answer will come.
    if header.metadata.message_type != MessageType::Response {
        return Err("it is a query, too".into());
    }
    let queries = Message::read_queries(decoder, header.counts.queries.into()).map_err(|error| error.to_string())?;
    // A server that could not parse the query can't repeat it.
    let unread = queries.is_empty()
        && !matches!(
            header.metadata.response_code,
            ResponseCode::NoError | ResponseCode::NXDomain
        );
    Ok((unread || queries == request.queries).then_some(header))
}

/// The complete records of a truncated answer to `request`; the last, partial one is dropped. `None` if there are none,
/// or if the answer is a failure.
///
/// Its other sections are ignored: half of a host's addresses is worse than querying for all of them.
pub(super) fn whole_records(bytes: &[u8], request: &Message) -> Option<Response> {
    let mut decoder = BinDecoder::new(bytes);
    let Header { metadata, counts } = head(&mut decoder, request).ok()??;
    let mut records = Section::default();
    let _the_cut = records.read(&mut decoder, counts.answers);
    let is_answer = metadata.response_code == ResponseCode::NoError && !records.records.is_empty();
    is_answer.then(|| Response {
        code: metadata.response_code,
        referral: false,
        edns: false,
        records: records.records,
        additionals: Vec::new(),
        digest: None,
        unchanged: None,
    })
}

fn whole(bytes: &[u8], request: &Message, known: Option<u64>) -> Result<Received, String> {
    let mut decoder = BinDecoder::new(bytes);
    let Some(Header { metadata, counts }) = head(&mut decoder, request)? else {
        return Ok(Received::Other);
    };
    let digest = digest(bytes);
    if let Some(Digest { value, ttl }) = digest
        && known == Some(value)
    {
        return Ok(Received::Response(Response {
            code: metadata.response_code,
            referral: false,
            edns: true,
            records: Vec::new(),
            additionals: Vec::new(),
            digest: known,
            unchanged: Some(ttl),
        }));
    }
    let mut records = Section::default();
    records.read(&mut decoder, counts.answers).map_err(text_of)?;
    let mut authorities = Section::default();
    authorities.read(&mut decoder, counts.authorities).map_err(text_of)?;
    // RFC 2308, section 2.2: "no data" comes with authority or with a SOA record, or with nothing at all.
    let referral = counts.answers == 0 && !metadata.authoritative && authorities.ns && !authorities.soa;
    let mut additionals = Section::default();
    additionals.read(&mut decoder, counts.additionals).map_err(text_of)?;
    // EDNS holds the upper bits of the response code (RFC 6891, 6.1.3).
    let code = match &additionals.edns {
        Some(edns) => ResponseCode::from(edns.rcode_high(), metadata.response_code.low()),
        None => metadata.response_code,
    };
    Ok(Received::Response(Response {
        code,
        referral,
        edns: additionals.edns.is_some(),
        records: records.records,
        additionals: additionals.records,
        digest: digest.map(|digest| digest.value),
        unchanged: None,
    }))
}

/// The records of one section that endpoints are made of.
#[derive(Default)]
struct Section {
    records: Vec<Record>,
    edns: Option<Edns>,
    ns: bool,
    soa: bool,
    /// Big answers repeat one owner, so its text is made only once.
    owner: Option<(Name, Arc<str>)>,
}

impl Section {
    fn read(&mut self, decoder: &mut BinDecoder<'_>, count: u16) -> Result<(), DecodeError> {
        // A count is trusted only as far as there are bytes for it.
        let room = usize::from(count).min(decoder.len() / SHORTEST_RECORD);
        self.records.reserve_exact(room);
        for _ in 0..count {
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

/// A response code in the usual notation.
pub(super) fn code_word(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        other => other.to_str(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over so")]
fn text_of(error: DecodeError) -> String {
    error.to_string()
}

/// A name in lower case, without the trailing dot, with odd bytes escaped (RFC 1035, 5.1).
///
/// Unlike hickory's own, which escapes a hyphen at the start of a label, too.
fn text(name: &Name) -> String {
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
