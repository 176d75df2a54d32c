//! Every fault on the wire, over UDP and TCP.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use crate::RECORDS;
use crate::support::*;

#[test]
fn faults_that_change_the_answer() {
    let mut server = Server::with(&RECORDS);
    server.ok("add app.test 5 SRV 0 10 3436 n3.test");
    server.ok("add app.test 5 SRV 0 10 3437 n4.test");
    let whole = (0, false, 4, 3);
    for (fault, udp, tcp) in [
        ("servfail", (2, false, 0, 0), (2, false, 0, 0)),
        ("refused", (5, false, 0, 0), (5, false, 0, 0)),
        ("nxdomain", (3, false, 0, 0), (3, false, 0, 0)),
        ("empty", (0, false, 0, 0), (0, false, 0, 0)),
        ("truncate", (0, true, 2, 3), whole),
        ("shorten 1", (0, false, 1, 1), whole),
        ("none", whole, whole),
    ] {
        server.ok(&format!("fault {fault}"));
        assert_eq!(server.ask_udp("app.test", SRV).shape(), udp, "{fault}");
        assert_eq!(server.ask_tcp("app.test", SRV).shape(), tcp, "{fault}");
    }
    server.ok("fault truncate-no-tcp for app.test");
    assert!(server.ask_udp("app.test", SRV).truncated);
    let mut stream = server.tcp();
    send_framed(&mut stream, &question(7, "app.test", SRV, None));
    assert_eq!(receive_framed(&mut stream), None);
    assert_eq!(
        server.ask_tcp("n1.test", A).shape(),
        (0, false, 1, 0),
        "other names are well"
    );
}

#[test]
fn a_server_without_tcp_refuses_connections_and_answers_over_udp() {
    let mut server = Server::start(&["--listen", "127.0.0.1:0", "--no-tcp"]);
    server.ok("add n1.test 5 A 127.0.0.2");
    assert_eq!(server.ask_udp("n1.test", A).shape(), (0, false, 1, 0));
    let refused = TcpStream::connect(server.address).expect_err("no connection");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn servers_older_than_edns() {
    let mut server = Server::with(&["add a.test 5 A 127.0.0.2"]);
    let asked = question(7, "a.test", A, None);
    // A bare header, or with the question; never with an OPT record.
    for (fault, code, length) in [("formerr", 1, 12), ("notimp", 4, asked.len())] {
        server.ok(&format!("fault {fault}"));
        let socket = server.udp();
        socket.send(&question(7, "a.test", A, Some(1_232))).expect("sent");
        let failed = receive(&socket);
        assert_eq!(
            (failed[3] & 15, failed.len(), &failed[10..12]),
            (code, length, &[0, 0][..]),
            "{fault}"
        );
        socket.send(&asked).expect("sent");
        assert_eq!(Answer::read(receive(&socket)).shape(), (0, false, 1, 0), "{fault}");
    }
}

#[test]
fn subsets_are_random() {
    let mut server = Server::with(&["fault subset 3 for a.test"]);
    (1..=20).for_each(|n| server.ok(&format!("add a.test 5 A 127.0.0.{n}")));
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let answer = server.ask_udp("a.test", A);
        assert_eq!(answer.shape(), (0, false, 3, 0));
        seen.extend(answer.answers.into_iter().map(|(_, _, address)| address));
    }
    assert_eq!(seen.len(), 20);
}

#[test]
fn silence_says_nothing_and_holds_up_nobody() {
    let server = Server::with(&["fault silence for silent.test", "add a.test 5 A 127.0.0.2"]);
    let silent = question(1, "silent.test", A, None);
    let other = question(2, "a.test", A, None);
    let socket = server.udp();
    let mut stream = server.tcp();
    for _ in 0..10 {
        socket.send(&silent).expect("sent");
        socket.send(&other).expect("sent");
        assert_eq!(Answer::read(receive(&socket)).id, 2);
        send_framed(&mut stream, &silent);
        send_framed(&mut stream, &other);
        assert_eq!(Answer::read(receive_framed(&mut stream).expect("an answer")).id, 2);
    }
}

#[test]
fn delay_is_for_its_name_only() {
    let server = Server::with(&["fault delay 300 for late.test", "add a.test 5 A 127.0.0.2"]);
    let start = Instant::now();
    let (late, other) = (question(1, "late.test", A, None), question(2, "a.test", A, None));
    let socket = server.udp();
    let mut stream = server.tcp();
    socket.send(&late).expect("sent");
    socket.send(&other).expect("sent");
    send_framed(&mut stream, &late);
    send_framed(&mut stream, &other);
    let over_udp = [(); 2].map(|()| Answer::read(receive(&socket)).id);
    let over_tcp = [(); 2].map(|()| Answer::read(receive_framed(&mut stream).expect("an answer")).id);
    assert_eq!((over_udp, over_tcp), ([2, 1], [2, 1]));
    assert!(start.elapsed().as_millis() >= 300);
}

#[test]
fn slow_tcp_trickles() {
    let server = Server::with(&["fault slow-tcp 5", "add a.test 5 A 127.0.0.2"]);
    let start = Instant::now();
    let answer = server.ask_tcp("a.test", A);
    assert_eq!(answer.shape(), (0, false, 1, 0));
    assert!(start.elapsed().as_millis() >= 5 * (answer.bytes.len() as u128 + 1));
    assert_eq!(server.ask_udp("a.test", A).shape(), (0, false, 1, 0));
}

/// Whether a message is broken as it should be.
type Broken<'a> = &'a dyn Fn(&[u8]) -> bool;

#[test]
fn malformed_messages_are_on_the_wire() {
    let mut server = Server::with(&["add a.test 5 A 127.0.0.2"]);
    let asked = question(0x1234, "a.test", A, None);
    let end = asked.len();
    let broken: [(&str, Broken<'_>); 7] = [
        ("loop", &|m| m[end + 2..end + 4] == [0xC0, end as u8]),
        ("counts", &|m| m[6..8] == [0, 101]),
        ("rdata", &|m| m[end + 10..end + 12] == [3, 0xE8] && m.len() == end + 16),
        ("id", &|m| m[..2] == [!0x12, !0x34]),
        ("question", &|m| m[12..end] != asked[12..]),
        ("label", &|m| m[end] == 0x81),
        ("garbage", &|m| m[12..end] != asked[12..] && m.len() == end + 16),
    ];
    for (kind, broken) in broken {
        server.ok(&format!("fault malformed {kind}"));
        let socket = server.udp();
        socket.send(&asked).expect("sent");
        assert!(broken(&receive(&socket)), "{kind} over UDP");
        let mut stream = server.tcp();
        send_framed(&mut stream, &asked);
        assert!(
            broken(&receive_framed(&mut stream).expect("an answer")),
            "{kind} over TCP"
        );
    }
}
