use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{NS, SRV};
use hickory_resolver::proto::rr::{RData, Record};
use proptest::prelude::*;

use super::*;
use crate::endpoint::is_host;
use crate::error::Kind;

fn answer(targets: &[Name]) -> Message {
    let owner = Name::from_ascii("app.test.").expect("a name");
    let mut message = build_query(&Query::query(owner.clone(), RecordType::SRV), true);
    message.metadata.message_type = MessageType::Response;
    for target in targets {
        let service = RData::SRV(SRV::new(0, 10, 3434, target.clone()));
        message.answers.push(Record::from_rdata(owner.clone(), 5, service));
    }
    message
}

fn decoded(message: &Message) -> Result<Decoded, Error> {
    decode(&message.to_vec().expect("bytes"), "app.test", Type::Srv)
}

fn name(labels: &[&[u8]]) -> Name {
    Name::from_labels(labels.iter().copied()).expect("a name")
}

#[test]
fn what_is_no_answer_to_the_question_is_ignored() {
    let good = answer(&[name(&[b"n1", b"test"])]);
    assert!(matches!(decoded(&good), Ok(Decoded::Endpoints(..))));
    let mut sent_back = good.clone();
    sent_back.metadata.message_type = MessageType::Query;
    let mut other_type = good.clone();
    other_type.queries[0].query_type = RecordType::A;
    let mut unasked = good;
    unasked.queries.clear();
    let error = decoded(&sent_back).expect_err("an error");
    assert_eq!(error.kind(), Kind::Malformed);
    for message in [other_type, unasked] {
        assert!(matches!(decoded(&message), Ok(Decoded::Ignored)), "{message}");
    }
}

#[test]
fn a_server_that_did_not_even_read_the_question_says_so() {
    let mut message = answer(&[]);
    message.queries.clear();
    message.metadata.response_code = ResponseCode::FormErr;
    let error = decoded(&message).expect_err("an error");
    assert_eq!(error.kind(), Kind::Servfail);
    assert!(error.to_string().contains("FORMERR"), "{error}");
}

#[test]
fn a_referral_is_no_answer_and_plain_emptiness_is_no_referral() {
    let mut message = answer(&[]);
    assert!(matches!(decoded(&message), Ok(Decoded::Nothing)));
    let servers = RData::NS(NS(name(&[b"ns", b"test"])));
    message
        .authorities
        .push(Record::from_rdata(name(&[b"test"]), 5, servers));
    let error = decoded(&message).expect_err("an error");
    assert_eq!(error.kind(), Kind::Servfail);
    assert!(error.to_string().contains("referral"), "{error}");
    message.metadata.authoritative = true;
    assert!(matches!(decoded(&message), Ok(Decoded::Nothing)));
}

#[test]
fn targets_that_can_be_no_host_are_refused_and_counted() {
    let hostile: [&[u8]; 8] = [b"a b", b"a@b", b"a\"b", b"a\0b", b"a\x1b[31m", b"*a", b"\xff", b"a.b\\"];
    let mut targets: Vec<Name> = hostile.iter().map(|label| name(&[label, b"test"])).collect();
    targets.push(name(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]]));
    targets.push(name(&[b"Good", b"TEST"]));
    let Ok(Decoded::Endpoints(endpoints, refused)) = decoded(&answer(&targets)) else {
        panic!("endpoints expected");
    };
    let [(Some(longest), _), (Some(good), _)] = endpoints
        .iter()
        .map(|e| (e.host.as_deref(), e.port))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{endpoints:?}");
    };
    assert_eq!((longest.len(), good), (253, "good.test"));
    assert_eq!(refused.count, hostile.len());
    assert!(
        refused
            .example
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    );
}

/// One record of an answer: whose, of which type, with how many bytes of data, and whether its owner is a pointer to
/// the question.
fn any_record() -> impl Strategy<Value = (u8, u8, u8, bool)> {
    (
        0_u8..3,
        prop::sample::select(vec![1, 1, 1, 28, 28, 5, 2, 6, 33, 41, 255]),
        0_u8..20,
        any::<bool>(),
    )
}

/// An answer to the question for the addresses of `app.test`, written byte by byte.
fn address_answer(record_type: u8, records: &[(u8, u8, u8, bool)]) -> Vec<u8> {
    let count = u8::try_from(records.len()).expect("few");
    let mut bytes = vec![0, 7, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    bytes.extend(b"\x03app\x04test\0\0");
    bytes.extend([record_type, 0, 1]);
    for (seed, kind, length, pointer) in records {
        match (pointer, seed) {
            (true, _) => bytes.extend([0xc0, 12]),
            (false, 0) => bytes.extend(b"\x03APP\xc0\x10"),
            (false, _) => bytes.extend(b"\x01x\0"),
        }
        let length = match (kind, seed) {
            (1, 1..) => 4,
            (28, 1..) => 16,
            _ => *length,
        };
        bytes.extend([
            0,
            *kind,
            0,
            if length % 7 == 6 { 3 } else { 1 },
            0,
            0,
            *seed,
            9,
            0,
            length,
        ]);
        bytes.extend((0..length).map(|byte| byte.wrapping_mul(*seed)));
    }
    bytes
}

#[test]
fn addresses_of_the_name_are_read_in_place() {
    let bytes = address_answer(
        1,
        &[(2, 1, 0, true), (1, 1, 0, true), (1, 1, 0, false), (1, 1, 0, true)],
    );
    let Ok(Decoded::Endpoints(endpoints, _)) = decode(&bytes, "app.test", Type::A) else {
        panic!("endpoints expected");
    };
    let addresses: Vec<_> = endpoints.iter().flat_map(|endpoint| &endpoint.addresses).collect();
    assert_eq!(addresses, [&IpAddr::from([0, 1, 2, 3]), &IpAddr::from([0, 2, 4, 6])]);
    let whole = address_answer(1, &[(2, 1, 0, true), (1, 1, 0, true)]);
    assert_eq!(quick(&whole, "app.test", Type::A), Some(endpoints));
    assert_eq!(quick(&bytes, "app.test", Type::A), None);
}

#[test]
fn a_pointer_to_a_question_that_is_not_there_is_left_to_hickory() {
    let mut bytes = vec![0, 7, 0x81, 0x81, 0, 0, 0, 2, 0, 0, 0, 0];
    for owner in [&b"\x05other\0"[..], &[0xc0, 12]] {
        bytes.extend(owner);
        bytes.extend([0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]);
    }
    assert!(readers_agree(&bytes, "app.test", Type::A));
}

proptest! {
    #[test]
    fn reading_in_place_finds_what_hickory_finds(
        aaaa in any::<bool>(),
        records in prop::collection::vec(any_record(), 0..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in 0_usize..64,
    ) {
        let (kind, record_type) = if aaaa { (28, Type::Aaaa) } else { (1, Type::A) };
        let mut bytes = address_answer(kind, &records);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert!(readers_agree(&bytes, "app.test", record_type));
        if let Some(found) = quick(&bytes, "app.test", record_type) {
            let same = matches!(decode(&bytes, "app.test", record_type), Ok(Decoded::Endpoints(all, _)) if all == found);
            prop_assert!(same, "{found:?}");
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        prop_assert!(readers_agree(&bytes, "app.test", record_type));
    }

    #[test]
    fn of_a_cut_answer_the_whole_records_count_and_nothing_else(count in 1_u16..30, cut in any::<prop::sample::Index>()) {
        let hosts: Vec<String> = (0..count).map(|n| format!("n{n:02}.test")).collect();
        let targets: Vec<Name> = hosts.iter().map(|host| Name::from_ascii(format!("{host}.")).expect("a name")).collect();
        let mut message = answer(&targets);
        message.metadata.truncation = true;
        let bytes = message.to_vec().expect("bytes");
        let length = 12 + cut.index(bytes.len() - 11);
        let found = match decode(&bytes[..length], "app.test", Type::Srv) {
            Ok(Decoded::Endpoints(endpoints, refused)) => {
                prop_assert_eq!(refused.count, 0);
                endpoints.into_iter().filter_map(|endpoint| endpoint.host).collect()
            }
            Ok(_) => Vec::new(),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(&found[..], &hosts[..found.len()]);
        if length == bytes.len() {
            prop_assert_eq!(found.len(), hosts.len());
        }
    }

    #[test]
    fn a_damaged_answer_gives_hosts_or_a_typed_error(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let good = answer(&[name(&[b"n1", b"test"]), name(&[b"n2", b"test"])]);
        let mut bytes = good.to_vec().expect("bytes");
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut.index(2 * bytes.len()));
        match decode(&bytes, "app.test", Type::Srv) {
            Ok(Decoded::Endpoints(endpoints, ..)) => {
                prop_assert!(endpoints.iter().all(|e| e.host.as_deref().is_some_and(is_host)));
            }
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
}
