use super::*;

const SELF: &str = "app-4370@10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn endpoint(host: Option<&str>, addresses: &[&str]) -> Endpoint {
    Endpoint {
        priority: 0,
        weight: 0,
        host: host.map(str::to_owned),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        port: Some(4370),
    }
}

fn naming(template: &str, allow: &[&str]) -> Naming {
    Naming {
        sname: "app".into(),
        template: Template::parse(template).unwrap(),
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        both_families: false,
    }
}

/// A name and its addresses.
type Placed = (String, Vec<IpAddr>);

/// The names listed, and the names refused.
fn names(template: &str, allow: &[&str], endpoints: &[Endpoint]) -> (Vec<Placed>, Vec<(String, Refusal)>) {
    names_in(false, template, allow, endpoints)
}

/// The same for a node whose distribution runs over IPv6, or over IPv4.
fn names_in(
    ipv6: bool,
    template: &str,
    allow: &[&str],
    endpoints: &[Endpoint],
) -> (Vec<Placed>, Vec<(String, Refusal)>) {
    let found = found(&naming(template, allow), endpoints, &own(SELF), ipv6);
    let mut listed: Vec<_> = found
        .listed
        .into_iter()
        .map(|node| (node.name, node.addresses))
        .collect();
    listed.sort();
    (listed, found.refused)
}

/// A node of this name that listens on 10.0.0.1 and nowhere else, and uses long names.
fn own(name: &str) -> OwnNode<'_> {
    OwnNode {
        name,
        long_names: Some(true),
        port: node_name::dist_port(name.as_bytes(), &PortRules::default()).ok(),
        mapped: false,
        is_here: &|address| address == ip("10.0.0.1"),
        is_other: &|_| false,
    }
}

fn found(naming: &Naming, endpoints: &[Endpoint], own: &OwnNode<'_>, ipv6: bool) -> NodeNames {
    naming.names(endpoints, own, &PortRules::default(), ipv6)
}

const BY_HOST: &str = "{sname}-{port}@{host}";
const BY_IP: &str = "{sname}-{port}@{ip}";

#[test]
fn a_name_is_made_of_an_address_that_is_allowed() {
    let endpoints = [endpoint(Some("n1.test"), &["10.9.0.1", "10.0.0.2"])];
    let (listed, refused) = names(BY_IP, &["10.0.0.0/24"], &endpoints);
    assert_eq!(listed, [("app-4370@10.0.0.2".to_owned(), vec![ip("10.0.0.2")])]);
    assert_eq!(refused, []);
}

#[test]
fn a_host_keeps_only_the_addresses_that_are_allowed() {
    let endpoints = [
        endpoint(Some("n1.test"), &["10.9.0.1", "10.0.0.2"]),
        endpoint(Some("n2.test"), &["10.9.0.1"]),
        endpoint(Some("n3.test"), &[]),
    ];
    let (listed, refused) = names(BY_HOST, &["10.0.0.0/24"], &endpoints);
    assert_eq!(listed, [("app-4370@n1.test".to_owned(), vec![ip("10.0.0.2")])]);
    assert_eq!(
        refused,
        [
            ("app-4370@n2.test".to_owned(), Refusal::NotAllowed),
            ("app-4370@n3.test".to_owned(), Refusal::NotAllowed)
        ]
    );
}

#[test]
fn a_target_that_is_an_address_is_judged_by_itself() {
    let endpoints = [endpoint(Some("10.9.0.1"), &["10.0.0.2"])];
    let (listed, refused) = names(BY_HOST, &["10.0.0.0/24"], &endpoints);
    assert_eq!(listed, []);
    assert_eq!(refused, [("app-4370@10.9.0.1".to_owned(), Refusal::NotAllowed)]);
    let (listed, _) = names(BY_HOST, &[], &endpoints);
    assert_eq!(listed, [("app-4370@10.9.0.1".to_owned(), vec![ip("10.9.0.1")])]);
}

#[test]
fn a_host_that_only_the_other_family_reaches_would_be_looked_up_elsewhere() {
    let endpoints = [endpoint(Some("n1.test"), &["fd00::1"])];
    let (listed, refused) = names(BY_HOST, &["fd00::/8"], &endpoints);
    assert_eq!(listed, []);
    assert_eq!(refused, [("app-4370@n1.test".to_owned(), Refusal::NotAllowed)]);
    // Without the option nothing depends on where it is looked up, and an address that can't be dialed
    // takes the place of none that can.
    let (listed, _) = names(BY_HOST, &[], &endpoints);
    assert_eq!(listed, [("app-4370@n1.test".to_owned(), vec![])]);
}

#[test]
fn a_name_is_made_of_an_address_that_can_be_dialled() {
    let endpoints = [endpoint(Some("n1.test"), &["10.0.0.3", "fd00::1"])];
    for (ipv6, name) in [(false, "app-4370@10.0.0.3"), (true, "app-4370@fd00::1")] {
        let (listed, _) = names_in(ipv6, BY_IP, &[], &endpoints);
        assert_eq!(listed[0].0, name);
    }
}

#[test]
fn an_address_of_the_other_family_gives_no_name() {
    let endpoints = [endpoint(None, &["10.0.0.2"]), endpoint(None, &["fd00::2"])];
    let (v4, v6) = ("app-4370@10.0.0.2", "app-4370@fd00::2");
    for (ipv6, name, other) in [(false, v4, v6), (true, v6, v4)] {
        let mut naming = naming(BY_IP, &[]);
        let names = |naming: &Naming| {
            let names = found(naming, &endpoints, &own(SELF), ipv6);
            assert_eq!(names.listed.len(), 1);
            assert_eq!(names.listed[0].name, name);
            names.refused
        };
        assert_eq!(names(&naming), [(other.to_owned(), Refusal::OtherFamily)]);
        // Where both are asked for that is no mistake.
        naming.both_families = true;
        assert_eq!(names(&naming), []);
    }
}

fn members(names: &NodeNames) -> Vec<&str> {
    let mut members: Vec<_> = names.listed.iter().map(|node| &*node.name).collect();
    members.sort_unstable();
    members
}

#[test]
fn a_node_knows_itself_whatever_dns_calls_it() {
    let endpoints = [
        endpoint(Some("app.test"), &["10.0.0.1"]),
        endpoint(Some("other.test"), &["10.0.0.2", "10.0.0.1"]),
        endpoint(Some("peer.test"), &["10.0.0.2"]),
    ];
    let by_host = naming(BY_HOST, &[]);
    let names = found(&by_host, &endpoints, &own("app-4370@app.test"), false);
    assert_eq!(members(&names), ["app-4370@peer.test"]);
    assert_eq!(names.itself, ["app-4370@app.test", "app-4370@other.test"]);
    // However many there are, the own name and one of the others are told.
    let names = found(&by_host, &endpoints, &own(SELF), false);
    assert_eq!(members(&names), ["app-4370@peer.test"]);
    assert_eq!(names.itself, ["app-4370@app.test"]);
    assert_eq!(names.refused, []);
}

#[test]
fn another_port_is_another_node() {
    let mut other = endpoint(Some("app.test"), &["10.0.0.1"]);
    other.port = Some(4371);
    let by_host = naming(BY_HOST, &[]);
    let names = found(&by_host, &[other], &own(SELF), false);
    assert_eq!(members(&names), ["app-4371@app.test"]);
    // Nobody is at the port in the name of a node that listens on any.
    let hidden = OwnNode {
        port: None,
        ..own(SELF)
    };
    let names = found(&by_host, &[endpoint(Some("app.test"), &["10.0.0.1"])], &hidden, false);
    assert_eq!(members(&names), ["app-4370@app.test"]);
}

#[test]
fn a_node_that_there_was_a_link_with_is_not_this_one_when_dns_says_so() {
    let known = OwnNode {
        is_other: &|name| name == "app-4370@n1.test",
        ..own(SELF)
    };
    let endpoints = ["n1.test", "n2.test"].map(|host| endpoint(Some(host), &["10.0.0.1"]));
    let names = found(&naming(BY_HOST, &[]), &endpoints, &known, false);
    assert_eq!(members(&names), ["app-4370@n1.test"]);
    assert_eq!(names.itself, ["app-4370@n2.test"]);
}

#[test]
fn addresses_of_the_family_that_is_not_dialled_lead_nowhere() {
    let own = OwnNode {
        is_here: &|address| address == ip("fd00::1"),
        ..own("app-4370@app.test")
    };
    let endpoints = [endpoint(Some("n1.test"), &["10.0.0.3", "fd00::1"])];
    let by_host = naming(BY_HOST, &[]);
    let names = found(&by_host, &endpoints, &own, false);
    assert_eq!(members(&names), ["app-4370@n1.test"]);
    assert_eq!(found(&by_host, &endpoints, &own, true).itself.len(), 1);
}

#[test]
fn a_mapped_node_is_where_its_name_says() {
    let by_host = naming(BY_HOST, &[]);
    let endpoints = ["a.test", "b.test", "c.test"]
        .into_iter()
        .zip(["192.0.2.1", "192.0.2.1", "10.0.0.1"])
        .map(|(host, address)| endpoint(Some(host), &[address]));
    let endpoints: Vec<_> = endpoints.collect();
    for name in ["app-4370@192.0.2.1", "app-4370@a.test"] {
        let mapped = OwnNode {
            mapped: true,
            ..own(name)
        };
        let names = found(&by_host, &endpoints, &mapped, false);
        // What listens on the outer port of an address of the container is not this node.
        assert_eq!(members(&names), ["app-4370@c.test"], "{name}");
        assert!(names.itself.contains(&"app-4370@b.test".to_owned()) || names.itself.len() == 1);
    }
}

#[test]
fn long_names_and_short_ones_are_strangers() {
    let endpoints = [
        endpoint(Some("n1"), &["10.0.0.2"]),
        endpoint(Some("n2.test"), &["10.0.0.3"]),
    ];
    let by_host = naming(BY_HOST, &[]);
    let long = found(&by_host, &endpoints, &own(SELF), false);
    assert_eq!(members(&long), ["app-4370@n2.test"]);
    assert_eq!(long.refused, [("app-4370@n1".to_owned(), Refusal::ShortName)]);
    let short = OwnNode {
        long_names: Some(false),
        ..own("app-4370@h")
    };
    let short = found(&by_host, &endpoints, &short, false);
    assert_eq!(members(&short), ["app-4370@n1"]);
    assert_eq!(short.refused, [("app-4370@n2.test".to_owned(), Refusal::LongName)]);
    let any = OwnNode {
        long_names: None,
        ..own(SELF)
    };
    assert_eq!(found(&by_host, &endpoints, &any, false).listed.len(), 2);
    // OTP takes an IPv6 address for both.
    for long_names in [true, false] {
        let own = OwnNode {
            long_names: Some(long_names),
            ..own("app-4370@h")
        };
        let endpoints = [endpoint(None, &["fd00::2"])];
        let names = found(&naming(BY_IP, &[]), &endpoints, &own, true);
        assert_eq!(members(&names), ["app-4370@fd00::2"]);
    }
}

#[test]
fn a_port_of_0_names_nobody_where_names_carry_ports() {
    let mut unnamed = endpoint(Some("n1.test"), &["10.0.0.2"]);
    unnamed.port = None;
    let endpoints = [unnamed];
    let (listed, refused) = names(BY_HOST, &[], &endpoints);
    assert_eq!(listed, []);
    assert_eq!(refused, [("n1.test".to_owned(), Refusal::NoPort)]);
    let (listed, refused) = names("my_app@{host}", &[], &endpoints);
    assert_eq!(listed[0].0, "my_app@n1.test");
    assert_eq!(refused, []);
}

#[test]
fn what_of_the_options_does_not_suit_the_own_name() {
    let rules = PortRules::default();
    let note = |template: &str, own: &str| naming(template, &[]).mismatch(own, &rules);
    let other = |name: &str| Some(Mismatch::OtherName(name.to_owned()));
    for (template, own, expected) in [
        (BY_HOST, "app-4370@n1.test", None),
        (BY_HOST, "app-4370@10.0.0.1", None),
        (BY_HOST, "app4370@n1.test", other("app-4370@n1.test")),
        (BY_HOST, "web-4370@n1.test", other("app-4370@n1.test")),
        (BY_HOST, "app-4370@N1.test", Some(Mismatch::Capitals("N1.test".into()))),
        (BY_IP, "app-4370@10.0.0.1", None),
        (BY_IP, "app-4370@n1.test", Some(Mismatch::ByHost)),
        (BY_IP, "app-4370@fd00:0::1", other("app-4370@fd00::1")),
        (BY_HOST, "rpc-1a-app-4370@n1.test", None),
    ] {
        assert_eq!(note(template, own), expected, "{template} {own}");
    }
    for own in ["app4370@h", "my_app_3434@h", "1-3434@h", "my-app-0@h", "app@h"] {
        let like = Naming {
            template: Template::like(own.split_once('@').unwrap().0, true, &rules),
            ..naming(BY_HOST, &[])
        };
        assert_eq!(like.mismatch(own, &rules), None, "{own}");
    }
}

#[test]
fn nodes_known_by_name() {
    let at = |name: &str, port| Named {
        name: name.into(),
        at: Endpoint::at(vec![ip("127.0.0.1")], port),
    };
    let nodes = [
        at("b-4371@h.test", Some(4371)),
        at("c-4372@h.test", None),
        at("d-4373@10.0.0.7", Some(4373)),
        at(SELF, Some(4370)),
        at("e-4374@h.test", Some(4375)),
        at("f-4376@short", Some(4376)),
        at("g\"-4377@h.test", Some(4377)),
        at("h-4378@fd00::1", Some(4378)),
    ];
    let given = |allow: &[&str]| naming(BY_HOST, allow).given(&nodes, &own(SELF), &PortRules::default(), false);
    let found = given(&[]);
    let mut listed: Vec<_> = found
        .listed
        .iter()
        .map(|node| (node.name.as_str(), node.host.as_deref(), node.addresses.clone()))
        .collect();
    listed.sort();
    let here = || vec![ip("127.0.0.1")];
    assert_eq!(
        listed,
        [
            ("b-4371@h.test", Some("h.test"), here()),
            ("c-4372@h.test", Some("h.test"), here()),
            ("d-4373@10.0.0.7", None, vec![ip("10.0.0.7")]),
        ]
    );
    assert_eq!(found.itself, [SELF]);
    let refused = [
        ("e-4374@h.test", Refusal::OtherPort),
        ("f-4376@short", Refusal::ShortName),
        ("g\"-4377@h.test", Refusal::InvalidName),
        ("h-4378@fd00::1", Refusal::OtherFamily),
    ];
    assert_eq!(found.refused, refused.map(|(name, why)| (name.to_owned(), why)));
    // Networks hold for them, too.
    assert!(
        given(&["10.0.0.0/8"])
            .listed
            .iter()
            .all(|node| node.name == "d-4373@10.0.0.7")
    );
}
