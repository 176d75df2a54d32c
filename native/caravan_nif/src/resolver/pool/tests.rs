use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, UdpSocket as StdSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;
use crate::resolver::{Recall, Type};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// The one runtime, on a thread of its own, as in the VM.
static RUNTIME: Lazy<Handle> = Lazy::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

#[derive(Debug)]
enum Outcome {
    Answered(Lookup),
    Unfinished(Unfinished),
}

struct Caller(Sender<Outcome>);

impl Requester for Caller {
    fn answered(self: Box<Self>, lookup: Lookup) {
        self.0.send(Outcome::Answered(lookup)).expect("a receiver");
    }

    fn unfinished(self: Box<Self>, lookup: Unfinished) {
        self.0.send(Outcome::Unfinished(lookup)).expect("a receiver");
    }
}

/// Sends a question for `name` the quick way; `None` if it isn't taken.
fn ask_for(name: &str, server: SocketAddr) -> Option<Receiver<Outcome>> {
    let (sender, receiver) = channel();
    let spec = Spec {
        query: name.into(),
        record_type: Type::A,
        nameservers: Some(vec![server]),
        tcp: false,
        timeout: Duration::from_secs(60),
        ipv6: false,
        recall: Recall::Off,
    };
    ask(&RUNTIME, spec, Box::new(Caller(sender))).ok().map(|()| receiver)
}

fn outcome(receiver: &Receiver<Outcome>) -> Outcome {
    receiver.recv_timeout(DEADLINE).expect("an outcome")
}

fn found(receiver: &Receiver<Outcome>) -> Vec<IpAddr> {
    match outcome(receiver) {
        Outcome::Answered(lookup) => lookup.endpoints.into_iter().flat_map(|found| found.addresses).collect(),
        other => panic!("{other:?}"),
    }
}

/// A server's socket, known to answer.
fn server() -> (StdSocket, SocketAddr) {
    let socket = StdSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time-out");
    let address = socket.local_addr().expect("an address");
    note(address, Duration::ZERO);
    (socket, address)
}

fn question(socket: &StdSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 512];
    let (length, from) = socket.recv_from(&mut buffer).expect("a question");
    (buffer[..length].to_vec(), from)
}

/// The answer to `question`: the address 10.0.0.`last`.
fn answer(question: &[u8], last: u8) -> Vec<u8> {
    let end = question.len() - 11;
    let mut answer = question[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = 1;
    answer[11] = 0;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, last]);
    answer
}

fn address(last: u8) -> Vec<IpAddr> {
    vec![[10, 0, 0, last].into()]
}

#[test]
fn a_server_that_has_not_answered_yet_takes_the_lookup_proper() {
    let socket = StdSocket::bind("127.0.0.1:0").expect("a socket");
    assert!(ask_for("app.test", socket.local_addr().expect("an address")).is_none());
}

#[test]
fn an_answer_reaches_the_caller() {
    let (socket, address_of_it) = server();
    let receiver = ask_for("app.test", address_of_it).expect("asked");
    let (query, from) = question(&socket);
    socket.send_to(&answer(&query, 1), from).expect("sent");
    let Outcome::Answered(lookup) = outcome(&receiver) else {
        panic!("an answer expected");
    };
    assert_eq!((lookup.ttl, lookup.server), (60, address_of_it.to_string()));
    assert_eq!(lookup.endpoints[0].addresses, address(1));
}

#[test]
fn an_answer_from_another_address_port_id_or_question_is_dropped() {
    let (socket, server) = server();
    let receiver = ask_for("app.test", server).expect("asked");
    let (query, from) = question(&socket);
    let good = answer(&query, 1);
    let other_port = StdSocket::bind("127.0.0.1:0").expect("a socket");
    let other_address = StdSocket::bind(("127.0.0.2", server.port())).expect("a socket");
    for other in [other_port, other_address] {
        other.send_to(&answer(&query, 2), from).expect("sent");
    }
    let mut other_id = answer(&query, 3);
    other_id[1] ^= 1;
    let mut other_question = answer(&query, 4);
    other_question[13] = b'b';
    let mut sent_back = query.clone();
    sent_back[2] = 1;
    for other in [other_id, other_question, sent_back, good[..11].to_vec(), Vec::new()] {
        socket.send_to(&other, from).expect("sent");
    }
    socket.send_to(&good, from).expect("sent");
    assert_eq!(found(&receiver), address(1));
    // A second one is nobody's.
    socket.send_to(&answer(&query, 5), from).expect("sent");
    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
}

#[test]
fn a_port_takes_sixteen_questions_and_ports_are_picked_at_random() {
    let (socket, server) = server();
    let mut uses: HashMap<SocketAddr, usize> = HashMap::new();
    let mut order = Vec::new();
    for _ in 0..400 {
        let receiver = ask_for("app.test", server).expect("asked");
        let (query, from) = question(&socket);
        *uses.entry(from).or_default() += 1;
        order.push(from);
        socket.send_to(&answer(&query, 1), from).expect("sent");
        assert_eq!(found(&receiver), address(1));
    }
    assert!(uses.values().all(|uses| *uses <= 16), "{uses:?}");
    assert!(uses.len() >= 400 / 16);
    // One in sixteen follows itself by chance.
    let repeated = order.windows(2).filter(|two| two[0] == two[1]).count();
    assert!(repeated < 100, "{repeated}");
}

#[test]
fn open_questions_share_no_port_and_id_and_each_gets_its_own_answer() {
    let (socket, server) = server();
    let asked: Vec<_> = (0..128_u8)
        .map(|n| (n, ask_for(&format!("n{n}.test"), server)))
        .collect();
    let questions: Vec<_> = asked.iter().map(|_| question(&socket)).collect();
    let ids: HashSet<_> = questions
        .iter()
        .map(|(query, from)| (*from, query[..2].to_vec()))
        .collect();
    assert_eq!(ids.len(), asked.len());
    // The last first.
    for (query, from) in questions.iter().rev() {
        let label = &query[14..13 + usize::from(query[12])];
        let number = std::str::from_utf8(label).expect("digits").parse().expect("a number");
        socket.send_to(&answer(query, number), *from).expect("sent");
    }
    for (number, receiver) in asked {
        assert_eq!(found(&receiver.expect("asked")), address(number));
    }
}

#[test]
fn what_is_no_plain_answer_is_handed_over_with_the_reply() {
    let (socket, server) = server();
    let receiver = ask_for("app.test", server).expect("asked");
    let (query, from) = question(&socket);
    let mut cut = answer(&query, 1);
    cut[2] |= 0b10;
    socket.send_to(&cut, from).expect("sent");
    match outcome(&receiver) {
        Outcome::Unfinished(Unfinished { reply, .. }) => assert_eq!(reply, Some(cut)),
        other => panic!("{other:?}"),
    }
    assert!(ask_for("app.test", server).is_some());
}

#[test]
fn a_server_that_rejects_edns_takes_the_lookup_proper() {
    let (socket, server) = server();
    let receiver = ask_for("app.test", server).expect("asked");
    let (query, from) = question(&socket);
    let mut form_err = query[..12].to_vec();
    form_err[2..12].copy_from_slice(&[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    socket.send_to(&form_err, from).expect("sent");
    let Outcome::Unfinished(Unfinished { reply, .. }) = outcome(&receiver) else {
        panic!("no answer expected");
    };
    assert_eq!(reply, Some(form_err));
    assert!(ask_for("app.test", server).is_none());
}

#[test]
fn silence_is_handed_over_and_the_next_lookup_is_not_the_quick_way() {
    let (_silent, server) = server();
    let receiver = ask_for("app.test", server).expect("asked");
    let start = Instant::now();
    let Outcome::Unfinished(Unfinished { reply, .. }) = outcome(&receiver) else {
        panic!("no answer expected");
    };
    assert_eq!(reply, None);
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    assert!(ask_for("app.test", server).is_none());
    note(server, PROMPT * 2);
    assert!(ask_for("app.test", server).is_none());
    note(server, PROMPT);
    assert!(ask_for("app.test", server).is_some());
}

#[test]
fn a_closed_port_is_noticed_at_once() {
    let (socket, server) = server();
    drop(socket);
    let start = Instant::now();
    let receiver = ask_for("app.test", server).expect("asked");
    assert!(matches!(outcome(&receiver), Outcome::Unfinished(_)));
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
    assert!(ask_for("app.test", server).is_none());
}
