//! UDP and TCP on one address. IO.
//!
//! UDP runs in hickory-server's loop. TCP has a loop of its own, since hickory-server's can neither close a connection nor
//! send bytes that trickle. Both send the bytes themselves: a `ResponseHandler` only takes well-formed messages, and its
//! queue drops answers when more than 32 are ready at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_server::proto::serialize::binary::{BinDecodable, BinDecoder};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::respond::Delivery;
use crate::state::State;

/// A UDP socket and, usually, a TCP socket on the same port.
pub(crate) struct Sockets {
    udp: std::net::UdpSocket,
    tcp: Option<std::net::TcpListener>,
    pub(crate) address: SocketAddr,
}

impl Sockets {
    /// Port 0 is the system's choice for TCP. If UDP has that port taken, the next choice may work.
    /// Without TCP it is held while UDP's port is chosen, so that nobody else listens there, and closed.
    pub(crate) fn bind(address: SocketAddr, with_tcp: bool) -> io::Result<Self> {
        let mut tries = if address.port() == 0 { 100 } else { 1 };
        loop {
            let tcp = std::net::TcpListener::bind(address)?;
            let address = tcp.local_addr()?;
            tries -= 1;
            match std::net::UdpSocket::bind(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                Err(error) => return Err(error),
                Ok(udp) => {
                    udp.set_nonblocking(true)?;
                    tcp.set_nonblocking(true)?;
                    let tcp = with_tcp.then_some(tcp);
                    return Ok(Self { udp, tcp, address });
                }
            }
        }
    }

    /// Answers until the UDP socket fails.
    pub(crate) async fn serve(self, state: Arc<State>) -> io::Result<()> {
        let socket = UdpSocket::from_std(self.udp.try_clone()?)?;
        let mut server = Server::new(Handler {
            state: state.clone(),
            socket,
        });
        server.register_socket(UdpSocket::from_std(self.udp)?);
        if let Some(tcp) = self.tcp {
            tokio::spawn(listen(TcpListener::from_std(tcp)?, state));
        }
        server.block_until_done().await.map_err(io::Error::other)
    }
}

struct Handler {
    state: Arc<State>,
    /// The socket that the questions come from, once more.
    socket: UdpSocket,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, _: R) -> ResponseInfo {
        if let Delivery::Send { bytes, after, .. } = self.state.respond(request) {
            pause(after).await;
            // It doesn't matter if the client is gone.
            let _ = self.socket.send_to(&bytes, request.src()).await;
        }
        let metadata = Metadata::response_from_request(&request.metadata);
        ResponseInfo::from(Header {
            metadata,
            counts: HeaderCounts::default(),
        })
    }
}

/// Tokio rounds a sleep up to the next millisecond, even one of zero.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(connection(stream, peer, state.clone()));
            }
            Err(_) => back_off().await,
        }
    }
}

/// If out of file descriptors, say, accept would fail in a busy loop and leave no time to free one.
pub(crate) async fn back_off() {
    sleep(Duration::from_millis(10)).await;
}

/// Every answer is its own task, so that a delayed or silent one holds up no other.
async fn connection(stream: TcpStream, peer: SocketAddr, state: Arc<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let mut answers = JoinSet::new();
    while let Ok(length) = reader.read_u16().await {
        let mut bytes = vec![0; length.into()];
        reader.read_exact(&mut bytes).await?;
        while answers.try_join_next().is_some() {}
        match delivery(&state, bytes, peer) {
            Delivery::Send { bytes, after, pace } => {
                answers.spawn(send(writer.clone(), bytes, after, pace));
            }
            Delivery::Silence => {}
            Delivery::Close => return Ok(()),
        }
    }
    // The client may have closed only its half.
    while answers.join_next().await.is_some() {}
    Ok(())
}

fn delivery(state: &State, bytes: Vec<u8>, peer: SocketAddr) -> Delivery {
    let Ok(header) = Header::read(&mut BinDecoder::new(&bytes)) else {
        return Delivery::Close;
    };
    match Request::from_bytes(bytes, peer, Protocol::Tcp) {
        Ok(request) if request.metadata.message_type == MessageType::Response => Delivery::Silence,
        Ok(request) => state.respond(&request),
        Err(_) => match Message::error_msg(header.id, OpCode::Query, ResponseCode::FormErr).to_vec() {
            Ok(bytes) => Delivery::Send {
                bytes,
                after: Duration::ZERO,
                pace: Duration::ZERO,
            },
            Err(_) => Delivery::Close,
        },
    }
}

async fn send(writer: Arc<Mutex<OwnedWriteHalf>>, bytes: Vec<u8>, after: Duration, pace: Duration) -> io::Result<()> {
    pause(after).await;
    let mut framed = Vec::with_capacity(bytes.len() + 2);
    framed.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    framed.extend_from_slice(&bytes);
    let mut writer = writer.lock().await;
    if pace.is_zero() {
        return writer.write_all(&framed).await;
    }
    for byte in framed {
        writer.write_all(&[byte]).await?;
        sleep(pace).await;
    }
    Ok(())
}
