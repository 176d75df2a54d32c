use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn networks() {
    let net = |text| network(text).unwrap();
    assert!(net("10.0.0.0/8").contains(&ip("10.255.1.2")));
    assert!(!net("10.0.0.0/8").contains(&ip("11.0.0.1")));
    assert!(net("0.0.0.0/0").contains(&ip("203.0.113.1")));
    assert!(!net("0.0.0.0/0").contains(&ip("::1")));
    assert!(net("fd00::/8").contains(&ip("fdaa::3")));
    assert!(!net("fd00::/8").contains(&ip("2001:db8::1")));
    assert!(net("127.0.0.1").contains(&ip("127.0.0.1")) && !net("127.0.0.1").contains(&ip("127.0.0.2")));
    for bad in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "host",
    ] {
        assert!(network(bad).is_err(), "{bad}");
    }
}
