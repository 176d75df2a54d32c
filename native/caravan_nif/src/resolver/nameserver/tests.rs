use super::*;

#[test]
fn a_server_is_an_address_and_perhaps_a_port() {
    for (text, expected) in [
        ("192.0.2.1", "192.0.2.1:53"),
        ("192.0.2.1:8600", "192.0.2.1:8600"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("::1:53", "[::1:53]:53"),
        ("[2001:db8::1]", "[2001:db8::1]:53"),
        ("[2001:db8::1]:8600", "[2001:db8::1]:8600"),
    ] {
        assert_eq!(nameserver(text).unwrap().to_string(), expected, "{text}");
    }
    for bad in [
        "",
        "dns.test",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:",
        "192.0.2",
        "[192.0.2.1]",
        "[::1",
        "::1]:53",
        "[::1]:",
        " ::1",
    ] {
        let error = nameserver(bad).unwrap_err().to_string();
        assert!(error.contains("nameservers"), "{error}");
    }
}
