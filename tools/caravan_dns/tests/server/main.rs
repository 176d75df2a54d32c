//! The built server, driven through stdin and its control connection and asked over UDP and TCP.

mod faults;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use support::*;

const RECORDS: [&str; 6] = [
    "add app.test 5 SRV 0 10 3434 n1.test",
    "add app.test 5 SRV 0 10 3435 n2.test",
    "add n1.test 5 A 127.0.0.2",
    "add n2.test 5 A 127.0.0.3",
    "add n2.test 5 AAAA ::1",
    "add www.test 5 CNAME n2.test",
];

#[test]
fn records_come_and_go() {
    let mut server = Server::with(&RECORDS);
    for answer in [server.ask_udp("App.test", SRV), server.ask_tcp("App.test", SRV)] {
        assert_eq!(answer.shape(), (0, false, 2, 3));
        assert_eq!(answer.id, 7);
        assert_eq!(answer.answers[0].2, b"\0\0\0\x0A\x0D\x6A\x02n1\x04test\0");
        assert_eq!(answer.additionals[0], ("n1.test".into(), A, vec![127, 0, 0, 2]));
    }
    let chain = server.ask_udp("www.test", AAAA).answers;
    assert_eq!((chain.len(), chain[0].1, chain[1].1), (2, CNAME, AAAA));
    assert_eq!(server.ask_udp("n1.test", AAAA).shape(), (0, false, 0, 0));
    assert_eq!(server.ask_udp("none.test", A).shape(), (3, false, 0, 0));

    server.ok("additional off");
    assert_eq!(server.ask_udp("app.test", SRV).shape(), (0, false, 2, 0));
    server.ok("remove app.test SRV 0 10 3434 n1.test");
    assert_eq!(server.ask_udp("app.test", SRV).shape(), (0, false, 1, 0));
    server.ok("remove app.test");
    assert_eq!(server.ask_udp("app.test", SRV).code, 3);
    assert!(server.say("remove app.test").starts_with("error "));

    assert_eq!(server.say("stats"), "ok udp=7 tcp=1");
    let listed = [
        "n1.test 5 A 127.0.0.2",
        "n2.test 5 A 127.0.0.3",
        "n2.test 5 AAAA ::1",
        "www.test 5 CNAME n2.test",
    ];
    assert_eq!(server.say("list"), listed[0]);
    listed[1..]
        .iter()
        .for_each(|line| assert_eq!(&server.next_line(), line));
    assert_eq!(server.next_line(), "ok");
    server.ok("clear");
    assert_eq!(server.say("list"), "ok");
}

#[test]
fn ipv6_where_there_is_one() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let mut server = Server::start(&["--listen", "[::1]:0"]);
    server.ok("add app.test 5 A 127.0.0.2");
    assert_eq!(server.ask_udp("app.test", A).shape(), (0, false, 1, 0));
    assert_eq!(server.ask_tcp("app.test", A).shape(), (0, false, 1, 0));
}

#[test]
fn large_answers_are_whole_over_tcp() {
    let mut server = Server::with(&[]);
    (0..4_000).for_each(|n| server.ok(&format!("add a.test 5 A 127.1.{}.{}", n / 256, n % 256)));
    (0..2_000).for_each(|n| server.ok(&format!("add s.test 5 SRV 0 10 3434 n{n}.test")));
    (0..2_000).for_each(|n| server.ok(&format!("add n{n}.test 5 A 127.0.0.1")));
    assert_eq!(server.ask_tcp("a.test", A).shape(), (0, false, 4_000, 0));
    assert_eq!(server.ask_tcp("s.test", SRV).shape(), (0, false, 2_000, 0));
    let short = server.ask_udp("a.test", A);
    assert!(short.truncated && short.bytes.len() <= 1_232 && short.bytes.len() > 1_200);
    assert_eq!(
        short.additionals.len(),
        1,
        "the OPT record is in a truncated answer too"
    );
    let socket = server.udp();
    socket.send(&question(7, "a.test", A, None)).expect("sent");
    let short = Answer::read(receive(&socket));
    assert!(short.truncated && short.bytes.len() <= 512 && short.additionals.is_empty());
}

#[test]
fn floods_never_repeat() {
    let mut server = Server::with(&["flood app.test 50"]);
    let (first, second) = (server.ask_tcp("app.test", SRV), server.ask_tcp("app.test", SRV));
    assert_eq!(
        (first.shape(), second.shape()),
        ((0, false, 50, 50), (0, false, 50, 50))
    );
    assert!(first.answers.iter().all(|target| !second.answers.contains(target)));
    let (host, _, address) = &second.additionals[49];
    assert_eq!(&server.ask_udp(host, A).answers[0].2, address);
    server.ok("flood app.test 0");
    assert_eq!(server.ask_udp("app.test", SRV).code, 3);
}

#[test]
fn nonsense_from_clients_is_survived() {
    let server = Server::with(&["add a.test 5 A 127.0.0.2"]);
    let socket = server.udp();
    let mut looped = question(9, "a.test", A, None);
    looped[12..14].copy_from_slice(&[0xC0, 12]);
    for junk in [&b""[..], b"x", &[0xFF; 12], &[0; 12], &looped] {
        socket.send(junk).expect("sent");
        let mut stream = server.tcp();
        send_framed(&mut stream, junk);
    }
    assert_eq!(server.ask_udp("a.test", A).shape(), (0, false, 1, 0));
    assert_eq!(server.ask_tcp("a.test", A).shape(), (0, false, 1, 0));
}

#[test]
fn ends_with_its_owner_or_on_command() {
    let mut server = Server::with(&[]);
    server.close_stdin();
    assert!(server.ended().success());

    let mut server = Server::with(&[]);
    server.ok("quit");
    assert!(server.ended().success());

    let mut server = Server::with(&[]);
    let kill = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
    assert!(!server.ended().success());
}

#[test]
fn control_outlives_stdin_when_told_to() {
    let mut server = Server::start(&["--listen", "127.0.0.1:0", "--keep-running"]);
    server.close_stdin();
    let mut control = BufReader::new(TcpStream::connect(server.control).expect("a connection"));
    let mut say = |command: &str| {
        let mut line = String::new();
        writeln!(control.get_mut(), "{command}").expect("sent");
        control.read_line(&mut line).expect("a line");
        line
    };
    assert_eq!(say("add a.test 5 A 127.0.0.2"), "ok\n");
    assert!(say("add a.test").starts_with("error expected "));
    assert_eq!(server.ask_udp("a.test", A).shape(), (0, false, 1, 0));
    assert_eq!(say("quit"), "ok\n");
    assert!(server.ended().success());
}

#[test]
fn wrong_flags_get_a_sentence_and_help_helps() {
    let run = |flags: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_caravan_dns"))
            .args(flags)
            .output()
            .expect("it runs")
    };
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("truncate-no-tcp"));
    let wrong = run(&["--listen", "0.0.0.0:0"]);
    assert!(!wrong.status.success() && wrong.stdout.is_empty());
    assert!(String::from_utf8_lossy(&wrong.stderr).starts_with("caravan_dns: expected "));
}
