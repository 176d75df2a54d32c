//! A socket that is connected to one server, and registered with the runtime for reading only.
//!
//! Tokio's own socket is registered for writing, too, and then the kernel wakes the runtime's thread for each datagram
//! that has left. Only Unix lets us choose.

use std::io;
use std::net::{SocketAddr, UdpSocket};

#[cfg(unix)]
use tokio::io::{Interest, unix::AsyncFd};

use crate::local_host::any;

/// What to be woken for: a closed port is an error, and is nothing to read.
#[cfg(unix)]
const INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

#[cfg(unix)]
pub(super) struct Socket(AsyncFd<UdpSocket>);

#[cfg(windows)]
pub(super) struct Socket(tokio::net::UdpSocket);

impl Socket {
    /// To be called within the runtime.
    pub(super) fn connected(server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((any(server.is_ipv6()), 0))?;
        // So the kernel drops datagrams from elsewhere, and reports a closed port.
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Self::registered(socket)
    }

    #[cfg(unix)]
    fn registered(socket: UdpSocket) -> io::Result<Self> {
        // SAFETY: this socket always has the same descriptor, which stays open until it is dropped, with the `AsyncFd`.
        let registered = unsafe { AsyncFd::register_with_interest(socket, INTEREST) };
        Ok(Self(registered?))
    }

    #[cfg(windows)]
    fn registered(socket: UdpSocket) -> io::Result<Self> {
        tokio::net::UdpSocket::from_std(socket).map(Self)
    }

    /// Sends at once or not at all.
    #[cfg(unix)]
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_ref().send(bytes)
    }

    /// Sends at once or not at all; not by tokio, which only does so after its own thread has seen that it can.
    #[cfg(windows)]
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        socket2::SockRef::from(&self.0).send(bytes)
    }

    #[cfg(unix)]
    pub(super) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.async_io(INTEREST, |socket| socket.recv(buffer)).await
    }

    #[cfg(windows)]
    pub(super) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer).await
    }
}

#[cfg(all(test, unix))]
mod tests;
