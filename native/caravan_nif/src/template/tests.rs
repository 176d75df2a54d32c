use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::node_name::dist_port;

#[test]
fn templates() {
    let values = TemplateValues {
        sname: "likes",
        port: Some(3434),
        host: Some("n1.example"),
        ip: Some([10, 0, 0, 1].into()),
    };
    let fill = |text: &str| Template::parse(text).map(|template| template.render(&values).unwrap());
    assert_eq!(fill("{sname}-{port}@{host}").unwrap(), "likes-3434@n1.example");
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
    let no_host = TemplateValues { host: None, ..values };
    assert_eq!(Template::parse("{sname}@{host}").unwrap().render(&no_host), None);
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

/// What a node named `own` calls a peer on `port` at host `n1`.
fn like(own: &str, port: Option<u16>, rules: PortRules) -> Option<String> {
    Template::like(own, true, &rules).render(&TemplateValues {
        sname: "unused",
        port,
        host: Some("n1"),
        ip: None,
    })
}

#[test]
fn names_like_the_own_one() {
    let rules = PortRules::default();
    for (own, port, peer) in [
        ("app-3434", 4000, "app-4000@n1"),
        ("app3434", 4000, "app4000@n1"),
        ("my_app_3434", 4000, "my_app_4000@n1"),
        ("1-3434", 4000, "1-4000@n1"),
        ("3434", 4000, "4000@n1"),
        ("-3434", 4000, "-4000@n1"),
        ("app-03434", 4000, "app-04000@n1"),
        ("my-app-0", 4372, "my-app-2@n1"),
        ("my-app-12", 4372, "my-app-2@n1"),
        ("my-app-00", 4372, "my-app-02@n1"),
        ("my-app-0", 9000, "my-app-9000@n1"),
        ("app", 4370, "app@n1"),
        ("app", 4000, "app-4000@n1"),
    ] {
        assert_eq!(like(own, Some(port), rules).as_deref(), Some(peer), "{own}");
    }
    let fixed = PortRules {
        base_port: 4370,
        dist_port: Some(9100),
    };
    for own in ["app", "app-7", "app-70000"] {
        let peer = format!("{own}@n1");
        assert_eq!(like(own, Some(9100), fixed), Some(peer.clone()));
        assert_eq!(like(own, None, fixed), Some(peer));
    }
}

#[test]
fn a_record_without_a_port_names_only_nodes_that_need_none() {
    let rules = PortRules::default();
    assert_eq!(like("app", None, rules).as_deref(), Some("app@n1"));
    for own in ["app-3434", "app-0"] {
        assert_eq!(like(own, None, rules), None, "{own}");
        assert!(Template::like(own, true, &rules).needs_port());
    }
    assert!(!Template::like("app", true, &rules).needs_port());
    assert!(!Template::like("app-3434", false, &rules).needs_port());
    assert!(Template::with_sname(true).needs_port());
    assert!(!Template::parse("my_app@{host}").unwrap().needs_port());
}

#[test]
fn address_records_keep_the_whole_base() {
    for own in ["app-3434", "app3434", "app-0", "app"] {
        let template = Template::like(own, false, &PortRules::default());
        let values = TemplateValues {
            sname: "unused",
            port: Some(4000),
            host: None,
            ip: Some([10, 0, 0, 1].into()),
        };
        assert_eq!(template.render(&values), Some(format!("{own}@10.0.0.1")));
    }
}

#[test]
fn the_base_of_a_name_with_a_port_of_its_own() {
    for (base, sname) in [
        ("likes-service-3434", "likes-service"),
        ("app3434", "app"),
        ("my_app_3434", "my_app"),
        ("1-3434", "1"),
        ("app", "app"),
        ("3434", "3434"),
        ("-3434", "-3434"),
        ("app-0", "app"),
        ("app--1", "app-"),
        ("a1-b2-33", "a1-b2"),
        ("app-", "app-"),
        ("", ""),
    ] {
        assert_eq!(sname_of(base), sname, "{base}");
    }
}

proptest! {
    // What DNS says of this node gives its own name, and what it says of others gives names on their ports.
    #[test]
    fn the_own_name_comes_out_again(own in "[a-z0-9_-]{0,12}[a-z_-]{0,3}[0-9]{0,5}", other in 1024u16.., base_port in 1024u16.., fixed in proptest::option::of(1u16..)) {
        let rules = PortRules { base_port, dist_port: fixed };
        prop_assume!(!own.is_empty() && !own.starts_with("peer-"));
        if let Ok(port) = dist_port(own.as_bytes(), &rules) {
            prop_assert_eq!(like(&own, Some(port), rules), Some(format!("{own}@n1")));
            let peer = like(&own, Some(other), rules).unwrap();
            prop_assert!(is_name(&peer));
            // A stem that ends as a tool's name does not count.
            if let Ok(port) = dist_port(peer.as_bytes(), &rules) {
                prop_assert_eq!(port, fixed.unwrap_or(other));
            }
        }
    }

    #[test]
    fn a_port_survives_the_template(sname in "[a-z][a-z_-]{0,20}[a-z]", number in 1024u16.., host in "[a-z][a-z0-9.-]{0,30}[a-z]") {
        let template = Template::parse("{sname}-{port}@{host}").unwrap();
        let name = template.render(&TemplateValues { sname: &sname, port: Some(number), host: Some(&host), ip: None }).unwrap();
        prop_assert!(is_name(&name));
        prop_assert_eq!(dist_port(name.as_bytes(), &PortRules::default()).unwrap(), number);
    }

    #[test]
    fn any_template_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = Template::parse(&text);
    }
}
