//! One question over UDP, over TCP when the answer was cut, and nothing that is no answer to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use super::response::{Received, Response, code_word, read, whole_records};
use crate::error::{Context, Error, Truncation, describe};

/// The UDP size offered (EDNS, RFC 6891): what crosses every network unfragmented (DNS flag day 2020).
const EDNS_SIZE: u16 = 1232;

/// How one exchange with one server failed.
pub(super) enum ExchangeError {
    Io(io::Error),
    Malformed(String),
    /// The answer was cut, and no whole one could be had: what there is of it.
    Cut(Option<(Response, Transport)>, Truncation),
    NoSocket,
}

impl ExchangeError {
    /// What there is of a cut answer.
    pub(super) fn take_part(&mut self) -> Option<(Response, Transport)> {
        match self {
            Self::Cut(part, _) => part.take(),
            _ => None,
        }
    }

    pub(super) fn explained(self, context: Context) -> Error {
        match self {
            Self::Io(error) => Error::unreachable(context, &error),
            Self::Malformed(reason) => Error::Malformed { context, reason },
            Self::NoSocket => Error::no_socket(context),
            Self::Cut(_part, cause) => Error::Truncated { context, cause },
        }
    }
}

/// What a server says to a question.
pub(super) enum ServerReply {
    Whole(Response, Transport),
    /// Over UDP, as many bytes as fit.
    Truncated(Vec<u8>),
}

/// Asks over UDP, or over TCP at once.
pub(super) async fn send(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
    tcp: bool,
    deadline: Instant,
) -> Result<ServerReply, ExchangeError> {
    if tcp {
        let answer = over_tcp(server, request, known, deadline).await?;
        Ok(ServerReply::Whole(answer, Transport::Tcp))
    } else {
        over_udp(server, request, known).await
    }
}

/// Asks over TCP for the whole of an answer that was cut to `part`; what there is of it is in the error.
pub(super) async fn retry_over_tcp(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
    part: &[u8],
    deadline: Instant,
) -> Result<Response, ExchangeError> {
    let cut = match over_tcp(server, request, known, deadline).await {
        Ok(answer) => match answer.code {
            ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
            code => Truncation::Failed(code_word(code).into()),
        },
        // There is more of it over TCP.
        Err(ExchangeError::Cut(Some(more), cut)) => {
            return Err(ExchangeError::Cut(Some(more), cut));
        }
        Err(ExchangeError::Cut(None, cut)) => cut,
        Err(ExchangeError::Malformed(reason)) => {
            Truncation::Failed(format!("what is not valid DNS ({reason})"))
        }
        Err(ExchangeError::Io(error)) => Truncation::NoTcp(describe(&error)),
        Err(ExchangeError::NoSocket) => {
            Truncation::NoTcp("no file descriptor is left for it".into())
        }
    };
    let part = whole_records(part, request).map(|answer| (answer, Transport::Udp));
    Err(ExchangeError::Cut(part, cut))
}

async fn over_udp(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
) -> Result<ServerReply, ExchangeError> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(ExchangeError::Io)?;
    // Connected: the kernel drops what comes from elsewhere, and tells when the port is closed.
    socket.connect(server).await.map_err(ExchangeError::Io)?;
    socket
        .send(&bytes(request)?)
        .await
        .map_err(ExchangeError::Io)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(ExchangeError::Io)?;
        match read(&buffer[..length], request, known).map_err(ExchangeError::Malformed)? {
            Received::Response(answer) => return Ok(ServerReply::Whole(answer, Transport::Udp)),
            Received::Truncated => {
                buffer.truncate(length);
                return Ok(ServerReply::Truncated(buffer));
            }
            Received::Other => {}
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    request: &Message,
    known: Option<u64>,
    deadline: Instant,
) -> Result<Response, ExchangeError> {
    let work = async {
        let mut stream = TcpStream::connect(server)
            .await
            .map_err(ExchangeError::Io)?;
        let body = bytes(request)?;
        // RFC 7766: the length goes before the message, in one segment with it.
        let mut framed = u16::try_from(body.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        framed.extend(body);
        stream.write_all(&framed).await.map_err(ExchangeError::Io)?;
        let mut length = [0; 2];
        stream
            .read_exact(&mut length)
            .await
            .map_err(ExchangeError::Io)?;
        let mut body = vec![0; u16::from_be_bytes(length).into()];
        stream
            .read_exact(&mut body)
            .await
            .map_err(ExchangeError::Io)?;
        match read(&body, request, known).map_err(ExchangeError::Malformed)? {
            Received::Response(answer) => Ok(answer),
            Received::Truncated => {
                let part = whole_records(&body, request).map(|answer| (answer, Transport::Tcp));
                Err(ExchangeError::Cut(part, Truncation::TooBig))
            }
            // Nobody else writes into this connection, and nothing else was asked.
            Received::Other => Err(ExchangeError::Malformed(
                "it is no answer to the question".into(),
            )),
        }
    };
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(ExchangeError::Io(io::ErrorKind::TimedOut.into())))
}

pub(super) fn build_query(question: &Query, edns: bool) -> Message {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(question.clone());
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_SIZE).set_version(0);
        request.set_edns(edns);
    }
    request
}

fn bytes(request: &Message) -> Result<Vec<u8>, ExchangeError> {
    request
        .to_vec()
        .map_err(|error| ExchangeError::Malformed(error.to_string()))
}
