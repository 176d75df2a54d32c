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
        ("peer-3-17184", Ok(17184)),
        ("rem-a1b2-app-3434", Err(Kind::ToolNode)),
        ("rem-1-app-3434@host", Err(Kind::ToolNode)),
        ("rpc-FFFF-app", Err(Kind::ToolNode)),
        ("rpc-0-", Err(Kind::ToolNode)),
        ("rpc-12345-app-3434", Ok(3434)),
        ("rem-xyz-app-3434", Ok(3434)),
        ("theorem-4370", Ok(4370)),
        ("theorem-a1-4371", Ok(4371)),
        ("remote-4370", Ok(4370)),
        ("rpc-4370", Ok(4370)),
        ("rpc-app", Ok(4370)),
        ("rem--app", Ok(4370)),
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
    assert_eq!(
        dist_port(b"rpc-1a-app", &fixed).unwrap_err().kind(),
        Kind::ToolNode
    );
    assert_eq!(
        dist_port(b"", &fixed).unwrap_err().kind(),
        Kind::InvalidName
    );
}

#[test]
fn templates() {
    let filling = Filling {
        sname: "likes",
        port: Some(3434),
        host: Some("n1.example"),
        ip: Some([10, 0, 0, 1].into()),
    };
    let fill = |text: &str| Template::parse(text).map(|template| template.fill(&filling).unwrap());
    assert_eq!(
        fill("{sname}-{port}@{host}").unwrap(),
        "likes-3434@n1.example"
    );
    assert_eq!(fill("{sname}@{ip}").unwrap(), "likes@10.0.0.1");
    assert_eq!(
        fill("fixed-{port}@{host}.internal").unwrap(),
        "fixed-3434@n1.example.internal"
    );
    for bad in [
        "",
        "app",
        "{sname}",
        "{sname}@",
        "@{host}",
        "{sname}@{host",
        "{sname}}@{host}",
        "{nope}@{host}",
        "a b@{host}",
        "{sname}@{host}@x",
    ] {
        let error = Template::parse(bad).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidOption, "{bad:?}");
    }
    let no_host = Filling {
        host: None,
        ..filling
    };
    assert_eq!(
        Template::parse("{sname}@{host}").unwrap().fill(&no_host),
        None
    );
}

#[test]
fn bases_that_a_template_takes() {
    let template = Template::parse("{sname}-{port}@{host}").unwrap();
    let long = "a".repeat(MAX_NAME);
    for good in ["app", "my_app-1", &long] {
        assert!(template.takes_sname(good), "{good}");
    }
    for bad in ["my app", "a@b", "a.b", "é"] {
        assert!(!template.takes_sname(bad), "{bad}");
    }
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

proptest! {
    #[test]
    fn any_bytes_give_a_port_or_an_error(name in proptest::collection::vec(any::<u8>(), 0..300), base_port in 1u16.., fixed in proptest::option::of(1u16..)) {
        let rules = PortRules { base_port, dist_port: fixed };
        match dist_port(&name, &rules) {
            Ok(port) => prop_assert!(port >= 1),
            Err(error) => prop_assert!(matches!(error.kind(), Kind::InvalidName | Kind::PortOutOfRange | Kind::ToolNode)),
        }
    }

    #[test]
    fn a_port_survives_the_template(sname in "[a-z][a-z_-]{0,20}[a-z]", number in 1024u16.., host in "[a-z][a-z0-9.-]{0,30}[a-z]") {
        let template = Template::parse("{sname}-{port}@{host}").unwrap();
        let name = template.fill(&Filling { sname: &sname, port: Some(number), host: Some(&host), ip: None }).unwrap();
        prop_assert!(is_name(&name));
        prop_assert_eq!(dist_port(name.as_bytes(), &PortRules::default()).unwrap(), number);
    }

    #[test]
    fn any_template_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = Template::parse(&text);
    }
}
