//! This machine: which addresses are its own, and which ports are taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Whether a node that listens on `bound`, or on all addresses, can be reached at `address`.
///
/// The system tells which address it would send from: to one of its own it sends from that same address. Binding would
/// prove less, since net.ipv4.ip_nonlocal_bind allows it for any address. Nothing is sent.
pub fn is_local(address: IpAddr, bound: Option<IpAddr>) -> bool {
    match bound {
        Some(bound) => bound == address,
        None => address.is_loopback() || source_address(address) == Some(address),
    }
}

/// The address from which the system would send to `remote`. Nothing is sent: a datagram socket only looks up its
/// route.
pub fn source_address(remote: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(any(remote.is_ipv6()), 0)).ok()?;
    // Any port will do, but not 0.
    socket.connect(SocketAddr::new(remote, 4370)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether another socket listens on `port` where a node bound to `bound`, or to no address, would listen. Binds as the
/// VM does, with `SO_REUSEADDR`, but only for a moment.
pub fn is_port_taken(port: u16, bound: Option<IpAddr>, ipv6: bool) -> bool {
    let address = SocketAddr::new(bound.unwrap_or_else(|| any(ipv6)), port);
    TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// The address at which this machine reaches itself.
pub fn loopback(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    }
}

/// The address of a socket that may send from any, or listen on all.
pub fn any(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
mod tests;
