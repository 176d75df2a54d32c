//! One question to one server: over UDP, over TCP when the answer was cut, and nothing that is no answer to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{Edns, Message, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use crate::error::{Asked, Error};

/// The UDP size offered (EDNS, RFC 6891): what crosses every network unfragmented (DNS flag day 2020).
const EDNS_SIZE: u16 = 1232;

/// How one exchange with one server failed.
pub(super) enum Broken {
    Io(io::Error),
    Malformed(String),
    Truncated(io::Error),
}

impl Broken {
    pub(super) fn explained(self, asked: Asked) -> Error {
        match self {
            Self::Io(error) => Error::unreachable(asked, &error),
            Self::Malformed(reason) => Error::Malformed { asked, reason },
            Self::Truncated(error) => Error::Truncated {
                asked,
                reason: error.to_string(),
            },
        }
    }
}

pub(super) async fn exchange(
    server: SocketAddr,
    question: &Query,
    tcp: bool,
    deadline: Instant,
) -> Result<(Message, Transport), Broken> {
    if tcp {
        let message = over_tcp(server, question, deadline).await?;
        return Ok((message, Transport::Tcp));
    }
    let message = over_udp(server, question).await?;
    if !message.metadata.truncation {
        return Ok((message, Transport::Udp));
    }
    match over_tcp(server, question, deadline).await {
        Ok(message) => Ok((message, Transport::Tcp)),
        Err(Broken::Io(error)) => Err(Broken::Truncated(error)),
        Err(broken) => Err(broken),
    }
}

async fn over_udp(server: SocketAddr, question: &Query) -> Result<Message, Broken> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(Broken::Io)?;
    // Connected: the kernel drops what comes from elsewhere, and tells when the port is closed.
    socket.connect(server).await.map_err(Broken::Io)?;
    let request = request(question);
    socket.send(&bytes(&request)?).await.map_err(Broken::Io)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(Broken::Io)?;
        if let Some(message) = read(&buffer[..length], &request)? {
            return Ok(message);
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    question: &Query,
    deadline: Instant,
) -> Result<Message, Broken> {
    let work = async {
        let mut stream = TcpStream::connect(server).await.map_err(Broken::Io)?;
        let request = request(question);
        let body = bytes(&request)?;
        // RFC 7766: the length goes before the message, in one segment with it.
        let mut framed = u16::try_from(body.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        framed.extend(body);
        stream.write_all(&framed).await.map_err(Broken::Io)?;
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).await.map_err(Broken::Io)?;
            let mut body = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut body).await.map_err(Broken::Io)?;
            if let Some(message) = read(&body, &request)? {
                return Ok(message);
            }
        }
    };
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(Broken::Io(io::ErrorKind::TimedOut.into())))
}

fn request(question: &Query) -> Message {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(EDNS_SIZE).set_version(0);
    request.set_edns(edns);
    request
}

fn bytes(request: &Message) -> Result<Vec<u8>, Broken> {
    request
        .to_vec()
        .map_err(|error| Broken::Malformed(error.to_string()))
}

/// The answer to `request`; `None` for what is none, which anybody may have sent.
fn read(bytes: &[u8], request: &Message) -> Result<Option<Message>, Broken> {
    if bytes.get(..2) != Some(&request.metadata.id.to_be_bytes()[..]) {
        return Ok(None);
    }
    let message = Message::from_vec(bytes).map_err(|error| Broken::Malformed(error.to_string()))?;
    Ok((message.queries == request.queries).then_some(message))
}
