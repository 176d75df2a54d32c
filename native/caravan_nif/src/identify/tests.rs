use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_millis(400);

async fn ask(answer: &'static [u8]) -> Result<Identity, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("app-{}@127.0.0.1", listener.local_addr().unwrap().port());
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let greeting = message(&mut stream).await.unwrap();
        assert!(greeting.ends_with(b"caravan-me-3434@here"), "{greeting:?}");
        stream.write_all(answer).await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(identify(name, "me-3434@here", PATIENCE), peer);
    answer
}

#[tokio::test]
async fn a_node_tells_its_name() {
    let answer = b"\0\x03sok\0\x16N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\x03x@y";
    let identity = ask(answer).await.unwrap();
    assert_eq!((identity.name.as_str(), identity.creation), ("x@y", 9));
}

#[tokio::test]
async fn what_is_no_node_is_told_apart() {
    for answer in [
        &b"\x15\x03\x03\0\x02\x02\x46"[..],
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\0\x0csnot_allowed",
    ] {
        let error = ask(answer).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Handshake, "{error}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_there_all_the_same() {
    let error = ask(b"\0\x03so").await.unwrap_err();
    assert!(matches!(error, Error::Unresponsive { .. }), "{error}");
}
