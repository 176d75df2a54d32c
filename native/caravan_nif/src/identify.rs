//! Asks a node what it calls itself: the beginning of a handshake, which ends before the cookie is used. The node there
//! logs nothing of it.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::error::Error;
use crate::handshake::{self, Identity, Refusal};
use crate::node_name::MAX_NAME;
use crate::sockets;
use crate::target::Target;

/// The longest message is the challenge, with the longest name.
const MAX_MESSAGE: usize = 32 + MAX_NAME;

/// What the node that is known as `name` calls itself. `own` is this node's name.
///
/// # Errors
/// `Handshake` where whatever listens there doesn't tell, `Network`, `Timeout` or `Unserved` when nobody is there, and those
/// of the name.
pub async fn identify(name: String, own: &str, patience: Duration) -> Result<Identity, Error> {
    let start = Instant::now();
    let deadline = (start + patience).into();
    let target = Target::of(&name)?;
    let asked = || target.asked(start);
    let Some(_socket) = sockets::place_for_probe(deadline).await else {
        return Err(Error::no_socket(asked()));
    };
    let (stream, _address) = match timeout_at(deadline, target.connect()).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(Error::unreachable(asked(), &error)),
        Err(_elapsed) => return Err(Error::Timeout { asked: asked() }),
    };
    match timeout_at(deadline, greet(stream, &handshake::asker(own))).await {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(refusal)) => Err(Error::Handshake {
            asked: asked(),
            reason: refusal.to_string(),
        }),
        Err(_elapsed) => Err(Error::Unserved { asked: asked() }),
    }
}

async fn greet(mut stream: TcpStream, from: &str) -> Result<Identity, Refusal> {
    // Whoever hangs up, or sends what can't be a message, doesn't speak this.
    let broken = |_: io::Error| Refusal::NotErlang;
    stream
        .write_all(&handshake::send_name(from))
        .await
        .map_err(broken)?;
    handshake::read_status(&message(&mut stream).await.map_err(broken)?)?;
    handshake::read_challenge(&message(&mut stream).await.map_err(broken)?)
}

async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests {
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
        assert!(matches!(error, Error::Unserved { .. }), "{error}");
    }
}
