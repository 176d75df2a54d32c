use hickory_server::proto::op::{Edns, Message, MessageType, Query};

use super::*;
use crate::command::{Command, parse};
use crate::record::parse_name;

fn script(lines: &[&str]) -> Script {
    let mut script = Script::default();
    for number in 1..=10 {
        let line = format!("add app.test 5 SRV 0 10 3434 n{number}.test");
        run(&mut script, &line);
        run(&mut script, &format!("add n{number}.test 5 A 127.0.0.{number}"));
    }
    run(&mut script, "add alias.test 5 CNAME app.test");
    lines.iter().for_each(|line| run(&mut script, line));
    script
}

fn run(script: &mut Script, line: &str) {
    match parse(line) {
        Ok(Command::Add(record)) => script.zone.add(record),
        Ok(Command::Fault { fault, name }) => script.faults.set(fault, name.as_ref()),
        other => panic!("{other:?}"),
    }
}

fn request(message: &Message, protocol: Protocol) -> Request {
    let bytes = message.to_vec().expect("bytes");
    Request::from_bytes(bytes, ([127, 0, 0, 1], 5353).into(), protocol).expect("a request")
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(parse_name(name).expect(name), kind));
    message
}

fn delivery(script: &Script, name: &str, protocol: Protocol) -> Delivery {
    let mut message = query(name, RecordType::SRV);
    let mut edns = Edns::new();
    edns.set_max_payload(1_232);
    message.set_edns(edns);
    respond(script, &Dice::new(1), &request(&message, protocol))
}

fn sent(delivery: Delivery) -> Message {
    match delivery {
        Delivery::Send { bytes, .. } => Message::from_vec(&bytes).expect("a message"),
        other => panic!("{other:?}"),
    }
}

/// Response code, TC, answers, additional records.
fn shape(script: &Script, name: &str, protocol: Protocol) -> (ResponseCode, bool, usize, usize) {
    let message = sent(delivery(script, name, protocol));
    (
        message.response_code,
        message.truncation,
        message.answers.len(),
        message.additionals.len(),
    )
}

const OK: ResponseCode = ResponseCode::NoError;

#[test]
fn without_faults_it_is_the_zones_answer() {
    let message = sent(delivery(&script(&[]), "App.test", Protocol::Udp));
    assert_eq!(
        (message.id, message.answers.len(), message.additionals.len()),
        (7, 10, 10)
    );
    assert!(message.authoritative && message.recursion_available && message.recursion_desired);
    assert_eq!(shape(&script(&[]), "alias.test", Protocol::Udp), (OK, false, 11, 10));
    assert_eq!(shape(&script(&[]), "n1.test", Protocol::Udp), (OK, false, 0, 0));
    assert_eq!(
        shape(&script(&[]), "none.test", Protocol::Udp),
        (ResponseCode::NXDomain, false, 0, 0)
    );
}

#[test]
fn each_fault_over_udp_and_tcp() {
    for (line, udp, tcp) in [
        (
            "fault servfail",
            (ResponseCode::ServFail, false, 0, 0),
            (ResponseCode::ServFail, false, 0, 0),
        ),
        (
            "fault refused",
            (ResponseCode::Refused, false, 0, 0),
            (ResponseCode::Refused, false, 0, 0),
        ),
        (
            "fault nxdomain",
            (ResponseCode::NXDomain, false, 0, 0),
            (ResponseCode::NXDomain, false, 0, 0),
        ),
        ("fault empty", (OK, false, 0, 0), (OK, false, 0, 0)),
        ("fault subset 3", (OK, false, 3, 3), (OK, false, 3, 3)),
        ("fault truncate", (OK, true, 5, 5), (OK, false, 10, 10)),
        ("fault shorten 3", (OK, false, 3, 3), (OK, false, 10, 10)),
        ("fault delay 5", (OK, false, 10, 10), (OK, false, 10, 10)),
        ("fault slow-tcp 5", (OK, false, 10, 10), (OK, false, 10, 10)),
    ] {
        let script = script(&[line]);
        assert_eq!(shape(&script, "app.test", Protocol::Udp), udp, "{line}");
        assert_eq!(shape(&script, "app.test", Protocol::Tcp), tcp, "{line}");
    }
    let silent = script(&["fault silence"]);
    assert_eq!(delivery(&silent, "app.test", Protocol::Udp), Delivery::Silence);
    assert_eq!(delivery(&silent, "app.test", Protocol::Tcp), Delivery::Silence);
    let closed = script(&["fault truncate-no-tcp"]);
    assert!(shape(&closed, "app.test", Protocol::Udp).1);
    assert_eq!(delivery(&closed, "app.test", Protocol::Tcp), Delivery::Close);
    let stuck = script(&["fault truncate-silent-tcp"]);
    assert!(shape(&stuck, "app.test", Protocol::Udp).1);
    assert_eq!(delivery(&stuck, "app.test", Protocol::Tcp), Delivery::Silence);
}

#[test]
fn firewalls_that_drop_edns_let_plain_questions_through() {
    let script = script(&["fault drop-edns"]);
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        assert_eq!(delivery(&script, "app.test", protocol), Delivery::Silence);
        let plain = request(&query("app.test", RecordType::SRV), protocol);
        let answer = sent(respond(&script, &Dice::new(1), &plain));
        assert_eq!((answer.response_code, answer.answers.len()), (OK, 10));
    }
}

#[test]
fn servers_older_than_edns_answer_those_who_do_not_speak_it() {
    for (line, code, questions) in [
        ("fault formerr", ResponseCode::FormErr, 0),
        ("fault notimp", ResponseCode::NotImp, 1),
    ] {
        let script = script(&[line]);
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let failed = sent(delivery(&script, "app.test", protocol));
            assert_eq!((failed.response_code, failed.queries.len()), (code, questions));
            assert!(failed.edns.is_none() && failed.answers.is_empty());
            let plain = request(&query("app.test", RecordType::SRV), protocol);
            let answer = sent(respond(&script, &Dice::new(1), &plain));
            assert_eq!((answer.response_code, answer.answers.len()), (OK, 10));
        }
    }
}

#[test]
fn a_fault_for_a_name_is_for_that_name_only() {
    let script = script(&["fault subset 2 for alias.test"]);
    assert_eq!(
        shape(&script, "alias.test", Protocol::Udp),
        (OK, false, 3, 2),
        "the alias stays in the answer"
    );
    assert_eq!(shape(&script, "app.test", Protocol::Udp), (OK, false, 10, 10));
}

#[test]
fn waits_are_part_of_the_delivery() {
    let times = |line| match delivery(&script(&[line]), "app.test", Protocol::Tcp) {
        Delivery::Send { after, pace, .. } => (after.as_millis(), pace.as_millis()),
        other => panic!("{other:?}"),
    };
    assert_eq!(times("fault delay 250"), (250, 0));
    assert_eq!(times("fault slow-tcp 10"), (0, 10));
}

#[test]
fn the_additional_section_has_the_types_told() {
    let mut script = script(&["add n1.test 5 AAAA ::1"]);
    for (types, count) in [
        (&[][..], 0),
        (&[RecordType::A][..], 10),
        (&[RecordType::AAAA][..], 1),
        (ADDRESSES, 11),
    ] {
        script.additional = types;
        assert_eq!(shape(&script, "app.test", Protocol::Udp), (OK, false, 10, count));
    }
}

#[test]
fn the_clients_udp_size_is_kept() {
    let more = |last| {
        let mut script = script(&[]);
        for number in 11..=last {
            run(&mut script, &format!("add app.test 5 SRV 0 10 3434 n{number}.test"));
        }
        script
    };
    let ask = |script: &Script| {
        let message = query("app.test", RecordType::SRV);
        sent(respond(script, &Dice::new(1), &request(&message, Protocol::Udp)))
    };
    let no_room = ask(&more(15));
    assert_eq!((no_room.answers.len(), no_room.additionals.len()), (15, 0));
    assert!(!no_room.truncation && no_room.edns.is_none());
    let short = ask(&more(99));
    assert!(short.truncation && short.answers.len() < 20);
    assert_eq!(shape(&more(99), "app.test", Protocol::Tcp).2, 99);
}

#[test]
fn what_is_no_question_gets_an_error() {
    let code =
        |message: &Message| sent(respond(&script(&[]), &Dice::new(1), &request(message, Protocol::Udp))).response_code;
    let mut message = query("app.test", RecordType::A);
    message.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&message), ResponseCode::NotImp);
    let mut message = query("app.test", RecordType::A);
    message.add_query(Query::query(parse_name("b.test").expect("a name"), RecordType::A));
    assert_eq!(code(&message), ResponseCode::FormErr);
    let mut message = query("app.test", RecordType::A);
    message.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&message), ResponseCode::Refused);
}
