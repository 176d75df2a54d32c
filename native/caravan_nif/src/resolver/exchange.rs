//! One question to one server: over UDP, over TCP when the answer was cut, without EDNS where the server knows none, and
//! nothing that is no answer to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use crate::error::{Asked, Error};

/// The UDP size offered (EDNS, RFC 6891): what crosses every network unfragmented (DNS flag day 2020).
const EDNS_SIZE: u16 = 1232;

/// The truncation bit, in the third byte of a message.
const TC: u8 = 0b10;

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
    let request = request(question);
    let answer = once(server, &request, tcp, deadline).await?;
    if !knows_no_edns(&answer.0) {
        return Ok(answer);
    }
    let mut plain = request;
    plain.edns = None;
    once(server, &plain, tcp, deadline).await
}

/// RFC 6891, section 7: a server that has never heard of EDNS takes the question for a malformed or an unknown one.
fn knows_no_edns(answer: &Message) -> bool {
    answer.edns.is_none()
        && matches!(
            answer.metadata.response_code,
            ResponseCode::FormErr | ResponseCode::NotImp
        )
}

async fn once(
    server: SocketAddr,
    request: &Message,
    tcp: bool,
    deadline: Instant,
) -> Result<(Message, Transport), Broken> {
    if !tcp && let Some(message) = over_udp(server, request).await? {
        return Ok((message, Transport::Udp));
    }
    match over_tcp(server, request, deadline).await {
        Ok(message) if message.metadata.truncation => Err(Broken::Truncated(io::Error::other(
            "it has more records than one message can hold",
        ))),
        Ok(message) => Ok((message, Transport::Tcp)),
        Err(Broken::Io(error)) if !tcp => Err(Broken::Truncated(error)),
        Err(broken) => Err(broken),
    }
}

/// The answer; `None` when it was cut.
async fn over_udp(server: SocketAddr, request: &Message) -> Result<Option<Message>, Broken> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(Broken::Io)?;
    // Connected: the kernel drops what comes from elsewhere, and tells when the port is closed.
    socket.connect(server).await.map_err(Broken::Io)?;
    socket.send(&bytes(request)?).await.map_err(Broken::Io)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(Broken::Io)?;
        let received = &buffer[..length];
        // Not decoded: some servers cut in the middle of a record.
        if is_for(received, request) && received.get(2).is_some_and(|flags| flags & TC != 0) {
            return Ok(None);
        }
        if let Some(message) = read(received, request)? {
            return Ok(Some(message));
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    request: &Message,
    deadline: Instant,
) -> Result<Message, Broken> {
    let work = async {
        let mut stream = TcpStream::connect(server).await.map_err(Broken::Io)?;
        let body = bytes(request)?;
        // RFC 7766: the length goes before the message, in one segment with it.
        let mut framed = u16::try_from(body.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        framed.extend(body);
        stream.write_all(&framed).await.map_err(Broken::Io)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.map_err(Broken::Io)?;
        let mut body = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut body).await.map_err(Broken::Io)?;
        // Nobody else writes into this connection, and nothing else was asked.
        read(&body, request)?
            .ok_or_else(|| Broken::Malformed("it is no answer to the question".into()))
    };
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(Broken::Io(io::ErrorKind::TimedOut.into())))
}

pub(super) fn request(question: &Query) -> Message {
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

fn is_for(bytes: &[u8], request: &Message) -> bool {
    bytes.get(..2) == Some(&request.metadata.id.to_be_bytes()[..])
}

/// The answer to `request`; `None` for what is none, which anybody may have sent.
pub(super) fn read(bytes: &[u8], request: &Message) -> Result<Option<Message>, Broken> {
    if !is_for(bytes, request) {
        return Ok(None);
    }
    let message = Message::from_vec(bytes).map_err(|error| Broken::Malformed(error.to_string()))?;
    // Our own words from a port that echoes: no answer will come.
    if message.metadata.message_type != MessageType::Response {
        return Err(Broken::Malformed("it is a question, too".into()));
    }
    // Who could not read the question can't repeat it.
    let unread = message.queries.is_empty()
        && !matches!(
            message.metadata.response_code,
            ResponseCode::NoError | ResponseCode::NXDomain
        );
    Ok((unread || message.queries == request.queries).then_some(message))
}
