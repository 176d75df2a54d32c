//! Where a node should listen, and connecting to it.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::address_book::address;
use crate::error::{Context, Error, is_out_of_sockets};
use crate::local_host::loopback;
use crate::node_name::{self, host_of};
use crate::settings::{Settings, settings};

/// Resolving a host through the system can't be canceled, and may take long. So this many run at once at most; a
/// request that gives up while waiting for a permit leaves nothing behind.
static RESOLVING: Semaphore = Semaphore::const_new(8);

/// Why nobody was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// Nothing listens on that port.
    Refused,
    /// There is no way to that address, as the system puts it.
    Unreachable(String),
    /// The host has no address, as the system puts it.
    NoAddress(String),
    /// There was no answer.
    Timeout,
    /// This process has no file descriptor left.
    NoSocket,
}

impl From<io::Error> for Unreached {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if is_out_of_sockets(&error) => Self::NoSocket,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Where a node should listen, according to its name and the address book.
pub(crate) struct Target<'a> {
    name: &'a str,
    host: &'a str,
    port: u16,
    ipv6: bool,
    /// Its address, if it is known without asking.
    pub(crate) known: Option<SocketAddr>,
}

impl<'a> Target<'a> {
    pub(crate) fn of(name: &'a str) -> Result<Self, Error> {
        Self::new(name, address)
    }

    /// The same for a node whose host isn't in the address book, but was found at `addresses`.
    pub(crate) fn at(name: &'a str, addresses: &[IpAddr]) -> Result<Self, Error> {
        Self::new(name, |_host, ipv6| {
            addresses.iter().copied().find(|ip| ip.is_ipv6() == ipv6)
        })
    }

    fn new(name: &'a str, find: impl FnOnce(&str, bool) -> Option<IpAddr>) -> Result<Self, Error> {
        let port = node_name::dist_port(name.as_bytes(), &settings().rules)?;
        Ok(Self::with(name, host_of(name), port, find))
    }

    fn with(name: &'a str, host: &'a str, port: u16, find: impl FnOnce(&str, bool) -> Option<IpAddr>) -> Self {
        let Settings { ipv6, .. } = settings();
        let known = host.parse().ok().or_else(|| find(host, ipv6));
        Self {
            name,
            host,
            port,
            ipv6,
            known: known.map(|ip: IpAddr| SocketAddr::new(ip, port)),
        }
    }

    /// The same for a port of a host.
    pub(crate) fn port(host: &'a str, port: u16) -> Self {
        Self::with(host, host, port, address)
    }

    /// The same on this machine.
    pub(crate) fn on_loopback(self) -> Self {
        Self {
            known: Some(SocketAddr::new(loopback(self.ipv6), self.port)),
            ..self
        }
    }

    pub(crate) fn is_on(&self, host: &str) -> bool {
        self.host == host
    }

    pub(crate) fn context(&self, start: Instant) -> Context {
        Context {
            action: "probed",
            question: self.name.to_owned(),
            servers: vec![self.place()],
            elapsed: start.elapsed(),
        }
    }

    /// Where it is, for messages.
    pub(crate) fn place(&self) -> String {
        let Self { host, port, .. } = self;
        let place = self.known.map(|address| address.to_string());
        place.unwrap_or_else(|| format!("{host}:{port}"))
    }

    pub(crate) async fn connect(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let address = self.address().await?;
        Ok((TcpStream::connect(address).await?, address))
    }

    /// Connects, or says what is in the way.
    pub(crate) async fn reach(&self) -> Result<TcpStream, Unreached> {
        let address = self.address().await.map_err(|error| match error.into() {
            Unreached::Unreachable(reason) => Unreached::NoAddress(reason),
            other => other,
        })?;
        Ok(TcpStream::connect(address).await?)
    }

    async fn address(&self) -> io::Result<SocketAddr> {
        if let Some(address) = self.known {
            return Ok(address);
        }
        let place = (self.host.to_owned(), self.port);
        bounded(move || place.to_socket_addrs())
            .await??
            .find(|address| address.is_ipv6() == self.ipv6)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::AddrNotAvailable,
                    "the host has no address of the family that this node uses",
                )
            })
    }
}

/// Runs blocking work on its own thread, once there is a permit. The permit is released when the work ends, even if
/// nobody waits for it any longer.
async fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let permit = RESOLVING.acquire().await.map_err(io::Error::other)?;
    let task = spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    task.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
