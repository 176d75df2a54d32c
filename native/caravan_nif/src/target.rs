//! Where a node should listen, and connecting to it.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::address_book::address;
use crate::error::{Context, Error};
use crate::node_name::{self, host_of};
use crate::settings::{Settings, settings};

/// Resolving a host through the system can't be canceled, and may take long. So this many run at once at most; a
/// request that gives up while waiting for a permit leaves nothing behind.
static RESOLVING: Semaphore = Semaphore::const_new(8);

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
        let Settings { rules, ipv6, .. } = settings();
        let port = node_name::dist_port(name.as_bytes(), &rules)?;
        let host = host_of(name);
        let known = host.parse().ok().or_else(|| find(host, ipv6));
        Ok(Self {
            name,
            host,
            port,
            ipv6,
            known: known.map(|ip: IpAddr| SocketAddr::new(ip, port)),
        })
    }

    pub(crate) fn context(&self, start: Instant) -> Context {
        let Self { host, port, .. } = self;
        let place = self.known.map(|address| address.to_string());
        Context {
            action: "probed",
            question: self.name.to_owned(),
            servers: vec![place.unwrap_or_else(|| format!("{host}:{port}"))],
            elapsed: start.elapsed(),
        }
    }

    pub(crate) async fn connect(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let address = match self.known {
            Some(address) => address,
            None => {
                let place = (self.host.to_owned(), self.port);
                bounded(move || place.to_socket_addrs())
                    .await??
                    .find(|address| address.is_ipv6() == self.ipv6)
                    .ok_or_else(|| {
                        io::Error::new(
                            io::ErrorKind::AddrNotAvailable,
                            "the host has no address of the family that this node uses",
                        )
                    })?
            }
        };
        Ok((TcpStream::connect(address).await?, address))
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
