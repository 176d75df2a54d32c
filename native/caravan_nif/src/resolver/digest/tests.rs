use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::*;

fn host(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn address(owner: &str, ttl: u32, last: u8) -> Record {
    let ip = Ipv4Addr::new(10, 0, 0, last);
    Record::from_rdata(host(owner), ttl, RData::A(A(ip)))
}

fn service(port: u16, target: &str) -> Record {
    let data = RData::SRV(SRV::new(0, 10, port, host(target)));
    Record::from_rdata(host("app.test."), 5, data)
}

fn answer(answers: &[&Record], additionals: &[&Record]) -> Message {
    let mut message = Message::query();
    message.metadata.message_type = MessageType::Response;
    message.add_query(Query::query(host("app.test."), RecordType::SRV));
    message.answers = answers.iter().copied().cloned().collect();
    message.additionals = additionals.iter().copied().cloned().collect();
    message
}

fn of(message: &Message) -> Option<Digest> {
    digest(&message.to_vec().expect("bytes"))
}

#[test]
fn order_and_ttl_make_no_difference() {
    let services = [service(1, "n1.test."), service(2, "n2.test.")];
    let hosts = [address("n1.test.", 9, 1), address("n2.test.", 9, 2)];
    let mut turned = answer(&[&services[1], &services[0]], &[&hosts[1], &address("n1.test.", 3, 1)]);
    turned.set_edns(Edns::new());
    let (one, other) = (
        of(&answer(&[&services[0], &services[1]], &[&hosts[0], &hosts[1]])),
        of(&turned),
    );
    assert_eq!(one.expect("a digest").value, other.expect("a digest").value);
    assert_eq!((one.map(|d| d.ttl), other.map(|d| d.ttl)), (Some(5), Some(3)));
}

#[test]
fn everything_else_makes_one() {
    let alias = |to| Record::from_rdata(host("app.test."), 5, RData::CNAME(CNAME(host(to))));
    let one = service(1, "n1.test.");
    let n1 = address("n1.test.", 5, 1);
    let mut asked_otherwise = answer(&[&one], &[]);
    asked_otherwise.queries[0].query_type = RecordType::A;
    let all = [
        answer(&[&one], &[]),
        asked_otherwise,
        answer(&[&one, &one], &[]),
        answer(&[&service(2, "n1.test.")], &[]),
        answer(&[&service(1, "n1.tesu.")], &[]),
        answer(&[&one], &[&n1]),
        answer(&[&one, &n1], &[]),
        answer(&[&one], &[&address("n1.test.", 5, 2)]),
        answer(&[&one], &[&address("n2.test.", 5, 1)]),
        answer(&[&alias("a.test."), &n1], &[]),
        answer(&[&alias("b.test."), &n1], &[]),
    ];
    let mut values: Vec<_> = all.iter().map(|message| of(message).expect("a digest").value).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), all.len());
}

#[test]
fn failures_and_emptiness_have_none() {
    assert_eq!(of(&answer(&[], &[])), None);
    let mut failed = answer(&[&service(1, "n1.test.")], &[]);
    failed.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(of(&failed), None);
    // Its lower bits, 16 being without, say that all is well.
    let mut extended = answer(&[&service(1, "n1.test.")], &[]);
    extended.set_edns(Edns::new());
    extended.metadata.response_code = ResponseCode::BADVERS;
    assert_eq!(of(&extended), None);
}

#[test]
fn names_that_point_forward_have_none() {
    let mut bytes = answer(&[&address("app.test.", 5, 1)], &[]).to_vec().expect("bytes");
    let owner = bytes.len() - 16;
    assert_eq!(bytes[owner..owner + 2], [0b1100_0000, 12]);
    bytes[owner + 1] = u8::try_from(bytes.len()).expect("small");
    bytes.extend_from_slice(b"\x03app\x04test\0");
    assert_eq!(digest(&bytes), None);
}

#[test]
fn names_that_lead_in_a_circle_have_none() {
    let mut bytes = answer(&[&address("a.test.", 5, 1)], &[]).to_vec().expect("bytes");
    let itself = u8::try_from(HEADER).expect("small");
    bytes[HEADER..HEADER + 2].copy_from_slice(&[0b1100_0000, itself]);
    assert_eq!(digest(&bytes), None);
}

proptest! {
    #[test]
    fn damage_is_noticed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = answer(&[&service(1, "n1.test."), &service(2, "n2.test.")], &[&address("n1.test.", 5, 1)]);
        let bytes = good.to_vec().expect("bytes");
        let mut damaged = bytes.clone();
        let at = at.index(bytes.len());
        damaged[at] = byte;
        if let Some(found) = digest(&damaged) && Some(found.value) == of(&good).map(|d| d.value) {
            // What is left is the same in hickory's eyes, too.
            let message = Message::from_vec(&damaged).expect("a message");
            let said = |message: &Message| -> Vec<_> {
                message.answers.iter().chain(&message.additionals).map(|r| (r.name.clone(), r.data.clone())).collect()
            };
            prop_assert_eq!(said(&message), said(&good));
        }
    }

    #[test]
    fn nonsense_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = digest(&bytes);
    }
}
