use hickory_resolver::proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use proptest::prelude::*;

use super::*;
use crate::endpoint::Data;
use crate::resolver::Recall;
use crate::resolver::wire::build_query;

fn spec(query: &str, record_type: Type) -> Spec {
    Spec {
        query: query.into(),
        record_type,
        nameservers: Some(vec![SocketAddr::from(([127, 0, 0, 1], 53))]),
        tcp: false,
        timeout: Duration::from_secs(2),
        ipv6: false,
        recall: Recall::Off,
    }
}

fn question(query: &str, record_type: Type) -> Question {
    Question::new(&spec(query, record_type)).expect("a question")
}

fn owner(name: &str) -> Name {
    Name::from_ascii(name).expect("a name")
}

/// An answer with the address 10.0.0.1.
fn answer() -> Message {
    let mut message = build_query(&Query::query(owner("app.test."), RecordType::A), true);
    message.metadata.message_type = MessageType::Response;
    message.answers.push(address("app.test.", 1));
    message
}

fn address(of: &str, last: u8) -> DnsRecord {
    DnsRecord::from_rdata(owner(of), 5, RData::A(A([10, 0, 0, last].into())))
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("bytes")
}

fn addresses(message: &Message) -> Option<Vec<u8>> {
    let records = question("app.test", Type::A).addresses(&bytes(message))?;
    let last = |record: Record| match record.data {
        Data::Address(std::net::IpAddr::V4(ip)) => ip.octets()[3],
        other => panic!("{other:?}"),
    };
    Some(records.into_iter().map(last).collect())
}

#[test]
fn lookups_that_take_more_than_a_question_have_none() {
    let tcp = Spec {
        tcp: true,
        ..spec("app.test", Type::A)
    };
    let system = Spec {
        nameservers: None,
        ..spec("app.test", Type::A)
    };
    let both = spec("app.test", Type::Ip);
    for other in [both, tcp, system, spec("app test", Type::A), spec("", Type::A)] {
        assert!(Question::new(&other).is_none(), "{other:?}");
    }
}

#[test]
fn an_answer_repeats_the_question_in_any_letter_case() {
    let question = question("App.test.", Type::A);
    let good = bytes(&answer());
    assert!(question.is_answered_by(&good));
    assert!(question.is_answered_by(&good.to_ascii_uppercase()));
    let mut queries = [answer(), answer(), answer(), answer()];
    queries[0].metadata.message_type = MessageType::Query;
    queries[1].queries[0].name = owner("apq.test.");
    queries[2].queries[0].query_type = RecordType::AAAA;
    queries[3].queries.clear();
    for other in queries {
        assert!(!question.is_answered_by(&bytes(&other)), "{other}");
    }
    let mut unread = answer();
    unread.queries.clear();
    for (code, answered) in [
        (ResponseCode::FormErr, true),
        (ResponseCode::ServFail, true),
        (ResponseCode::NXDomain, false),
    ] {
        unread.metadata.response_code = code;
        assert_eq!(question.is_answered_by(&bytes(&unread)), answered, "{code}");
    }
    for length in 0..question.end {
        assert!(!question.is_answered_by(&good[..length]));
    }
}

#[test]
fn addresses_of_the_name_are_an_answer() {
    let mut message = answer();
    message.answers.push(address("APP.test.", 2));
    message.additionals.push(address("ns.test.", 3));
    assert_eq!(addresses(&message), Some(vec![1, 2]));
}

#[test]
fn everything_else_is_for_the_lookup_proper() {
    let alias = DnsRecord::from_rdata(owner("app.test."), 5, RData::CNAME(CNAME(owner("b.test."))));
    let six = DnsRecord::from_rdata(owner("app.test."), 5, RData::AAAA(AAAA([0; 16].into())));
    let mut others = vec![answer(); 7];
    others[0].answers.clear();
    others[1].answers.insert(0, alias);
    others[2].answers.push(address("b.test.", 2));
    others[3].answers.push(six);
    others[4].metadata.truncation = true;
    others[5].metadata.response_code = ResponseCode::ServFail;
    // Without its upper bits, it says that all is well.
    others[6].metadata.response_code = ResponseCode::BADVERS;
    others[6].set_edns(Edns::new());
    for other in others {
        assert_eq!(addresses(&other), None, "{other}");
    }
    let good = bytes(&answer());
    let question = question("app.test", Type::A);
    for length in question.end..good.len() {
        assert_eq!(question.addresses(&good[..length]), None);
    }
}

#[test]
fn services_and_what_is_given_for_them_are_for_the_lookup_proper() {
    let service = SRV::new(0, 1, 3434, owner("n1.test."));
    let mut message = build_query(&Query::query(owner("app.test."), RecordType::SRV), true);
    message.metadata.message_type = MessageType::Response;
    let mut other = message.clone();
    message
        .answers
        .push(DnsRecord::from_rdata(owner("app.test."), 5, RData::SRV(service)));
    message.additionals.push(address("n1.test.", 1));
    other.answers.push(address("app.test.", 1));
    let question = question("app.test", Type::Srv);
    for answer in [message, other] {
        let answer = bytes(&answer);
        assert!(question.is_answered_by(&answer));
        assert_eq!(question.addresses(&answer), None);
    }
}

#[test]
fn patience_leaves_time_for_the_lookup_proper() {
    let with = |servers: usize, ms| {
        let mut spec = spec("app.test", Type::A);
        spec.nameservers = Some(vec![SocketAddr::from(([127, 0, 0, 1], 53)); servers]);
        spec.timeout = Duration::from_millis(ms);
        patience(&spec)
    };
    assert_eq!(with(1, 2_400), Some(Duration::from_millis(400)));
    assert_eq!(with(1, 60_000), Some(Duration::from_millis(500)));
    assert_eq!(with(1, 599), None);
    assert_eq!(with(8, 3_000), None);
}

proptest! {
    #[test]
    fn a_query_is_the_one_that_hickory_writes(query in "[a-zA-Z0-9_-]{1,63}(\\.[a-z0-9-]{1,40}){0,4}\\.?", of in 0..3_usize) {
        let record_type = [Type::A, Type::Aaaa, Type::Srv][of];
        let of = [RecordType::A, RecordType::AAAA, RecordType::SRV][of];
        let labels = query.strip_suffix('.').unwrap_or(&query).to_ascii_lowercase();
        let name = Name::from_labels(labels.split('.').map(str::as_bytes)).expect("a name");
        let mut message = build_query(&Query::query(name, of), true);
        message.metadata.id = 0;
        prop_assert_eq!(question(&query, record_type).query(), bytes(&message));
    }

    #[test]
    fn damage_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes(&answer());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(1 + length.index(bytes.len()));
        let question = question("app.test", Type::A);
        let _ = question.is_answered_by(&bytes);
        let _ = question.addresses(&bytes);
    }
}
