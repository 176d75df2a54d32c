//! One question to one server: over UDP, over TCP when the answer was cut, without EDNS where the server knows none, and
//! nothing that is no answer to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use super::answer::{Answer, Received, read};
use crate::error::{Asked, Error};
use crate::sockets;

/// The UDP size offered (EDNS, RFC 6891): what crosses every network unfragmented (DNS flag day 2020).
const EDNS_SIZE: u16 = 1232;

/// How one exchange with one server failed.
pub(super) enum Broken {
    Io(io::Error),
    Malformed(String),
    Truncated(io::Error),
    NoPlace,
}

impl Broken {
    pub(super) fn explained(self, asked: Asked) -> Error {
        match self {
            Self::Io(error) => Error::unreachable(asked, &error),
            Self::Malformed(reason) => Error::Malformed { asked, reason },
            Self::NoPlace => Error::no_socket(asked),
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
    known: Option<u64>,
    tcp: bool,
    deadline: Instant,
) -> Result<(Answer, Transport), Broken> {
    let Some(_place) = sockets::place(deadline).await else {
        return Err(Broken::NoPlace);
    };
    let request = request(question);
    let answer = once(server, &request, known, tcp, deadline).await?;
    if !knows_no_edns(&answer.0) {
        return Ok(answer);
    }
    let mut plain = request;
    plain.edns = None;
    once(server, &plain, known, tcp, deadline).await
}

/// RFC 6891, section 7: a server that has never heard of EDNS takes the question for a malformed or an unknown one.
fn knows_no_edns(answer: &Answer) -> bool {
    !answer.edns && matches!(answer.code, ResponseCode::FormErr | ResponseCode::NotImp)
}

async fn once(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
    tcp: bool,
    deadline: Instant,
) -> Result<(Answer, Transport), Broken> {
    if !tcp && let Some(answer) = over_udp(server, request, known).await? {
        return Ok((answer, Transport::Udp));
    }
    match over_tcp(server, request, known, deadline).await {
        Ok(answer) => Ok((answer, Transport::Tcp)),
        Err(Broken::Io(error)) if !tcp => Err(Broken::Truncated(error)),
        Err(broken) => Err(broken),
    }
}

/// The answer; `None` when it was cut.
async fn over_udp(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
) -> Result<Option<Answer>, Broken> {
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
        match read(&buffer[..length], request, known).map_err(Broken::Malformed)? {
            Received::Answer(answer) => return Ok(Some(answer)),
            Received::Truncated => return Ok(None),
            Received::Other => {}
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
    deadline: Instant,
) -> Result<Answer, Broken> {
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
        match read(&body, request, known).map_err(Broken::Malformed)? {
            Received::Answer(answer) => Ok(answer),
            Received::Truncated => Err(Broken::Truncated(io::Error::other(
                "it has more records than one message can hold",
            ))),
            // Nobody else writes into this connection, and nothing else was asked.
            Received::Other => Err(Broken::Malformed("it is no answer to the question".into())),
        }
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
