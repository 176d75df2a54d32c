//! A response to bytes. PURE.
//!
//! hickory's own message encoder compresses the first 120 names only and drops the OPT record of a full message, so that
//! 4,000 addresses would not fit. Here every owner name seen before is a pointer; the rest is hickory's `BinEncoder`.

use std::borrow::Cow;
use std::collections::HashMap;

use hickory_server::proto::ProtoError;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, LowerQuery, Metadata};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// An OPT record without options.
const OPT_SIZE: u16 = 11;
/// The UDP size that we accept ourselves, told to clients that use EDNS.
const OUR_UDP_SIZE: u16 = 1_232;
/// Pointers have 14 bits.
const FARTHEST_POINTER: usize = 0x3FFF;

pub(crate) struct Response<'a> {
    pub(crate) metadata: Metadata,
    pub(crate) question: Option<&'a LowerQuery>,
    pub(crate) answer: &'a [Cow<'a, Record>],
    pub(crate) additional: &'a [Cow<'a, Record>],
    pub(crate) edns: bool,
}

/// At most `limit` bytes (512 or more): what does not fit costs the additional section first, then sets TC.
pub(crate) fn encode(response: &Response<'_>, limit: u16) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    encoder.set_max_size(if response.edns { limit - OPT_SIZE } else { limit });
    let header = encoder.place::<Header>()?;
    let mut owners = HashMap::new();
    if let Some(question) = response.question {
        owners.insert(question.original().name(), encoder.offset());
        question.emit(&mut encoder)?;
    }

    let answers = emit_fitting(&mut encoder, &mut owners, response.answer);
    let truncated = answers < response.answer.len();
    let before = encoder.offset();
    let mut additionals = 0;
    if !truncated {
        additionals = emit_fitting(&mut encoder, &mut owners, response.additional);
        if additionals < response.additional.len() {
            additionals = 0;
            encoder.set_offset(before);
            encoder.trim();
        }
    }
    if response.edns {
        encoder.set_max_size(limit);
        let mut edns = Edns::new();
        edns.set_max_payload(OUR_UDP_SIZE);
        edns.emit(&mut encoder)?;
        additionals += 1;
    }

    let mut metadata = response.metadata;
    metadata.truncation |= truncated;
    let counts = HeaderCounts {
        queries: response.question.is_some().into(),
        answers: answers as u16,
        authorities: 0,
        additionals: additionals as u16,
    };
    header.replace(&mut encoder, Header { metadata, counts })?;
    Ok(bytes)
}

type Owners<'a> = HashMap<&'a Name, usize>;

/// Writes complete records only; returns how many.
fn emit_fitting<'a>(encoder: &mut BinEncoder<'_>, owners: &mut Owners<'a>, records: &'a [Cow<'a, Record>]) -> usize {
    for (index, record) in records.iter().enumerate() {
        let start = encoder.offset();
        if emit(encoder, owners, record).is_err() {
            encoder.set_offset(start);
            encoder.trim();
            return index;
        }
    }
    records.len()
}

fn emit<'a>(encoder: &mut BinEncoder<'_>, owners: &mut Owners<'a>, record: &'a Record) -> Result<(), ProtoError> {
    match owners.get(&record.name) {
        Some(&offset) => encoder.emit_u16(0xC000 | offset as u16)?,
        None => {
            remember(owners, &record.name, encoder.offset());
            record.name.emit(encoder)?;
        }
    }
    record.record_type().emit(encoder)?;
    record.dns_class.emit(encoder)?;
    encoder.emit_u32(record.ttl)?;
    let length = encoder.place::<u16>()?;
    // Targets stay whole (RFC 2782 forbids pointers in SRV data), but the addresses behind them may point to them.
    match &record.data {
        RData::SRV(srv) => remember(owners, &srv.target, encoder.offset() + 6),
        RData::CNAME(target) => remember(owners, target, encoder.offset()),
        _ => {}
    }
    record.data.emit(encoder)?;
    let written = encoder.len_since_place(&length);
    length.replace(encoder, written as u16)
}

fn remember<'a>(owners: &mut Owners<'a>, name: &'a Name, offset: usize) {
    if offset <= FARTHEST_POINTER {
        owners.entry(name).or_insert(offset);
    }
}

#[cfg(test)]
mod tests {
    use hickory_server::proto::op::{Message, MessageType, OpCode, Query};
    use hickory_server::proto::rr::RecordType;
    use hickory_server::proto::rr::rdata::{CNAME, SRV};

    use super::*;
    use crate::record::parse_name;

    fn name(text: &str) -> Name {
        parse_name(text).expect(text)
    }

    fn addresses(owner: &str, count: u32) -> Vec<Cow<'static, Record>> {
        let data = |number: u32| RData::A(std::net::Ipv4Addr::from(0x7F00_0000 + number).into());
        (0..count)
            .map(|number| Cow::Owned(Record::from_rdata(name(owner), 5, data(number))))
            .collect()
    }

    fn targets(count: u32) -> Vec<Cow<'static, Record>> {
        let data = |number: u32| RData::SRV(SRV::new(0, 0, 3434, name(&format!("n{number}.test"))));
        (0..count)
            .map(|number| Cow::Owned(Record::from_rdata(name("app.test"), 5, data(number))))
            .collect()
    }

    fn encoded(answer: &[Cow<'_, Record>], additional: &[Cow<'_, Record>], edns: bool, limit: u16) -> (usize, Message) {
        let question = LowerQuery::query(Query::query(name("App.test"), RecordType::A));
        let metadata = Metadata::new(7, MessageType::Response, OpCode::Query);
        let response = Response {
            metadata,
            question: Some(&question),
            answer,
            additional,
            edns,
        };
        let bytes = encode(&response, limit).expect("bytes");
        assert!(bytes.len() <= usize::from(limit));
        (bytes.len(), Message::from_vec(&bytes).expect("a message"))
    }

    #[test]
    fn records_survive_the_way_there_and_back() {
        let mut answer = targets(3);
        answer.push(Cow::Owned(Record::from_rdata(
            name("app.test"),
            5,
            RData::CNAME(CNAME(name("b.test"))),
        )));
        answer.extend(addresses("b.test", 2));
        let additional = addresses("n2.test", 1);
        let (_, message) = encoded(&answer, &additional, true, 512);
        assert_eq!(message.queries[0].name().to_string(), "App.test.");
        assert_eq!(
            message.answers,
            answer
                .iter()
                .map(|record| record.clone().into_owned())
                .collect::<Vec<_>>()
        );
        assert_eq!(message.additionals, [additional[0].clone().into_owned()]);
        assert_eq!(message.edns.expect("EDNS").max_payload(), OUR_UDP_SIZE);
        assert!(!message.metadata.truncation);
    }

    #[test]
    fn four_thousand_addresses_or_two_thousand_targets_fit() {
        let (size, message) = encoded(&addresses("app.test", 4_000), &[], true, u16::MAX);
        assert_eq!((size, message.answers.len()), (12 + 14 + 4_000 * 16 + 11, 4_000));
        let (_, message) = encoded(&targets(2_000), &addresses("n1.test", 2_000), true, u16::MAX);
        assert_eq!((message.answers.len(), message.additionals.len()), (2_000, 0));
        assert!(!message.metadata.truncation && message.edns.is_some());
    }

    #[test]
    fn addresses_behind_a_long_alias_fit_too() {
        let alias = RData::CNAME(CNAME(name("other.test")));
        let mut answer = vec![Cow::Owned(Record::from_rdata(name("app.test"), 5, alias))];
        answer.extend(addresses("other.test", 4_000));
        assert_eq!(encoded(&answer, &[], false, u16::MAX).1.answers.len(), 4_001);
    }

    #[test]
    fn the_additional_section_goes_before_tc_is_set() {
        let (size, message) = encoded(&addresses("app.test", 30), &addresses("n.test", 1), false, 512);
        assert_eq!((size, message.answers.len(), message.additionals.len()), (506, 30, 0));
        assert!(!message.metadata.truncation);
        let (size, message) = encoded(&addresses("app.test", 31), &[], false, 512);
        assert_eq!((size, message.answers.len()), (506, 30));
        assert!(message.metadata.truncation);
        let (size, message) = encoded(&addresses("app.test", 31), &[], true, 512);
        assert_eq!((size, message.answers.len(), message.edns.is_some()), (501, 29, true));
        assert!(message.metadata.truncation);
    }
}
