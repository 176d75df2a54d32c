use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn port(name: &str) -> Result<u16, Kind> {
    dist_port(name.as_bytes(), &PortRules::default()).map_err(|error| error.kind())
}

#[test]
fn the_grammar_of_the_port_table() {
    let table = [
        ("likes-service-3434", Ok(3434)),
        ("likes-service-3434@host", Ok(3434)),
        ("likes-service-3434@10.0.0.1", Ok(3434)),
        ("app3434", Ok(3434)),
        ("app-1024", Ok(1024)),
        ("app-1023", Ok(5393)),
        ("app-65535", Ok(65535)),
        ("app-65536", Err(Kind::PortOutOfRange)),
        ("app-70000@host", Err(Kind::PortOutOfRange)),
        ("app-99999999999999999999999999", Err(Kind::PortOutOfRange)),
        ("my-app-0", Ok(4370)),
        ("my-app-12", Ok(4382)),
        ("my-app-0080", Ok(4450)),
        ("my-app", Ok(4370)),
        ("my-app@host-3434", Ok(4370)),
        ("3434", Ok(3434)),
        ("rem-1-app-3434@host", Err(Kind::ToolNode)),
        ("rabbitmqcli-58-rabbit-25601@host", Err(Kind::ToolNode)),
        ("a1b-ping@host", Err(Kind::ToolNode)),
        ("theorem-4370@host", Ok(4370)),
        ("maint-4370", Ok(4370)),
        ("peerage-4370", Ok(4370)),
        ("peer-4370", Ok(4370)),
        ("peer-3-x-4370", Ok(4370)),
        ("", Err(Kind::InvalidName)),
        ("@host", Err(Kind::InvalidName)),
        ("app-1@", Err(Kind::InvalidName)),
        ("app-1@a@b", Err(Kind::InvalidName)),
        ("app 1", Err(Kind::InvalidName)),
        ("äpp-3434", Err(Kind::InvalidName)),
        ("app\n3434", Err(Kind::InvalidName)),
    ];
    for (name, expected) in table {
        assert_eq!(port(name), expected, "{name:?}");
    }
    assert_eq!(port(&"a".repeat(255)), Ok(4370));
    assert_eq!(port(&"a".repeat(256)), Err(Kind::InvalidName));
}

#[test]
fn base_port_and_dist_port() {
    let high = PortRules {
        base_port: 65_000,
        dist_port: None,
    };
    assert_eq!(dist_port(b"app-535", &high), Ok(65_535));
    let error = dist_port(b"app-536", &high).unwrap_err();
    assert_eq!(error.kind(), Kind::PortOutOfRange);
    assert!(
        error.to_string().contains("65536") && error.to_string().contains("65000"),
        "{error}"
    );

    let fixed = PortRules {
        base_port: 4370,
        dist_port: Some(9100),
    };
    assert_eq!(dist_port(b"app-99999", &fixed), Ok(9100));
    assert_eq!(dist_port(b"rpc-1a-app", &fixed).unwrap_err().kind(), Kind::ToolNode);
    assert_eq!(dist_port(b"", &fixed).unwrap_err().kind(), Kind::InvalidName);
}

#[test]
fn peers_of_one_node_are_next_to_each_other() {
    let first = port("peer-3-17184").unwrap();
    assert!((20_000..32_768).contains(&first));
    assert_eq!(port("peer-4-17184@host"), Ok(first + 1));
    // Others have other places, and no process's number is too large.
    assert_ne!(port("peer-3-17185"), Ok(first));
    assert!(port("peer-576460752303419000-4194304").is_ok());
    let fixed = PortRules {
        base_port: 4370,
        dist_port: Some(9100),
    };
    assert_eq!(dist_port(b"peer-3-17184", &fixed), Ok(first));
}

#[test]
fn what_a_number_is_that_is_no_port() {
    let sentence = |name: &str| {
        let error = dist_port(name.as_bytes(), &PortRules::default()).unwrap_err();
        error.to_string()
    };
    for name in ["lb-6f3e70001", "lb-6f3e70001@host", "app_a123456789"] {
        assert!(sentence(name).contains("end of a hash"), "{name}");
    }
    for name in ["app-20261126", "app-202611261200@host"] {
        assert!(sentence(name).contains("the date at its end"), "{name}");
    }
    for name in ["app-70000", "service70000", "app-20269926", "app-99999999"] {
        assert!(!sentence(name).contains("taken for a port"), "{name}");
        assert!(sentence(name).contains("-caravan dist_port"), "{name}");
    }
}

#[test]
fn where_a_node_listens() {
    let rules = PortRules::default();
    let listen = |name: &str, listening| listen_port(name.as_bytes(), &rules, listening).map_err(|error| error.kind());
    let own = Listening::default();
    let anywhere = Listening { anywhere: true, ..own };
    let inner = Listening {
        port: Some(3434),
        ..own
    };
    for (name, as_named, hidden, mapped) in [
        ("app-31234@h", Ok(31234), Ok(0), Ok(3434)),
        ("rpc-1a-app-31234@h", Ok(0), Ok(0), Ok(0)),
        ("app@h", Ok(4370), Ok(0), Err(Kind::InvalidName)),
        ("app-0@h", Ok(4370), Ok(0), Ok(3434)),
        (
            "lb-6f3e70001@h",
            Err(Kind::PortOutOfRange),
            Ok(0),
            Err(Kind::PortOutOfRange),
        ),
        (
            "a b@h",
            Err(Kind::InvalidName),
            Err(Kind::InvalidName),
            Err(Kind::InvalidName),
        ),
    ] {
        assert_eq!(listen(name, own), as_named, "{name}");
        assert_eq!(listen(name, anywhere), hidden, "{name}");
        assert_eq!(listen(name, inner), mapped, "{name}");
    }
    let peer = listen("peer-3-17184@h", inner);
    assert_eq!(peer, Err(Kind::InvalidName));
    let fixed = PortRules {
        base_port: 4370,
        dist_port: Some(31234),
    };
    assert_eq!(listen_port(b"app@h", &fixed, inner), Ok(3434));
    assert_eq!(outer_port(b"app-31234@h", &rules, inner), Some(31234));
    assert_eq!(outer_port(b"app-31234@h", &rules, anywhere), None);
    assert_eq!(outer_port(b"rpc-1a-app-31234@h", &rules, own), None);
}

#[test]
fn whom_a_tool_asks() {
    assert!(asks(b"rpc-1a-app-3434@h", b"app-3434@h"));
    assert!(asks(b"rpc-1a-app-3434@h", b"app-3434"));
    assert!(!asks(b"rpc-1a-app-3434@h", b"app-3435@h"));
    assert!(!asks(b"rpc-1a-app-3434@h", b"app-3434@other"));
    assert!(!asks(b"app-3434@h", b"app-3434@h"));
}

#[test]
fn names_the_vm_takes() {
    for good in ["app@host", "a_b-1@fd00::1", "a@1.2.3.4"] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["app", "@h", "a@", "a.b@h", "a@h@h", "a@h\"", "a@h h"] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn full_names() {
    let port = |name| full(name, &PortRules::default()).map_err(|error| error.kind());
    assert_eq!(port("app-3434@h"), Ok(3434));
    assert_eq!(port("a-1@fd00::1"), Ok(4371));
    assert_eq!(port("app-70000@h"), Err(Kind::PortOutOfRange));
    assert_eq!(port("rpc-1a-app-3434@h"), Err(Kind::ToolNode));
    for bad in ["app-3434", "app-3434@", "a.b-3434@h", "app-3434@h\""] {
        assert_eq!(port(bad), Err(Kind::InvalidName), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_name_is_plain_up_to_its_first_odd_byte(name in "[!-~]{0,40}([ @\\x7fé\\n][ -~@]{0,40})?") {
        let odd = |byte: &u8| !byte.is_ascii_graphic() || *byte == b'@';
        let name = name.as_bytes();
        prop_assert_eq!(plain(name), name.iter().position(odd).unwrap_or(name.len()));
    }

    #[test]
    fn any_bytes_give_a_port_or_an_error(name in proptest::collection::vec(any::<u8>(), 0..300), base_port in 1u16.., fixed in proptest::option::of(1u16..)) {
        let rules = PortRules { base_port, dist_port: fixed };
        match dist_port(&name, &rules) {
            Ok(port) => prop_assert!(port >= 1),
            Err(error) => prop_assert!(matches!(error.kind(), Kind::InvalidName | Kind::PortOutOfRange | Kind::ToolNode)),
        }
    }
}
