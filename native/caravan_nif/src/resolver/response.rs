//! Parses the bytes of a response into Caravan's records. Pure.
//!
//! Reads record by record, since hickory's message of 1,000 records takes 300 kB that are discarded at once. Most
//! records of a big answer are addresses of the name in the question; they are read in place, all others by hickory.

mod section;

use std::sync::Arc;

use hickory_resolver::proto::op::{Header, HeaderCounts, Message, MessageType, ResponseCode};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use self::section::{Section, read_sections, text};
use super::Recall;
use super::digest::{Digest, digest};
use crate::endpoint::{Data, Record};

/// The truncation bit, in the third byte of a message.
const TC: u8 = 0b10;

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
    /// Its digest, if one was wanted.
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

/// Reads what came after `request` was sent. The records of an answer that is known already are not read.
pub(super) fn read(bytes: &[u8], request: &Message, recall: Recall) -> Result<Received, String> {
    if bytes.get(..2) != Some(&request.metadata.id.to_be_bytes()[..]) {
        return Ok(Received::Other);
    }
    if bytes.get(2).is_some_and(|flags| flags & TC != 0) {
        return Ok(Received::Truncated);
    }
    whole(bytes, request, recall)
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
    let mut records = Section::new(asked(request, counts));
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

fn whole(bytes: &[u8], request: &Message, recall: Recall) -> Result<Received, String> {
    let mut decoder = BinDecoder::new(bytes);
    let Some(Header { metadata, counts }) = head(&mut decoder, request)? else {
        return Ok(Received::Other);
    };
    let digest = match recall {
        Recall::Off => None,
        Recall::On | Recall::Known(_) => digest(bytes),
    };
    if let Some(Digest { value, ttl }) = digest
        && recall == Recall::Known(value)
    {
        return Ok(Received::Response(Response {
            code: metadata.response_code,
            referral: false,
            edns: true,
            records: Vec::new(),
            additionals: Vec::new(),
            digest: Some(value),
            unchanged: Some(ttl),
        }));
    }
    let asked = asked(request, counts);
    let mut sections = [(); 3].map(|()| Section::new(asked.clone()));
    read_sections(&mut sections, &mut decoder, counts).map_err(text_of)?;
    let [records, authorities, additionals] = sections;
    // RFC 2308, section 2.2: "no data" comes with authority or with a SOA record, or with nothing at all.
    let referral = counts.answers == 0 && !metadata.authoritative && authorities.ns && !authorities.soa;
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

/// The addresses of one family in an answer that consists of nothing else: it is whole, no error, and follows a
/// question for `asked` that ends at `start`. The caller has compared the id and the question.
pub(super) fn only_addresses(bytes: &[u8], start: usize, asked: &Arc<str>, ipv6: bool) -> Option<Vec<Record>> {
    let mut decoder = BinDecoder::new(bytes);
    let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
    let mut decoder = BinDecoder::new(bytes);
    decoder.read_slice(start).ok()?;
    let mut sections = [(); 3].map(|()| Section::new(Some(Arc::clone(asked))));
    read_sections(&mut sections, &mut decoder, counts).ok()?;
    let [records, _, additionals] = sections;
    let code_is_extended = additionals.edns.is_some_and(|edns| edns.rcode_high() != 0);
    let is_whole = metadata.response_code == ResponseCode::NoError && !metadata.truncation && !code_is_extended;
    let all = records.records.len() == usize::from(counts.answers) && counts.answers > 0;
    let is_wanted =
        |record: &Record| record.owner == *asked && matches!(record.data, Data::Address(ip) if ip.is_ipv6() == ipv6);
    (is_whole && all && records.records.iter().all(is_wanted)).then_some(records.records)
}

/// Whether hickory alone would read the same from an answer to `request`: what reading in place is held to.
#[cfg(any(test, fuzzing))]
pub(super) fn readers_agree(bytes: &[u8], request: &Message) -> bool {
    let read = |in_place: bool| {
        let mut decoder = BinDecoder::new(bytes);
        let counts = head(&mut decoder, request).ok()??.counts;
        let asked = asked(request, counts).filter(|_| in_place);
        let mut sections = [(); 3].map(|()| Section::new(asked.clone()));
        let end = read_sections(&mut sections, &mut decoder, counts).map_err(text_of);
        let found = sections.map(|section| (section.records, section.edns, section.ns, section.soa));
        Some((found, end, decoder.index()))
    };
    read(true) == read(false)
}

/// The name in the question of an answer to `request`, if the answer repeats it.
fn asked(request: &Message, counts: HeaderCounts) -> Option<Arc<str>> {
    let query = request.queries.first().filter(|_| counts.queries > 0)?;
    Some(text(&query.name).into())
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
