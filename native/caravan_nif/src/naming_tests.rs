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
        allow: allow
            .iter()
            .map(|text| Network::parse(text).unwrap())
            .collect(),
        both_families: false,
    }
}

/// A name and its addresses.
type Named = (String, Vec<IpAddr>);

/// The names listed, and the names refused.
fn names(
    template: &str,
    allow: &[&str],
    endpoints: &[Endpoint],
) -> (Vec<Named>, Vec<(String, Refusal)>) {
    names_in(false, template, allow, endpoints)
}

/// The same for a node whose distribution runs over IPv6, or over IPv4.
fn names_in(
    ipv6: bool,
    template: &str,
    allow: &[&str],
    endpoints: &[Endpoint],
) -> (Vec<Named>, Vec<(String, Refusal)>) {
    let naming = naming(template, allow);
    let (listed, refused) = naming.names(endpoints, SELF, &PortRules::default(), ipv6);
    let mut listed: Vec<_> = listed
        .into_iter()
        .map(|node| (node.name, node.addresses))
        .collect();
    listed.sort();
    (listed, refused)
}

const BY_HOST: &str = "{sname}-{port}@{host}";
const BY_IP: &str = "{sname}-{port}@{ip}";

#[test]
fn a_name_is_made_of_an_address_that_is_allowed() {
    let endpoints = [endpoint(Some("n1.test"), &["10.9.0.1", "10.0.0.2"])];
    let (listed, refused) = names(BY_IP, &["10.0.0.0/24"], &endpoints);
    assert_eq!(
        listed,
        [("app-4370@10.0.0.2".to_owned(), vec![ip("10.0.0.2")])]
    );
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
    assert_eq!(
        listed,
        [("app-4370@n1.test".to_owned(), vec![ip("10.0.0.2")])]
    );
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
    assert_eq!(
        refused,
        [("app-4370@10.9.0.1".to_owned(), Refusal::NotAllowed)]
    );
    let (listed, _) = names(BY_HOST, &[], &endpoints);
    assert_eq!(
        listed,
        [("app-4370@10.9.0.1".to_owned(), vec![ip("10.9.0.1")])]
    );
}

#[test]
fn a_host_that_only_the_other_family_reaches_would_be_looked_up_elsewhere() {
    let endpoints = [endpoint(Some("n1.test"), &["fd00::1"])];
    let (listed, refused) = names(BY_HOST, &["fd00::/8"], &endpoints);
    assert_eq!(listed, []);
    assert_eq!(
        refused,
        [("app-4370@n1.test".to_owned(), Refusal::NotAllowed)]
    );
    // Without the option nothing depends on where it is looked up, and an address that can't be dialled
    // takes the place of none that can.
    let (listed, _) = names(BY_HOST, &[], &endpoints);
    assert_eq!(listed, [("app-4370@n1.test".to_owned(), vec![])]);
}

#[test]
fn a_name_is_made_of_an_address_that_can_be_dialled() {
    let endpoints = [endpoint(Some("n1.test"), &["10.0.0.1", "fd00::1"])];
    for (ipv6, name) in [(false, "app-4370@10.0.0.1"), (true, "app-4370@fd00::1")] {
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
            let (listed, refused) = naming.names(&endpoints, SELF, &PortRules::default(), ipv6);
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].name, name);
            refused
        };
        assert_eq!(names(&naming), [(other.to_owned(), Refusal::OtherFamily)]);
        // Where both are asked for that is no mistake.
        naming.both_families = true;
        assert_eq!(names(&naming), []);
    }
}
