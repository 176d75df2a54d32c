use std::sync::mpsc;

use super::*;
use crate::node_name::PortRules;

fn known() -> Arc<SharedNames> {
    Arc::new(SharedNames::new(Names::new("app-3999", 3999, PortRules::default())))
}

/// A server on a free port of the loopback, and a channel of what it tells.
async fn start() -> (SocketAddr, Arc<SharedNames>, JoinSet<()>) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let known = known();
    let mut server = JoinSet::new();
    server.spawn(serve(address, Arc::clone(&known), |_| {}));
    eventually(async || TcpStream::connect(address).await.is_ok()).await;
    (address, known, server)
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let all = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), all).await.expect("in time");
}

async fn send(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = u16::try_from(request.len()).unwrap();
    stream.write_u16(length).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream
}

/// The whole answer, up to where the server hangs up.
async fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut stream = send(address, request).await;
    let _reset = stream.read_to_end(&mut answer).await;
    answer
}

async fn names(address: SocketAddr) -> String {
    String::from_utf8(ask(address, b"n").await[4..].to_vec()).unwrap()
}

const PLAIN: &[u8] = b"x\x9c\x41\x4d\x00\x00\x06\x00\x05\x00\x05plain\x00\x00";

#[tokio::test]
async fn a_node_is_registered_for_as_long_as_its_connection_lives() {
    let (address, _known, _server) = start().await;
    let mut plain = send(address, PLAIN).await;
    let mut answer = [0; 6];
    plain.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..2], *b"v\0");
    assert_ne!(answer[2..], [0; 4]);
    let both = "name app-3999 at port 3999\nname plain at port 40001\n";
    assert_eq!(names(address).await, both);
    assert_eq!(ask(address, b"zplain").await[..4], *b"w\0\x9c\x41");
    assert_eq!(ask(address, PLAIN).await, b"v\x01\0\0\0\x63");
    assert_eq!(names(address).await, both);
    drop(plain);
    eventually(async || names(address).await == "name app-3999 at port 3999\n").await;
}

#[tokio::test]
async fn what_is_refused_stays_so() {
    let (address, _known, _server) = start().await;
    assert_eq!(ask(address, b"k").await, b"NO");
    for request in [b"d".as_slice(), b"sapp-3999", b"x", b"", b"?"] {
        assert_eq!(ask(address, request).await, b"", "{request:?}");
    }
    let too_long = vec![b'z'; MAX_REQUEST + 1];
    assert_eq!(ask(address, &too_long).await, b"");
    assert_eq!(ask(address, b"zapp-3999").await[..4], *b"w\0\x0f\x9f");
}

#[tokio::test]
async fn who_says_nothing_makes_room() {
    let (address, _known, _server) = start().await;
    let mut silent = Vec::new();
    for _ in 0..MAX_PENDING {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let start = tokio::time::Instant::now();
    assert_eq!(ask(address, b"zapp-3999").await[..4], *b"w\0\x0f\x9f");
    // The oldest was sent away long before its time was over.
    assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0);
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn who_never_ends_is_sent_away() {
    let (address, _known, _server) = start().await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"\0\x09zapp").await.unwrap();
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
}

async fn turn(told: &mpsc::Receiver<ServerEvent>) -> ServerEvent {
    let mut turn = None;
    eventually(async || {
        turn = told.try_recv().ok();
        turn.is_some()
    })
    .await;
    turn.unwrap()
}

#[tokio::test]
async fn it_waits_for_the_address_and_takes_over() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let mut server = JoinSet::new();
    server.spawn(serve(address, known(), move |turn| {
        tell.send(turn).unwrap();
    }));
    // It tries to be known there. Somebody else answers, though, and does so again.
    for _ in 0..2 {
        let (mut stream, _from) = other.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut request = vec![0; length.into()];
        stream.read_exact(&mut request).await.unwrap();
        let Some(Request::Alive(node)) = Request::read(&request) else {
            panic!("{request:?}");
        };
        assert_eq!(node, Node::ordinary("app-3999", 3999));
        stream.write_all(b"HTTP/1.1").await.unwrap();
    }
    let ServerEvent::Waiting(reason) = turn(&told).await else {
        panic!("answers");
    };
    assert!(reason.contains("in use"), "{reason}");
    assert!(told.try_recv().is_err(), "told once");
    drop(other);
    assert_eq!(turn(&told).await, ServerEvent::Serving);
    assert_eq!(names(address).await, "name app-3999 at port 3999\n");
}

#[tokio::test]
async fn who_waits_is_known_and_takes_over_at_once() {
    let (address, _known, server) = start().await;
    let (tell, told) = mpsc::channel();
    let waiting = SharedNames::new(Names::new("other-4001", 4001, PortRules::default()));
    let mut other = JoinSet::new();
    other.spawn(serve(address, Arc::new(waiting), move |turn| {
        tell.send(turn).unwrap();
    }));
    let reason = "epmd or another node answers there and has registered this one";
    assert_eq!(turn(&told).await, ServerEvent::Waiting(reason.into()));
    let both = "name app-3999 at port 3999\nname other-4001 at port 4001\n";
    assert_eq!(names(address).await, both);
    drop(server);
    assert_eq!(turn(&told).await, ServerEvent::Serving);
    assert_eq!(names(address).await, "name other-4001 at port 4001\n");
}

#[tokio::test]
async fn with_the_server_its_clients_end() {
    let (address, known, server) = start().await;
    let mut plain = send(address, PLAIN).await;
    plain.read_exact(&mut [0; 6]).await.unwrap();
    drop(server);
    assert_eq!(plain.read(&mut [0]).await.unwrap_or(0), 0);
    eventually(async || known.names().present().count() == 1).await;
}

#[test]
fn addresses() {
    for (text, ipv6, expected) in [
        ("localhost", false, "127.0.0.1:4369"),
        ("localhost", true, "[::1]:4369"),
        ("{localhost,14369}", false, "127.0.0.1:14369"),
        ("{127,0,0,2}", true, "127.0.0.2:4369"),
        ("{{127,0,0,2},14369}", false, "127.0.0.2:14369"),
        ("{0,0,0,0,0,0,0,1}", false, "[::1]:4369"),
        ("{{64768,0,0,0,0,0,0,1},14369}", false, "[fd00::1]:14369"),
    ] {
        assert_eq!(address(text, ipv6), expected.parse().ok(), "{text}");
    }
    for bad in [
        "",
        "127.0.0.1",
        "127.0.0.1:4369",
        "4369",
        "localhost:4369",
        "{127,0,0}",
        "{127,0,0,256}",
        "{127,0,0,1",
        "{127,0,0,-1}",
        "{{127,0,0,1},0}",
        "{{127,0,0,1},65536}",
        "{{127,0,0,1},}",
        "{localhost}",
        "{}",
        "{{},{}}",
    ] {
        assert_eq!(address(bad, false), None, "{bad}");
    }
}
