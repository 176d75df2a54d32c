use tokio::net::TcpListener;

use super::*;
use crate::handshake::Identity;
use crate::handshake::conversation::Cookie;

const PATIENCE: Duration = Duration::from_millis(400);

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn question(port: u16, cookie: Option<&[u8]>) -> Question {
    Question {
        place: Place::Node(format!("app-{port}@127.0.0.1")),
        own: "me-3434@here".into(),
        cookie: cookie.map(<[u8]>::to_vec),
        patience: PATIENCE,
    }
}

/// What comes of it if a peer hears our name, answers, and hangs up or not.
async fn find(answer: &'static [u8], hangs_up: bool) -> Finding {
    let (listener, port) = listen().await;
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let greeting = message(&mut stream).await;
        assert!(greeting.ends_with(b"caravan-me-3434@here"), "{greeting:?}");
        stream.write_all(answer).await.unwrap();
        (!hangs_up).then_some(stream)
    };
    let (answer, _stream) = tokio::join!(ask(question(port, None)), peer);
    answer.unwrap().found.unwrap()
}

async fn message(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut message).await.unwrap();
    message
}

const CHALLENGE: &[u8] = b"\0\x03sok\0\x16N\0\0\0\0\0\0\0\x04\0\0\0\x2a\0\0\0\x09\0\x03x@y";

fn node(creation: u32) -> Identity {
    Identity {
        name: "x@y".into(),
        creation,
        flags: 4,
    }
}

#[tokio::test]
async fn a_node_tells_its_name() {
    assert_eq!(find(CHALLENGE, false).await, Finding::Node(node(9), Cookie::Untested));
}

#[tokio::test]
async fn what_is_no_node_is_told_apart() {
    let alert = find(b"\x15\x03\x03\0\x02\x02\x46", false).await;
    assert_eq!(alert, Finding::Tls(Some(0x46)));
    let http = find(b"HTTP/1.1 400 Bad Request\r\n", true).await;
    assert_eq!(http, Finding::NotErlang(b"HTTP/1.1 400 Bad Request\r\n".to_vec()));
    assert_eq!(
        find(b"\0\x0csnot_allowed", true).await,
        Finding::Rejected(Status::NotAllowed)
    );
    assert_eq!(find(b"", true).await, Finding::HungUp(Stage::Status));
}

#[tokio::test]
async fn who_speaks_first_and_hangs_up_is_heard() {
    let (listener, port) = listen().await;
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(ask(question(port, None)), peer);
    assert_eq!(answer.unwrap().found, Ok(Finding::NotErlang(b"SSH-2.0-x\r\n".to_vec())));
}

#[tokio::test]
async fn who_says_nothing_is_there_all_the_same() {
    assert_eq!(find(b"\0\x03so", false).await, Finding::Silent(Stage::Status));
}

#[tokio::test]
async fn who_waits_for_a_line_gets_one() {
    let (listener, port) = listen().await;
    let peer = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio::io::BufReader::new(stream);
        let mut line = Vec::new();
        tokio::io::AsyncBufReadExt::read_until(&mut stream, b'\n', &mut line)
            .await
            .unwrap();
        stream.write_all(b"-ERR unknown command\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(ask(question(port, None)), peer);
    assert_eq!(
        answer.unwrap().found,
        Ok(Finding::NotErlang(b"-ERR unknown command\r\n".to_vec()))
    );
}

#[tokio::test]
async fn a_node_that_was_slow_to_answer_still_tells_its_name() {
    let (listener, port) = listen().await;
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _name = message(&mut stream).await;
        assert_eq!(stream.read_u32().await.unwrap(), 0x0d0a_0d0a);
        stream.write_all(CHALLENGE).await.unwrap();
        assert!(stream.read_u8().await.is_err());
    };
    let (answer, ()) = tokio::join!(ask(question(port, Some(b"secret"))), peer);
    assert_eq!(answer.unwrap().found, Ok(Finding::Node(node(9), Cookie::Untested)));
}

#[tokio::test]
async fn the_own_host_is_this_machine_though_nobody_resolves_it() {
    let (listener, port) = listen().await;
    let at = |host: &str| Question {
        place: Place::Node(format!("app-{port}@{host}")),
        own: "me-3434@nowhere.invalid".into(),
        patience: Duration::from_secs(10),
        ..question(port, None)
    };
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        message(&mut stream).await;
        stream.write_all(CHALLENGE).await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(ask(at("nowhere.invalid")), peer);
    let answer = answer.unwrap();
    assert_eq!(answer.found, Ok(Finding::Node(node(9), Cookie::Untested)));
    assert_eq!(answer.place, format!("127.0.0.1:{port}"));
    drop(listener);
    assert_eq!(ask(at("nowhere.invalid")).await.unwrap().found, Err(Unreached::Refused));
    let elsewhere = ask(at("elsewhere.invalid")).await.unwrap();
    assert!(matches!(elsewhere.found, Err(Unreached::NoAddress(_))), "{elsewhere:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, port) = listen().await;
    drop(listener);
    let answer = ask(question(port, None)).await.unwrap();
    assert_eq!(answer.found, Err(Unreached::Refused));
    assert_eq!(answer.place, format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_busy_node_is_asked_again() {
    let (listener, port) = listen().await;
    let peer = async {
        for answer in [&b"\0\x04snok"[..], b"\0\x03sok", CHALLENGE] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = message(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(ask(question(port, None)), peer);
    assert_eq!(answer.unwrap().found, Ok(Finding::Node(node(9), Cookie::Untested)));
}

/// A node with the cookie `theirs`, as `dist_util.erl` has it, and what it found out about us.
async fn accept(listener: &TcpListener, creation: u8, theirs: &[u8]) -> bool {
    let (mut stream, _) = listener.accept().await.unwrap();
    let _name = message(&mut stream).await;
    let mut challenge = CHALLENGE.to_vec();
    challenge[23] = creation;
    stream.write_all(&challenge).await.unwrap();
    let reply = message(&mut stream).await;
    let (ours, proof) = (u32::from_be_bytes(reply[1..5].try_into().unwrap()), &reply[5..]);
    let proves = |challenge: u32| md5::compute([theirs, challenge.to_string().as_bytes()].concat()).0;
    let right = reply[0] == b'r' && proof == proves(0x2a);
    if right {
        let ack = [b"\0\x11a".as_slice(), &proves(ours)].concat();
        stream.write_all(&ack).await.unwrap();
    }
    right
}

#[tokio::test]
async fn the_right_cookie_is_told_from_a_wrong_one() {
    let (listener, port) = listen().await;
    let (answer, right) = tokio::join!(ask(question(port, Some(b"yes"))), accept(&listener, 1, b"yes"));
    assert_eq!(
        (answer.unwrap().found, right),
        (Ok(Finding::Node(node(1), Cookie::Same)), true)
    );
    let (answer, right) = tokio::join!(ask(question(port, Some(b"no"))), accept(&listener, 1, b"yes"));
    assert_eq!(
        (answer.unwrap().found, right),
        (Ok(Finding::Node(node(1), Cookie::Other)), false)
    );
}

#[tokio::test]
async fn a_refused_cookie_is_not_shown_again_until_the_node_restarts() {
    let (listener, port) = listen().await;
    let refused = tokio::join!(ask(question(port, Some(b"a"))), accept(&listener, 2, b"b"));
    let again = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _name = message(&mut stream).await;
        let mut challenge = CHALLENGE.to_vec();
        challenge[23] = 2;
        stream.write_all(&challenge).await.unwrap();
        stream.read_u8().await.is_err()
    };
    let known = tokio::join!(ask(question(port, Some(b"a"))), again);
    assert_eq!(refused.0.unwrap().found, known.0.unwrap().found);
    assert!(known.1, "the cookie was shown again");
    let (restarted, right) = tokio::join!(ask(question(port, Some(b"a"))), accept(&listener, 3, b"a"));
    assert_eq!(
        (restarted.unwrap().found, right),
        (Ok(Finding::Node(node(3), Cookie::Same)), true)
    );
}

#[test]
fn who_has_refused_a_cookie_is_remembered_by_name() {
    interview::note_refusal("refuser@h", 4, b"a");
    assert_eq!(interview::refuser("refuser@h", b"a"), Some(4));
    assert_eq!(interview::refuser("refuser@h", b"b"), None);
    assert_eq!(interview::refuser("another@h", b"a"), None);
}
