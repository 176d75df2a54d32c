//! One query over UDP, then over TCP if the answer was truncated. Ignores anything that doesn't answer it.

use std::io;
use std::net::SocketAddr;

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::response::{Received, Response, code_word, read, whole_records};
use super::{Recall, Transport};
use crate::error::{Context, Error, Truncation, describe};
use crate::local_host::any;

/// The UDP size offered (EDNS, RFC 6891), which crosses every network unfragmented (DNS flag day 2020).
pub(super) const EDNS_SIZE: u16 = 1232;

/// How one exchange with one server failed.
pub(super) enum ExchangeError {
    Io(io::Error),
    Malformed(String),
    /// The answer was truncated, and the complete one could not be fetched: what there is of it.
    Cut(Option<(Response, Transport)>, Truncation),
    NoSocket,
}

impl ExchangeError {
    /// What there is of a truncated answer.
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

/// A server's answer to a query.
pub(super) enum ServerReply {
    Whole(Response, Transport),
    /// Over UDP, as much as fits.
    Truncated(Vec<u8>),
}

/// Sends the query over UDP, or over TCP at once.
pub(super) async fn send(
    server: SocketAddr,
    request: &Message,
    recall: Recall,
    tcp: bool,
    deadline: Instant,
) -> Result<ServerReply, ExchangeError> {
    if tcp {
        let answer = over_tcp(server, request, recall, deadline).await?;
        Ok(ServerReply::Whole(answer, Transport::Tcp))
    } else {
        over_udp(server, request, recall).await
    }
}

/// Fetches over TCP the complete answer that was truncated to `part`. The error holds what there is of it.
pub(super) async fn retry_over_tcp(
    server: SocketAddr,
    request: &Message,
    recall: Recall,
    part: &[u8],
    deadline: Instant,
) -> Result<Response, ExchangeError> {
    let cut = match over_tcp(server, request, recall, deadline).await {
        Ok(answer) => match answer.code {
            ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
            code => Truncation::Failed(code_word(code).into()),
        },
        // TCP has more of it.
        Err(ExchangeError::Cut(Some(more), cut)) => {
            return Err(ExchangeError::Cut(Some(more), cut));
        }
        Err(ExchangeError::Cut(None, cut)) => cut,
        Err(ExchangeError::Malformed(reason)) => {
            Truncation::Failed(format!("with something other than valid DNS ({reason})"))
        }
        Err(ExchangeError::Io(error)) => Truncation::NoTcp(describe(&error)),
        Err(ExchangeError::NoSocket) => Truncation::NoTcp("out of file descriptors".into()),
    };
    let part = whole_records(part, request).map(|answer| (answer, Transport::Udp));
    Err(ExchangeError::Cut(part, cut))
}

async fn over_udp(server: SocketAddr, request: &Message, recall: Recall) -> Result<ServerReply, ExchangeError> {
    let socket = UdpSocket::bind((any(server.is_ipv6()), 0))
        .await
        .map_err(ExchangeError::Io)?;
    // Connected, so the kernel drops datagrams from elsewhere, and reports a closed port.
    socket.connect(server).await.map_err(ExchangeError::Io)?;
    socket.send(&bytes(request)?).await.map_err(ExchangeError::Io)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(ExchangeError::Io)?;
        match read(&buffer[..length], request, recall).map_err(ExchangeError::Malformed)? {
            Received::Response(answer) => return Ok(ServerReply::Whole(answer, Transport::Udp)),
            Received::Truncated => {
                buffer.truncate(length);
                return Ok(ServerReply::Truncated(buffer));
            }
            Received::Other => {}
        }
    }
}

/// The reply that somebody has received over UDP.
pub(super) fn parse(bytes: Vec<u8>, request: &Message, recall: Recall) -> Result<ServerReply, ExchangeError> {
    match read(&bytes, request, recall).map_err(ExchangeError::Malformed)? {
        Received::Response(answer) => Ok(ServerReply::Whole(answer, Transport::Udp)),
        Received::Truncated => Ok(ServerReply::Truncated(bytes)),
        Received::Other => Err(ExchangeError::Malformed("it doesn't answer the question".into())),
    }
}

async fn over_tcp(
    server: SocketAddr,
    request: &Message,
    recall: Recall,
    deadline: Instant,
) -> Result<Response, ExchangeError> {
    let work = async {
        let mut stream = TcpStream::connect(server).await.map_err(ExchangeError::Io)?;
        let body = bytes(request)?;
        // RFC 7766: the length precedes the message, in the same segment.
        let mut framed = u16::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
        framed.extend(body);
        stream.write_all(&framed).await.map_err(ExchangeError::Io)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.map_err(ExchangeError::Io)?;
        let mut body = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut body).await.map_err(ExchangeError::Io)?;
        match read(&body, request, recall).map_err(ExchangeError::Malformed)? {
            Received::Response(answer) => Ok(answer),
            Received::Truncated => {
                let part = whole_records(&body, request).map(|answer| (answer, Transport::Tcp));
                Err(ExchangeError::Cut(part, Truncation::TooBig))
            }
            // Nobody else writes to this connection, and this was the only query.
            Received::Other => Err(ExchangeError::Malformed("it doesn't answer the question".into())),
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
