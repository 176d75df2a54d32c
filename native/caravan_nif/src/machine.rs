//! This machine: which addresses are its own, which ports are free.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Whether a node that listens at `bound`, or everywhere, is reached at `address`.
///
/// The system is asked from where it would send to that address: to one of its own it sends from there. Binding to it
/// would tell less, since net.ipv4.ip_nonlocal_bind lets that be done with any address. Nothing is sent.
pub fn is_here(address: IpAddr, bound: Option<IpAddr>) -> bool {
    match bound.filter(|bound| !bound.is_unspecified()) {
        Some(bound) => bound == address,
        None => address.is_loopback() || source(address).is_ok_and(|source| source == address),
    }
}

fn source(address: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(any(address.is_ipv6()), 0))?;
    // Any port will do.
    socket.connect(SocketAddr::new(address, 4370))?;
    Ok(socket.local_addr()?.ip())
}

/// Whether another socket listens on `port` where a node would listen that is bound to `bound`, or to no address. As the
/// VM does it, with `SO_REUSEADDR`, but only for a moment.
pub fn is_taken(port: u16, bound: Option<IpAddr>, ipv6: bool) -> bool {
    let address = SocketAddr::new(bound.unwrap_or_else(|| any(ipv6)), port);
    TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn any(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
