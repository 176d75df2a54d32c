//! This machine's own addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// The address that the system would use towards `remote`. No packet is sent: a datagram socket only looks up its route.
pub fn towards(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port will do, but not 0.
    socket.connect((remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        for address in ["127.0.0.1", "127.0.0.2", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let towards = towards(address).unwrap();
            assert!(towards.is_loopback() && towards.is_ipv6() == address.is_ipv6());
        }
    }

    #[test]
    fn where_no_route_leads_is_no_address() {
        // Connecting a datagram socket to a broadcast address takes a right that it was not given.
        assert_eq!(towards(Ipv4Addr::BROADCAST.into()), None);
    }
}
