use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn loopback_is_this_machine_and_an_address_for_documents_is_not() {
    for here in ["127.0.0.1", "127.0.0.9", "::1"] {
        assert!(is_local(ip(here), None), "{here}");
    }
    // RFC 5737 and RFC 3849.
    for away in ["192.0.2.77", "2001:db8::77"] {
        assert!(!is_local(ip(away), None), "{away}");
    }
}

#[test]
fn a_bound_node_is_at_its_address_only() {
    assert!(is_local(ip("192.0.2.77"), Some(ip("192.0.2.77"))));
    assert!(!is_local(ip("127.0.0.1"), Some(ip("127.0.0.2"))));
}

#[test]
fn a_port_is_taken_where_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(is_port_taken(port, Some(ip("127.0.0.1")), false));
    assert!(is_port_taken(port, None, false));
    assert!(!is_port_taken(port, Some(ip("127.0.0.2")), false));
    drop(listener);
    assert!(!is_port_taken(port, Some(ip("127.0.0.1")), false));
}

#[test]
fn a_port_with_connections_of_a_node_that_is_gone_is_free() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::net::TcpStream::connect(address).unwrap();
    // The side that hangs up first keeps the address for a while (TIME_WAIT).
    drop(listener.accept().unwrap());
    drop((client, listener));
    assert!(!is_port_taken(address.port(), Some(address.ip()), false));
}

#[test]
fn an_address_that_is_not_here_is_the_vm_s_to_complain_of() {
    assert!(!is_port_taken(4370, Some(ip("192.0.2.77")), false));
}

#[test]
fn loopback_is_reached_from_loopback() {
    for address in ["127.0.0.1", "127.0.0.2", "::1"] {
        let address: IpAddr = address.parse().unwrap();
        let source = source_address(address).unwrap();
        assert!(source.is_loopback() && source.is_ipv6() == address.is_ipv6());
    }
}

#[test]
fn where_no_route_leads_is_no_address() {
    // Connecting a datagram socket to a broadcast address takes a right that it was not given.
    assert_eq!(source_address(Ipv4Addr::BROADCAST.into()), None);
}
